//! `kmeans`: `sum_i min_j |c_j - p_i|^2`, its gradient and its Hessian, which is diagonal, over arrays.
//!
//! Which centroid is closest is a branch. It is computed on plain numbers, as the largest `p_i c_j - |c_j|^2 / 2`, by
//! one matrix product per block of points. The cost gathers the chosen rows. A direction of ones gives the diagonal
//! together with the gradient, in one pass.

use hypertape_autodiff::{Array, Element, Fault, Function, Shape, Workspace};
use serde::Deserialize;
use serde_json::json;

use crate::protocol::{Call, Error, Outcome, expect, flat};

/// Scores of a block of points.
const BLOCK_SCORES: usize = 1 << 15;

#[derive(Deserialize)]
struct Input {
    points: Vec<Vec<f64>>,
    centroids: Vec<Vec<f64>>,
}

/// Computes `p_i c_j - |c_j|^2 / 2` for some of the points.
struct Scores<'p, T> {
    points: &'p [T],
}

impl<T: Element> Function<T> for Scores<'_, T> {
    fn eval<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A]) -> A {
        let Shape { rows, cols } = x[0].shape();
        let points = x[0]
            .constant(Shape::new((self.points.len() / cols as usize) as u32, cols), self.points);
        let halves = (x[0].row_dot(x[0]) / 2.0).reshape(Shape::new(1, rows));
        points.matmul_transposed(false, x[0], true) - halves
    }
}

struct Cost<'p, T> {
    points: &'p [T],
    closest: Vec<u32>,
    scores: Vec<T>,
}

impl Cost<'_, f64> {
    /// Finds the closest of the `k` centroids for each point.
    fn choose(
        &mut self,
        workspace: &mut Workspace,
        centroids: &[f64],
        shape: Shape,
    ) -> Result<(), Fault> {
        let [k, d] = [shape.rows, shape.cols].map(|n| n as usize);
        self.closest.clear();
        for points in self.points.chunks((BLOCK_SCORES / k).max(1) * d) {
            self.scores.resize(points.len() / d * k, 0.0);
            workspace.value(&Scores { points }, &[shape], centroids, &mut self.scores)?;
            self.closest.extend(self.scores.chunks_exact(k).map(largest));
        }
        Ok(())
    }
}

/// Index of the largest entry.
fn largest(scores: &[f64]) -> u32 {
    let first = (0, f64::NEG_INFINITY);
    (0..)
        .zip(scores)
        .fold(first, |most, (j, &score)| if score > most.1 { (j, score) } else { most })
        .0
}

impl<T: Element> Function<T> for Cost<'_, T> {
    fn eval<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A]) -> A {
        let chosen = x[0].gather_rows(&self.closest);
        chosen.squared_error(x[0].constant(chosen.shape(), self.points))
    }
}

pub(crate) fn eval(call: &Call) -> Result<Outcome, Error> {
    let Input { points, centroids } = call.input()?;
    let (k, d) = (centroids.len(), centroids.first().map_or(0, Vec::len));
    expect("centroids with coordinates", usize::from(k > 0), usize::from(d > 0))?;
    let points = flat("coordinates of a point", d, &points)?;
    let centroids = flat("coordinates of a centroid", d, &centroids)?;
    let shape = Shape::new(u32::try_from(k)?, u32::try_from(d)?);
    let shapes = [shape];
    let cost = Cost { points: &points, closest: Vec::new(), scores: Vec::new() };
    match call.function.as_str() {
        "cost" => call.evaluate(
            (Workspace::new(), cost, [0.0]),
            |(workspace, cost, value)| {
                cost.choose(workspace, &centroids, shape)?;
                workspace.value(cost, &shapes, &centroids, value)
            },
            |(.., [value])| json!(value),
        ),
        "dir" => {
            let [ones, gradient, diagonal] = [1.0, 0.0, 0.0].map(|fill| vec![fill; k * d]);
            call.evaluate(
                (Workspace::new(), cost, gradient, diagonal),
                |(workspace, cost, gradient, diagonal)| {
                    cost.choose(workspace, &centroids, shape)?;
                    workspace.hvp(cost, &shapes, &centroids, &ones, gradient, diagonal)?;
                    gradient.iter_mut().zip(diagonal).for_each(|(g, h)| *g /= *h);
                    Ok::<(), Fault>(())
                },
                |(_, _, direction, _)| json!(direction.chunks_exact(d).collect::<Vec<_>>()),
            )
        }
        _ => Err(call.unknown()),
    }
}
