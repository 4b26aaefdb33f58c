//! `Registry`: everything that is chosen by name, with one line per choice.
//!
//! Another crate can add lines, whose names are then parsed, listed and explained like those of this crate.

use std::any::{Any, TypeId};
use std::fmt;
use std::str::FromStr;

use hypertape_autodiff::Element;

use crate::coupling::{Cold, Coupling, Warm};
use crate::error::Error;
use crate::estimator::Estimator;
use crate::estimator::exact::Exact;
use crate::estimator::first_order::FirstOrder;
use crate::estimator::forward::Forward;
use crate::estimator::forward_gradient::ForwardGradient;
use crate::estimator::full_tape::FullTape;
use crate::estimator::implicit::Implicit;
use crate::estimator::reversible::Reversible;
use crate::estimator::roulette::Roulette;
use crate::estimator::stochastic::StochasticNeumann;
use crate::estimator::thinned::Thinned;
use crate::estimator::truncated::Truncated;
use crate::estimator::ufom::Ufom;
use crate::linear::{Cg, Dense, FixedPoint, Gmres, LinearSolver, Minres, Neumann, Nystrom};
use crate::oracle::stepper::AnyRule;
use crate::outer::{Optimiser, Outer};
use crate::rule::Rule;
use crate::rule::adaptive::{Adam, RmsProp};
use crate::rule::descent::GradientDescent;
use crate::rule::momentum::Momentum;
use crate::rule::proximal::{Ista, Projected, Simplex};
use crate::schedule::Schedule;
use crate::single_loop::{
    Amigo, Bome, Bsa, Directions, F2sa, F2saP, Fsla, Mrbo, Pzobo, SingleLoop, Stocbio, Ttsa, Vrbo,
};
use crate::spelling::{About, Described, Spelled, Visit, expect_in, find_by_name};

/// Makes a choice, and returns its text as well.
type Make<M> = dyn Fn(&mut Visit) -> Result<(M, String), Error> + Send + Sync;

/// A line of a table: the description of a choice, and how it is made.
pub struct Spelling<M> {
    about: About,
    make: Box<Make<M>>,
}

impl<M> Spelling<M> {
    /// Creates a line with the name and the settings of `prototype`, whose values are the defaults.
    pub fn new<S: Spelled + Send + Sync + 'static>(
        prototype: S,
        made: impl Fn(S) -> M + Send + Sync + 'static,
    ) -> Self {
        let about = prototype.about();
        let make = move |visit: &mut Visit| {
            let choice = prototype.spell(visit)?;
            let text = choice.text();
            Ok((made(choice), text))
        };
        Self { about, make: Box::new(make) }
    }

    /// Name and description.
    pub fn about(&self) -> About {
        self.about
    }

    /// Settings in the order in which they are printed.
    pub fn settings(&self) -> Vec<Described> {
        Visit::list(self.about.name, |settings| (self.make)(settings))
    }
}

impl<M> fmt::Debug for Spelling<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spelling").field("about", &self.about).finish_non_exhaustive()
    }
}

/// The choices of one kind.
#[derive(Debug)]
pub struct Spellings<M> {
    kind: &'static str,
    lines: Vec<Spelling<M>>,
    /// Returns an error if a setting is out of range in the precision of the choice.
    fits: fn(&str, f64) -> Result<(), Error>,
}

impl<M> Spellings<M> {
    /// Name of this kind of choice, in the singular.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// Lines in the order in which they are listed.
    pub fn lines(&self) -> &[Spelling<M>] {
        &self.lines
    }

    /// Adds a line, which replaces one of the same name.
    pub fn add(&mut self, line: Spelling<M>) {
        self.lines.retain(|other| other.about.name != line.about.name);
        self.lines.push(line);
    }

    /// Returns the line of that name.
    ///
    /// ```
    /// let why = hypertape_solver::Registry::<f64>::default().estimators.find("fom").unwrap_err();
    /// assert_eq!(why.to_string(), "unknown estimator 'fom': did you mean first-order?");
    /// ```
    ///
    /// # Errors
    /// Returns [`Error::Spelling`] with the nearest name, or with all names.
    pub fn find(&self, name: &str) -> Result<&Spelling<M>, Error> {
        find_by_name(self.kind, name, &self.lines, |line| line.about.name).map_err(|error| {
            // Abbreviations of papers stand in summaries.
            let abbreviation = name.to_uppercase();
            let mentions = |line: &&Spelling<M>| {
                let mut words = line.about.summary.split(|c: char| !c.is_alphanumeric());
                name.len() > 2 && words.any(|word| word == abbreviation)
            };
            let Some(line) = self.lines.iter().find(mentions) else { return error };
            let hint = format!("did you mean {}?", line.about.name);
            Error::Spelling { why: format!("unknown {} '{name}': {hint}", self.kind) }
        })
    }

    /// Parses `text`, which is `name` or `name:setting=value,...`.
    ///
    /// # Errors
    /// Returns the errors of [`find`](Self::find) and [`Spelled::read`].
    pub fn parse(&self, text: &str) -> Result<M, Error> {
        self.parse_with_text(text).map(|(made, _)| made)
    }

    /// Parses `text`, and returns its normal form as well: without settings that have their default value, in the order
    /// of the list.
    ///
    /// # Errors
    /// Returns the errors of [`parse`](Self::parse).
    pub fn parse_with_text(&self, text: &str) -> Result<(M, String), Error> {
        let (name, typed) = text.split_once(':').map_or((text, None), |(n, t)| (n, Some(t)));
        let line = self.find(name)?;
        let made = Visit::read(line.about.name, typed, |settings| (line.make)(settings))?;
        for (setting, value) in
            typed.into_iter().flat_map(|t| t.split(',')).filter_map(|s| s.split_once('='))
        {
            if let Ok(value) = value.parse() {
                (self.fits)(&format!("{setting} of {name}"), value)?;
            }
        }
        Ok(made)
    }
}

impl<T: Element> Spelling<Box<dyn Estimator<T>>> {
    /// Creates a line with the name and settings of `prototype`.
    pub fn estimator(prototype: impl Estimator<T> + Spelled + Send + 'static) -> Self {
        Self::new(prototype, |made| Box::new(made))
    }

    /// Creates a line for the implicit estimator with a linear solver.
    ///
    /// Its name and settings are those of `prototype`, followed by `mu`, `minimum` and, unless the solver ignores its
    /// start, `warm`.
    pub fn solver(prototype: impl LinearSolver<T> + Spelled + 'static) -> Self {
        let about = prototype.about();
        let make = move |visit: &mut Visit| {
            let solver = prototype.spell(visit)?;
            let made: Box<dyn Estimator<T>> = Box::new(Implicit::spell(solver, visit));
            let name = made.name();
            Ok((made, name))
        };
        Self { about, make: Box::new(make) }
    }
}

impl<T: Element> Spelling<Box<dyn Outer<T>>> {
    /// Creates a line with the name and settings of `prototype`.
    pub fn outer(prototype: impl Outer<T> + Spelled + 'static) -> Self {
        Self::new(prototype, |made| Box::new(made))
    }
}

impl Spelling<Box<dyn Coupling>> {
    /// Creates a line with the name and settings of `prototype`.
    pub fn coupling(prototype: impl Coupling + Spelled + 'static) -> Self {
        Self::new(prototype, |made| Box::new(made))
    }
}

impl<T: Element> Spelling<Box<dyn SingleLoop<T>>> {
    /// Creates a line with the name and settings of `prototype`.
    pub fn algorithm(prototype: impl SingleLoop<T> + Spelled + 'static) -> Self {
        Self::new(prototype, |made| Box::new(made))
    }
}

impl<T: Element> Spelling<AnyRule<'static, T>> {
    /// Creates a line with the name and settings of `prototype`.
    pub fn rule(prototype: impl Rule<T> + Spelled + 'static) -> Self {
        Self::new(prototype, AnyRule::new)
    }
}

/// All tables, for one precision.
///
/// ```
/// use hypertape_solver::{About, Draw, Error, Estimator, Registry};
/// let registry = Registry::<f64>::default();
/// let ufom = registry.estimators.parse("ufom:q=0.25")?;
/// assert_eq!(ufom.name(), "ufom:q=0.25");
/// let line = registry.estimators.find("thinned")?;
/// assert_eq!((line.settings()[0].name, line.settings()[0].value.as_deref()), ("q", Some("0.3")));
/// // Without a registry, what stands here is a `FromStr`.
/// let roulette: Box<dyn Estimator<f32>> = "roulette:survival=0.75".parse()?;
/// assert_eq!(roulette.name(), "roulette:survival=0.75");
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug)]
pub struct Registry<T: Element> {
    /// Estimators, including those with a linear solver.
    pub estimators: Spellings<Box<dyn Estimator<T>>>,
    /// Single-loop algorithms.
    pub algorithms: Spellings<Box<dyn SingleLoop<T>>>,
    /// Inner rules.
    pub rules: Spellings<AnyRule<'static, T>>,
    /// Outer optimisers.
    pub outers: Spellings<Box<dyn Outer<T>>>,
    /// Couplings.
    pub couplings: Spellings<Box<dyn Coupling>>,
}

impl<T: Element> Default for Registry<T> {
    fn default() -> Self {
        *registry(TypeId::of::<T>()).downcast().expect("numbers of one of the two precisions")
    }
}

/// The registry of a precision, compiled in this crate, and not in every crate that parses a name.
fn registry(precision: TypeId) -> Box<dyn Any> {
    fn tables<T: Element>() -> Box<dyn Any> {
        Box::new(Registry::<T> {
            estimators: estimators(),
            algorithms: algorithms(),
            rules: rules(),
            outers: outers(),
            couplings: couplings(),
        })
    }
    if precision == TypeId::of::<f32>() { tables::<f32>() } else { tables::<f64>() }
}

fn estimators<T: Element>() -> Spellings<Box<dyn Estimator<T>>> {
    let mut lines = vec![
        Spelling::estimator(Exact::default()),
        Spelling::estimator(FullTape),
        Spelling::estimator(Forward),
        Spelling::estimator(Truncated::default()),
        Spelling::estimator(FirstOrder),
        Spelling::estimator(Reversible::default()),
        Spelling::estimator(Ufom::default()),
        Spelling::estimator(Ufom::jump()),
        Spelling::estimator(Roulette::default()),
        Spelling::estimator(Thinned::default()),
        Spelling::estimator(ForwardGradient::default()),
        Spelling::solver(Cg::default()),
        Spelling::solver(Minres::default()),
        Spelling::solver(Gmres::default()),
        Spelling::solver(FixedPoint::default()),
        Spelling::solver(Neumann::default()),
        Spelling::solver(Nystrom::default()),
        Spelling::solver(Dense),
    ];
    lines.extend(StochasticNeumann::listed().map(Spelling::estimator));
    Spellings { kind: "estimator", lines, fits: expect_in::<T> }
}

fn algorithms<T: Element>() -> Spellings<Box<dyn SingleLoop<T>>> {
    let lines = vec![
        Spelling::algorithm(Directions::soba()),
        Spelling::algorithm(Directions::ma_soba()),
        Spelling::algorithm(Directions::saba()),
        Spelling::algorithm(Directions::srba()),
        Spelling::algorithm(Directions::spaba()),
        Spelling::algorithm(Directions::pnpbo()),
        Spelling::algorithm(Amigo::default()),
        Spelling::algorithm(Stocbio::default()),
        Spelling::algorithm(Bsa::default()),
        Spelling::algorithm(Ttsa::default()),
        Spelling::algorithm(Fsla::default()),
        Spelling::algorithm(Mrbo::whole()),
        Spelling::algorithm(Mrbo::sustain()),
        Spelling::algorithm(Vrbo::default()),
        Spelling::algorithm(F2sa::default()),
        Spelling::algorithm(F2saP::default()),
        Spelling::algorithm(Bome::default()),
        Spelling::algorithm(Pzobo::default()),
    ];
    Spellings { kind: "algorithm", lines, fits: expect_in::<T> }
}

fn rules<T: Element>() -> Spellings<AnyRule<'static, T>> {
    let [heavy_ball, nesterov] = Momentum::LISTED;
    let lines = vec![
        Spelling::rule(GradientDescent::default()),
        Spelling::rule(heavy_ball),
        Spelling::rule(nesterov),
        Spelling::rule(Adam::default()),
        Spelling::rule(RmsProp::default()),
        Spelling::rule(Ista::LISTED),
        Spelling::rule(Projected::default()),
        Spelling::rule(Simplex::default()),
    ];
    Spellings { kind: "rule", lines, fits: expect_in::<T> }
}

fn outers<T: Element>() -> Spellings<Box<dyn Outer<T>>> {
    let lines = Optimiser::listed().into_iter().map(Spelling::outer).collect();
    Spellings { kind: "outer optimiser", lines, fits: expect_in::<T> }
}

fn couplings() -> Spellings<Box<dyn Coupling>> {
    let lines = vec![Spelling::coupling(Cold), Spelling::coupling(Warm)];
    Spellings { kind: "coupling", lines, fits: expect_in::<f64> }
}

impl Schedule {
    /// Returns the kinds of schedules.
    pub fn spellings() -> Spellings<Self> {
        let lines = Self::listed().into_iter().map(|one| Spelling::new(one, |made| made));
        Spellings { kind: "schedule", lines: lines.collect(), fits: expect_in::<f64> }
    }
}

/// Implements [`FromStr`] for the choices of a kind.
macro_rules! from_str {
    ($($(#[$doc:meta])* [$($generics:tt)*] $made:ty = $all:expr;)*) => {$(
        $(#[$doc])*
        impl<$($generics)*> FromStr for $made {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self, Error> {
                $all.parse(text)
            }
        }
    )*};
}

from_str! {
    /// Parses an estimator from its text.
    ///
    /// ```
    /// use hypertape_solver::Estimator;
    /// let thinned: Box<dyn Estimator<f64>> = "thinned:q=0.5,anchored".parse()?;
    /// assert_eq!(thinned.name(), "thinned:q=0.5,anchored=1");
    /// let error = "thinned:q=1.5".parse::<Box<dyn Estimator<f64>>>().unwrap_err();
    /// assert_eq!(error.to_string(), "q of thinned: found 1.5, expected a probability above 0 and at most 1");
    /// # Ok::<(), hypertape_solver::Error>(())
    /// ```
    [T: Element] Box<dyn Estimator<T>> = Registry::default().estimators;
    /// Parses an inner rule from its text.
    ///
    /// ```
    /// use hypertape_solver::AnyRule;
    /// let adam: AnyRule<f64> = "adam:b1=0.8".parse()?;
    /// assert_eq!(adam.name(), "adam:b1=0.8,b2=0.999,eps=1e-8");
    /// # Ok::<(), hypertape_solver::Error>(())
    /// ```
    [T: Element] AnyRule<'_, T> = Registry::default().rules;
    /// Parses a single-loop algorithm from its text.
    ///
    /// ```
    /// use hypertape_solver::SingleLoop;
    /// let soba: Box<dyn SingleLoop<f64>> = "soba:step=0.1,ratio=10".parse()?;
    /// assert_eq!(soba.outer().to_string(), "sgd 0.01/k^0.5");
    /// let error = "soba".parse::<Box<dyn SingleLoop<f64>>>().unwrap_err();
    /// assert_eq!(error.to_string(), "soba needs step, for example soba:step=0.1");
    /// # Ok::<(), hypertape_solver::Error>(())
    /// ```
    [T: Element] Box<dyn SingleLoop<T>> = Registry::default().algorithms;
    [] Schedule = Self::spellings();
    /// Parses an outer optimiser from its text.
    ///
    /// ```
    /// use hypertape_solver::Outer;
    /// let adam: Box<dyn Outer<f64>> = "adam:lr=0.03".parse()?;
    /// assert_eq!(adam.name(), "adam 0.03");
    /// let error = "sgd".parse::<Box<dyn Outer<f64>>>().unwrap_err();
    /// assert_eq!(error.to_string(), "sgd needs lr, for example sgd:lr=0.1");
    /// # Ok::<(), hypertape_solver::Error>(())
    /// ```
    [T: Element] Box<dyn Outer<T>> = Registry::default().outers;
    /// Parses a coupling from its text.
    ///
    /// ```
    /// use hypertape_solver::coupling::Coupling;
    /// let warm: Box<dyn Coupling> = "warm".parse()?;
    /// assert!(warm.warm());
    /// # Ok::<(), hypertape_solver::Error>(())
    /// ```
    [] Box<dyn Coupling> = couplings();
}
