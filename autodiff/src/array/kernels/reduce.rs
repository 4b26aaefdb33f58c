//! Sums and reductions of rows. The order of every sum depends only on the shape.

use crate::array::kernels::math;
use crate::array::kernels::number::Number;
use crate::array::kernels::simd::{dispatched, mul_add};
use crate::shape::Shape;

/// Number of partial sums into which a long sum is split. They do not depend on each other, so they vectorise.
pub(crate) const LANES: usize = 8;

/// Adds up the lanes, pair by pair.
#[inline(always)]
pub(crate) fn gathered<T: Number>(sums: [T; LANES]) -> T {
    let four: [T; 4] = std::array::from_fn(|lane| sums[lane] + sums[lane + 4]);
    let two: [T; 2] = std::array::from_fn(|lane| four[lane] + four[lane + 2]);
    two[0] + two[1]
}

dispatched! {
    /// `sum_i a_i`
    pub(crate) fn sum<T: Number>(a: &[T]) -> T {
        total(a)
    }
}

/// Greatest number of terms of a column, or of a lane of a row, that are added one after the other. Longer sums add
/// such runs pair by pair, so that the error of `n` terms is below `RUN + WIDTH + log2(n / RUN)` rounding units of the
/// sum of their absolute values.
const RUN: usize = 512;

/// Greatest number of levels of pairs, the logarithm of the greatest length.
const LEVELS: usize = usize::BITS as usize;

#[inline(always)]
fn total<T: Number>(a: &[T]) -> T {
    if a.len() <= RUN * LANES {
        return in_lanes(a);
    }
    let mut pairs = [[T::zero()]; LEVELS];
    let mut runs = 0_usize;
    for run in a.chunks(RUN * LANES) {
        push(&mut pairs, &mut runs, [in_lanes(run)]);
    }
    finish(&pairs, runs)[0]
}

#[inline(always)]
fn in_lanes<T: Number>(a: &[T]) -> T {
    let mut sums = [T::zero(); LANES];
    let (chunks, rest) = a.as_chunks::<LANES>();
    for a in chunks {
        for lane in 0..LANES {
            sums[lane] += a[lane];
        }
    }
    rest.iter().fold(T::zero(), |total, &a| total + a) + gathered(sums)
}

/// Adds run number `runs`, which consists of `W` sums. Runs of equal length are added, as digits carry when a binary
/// number is counted up.
#[inline(always)]
fn push<T: Number, const W: usize>(pairs: &mut [[T; W]], runs: &mut usize, mut run: [T; W]) {
    let level = runs.trailing_ones() as usize;
    for pair in &pairs[..level] {
        run = std::array::from_fn(|k| pair[k] + run[k]);
    }
    pairs[level] = run;
    *runs += 1;
}

/// Returns the sum of `runs` runs.
#[inline(always)]
fn finish<T: Number, const W: usize>(pairs: &[[T; W]], runs: usize) -> [T; W] {
    let live = (0..LEVELS).filter(|level| runs >> level & 1 == 1).map(|level| pairs[level]);
    live.reduce(|sum, pair| std::array::from_fn(|k| sum[k] + pair[k])).unwrap_or([T::zero(); W])
}

/// Number of columns that are summed together.
const WIDTH: usize = 32;

/// Sums each column of rows of `cols` entries.
#[inline(always)]
fn sum_columns<T: Number>(x: &[T], cols: usize, out: &mut [T]) {
    let add = |row: &[T]| out.iter_mut().zip(row).for_each(|(out, &v)| *out += v);
    let wide = WIDTH / cols * cols;
    if wide > cols && x.len() > 2 * wide {
        // Rows that are short are summed as parts of longer ones.
        let (rows, rest) = x.split_at(x.len() / wide * wide);
        let mut sums = [T::zero(); WIDTH];
        sum_strips(rows, wide, &mut sums[..wide]);
        sums[..wide].chunks_exact(cols).chain(rest.chunks_exact(cols)).for_each(add);
    } else if x.len() <= RUN * cols {
        x.chunks_exact(cols).for_each(add);
    } else {
        sum_strips(x, cols, out);
    }
}

/// Sums each column, with the sums of [`WIDTH`] columns in registers.
#[inline(always)]
fn sum_strips<T: Number>(x: &[T], cols: usize, out: &mut [T]) {
    for (first, out) in (0..cols).step_by(WIDTH).zip(out.chunks_mut(WIDTH)) {
        let sums = if x.len() <= RUN * cols {
            sum_run(&x[first..], cols)
        } else {
            let mut pairs = [[T::zero(); WIDTH]; LEVELS];
            let mut runs = 0;
            for start in (first..x.len()).step_by(RUN * cols) {
                push(&mut pairs, &mut runs, sum_run(&x[start..], cols));
            }
            finish(&pairs, runs)
        };
        out.copy_from_slice(&sums[..out.len()]);
    }
}

/// Adds a run of rows of a strip, which begin `cols` entries apart. Of a narrower strip, the entries behind it are
/// added as well, to sums that nobody reads.
#[inline(always)]
fn sum_run<T: Number>(x: &[T], cols: usize) -> [T; WIDTH] {
    let mut sums = [T::zero(); WIDTH];
    for start in (0..x.len()).step_by(cols).take(RUN) {
        if let Some(row) = x[start..].first_chunk::<WIDTH>() {
            for k in 0..WIDTH {
                sums[k] += row[k];
            }
        } else {
            sums.iter_mut().zip(&x[start..]).for_each(|(sum, &v)| *sum += v);
        }
    }
    sums
}

dispatched! {
    /// `sum_i a_i b_i`
    pub(crate) fn dot<T: Number>(a: &[T], b: &[T]) -> T {
        products::<FMA, T>(a, b)
    }
}

/// As [`dot`], for code that is already compiled for a path.
#[inline(always)]
pub(crate) fn products<const FMA: bool, T: Number>(a: &[T], b: &[T]) -> T {
    let mut sums = [T::zero(); LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] = mul_add::<FMA, T>(a[lane], b[lane], sums[lane]);
        }
    }
    let rest = a_rest.iter().zip(b_rest);
    rest.fold(T::zero(), |sum, (&a, &b)| mul_add::<FMA, T>(a, b, sum)) + gathered(sums)
}

dispatched! {
    /// `sum_j a_ij b_ij` of each row of `cols` entries.
    pub(crate) fn row_dots<T: Number>(a: &[T], b: &[T], cols: usize, out: &mut [T]) {
        let rows = a.chunks_exact(cols).zip(b.chunks_exact(cols));
        for (out, (a, b)) in out.iter_mut().zip(rows) {
            *out = products::<FMA, T>(a, b);
        }
    }
}

dispatched! {
    /// Adds the entries of `x` into `out`, which is zero on entry and broadcasts to the shape of `x`.
    pub(crate) fn sum_to<T: Number>(x: &[T], shape: Shape, out: &mut [T], to: Shape) {
        let rows = x.chunks_exact((shape.cols as usize).max(1));
        match (to.rows == shape.rows, to.cols == shape.cols) {
            (true, true) => out.copy_from_slice(x),
            (true, false) => {
                for (out, row) in out.iter_mut().zip(rows) {
                    *out = total(row);
                }
            }
            (false, true) if shape.cols == 1 => out[0] = total(x),
            (false, true) if shape.cols > 1 => sum_columns(x, shape.cols as usize, out),
            (false, true) => {}
            (false, false) => out[0] = total(x),
        }
    }
}

/// Number of entries that [`softmax_rows`] takes through all its passes together, unless a single row is longer.
const BLOCK: usize = 256;

/// Combines the entries of a row by `f`, in an order that depends only on their number.
#[inline(always)]
fn combined<T: Number>(row: &[T], first: T, f: impl Fn(T, T) -> T) -> T {
    let (chunks, rest) = row.as_chunks::<LANES>();
    let rest = rest.iter().fold(first, |total, &v| f(total, v));
    // The lanes of a short row would cost more than they save.
    if chunks.len() < 2 {
        return chunks.as_flattened().iter().fold(rest, |total, &v| f(total, v));
    }
    let mut lanes = [first; LANES];
    for chunk in chunks {
        for lane in 0..LANES {
            lanes[lane] = f(lanes[lane], chunk[lane]);
        }
    }
    lanes.iter().fold(rest, |total, &v| f(total, v))
}

dispatched! {
    /// Computes `ln sum_j e^{x_j}` of each row of `cols` entries, and the shares of its entries,
    /// `share_j = e^{x_j} / sum_k e^{x_k}`.
    pub(crate) fn softmax_rows<T: Number>(
        x: &[T],
        cols: usize,
        sums: &mut [T],
        shares: &mut [T],
    ) {
        let mut totals = [T::zero(); BLOCK];
        let rows = (BLOCK / cols).max(1);
        let blocks = x.chunks(rows * cols).zip(shares.chunks_mut(rows * cols));
        for (sums, (x, shares)) in sums.chunks_mut(rows).zip(blocks) {
            // In passes, so that the exponentials and logarithms of short rows fill whole vectors.
            let entries = x.chunks_exact(cols).zip(shares.chunks_exact_mut(cols));
            for (top, (row, share)) in sums.iter_mut().zip(entries) {
                // Ignores NaN, which appears again in the total.
                *top = combined(row, T::neg_infinity(), |a, b| if b > a { b } else { a });
                for (s, &v) in share.iter_mut().zip(row) {
                    *s = v - *top;
                }
            }
            for s in shares.iter_mut() {
                *s = math::exp::<FMA, T>(*s);
            }
            for (total, share) in totals.iter_mut().zip(shares.chunks_exact(cols)) {
                *total = combined(share, T::zero(), |a, b| a + b);
            }
            for (sum, total) in sums.iter_mut().zip(&mut totals) {
                // Totals are at least 1, so that 1 can be subtracted exactly.
                *sum += math::log1p::<FMA, T>(*total - T::one());
                *total = total.recip();
            }
            let entries = x.chunks_exact(cols).zip(shares.chunks_exact_mut(cols));
            for ((sum, &scale), (row, share)) in sums.iter_mut().zip(&totals).zip(entries) {
                if scale.is_nan() {
                    *sum = limit_shares(row.iter(), share.iter_mut());
                    continue;
                }
                for s in share.iter_mut() {
                    *s = *s * scale;
                }
            }
        }
    }
}

/// Number of columns that [`softmax_columns`] takes through all its passes together.
const PANEL: usize = 64;

dispatched! {
    /// As [`softmax_rows`], of each column.
    pub(crate) fn softmax_columns<T: Number>(
        x: &[T],
        cols: usize,
        sums: &mut [T],
        shares: &mut [T],
    ) {
        for (first, sums) in (0..).step_by(PANEL).zip(sums.chunks_mut(PANEL)) {
            let part = first..first + sums.len();
            let (mut all, mut run) = ([T::zero(); PANEL], [T::zero(); PANEL]);
            for row in x.chunks_exact(cols) {
                for (top, &v) in sums.iter_mut().zip(&row[part.clone()]) {
                    // Ignores NaN. A choice would be stored entry by entry.
                    *top = top.max(v);
                }
            }
            let rows = x.chunks_exact(cols).zip(shares.chunks_exact_mut(cols));
            for (i, (row, share)) in rows.enumerate() {
                let (row, share) = (&row[part.clone()], &mut share[part.clone()]);
                for (((&v, s), &top), total) in row.iter().zip(share).zip(&*sums).zip(&mut run) {
                    *s = math::exp::<FMA, T>(v - top);
                    *total += *s;
                }
                if (i + 1).is_multiple_of(RUN) {
                    for (total, run) in all.iter_mut().zip(&mut run) {
                        *total += std::mem::take(run);
                    }
                }
            }
            for ((sum, total), run) in sums.iter_mut().zip(&mut all).zip(run) {
                let whole = *total + run;
                *sum += math::log1p::<FMA, T>(whole - T::one());
                *total = whole.recip();
            }
            for share in shares.chunks_exact_mut(cols) {
                for (s, &scale) in share[part.clone()].iter_mut().zip(&all) {
                    *s = *s * scale;
                }
            }
            for (k, (sum, scale)) in part.zip(sums.iter_mut().zip(&all)) {
                if scale.is_nan() {
                    let column = x[k..].iter().step_by(cols);
                    *sum = limit_shares(column, shares[k..].iter_mut().step_by(cols));
                }
            }
        }
    }
}

/// Computes the shares of a line that has a `NaN` or whose largest entry is not finite, and returns its
/// `ln sum_j e^{x_j}`. A single +inf has a share of 1; if all entries are -inf, all shares are 0; with several +inf or
/// a `NaN` the shares are `NaN`.
fn limit_shares<'a, T: Number>(
    line: impl Iterator<Item = &'a T> + Clone,
    share: impl Iterator<Item = &'a mut T>,
) -> T {
    let larger = |a: T, &b: &T| if b > a || b.is_nan() { b } else { a };
    let top = line.clone().fold(T::neg_infinity(), larger);
    let single = line.clone().filter(|&&v| v == top).count() == 1;
    for (s, &v) in share.zip(line) {
        *s = match v == top {
            _ if top.is_nan() => top,
            true if top < T::zero() => T::zero(),
            true => {
                if single {
                    T::one()
                } else {
                    T::nan()
                }
            }
            false => T::zero(),
        };
    }
    top
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::element::Element;

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
        let mut out = [0.0; 2];
        sum_to(&ones, Shape::column(1 << 25), &mut out[..1], Shape::SCALAR);
        assert_eq!(out[0], 33_554_432.0);
        let mut out = [0.0; 2];
        sum_to(&ones, Shape::new(1 << 24, 2), &mut out, Shape::new(1, 2));
        assert_eq!(out, [16_777_216.0; 2]);
        // The stated error: 512 + 32 + 16 units of 2^-24, of which rounding errors of both signs leave few.
        let tenths = vec![0.1_f32; 1 << 25];
        let known = f64::from(0.1_f32) * f64::from(1 << 25);
        let mut out = [0.0; 4];
        sum_to(&tenths, Shape::new(1 << 23, 4), &mut out, Shape::new(1, 4));
        for found in out.map(|sum| 4.0 * sum).into_iter().chain([sum(&tenths)]) {
            let error = (f64::from(found) / known - 1.0).abs();
            assert!(error < 560.0 / 16_777_216.0, "{error}");
        }
        // Columns equal sums of integers in every split of rows and columns.
        for (rows, cols) in [(513_u32, 1), (1025, 3), (2000, 33), (1537, 70)] {
            let x: Vec<f64> = (0..rows * cols).map(f64::from).collect();
            let mut out = vec![0.0; cols as usize];
            sum_to(&x, Shape::new(rows, cols), &mut out, Shape::new(1, cols));
            for (j, &found) in (0..cols).zip(&out) {
                let (rows, cols, j) = (f64::from(rows), f64::from(cols), f64::from(j));
                assert_eq!(found, cols * rows * (rows - 1.0) / 2.0 + rows * j);
            }
        }
    }

    fn check_softmax<T: Element>(rows: usize, cols: usize) {
        let entry = |i| T::from_f64(5.0 * (1.7 * i as f64).sin());
        let mut x: Vec<T> = (0..rows * cols).map(entry).collect();
        let (mut sums, mut shares) = (vec![T::zero(); rows], vec![T::zero(); rows * cols]);
        // 4 epsilon from rounding the distance to the top, which is up to 10, the rest from totals. Observed: 9.
        let close = |found: T, known: f64| {
            (found.as_f64() - known).abs() <= 16.0 * T::epsilon().as_f64() * known.abs().max(1.0)
        };
        let mut down = vec![T::neg_infinity(); rows];
        softmax_rows(&x, cols, &mut sums, &mut shares);
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
        softmax_rows(&x, cols, &mut sums, &mut shares);
        for (row, share) in shares.chunks_exact(cols).enumerate() {
            let gone = row % 3 == 0;
            let right = share.iter().chain([&sums[row]]).all(|s| s.is_nan() == gone);
            assert!(right, "{row}: {} {share:?}", sums[row]);
        }
        // Columns differ from rows in the order of sums.
        let turned = |of: &[T]| (0..of.len()).map(|p| of[p % rows * cols + p / rows]).collect();
        let (x, known): (Vec<T>, Vec<T>) = (turned(&x), turned(&shares));
        softmax_columns(&x, rows, &mut down, &mut shares);
        for (&found, known) in down.iter().chain(&shares).zip(sums.iter().chain(&known)) {
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
        let (mut sums, mut shares) = ([0.0; 5], [0.0; 10]);
        softmax_rows(&x, 2, &mut sums, &mut shares);
        assert_eq!(sums[..3], [1000.0 + 2.0_f64.ln(), ninf, 0.0]);
        assert!(sums[3].is_nan() && sums[4] == inf);
        assert_eq!(
            (&shares[..2], &shares[4..6], &shares[8..]),
            (&[0.5, 0.5][..], &[1.0, 0.0][..], &[0.0, 1.0][..])
        );
        assert_eq!(shares[2..4], [0.0; 2]);
        assert!(shares[6..8].iter().all(|s| s.is_nan()));
        let x: Vec<f64> = (0..10).map(|p| x[p % 5 * 2 + p / 5]).collect();
        let known = (sums, (0..10).map(|p| shares[p % 5 * 2 + p / 5]).collect::<Vec<_>>());
        let mut found = ([ninf; 5], vec![0.0; 10]);
        softmax_columns(&x, 5, &mut found.0, &mut found.1);
        assert_eq!(format!("{found:?}"), format!("{known:?}"));
        // Several runs of rows.
        let (mut sums, mut shares) = ([ninf; 3], [0.0; 1800]);
        softmax_columns(&[0.0; 1800], 3, &mut sums, &mut shares);
        assert!(sums.iter().all(|sum| (sum - 600_f64.ln()).abs() < 1e-15));
        assert_eq!(shares, [1.0 / 600.0; 1800]);
    }
}
