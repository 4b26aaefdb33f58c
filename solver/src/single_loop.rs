//! `SingleLoop`: algorithms that move `w`, the solution `v` of the linear system, and `x` together, a little in each
//! iteration.
//!
//! An ordinary estimator runs a whole inner loop for one hypergradient. These algorithms take one or a few steps on `w`
//! and on `H v = df/dw`, and return the direction in which an outer optimiser then moves `x`, all with mini-batches:
//!
//! | file | algorithms |
//! |---|---|
//! | `directions.rs` | SOBA, MA-SOBA, SABA, SRBA, SPABA, PnPBO: one step of each, by plain, corrected or recursive directions |
//! | `amigo.rs`, `stocbio.rs` | AmIGO; stocBiO, BSA, TTSA: some steps on `w`, then a system solved by steps or by a series |
//! | `fsla.rs`, `mrbo.rs`, `vrbo.rs` | FSLA; MRBO, SUSTAIN; VRBO: directions that remember the last point |
//! | `f2sa.rs`, `bome.rs`, `pzobo.rs` | F2SA, F2SA-p; BOME; PZOBO: no second derivatives |
//!
//! Step sizes of `w` and `v` are `a / k^p` in iteration `k`, counted from 1, and so are those of `x` unless another
//! outer optimiser moves it. An iteration allocates nothing. [`Joint`] turns an algorithm into an
//! [`Estimator`](crate::Estimator), so that runs, limits, files and budgets work in the same way.

pub(crate) mod algorithm;
pub(crate) mod amigo;
pub(crate) mod bome;
pub(crate) mod directions;
pub(crate) mod f2sa;
pub(crate) mod fsla;
pub(crate) mod joint;
pub(crate) mod mrbo;
pub(crate) mod pzobo;
mod sampled;
mod series;
mod steps;
pub(crate) mod stocbio;
pub(crate) mod vrbo;

pub use crate::single_loop::algorithm::{Kept, Moving, SingleLoop};
pub use crate::single_loop::amigo::Amigo;
pub use crate::single_loop::bome::Bome;
pub use crate::single_loop::directions::{Directions, Plug, Restart};
pub use crate::single_loop::f2sa::{F2sa, F2saP};
pub use crate::single_loop::fsla::Fsla;
pub use crate::single_loop::joint::Joint;
pub use crate::single_loop::mrbo::Mrbo;
pub use crate::single_loop::pzobo::Pzobo;
pub use crate::single_loop::sampled::{Chance, Drawn, Sampled, Sizes};
pub use crate::single_loop::steps::{Decay, Steps};
pub use crate::single_loop::stocbio::{Bsa, Stocbio, Ttsa};
pub use crate::single_loop::vrbo::Vrbo;
