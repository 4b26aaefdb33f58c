//! The loss of each row of a matrix times a vector, with the data of its derivatives, in one pass over the rows.
//!
//! A group of rows is multiplied with `w` and its directions. Then its losses and their slopes are computed. Then the
//! multiples of the rows are added to the gradient and its tangents, while the group is in the first level of cache.
//! Results depend, bit for bit, neither on the groups nor on the number of planes in a pass.

use crate::array::kernels::math;
use crate::array::kernels::number::{Number, Wide};
use crate::array::kernels::product::vector::{add_multiples, row_dots};
use crate::array::kernels::reduce::products;
use crate::array::kernels::simd::dispatched;
use crate::conventions::passed;

/// Greatest number of planes in a pass: a value and its directions.
pub(crate) const PLANES: usize = 9;
/// Number of rows of a group.
const GROUP: usize = 16;
/// Size of a group in bytes. Two groups fit into the first level of cache.
const GROUP_BYTES: usize = 14 << 10;

/// A loss of one score `z` for a target `y`.
#[derive(Clone, Copy, Debug)]
pub enum ScoreLoss {
    /// `(z - y)^2`
    Squared,
    /// `ln(1 + e^{-y z})`
    Logistic,
    /// `ln(1 + e^{y z})`
    Softplus,
}

/// Planes of the operands of [`pass`] and of its results: the value, then its tangents.
#[derive(Debug)]
pub struct Planes<'k, 'v, T> {
    pub w: &'k [&'v [T]],
    /// Weights of the rows. An empty plane means weights of 1 if it is the value, and of 0 if it is a tangent.
    pub p: &'k [&'v [T]],
    /// Losses of the rows, without their weights.
    pub losses: &'k mut [&'v mut [T]],
    /// Gradients, which are added to: of all planes, or of the last ones.
    pub gradients: &'k mut [&'v mut [T]],
}

trait Loss {
    /// Returns the loss, its slope and its curvature.
    fn at<const FMA: bool, T: Number>(z: T, y: T) -> [T; 3];
}

struct Squared;

impl Loss for Squared {
    #[inline(always)]
    fn at<const FMA: bool, T: Number>(z: T, y: T) -> [T; 3] {
        let gap = z - y;
        [gap * gap, gap + gap, T::one() + T::one()]
    }
}

struct Logistic;

impl Loss for Logistic {
    #[inline(always)]
    fn at<const FMA: bool, T: Number>(z: T, y: T) -> [T; 3] {
        let [value, slope, curvature] = math::logistic::<FMA, T>(-(z * y));
        [value, -y * slope, y * y * curvature]
    }
}

dispatched! {
    /// Computes `losses_i = l(x_i w, y_i)` for the rows `x_i` of `samples`, `gradient += sum_i p_i l'(x_i w, y_i) x_i`,
    /// and the tangents of both.
    pub(crate) fn pass<T: Number>(
        loss: ScoreLoss,
        samples: &[T],
        targets: &[T],
        planes: Planes<T>,
    ) {
        // With one plane, the first level of cache has room for the next group beside this one, so the next one is
        // prefetched there.
        let one = planes.w.len() == 1;
        let wide = GROUP * planes.w[0].len() * size_of::<T>() > GROUP_BYTES;
        // Softplus is the logistic loss of the negated targets.
        let sign = if matches!(loss, ScoreLoss::Softplus) { -T::one() } else { T::one() };
        macro_rules! by {
            ($V:ty, $R:literal) => {
                match loss {
                    ScoreLoss::Squared => by!($V, $R, Squared),
                    ScoreLoss::Logistic | ScoreLoss::Softplus => by!($V, $R, Logistic),
                }
            };
            ($V:ty, $R:literal, $F:ty) => {
                match (one, wide) {
                    (true, true) => {
                        groups::<FMA, T, $F, $V, $R, { GROUP / 2 }, 1>(samples, (targets, sign), planes)
                    }
                    (true, false) => {
                        groups::<FMA, T, $F, $V, $R, GROUP, 1>(samples, (targets, sign), planes)
                    }
                    _ => groups::<FMA, T, $F, $V, $R, GROUP, 2>(samples, (targets, sign), planes),
                }
            };
        }
        match BYTES {
            64 => by!(T::Avx512, 16),
            32 => by!(T::Avx2, 8),
            _ => by!(T::Portable, 8),
        }
    }
}

#[inline(always)]
fn groups<
    const FMA: bool,
    T: Number,
    F: Loss,
    V: Wide<T>,
    const R: usize,
    const G: usize,
    const AHEAD: u8,
>(
    samples: &[T],
    (targets, sign): (&[T], T),
    planes: Planes<T>,
) {
    let Planes { w, p, losses, gradients } = planes;
    let cols = w[0].len();
    let (count, skipped) = (w.len(), w.len() - gradients.len());
    let mut scores = [[T::zero(); G]; PLANES];
    let mut factors = [[T::zero(); G]; PLANES];
    let mut weights = [[T::zero(); G]; PLANES];
    weights[0].fill(T::one());
    for first in (0..targets.len()).step_by(G) {
        let of = first..targets.len().min(first + G);
        let group = &samples[of.start * cols..of.end * cols];
        for (w, scores) in w.chunks(2).zip(scores[..count].chunks_mut(2)) {
            match (w, scores) {
                (&[w], [z]) => row_dots::<T, V, R, 1>(group, [w], [&mut z[..of.len()]]),
                (&[w, dw], [z, dz]) => {
                    let outs = [&mut z[..of.len()], &mut dz[..of.len()]];
                    row_dots::<T, V, R, 2>(group, [w, dw], outs);
                }
                _ => unreachable!("as many scores as vectors, in pairs"),
            }
        }
        let mut y: [T; G] = padded(&targets[of.clone()]);
        for y in &mut y {
            *y = sign * *y;
        }
        for (weights, p) in weights.iter_mut().zip(p).filter(|(_, p)| !p.is_empty()) {
            *weights = padded(&p[of.clone()]);
        }
        let [mut slopes, mut curvatures, mut found] = [[T::zero(); G]; 3];
        for i in 0..G {
            let [value, slope, curvature] = F::at::<FMA, T>(scores[0][i], y[i]);
            (found[i], slopes[i], curvatures[i]) = (value, slope, curvature);
            factors[0][i] = passed(slope, weights[0][i]);
        }
        keep(&mut losses[0][of.clone()], &found);
        for k in 1..count {
            let dz = &scores[k];
            for i in 0..G {
                found[i] = passed(slopes[i], dz[i]);
                let curved = passed(passed(curvatures[i], dz[i]), weights[0][i]);
                factors[k][i] = curved + passed(slopes[i], weights[k][i]);
            }
            keep(&mut losses[k][of.clone()], &found);
        }
        let factors = factors[skipped..count].chunks(2);
        for (factors, gradients) in factors.zip(gradients.chunks_mut(2)) {
            match (factors, gradients) {
                ([f], [g]) => {
                    add_multiples::<T, V, R, 1, AHEAD>(group, [&f[..of.len()]], [&mut **g]);
                }
                ([f, df], [g, dg]) => {
                    let factors = [&f[..of.len()], &df[..of.len()]];
                    add_multiples::<T, V, R, 2, AHEAD>(group, factors, [&mut **g, &mut **dg]);
                }
                _ => unreachable!("as many factors as gradients, in pairs"),
            }
        }
    }
}

/// Pads up to `G` numbers with zeros.
#[inline(always)]
fn padded<T: Number, const G: usize>(values: &[T]) -> [T; G] {
    values.first_chunk().copied().unwrap_or_else(|| {
        let mut all = [T::zero(); G];
        all[..values.len()].copy_from_slice(values);
        all
    })
}

/// Copies as many of the values as `to` holds.
#[inline(always)]
fn keep<T: Number, const G: usize>(to: &mut [T], values: &[T; G]) {
    match to.first_chunk_mut() {
        Some(to) => *to = *values,
        None => to.copy_from_slice(&values[..to.len()]),
    }
}

dispatched! {
    /// Computes the slopes of cross-entropies with respect to the scores, times the weights `p`, with one column per
    /// class. `planes` holds the softmax shares and the tangents of the scores, and is overwritten by the slopes and
    /// their tangents. Also computes the tangents of the losses.
    pub(crate) fn class_slopes<T: Number>(
        labels: &[u32],
        planes: &mut [&mut [T]],
        p: &[&[T]],
        losses: &mut [&mut [T]],
    ) {
        let ([shares, moving @ ..], [p, dp @ ..]) = (planes, p) else { return };
        let cols = shares.len() / labels.len().max(1);
        let weight = |i: usize| p.get(i).copied().unwrap_or(T::one());
        for ((plane, moved), dp) in moving.iter_mut().zip(&mut losses[1..]).zip(dp) {
            let rows = plane.chunks_exact_mut(cols).zip(shares.chunks_exact(cols));
            for (i, ((dz, share), &label)) in rows.zip(labels).enumerate() {
                let (label, mean) = (label as usize, products::<FMA, T>(share, dz));
                moved[i] = mean - dz[label];
                let (p, dp) = (weight(i), dp.get(i).copied().unwrap_or(T::zero()));
                for (dz, &share) in dz.iter_mut().zip(share) {
                    *dz = passed(share * (*dz - mean), p) + share * dp;
                }
                dz[label] = dz[label] - dp;
            }
        }
        for (i, (share, &label)) in shares.chunks_exact_mut(cols).zip(labels).enumerate() {
            let (label, p) = (label as usize, weight(i));
            for share in share.iter_mut() {
                *share = *share * p;
            }
            share[label] = share[label] - p;
        }
    }
}
