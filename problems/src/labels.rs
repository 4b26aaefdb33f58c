//! Splitting a labelled set into parts, and corrupting its labels.
//!
//! Both are deterministic in their seed, and draw from the generator PCG64 (O'Neill, 2014).

mod stratify;

use hypertape_solver::Error;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use stratify::stratify;

fn invalid(found: impl std::fmt::Display, expected: impl Into<String>) -> Error {
    Error::invalid("labelled samples", found, expected)
}

/// Indices of the samples in each part of a set, in random order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Samples for training.
    pub train: Vec<usize>,
    /// Samples for choosing the outer variables.
    pub valid: Vec<usize>,
    /// Samples for the final evaluation.
    pub test: Vec<usize>,
}

/// Draws disjoint training, validation and test parts of the given sizes, stratified by class.
///
/// In a set of `n` samples, a part of size `s` is due `s n_c / n` of the `n_c` samples of class `c`. It gets this
/// number rounded down or up, by largest remainder, so that its total is exactly `s`. If that would take more samples
/// of a class than there are, another class is rounded up instead. A rounding that fits always exists, so every count
/// differs from what is due by less than one. Cost: O(n) draws.
///
/// ```
/// use hypertape_problems::labels::split;
/// let labels = [0, 0, 0, 0, 1, 1, 1, 1];
/// let parts = split(&labels, 2, [4, 2, 2], 7)?;
/// assert_eq!(parts.train.iter().filter(|&&i| labels[i] == 1).count(), 2);
/// # Ok::<(), hypertape_solver::Error>(())
/// ```
///
/// # Errors
/// Returns [`Error::Told`] if the sizes sum to more than the number of samples, and [`Error::Invalid`] if a label is
/// not below `classes`.
pub fn split(labels: &[u32], classes: u32, sizes: [usize; 3], seed: u64) -> Result<Split, Error> {
    let total = sizes.iter().fold(0usize, |sum, &size| sum.saturating_add(size));
    if total > labels.len() {
        let why = format!("parts of {sizes:?} need {total} samples, there are {}", labels.len());
        return Err(Error::told(why));
    }
    check_labels(labels, classes)?;

    let mut members = vec![Vec::new(); classes as usize];
    labels.iter().enumerate().for_each(|(i, &label)| members[label as usize].push(i));
    let counts = stratify(&members.iter().map(Vec::len).collect::<Vec<_>>(), sizes);

    let mut random = Pcg64::seed_from_u64(seed);
    for class in &mut members {
        class.shuffle(&mut random);
    }
    let [train, valid, test] = counts.map(|counts| {
        let drawn = members.iter_mut().zip(counts);
        let mut part: Vec<usize> = drawn.flat_map(|(m, k)| m.split_off(m.len() - k)).collect();
        part.shuffle(&mut random);
        part
    });
    Ok(Split { train, valid, test })
}

/// Labels after corruption, and which of them were changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Corruption {
    /// The labels that the learner sees.
    pub labels: Vec<u32>,
    /// Whether the label of each sample was changed.
    pub corrupted: Vec<bool>,
}

/// Gives the fraction `rate` of the samples a wrong label.
///
/// Exactly `floor(rate n)` distinct samples are drawn uniformly, and each gets a class drawn uniformly from the other
/// classes. With the same seed, a higher rate keeps every change of a lower rate and adds more.
///
/// The floor treats `rate` as the decimal number that was written. The double nearest to that number and the product
/// have a relative error of at most 2⁻⁵³ each, so the product is increased by a relative 2⁻⁵¹ before it is rounded
/// down. For example, 0.29 of 100 is 29, although the product of the doubles is 28.999999999999996.
///
/// ```
/// use hypertape_problems::labels::corrupt;
/// let noisy = corrupt(&[3; 900], 10, 0.4, 1)?;
/// assert_eq!(noisy.labels.iter().filter(|&&label| label != 3).count(), 360);
/// # Ok::<(), hypertape_solver::Error>(())
/// ```
///
/// # Errors
/// Returns [`Error::Invalid`] if `rate` is not in `[0, 1]`, there are fewer than two classes, or a label is not below
/// `classes`.
pub fn corrupt(labels: &[u32], classes: u32, rate: f64, seed: u64) -> Result<Corruption, Error> {
    // This form refuses NaN as well.
    if !(0.0..=1.0).contains(&rate) {
        return Err(invalid(format!("rate {rate}"), "a number from 0 to 1"));
    }
    if classes < 2 {
        let found = format!("{classes} classes");
        return Err(invalid(found, "at least 2, for a wrong label to exist"));
    }
    check_labels(labels, classes)?;

    let mut random = Pcg64::seed_from_u64(seed);
    let mut order: Vec<usize> = (0..labels.len()).collect();
    order.shuffle(&mut random);
    let mut result = Corruption { labels: labels.to_vec(), corrupted: vec![false; labels.len()] };
    for &i in &order[..fraction(rate, labels.len())] {
        // Draw from one class fewer, and move the result up by one from the sample's own class on.
        let other = random.random_range(0..classes - 1);
        result.labels[i] = if other < labels[i] { other } else { other + 1 };
        result.corrupted[i] = true;
    }
    Ok(result)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the product is not negative, and the minimum bounds it"
)]
fn fraction(rate: f64, n: usize) -> usize {
    ((rate * n as f64 * (1.0 + 2.0 * f64::EPSILON)).floor() as usize).min(n)
}

fn check_labels(labels: &[u32], classes: u32) -> Result<(), Error> {
    match labels.iter().position(|&label| label >= classes) {
        Some(i) => {
            let found = format!("label {} of sample {i}", labels[i]);
            Err(invalid(found, format!("a class below {classes}")))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corruption_changes_exactly_the_marked_labels() {
        let clean: Vec<u32> = (0..900).map(|i| i % 10).collect();
        for (rate, count) in [(0.0, 0), (0.4, 360), (0.29, 261), (0.001, 0), (1.0, 900)] {
            let noisy = corrupt(&clean, 10, rate, 1).expect("valid arguments");
            assert_eq!(noisy.corrupted.iter().filter(|&&c| c).count(), count);
            for (i, label) in noisy.labels.iter().enumerate() {
                assert!(*label < 10);
                assert_eq!(*label != clean[i], noisy.corrupted[i]);
            }
        }
    }

    #[test]
    fn every_wrong_class_is_drawn_about_equally_often() {
        let noisy = corrupt(&vec![4; 9000], 10, 1.0, 2).expect("valid arguments");
        for class in (0..10).filter(|&class| class != 4) {
            let count = noisy.labels.iter().filter(|&&label| label == class).count();
            assert!(count.abs_diff(1000) < 150, "{count} of class {class}"); // 5 deviations
        }
    }

    #[test]
    fn seed_decides_the_corruption_and_rates_nest() {
        let at = |rate, seed| corrupt(&[0; 100], 3, rate, seed).expect("valid arguments");
        assert_eq!(at(0.5, 1), at(0.5, 1));
        assert_ne!(at(0.5, 1), at(0.5, 2));
        let (low, high) = (at(0.2, 1), at(0.5, 1));
        let kept = |i: &usize| low.corrupted[*i] && low.labels[*i] == high.labels[*i];
        assert_eq!((0..100).filter(kept).count(), 20);
    }

    #[test]
    fn whole_products_survive_rounding() {
        assert_eq!(fraction(0.4, 900), 360);
        for n in 1..=1000usize {
            for percent in 0..=100usize {
                assert_eq!(fraction(percent as f64 / 100.0, n), percent * n / 100);
            }
        }
    }

    #[test]
    fn bad_arguments_are_named() {
        let message = |labels: &[u32], classes, rate| {
            corrupt(labels, classes, rate, 1).expect_err("bad argument").to_string()
        };
        assert_eq!(
            message(&[0], 2, f64::NAN),
            "labelled samples: found rate NaN, expected a number from 0 to 1"
        );
        assert_eq!(
            message(&[0], 2, -0.5),
            "labelled samples: found rate -0.5, expected a number from 0 to 1"
        );
        assert_eq!(
            message(&[0, 2], 2, 0.5),
            "labelled samples: found label 2 of sample 1, expected a class below 2"
        );
        assert!(message(&[0], 1, 0.5).contains("found 1 classes, expected at least 2"));
        assert!(split(&[0, 1], 2, [1, 1, 1], 1).is_err());
        assert!(split(&[0, 1], 1, [1, 0, 0], 1).is_err());
        assert!(split(&[0], 1, [usize::MAX, 1, 1], 1).is_err());
    }
}
