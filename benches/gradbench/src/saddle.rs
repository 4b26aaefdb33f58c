//! `saddle`: `min_x max_y f(x, y)` for `f(x, y) = (x_1^2 + x_2^2) - (y_1^2 + y_2^2)`, by a descent along `x`, each of
//! whose values comes from a descent of `-f` along `y`, both from the same start; and then the `y` that belongs to `x`.
//!
//! The first letter of a function's name is the mode for `x`, the second that for `y`.

use std::marker::PhantomData;

use hypertape_autodiff::Fault;
use hypertape_autodiff::scalar::Real;
use serde::Deserialize;
use serde_json::json;

use crate::descent::{Forward, Mode, Objective, Reverse, descend};
use crate::protocol::{Call, Error, Outcome};

#[derive(Deserialize)]
struct Input {
    start: [f64; 2],
}

/// `-f(x, y)` as a function of `y`.
struct Minus;

impl Objective<2, 2> for Minus {
    fn eval<R: Real>(&self, y: [R; 2], x: [R; 2]) -> Result<R, Fault> {
        let length = |v: [R; 2]| v[0].square() + v[1].square();
        Ok(length(y) - length(x))
    }
}

/// `max_y f(x, y)`, computed in mode `M`.
struct Most<M> {
    start: [f64; 2],
    mode: PhantomData<M>,
}

impl<M: Mode> Objective<2, 0> for Most<M> {
    fn eval<R: Real>(&self, x: [R; 2], []: [R; 0]) -> Result<R, Fault> {
        let y = descend::<M, R, 2, 2>(&Minus, self.start.map(R::constant), x)?;
        Ok(-Minus.eval(y, x)?)
    }
}

/// Finds `x` in mode `O`, with the inner descent along `y` in mode `M`.
fn saddle<O: Mode, M: Mode>(start: [f64; 2]) -> Result<[[f64; 2]; 2], Fault> {
    let x = descend::<O, f64, 2, 0>(&Most::<M> { start, mode: PhantomData }, start, [])?;
    Ok([x, descend::<M, f64, 2, 2>(&Minus, start, x)?])
}

pub(crate) fn eval(call: &Call) -> Result<Outcome, Error> {
    let Input { start } = call.input()?;
    let find = match call.function.as_str() {
        "ff" => saddle::<Forward, Forward>,
        "fr" => saddle::<Forward, Reverse>,
        "rf" => saddle::<Reverse, Forward>,
        "rr" => saddle::<Reverse, Reverse>,
        _ => return Err(call.unknown()),
    };
    call.evaluate(
        [[0.0; 2]; 2],
        |found| find(start).map(|at| *found = at),
        |found| json!(found.as_flattened()),
    )
}
