//! `Primitive`: an operation of [`Array`] with its settings, for the time of a call, with its rule of shapes and its
//! evaluation.
//!
//! Operations that share one method of arrays (functions of one and of two numbers, linear operations, products) are
//! represented by the argument of that method, so a new operation of one of these kinds needs no change here.

use crate::array::Array;
use crate::array::by_value::ByValue;
use crate::array::element::Element;
use crate::array::kernels::elementwise::Binary;
use crate::array::linear::{Bilinear, Linear};
use crate::array::primitives::{ProductForm, SELECT};
use crate::fault::Fault;
use crate::functions::rule::Unary;
use crate::shape::{Axis, Shape};

/// The operation that a tracer records, or that an evaluation calls.
#[derive(Clone, Copy)]
pub(crate) enum Primitive<'a, T> {
    Unary(Unary),
    Binary(Binary),
    /// A matrix product, with the factors that are transposed.
    Product([bool; 2]),
    Linear(Linear<'a, T>),
    Bilinear(Bilinear),
    Choice,
    ByValue(ByValue),
    LogSumExp(Axis),
    Softmax(Axis),
    Norm,
    Detach,
}

impl<'a, T> Primitive<'a, T> {
    /// Returns the shape of the result from those of the operands, whose number must be right.
    ///
    /// # Errors
    /// Returns the fault that an evaluation would raise.
    pub(crate) fn result(self, of: &[Shape]) -> Result<Shape, Fault> {
        Ok(match self {
            Self::Unary(_) | Self::Softmax(_) | Self::Detach => of[0],
            Self::LogSumExp(axis) => of[0].per_line(axis),
            Self::Norm => Shape::SCALAR,
            Self::Choice => match of[1..].iter().find(|&&other| other != of[0]) {
                None => of[0],
                Some(&right) => {
                    return Err(Fault::Shapes { operation: SELECT, left: of[0], right });
                }
            },
            Self::Linear(f) => f.result(of[0])?,
            Self::Bilinear(f) => f.result(of[0], of[1])?,
            Self::ByValue(f) => f.result(of)?,
            Self::Binary(f) => {
                let unfit = Fault::Shapes { operation: f.name(), left: of[0], right: of[1] };
                of[0].broadcast(of[1]).ok_or(unfit)?
            }
            Self::Product(transposed) => {
                let [left, right] = [0, 1].map(|i| of[i].flipped(transposed[i]));
                if left.cols != right.rows {
                    return Err(Fault::Shapes { operation: "matmul", left, right });
                }
                Shape::new(left.rows, right.cols)
            }
        })
    }

    /// Computes the result in the mode of the operands.
    pub(crate) fn apply<A: Array<'a, Elem = T>>(self, of: &[A]) -> A
    where
        T: Element,
    {
        match self {
            Self::Unary(f) => of[0].unary(f),
            Self::Binary(f) => of[0].binary(of[1], f),
            Self::Product([left, right]) => {
                let mut out = [of[0]];
                of[0].products(ProductForm::left(left, right), &of[1..2], &[], &mut out);
                out[0]
            }
            Self::Linear(f) => of[0].map_linear(f),
            Self::Bilinear(f) => of[0].bilinear(of[1], f),
            Self::Choice => of[0].choose(of[1], of[2]),
            Self::ByValue(f) => A::by_value(of, f),
            Self::LogSumExp(axis) => of[0].softmax_parts(axis).0,
            Self::Softmax(axis) => of[0].softmax_parts(axis).1,
            Self::Norm => of[0].norm(),
            Self::Detach => of[0].detach(),
        }
    }
}
