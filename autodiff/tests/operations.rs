//! Values of composed operations, each computed by hand or by an independent formula; their conventions; and the memory
//! of many parts of one array.

use std::f64::consts::LN_2;

use hypertape_autodiff::{
    Arena, Array, Axis, Element, Factored, Method, Operations, Shape, Tape, Tensor, Var, Workspace,
};

/// `1 2 -3; 4 -5 6`
const X: [f64; 6] = [1.0, 2.0, -3.0, 4.0, -5.0, 6.0];

/// Tests of operations on `X`: shape and entries, up to rounding, in `f64` and `f32`.
macro_rules! values {
    ($($name:ident: |$x:ident| $body:expr => [$rows:literal $cols:literal] $values:expr;)*) => {$(
        #[test]
        fn $name() {
            fn f<'a, A: Array<'a>>($x: A) -> A {
                $body
            }
            fn check<T: Element>(units: f64) {
                let (arena, x, known) = (Arena::new(), X.map(T::from_f64), $values);
                let found = f(Tensor::new(&arena, Shape::new(2, 3), &x));
                arena.status().unwrap();
                assert_eq!((found.shape(), found.values().len()), (Shape::new($rows, $cols), known.len()));
                for (found, known) in found.values().iter().zip(known) {
                    let gap = (found.as_f64() - known).abs();
                    assert!(gap <= units * known.abs().max(1.0), "{found} is not {known}");
                }
            }
            // A few roundings for each entry.
            check::<f64>(1e-15);
            check::<f32>(5e-7);
        }
    )*};
}

values! {
    transpose: |x| x.transpose() => [3 2] [1.0, 4.0, 2.0, -5.0, -3.0, 6.0];
    block: |x| x.block([0, 1], Shape::new(2, 2)) => [2 2] [2.0, -3.0, -5.0, 6.0];
    inset: |x| x.columns(2, 1).inset([1, 1], Shape::new(3, 2)) => [3 2] [0.0, 0.0, 0.0, -3.0, 0.0, 6.0];
    entries: |x| x.entries(&[5, 0, 0], Shape::new(1, 3)) => [1 3] [6.0, 1.0, 1.0];
    scatter_entries: |x| x.scatter_entries(&[1, 0, 3, 1, 0, 3], Shape::column(4)) => [4 1] [-3.0, 5.0, 0.0, 3.0];
    gather_columns: |x| x.gather_columns(&[2, 2, 0]) => [2 3] [-3.0, -3.0, 1.0, 6.0, 6.0, 4.0];
    scatter_columns: |x| x.scatter_columns(&[1, 0, 1], 2) => [2 2] [2.0, -2.0, -5.0, 10.0];
    stack: |x| x.rows(1, 1).stack(&[x.columns(0, 1), x.block([0, 1], Shape::SCALAR)]) =>
        [6 1] [4.0, -5.0, 6.0, 1.0, 4.0, 2.0];
    one_under_another: |x| x.rows(1, 1).concatenate(&[x], Axis::Rows) => [3 3] [4.0, -5.0, 6.0, 1.0, 2.0, -3.0, 4.0, -5.0, 6.0];
    side_by_side: |x| x.concatenate(&[x.columns(1, 1)], Axis::Columns) => [2 4] [1.0, 2.0, -3.0, 2.0, 4.0, -5.0, 6.0, -5.0];
    tile: |x| x.columns(1, 1).tile(2, 2) => [4 2] [2.0, 2.0, -5.0, -5.0, 2.0, 2.0, -5.0, -5.0];
    diagonal: |x| x.diagonal() => [2 1] [1.0, -5.0];
    to_diagonal: |x| x.columns(1, 1).to_diagonal() => [2 2] [2.0, 0.0, 0.0, -5.0];
    lower_triangle: |x| x.lower_triangle() => [2 3] [1.0, 0.0, 0.0, 4.0, -5.0, 0.0];
    upper_triangle: |x| x.upper_triangle() => [2 3] [1.0, 2.0, -3.0, 0.0, -5.0, 6.0];
    cumulative_sum_down: |x| x.cumulative_sum(Axis::Rows) => [2 3] [1.0, 2.0, -3.0, 5.0, -3.0, 3.0];
    cumulative_sum_across: |x| x.cumulative_sum(Axis::Columns) => [2 3] [1.0, 3.0, 0.0, 4.0, -1.0, 5.0];
    max_down: |x| x.max_over(Axis::Rows) => [1 3] [4.0, 2.0, 6.0];
    min_across: |x| x.min_over(Axis::Columns) => [2 1] [-3.0, -5.0];
    product_down: |x| x.product_over(Axis::Rows) => [1 3] [4.0, -10.0, -18.0];
    product_across: |x| x.product_over(Axis::Columns) => [2 1] [-6.0, -120.0];
    logsumexp_down: |x| x.logsumexp_over(Axis::Rows) => [1 3]
        [4.0 + (-3_f64).exp().ln_1p(), 2.0 + (-7_f64).exp().ln_1p(), 6.0 + (-9_f64).exp().ln_1p()];
    softmax_down: |x| x.softmax_over(Axis::Rows).columns(0, 1) => [2 1]
        [1.0 / (1.0 + 3_f64.exp()), 1.0 / (1.0 + (-3_f64).exp())];
    sort: |x| x.sort(Axis::Columns).0 => [2 3] [-3.0, 1.0, 2.0, -5.0, 4.0, 6.0];
    sort_down: |x| x.sort(Axis::Rows).0 => [2 3] [1.0, -5.0, -3.0, 4.0, 2.0, 6.0];
    select: |x| x.less(x.scalar(0.0)).select(x.scalar(10.0), x) => [2 3] [1.0, 2.0, 10.0, 4.0, 10.0, 6.0];
    at_most: |x| x.at_most(x.columns(0, 1)) => [2 3] [1.0, 0.0, 1.0, 1.0, 1.0, 0.0];
    equal: |x| x.equal(x.scalar(-5.0)) => [2 3] [0.0, 0.0, 0.0, 0.0, 1.0, 0.0];
    clamp: |x| x.clamp(-4.0, 3.0) => [2 3] [1.0, 2.0, -3.0, 3.0, -4.0, 3.0];
    hypot: |x| x.columns(0, 2).hypot(x.columns(2, 1)) => [2 2] [10_f64.sqrt(), 13_f64.sqrt(), 52_f64.sqrt(), 61_f64.sqrt()];
    atan2: |x| x.rows(0, 1).atan2(x.rows(1, 1)) => [1 3]
        [0.244_978_663_126_864_14, 2.761_086_276_477_428, -0.463_647_609_000_806_1];
    power: |x| x.power(x.rows(0, 1)) => [2 3] [1.0, 4.0, -1.0 / 27.0, 4.0, 25.0, 1.0 / 216.0];
    xlogy: |x| x.columns(0, 2).xlogy(x.scalar(2.0)) => [2 2]
        [LN_2, 2.0 * LN_2, 4.0 * LN_2, -5.0 * LN_2];
    silu: |x| x.columns(0, 2).silu() => [2 2]
        [0.731_058_578_630_004_9, 1.761_594_155_955_764_9, 3.928_055_160_151_634, -0.033_464_254_621_424_6];
    gelu: |x| x.columns(0, 2).gelu() => [2 2]
        [0.841_344_746_068_542_9, 1.954_499_736_103_641_6, 3.999_873_315_032_667_5, -1.433_257_859_394_643_3e-6];
    ln_gamma: |x| x.rows(1, 1).abs().ln_gamma() => [1 3] [6_f64.ln(), 24_f64.ln(), 120_f64.ln()];
    digamma: |x| x.columns(0, 1).digamma() => [2 1] [-0.577_215_664_901_532_9, 1.256_117_668_431_800_5];
    batched: |x| x.transpose().batched_matmul(x.reshape(Shape::new(6, 1)), 3, [false, false]) =>
        [3 1] [9.0, -26.0, 51.0];
    inverse: |x| x.columns(0, 2).inverse(Method::Lu) => [2 2] [5.0 / 13.0, 2.0 / 13.0, 4.0 / 13.0, -1.0 / 13.0];
    solve: |x| x.columns(0, 2).solve(x.columns(1, 2), Method::Lu) => [2 2] [0.0, -3.0 / 13.0, 1.0, -18.0 / 13.0];
    log_det: |x| x.columns(0, 2).log_det(Method::Lu) => [1 1] [13_f64.ln()];
    sign: |x| Factored::new(x.columns(0, 2), Method::Lu).sign() => [1 1] [-1.0];
    // The factor of (2, 0; 6, -5) times its transpose.
    cholesky: |x| {
        let factor = x.entries(&[1, 0, 5, 4], Shape::new(2, 2)).lower_triangle();
        factor.matmul_transposed(false, factor, true).cholesky()
    } => [2 2] [2.0, 0.0, 6.0, 5.0];
}

/// Value and gradient of the sum of the entries of `f`, at a column.
fn gradient<const N: usize>(
    f: impl for<'a> Fn(Var<'a, Tensor<'a, f64>>) -> Var<'a, Tensor<'a, f64>>,
    x: [f64; N],
) -> (f64, [f64; N]) {
    let (mut y, mut x_bar) = ([0.0], [0.0; N]);
    let shapes = [Shape::column(u32::try_from(N).unwrap())];
    let at = [&x[..], &[1.0]];
    let mut workspace = Workspace::new();
    workspace.vjp_with(&(), |(), x| f(x[0]).sum(), &shapes, at, [&mut y, &mut x_bar]).unwrap();
    (y[0], x_bar)
}

/// Reductions of a single call have the bits of the operations that derivatives are composed of, for every remainder of
/// the halves, and for columns that are reduced in blocks.
#[test]
fn reductions_have_the_same_bits_in_all_modes() {
    fn reduced<'a, A: Array<'a>>(x: A, (by, axis): (usize, Axis)) -> A {
        [A::max_over, A::min_over, A::product_over][by](x, axis)
    }
    let small = (1..10).flat_map(|rows| (1..10).map(move |cols| (rows, cols)));
    let mut workspace = Workspace::new();
    for (rows, cols) in small.chain([(1, 70), (5000, 3), (900, 21)]) {
        let shape = Shape::new(rows, cols);
        let x: Vec<f64> = (0..shape.len()).map(|i| 1.0 + (1.7 * i as f64).sin() / 8.0).collect();
        for by in (0..3).flat_map(|by| [(by, Axis::Rows), (by, Axis::Columns)]) {
            let arena = Arena::new();
            let known = reduced(Tensor::new(&arena, shape, &x), by).values();
            let (ones, mut y, mut x_bar) =
                (vec![1.0; known.len()], vec![0.0; known.len()], vec![0.0; x.len()]);
            let results = [&mut y[..], &mut x_bar];
            workspace
                .vjp_with(&by, |&by, x| reduced(x[0], by), &[shape], [&x[..], &ones], results)
                .unwrap();
            assert_eq!(known, y, "{shape} {by:?}");
        }
    }
}

#[test]
fn conventions_of_choices_hold() {
    let nan = f64::NAN;
    // The case that is not chosen has no influence: ln and its slope are NaN at -1.
    let (y, d) = gradient(|x| x.scalar(0.0).less(x).select(x.ln(), x * 3.0), [-1.0, 2.0]);
    assert_eq!((y, d), (2_f64.ln() - 3.0, [3.0, 0.5]));
    // The first of several equal entries is the maximum; a number takes precedence over NaN.
    assert_eq!(gradient(|x| x.max_over(Axis::Rows), [1.0, 3.0, 3.0]), (3.0, [0.0, 1.0, 0.0]));
    assert_eq!(gradient(|x| x.min_over(Axis::Rows), [nan, 3.0, 1.0]), (1.0, [0.0, 0.0, 1.0]));
    // Also if other pairs are compared before.
    let tied = [0.0, 1.0, 1.0, 0.0, 1.0];
    assert_eq!(gradient(|x| x.max_over(Axis::Rows), tied), (1.0, [0.0, 1.0, 0.0, 0.0, 0.0]));
    let d = gradient(|x| x.transpose().min_over(Axis::Columns), tied);
    assert_eq!(d, (0.0, [1.0, 0.0, 0.0, 0.0, 0.0]));
    // Products with one zero and with two zeros.
    assert_eq!(gradient(|x| x.product_over(Axis::Rows), [2.0, 0.0, 5.0]), (0.0, [0.0, 10.0, 0.0]));
    assert_eq!(gradient(|x| x.product_over(Axis::Rows), [0.0, 0.0, 5.0]), (0.0, [0.0; 3]));
    // The slope is 0 at and beyond the bounds; an infinite bound has no effect.
    let d = gradient(|x| x.clamp(0.0, f64::INFINITY), [-1.0, 0.0, 2.0]);
    assert_eq!(d, (2.0, [0.0, 0.0, 1.0]));
    assert!(gradient(|x| x.clamp(0.0, 1.0), [nan, 2.0]).0.is_nan());
    // Both arguments are 0.
    assert_eq!(gradient(|x| x.hypot(x.scalar(0.0)), [0.0]), (0.0, [0.0]));
    assert_eq!(gradient(|x| x.atan2(x), [0.0]), (0.0, [0.0]));
    // x ln y has the slopes ln y and 0 at x = 0; likewise x^y at 0.
    assert_eq!(
        gradient(|x| x.rows(0, 1).xlogy(x.rows(1, 1)), [0.0, 4.0]),
        (0.0, [4_f64.ln(), 0.0])
    );
    assert_eq!(gradient(|x| x.rows(0, 1).power(x.rows(1, 1)), [0.0, 0.5]), (0.0, [0.0, 0.0]));
    assert_eq!(gradient(|x| x.rows(0, 1).power(x.rows(1, 1)), [0.0, 1.0]), (0.0, [1.0, 0.0]));
    // The limits at minus infinity.
    assert_eq!(gradient(|x| x.silu(), [f64::NEG_INFINITY]), (0.0, [0.0]));
    assert_eq!(gradient(|x| x.gelu(), [f64::NEG_INFINITY]), (0.0, [0.0]));
}

#[test]
fn indices_are_those_of_the_chosen() {
    let arena = Arena::new();
    let x = Tensor::new(&arena, Shape::new(2, 3), &X);
    assert_eq!(x.argmax(Axis::Rows), [1, 0, 1]);
    assert_eq!(x.argmax(Axis::Columns), [1, 2]);
    assert_eq!(x.sort(Axis::Columns).1, [2, 0, 1, 1, 0, 2]);
    assert!(x.rows(0, 0).argmax(Axis::Rows).is_empty());
    let ties = Tensor::new(&arena, Shape::column(4), &[2.0, f64::NAN, 1.0, 2.0]);
    assert_eq!((ties.argmax(Axis::Rows), ties.sort(Axis::Rows).1), (&[0][..], &[2, 0, 3, 1][..]));
}

/// Bytes of the records and of a sweep over `n` parts of one array, and the gradient.
fn swept(
    n: u32,
    f: impl for<'a> Fn(Var<'a, Tensor<'a, f64>>) -> Var<'a, Tensor<'a, f64>>,
) -> (usize, Vec<f64>) {
    let (record, sweep) = (Arena::new(), Arena::new());
    let data: Vec<f64> = (0..n).map(f64::from).collect();
    let tape = Tape::new(&record).unwrap();
    let x = tape.variable(Tensor::new(&record, Shape::column(n), &data));
    let y = f(x).sum();
    let one = y.value().within(&sweep).scalar(1.0);
    let adjoints = tape.finish().pull(&[(y.id().unwrap(), one)], &sweep);
    sweep.status().unwrap();
    let gradient = adjoints.get(x.id().unwrap()).unwrap().values().to_vec();
    (record.used() + sweep.used(), gradient)
}

#[test]
fn many_parts_of_one_array_take_memory_in_proportion() {
    // Each entry is squared separately, and all results are stacked.
    let taken = |n: u32| {
        swept(n, |x| {
            let parts: Vec<_> = (0..x.shape().rows).map(|i| x.rows(i, 1).square()).collect();
            parts[0].stack(&parts[1..])
        })
    };
    let ((small, _), (large, gradient)) = (taken(100), taken(1600));
    let known: Vec<f64> = (0..1600).map(|i| 2.0 * f64::from(i)).collect();
    assert_eq!(gradient, known);
    // One full array per part would take 17 times as much per entry.
    assert!(large < 17 * small, "{small} {large}");
}

#[test]
fn faults_name_the_operation() {
    let told = |f: &dyn Fn(Tensor<f64>) -> Tensor<f64>| {
        let arena = Arena::new();
        let _ = f(Tensor::new(&arena, Shape::new(2, 3), &X));
        arena.status().unwrap_err().to_string()
    };
    assert_eq!(
        told(&|x| x.concatenate(&[x.transpose()], Axis::Rows)),
        "concatenate: shapes 2x3 and 3x2 do not match"
    );
    assert_eq!(told(&|x| x.columns(2, 2)), "block: shapes 2x3 and 2x2 do not match");
    assert_eq!(
        told(&|x| x.entries(&[6], Shape::SCALAR)),
        "entries: index 6 is out of range, expected less than 6"
    );
    assert_eq!(
        told(&|x| x.batched_matmul(x, 2, [false; 2])),
        "batched_matmul: shapes 2x3 and 2x3 do not match"
    );
    assert_eq!(told(&|x| x.inverse(Method::Lu)), "lu: shape 2x3, expected a square matrix");
    assert_eq!(
        told(&|x| x.columns(0, 2).cholesky()),
        "cholesky: entries (1, 0) and (0, 1) are 4 and 2, expected a symmetric matrix"
    );
}

#[test]
fn short_rows_are_broadcast_and_summed_as_long_ones() {
    // Rows that are repeated and rows that are not, in whole tiles and with a rest. Sums of integers are exact.
    for (rows, cols) in (1..40).flat_map(|cols| [1, 7, 8, 131].map(|rows| (rows, cols))) {
        let arena = Arena::new();
        let count = |len: u32| (0..len).map(f64::from).collect::<Vec<_>>();
        let (entries, row, column) = (count(rows * cols), count(cols), count(rows));
        let x = Tensor::new(&arena, Shape::new(rows, cols), &entries);
        let row = Tensor::new(&arena, Shape::new(1, cols), &row);
        let column = Tensor::new(&arena, Shape::column(rows), &column);
        let found = [x - row, row - x, x - column, row - column].map(Tensor::values);
        for (at, &entry) in entries.iter().enumerate() {
            let [i, j] = [at / cols as usize, at % cols as usize].map(|k| k as f64);
            let known = [entry - j, j - entry, entry - i, j - i];
            assert_eq!(found.map(|values| values[at]), known, "{rows} x {cols}");
        }
        let first = f64::from(cols * rows * (rows - 1) / 2);
        let known = (0..cols).map(|j| first + f64::from(rows * j)).collect::<Vec<_>>();
        assert_eq!(x.sum_to(Shape::new(1, cols)).values(), known, "{rows} x {cols}");
    }
}
