//! Truncated reverse mode and forward mode: known answers, agreement with the exact gradient, counts, bytes.

use crate::support::problem::{column, matrix, problem};
use crate::support::two_layer::TwoLayer;
use crate::support::{deviation, estimate, expected, shared};
use hypertape::problems::{Cleaning, Penalised, Quadratic, catalogue};
use hypertape::{
    Bilevel, Cost, Draw, Error, Estimator, Exact, FirstOrder, Forward, InnerLoop, Oracle, Truncated,
};

fn of(
    estimator: &mut dyn Estimator<f64>,
    problem: impl Bilevel<f64>,
    inner: (usize, f64),
) -> (Vec<f64>, Cost) {
    let mut oracle = Oracle::new(problem).unwrap();
    let (found, gradient) = estimate(estimator, &mut oracle, inner, Draw::new(0, 0)).unwrap();
    assert!(found.soundness.report.is_none());
    (gradient, found.cost)
}

// bilevel T14: `g = e^x (w - d_t)^2 / 2`, where step `t` sees the next of three samples in turn.
problem!(
    Cyclic,
    [0.0],
    |x| x.scalar(1.0),
    |w, x, draw| {
        let sample = [1.0, -3.0, 0.7][usize::try_from(draw.step % 3).unwrap()];
        x.exp() * (w - sample).square() * 0.5
    },
    |w, _x| w.square() * 0.5
);

// bilevel T10: a learned start.
problem!(
    Start,
    [0.3, 0.4],
    |x| x,
    |w, _x, _draw| {
        let gap = w - column(w, &[1.0, -1.0]);
        gap.dot(matrix(w, &[2.0, 0.5, 0.5, 1.0], 2).matmul(gap)) * 0.5
    },
    |w, _x| (w - 0.5).square().sum() * 0.5
);

#[test]
fn known_answers() {
    for (k, known) in
        [(1, -0.004_603_532_03), (3, -0.012_475_571_801_3), (10, -0.029_983_796_628_292_136)]
    {
        let (gradient, _) = of(&mut Truncated { k }, Quadratic::scalar(), (10, 0.1));
        assert!((gradient[0] - known).abs() < 1e-16, "{k}: {gradient:?}");
    }
    let (gradient, _) = of(&mut Truncated { k: 2 }, Quadratic::general(), (5, 0.3));
    let known = [0.688_238_027_425_781_2, -0.661_768_874_283_935_6];
    assert!(deviation(&gradient, &known) < 2e-15, "{gradient:?}");
    let (gradient, _) = of(&mut Forward, Quadratic::general(), (5, 0.3));
    let known = [0.889_454_368_725_553_7, -0.712_507_614_840_826_2];
    assert!(deviation(&gradient, &known) < 2e-15, "{gradient:?}");
    // Mini-batches are replayed; if new ones were drawn, the result would be -0.289.
    for estimator in
        [&mut Truncated { k: 7 } as &mut dyn Estimator<f64>, &mut Forward, &mut Exact::default()]
    {
        let (gradient, _) = of(estimator, Cyclic, (7, 0.1));
        assert!((gradient[0] - -0.154_068_444_231).abs() < 1e-15, "{gradient:?}");
    }
    // A learned start belongs to the whole run, not to its last steps; f does not contain x.
    let whole = [0.141_359_025, -0.372_531_994];
    for (estimator, known) in [
        (&mut Truncated { k: 4 } as &mut dyn Estimator<f64>, whole),
        (&mut Forward, whole),
        (&mut FirstOrder, [0.190_53, -0.781_1]),
        (&mut Truncated { k: 3 }, [0.0, 0.0]),
    ] {
        let (gradient, _) = of(estimator, Start, (4, 0.2));
        let gap = (gradient[0] - known[0]).abs().max((gradient[1] - known[1]).abs());
        assert!(gap < 1e-15, "{}: {gradient:?}", estimator.name());
    }
}

const ROWS: [f64; 6] = [1.0, 0.5, -0.3, 1.2, 0.8, -1.0];
const TARGETS: [f64; 3] = [0.7, -0.4, 0.2];
const START: [f64; 6] = [0.9, -0.5, 0.3, 0.7, 1.1, -0.8];

fn network<'a, A: hypertape::Array<'a, Elem = f64>>(w: A) -> A {
    let hidden = matrix(w, &ROWS, 2).matmul(w.slice(0, hypertape::Shape::new(2, 2))).tanh();
    hidden.matmul(w.slice(4, hypertape::Shape::column(2)))
}

// bilevel T18: a network of two layers, where the penalty and the scale of the start are the outer variables.
problem!(
    Network,
    [-2.0, 0.8],
    |x| column(x, &START) * x.slice(1, hypertape::Shape::SCALAR),
    |w, x, _draw| network(w).squared_error(column(w, &TARGETS)) / 6.0
        + x.slice(0, hypertape::Shape::SCALAR).exp() * w.dot(w) * 0.5,
    |w, _x| (network(w) + 1.0).square().mean()
);

/// `a + i b`
#[derive(Clone, Copy)]
struct Complex(f64, f64);

impl std::ops::Add for Complex {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0, self.1 + other.1)
    }
}

impl std::ops::Mul for Complex {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        Self(self.0 * other.0 - self.1 * other.1, self.0 * other.1 + self.1 * other.0)
    }
}

impl Complex {
    fn tanh(self) -> Self {
        let (a, b) = (2.0 * self.0, 2.0 * self.1);
        let below = a.cosh() + b.cos();
        Self(a.sinh() / below, b.sin() / below)
    }
    fn exp(self) -> Self {
        Self(self.0.exp() * self.1.cos(), self.0.exp() * self.1.sin())
    }
}

/// The same run with complex numbers and its gradient by hand.
fn complex_run(x: [Complex; 2], steps: usize, lr: f64) -> Complex {
    let real = |a| Complex(a, 0.0);
    let mut w = START.map(|start| real(start) * x[1]);
    let hidden = |w: &[Complex; 6], i: usize, k: usize| {
        (real(ROWS[2 * i]) * w[k] + real(ROWS[2 * i + 1]) * w[2 + k]).tanh()
    };
    for _ in 0..steps {
        let penalty = x[0].exp();
        let mut g = w.map(|w| penalty * w);
        for (i, target) in TARGETS.into_iter().enumerate() {
            let t = [0, 1].map(|k| hidden(&w, i, k));
            let gap = (t[0] * w[4] + t[1] * w[5] + real(-target)) * real(1.0 / 3.0);
            for k in 0..2 {
                let slope = gap * w[4 + k] * (real(1.0) + real(-1.0) * t[k] * t[k]);
                g[k] = g[k] + slope * real(ROWS[2 * i]);
                g[2 + k] = g[2 + k] + slope * real(ROWS[2 * i + 1]);
                g[4 + k] = g[4 + k] + gap * t[k];
            }
        }
        for (w, g) in w.iter_mut().zip(g) {
            *w = *w + real(-lr) * g;
        }
    }
    let error = |i: usize| {
        let end = hidden(&w, i, 0) * w[4] + hidden(&w, i, 1) * w[5] + real(1.0);
        end * end * real(1.0 / 3.0)
    };
    error(0) + error(1) + error(2)
}

#[test]
fn a_network_has_the_derivatives_of_complex_steps() {
    let tiny = 1e-100;
    let known = [0, 1].map(|i| {
        let mut x = [Complex(-2.0, 0.0), Complex(0.8, 0.0)];
        x[i].1 = tiny;
        complex_run(x, 12, 0.3).1 / tiny
    });
    for estimator in [&mut Exact::default() as &mut dyn Estimator<f64>, &mut Forward] {
        let (gradient, _) = of(estimator, Network, (12, 0.3));
        // No differences are involved: twelve steps of rounding.
        let gap = deviation(&gradient, &known);
        assert!(gap < 1e-14, "{}: {gradient:?} {known:?}", estimator.name());
    }
}

#[test]
fn one_step_equals_the_peers() {
    fn check(name: &str, problem: impl Bilevel<f64>, inner: (usize, f64)) {
        let Some(folder) = shared(name) else { return };
        let (gradient, _) = of(&mut Truncated { k: 1 }, problem, inner);
        let gap = deviation(&gradient, &expected(&folder, &format!("{name}.firstorder.txt")));
        assert!(gap < 1e-14, "{name}: off by {gap:e}"); // two orders of summation
    }
    check("w1_ridge", Penalised::ridge(1), (100, 0.5));
    check("w1_logreg", Penalised::logistic(1), (100, 1.0));
    check("w2", Cleaning::workload(2), (50, 0.1));
}

#[test]
fn forward_and_whole_truncation_equal_the_exact_gradient() {
    for seed in 0..5 {
        for steps in [0, 1, 7] {
            let (exact, _) = of(&mut Exact::default(), TwoLayer::new(seed), (steps, 0.2));
            let (forward, _) = of(&mut Forward, TwoLayer::new(seed), (steps, 0.2));
            // The same terms in a different order.
            let gap = deviation(&forward, &exact);
            assert!(gap < 1e-14, "seed {seed}, {steps} steps: {gap:e}");
            let (whole, _) = of(&mut Truncated { k: steps + 2 }, TwoLayer::new(seed), (steps, 0.2));
            assert_eq!(whole, exact, "seed {seed}, {steps} steps");
        }
    }
    // Meta-batches, blocks of rows, outer variables of several blocks of four, other rules.
    for entry in catalogue() {
        let mut oracle = entry.open::<f64>(None).unwrap();
        if oracle.outer_dim() > 300 {
            continue;
        }
        let inner = (3, entry.lr);
        let mut of = |estimator: &mut dyn Estimator<f64>| {
            estimate(estimator, &mut oracle, inner, Draw::new(2, 5)).unwrap().1
        };
        let (exact, forward) = (of(&mut Exact::default()), of(&mut Forward));
        oracle.set_threads(2).unwrap();
        let (_, shared) = estimate(&mut Forward, &mut oracle, inner, Draw::new(2, 5)).unwrap();
        assert_eq!(shared, forward, "{}", entry.name);
        let gap = deviation(&forward, &exact);
        assert!(gap < 1e-13, "{}: {gap:e}", entry.name); // sums of up to 2000 terms in another order
    }
}

#[test]
fn forward_mode_ends_where_the_loop_does() {
    let inner = InnerLoop::new(200, 0.2).unwrap().until(1e-2).unwrap();
    let of = |estimator: &mut dyn Estimator<f64>, rule: &str| {
        let mut oracle = Oracle::new(TwoLayer::new(1)).unwrap();
        oracle.set_any_rule(rule.parse().unwrap());
        let mut gradient = vec![0.0; oracle.outer_dim()];
        let x = oracle.start().values().to_vec();
        let found = estimator.estimate(&mut oracle, &inner, &x, Draw::new(0, 0), &mut gradient);
        (gradient, found.unwrap().cost.plain_steps)
    };
    for rule in ["gradient-descent", "heavy-ball", "nesterov"] {
        let (exact, once) = of(&mut Exact::new("online:c=300".parse().unwrap()), rule);
        let (forward, steps) = of(&mut Forward, rule);
        assert!(once < 200, "{rule}: {once} steps, too many to tell");
        assert_eq!(steps, 5 * once, "{rule}: 20 outer variables in five blocks");
        // The same terms in a different order.
        let gap = deviation(&forward, &exact);
        assert!(gap < 1e-12, "{rule}: {gap:e}");
    }
}

#[test]
fn truncation_contracts() {
    // On a quadratic, by 1 - lr mu per step, once only the part of the smallest eigenvalue mu remains.
    let mu = 0.853_944;
    let (exact, _) = of(&mut Exact::default(), Quadratic::general(), (80, 0.3));
    let bias = |k| deviation(&of(&mut Truncated { k }, Quadratic::general(), (80, 0.3)).0, &exact);
    let rate = bias(31) / bias(30);
    // The next eigenvalue contracts by 0.60, so after 30 steps (0.60/0.74)^30 = 2e-3 of its part remains, and a step
    // changes a fifth of that.
    assert!((rate - (1.0 - 0.3 * mu)).abs() < 1e-3, "{rate}");
}

#[test]
fn counts_and_bytes() {
    for (steps, k) in [(0, 3), (1, 1), (9, 0), (9, 4), (9, 20)] {
        let (_, cost) = of(&mut Truncated { k }, TwoLayer::new(3), (steps, 0.1));
        let (r, products) = (steps as u64, k.min(steps) as u64);
        let counts = [cost.plain_steps, cost.inner_gradients, cost.hvps, cost.mixed];
        assert_eq!(counts, [r, r, products, products]);
        // 20 outer variables in five blocks.
        let (_, cost) = of(&mut Forward, TwoLayer::new(3), (steps, 0.1));
        let counts = [cost.plain_steps, cost.inner_gradients, cost.hvps, cost.mixed];
        assert_eq!(counts, [5 * r, 0, 20 * r, 20 * r]);
    }
    let digits = |estimator: &mut dyn Estimator<f64>, steps| {
        of(estimator, Cleaning::digits(0).unwrap(), (steps, 1.0)).1.bytes_measured
    };
    // One state of 640 weights per reversed step, none for the others.
    let base = digits(&mut Truncated { k: 2 }, 4);
    assert_eq!(digits(&mut Truncated { k: 2 }, 30), base);
    assert_eq!(digits(&mut Truncated { k: 12 }, 30) - base, 8 * 10 * 640);
    assert_eq!(digits(&mut Forward, 1), digits(&mut Forward, 2));
}

#[test]
fn divergence_is_told() {
    for estimator in [&mut Truncated { k: 2 } as &mut dyn Estimator<f64>, &mut Forward] {
        let mut oracle = Oracle::<f64>::new(Quadratic::general()).unwrap();
        let error = estimate(estimator, &mut oracle, (2000, 3.0), Draw::new(0, 0)).unwrap_err();
        assert!(matches!(error, Error::NonFinite { step: Some(_), lr: 3.0, .. }), "{error}");
    }
}
