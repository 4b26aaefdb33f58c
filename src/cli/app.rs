//! `App`: the problems and everything else that a command line knows by name.

use super::args::Dtype;
use crate::problems::{Entry, Precision};
use crate::{
    About, Element, Error, Estimator, Registry, Rule, Setting, Spelled, Spelling, Spellings,
};

/// A command line over problems of one's own, and estimators and rules of one's own beside those that there are.
///
/// ```no_run
/// use hypertape::cli::App;
/// use hypertape::problems::catalogue;
/// use hypertape::{About, Error, GradientDescent, Settings, Spelled};
/// # use hypertape::{Array, Element, List, Rule, Step};
///
/// #[derive(Clone, Debug)]
/// struct SoftSign;
/// impl Spelled for SoftSign {
///     fn about(&self) -> About {
///         About { name: "soft-sign", summary: "w' = w - lr g / sqrt(1 + g^2)", cost: "" }
///     }
/// }
/// # impl<T: Element> Rule<T> for SoftSign {
/// #     fn name(&self) -> String { self.text() }
/// #     fn update<'a, A: Array<'a, Elem = T>>(&self, w: &[A], g: A, _: &[A], step: Step) -> List<A> {
/// #         List::from_slice(&[w[0] - g / (g.square() + 1.0).sqrt() * step.lr])
/// #     }
/// # }
/// // `--rule soft-sign` in every command, listed by `hypertape rules`.
/// App::new(&catalogue()).rule(SoftSign).main();
/// ```
#[derive(Debug)]
pub struct App<'c> {
    pub(crate) catalogue: &'c [Entry],
    double: Registry<f64>,
    single: Registry<f32>,
}

impl<'c> App<'c> {
    /// Over `catalogue`, with the choices that there are.
    pub fn new(catalogue: &'c [Entry]) -> Self {
        Self { catalogue, double: Registry::default(), single: Registry::default() }
    }

    /// With another estimator.
    #[must_use]
    pub fn estimator<E>(mut self, prototype: E) -> Self
    where
        E: Estimator<f64> + Estimator<f32> + Spelled + Send + 'static,
    {
        self.double.estimators.add(Spelling::estimator(prototype.clone()));
        self.single.estimators.add(Spelling::estimator(prototype));
        self
    }

    /// With another inner rule.
    #[must_use]
    pub fn rule<R: Rule<f64> + Rule<f32> + Spelled + 'static>(mut self, prototype: R) -> Self {
        self.double.rules.add(Spelling::rule(prototype.clone()));
        self.single.rules.add(Spelling::rule(prototype));
        self
    }

    /// The choices of double precision, to add one that is not of both.
    pub fn double(&mut self) -> &mut Registry<f64> {
        &mut self.double
    }

    /// The choices of single precision, likewise.
    pub fn single(&mut self) -> &mut Registry<f32> {
        &mut self.single
    }

    /// Whether there is such an estimator.
    pub(crate) fn check_estimator(&self, dtype: Dtype, text: &str) -> Result<(), Error> {
        match dtype {
            Dtype::F64 => self.double.estimators.parse(text).map(drop),
            Dtype::F32 => self.single.estimators.parse(text).map(drop),
        }
    }

    /// Whether there is such an inner rule.
    pub(crate) fn check_rule(&self, dtype: Dtype, text: &str) -> Result<(), Error> {
        match dtype {
            Dtype::F64 => self.double.rules.parse(text).map(drop),
            Dtype::F32 => self.single.rules.parse(text).map(drop),
        }
    }

    /// What is told of the estimators.
    pub(crate) fn estimators(&self) -> Vec<Listed> {
        listed(&self.double.estimators, &self.single.estimators)
    }

    /// What is told of the inner rules.
    pub(crate) fn rules(&self) -> Vec<Listed> {
        listed(&self.double.rules, &self.single.rules)
    }
}

/// What is told of a choice.
pub(crate) type Listed = (About, Vec<Setting>);

/// All lines of a table.
pub(crate) fn lines<M>(table: &Spellings<M>) -> Vec<Listed> {
    table.lines().iter().map(|line| (line.about(), line.settings())).collect()
}

/// The lines of both precisions, each once.
fn listed<D, S>(double: &Spellings<D>, single: &Spellings<S>) -> Vec<Listed> {
    let mut all = lines(double);
    let others = lines(single).into_iter().filter(|(about, _)| double.find(about.name).is_err());
    all.extend(others);
    all
}

/// A precision with the choices of its own.
pub(crate) trait Precise: Precision {
    fn registry<'a>(app: &'a App) -> &'a Registry<Self>
    where
        Self: Element;
}

impl Precise for f64 {
    fn registry<'a>(app: &'a App) -> &'a Registry<Self> {
        &app.double
    }
}

impl Precise for f32 {
    fn registry<'a>(app: &'a App) -> &'a Registry<Self> {
        &app.single
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Array, GradientDescent, List, Step};

    /// Half a step of gradient descent.
    #[derive(Clone, Debug)]
    struct Half;

    impl Spelled for Half {
        fn about(&self) -> About {
            About { name: "half", summary: "half a step", cost: "" }
        }
    }

    impl<T: Element> Rule<T> for Half {
        fn name(&self) -> String {
            self.text()
        }

        fn update<'a, A: Array<'a, Elem = T>>(
            &self,
            w: &[A],
            g: A,
            x: &[A],
            step: Step,
        ) -> List<A> {
            GradientDescent::default().update(w, g, x, Step { lr: step.lr / 2.0, ..step })
        }
    }

    #[test]
    fn choices_of_ones_own_are_known_and_listed() {
        let app = App::new(&[]).rule(Half);
        assert!(app.check_rule(Dtype::F64, "half").is_ok());
        assert!(app.check_rule(Dtype::F32, "half").is_ok());
        assert_eq!(app.rules().len(), App::new(&[]).rules().len() + 1);
        // In one precision alone.
        let mut app = App::new(&[]);
        app.single().rules.add(Spelling::rule(Half));
        let error = app.check_rule(Dtype::F64, "half").unwrap_err().to_string();
        assert!(error.starts_with("unknown rule 'half'"), "{error}");
        assert!(app.check_rule(Dtype::F32, "half").is_ok());
        assert_eq!(app.rules().last().unwrap().0.name, "half");
    }
}
