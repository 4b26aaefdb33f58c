//! Passes over a [`ScalarRecurrence`], on a tape of one stage.

use hypertape_autodiff::scalar::{Dual, Real, Scalar, Var};
use hypertape_autodiff::{Element, Fault};

use crate::oracle::{Packed, Sweep, join, store};
use crate::recurrence::{Body, ScalarRecurrence, Stage, Visit};

/// A recurrence with its tapes: over values, and over values with a tangent.
pub(super) struct Numbers<R, T> {
    recurrence: R,
    values: Sweep<T>,
    tangents: Sweep<Dual<T>>,
    /// Whether there is a loss of each stage.
    running: bool,
}

impl<R, T: Element + Scalar<Plain = T>> Numbers<R, T> {
    pub(super) fn new(recurrence: R) -> Self {
        let (values, tangents) = (Sweep::new(usize::MAX), Sweep::new(usize::MAX));
        Self { recurrence, values, tangents, running: false }
    }
}

/// Numbers of a vector of planes.
fn planes<T: Element, S: Packed<T>>(flat: &[T]) -> impl ExactSizeIterator<Item = S> {
    let (values, tangents) = flat.split_at(flat.len() / S::PLANES);
    join(values, tangents)
}

/// The state after a stage.
fn next<R: Real<T>, T: Element>(
    recurrence: &impl ScalarRecurrence<T>,
    stage: Stage,
    (state, x): (&[R], &[R]),
    next: &mut [R],
) {
    match stage {
        Stage::Start => recurrence.start(x, next),
        Stage::Step(t) => recurrence.step(state, x, t, next),
        Stage::Loss => {}
    }
}

/// What a stage adds to the value.
fn loss<R: Real<T>, T: Element>(
    recurrence: &impl ScalarRecurrence<T>,
    stage: Stage,
    (state, x): (&[R], &[R]),
) -> Option<R> {
    match stage {
        Stage::Start => None,
        Stage::Step(t) => recurrence.running(state, x, t),
        Stage::Loss => Some(recurrence.loss(state, x)),
    }
}

fn forward<T: Element + Scalar<Plain = T>, S: Packed<T>>(
    recurrence: &impl ScalarRecurrence<T>,
    sweep: &mut Sweep<S>,
    at: Visit<T>,
    state: &mut [T],
) -> usize {
    let n = recurrence.dim();
    let point = planes(state).chain(planes(at.x));
    let bytes =
        sweep.evaluate(point, n, |point, out| next(recurrence, at.stage, point.split_at(n), out));
    let (values, tangents) = state.split_at_mut(n);
    store(&sweep.results, values, tangents, |to, from| *to = from);
    bytes
}

fn reverse<T: Element + Scalar<Plain = T>, S: Packed<T>>(
    recurrence: &impl ScalarRecurrence<T>,
    sweep: &mut Sweep<S>,
    at: Visit<T>,
    running: bool,
    state: &[T],
    [bar, x_bar]: [&mut [T]; 2],
) -> Result<(T, usize), Fault> {
    let (n, is_loss) = (recurrence.dim(), at.stage == Stage::Loss);
    let adds = is_loss || running && at.stage != Stage::Start;
    sweep.seeds.clear();
    sweep.seeds.extend(planes::<T, S>(if is_loss { &[] } else { bar }));
    sweep.seeds.extend(adds.then(S::one));
    let point = planes(if is_loss { bar } else { state }).chain(planes(at.x));
    sweep.pull(point, |point, out| {
        let at_point = point.split_at(n);
        let (state, value) = out.split_at_mut(if is_loss { 0 } else { n });
        next(recurrence, at.stage, at_point, state);
        if let [value] = value {
            *value = loss(recurrence, at.stage, at_point).unwrap_or_else(|| Var::from(S::zero()));
        }
    })?;
    let (of_state, of_x) = sweep.bars.split_at(n);
    let (values, tangents) = bar.split_at_mut(n);
    store(of_state, values, tangents, |to, from| *to = from);
    let (values, tangents) = x_bar.split_at_mut(of_x.len());
    store(of_x, values, tangents, |to, from| *to += from);
    let value = sweep.results.last().filter(|_| adds).map_or(T::zero(), |value| value.plane(0));
    Ok((value, sweep.used()))
}

impl<T: Element + Scalar<Plain = T>, R: ScalarRecurrence<T>> Body<T> for Numbers<R, T> {
    fn dim(&self) -> usize {
        self.recurrence.dim()
    }

    fn forward(&mut self, at: Visit<T>, state: &mut [T]) -> Result<usize, Fault> {
        let Self { recurrence, values, tangents, running } = self;
        let bytes = if at.tangent {
            forward(recurrence, tangents, at, state)
        } else {
            forward(recurrence, values, at, state)
        };
        if at.stage == Stage::Start {
            let (n, planes) = (recurrence.dim(), if at.tangent { 2 } else { 1 });
            let (state, x) = (&state[..n], &at.x[..at.x.len() / planes]);
            *running = loss(recurrence, Stage::Step(0), (state, x)).is_some();
        }
        Ok(bytes)
    }

    fn value(&mut self, at: Visit<T>, state: &[T]) -> Result<(T, usize), Fault> {
        let value = loss(&self.recurrence, at.stage, (state, at.x));
        Ok((value.unwrap_or_else(T::zero), 0))
    }

    fn reverse(
        &mut self,
        at: Visit<T>,
        state: &[T],
        bars: [&mut [T]; 2],
    ) -> Result<(T, usize), Fault> {
        let Self { recurrence, values, tangents, running } = self;
        if at.tangent {
            reverse(recurrence, tangents, at, *running, state, bars)
        } else {
            reverse(recurrence, values, at, *running, state, bars)
        }
    }
}
