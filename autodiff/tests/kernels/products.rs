//! Matrix products by every route, with one factor shared by several.

use hypertape_autodiff::{Arena, Array, Element, ProductForm, Shape, Side, Tensor};

/// The products of one factor with each of `others`. Sizes are those with which operands enter.
fn together<T: Element>(
    (shared, others): (&[T], &[Vec<T>]),
    [m, k, n]: [usize; 3],
    (tl, tr): (bool, bool),
    left: bool,
) -> Vec<Vec<T>> {
    let arena = Arena::new();
    let [m, k, n] = [m, k, n].map(|size| u32::try_from(size).unwrap());
    let sides = [(m, k, tl), (k, n, tr)];
    let operand = |data, is_left: bool| {
        let (rows, cols, transposed) = sides[usize::from(!is_left)];
        let [rows, cols] = if transposed { [cols, rows] } else { [rows, cols] };
        Tensor::new(&arena, Shape::new(rows, cols), data)
    };
    let others: Vec<_> = others.iter().map(|other| operand(other, !left)).collect();
    let (side, [transposed, others_transposed]) =
        if left { (Side::Left, [tl, tr]) } else { (Side::Right, [tr, tl]) };
    let form = ProductForm { side, transposed, others_transposed };
    products(operand(shared, left), form, &others)
}

fn products<'a, A: Array<'a>>(shared: A, form: ProductForm, others: &[A]) -> Vec<Vec<A::Elem>> {
    let mut out = vec![shared; others.len()];
    shared.products(form, others, &[], &mut out);
    shared.arena().status().unwrap();
    out.iter().map(|made| made.values().to_vec()).collect()
}

/// Calls `f` for every combination of transpositions and sides.
fn every_way(mut f: impl FnMut((bool, bool), bool)) {
    for way in 0..8 {
        f((way & 1 > 0, way & 2 > 0), way & 4 > 0);
    }
}

/// Small integers, so that sums are exact in every order.
fn equals_the_definition<T: Element>([m, k, n]: [usize; 3], planes: usize) {
    let entries = |len: usize, seed: usize| -> Vec<T> {
        (0..len).map(|i| T::from_f64(((i * 7 + seed * 3) % 11) as f64 - 5.0)).collect()
    };
    every_way(|(tl, tr), left| {
        let (one, many) = if left { (m * k, k * n) } else { (k * n, m * k) };
        let shared = entries(one, 9);
        let others: Vec<_> = (0..planes).map(|plane| entries(many, plane)).collect();
        let results = together((&shared, &others), [m, k, n], (tl, tr), left);
        for (other, result) in others.iter().zip(results) {
            let (a, b) = if left { (&shared, other) } else { (other, &shared) };
            for (at, &value) in result.iter().enumerate() {
                let (i, j) = (at / n, at % n);
                let expected = (0..k).fold(T::zero(), |sum, p| {
                    let x = if tl { a[p * m + i] } else { a[i * k + p] };
                    sum + x * if tr { b[j * k + p] } else { b[p * n + j] }
                });
                assert_eq!(value, expected, "{m} {k} {n} {tl} {tr} {left} at {i},{j}");
            }
        }
    });
}

#[test]
fn every_route_equals_the_definition() {
    let mut sizes = vec![[0, 3, 2], [2, 0, 3], [2, 3, 0], [1, 1, 1], [1, 5, 3], [4, 6, 1]];
    // All remainders of rows and columns, with widths of up to three vectors and more.
    sizes.extend((1..18).map(|n| [23, 9, n]));
    sizes.extend((1..18).map(|m| [m, 10, 41]));
    // Outer products, then panels and blocks of rows that are visited more than once.
    sizes.extend([[9, 1, 33], [5, 2100, 6], [300, 9, 50], [64, 64, 64]]);
    // Matrix-vector products whose rows fill every register.
    sizes.extend([[230, 219, 1], [219, 230, 1], [1, 233, 471]]);
    // Dot products, in one panel and in several; rows of a transposed left factor as vectors.
    sizes.extend([[4, 256, 10], [11, 263, 5], [6, 1900, 9], [48, 9, 10], [33, 300, 2]]);
    // A transposed left factor that exceeds the caches, with few columns.
    sizes.push([1300, 210, 3]);
    if cfg!(miri) {
        sizes = vec![[1, 5, 3], [23, 9, 1], [7, 10, 13], [9, 1, 33], [4, 67, 5]];
    }
    for size in sizes {
        for planes in 1..if cfg!(miri) { 3 } else { 5 } {
            equals_the_definition::<f64>(size, planes);
            equals_the_definition::<f32>(size, planes);
        }
    }
}

#[test]
fn bits_do_not_depend_on_company() {
    let wave = |len: usize, seed: usize| -> Vec<f64> {
        (0..len).map(|i| ((i + 3 * seed) as f64 * 0.37).sin()).collect()
    };
    // Vectors, an outer product, a tiny product, narrow and wide tiles, several panels, dot products, a large left factor.
    let sizes = [
        [60, 21, 1],
        [230, 219, 1],
        [219, 230, 1],
        [1, 21, 60],
        [9, 1, 33],
        [3, 4, 5],
        [83, 90, 10],
        [10, 40, 40],
        [9, 900, 7],
        [9, 900, 5],
        [83, 300, 10],
        [1300, 210, 10],
    ];
    for [m, k, n] in sizes {
        every_way(|transposed, left| {
            let (one, many) = if left { (m * k, k * n) } else { (k * n, m * k) };
            let shared = wave(one, 0);
            let others: Vec<_> = (1..6).map(|plane| wave(many, plane)).collect();
            let all = together((&shared, &others), [m, k, n], transposed, left);
            for (other, result) in others.chunks(1).zip(all) {
                let alone = together((&shared, other), [m, k, n], transposed, left);
                assert_eq!(alone[0], result, "{m} {k} {n} {transposed:?} {left}");
            }
        });
    }
}

#[test]
fn partners_of_different_shapes() {
    let arena = Arena::new();
    let a = Tensor::new(&arena, Shape::new(2, 2), &[1.0, 2.0, 3.0, 4.0]);
    let b = Tensor::new(&arena, Shape::new(2, 2), &[5.0, 6.0, 7.0, 8.0]);
    let column = b.slice(0, Shape::column(2));
    let form = ProductForm { side: Side::Left, transposed: false, others_transposed: false };
    let known = [&[17.0, 39.0][..], &[19.0, 22.0, 43.0, 50.0]];
    assert_eq!(products(a, form, &[column, b]), known);
}
