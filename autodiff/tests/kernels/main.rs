//! Kernels and recordings, through the operations that reach them. They are compiled in the library: tests in it would
//! compile every kernel a second time.

mod convolutions;
mod linear_losses;
mod linearisations;
mod products;
mod recordings;
mod reductions;
mod sparse_products;
mod wanted;
