//! Loops over slices: the only place where array arithmetic on numbers happens.

pub(crate) mod elementwise;
pub(crate) mod product;
pub(crate) mod reduce;
