//! `Sets`: training, validation and test samples of equal width.

use hypertape_autodiff::{Csr, Element};
use hypertape_solver::Error;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

use crate::digits;
use crate::labelled::Labelled;
use crate::targets::Targets;

/// Samples for training, for choosing the outer variables, and for the final evaluation.
///
/// ```
/// use hypertape_problems::Sets;
/// let ([train, valid, test], classes) = Sets::<f64>::digits([900, 400, 497], 0)?.into_classes()?;
/// assert_eq!((train.len(), valid.len(), test.len(), train.width(), classes), (900, 400, 497, 64, 10));
/// let error = Sets::<f64>::digits([10, 10, 10], 0)?.into_numbers().unwrap_err().to_string();
/// assert_eq!(error, "the labels are classes, and the problem takes numbers");
/// # Ok::<(), hypertape_solver::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Sets<T> {
    pub(crate) parts: [Labelled<T>; 3],
    pub(crate) classes: u32,
    /// Names of the classes, if they differ from their numbers.
    pub(crate) names: Vec<String>,
    /// The numbers that labels stand for, if the problem predicts numbers.
    pub(crate) numbers: Vec<f64>,
    pub(crate) notes: Vec<String>,
    pub(crate) rows: [Vec<usize>; 3],
}

impl<T: Element> Sets<T> {
    /// Creates sets from three parts. Sparse parts are widened to the widest of them.
    ///
    /// # Errors
    /// Returns [`Error::Told`] unless the training labels have at least two classes, and [`Error::Invalid`] unless all
    /// parts have the same width and the other parts have no further classes.
    pub fn new(train: Labelled<T>, valid: Labelled<T>, test: Labelled<T>) -> Result<Self, Error> {
        let classes = train.labels().iter().max().map_or(0, |&label| label.saturating_add(1));
        if classes < 2 {
            return Err(Error::told(
                "all training labels are of one class, nothing can be learned",
            ));
        }
        Self::of([train, valid, test], classes)
    }

    /// Decisions made about the files of these samples, one sentence each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Indices, from 0, of the samples in their files; empty if they are not from files.
    pub fn rows(&self) -> &[Vec<usize>; 3] {
        &self.rows
    }

    /// Shifts every column to mean 0 and scales it to standard deviation 1, as measured on the training samples.
    /// Constant columns, such as a column of ones for an intercept, are scaled to 1 or -1.
    ///
    /// ```
    /// use hypertape_problems::{Labelled, Sets};
    /// let part = || Labelled::dense(vec![10.0, 5.0, 12.0, 5.0, 14.0, 5.0], vec![0, 1, 1]);
    /// let ([train, ..], _) = Sets::<f64>::new(part()?, part()?, part()?)?.standardised()?.into_classes()?;
    /// assert_eq!((train.row(0), train.row(2)), (vec![-1.0, 1.0], vec![1.0, 1.0]));
    /// # Ok::<(), hypertape_solver::Error>(())
    /// ```
    ///
    /// # Errors
    /// Returns [`Error::Told`] for sparse samples, whose zeros a shift would fill.
    pub fn standardised(self) -> Result<Self, Error> {
        let columns = self.parts[0].columns().ok_or_else(|| {
            Error::told(
                "sparse samples cannot be standardised: subtracting a mean would fill their zeros",
            )
        })?;
        Ok(Self { parts: self.parts.map(|part| part.standardised(&columns)), ..self })
    }

    /// Returns the training, validation and test samples, and the number of classes.
    ///
    /// # Errors
    /// Returns [`Error::Told`] if the labels are numbers.
    pub fn into_classes(self) -> Result<([Labelled<T>; 3], u32), Error> {
        if self.numbers.is_empty() {
            return Ok((self.parts, self.classes));
        }
        Err(Error::told("the labels are numbers, and the problem takes classes"))
    }

    /// Returns the training, validation and test samples with the numbers to predict.
    ///
    /// # Errors
    /// Returns [`Error::Told`] if the labels are classes.
    pub fn into_numbers(self) -> Result<[Targets<T>; 3], Error> {
        if self.numbers.is_empty() {
            return Err(Error::told("the labels are classes, and the problem takes numbers"));
        }
        Ok(self.parts.map(|part| Targets::labelled(part, &self.numbers)))
    }

    fn plain(parts: [Labelled<T>; 3], classes: u32) -> Self {
        let (names, numbers, notes) = (Vec::new(), Vec::new(), Vec::new());
        Self { parts, classes, names, numbers, notes, rows: Default::default() }
    }

    /// Creates sets of samples whose labels are below `classes`.
    pub(crate) fn of([train, valid, test]: [Labelled<T>; 3], classes: u32) -> Result<Self, Error> {
        let width = train.width().max(valid.width()).max(test.width());
        let train = train.widened(width);
        let fit = |name: &str, part: Labelled<T>| {
            let part = part.widened(width);
            if part.width() != train.width() {
                let found = format!("{} values per sample", part.width());
                return Err(Error::invalid(
                    name,
                    found,
                    format!("{}, as in training", train.width()),
                ));
            }
            match part.labels().iter().position(|&label| label >= classes) {
                Some(i) => {
                    let found = format!("label {} of sample {i}", part.labels()[i]);
                    let expected = format!("a class below {classes}, as in training");
                    Err(Error::invalid(name, found, expected))
                }
                None => Ok(part),
            }
        };
        let (valid, test) = (fit("validation samples", valid)?, fit("test samples", test)?);
        Ok(Self::plain([train, valid, test], classes))
    }

    /// The embedded digits with pixels scaled to [0, 1], in stratified parts of the given sizes.
    ///
    /// ```
    /// use hypertape_problems::Sets;
    /// assert!(Sets::<f64>::digits([900, 400, 497], 0).is_ok());
    /// let error = Sets::<f64>::digits([900, 900, 1], 0).unwrap_err().to_string();
    /// assert!(error.ends_with("parts of [900, 900, 1] need 1801 samples, there are 1797"), "{error}");
    /// ```
    ///
    /// # Errors
    /// Returns [`Error::Told`] if the sizes exceed the set or the training part has fewer than two classes, and
    /// [`Error::Invalid`] if a part is empty.
    pub fn digits(sizes: [usize; 3], seed: u64) -> Result<Self, Error> {
        let split = digits::split(sizes, seed)?;
        let part = |indices: &[usize]| {
            let scaled = |&pixel: &u8| T::from_f64(f64::from(pixel) / 16.0);
            let pixels = indices.iter().flat_map(|&i| digits::pixels(i)).map(scaled).collect();
            Labelled::dense(pixels, indices.iter().map(|&i| digits::label(i)).collect())
        };
        Self::new(part(&split.train)?, part(&split.valid)?, part(&split.test)?)
    }

    /// Reduces the labels to two classes, even (0) and odd (1), according to the numbers that the labels have in their
    /// file.
    ///
    /// # Errors
    /// Returns [`Error::Told`] for labels that are not whole numbers.
    pub fn parity(self) -> Result<Self, Error> {
        let odd = |name: &String| {
            let number = name.parse().ok().filter(|number: &f64| number.fract() == 0.0);
            let number = number.map(|number| u32::from(number % 2.0 != 0.0));
            number.ok_or_else(|| Error::told(format!("label {name} is neither even nor odd")))
        };
        let named = self.names.iter().map(odd).collect::<Result<Vec<_>, _>>()?;
        let odd = |&label: &u32| named.get(label as usize).copied().unwrap_or(label % 2);
        let parts = self.parts.map(|part| {
            let labels = part.labels().iter().map(odd).collect();
            part.relabelled(labels)
        });
        Ok(Self { notes: self.notes, rows: self.rows, ..Self::plain(parts, 2) })
    }

    /// Generated texts as bags of words: sparse word counts, with each text scaled to norm 1.
    ///
    /// The class of a text is uniform. A text has `e^{4.9 + 0.8 z}` words for a normal `z`, 185 on average. The ranks
    /// of the words in `0..width` follow Zipf's law. 15 % of the words are shifted by a distance that belongs to a
    /// topic: half of them by that of the class, half by that of a random topic. At the size of 20 Newsgroups (11 314
    /// texts, 130 107 words, 20 classes) a text has 152 different words on average, compared with 158 there.
    ///
    /// ```
    /// use hypertape_problems::Sets;
    /// assert!(Sets::<f64>::text([200, 200, 200], 1000, 4, 1).is_ok());
    /// ```
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] for a part without texts, and [`Error::Told`] if the training texts have fewer than
    /// two classes.
    pub fn text(sizes: [usize; 3], width: u32, classes: u32, seed: u64) -> Result<Self, Error> {
        let mut random = Pcg64::seed_from_u64(seed);
        let mut part = |texts: usize| {
            let (mut starts, mut columns, mut values) = (vec![0], Vec::new(), Vec::new());
            let mut labels = Vec::with_capacity(texts);
            for _ in 0..texts {
                let class = random.random_range(0..classes.max(1));
                labels.push(class);
                for (word, count) in text(&mut random, width.max(1), classes.max(1), class) {
                    columns.push(word);
                    values.push(T::from_f64(count));
                }
                starts.push(values.len());
            }
            let matrix = Csr::new(width.max(1), starts, columns, values);
            let matrix = matrix
                .map_err(|fault| Error::invalid("generated texts", fault, "a sparse matrix"))?;
            Labelled::sparse(matrix, labels)
        };
        Self::new(part(sizes[0])?, part(sizes[1])?, part(sizes[2])?)
    }
}

/// Returns the different words of a text, in ascending order, with their counts divided by the Euclidean norm of all
/// counts.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "in range, or cut to it"
)]
fn text(random: &mut Pcg64, width: u32, classes: u32, class: u32) -> Vec<(u32, f64)> {
    // Twelve uniform numbers have variance 1 and mean 6.
    let z = (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0;
    let length = (4.9 + 0.8 * z).exp() as usize + 1;
    let mut words: Vec<u32> = (0..length)
        .map(|_| {
            let rank = (random.random::<f64>() * f64::from(width).ln_1p()).exp() - 1.0;
            let rank = (rank as u32).min(width - 1);
            let topic = match random.random::<f64>() {
                u if u < 0.075 => class + 1,
                u if u < 0.15 => random.random_range(0..classes) + 1,
                _ => 0,
            };
            let moved =
                u64::from(rank) + u64::from(width) * u64::from(topic) / u64::from(classes + 1);
            (moved % u64::from(width)) as u32
        })
        .collect();
    words.sort_unstable();
    let counts: Vec<(u32, f64)> =
        words.chunk_by(|a, b| a == b).map(|same| (same[0], same.len() as f64)).collect();
    let norm = counts.iter().map(|(_, count)| count * count).sum::<f64>().sqrt();
    counts.into_iter().map(|(word, count)| (word, count / norm)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_must_fit() {
        let part = |width: usize, labels: &[u32]| {
            Labelled::dense(vec![1.0; width * labels.len()], labels.to_vec()).unwrap()
        };
        let told =
            |train, valid, test| Sets::<f64>::new(train, valid, test).unwrap_err().to_string();
        let good = || part(2, &[0, 1]);
        assert!(Sets::new(good(), good(), good()).is_ok());
        assert!(told(part(2, &[0, 0]), good(), good()).contains("of one class"));
        assert!(
            told(good(), part(3, &[0]), good()).contains("found 3 values per sample, expected 2")
        );
        assert!(told(good(), good(), part(2, &[1, 2])).contains("label 2 of sample 1"));
    }

    #[test]
    fn texts_are_as_long_as_they_should_be() {
        let sets = Sets::<f64>::text([300, 2, 2], 130_107, 20, 3).unwrap();
        let arena = hypertape_autodiff::Arena::new();
        let ones = vec![1.0; 130_107];
        let ones = hypertape_autodiff::Tensor::new(
            &arena,
            hypertape_autodiff::Shape::column(130_107),
            &ones,
        );
        // The entries of a text with `k` different words, each occurring once, sum to `sqrt(k)`.
        let sums = hypertape_autodiff::Array::values(sets.parts[0].times(ones, 0..300));
        let mean = sums.iter().sum::<f64>() / 300.0;
        assert!((8.0..14.0).contains(&mean), "{mean}");
        assert_eq!(sets.classes, 20);
    }
}
