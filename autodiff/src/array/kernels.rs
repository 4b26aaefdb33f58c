//! Loops over slices, where all arithmetic on the entries of arrays takes place.

pub(crate) mod convolution;
pub(crate) mod elementwise;
pub(crate) mod fold;
pub(crate) mod gamma;
pub(crate) mod linear_loss;
pub(crate) mod maps;
pub(crate) mod math;
pub(crate) mod number;
pub(crate) mod product;
pub(crate) mod reduce;
pub(crate) mod simd;
pub(crate) mod slopes;
pub(crate) mod sparse;
pub(crate) mod vectors;
pub(crate) mod wide;
