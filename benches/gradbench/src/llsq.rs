//! `llsq`: `1/2 sum_i (s_i - sum_j x_j t_i^j)^2` with `t_i` from -1 to 1 in equal steps and `s_i = sign t_i`, over
//! arrays.
//!
//! The powers of some `t_i` are a constant matrix. As part of the function, it is computed in every run, block by
//! block, so that a block stays in cache from its computation to the pull-back.

use std::iter::successors;

use hypertape_autodiff::{Array, Element, Fault, Function, Shape, Workspace, axpy};
use serde::Deserialize;
use serde_json::json;

use crate::protocol::{Call, Error, Outcome};

/// Number of points per block: 256 KiB of powers for 128 coefficients.
const BLOCK: usize = 256;

#[derive(Deserialize)]
struct Input {
    x: Vec<f64>,
    n: usize,
}

/// The terms of one block.
#[derive(Default)]
struct Block<T> {
    powers: Vec<T>,
    signs: Vec<T>,
}

impl Block<f64> {
    fn fill(&mut self, points: std::ops::Range<usize>, n: usize, m: usize) {
        self.powers.clear();
        self.signs.clear();
        for i in points {
            let t = 2.0 * i as f64 / (n - 1) as f64 - 1.0;
            self.signs.push(if t == 0.0 { 0.0 } else { t.signum() });
            self.powers.extend(successors(Some(1.0), |power| Some(power * t)).take(m));
        }
    }
}

impl<T: Element> Function<T> for Block<T> {
    fn eval<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A]) -> A {
        let rows = self.signs.len() as u32;
        let powers = x[0].constant(Shape::new(rows, x[0].shape().rows), &self.powers);
        let signs = x[0].constant(Shape::column(rows), &self.signs);
        powers.matmul(x[0]).squared_error(signs) / 2.0
    }
}

/// Memory that is kept between runs.
#[derive(Default)]
struct Memory {
    workspace: Workspace,
    block: Block<f64>,
    value: f64,
    part: Vec<f64>,
    gradient: Vec<f64>,
}

impl Memory {
    fn run(&mut self, x: &[f64], n: usize, gradient: bool) -> Result<(), Fault> {
        let Self { workspace, block, part, .. } = self;
        let shapes = [Shape::column(x.len() as u32)];
        self.value = 0.0;
        self.gradient.clear();
        self.gradient.resize(x.len(), 0.0);
        part.resize(x.len(), 0.0);
        for start in (0..n).step_by(BLOCK) {
            block.fill(start..n.min(start + BLOCK), n, x.len());
            if gradient {
                self.value += workspace.gradient(block, &shapes, x, part)?;
                axpy(&mut self.gradient, 1.0, part);
            } else {
                let mut value = [0.0];
                workspace.value(block, &shapes, x, &mut value)?;
                self.value += value[0];
            }
        }
        Ok(())
    }
}

pub(crate) fn eval(call: &Call) -> Result<Outcome, Error> {
    let Input { x, n } = call.input()?;
    u32::try_from(x.len())?;
    match call.function.as_str() {
        "primal" => call.evaluate(Memory::default(), |m| m.run(&x, n, false), |m| json!(m.value)),
        "gradient" => {
            call.evaluate(Memory::default(), |m| m.run(&x, n, true), |m| json!(m.gradient))
        }
        _ => Err(call.unknown()),
    }
}
