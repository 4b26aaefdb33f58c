//! Graph problems in files: one `.npz` archive each. See [`read_problem`] for the format.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::Path;
use std::sync::Arc;

use hypertape_autodiff::graph::{Fields, GraphError, VERSION};
use hypertape_autodiff::{Graph, Shape};
use hypertape_solver::{Error, Oracle, Params, replace};
use serde_json::{Value, json};

use super::{GraphProblem, GraphStatement, InnerStart};
use crate::data::npy::{self, Matrix};
use crate::data::npz::{Npz, NpzWriter};
use crate::entry::Entry;
use crate::samples::DataMatrix;
use crate::setting::Setting;

/// Name of the array that holds the text.
const TEXT: &str = "problem";

/// Bytes of the largest array of a variable that no graph uses, and so has no shape that limits it.
const MOST_UNUSED: u64 = 1 << 28;

/// Limit on the bytes of the text.
const MOST_TEXT: u64 = 1 << 28;

/// Reads a problem from an `.npz` archive as NumPy writes it.
///
/// Arrays have the names that the graphs use: `x.NAME`, `w.NAME`, or the names of data. The array `problem` holds the
/// bytes of a JSON text:
///
/// ```text
/// {"version": 1, "x": ["log_penalty"], "w": ["w"], "samples": ["train.X", "train.y"], "tasks": [], "steps": 100, "lr": 0.5,
///  "init": {a graph of x and data, with a result for each name in "w"}, "inner": {a graph}, "outer": {a graph}, "test": {a graph}}
/// ```
///
/// `init`, `test`, `tasks`, `samples`, `steps` and `lr` may be omitted. Without `init` there must be arrays `w.NAME`.
/// The format of the graphs is that of [`Graph::from_json`]. Arrays that a graph uses as lists, such as labels, contain
/// whole numbers of any type. Vectors may have one dimension. The first dimension of data with one part per task runs
/// over the tasks. Other arrays are refused, as are arrays whose shape differs from that in the graphs; far larger ones
/// are refused before they are read.
///
/// # Errors
/// Returns [`Error::Told`], in one line that names the file, if the file cannot be read or is malformed.
pub fn read_problem(path: &Path) -> Result<GraphStatement, Error> {
    let read = || {
        let file = File::open(path).map_err(|e| format!("cannot be read: {}", reason(&e)))?;
        statement(BufReader::new(file))
    };
    read().map_err(|why| Error::told(format!("{}: {why}", path.display())))
}

impl GraphStatement {
    /// Makes a catalogue entry of this problem, with the given name and with the setting `batch`, the samples per
    /// mini-batch for the inner and the outer loss.
    ///
    /// # Errors
    /// Returns the errors of [`GraphProblem::new`].
    pub fn into_entry(self: Arc<Self>, name: &str) -> Result<Entry, Error> {
        let summary = GraphProblem::<f64>::new(&self, None)?.describe();
        let run = (self.steps, self.lr);
        let (single, double) = (Arc::clone(&self), self);
        let entry = Entry::new(name, &summary, run, move |given| {
            Oracle::new(GraphProblem::new(&double, given.batch()?)?)
        });
        let entry =
            entry.single(move |given| Oracle::new(GraphProblem::new(&single, given.batch()?)?));
        Ok(Entry { settings: vec![Setting::batch()], ..entry })
    }
}

/// Writes a problem to a file that [`read_problem`] can read.
///
/// # Errors
/// Returns [`Error::Told`] if the file cannot be written, or two arrays would have the same name.
pub fn write_problem(path: &Path, statement: &GraphStatement) -> Result<(), Error> {
    let bytes = archive(statement);
    let written = bytes.and_then(|bytes| {
        let told = |e: io::Error| format!("cannot be written: {}", reason(&e));
        replace(path, |file| file.write_all(&bytes)).map_err(told)
    });
    written.map_err(|why| Error::told(format!("{}: {why}", path.display())))
}

/// Returns the reason why a file could not be read or written, without the error number of the operating system.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

fn archive(statement: &GraphStatement) -> Result<Vec<u8>, String> {
    let graph = |graph: &Graph<f64>| graph.to_json().map_err(|e| e.to_string());
    let (tasks, samples) = (&statement.tasks.1, &statement.samples);
    let mut text = json!({
        "version": VERSION, "x": statement.x.names(), "samples": samples, "tasks": tasks,
        "steps": statement.steps, "lr": statement.lr,
        "inner": graph(&statement.inner)?, "outer": graph(&statement.outer)?,
    });
    let mut arrays = Vec::new();
    let mut add = |role: &str, of: &'_ Params<f64>| {
        for (name, shape, values) in of.iter() {
            arrays.push((format!("{role}{name}"), shape, values.to_vec()));
        }
    };
    add("x.", &statement.x);
    match &statement.start {
        InnerStart::Given(w) => {
            text["w"] = json!(w.names());
            add("w.", w);
        }
        InnerStart::Graph(names, init) => {
            text["w"] = json!(names);
            text["init"] = graph(init)?;
        }
    }
    for (name, matrix) in &statement.arrays {
        arrays.push((name.clone(), matrix.shape(), matrix.values().to_vec()));
    }
    if let Some(test) = &statement.test {
        text["test"] = graph(test)?;
    }
    for (name, list) in &statement.lists {
        let rows = u32::try_from(list.len()).map_err(|e| e.to_string())?;
        let values = list.iter().map(|&v| f64::from(v)).collect();
        arrays.push((name.clone(), Shape::column(rows), values));
    }
    let names: Vec<String> = arrays.iter().map(|(name, ..)| name.clone()).collect();
    let mut npz = NpzWriter::new(&[vec![TEXT.to_owned()], names].concat())?;
    let text = text.to_string();
    let write = || {
        npz.add(TEXT, |file| npy::write_bytes(file, text.as_bytes()))?;
        for (name, shape, values) in arrays {
            let size = [shape.rows as usize, shape.cols as usize];
            npz.add(&name, |file| npy::write(file, size, values))?;
        }
        npz.finish()
    };
    write().map_err(|e: io::Error| e.to_string())
}

/// The contents of the JSON text.
struct Text {
    x: Vec<String>,
    w: Vec<String>,
    samples: Vec<String>,
    tasks: Vec<String>,
    run: (usize, f64),
    init: Option<Graph<f64>>,
    inner: Graph<f64>,
    outer: Graph<f64>,
    test: Option<Graph<f64>>,
}

impl Text {
    fn read(text: Value) -> Result<Self, String> {
        let words = |e: GraphError| e.to_string();
        let mut top = Fields::new("a problem".to_owned(), text, &[]).map_err(words)?;
        let version: u32 = top.take("version").map_err(words)?;
        if version != VERSION {
            return Err(format!("a problem: found version {version}, expected version {VERSION}"));
        }
        let graphs = [("init", ""), ("inner", " loss"), ("outer", " loss"), ("test", " loss")];
        let [init, inner, outer, test] = graphs.map(|(name, what)| {
            if !top.has(name) {
                return Ok(None);
            }
            let graph = top.any(name).and_then(Graph::from_json);
            graph.map(Some).map_err(|e| format!("{name}{what}, {e}"))
        });
        let needed = |name: &str, graph: Option<_>| {
            graph.ok_or_else(|| format!("a problem: found no {name:?}, expected one"))
        };
        let mut names = |name: &str| {
            if top.has(name) { top.take(name).map_err(words) } else { Ok(Vec::new()) }
        };
        let [x, w, samples, tasks] = [names("x")?, names("w")?, names("samples")?, names("tasks")?];
        let steps = if top.has("steps") { top.take("steps").map_err(words)? } else { 100 };
        let lr = if top.has("lr") { top.take("lr").map_err(words)? } else { 0.1 };
        top.done().map_err(words)?;
        let (inner, outer) = (needed("inner", inner?)?, needed("outer", outer?)?);
        Ok(Self { x, w, samples, tasks, run: (steps, lr), init: init?, inner, outer, test: test? })
    }

    /// Whether an array is an outer variable, or an inner one with a given start.
    fn has_variable(&self, name: &str) -> bool {
        let of = |role: &str, names: &[String]| {
            name.strip_prefix(role).is_some_and(|own| names.iter().any(|other| other == own))
        };
        of("x.", &self.x) || self.init.is_none() && of("w.", &self.w)
    }

    /// Returns the shape that the graphs give an array and whether it is a list, or `None` if no graph uses it.
    fn declared(&self, name: &str) -> Result<Option<(Shape, bool)>, String> {
        let graphs = [Some(&self.inner), Some(&self.outer), self.init.as_ref(), self.test.as_ref()];
        let mut found = None;
        for graph in graphs.into_iter().flatten() {
            let array = graph.inputs().iter().find(|input| input.name == name);
            let list = graph.lists().iter().find(|list| list.name == name);
            // The length of a list in a graph has 32 bits.
            let list =
                list.map(|list| (Shape::column(u32::try_from(list.len).unwrap_or(u32::MAX)), true));
            let Some(own) = array.map(|input| (input.shape, false)).or(list) else { continue };
            if *found.get_or_insert(own) != own {
                return Err(format!(
                    "array {name:?} has two shapes or kinds in the graphs, expected one"
                ));
            }
        }
        Ok(found)
    }
}

/// An array of the file, in the shape that the graphs give it.
struct Found {
    name: String,
    shape: Shape,
    list: bool,
    values: Vec<f64>,
}

/// Reads the statement in an archive.
fn statement(file: impl Read + Seek) -> Result<GraphStatement, String> {
    let mut npz = Npz::open(file)?;
    let Some(at) = npz.names().iter().position(|name| name == TEXT) else {
        return Err(format!("found no array {TEXT:?}, expected one with the text of a problem"));
    };
    let bytes = whole(TEXT, &npz.read(at, MOST_TEXT)?.values, f64::from(u8::MAX))?;
    let bytes: Vec<u8> = bytes.into_iter().filter_map(|b| u8::try_from(b).ok()).collect();
    let text = serde_json::from_slice(&bytes).map_err(|e| format!("array {TEXT:?}: {e}"))?;
    let text = Text::read(text)?;

    let (mut found, mut tasks) = (Vec::new(), None);
    for i in (0..npz.names().len()).filter(|&i| i != at) {
        let name = npz.names()[i].clone();
        let Some((shape, list)) = text.declared(&name)? else {
            if !text.has_variable(&name) {
                return Err(format!("array {name:?} is in no graph, expected none of that name"));
            }
            // A variable that no loss uses has the shape of its array.
            let Matrix { rows, cols, values } = npz.read(i, MOST_UNUSED)?;
            let size = |n: usize| u32::try_from(n).map_err(|e| e.to_string());
            let shape = Shape::new(size(rows)?, size(cols)?);
            found.push(Found { name, shape, list: false, values });
            continue;
        };
        let each = text.tasks.contains(&name);
        // An array that is far too large is refused by its header.
        let most = if each { u64::MAX } else { (shape.len() as u64).saturating_mul(16) + 1024 };
        let matrix = npz.read(i, most)?;
        let (count, shape) = fitted(&name, &matrix, shape, each)?;
        if each && *tasks.get_or_insert(count) != count {
            let first = tasks.unwrap_or_default();
            return Err(format!("array {name:?}: found {count} tasks, expected {first}"));
        }
        found.push(Found { name, shape, list, values: matrix.values });
    }
    let mut variables = |role: &str, names: &[String]| {
        let mut all = Params::new();
        for name in names {
            let full = format!("{role}.{name}");
            let Some(at) = found.iter().position(|array| array.name == full) else {
                return Err(format!("found no array {full:?}, expected one"));
            };
            let Found { shape, values, .. } = found.remove(at);
            all = all.with(name, shape, values);
        }
        Ok(all)
    };
    let x = variables("x", &text.x)?;
    let start = match text.init {
        Some(init) => InnerStart::Graph(text.w, init),
        None => InnerStart::Given(variables("w", &text.w)?),
    };
    let (mut arrays, mut lists) = (Vec::new(), Vec::new());
    for Found { name, shape, list, values } in found {
        if list {
            let numbers = whole(&name, &values, f64::from(u32::MAX))?;
            lists.push((name, numbers));
        } else {
            arrays.push((name, DataMatrix::new(values, shape.cols as usize)));
        }
    }
    let (tasks, (steps, lr)) = ((tasks.unwrap_or(1), text.tasks), text.run);
    let Text { samples, inner, outer, test, .. } =
        Text { init: None, w: Vec::new(), tasks: Vec::new(), ..text };
    Ok(GraphStatement { x, start, inner, outer, test, arrays, lists, samples, tasks, steps, lr })
}

/// Converts values to whole numbers from 0 to `most`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
fn whole(name: &str, values: &[f64], most: f64) -> Result<Vec<u32>, String> {
    match values.iter().find(|v| !(0.0..=most).contains(*v) || v.fract() != 0.0) {
        Some(v) => {
            Err(format!("array {name:?}: found {v}, expected whole numbers from 0 to {most}"))
        }
        None => Ok(values.iter().map(|&v| v as u32).collect()),
    }
}

/// Returns the number of tasks, and the shape of the array with the rows of all tasks.
fn fitted(name: &str, found: &Matrix, one: Shape, each: bool) -> Result<(usize, Shape), String> {
    if one.is_empty() {
        return Err(format!("array {name:?}: found shape {one}, expected one value or more"));
    }
    let size = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let own = Shape::new(size(found.rows), size(found.cols));
    if each {
        let tasks = found.values.len().checked_div(one.len()).unwrap_or(0);
        let rows = u32::try_from(tasks).ok().and_then(|tasks| tasks.checked_mul(one.rows));
        if let Some(rows) = rows
            && found.values.len() == tasks * one.len()
            && found.rows.is_multiple_of(tasks.max(1))
        {
            return Ok((tasks, Shape::new(rows, one.cols)));
        }
        return Err(format!("array {name:?}: found shape {own}, expected {one} for each task"));
    }
    let vector = |shape: Shape| shape.rows == 1 || shape.cols == 1;
    if own == one || own.len() == one.len() && vector(own) && vector(one) {
        return Ok((1, one));
    }
    Err(format!("array {name:?}: found shape {own}, expected {one}"))
}
