//! `SampledQuadratic`: finite sums of quadratics with Hessians of rank one, in mini-batches at both levels. This is the
//! simulated problem of the field's benchmark (`benchmark_bilevel`, Dagréou, Ablin, Vaiter and Moreau 2022), with its
//! closed form.
//!
//! ```text
//! g = 1/n sum_i [ (s_i'w)^2 / 2 + (c_i'x)(e_i'w) + a_i'w ]
//! f = 1/m sum_j [ (s_j'w)^2 / 2 + (t_j'x)^2 / 2 + (c_j'x)(e_j'w) + a_j'w + b_j'x ]
//! ```
//!
//! with separate samples at each level. `s = U D n` for a random orthogonal `U`, a standard normal `n` and squared
//! scales `D^2` from `mu` to `L` at equal ratios, so that `E s s'` has these eigenvalues. `t` is made likewise, with
//! its first scale set to 0. `c = U_c E n` and `e = U_e E n` have the same `n`, so that the mean coupling has the
//! singular values `E^2`, from `mu` to `L_c`. Linear terms are standard normal. Terms of `x` alone in `g`, which the
//! benchmark also has, change no hypergradient and are left out. The data is drawn again, up to 20 times, until the
//! limit `h(x)` is strictly convex according to its true Hessian. The closed form is that of the samples, not of their
//! distribution.
//!
//! Shapes: `w` has `p` entries, `x` has `d`. Cost of a loss: `2 p + d` or `2 p + 2 d` multiplications per sample.

use hypertape_autodiff::{Array, Element, List, axpy, dot};
use hypertape_solver::{Bilevel, Draw, Error, InnerLoop, Level, Metric, Params, Rows, norm};

use crate::generator::Stream;
use crate::quadratic::Quadratic;
use crate::sampler::{Batch, Sampler};
use crate::samples::{column, convert};

/// Settings of a [`SampledQuadratic`].
#[derive(Clone, Debug, PartialEq)]
pub struct SampledSettings {
    /// Seed of the data.
    pub seed: u64,
    /// Numbers of samples of `g` and of `f`.
    pub samples: [usize; 2],
    /// Number of inner variables, `p`.
    pub inner: usize,
    /// Number of outer variables, `d`.
    pub outer: usize,
    /// Smallest and largest eigenvalue of the mean Hessians, `mu` and `L`.
    pub curvature: [f64; 2],
    /// Largest singular value of the mean couplings, `L_c`; the smallest is `mu`.
    pub coupling: f64,
    /// How mini-batches of `g` and of `f` are chosen.
    pub samplers: [Sampler; 2],
}

impl Default for SampledSettings {
    /// 512 samples at each level in batches of 64 without replacement, 20 inner and 10 outer variables, and the values
    /// `mu = L_c = 0.1` and `L = 1` of the benchmark, which has 1024 samples and 100 variables at each level.
    fn default() -> Self {
        let samplers = [Sampler::Distinct { batch: 64 }; 2];
        let (seed, samples, curvature) = (0, [512; 2], [0.1, 1.0]);
        Self { seed, samples, inner: 20, outer: 10, curvature, coupling: 0.1, samplers }
    }
}

/// The terms of a loss, each a matrix with one row per sample.
#[derive(Clone, Debug)]
struct Terms<T> {
    /// `s` and `a`.
    w: [Vec<T>; 2],
    /// `c` and `e`.
    mixed: [Vec<T>; 2],
    /// `t` and `b`, which the inner loss does not use.
    x: [Vec<T>; 2],
}

impl Terms<f64> {
    /// Draws `n` samples from the streams of the set with number `k`.
    fn draw(settings: &SampledSettings, k: u64, n: usize) -> Self {
        let &SampledSettings { seed, inner: p, outer: d, curvature: [mu, most], coupling, .. } =
            settings;
        let stream = |i| Stream::new(seed, 16 * k + i);
        let normals = |i, columns: usize| stream(i).gausses(n * columns);
        let least = p.min(d);
        let shared = (scales(mu, coupling, least), normals(2, least));
        let mut outer = scales(mu, most, d);
        outer[0] = 0.0;
        Self {
            w: [
                vectors(&basis(stream(0), p, p), &scales(mu, most, p), &normals(1, p)),
                normals(3, p),
            ],
            mixed: [(4, d), (5, p)]
                .map(|(i, dim)| vectors(&basis(stream(i), dim, least), &shared.0, &shared.1)),
            x: [vectors(&basis(stream(6), d, d), &outer, &normals(7, d)), normals(8, d)],
        }
    }

    fn to<T: Element>(&self) -> Terms<T> {
        let all = |pair: &[Vec<f64>; 2]| pair.each_ref().map(|m| convert(m));
        Terms { w: all(&self.w), mixed: all(&self.mixed), x: all(&self.x) }
    }
}

/// Square roots of `n` numbers from `low` to `high` at equal ratios.
pub(crate) fn scales(low: f64, high: f64, n: usize) -> Vec<f64> {
    let ratio = |i: usize| (high / low).powf(i as f64 / (n.max(2) - 1) as f64);
    (0..n).map(|i| (low * ratio(i)).sqrt()).collect()
}

/// Returns `columns` orthonormal vectors of `dim` entries: normal vectors, orthogonalised (Gram-Schmidt).
pub(crate) fn basis(stream: Stream, dim: usize, columns: usize) -> Vec<Vec<f64>> {
    let mut basis: Vec<Vec<f64>> = Vec::new();
    for mut v in stream.gausses(dim * columns).chunks_exact(dim).map(<[f64]>::to_vec) {
        for u in &basis {
            let along = dot(u, &v);
            axpy(&mut v, -along, u);
        }
        let length = norm(&v);
        basis.push(v.iter().map(|v| v / length).collect());
    }
    basis
}

/// Returns the row `sum_k u_k scale_k n_k` for each row `n` of `normals`.
fn vectors(basis: &[Vec<f64>], scales: &[f64], normals: &[f64]) -> Vec<f64> {
    let row = |normals: &[f64]| {
        let mut row = vec![0.0; basis[0].len()];
        for ((u, scale), n) in basis.iter().zip(scales).zip(normals) {
            axpy(&mut row, scale * n, u);
        }
        row
    };
    normals.chunks_exact(scales.len()).flat_map(row).collect()
}

/// Returns the mean of all samples, with the starts `x = -2` and `w = 0`.
fn mean(inner: &Terms<f64>, outer: &Terms<f64>, [p, d]: [usize; 2]) -> Quadratic<f64> {
    // `A'B/n`, where `A` has rows of `width` values.
    let gram = |a: &[f64], width: usize, b: &[f64]| {
        let n = a.len() / width;
        let columns = b.len() / n;
        let mut sum = vec![0.0; width * columns];
        for (a, b) in a.chunks_exact(width).zip(b.chunks_exact(columns)) {
            for (row, a) in sum.chunks_exact_mut(columns).zip(a) {
                axpy(row, a / n as f64, b);
            }
        }
        sum
    };
    let average = |rows: &[f64], width: usize| gram(&vec![1.0; rows.len() / width], 1, rows);
    Quadratic {
        inner_hessian: gram(&inner.w[0], p, &inner.w[0]),
        inner_mixed: gram(&inner.mixed[0], d, &inner.mixed[1]),
        inner_linear: average(&inner.w[1], p),
        outer_hessian: gram(&outer.w[0], p, &outer.w[0]),
        outer_curvature: gram(&outer.x[0], d, &outer.x[0]),
        outer_mixed: gram(&outer.mixed[0], d, &outer.mixed[1]),
        outer_linear: average(&outer.w[1], p),
        outer_direct: average(&outer.x[1], d),
        x: vec![-2.0; d],
        w: vec![0.0; p],
    }
}

/// Quadratics sampled in mini-batches.
#[derive(Clone, Debug)]
pub struct SampledQuadratic<T> {
    inner: Terms<T>,
    outer: Terms<T>,
    samples: [usize; 2],
    samplers: [Sampler; 2],
    mean: Quadratic<f64>,
}

impl<T: Element> SampledQuadratic<T> {
    /// Draws the data and creates the problem.
    ///
    /// ```
    /// use hypertape_problems::{SampledQuadratic, SampledSettings};
    /// let problem = SampledQuadratic::<f64>::new(&SampledSettings::default())?;
    /// let limit = problem.mean().limit(&[-2.0; 10]).unwrap();
    /// assert_eq!((limit.w.len(), limit.gradient.len()), (20, 10));
    /// # Ok::<(), hypertape_solver::Error>(())
    /// ```
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] unless there are variables, at least `p` samples of `g` and one of `f`, `0 < mu <= L`
    /// and `L_c > 0`, or if `h` is not strictly convex for any of 20 data sets.
    pub fn new(settings: &SampledSettings) -> Result<Self, Error> {
        let &SampledSettings { samples: [n, m], inner: p, outer: d, curvature, .. } = settings;
        if p == 0 || d == 0 || n < p || m == 0 {
            let found = format!("{n} and {m} for {p} inner and {d} outer variables");
            let expected = "variables, as many inner samples, an outer one";
            return Err(Error::invalid("samples", found, expected));
        }
        let ([mu, most], coupling) = (curvature, settings.coupling);
        if !(mu > 0.0 && mu <= most && most.is_finite() && coupling > 0.0 && coupling.is_finite()) {
            let found = format!("{mu} to {most}, coupling {coupling}");
            return Err(Error::invalid("curvature", found, "0 < mu <= L, and a positive coupling"));
        }
        for attempt in 0..20 {
            let inner = Terms::draw(settings, 2 * attempt, n);
            let outer = Terms::draw(settings, 2 * attempt + 1, m);
            let mean = mean(&inner, &outer, [p, d]);
            if mean.limit(&mean.x).is_some_and(|limit| limit.convex()) {
                let [inner, outer] = [&inner, &outer].map(Terms::to);
                let (samples, samplers) = (settings.samples, settings.samplers);
                return Ok(Self { inner, outer, samples, samplers, mean });
            }
        }
        Err(Error::invalid("20 data sets", "limits that are not convex", "a strictly convex one"))
    }

    /// The quadratic problem whose losses are the means over all samples.
    pub fn mean(&self) -> &Quadratic<f64> {
        &self.mean
    }

    /// Returns the sampler of the loss at a level and its number of samples.
    fn of(&self, level: Level) -> Option<(Sampler, usize)> {
        let place = match level {
            Level::Inner => 0,
            Level::Outer => 1,
            _ => return None,
        };
        Some((self.samplers[place], self.samples[place]))
    }

    /// Returns `sum_i (s_i'v)^2 / 2 + a_i'v` over a batch.
    fn own<'a, A: Array<'a, Elem = T>>([s, a]: &'a [Vec<T>; 2], v: A, batch: Batch) -> A {
        let s = batch.rows(v, s).matmul(v);
        // The rows of `a` are summed before the product, because the sum is a constant.
        s.dot(s) * 0.5 + batch.rows(v, a).sum_rows().matmul(v)
    }

    /// Returns the sum, over a batch, of the terms that both losses have.
    fn shared<'a, A: Array<'a, Elem = T>>(terms: &'a Terms<T>, w: A, x: A, batch: Batch) -> A {
        let [c, e] = [(x, &terms.mixed[0]), (w, &terms.mixed[1])]
            .map(|(v, rows)| batch.rows(v, rows).matmul(v));
        Self::own(&terms.w, w, batch) + c.dot(e)
    }
}

impl<T: Element> Bilevel<T> for SampledQuadratic<T> {
    fn start(&self) -> Params<T> {
        Params::new().with_column("x", &convert(&self.mean.x))
    }

    fn init<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A], _: Draw) -> List<A> {
        List::from_slice(&[x[0].scalar(0.0).broadcast_to(column(&self.mean.w))])
    }

    fn inner<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], x: &[A], draw: Draw, _: Rows) -> A {
        let batch = self.samplers[0].batch(self.samples[0], draw);
        Self::shared(&self.inner, w[0], x[0], batch) / batch.len() as f64
    }

    fn outer<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], x: &[A], draw: Draw, _: Rows) -> A {
        let batch = self.samplers[1].batch(self.samples[1], draw);
        let terms = Self::own(&self.outer.x, x[0], batch);
        (Self::shared(&self.outer, w[0], x[0], batch) + terms) / batch.len() as f64
    }

    fn mini_batches(&self, level: Level) -> usize {
        self.of(level).map_or(1, |(sampler, n)| sampler.batches(n))
    }

    fn samples(&self, draw: Draw) -> usize {
        self.of(draw.level).map_or(0, |(sampler, n)| sampler.batch(n, draw).len())
    }

    /// Reports `h(x)`, `|dh/dx|` and the distance of `w` from `w*(x)`, over all samples.
    fn metrics(&self, w: &Params<T>, x: &Params<T>, _: &InnerLoop) -> Vec<Metric> {
        let of =
            |params: &Params<T>| params.values().iter().map(|v| v.as_f64()).collect::<Vec<_>>();
        let Some(limit) = self.mean.limit(&of(x)) else { return Vec::new() };
        let mut gap = of(w);
        axpy(&mut gap, -1.0, &limit.w);
        let length = |v: &[f64]| dot(v, v).sqrt();
        let numbers = [limit.value, length(&limit.gradient), length(&gap)];
        let metrics = ["h(x)", "|dh/dx|", "|w - w*|"].into_iter().zip(numbers);
        metrics.map(|(name, value)| Metric { name, value }).collect()
    }
}
