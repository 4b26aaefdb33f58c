//! Derivatives of array functions: reverse mode, forward mode and Hessian-vector products, on arena memory.
//!
//! A function is written once over [`Array`] and evaluated in every mode by the type that it is given. Drivers on a
//! [`Workspace`] do that for you and reuse its memory, so that a gradient or Hessian-vector product makes no system
//! allocation after a first one.
//!
//! ```
//! use hypertape_autodiff::{Array, Element, Function, Shape, Workspace};
//!
//! /// `f(x) = sum_i (x_i^2 - 1)^2`
//! struct Wells;
//! impl<T: Element> Function<T> for Wells {
//!     fn eval<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A]) -> A {
//!         (x[0].square() - 1.0).square().sum()
//!     }
//! }
//!
//! let (shapes, x, v) = ([Shape::column(2)], [2.0, 0.5], [1.0, 0.0]);
//! let (mut gradient, mut product) = ([0.0; 2], [0.0; 2]);
//! let mut workspace = Workspace::new();
//! let value = workspace.hvp(&Wells, &shapes, &x, &v, &mut gradient, &mut product)?;
//! assert_eq!(value, 9.5625);
//! assert_eq!(gradient, [24.0, -1.5]);
//! assert_eq!(product, [44.0, 0.0]);
//! # Ok::<(), hypertape_autodiff::Fault>(())
//! ```
//!
//! Code on single numbers, with branches and indices, is written over [`scalar::Real`] and recorded on a tape of its own
//! that fits it: functions of one argument and operations with constants record nothing. A gradient,
//!
//! ```
//! use hypertape_autodiff::scalar::{Float, gradient};
//! let (value, gradient) = gradient(|x| x[0].exp() * x[1] + x[1].powi(2), &[0.0, 3.0])?;
//! assert_eq!((value, gradient), (12.0, vec![3.0, 7.0]));
//! # Ok::<(), hypertape_autodiff::Fault>(())
//! ```
//!
//! and a Hessian-vector product with its gradient:
//!
//! ```
//! use hypertape_autodiff::scalar::{Float, hvp};
//! let (_, gradient, product) = hvp(|x| x[0].exp() * x[1] + x[1].powi(2), &[0.0, 3.0], &[1.0, 1.0])?;
//! assert_eq!((gradient, product), (vec![3.0, 7.0], vec![4.0, 3.0]));
//! # Ok::<(), hypertape_autodiff::Fault>(())
//! ```

mod arena;
mod array;
pub mod check;
pub mod conventions;
mod drivers;
mod fault;
pub mod scalar;
mod shape;

pub use arena::{ALIGNMENT, Arena};
pub use array::dual::Dual;
pub use array::element::Element;
pub use array::images::{max_pool, mean_pool, normalise};
pub use array::kernels::convolution::{Convolution, Role};
pub use array::kernels::elementwise::{Binary, Unary};
pub use array::kernels::simd::{InvalidSimd, Simd, simd};
pub use array::linearisation::{Linearisation, Piece};
pub use array::tape::{Adjoints, NodeId, Recording, Tape};
pub use array::tensor::Tensor;
pub use array::var::Var;
pub use array::vectors::{all_finite, axpy, dot, sum};
pub use array::{Array, LinearOperator, List, Side};
pub use drivers::{Function, Workspace};
pub use fault::Fault;
pub use shape::Shape;
