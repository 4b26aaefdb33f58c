//! The passes over a problem that evaluate its functions in flat slices: `View` of a `Lens`.
//!
//! Losses are summed block by block, forward and reverse, in [lanes](crate::oracle::lanes).

use std::sync::Arc;

use hypertape_autodiff::{Array, Dual, Element, Fault, List, NodeId, Tape, Tensor};

use crate::draw::{Draw, Level};
use crate::error::Error;
use crate::inner::InnerLoop;
use crate::oracle::forward;
use crate::oracle::lens::{Lens, each};
use crate::oracle::results::{collect, in_function, scalar};
use crate::oracle::stepper::Stepper;
use crate::oracle::tapes::Kept;
use crate::oracle::view::{Loss, Point, StepTape, View};
use crate::oracle::workspaces::Workspaces;
use crate::params::Params;
use crate::problem::{Bilevel, Metric};
use crate::rule::Step;

impl<T: Element, P: Bilevel<T>> View<T> for Lens<P, T> {
    fn start(&self) -> &Params<T> {
        &self.start
    }

    fn inner_start(&self) -> &Params<T> {
        &self.inner_start
    }

    fn tasks(&self) -> usize {
        self.problem.tasks()
    }

    fn batch(&self) -> usize {
        self.problem.batch()
    }

    fn task(&self, draw: Draw, slot: usize) -> usize {
        self.problem.task(draw, slot)
    }

    fn replicas(&self) -> usize {
        self.problem.replicas()
    }

    fn samples(&self, draw: Draw) -> usize {
        self.problem.samples(draw)
    }

    fn mini_batches(&self, level: Level) -> usize {
        self.problem.mini_batches(level)
    }

    fn metrics(&self, w: &Params<T>, x: &Params<T>, inner: &InnerLoop) -> Vec<Metric> {
        self.problem.metrics(w, x, inner)
    }

    fn controls(&self, inner: &InnerLoop) -> Vec<(&'static str, Params<T>)> {
        self.problem.controls(inner)
    }

    fn init(
        &self,
        memory: &mut Workspaces<T>,
        x: &[T],
        draw: Draw,
        w: &mut [T],
    ) -> Result<(), Error> {
        let fault = in_function("init");
        let (record, _) = memory.first().arenas();
        let x = Tensor::split(record, self.start.shapes(), x).map_err(&fault)?;
        let start = self.problem.init(&x, draw);
        record.status().map_err(&fault)?;
        let mut rest = w;
        for (array, shape) in start.iter().zip(self.inner_start.shapes()) {
            let (piece, others) = rest.split_at_mut(shape.len());
            rest = others;
            if array.shape() != *shape {
                let (operation, left, right) = ("the start", *shape, array.shape());
                return Err(fault(Fault::Shapes { operation, left, right }));
            }
            piece.copy_from_slice(array.values());
        }
        Ok(())
    }

    fn pull_init(
        &self,
        memory: &mut Workspaces<T>,
        x: &[T],
        draw: Draw,
        w_bar: &[T],
        x_bar: &mut [T],
    ) -> Result<(), Error> {
        let fault = in_function("init");
        let (record, sweep) = memory.first().arenas();
        let tape = Tape::new(record).map_err(&fault)?;
        let x = Tensor::split(record, self.start.shapes(), x).map_err(&fault)?;
        let x = each(&x, &|x| tape.variable(x));
        let start = self.problem.init(&x, draw);
        let w_bar = Tensor::split(sweep, self.inner_start.shapes(), w_bar).map_err(&fault)?;
        let seeds = start.iter().zip(w_bar).filter_map(|(w, bar)| Some((w.id()?, bar)));
        let adjoints = tape.finish().pull(&seeds.collect::<List<(NodeId, _)>>(), sweep);
        record.status().and(sweep.status()).map_err(&fault)?;
        collect(&adjoints, &x, Some, false, x_bar);
        Ok(())
    }

    fn init_depends(&self, memory: &mut Workspaces<T>, x: &[T]) -> Result<bool, Error> {
        let fault = in_function("init");
        let (record, _) = memory.first().arenas();
        let tape = Tape::new(record).map_err(&fault)?;
        let x = Tensor::split(record, self.start.shapes(), x).map_err(&fault)?;
        let x = each(&x, &|x| tape.variable(x));
        let start = self.problem.init(&x, Draw::new(0, 0));
        record.status().map_err(&fault)?;
        Ok(start.iter().any(|w| w.id().is_some()))
    }

    fn push_init(
        &self,
        memory: &mut Workspaces<T>,
        x: &[T],
        draw: Draw,
        dx: &[T],
        dw: &mut [T],
    ) -> Result<(), Error> {
        forward::push_init(self, memory, (x, dx), draw, dw)
    }

    fn depends(
        &self,
        memory: &mut Workspaces<T>,
        loss: Loss,
        point: Point<T>,
    ) -> Result<bool, Error> {
        let fault = in_function(loss.name());
        let draw = point.draw.at(loss.level(), 0);
        for rows in self.blocks(draw) {
            let (record, _) = memory.first().arenas();
            let tape = Tape::new(record).map_err(&fault)?;
            let w = Tensor::split(record, self.inner_start.shapes(), point.w).map_err(&fault)?;
            let w = each(&w, &|w| tape.passive(w));
            let x = Tensor::split(record, self.start.shapes(), point.x).map_err(&fault)?;
            let x = each(&x, &|x| tape.variable(x));
            let value = loss.eval(&self.problem, &w, &x, draw, rows);
            record.status().map_err(&fault)?;
            if value.id().is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn value(&self, memory: &mut Workspaces<T>, loss: Loss, point: Point<T>) -> Result<T, Error> {
        let fault = in_function(loss.name());
        memory.sum(self.blocks(point.draw).len(), [&mut [], &mut []], &|workspace, block, _, _| {
            let (record, _) = workspace.arenas();
            let w = Tensor::split(record, self.inner_start.shapes(), point.w).map_err(&fault)?;
            let x = Tensor::split(record, self.start.shapes(), point.x).map_err(&fault)?;
            let value = loss.eval(&self.problem, &w, &x, point.draw, self.block(point.draw, block));
            record.status().map_err(&fault)?;
            scalar(value).map_err(&fault)
        })
    }

    fn gradient(
        &self,
        memory: &mut Workspaces<T>,
        loss: Loss,
        point: Point<T>,
        w_bar: &mut [T],
        x_bar: Option<&mut [T]>,
    ) -> Result<T, Error> {
        let fault = in_function(loss.name());
        let wanted = x_bar.is_some();
        let out = [w_bar, x_bar.unwrap_or_default()];
        memory.sum(
            self.blocks(point.draw).len(),
            out,
            &|workspace, block, first, [w_bar, x_bar]| {
                let (record, sweep) = workspace.arenas();
                let tape = Tape::new(record).map_err(&fault)?;
                let w =
                    Tensor::split(record, self.inner_start.shapes(), point.w).map_err(&fault)?;
                let w = each(&w, &|w| tape.variable(w));
                let x = Tensor::split(record, self.start.shapes(), point.x).map_err(&fault)?;
                let variable = |x| if wanted { tape.variable(x) } else { tape.passive(x) };
                let x = each(&x, &variable);
                let value =
                    loss.eval(&self.problem, &w, &x, point.draw, self.block(point.draw, block));
                record.status().map_err(&fault)?;
                let total = scalar(value.value()).map_err(&fault)?;
                let seed = value.value().within(sweep).scalar(1.0);
                let seeds: List<_> = value.id().map(|id| (id, seed)).into_iter().collect();
                let adjoints = tape.finish().pull(&seeds, sweep);
                sweep.status().map_err(&fault)?;
                collect(&adjoints, &w, Some, first, w_bar);
                collect(&adjoints, &x, Some, first, x_bar);
                Ok(total)
            },
        )
    }

    fn products(
        &self,
        memory: &mut Workspaces<T>,
        point: Point<T>,
        v: &[T],
        out: [&mut [T]; 3],
    ) -> Result<(), Error> {
        let loss = Loss::Inner;
        let fault = in_function(loss.name());
        let [gradient, _, mixed] = out.each_ref().map(|part| !part.is_empty());
        let sum =
            memory.sum(self.blocks(point.draw).len(), out, &|workspace, block, first, out| {
                let [g, hv, bv] = out;
                let (record, sweep) = workspace.arenas();
                let tape = Tape::new(record).map_err(&fault)?;
                let w =
                    Tensor::split(record, self.inner_start.shapes(), point.w).map_err(&fault)?;
                let v = Tensor::split(record, self.inner_start.shapes(), v).map_err(&fault)?;
                let moving: List<_> = w.into_iter().zip(v).collect();
                let variable =
                    |w| if gradient { tape.variable(w) } else { tape.variable_of_tangents(w) };
                let w = each(&moving, &|(w, v)| variable(Dual::new(w, [Some(v)])));
                let x = Tensor::split(record, self.start.shapes(), point.x).map_err(&fault)?;
                let variable =
                    |x| if mixed { tape.variable_of_tangents(x) } else { tape.passive(x) };
                let x = each(&x, &|x| variable(Dual::new(x, [None])));
                let value =
                    loss.eval(&self.problem, &w, &x, point.draw, self.block(point.draw, block));
                record.status().map_err(&fault)?;
                let total = scalar(value).map_err(&fault)?;
                let seed = value.value().within(sweep).scalar(1.0);
                let seeds: List<_> = value.id().map(|id| (id, seed)).into_iter().collect();
                let adjoints = tape.finish().pull(&seeds, sweep);
                sweep.status().map_err(&fault)?;
                let tangent = |a: Dual<_>| if gradient { a.tangents()[0] } else { Some(a.value()) };
                collect(&adjoints, &w, |a| Some(a.value()), first, g);
                collect(&adjoints, &w, tangent, first, hv);
                collect(&adjoints, &x, |a| Some(a.value()), first, bv);
                Ok(total)
            });
        sum.map(|_| ())
    }

    fn push_gradient(
        &self,
        memory: &mut Workspaces<T>,
        point: Point<T>,
        moving: [&[T]; 2],
        gradient: &mut [T],
        pushed: &mut [T],
    ) -> Result<(), Error> {
        forward::push_gradient(self, memory, point, moving, [gradient, pushed])
    }

    fn tape<'v>(self: Arc<Self>) -> Box<dyn StepTape<T> + 'v>
    where
        Self: 'v,
    {
        Box::new(Kept::new(self))
    }

    fn whole_run(
        &self,
        memory: &mut Workspaces<T>,
        (inner, rule): (&InnerLoop, &dyn Stepper<T>),
        init: Option<&[T]>,
        (x, draw): (&[T], Draw),
        gradient: &mut [T],
    ) -> Result<T, Error> {
        let fault = in_function("whole run");
        let (record, sweep) = memory.first().arenas();
        let tape = Tape::new(record).map_err(&fault)?;
        let x = Tensor::split(record, self.start.shapes(), x).map_err(&fault)?;
        let x = each(&x, &|x| tape.variable(x));
        let w: List<_> = match init {
            None => self.problem.init(&x, draw.at(Level::Init, 0)),
            Some(init) => {
                let init =
                    Tensor::split(record, self.inner_start.shapes(), init).map_err(&fault)?;
                each(&init, &|w| tape.passive(w))
            }
        };
        // The state of each array: `w`, and what the rule remembers, zero at first.
        let mut states: List<List<_>> = w
            .iter()
            .map(|&w| {
                let zero = w.scalar(0.0).broadcast_to(w.shape());
                std::iter::once(w).chain((0..rule.memory()).map(|_| zero)).collect()
            })
            .collect();
        for t in 0..inner.steps() {
            // The gradient of the inner loss, by a tape whose sweep is recorded on the tape of the run.
            let at = Step { index: t, lr: inner.lr() };
            let step = Tape::new(record).map_err(&fault)?;
            let point = |state: &List<_>| rule.query_on_tape(state, at).unwrap_or(state[0]);
            let variables: List<_> = states.iter().map(|s| step.variable(point(s))).collect();
            let outer = each(&x, &|x| step.passive(x));
            let draw = draw.at(Level::Inner, t);
            let part = |rows| self.problem.inner(&variables, &outer, draw, rows);
            let loss = self.blocks(draw).map(part).reduce(|a, b| a + b);
            record.status().map_err(&fault)?;
            if let Some(loss) = loss {
                scalar(loss).map_err(&fault)?;
            }
            let seeds = loss.and_then(|loss| Some((loss.id()?, loss.value().scalar(1.0))));
            let adjoints = step.finish().pull(&seeds.into_iter().collect::<List<_>>(), record);
            for (state, variable) in states.iter_mut().zip(&variables) {
                let bar = variable.id().and_then(|id| adjoints.get(id));
                let zero = || variable.value().scalar(0.0).broadcast_to(variable.shape());
                *state = rule.update_on_tape(state, bar.unwrap_or_else(zero), &x, at);
            }
            record.status().map_err(&fault)?;
        }
        let w: List<_> = states.iter().filter_map(|state| state.first().copied()).collect();
        let draw = draw.at(Level::Outer, 0);
        let part = |rows| self.problem.outer(&w, &x, draw, rows);
        let Some(loss) = self.blocks(draw).map(part).reduce(|a, b| a + b) else {
            return Ok(T::zero());
        };
        record.status().map_err(&fault)?;
        let value = scalar(loss.value()).map_err(&fault)?;
        let seed = loss.value().within(sweep).scalar(1.0);
        let seeds: List<_> = loss.id().map(|id| (id, seed)).into_iter().collect();
        let adjoints = tape.finish().pull(&seeds, sweep);
        sweep.status().map_err(&fault)?;
        collect(&adjoints, &x, Some, true, gradient);
        Ok(value)
    }
}
