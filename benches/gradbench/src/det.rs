//! `det`: a determinant by expansion along first rows, recursively, on a tape of scalars.

use hypertape_autodiff::scalar::{Real, Tape};
use serde::Deserialize;
use serde_json::json;

use crate::protocol::{Call, Error, Outcome, expect};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    #[serde(rename = "A")]
    a: Vec<f64>,
    ell: usize,
}

/// The determinant of the matrix in `rows` after some columns are removed; the remaining columns are a linked list,
/// closed to a ring.
fn determinant<R: Real>(rows: &[R], next: &mut [usize]) -> R {
    let end = next.len() - 1;
    let (row, below) = rows.split_at(end);
    let (mut before, mut column) = (end, next[end]);
    if below.is_empty() {
        return row[column];
    }
    let (mut sum, mut plus) = (R::zero(), true);
    while column != end {
        next[before] = next[column];
        let minor = determinant(below, next);
        next[before] = column;
        sum = sum.add_product(if plus { row[column] } else { -row[column] }, minor);
        (before, column, plus) = (column, next[column], !plus);
    }
    sum
}

fn whole<R: Real>(a: &[R], ell: usize) -> R {
    let mut next: Vec<usize> = (1..=ell).chain([0]).collect();
    determinant(a, &mut next)
}

pub(crate) fn eval(call: &Call) -> Result<Outcome, Error> {
    let Input { a, ell } = call.input()?;
    expect("rows", 1, ell.min(1))?;
    expect("entries of the matrix", ell * ell, a.len())?;
    match call.function.as_str() {
        "primal" => call.compute(0.0, |det| *det = whole(&a, ell), |det| json!(det)),
        "gradient" => call.evaluate(
            (Tape::new(), vec![0.0; a.len()]),
            |(tape, gradient)| tape.gradient(|a| whole(a, ell), &a, gradient).map(drop),
            |(_, gradient)| json!(gradient),
        ),
        _ => Err(call.unknown()),
    }
}
