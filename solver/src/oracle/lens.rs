//! `Lens`: a problem and the shapes that divide flat points. One over arrays consists of functions that passes evaluate.

use hypertape_autodiff::passes::{Group, evaluate};
use hypertape_autodiff::{Array, Element, List, Tensor};

use crate::draw::{Draw, Level};
use crate::error::Error;
use crate::oracle::passes::{FIRST, Names, Selects, Stages};
use crate::oracle::results::in_function;
use crate::oracle::workspaces::Workspaces;
use crate::params::Params;
use crate::problem::Bilevel;
use crate::rows::{Blocks, Rows};

/// A problem and its first point, whose shapes divide flat points.
pub(crate) struct Lens<P, T> {
    pub(crate) problem: P,
    pub(crate) start: Params<T>,
    /// Names and shapes of the inner variables; the values are `w_0` at the first outer point.
    pub(crate) inner_start: Params<T>,
}

impl<T: Element, P: Bilevel<T>> Lens<P, T> {
    /// Creates the lens of `problem`, whose start is evaluated once.
    pub(crate) fn new(problem: P, memory: &mut Workspaces<T>) -> Result<Self, Error> {
        let start = problem.start();
        distinct(start.names())?;
        let inner_start = {
            let (record, _) = memory.first().arenas();
            let at = [Group::new(start.shapes(), start.values())];
            let w: List<Tensor<T>> = evaluate(record, &at, |[x]| problem.init(x, Draw::new(0, 0)))
                .map_err(in_function("init"))?;
            params(&w, &problem.inner_names())
        };
        Ok(Self { problem, start, inner_start })
    }
}

/// Checks that no name occurs twice.
fn distinct(names: &[String]) -> Result<(), Error> {
    match names.iter().enumerate().find(|(i, name)| names[..*i].contains(name)) {
        None => Ok(()),
        Some((_, name)) => Err(Error::told(format!(
            "two outer arrays are called {name}: give each a name of its own"
        ))),
    }
}

/// Returns arrays as parameters, those without a name as `w0`, `w1`, ...
fn params<T: Element>(arrays: &[Tensor<T>], names: &[&str]) -> Params<T> {
    let mut params = Params::new();
    for (i, array) in arrays.iter().enumerate() {
        let name = names.get(i).map_or_else(|| format!("w{i}"), ToString::to_string);
        params = params.with(name, array.shape(), array.values().iter().copied());
    }
    params
}

impl Selects for Draw {
    fn names(self) -> Names {
        Names { function: self.level.function(), arrays: "the start", scalar: "a loss" }
    }
}

impl<T: Element, P: Bilevel<T>> Stages<T, Draw> for Lens<P, T> {
    fn blocks(&self, draw: Draw) -> Blocks {
        match draw.level {
            Level::Init => Blocks::ONE,
            level => {
                Blocks { samples: self.problem.samples(draw), block: self.problem.block(level) }
            }
        }
    }

    fn arrays<'a, A: Array<'a, Elem = T>>(
        &'a self,
        draw: Draw,
        [_, x, _]: [&[A]; 3],
    ) -> Option<List<A>> {
        match draw.level {
            Level::Init if const { A::ORDER <= FIRST } => Some(self.problem.init(x, draw)),
            _ => None,
        }
    }

    fn scalar<'a, A: Array<'a, Elem = T>>(
        &'a self,
        draw: Draw,
        rows: Rows,
        [w, x, _]: [&[A]; 3],
    ) -> Option<A> {
        match draw.level {
            Level::Inner => Some(self.problem.inner(w, x, draw, rows)),
            Level::Outer if const { A::ORDER <= FIRST } => {
                Some(self.problem.outer(w, x, draw, rows))
            }
            _ => None,
        }
    }
}
