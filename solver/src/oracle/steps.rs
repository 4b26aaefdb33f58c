//! Steps of the inner rule: forward, pulled back, pushed forward.

use std::ops::Range;

use hypertape_autodiff::passes::Group;
use hypertape_autodiff::{Element, List, Shape};

use crate::breakdown::Call;
use crate::error::Error;
use crate::oracle::Oracle;
use crate::oracle::passes::{Along, At};
use crate::oracle::stepper::{Asked, Stepper};
use crate::oracle::workspaces::Workspaces;
use crate::params::{Params, largest};
use crate::report::Soundness;
use crate::rule::{RuleForm, Step};

impl<T: Element> Oracle<'_, T> {
    /// Returns the number by which the rule multiplies the gradient of a step, if that is all it does; `-lr` for
    /// gradient descent.
    pub fn multiple(&self, step: Step) -> Option<f64> {
        self.known.rule.stated().multiple(step)
    }

    /// Whether the fixed points of the rule are the points where the gradient of the inner loss is zero.
    pub fn stationary(&self) -> bool {
        self.known.rule.stated().stationary()
    }

    /// How the rule's steps depend on their gradients.
    pub(crate) fn form(&self) -> RuleForm {
        self.known.rule.stated().form()
    }

    /// Whether the length of a step is independent of that of the gradient.
    pub(crate) fn adaptive(&self) -> bool {
        self.known.rule.stated().adaptive()
    }

    /// Calls a function of the rule for every array, and returns the last result.
    fn stepping<R: Default>(
        &mut self,
        x: &[T],
        step: Step,
        mut ask: impl FnMut(&dyn Stepper<T>, &mut Workspaces<T>, &Place<T>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let step = self.metered((Call::Update, 0, 0), |Self { known, memory, .. }| {
            let [outer, inner] = known.view.starts().map(Params::shapes);
            let (rule, x) = (&*known.rule, Group::new(outer, x));
            let joined = rule.stated().entrywise().then(|| joined(inner)).flatten();
            let inner = joined.as_ref().map_or(inner, std::slice::from_ref);
            places(inner, 1 + rule.stated().memory(), step, x)
                .try_fold(R::default(), |_, place| ask(rule, memory, &place))
        });
        step.map(|(result, _)| result)
    }

    /// Writes the point at which the gradient of a step is taken into `y`. Returns false if that point is `w`.
    pub(crate) fn query(
        &mut self,
        x: &[T],
        state: &[T],
        step: Step,
        y: &mut [T],
    ) -> Result<bool, Error> {
        self.stepping(x, step, |rule, memory, of| {
            rule.push(memory, of.query(state), [&mut y[of.range.clone()], &mut []])
        })
    }

    /// Adds the pull-back of `y_bar` through that point to `state_bar`.
    pub(crate) fn pull_query(
        &mut self,
        x: &[T],
        state: &[T],
        step: Step,
        y_bar: &[T],
        state_bar: &mut [T],
    ) -> Result<(), Error> {
        self.stepping(x, step, |rule, memory, of| {
            let at = of.query(state).seeded(&y_bar[of.range.clone()]);
            let bar = &mut state_bar[of.span.clone()];
            let out = [bar, &mut [], &mut [], &mut [], &mut [], &mut []];
            rule.pull(memory, At { add: [true; 3], ..at }, out).map(|_| ())
        })
    }

    /// Takes a step with the given gradient.
    pub(crate) fn advance(
        &mut self,
        x: &[T],
        state: &mut [T],
        gradient: &[T],
        step: Step,
    ) -> Result<(), Error> {
        self.stepping(x, step, |rule, memory, of| {
            let out = [&mut state[of.span.clone()], &mut []];
            rule.push(memory, of.update(&[], gradient), out).map(|_| ())
        })
    }

    /// Writes, of the pull-back of a step, only the adjoint of its gradient, given the adjoint of the state after the
    /// step.
    pub(crate) fn pull_to_gradient(
        &mut self,
        x: &[T],
        (state, gradient): (&[T], &[T]),
        step: Step,
        state_bar: &[T],
        u: &mut [T],
    ) -> Result<(), Error> {
        self.stepping(x, step, |rule, memory, of| {
            let at = of.update(state, gradient).seeded(&state_bar[of.span.clone()]);
            let u = &mut u[of.range.clone()];
            rule.pull(memory, at, [&mut [], &mut [], &mut [], &mut [], u, &mut []]).map(|_| ())
        })
    }

    /// Replaces the adjoint of the state after a step by that of the state before it, without the part that passes
    /// through the gradient. Writes the adjoint of the gradient into `u`, and adds to the adjoint of `x`.
    pub(crate) fn pull(
        &mut self,
        x: &[T],
        (state, gradient): (&[T], &[T]),
        step: Step,
        [state_bar, u, x_bar]: [&mut [T]; 3],
    ) -> Result<(), Error> {
        let before = largest(state_bar) * step.lr;
        self.stepping(x, step, |rule, memory, of| {
            let (bar, u) = (&mut state_bar[of.span.clone()], &mut u[of.range.clone()]);
            let out = [bar, &mut [], &mut *x_bar, &mut [], u, &mut []];
            let at = At { add: [false, true, false], ..of.update(state, gradient) };
            rule.pull(memory, at, out).map(|_| ())
        })?;
        if before > 0.0 {
            let sensitivity = largest(u) / before;
            self.note(Soundness { sensitivity, ..Soundness::default() });
        }
        Ok(())
    }

    /// Writes the tangent of the point at which the gradient is taken, if that is not `w`.
    pub(crate) fn push_query(
        &mut self,
        x: &[T],
        [state, tangent]: [&[T]; 2],
        step: Step,
        dy: &mut [T],
    ) -> Result<(), Error> {
        self.stepping(x, step, |rule, memory, of| {
            let tangent = &tangent[of.span.clone()];
            let at = of.query(state).moving(Along::One, [tangent, &[]]);
            rule.push(memory, at, [&mut [], &mut dy[of.range.clone()]]).map(|_| ())
        })
    }

    /// Replaces a tangent of the state by that of the state after a step, given the tangents of its gradient and of
    /// `x`.
    pub(crate) fn push(
        &mut self,
        x: &[T],
        (state, tangent): (&[T], &mut [T]),
        [gradient, pushed]: [&[T]; 2],
        dx: &[T],
        step: Step,
    ) -> Result<(), Error> {
        self.stepping(x, step, |rule, memory, of| {
            let mut at = of.update(state, gradient).moving(Along::One, [&[], dx]);
            at.groups[2].moving = &pushed[of.range.clone()];
            rule.push(memory, at, [&mut [], &mut tangent[of.span.clone()]]).map(|_| ())
        })
    }
}

/// Most entries of arrays that are joined. The arrays in between of a step are as large, and should stay in the first
/// level of cache.
const JOINED: usize = 2048;

/// Returns the shape of several small arrays as one.
fn joined(arrays: &[Shape]) -> Option<Shape> {
    let entries: usize = arrays.iter().map(|shape| shape.len()).sum();
    let small = arrays.len() > 1 && entries <= JOINED;
    u32::try_from(entries).ok().filter(|_| small).map(|entries| Shape::new(1, entries))
}

/// One array of `w`, with its part of each vector of a state, and the step that moves it.
struct Place<'v, T> {
    /// Its entries in `w`.
    range: Range<usize>,
    /// Range from the first to the last of its parts.
    span: Range<usize>,
    /// Shape of each part, and the number of entries between successive parts.
    shapes: List<Shape>,
    gap: usize,
    step: Step,
    /// The outer variables.
    x: Group<'v, T>,
}

/// Returns the arrays of a state of `vectors` vectors.
fn places<'v, T: Element>(
    inner: &'v [Shape],
    vectors: usize,
    step: Step,
    x: Group<'v, T>,
) -> impl Iterator<Item = Place<'v, T>> {
    let dim: usize = inner.iter().map(|shape| shape.len()).sum();
    let mut end = 0;
    inner.iter().enumerate().map(move |(array, &shape)| {
        let range = end..end + shape.len();
        end = range.end;
        let (gap, span) = (dim - shape.len(), range.start..(vectors - 1) * dim + end);
        let shapes = std::iter::repeat_n(shape, vectors).collect();
        Place { range, span, shapes, gap, step: Step { array, ..step }, x }
    })
}

impl<T: Element> Place<'_, T> {
    /// The array in `w` alone.
    fn own<'v>(&'v self, values: &'v [T]) -> Group<'v, T> {
        Group::new(&self.shapes[..1], values)
    }

    /// The parts of a state, which may be missing.
    fn parts<'v>(&'v self, state: &'v [T]) -> Group<'v, T> {
        let values = state.get(self.span.clone()).unwrap_or_default();
        Group::new(&self.shapes, values).apart(self.gap)
    }

    /// Arguments for the point at which the gradient is taken.
    fn query<'v>(&'v self, state: &'v [T]) -> At<'v, T, Asked> {
        let groups = [self.parts(state), Group::NONE, Group::NONE];
        At::new(Asked::Query(self.step), groups, self.own(&[]))
    }

    /// Arguments for the next state, which replaces the previous one if that is not given.
    fn update<'v>(&'v self, state: &'v [T], gradient: &'v [T]) -> At<'v, T, Asked> {
        let groups = [self.parts(state), self.x, self.own(&gradient[self.range.clone()])];
        At::new(Asked::Update(self.step), groups, self.parts(&[]))
    }
}
