//! `ImageClasses`: images in classes, from which few-shot tasks are made.

use std::sync::Arc;

use hypertape_autodiff::{Element, Shape};
use hypertape_solver::{Draw, Error, Level};

use crate::digits;
use crate::sampler::Sampler;

/// Images of one size with one channel, in classes. Clones and the results of `split` share the pixels.
#[derive(Clone, Debug)]
pub struct ImageClasses<T> {
    pixels: Arc<Vec<T>>,
    side: [u32; 2],
    classes: Vec<Vec<u32>>,
}

impl<T: Element> ImageClasses<T> {
    /// Creates classes from images of `[height, width]` pixels, row by row and image after image, and the label of each
    /// image.
    ///
    /// ```
    /// use hypertape_problems::ImageClasses;
    /// let images = ImageClasses::new(vec![0.0, 1.0, 2.0, 3.0], [1, 2], &[1, 0])?;
    /// assert_eq!((images.len(), images.members(1)), (2, &[0][..]));
    /// # Ok::<(), hypertape_solver::Error>(())
    /// ```
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] unless there is at least one label and there are enough pixels for every label.
    pub fn new(pixels: Vec<T>, side: [u32; 2], labels: &[u32]) -> Result<Self, Error> {
        let size = side[0] as usize * side[1] as usize;
        if size == 0 || labels.is_empty() || pixels.len() != size * labels.len() {
            let found = format!("{} values for {} labels", pixels.len(), labels.len());
            let expected = format!("one label or more, {size} values for each");
            return Err(Error::invalid("images", found, expected));
        }
        let mut classes = Vec::new();
        for (image, &label) in (0..).zip(labels) {
            classes.resize_with(classes.len().max(label as usize + 1), Vec::new);
            classes[label as usize].push(image);
        }
        Ok(Self { pixels: Arc::new(pixels), side, classes })
    }

    /// The embedded digits, with pixels scaled to [0, 1].
    #[expect(clippy::missing_panics_doc, reason = "there are 64 pixels for each label")]
    pub fn digits() -> Self {
        let scaled = |&pixel: &u8| T::from_f64(f64::from(pixel) / 16.0);
        let pixels = (0..digits::COUNT).flat_map(digits::pixels).map(scaled).collect();
        Self::new(pixels, [8, 8], &digits::labels()).expect("64 pixels for each label")
    }

    /// Number of classes.
    pub fn len(&self) -> usize {
        self.classes.len()
    }

    /// Whether there are no classes.
    pub fn is_empty(&self) -> bool {
        self.classes.is_empty()
    }

    /// Returns the indices of the images of a class.
    ///
    /// # Panics
    /// Panics if `class` is not below the number of classes.
    pub fn members(&self, class: usize) -> &[u32] {
        &self.classes[class]
    }

    /// Height and width of the images.
    pub fn side(&self) -> [u32; 2] {
        self.side
    }

    /// Returns all images, one per row, with the shape of this array.
    ///
    /// # Panics
    /// Panics if there are more than `u32::MAX` images.
    pub(crate) fn rows(&self) -> (Shape, &[T]) {
        let size = self.side[0] * self.side[1];
        let images = u32::try_from(self.pixels.len() / size as usize).expect("counted by u32");
        (Shape::new(images, size), &self.pixels)
    }

    /// Splits the classes at random into `count` classes and the others.
    #[must_use]
    pub fn split(&self, count: usize, seed: u64) -> [Self; 2] {
        let order = Sampler::Distinct { batch: self.len() };
        let order = order.batch(self.len(), Draw::new(seed, 0).at(Level::Init, 0));
        let count = count.min(self.len());
        [0..count, count..self.len()].map(|part| {
            let classes = part.map(|i| self.classes[order.sample(i)].clone()).collect();
            Self { classes, ..self.clone() }
        })
    }

    /// Returns each class four times, with its images rotated by 0, 90, 180 and 270 degrees (Santoro et al. 2016,
    /// section 4.1). Class `c` of `n` becomes the classes `c`, `n + c`, `2 n + c` and `3 n + c`. The pixels of all four
    /// are kept in memory.
    ///
    /// # Panics
    /// Panics if the images are not square.
    #[must_use]
    pub fn rotated(&self) -> Self {
        let [side, width] = self.side.map(|n| n as usize);
        assert_eq!(side, width, "images of other sides cannot be turned");
        let (mut pixels, mut labels) = (Vec::new(), Vec::new());
        for turn in 0..4 {
            for (class, images) in (0..).zip(&self.classes) {
                for &image in images {
                    let image = &self.pixels[image as usize * side * side..][..side * side];
                    pixels.extend((0..side * side).map(|at| {
                        let (mut y, mut x) = (at / side, at % side);
                        for _ in 0..turn {
                            (y, x) = (x, side - 1 - y);
                        }
                        image[y * side + x]
                    }));
                    labels.push(turn * u32::try_from(self.len()).unwrap_or(u32::MAX) + class);
                }
            }
        }
        Self::new(pixels, self.side, &labels).expect("as many pixels for each label as before")
    }

    /// Returns image `i` of class `way` of a task. A task has `ways` distinct classes with `images` distinct images
    /// each, which depend only on the seed and the task of `draw`.
    pub(crate) fn pick(&self, draw: Draw, [ways, images]: [usize; 2], [way, i]: [usize; 2]) -> u32 {
        let draw = Draw { iteration: 0, ..draw };
        let classes = Sampler::Distinct { batch: ways };
        let class = classes.batch(self.len(), draw.at(Level::Task, 0)).sample(way);
        let members = &self.classes[class];
        let chosen = Sampler::Distinct { batch: images };
        members[chosen.batch(members.len(), draw.at(Level::Task, 1 + way)).sample(i)]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn turned_images_are_classes_of_their_own() {
        let images = ImageClasses::new(vec![1.0, 2.0, 3.0, 4.0], [2, 2], &[0]).unwrap().rotated();
        assert_eq!(images.len(), 4);
        let quarter = [
            [1.0, 2.0, 3.0, 4.0],
            [2.0, 4.0, 1.0, 3.0],
            [4.0, 3.0, 2.0, 1.0],
            [3.0, 1.0, 4.0, 2.0],
        ];
        for (class, expected) in quarter.iter().enumerate() {
            let image = images.members(class)[0] as usize;
            assert_eq!(&images.pixels[4 * image..][..4], expected);
        }
    }

    #[test]
    fn a_split_holds_every_class_once_and_tasks_hold_distinct_images() {
        let digits = ImageClasses::<f32>::digits();
        let parts = digits.split(6, 3);
        assert_eq!(parts.each_ref().map(ImageClasses::len), [6, 4]);
        let all: HashSet<u32> = parts.iter().flat_map(|p| p.classes.concat()).collect();
        assert_eq!(all.len(), digits::COUNT);
        let of = |draw: Draw| -> Vec<u32> {
            (0..12).map(|i| parts[0].pick(draw, [4, 3], [i / 3, i % 3])).collect()
        };
        let draw = Draw::new(1, 0).for_task(9);
        let task = of(draw);
        assert_eq!(
            task,
            of(Draw { iteration: 7, step: 2, ..draw }),
            "a task is named by its number"
        );
        assert_ne!(task, of(draw.for_task(8)));
        assert_eq!(task.iter().collect::<HashSet<_>>().len(), 12);
        let labels: Vec<u32> = task.iter().map(|&i| digits::label(i as usize)).collect();
        assert!(labels.chunks(3).all(|way| way == [way[0]; 3]), "{labels:?}");
        assert_eq!(labels.iter().collect::<HashSet<_>>().len(), 4);
    }

    #[test]
    fn images_without_labels_are_refused() {
        let error = ImageClasses::new(vec![0.0; 7], [1, 2], &[0, 1, 0]).unwrap_err().to_string();
        assert!(error.contains("7 values for 3 labels") && error.contains("2 values"), "{error}");
    }
}
