//! 1797 handwritten digits of 8 by 8 pixels, embedded in the library.
//!
//! The images are the test part of the UCI data set "Optical Recognition of Handwritten Digits"
//! (E. Alpaydin and C. Kaynak, 1998, CC BY 4.0), in the copy that scikit-learn ships. A pixel
//! counts the inked points of a 4 by 4 block of the scanned bitmap, so it lies in `0..=16`.

use hypertape_solver::Error;

use crate::labels::{self, Split};

/// Number of images.
pub const COUNT: usize = 1797;
/// Pixels per image, eight rows of eight.
pub const PIXELS: usize = 64;
/// Number of classes, the digits 0 to 9.
pub const CLASSES: u32 = 10;

const RECORD: usize = PIXELS + 1;

// The array type makes the compiler check the length of the file.
static DATA: &[u8; COUNT * RECORD] = include_bytes!("../data/digits.bin");

/// The pixels of image `i`, row by row, each in `0..=16`.
///
/// ```
/// use hypertape_problems::digits;
/// assert_eq!(digits::pixels(0)[..8], [0, 0, 5, 13, 9, 1, 0, 0]);
/// ```
///
/// # Panics
/// Panics if `i` is not below [`COUNT`].
pub fn pixels(i: usize) -> &'static [u8] {
    &record(i)[..PIXELS]
}

/// The digit that image `i` shows.
///
/// ```
/// use hypertape_problems::digits;
/// assert_eq!(digits::label(7), 7);
/// ```
///
/// # Panics
/// Panics if `i` is not below [`COUNT`].
pub fn label(i: usize) -> u32 {
    u32::from(record(i)[PIXELS])
}

/// The labels of all images, in order.
pub fn labels() -> Vec<u32> {
    (0..COUNT).map(label).collect()
}

/// Draws disjoint training, validation and test parts of the given sizes, in that order.
///
/// This is [`labels::split`] on the labels of this set: every part holds each digit in proportion to its share of the
/// whole set. The result depends only on the arguments.
///
/// ```
/// use hypertape_problems::digits;
/// let split = digits::split([900, 450, 447], 1)?;
/// let zeros = split.train.iter().filter(|&&i| digits::label(i) == 0).count();
/// assert_eq!(zeros, 89); // 900 * 178 / 1797 = 89.15
/// # Ok::<(), hypertape_solver::Error>(())
/// ```
///
/// # Errors
/// Returns an error if the sizes sum to more than [`COUNT`].
pub fn split(sizes: [usize; 3], seed: u64) -> Result<Split, Error> {
    labels::split(&labels(), CLASSES, sizes, seed)
}

fn record(i: usize) -> &'static [u8] {
    assert!(i < COUNT, "image {i} asked for, but there are only {COUNT}");
    &DATA[i * RECORD..][..RECORD]
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLASS_COUNTS: [usize; 10] = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180];

    fn class_counts(indices: impl Iterator<Item = usize>) -> [usize; 10] {
        let mut counts = [0; 10];
        indices.for_each(|i| counts[label(i) as usize] += 1);
        counts
    }

    #[test]
    fn data_are_those_of_the_source() {
        assert_eq!(class_counts(0..COUNT), CLASS_COUNTS);
        let all = || (0..COUNT).flat_map(pixels).copied();
        assert_eq!((all().min(), all().max()), (Some(0), Some(16)));
        assert_eq!(all().map(u64::from).sum::<u64>(), 561_718);
        assert_eq!(labels()[..12], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]);
    }

    #[test]
    fn parts_are_disjoint_and_stratified() {
        for sizes in [[900, 450, 447], [900, 300, 597], [599, 599, 599], [7, 0, 3], [0, 0, 1797]] {
            let split = split(sizes, 3).expect("the sizes fit");
            let parts = [&split.train, &split.valid, &split.test];
            let mut seen = vec![false; COUNT];
            for (part, size) in parts.into_iter().zip(sizes) {
                assert_eq!(part.len(), size);
                for &i in part {
                    assert!(!std::mem::replace(&mut seen[i], true), "image {i} drawn twice");
                }
                for (count, whole) in class_counts(part.iter().copied()).iter().zip(CLASS_COUNTS) {
                    let scaled_error = (count * COUNT).abs_diff(size * whole);
                    assert!(scaled_error < COUNT, "{count} of {whole} in a part of {size}");
                }
            }
        }
    }

    #[test]
    fn seed_decides_the_split() {
        let train = |seed| split([900, 450, 447], seed).expect("the sizes fit").train;
        assert_eq!(train(1), train(1));
        assert_ne!(train(1), train(2));
        // Pinned, because an update of the random number library must not change the results of studies.
        assert_eq!(train(1)[..4], [1226, 528, 1676, 736]);
    }

    #[test]
    fn too_large_a_split_is_refused() {
        let message = split([900, 900, 1], 1).expect_err("1801 of 1797").to_string();
        assert_eq!(message, "parts of [900, 900, 1] need 1801 samples, there are 1797");
    }
}
