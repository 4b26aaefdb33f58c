//! `Tensor`: values alone, in the arena. The operations of every other mode reduce to operations on tensors.

use std::mem::MaybeUninit;

use crate::arena::{Arena, Form, filled};
use crate::array::element::Element;
use crate::array::kernels::elementwise::Binary;
use crate::array::kernels::fold;
use crate::array::kernels::linear_loss::PLANES;
use crate::array::kernels::product::Operand;
use crate::array::linear::{Bilinear, Linear, LinearOperator};
use crate::array::linear_loss::{Asked, Fitted, Moving, Parts};
use crate::array::primitives::{Primitives, ProductForm, SELECT};
use crate::array::shaped::Shaped;
use crate::array::{Array, List, Side, operators};
use crate::custom::{Custom, Product};
use crate::fault::{Fault, expect_length};
use crate::functions::rule::Unary;
use crate::shape::{Axis, Shape};

/// A handle to a dense array in row-major order, whose entries are in an arena or borrowed.
///
/// ```
/// use hypertape_autodiff::{Arena, Array, Shape, Tensor};
/// let arena = Arena::new();
/// let a = Tensor::new(&arena, Shape::new(2, 2), &[1.0, 2.0, 3.0, 4.0]);
/// assert_eq!(a.matmul(a).values(), [7.0, 10.0, 15.0, 22.0]);
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Tensor<'a, T>(Shaped<'a, T>);

impl<'a, T: Element> Tensor<'a, T> {
    /// Creates an array from borrowed entries in row-major order. Raises a fault if their number is not that of
    /// `shape`.
    pub fn new(arena: &'a Arena, shape: Shape, data: &'a [T]) -> Self {
        if let Err(fault) = expect_length("an array", shape.len(), data.len()) {
            arena.raise(fault);
            return Self::empty(arena);
        }
        Self(Shaped::new(arena.form(shape), data))
    }

    /// Divides a flat point into one tensor per shape.
    ///
    /// # Errors
    /// Returns [`Fault::Length`] if the shapes do not have as many entries in all as `flat`.
    pub fn split(arena: &'a Arena, shapes: &[Shape], flat: &'a [T]) -> Result<List<Self>, Fault> {
        let expected = shapes.iter().fold(0, |n: usize, s| n.saturating_add(s.len()));
        expect_length("the point", expected, flat.len())?;
        let mut rest = flat;
        let cut = |shape: &Shape| {
            let (piece, others) = rest.split_at(shape.len());
            rest = others;
            Self::new(arena, *shape, piece)
        };
        Ok(shapes.iter().map(cut).collect())
    }

    /// Creates an array of zeros.
    pub fn zeros(arena: &'a Arena, shape: Shape) -> Self {
        Self::filled(arena, "zeros", shape, |_| {})
    }

    fn empty(arena: &'a Arena) -> Self {
        Self(Shaped::new(arena.faulty(), &[]))
    }

    /// Makes the result of an operation: the entries, checked if the arena says so, or an empty array after a fault.
    pub(crate) fn result(operation: &'static str, form: &'a Form, data: Option<&'a [T]>) -> Self {
        let arena = form.arena();
        let Some(data) = data else { return Self::empty(arena) };
        if arena.checks_finite()
            && let Some(index) = data.iter().position(|v| !v.is_finite())
        {
            arena.raise(Fault::NonFinite { operation, index, value: data[index].as_f64() });
        }
        Self(Shaped::new(form, data))
    }

    /// Creates an array of zeros and lets `write` modify it.
    fn filled(
        arena: &'a Arena,
        operation: &'static str,
        shape: Shape,
        write: impl FnOnce(&mut [T]),
    ) -> Self {
        Self::tried(arena, operation, shape, |out| {
            write(out);
            Ok(())
        })
    }

    /// As `filled`, for a `write` that may fail.
    fn tried(
        arena: &'a Arena,
        operation: &'static str,
        shape: Shape,
        write: impl FnOnce(&mut [T]) -> Result<(), Fault>,
    ) -> Self {
        let data = arena.fill(shape.len(), T::zero()).ok().and_then(|out| {
            write(out).inspect_err(|&fault| arena.raise(fault)).ok()?;
            Some(&*out)
        });
        Self::result(operation, arena.form(shape), data)
    }

    /// Whether this is the result of an earlier fault rather than a 0x0 array of the user.
    fn is_faulty(self) -> bool {
        self.shape() == Shape::EMPTY && self.arena().status().is_err()
    }

    /// Raises a fault of shapes. After an earlier fault this has no effect, because the arena keeps the first.
    fn mismatch(self, operation: &'static str, other: Shape) -> Self {
        self.arena().raise(Fault::Shapes { operation, left: self.shape(), right: other });
        Self::empty(self.arena())
    }

    /// Returns the shape of the result of a linear operation, or raises a fault.
    fn admitted(self, f: Linear<T>) -> Option<Shape> {
        if self.is_faulty() {
            return None;
        }
        f.result(self.shape()).inspect_err(|&fault| self.arena().raise(fault)).ok()
    }

    /// Computes [`Array::batched_matmul`] for operands that match, with a result of `shape`.
    fn batched(self, other: Self, count: u32, transposed: [bool; 2], shape: Shape) -> Self {
        let each = |a: Self| Shape::new(a.shape().rows / count.max(1), a.shape().cols);
        let (left, right) = (each(self), each(other));
        let arena = self.arena();
        let data = arena.uninit(shape.len()).ok().map(|out| {
            let size = out.len() / (count as usize).max(1);
            for k in 0..count as usize {
                let cut = |a: Self, shape: Shape, transposed| {
                    let data = &a.values()[k * shape.len()..][..shape.len()];
                    Operand { data, shape, transposed }
                };
                let right = cut(other, right, transposed[1]);
                let out = &mut out[k * size..][..size];
                T::products(cut(self, left, transposed[0]), true, &[right], &mut [out]);
            }
            // SAFETY: products write every entry, and there are `count` of them.
            &*unsafe { filled(out) }
        });
        Self::result("batched_matmul", arena.form(shape), data)
    }

    fn operand(self, transposed: bool) -> Operand<'a, T> {
        Operand { data: self.values(), shape: self.shape(), transposed }
    }
}

impl<'a, T: Element> Array<'a> for Tensor<'a, T> {
    type Elem = T;
    const ORDER: u32 = 0;

    fn shape(self) -> Shape {
        self.0.form().shape()
    }

    fn values(self) -> &'a [T] {
        self.0.values()
    }

    fn arena(self) -> &'a Arena {
        self.0.form().arena()
    }

    fn within(self, arena: &'a Arena) -> Self {
        if std::ptr::eq(self.arena(), arena) {
            self
        } else {
            Self(Shaped::new(arena.form(self.shape()), self.values()))
        }
    }

    fn constant(self, shape: Shape, data: &'a [T]) -> Self {
        Self::new(self.arena(), shape, data)
    }

    fn unary(self, f: Unary) -> Self {
        Self::result(f.name(), self.0.form(), T::unary(self.arena(), f, self.values()))
    }

    fn binary(self, other: Self, f: Binary) -> Self {
        let shape = match self.shape().broadcast(other.shape()) {
            Some(shape) if !self.is_faulty() && !other.is_faulty() => shape,
            _ => return self.mismatch(f.name(), other.shape()),
        };
        let (a, b) = ((self.values(), self.shape()), (other.values(), other.shape()));
        let form = if shape == a.1 { self.0.form() } else { self.arena().form(shape) };
        Self::result(f.name(), form, T::binary(self.arena(), f, a, b, shape))
    }
}

impl<'a, T: Element> Primitives<'a, T> for Tensor<'a, T> {
    fn chain(self, f: Unary, x: Self, y: Self) -> Option<Self> {
        if f.is_linear() {
            return f.slope(x, y).times(self);
        }
        if self.shape() != x.shape() || x.shape() != y.shape() {
            return Some(self.mismatch(f.name(), x.shape()));
        }
        let data = T::chained(self.arena(), f, x.values(), y.values(), self.values());
        Some(Self::result(f.name(), self.0.form(), data))
    }

    fn chain_tangent(self, f: Unary, at: [Self; 2], dx: Self, dc: Option<Self>) -> Option<Self> {
        let [x, y] = at;
        if !f.is_curved() {
            return dc?.chain(f, x, y);
        }
        for other in [x, y, dx].iter().chain(&dc) {
            if self.shape() != other.shape() {
                return Some(self.mismatch(f.name(), other.shape()));
            }
        }
        let dc = dc.map(Self::values);
        let data = T::chained_tangent(
            self.arena(),
            f,
            x.values(),
            y.values(),
            dx.values(),
            self.values(),
            dc,
        );
        Some(Self::result(f.name(), self.0.form(), data))
    }

    fn products(self, form: ProductForm, others: &[Self], onto: &[Option<Self>], out: &mut [Self]) {
        const NAME: &str = "matmul";
        let shared = self.operand(form.transposed);
        let left = form.side == Side::Left;
        out.fill(Self::empty(self.arena()));
        let mut operands = List::new();
        let mut buffers = List::<&mut [MaybeUninit<T>]>::new();
        let mut shapes = List::new();
        for other in others {
            let operand = other.operand(form.others_transposed);
            let (l, r) = if left { (shared, operand) } else { (operand, shared) };
            let (l, r) = (l.effective(), r.effective());
            if l.cols != r.rows || self.is_faulty() || other.is_faulty() {
                // Shapes are reported as they enter the product, so that a transposed operand does not look as if it
                // matched.
                self.arena().raise(Fault::Shapes { operation: NAME, left: l, right: r });
                return;
            }
            let shape = Shape::new(l.rows, r.cols);
            let Ok(buffer) = self.arena().uninit(shape.len()) else { return };
            operands.push(operand);
            buffers.push(buffer);
            shapes.push(shape);
        }
        T::products(shared, left, &operands, &mut buffers);
        for (i, ((out, buffer), shape)) in out.iter_mut().zip(buffers).zip(shapes).enumerate() {
            // SAFETY: a product writes every entry of its result.
            let buffer = unsafe { filled(buffer) };
            if let Some(onto) = onto.get(i).copied().flatten() {
                if onto.shape() != shape && onto.shape() != Shape::new(1, shape.cols) {
                    let right = onto.shape();
                    self.arena().raise(Fault::Shapes { operation: "affine", left: shape, right });
                    continue;
                }
                T::add_to_rows(buffer, onto.values());
            }
            *out = Self::result(NAME, self.arena().form(shape), Some(buffer));
        }
    }

    fn map_linear(self, f: Linear<'a, T>) -> Self {
        let (data, from, arena) = (self.values(), self.shape(), self.arena());
        match (self.admitted(f), f) {
            (None, _) => Self::empty(arena),
            (Some(shape), Linear::Slice(start, _)) => {
                Self::new(arena, shape, &data[start..][..shape.len()])
            }
            (Some(shape), Linear::Reshape(_)) => Self::new(arena, shape, data),
            (Some(_), Linear::Operator(map, transposed)) => {
                let mut plane = [self];
                Self::operate(&mut plane, map, transposed);
                plane[0]
            }
            (Some(shape), Linear::Broadcast(_)) => {
                let data = T::broadcast(arena, data, from, shape);
                Self::result(f.name(), arena.form(shape), data)
            }
            (Some(shape), _) => {
                Self::filled(arena, f.name(), shape, |out| f.write(data, from, out))
            }
        }
    }

    fn assemble(self, parts: &[(Self, Linear<'a, T>)], shape: Shape, apart: bool) -> Self {
        for &(part, f) in parts {
            match part.admitted(f) {
                None => return Self::empty(self.arena()),
                Some(found) if found != shape => return part.mismatch(f.name(), shape),
                Some(_) => {}
            }
        }
        let name = parts.first().map_or("stack", |(_, f)| f.name());
        Self::filled(self.arena(), name, shape, |out| {
            for (k, (part, f)) in parts.iter().enumerate() {
                if apart || k == 0 {
                    f.spread(part.values(), part.shape(), out, |out, x| *out = x);
                } else {
                    f.spread(part.values(), part.shape(), out, |out, x| *out += x);
                }
            }
        })
    }

    fn operate(planes: &mut [Self], map: &'a dyn LinearOperator<T>, transposed: bool) {
        let Some(first) = planes.first().copied() else { return };
        let tried = || {
            let mut pairs = List::<(&[T], &mut [T])>::new();
            let shape = first.admitted(Linear::Operator(map, transposed))?;
            for plane in planes.iter() {
                if plane.shape() != first.shape() {
                    let _ = plane.mismatch("linear", first.shape());
                    return None;
                }
                pairs.push((plane.values(), plane.arena().fill(shape.len(), T::zero()).ok()?));
            }
            let done = map.apply_all(transposed, &mut pairs, shape.cols as usize);
            done.inspect_err(|&fault| first.arena().raise(fault)).ok()?;
            let results = planes.iter().zip(pairs);
            let result = |(plane, (_, out)): (&Self, (_, &'a mut [T]))| {
                Self::result("linear", plane.arena().form(shape), Some(out))
            };
            Some(results.map(result).collect::<List<_>>())
        };
        match tried() {
            Some(results) => planes.copy_from_slice(&results),
            None => planes.fill(Self::empty(first.arena())),
        }
    }

    fn bilinear(self, other: Self, f: Bilinear) -> Self {
        if self.is_faulty() || other.is_faulty() {
            return Self::empty(self.arena());
        }
        let arena = self.arena();
        let tried = f.result(self.shape(), other.shape()).map(|shape| match f {
            Bilinear::Dot => {
                let sum = arena.fill(1, T::dot(self.values(), other.values()));
                Self::result(f.name(), arena.form(shape), sum.ok().map(|s| &*s))
            }
            Bilinear::RowDot => {
                let cols = (self.shape().cols as usize).max(1);
                Self::filled(arena, f.name(), shape, |out| {
                    T::row_dots(self.values(), other.values(), cols, out);
                })
            }
            Bilinear::Batched(count, transposed) => self.batched(other, count, transposed, shape),
            Bilinear::Convolve(map, role) => {
                let made = map.fitting(role, self.shape(), other.shape()).and_then(|shapes| {
                    T::convolve(arena, (map, role), shapes, [self.values(), other.values()])
                });
                let data = made.inspect_err(|&fault| arena.raise(fault)).ok();
                Self::result(f.name(), arena.form(shape), data)
            }
        });
        tried.unwrap_or_else(|fault| {
            arena.raise(fault);
            Self::empty(arena)
        })
    }

    fn choose(self, a: Self, b: Self) -> Self {
        for other in [a, b] {
            if self.shape() != other.shape() || self.is_faulty() {
                return self.mismatch(SELECT, other.shape());
            }
        }
        let data = T::chosen(self.arena(), self.values(), a.values(), b.values());
        Self::result(SELECT, self.0.form(), data)
    }

    fn folded(self, axis: Axis, f: Binary) -> Option<Self> {
        if self.shape().is_empty() {
            return None;
        }
        let scratch = self.arena().fill(fold::scratch(self.shape(), axis), T::zero()).ok()?;
        Some(Self::filled(self.arena(), f.name(), self.shape().over(axis), |out| {
            T::folded(f, self.values(), (self.shape(), axis), scratch, out);
        }))
    }

    fn softmax_parts(self, axis: Axis) -> (Self, Self) {
        let mut sums = Self::empty(self.arena());
        let (shape, cols) = (self.shape(), self.shape().cols as usize);
        let shares = Self::filled(self.arena(), "softmax", shape, |shares| {
            sums = Self::filled(self.arena(), "logsumexp", shape.per_line(axis), |sums| {
                // The value for lines without entries.
                sums.fill(T::neg_infinity());
                match axis {
                    _ if shape.is_empty() => {}
                    Axis::Rows => T::softmax_columns(self.values(), cols, sums, shares),
                    Axis::Columns => T::softmax_rows(self.values(), cols, sums, shares),
                }
            });
        });
        if self.is_faulty() { (self, self) } else { (sums, shares) }
    }

    fn custom_product(self, f: &'a dyn Custom<T>, product: Product<Self>) -> Self {
        let (x, n) = (self.values(), self.values().len());
        let results = Shape::column(u32::try_from(f.results(n)).unwrap_or(u32::MAX));
        let fits =
            |v: &[T], expected| expect_length("a factor of a custom function", expected, v.len());
        let shape = match product {
            Product::Value | Product::Jvp(_) => results,
            Product::Vjp(_) | Product::Hvp(..) => self.shape(),
        };
        if self.is_faulty() {
            return self;
        }
        Self::tried(self.arena(), f.name(), shape, |out| match product.map(Self::values) {
            Product::Value => f.value(x, out),
            Product::Jvp(v) => fits(v, n).and_then(|()| f.jvp(x, v, out)),
            Product::Vjp(c) => fits(c, results.len()).and_then(|()| f.vjp(x, c, out)),
            Product::Hvp(v, c) => {
                fits(v, n).and(fits(c, results.len())).and_then(|()| f.hvp(x, v, c, out))
            }
        })
    }

    fn linear_loss_parts(self, of: Fitted<'a, T>, p: Option<Self>, asked: Asked) -> Parts<Self> {
        of.of_tensors(self, p, &[], asked)[0]
    }

    fn linear_loss_along(
        self,
        of: Fitted<'a, T>,
        p: Option<Self>,
        moving: Moving<Self>,
        asked: Asked,
    ) -> Option<List<Parts<Self>>> {
        (moving.len() < PLANES).then(|| of.of_tensors(self, p, moving, asked))
    }
}

operators!(Tensor<'a, T>, 'a, T: Element);
