//! `ode`: `y_0' = x_0`, `y_i' = x_i y_{i-1}` from `y(0) = 0` to `t = 2` by `s` steps of the classical Runge-Kutta
//! method, over arrays; the gradient of the last `y_i` by reverse mode.
//!
//! The state is `(1, y)`, whose slope is `(0, x_i v_i)`: the first entry is the factor of `x_0` in `y_0'`, and the
//! shift is a slice, which shares memory.

use hypertape_autodiff::{Array, Element, Function, Shape, Workspace};
use serde::Deserialize;
use serde_json::json;

use crate::protocol::{Call, Error, Outcome};

#[derive(Deserialize)]
struct Input {
    x: Vec<f64>,
    s: u32,
}

struct Ode<T> {
    steps: u32,
    /// The start `(1, 0)`.
    start: Vec<T>,
}

impl<T: Element> Function<T> for Ode<T> {
    fn eval<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A]) -> A {
        let (x, column) = (x[0], x[0].shape());
        let longer = Shape::column(column.rows + 1);
        let h = 2.0 / f64::from(self.steps);
        let slope = |v: A| x * v.slice(0, column);
        let mut v = x.constant(longer, &self.start);
        for _ in 0..self.steps {
            let moved = |k: A, by: f64| v + (k * by).embed(1, longer);
            let k = slope(v);
            let l = slope(moved(k, h / 2.0));
            let m = slope(moved(l, h / 2.0));
            let n = slope(moved(m, h));
            v = moved(k + (l + m) * 2.0 + n, h / 6.0);
        }
        v.slice(1, column)
    }
}

pub(crate) fn eval(call: &Call) -> Result<Outcome, Error> {
    let Input { x, s: steps } = call.input()?;
    let shapes = [Shape::column(u32::try_from(x.len())?)];
    let mut ode = Ode { steps, start: vec![0.0; x.len() + 1] };
    ode.start[0] = 1.0;
    let memory = (Workspace::new(), vec![0.0; x.len()], vec![0.0; x.len()]);
    match call.function.as_str() {
        "primal" => call.evaluate(
            memory,
            |(workspace, y, _)| workspace.value(&ode, &shapes, &x, y),
            |(_, y, _)| json!(y),
        ),
        "gradient" => {
            let mut last = vec![0.0; x.len()];
            last.iter_mut().next_back().into_iter().for_each(|last| *last = 1.0);
            call.evaluate(
                memory,
                |(workspace, y, x_bar)| workspace.vjp(&ode, &shapes, &x, y, &last, x_bar),
                |(.., x_bar)| json!(x_bar),
            )
        }
        _ => Err(call.unknown()),
    }
}
