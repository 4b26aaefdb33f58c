//! Random straight-line programs, from a fixed seed: forward mode against differences, reverse mode against forward
//! mode, Hessian-vector products against nested forward mode and against each other by the symmetry of the Hessian;
//! sparse Hessians. By default there are 2000 programs; `PROPTEST_CASES` sets another number.

use hypertape_autodiff::Method;
use hypertape_autodiff::scalar::{
    Dual, Float, Function, Real, SparseHessian, Tape, log_det, solve,
};
use proptest::array::uniform4;
use proptest::collection::vec;
use proptest::prelude::{Strategy, prop_assert};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

/// An operation, and the indices of its operands among the numbers so far.
type Step = (u8, usize, usize, usize);

/// Runs a program. A sine keeps every result below 1, so that nothing overflows and differences are accurate.
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
            15 => solve(&[a.square() + 2.0, b, c, a + 4.0], &[b, a], Method::Lu).unwrap()[1],
            16 => log_det(&[a.square() + 2.0, b, c, a + 4.0], 2, Method::Lu).unwrap() * b,
            _ => R::constant(0.8) * a.atan2(b.square() + 0.4) + b.hypot(c + 1.7),
        };
        numbers.push(result.sin());
    }
    R::sum_of(&numbers[x.len()..])
}

struct Program<'p>(&'p [Step]);

impl Function for Program<'_> {
    fn eval<R: Real>(&self, x: &[R], y: &mut [R]) {
        y[0] = run(self.0, x);
    }
}

const N: usize = 4;

/// The gradient by `N` tangents.
fn forward<R: Real>(program: &[Step], x: [R; N]) -> [R; N] {
    let x: [_; N] = std::array::from_fn(|i| Dual::<R, N>::variable(x[i], i));
    run(program, &x).tangents()
}

/// `slack` is for runs of more programs than those for which gaps are stated; some programs amplify the last bit of `x`
/// thousandfold.
fn property(program: &[Step], x: [f64; N], v: [f64; N], slack: f64) -> Result<(), TestCaseError> {
    let at = |h: f64| std::array::from_fn::<f64, N, _>(|i| x[i] + h * v[i]);
    let along = |g: &[f64; N]| -> f64 { g.iter().zip(v).map(|(g, v)| g * v).sum() };
    let gradient = forward(program, x);
    let size = gradient.iter().fold(1.0_f64, |s, g| s.max(g.abs()));

    let between = |h: f64| (run(program, &at(h)) - run(program, &at(-h))) / (2.0 * h);
    let slope = (between(5e-6) * 4.0 - between(1e-5)) / 3.0;
    // Truncation of order h^4 f''''' and rounding of order 1e-16 / h. Observed up to 6e-10.
    prop_assert!(
        (slope - along(&gradient)).abs() < 1e-8 * slack * size * size,
        "{slope} {gradient:?}"
    );

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
        prop_assert!(gaps[0].max(gaps[1]) < 1e-13 * slack * size, "{i}: {gaps:?} of {size}");
        let gap = (product[i] - nested[i].tangents()[0]).abs();
        prop_assert!(gap < 2e-13 * slack * bend, "{i}: {gap} of {bend}");
    }
    // All entries; none may be missing from the pattern.
    let mut sparse = SparseHessian::new(&Program(program), &x);
    let mut entries = vec![0.0; sparse.pattern().len()];
    sparse.values(&Program(program), &x, &mut again, &mut entries).unwrap();
    for i in 0..N {
        let row = sparse.pattern().row(i).iter().zip(&entries[sparse.pattern().range(i)]);
        let gap = (row.map(|(&j, h)| h * v[j as usize]).sum::<f64>() - product[i]).abs();
        prop_assert!(gap < 2e-13 * slack * bend, "{i}: {gap} of {bend}, sparse");
    }
    Ok(())
}

#[test]
fn modes_agree_on_random_programs() {
    let program = vec((0_u8..18, 0_usize..64, 0_usize..64, 0_usize..64), 1..30);
    let input = (program, uniform4(-1.5..1.5), uniform4(-1.0..1.0));
    let asked = std::env::var_os("PROPTEST_CASES").is_some();
    let (cases, slack) = if asked { (Config::default().cases, 100.0) } else { (2000, 1.0) };
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    runner.run(&input.boxed(), |(program, x, v)| property(&program, x, v, slack)).unwrap();
}
