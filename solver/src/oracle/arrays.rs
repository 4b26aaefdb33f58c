//! A problem over arrays as the oracle sees it: its properties, its kept tapes, and a whole run on one tape.

use std::sync::Arc;

use hypertape_autodiff::passes::{Bars, Group, Recorded, RecordedIn, Values, Wanted};
use hypertape_autodiff::{Arena, Array, Element, Fault, List};

use crate::draw::{Draw, Level};
use crate::error::Error;
use crate::inner::InnerLoop;
use crate::oracle::lens::Lens;
use crate::oracle::passes::{Arrays, Stages};
use crate::oracle::results::pass;
use crate::oracle::stepper::{Asked, Stepper, Taped};
use crate::oracle::tapes::{GradientTape, OnTapes, total};
use crate::oracle::view::{StepTape, View};
use crate::oracle::workspaces::Workspaces;
use crate::params::Params;
use crate::problem::Bilevel;
use crate::rows::Blocks;
use crate::rule::Step;

/// Creates a view of `problem`.
pub(crate) fn view<'p, T: Element>(
    problem: impl Bilevel<T> + 'p,
    memory: &mut Workspaces<T>,
) -> Result<Arc<dyn View<T> + 'p>, Error> {
    Ok(Arc::new(Arrays(Lens::new(problem, memory)?)))
}

/// Records the outer loss after a run from `start`.
fn run_on_tape<'a, T: Element>(
    problem: &'a dyn OnTapes<T>,
    (inner, rule): (&InnerLoop, &'a dyn Stepper<T>),
    start: &[Taped<'a, T>],
    x: &[Taped<'a, T>],
    draw: Draw,
    record: &'a Arena,
) -> Result<Taped<'a, T>, Fault> {
    let zero = |like: Taped<'a, T>| like.scalar(0.0).broadcast_to(like.shape());
    // The state of each array: `w` and the vectors of the rule, which are initially zero.
    let mut states: List<List<_>> = start
        .iter()
        .map(|&w| {
            let zero = zero(w);
            std::iter::once(w).chain((0..rule.stated().memory()).map(|_| zero)).collect()
        })
        .collect();
    for t in 0..inner.steps() {
        let (at, draw) = (Step::new(t, inner.lr()), draw.at(Level::Inner, t));
        let of = |array| Step { array, ..at };
        let point = |(i, s): (usize, &List<_>)| {
            let ahead = rule.arrays(Asked::Query(of(i)), [s, x, &[]]);
            ahead.map_or(s[0], |ahead| ahead[0])
        };
        let points: List<_> = states.iter().enumerate().map(point).collect();
        // The gradient of the inner loss, from a tape whose sweep is recorded on the tape of the run.
        let groups = [(&points[..], Wanted::All), (x, Wanted::Nothing)];
        let (step, loss) = Recorded::new(record, groups, |[w, x]| {
            let part = |rows| problem.scalar(draw, rows, [w, x, &[]]);
            total(problem.blocks(draw).iter().filter_map(part))
        })?;
        let (_, pulled) = step.pull_scalar("a loss", loss?, record)?;
        for (i, (state, bar)) in states.iter_mut().zip(pulled.of(0)).enumerate() {
            let bar = bar.unwrap_or_else(|| zero(points[i]));
            let next = rule.arrays(Asked::Update(of(i)), [state, x, &[bar]]);
            *state = next.unwrap_or_default();
        }
        record.status()?;
    }
    let w: List<_> = states.iter().filter_map(|state| state.first().copied()).collect();
    let draw = draw.at(Level::Outer, 0);
    total(problem.blocks(draw).iter().filter_map(|rows| problem.scalar(draw, rows, [&w, x, &[]])))
}

impl<T: Element, P: Bilevel<T>> View<T> for Arrays<Lens<P, T>> {
    fn starts(&self) -> [&Params<T>; 2] {
        [&self.0.start, &self.0.inner_start]
    }

    fn stated(&self) -> Option<&dyn Bilevel<T>> {
        Some(&self.0.problem)
    }

    fn tasks(&self) -> usize {
        self.0.problem.tasks()
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
        inner: (&InnerLoop, &dyn Stepper<T>),
        init: Option<&[T]>,
        at: (&[T], Draw),
        gradient: &mut [T],
    ) -> Result<T, Error> {
        whole_run(self, memory, inner, init, at, gradient)
    }
}

impl<T: Element, P: Bilevel<T>> OnTapes<T> for Arrays<Lens<P, T>> {
    fn blocks(&self, draw: Draw) -> Blocks {
        self.0.blocks(draw)
    }
}

/// Performs [`View::whole_run`].
fn whole_run<T: Element>(
    problem: &dyn OnTapes<T>,
    memory: &mut Workspaces<T>,
    (inner, rule): (&InnerLoop, &dyn Stepper<T>),
    init: Option<&[T]>,
    (x, draw): (&[T], Draw),
    gradient: &mut [T],
) -> Result<T, Error> {
    let [outer, inner_shapes] = problem.starts().map(Params::shapes);
    pass("whole run", || {
        let (record, sweep) = memory.first().arenas();
        let fixed = init.map_or(Group::NONE, |init| Group::new(inner_shapes, init));
        let at = [Group::new(outer, x), fixed];
        let wanted = [Wanted::All, Wanted::Nothing];
        let (recorded, loss) =
            RecordedIn::<Values, T, 2>::at(record, &at, wanted, |[x, fixed]| {
                let start = match init {
                    None => {
                        problem.arrays(draw.at(Level::Init, 0), [&[], x, &[]]).unwrap_or_default()
                    }
                    Some(_) => List::from_slice(fixed),
                };
                run_on_tape(problem, (inner, rule), &start, x, draw, record)
            })?;
        let (value, pulled) = recorded.pull_scalar("a loss", loss?, sweep)?;
        pulled.write([Bars::new(outer, gradient, &mut []), Bars::new(&[], &mut [], &mut [])]);
        Ok(value)
    })
}
