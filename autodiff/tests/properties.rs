//! Properties over random shapes, values and compositions, from a fixed seed: broadcasting and products agree with
//! naive loops, gradients agree with central differences and across precisions, and neither the bits nor the bytes of a
//! pass depend on what its workspace did before.

#[path = "support/reverse.rs"]
mod reverse;

use hypertape_autodiff::{
    ALIGNMENT, Array, Element, Factored, Function, Method, ProductForm, Shape, Side, StopRule,
    Workspace, check, dot, fixed_point,
};
use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq};
use proptest::sample::select;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use reverse::reverse_over_reverse;

/// Runs `property` on `cases` inputs, the same ones every time; `PROPTEST_CASES` sets another number.
fn run<S: Strategy>(
    cases: u32,
    inputs: &S,
    property: impl Fn(S::Value) -> Result<(), TestCaseError>,
) {
    let asked = std::env::var_os("PROPTEST_CASES").is_some();
    let cases = if asked { Config::default().cases } else { cases };
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    TestRunner::new_with_rng(config, rng).run(inputs, property).unwrap();
}

/// `x[0]` and `x[1]` under one of the operators.
struct Operator(u8);

impl<T: Element> Function<T> for Operator {
    fn eval<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A]) -> A {
        match self.0 {
            0 => x[0] + x[1],
            1 => x[0] - x[1],
            2 => x[0] * x[1],
            _ => x[0] / x[1],
        }
    }
}

#[test]
fn broadcasting_agrees_with_a_naive_loop() {
    let full = (0_u32..6, 0_u32..6);
    let input = (0_u8..4, full, any::<[[bool; 2]; 2]>(), vec(-9_i32..9, 50));
    run(400, &input, |(operator, (rows, cols), ones, entries)| {
        let [a, b] = ones
            .map(|[row, col]| Shape::new(if row { 1 } else { rows }, if col { 1 } else { cols }));
        let x: Vec<f64> =
            (0..a.len() + b.len()).map(|i| f64::from(entries[i % 50]) + 0.5).collect();
        let (xa, xb) = x.split_at(a.len());
        let both = |a: u32, b: u32| if a == 1 { b } else { a };
        let out = Shape::new(both(a.rows, b.rows), both(a.cols, b.cols));
        let mut y = vec![f64::NAN; out.len()];
        Workspace::new().value(&Operator(operator), &[a, b], &x, &mut y).unwrap();
        let entry = |x: &[f64], s: Shape, i: usize, j: usize| {
            let i = if s.rows == 1 { 0 } else { i };
            x[i * s.cols as usize + if s.cols == 1 { 0 } else { j }]
        };
        for i in 0..out.rows as usize {
            for j in 0..out.cols as usize {
                let (p, q) = (entry(xa, a, i, j), entry(xb, b, i, j));
                let expected = [p + q, p - q, p * q, p / q][usize::from(operator)];
                prop_assert_eq!(y[i * out.cols as usize + j], expected);
            }
        }
        Ok(())
    });
}

/// `op(x[0]) op(x[1])`
struct Matmul([bool; 2]);

impl<T: Element> Function<T> for Matmul {
    fn eval<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A]) -> A {
        x[0].matmul_transposed(self.0[0], x[1], self.0[1])
    }
}

/// The same with three factors at once, contiguous in memory, each of which must give the same result as alone.
struct Together([bool; 2], Side);

impl<T: Element> Function<T> for Together {
    fn eval<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A]) -> A {
        let [s, t] = self.0;
        let (shared, other) = (x[0], x[1]);
        let mut out = [shared; 3];
        let form = ProductForm { side: self.1, transposed: s, others_transposed: t };
        shared.products(form, &[other, other * 2.0, -other], &[], &mut out);
        out[0] + out[1] * 100.0 + out[2] * 10_000.0
    }
}

#[test]
fn products_agree_with_a_naive_loop() {
    // Small integers, so that sums are exact in every order. Vectors and single columns are frequent.
    let size = || select(&[0, 1, 1, 2, 3, 4, 5, 7, 8, 9, 13, 16, 17, 24, 31, 33, 40][..]);
    let input = (size(), size(), size(), any::<[bool; 2]>(), vec(-5_i32..6, 97));
    run(150, &input, |(m, k, n, transposed, entries)| {
        let shape = |r, c, flip| if flip { Shape::new(c, r) } else { Shape::new(r, c) };
        let shapes = [shape(m, k, transposed[0]), shape(k, n, transposed[1])];
        let total = shapes[0].len() + shapes[1].len();
        // A prime length, so that rows do not repeat.
        let x: Vec<f64> = (0..total).map(|i| f64::from(entries[i % 97])).collect();
        let (a, b) = x.split_at(shapes[0].len());
        let (m, k, n) = (m as usize, k as usize, n as usize);
        let mut expected = vec![0.0; m * n];
        for i in 0..m {
            for j in 0..n {
                for p in 0..k {
                    let left = if transposed[0] { a[p * m + i] } else { a[i * k + p] };
                    let right = if transposed[1] { b[j * k + p] } else { b[p * n + j] };
                    expected[i * n + j] += left * right;
                }
            }
        }
        let mut y = vec![f64::NAN; m * n];
        let mut workspace = Workspace::new();
        workspace.value(&Matmul(transposed), &shapes, &x, &mut y).unwrap();
        prop_assert_eq!(&y, &expected);
        // 1 + 2 * 100 - 1 * 10000 times the product.
        let several: Vec<f64> = expected.iter().map(|e| -9799.0 * e).collect();
        workspace.value(&Together(transposed, Side::Left), &shapes, &x, &mut y).unwrap();
        prop_assert_eq!(&y, &several);
        // With the right operand shared.
        let x: Vec<f64> = [b, a].concat();
        let [t0, t1] = transposed;
        let turned = Together([t1, t0], Side::Right);
        workspace.value(&turned, &[shapes[1], shapes[0]], &x, &mut y).unwrap();
        prop_assert_eq!(&y, &several);
        // And in single precision, where the sums are exact as well.
        let x: Vec<f32> = entries.iter().map(|&e| f32::from_f64(f64::from(e))).collect();
        let x: Vec<f32> = (0..total).map(|i| x[i % 97]).collect();
        let mut y = vec![f32::NAN; m * n];
        workspace.value(&Matmul(transposed), &shapes, &x, &mut y).unwrap();
        prop_assert!(y.iter().zip(&expected).all(|(&y, &e)| f64::from(y) == e));
        Ok(())
    });
}

/// `tanh(x[0] x[1] + x[2])` in one operation or in two, with inputs that are not differentiated.
struct Affine([bool; 3], bool);

impl Function<f64> for Affine {
    fn eval<'a, A: Array<'a, Elem = f64>>(&'a self, x: &[A]) -> A {
        let [a, b, c] = [0, 1, 2].map(|i| if self.0[i] { x[i].detach() } else { x[i] });
        let y = if self.1 { a.affine(b, c) } else { a.matmul(b) + c };
        y.tanh().square().sum()
    }
}

/// A layer has the values and gradients of the product and the sum that it stands for, to the bit, and their tangents up
/// to the order of three terms.
#[test]
fn layers_are_products_plus_a_row_or_a_matrix() {
    let size = || 0_u32..20;
    let inputs = (size(), size(), size(), any::<(bool, [bool; 3])>(), vec(-1.0..1.0, 97));
    run(200, &inputs, |(m, k, n, (row, detached), entries)| {
        let shapes = [(m, k), (k, n), (if row { 1 } else { m }, n)].map(|(r, c)| Shape::new(r, c));
        let total: usize = shapes.iter().map(|s| s.len()).sum();
        let [x, v] = [0, 13].map(|d| (0..total).map(|i| entries[(i + d) % 97]).collect::<Vec<_>>());
        let found = [true, false].map(|whole| {
            let (f, mut workspace) = (Affine(detached, whole), Workspace::new());
            let [mut y, mut dy, mut g, mut h] =
                [[0.0; 1].to_vec(), vec![0.0], x.clone(), x.clone()];
            workspace.jvp(&f, &shapes, &x, &v, &mut y, &mut dy).unwrap();
            workspace.hvp(&f, &shapes, &x, &v, &mut g, &mut h).unwrap();
            let mut again = x.clone();
            let value = workspace.gradient(&f, &shapes, &x, &mut again).unwrap();
            ([y, g, again, vec![value]], [dy, h])
        });
        prop_assert_eq!(&found[0].0, &found[1].0);
        for (one, two) in found[0].1.iter().flatten().zip(found[1].1.iter().flatten()) {
            // Sums of 400 products below 1 in another order; observed below 2e-14.
            prop_assert!((one - two).abs() < 1e-13, "{} {}", one, two);
        }
        Ok(())
    });
}

/// The arguments of a [`Chain`].
const SHAPES: [Shape; 4] = [Shape::new(3, 4), Shape::new(4, 4), Shape::new(1, 4), Shape::column(3)];

/// Entries of a point of `SHAPES`.
const N: usize = 35;

static UNIT: [u32; 4] = [0, 1, 2, 3];
static LABELS: [u32; 3] = [2, 0, 3];
static ROWS: [u32; 3] = [1, 1, 0];

/// A random composition of smooth operations that keep entries moderate.
#[derive(Clone, Debug)]
struct Chain(Vec<u8>);

const LINKS: u8 = 21;

/// Operations whose gradients have the same bits in every mode; solutions take more steps in modes of second order.
const PLAIN: u8 = 19;

impl<T: Element> Function<T> for Chain {
    fn eval<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A]) -> A {
        let mut y = x[0];
        for link in &self.0 {
            y = match link {
                0 => y.tanh(),
                1 => y.sigmoid() * 2.0 - 0.5,
                2 => y.softplus(),
                3 => (y.square() + 0.5).ln(),
                4 => (y.square() + 0.5).sqrt() - x[2],
                5 => y.affine(x[1], x[2]).tanh(),
                6 => y.matmul_transposed(false, x[1], true) * 0.25,
                7 => y + x[2],
                8 => y * x[3],
                9 => y / (x[3].square() + 1.0),
                10 => x[2] - y,
                11 => y.softmax() + y * 0.5,
                12 => y * 0.5 - y.logsumexp(),
                13 => y.gather_rows(&ROWS) + y.scatter_rows(&ROWS, 3) * 0.5,
                14 => (y.tanh() + 1.5).powf(-1.3),
                15 => y.row_dot(x[0]).tanh() + y,
                16 => y * (y.dot(y) + 1.0).recip() + x[0],
                17 => y.sum_cols() * y.sum_rows() * 0.05,
                18 => (y * 0.5).tanh().exp().ln_1p() - y.mean(),
                19 => {
                    let ones = x[1].scalar(1.0).broadcast_to(Shape::column(4));
                    let square = x[1].matmul_transposed(false, x[1], true);
                    let m = Factored::new(square + ones.place(&UNIT, 4), Method::Cholesky);
                    y.matmul(m.solve(x[1])) + m.log_det() * 0.1
                }
                _ => fixed_point(&Layer, y * 0.0, &[y, x[3]], StopRule::default()),
            };
        }
        y.cross_entropy(&LABELS).mean() + y.dot(y) * 0.1 + (y.square().sum() + 1.0).sqrt()
    }
}

/// `w = tanh(y - w z / 4)`, which contracts.
struct Layer;

impl<T: Element> Function<T> for Layer {
    fn eval<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A]) -> A {
        (w[1] - w[0] * w[2].tanh() * 0.25).tanh()
    }
}

fn chains(links: u8) -> impl Strategy<Value = (Chain, Vec<f64>)> {
    (vec(0..links, 1..6).prop_map(Chain), vec(-1.5..1.5, N))
}

fn bits(x: &[f64]) -> Vec<u64> {
    x.iter().map(|x| x.to_bits()).collect()
}

fn gradient(w: &mut Workspace, f: &Chain, x: &[f64]) -> Vec<f64> {
    let mut gradient = vec![0.0; N];
    w.gradient(f, &SHAPES, x, &mut gradient).unwrap();
    gradient
}

#[test]
fn gradients_agree_with_central_differences() {
    run(100, &chains(PLAIN), |(f, x)| {
        let gap = check::central_differences(&f, &SHAPES, &x).unwrap();
        // Step^2 = 4e-11 times third derivatives, and rounding of 2e-16 / 6e-6 = 4e-11 times the value; observed 3e-9.
        prop_assert!(gap < 1e-8, "{gap:e}");
        Ok(())
    });
}

#[test]
fn modes_agree() {
    run(300, &(chains(LINKS), vec(-1.0..1.0, N)), |((f, x), v)| {
        let mut workspace = Workspace::new();
        let g = gradient(&mut workspace, &f, &x);
        let (mut y, mut dy, mut again, mut product) = ([0.0], [0.0], vec![0.0; N], vec![0.0; N]);
        workspace.jvp(&f, &SHAPES, &x, &v, &mut y, &mut dy).unwrap();
        let scale = g.iter().fold(1.0_f64, |s, g| s.max(g.abs()));
        let gap = (dot(&g, &v) - dy[0]).abs() / scale;
        // Sums of 35 products.
        prop_assert!(gap < 1e-12, "{gap:e}");
        prop_assert_eq!(workspace.hvp(&f, &SHAPES, &x, &v, &mut again, &mut product), Ok(y[0]));
        let other = reverse_over_reverse(&f, &SHAPES, &x, &v);
        let scale = product.iter().fold(scale, |s, p| s.max(p.abs()));
        for (p, o) in product.iter().zip(&other) {
            let gap = (p - o).abs() / scale;
            // Rounding in up to five links, among them solutions to 1e-14.
            prop_assert!(gap < 1e-11, "{gap:e}");
        }
        Ok(())
    });
}

#[test]
fn single_precision_agrees_with_double() {
    run(150, &chains(LINKS), |(f, x)| {
        // The same point, bit for bit, in both precisions.
        let single: Vec<f32> = x.iter().map(|&x| f32::from_f64(x)).collect();
        let x: Vec<f64> = single.iter().map(|&x| f64::from(x)).collect();
        let mut workspace = Workspace::new();
        let expected = gradient(&mut workspace, &f, &x);
        let mut found = vec![0.0_f32; N];
        workspace.gradient(&f, &SHAPES, &single, &mut found).unwrap();
        let scale = expected.iter().fold(f64::MIN_POSITIVE, |s, g| s.max(g.abs()));
        for (&f, &e) in found.iter().zip(&expected) {
            // Some tens of roundings of 6e-8; observed 1.4e-6.
            let gap = (f64::from(f) - e).abs() / scale;
            prop_assert!(gap < 1e-5, "{gap:e}");
        }
        Ok(())
    });
}

#[test]
fn bits_do_not_depend_on_what_a_workspace_did_before() {
    run(100, &(chains(PLAIN), chains(PLAIN)), |((f, x), (other, z))| {
        let fresh = bits(&gradient(&mut Workspace::new(), &f, &x));
        let mut used = Workspace::new();
        let (mut g, mut p) = (vec![0.0; N], vec![0.0; N]);
        used.hvp(&other, &SHAPES, &z, &x, &mut g, &mut p).unwrap();
        prop_assert_eq!(&bits(&gradient(&mut used, &f, &x)), &fresh);
        // After a pass that ended in a fault, and after one in the other precision.
        used.set_limit(1000);
        prop_assert!(used.gradient(&other, &SHAPES, &z, &mut g).is_err());
        used.set_limit(usize::MAX);
        used.gradient(&other, &SHAPES, &[0.5_f32; N], &mut [0.0; N]).unwrap();
        prop_assert_eq!(&bits(&gradient(&mut used, &f, &x)), &fresh);
        // The gradient that comes with a Hessian-vector product.
        used.hvp(&f, &SHAPES, &x, &z, &mut g, &mut p).unwrap();
        prop_assert_eq!(bits(&g), fresh);
        Ok(())
    });
}

#[test]
fn equal_passes_use_equal_bytes() {
    run(60, &(chains(LINKS), chains(LINKS)), |((f, x), (other, z))| {
        let mut workspace = Workspace::new();
        gradient(&mut workspace, &f, &x);
        let first = workspace.used();
        prop_assert!(first > 0 && first.is_multiple_of(ALIGNMENT));
        gradient(&mut workspace, &f, &x);
        prop_assert_eq!(workspace.used(), first);
        // Neither the values nor a different pass in between have an effect.
        gradient(&mut workspace, &other, &x);
        gradient(&mut workspace, &f, &z);
        prop_assert_eq!(workspace.used(), first);
        Ok(())
    });
}

/// The sum of one of the functions whose slopes have a tail.
#[derive(Clone, Copy, Debug)]
enum Tailed {
    Tanh,
    Sigmoid,
    Softplus,
}

impl<T: Element> Function<T> for Tailed {
    fn eval<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A]) -> A {
        match self {
            Self::Tanh => x[0].tanh(),
            Self::Sigmoid => x[0].sigmoid(),
            Self::Softplus => x[0].softplus(),
        }
        .sum()
    }
}

#[test]
fn entries_in_a_tail_do_not_depend_on_others() {
    // An array has some entries in the tail: none, a few, or most.
    let entry = (0.0..1.0, -6.0..6.0, 9.0..30.0);
    let entries = (0.0_f64..1.0).prop_map(|share| if share < 0.3 { 0.0 } else { share * share });
    let lengths = select(&[1_usize, 15, 16, 17, 47, 400, 1023, 1024, 1040, 2500]);
    let input = (lengths, entries).prop_flat_map(|(len, share)| {
        let entry =
            entry.clone().prop_map(move |(at, near, far)| if at < share { far } else { near });
        (vec(entry, len), vec(-1.0..1.0_f64, len))
    });
    run(60, &input, |(x, v)| {
        for f in [Tailed::Tanh, Tailed::Sigmoid, Tailed::Softplus] {
            let slopes = |x: &[f64], v: &[f64]| {
                let [mut gradient, mut product] =
                    [vec![f64::NAN; x.len()], vec![f64::NAN; x.len()]];
                let shapes = [Shape::new(1, u32::try_from(x.len()).unwrap())];
                Workspace::new().hvp(&f, &shapes, x, v, &mut gradient, &mut product).unwrap();
                [gradient, product]
            };
            let together = slopes(&x, &v);
            for i in 0..x.len() {
                let alone = slopes(&x[i..=i], &v[i..=i]);
                prop_assert_eq!(
                    [together[0][i], together[1][i]],
                    [alone[0][0], alone[1][0]],
                    "{:?} {}",
                    f,
                    x[i]
                );
            }
        }
        Ok(())
    });
}
