//! Functions of the solver that are compiled in this crate.

use hypertape_autodiff::Element;
use hypertape_solver::{
    Draw, Error, Estimator, InnerLoop, Joint, Observer, Oracle, Profile, Record, Run, RunState,
    SingleLoop, mean_loss,
};

#[cfg(feature = "data")]
use crate::{data, image_classes::ImageClasses, sets::Sets};

/// Declares a trait with the functions of a list, and implements it for each precision by the generic function named.
macro_rules! compiled {
    ($(#[$doc:meta])* trait $Trait:ident {
        $($(#[$meta:meta])* fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty = $function:path;)*
    }) => {
        $(#[$doc])*
        pub trait $Trait: Element {
            $($(#[$meta])* fn $name($($argument: $type),*) -> $result;)*
        }

        impl $Trait for f64 {
            $($(#[$meta])* fn $name($($argument: $type),*) -> $result { $function($($argument),*) })*
        }

        impl $Trait for f32 {
            $($(#[$meta])* fn $name($($argument: $type),*) -> $result { $function($($argument),*) })*
        }
    };
}

compiled! {
    /// Generic functions that take time, for each precision. They are compiled in this crate, with its optimisations,
    /// whatever those of the crate that calls them are; times of a copy without optimisation would say nothing about a
    /// problem.
    trait Compiled {
        /// Makes an estimator of an algorithm, as [`Joint`] does.
        fn joint(algorithm: Box<dyn SingleLoop<Self>>) -> Box<dyn Estimator<Self>> = joint;

        /// Continues a run, as [`Run::observe`] does.
        ///
        /// # Errors
        /// Returns the errors of that function.
        fn observe(
            run: &Run<Self>,
            oracle: &mut Oracle<Self>,
            estimator: &mut dyn Estimator<Self>,
            state: &mut RunState<Self>,
            observers: &mut [&mut dyn Observer<Self>]
        ) -> Result<Vec<Record>, Error> = Run::observe;

        /// Runs the inner loops alone, as [`mean_loss`](hypertape_solver::mean_loss) does.
        ///
        /// # Errors
        /// Returns the errors of that function.
        fn mean_loss(
            oracle: &mut Oracle<Self>,
            inner: &InnerLoop,
            x: &[Self],
            draw: Draw,
            w: &mut Vec<Self>
        ) -> Result<Self, Error> = mean_loss;

        /// Times the parts of a run, as [`Profile::measure`] does.
        ///
        /// # Errors
        /// Returns the errors of that function.
        fn profile(
            oracle: &Oracle<Self>,
            inner: &InnerLoop,
            x: &[Self],
            draw: Draw,
            repeat: usize
        ) -> Result<Profile, Error> = Profile::measure;

        /// Loads samples, as [`data::load`](crate::data::load) does.
        ///
        /// # Errors
        /// Returns the errors of that function.
        #[cfg(feature = "data")]
        fn load(files: &data::Files, seed: u64) -> Result<Sets<Self>, Error> = data::load;

        /// Loads images, as [`ImageClasses::from_files`] does.
        ///
        /// # Errors
        /// Returns the errors of that function.
        #[cfg(feature = "data")]
        fn load_images(paths: &[std::path::PathBuf], side: u32) -> Result<ImageClasses<Self>, Error>
            = ImageClasses::from_files;
    }
}

fn joint<T: Element>(algorithm: Box<dyn SingleLoop<T>>) -> Box<dyn Estimator<T>> {
    Box::new(Joint::from(algorithm))
}
