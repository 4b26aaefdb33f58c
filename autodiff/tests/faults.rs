//! Errors are returned as data: every `Fault` is produced through a driver, or through the handles if no driver can
//! produce it, with its numbers and its message; and random programs, valid and invalid ones, never panic.

use hypertape_autodiff::{
    Arena, Array, Convolution, Element, Fault, Function, LinearOperator, Operations, Shape, Tape,
    Tensor, Var, Workspace, max_pool,
};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof};
use proptest::sample::select;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

const SHAPES: [Shape; 5] =
    [Shape::new(3, 4), Shape::new(4, 2), Shape::column(3), Shape::new(1, 4), Shape::new(0, 2)];

/// Number of entries of a point of `SHAPES`.
const N: usize = 27;

/// The sums of neighbours, `y_i = x_i + x_{i+1}`, with a fixed number of rows.
#[derive(Clone, Copy, Debug)]
struct Neighbours(u32);

impl<T: Element> LinearOperator<T> for Neighbours {
    fn rows(&self) -> u32 {
        self.0.saturating_sub(1)
    }
    fn cols(&self) -> u32 {
        self.0
    }
    fn apply(&self, transposed: bool, x: &[T], columns: usize, y: &mut [T]) {
        for i in 0..self.0.saturating_sub(1) as usize * columns {
            if transposed {
                y[i] += x[i];
                y[i + columns] += x[i];
            } else {
                y[i] += x[i] + x[i + columns];
            }
        }
    }
}

macro_rules! cases {
    ($($name:ident: |$x:ident| $body:expr, $fault:expr, $message:expr;)*) => {
        #[derive(Clone, Copy, Debug)]
        #[expect(non_camel_case_types, reason = "named like the operations")]
        enum Case { $($name),* }
        /// Each case with its fault and its message.
        const CASES: &[(Case, Fault, &str)] = &[$((Case::$name, $fault, $message)),*];
        impl<T: Element> Function<T> for Case {
            fn eval<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A]) -> A {
                match self { $(Self::$name => (|$x: &[A]| $body)(x)),* }
            }
        }
    };
}

const fn shapes(operation: &'static str, left: (u32, u32), right: (u32, u32)) -> Fault {
    let (left, right) = (Shape::new(left.0, left.1), Shape::new(right.0, right.1));
    Fault::Shapes { operation, left, right }
}

const fn range(operation: &'static str, what: &'static str, found: usize, most: usize) -> Fault {
    Fault::Range { operation, what, found, within: [1, most] }
}

const fn index(operation: &'static str, index: usize, length: usize) -> Fault {
    Fault::Index { operation, index, length }
}

cases! {
    add: |x| x[0] + x[1], shapes("add", (3, 4), (4, 2)), "add: shapes 3x4 and 4x2 do not match";
    subtract: |x| x[0] - x[1], shapes("subtract", (3, 4), (4, 2)),
        "subtract: shapes 3x4 and 4x2 do not match";
    multiply: |x| x[1] * x[0], shapes("multiply", (4, 2), (3, 4)),
        "multiply: shapes 4x2 and 3x4 do not match";
    divide: |x| x[1] / x[2], shapes("divide", (4, 2), (3, 1)),
        "divide: shapes 4x2 and 3x1 do not match";
    select: |x| x[1].select(x[1], x[0]), shapes("select", (4, 2), (3, 4)),
        "select: shapes 4x2 and 3x4 do not match";
    max: |x| x[1].max(x[2]), shapes("max", (4, 2), (3, 1)), "max: shapes 4x2 and 3x1 do not match";
    min: |x| x[3].min(x[1]), shapes("min", (1, 4), (4, 2)), "min: shapes 1x4 and 4x2 do not match";
    no_rows: |x| x[4] + x[1], shapes("add", (0, 2), (4, 2)), "add: shapes 0x2 and 4x2 do not match";
    matmul: |x| x[0].matmul(x[2]), shapes("matmul", (3, 4), (3, 1)),
        "matmul: shapes 3x4 and 3x1 do not match";
    matmul_transposed: |x| x[0].matmul_transposed(true, x[1], false),
        shapes("matmul", (4, 3), (4, 2)), "matmul: shapes 4x3 and 4x2 do not match";
    affine: |x| x[0].affine(x[1], x[0]), shapes("affine", (3, 2), (3, 4)),
        "affine: shapes 3x2 and 3x4 do not match";
    affine_of_a_column: |x| x[0].affine(x[1], x[2]), shapes("affine", (3, 2), (3, 1)),
        "affine: shapes 3x2 and 3x1 do not match";
    dot: |x| x[2].dot(x[3]), shapes("dot", (3, 1), (1, 4)), "dot: shapes 3x1 and 1x4 do not match";
    row_dot: |x| x[0].row_dot(x[3]), shapes("row_dot", (3, 4), (1, 4)),
        "row_dot: shapes 3x4 and 1x4 do not match";
    sum_to: |x| x[0].sum_to(Shape::new(3, 2)), shapes("sum", (3, 4), (3, 2)),
        "sum: shapes 3x4 and 3x2 do not match";
    broadcast_to: |x| x[2].broadcast_to(Shape::new(4, 2)), shapes("broadcast", (3, 1), (4, 2)),
        "broadcast: shapes 3x1 and 4x2 do not match";
    slice: |x| x[0].slice(10, Shape::new(1, 3)), shapes("slice", (3, 4), (1, 3)),
        "slice: shapes 3x4 and 1x3 do not match";
    slice_at_the_end_of_memory: |x| x[0].slice(usize::MAX, Shape::column(2)),
        shapes("slice", (3, 4), (2, 1)), "slice: shapes 3x4 and 2x1 do not match";
    embed: |x| x[2].embed(2, Shape::new(2, 2)), shapes("embed", (3, 1), (2, 2)),
        "embed: shapes 3x1 and 2x2 do not match";
    reshape: |x| x[0].reshape(Shape::new(5, 2)), shapes("reshape", (3, 4), (5, 2)),
        "reshape: shapes 3x4 and 5x2 do not match";
    reshape_to_nothing: |x| x[0].reshape(Shape::EMPTY), shapes("reshape", (3, 4), (0, 0)),
        "reshape: shapes 3x4 and 0x0 do not match";
    pick_label_count: |x| x[0].pick(&[1, 2]), shapes("pick", (3, 4), (2, 1)),
        "pick: shapes 3x4 and 2x1 do not match";
    cross_entropy_label_count: |x| x[0].cross_entropy(&[1, 2]), shapes("pick", (3, 4), (2, 1)),
        "pick: shapes 3x4 and 2x1 do not match";
    place_label_count: |x| x[2].place(&[1, 2], 3), shapes("place", (3, 1), (2, 1)),
        "place: shapes 3x1 and 2x1 do not match";
    place_not_a_column: |x| x[0].place(&[1, 2, 0], 3), shapes("place", (3, 4), (3, 1)),
        "place: shapes 3x4 and 3x1 do not match";
    scatter_index_count: |x| x[0].scatter_rows(&[0, 1], 2), shapes("scatter_rows", (3, 4), (2, 1)),
        "scatter_rows: shapes 3x4 and 2x1 do not match";
    linear: |x| x[1].linear(&Neighbours(3), false), shapes("linear", (4, 2), (2, 3)),
        "linear: shapes 4x2 and 2x3 do not match";
    linear_transposed: |x| x[0].linear(&Neighbours(3), true), shapes("linear", (3, 4), (2, 3)),
        "linear: shapes 3x4 and 2x3 do not match";
    pick: |x| x[0].pick(&[1, 4, 9]), index("pick", 4, 4),
        "pick: index 4 is out of range, expected less than 4";
    cross_entropy: |x| x[0].cross_entropy(&[u32::MAX, 0, 0]), index("pick", 4_294_967_295, 4),
        "pick: index 4294967295 is out of range, expected less than 4";
    place: |x| x[2].place(&[1, 2, 3], 3), index("place", 3, 3),
        "place: index 3 is out of range, expected less than 3";
    gather_rows: |x| x[0].gather_rows(&[0, 0, 2, 3]), index("gather_rows", 3, 3),
        "gather_rows: index 3 is out of range, expected less than 3";
    gather_from_no_rows: |x| x[4].gather_rows(&[0]), index("gather_rows", 0, 0),
        "gather_rows: index 0 is out of range, expected less than 0";
    scatter_rows: |x| x[0].scatter_rows(&[0, 5, 2], 5), index("scatter_rows", 5, 5),
        "scatter_rows: index 5 is out of range, expected less than 5";
    convolve: |x| x[0].convolve(x[1], Convolution { height: 3, width: 1, size: 2, stride: 1 }),
        shapes("convolve", (3, 4), (4, 2)), "convolve: shapes 3x4 and 4x2 do not match";
    convolve_without_stride: |x| x[0].convolve(x[0], Convolution { height: 3, width: 1, size: 1, stride: 0 }),
        range("convolve", "the stride", 0, u32::MAX as usize), "convolve: the stride is 0, expected at least 1";
    convolve_widely: |x| {
        let kernel = x[2].sum().broadcast_to(Shape::new(129 * 129, 2));
        x[2].convolve(kernel, Convolution { height: 3, width: 1, size: 129, stride: 1 })
    }, range("convolve", "the number of entries of a patch", 16641, 16384),
        "convolve: the number of entries of a patch is 16641, expected at most 16384";
    pool_by_nothing: |x| max_pool(x[0], [3, 1], 0), range("pool", "the size", 0, u32::MAX as usize),
        "pool: the size is 0, expected at least 1";
    pool: |x| max_pool(x[0], [2, 2], 2), shapes("pool", (3, 4), (4, 2)),
        "pool: shapes 3x4 and 4x2 do not match";
    the_first_is_kept: |x| (x[0].matmul(x[2]) + x[1].exp()).dot(x[0].gather_rows(&[7])),
        shapes("matmul", (3, 4), (3, 1)), "matmul: shapes 3x4 and 3x1 do not match";
}

fn point() -> Vec<f64> {
    (0..N).map(|i| (1.3 * i as f64).sin()).collect()
}

#[test]
fn wrong_shapes_and_indices_are_named_by_every_driver() {
    let (x, mut workspace) = (point(), Workspace::new());
    for &(case, fault, message) in CASES {
        assert_eq!(fault.to_string(), message);
        let (mut a, mut b, mut y) = ([0.0; N], [0.0; N], [0.0; 1]);
        let w = &mut workspace;
        let mut results = vec![
            w.value(&case, &SHAPES, &x, &mut y),
            w.gradient(&case, &SHAPES, &x, &mut a).map(|_| ()),
            w.jvp(&case, &SHAPES, &x, &x, &mut y, &mut [0.0]),
            w.vjp(&case, &SHAPES, &x, &mut y, &[1.0], &mut a),
            w.hvp(&case, &SHAPES, &x, &x, &mut a, &mut b).map(|_| ()),
        ];
        results.push(w.jacobian(&case, &SHAPES, &x).map(|_| ()));
        results.push(w.hessian(&case, &SHAPES, &x, &mut a, &mut [0.0; N * N]).map(|_| ()));
        results.push(w.jvps(&case, &SHAPES, (&x, [&x, &x]), (&mut y, [&mut [0.0], &mut [0.0]])));
        results.push(w.vjps(&case, &SHAPES, (&x, [&[1.0], &[1.0]]), (&mut y, [&mut a, &mut b])));
        for (driver, result) in results.into_iter().enumerate() {
            assert_eq!(result, Err(fault), "{case:?} by driver {driver}");
        }
    }
}

/// Functions with a result that is not finite, each with its point and the message.
#[derive(Clone, Copy, Debug)]
enum Limit {
    Ln,
    Exp,
    Divide,
    Sum,
    RowDot,
    Dot,
    Matmul,
    Broadcast,
    Scatter,
    Linear,
    SweepOnly,
    TangentOnly,
}

impl<T: Element> Function<T> for Limit {
    fn eval<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A]) -> A {
        let x = x[0];
        match self {
            Self::Ln | Self::SweepOnly => x.ln().sum(),
            Self::Exp => x.exp().sum(),
            Self::Divide => (x / x.square()).sum(),
            Self::Sum => x.sum(),
            Self::RowDot => x.row_dot(x).pick(&[0, 0, 0]).mean(),
            Self::Dot => x.dot(x),
            Self::Matmul => x.matmul_transposed(true, x, false),
            Self::Broadcast => x.broadcast_to(Shape::new(3, 2)),
            Self::Scatter => x.scatter_rows(&[1, 1, 0], 2),
            Self::Linear => x.linear(&Neighbours(3), false),
            Self::TangentOnly => x.square().slice(0, Shape::SCALAR),
        }
    }
}

#[test]
fn the_first_entry_that_is_not_finite_is_named() {
    let shapes = [Shape::column(3)];
    let mut workspace = Workspace::new();
    let mut value = |f: Limit, x: [f64; 3], check| {
        workspace.check_finite(check);
        let (mut y, mut dy) = ([0.0; 6], [0.0; 6]);
        let n = match f {
            Limit::Broadcast => 6,
            Limit::Scatter | Limit::Linear => 2,
            _ => 1,
        };
        workspace.jvp(&f, &shapes, &x, &[0.0; 3], &mut y[..n], &mut dy[..n])
    };
    for (f, x, message) in [
        (Limit::Ln, [1.0, 0.0, 2.0], "ln: entry 1 is -inf, expected a finite number"),
        (Limit::Ln, [1.0, 0.5, -2.0], "ln: entry 2 is NaN, expected a finite number"),
        (Limit::Exp, [800.0, 0.5, -2.0], "exp: entry 0 is inf, expected a finite number"),
        (Limit::Divide, [1.0, 0.0, 0.0], "divide: entry 1 is NaN, expected a finite number"),
        (Limit::Sum, [1e308, 1e308, 1.0], "sum: entry 0 is inf, expected a finite number"),
        (Limit::RowDot, [1.0, 1e200, 1.0], "row_dot: entry 1 is inf, expected a finite number"),
        (Limit::Dot, [1.0, 1e200, 1.0], "dot: entry 0 is inf, expected a finite number"),
        (Limit::Matmul, [1.0, 1e200, 1.0], "matmul: entry 0 is inf, expected a finite number"),
        (
            Limit::Broadcast,
            [1.0, f64::NAN, 1.0],
            "broadcast: entry 2 is NaN, expected a finite number",
        ),
        (
            Limit::Scatter,
            [-1e308, -1e308, 1.0],
            "scatter_rows: entry 1 is -inf, expected a finite number",
        ),
        (Limit::Linear, [1.0, 1e308, 1e308], "linear: entry 1 is inf, expected a finite number"),
    ] {
        assert_eq!(value(f, x, false), Ok(()), "{f:?}: not checked unless asked for");
        assert_eq!(value(f, x, true).unwrap_err().to_string(), message, "{f:?} at {x:?}");
    }
    let fault = value(Limit::Exp, [0.0, 900.0, 0.0], true).unwrap_err();
    let infinite = f64::INFINITY;
    assert_eq!(fault, Fault::NonFinite { operation: "exp", index: 1, value: infinite });
}

#[test]
fn what_is_not_finite_in_the_sweep_or_a_tangent_is_named() {
    let shapes = [Shape::column(3)];
    let mut workspace = Workspace::new();
    workspace.check_finite(true);
    // ln(1e-310) is finite, 1 / 1e-310 is not.
    let x = [1.0, 1e-310, 1.0];
    workspace.value(&Limit::SweepOnly, &shapes, &x, &mut [0.0]).unwrap();
    let fault = workspace.gradient(&Limit::SweepOnly, &shapes, &x, &mut [0.0; 3]).unwrap_err();
    let value = f64::INFINITY;
    assert_eq!(fault, Fault::NonFinite { operation: "ln", index: 1, value });
    // A finite value and a finite slope, times a direction.
    let (x, v) = ([1e150, 1.0, 1.0], [1e200, 1.0, 1.0]);
    workspace.gradient(&Limit::TangentOnly, &shapes, &x, &mut [0.0; 3]).unwrap();
    let jvp = workspace.jvp(&Limit::TangentOnly, &shapes, &x, &v, &mut [0.0], &mut [0.0]);
    assert_eq!(jvp, Err(Fault::NonFinite { operation: "square", index: 0, value }));
}

/// `sum x y`, whose sweep takes more memory than its record.
struct Product;

impl<T: Element> Function<T> for Product {
    fn eval<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A]) -> A {
        (x[0] * x[1]).sum()
    }
}

#[test]
fn every_limit_is_respected_in_recording_and_sweep() {
    let shapes = [Shape::column(100); 2];
    let x: Vec<f64> = (0..200).map(f64::from).collect();
    let v: Vec<f64> = (0..200).map(|i| f64::from(i % 7)).collect();
    let mut workspace = Workspace::new();
    let (mut expected, mut curved) = (vec![0.0; 200], vec![0.0; 200]);
    workspace.hvp(&Product, &shapes, &x, &v, &mut expected, &mut curved).unwrap();
    let enough = workspace.used();
    let (mut recording, mut sweep, mut passed) = (0, 0, 0);
    for limit in (0..=enough).step_by(64) {
        workspace.set_limit(limit);
        let mut y = [f64::NAN];
        let mut gradient = vec![0.0; 200];
        match workspace.vjp(&Product, &shapes, &x, &mut y, &[1.0], &mut gradient) {
            Ok(()) => {
                passed += 1;
                assert_eq!(gradient, expected);
            }
            Err(fault @ Fault::Memory { used, requested, limit: of }) => {
                // The value is written before the sweep begins.
                if y[0].is_nan() {
                    recording += 1;
                } else {
                    sweep += 1;
                }
                assert_eq!((of, passed), (limit, 0), "what fits once fits with more");
                assert!(used <= limit && used + requested > limit, "{fault}");
                let message = format!(
                    "memory limit reached: {used} bytes in use, {requested} more asked for, limit {limit}"
                );
                assert_eq!(fault.to_string(), message);
            }
            Err(other) => panic!("{other}"),
        }
        if let Err(fault) = workspace.hvp(&Product, &shapes, &x, &v, &mut gradient, &mut curved) {
            assert!(matches!(fault, Fault::Memory { limit: of, .. } if of == limit), "{fault}");
        }
        // The workspace works again once the limit is lifted.
        workspace.set_limit(usize::MAX);
        let mut again = vec![0.0; 200];
        workspace.gradient(&Product, &shapes, &x, &mut again).unwrap();
        assert_eq!(again, expected);
    }
    assert!(recording > 0 && sweep > 0 && passed > 0, "{recording} {sweep} {passed}");
}

#[test]
fn an_array_larger_than_memory_is_refused() {
    /// A broadcast to more bytes than can be addressed.
    struct Huge;
    impl<T: Element> Function<T> for Huge {
        fn eval<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A]) -> A {
            x[0].broadcast_to(Shape::new(u32::MAX, u32::MAX)).sum()
        }
    }
    let mut workspace = Workspace::new();
    let fault = workspace.gradient(&Huge, &[Shape::SCALAR], &[1.0], &mut [0.0]).unwrap_err();
    assert!(matches!(fault, Fault::Memory { requested: usize::MAX, .. }), "{fault}");
    // More entries than fit in a `usize`, as the shape of a point.
    let shapes = [Shape::new(u32::MAX, u32::MAX); 2];
    let fault = workspace.gradient(&Huge, &shapes, &[1.0], &mut [0.0]).unwrap_err();
    assert!(matches!(fault, Fault::Length { what: "the point", found: 1, .. }), "{fault}");
}

#[test]
fn operands_of_two_tapes_are_refused() {
    type Handle<'a> = Var<'a, Tensor<'a, f64>>;
    type Pair = for<'a> fn(Handle<'a>, Handle<'a>) -> Handle<'a>;
    let cases: [(Pair, &str); 9] = [
        (|a, b| a + b, "add"),
        (|a, b| a - b, "subtract"),
        (|a, b| a * b, "multiply"),
        (|a, b| a / b, "divide"),
        (|a, b| a.max(b), "max"),
        (|a, b| a.min(b), "min"),
        (|a, b| a.matmul_transposed(true, b, false), "matmul"),
        (|a, b| a.dot(b), "dot"),
        (|a, b| a.row_dot(b), "row_dot"),
    ];
    for (f, operation) in cases {
        for passive in [false, true] {
            let arena = Arena::new();
            let (one, two) = (Tape::new(&arena).unwrap(), Tape::new(&arena).unwrap());
            let value = Tensor::new(&arena, Shape::column(2), &[1.0, 2.0]);
            let other = if passive { two.passive(value) } else { two.variable(value) };
            assert!(f(one.variable(value), other).id().is_none());
            let fault = Fault::ForeignTape { operation };
            assert_eq!(arena.status(), Err(fault));
            let message = format!("{operation}: the operands were recorded on different tapes");
            assert_eq!(fault.to_string(), message);
        }
    }
}

#[test]
fn a_seed_of_another_tape_is_refused() {
    let arena = Arena::new();
    let (short, long) = (Tape::new(&arena).unwrap(), Tape::new(&arena).unwrap());
    let value = Tensor::new(&arena, Shape::SCALAR, &[2.0]);
    let x = short.variable(value);
    let y = long.variable(value).exp();
    assert_ne!(x.id(), y.id());
    let adjoints = short.finish().pull(&[(y.id().unwrap(), value)], &arena);
    assert!(adjoints.get(y.id().unwrap()).is_none());
    assert_eq!(arena.status(), Err(Fault::ForeignTape { operation: "pull" }));
}

/// Each part of the argument tested alone: results that are not scalars, or do not depend on the argument.
enum Plain {
    Square,
    Constant,
    ConstantOfWrongLength,
}

impl<T: Element> Function<T> for Plain {
    fn eval<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A]) -> A {
        match self {
            Self::Square => x[0].square(),
            Self::Constant => x[0].scalar(3.0),
            Self::ConstantOfWrongLength => x[0].constant(Shape::column(5), x[0].values()),
        }
    }
}

#[test]
fn lengths_are_checked() {
    let shapes = [Shape::column(2)];
    let (x, long) = ([1.0, 2.0], [0.0; 3]);
    let mut w = Workspace::new();
    let (mut g, mut p, mut y, mut y3) = ([0.0; 2], [0.0; 2], [0.0; 2], [0.0; 3]);
    let f = &Plain::Square;
    let (point, direction) = ("the point", "the direction");
    let (value, scalar) = ("the value", "the value of a scalar function");
    let (derivative, buffer) = ("the directional derivative", "a buffer for derivatives");
    let constant = &Plain::Constant;
    let results = [
        (w.value(f, &shapes, &long, &mut y), point, 2, 3),
        (w.value(f, &shapes, &x, &mut y3), value, 3, 2),
        (w.gradient(f, &shapes, &x, &mut g).map(|_| ()), scalar, 1, 2),
        (w.gradient(constant, &shapes, &long, &mut g).map(|_| ()), point, 2, 3),
        (w.gradient(constant, &shapes, &x, &mut y3).map(|_| ()), buffer, 2, 3),
        (w.jvp(f, &shapes, &long, &x, &mut y, &mut g), point, 2, 3),
        (w.jvp(f, &shapes, &x, &long, &mut y, &mut g), direction, 2, 3),
        (w.jvp(f, &shapes, &x, &x, &mut y3, &mut g), value, 3, 2),
        (w.jvp(f, &shapes, &x, &x, &mut y, &mut y3), derivative, 3, 2),
        (w.jvp(constant, &shapes, &x, &x, &mut [0.0], &mut y3), derivative, 3, 1),
        (w.vjp(f, &shapes, &long, &mut y, &x, &mut g), point, 2, 3),
        (w.vjp(f, &shapes, &x, &mut y3, &x, &mut g), value, 3, 2),
        (w.vjp(f, &shapes, &x, &mut y, &long, &mut g), "the adjoint of the value", 2, 3),
        (w.vjp(f, &shapes, &x, &mut y, &x, &mut y3), buffer, 2, 3),
        (w.hvp(f, &shapes, &x, &x, &mut g, &mut p).map(|_| ()), scalar, 1, 2),
        (w.hvp(constant, &shapes, &x, &long, &mut g, &mut p).map(|_| ()), direction, 2, 3),
        (w.hvp(constant, &shapes, &x, &x, &mut y3, &mut p).map(|_| ()), buffer, 2, 3),
        (w.hvp(constant, &shapes, &x, &x, &mut g, &mut y3).map(|_| ()), buffer, 2, 3),
        (
            w.hvps(constant, &shapes, &x, [&x, &long], &mut g, [&mut p, &mut y]).map(|_| ()),
            direction,
            2,
            3,
        ),
        (
            w.hvps(constant, &shapes, &x, [&x, &x], &mut g, [&mut p, &mut y3]).map(|_| ()),
            buffer,
            2,
            3,
        ),
        (w.jacobian(f, &shapes, &long).map(|_| ()), point, 2, 3),
        (w.hessian(f, &shapes, &long[..1], &mut [0.0], &mut [0.0]).map(|_| ()), point, 2, 1),
        (w.hessian(f, &shapes, &x, &mut g, &mut [0.0; 3]).map(|_| ()), "the Hessian", 4, 3),
        (w.hessian(f, &shapes, &x, &mut g, &mut [0.0; 4]).map(|_| ()), scalar, 1, 2),
        (w.value(&Plain::ConstantOfWrongLength, &shapes, &x, &mut y), "an array", 5, 2),
    ];
    for (i, (result, what, expected, found)) in results.into_iter().enumerate() {
        let fault = Fault::Length { what, expected, found };
        assert_eq!(result, Err(fault), "case {i}");
        assert_eq!(fault.to_string(), format!("{what}: found {found} values, expected {expected}"));
    }
}

/// An operation on earlier arrays, chosen by `a` and `b` modulo their number.
#[derive(Clone, Debug)]
struct Step {
    operation: u8,
    a: usize,
    b: usize,
    flags: [bool; 2],
    shape: Shape,
    start: usize,
    indices: Vec<u32>,
    map: Neighbours,
}

const OPERATIONS: u8 = 33;

/// A straight-line program; its value is the sum of its last array.
#[derive(Clone, Debug)]
struct Program {
    shapes: Vec<Shape>,
    steps: Vec<Step>,
    x: Vec<f64>,
}

impl Step {
    fn apply<'a, A: Array<'a>>(&'a self, x: &[A]) -> A {
        let (a, b) = (x[self.a % x.len()], x[self.b % x.len()]);
        let [s, t] = self.flags;
        match self.operation {
            0 => a + b,
            1 => a - b,
            2 => a * b,
            3 => a / b,
            4 => a.max(b),
            5 => a.min(b),
            6 | 7 => a.matmul_transposed(s, b, t),
            8 => a.dot(b),
            9 => a.row_dot(b),
            10 => a.sum_to(self.shape),
            11 => a.broadcast_to(self.shape),
            12 => a.logsumexp(),
            13 => a.softmax(),
            14 => a.pick(&self.indices),
            15 => a.place(&self.indices, self.shape.cols),
            16 => a.gather_rows(&self.indices),
            17 => a.scatter_rows(&self.indices, self.shape.rows),
            18 => a.slice(self.start, self.shape),
            19 => a.embed(self.start, self.shape),
            20 => a.reshape(self.shape),
            21 => a.linear(&self.map, s),
            22 => a.exp(),
            23 => a.sqrt(),
            24 => a.tanh(),
            25 => a.softplus(),
            26 => a.abs().powf(1.5),
            27 => a.norm(),
            28 => a.mean(),
            29 => a.detach() * 2.0 - 1.0,
            30 => a.sum_rows(),
            31 => a.sum_cols(),
            _ => a.sigmoid(),
        }
    }

    /// The shape of the result, or `None` if a fault is expected.
    fn infer(&self, x: &[Shape]) -> Option<Shape> {
        let (a, b) = (x[self.a % x.len()], x[self.b % x.len()]);
        let turn = |s: Shape, flip| if flip { Shape::new(s.cols, s.rows) } else { s };
        let count = u32::try_from(self.indices.len()).unwrap();
        let below = |n: u32| self.indices.iter().all(|&i| i < n);
        Some(match self.operation {
            0..=5 => return a.broadcast(b),
            6 | 7 => {
                let (l, r) = (turn(a, self.flags[0]), turn(b, self.flags[1]));
                return (l.cols == r.rows).then_some(Shape::new(l.rows, r.cols));
            }
            8 => return (a == b).then_some(Shape::SCALAR),
            9 => return (a == b).then_some(Shape::column(a.rows)),
            10 => return (self.shape.broadcast(a) == Some(a)).then_some(self.shape),
            11 => return (a.broadcast(self.shape) == Some(self.shape)).then_some(self.shape),
            12 | 31 => Shape::column(a.rows),
            14 => return (count == a.rows && below(a.cols)).then_some(Shape::column(count)),
            15 => {
                let fits = a == Shape::column(count) && below(self.shape.cols);
                return fits.then_some(Shape::new(count, self.shape.cols));
            }
            16 => return below(a.rows).then_some(Shape::new(count, a.cols)),
            17 => {
                let fits = a.rows == count && below(self.shape.rows);
                return fits.then_some(Shape::new(self.shape.rows, a.cols));
            }
            18 => return (self.start + self.shape.len() <= a.len()).then_some(self.shape),
            19 => return (self.start + a.len() <= self.shape.len()).then_some(self.shape),
            20 => return (a.len() == self.shape.len()).then_some(self.shape),
            21 => {
                let map = Shape::new(self.map.0.saturating_sub(1), self.map.0);
                let map = turn(map, self.flags[0]);
                return (map.cols == a.rows).then_some(Shape::new(map.rows, a.cols));
            }
            27 | 28 => Shape::SCALAR,
            30 => Shape::new(1, a.cols),
            _ => a,
        })
    }
}

impl Program {
    fn is_right(&self) -> bool {
        let mut shapes = self.shapes.clone();
        self.steps.iter().all(|step| {
            step.infer(&shapes).is_some_and(|s| {
                shapes.push(s);
                true
            })
        })
    }
}

impl<T: Element> Function<T> for Program {
    fn eval<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A]) -> A {
        let mut arrays = x.to_vec();
        for step in &self.steps {
            let next = step.apply(&arrays);
            arrays.push(next);
        }
        arrays[arrays.len() - 1].sum()
    }
}

fn programs() -> impl Strategy<Value = Program> {
    // Only a few sizes, so that shapes often match.
    let shape = || (select(&[0, 1, 1, 2, 3][..]), select(&[0, 1, 2, 3, 3][..]));
    let shape = move || shape().prop_map(|(rows, cols)| Shape::new(rows, cols));
    let indices = vec(0_u32..4, 0..4);
    let step = (
        (0..OPERATIONS, any::<usize>(), any::<usize>(), any::<[bool; 2]>()),
        (shape(), prop_oneof![4 => Just(0_usize), 1 => 0_usize..4], indices, 0_u32..4),
    );
    let step = step.prop_map(|((operation, a, b, flags), (shape, start, indices, rows))| Step {
        operation,
        a,
        b,
        flags,
        shape,
        start,
        indices,
        map: Neighbours(rows),
    });
    let entry = select(&[-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0, 1e200][..]);
    (vec(shape(), 1..4), vec(step, 1..6)).prop_flat_map(move |(shapes, steps)| {
        let n: usize = shapes.iter().map(|s| s.len()).sum();
        vec(entry.clone(), n).prop_map(move |x| Program {
            shapes: shapes.clone(),
            steps: steps.clone(),
            x,
        })
    })
}

/// Whether the numbers are equal or both `NaN`.
fn same(a: &[f64], b: &[f64]) -> bool {
    a.iter().zip(b).all(|(a, b)| a == b || (a.is_nan() && b.is_nan()))
}

#[test]
fn random_programs_fault_exactly_where_shapes_are_wrong() {
    let config = Config { cases: 3000, failure_persistence: None, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut workspace = Workspace::new();
    let (mut right, mut wrong, mut unchecked) = (0, 0, 0);
    let run = std::cell::RefCell::new((&mut workspace, &mut right, &mut wrong, &mut unchecked));
    TestRunner::new_with_rng(config, rng)
        .run(&programs(), |program| {
            let (workspace, right, wrong, unchecked) = &mut *run.borrow_mut();
            let (shapes, x, n) = (&program.shapes, &program.x, program.x.len());
            let (mut y, mut g) = ([0.0], vec![0.0; n]);
            let (mut g2, mut p) = (vec![0.0; n], vec![0.0; n]);
            workspace.check_finite(false);
            let value = workspace.value(&program, shapes, x, &mut y);
            let gradient = workspace.gradient(&program, shapes, x, &mut g);
            let product = workspace.hvp(&program, shapes, x, x, &mut g2, &mut p);
            // Whether all results are finite.
            let ends = [&y[..], &g, &p].into_iter().flatten().all(|v| v.is_finite());
            if program.is_right() {
                **right += 1;
                prop_assert_eq!(value, Ok(()));
                let (a, b) = (gradient.unwrap(), product.unwrap());
                prop_assert!(same(&[y[0], y[0]], &[a, b]), "{y:?} {a} {b}");
                prop_assert!(same(&g, &g2), "{g:?} {g2:?}");
            } else {
                **wrong += 1;
                let fault = value.unwrap_err();
                prop_assert!(
                    matches!(fault, Fault::Shapes { .. } | Fault::Index { .. }),
                    "{fault}"
                );
                prop_assert_eq!((gradient, product), (Err(fault), Err(fault)));
            }
            workspace.check_finite(true);
            match workspace.hvp(&program, shapes, x, x, &mut g2, &mut p) {
                Ok(y) => {
                    prop_assert!(program.is_right());
                    prop_assert!(ends && y.is_finite(), "the check let {y}, {g2:?}, {p:?} pass");
                }
                Err(Fault::NonFinite { .. }) => **unchecked += 1,
                Err(_) => prop_assert!(!program.is_right()),
            }
            Ok(())
        })
        .unwrap();
    // All three outcomes are frequent.
    assert!(right > 300 && wrong > 300 && unchecked > 30, "{right} {wrong} {unchecked}");
}
