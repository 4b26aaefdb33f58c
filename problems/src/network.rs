//! `Network`: layers that are applied to images, with named parameters.

use hypertape_autodiff::{
    Array, Convolution, Element, Shape, Unary, max_pool, mean_pool, normalise,
};
use hypertape_solver::{Error, Params};

use crate::generator::Stream;

/// Constant added to variances, as in `TensorFlow`.
const EPSILON: f64 = 1e-3;

/// A layer of a [`Network`], which maps images of one size and number of channels to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Layer {
    /// A convolution. The kernels `K` of side `size` are an array of `size^2 channels` x `filters`; see
    /// [`Convolution`].
    Convolution {
        /// Channels of the result.
        filters: u32,
        /// Side length of a kernel.
        size: u32,
        /// Pixels between neighbouring positions of a kernel.
        stride: u32,
    },
    /// [`normalise`], followed by a scale and a shift per channel, which are the two rows of `affine`.
    Normalisation,
    /// A function applied to each entry.
    Activation(Unary),
    /// [`max_pool`] over squares of this side length.
    MaxPool(u32),
    /// [`mean_pool`] over squares of this side length.
    MeanPool(u32),
    /// `s W + b` of all entries `s` of an image, with this number of outputs.
    Dense(u32),
}

impl Layer {
    /// Returns the height, width and channels of the result, with a zero among them if the layer does not fit.
    fn output(self, [height, width, channels]: [u32; 3]) -> [u32; 3] {
        let whole = |side: u32, size: u32| side.checked_div(size).unwrap_or(0);
        match self {
            Self::Convolution { filters, size, stride } => {
                let [height, width] =
                    [height, width].map(|side| whole((side + stride).saturating_sub(1), stride));
                [height, width, if size == 0 { 0 } else { filters }]
            }
            Self::Normalisation | Self::Activation(_) => [height, width, channels],
            Self::MaxPool(size) | Self::MeanPool(size) => {
                [whole(height, size), whole(width, size), channels]
            }
            Self::Dense(outputs) => [1, 1, outputs],
        }
    }
}

/// Layers on images.
///
/// ```
/// use hypertape_autodiff::{Arena, Array, Shape, Tensor};
/// use hypertape_problems::{Layer, Network};
/// let network = Network::new([2, 2, 1], vec![Layer::MeanPool(2), Layer::Dense(2)])?;
/// assert_eq!(network.start::<f64>(0).names(), ["W1", "b1"]);
/// let arena = Arena::new();
/// let array = |shape, values| Tensor::new(&arena, shape, values);
/// let images = array(Shape::new(1, 4), &[1.0, 2.0, 3.0, 6.0]);
/// let weights = [array(Shape::new(1, 2), &[1.0, 10.0]), array(Shape::new(1, 2), &[0.5, 0.0])];
/// assert_eq!(network.apply(weights, images).values(), [3.5, 30.0]);
/// # Ok::<(), hypertape_solver::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    image: [u32; 3],
    layers: Vec<Layer>,
}

impl Network {
    /// Creates a network for images of `[height, width, channels]`.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] for images without entries, or if a layer, which the error names, has no output.
    pub fn new(image: [u32; 3], layers: Vec<Layer>) -> Result<Self, Error> {
        let refuse = |shape: [u32; 3], expected: String| {
            let found = format!("{shape:?} of height, width and channels");
            Err(Error::invalid("images", found, expected))
        };
        if image.contains(&0) {
            return refuse(image, "1 or more each".into());
        }
        let mut shape = image;
        for layer in &layers {
            let output = layer.output(shape);
            if output.contains(&0) {
                return refuse(shape, format!("enough for {layer:?}"));
            }
            shape = output;
        }
        Ok(Self { image, layers })
    }

    /// Returns initial parameters, named in the order of the layers: `K1`, `affine1`, ..., `W1`, `b1`. Kernels are
    /// normal with variance 2 over the number of their inputs, and `W` with variance 1 over that number. Scales are 1,
    /// shifts and `b` are 0. The random array with index `i` uses stream `i` of `seed`.
    pub fn start<T: Element>(&self, seed: u64) -> Params<T> {
        let (mut shape, mut start, mut stream) = (self.image, Params::new(), 0_u64);
        let mut counts = [0; 3];
        let mut number = |kind: usize| {
            counts[kind] += 1;
            counts[kind]
        };
        let mut drawn = |shape: Shape, variance: f64| {
            let scale = (variance / f64::from(shape.rows)).sqrt();
            let values = Stream::new(seed, stream).gausses(shape.len());
            stream += 1;
            values.into_iter().map(|w| T::from_f64(scale * w)).collect::<Vec<T>>()
        };
        for layer in &self.layers {
            let [height, width, channels] = shape;
            start = match *layer {
                Layer::Convolution { filters, size, .. } => {
                    let shape = Shape::new(size * size * channels, filters);
                    start.with(format!("K{}", number(0)), shape, drawn(shape, 2.0))
                }
                Layer::Normalisation => {
                    let one = |i| if i < channels { T::one() } else { T::zero() };
                    let shape = Shape::new(2, channels);
                    start.with(format!("affine{}", number(1)), shape, (0..2 * channels).map(one))
                }
                Layer::Dense(outputs) => {
                    let shape = Shape::new(height * width * channels, outputs);
                    let n = number(2);
                    let start = start.with(format!("W{n}"), shape, drawn(shape, 1.0));
                    let zeros = vec![T::zero(); outputs as usize];
                    start.with(format!("b{n}"), Shape::new(1, outputs), zeros)
                }
                Layer::Activation(_) | Layer::MaxPool(_) | Layer::MeanPool(_) => start,
            };
            shape = layer.output(shape);
        }
        start
    }

    /// Applies the network to `images`, which have one row per image or one row per pixel. The result has one row per
    /// pixel and one column per channel, or one row per image after a dense layer.
    ///
    /// # Panics
    /// Panics if there are fewer `weights` than parameters in [`start`](Self::start). Shapes that do not fit are faults
    /// of the arena.
    #[track_caller]
    pub fn apply<'a, A: Array<'a>>(&self, weights: impl IntoIterator<Item = A>, images: A) -> A {
        let mut weights = weights.into_iter();
        let mut next = || weights.next().expect("an array for each name of the start");
        let [mut height, mut width, mut channels] = self.image;
        let len = u32::try_from(images.shape().len()).expect("arrays of u32::MAX rows at most");
        let count = len / (height * width * channels);
        let mut s = images.reshape(Shape::new(count * height * width, channels));
        for layer in &self.layers {
            s = match *layer {
                Layer::Convolution { size, stride, .. } => {
                    s.convolve(next(), Convolution { height, width, size, stride })
                }
                Layer::Normalisation => {
                    let affine = next();
                    let row = |i| affine.slice(i * channels as usize, Shape::new(1, channels));
                    normalise(s, EPSILON) * row(0) + row(1)
                }
                Layer::Activation(f) => s.unary(f),
                Layer::MaxPool(size) => max_pool(s, [height, width], size),
                Layer::MeanPool(size) => mean_pool(s, [height, width], size),
                Layer::Dense(_) => {
                    s.reshape(Shape::new(count, height * width * channels)).affine(next(), next())
                }
            };
            [height, width, channels] = layer.output([height, width, channels]);
        }
        s
    }
}
