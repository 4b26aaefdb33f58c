//! Inner update rules: known answers, exact gradients compared with one tape over the whole run, users' own rules,
//! wrong claims.

#![allow(
    clippy::unreadable_literal,
    clippy::excessive_precision,
    reason = "answers as they are printed"
)]

use crate::support::deviation;
use hypertape::linear::{Dense, Gmres, Stop};
use hypertape::problems::{ElasticNet, LearnedSteps, catalogue};
use hypertape::{
    Adam, Array, Bilevel, Draw, Element, Error, Estimator, Exact, FullTape, GradientDescent,
    Implicit, InnerLoop, Ista, List, Momentum, Named, Oracle, Params, Projected, Reversible,
    RmsProp, Rows, Rule, RuleForm, Schedule, Shape, Simplex, Step, check,
};

/// `g = z^2 + l z`, `f = z^2 / 2`, started at `z0`; `x` holds `z0`, `l`, and then the settings of the rule.
struct Slope(Vec<f64>);

impl Bilevel<f64> for Slope {
    fn start(&self) -> Params<f64> {
        self.0.iter().fold(Params::new(), |x, &v| {
            let name = format!("x{}", x.shapes().len());
            x.with(name, Shape::SCALAR, [v])
        })
    }
    fn init<'a, A: Array<'a, Elem = f64>>(&'a self, x: &[A], _: Draw) -> List<A> {
        List::from_slice(&x[..1])
    }
    fn inner<'a, A: Array<'a, Elem = f64>>(&'a self, w: &[A], x: &[A], _: Draw, _: Rows) -> A {
        w[0].square() + x[1] * w[0]
    }
    fn outer<'a, A: Array<'a, Elem = f64>>(&'a self, w: &[A], _: &[A], _: Draw, _: Rows) -> A {
        w[0].square() * 0.5
    }
}

/// A user's rule: gradient descent, heavy ball or Adam with settings that are the outer variables from `x[2]` on.
#[derive(Debug)]
enum Learned {
    Descent,
    HeavyBall,
    Adam,
}

impl Named for Learned {
    fn name(&self) -> String {
        "learned".into()
    }
}

impl<T: Element> Rule<T> for Learned {
    fn memory(&self) -> usize {
        match self {
            Self::Descent => 0,
            Self::HeavyBall => 1,
            Self::Adam => 2,
        }
    }
    fn update<'a, A: Array<'a, Elem = T>>(&self, s: &[A], g: A, x: &[A], step: Step) -> List<A> {
        match self {
            Self::Descent => List::from_slice(&[s[0] - g * x[2]]),
            Self::HeavyBall => {
                let m = s[1] * x[3] + g;
                List::from_slice(&[s[0] - m * x[2], m])
            }
            Self::Adam => {
                let [lr, b1, b2, eps] = [x[2], x[3], x[4], x[5]];
                let t = i32::try_from(step.index + 1).unwrap();
                let one = g.scalar(1.0);
                let m = s[1] * b1 + g * (one - b1);
                let q = s[2] * b2 + g.square() * (one - b2);
                let (mean, square) = (m / (one - b1.powi(t)), q / (one - b2.powi(t)));
                List::from_slice(&[s[0] - lr * mean / (square.sqrt() + eps), m, q])
            }
        }
    }
}

fn hypergradient(
    oracle: &mut Oracle<f64>,
    estimator: &mut dyn Estimator<f64>,
    inner: InnerLoop,
) -> Result<(f64, Vec<f64>), Error> {
    let x = oracle.start().values().to_vec();
    let mut gradient = vec![0.0; x.len()];
    let estimate = estimator.estimate(oracle, &inner, &x, Draw::new(0, 0), &mut gradient)?;
    Ok((estimate.loss, gradient))
}

#[track_caller]
fn close(found: f64, expected: f64, tolerance: f64) {
    let gap = (found - expected).abs() / expected.abs();
    assert!(gap <= tolerance, "found {found}, expected {expected}, off by {gap:e}");
}

#[test]
fn settings_of_a_rule_have_the_known_derivatives() {
    // Bilevel T12: eight steps from 1.5 at lr 0.1 on z^2 (l = 0), momentum 0.5, and Adam with l = 0.25.
    let inner = InnerLoop::new(8, 0.1).unwrap();
    let mut oracle = Oracle::new(Slope(vec![1.5, 0.0, 0.1])).unwrap();
    oracle.set_rule(Learned::Descent);
    let (loss, gradient) = hypergradient(&mut oracle, &mut Exact::default(), inner).unwrap();
    // Ten rounded steps: a few ulp.
    close((2.0 * loss).sqrt(), 0.25165824, 1e-14);
    close(gradient[2], -1.266637395197952, 1e-14);

    let mut oracle = Oracle::new(Slope(vec![1.5, 0.0, 0.1, 0.5])).unwrap();
    oracle.set_rule(Learned::HeavyBall);
    let (loss, gradient) = hypergradient(&mut oracle, &mut Exact::default(), inner).unwrap();
    // Printed to eight digits.
    close((2.0 * loss).sqrt(), 0.09814521, 3e-8);
    let expected = [0.0064216548306294, 0.109442341985823, 0.091898159423769];
    for (i, expected) in [0, 2, 3].into_iter().zip(expected) {
        // Terms of both signs cancel to a tenth, and 14 digits were printed.
        close(gradient[i], expected, 1e-13);
    }

    let mut oracle = Oracle::new(Slope(vec![1.5, 0.25, 0.1, 0.9, 0.999, 1e-8])).unwrap();
    oracle.set_rule(Learned::Adam);
    let (loss, gradient) = hypergradient(&mut oracle, &mut Exact::default(), inner).unwrap();
    close((2.0 * loss).sqrt(), 0.71659284967291751, 1e-14);
    let expected = [
        -0.0053933189430085411,
        -5.4385567761732191,
        -0.090636205550984849,
        0.079880242674018721,
        0.18750759552637133,
    ];
    for (found, expected) in gradient[1..].iter().zip(expected) {
        // d/db2 cancels in 1 - b2^t: 3e-11; the same root divides the others by 1e-3.
        close(*found, expected, 1e-10);
    }
    // The rule of the library with these settings is the same function.
    oracle.set_rule(Adam::new(0.9, 0.999, 1e-8).unwrap());
    let (same, built_in) = hypergradient(&mut oracle, &mut Exact::default(), inner).unwrap();
    close(same, loss, 1e-14);
    close(built_in[1], gradient[1], 1e-11);
}

#[test]
fn sizes_of_descent_steps_are_learned() {
    // Bilevel T12 again, with respect to the logarithm of one size for all steps: eta = 0.1 e^x.
    let inner = InnerLoop::new(8, 0.1).unwrap();
    let mut oracle = Oracle::new(Slope(vec![1.5, 0.0, 0.0])).unwrap();
    oracle.set_rule(GradientDescent::learned(2));
    let (_, gradient) = hypergradient(&mut oracle, &mut Exact::default(), inner).unwrap();
    close(gradient[2], 0.1 * -1.266637395197952, 1e-14);
    // Three sizes for five steps, the last of them for three: sum_i h_i e_i^2/2, where e_i is a product over steps.
    let (curvature, x) = ([1.0, 0.5, 0.2], [0.3, -0.2, 0.1]);
    let size = |t: usize| 0.4 * f64::exp(x[t.min(2)]);
    let end = |h: f64| (0..5).map(|t| 1.0 - size(t) * h).product::<f64>();
    let loss = curvature.iter().map(|&h| 0.5 * h * end(h).powi(2)).sum::<f64>();
    let slope = |t| {
        let terms = curvature.iter().map(|&h| (h * end(h)).powi(2) / (1.0 - size(t) * h));
        -size(t) * terms.sum::<f64>()
    };
    let known = [slope(0), slope(1), (2..5).map(slope).sum()];
    let mut oracle = Oracle::<f64>::new(LearnedSteps::new(&curvature, 3)).unwrap();
    oracle.set_rule(GradientDescent::learned(0));
    let (inner, draw) = (InnerLoop::new(5, 0.4).unwrap(), Draw::new(0, 0));
    let mut of = |estimator: &mut dyn Estimator<f64>| {
        let mut gradient = [0.0; 3];
        let found = estimator.estimate(&mut oracle, &inner, &x, draw, &mut gradient).unwrap();
        (found.loss, gradient)
    };
    let exact = of(&mut Exact::default());
    close(exact.0, loss, 1e-14);
    assert!(deviation(&exact.1, &known) < 1e-14, "{exact:?} {known:?}");
    for schedule in ["uniform:k=2", "binomial:c=1", "constant", "disk:ram=1,disk=1", "online:c=2"] {
        assert_eq!(of(&mut Exact::new(schedule.parse().unwrap())), exact, "{schedule}");
    }
    for estimator in [
        &mut FullTape as &mut dyn Estimator<f64>,
        &mut Exact::new("store-all:keep=tapes".parse().unwrap()),
    ] {
        assert!(deviation(&of(estimator).1, &known) < 1e-14);
    }
    oracle.set_rule(GradientDescent::learned(1));
    let why = hypergradient(&mut oracle, &mut Exact::default(), inner).unwrap_err().to_string();
    assert_eq!(
        why,
        "the problem's step rule: the outer variables: index 1 is out of range, expected less than 1"
    );
}

#[test]
fn soft_thresholding_has_the_derivatives_of_the_lasso() {
    const X: [f64; 12] = [1.0, 0.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 1.0, -1.0, 0.5];
    const V: [f64; 9] = [1.0, 0.5, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0, -1.0];
    let of = |weights: &[f64], second: Option<f64>, estimator: &mut dyn Estimator<f64>| {
        let log: Vec<f64> = weights.iter().map(|l| l.ln()).collect();
        let (train, valid) = ((&X[..], &[3.0, 1.0, 2.0, 2.2][..]), (&V[..], &[2.0, 1.0, 1.5][..]));
        let net = ElasticNet::new(train, valid, 3, &log, second.map(f64::ln)).unwrap();
        let mut oracle = Oracle::new(net).unwrap();
        oracle.set_rule(Ista::learned(0));
        let inner = InnerLoop::new(300, 0.6).unwrap();
        hypergradient(&mut oracle, estimator, inner)
    };
    // Bilevel T6, T7 and T8, with respect to the logarithms of the weights.
    for (weights, second, loss, known) in [
        (&[0.3][..], None, 0.13666666666666667, &[0.3 * 0.31111111111111111][..]),
        (&[0.3; 3], None, 0.13666666666666667, &[0.28, 0.0, 0.3 * -0.62222222222222222]),
        (
            &[0.3, 0.5, 0.2],
            None,
            0.28185185185185185,
            &[0.3 * 2.237037037037037, 0.0, 0.2 * -2.2814814814814815],
        ),
        (
            &[0.3],
            Some(0.1),
            0.27144678641037312,
            &[0.3 * 0.31966667833759322, 0.1 * 1.3759064218202958],
        ),
    ] {
        for estimator in [
            &mut Exact::default() as &mut dyn Estimator<f64>,
            &mut FullTape,
            // The steps after the support is found contain everything except a part of 0.84^100.
            &mut hypertape::Truncated { k: 250 },
            &mut Implicit::new(Dense).unwrap(),
            &mut Implicit::new(Gmres { stop: Stop { iterations: 9, tolerance: 0.0 } }).unwrap(),
        ] {
            let (found, gradient) = of(weights, second, estimator).unwrap();
            // Rounding of steps that contract, divided by a smallest eigenvalue of 0.27.
            close(found, loss, 1e-14);
            let gap = deviation(&gradient, known);
            assert!(gap < 1e-13, "{weights:?} {}: {gradient:?} {known:?}", estimator.name());
            // A weight outside the support has no influence.
            assert!(known.len() < 3 || gradient[1] == 0.0, "{gradient:?}");
        }
    }
    let wrong = |width, weights: &[f64]| {
        let set = (&X[..], &[3.0, 1.0, 2.0, 2.2][..]);
        ElasticNet::<f64>::new(set, set, width, weights, None).unwrap_err().to_string()
    };
    let expected = "training rows: found 12 values for 4 targets, expected one target or more, 2 values for each";
    assert_eq!(wrong(2, &[0.1]), expected);
    let expected =
        "log-weights of the first penalty: found 2, expected 1, or one for each of 3 features";
    assert_eq!(wrong(3, &[0.1; 2]), expected);
}

#[test]
fn steep_steps_are_told() {
    // The first step of Adam has the slope -lr eps / (|g| + eps)^2 in its gradient, 1/eps times that of descent at zero.
    let estimate = |rule: Option<Adam>, l: f64| {
        let mut oracle = Oracle::new(Slope(vec![0.0, l])).unwrap();
        if let Some(rule) = rule {
            oracle.set_rule(rule);
        }
        crate::support::estimate(&mut Exact::default(), &mut oracle, (1, 0.1), Draw::new(0, 0))
            .unwrap()
            .0
    };
    let adam = |eps| Some(Adam::new(0.9, 0.999, eps).unwrap());
    for (eps, l, loud) in [(1e-8, 1e-9, true), (1e-8, 0.3, false), (1e-3, 1e-9, false)] {
        let found = estimate(adam(eps), l);
        // 1 - b1 and 1 - b2 are rounded, and the slope is a small difference of large terms.
        let known = eps / (l + eps).powi(2);
        assert!(
            (found.soundness.sensitivity / known - 1.0).abs() < 1e-7,
            "{eps} {l}: {found:?} {known}"
        );
        let warnings = found.soundness.warnings();
        assert_eq!(warnings.len(), usize::from(loud), "{warnings:?}");
        if loud {
            let text = "a step is 8.26e7 times as sensitive to its gradient as gradient descent";
            assert!(warnings[0].starts_with(text), "{warnings:?}");
            let advice = "where the gradient almost vanishes: expected at most 1e6; raise eps";
            assert!(warnings[0].ends_with(advice), "{warnings:?}");
        }
    }
    let plain = estimate(None, 0.3).soundness;
    assert_eq!((plain.sensitivity, plain.warnings().len()), (0.0, 0));
}

#[test]
fn adam_at_a_zero_gradient_is_finite() {
    // Bilevel T13: the first step is -lr g / (|g| + eps), with slope -lr eps / (|g| + eps)^2. Here g = l at z = 0, so d
    // f / d l = z dz/dl, where z is the step; this is zero at l = 0.
    for (l, slope) in [(1e-4, -0.09998000299960005), (0.3, -1.1111110370370407e-8)] {
        let mut oracle = Oracle::new(Slope(vec![0.0, l])).unwrap();
        oracle.set_rule(Adam::new(0.9, 0.999, 1e-8).unwrap());
        let inner = InnerLoop::new(1, 0.1).unwrap();
        let (loss, gradient) = hypergradient(&mut oracle, &mut Exact::default(), inner).unwrap();
        let z = -(2.0 * loss).sqrt();
        // 1 - b1 and 1 - b2 are rounded, and the slope is a small difference of large terms.
        close(gradient[1] / z, slope, 1e-8);
    }
    let mut oracle = Oracle::new(Slope(vec![0.0, 0.0])).unwrap();
    oracle.set_rule(Adam::new(0.9, 0.999, 1e-8).unwrap());
    let inner = InnerLoop::new(3, 0.1).unwrap();
    let (_, gradient) = hypergradient(&mut oracle, &mut Exact::default(), inner).unwrap();
    assert!(gradient.iter().all(|g| g.is_finite()), "{gradient:?}");
}

/// Gradient descent written like any other rule, without the short cut.
#[derive(Debug)]
struct Plain;

impl Named for Plain {
    fn name(&self) -> String {
        "plain".into()
    }
}

impl<T: Element> Rule<T> for Plain {
    fn update<'a, A: Array<'a, Elem = T>>(&self, s: &[A], g: A, _: &[A], step: Step) -> List<A> {
        List::from_slice(&[s[0] - g * step.lr])
    }
}

/// Oracles with each of the rules, and the names of the rules.
type Setter = fn(&mut Oracle<'static, f64>);

const RULES: [(&str, Setter); 9] = [
    ("heavy-ball:momentum=0.8", |o| o.set_rule(Momentum::heavy_ball(0.8).unwrap())),
    ("nesterov:momentum=0.8", |o| o.set_rule(Momentum::nesterov(0.8).unwrap())),
    ("adam:b1=0.9,b2=0.99,eps=0.001", |o| o.set_rule(Adam::new(0.9, 0.99, 1e-3).unwrap())),
    ("adam:b1=0.9,b2=0.99,eps=0.001,decay=0.1", |o| {
        o.set_rule(Adam::new(0.9, 0.99, 1e-3).unwrap().with_decay(0.1).unwrap());
    }),
    ("rmsprop:b2=0.9,eps=0.001", |o| o.set_rule(RmsProp::new(0.9, 1e-3).unwrap())),
    ("ista:l1=0.01", |o| o.set_rule(Ista::new(0.01).unwrap())),
    ("simplex:sum=0.1", |o| o.set_rule(Simplex::new(0.1).unwrap())),
    ("projected:lower=-0.02,upper=0.03", |o| o.set_rule(Projected::new(-0.02, 0.03).unwrap())),
    ("plain", |o| o.set_rule(Plain)),
];

#[test]
fn exact_equals_the_whole_run_tape_under_every_rule_and_schedule() {
    let problems = ["w1-ridge", "w3", "quadratic", "digits-clean"];
    let entries = catalogue();
    for entry in entries.iter().filter(|e| problems.contains(&e.name.as_str())) {
        for (name, set) in RULES {
            let mut oracle = entry.open::<f64>(None).unwrap();
            set(&mut oracle);
            assert_eq!(oracle.rule(), name);
            let inner = InnerLoop::new(7, entry.lr * 0.1).unwrap();
            let mut of = |schedule: &str| {
                let mut exact = Exact::new(schedule.parse::<Schedule>().unwrap());
                hypergradient(&mut oracle, &mut exact, inner).unwrap()
            };
            let (loss, gradient) = of("store-all");
            for schedule in ["uniform:k=3", "binomial:c=2", "disk:ram=1,disk=2", "online:c=2"] {
                assert!(
                    of(schedule) == (loss, gradient.clone()),
                    "{} {name} {schedule}",
                    entry.name
                );
            }
            let kept = of("store-all:keep=tapes").1;
            let (_, tape) = hypergradient(&mut oracle, &mut FullTape, inner).unwrap();
            for (way, other) in [("kept tapes", kept), ("one tape", tape)] {
                let gap = deviation(&other, &gradient);
                // Sums in a different order; observed up to 4e-14 (divisions by small roots).
                assert!(gap < 1e-12, "{} {name} {way}: {gap:e}", entry.name);
            }
        }
    }
}

/// Gradient descent with factors, written like any other rule.
#[derive(Debug)]
struct Halved;
impl Named for Halved {
    fn name(&self) -> String {
        "halved".into()
    }
}

impl<T: Element> Rule<T> for Halved {
    fn update<'a, A: Array<'a, Elem = T>>(&self, s: &[A], g: A, x: &[A], step: Step) -> List<A> {
        GradientDescent::with_factors(vec![1.0, 0.5]).unwrap().update(s, g, x, step)
    }
}

#[test]
fn the_short_cut_of_gradient_descent_is_the_statement() {
    let entries = catalogue();
    let entry = entries.iter().find(|e| e.name == "w3").unwrap();
    let (mut short, mut long) =
        (entry.open::<f64>(None).unwrap(), entry.open::<f64>(None).unwrap());
    short.set_rule(GradientDescent::with_factors(vec![1.0, 0.5]).unwrap());
    long.set_rule(Halved);
    let inner = InnerLoop::new(6, entry.lr).unwrap();
    let (a, left) = hypergradient(&mut short, &mut Exact::default(), inner).unwrap();
    let (b, right) = hypergradient(&mut long, &mut Exact::default(), inner).unwrap();
    // The step is a fused multiply-add in one of them, and two roundings in the other.
    assert!((a - b).abs() < 1e-13 * b.abs() && deviation(&left, &right) < 1e-13);
}

/// A rule whose arrays are moved one by one.
#[derive(Debug)]
struct Apart<R>(R);

impl<R: Named> Named for Apart<R> {
    fn name(&self) -> String {
        self.0.name()
    }
}

impl<T: Element, R: Rule<T>> Rule<T> for Apart<R> {
    fn memory(&self) -> usize {
        self.0.memory()
    }
    fn query<'a, A: Array<'a, Elem = T>>(&self, state: &[A], step: Step) -> Option<A> {
        self.0.query(state, step)
    }
    fn update<'a, A: Array<'a, Elem = T>>(&self, s: &[A], g: A, x: &[A], step: Step) -> List<A> {
        self.0.update(s, g, x, step)
    }
    fn form(&self) -> RuleForm {
        self.0.form()
    }
}

/// The six arrays of `w3` have 1761 entries.
#[test]
fn small_arrays_are_moved_as_one() {
    fn compare<R: Rule<f64> + Clone + 'static>(rule: R) {
        let name = rule.name();
        let entries = catalogue();
        let entry = entries.iter().find(|e| e.name == "w3").unwrap();
        let inner = InnerLoop::new(6, 0.1 * entry.lr).unwrap();
        let mut together = entry.open::<f64>(None).unwrap();
        let mut apart = entry.open::<f64>(None).unwrap();
        together.set_rule(rule.clone());
        apart.set_rule(Apart(rule));
        let (a, left) = hypergradient(&mut together, &mut Exact::default(), inner).unwrap();
        let (b, right) = hypergradient(&mut apart, &mut Exact::default(), inner).unwrap();
        // Entries have the same bits wherever they are, unless they are sums over arrays.
        assert_eq!((a, &left), (b, &right), "{name}");
    }
    compare(Momentum::heavy_ball(0.8).unwrap());
    compare(Momentum::nesterov(0.8).unwrap());
    compare(Adam::new(0.9, 0.99, 1e-3).unwrap().with_decay(0.1).unwrap());
    compare(RmsProp::new(0.9, 1e-3).unwrap());
    compare(Ista::new(0.01).unwrap());
    compare(Projected::new(-0.02, 0.03).unwrap());
}

/// A rule that claims to treat all entries alike, and divides by the norm of each array.
#[derive(Debug)]
struct Normalised;

impl Named for Normalised {
    fn name(&self) -> String {
        "normalised".into()
    }
}

impl<T: Element> Rule<T> for Normalised {
    fn update<'a, A: Array<'a, Elem = T>>(&self, s: &[A], g: A, _: &[A], step: Step) -> List<A> {
        List::from_slice(&[s[0] - g / g.norm() * step.lr])
    }
    fn entrywise(&self) -> bool {
        true
    }
}

#[test]
fn check_finds_a_rule_that_does_not_treat_entries_alike() {
    let entries = catalogue();
    let entry = entries.iter().find(|e| e.name == "w3").unwrap();
    let mut oracle = entry.open::<f64>(None).unwrap();
    let x = oracle.start().values().to_vec();
    let inner = InnerLoop::new(3, 0.1 * entry.lr).unwrap();
    for (honest, found) in [(true, vec![]), (false, vec!["exact = full tape"])] {
        if honest {
            oracle.set_rule(Apart(Normalised));
        } else {
            oracle.set_rule(Normalised);
        }
        let checks = check(&mut oracle, &inner, &x, Draw::new(0, 0)).unwrap();
        let failed: Vec<_> = checks.iter().filter(|c| c.failed()).map(|c| c.name).collect();
        assert_eq!(failed, found);
    }
}

/// A rule that squares the gradient although it claims that its pull-back does not need it.
#[derive(Debug)]
struct Liar(RuleForm);

impl Named for Liar {
    fn name(&self) -> String {
        "liar".into()
    }
}

impl<T: Element> Rule<T> for Liar {
    fn update<'a, A: Array<'a, Elem = T>>(&self, s: &[A], g: A, _: &[A], step: Step) -> List<A> {
        List::from_slice(&[s[0] - g * g.square() * step.lr])
    }
    fn form(&self) -> RuleForm {
        self.0
    }
}

/// A rule that returns too many vectors.
#[derive(Debug)]
struct Longer;

impl Named for Longer {
    fn name(&self) -> String {
        "longer".into()
    }
}

impl<T: Element> Rule<T> for Longer {
    fn update<'a, A: Array<'a, Elem = T>>(&self, s: &[A], g: A, _: &[A], _: Step) -> List<A> {
        List::from_slice(&[s[0], g])
    }
}

#[test]
fn a_wrong_rule_is_an_error() {
    let inner = InnerLoop::new(3, 0.1).unwrap();
    let mut oracle = Oracle::new(Slope(vec![1.5, 0.25])).unwrap();
    for form in [RuleForm::Affine, RuleForm::AffineInState] {
        oracle.set_rule(Liar(form));
        let why = hypergradient(&mut oracle, &mut Exact::default(), inner).unwrap_err();
        assert!(matches!(why, Error::NonFinite { quantity: "the hypergradient", .. }), "{why}");
    }
    oracle.set_rule(Longer);
    let why = hypergradient(&mut oracle, &mut Exact::default(), inner).unwrap_err().to_string();
    assert_eq!(
        why,
        "the problem's step rule: the state after the step of a rule: found 2 values, expected 1"
    );
    oracle.set_rule(Ista::learned(2));
    let why = hypergradient(&mut oracle, &mut Exact::default(), inner).unwrap_err().to_string();
    assert_eq!(
        why,
        "the problem's step rule: the outer variables: index 2 is out of range, expected less than 2"
    );
}

#[test]
fn heavy_ball_reversed_exactly_is_heavy_ball() {
    for (name, steps) in [("w1-ridge", 300), ("w3", 20), ("quadratic", 1000)] {
        let entry = catalogue().into_iter().find(|e| e.name == name).unwrap();
        let mut oracle = entry.open::<f64>(None).unwrap();
        oracle.set_rule(Momentum::heavy_ball(0.9).unwrap());
        let inner = InnerLoop::new(steps, entry.lr * 0.1).unwrap();
        let (loss, gradient) = hypergradient(&mut oracle, &mut Exact::default(), inner).unwrap();
        let mut reversible = Reversible::new(0.9).unwrap();
        let (same, other) = hypergradient(&mut oracle, &mut reversible, inner).unwrap();
        // Rounding to 2^-40 = 9e-13 in each step, relative to entries of w of order one.
        let gap = deviation(&other, &gradient);
        assert!((same - loss).abs() < 1e-10 * loss && gap < 1e-9, "{name}: {gap:e}");
        let (x, draw) = (oracle.start().values().to_vec(), Draw::new(0, 0));
        let mut out = vec![0.0; x.len()];
        let predicted = Estimator::predict(&reversible, &mut oracle, &inner, &x, draw).unwrap();
        let cost = reversible.estimate(&mut oracle, &inner, &x, draw, &mut out).unwrap().cost;
        let tasks = oracle.batch() as u64;
        assert_eq!(predicted, cost.bytes_measured, "{name}");
        assert_eq!(
            (cost.inner_gradients, cost.hvps),
            (2 * steps as u64 * tasks, steps as u64 * tasks)
        );
    }
    let mut oracle = Oracle::new(Slope(vec![1.5, 0.25])).unwrap();
    let inner = InnerLoop::new(3, 0.1).unwrap();
    let mut reversible = Reversible::new(0.9).unwrap();
    let why = hypergradient(&mut oracle, &mut reversible, inner).unwrap_err().to_string();
    let expected =
        "reversible reverses the rule heavy-ball:momentum=0.9, and the rule is gradient-descent";
    assert_eq!(why, expected);
    oracle.set_rule(Momentum::heavy_ball(0.9).unwrap());
    let inner = InnerLoop::new(300, 5.0).unwrap();
    let why = hypergradient(&mut oracle, &mut reversible, inner).unwrap_err().to_string();
    assert!(
        why.starts_with("reversible takes states up to 4e6, which 2^-40 resolves in 63 bits"),
        "{why}"
    );
    assert!(Reversible::new(0.1234).is_err() && Reversible::new(1.0).is_err());
}
