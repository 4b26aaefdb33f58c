//! Graphs as JSON, feature `serde`.
//!
//! ```text
//! {"version": 1,
//!  "inputs": [{"name": "w", "shape": [2, 1]}],
//!  "lists": [{"name": "labels", "length": 5}],
//!  "nodes": [{"op": "input", "name": "w"}, {"op": "constant", "shape": [1, 1], "values": [0.5]},
//!            {"op": "multiply", "of": [0, 1]}, {"op": "sum", "of": [2], "shape": [1, 1]}],
//!  "outputs": [3]}
//! ```
//!
//! A node names its operation, the numbers of earlier nodes that it takes, and its settings, all of them: those of the table in
//! `operations.rs` by the names there, the number of a function that has one as `number`. Shapes are `[rows, columns]`, lists of
//! whole numbers are themselves or the name of a list that evaluations are given, roles of convolutions are words, numbers
//! that are not finite the words `inf`, `-inf` and `nan`. `lists` may be left out where there are none, `of` of what takes nothing.
//! Whatever else is there is refused.

use serde_json::{Map, Value, json};

use crate::array::element::Element;
use crate::array::kernels::convolution::Role;
use crate::functions::functions;
use crate::functions::rule::Unary;
use crate::graph::builder::{Builder, MOST_NODES};
use crate::graph::error::GraphError;
use crate::graph::operations::{Op, operations};
use crate::graph::setting::Indices;
use crate::graph::{Graph, ListInput, Node};
use crate::shape::Shape;

/// The version of the format that is written, and the newest that is read.
pub const VERSION: u32 = 1;

/// A value in a file.
#[doc(hidden)]
pub trait Field: Sized {
    /// What it should look like.
    const EXPECTED: &str;
    /// What a list of them should look like.
    const LIST: &str = "a list of numbers";
    /// From JSON; `lists` are those that may be named.
    fn read(value: &Value, lists: &[ListInput]) -> Option<Self>;
    /// As JSON.
    fn write(&self, lists: &[ListInput]) -> Value;
}

impl Field for bool {
    const EXPECTED: &str = "true or false";
    fn read(value: &Value, _: &[ListInput]) -> Option<Self> {
        value.as_bool()
    }
    fn write(&self, _: &[ListInput]) -> Value {
        json!(self)
    }
}

impl Field for u32 {
    const EXPECTED: &str = "a whole number below 2^32";
    fn read(value: &Value, _: &[ListInput]) -> Option<Self> {
        value.as_u64()?.try_into().ok()
    }
    fn write(&self, _: &[ListInput]) -> Value {
        json!(self)
    }
}

impl Field for usize {
    const EXPECTED: &str = "a whole number";
    fn read(value: &Value, _: &[ListInput]) -> Option<Self> {
        value.as_u64()?.try_into().ok()
    }
    fn write(&self, _: &[ListInput]) -> Value {
        json!(self)
    }
}

impl Field for Shape {
    const EXPECTED: &str = "[rows, columns]";
    fn read(value: &Value, lists: &[ListInput]) -> Option<Self> {
        let [rows, cols] = &value.as_array()?[..] else { return None };
        Some(Self::new(u32::read(rows, lists)?, u32::read(cols, lists)?))
    }
    fn write(&self, _: &[ListInput]) -> Value {
        json!([self.rows, self.cols])
    }
}

impl Field for Role {
    const EXPECTED: &str = "\"input\", \"kernel\" or \"output\"";
    fn read(value: &Value, _: &[ListInput]) -> Option<Self> {
        Some(match value.as_str()? {
            "input" => Self::Input,
            "kernel" => Self::Kernel,
            "output" => Self::Output,
            _ => return None,
        })
    }
    fn write(&self, _: &[ListInput]) -> Value {
        json!(match self {
            Self::Input => "input",
            Self::Kernel => "kernel",
            Self::Output => "output",
        })
    }
}

impl Field for Indices {
    const EXPECTED: &str = "whole numbers below 2^32, or the name of a list";
    fn read(value: &Value, lists: &[ListInput]) -> Option<Self> {
        if let Some(name) = value.as_str() {
            return lists.iter().position(|list| list.name == name).map(Self::Named);
        }
        let each = value.as_array()?.iter().map(|v| u32::read(v, lists));
        each.collect::<Option<_>>().map(Self::Given)
    }
    fn write(&self, lists: &[ListInput]) -> Value {
        match self {
            Self::Given(list) => json!(list),
            Self::Named(number) => json!(lists[*number].name),
        }
    }
}

impl Field for f64 {
    const EXPECTED: &str = "a number, or \"inf\", \"-inf\" or \"nan\"";
    fn read(value: &Value, _: &[ListInput]) -> Option<Self> {
        match value.as_str() {
            None => value.as_f64(),
            Some("inf") => Some(Self::INFINITY),
            Some("-inf") => Some(Self::NEG_INFINITY),
            Some("nan") => Some(Self::NAN),
            Some(_) => None,
        }
    }
    fn write(&self, _: &[ListInput]) -> Value {
        if self.is_finite() {
            return json!(self);
        }
        json!(if self.is_nan() { "nan".to_owned() } else { self.to_string() })
    }
}

impl Field for String {
    const EXPECTED: &str = "text";
    const LIST: &str = "a list of texts";
    fn read(value: &Value, _: &[ListInput]) -> Option<Self> {
        value.as_str().map(str::to_owned)
    }
    fn write(&self, _: &[ListInput]) -> Value {
        json!(self)
    }
}

impl<F: Field> Field for Vec<F> {
    const EXPECTED: &str = F::LIST;
    fn read(value: &Value, lists: &[ListInput]) -> Option<Self> {
        value.as_array()?.iter().map(|v| F::read(v, lists)).collect()
    }
    fn write(&self, lists: &[ListInput]) -> Value {
        self.iter().map(|v| v.write(lists)).collect()
    }
}

/// The fields of an object, taken one by one.
#[doc(hidden)]
#[derive(Debug)]
pub struct Fields<'l> {
    what: String,
    map: Map<String, Value>,
    lists: &'l [ListInput],
}

impl<'l> Fields<'l> {
    /// An object, called `what` in errors.
    ///
    /// # Errors
    /// [`GraphError::Invalid`], with what was found and expected.
    pub fn new(what: String, value: Value, lists: &'l [ListInput]) -> Result<Self, GraphError> {
        match value {
            Value::Object(map) => Ok(Self { what, map, lists }),
            other => Err(GraphError::invalid(what, shown(&other), "an object")),
        }
    }

    /// An error of a field.
    pub fn wrong(&self, name: &str, found: String, expected: &str) -> GraphError {
        GraphError::invalid(format!("{}: {name}", self.what), found, expected)
    }

    /// Whether there is such a field.
    pub fn has(&self, name: &str) -> bool {
        self.map.contains_key(name)
    }

    /// A field, whatever it is.
    ///
    /// # Errors
    /// [`GraphError::Invalid`], with what was found and expected.
    pub fn any(&mut self, name: &str) -> Result<Value, GraphError> {
        let value = self.map.remove(name);
        value.ok_or_else(|| GraphError::invalid(&self.what, format!("no {name:?}"), "one"))
    }

    /// A field of a type.
    ///
    /// # Errors
    /// [`GraphError::Invalid`], with what was found and expected.
    pub fn take<F: Field>(&mut self, name: &str) -> Result<F, GraphError> {
        let value = self.any(name)?;
        F::read(&value, self.lists).ok_or_else(|| self.wrong(name, shown(&value), F::EXPECTED))
    }

    fn list(&mut self, name: &str) -> Result<Vec<Value>, GraphError> {
        match self.any(name)? {
            Value::Array(list) => Ok(list),
            other => Err(self.wrong(name, shown(&other), "a list")),
        }
    }

    /// Nothing else may be there.
    ///
    /// # Errors
    /// [`GraphError::Invalid`], with what was found and expected.
    pub fn done(self) -> Result<(), GraphError> {
        match self.map.keys().next() {
            None => Ok(()),
            Some(name) => {
                Err(GraphError::invalid(self.what, format!("{:?}", cut(name)), "no such field"))
            }
        }
    }
}

/// Enough of a text for an error.
fn cut(text: &str) -> String {
    text.chars().take(40).collect()
}

fn shown(value: &Value) -> String {
    cut(&value.to_string())
}

macro_rules! read {
    ({$name:expr, $fields:expr} $($(#[$doc:meta])* $Name:ident $op:ident $operands:literal
        { $($setting:ident: $type:ty),* } $kind:ident $(($($primitive:tt)*))?;)*) => {
        match $name {
            $(stringify!($op) => {
                Some(Op::$Name { $($setting: $fields.take(stringify!($setting))?),* })
            })*
            _ => None,
        }
    };
}

macro_rules! write {
    ({$op:expr, $put:expr} $($(#[$doc:meta])* $Name:ident $name:ident $operands:literal
        { $($setting:ident: $type:ty),* } $kind:ident $(($($primitive:tt)*))?;)*) => {
        match $op {
            $(Op::$Name { $($setting),* } => {
                $($put(stringify!($setting), $setting);)*
            })*
            _ => {}
        }
    };
}

macro_rules! numbered {
    ({} $($(#[$doc:meta])* $Name:ident ($c:ident: $number:ty) $method:ident $rule:tt)*) => {
        /// The function of one number of this name, with its number if it has one.
        fn unary(name: &str, number: Option<f64>) -> Option<Unary> {
            match number {
                None => Unary::ALL.iter().copied().find(|f| f.name() == name),
                Some(number) => {
                    let all = [$(Unary::$Name(number)),*];
                    all.into_iter().find(|f| f.name() == name)
                }
            }
        }

        /// The number of a function that has one.
        fn number(f: Unary) -> Option<f64> {
            match f {
                $(Unary::$Name(number) => Some(number),)*
                _ => None,
            }
        }
    };
}
functions!(number crate::graph::json::numbered);
use {numbered, read, write};

impl<T: Element> Graph<T> {
    /// The graph as JSON, see [`graph`](crate::graph).
    ///
    /// # Errors
    /// [`GraphError`] for a part of a [`Split`](crate::graph::Split), which is no function of its own.
    pub fn to_json(&self) -> Result<Value, GraphError> {
        let lists = &self.lists;
        let mut nodes = Vec::with_capacity(self.nodes.len());
        for Node { op, of, shape, rows } in &self.nodes {
            if *rows || *op == Op::Cut {
                return Err(GraphError::invalid("a graph", "a part of a sum", "a whole one"));
            }
            let mut map = Map::new();
            let mut put = |name: &str, value: Value| {
                map.insert(name.to_owned(), value);
            };
            put("op", json!(op.name()));
            if !of.is_empty() {
                put("of", json!(of.to_vec()));
            }
            match op {
                Op::Input(number) => put("name", json!(self.inputs[*number].name)),
                Op::Constant(number) => {
                    let values = self.constants[*number].iter().map(|v| v.as_f64().write(lists));
                    put("shape", shape.write(lists));
                    put("values", values.collect());
                }
                Op::Unary(f) => {
                    if let Some(number) = number(*f) {
                        put("number", number.write(lists));
                    }
                }
                op => operations!(crate::graph::json::write; op, |name: &str, setting: &dyn Put| {
                    put(name, setting.put(lists));
                }),
            }
            nodes.push(Value::Object(map));
        }
        let input =
            |i: &crate::graph::NamedInput| json!({"name": i.name, "shape": i.shape.write(lists)});
        let list = |l: &ListInput| json!({"name": l.name, "length": l.len});
        Ok(json!({
            "version": VERSION,
            "inputs": self.inputs.iter().map(input).collect::<Vec<_>>(),
            "lists": lists.iter().map(list).collect::<Vec<_>>(),
            "nodes": nodes,
            "outputs": self.outputs,
        }))
    }

    /// The graph that JSON states, checked as one that is built.
    ///
    /// ```
    /// use hypertape_autodiff::Graph;
    /// use serde_json::json;
    /// let read = |outputs| Graph::<f64>::from_json(json!({
    ///     "version": 1, "inputs": [{"name": "x", "shape": [3, 1]}],
    ///     "nodes": [{"op": "input", "name": "x"}, {"op": "tanh", "of": [0]}, {"op": "scale", "of": [1], "number": 2.0}],
    ///     "outputs": outputs,
    /// }));
    /// assert_eq!(read(json!([2]))?.nodes(), 3);
    /// assert_eq!(read(json!([3])).unwrap_err().to_string(), "outputs: found node 3, expected one of 3");
    /// # Ok::<(), hypertape_autodiff::graph::GraphError>(())
    /// ```
    ///
    /// # Errors
    /// [`GraphError`] for what is no such JSON, or no graph.
    pub fn from_json(json: Value) -> Result<Self, GraphError> {
        let mut top = Fields::new("a graph".to_owned(), json, &[])?;
        let version: u32 = top.take("version")?;
        if version != VERSION {
            let found = format!("version {version}");
            return Err(GraphError::invalid("a graph", found, format!("version {VERSION}")));
        }
        let (mut builder, mut inputs) = (Builder::<T>::new(), Vec::new());
        for (i, value) in top.list("inputs")?.into_iter().enumerate() {
            let mut fields = Fields::new(format!("input {i}"), value, &[])?;
            let name: String = fields.take("name")?;
            builder.input(&name, fields.take("shape")?)?;
            fields.done()?;
            inputs.push(name);
        }
        let listed = if top.has("lists") { top.list("lists")? } else { Vec::new() };
        let mut lists = Vec::new();
        for (i, value) in listed.into_iter().enumerate() {
            let mut fields = Fields::new(format!("list {i}"), value, &[])?;
            let list = ListInput { name: fields.take("name")?, len: fields.take("length")? };
            builder.list(&list.name, list.len)?;
            fields.done()?;
            lists.push(list);
        }
        let nodes = top.list("nodes")?;
        if nodes.len() > MOST_NODES {
            let expected = format!("{MOST_NODES} or fewer");
            return Err(GraphError::invalid("nodes", nodes.len(), expected));
        }
        let mut places = Vec::with_capacity(nodes.len());
        for (i, value) in nodes.into_iter().enumerate() {
            let mut fields = Fields::new(format!("node {i}"), value, &lists)?;
            let made =
                node(&mut builder, &mut fields, &inputs, &places).map_err(|error| at(i, error))?;
            fields.done()?;
            places.push(made);
        }
        let mut outputs = Vec::new();
        for output in top.take::<Vec<usize>>("outputs")? {
            let missing = || {
                let (found, expected) =
                    (format!("node {output}"), format!("one of {}", places.len()));
                GraphError::invalid("outputs", found, expected)
            };
            outputs.push(*places.get(output).ok_or_else(missing)?);
        }
        top.done()?;
        builder.finish(&outputs)
    }
}

/// Adds the node that `fields` state; `places` are those of the nodes before it.
fn node<T: Element>(
    builder: &mut Builder<T>,
    fields: &mut Fields,
    inputs: &[String],
    places: &[usize],
) -> Result<usize, GraphError> {
    let name: String = fields.take("op")?;
    let of: Vec<usize> = if fields.has("of") { fields.take("of")? } else { Vec::new() };
    let mut operands = Vec::with_capacity(of.len());
    for operand in of {
        let late = || GraphError::Operand {
            node: places.len(),
            operation: cut(&name),
            found: format!("node {operand}"),
            expected: format!("one before node {}", places.len()),
        };
        operands.push(*places.get(operand).ok_or_else(late)?);
    }
    let op = match &name[..] {
        "input" | "constant" if !operands.is_empty() => {
            return Err(fields.wrong(&name, "operands".to_owned(), "none"));
        }
        "input" => {
            let input: String = fields.take("name")?;
            let unknown =
                || fields.wrong("name", format!("{:?}", cut(&input)), "one of the inputs");
            return inputs.iter().position(|name| *name == input).ok_or_else(unknown);
        }
        "constant" => {
            let values: Vec<f64> = fields.take("values")?;
            let values: Vec<T> = values.into_iter().map(T::from_f64).collect();
            return builder.constant(fields.take("shape")?, &values);
        }
        name if fields.has("number") => unary(name, Some(fields.take("number")?)).map(Op::Unary),
        name => match operations!(crate::graph::json::read; name, fields) {
            None => unary(name, None).map(Op::Unary),
            op => op,
        },
    };
    let unknown = || fields.wrong("op", format!("{:?}", cut(&name)), "an operation of graphs");
    builder.push(op.ok_or_else(unknown)?, &operands)
}

/// An error of a builder, whose nodes have other numbers than those of the file.
fn at(number: usize, error: GraphError) -> GraphError {
    match error {
        GraphError::Operation { fault, .. } => GraphError::Operation { node: number, fault },
        GraphError::Operand { operation, found, expected, .. } => {
            GraphError::Operand { node: number, operation, found, expected }
        }
        other => other,
    }
}

/// [`Field::write`] of a setting whose type is not known.
trait Put {
    fn put(&self, lists: &[ListInput]) -> Value;
}

impl<F: Field> Put for F {
    fn put(&self, lists: &[ListInput]) -> Value {
        self.write(lists)
    }
}
