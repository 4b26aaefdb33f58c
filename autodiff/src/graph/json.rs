//! Graphs as JSON (feature `serde`). The format is described at `Graph::from_json`.

use serde_json::{Map, Value, json};

use crate::array::element::Element;
use crate::array::kernels::elementwise::Binary;
use crate::functions::functions;
use crate::functions::rule::Unary;
use crate::graph::builder::{Builder, MOST_NODES};
use crate::graph::error::GraphError;
use crate::graph::fields::{Field, Fields, cut};
use crate::graph::operations::{Op, operations};
use crate::graph::{Graph, ListInput, Node};

/// The version of the format that is written, and the only one that is read.
pub const VERSION: u32 = 1;

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
        /// Returns the function of one number with this name, and with this parameter if it has one.
        fn unary(name: &str, number: Option<f64>) -> Option<Unary> {
            match number {
                None => Unary::ALL.iter().copied().find(|f| f.name() == name),
                Some(number) => {
                    let all = [$(Unary::$Name(number)),*];
                    all.into_iter().find(|f| f.name() == name)
                }
            }
        }

        /// Returns the parameter of a function that has one.
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
    /// Returns the graph as JSON in the format of [`from_json`](Self::from_json).
    ///
    /// # Errors
    /// Returns [`GraphError`] for a part of a [`Split`](crate::graph::Split), which is not a function of its own.
    pub fn to_json(&self) -> Result<Value, GraphError> {
        let lists = &self.lists;
        let mut nodes = Vec::with_capacity(self.nodes.len());
        for Node { op, of, shape, rows } in &self.nodes {
            if *rows || matches!(op, Op::Cut | Op::Fused(_)) {
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

    /// Reads a graph from JSON, with the checks of a [`Builder`].
    ///
    /// ```text
    /// {"version": 1,
    ///  "inputs": [{"name": "w", "shape": [2, 1]}],
    ///  "lists": [{"name": "labels", "length": 5}],
    ///  "nodes": [{"op": "input", "name": "w"}, {"op": "constant", "shape": [1, 1], "values": [0.5]},
    ///            {"op": "multiply", "of": [0, 1]}, {"op": "sum", "of": [2], "shape": [1, 1]}],
    ///  "outputs": [3]}
    /// ```
    ///
    /// A node has the name of its operation, the numbers of the earlier nodes that it takes, and all of its settings.
    /// The names are the variants of [`Op`] in lower case (`gather_rows`, `multiply`, `subtract`, `divide`) and, for
    /// functions of one number, the names of their methods, with a `number` if they have a parameter (`scale`, `shift`,
    /// `divide`, `power`). Shapes are `[rows, columns]`. A list of whole numbers is given as such, or by the name of a
    /// list that is an input. The role of a convolution is `input`, `kernel` or `output`; the method of a linear system
    /// is `lu`, `cholesky`, `lower` or `upper`; an axis is `rows` or `columns`. Numbers that are not finite are the
    /// words `inf`, `-inf` and `nan`. The field `lists` may be left out if there are none, and `of` if the node takes
    /// nothing. Other fields are errors.
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
    /// Returns [`GraphError`] if the JSON does not have this form or does not describe a valid graph.
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
            let op = value["op"].as_str().map(|op| format!(", {}", cut(op).escape_debug()));
            let what = format!("node {i}{}", op.unwrap_or_default());
            let mut fields = Fields::new(what, value, &lists)?;
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

/// Adds the node that `fields` describe; `places` are the numbers of the nodes before it.
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
            return Err(fields.wrong("of", "operands".to_owned(), "none"));
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
            None => {
                let binary = || Binary::ALL.iter().copied().find(|f| f.file_name() == name);
                unary(name, None).map(Op::Unary).or_else(|| binary().map(Op::Binary))
            }
            op => op,
        },
    };
    let unknown = || fields.wrong("op", format!("{:?}", cut(&name)), "an operation of graphs");
    builder.push(op.ok_or_else(unknown)?, &operands)
}

/// Gives an error of the builder the number of the node in the file, which may differ from its number in the builder.
fn at(number: usize, error: GraphError) -> GraphError {
    match error {
        GraphError::Operation { fault, .. } => GraphError::Operation { node: number, fault },
        GraphError::Operand { operation, found, expected, .. } => {
            GraphError::Operand { node: number, operation, found, expected }
        }
        other => other,
    }
}

/// [`Field::write`] for a setting of any type.
trait Put {
    fn put(&self, lists: &[ListInput]) -> Value;
}

impl<F: Field> Put for F {
    fn put(&self, lists: &[ListInput]) -> Value {
        self.write(lists)
    }
}
