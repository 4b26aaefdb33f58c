//! Convolutions of images, as matrix products of blocks of patches, which are gathered on the way.
//!
//! ```text
//! Y[n, y, x, o] = sum_{i, j, c} X[n, s y + i - top, s x + j - left, c] K[i, j, c, o]
//! ```
//!
//! where `X` is 0 outside of the image. The sum over all entries of `Y[..] Z[..]` is linear in `X`, `K` and `Z`, and
//! its derivative with respect to each of them is one of three operations on the other two, a [`Role`]. Derivatives of
//! every order are therefore these three operations.
//!
//! A patch consists of `size` runs of `size channels` consecutive entries, because the channels of a pixel are
//! neighbours. Patches are copied (im2col) or added back in blocks of 16384 entries, so that the memory does not depend
//! on the number of images. Results depend, bit for bit, only on the shapes.

use std::cell::RefCell;
use std::mem::MaybeUninit;

use crate::arena::{Arena, filled};
use crate::array::kernels::number::Number;
use crate::array::kernels::product::pack::places;
use crate::array::kernels::product::{Operand, products, zeroed};
use crate::array::kernels::simd::dispatched;
use crate::array::kernels::vectors::axpy;
use crate::fault::Fault;
use crate::shape::Shape;

/// Number of entries of a block of patches, and the most that one patch may have.
pub(crate) const PLACE: usize = 16384;

thread_local! {
    static BLOCK: RefCell<[f64; PLACE]> = const { RefCell::new([0.0; PLACE]) };
}

/// Images, and a square kernel that moves over them by `stride`. Outside of an image there are zeros.
///
/// Images are `images height width` x `channels` arrays: one pixel per row, in row-major order, image after image. This
/// is a reshaped array of one image per row (`height x width x channels`). Kernels are `size^2 channels` x `filters`.
/// The output has `side / stride` pixels per side, rounded up. The zeros that it needs are divided equally before and
/// after the image; if their number is odd, there is one more after it (padding `SAME` of `TensorFlow` and JAX).
///
/// ```
/// use hypertape_autodiff::Convolution;
/// let halved = Convolution { height: 28, width: 7, size: 3, stride: 2 };
/// assert_eq!(halved.output(), [14, 4]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Convolution {
    /// Number of rows of pixels of an image.
    pub height: u32,
    /// Number of pixels of a row.
    pub width: u32,
    /// Number of rows, and of columns, of the kernel.
    pub size: u32,
    /// Number of pixels between neighbouring positions of the kernel.
    pub stride: u32,
}

/// The array of a convolution that is computed from the two others, in cyclic order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The derivative with respect to the input, from kernel and output.
    Input,
    /// The derivative with respect to the kernel, from output and input.
    Kernel,
    /// The convolution itself, from input and kernel.
    Output,
}

impl Role {
    /// Returns the next role in cyclic order.
    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Self::Input => Self::Kernel,
            Self::Kernel => Self::Output,
            Self::Output => Self::Input,
        }
    }
}

impl Convolution {
    /// Returns the height and the width of the output.
    ///
    /// # Panics
    /// Panics if the stride is 0.
    pub fn output(self) -> [u32; 2] {
        [self.height, self.width].map(|side| side.div_ceil(self.stride))
    }

    /// Returns the shapes of input, kernel and output, given those of the operands for `role`.
    ///
    /// # Errors
    /// Returns [`Fault::Shapes`] if the shapes do not match, and [`Fault::Range`] if the stride is 0 or a patch has
    /// more than 16384 entries.
    pub(crate) fn fitting(self, role: Role, a: Shape, b: Shape) -> Result<[Shape; 3], Fault> {
        let operation = "convolve";
        if self.stride == 0 {
            let within = [1, u32::MAX as usize];
            return Err(Fault::Range { operation, what: "the stride", found: 0, within });
        }
        let unfit = Fault::Shapes { operation, left: a, right: b };
        let shapes = self.shapes(role, a, b).ok_or(unfit)?;
        let found = shapes[Role::Kernel as usize].rows as usize;
        if found > PLACE {
            let what = "the number of entries of a patch";
            return Err(Fault::Range { operation, what, found, within: [1, PLACE] });
        }
        Ok(shapes)
    }

    /// As [`fitting`](Self::fitting), but `None` if the shapes do not match.
    fn shapes(self, role: Role, a: Shape, b: Shape) -> Option<[Shape; 3]> {
        let pixels = self.height.checked_mul(self.width)?;
        let area = self.size.checked_mul(self.size)?;
        if pixels == 0 || area == 0 {
            return None;
        }
        let [height, width] = self.output();
        let (images, channels, filters) = match role {
            Role::Input => (b.rows / (height * width), a.rows / area, a.cols),
            Role::Kernel => (a.rows / (height * width), b.cols, a.cols),
            Role::Output => (a.rows / pixels, a.cols, b.cols),
        };
        let shapes = [
            Shape::new(images.checked_mul(pixels)?, channels),
            Shape::new(channels.checked_mul(area)?, filters),
            Shape::new(images.checked_mul(height * width)?, filters),
        ];
        let operand = |role: Role| shapes[role as usize];
        let fit = [operand(role.next()), operand(role.next().next())] == [a, b];
        fit.then_some(shapes)
    }
}

/// An output pixel; [`advance`](Self::advance) goes from one to the next.
#[derive(Clone, Copy)]
struct Walk {
    height: usize,
    width: usize,
    size: usize,
    stride: usize,
    /// Numbers of rows and columns of zeros before the image.
    before: [usize; 2],
    /// One past the starts of the last patches of an image, as `row` and `col`.
    ends: [usize; 2],
    /// The first pixel of the image, and the start of the patch in it, shifted by `before`.
    image: usize,
    row: usize,
    col: usize,
}

impl Walk {
    #[inline(always)]
    fn new(map: Convolution, pixel: usize) -> Self {
        let [height, width, size, stride] =
            [map.height, map.width, map.size, map.stride].map(|n| n as usize);
        let [rows, cols] = map.output().map(|n| n as usize);
        let before = |side: usize, n: usize| ((n - 1) * stride + size).saturating_sub(side) / 2;
        Self {
            height,
            width,
            size,
            stride,
            before: [before(height, rows), before(width, cols)],
            ends: [rows * stride, cols * stride],
            image: pixel / (rows * cols) * height * width,
            row: pixel / cols % rows * stride,
            col: pixel % cols * stride,
        }
    }

    #[inline(always)]
    fn advance(&mut self) {
        self.col += self.stride;
        if self.col == self.ends[1] {
            (self.row, self.col) = (self.row + self.stride, 0);
            if self.row == self.ends[0] {
                (self.image, self.row) = (self.image + self.height * self.width, 0);
            }
        }
    }

    /// Returns, for row `i` of the patch, the start of its part within the image, the start of that part within the
    /// patch, and its number of pixels.
    #[inline(always)]
    fn run(&self, i: usize) -> [usize; 3] {
        let ([top, left], row) = (self.before, self.row + i);
        if row < top || row - top >= self.height {
            return [0; 3];
        }
        let skip = left.saturating_sub(self.col);
        let first = (self.col + skip - left).min(self.width);
        let len = self.size.saturating_sub(skip).min(self.width - first);
        [self.image + (row - top) * self.width + first, i * self.size + skip, len]
    }
}

dispatched! {
    /// Copies patches, beginning with that of `walk`, to the rows of `block`.
    fn gather<T: Number>(walk: Walk, x: &[T], c: usize, block: &mut [T]) {
        let (mut walk, size) = (walk, walk.size);
        for patch in block.chunks_exact_mut(size * size * c) {
            for i in 0..size {
                let [from, to, len] = walk.run(i);
                if len < size {
                    patch[i * size * c..(i + 1) * size * c].fill(T::zero());
                }
                patch[to * c..][..len * c].copy_from_slice(&x[from * c..][..len * c]);
            }
            walk.advance();
        }
    }
}

dispatched! {
    /// Adds the rows of `block` to patches, beginning with that of `walk`.
    fn scatter<T: Number>(walk: Walk, x: &mut [T], c: usize, block: &[T]) {
        let (mut walk, size) = (walk, walk.size);
        for patch in block.chunks_exact(size * size * c) {
            for i in 0..size {
                let [from, to, len] = walk.run(i);
                for (x, &p) in x[from * c..][..len * c].iter_mut().zip(&patch[to * c..]) {
                    *x += p;
                }
            }
            walk.advance();
        }
    }
}

/// Writes the product of `shared` with `other`, on whose left it is if `left`.
fn multiply<'o, T: Number>(
    shared: Operand<T>,
    left: bool,
    other: Operand<T>,
    out: &'o mut [MaybeUninit<T>],
) -> &'o mut [T] {
    products(shared, left, &[other], &mut [out]);
    // SAFETY: a product writes every entry.
    unsafe { filled(out) }
}

/// Returns the array that a convolution has in `role` from its operands; `shapes` are those of input, kernel and
/// output. A patch has at most [`PLACE`] entries.
///
/// # Errors
/// Returns [`Fault::Memory`] if the limit of the arena would be exceeded.
pub(crate) fn convolve<'a, T: Number>(
    arena: &'a Arena,
    (map, role): (Convolution, Role),
    shapes: [Shape; 3],
    [a, b]: [&[T]; 2],
) -> Result<&'a [T], Fault> {
    let [input, kernel, output] = shapes;
    let [c, filters, patch] = [input.cols, kernel.cols, kernel.rows].map(|n| n as usize);
    let len = shapes[role as usize].len();
    if a.is_empty() || b.is_empty() {
        return Ok(arena.fill(len, T::zero())?);
    }
    let all = output.rows as usize;
    let step = (PLACE / patch).max(1);
    let out = arena.uninit(len)?;
    // The contributions of the blocks after the first to a derivative with respect to the kernel.
    let several = role == Role::Kernel && all > step;
    let more = arena.uninit(if several { len } else { 0 })?;
    if role == Role::Input {
        zeroed(out);
    }
    BLOCK.with_borrow_mut(|block| {
        // SAFETY: a `Number` is an `f32` or an `f64`, so `PLACE` of them fit.
        let block = unsafe { &mut *(&raw mut *block).cast::<[T; PLACE]>() };
        for start in (0..all).step_by(step) {
            let (rows, walk) = (step.min(all - start), Walk::new(map, start));
            let block = &mut block[..rows * patch];
            let shape = |cols: u32| Shape::new(u32::try_from(rows).unwrap_or(u32::MAX), cols);
            let whole = |data, shape| Operand { data, shape, transposed: false };
            let patches = shape(kernel.rows);
            let entries = start * filters..(start + rows) * filters;
            match role {
                Role::Output => {
                    gather(walk, a, c, block);
                    multiply(whole(b, kernel), false, whole(block, patches), &mut out[entries]);
                }
                Role::Input => {
                    let z = whole(&b[entries], shape(output.cols));
                    let kernel = Operand { data: a, shape: kernel, transposed: true };
                    // SAFETY: products are numbers.
                    multiply(kernel, false, z, unsafe { places(block) });
                    // SAFETY: zeros were written.
                    scatter(walk, unsafe { filled(out) }, c, block);
                }
                Role::Kernel => {
                    gather(walk, b, c, block);
                    let z = whole(&a[entries], shape(output.cols));
                    let patches = Operand { data: &*block, shape: patches, transposed: true };
                    if start == 0 {
                        multiply(patches, true, z, out);
                    } else {
                        // SAFETY: the first block has written every entry.
                        let sum = unsafe { filled(out) };
                        axpy(sum, T::one(), multiply(patches, true, z, more));
                    }
                }
            }
        }
    });
    // SAFETY: the blocks have all rows of an output, the first of them writes a derivative with respect to the kernel,
    // and one with respect to the input is zero at first.
    Ok(unsafe { filled(out) })
}
