//! `Lens`: a problem and the shapes that cut flat points, for the passes over it.

use hypertape_autodiff::passes::{Group, evaluate};
use hypertape_autodiff::{Array, Element, List, Tensor};

use crate::draw::Draw;
use crate::error::Error;
use crate::oracle::results::in_function;
use crate::oracle::workspaces::Workspaces;
use crate::params::Params;
use crate::problem::Bilevel;
use crate::rows::Blocks;

/// A problem, and the first point with the shapes that cut flat ones.
pub(crate) struct Lens<P, T> {
    pub(crate) problem: P,
    pub(crate) start: Params<T>,
    /// Names and shapes of the inner variables; the values are `w_0` at the first outer point.
    pub(crate) inner_start: Params<T>,
}

impl<T: Element, P: Bilevel<T>> Lens<P, T> {
    /// A view of `problem`, whose start is evaluated once.
    pub(crate) fn new(problem: P, memory: &mut Workspaces<T>) -> Result<Self, Error> {
        let start = problem.start();
        let names = start.names().iter().enumerate();
        if let Some((_, name)) = names.clone().find(|(i, name)| start.names()[..*i].contains(name))
        {
            return Err(Error::told(format!(
                "two outer arrays are called {name}: give each a name of its own"
            )));
        }
        let inner_start = inner_params(&problem, &start, memory)?;
        Ok(Self { problem, start, inner_start })
    }

    /// The blocks of rows that the loss at the level of `draw` is evaluated in.
    pub(crate) fn blocks(&self, draw: Draw) -> Blocks {
        Blocks { samples: self.problem.samples(draw), block: self.problem.block(draw.level) }
    }
}

/// `w_0` at `x`, with names and shapes.
fn inner_params<T: Element, P: Bilevel<T>>(
    problem: &P,
    x: &Params<T>,
    memory: &mut Workspaces<T>,
) -> Result<Params<T>, Error> {
    let (record, _) = memory.first().arenas();
    let at = [Group::new(x.shapes(), x.values())];
    let w: List<Tensor<T>> = evaluate(record, &at, |[x]| problem.init(x, Draw::new(0, 0)))
        .map_err(in_function("init"))?;
    let names = problem.inner_names();
    let mut params = Params::new();
    for (i, w) in w.iter().enumerate() {
        let name = names.get(i).map_or_else(|| format!("w{i}"), ToString::to_string);
        params = params.with(name, w.shape(), w.values().iter().copied());
    }
    Ok(params)
}
