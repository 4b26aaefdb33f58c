//! `gmm`: the log-posterior of a [mixture](crate::mixture) of Gaussians, and its gradient, over arrays.

use hypertape_autodiff::Workspace;
use serde::Deserialize;
use serde_json::json;

use crate::mixture::{Gmm, Wishart};
use crate::protocol::{Call, Error, Outcome, expect, flat};

type Rows = Vec<Vec<f64>>;

#[derive(Deserialize)]
struct Input {
    d: usize,
    k: usize,
    n: usize,
    x: Rows,
    m: u32,
    gamma: f64,
    alpha: Vec<f64>,
    mu: Rows,
    q: Rows,
    l: Rows,
}

pub(crate) fn eval(call: &Call) -> Result<Outcome, Error> {
    let Input { d, k, n, x, m, gamma, alpha, mu, q, l } = call.input()?;
    let widths = [d, d, d * d.saturating_sub(1) / 2];
    expect("points", n, x.len())?;
    let points = flat("coordinates of a point", d, &x)?;
    expect("weights", k, alpha.len())?;
    let mut parameters = alpha;
    for (what, width, rows) in [("means", d, mu), ("diagonals", d, q), ("triangles", widths[2], l)]
    {
        expect(what, k, rows.len())?;
        parameters.extend(flat(what, width, &rows)?);
    }
    // The features of the points are part of the function, so every run computes them.
    let mixture = || Gmm::new(&points, [d, k], Wishart { gamma, m });
    let shapes = mixture()?.shapes();
    let memory = |len| (Workspace::new(), vec![0.0; len]);
    match call.function.as_str() {
        "objective" => call.evaluate(
            memory(1),
            |(workspace, value)| -> Result<(), Error> {
                Ok(workspace.value(&mixture()?, &shapes, &parameters, value)?)
            },
            |(_, value)| json!(value[0]),
        ),
        "jacobian" => call.evaluate(
            memory(parameters.len()),
            |(workspace, gradient)| -> Result<(), Error> {
                workspace.gradient(&mixture()?, &shapes, &parameters, gradient)?;
                Ok(())
            },
            |(_, gradient)| {
                let (alpha, rest) = gradient.split_at(k);
                let (mu, rest) = rest.split_at(k * d);
                let (q, l) = rest.split_at(k * d);
                let rows = |entries: &[f64], width: usize| -> Rows {
                    (0..k).map(|i| entries[i * width..][..width].to_vec()).collect()
                };
                json!({
                    "alpha": alpha, "mu": rows(mu, d), "q": rows(q, d), "l": rows(l, widths[2]),
                })
            },
        ),
        _ => Err(call.unknown()),
    }
}
