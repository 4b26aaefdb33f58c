//! Products with sparse matrices.

use hypertape_autodiff::{Arena, Array, Csr, Dual, Fault, Shape, Tape, Tensor};

/// A 7 x 5 matrix with an empty row and an empty column, and its dense form. Entries are small integers, so that
/// sums are exact in every order.
fn example() -> (Csr<f64>, Vec<f64>) {
    let (mut starts, mut columns, mut values) = (vec![0], Vec::new(), Vec::new());
    let mut dense = vec![0.0; 35];
    for i in (0..7_u32).filter(|&i| i != 3) {
        for j in (0..5).filter(|j| (i + 2 * j) % 3 == 0 && *j != 2) {
            let value = f64::from(i * 5 + j) - 15.0;
            columns.push(j);
            values.push(value);
            dense[(i * 5 + j) as usize] = value;
        }
        starts.push(values.len());
        if i == 2 {
            starts.push(values.len());
        }
    }
    (Csr::new(5, starts, columns, values).unwrap(), dense)
}

fn wave(len: usize, seed: usize) -> Vec<f64> {
    (0..len).map(|i| ((i * 7 + seed) % 11) as f64 - 5.0).collect()
}

#[test]
fn products_and_their_derivatives_are_those_of_the_dense_matrix() {
    let (sparse, dense) = example();
    assert_eq!((sparse.rows(), sparse.cols(), sparse.row(3).0.len()), (7, 5, 0));
    for columns in [1, 2, 9] {
        for rows in [0..7, 2..5, 3..4, 4..4] {
            let shape = Shape::new(5, columns);
            let count = u32::try_from(rows.len()).unwrap();
            let (w, dw) = (wave(shape.len(), 1), wave(shape.len(), 4));
            let seed =
                [wave(rows.len() * columns as usize, 2), wave(rows.len() * columns as usize, 3)];
            let arena = Arena::new();
            let tensor = |shape, data| Tensor::new(&arena, shape, data);
            let results = [false, true].map(|is_sparse| {
                let tape = Tape::new(&arena).unwrap();
                let w = tape.variable(Dual::new(tensor(shape, &w), [Some(tensor(shape, &dw))]));
                let out = if is_sparse {
                    sparse.times(rows.clone(), w)
                } else {
                    let data = &dense[5 * rows.start..5 * rows.end];
                    w.constant(Shape::new(count, 5), data).matmul(w)
                };
                let [bar, d_bar] = [0, 1].map(|i| tensor(Shape::new(count, columns), &seed[i]));
                let bar = Dual::new(bar, [Some(d_bar)]);
                let adjoints = tape.finish().pull(&[(out.id().unwrap(), bar)], &arena);
                let w_bar = adjoints.get(w.id().unwrap()).unwrap();
                [out.value(), w_bar]
                    .map(|d| [d.value(), d.tangents()[0].unwrap()].map(Array::values))
            });
            arena.status().unwrap();
            assert_eq!(results[0], results[1], "{rows:?}, {columns} columns");
        }
    }
}

#[test]
fn bits_do_not_depend_on_company() {
    let (sparse, _) = example();
    let arena = Arena::new();
    for shape in [Shape::column(5), Shape::new(5, 9)] {
        let data: Vec<Vec<f64>> = (0..4)
            .map(|k| wave(shape.len(), k).iter().map(|v| (v * 0.37).sin()).collect())
            .collect();
        let planes = [0, 1, 2, 3].map(|k| Tensor::new(&arena, shape, &data[k]));
        let [x, moving @ ..] = planes;
        let made = sparse.times(0..7, Dual::new(x, moving.map(Some)));
        let together = [Some(made.value())].into_iter().chain(made.tangents()).flatten();
        assert!(together.map(Array::values).eq(planes.map(|x| sparse.times(0..7, x).values())));
    }
}

#[test]
fn what_does_not_fit_is_named() {
    let told = |cols, starts: &[usize], columns: &[u32], values: &[f64]| {
        Csr::new(cols, starts.to_vec(), columns.to_vec(), values.to_vec()).unwrap_err().to_string()
    };
    assert!(told(2, &[], &[], &[]).contains("precedes the first row"));
    assert!(told(2, &[1, 1], &[0], &[1.0]).contains("precedes the first row"));
    assert!(
        told(2, &[0, 2], &[0], &[1.0, 2.0])
            .contains("columns of a sparse matrix: found 1 values, expected 2")
    );
    assert!(
        told(2, &[0, 1], &[0], &[])
            .contains("entries of a sparse matrix: found 0 values, expected 1")
    );
    assert!(
        told(2, &[0, 2, 1, 2], &[0, 1], &[1.0, 2.0])
            .contains("index 2 is out of range, expected less than 2")
    );
    assert!(told(2, &[0, 1], &[2], &[1.0]).contains("column of a sparse matrix: index 2"));
    let (sparse, _) = example();
    let arena = Arena::new();
    let x = Tensor::new(&arena, Shape::column(5), &[0.0; 5]);
    assert!(sparse.times(5..8, x).values().is_empty());
    let fault = Fault::Index { operation: "rows of a sparse matrix", index: 8, length: 8 };
    assert_eq!(arena.status(), Err(fault));
}
