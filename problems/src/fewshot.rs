//! `Fewshot`: classification from few images with a convolutional network whose initial weights, or whose body, are
//! learned.
//!
//! ```text
//! g(w) = mean over support images of CE(net(s), y),   f(w) the same over query images
//! net(s) = dense(layer(... layer(s))),   layer(s) = activation(scale normalise(s * K) + shift)
//! ```
//!
//! with 3x3 kernels of stride 2, or of stride 1 followed by max pooling. The statistics of the normalisation are those
//! of the batch, also in evaluations, so the evaluation is transductive. The outer variables `x` are
//! `[K1, affine1, ..., W1, b1]`, where an `affine` is a row of scales and a row of shifts. The inner variables are a
//! copy of all of them, or of `W1` and `b1` only; see [`Learner`].
//!
//! The 4-layer network of Likhosherstov et al. 2021 has 64 filters. Their losses are sums over images, so their step
//! size of 0.005 corresponds to 0.025 here for 5-way 1-shot tasks. A task has `ways` classes with `shots` support and
//! `queries` query images each, all of which are determined by the number of the task.

use hypertape_autodiff::{Arena, Array, Element, List, Tensor, Unary};
use hypertape_solver::{Bilevel, Draw, Error, InnerLoop, Metric, Oracle, Params, Rows, solve};

use crate::image_classes::ImageClasses;
use crate::network::{Layer, Network};

/// The parameters that are learned across tasks, and the method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learner {
    /// Initial values of all arrays, all of which adapt to a task (Finn, Abbeel and Levine 2017).
    Maml,
    /// The body, and initial values of the head `W1` and `b1`. Only the head adapts to a task (ANIL: Raghu et al. 2020;
    /// Ji, Yang and Liang 2021, section 6.1).
    Anil,
    /// Initial values of all arrays, which move towards the weights that tasks end with (Nichol, Achiam and Schulman
    /// 2018): `w_0` is a constant and `f = |w - x|^2 / 2`, so every estimator gives `x - w_r`. The cheapest one is
    /// first-order.
    Reptile,
}

/// Settings of [`Fewshot`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FewshotSettings {
    /// Classes per task.
    pub ways: u32,
    /// Support images per class.
    pub shots: u32,
    /// Query images per class.
    pub queries: u32,
    /// Number of layers before the dense one.
    pub layers: u32,
    /// Filters per layer.
    pub filters: u32,
    /// Whether layers halve images by max pooling instead of a stride.
    pub pooled: bool,
    /// Activation after each normalisation.
    pub activation: Unary,
    /// The parameters that are learned.
    pub learner: Learner,
    /// Number of training tasks.
    pub tasks: usize,
    /// Tasks per meta-batch.
    pub batch: usize,
    /// Number of tasks per evaluation, for seen and for unseen classes each.
    pub judged: usize,
    /// Seed of the tasks and the initial weights.
    pub seed: u64,
}

impl Default for FewshotSettings {
    /// Two layers of 12 filters with a smooth activation.
    fn default() -> Self {
        Self {
            ways: 5,
            shots: 1,
            queries: 1,
            layers: 2,
            filters: 12,
            pooled: false,
            activation: Unary::Softplus,
            learner: Learner::Maml,
            tasks: 20_000,
            batch: 5,
            judged: 200,
            seed: 0,
        }
    }
}

/// Few-shot tasks on images of seen classes, evaluated on unseen classes as well.
///
/// ```
/// use hypertape_problems::{Fewshot, FewshotSettings, ImageClasses};
/// use hypertape_solver::Oracle;
/// let [seen, unseen] = ImageClasses::<f32>::digits().split(5, 0);
/// let problem = Fewshot::new([seen, unseen], FewshotSettings::default())?;
/// // 9 x 12, 108 x 12 kernels, scales and shifts of both layers, 2 x 2 x 12 pixels to 5 classes.
/// assert_eq!(Oracle::new(problem)?.outer_dim(), 108 + 1296 + 2 * 24 + 48 * 5 + 5);
/// # Ok::<(), hypertape_solver::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Fewshot<T> {
    /// The images of seen classes and of unseen classes.
    images: [ImageClasses<T>; 2],
    labels: [Vec<u32>; 2],
    settings: FewshotSettings,
    network: Network,
    start: Params<T>,
}

impl<T: Element> Fewshot<T> {
    /// Creates tasks on the images of `[seen, unseen]` classes.
    ///
    /// # Errors
    /// Returns [`Error::Told`] if there are not enough images for a task, and [`Error::Invalid`] if a setting is 0 or
    /// the images differ in size or are too small for the layers.
    pub fn new(images: [ImageClasses<T>; 2], settings: FewshotSettings) -> Result<Self, Error> {
        let FewshotSettings { ways, shots, queries, layers, filters, tasks, batch, .. } = settings;
        let FewshotSettings { pooled, activation, .. } = settings;
        if [ways, shots, queries, layers, filters].contains(&0) || tasks.min(batch) == 0 {
            return Err(Error::invalid("settings", "a size of 0", "1 or more"));
        }
        for images in &images {
            let each = (shots + queries) as usize;
            let whole = |class: &usize| images.members(*class).len() >= each;
            let found = (0..images.len()).filter(whole).count();
            if found < images.len() || found < ways as usize {
                return Err(Error::told(format!(
                    "a task takes {each} images from each of {ways} classes: {found} of {} classes have as many",
                    images.len()
                )));
            }
        }
        let [height, width] = images[0].side();
        if images[1].side() != [height, width] {
            let found = format!("{height} x {width} pixels and {:?}", images[1].side());
            return Err(Error::invalid("images", found, "one size"));
        }
        let (mut list, stride) = (Vec::new(), if pooled { 1 } else { 2 });
        for _ in 0..layers {
            list.extend([Layer::Convolution { filters, size: 3, stride }, Layer::Normalisation]);
            list.extend(pooled.then_some(Layer::MaxPool(2)));
            list.push(Layer::Activation(activation));
        }
        list.push(Layer::Dense(ways));
        let network = Network::new([height, width, 1], list)?;
        let labels = [shots, queries].map(|n| (0..ways * n).map(|i| i / n).collect());
        Ok(Self { images, labels, start: network.start(settings.seed), network, settings })
    }

    /// The digits and their rotations by quarter turns: 28 seen classes from seven digits and 12 unseen classes from
    /// three.
    ///
    /// # Errors
    /// Returns the errors of [`new`](Self::new).
    pub fn digits(settings: FewshotSettings) -> Result<Self, Error> {
        let parts = ImageClasses::digits().split(7, settings.seed);
        Self::new(parts.each_ref().map(ImageClasses::rotated), settings)
    }

    /// Index of the first array that adapts; the last two arrays are the head.
    fn adapted(&self) -> usize {
        let anil = self.settings.learner == Learner::Anil;
        if anil { self.start.shapes().len() - 2 } else { 0 }
    }

    /// Returns the support images or the query images of a task, with their labels.
    fn part<'a, A: Array<'a, Elem = T>>(
        &'a self,
        like: A,
        draw: Draw,
        query: bool,
    ) -> (A, &'a [u32]) {
        let FewshotSettings { ways, shots, queries, tasks, seed, .. } = self.settings;
        // Tasks with numbers from `tasks` on are for evaluations; every other one has unseen classes.
        let number = usize::try_from(draw.task).unwrap_or(usize::MAX);
        let images = &self.images[usize::from(number >= tasks && (number - tasks) % 2 == 1)];
        let [ways, shots, queries] = [ways, shots, queries].map(|n| n as usize);
        let (first, each) = if query { (shots, queries) } else { (0, shots) };
        let draw = Draw { seed, ..draw };
        let rows = like.indices(ways * each, |i| {
            images.pick(draw, [ways, shots + queries], [i / each, first + i % each])
        });
        let (shape, pixels) = images.rows();
        (like.constant(shape, pixels).gather_rows(rows), &self.labels[usize::from(query)])
    }

    /// Returns the scores of the classes, one row per image.
    fn scores<'a, A: Array<'a, Elem = T>>(&self, w: &[A], x: &[A], images: A) -> A {
        self.network.apply(x[..self.adapted()].iter().chain(w).copied(), images)
    }

    fn loss<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], x: &[A], draw: Draw, query: bool) -> A {
        let (images, labels) = self.part(w[0], draw, query);
        self.scores(w, x, images).cross_entropy(labels).mean()
    }

    /// Returns the share of a task's query images for which the class has the largest score.
    fn accuracy(&self, w: &[T], x: &[T], draw: Draw) -> Result<f64, Error> {
        let arena = Arena::new();
        let shapes = self.start.shapes();
        let inner = &shapes[self.adapted()..];
        let fault = |fault| Error::Function { function: "the network", fault };
        let w = Tensor::split(&arena, inner, w).map_err(fault)?;
        let x = Tensor::split(&arena, shapes, x).map_err(fault)?;
        let (images, labels) = self.part(w[0], draw, true);
        let scores = self.scores(&w, &x, images);
        let right = scores.values().chunks_exact(self.settings.ways as usize).zip(labels);
        let right = right.filter(|(row, label)| row.iter().all(|&s| s <= row[**label as usize]));
        Ok(right.count() as f64 / labels.len() as f64)
    }

    /// Returns the mean accuracy after adaptation by `inner`, on new tasks of seen or `unseen` classes, and half the
    /// width of its 95 % confidence interval (1.96 standard errors over tasks).
    ///
    /// # Errors
    /// Returns the errors of [`solve`].
    pub fn judge(&self, x: &[T], inner: &InnerLoop, unseen: bool) -> Result<[f64; 2], Error> {
        let mut oracle = Oracle::new(self.clone())?;
        let (mut w, n) = (Vec::new(), self.settings.judged);
        let (mut sum, mut squares) = (0.0, 0.0);
        for i in 0..n {
            let draw = Draw::new(0, 0).for_task(self.settings.tasks + 2 * i + usize::from(unseen));
            solve(&mut oracle, inner, x, draw, &mut w)?;
            let accuracy = self.accuracy(&w, x, draw)?;
            sum += accuracy;
            squares += accuracy * accuracy;
        }
        let n = n as f64;
        let mean = sum / n;
        Ok([mean, 1.96 * ((squares / n - mean * mean).max(0.0) / (n - 1.0)).sqrt()])
    }
}

impl<T: Element> Bilevel<T> for Fewshot<T> {
    fn start(&self) -> Params<T> {
        self.start.clone()
    }

    fn init<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A], _: Draw) -> List<A> {
        let learned = self.settings.learner != Learner::Reptile;
        let start = x[self.adapted()..].iter();
        start.map(|&x| if learned { x } else { x.detach() }).collect()
    }

    fn inner<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], x: &[A], draw: Draw, _: Rows) -> A {
        self.loss(w, x, draw, false)
    }

    fn outer<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], x: &[A], draw: Draw, _: Rows) -> A {
        if self.settings.learner != Learner::Reptile {
            return self.loss(w, x, draw, true);
        }
        let gaps = w.iter().zip(x).map(|(&w, &x)| w.squared_error(x) * 0.5);
        gaps.reduce(|sum, gap| sum + gap).unwrap_or(x[0])
    }

    fn tasks(&self) -> usize {
        self.settings.tasks
    }

    fn batch(&self) -> usize {
        self.settings.batch
    }

    /// Reports the accuracies after adaptation by gradient descent; see [`judge`](Self::judge).
    fn metrics(&self, _: &Params<T>, x: &Params<T>, inner: &InnerLoop) -> Vec<Metric> {
        let names = [["accuracy", "half-width"], ["unseen", "half-width unseen"]];
        let judged = [false, true].into_iter().zip(names).flat_map(|(unseen, names)| {
            let found = self.judge(x.values(), inner, unseen).unwrap_or([f64::NAN; 2]);
            names.into_iter().zip(found)
        });
        judged.map(|(name, value)| Metric { name, value }).collect()
    }
}
