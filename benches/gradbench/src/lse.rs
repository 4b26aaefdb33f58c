//! `lse`: `a + ln sum_i e^{x_i - a}` with `a = max_i x_i`, over arrays.
//!
//! As the suite asks, only primitive operations of `Array` are used; `logsumexp`, one operation with its own slope, is
//! faster. `a` is a constant, because the value does not depend on it.

use hypertape_autodiff::{Array, Element, Function, Shape, Workspace};
use serde::Deserialize;
use serde_json::json;

use crate::protocol::{Call, Error, Outcome};

#[derive(Deserialize)]
struct Input {
    x: Vec<f64>,
}

struct Lse;

impl<T: Element> Function<T> for Lse {
    fn eval<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A]) -> A {
        let most = x[0].values().iter().fold(f64::NEG_INFINITY, |most, x| most.max(x.as_f64()));
        (x[0] - most).exp().sum().ln() + most
    }
}

pub(crate) fn eval(call: &Call) -> Result<Outcome, Error> {
    let Input { x } = call.input()?;
    let shapes = [Shape::column(u32::try_from(x.len())?)];
    let memory = |len| (Workspace::new(), vec![0.0; len]);
    match call.function.as_str() {
        "primal" => call.evaluate(
            memory(1),
            |(workspace, value)| workspace.value(&Lse, &shapes, &x, value),
            |(_, value)| json!(value[0]),
        ),
        "gradient" => call.evaluate(
            memory(x.len()),
            |(workspace, gradient)| workspace.gradient(&Lse, &shapes, &x, gradient).map(drop),
            |(_, gradient)| json!(gradient),
        ),
        _ => Err(call.unknown()),
    }
}
