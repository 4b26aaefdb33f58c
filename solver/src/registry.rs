//! `Registry`: everything that is chosen by name, one line each.
//!
//! A crate outside adds lines of its own, and then its names are read, listed and explained like those that stand here.

use std::fmt;
use std::str::FromStr;

use hypertape_autodiff::Element;

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
use crate::oracle::stepper::AnyRule;
use crate::outer::Outer;
use crate::rule::Rule;
use crate::rule::adaptive::{Adam, RmsProp};
use crate::rule::descent::GradientDescent;
use crate::rule::momentum::Momentum;
use crate::rule::proximal::{Ista, Projected};
use crate::schedule::Schedule;
use crate::spelling::{About, Setting, Settings, Spelled, find_by_name};

type Make<M> = dyn Fn(&mut Settings) -> Result<M, Error> + Send + Sync;

/// A line of a table: what is told of a choice, and how it is made.
pub struct Spelling<M> {
    about: About,
    make: Box<Make<M>>,
}

impl<M> Spelling<M> {
    /// By the name and with the settings of `prototype`, whose values are the defaults.
    pub fn new<S: Spelled + Send + Sync + 'static>(
        prototype: S,
        made: impl Fn(S) -> M + Send + Sync + 'static,
    ) -> Self {
        let about = prototype.about();
        Self { about, make: Box::new(move |settings| prototype.spell(settings).map(&made)) }
    }

    /// Its name, and what is told of it.
    pub fn about(&self) -> About {
        self.about
    }

    /// Its settings, in the order in which they are printed.
    pub fn settings(&self) -> Vec<Setting> {
        Settings::list(self.about.name, |settings| (self.make)(settings))
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
}

impl<M> Spellings<M> {
    /// What its choices are called, in the singular.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// The lines, in the order in which they are listed.
    pub fn lines(&self) -> &[Spelling<M>] {
        &self.lines
    }

    /// Adds a line; it takes the place of one of the same name.
    pub fn add(&mut self, line: Spelling<M>) {
        self.lines.retain(|other| other.about.name != line.about.name);
        self.lines.push(line);
    }

    /// The line of that name.
    ///
    /// # Errors
    /// [`Error::Spelling`] with the nearest name, or all of them.
    pub fn find(&self, name: &str) -> Result<&Spelling<M>, Error> {
        find_by_name(self.kind, name, &self.lines, |line| line.about.name)
    }

    /// What `text` spells, `name` or `name:setting=value,...`.
    ///
    /// # Errors
    /// As [`find`](Self::find) and [`Spelled::read`].
    pub fn parse(&self, text: &str) -> Result<M, Error> {
        let (name, typed) = text.split_once(':').map_or((text, None), |(n, t)| (n, Some(t)));
        let line = self.find(name)?;
        Settings::read(line.about.name, typed, |settings| (line.make)(settings))
    }
}

impl<T: Element> Spelling<Box<dyn Estimator<T>>> {
    /// By the name and settings of `prototype`.
    pub fn estimator(prototype: impl Estimator<T> + Spelled + Send + 'static) -> Self {
        Self::new(prototype, |made| Box::new(made))
    }
}

impl<T: Element> Spelling<AnyRule<'static, T>> {
    /// By the name and settings of `prototype`.
    pub fn rule(prototype: impl Rule<T> + Spelled + 'static) -> Self {
        Self::new(prototype, AnyRule::new)
    }
}

/// All tables, for numbers of one precision.
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
    /// Estimators; those by linear solvers among them.
    pub estimators: Spellings<Box<dyn Estimator<T>>>,
    /// Inner rules.
    pub rules: Spellings<AnyRule<'static, T>>,
}

impl<T: Element> Default for Registry<T> {
    fn default() -> Self {
        Self { estimators: estimators(), rules: rules() }
    }
}

fn estimators<T: Element>() -> Spellings<Box<dyn Estimator<T>>> {
    let mut lines = vec![
        Spelling::estimator(Exact::default()),
        Spelling::estimator(FullTape),
        Spelling::estimator(Forward),
        Spelling::estimator(Truncated { k: 5 }),
        Spelling::estimator(FirstOrder),
        Spelling::estimator(Reversible::default()),
        Spelling::estimator(Ufom::default()),
        Spelling::estimator(Ufom::jump()),
        Spelling::estimator(Roulette::default()),
        Spelling::estimator(Thinned::default()),
        Spelling::estimator(ForwardGradient::default()),
    ];
    lines.extend(Implicit::listed().map(Spelling::estimator));
    lines.extend(StochasticNeumann::listed().map(Spelling::estimator));
    Spellings { kind: "estimator", lines }
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
    ];
    Spellings { kind: "rule", lines }
}

impl Outer {
    /// The kinds of outer optimisers.
    pub fn spellings() -> Spellings<Self> {
        let lines = Self::listed().map(|one| Spelling::new(one, |made| made));
        Spellings { kind: "outer optimiser", lines: lines.into() }
    }
}

/// ```
/// use hypertape_solver::{Outer, Spelled};
/// let adam: Outer = "adam:lr=0.03".parse()?;
/// assert_eq!((adam, adam.text()), (Outer::adam(0.03)?, "adam:lr=0.03".to_owned()));
/// assert_eq!("sgd".parse::<Outer>().unwrap_err().to_string(), "sgd needs lr, for example sgd:lr=0.1");
/// # Ok::<(), hypertape_solver::Error>(())
/// ```
impl FromStr for Outer {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::spellings().parse(text)
    }
}

impl Schedule {
    /// The kinds of schedules.
    pub fn spellings() -> Spellings<Self> {
        let lines = Self::listed().map(|one| Spelling::new(one, |made| made));
        Spellings { kind: "schedule", lines: lines.into() }
    }
}

/// ```
/// use hypertape_solver::Estimator;
/// let thinned: Box<dyn Estimator<f64>> = "thinned:q=0.5,anchored".parse()?;
/// assert_eq!(thinned.name(), "thinned:q=0.5,anchored=1");
/// let error = "thinned:q=1.5".parse::<Box<dyn Estimator<f64>>>().unwrap_err();
/// assert_eq!(error.to_string(), "q of thinned: found 1.5, expected a probability above 0 and at most 1");
/// # Ok::<(), hypertape_solver::Error>(())
/// ```
impl<T: Element> FromStr for Box<dyn Estimator<T>> {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        estimators().parse(text)
    }
}

/// ```
/// use hypertape_solver::AnyRule;
/// let adam: AnyRule<f64> = "adam:b1=0.8".parse()?;
/// assert_eq!(adam.name(), "adam:b1=0.8,b2=0.999,eps=1e-8");
/// # Ok::<(), hypertape_solver::Error>(())
/// ```
impl<T: Element> FromStr for AnyRule<'_, T> {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        rules().parse(text)
    }
}

impl FromStr for Schedule {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::spellings().parse(text)
    }
}
