//! Passes over a [`ScalarRecurrence`], on a tape of one stage.

use std::array::from_fn;

use hypertape_autodiff::scalar::{Dual, Real, Scalar};
use hypertape_autodiff::{Element, Fault};

use crate::oracle::Sweep;
use crate::recurrence::{At, Body, ScalarRecurrence, Stage};

/// A recurrence with its tapes: over values, and over values with a tangent.
pub(super) struct Numbers<R, T> {
    recurrence: R,
    values: Sweep<Dual<T, 0>>,
    tangents: Sweep<Dual<T, 1>>,
}

impl<R, T: Scalar> Numbers<R, T> {
    pub(super) fn new(recurrence: R) -> Self {
        Self { recurrence, values: Sweep::new(usize::MAX), tangents: Sweep::new(usize::MAX) }
    }
}

/// Numbers from a vector of planes.
fn load<T: Scalar, const N: usize>(flat: &[T]) -> impl Iterator<Item = Dual<T, N>> {
    let len = flat.len() / (N + 1);
    (0..len).map(move |i| Dual::new(flat[i], from_fn(|k| flat[(k + 1) * len + i])))
}

/// Hands the planes of numbers, entry by entry, to `put`.
fn store<T: Scalar, const N: usize>(from: &[Dual<T, N>], to: &mut [T], put: impl Fn(&mut T, T)) {
    for (i, number) in from.iter().enumerate() {
        put(&mut to[i], number.value());
        (0..N).for_each(|k| put(&mut to[(k + 1) * from.len() + i], number.tangents()[k]));
    }
}

/// Evaluates a stage at a state and the parameters that follow it.
fn eval<R: Real<T>, T: Element>(
    recurrence: &impl ScalarRecurrence<T>,
    stage: Stage,
    point: &[R],
    out: &mut [R],
) {
    let (state, x) = point.split_at(recurrence.dim());
    match stage {
        Stage::Start => recurrence.start(x, out),
        Stage::Step(t) => recurrence.step(state, x, t, out),
        Stage::Loss => out[0] = recurrence.loss(state, x),
    }
}

fn forward<T: Element + Scalar<Plain = T>, const N: usize>(
    recurrence: &impl ScalarRecurrence<T>,
    Sweep { point, results, .. }: &mut Sweep<Dual<T, N>>,
    at: At<T>,
    state: &mut [T],
) -> usize {
    point.clear();
    point.extend(load(state).chain(load(at.x)));
    results.clear();
    results.resize(recurrence.dim(), Dual::default());
    eval(recurrence, at.stage, point, results);
    store(results, state, |to, from| *to = from);
    (point.len() + results.len()) * size_of::<Dual<T, N>>()
}

fn reverse<T: Element + Scalar<Plain = T>, const N: usize>(
    recurrence: &impl ScalarRecurrence<T>,
    sweep: &mut Sweep<Dual<T, N>>,
    at: At<T>,
    state: &[T],
    [bar, x_bar]: [&mut [T]; 2],
) -> Result<(T, usize), Fault> {
    let is_loss = at.stage == Stage::Loss;
    sweep.seeds.clear();
    sweep.seeds.extend(load::<T, N>(if is_loss { &[] } else { bar }));
    if is_loss {
        sweep.seeds.push(Dual::new(T::one(), [T::zero(); N]));
    }
    let point = load(if is_loss { bar } else { state }).chain(load(at.x));
    sweep.pull(point, |point, out| eval(recurrence, at.stage, point, out))?;
    let (of_state, of_x) = sweep.bars.split_at(recurrence.dim());
    store(of_state, bar, |to, from| *to = from);
    store(of_x, x_bar, |to, from| *to += from);
    let loss = sweep.results.first().map_or(T::nan(), |result| result.value());
    Ok((loss, sweep.used()))
}

impl<T: Element + Scalar<Plain = T>, R: ScalarRecurrence<T>> Body<T> for Numbers<R, T> {
    fn dim(&self) -> usize {
        self.recurrence.dim()
    }

    fn forward(&mut self, at: At<T>, state: &mut [T]) -> Result<usize, Fault> {
        Ok(if at.tangent {
            forward(&self.recurrence, &mut self.tangents, at, state)
        } else {
            forward(&self.recurrence, &mut self.values, at, state)
        })
    }

    fn reverse(
        &mut self,
        at: At<T>,
        state: &[T],
        bars: [&mut [T]; 2],
    ) -> Result<(T, usize), Fault> {
        if at.tangent {
            reverse(&self.recurrence, &mut self.tangents, at, state, bars)
        } else {
            reverse(&self.recurrence, &mut self.values, at, state, bars)
        }
    }
}
