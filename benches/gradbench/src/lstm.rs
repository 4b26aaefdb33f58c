//! `lstm`: the loss of a network of memory cells with gates that predicts the next row of a sequence, on a tape of
//! scalars.
//!
//! Each layer has `b` cells; cell `i` has the hidden state `h_i` and the memory `c_i`. `z` is the output of the layer
//! below; that of the first layer is `x_i` times a weight. There is one weight `w` and one bias per cell and gate, so
//! matrices are diagonal, as the suite defines it:
//!
//! ```text
//! c_i <- c_i sigmoid(w^f z_i + b^f) + sigmoid(w^i h_i + b^i) tanh(w^c h_i + b^c)
//! h_i <- sigmoid(w^o z_i + b^o) tanh(c_i)
//! y_i = w^y h_i + b^y of the last layer
//! loss = -mean of g_i (y_i - ln(2 + sum_j e^{y_j})) over rows but the last and `i`, where g is the next row
//! ```
//!
//! The 2 in the logarithm is also part of the suite's definition.

use std::f64::consts::LN_2;

use hypertape_autodiff::scalar::{Real, Tape};
use serde::Deserialize;
use serde_json::json;

use crate::protocol::{Call, Error, Outcome, expect, flat};

type Rows = Vec<Vec<f64>>;

#[derive(Deserialize)]
struct Input {
    main_params: Rows,
    extra_params: Rows,
    state: Rows,
    sequence: Rows,
}

/// Inputs with respect to which the loss is not differentiated.
struct Network {
    cells: usize,
    /// Hidden state, then memory, for each layer.
    state: Vec<f64>,
    sequence: Vec<f64>,
}

impl Network {
    /// The loss as a function of the parameters: for each layer four weights and four biases per cell, gate by gate,
    /// then three rows for input and output.
    fn loss<R: Real>(&self, parameters: &[R]) -> R {
        let b = self.cells;
        let (layers, extra) = parameters.split_at(parameters.len() - 3 * b);
        let mut state: Vec<R> = self.state.iter().map(|&v| R::constant(v)).collect();
        // The 2 of the formula is added as one more exponential.
        let mut y = vec![R::constant(LN_2); b + 1];
        let (mut loss, mut terms) = (R::zero(), 0);
        for (x, gold) in self.sequence.chunks_exact(b).zip(self.sequence[b..].chunks_exact(b)) {
            y[..b].iter_mut().zip(x).zip(extra).for_each(|((y, &x), &weight)| *y = weight * x);
            for (layer, state) in layers.chunks_exact(8 * b).zip(state.chunks_exact_mut(2 * b)) {
                let (hidden, memory) = state.split_at_mut(b);
                for i in 0..b {
                    let gate =
                        |k: usize, z: R| layer[(k + 4) * b + i].add_product(layer[k * b + i], z);
                    let (forget, ingate) = (gate(0, y[i]).sigmoid(), gate(1, hidden[i]).sigmoid());
                    let (outgate, change) = (gate(2, y[i]).sigmoid(), gate(3, hidden[i]).tanh());
                    memory[i] = (memory[i] * forget).add_product(ingate, change);
                    hidden[i] = outgate * memory[i].tanh();
                    y[i] = hidden[i];
                }
            }
            for i in 0..b {
                y[i] = extra[2 * b + i].add_product(extra[b + i], y[i]);
            }
            loss += R::logsumexp(&y) * gold.iter().sum::<f64>() - R::linear(gold, &y[..b]);
            terms += b;
        }
        loss / terms as f64
    }
}

pub(crate) fn eval(call: &Call) -> Result<Outcome, Error> {
    let Input { main_params, extra_params, state, sequence } = call.input()?;
    let b = sequence.first().map_or(0, Vec::len);
    let [layers, extra, rows] = [main_params.len() / 2, extra_params.len(), state.len()];
    expect("bits of a row, and layers", 2, usize::from(b > 0) + usize::from(layers > 0))?;
    expect("rows of main parameters", 2 * layers, main_params.len())?;
    expect("rows of extra parameters", 3, extra)?;
    expect("rows of state", 2 * layers, rows)?;
    let mut parameters = flat("a row of main parameters", 4 * b, &main_params)?;
    parameters.extend(flat("a row of extra parameters", b, &extra_params)?);
    let state = flat("a row of state", b, &state)?;
    let sequence = flat("a row of the sequence", b, &sequence)?;
    let network = Network { cells: b, state, sequence };
    match call.function.as_str() {
        "objective" => call.compute(0.0, |y| *y = network.loss(&parameters), |y| json!(y)),
        "jacobian" => call.evaluate(
            (Tape::new(), vec![0.0; parameters.len()]),
            |(tape, gradient)| tape.gradient(|x| network.loss(x), &parameters, gradient).map(drop),
            |(_, gradient)| json!(gradient),
        ),
        _ => Err(call.unknown()),
    }
}
