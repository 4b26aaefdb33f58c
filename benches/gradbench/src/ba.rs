//! `ba`: the reprojection errors of `p` observations of points by cameras, and their sparse Jacobian by cameras, points
//! and weights.
//!
//! A camera is `[r, c, f, u, k]`: a rotation `r`, given by its axis times the angle, a centre `c`, a focal length `f`,
//! a principal point `u` and two coefficients of radial distortion `k`. With `z = R(r)(x - c)`, `s = (z_1, z_2) / z_3`:
//!
//! ```text
//! error = w (f (1 + k_1 |s|^2 + k_2 |s|^4) s + u - feature)     and for the weight     1 - w^2
//! ```
//!
//! An error has 15 arguments, so the Jacobian consists of one block per observation; several blocks are evaluated side
//! by side. `planned` is our own function, not one of the suite: it computes the same entries with `SparseJacobian`, by
//! a plan for the whole function that is made in the first run and kept.

use std::array::from_fn;

use hypertape_autodiff::Fault;
use hypertape_autodiff::scalar::{Dual, Function, Map, Observations, Real, SparseJacobian};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::protocol::{Call, Error, Outcome, expect};

/// Numbers of a camera, and arguments of the error of an observation.
const CAMERA: usize = 11;
const ARGUMENTS: usize = CAMERA + 3 + 1;

/// The suite duplicates one camera, point, weight and feature; all copies are evaluated.
#[derive(Deserialize)]
struct Input {
    n: usize,
    m: usize,
    p: usize,
    cam: [f64; CAMERA],
    x: [f64; 3],
    w: f64,
    feat: [f64; 2],
}

fn cross<R: Real>(a: [R; 3], b: [R; 3]) -> [R; 3] {
    from_fn(|i| {
        let [j, k] = [(i + 1) % 3, (i + 2) % 3];
        a[j] * b[k] - a[k] * b[j]
    })
}

/// `x` rotated around `r` by the angle `|r|` (Rodrigues), to first order if the angle is zero.
fn rotated<R: Real>(r: [R; 3], x: [R; 3]) -> [R; 3] {
    let square = R::dot(&r, &r);
    if square == 0.0 {
        let turned = cross(r, x);
        return from_fn(|i| x[i] + turned[i]);
    }
    let angle = square.sqrt();
    let axis = r.map(|r| r / angle);
    let ((sin, cos), turned) = (angle.sin_cos(), cross(axis, x));
    let along = R::dot(&axis, &x) * (R::one() - cos);
    from_fn(|i| x[i] * cos + turned[i] * sin + axis[i] * along)
}

/// The weighted error of an observation, as a function of camera, point and weight.
fn error<R: Real>(arguments: &[R; ARGUMENTS], feature: [R; 2]) -> [R; 2] {
    let [r1, r2, r3, c1, c2, c3, f, u1, u2, k1, k2, x1, x2, x3, w] = *arguments;
    let z = rotated([r1, r2, r3], [x1 - c1, x2 - c2, x3 - c3]);
    let s = [z[0] / z[2], z[1] / z[2]];
    let square = s[0].square() + s[1].square();
    let scale = f * ((k1 + k2 * square) * square + 1.0);
    let u = [u1, u2];
    from_fn(|i| w * (scale * s[i] + u[i] - feature[i]))
}

/// The same as a function of the arguments and of the feature, which is data.
struct Observed;

impl Function for Observed {
    fn eval<R: Real>(&self, x: &[R], y: &mut [R]) {
        y.copy_from_slice(&error(&from_fn(|k| x[k]), [x[ARGUMENTS], x[ARGUMENTS + 1]]));
    }
}

fn error_of_weight<R: Real>(w: R) -> R {
    R::one() - w.square()
}

struct Scene {
    sizes: [usize; 3],
    /// Cameras, points, weights.
    numbers: Vec<f64>,
    features: Vec<[f64; 2]>,
}

impl Scene {
    fn new(input: &Input) -> Self {
        let Input { n, m, p, cam, x, w, feat } = *input;
        let numbers = [cam.repeat(n), x.repeat(m), vec![w; p]].concat();
        Self { sizes: [n, m, p], numbers, features: vec![feat; p] }
    }

    /// The positions at which the camera, the point and the weight of an observation begin.
    fn places(&self, observation: usize) -> [usize; 3] {
        let [n, m, _] = self.sizes;
        let points = CAMERA * n;
        [CAMERA * (observation % n), points + 3 * (observation % m), points + 3 * m + observation]
    }

    /// The position of an argument.
    fn place([camera, point, weight]: [usize; 3], argument: usize) -> usize {
        match argument {
            k if k < CAMERA => camera + k,
            k if k < CAMERA + 3 => point + k - CAMERA,
            _ => weight,
        }
    }

    fn weights<'x, R>(&self, x: &'x [R]) -> &'x [R] {
        &x[x.len() - self.sizes[2]..]
    }
}

impl Function for Scene {
    /// The errors of observations, then those of weights.
    fn eval<R: Real>(&self, x: &[R], y: &mut [R]) {
        let (errors, of_weights) = y.split_at_mut(2 * self.sizes[2]);
        for (i, (y, &feature)) in errors.chunks_exact_mut(2).zip(&self.features).enumerate() {
            let places = self.places(i);
            let feature = feature.map(R::constant);
            y.copy_from_slice(&error(&from_fn(|k| x[Self::place(places, k)]), feature));
        }
        of_weights.iter_mut().zip(self.weights(x)).for_each(|(y, &w)| *y = error_of_weight(w));
    }
}

/// A sparse matrix row by row, and the workspace for its blocks.
#[derive(Default)]
struct Jacobian {
    map: Map<f64>,
    places: Vec<usize>,
    errors: Vec<f64>,
    rows: Vec<usize>,
    cols: Vec<usize>,
    values: Vec<f64>,
}

impl Jacobian {
    fn clear(&mut self) {
        self.rows.clear();
        self.cols.clear();
        self.values.clear();
        self.rows.push(0);
    }

    fn close_row(&mut self) {
        self.rows.push(self.cols.len());
    }

    /// Computes the entries observation by observation.
    fn by_blocks(&mut self, scene: &Scene) -> Result<(), Fault> {
        self.clear();
        self.places.clear();
        let p = scene.sizes[2];
        for i in 0..p {
            let places = scene.places(i);
            self.places.extend((0..ARGUMENTS).map(|k| Scene::place(places, k)));
            for _ in 0..2 {
                self.cols.extend_from_slice(&self.places[i * ARGUMENTS..]);
                self.close_row();
            }
        }
        self.errors.resize(2 * p, 0.0);
        self.values.resize(2 * p * ARGUMENTS, 0.0);
        let observed = Observations::new(p, scene.features.as_flattened()).at(&self.places);
        let (x, y, values) = (&scene.numbers, &mut self.errors, &mut self.values);
        self.map.jacobians(&Observed, x, observed, y, values)?;
        let first = scene.numbers.len() - scene.sizes[2];
        for (i, &w) in scene.weights(&scene.numbers).iter().enumerate() {
            self.cols.push(first + i);
            self.values.extend(error_of_weight(Dual::<_>::new(w, [1.0])).tangents());
            self.close_row();
        }
        Ok(())
    }

    /// Copies the entries that a plan found. The pattern of a plan lacks entries that do not depend on their argument,
    /// such as an error on the other principal point; the suite's pattern contains them.
    fn read(&mut self, scene: &Scene, plan: &SparseJacobian<f64>, values: &[f64]) {
        self.clear();
        let pattern = plan.pattern();
        let entry = |row, col| pattern.position(row, col).map_or(0.0, |place| values[place]);
        for row in 0..pattern.rows() {
            let observed = row < 2 * scene.sizes[2];
            let all = if observed { 0..ARGUMENTS } else { ARGUMENTS - 1..ARGUMENTS };
            let places = scene.places(if observed { row / 2 } else { row - 2 * scene.sizes[2] });
            for col in all.map(|k| Scene::place(places, k)) {
                self.cols.push(col);
                self.values.push(entry(row, col));
            }
            self.close_row();
        }
    }

    /// The first two rows and the last entry, which the suite compares.
    fn show(&self) -> Value {
        fn ends<T: Copy>(all: &[T]) -> Vec<T> {
            all[..all.len().min(2 * ARGUMENTS)].iter().chain(all.last()).copied().collect()
        }
        json!({ "rows": ends(&self.rows), "cols": ends(&self.cols), "vals": ends(&self.values) })
    }
}

pub(crate) fn eval(call: &Call) -> Result<Outcome, Error> {
    let input: Input = call.input()?;
    let Input { n, m, p, .. } = input;
    expect(
        "cameras, points and observations, none of them none,",
        3,
        [n, m, p].map(|n| n.min(1)).iter().sum(),
    )?;
    let scene = Scene::new(&input);
    let mut y = vec![0.0; 3 * p];
    match call.function.as_str() {
        "objective" => call.compute(
            y,
            |y| scene.eval(&scene.numbers, y),
            |y| {
                json!({
                    "reproj_error": { "elements": &y[..2], "repeated": p },
                    "w_err": { "element": y[2 * p], "repeated": p },
                })
            },
        ),
        "jacobian" => call.evaluate(
            Jacobian::default(),
            |jacobian| jacobian.by_blocks(&scene),
            |jacobian| jacobian.show(),
        ),
        "planned" => call.evaluate(
            (None, Vec::new()),
            |(plan, values)| {
                let plan = plan
                    .get_or_insert_with(|| SparseJacobian::new(&scene, &scene.numbers, y.len()));
                values.resize(plan.pattern().len(), 0.0);
                plan.values(&scene, &scene.numbers, &mut y, values)
            },
            |(plan, values)| {
                let mut jacobian = Jacobian::default();
                plan.iter().for_each(|plan| jacobian.read(&scene, plan, &values));
                jacobian.show()
            },
        ),
        _ => Err(call.unknown()),
    }
}
