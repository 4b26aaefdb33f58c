//! `Oracle`: a metered view of a problem through flat slices, and the only access that estimators have to it.
//!
//! It hides the generic losses behind an object-safe view, so that the code above it is compiled once per element type.
//! One virtual call covers a whole gradient or product.
//!
//! Threads share the tasks of a meta-batch or, if there is one task, the blocks of rows of a loss. The bits of results
//! do not depend on their number (`lanes.rs`). Handles are not `Send`: each worker has its own arenas.

mod about;
mod arrays;
mod calls;
mod facts;
mod kept;
pub(crate) mod lanes;
mod lens;
mod meter;
pub(crate) mod numbers;
pub(crate) mod passes;
pub(crate) mod results;
mod scalars;
mod scratch;
pub(crate) mod stepper;
mod steps;
mod tapes;
mod tasks;
mod view;
pub(crate) mod workspaces;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hypertape_autodiff::Element;
use hypertape_autodiff::scalar::Scalar;

use crate::adjoint::Itinerary;
use crate::breakdown::{Breakdown, Form};
use crate::by_place::ByPlace;
use crate::draw::{Draw, Level};
use crate::error::Error;
use crate::inner::InnerLoop;
use crate::oracle::facts::{Facts, Known};
use crate::oracle::lanes::{LANES, Team};
use crate::oracle::stepper::AnyRule;
use crate::oracle::view::StepTape;
use crate::oracle::workspaces::Workspaces;
use crate::params::Params;
use crate::pool::Pool;
use crate::problem::Bilevel;
use crate::ranks::Ranks;
use crate::rule::Rule;
use crate::scalar::ScalarBilevel;

pub(crate) use crate::oracle::scratch::TOGETHER;
pub use crate::oracle::view::Point;

/// A problem as estimators see it, with memory that evaluations reuse and a meter that counts them.
///
/// Points are flat slices: `w` has [`inner_dim`](Self::inner_dim) values and `x` has [`outer_dim`](Self::outer_dim),
/// one array after the other in the order of [`inner_start`](Self::inner_start) and [`start`](Self::start). A [`Draw`]
/// determines the task of a loss, its random numbers, and by [`Draw::on`] its samples. Every evaluation is counted in
/// the [`Cost`](crate::Cost), and its peak of bytes is recorded. Bytes are the arenas of one evaluation, which the next
/// one reuses, for any number of steps.
///
/// | evaluation | gives | counts |
/// |---|---|---|
/// | [`init`](Self::init), [`pull_init`](Self::pull_init), [`push_init`](Self::push_init) | `w_0`, its pull-back, its push-forward | |
/// | [`inner_value`](Self::inner_value) | `g` | |
/// | [`inner_gradient`](Self::inner_gradient) | `g`, `dg/dw` | 1 inner gradient |
/// | [`inner_gradients`](Self::inner_gradients) | `g`, `dg/dw`, `dg/dx` | 1 inner gradient |
/// | [`hessian_product`](Self::hessian_product) | `H v`, `H = d2g/dw2` | 1 HVP |
/// | [`mixed_product`](Self::mixed_product) | `B^T v`, `B = d2g/dw dx` | 1 mixed |
/// | [`inner_products`](Self::inner_products) | `H v`, `B^T v` | 1 HVP, 1 mixed |
/// | [`inner_sweep`](Self::inner_sweep) | `dg/dw`, `H v`, `B^T v` | 1 of each |
/// | [`push_gradient`](Self::push_gradient) | `dg/dw`, `H dw_k + B dx_k` for `k` directions | `k` HVPs, `k` mixed |
/// | [`outer_value`](Self::outer_value) | `f` | |
/// | [`outer_gradient`](Self::outer_gradient) | `f`, `df/dw`, `df/dx` | 1 outer gradient |
///
/// All evaluations except those of the start add their samples to [`Cost::samples`](crate::Cost::samples). Steps of the
/// inner loop, their pull-backs and schedules are methods of [`Rollout`](crate::Rollout). Working vectors are
/// [taken](Self::take) and [given back](Self::give), so that they count as used.
///
/// ```
/// use hypertape_autodiff::{Shape, scalar::Real};
/// use hypertape_solver::{Draw, Oracle, Params, Point, ScalarBilevel};
///
/// /// `g = w^2/2 + x w^2`, `f = w x`.
/// struct Line;
/// impl ScalarBilevel<f64> for Line {
///     fn start(&self) -> Params<f64> {
///         Params::new().with("x", Shape::SCALAR, [0.5])
///     }
///     fn inner_dim(&self) -> u32 {
///         1
///     }
///     fn init<R: Real>(&self, _: &[R], _: Draw, w: &mut [R]) {
///         w[0] = R::constant(1.0);
///     }
///     fn inner<R: Real>(&self, w: &[R], x: &[R], _: Draw) -> R {
///         w[0].square() * 0.5 + x[0] * w[0].square()
///     }
///     fn outer<R: Real>(&self, w: &[R], x: &[R], _: Draw) -> R {
///         w[0] * x[0]
///     }
/// }
///
/// let mut oracle = Oracle::scalar(Line);
/// let point = Point { w: &[3.0], x: &[0.5], draw: Draw::new(0, 0) };
/// let (mut g, mut hv, mut bv) = ([0.0], [0.0], [0.0]);
/// oracle.inner_sweep(point, 0, &[2.0], &mut g, &mut hv, &mut bv)?;
/// // (1 + 2 x) w, (1 + 2 x) v, 2 w v
/// assert_eq!((g, hv, bv), ([6.0], [4.0], [12.0]));
/// oracle.outer_gradient(point, &mut g, &mut bv)?;
/// assert_eq!((g, bv), ([0.5], [3.0]));
/// let cost = oracle.cost();
/// assert_eq!((cost.inner_gradients, cost.hvps, cost.mixed, cost.outer_gradients), (1, 1, 1, 1));
/// # Ok::<(), hypertape_solver::Error>(())
/// ```
pub struct Oracle<'p, T> {
    known: Known<Facts<'p, T>, Found<'p, T>>,
    memory: Workspaces<T>,
    /// Source of vectors, and the meter.
    pool: Pool<T>,
    /// Number of threads that were requested.
    threads: usize,
    /// Bytes that an estimate may use.
    limit: Option<u64>,
    /// The ends of inner loops, if the next loops start there.
    ends: Option<Arc<ByPlace<T>>>,
    /// Place in the meta-batch of the current task.
    place: Option<usize>,
    /// Whether adjoints are clipped to half the bound, see [`keep_within`](Self::keep_within).
    pub(crate) halved: bool,
    /// Function that requests the end of evaluations.
    stop: Option<Stop>,
}

/// Called before each evaluation; returns true to stop.
pub(crate) type Stop = Arc<dyn Fn() -> bool + Send + Sync>;

/// Properties and objects derived from a problem with a rule.
#[derive(Default)]
struct Found<'p, T> {
    /// Kept recordings of inner gradients, by slot, of which a rehearsal uses the first, and the number of samples that
    /// each saw.
    tapes: Vec<(Box<dyn StepTape<T> + 'p>, usize)>,
    /// The actions of the last schedule, and of the last one that was rehearsed.
    itineraries: [Option<Itinerary>; 2],
    /// Bytes of the evaluations rehearsed so far, and of recordings by the number of samples that they saw.
    forms: Vec<(Form, usize)>,
    kept: Vec<(usize, usize)>,
    /// Oracles of the workers that share tasks, created when they are first needed.
    crew: Vec<Oracle<'p, T>>,
    /// Which of the start and the losses contain `x`, as far as it was asked.
    depends: Vec<(Level, bool)>,
    /// The estimator, loop and draw that were rehearsed last, and their peak of bytes.
    rehearsed: Option<((String, InnerLoop, Draw), u64)>,
}

impl<T> fmt::Debug for Oracle<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Oracle").field("meter", &self.pool.meter).finish_non_exhaustive()
    }
}

impl<'p, T: Element> Oracle<'p, T> {
    /// Default of the largest number of lanes of a sum, see [`set_lanes`](Self::set_lanes).
    pub const LANES: usize = LANES;

    /// Creates an oracle for `problem`.
    ///
    /// # Errors
    /// Returns [`Error::Function`] if `init` fails at the first outer point.
    pub fn new(problem: impl Bilevel<T> + 'p) -> Result<Self, Error> {
        let mut memory = Workspaces::new(Team::default(), 1);
        let view = arrays::view(problem, &mut memory)?;
        Ok(Self::with(Facts::new(view), memory))
    }

    /// Creates an oracle for a problem over scalars, see [`ScalarBilevel`].
    pub fn scalar(problem: impl ScalarBilevel<T> + 'p) -> Self
    where
        T: Scalar<Plain = T>,
    {
        let memory = Workspaces::new(Team::default(), 1);
        Self::with(Facts::new(scalars::view(problem)), memory)
    }

    fn with(facts: Facts<'p, T>, memory: Workspaces<T>) -> Self {
        let (pool, known) = (Pool::default(), Known::new(facts));
        Self {
            known,
            memory,
            pool,
            threads: 1,
            limit: None,
            ends: None,
            place: None,
            halved: false,
            stop: None,
        }
    }

    /// Whether this is one of several processes.
    pub(crate) fn has_ranks(&self) -> bool {
        self.memory.ranks.is_some()
    }

    /// Sets a function that is called before each evaluation of the problem.
    ///
    /// Once it returns true, evaluations fail with [`Error::Stopped`]. It serves to check a clock or a signal during a
    /// long estimate. `None` removes it.
    pub fn set_stop(&mut self, stop: Option<Arc<dyn Fn() -> bool + Send + Sync>>) {
        self.stop = stop;
    }

    /// Lets `threads` threads, including the calling one, share the tasks of a meta-batch or, if there is a single
    /// task, the blocks of rows of a loss. Threads beyond the number of [lanes](Self::set_lanes) have nothing to do.
    /// Results and counts do not depend on the number of threads, bit for bit. Bytes do, see [`Cost`](crate::Cost).
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] if `threads` is 0, or if the system cannot start so many.
    #[cfg(feature = "threads")]
    pub fn set_threads(&mut self, threads: usize) -> Result<(), Error> {
        if threads == 0 {
            return Err(Error::invalid("threads", threads, "1 or more"));
        }
        self.threads = threads;
        self.start_workers()
    }

    /// Splits sums over tasks or samples into at most `lanes` partial sums, which are added in order.
    ///
    /// At most this many threads or processes can share a sum. The default is [`LANES`](Self::LANES). Above it, the
    /// samples of a problem with a single task are cut into at least `lanes` blocks, if there are as many samples.
    /// **The last digits of results depend on this number, and on no other setting of parallelism**; counts do not.
    /// Each lane of a thread other than the first takes the memory of one vector.
    ///
    /// ```
    /// # use hypertape_autodiff::{Array, List, Shape};
    /// # use hypertape_solver::{Bilevel, Draw, Estimator, FirstOrder, InnerLoop, Oracle, Params, Rows};
    /// /// 1000 tasks with `f = x`.
    /// struct Tasks;
    /// impl Bilevel<f64> for Tasks {
    ///     fn tasks(&self) -> usize {
    ///         1000
    ///     }
    ///     fn outer<'a, A: Array<'a, Elem = f64>>(&'a self, _: &[A], x: &[A], _: Draw, _: Rows) -> A {
    ///         x[0]
    ///     }
    /// #   fn start(&self) -> Params<f64> {
    /// #       Params::new().with("x", Shape::SCALAR, [0.1])
    /// #   }
    /// #   fn init<'a, A: Array<'a, Elem = f64>>(&'a self, x: &[A], _: Draw) -> List<A> {
    /// #       List::from_slice(&[x[0].scalar(1.0)])
    /// #   }
    /// #   fn inner<'a, A: Array<'a, Elem = f64>>(&'a self, w: &[A], x: &[A], _: Draw, _: Rows) -> A {
    /// #       w[0] * x[0]
    /// #   }
    /// }
    /// let (mut oracle, inner) = (Oracle::new(Tasks)?, InnerLoop::new(0, 1.0)?);
    /// let mut error = |lanes| {
    ///     oracle.set_lanes(lanes)?;
    ///     let found = FirstOrder.estimate(&mut oracle, &inner, &[0.1], Draw::new(0, 0), &mut [0.0])?;
    ///     Ok::<_, hypertape_solver::Error>((found.loss - 0.1) / f64::EPSILON)
    /// };
    /// // What rounding makes of the mean of 1000 numbers.
    /// assert_eq!([error(1)?, error(8)?, error(64)?], [8.25, -0.6875, 0.25]);
    /// # Ok::<(), hypertape_solver::Error>(())
    /// ```
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] if `lanes` is 0, or if the system cannot start the threads that become useful with
    /// more lanes.
    pub fn set_lanes(&mut self, lanes: usize) -> Result<(), Error> {
        if lanes == 0 {
            return Err(Error::invalid("lanes", lanes, "1 or more"));
        }
        self.memory.lanes = lanes;
        self.memory.least = if lanes > LANES && self.batch() == 1 { lanes } else { 1 };
        self.known.change();
        self.start_workers()
    }

    /// Creates the memory of the workers, one per thread but no more than there are lanes.
    fn start_workers(&mut self) -> Result<(), Error> {
        let workers = self.threads.min(self.memory.lanes);
        let mut memory = self.memory.alike(Team::new(workers - 1)?, workers);
        memory.ranks = self.memory.ranks.take();
        self.memory = memory;
        // The limit and the breakdown also apply to the arenas of the new workers.
        self.set_memory(self.limit);
        self.set_breakdown(self.pool.meter.breakdown.is_some());
        Ok(())
    }

    /// Lets several processes share the tasks of a meta-batch or, if there is a single task, the blocks of rows of a
    /// loss. They share the same [lanes](Self::set_lanes) as threads do, and each computes its lanes on one thread.
    /// Results and counts do not depend on the number of processes, bit for bit. Bytes and times are those of this
    /// process. Tasks of warm starts, and of estimators that [remember](crate::Estimator::remembers), are not shared:
    /// each rank computes all of them with its own threads.
    ///
    /// Every rank must call the same methods in the same order, and none whose result depends on measured times
    /// ([`plan`](crate::plan()), [`weigh`](crate::weigh())). An error of an item on one rank is an [`Error::Invalid`]
    /// on the others. After any other error, the rank that meets it must end the other ranks.
    pub fn set_ranks(&mut self, ranks: Arc<dyn Ranks>) {
        self.memory.ranks = Some(ranks).filter(|ranks| ranks.count() > 1);
        self.known.change();
    }

    /// Returns the `value` of the first rank, so that all ranks make the same decision.
    pub(crate) fn agree(&self, value: f64) -> f64 {
        let Some(ranks) = &self.memory.ranks else { return value };
        let mut told = [value];
        let lengths: Vec<_> = (0..ranks.count()).map(|rank| usize::from(rank == 0)).collect();
        ranks.gather(&mut told, &lengths);
        told[0]
    }

    /// Returns the time of the first rank.
    pub(crate) fn agree_time(&self, time: Duration) -> Duration {
        if !self.has_ranks() {
            return time;
        }
        Duration::try_from_secs_f64(self.agree(time.as_secs_f64())).unwrap_or(time)
    }

    /// Turns the breakdown of time and bytes of estimates on or off.
    ///
    /// Cost: two readings of the clock per evaluation, and one per array operation that is recorded or pulled back.
    pub fn set_breakdown(&mut self, on: bool) {
        self.pool.meter.breakdown = on.then(Breakdown::default);
        self.memory.tally(on);
        self.known.change();
    }

    /// Returns the breakdown of the last estimate, if it is turned on.
    pub fn breakdown(&self) -> Option<Breakdown> {
        self.pool.meter.breakdown.clone()
    }

    /// Sets the number of bytes that an estimate may use, which is then predicted before it runs.
    ///
    /// `None` removes the limit.
    pub fn set_memory(&mut self, limit: Option<u64>) {
        self.limit = limit;
        let arena = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        self.memory.set_limit(arena);
    }

    /// Number of bytes that an estimate may use.
    pub fn memory(&self) -> Option<u64> {
        self.limit
    }

    /// Sets the rule of inner steps, [`GradientDescent`](crate::GradientDescent) by default.
    pub fn set_rule(&mut self, rule: impl Rule<T> + 'p) {
        self.set_any_rule(AnyRule::new(rule));
    }

    /// Sets a rule whose type is not known statically, for example one that was parsed.
    pub fn set_any_rule(&mut self, rule: AnyRule<'p, T>) {
        self.known.change().rule = rule.0;
    }

    /// Starts every inner loop at `w` instead of the problem's own start.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] if the length is wrong, or if the problem's start depends on `x`, because replacing
    /// it would change the hypergradient.
    pub fn set_init(&mut self, w: Vec<T>) -> Result<(), Error> {
        Error::expect_length("the inner start", self.inner_dim(), w.len())?;
        self.fixed_start("the inner start")?;
        self.known.change().init = Some(w.into());
        Ok(())
    }

    fn fixed_start(&mut self, what: &str) -> Result<(), Error> {
        if self.depends(Level::Init)? {
            let found = "a problem whose start depends on the outer variables";
            return Err(Error::invalid(what, found, "one with a fixed start"));
        }
        Ok(())
    }

    /// Starts the inner loop of each task of a meta-batch where the last one in the same place ended, if that was of
    /// the same task.
    ///
    /// `ends` is the result of [`warm`](Self::warm), or empty to start afresh. `None` restores the problem's own start.
    /// The ends occupy `p` values per task, which are not counted in the bytes of estimates.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] if the problem's start depends on `x`, or if `ends` is not from [`warm`](Self::warm).
    pub fn set_warm(&mut self, ends: Option<&Params<T>>) -> Result<(), Error> {
        self.ends = match ends {
            None => None,
            Some(ends) => {
                self.fixed_start("the warm start")?;
                Some(Arc::new(ByPlace::read("w", ends)?))
            }
        };
        Ok(())
    }

    /// Returns the ends of inner loops, named `w.PLACE.TASK`; empty without warm starts.
    pub fn warm(&self) -> Params<T> {
        self.ends.as_ref().map_or_else(Params::new, |ends| ends.state("w"))
    }

    /// Records that the inner loop of an estimate ended at `w`.
    pub(crate) fn keep_end(&self, draw: Draw, w: &[T]) {
        if let (Some(ends), Some(place)) = (&self.ends, self.place) {
            ends.store(place, draw.task, w);
        }
    }

    /// Whether the end of the current task's inner loop was not recorded.
    pub(crate) fn lacks_end(&self, draw: Draw) -> bool {
        let known = |ends: &Arc<ByPlace<T>>, place| ends.knows(place, draw.task);
        self.ends.as_ref().zip(self.place).is_some_and(|(ends, place)| !known(ends, place))
    }
}
