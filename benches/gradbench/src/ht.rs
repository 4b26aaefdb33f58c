//! `ht`: how far the vertices of a posed hand are from measured points, and the Jacobian of that, by packed forward mode.
//!
//! Each bone has its transform in its parent's frame, turned at a joint by the pose, and each vertex is carried by the bones that
//! have a weight of it; the whole hand is turned and moved:
//!
//! ```text
//! A_b = A_parent(b) B_b R_b,    v = R(theta_1..3) sum_b w_vb A_b A0_b^-1 v0 + theta_4..6
//! ```
//!
//! Four of `theta` belong to a finger: its second bone bends and spreads, the two after it bend. A point is compared to a vertex, or,
//! where there are `us`, to a place in a triangle, `u_1 v_a + u_2 v_b + (1 - u_1 - u_2) v_c`. All of `theta`, and the two `u` of
//! each point, are directions of one pass.

use std::array::from_fn;

use hypertape_autodiff::scalar::{Dual, Real};
use serde::Deserialize;
use serde_json::json;

use crate::protocol::{Call, Error, Outcome, below, expect};

const THETA: usize = 26;
const FINGERS: usize = 5;

#[derive(Deserialize)]
struct Input {
    theta: [f64; THETA],
    data: Data,
    us: Vec<[f64; 2]>,
}

#[derive(Deserialize)]
struct Data {
    model: Model,
    correspondences: Vec<usize>,
    points: Vec<[f64; 3]>,
}

#[derive(Deserialize)]
struct Model {
    /// -1 for none, otherwise an earlier bone.
    parents: Vec<i64>,
    base_relatives: Vec<[[f64; 4]; 4]>,
    inverse_base_absolutes: Vec<[[f64; 4]; 4]>,
    base_positions: Vec<[f64; 4]>,
    /// Of each vertex, one a bone.
    weights: Vec<Vec<f64>>,
    triangles: Vec<[usize; 3]>,
    is_mirrored: bool,
}

/// A rotation and a shift: a matrix of four rows without its last, `(0, 0, 0, 1)`.
type Affine<R> = [[R; 4]; 3];

fn product<R: Real>(a: &Affine<R>, b: &Affine<R>) -> Affine<R> {
    from_fn(|i| {
        from_fn(|j| {
            let sum = a[i][0] * b[0][j] + a[i][1] * b[1][j] + a[i][2] * b[2][j];
            if j == 3 { sum + a[i][3] } else { sum }
        })
    })
}

fn constant<R: Real>(matrix: &[[f64; 4]; 4]) -> Affine<R> {
    from_fn(|i| matrix[i].map(R::constant))
}

/// `a` after a turn by `bend` around the first axis and by `spread` around the third.
fn turned<R: Real>(a: &Affine<R>, bend: R, spread: R) -> Affine<R> {
    let ((s, c), (t, d)) = (bend.sin_cos(), spread.sin_cos());
    a.map(|[x, y, z, shift]| {
        let (u, v) = (x * d + y * t, y * d - x * t);
        [u, v * c + z * s, z * c - v * s, shift]
    })
}

/// The rotation around `r` by the angle `|r|`; none below 1e-4.
fn rotation<R: Real>(r: [R; 3]) -> [[R; 3]; 3] {
    let angle = R::dot(&r, &r).sqrt();
    if angle < 1e-4 {
        return from_fn(|i| from_fn(|j| R::constant(f64::from(i == j))));
    }
    let axis = r.map(|r| r / angle);
    let (s, c) = angle.sin_cos();
    from_fn(|i| {
        from_fn(|j| {
            let both = axis[i] * axis[j] * (R::one() - c);
            match (3 + j - i) % 3 {
                0 => both + c,
                1 => both - axis[(j + 1) % 3] * s,
                _ => both + axis[(i + 1) % 3] * s,
            }
        })
    })
}

impl Model {
    /// Of each bone, from its place at rest to its place in the pose.
    fn transforms<R: Real>(&self, theta: &[R]) -> Vec<Affine<R>> {
        let mut absolutes: Vec<Affine<R>> = Vec::with_capacity(self.parents.len());
        for (bone, base) in self.base_relatives.iter().enumerate() {
            let mut relative = constant(base);
            // Bones 2, 3, 4 are those of the first finger, 6, 7, 8 of the second.
            if let Some((finger, joint)) = bone.checked_sub(2).map(|bone| (bone / 4, bone % 4))
                && finger < FINGERS
                && joint < 3
            {
                let own = &theta[6 + 4 * finger..];
                let (bend, spread) =
                    [(own[0], own[1]), (own[2], R::zero()), (own[3], R::zero())][joint];
                relative = turned(&relative, bend, spread);
            }
            absolutes.push(match usize::try_from(self.parents[bone]) {
                Ok(parent) => product(&absolutes[parent], &relative),
                Err(_) => relative,
            });
        }
        let inverses = self.inverse_base_absolutes.iter().map(constant);
        absolutes.iter().zip(inverses).map(|(now, back)| product(now, &back)).collect()
    }

    fn vertex<R: Real>(
        &self,
        transforms: &[Affine<R>],
        theta: &[R],
        turn: &[[R; 3]; 3],
        vertex: usize,
    ) -> [R; 3] {
        let mut at = [R::zero(); 3];
        let carried =
            transforms.iter().zip(&self.weights[vertex]).filter(|(_, weight)| **weight != 0.0);
        for (transform, weight) in carried {
            let place = self.base_positions[vertex].map(|x| x * weight);
            at = from_fn(|i| at[i] + R::linear(&place, &transform[i]));
        }
        if self.is_mirrored {
            at[0] = -at[0];
        }
        from_fn(|i| theta[3 + i] + R::dot(&turn[i], &at))
    }
}

impl Data {
    /// What each point misses, by coordinates.
    fn misses<R: Real>(&self, theta: &[R], us: &[[R; 2]], y: &mut [R]) {
        let (model, turn) = (&self.model, rotation([theta[0], theta[1], theta[2]]));
        let transforms = model.transforms(theta);
        // Of the vertices that a point is compared to.
        let mut found = vec![None; model.base_positions.len()];
        let mut vertex = |v: usize| -> [R; 3] {
            *found[v].get_or_insert_with(|| model.vertex(&transforms, theta, &turn, v))
        };
        for (i, (&to, y)) in self.correspondences.iter().zip(y.chunks_exact_mut(3)).enumerate() {
            let at = match us.get(i) {
                None => vertex(to),
                Some(&[u, v]) => {
                    let [a, b, c] = model.triangles[to].map(&mut vertex);
                    let w = R::one() - u - v;
                    from_fn(|j| u * a[j] + v * b[j] + w * c[j])
                }
            };
            y.iter_mut().zip(at).zip(self.points[i]).for_each(|((y, at), point)| *y = -at + point);
        }
    }

    /// What makes no hand.
    fn check(&self, us: usize) -> Result<(), Error> {
        let Model {
            parents,
            base_relatives,
            inverse_base_absolutes,
            base_positions,
            weights,
            triangles,
            ..
        } = &self.model;
        let (bones, vertices) = (parents.len(), base_positions.len());
        expect("relative transforms", bones, base_relatives.len())?;
        expect("inverse transforms", bones, inverse_base_absolutes.len())?;
        expect("weights", vertices, weights.len())?;
        weights.iter().try_for_each(|row| expect("weights of a vertex", bones, row.len()))?;
        expect("points", self.correspondences.len(), self.points.len())?;
        below(
            "parents",
            parents
                .iter()
                .enumerate()
                .map(|(bone, &parent)| (usize::try_from(parent).unwrap_or(0), bone.max(1))),
        )?;
        below("vertices of triangles", triangles.iter().flatten().map(|&v| (v, vertices)))?;
        let among = if us == 0 { vertices } else { triangles.len() };
        below("correspondences", self.correspondences.iter().map(|&to| (to, among)))?;
        let last = base_relatives
            .iter()
            .chain(inverse_base_absolutes)
            .all(|m| m[3] == [0.0, 0.0, 0.0, 1.0]);
        expect("transforms with a last row of 0, 0, 0, 1", usize::from(last), 1)?;
        if us == 0 { Ok(()) } else { expect("us", self.correspondences.len(), us) }
    }
}

/// All columns at once: those of `us`, if there are any, and of `theta`.
fn jacobian<const N: usize>(
    Input { theta, data, us }: &Input,
    y: &mut Vec<Dual<f64, N>>,
    rows: &mut [f64],
) {
    let theta = theta.iter().zip(N - THETA..).map(|(&theta, lane)| Dual::variable(theta, lane));
    let us: Vec<_> = us.iter().map(|u| from_fn(|lane| Dual::variable(u[lane], lane))).collect();
    y.resize(3 * data.correspondences.len(), Dual::default());
    data.misses(&theta.collect::<Vec<_>>(), &us, y);
    rows.chunks_exact_mut(N).zip(y).for_each(|(row, y)| row.copy_from_slice(&y.tangents()));
}

fn columns<const N: usize>(call: &Call, input: &Input, m: usize) -> Result<Outcome, Error> {
    call.compute(
        (Vec::new(), vec![0.0; m * N]),
        |(y, rows)| jacobian::<N>(input, y, rows),
        |(_, rows)| json!(rows.chunks_exact(N).collect::<Vec<_>>()),
    )
}

pub(crate) fn eval(call: &Call) -> Result<Outcome, Error> {
    let input: Input = call.input()?;
    let Input { theta, data, us } = &input;
    data.check(us.len())?;
    let m = 3 * data.correspondences.len();
    match (call.function.as_str(), us.is_empty()) {
        ("objective", _) => call.compute(vec![0.0; m], |y| data.misses(theta, us, y), |y| json!(y)),
        ("jacobian", true) => columns::<THETA>(call, &input, m),
        ("jacobian", false) => columns::<{ THETA + 2 }>(call, &input, m),
        _ => Err(call.unknown()),
    }
}
