//! The passes over a problem that evaluate its functions in flat slices: `View` of a `Lens`.
//!
//! Losses are summed block by block, forward and reverse, in [lanes](crate::oracle::lanes).

use std::sync::Arc;

use hypertape_autodiff::passes::{
    Bars, Group, Mode, Recorded, RecordedIn, Tangents, Values, Wanted, evaluate, one, write,
};
use hypertape_autodiff::{Arena, Array, Dual, Element, Fault, List, Tensor};

use crate::draw::{Draw, Level};
use crate::error::Error;
use crate::inner::InnerLoop;
use crate::oracle::lens::Lens;
use crate::oracle::results::pass;
use crate::oracle::stepper::{Stepper, Taped};
use crate::oracle::tapes::GradientTape;
use crate::oracle::view::{Loss, Moving, Point, StepTape, TOGETHER, View};
use crate::oracle::workspaces::Workspaces;
use crate::params::Params;
use crate::problem::{Bilevel, Metric};
use crate::rows::Blocks;
use crate::rule::Step;

impl<T: Element, P: Bilevel<T>> Lens<P, T> {
    fn groups<'a>(&'a self, point: Point<'a, T>) -> [Group<'a, T>; 2] {
        let group = |params: &'a Params<T>, values| Group::new(params.shapes(), values);
        [group(&self.inner_start, point.w), group(&self.start, point.x)]
    }

    /// A loss, block by block.
    fn value_by(
        &self,
        memory: &mut Workspaces<T>,
        loss: Loss,
        point: Point<T>,
        blocks: Blocks,
    ) -> Result<T, Error> {
        let at = self.groups(point);
        memory.sum(blocks.len(), [], &|workspace, block, _, []| {
            pass(loss.name(), || {
                let (record, _) = workspace.arenas();
                let value: Tensor<T> = evaluate(record, &at, |[w, x]| {
                    loss.eval(&self.problem, w, x, point.draw, blocks.nth(block))
                })?;
                one("a loss", value)
            })
        })
    }

    fn sweep_in<M: Mode<T>>(
        &self,
        memory: &mut Workspaces<T>,
        loss: Loss,
        point: Point<T>,
        [dw, dx]: [&[T]; 2],
        out: [&mut [T]; 4],
    ) -> Result<T, Error> {
        let [inner, outer] = [self.inner_start.shapes(), self.start.shapes()];
        let [w, x] = self.groups(point);
        let (at, blocks) = ([w.moving(dw), x.moving(dx)], self.blocks(point.draw));
        memory.sum(blocks.len(), out, &|workspace, block, first, [w, dw_, x, dx_]| {
            pass(loss.name(), || {
                let (record, sweep) = workspace.arenas();
                let bars = [Bars::new(inner, w, dw_), Bars::new(outer, x, dx_)];
                let bars = bars.map(|bars| bars.added(!first));
                let (recorded, value) =
                    RecordedIn::<M, T, 2>::at(record, &at, Bars::wanted(&bars), |[w, x]| {
                        loss.eval(&self.problem, w, x, point.draw, blocks.nth(block))
                    })?;
                let (value, pulled) = recorded.pull_scalar("a loss", value, sweep)?;
                pulled.write(bars);
                Ok(value)
            })
        })
    }
}

/// The recorded start, and its arrays.
type Start<'a, T> = (RecordedIn<'a, Values, T, 1>, List<Taped<'a, T>>);

impl<T: Element, P: Bilevel<T>> Lens<P, T> {
    fn record_init<'a>(
        &'a self,
        record: &'a Arena,
        x: &'a [T],
        draw: Draw,
    ) -> Result<Start<'a, T>, Fault> {
        let x = [Group::new(self.start.shapes(), x)];
        Recorded::at(record, &x, [Wanted::All], |[x]| self.problem.init(x, draw))
    }

    /// The outer loss after a run from `start`, recorded.
    fn run_on_tape<'a>(
        &'a self,
        (inner, rule): (&InnerLoop, &dyn Stepper<T>),
        start: &[Taped<'a, T>],
        x: &[Taped<'a, T>],
        draw: Draw,
        record: &'a Arena,
    ) -> Result<Taped<'a, T>, Fault> {
        let zero = |like: Taped<'a, T>| like.scalar(0.0).broadcast_to(like.shape());
        // The state of each array: `w`, and what the rule remembers, zero at first.
        let mut states: List<List<_>> = start
            .iter()
            .map(|&w| {
                let zero = zero(w);
                std::iter::once(w).chain((0..rule.memory()).map(|_| zero)).collect()
            })
            .collect();
        for t in 0..inner.steps() {
            let (at, draw) = (Step::new(t, inner.lr()), draw.at(Level::Inner, t));
            let of = |array| Step { array, ..at };
            let point = |(i, s): (usize, &List<_>)| rule.query_on_tape(s, of(i)).unwrap_or(s[0]);
            let points: List<_> = states.iter().enumerate().map(point).collect();
            // The gradient of the inner loss, by a tape whose sweep is recorded on the tape of the run.
            let groups = [(&points[..], Wanted::All), (x, Wanted::Nothing)];
            let (step, loss) = Recorded::new(record, groups, |[w, x]| {
                let part = |rows| self.problem.inner(w, x, draw, rows);
                total(self.blocks(draw).iter().map(part))
            })?;
            let (_, pulled) = step.pull_scalar("a loss", loss?, record)?;
            for (i, (state, bar)) in states.iter_mut().zip(pulled.of(0)).enumerate() {
                let bar = bar.unwrap_or_else(|| zero(points[i]));
                *state = rule.update_on_tape(state, bar, x, of(i));
            }
            record.status()?;
        }
        let w: List<_> = states.iter().filter_map(|state| state.first().copied()).collect();
        let draw = draw.at(Level::Outer, 0);
        total(self.blocks(draw).iter().map(|rows| self.problem.outer(&w, x, draw, rows)))
    }
}

/// The sum of the parts of a loss.
fn total<'a, A: Array<'a>>(parts: impl Iterator<Item = A>) -> Result<A, Fault> {
    let none = Fault::Length { what: "a loss", expected: 1, found: 0 };
    parts.reduce(|a, b| a + b).ok_or(none)
}

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
        pass("init", || {
            let (record, _) = memory.first().arenas();
            let x = [Group::new(self.start.shapes(), x)];
            let start: List<Tensor<T>> = evaluate(record, &x, |[x]| self.problem.init(x, draw))?;
            write("the start", &start, Bars::new(self.inner_start.shapes(), w, &mut []))
        })
    }

    fn pull_init(
        &self,
        memory: &mut Workspaces<T>,
        x: &[T],
        draw: Draw,
        w_bar: &[T],
        x_bar: &mut [T],
    ) -> Result<(), Error> {
        pass("init", || {
            let (record, sweep) = memory.first().arenas();
            let bars = [Bars::new(self.start.shapes(), x_bar, &mut []).added(true)];
            let (recorded, start) = self.record_init(record, x, draw)?;
            let w_bar = Group::new(self.inner_start.shapes(), w_bar).load(sweep)?;
            recorded.pull(start.iter().map(|w| w.id()).zip(w_bar), sweep)?.write(bars);
            Ok(())
        })
    }

    fn init_depends(&self, memory: &mut Workspaces<T>, x: &[T]) -> Result<bool, Error> {
        pass("init", || {
            let (record, _) = memory.first().arenas();
            let (_, start) = self.record_init(record, x, Draw::new(0, 0))?;
            Ok(start.iter().any(|w| w.id().is_some()))
        })
    }

    fn push_init(
        &self,
        memory: &mut Workspaces<T>,
        x: &[T],
        draw: Draw,
        dx: &[T],
        dw: &mut [T],
    ) -> Result<(), Error> {
        pass("init", || {
            let (record, _) = memory.first().arenas();
            let x = [Group::new(self.start.shapes(), x).moving(dx)];
            let start: List<Dual<Tensor<T>, TOGETHER>> =
                evaluate(record, &x, |[x]| self.problem.init(x, draw))?;
            write("the start", &start, Bars::new(self.inner_start.shapes(), &mut [], dw))
        })
    }

    fn depends(
        &self,
        memory: &mut Workspaces<T>,
        loss: Loss,
        point: Point<T>,
    ) -> Result<bool, Error> {
        let draw = point.draw.at(loss.level(), 0);
        let at = self.groups(point);
        for rows in self.blocks(draw).iter() {
            let depends = pass(loss.name(), || {
                let (record, _) = memory.first().arenas();
                let wanted = [Wanted::Nothing, Wanted::All];
                let (_, value) = RecordedIn::<Values, T, 2>::at(record, &at, wanted, |[w, x]| {
                    loss.eval(&self.problem, w, x, draw, rows)
                })?;
                Ok(value.id().is_some())
            })?;
            if depends {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn value(&self, memory: &mut Workspaces<T>, loss: Loss, point: Point<T>) -> Result<T, Error> {
        self.value_by(memory, loss, point, self.blocks(point.draw))
    }

    fn value_in(
        &self,
        memory: &mut Workspaces<T>,
        loss: Loss,
        point: Point<T>,
        blocks: usize,
    ) -> Result<T, Error> {
        let Blocks { samples, block } = self.blocks(point.draw);
        // All samples in one block need not look at rows.
        let block = if block < usize::MAX { samples.div_ceil(blocks.max(1)) } else { block };
        self.value_by(memory, loss, point, Blocks { samples, block })
    }

    fn sweep(
        &self,
        memory: &mut Workspaces<T>,
        loss: Loss,
        point: Point<T>,
        moving: Moving<T>,
        out: [&mut [T]; 4],
    ) -> Result<T, Error> {
        match moving {
            Moving::Nowhere => self.sweep_in::<Values>(memory, loss, point, [&[]; 2], out),
            Moving::Along(v) => self.sweep_in::<Tangents<1>>(memory, loss, point, [v, &[]], out),
            Moving::Together(moving) => {
                self.sweep_in::<Tangents<TOGETHER>>(memory, loss, point, moving, out)
            }
        }
    }

    fn tape<'v>(self: Arc<Self>) -> Box<dyn StepTape<T> + 'v>
    where
        Self: 'v,
    {
        Box::new(GradientTape::new(self))
    }

    fn whole_run(
        &self,
        memory: &mut Workspaces<T>,
        (inner, rule): (&InnerLoop, &dyn Stepper<T>),
        init: Option<&[T]>,
        (x, draw): (&[T], Draw),
        gradient: &mut [T],
    ) -> Result<T, Error> {
        let [inner_shapes, outer] = [self.inner_start.shapes(), self.start.shapes()];
        pass("whole run", || {
            let (record, sweep) = memory.first().arenas();
            let fixed = init.map_or(Group::new(&[], &[]), |init| Group::new(inner_shapes, init));
            let at = [Group::new(outer, x), fixed];
            let wanted = [Wanted::All, Wanted::Nothing];
            let (recorded, loss) =
                RecordedIn::<Values, T, 2>::at(record, &at, wanted, |[x, fixed]| {
                    let start = match init {
                        None => self.problem.init(x, draw.at(Level::Init, 0)),
                        Some(_) => List::from_slice(fixed),
                    };
                    self.run_on_tape((inner, rule), &start, x, draw, record)
                })?;
            let (value, pulled) = recorded.pull_scalar("a loss", loss?, sweep)?;
            pulled.write([Bars::new(outer, gradient, &mut []), Bars::new(&[], &mut [], &mut [])]);
            Ok(value)
        })
    }
}
