//! The sweep of a variable of tangents returns the same as the tangents of a plain variable.

use hypertape_autodiff::{Arena, Array, Dual, List, Shape, Tape, Tensor, Var};

type Point<'a> = Dual<Tensor<'a, f64>, 2>;

/// Uses its argument whole, in slices, reshaped, on both sides of a product, and transposed.
fn loss<'a, A: Array<'a, Elem = f64>>(x: A, data: &'a [f64]) -> A {
    let data = x.constant(Shape::new(3, 2), data);
    let (left, right) = (x.slice(0, Shape::new(2, 3)), x.slice(3, Shape::column(3)));
    let wide = x.reshape(Shape::new(3, 2));
    let scores = data.matmul(left).tanh() + right;
    scores.matmul(wide).matmul_transposed(false, data, true).sigmoid().sum() + x.exp().dot(x)
}

/// The adjoint of `x` as a plain variable, and as a variable of tangents.
fn adjoints<'a>(arena: &'a Arena, x: Point<'a>, data: &'a [f64]) -> [Option<Point<'a>>; 2] {
    let tape = Tape::new(arena).unwrap();
    [tape.variable(x), tape.variable_of_tangents(x)].map(|x: Var<Point>| {
        let y = loss(x, data);
        arena.status().unwrap();
        let adjoints = tape.finish().pull(&[(y.id().unwrap(), y.value().scalar(1.0))], arena);
        adjoints.get(x.id().unwrap())
    })
}

#[test]
fn the_tangents_are_the_same() {
    let x = [0.3, -0.2, 0.5, 0.9, -1.1, 0.4];
    let directions = [[1.0, 0.0, -2.0, 0.5, 0.25, 1.5], [0.5, 0.5, 1.0, -1.0, 2.0, 0.125]];
    let data = [1.0, -0.5, 0.25, 2.0, -1.5, 0.75];
    let arena = Arena::new();
    let tensor = |values| Tensor::new(&arena, Shape::column(6), values);
    for present in [[true, true], [true, false], [false, true]] {
        let tangent = |k: usize| present[k].then(|| tensor(&directions[k]));
        let x = Dual::new(tensor(&x), [tangent(0), tangent(1)]);
        let [plain, moved] = adjoints(&arena, x, &data).map(Option::unwrap);
        let moved: List<_> = [Some(moved.value()), moved.tangents()[0]].into_iter().collect();
        for (k, (plain, moved)) in plain.tangents().into_iter().zip(moved).enumerate() {
            if let Some(plain) = plain {
                // The same sums in the same order.
                assert_eq!(plain.values(), moved.unwrap().values(), "{present:?} {k}");
            } else {
                assert!(moved.is_none_or(|m| m.values() == [0.0; 6]), "{present:?} {k}");
            }
        }
    }
}

#[test]
fn nothing_is_left_where_nothing_moves() {
    let arena = Arena::new();
    let x = Dual::new(Tensor::new(&arena, Shape::column(6), &[0.5; 6]), [None; 2]);
    let [plain, moved] = adjoints(&arena, x, &[1.0; 6]);
    assert!(plain.is_some() && moved.is_none());
}

#[test]
fn a_variable_that_is_the_result_takes_the_tangents_of_the_seed() {
    let arena = Arena::new();
    let tensor = |values| Tensor::new(&arena, Shape::SCALAR, values);
    let tape = Tape::new(&arena).unwrap();
    let x: Var<Dual<Tensor<f64>>> = tape.variable_of_tangents(Dual::new(tensor(&[2.0]), [None]));
    let seed = Dual::new(tensor(&[3.0]), [Some(tensor(&[5.0]))]);
    let adjoints = tape.finish().pull(&[(x.id().unwrap(), seed)], &arena);
    assert_eq!(adjoints.get(x.id().unwrap()).unwrap().value().values(), [5.0]);
}
