//! `Function`: a traced function of arrays, with its derivatives over flat vectors.

use std::sync::{Mutex, PoisonError};

use hypertape::graph::{Graph, Window};
use hypertape::{Array, Fault, Function as Differentiable, Shape, Workspace, check};
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::failure::{failed, invalid};

/// The source of an input of the graph.
enum Source {
    /// An array with respect to which derivatives are taken.
    Variable(usize),
    /// An array that is passed with each call.
    Passive(usize),
    /// An array that is stored in the function.
    Data(usize),
}

/// A function of arrays. The first arrays are variables; the others are passed with each call, or are stored in the
/// function.
#[pyclass(frozen, module = "hypertape._core")]
pub(crate) struct Function {
    graph: Graph<f64>,
    sources: Vec<Source>,
    variables: Vec<Shape>,
    passive: Vec<Shape>,
    data: Vec<(Shape, Vec<f64>)>,
    outputs: usize,
    /// Memory of earlier calls, for reuse.
    idle: Mutex<Vec<Workspace>>,
}

/// The function with its passive arrays fixed.
struct At<'f> {
    function: &'f Function,
    passive: &'f [&'f [f64]],
}

impl Differentiable<f64> for At<'_> {
    fn eval<'a, A: Array<'a, Elem = f64>>(&'a self, x: &[A]) -> A {
        let Function { graph, sources, passive, data, .. } = self.function;
        let input = |source: &Source| match *source {
            Source::Variable(k) => x[k],
            Source::Passive(k) => x[0].constant(passive[k], self.passive[k]),
            Source::Data(k) => x[0].constant(data[k].0, &data[k].1),
        };
        let inputs: Vec<A> = sources.iter().map(input).collect();
        // There is no result if an operation failed, which the arena reports.
        graph.eval(x[0], &inputs, &[], Window::ALL).first().copied().unwrap_or(x[0])
    }
}

/// A flat vector from Python.
type Flat<'py> = PyReadonlyArray1<'py, f64>;
/// A flat vector for Python.
type Vector<'py> = Bound<'py, PyArray1<f64>>;

impl Function {
    /// Calls a driver with the lock released.
    fn call<R: Send>(
        &self,
        py: Python<'_>,
        passive: Vec<Flat>,
        work: impl FnOnce(&mut Workspace, &At) -> Result<R, Fault> + Send,
    ) -> PyResult<R> {
        let passive: Vec<&[f64]> = passive.iter().map(Flat::as_slice).collect::<Result<_, _>>()?;
        let result = py.detach(|| {
            let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            let mut workspace = idle().pop().unwrap_or_default();
            let result = work(&mut workspace, &At { function: self, passive: &passive });
            idle().push(workspace);
            result
        });
        result.map_err(|fault| failed(py, fault.to_string()))
    }

    /// Calls a driver with vectors that it fills.
    fn filled<'py, R: Send, const N: usize>(
        &self,
        py: Python<'py>,
        passive: Vec<Flat>,
        sizes: [usize; N],
        work: impl FnOnce(&mut Workspace, &At, [&mut [f64]; N]) -> Result<R, Fault> + Send,
    ) -> PyResult<(R, [Vector<'py>; N])> {
        let mut vectors = sizes.map(|size| vec![0.0; size]);
        let out = vectors.each_mut().map(|vector| &mut vector[..]);
        let result = self.call(py, passive, |workspace, f| work(workspace, f, out))?;
        Ok((result, vectors.map(|vector| vector.into_pyarray(py))))
    }
}

#[pymethods]
impl Function {
    /// Create a function from the JSON of a graph, the names of the variables and of the passive arrays, and data by
    /// name.
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

    fn value<'py>(&self, py: Python<'py>, x: Flat, passive: Vec<Flat>) -> PyResult<Vector<'py>> {
        let x = x.as_slice()?;
        let work = |workspace: &mut Workspace, f: &At, [y]: [&mut [f64]; 1]| {
            workspace.value(f, &self.variables, x, y)
        };
        let ((), [y]) = self.filled(py, passive, [self.outputs], work)?;
        Ok(y)
    }

    fn gradient<'py>(
        &self,
        py: Python<'py>,
        x: Flat,
        passive: Vec<Flat>,
    ) -> PyResult<(f64, Vector<'py>)> {
        let x = x.as_slice()?;
        let (value, [g]) = self.filled(py, passive, [x.len()], |workspace, f, [g]| {
            workspace.gradient(f, &self.variables, x, g)
        })?;
        Ok((value, g))
    }

    /// Return the value, the gradient and the product with the Hessian.
    fn hvp<'py>(
        &self,
        py: Python<'py>,
        x: Flat,
        v: Flat,
        passive: Vec<Flat>,
    ) -> PyResult<(f64, Vector<'py>, Vector<'py>)> {
        let (x, v) = (x.as_slice()?, v.as_slice()?);
        let (value, [g, hv]) =
            self.filled(py, passive, [x.len(); 2], |workspace, f, [g, hv]| {
                workspace.hvp(f, &self.variables, x, v, g, hv)
            })?;
        Ok((value, g, hv))
    }

    fn jvp<'py>(
        &self,
        py: Python<'py>,
        x: Flat,
        dx: Flat,
        passive: Vec<Flat>,
    ) -> PyResult<[Vector<'py>; 2]> {
        let (x, dx) = (x.as_slice()?, dx.as_slice()?);
        let work = |workspace: &mut Workspace, f: &At, [y, dy]: [&mut [f64]; 2]| {
            workspace.jvp(f, &self.variables, x, dx, y, dy)
        };
        let ((), found) = self.filled(py, passive, [self.outputs; 2], work)?;
        Ok(found)
    }

    fn vjp<'py>(
        &self,
        py: Python<'py>,
        x: Flat,
        y_bar: Flat,
        passive: Vec<Flat>,
    ) -> PyResult<[Vector<'py>; 2]> {
        let (x, y_bar) = (x.as_slice()?, y_bar.as_slice()?);
        let work = |workspace: &mut Workspace, f: &At, [y, x_bar]: [&mut [f64]; 2]| {
            workspace.vjp(f, &self.variables, x, y, y_bar, x_bar)
        };
        let ((), found) = self.filled(py, passive, [self.outputs, x.len()], work)?;
        Ok(found)
    }

    /// Return the value and the Jacobian in row-major order.
    fn jacobian<'py>(
        &self,
        py: Python<'py>,
        x: Flat,
        passive: Vec<Flat>,
    ) -> PyResult<[Vector<'py>; 2]> {
        let x = x.as_slice()?;
        let (y, jacobian) =
            self.call(py, passive, |workspace, f| workspace.jacobian(f, &self.variables, x))?;
        Ok([y, jacobian].map(|found| found.into_pyarray(py)))
    }

    /// Return the value, the gradient and the Hessian in row-major order.
    fn hessian<'py>(
        &self,
        py: Python<'py>,
        x: Flat,
        passive: Vec<Flat>,
    ) -> PyResult<(f64, Vector<'py>, Vector<'py>)> {
        let x = x.as_slice()?;
        let sizes = [x.len(), x.len() * x.len()];
        let (value, [g, h]) = self.filled(py, passive, sizes, |workspace, f, [g, h]| {
            workspace.hessian(f, &self.variables, x, g, h)
        })?;
        Ok((value, g, h))
    }

    /// Return the orders of the Taylor remainders along `v`, and the gap to central differences.
    fn check<'py>(
        &self,
        py: Python<'py>,
        x: Flat,
        v: Flat,
        passive: Vec<Flat>,
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
