//! The workloads T1 to T5 of the peer comparison over [`Real`], each with plain operators and with fused statements.

use hypertape_autodiff::scalar::{Real, Scalar};

/// A workload: a function of all entries of `x`.
pub trait Work {
    const NAME: &'static str;
    fn x(&self) -> &[f64];
    /// Number of elementary operations of the plain form, as the comparison counts them.
    fn operations(&self) -> f64;
    fn eval<R: Real>(&self, x: &[R], fused: bool) -> R;
}

/// The direction of Hessian-vector products.
pub fn direction(i: usize) -> f64 {
    ((i * 31 % 17) as f64 - 8.0) / 8.0
}

/// `SplitMix64` (Steele, Lea and Flood 2014).
struct Random(u64);

impl Random {
    /// Uniform in `[0, 1)`.
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / 9_007_199_254_740_992.0
    }

    /// Uniform in `[-1, 1)`.
    fn symmetric(&mut self) -> f64 {
        2.0 * self.unit() - 1.0
    }
}

/// T1: the product of a million numbers (Speelpenning).
pub struct Product {
    x: Vec<f64>,
}

impl Product {
    pub fn new() -> Self {
        Self { x: (0..1_000_000).map(|i| f64::from(1 + i) / f64::from(2 + i)).collect() }
    }
}

impl Work for Product {
    const NAME: &'static str = "T1";
    fn x(&self) -> &[f64] {
        &self.x
    }
    fn operations(&self) -> f64 {
        999_999.0
    }
    fn eval<R: Real>(&self, x: &[R], _: bool) -> R {
        x[1..].iter().fold(x[0], |product, &x| product * x)
    }
}

/// T2: a chain of Rosenbrock terms.
pub struct Rosenbrock {
    x: Vec<f64>,
}

impl Rosenbrock {
    pub fn new(n: usize) -> Self {
        Self { x: (0..n).map(|i| -1.2 + 0.0024 * ((i * 7919) % 1001) as f64).collect() }
    }
}

impl Work for Rosenbrock {
    const NAME: &'static str = "T2";
    fn x(&self) -> &[f64] {
        &self.x
    }
    fn operations(&self) -> f64 {
        8.0 * (self.x.len() - 1) as f64
    }
    fn eval<R: Real>(&self, x: &[R], fused: bool) -> R {
        let mut sum = R::constant(0.0);
        for pair in x.windows(2) {
            if fused {
                let [term] = R::fuse([pair[0], pair[1]], |[x, y]| {
                    [(y - x * x).square() * 100.0 + (x - 1.0).square()]
                });
                sum += term;
            } else {
                let a = pair[1] - pair[0] * pair[0];
                let b = -pair[0] + 1.0;
                sum += a * a * 100.0 + b * b;
            }
        }
        sum
    }
}

/// T3: the likelihood of a Gaussian mixture, 25 components in 10 dimensions on 1000 points.
pub struct Mixture {
    d: usize,
    k: usize,
    x: Vec<f64>,
    points: Vec<f64>,
    constant: f64,
}

const D: usize = 10;
const K: usize = 25;
const FACTOR: usize = D * (D + 1) / 2;

impl Mixture {
    pub fn new() -> Self {
        let mut random = Random(3);
        let x = (0..K * (1 + D + FACTOR)).map(|i| match i {
            i if i < K => random.symmetric(),
            i if i < K + K * D => random.unit(),
            _ => 0.5 * random.symmetric(),
        });
        let x = x.collect();
        let points = (0..1000 * D).map(|_| 2.0 * random.symmetric()).collect();
        // The constant of the Wishart prior with scale 1: Gamma_d(11/2), whose factors are Gamma(11/2) to Gamma(2/2).
        let log_gamma = |twice: u32| {
            let base = if twice.is_multiple_of(2) { 0.0 } else { 0.5 * std::f64::consts::PI.ln() };
            base + (1..twice)
                .rev()
                .skip(1)
                .step_by(2)
                .map(|n| (f64::from(n) / 2.0).ln())
                .sum::<f64>()
        };
        let log_gamma_d = 22.5 * std::f64::consts::PI.ln() + (2..=11).map(log_gamma).sum::<f64>();
        let prior = -110.0 * 0.5 * f64::ln(2.0) - log_gamma_d;
        let normal = 0.5 * (2.0 * std::f64::consts::PI).ln();
        Self { d: D, k: K, x, points, constant: -1000.0 * D as f64 * normal - K as f64 * prior }
    }
}

/// `ln sum_i e^{x_i}` by operators.
fn log_sum_exp<R: Real>(x: &[R]) -> R {
    let mut most = x[0];
    for &x in x {
        if x > most {
            most = x;
        }
    }
    let sum = x.iter().fold(R::constant(0.0), |sum, &x| sum + (x - most).exp());
    sum.ln() + most
}

impl Work for Mixture {
    const NAME: &'static str = "T3";
    fn x(&self) -> &[f64] {
        &self.x
    }
    fn operations(&self) -> f64 {
        3_381_405.0
    }
    fn eval<R: Real>(&self, x: &[R], fused: bool) -> R {
        let (d, k) = (self.d, self.k);
        let size = d * (d + 1) / 2;
        let (a, rest) = x.split_at(k);
        let (means, factors) = rest.split_at(k * d);
        let zero = R::constant(0.0);
        let logs = factors.chunks_exact(size).map(|f| f[..d].iter().fold(zero, |s, &l| s + l));
        let logs: Vec<R> = logs.collect();
        let diagonals: Vec<R> =
            factors.chunks_exact(size).flat_map(|f| f[..d].iter().map(|l| l.exp())).collect();
        let log_sum = if fused { R::logsumexp } else { log_sum_exp };
        // Rows of the factors, for dot products.
        let row = |j: usize, i: usize| {
            let strict = &factors[j * size + d..];
            let at = |h: usize| h * (2 * d - h - 1) / 2 + i - h - 1;
            (0..i).map(move |h| strict[at(h)]).chain([diagonals[j * d + i]]).collect()
        };
        let rows: Vec<Vec<R>> =
            (0..k * d).map(|i| if fused { row(i / d, i % d) } else { Vec::new() }).collect();
        let (mut c, mut y, mut exponents) = (vec![zero; d], vec![zero; d], vec![zero; k]);
        let mut sum = zero;
        for point in self.points.chunks_exact(d) {
            for j in 0..k {
                let mean = &means[j * d..][..d];
                for i in 0..d {
                    c[i] = -mean[i] + point[i];
                }
                let norm = if fused {
                    for i in 0..d {
                        y[i] = R::dot(&rows[j * d + i], &c[..=i]);
                    }
                    R::dot(&y, &y)
                } else {
                    for i in 0..d {
                        y[i] = diagonals[j * d + i] * c[i];
                    }
                    let mut strict = factors[j * size + d..].iter();
                    for i in 0..d {
                        for (y, &l) in y[i + 1..].iter_mut().zip(&mut strict) {
                            *y += l * c[i];
                        }
                    }
                    y[1..].iter().fold(y[0] * y[0], |n, &y| n + y * y)
                };
                exponents[j] = a[j] + logs[j] - norm * 0.5;
            }
            sum += log_sum(&exponents);
        }
        let mut out = sum - log_sum(a) * 1000.0;
        for j in 0..k {
            let mut square = zero;
            for &q in diagonals[j * d..][..d].iter().chain(&factors[j * size..][d..size]) {
                square += q * q;
            }
            out += square * 0.5;
        }
        out + self.constant
    }
}

/// T4: the squared errors of a bundle adjustment.
pub struct Bundle {
    x: Vec<f64>,
    features: Vec<[f64; 2]>,
}

const CAMERAS: usize = 21;
const POINTS: usize = 11_315;
const OBSERVATIONS: usize = 36_455;

impl Bundle {
    pub fn new() -> Self {
        let mut random = Random(4);
        let cameras = 11 * CAMERAS;
        let points = cameras + 3 * POINTS;
        let x = (0..points + OBSERVATIONS).map(|i| match i {
            i if i < cameras => match i % 11 {
                0..=2 => 0.5 * random.symmetric(),
                3..=5 => random.symmetric(),
                6 => 500.0 + 50.0 * random.symmetric(),
                7 | 8 => 10.0 * random.symmetric(),
                _ => 0.05 * random.symmetric(),
            },
            i if i < points && (i - cameras) % 3 == 2 => 8.0 + random.symmetric(),
            i if i < points => 2.0 * random.symmetric(),
            _ => 0.5 + 0.25 * random.symmetric(),
        });
        let x = x.collect();
        let mut feature = || 100.0 * random.symmetric();
        let features = (0..OBSERVATIONS).map(|_| [feature(), feature()]).collect();
        Self { x, features }
    }
}

/// The squared weighted error of one observation: rotation by Rodrigues' formula, projection, radial distortion.
#[inline(always)]
fn reprojection<R: Real>(c: &[R], p: &[R], w: R, feature: [f64; 2]) -> R {
    let a = [p[0] - c[3], p[1] - c[4], p[2] - c[5]];
    let square = c[0] * c[0] + c[1] * c[1] + c[2] * c[2];
    let rotated = if square == 0.0 {
        let cross = |i: usize, j: usize, k: usize| a[i] + (c[j] * a[k] - c[k] * a[j]);
        [cross(0, 1, 2), cross(1, 2, 0), cross(2, 0, 1)]
    } else {
        let angle = square.sqrt();
        let (sin, cos, inverse) = (angle.sin(), angle.cos(), angle.recip());
        let axis = [c[0] * inverse, c[1] * inverse, c[2] * inverse];
        let cross = [
            axis[1] * a[2] - axis[2] * a[1],
            axis[2] * a[0] - axis[0] * a[2],
            axis[0] * a[1] - axis[1] * a[0],
        ];
        let along = (axis[0] * a[0] + axis[1] * a[1] + axis[2] * a[2]) * (-cos + 1.0);
        [
            a[0] * cos + cross[0] * sin + axis[0] * along,
            a[1] * cos + cross[1] * sin + axis[1] * along,
            a[2] * cos + cross[2] * sin + axis[2] * along,
        ]
    };
    let (px, py) = (rotated[0] / rotated[2], rotated[1] / rotated[2]);
    let radius = px * px + py * py;
    let distortion = c[9] * radius + 1.0 + c[10] * radius * radius;
    let ex = w * (px * distortion * c[6] + c[7] - feature[0]);
    let ey = w * (py * distortion * c[6] + c[8] - feature[1]);
    ex * ex + ey * ey
}

impl Work for Bundle {
    const NAME: &'static str = "T4";
    fn x(&self) -> &[f64] {
        &self.x
    }
    fn operations(&self) -> f64 {
        2_697_670.0
    }
    fn eval<R: Real>(&self, x: &[R], fused: bool) -> R {
        let (cameras, rest) = x.split_at(11 * CAMERAS);
        let (points, weights) = rest.split_at(3 * POINTS);
        let mut sum = R::constant(0.0);
        for (i, &w) in weights.iter().enumerate() {
            let c = &cameras[11 * (i % CAMERAS)..][..11];
            let p = &points[3 * (i % POINTS)..][..3];
            let feature = self.features[i];
            sum += if fused {
                let arguments = std::array::from_fn(|k| match k {
                    0..11 => c[k],
                    11..14 => p[k - 11],
                    14 => w,
                    // A power of two fills the registers.
                    _ => R::constant(0.0),
                });
                R::fuse::<16, 1>(arguments, |x| {
                    [reprojection(&x[..11], &x[11..14], x[14], feature)]
                })[0]
            } else {
                reprojection(c, p, w, feature)
            };
        }
        for &w in weights {
            let e = -(w * w) + 1.0;
            sum += e * e;
        }
        sum
    }
}

/// T5: the hypergradient of a logistic regression with a penalty per feature, through 100 unrolled steps.
pub struct Unrolled {
    d: usize,
    x: Vec<f64>,
    train: Vec<f64>,
    valid: Vec<f64>,
}

const FEATURES: usize = 20;
const ROWS: usize = 50;

impl Unrolled {
    pub fn new() -> Self {
        let mut random = Random(5);
        let truth: Vec<f64> = (0..FEATURES).map(|_| random.symmetric()).collect();
        // Rows times labels.
        let mut rows = || {
            let mut data = Vec::new();
            for _ in 0..ROWS {
                let row: Vec<f64> = (0..FEATURES).map(|_| random.symmetric()).collect();
                let score: f64 = row.iter().zip(&truth).fold(0.0, |s, (x, w)| s + x * w);
                let label = if score + 0.5 * random.symmetric() >= 0.0 { 1.0 } else { -1.0 };
                data.extend(row.iter().map(|x| x * label));
            }
            data
        };
        let (train, valid) = (rows(), rows());
        let d = FEATURES;
        Self { d, x: (0..d).map(|j| -1.0 + 0.1 * j as f64).collect(), train, valid }
    }
}

impl Work for Unrolled {
    const NAME: &'static str = "T5";
    fn x(&self) -> &[f64] {
        &self.x
    }
    fn operations(&self) -> f64 {
        415_140.0
    }
    fn eval<R: Real>(&self, x: &[R], fused: bool) -> R {
        let (d, zero) = (self.d, R::constant(0.0));
        let penalties: Vec<R> = x.iter().map(|x| x.exp() * 2.0).collect();
        let mut w = vec![zero; d];
        let mut g = vec![zero; d];
        let score = |a: &[f64], w: &[R]| {
            if fused {
                return R::linear(a, w);
            }
            a.iter().zip(w).skip(1).fold(w[0] * a[0], |z, (&a, &w)| z + w * a)
        };
        for _ in 0..100 {
            for j in 0..d {
                g[j] = penalties[j] * w[j];
            }
            for a in self.train.chunks_exact(d) {
                let z = score(a, &w);
                let residual = if fused { (-z).sigmoid() } else { (z.exp() + 1.0).recip() };
                for (g, &a) in g.iter_mut().zip(a) {
                    *g -= residual * a;
                }
            }
            for (w, &g) in w.iter_mut().zip(&g) {
                *w -= g * 0.05;
            }
        }
        let mut loss = zero;
        for a in self.valid.chunks_exact(d) {
            let z = score(a, &w);
            loss += if fused { (-z).softplus() } else { ((-z).exp() + 1.0).ln() };
        }
        loss
    }
}
