//! `ht`: the distances of the vertices of a posed hand from measured points, and their Jacobian, by packed forward mode
//! up to the bones and by a matrix product from there.
//!
//! Each bone has a transform relative to its parent, rotated at a joint by the pose. Each vertex is moved by the bones
//! for which it has a weight. The whole hand is rotated and shifted:
//!
//! ```text
//! A_b = A_parent(b) B_b R_b,    v = R(theta_1..3) sum_b w_vb A_b A0_b^-1 v0 + theta_4..6
//! ```
//!
//! Four entries of `theta` belong to each finger: its second bone bends and spreads, the two after it bend. A point is
//! compared with a vertex or, if there are `us`, with a position in a triangle, `u_1 v_a + u_2 v_b + (1 - u_1 - u_2)
//! v_c`. Either is a sum of the columns of `R A_b A0_b^-1`, all of whose 26 tangents are computed together, with
//! factors that depend only on data and `us`.

use std::array::from_fn;
use std::ops::Mul;

use hypertape_autodiff::scalar::{Dual, Real};
use hypertape_autodiff::{Arena, Array, Shape, Tensor};
use serde::Deserialize;
use serde_json::json;

use crate::protocol::{Call, Error, Outcome, below, expect};

const THETA: usize = 26;
const FINGERS: usize = 5;
/// Number of points per product, whose factors and sums stay in cache.
const BLOCK: usize = 128;

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
    /// An earlier bone, or -1 for none.
    parents: Vec<i64>,
    base_relatives: Vec<[[f64; 4]; 4]>,
    inverse_base_absolutes: Vec<[[f64; 4]; 4]>,
    base_positions: Vec<[f64; 4]>,
    /// For each vertex, one weight per bone.
    weights: Vec<Vec<f64>>,
    triangles: Vec<[usize; 3]>,
    is_mirrored: bool,
}

/// A rotation and a shift: a matrix of four rows without the last one, `(0, 0, 0, 1)`.
type Affine<R> = [[R; 4]; 3];

fn product<R: Real + Mul<S, Output = R>, S: Copy>(a: &Affine<R>, b: &Affine<S>) -> Affine<R> {
    from_fn(|i| {
        from_fn(|j| {
            let sum = a[i][0] * b[0][j] + a[i][1] * b[1][j] + a[i][2] * b[2][j];
            if j == 3 { sum + a[i][3] } else { sum }
        })
    })
}

fn affine([x, y, z, _]: [[f64; 4]; 4]) -> Affine<f64> {
    [x, y, z]
}

/// `a` after a rotation by `bend` around the first axis and by `spread` around the third.
fn turned<R: Real>(a: Affine<f64>, bend: R, spread: R) -> Affine<R> {
    let ((s, c), (t, d)) = (bend.sin_cos(), spread.sin_cos());
    a.map(|[x, y, z, shift]| {
        let (u, v) = (d * x + t * y, d * y - t * x);
        [u, v * c + s * z, c * z - v * s, R::constant(shift)]
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
    /// The transform of each bone from its position at rest to that in the pose.
    fn transforms<R: Real>(&self, theta: &[R]) -> Vec<Affine<R>> {
        let mut absolutes: Vec<Affine<R>> = Vec::with_capacity(self.parents.len());
        for (bone, &base) in self.base_relatives.iter().enumerate() {
            let (base, parent) = (affine(base), usize::try_from(self.parents[bone]));
            let parent = parent.ok().map(|parent| absolutes[parent]);
            // Bones 2, 3 and 4 belong to the first finger, 6, 7 and 8 to the second, and so on.
            let finger = bone.checked_sub(2).map(|bone| (bone / 4, bone % 4));
            let own =
                match (finger.filter(|&(finger, joint)| finger < FINGERS && joint < 3), parent) {
                    (Some((finger, joint)), _) => {
                        let own = &theta[6 + 4 * finger..];
                        let [bend, spread] =
                            [[own[0], own[1]], [own[2], R::zero()], [own[3], R::zero()]][joint];
                        turned(base, bend, spread)
                    }
                    (None, Some(parent)) => {
                        absolutes.push(product(&parent, &base));
                        continue;
                    }
                    (None, None) => base.map(|row| row.map(R::constant)),
                };
            absolutes.push(parent.map_or(own, |parent| product(&parent, &own)));
        }
        let inverses = self.inverse_base_absolutes.iter();
        absolutes.iter().zip(inverses).map(|(now, &back)| product(now, &affine(back))).collect()
    }

    /// The vectors of which a vertex is a linear combination: the columns of each bone's transform after the rotation
    /// of the hand, and the shift.
    fn columns<R: Real>(&self, theta: &[R]) -> Vec<[R; 3]> {
        let turn = rotation([theta[0], theta[1], theta[2]]);
        let mut columns = Vec::new();
        for mut bone in self.transforms(theta) {
            if self.is_mirrored {
                bone[0] = bone[0].map(|x| -x);
            }
            let column = |j: usize| from_fn(|i| R::dot(&turn[i], &bone.map(|row| row[j])));
            columns.extend((0..4).map(column));
        }
        columns.push([theta[3], theta[4], theta[5]]);
        columns
    }

    /// Adds `by` times the factors of a vertex in that combination.
    fn add_factors(&self, vertex: usize, by: f64, to: &mut [f64]) {
        let at = self.base_positions[vertex];
        for (to, &weight) in to.chunks_exact_mut(4).zip(&self.weights[vertex]) {
            to.iter_mut().zip(at).for_each(|(to, x)| *to += by * weight * x);
        }
        to[4 * self.parents.len()] += by;
    }
}

impl Data {
    /// Passes to `take`, for each point and coordinate, the sum of factors times `columns`, as a matrix product per
    /// block of points. A column has the same number of values for each coordinate. The factors of a point are those of
    /// a vertex, or those of the vertices of a triangle, weighted by `shares`.
    fn sums(
        &self,
        arena: &mut Arena,
        columns: &[f64],
        shares: impl Fn(usize) -> Option<[f64; 3]>,
        mut take: impl FnMut(usize, &[f64]),
    ) {
        let count = 4 * self.model.parents.len() + 1;
        let width = columns.len() / count;
        let shape = |rows: usize, cols: usize| {
            let [rows, cols] = [rows, cols].map(|n| u32::try_from(n).unwrap_or(u32::MAX));
            Shape::new(rows, cols)
        };
        for (block, corners) in self.correspondences.chunks(BLOCK).enumerate() {
            let mut factors = vec![0.0; corners.len() * count];
            for (i, (&to, factors)) in
                corners.iter().zip(factors.chunks_exact_mut(count)).enumerate()
            {
                match shares(BLOCK * block + i) {
                    None => self.model.add_factors(to, 1.0, factors),
                    Some(shares) => self.model.triangles[to]
                        .into_iter()
                        .zip(shares)
                        .for_each(|(vertex, share)| self.model.add_factors(vertex, share, factors)),
                }
            }
            arena.reset();
            let factors = Tensor::new(arena, shape(corners.len(), count), &factors);
            let sums = factors.matmul(Tensor::new(arena, shape(count, width), columns)).values();
            let coordinates = sums.chunks_exact(width / 3).enumerate();
            coordinates.for_each(|(i, sum)| take(3 * BLOCK * block + i, sum));
        }
    }

    /// Checks the input.
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

/// Memory that is kept between runs.
struct Memory {
    arena: Arena,
    out: Vec<f64>,
}

impl Input {
    /// The barycentric coordinates of the position in a triangle that a point is compared with.
    fn shares(&self, point: usize) -> Option<[f64; 3]> {
        self.us.get(point).map(|&[u, v]| [u, v, 1.0 - u - v])
    }

    fn misses(&self, Memory { arena, out }: &mut Memory) {
        let (columns, points) =
            (self.data.model.columns(&self.theta), self.data.points.as_flattened());
        let take = |i: usize, at: &[f64]| out[i] = points[i] - at[0];
        self.data.sums(arena, columns.as_flattened(), |i| self.shares(i), take);
    }

    /// The Jacobian row by row: the columns of `us` first, if there are any, then those of `theta`.
    fn jacobian(&self, Memory { arena, out }: &mut Memory) {
        let own = if self.us.is_empty() { 0 } else { 2 };
        let all = own + THETA;
        let theta: [_; THETA] = from_fn(|k| Dual::<_, THETA>::variable(self.theta[k], k));
        let columns = self.data.model.columns(&theta);
        let moved: Vec<f64> = columns.iter().flatten().flat_map(|x| x.tangents()).collect();
        let mut write = |first: usize, row: usize, d: &[f64]| {
            out[row * all + first..].iter_mut().zip(d).for_each(|(to, d)| *to = -d);
        };
        self.data.sums(arena, &moved, |i| self.shares(i), |row, d| write(own, row, d));
        let values: Vec<f64> = columns.iter().flatten().map(|x| x.value()).collect();
        // The third coordinate is 1 minus the other two.
        for (k, shares) in [[1.0, 0.0, -1.0], [0.0, 1.0, -1.0]].into_iter().enumerate().take(own) {
            self.data.sums(arena, &values, |_| Some(shares), |row, d| write(k, row, d));
        }
    }
}

pub(crate) fn eval(call: &Call) -> Result<Outcome, Error> {
    let input: Input = call.input()?;
    input.data.check(input.us.len())?;
    let m = 3 * input.data.points.len();
    let columns = if input.us.is_empty() { THETA } else { THETA + 2 };
    let memory = |len| Memory { arena: Arena::new(), out: vec![0.0; len] };
    match call.function.as_str() {
        "objective" => call.compute(memory(m), |at| input.misses(at), |at| json!(at.out)),
        "jacobian" => call.compute(
            memory(m * columns),
            |at| input.jacobian(at),
            |at| json!(at.out.chunks_exact(columns).collect::<Vec<_>>()),
        ),
        _ => Err(call.unknown()),
    }
}
