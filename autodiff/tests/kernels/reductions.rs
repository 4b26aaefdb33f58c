//! Sums, and shares of rows and columns.

use hypertape_autodiff::{
    Arena, Array, Axis, Element, Operations, Shape, Tensor, all_finite, dot, sum,
};

/// Returns the sum of an array that has `shape`, over its rows.
fn over_rows<T: Element>(x: &[T], shape: Shape) -> Vec<T> {
    let arena = Arena::new();
    Tensor::new(&arena, shape, x).sum_rows().values().to_vec()
}

/// Returns `ln sum_j e^{x_j}` of each row, and the shares of its entries; with `Axis::Rows` of each column.
fn softmax<T: Element>(x: &[T], cols: usize, axis: Axis) -> [Vec<T>; 2] {
    let arena = Arena::new();
    let shape = [x.len() / cols, cols].map(|n| u32::try_from(n).unwrap());
    let x = Tensor::new(&arena, Shape::new(shape[0], shape[1]), x);
    [x.logsumexp_over(axis), x.softmax_over(axis)].map(|made| made.values().to_vec())
}

/// Returns the transpose of a matrix with rows of `cols` entries.
fn turned<T: Element>(x: &[T], cols: usize) -> Vec<T> {
    let rows = x.len() / cols;
    (0..x.len()).map(|p| x[p % rows * cols + p / rows]).collect()
}

#[test]
fn sums_of_every_short_length() {
    for n in 0..40 {
        let x: Vec<f64> = (0..n).map(f64::from).collect();
        let n = f64::from(n);
        assert_eq!(sum(&x), n * (n - 1.0) / 2.0);
        assert_eq!(dot(&x, &x), (n - 1.0) * n * (2.0 * n - 1.0) / 6.0);
    }
}

#[test]
fn long_sums_keep_their_digits() {
    // The sum of 2^25 ones would end at 2^24 if they were added one after the other: as a row, a column, and two
    // columns.
    let ones = vec![1.0_f32; 1 << 25];
    assert_eq!(sum(&ones), 33_554_432.0);
    assert_eq!(over_rows(&ones, Shape::column(1 << 25)), [33_554_432.0]);
    assert_eq!(over_rows(&ones, Shape::new(1 << 24, 2)), [16_777_216.0; 2]);
    // The stated error: 512 + 32 + 16 units of 2^-24, of which rounding errors of both signs leave few.
    let tenths = vec![0.1_f32; 1 << 25];
    let known = f64::from(0.1_f32) * f64::from(1 << 25);
    let columns = over_rows(&tenths, Shape::new(1 << 23, 4)).into_iter().map(|sum| 4.0 * sum);
    for found in columns.chain([sum(&tenths)]) {
        let error = (f64::from(found) / known - 1.0).abs();
        assert!(error < 560.0 / 16_777_216.0, "{error}");
    }
    // Columns equal sums of integers in every split of rows and columns.
    for (rows, cols) in [(513_u32, 1), (1025, 3), (2000, 33), (1537, 70)] {
        let x: Vec<f64> = (0..rows * cols).map(f64::from).collect();
        for (j, found) in (0..cols).zip(over_rows(&x, Shape::new(rows, cols))) {
            let (rows, cols, j) = (f64::from(rows), f64::from(cols), f64::from(j));
            assert_eq!(found, cols * rows * (rows - 1.0) / 2.0 + rows * j);
        }
    }
}

fn check_softmax<T: Element>(rows: usize, cols: usize) {
    let entry = |i| T::from_f64(5.0 * (1.7 * i as f64).sin());
    let mut x: Vec<T> = (0..rows * cols).map(entry).collect();
    // The error of a share is 4 epsilon from rounding its distance to the top, which is up to 10, and the rest from
    // totals. Observed: 9.
    let close = |found: T, known: f64| {
        (found.as_f64() - known).abs() <= 16.0 * T::epsilon().as_f64() * known.abs().max(1.0)
    };
    let [sums, shares] = softmax(&x, cols, Axis::Columns);
    for (i, row) in x.chunks_exact(cols).enumerate() {
        let total: f64 = row.iter().map(|v| v.as_f64().exp()).sum();
        assert!(close(sums[i], total.ln()), "{} {total}", sums[i]);
        for (s, v) in shares[i * cols..].iter().zip(row) {
            let ratio = s.as_f64() / (v.as_f64().exp() / total);
            assert!(close(T::from_f64(ratio), 1.0), "{s} {v} {total}");
        }
    }
    // A NaN in a row affects that row and no other.
    for row in (0..rows).step_by(3) {
        x[row * cols + row % cols] = T::nan();
    }
    let [sums, shares] = softmax(&x, cols, Axis::Columns);
    for (row, share) in shares.chunks_exact(cols).enumerate() {
        let gone = row % 3 == 0;
        let right = share.iter().chain([&sums[row]]).all(|s| s.is_nan() == gone);
        assert!(right, "{row}: {} {share:?}", sums[row]);
    }
    // Columns differ from rows in the order of sums.
    let [down, down_shares] = softmax(&turned(&x, cols), rows, Axis::Rows);
    let known = sums.into_iter().chain(turned(&shares, cols));
    for (found, known) in down.into_iter().chain(down_shares).zip(known) {
        assert!(close(found, known.as_f64()) || found.is_nan() && known.is_nan());
    }
}

#[test]
fn softmax_equals_the_definition() {
    for cols in [1, 2, 8, 10, 16, 17, 64, 300] {
        check_softmax::<f64>(70, cols);
        check_softmax::<f32>(70, cols);
    }
}

#[test]
fn softmax_at_the_ends() {
    let (ninf, inf, nan) = (f64::NEG_INFINITY, f64::INFINITY, f64::NAN);
    let x = [1000.0, 1000.0, ninf, ninf, 0.0, ninf, 0.0, nan, 0.0, inf];
    let [sums, shares] = softmax(&x, 2, Axis::Columns);
    assert_eq!(sums[..3], [1000.0 + 2.0_f64.ln(), ninf, 0.0]);
    assert!(sums[3].is_nan() && sums[4] == inf);
    assert_eq!(
        (&shares[..2], &shares[4..6], &shares[8..]),
        (&[0.5, 0.5][..], &[1.0, 0.0][..], &[0.0, 1.0][..])
    );
    assert_eq!(shares[2..4], [0.0; 2]);
    assert!(shares[6..8].iter().all(|s| s.is_nan()));
    let found = softmax(&turned(&x, 2), 5, Axis::Rows);
    assert_eq!(format!("{found:?}"), format!("{:?}", [sums, turned(&shares, 2)]));
    // Several runs of rows.
    let [sums, shares] = softmax(&[0.0; 1800], 3, Axis::Rows);
    assert!(sums.iter().all(|sum| (sum - 600_f64.ln()).abs() < 1e-15));
    assert_eq!(shares, [1.0 / 600.0; 1800]);
}

#[test]
fn finite_means_every_entry() {
    for len in 0..40 {
        let mut x = vec![f64::MAX; len];
        assert!(all_finite(&x));
        for at in 0..len {
            for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
                x[at] = bad;
                assert!(!all_finite(&x), "{bad} at {at} of {len}");
            }
            x[at] = f64::MIN;
        }
    }
}
