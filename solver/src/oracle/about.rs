//! Properties of a problem, for estimators and reports.

use hypertape_autodiff::Element;

use crate::draw::{Draw, Level};
use crate::error::Error;
use crate::inner::InnerLoop;
use crate::oracle::Oracle;
use crate::oracle::view::Point;
use crate::params::Params;
use crate::problem::{Bilevel, Metric};

impl<T: Element> Oracle<'_, T> {
    /// Name of the inner rule.
    pub fn rule(&self) -> String {
        self.known.rule.stated().name()
    }

    /// The first outer point.
    pub fn start(&self) -> &Params<T> {
        self.known.view.starts()[0]
    }

    /// The inner variables at the first outer point.
    pub fn inner_start(&self) -> &Params<T> {
        self.known.view.starts()[1]
    }

    /// Number of outer variables.
    pub fn outer_dim(&self) -> usize {
        self.start().values().len()
    }

    /// Number of inner variables.
    pub fn inner_dim(&self) -> usize {
        self.inner_start().values().len()
    }

    /// Number of values in the state of the inner loop: `w`, followed by the rule's own vectors, each as long as `w`
    /// and initially zero.
    pub fn state_dim(&self) -> usize {
        (1 + self.known.rule.stated().memory()) * self.inner_dim()
    }

    /// Evaluates the problem's own measures of a solution, see [`Bilevel::metrics`](crate::Bilevel::metrics).
    pub fn metrics(&self, w: &[T], x: &[T], inner: &InnerLoop) -> Vec<Metric> {
        let (w, x) = (self.inner_start().with_values(w), self.start().with_values(x));
        self.known.view.stated().map_or_else(Vec::new, |problem| problem.metrics(&w, &x, inner))
    }

    /// Returns outer points to compare a result with.
    pub fn controls(&self, inner: &InnerLoop) -> Vec<(&'static str, Params<T>)> {
        self.known.view.stated().map_or_else(Vec::new, |problem| problem.controls(inner))
    }

    /// Number of tasks.
    pub fn tasks(&self) -> usize {
        self.known.view.tasks()
    }

    /// Number of tasks in a meta-batch.
    pub fn batch(&self) -> usize {
        self.known.view.stated().map_or_else(|| self.tasks(), Bilevel::batch)
    }

    /// Returns the task in place `slot` of a meta-batch.
    pub fn task(&self, draw: Draw, slot: usize) -> usize {
        self.known.view.stated().map_or(slot, |problem| problem.task(draw, slot))
    }

    /// Number of mini-batches at a level, see [`Bilevel::mini_batches`](crate::Bilevel::mini_batches).
    pub fn mini_batches(&self, level: Level) -> usize {
        self.known.view.stated().map_or(1, |problem| problem.mini_batches(level))
    }

    /// Number of independent copies of the problem in `x`.
    pub fn replicas(&self) -> usize {
        self.known.view.stated().map_or(1, Bilevel::replicas)
    }

    /// Whether neither the inner start nor the outer loss contains `x`, so that a first-order gradient is zero.
    ///
    /// # Errors
    /// Returns [`Error::Function`] if the problem fails.
    pub fn first_order_vanishes(&mut self) -> Result<bool, Error> {
        let in_start = self.known.init.is_none() && self.depends(Level::Init)?;
        Ok(!in_start && !self.depends(Level::Outer)?)
    }

    /// Whether neither loss contains `x`, so that an implicit gradient is zero.
    ///
    /// # Errors
    /// Returns [`Error::Function`] if the problem fails.
    pub fn implicit_vanishes(&mut self) -> Result<bool, Error> {
        Ok(!self.depends(Level::Outer)? && !self.depends(Level::Inner)?)
    }

    /// Whether the problem's own start or a loss contains `x`.
    pub(crate) fn depends(&mut self, level: Level) -> Result<bool, Error> {
        if let Some(&(_, known)) = self.known.found.depends.iter().find(|known| known.0 == level) {
            return Ok(known);
        }
        let Self { known, memory, .. } = self;
        let [x, w] = known.view.starts().map(Params::values);
        let draw = Draw::new(0, 0).at(level, 0);
        let at = match level {
            Level::Init => known.view.init(x, draw),
            _ => known.view.loss(Point { w, x, draw }),
        };
        let depends = known.view.depends(memory, at);
        // These bytes are not part of any estimate.
        memory.take_peak();
        let depends = depends?;
        self.known.found.depends.push((level, depends));
        Ok(depends)
    }
}
