//! Layers of image networks other than convolutions, composed of other operations. For the layout of rows see
//! [`Convolution`](crate::Convolution).

use crate::array::Array;
use crate::fault::Fault;
use crate::shape::Shape;

/// Returns the largest entry of each `size x size` square of pixels, channel by channel. Rows and columns of pixels
/// beyond the last whole square are dropped. In a tie, the first counts as chosen.
///
/// ```
/// use hypertape_autodiff::{Arena, Array, Shape, Tensor, max_pool, mean_pool};
/// let arena = Arena::new();
/// let image = Tensor::new(&arena, Shape::column(6), &[1.0, 5.0, 9.0, 3.0, 2.0, 9.0]);
/// assert_eq!(max_pool(image, [2, 3], 2).values(), [5.0]);
/// assert_eq!(mean_pool(image, [2, 3], 2).values(), [2.75]);
/// ```
pub fn max_pool<'a, A: Array<'a>>(x: A, [height, width]: [u32; 2], size: u32) -> A {
    pool(x, [height, width], size, A::max)
}

/// Returns the mean of each square of pixels. The squares are those of [`max_pool`].
pub fn mean_pool<'a, A: Array<'a>>(x: A, [height, width]: [u32; 2], size: u32) -> A {
    pool(x, [height, width], size, |a, b| a + b) / (f64::from(size) * f64::from(size))
}

fn pool<'a, A: Array<'a>>(
    x: A,
    [height, width]: [u32; 2],
    size: u32,
    join: impl Fn(A, A) -> A,
) -> A {
    let (rows, pixels) = (x.shape().rows, height.saturating_mul(width));
    if size == 0 {
        let within = [1, u32::MAX as usize];
        x.arena().raise(Fault::Range { operation: "pool", what: "the size", found: 0, within });
        return x.constant(Shape::EMPTY, &[]);
    }
    if pixels == 0 || !rows.is_multiple_of(pixels) {
        let right = Shape::new(pixels, size);
        x.arena().raise(Fault::Shapes { operation: "pool", left: x.shape(), right });
        return x.constant(Shape::EMPTY, &[]);
    }
    let (down, across) = (height / size, width / size);
    if down == 0 || across == 0 {
        return x.constant(Shape::new(0, x.shape().cols), &[]);
    }
    let len = (rows / pixels) as usize * down as usize * across as usize;
    // The pixel number `place`, in row-major order, of each square.
    let pixel = |place: u32| {
        let (i, j) = (place / size, place % size);
        x.gather_rows(x.indices(len, |at| {
            let at = u32::try_from(at).unwrap_or(u32::MAX);
            let (image, y, x) = (at / (down * across), at / across % down, at % across);
            image * pixels + (y * size + i) * width + x * size + j
        }))
    };
    (1..size * size).map(pixel).fold(pixel(0), join)
}

/// Subtracts from each column its mean and divides it by `(v + epsilon)^(1/2)`, where `v` is its variance (with the
/// number of rows in the denominator): batch normalisation by the statistics of the batch (Ioffe and Szegedy 2015,
/// algorithm 1, before scale and shift).
///
/// ```
/// use hypertape_autodiff::{Arena, Array, Shape, Tensor, normalise};
/// let arena = Arena::new();
/// let column = Tensor::new(&arena, Shape::column(3), &[1.0, 2.0, 3.0]);
/// assert_eq!(normalise(column, 4.0 - 2.0 / 3.0).values(), [-0.5, 0.0, 0.5]);
/// ```
pub fn normalise<'a, A: Array<'a>>(x: A, epsilon: f64) -> A {
    let rows = f64::from(x.shape().rows);
    let centred = x - x.sum_rows() / rows;
    let variance = centred.square().sum_rows() / rows;
    centred * (variance + epsilon).sqrt().recip()
}
