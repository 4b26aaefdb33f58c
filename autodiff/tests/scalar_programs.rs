//! Random straight-line programs, from a fixed seed: forward mode against differences, reverse mode against forward mode,
//! Hessian-vector products against nested forward mode and against each other through the symmetry of the Hessian.

use hypertape_autodiff::scalar::{Dual, Float, Real, Tape};
use proptest::array::uniform4;
use proptest::collection::vec;
use proptest::prelude::{Strategy, prop_assert};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

/// Operation, and which of the numbers so far it takes.
type Step = (u8, usize, usize, usize);

/// Runs a program. Every result is kept below 1 by a sine, so that nothing overflows and differences are accurate.
fn run<R: Real>(program: &[Step], x: &[R]) -> R {
    let mut numbers = x.to_vec();
    for &(operation, i, j, k) in program {
        let [a, b, c] = [i, j, k].map(|i| numbers[i % numbers.len()]);
        let result = match operation {
            0 => a + b,
            1 => a - b * 0.5,
            2 => a * b,
            3 => a / (b * b + 1.5),
            4 => a.exp() - c,
            5 => (a * a + 0.3).sqrt() * b,
            6 => (b.square() + 0.7).ln() + a * 2.0,
            7 => a.tanh() * c,
            8 => (a * a + 0.2).powf(b),
            9 => a.add_product(b, c),
            10 => R::dot(&[a, b], &[c, a]),
            11 => R::logsumexp(&[a, b, c]),
            12 => R::sum_of(&numbers[i % numbers.len()..]),
            13 => -(a.sigmoid() - 1.0) * b.softplus(),
            14 => R::fuse([a, b, c], |[a, b, c]| [a * b.sin() + c / (a * a + 2.0)])[0],
            _ => R::constant(0.8) * a.atan2(b.square() + 0.4) + b.hypot(c + 1.7),
        };
        numbers.push(result.sin());
    }
    R::sum_of(&numbers[x.len()..])
}

const N: usize = 4;

/// Gradient by four tangents.
fn forward<R: Real>(program: &[Step], x: [R; N]) -> [R; N] {
    let x: [_; N] = std::array::from_fn(|i| Dual::<R, N>::variable(x[i], i));
    run(program, &x).tangents()
}

fn property(program: &[Step], x: [f64; N], v: [f64; N]) -> Result<(), TestCaseError> {
    let at = |h: f64| std::array::from_fn::<f64, N, _>(|i| x[i] + h * v[i]);
    let along = |g: &[f64; N]| -> f64 { g.iter().zip(v).map(|(g, v)| g * v).sum() };
    let gradient = forward(program, x);
    let size = gradient.iter().fold(1.0_f64, |s, g| s.max(g.abs()));

    let h = 1e-5;
    let slope = (run(program, &at(h)) - run(program, &at(-h))) / (2.0 * h);
    // Truncation of order h^2 f''' and rounding of order 1e-16 / h. Observed up to 9e-8.
    prop_assert!((slope - along(&gradient)).abs() < 5e-6 * size * size, "{slope} {gradient:?}");

    let (mut reverse, mut again, mut product) = ([0.0; N], [0.0; N], [0.0; N]);
    let value = Tape::new().gradient(|x| run(program, x), &x, &mut reverse).unwrap();
    let tape = &mut Tape::new();
    let second = tape.hvp(|x| run(program, x), &x, &v, &mut again, &mut product).unwrap();
    prop_assert!(value == run(program, &x) && second == value);
    let nested = forward(program, std::array::from_fn(|i| Dual::<f64>::new(x[i], [v[i]])));
    let bend = product.iter().fold(size, |s, p| s.max(p.abs()));
    for i in 0..N {
        let gaps = [reverse[i] - gradient[i], again[i] - gradient[i]].map(f64::abs);
        // Observed up to 2e-15 and 3e-15.
        prop_assert!(gaps[0].max(gaps[1]) < 1e-13 * size, "{i}: {gaps:?} of {size}");
        let gap = (product[i] - nested[i].tangents()[0]).abs();
        prop_assert!(gap < 2e-13 * bend, "{i}: {gap} of {bend}");
    }
    Ok(())
}

#[test]
fn modes_agree_on_random_programs() {
    let program = vec((0_u8..16, 0_usize..64, 0_usize..64, 0_usize..64), 1..30);
    let input = (program, uniform4(-1.5..1.5), uniform4(-1.0..1.0));
    let config = Config { cases: 2000, failure_persistence: None, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    runner.run(&input.boxed(), |(program, x, v)| property(&program, x, v)).unwrap();
}
