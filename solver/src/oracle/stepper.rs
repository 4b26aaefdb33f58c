//! `Stepper`: the object-safe side of a rule, in flat slices.
//!
//! A state consists of `w` followed by the rule's own vectors, each array after array. A step is taken array by array;
//! its pull-back uses a tape of the rule's few operations.

use std::fmt;
use std::sync::Arc;

use hypertape_autodiff::{Array, Element, List, Tensor, Var};

use crate::oracle::passes::{Arrays, FIRST, MakesArrays, Names, Passes, Selects, Stages};
use crate::rows::Rows;
use crate::rule::{Rule, Step};

/// A value on the tape of a whole run.
pub(crate) type Taped<'a, T> = Var<'a, Tensor<'a, T>>;

/// A function of a rule, for the array that a step moves.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Asked {
    /// The point at which the gradient is taken, if that is not `w`.
    Query(Step),
    /// The next state.
    Update(Step),
}

/// The object-safe side of a [`Rule`], whose functions have the arguments `[state, x, gradient]`, also on the tape of a
/// whole run. Computations receive the memory that they use.
pub(crate) trait Stepper<T: Element>:
    Passes<T, Asked> + for<'a> MakesArrays<'a, Taped<'a, T>, Asked> + fmt::Debug
{
    /// The rule itself, for its properties.
    fn stated(&self) -> &dyn Rule<T>;
}

/// A [`Rule`] of any type, for example one that was [parsed](std::str::FromStr).
#[derive(Clone, Debug)]
pub struct AnyRule<'p, T: Element>(pub(crate) Arc<dyn Stepper<T> + 'p>);

impl<'p, T: Element> AnyRule<'p, T> {
    /// Wraps `rule`.
    pub fn new(rule: impl Rule<T> + 'p) -> Self {
        Self(Arc::new(Arrays(Ruled(rule))))
    }

    /// Name under which the rule is chosen, with its settings.
    pub fn name(&self) -> String {
        self.0.stated().name()
    }
}

/// A rule as functions that passes evaluate.
struct Ruled<R>(R);

impl Selects for Asked {
    fn names(self) -> Names {
        let arrays = "the state after the step of a rule";
        Names { function: "step rule", arrays, scalar: "" }
    }
}

impl<T: Element, R: Rule<T>> Stages<T, Asked> for Ruled<R> {
    fn arrays<'a, A: Array<'a, Elem = T>>(
        &'a self,
        asked: Asked,
        [state, x, gradient]: [&[A]; 3],
    ) -> Option<List<A>> {
        // Steps are evaluated, pushed forward and pulled back.
        if const { A::ORDER > FIRST } {
            return None;
        }
        match asked {
            Asked::Query(step) => self.0.query(state, step).map(|y| List::from_slice(&[y])),
            Asked::Update(step) => Some(self.0.update(state, gradient[0], x, step)),
        }
    }

    fn scalar<'a, A: Array<'a, Elem = T>>(&'a self, _: Asked, _: Rows, _: [&[A]; 3]) -> Option<A> {
        None
    }
}

impl<R: fmt::Debug> fmt::Debug for Arrays<Ruled<R>> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.0.fmt(f)
    }
}

impl<T: Element, R: Rule<T>> Stepper<T> for Arrays<Ruled<R>> {
    fn stated(&self) -> &dyn Rule<T> {
        &self.0.0
    }
}
