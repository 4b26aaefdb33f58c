//! `Function`: a traced function of arrays, with its derivatives over flat vectors.

use std::sync::{Mutex, PoisonError};

use hypertape::graph::{Graph, Window};
use hypertape::{Array, Fault, Function as Differentiable, Shape, Workspace, check};
use numpy::{PyArray1, PyReadonlyArray1, ToPyArray};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::failure::{failed, invalid};

/// What an input of the graph stands for.
enum Source {
    /// An array that derivatives are taken in.
    Variable(usize),
    /// An array that is given with each call.
    Passive(usize),
    /// An array that belongs to the function.
    Data(usize),
}

/// A function of arrays: the first are variables, others are given with each call, or are its own.
#[pyclass(frozen, module = "hypertape._core")]
pub(crate) struct Function {
    graph: Graph<f64>,
    sources: Vec<Source>,
    variables: Vec<Shape>,
    passive: Vec<Shape>,
    data: Vec<(Shape, Vec<f64>)>,
    outputs: usize,
    /// Memory of earlier calls.
    idle: Mutex<Vec<Workspace>>,
}

/// The function at passive arrays.
struct At<'f> {
    function: &'f Function,
    passive: &'f [Vec<f64>],
}

impl Differentiable<f64> for At<'_> {
    fn eval<'a, A: Array<'a, Elem = f64>>(&'a self, x: &[A]) -> A {
        let Function { graph, sources, passive, data, .. } = self.function;
        let input = |source: &Source| match *source {
            Source::Variable(k) => x[k],
            Source::Passive(k) => x[0].constant(passive[k], &self.passive[k]),
            Source::Data(k) => x[0].constant(data[k].0, &data[k].1),
        };
        let inputs: Vec<A> = sources.iter().map(input).collect();
        // None where an operation failed, which the arena tells.
        graph.eval(x[0], &inputs, &[], Window::ALL).first().copied().unwrap_or(x[0])
    }
}

/// A flat vector from Python.
type Flat<'py> = PyReadonlyArray1<'py, f64>;
/// One for Python.
type Vector<'py> = Bound<'py, PyArray1<f64>>;

impl Function {
    /// Calls a driver, with the lock released.
    fn call<R: Send>(
        &self,
        py: Python<'_>,
        passive: Vec<Flat>,
        work: impl FnOnce(&mut Workspace, &At) -> Result<R, Fault> + Send,
    ) -> PyResult<R> {
        let passive = passive.iter().map(|a| Ok(a.as_slice()?.to_vec()));
        let passive: Vec<Vec<f64>> = passive.collect::<PyResult<_>>()?;
        let result = py.detach(|| {
            let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            let mut workspace = idle().pop().unwrap_or_default();
            let result = work(&mut workspace, &At { function: self, passive: &passive });
            idle().push(workspace);
            result
        });
        result.map_err(|fault| failed(py, fault.to_string()))
    }
}

#[pymethods]
impl Function {
    /// From the JSON of a graph, names of the variables and of passive arrays, and data by name.
    #[new]
    fn new(
        py: Python<'_>,
        json: &str,
        variables: Vec<String>,
        passive: Vec<String>,
        data: Vec<(String, Flat)>,
    ) -> PyResult<Self> {
        let refuse = |why: String| invalid(py, why);
        let value = serde_json::from_str(json).map_err(|e| refuse(e.to_string()))?;
        let graph = Graph::<f64>::from_json(value).map_err(|e| refuse(e.to_string()))?;
        let shape = |name: &str| graph.inputs().iter().find(|i| i.name == name).map(|i| i.shape);
        let shapes =
            |names: &[String]| names.iter().map(|name| shape(name)).collect::<Option<Vec<_>>>();
        let missing = || refuse("a graph without its variables".to_owned());
        let (variable_shapes, passive_shapes) =
            (shapes(&variables).ok_or_else(missing)?, shapes(&passive).ok_or_else(missing)?);
        let mut sources = Vec::new();
        for input in graph.inputs() {
            let place = |names: &[String]| names.iter().position(|name| *name == input.name);
            let known = place(&variables)
                .map(Source::Variable)
                .or_else(|| place(&passive).map(Source::Passive))
                .or_else(|| {
                    data.iter().position(|(name, _)| *name == input.name).map(Source::Data)
                });
            sources.push(known.ok_or_else(|| refuse(format!("no array {}", input.name)))?);
        }
        let mut kept = Vec::new();
        for (name, values) in &data {
            kept.push((shape(name).unwrap_or(Shape::EMPTY), values.as_slice()?.to_vec()));
        }
        let outputs = graph.outputs().next().map_or(0, Shape::len);
        Ok(Self {
            graph,
            sources,
            variables: variable_shapes,
            passive: passive_shapes,
            data: kept,
            outputs,
            idle: Mutex::default(),
        })
    }

    fn value<'py>(
        &self,
        py: Python<'py>,
        x: Flat<'py>,
        passive: Vec<Flat<'py>>,
    ) -> PyResult<Vector<'py>> {
        let (x, mut y) = (x.as_slice()?, vec![0.0; self.outputs]);
        self.call(py, passive, |workspace, f| workspace.value(f, &self.variables, x, &mut y))?;
        Ok(y.to_pyarray(py))
    }

    fn gradient<'py>(
        &self,
        py: Python<'py>,
        x: Flat<'py>,
        passive: Vec<Flat<'py>>,
    ) -> PyResult<(f64, Vector<'py>)> {
        let x = x.as_slice()?;
        let mut g = vec![0.0; x.len()];
        let value = self
            .call(py, passive, |workspace, f| workspace.gradient(f, &self.variables, x, &mut g))?;
        Ok((value, g.to_pyarray(py)))
    }

    /// The gradient and the product with the Hessian.
    fn hvp<'py>(
        &self,
        py: Python<'py>,
        x: Flat<'py>,
        v: Flat<'py>,
        passive: Vec<Flat<'py>>,
    ) -> PyResult<(f64, Vector<'py>, Vector<'py>)> {
        let (x, v) = (x.as_slice()?, v.as_slice()?);
        let (mut g, mut hv) = (vec![0.0; x.len()], vec![0.0; x.len()]);
        let value = self.call(py, passive, |workspace, f| {
            workspace.hvp(f, &self.variables, x, v, &mut g, &mut hv)
        })?;
        Ok((value, g.to_pyarray(py), hv.to_pyarray(py)))
    }

    fn jvp<'py>(
        &self,
        py: Python<'py>,
        x: Flat<'py>,
        dx: Flat<'py>,
        passive: Vec<Flat<'py>>,
    ) -> PyResult<(Vector<'py>, Vector<'py>)> {
        let (x, dx) = (x.as_slice()?, dx.as_slice()?);
        let (mut y, mut dy) = (vec![0.0; self.outputs], vec![0.0; self.outputs]);
        self.call(py, passive, |workspace, f| {
            workspace.jvp(f, &self.variables, x, dx, &mut y, &mut dy)
        })?;
        Ok((y.to_pyarray(py), dy.to_pyarray(py)))
    }

    fn vjp<'py>(
        &self,
        py: Python<'py>,
        x: Flat<'py>,
        y_bar: Flat<'py>,
        passive: Vec<Flat<'py>>,
    ) -> PyResult<(Vector<'py>, Vector<'py>)> {
        let (x, y_bar) = (x.as_slice()?, y_bar.as_slice()?);
        let (mut y, mut x_bar) = (vec![0.0; self.outputs], vec![0.0; x.len()]);
        self.call(py, passive, |workspace, f| {
            workspace.vjp(f, &self.variables, x, &mut y, y_bar, &mut x_bar)
        })?;
        Ok((y.to_pyarray(py), x_bar.to_pyarray(py)))
    }

    /// Value and Jacobian, row by row.
    fn jacobian<'py>(
        &self,
        py: Python<'py>,
        x: Flat<'py>,
        passive: Vec<Flat<'py>>,
    ) -> PyResult<(Vector<'py>, Vector<'py>)> {
        let x = x.as_slice()?;
        let (y, jacobian) =
            self.call(py, passive, |workspace, f| workspace.jacobian(f, &self.variables, x))?;
        Ok((y.to_pyarray(py), jacobian.to_pyarray(py)))
    }

    /// Value, gradient and Hessian, row by row.
    fn hessian<'py>(
        &self,
        py: Python<'py>,
        x: Flat<'py>,
        passive: Vec<Flat<'py>>,
    ) -> PyResult<(f64, Vector<'py>, Vector<'py>)> {
        let x = x.as_slice()?;
        let (mut g, mut h) = (vec![0.0; x.len()], vec![0.0; x.len() * x.len()]);
        let value = self.call(py, passive, |workspace, f| {
            workspace.hessian(f, &self.variables, x, &mut g, &mut h)
        })?;
        Ok((value, g.to_pyarray(py), h.to_pyarray(py)))
    }

    /// Orders of the Taylor remainders along `v`, and the gap to central differences.
    fn check<'py>(
        &self,
        py: Python<'py>,
        x: Flat<'py>,
        v: Flat<'py>,
        passive: Vec<Flat<'py>>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let (x, v) = (x.as_slice()?, v.as_slice()?);
        let (orders, gap) = self.call(py, passive, |_, f| {
            let orders = check::taylor(f, &self.variables, x, v)?;
            Ok((orders, check::central_differences(f, &self.variables, x)?))
        })?;
        let told = PyDict::new(py);
        told.set_item("gradient_order", orders.gradient)?;
        told.set_item("hessian_order", orders.hessian)?;
        told.set_item("difference", gap)?;
        Ok(told)
    }
}
