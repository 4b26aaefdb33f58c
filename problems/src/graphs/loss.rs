//! A graph with the sources of its inputs, and a loss, which may be a sum over samples.

use hypertape_autodiff::graph::{GraphError, Split, Window};
use hypertape_autodiff::{Array, Element, Graph, List, Shape};
use hypertape_solver::{Draw, Error, Params, Rows};
use smallvec::SmallVec;

use super::statement::{GraphStatement, finite, told};
use crate::labelled::ContiguousBatch;
use crate::samples::{DataMatrix, block_rows, pass_rows};

/// The arrays and lists that graphs use in addition to variables.
#[derive(Clone, Debug)]
pub(super) struct Data<T> {
    tasks: usize,
    arrays: Vec<Named<DataMatrix<T>>>,
    lists: Vec<Named<Vec<u32>>>,
}

#[derive(Clone, Debug)]
struct Named<V> {
    name: String,
    values: V,
    /// Shape for one task, or for all tasks if they share the data.
    shape: Shape,
    each: bool,
}

impl<V> Named<V> {
    /// Returns the rows of a task.
    fn rows(&self, task: usize) -> std::ops::Range<usize> {
        let rows = self.shape.rows as usize;
        let start = if self.each { task * rows } else { 0 };
        start..start + rows
    }
}

impl<T: Element> Data<T> {
    pub(super) fn new(statement: &GraphStatement) -> Result<Self, Error> {
        let (tasks, each) = &statement.tasks;
        let lists = statement.lists.iter().map(|(name, _)| name);
        let arrays = statement.arrays.iter().map(|(name, _)| name);
        let names: Vec<&String> = arrays.chain(lists).collect();
        for (i, name) in names.iter().enumerate() {
            if names[..i].contains(name) {
                return Err(told("data", format!("two are called {name:?}")));
            }
        }
        for (what, declared) in [("samples", &statement.samples), ("tasks", each)] {
            if let Some(name) = declared.iter().find(|name| !names.contains(name)) {
                return Err(told(what, format!("found {name:?}, expected the name of data")));
            }
        }
        let part = |name: &String, rows: usize, cols: u32| {
            let each = each.contains(name);
            let tasks = if each { *tasks } else { 1 };
            let share = u32::try_from(rows / tasks.max(1)).unwrap_or(0);
            if share == 0 || cols == 0 || rows != share as usize * tasks {
                let (found, of) = (format!("{rows} rows of {cols} values"), tasks);
                let why = format!("found {found} for {of} tasks, expected as many rows for each");
                return Err(told(&format!("data {name:?}"), why));
            }
            Ok((Shape::new(share, cols), each))
        };
        let mut arrays = Vec::new();
        for (name, matrix) in &statement.arrays {
            let (Shape { rows, cols }, values) = (matrix.shape(), matrix.cast::<T>());
            finite(name, values.values())?;
            let (shape, each) = part(name, rows as usize, cols)?;
            arrays.push(Named { name: name.clone(), values, shape, each });
        }
        let mut lists = Vec::new();
        for (name, values) in &statement.lists {
            let (shape, each) = part(name, values.len(), 1)?;
            lists.push(Named { name: name.clone(), values: values.clone(), shape, each });
        }
        Ok(Self { tasks: *tasks, arrays, lists })
    }

    pub(super) fn tasks(&self) -> usize {
        self.tasks
    }
}

/// The source of an input of a graph.
#[derive(Clone, Copy, Debug)]
enum Source {
    Inner(usize),
    Outer(usize),
    Data(usize),
}

/// A graph over variables and data.
#[derive(Clone, Debug)]
pub(super) struct Function<T> {
    graph: Graph<T>,
    inputs: Vec<Source>,
    lists: Vec<usize>,
}

impl<T: Element> Function<T> {
    /// Finds the inputs of a graph among the variables `[w, x]` and the data. Errors call the graph `what`.
    pub(super) fn new(
        what: &str,
        graph: Graph<T>,
        [w, x]: [&Params<f64>; 2],
        data: &Data<T>,
    ) -> Result<Self, Error> {
        let mut inputs = Vec::new();
        for input in graph.inputs() {
            let name = &input.name;
            let variable = |of: &Params<f64>, name: &str| {
                let at = of.names().iter().position(|own| own == name)?;
                Some((at, of.shapes()[at]))
            };
            let found = match name.split_once('.') {
                Some(("w", name)) => variable(w, name).map(|(i, s)| (Source::Inner(i), s)),
                Some(("x", name)) => variable(x, name).map(|(i, s)| (Source::Outer(i), s)),
                _ => {
                    let at = data.arrays.iter().position(|array| array.name == *name);
                    at.map(|i| (Source::Data(i), data.arrays[i].shape))
                }
            };
            let Some((source, shape)) = found else {
                let why = format!("input {name:?}: found no array of that name");
                return Err(told(what, why));
            };
            if shape != input.shape {
                let why = format!("input {name:?}: found shape {shape}, expected {}", input.shape);
                return Err(told(what, why));
            }
            inputs.push(source);
        }
        let mut lists = Vec::new();
        for list in graph.lists() {
            let name = &list.name;
            let Some(at) = data.lists.iter().position(|own| own.name == *name) else {
                return Err(told(what, format!("list {name:?}: found no list of that name")));
            };
            let found = data.lists[at].shape.rows as usize;
            if found != list.len {
                let why = format!("list {name:?}: found length {found}, expected {}", list.len);
                return Err(told(what, why));
            }
            lists.push(at);
        }
        Ok(Self { graph, inputs, lists })
    }

    /// Returns all results, evaluated on all samples.
    pub(super) fn whole<'a, A: Array<'a, Elem = T>>(
        &'a self,
        data: &'a Data<T>,
        variables: [&[A]; 2],
        draw: Draw,
    ) -> List<A> {
        self.eval(&self.graph, data, variables, draw, Window::ALL)
    }

    /// Evaluates another graph that has the inputs of this one.
    fn eval<'a, A: Array<'a, Elem = T>>(
        &self,
        graph: &'a Graph<T>,
        data: &'a Data<T>,
        [w, x]: [&[A]; 2],
        draw: Draw,
        window: Window,
    ) -> List<A> {
        let like = x[0];
        let task = usize::try_from(draw.task).unwrap_or(usize::MAX).min(data.tasks - 1);
        let input = |source: &Source| match *source {
            Source::Inner(i) => w[i],
            Source::Outer(i) => x[i],
            Source::Data(i) => {
                let array = &data.arrays[i];
                array.values.range(like, array.rows(task))
            }
        };
        let list = |&i: &usize| &data.lists[i].values[data.lists[i].rows(task)];
        let inputs: SmallVec<[A; 12]> = self.inputs.iter().map(input).collect();
        let lists: SmallVec<[&[u32]; 4]> = self.lists.iter().map(list).collect();
        graph.eval(like, &inputs, &lists, window)
    }
}

/// A scalar graph, evaluated block by block where it is a sum over samples.
#[derive(Clone, Debug)]
pub(super) struct Loss<T> {
    what: &'static str,
    function: Function<T>,
    /// The loss as a sum over samples, or the reason why it is none.
    pub(super) split: Result<Split<T>, String>,
    pub(super) samples: usize,
    /// Samples per block.
    pub(super) block: usize,
}

impl<T: Element> Loss<T> {
    pub(super) fn new(
        what: &'static str,
        graph: Graph<T>,
        variables: [&Params<f64>; 2],
        data: &Data<T>,
        samples: &[String],
    ) -> Result<Self, Error> {
        let mut function = Function::new(what, graph, variables, data)?;
        let graph = &function.graph;
        let shapes: Vec<Shape> = graph.outputs().collect();
        if shapes != [Shape::SCALAR] {
            let found = shapes.iter().map(Shape::to_string).collect::<Vec<_>>().join(", ");
            return Err(told(what, format!("found results of shape [{found}], expected [1x1]")));
        }
        let (mut rows, mut width) = (Vec::new(), 0);
        for input in graph.inputs().iter().filter(|input| samples.contains(&input.name)) {
            rows.push((&input.name, input.shape.rows as usize));
            width += input.shape.cols as usize;
        }
        for list in graph.lists().iter().filter(|list| samples.contains(&list.name)) {
            rows.push((&list.name, list.len));
        }
        let data = |name: &str| !name.starts_with("x.") && !name.starts_with("w.");
        let split = match rows[..] {
            [] => Err("no data that is declared as samples".to_owned()),
            [(first, n), ..] => {
                if let Some((other, m)) = rows.iter().find(|(_, other)| *other != n) {
                    Err(format!("{n} samples in {first:?} and {m} in {other:?}"))
                } else {
                    let count = u32::try_from(n).unwrap_or(0);
                    let sampled = |name: &str| samples.iter().any(|own| own == name);
                    let told = |error| match error {
                        GraphError::Invalid { found, .. } => found,
                        other => GraphError::to_string(&other),
                    };
                    graph.split(count, sampled).map_err(told).and_then(|Split { part, rest }| {
                        Ok(Split { part: part.fused(data).map_err(told)?, rest })
                    })
                }
            }
        };
        let samples = rows.first().filter(|_| split.is_ok()).map_or(0, |(_, n)| *n);
        if split.is_err() {
            let fused = function.graph.fused(data).map_err(|e| told(what, e.to_string()))?;
            function.graph = fused;
        }
        let once = split.as_ref().is_ok_and(|split| split.part.reads_rows_once(data));
        let block = if once { pass_rows::<T>(samples, width) } else { block_rows::<T>(width) };
        Ok(Self { what, function, split, samples, block })
    }

    pub(super) fn name(&self) -> &'static str {
        self.what
    }

    /// Describes how the loss is evaluated, and why.
    pub(super) fn describe(&self) -> String {
        let (what, n) = (self.what, self.samples);
        match &self.split {
            Ok(Split { rest: None, .. }) => format!("{what}: a sum over {n} samples"),
            Ok(_) => format!("{what}: a sum over {n} samples plus a rest"),
            Err(why) => format!("{what}: one block, as there is {why}"),
        }
    }

    pub(super) fn batches(&self, size: Option<usize>) -> usize {
        if self.split.is_ok() { ContiguousBatch::count(self.samples, size) } else { 1 }
    }

    /// Number of samples that an evaluation uses; 0 for a loss that is evaluated in one block.
    pub(super) fn seen(&self, size: Option<usize>, draw: Draw) -> usize {
        if self.split.is_ok() { ContiguousBatch::of(self.samples, size, draw).len() } else { 0 }
    }

    pub(super) fn eval<'a, A: Array<'a, Elem = T>>(
        &'a self,
        data: &'a Data<T>,
        variables: [&[A]; 2],
        draw: Draw,
        rows: Rows,
        size: Option<usize>,
    ) -> A {
        let like = variables[1][0];
        let of = |graph, window| {
            let results = self.function.eval(graph, data, variables, draw, window);
            // There is no result after a fault, which has been raised already.
            results.first().copied().unwrap_or_else(|| like.constant(Shape::EMPTY, &[]))
        };
        let Ok(Split { part, rest }) = &self.split else {
            return of(&self.function.graph, Window::ALL);
        };
        let batch = ContiguousBatch::of(self.samples, size, draw);
        let seen = of(part, Window::new(batch.rows(rows), self.samples));
        // The sum over a batch is multiplied by the number of batches, to stand for all samples.
        let whole = batch.len() == self.samples;
        let seen = if whole { seen } else { seen * self.batches(size) as f64 };
        match rest {
            Some(rest) if rows.carries_rest() => seen + of(rest, Window::ALL),
            _ => seen,
        }
    }
}
