//! The scalar engine: functions of single numbers, for code with branches and indices that does not fit arrays.
//!
//! A function is written over [`Real`], and the type that it is called with selects the mode. Drivers are methods of
//! [`Tape`] and [`Tangents`], which keep their memory, and plain functions, which do not.
//!
//! **Cost.** In `f64`, a record takes 24 bytes and 8 for its adjoint, 2 to 3 ns to write and 1 to 2 ns to sweep over;
//! each extra argument of a fused statement takes 12 bytes. Only operations on two different nodes are recorded.
//! `x.square()`, [`Scalar::dot`], [`Scalar::linear`] and [`Scalar::fuse`] are cheaper than the operators that they
//! replace.

mod allocating;
pub(crate) mod chain;
pub(crate) mod colouring;
pub(crate) mod custom;
pub(crate) mod drivers;
pub(crate) mod dual;
pub(crate) mod lanes;
pub(crate) mod map;
pub(crate) mod number;
pub(crate) mod pattern;
pub(crate) mod product_check;
pub(crate) mod real;
pub(crate) mod rules;
pub(crate) mod solve;
pub(crate) mod sparse;
mod stream;
pub(crate) mod tape;
pub(crate) mod trace;
pub(crate) mod var;

pub use allocating::{gradient, hessian, hvp, jacobian, jvp, vjp};
pub use custom::custom;
pub use drivers::{Function, Tangents};
pub use dual::Dual;
pub use lanes::{Lanes, together};
pub use map::{Map, Observations};
pub use num_traits::Float;
pub use pattern::Pattern;
pub use real::{Real, Scalar};
pub use solve::{fixed_point, log_det, solve};
pub use sparse::{SparseHessian, SparseJacobian};
pub use tape::{Tape, Var};
