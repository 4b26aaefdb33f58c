//! `Rule`: an inner rule that is a traced function, with one graph for each array of `w`.

use std::collections::HashMap;
use std::fmt;
use std::sync::{LazyLock, Mutex, PoisonError};

use hypertape::graph::{Graph, NamedInput, Window};
use hypertape::{Array, List, Named, Rule as InnerRule, RuleForm, Shape, Step, fingerprint};
use pyo3::prelude::*;
use serde_json::{Value, json};

use crate::failure::invalid;
use crate::problem::Number;

/// The source of an input of a graph.
#[derive(Clone, Copy, Debug)]
enum Source {
    /// An array of the state, of which `w` is the first.
    State(usize),
    Gradient,
    Outer(usize),
    Index,
    Size,
}

/// The graphs of a rule, in both precisions: one for each array of `w`, and if all of them treat all entries alike, one
/// for the arrays joined to a row.
pub(crate) struct Graphs {
    name: String,
    memory: usize,
    double: Vec<Graph<f64>>,
    single: Vec<Graph<f32>>,
    sources: Vec<Vec<Source>>,
    form: RuleForm,
    /// Shape of the joined arrays.
    row: Option<Shape>,
}

/// Graphs of rules. Each one is stored once and lives as long as the process, because the arrays of a step borrow its
/// constants.
static KNOWN: LazyLock<Mutex<HashMap<String, &'static Graphs>>> = LazyLock::new(Mutex::default);

/// An inner rule that is a traced function.
#[pyclass(frozen, module = "hypertape._core")]
#[derive(Clone, Copy)]
pub(crate) struct Rule(&'static Graphs);

impl Rule {
    pub(crate) fn name(&self) -> &str {
        &self.0.name
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Rule").field(&self.0.name).finish()
    }
}

#[pymethods]
impl Rule {
    /// Create a rule from one graph for each array of `w`, with inputs `w`, `g`, `m.0`, `m.1`, ..., `x.NAME`, `t` and
    /// `lr`; the same graphs with every vector as a column; and the names of `x`.
    #[new]
    fn new(
        py: Python<'_>,
        title: &str,
        memory: usize,
        graphs: Vec<String>,
        upright: Vec<String>,
        outer: Vec<String>,
    ) -> PyResult<Self> {
        let name = format!("{title}:{:016x}", fingerprint(graphs.concat().bytes()));
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(&found) = known.get(&name) {
            return Ok(Self(found));
        }
        let mut double = Vec::new();
        for text in &graphs {
            let value = serde_json::from_str(text).map_err(|e| invalid(py, e.to_string()))?;
            double.push(Graph::from_json(value).map_err(|e| invalid(py, e.to_string()))?);
        }
        let affine = |fixed: &str| {
            double
                .iter()
                .all(|graph| graph.is_affine(|name| !["t", "lr", fixed].contains(&field(name))))
        };
        let form = match () {
            () if affine("") => RuleForm::Affine,
            () if affine("x") => RuleForm::AffineInState,
            () => RuleForm::Nonlinear,
        };
        let joined = joined(&upright);
        let row = joined.as_ref().and_then(|graph| graph.outputs().next());
        double.extend(joined);
        let of = |graph: &Graph<f64>| {
            graph.inputs().iter().map(|input| source(input, &outer)).collect::<Option<Vec<_>>>()
        };
        let missing = || invalid(py, "rule: found an input of another name");
        let sources = double.iter().map(of).collect::<Option<_>>().ok_or_else(missing)?;
        let single = double.iter().map(Graph::cast).collect();
        let made = Box::leak(Box::new(Graphs {
            name: name.clone(),
            memory,
            double,
            single,
            sources,
            form,
            row,
        }));
        known.insert(name, made);
        Ok(Self(made))
    }
}

/// Whether an input is of the state or the gradient.
fn moves(name: &str) -> bool {
    ["w", "g", "m"].contains(&field(name))
}

/// Returns the graph for all arrays as one row, if the graphs in these files treat all entries of all arrays alike.
fn joined(files: &[String]) -> Option<Graph<f64>> {
    let (mut values, mut entries) = (Vec::new(), 0);
    for file in files {
        let value: Value = serde_json::from_str(file).ok()?;
        let graph = Graph::<f64>::from_json(value.clone()).ok()?;
        let w = graph.inputs().iter().find(|input| input.name == "w")?;
        entries += w.shape.len();
        values.push(value);
        if files.len() == 1 || !graph.is_entrywise(moves) {
            return None;
        }
    }
    for value in &mut values {
        for input in value.get_mut("inputs")?.as_array_mut()? {
            if moves(input.get("name")?.as_str()?) {
                *input.get_mut("shape")? = json!([1, entries]);
            }
        }
    }
    let last = values.pop().filter(|last| values.iter().all(|value| value == last))?;
    Graph::from_json(last).ok()
}

/// Returns the part before the name of an array or a number: `x` of `x.NAME`.
fn field(name: &str) -> &str {
    name.split_once('.').map_or(name, |(field, _)| field)
}

fn source(input: &NamedInput, outer: &[String]) -> Option<Source> {
    Some(match input.name.split_once('.') {
        None if input.name == "w" => Source::State(0),
        None if input.name == "g" => Source::Gradient,
        None if input.name == "t" => Source::Index,
        None if input.name == "lr" => Source::Size,
        Some(("m", place)) => Source::State(place.parse::<usize>().ok()? + 1),
        Some(("x", name)) => Source::Outer(outer.iter().position(|other| other == name)?),
        _ => return None,
    })
}

impl Named for Rule {
    fn name(&self) -> String {
        self.0.name.clone()
    }
}

impl<T: Number> InnerRule<T> for Rule {
    fn memory(&self) -> usize {
        self.0.memory
    }

    fn update<'a, A: Array<'a, Elem = T>>(
        &self,
        state: &[A],
        gradient: A,
        x: &[A],
        step: Step,
    ) -> List<A> {
        let joined = self.0.row == Some(state[0].shape());
        let which = if joined { self.0.sources.len() - 1 } else { step.array };
        let Some(graph) = T::graphs(self.0).get(which) else { return List::new() };
        let input = |source: &Source| match *source {
            Source::State(k) => state[k],
            Source::Gradient => gradient,
            Source::Outer(k) => x[k],
            Source::Index => state[0].scalar(step.index as f64),
            Source::Size => state[0].scalar(step.lr),
        };
        let inputs: List<A> = self.0.sources[which].iter().map(input).collect();
        let index = u32::try_from(step.index).unwrap_or(u32::MAX);
        let lists = graph.lists().iter().map(|_| state[0].indices(1, |_| index));
        let next = graph.eval(state[0], &inputs, &lists.collect::<List<_>>(), Window::ALL);
        if next.is_empty() {
            // An operation failed, which the arena reports.
            return state.into();
        }
        next
    }

    /// Returns the form that the graphs have. With many forms the reverse sweep needs no gradient, or takes it from the
    /// sweep of the products.
    fn form(&self) -> RuleForm {
        self.0.form
    }

    fn entrywise(&self) -> bool {
        self.0.row.is_some()
    }

    /// The rule may have any fixed point, not only stationary points of the loss.
    fn stationary(&self) -> bool {
        false
    }
}

/// The graphs of a precision.
pub(crate) trait Cast: Sized + 'static {
    fn graphs(graphs: &'static Graphs) -> &'static [Graph<Self>];
}

impl Cast for f64 {
    fn graphs(graphs: &'static Graphs) -> &'static [Graph<f64>] {
        &graphs.double
    }
}

impl Cast for f32 {
    fn graphs(graphs: &'static Graphs) -> &'static [Graph<f32>] {
        &graphs.single
    }
}
