//! `App`: the problems and choices that a command line knows by name.

use std::ffi::OsString;

use hypertape_problems::{Entry, Precision};
use hypertape_solver::coupling::Coupling;
use hypertape_solver::{
    Estimator, LinearSolver, Outer, Registry, Rule, SingleLoop, Spelled, Spelling,
};

/// A command line over your own problems, and with your own choices in addition to the built-in ones.
///
/// ```
/// use hypertape_cli::App;
/// use hypertape_autodiff::{Element, axpy, dot};
/// use hypertape_problems::catalogue;
/// use hypertape_solver::coupling::Coupling;
/// use hypertape_solver::linear::{LinearSolver, Stop, System};
/// use hypertape_solver::{Error, InnerLoop, Outer, Params, Range, Spelled, norm, spelled};
///
/// spelled! {
///     /// Steps along the residual, each as long as makes the next one smallest.
///     #[derive(Clone, Debug)]
///     struct Steepest: "steepest", "implicit, steepest descent", "iterations HVPs" {
///         stop: Stop = Stop::default();
///     }
/// }
/// impl<T: Element> LinearSolver<T> for Steepest {
///     fn solve(&self, system: &mut System<T>) -> Result<usize, Error> {
///         let ([mut r, mut ar], limit) = (system.vectors()?, self.stop.residual(system.b));
///         system.residual(&mut r)?;
///         let mut iterations = 0;
///         while norm(&r) > limit && iterations < self.stop.iterations {
///             system.product(&r, &mut ar)?;
///             let step = dot(&r, &ar) / dot(&ar, &ar);
///             axpy(system.v, step, &r);
///             axpy(&mut r, -step, &ar);
///             iterations += 1;
///         }
///         system.give([r, ar]);
///         Ok(iterations)
///     }
/// }
///
/// spelled! {
///     /// Steps of `lr` against the sign of each entry.
///     #[derive(Clone, Debug)]
///     struct Signs: "signs", "x <- x - lr sign(g)", "" {
///         lr (needed): f64 = 0.1, Range::POSITIVE, "step size";
///     }
/// }
/// impl<T: Element> Outer<T> for Signs {
///     fn name(&self) -> String { self.text() }
///     fn step(&self, _: usize, _: &mut Params<T>, x: &mut [T], gradient: &[T]) {
///         x.iter_mut().zip(gradient).for_each(|(x, g)| *x = *x - g.signum() * T::from_f64(self.lr));
///     }
/// }
///
/// /// Warm, with one inner step more in every iteration.
/// #[derive(Clone, Debug)]
/// struct Growing;
/// spelled! { Growing: "growing", "warm, one step more each", "" }
/// impl Coupling for Growing {
///     fn inner(&self, inner: &InnerLoop, k: usize) -> InnerLoop { inner.with_steps(inner.steps() + k) }
/// }
///
/// // `--estimator steepest:iterations=50`, `--outer signs:lr=0.1` and `--coupling growing` in every command; listed by
/// // `estimators`, `optimisers` and `couplings`.
/// let problems = catalogue();
/// let app = App::new(&problems)
///     .solver(Steepest::default())
///     .outer(Signs::default())
///     .coupling(Growing);
/// let steepest = app.registry::<f64>().estimators.parse("steepest:iterations=50,warm")?;
/// assert_eq!(steepest.name(), "steepest:iterations=50,tolerance=1e-12,warm=1");
/// # fn main_of(app: &App) -> std::process::ExitCode {
/// app.main()
/// # }
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug)]
pub struct App<'c> {
    pub(crate) catalogue: &'c [Entry],
    pub(crate) program: Vec<OsString>,
    double: Registry<f64>,
    single: Registry<f32>,
}

impl<'c> App<'c> {
    /// Creates a command line over `catalogue`, with the built-in choices.
    pub fn new(catalogue: &'c [Entry]) -> Self {
        let program = Vec::new();
        Self { catalogue, program, double: Registry::default(), single: Registry::default() }
    }

    /// Sets the program and arguments that start this command line again, as a study does for each cell. This is needed
    /// if the command line is part of another program, such as an interpreter. The default is the executable of this
    /// process.
    #[must_use]
    pub fn program(mut self, program: impl IntoIterator<Item = OsString>) -> Self {
        self.program = program.into_iter().collect();
        self
    }

    /// Adds a coupling.
    #[must_use]
    pub fn coupling(mut self, prototype: impl Coupling + Spelled + 'static) -> Self {
        self.double.couplings.add(Spelling::coupling(prototype.clone()));
        self.single.couplings.add(Spelling::coupling(prototype));
        self
    }

    /// Returns all choices in a precision.
    pub fn registry<T: Precise>(&self) -> &Registry<T> {
        T::registry(self)
    }
}

/// Methods that add a choice to the registries of both precisions.
macro_rules! adders {
    ($($(#[$doc:meta])* $name:ident: $choice:ident in $table:ident;)*) => {
        impl App<'_> {$(
            $(#[$doc])*
            #[must_use]
            pub fn $name<C>(mut self, prototype: C) -> Self
            where
                C: $choice<f64> + $choice<f32> + Spelled + Send + 'static,
            {
                self.double.$table.add(Spelling::$name(prototype.clone()));
                self.single.$table.add(Spelling::$name(prototype));
                self
            }
        )*}
    };
}

adders! {
    /// Adds an estimator.
    estimator: Estimator in estimators;
    /// Adds a single-loop algorithm.
    algorithm: SingleLoop in algorithms;
    /// Adds an inner rule.
    rule: Rule in rules;
    /// Adds the implicit estimator that uses this linear solver. Its settings are those of the solver, `mu` and `warm`.
    solver: LinearSolver in estimators;
    /// Adds an outer optimiser.
    outer: Outer in outers;
}

/// A precision with its registry of choices.
pub trait Precise: Precision {
    /// Returns the choices of `app` in this precision.
    fn registry<'a>(app: &'a App) -> &'a Registry<Self>;
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
