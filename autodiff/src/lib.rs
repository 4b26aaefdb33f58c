//! Derivatives of functions of arrays and of single numbers: reverse mode, forward mode, Hessian-vector products,
//! Jacobians and Hessians, dense and sparse. There is no global state, data cause no panics, and results are
//! reproducible bit for bit.
//!
//! | to see | run `cargo run --release -p hypertape-autodiff --example` |
//! |---|---|
//! | a gradient of arrays: a network trained by gradient descent | `network` |
//! | Hessian-vector products: Newton's method with conjugate gradients | `newton_cg` |
//! | a sparse Jacobian: nonlinear least squares by Gauss-Newton steps | `least_squares` |
//! | implicit differentiation: a layer defined by a fixed point | `implicit_layer` |
//!
//! # Single numbers
//!
//! Code with branches and indices is written over [`scalar::Real`]. A gradient:
//!
//! ```
//! use hypertape_autodiff::scalar::{Float, gradient};
//! let (value, gradient) = gradient(|x| x[0].exp() * x[1] + x[1].powi(2), &[0.0, 3.0])?;
//! assert_eq!((value, gradient), (12.0, vec![3.0, 7.0]));
//! # Ok::<(), hypertape_autodiff::Fault>(())
//! ```
//!
//! A Hessian-vector product with its gradient:
//!
//! ```
//! use hypertape_autodiff::scalar::{Float, hvp};
//! let (_, gradient, product) = hvp(|x| x[0].exp() * x[1] + x[1].powi(2), &[0.0, 3.0], &[1.0, 1.0])?;
//! assert_eq!((gradient, product), (vec![3.0, 7.0], vec![4.0, 3.0]));
//! # Ok::<(), hypertape_autodiff::Fault>(())
//! ```
//!
//! These functions allocate; the methods of [`scalar::Tape`] and [`scalar::Tangents`] reuse their memory and write into
//! buffers of the caller. Closures import [`scalar::Float`] for `exp` and other functions. A function that is needed in
//! several modes is written once, generic over the number type:
//!
//! ```
//! use hypertape_autodiff::scalar::{Function, Real, SparseHessian, Tape};
//! fn chain<R: Real>(x: &[R]) -> R {
//!     x.windows(2).map(|x| (x[1] - x[0].square()).square()).sum()
//! }
//! struct Chain;
//! impl Function for Chain {
//!     fn eval<R: Real>(&self, x: &[R], y: &mut [R]) { y[0] = chain(x); }
//! }
//! let (x, mut g) = ([1.0, 2.0, 3.0, 4.0], [0.0; 4]);
//! assert_eq!((chain(&x), Tape::new().gradient(|x| chain(x), &x, &mut g)?), (27.0, 27.0));
//! assert_eq!(SparseHessian::new(&Chain, &x).colours(), 3);
//! # Ok::<(), hypertape_autodiff::Fault>(())
//! ```
//!
//! # Arrays
//!
//! Functions of vectors and matrices are written over [`Array`] and differentiated by the methods of a [`Workspace`],
//! which makes no system allocation after the first pass. All arguments are concatenated in one slice, each in
//! row-major order. Data of the function itself enters through [`Array::constant`], in an `impl Function<f64>`.
//!
//! ```
//! use hypertape_autodiff::{Array, Element, Function, Shape, Workspace};
//! /// `f(x) = sum_i (x_i^2 - 1)^2`
//! struct Wells;
//! impl<T: Element> Function<T> for Wells {
//!     fn eval<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A]) -> A {
//!         (x[0].square() - 1.0).square().sum()
//!     }
//! }
//! let (mut gradient, mut product) = ([0.0; 2], [0.0; 2]);
//! let (shapes, x, v) = ([Shape::column(2)], [2.0, 0.5], [1.0, 0.0]);
//! let value = Workspace::new().hvp(&Wells, &shapes, &x, &v, &mut gradient, &mut product)?;
//! assert_eq!((value, gradient, product), (9.5625, [24.0, -1.5], [44.0, 0.0]));
//! # Ok::<(), hypertape_autodiff::Fault>(())
//! ```
//!
//! # Which mode when
//!
//! | wanted, for `n` arguments and `m` results | use | cost relative to a value |
//! |---|---|---|
//! | a gradient, or `J^T v` | reverse mode: `gradient`, `vjp` | arrays 2 to 3, scalars 3 to 10, for any `n` |
//! | `J v` | forward mode: `jvp`, `jvps` | arrays 2, scalars 0.3 per direction, four at a time |
//! | `H v` | forward over reverse: `hvp`, `hvps` | 1.5 to 2 gradients, with the gradient |
//! | a dense Jacobian | `jacobian`, which chooses the mode | the smaller of `m` sweeps and `n` directions |
//! | a sparse Jacobian or Hessian | [`scalar::SparseJacobian`], [`scalar::SparseHessian`] | one direction per colour |
//! | derivatives of one function at many observations | [`scalar::Map`] | less than one at a time: several are evaluated side by side |
//! | derivatives of a solution `M^-1 b` or of `ln det M` | [`Factored`], [`scalar::solve`] | `n^2` in addition to the factorisation |
//! | derivatives of a fixed point | [`fixed_point`], [`scalar::fixed_point`] | one evaluation, and a series as long as the iteration |
//! | derivatives of a function given by code | [`Custom`] | the cost of that code |
//! | derivatives of a long loop in little memory | checkpoints: `Loop` in the crate `hypertape-solver` | a second evaluation |
//!
//! # Operations of arrays
//!
//! These are methods of [`Array`] and of [`Operations`]. They work in every mode and nesting, in `f32` and `f64`.
//!
//! | operation | modes | at singular points |
//! |---|---|---|
//! | `+`, `-`, `*`, `/`, numbers on either side, broadcasting | all | `1 / x` infinite at 0 |
//! | functions of each entry, from `exp` to `digamma`, see [`Unary`]; `powi`, `powf`, `clamp` | all | [`conventions`] |
//! | `max`, `min`, `max_over`, `min_over` | all | the first of several; a number is chosen over `NaN` |
//! | `select` with `less`, `at_most`, `equal` | all | entries that are not chosen contribute nothing |
//! | `hypot`, `atan2`, `norm` | all | 0 where both, or all, are 0 |
//! | `power`, `xlogy`, `silu`, `gelu` | all | zeros absorb: `0 ln 0 = 0` |
//! | `sum`, `mean`, `sum_rows`, `sum_cols`, `cumulative_sum`, `product_over` | all | |
//! | `logsumexp`, `softmax` and along either axis, `cross_entropy`, `softplus` | all | the limits at infinities |
//! | `argmax`, `sort`, `sorted` | all; only `sorted` is traced | the first of several; `NaN` last |
//! | `matmul`, `batched_matmul`, `dot`, `row_dot`, `convolve` | all | zeros do not absorb |
//! | `transpose`, `reshape`, `slice`, `rows`, `columns`, `block`, `tile`, `diagonal`, triangles | all | |
//! | `stack`, `concatenate`, `embed`, `inset`, `broadcast_to` | all | |
//! | `gather_rows`, `gather_columns`, `entries`, `pick` and their adjoints | all | |
//! | `solve`, `log_det`, `det_sign`, `inverse`, `cholesky`, see [`Factored`] | all | a fault where the result does not exist |
//! | `least_squares` | all; not traced | a fault where the result does not exist |
//! | `eigen` | all; not traced; first order only where eigenvalues repeat | eigenvectors of one eigenvalue do not rotate into each other |
//! | `linear`, [`Csr::times`] | all | |
//! | `custom`, `apply` with [`Entrywise`] | up to second order | as the function defines |
//! | [`fixed_point`] | all | a fault without convergence |
//!
//! # Memory
//!
//! Scalars in `f64` take 24 bytes per record and 8 for its adjoint, and only operations on two different nodes are
//! recorded; functions of one argument and operations with constants take nothing (see [`scalar`]). A fused statement
//! takes 12 bytes per extra argument. With a tangent, partials and adjoints take twice as much. Arrays take the entries
//! of every result and 128 bytes per record, each rounded up to cache lines of 64, and one line per shape. Tapes and
//! arenas report the memory that they [used](Workspace::used) and accept limits, beyond which there is a [`Fault`].
//!
//! # Conventions
//!
//! [`conventions`] states the derivatives at kinks and singular points, which are the same in every mode; a strict
//! scalar tape reports such points instead. Errors are [`Fault`]s with the numbers at fault. [`check`] tests the
//! derivatives of a function.
//!
//! # How it compares
//!
//! Scalar gradients in ms, with plain operators and with [fused](scalar::Scalar::fuse) statements: minima on one core
//! of an AMD EPYC with AVX-512. The peers (`reverse` 0.2.2, `ad_trait` 0.3.1, echidna 0.15.0, num-dual 0.13.7 with 20
//! tangents) run the same sources; `python3 benches/tapes.py` in the repository repeats the comparison.
//!
//! | | value | plain | fused | `reverse` | `ad_trait` | echidna | num-dual |
//! |---|---|---|---|---|---|---|---|
//! | T1: product of 10^6 numbers | 0.81 | 6.3 | 6.5 | 14.6 | 19.3 | 28.9 | |
//! | T2: Rosenbrock's function of 10^5 | 0.08 | 1.3 | 1.4 | 6.1 | 7.6 | 7.9 | |
//! | T3: Gaussian mixture, 1000 points, 1650 arguments | 1.07 | 14.5 | 9.8 | 22.7 | 27.6 | 28.8 | |
//! | T4: bundle adjustment, 36 455 observations | 0.90 | 11.8 | 8.0 | 24.4 | 26.8 | 28.9 | |
//! | T5: 100 unrolled steps, 20 arguments | 0.08 | 0.96 | 0.89 | 2.4 | 2.4 | 2.6 | 0.44 |
//!
//! For few arguments, forward mode is faster than any tape: [`scalar::Tangents`]. The README of the crate compares
//! sparse derivatives with those of echidna (`benches/sparse-peer`).
//!
//! The features `ndarray` and `nalgebra` convert from and to the matrices of these crates; `serde` reads and writes
//! [`Graph`]s.

mod arena;
mod array;
pub mod check;
pub mod conventions;
mod custom;
mod drivers;
mod fault;
mod functions;
pub mod graph;
mod implicit;
mod imply;
#[cfg(any(feature = "nalgebra", feature = "ndarray"))]
mod interop;
mod matrices;
mod pages;
pub mod passes;
pub mod scalar;
mod shape;
mod tally;
mod workspace;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use arena::{ALIGNMENT, Arena};
pub use array::by_value::Method;
pub use array::csr::Csr;
pub use array::dual::Dual;
pub use array::element::Element;
pub use array::entrywise::Entrywise;
pub use array::factored::Factored;
pub use array::images::{max_pool, mean_pool, normalise};
pub use array::kernels::convolution::Convolution;
pub use array::kernels::elementwise::Binary;
pub use array::kernels::simd::{InvalidSimd, Simd, simd};
pub use array::linear::LinearOperator;
pub use array::linear_loss::RowLoss;
pub use array::linearisation::{Linearisation, Piece};
pub use array::operations::Operations;
pub use array::tape::{Adjoints, NodeId, Recording, Tape};
pub use array::tensor::Tensor;
pub use array::var::Var;
pub use array::vectors::{all_finite, axpy, dot, sum};
pub use array::{Array, List};
pub use custom::Custom;
pub use drivers::Function;
pub use fault::Fault;
pub use functions::rule::Unary;
pub use graph::Graph;
pub use implicit::{StopRule, fixed_point};
pub use shape::{Axis, Shape};
pub use tally::Tally;
pub use workspace::Workspace;

#[doc(hidden)]
pub use {
    array::kernels::convolution::Role,
    array::{ProductForm, Side},
};
