//! The evaluations of an iteration: losses on identified samples, so that the same samples can be used again.

use std::fmt;

use hypertape_autodiff::{Element, axpy};
use rand::RngExt;

use crate::draw::{Draw, Level, Samples};
use crate::error::Error;
use crate::oracle::{Oracle, Point};
use crate::params::scale;

/// Numbers of variables and mini-batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Number of inner variables.
    pub p: usize,
    /// Number of outer variables.
    pub d: usize,
    /// Numbers of mini-batches of the inner and of the outer loss.
    pub batches: [usize; 2],
}

/// A source of random choices; by default the draw that identifies them.
pub trait Chance: fmt::Debug + Send {
    /// Returns a uniform number in `[0, 1)`, which decides the outcome of a coin.
    fn uniform(&mut self, draw: Draw) -> f64 {
        draw.stream().random()
    }

    /// Returns the number of a mini-batch, which is below `batches`.
    fn mini_batch(&mut self, draw: Draw, batches: usize) -> usize {
        below(self.uniform(draw), batches)
    }

    /// Calls `tell` with the places and values of `count` standard normal numbers (Box and Muller 1958).
    fn normals(&mut self, draw: Draw, count: usize, tell: &mut dyn FnMut(usize, f64)) {
        let mut stream = draw.stream();
        for place in (0..count).step_by(2) {
            let [u, v]: [f64; 2] = stream.random();
            let length = (-2.0 * (1.0 - u).ln()).sqrt();
            let (sine, cosine) = (std::f64::consts::TAU * v).sin_cos();
            tell(place, length * cosine);
            if place + 1 < count {
                tell(place + 1, length * sine);
            }
        }
    }
}

/// Choices determined by the draw that identifies them. Mini-batches are chosen in [passes](Draw::in_passes), one
/// sequence of passes for each position within an iteration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drawn;

impl Chance for Drawn {
    fn mini_batch(&mut self, draw: Draw, batches: usize) -> usize {
        draw.in_passes(batches)
    }
}

/// The evaluations of an iteration.
///
/// Samples are identified by a [`Draw`]: a mini-batch that was drawn, or all samples. They may be used at several
/// points. The argument `at` is `[w, x]`.
#[derive(Debug)]
pub struct Sampled<'a, 'p, T> {
    /// The oracle that evaluates, and from which working vectors are taken.
    pub oracle: &'a mut Oracle<'p, T>,
    chance: &'a mut dyn Chance,
    draw: Draw,
    /// Numbers of draws so far: inner mini-batches, outer mini-batches, and others.
    drawn: [usize; 3],
    loss: Option<T>,
}

impl<'a, 'p, T: Element> Sampled<'a, 'p, T> {
    pub(super) fn new(
        oracle: &'a mut Oracle<'p, T>,
        chance: &'a mut dyn Chance,
        draw: Draw,
    ) -> Self {
        Self { oracle, chance, draw, drawn: [0; 3], loss: None }
    }

    /// The outer loss of the last evaluation.
    pub(super) fn loss(&self) -> Option<T> {
        self.loss
    }

    /// Index of the iteration, from 0.
    pub fn iteration(&self) -> usize {
        usize::try_from(self.draw.iteration).unwrap_or(usize::MAX)
    }

    /// Numbers of variables and mini-batches.
    pub fn sizes(&self) -> Sizes {
        sizes(self.oracle)
    }

    fn next(&mut self, level: Level, place: usize) -> Draw {
        let draw = self.draw.at(level, self.drawn[place]);
        self.drawn[place] += 1;
        draw
    }

    fn mini_batch(&mut self, level: Level, place: usize) -> Draw {
        let (draw, batches) = (self.next(level, place), self.oracle.mini_batches(level));
        if batches <= 1 {
            return draw.on(Samples::All);
        }
        // No mini-batch is larger than the first.
        let number =
            if self.oracle.rehearses() { 0 } else { self.chance.mini_batch(draw, batches) };
        draw.on(Samples::Batch(number as u64))
    }

    /// Draws a mini-batch of the inner loss.
    pub fn inner(&mut self) -> Draw {
        self.mini_batch(Level::Inner, 0)
    }

    /// Draws a mini-batch of the outer loss.
    pub fn outer(&mut self) -> Draw {
        self.mini_batch(Level::Outer, 1)
    }

    /// Returns the draw for all samples.
    pub fn all(&self) -> Draw {
        self.draw.on(Samples::All)
    }

    /// Draws a number below `count` uniformly, or returns the largest one in a rehearsal.
    pub fn number(&mut self, count: usize) -> usize {
        let draw = self.next(Level::Coin, 2);
        if self.oracle.rehearses() { count - 1 } else { below(self.chance.uniform(draw), count) }
    }

    /// Tosses a coin that is true with this probability.
    pub fn coin(&mut self, probability: f64) -> bool {
        let draw = self.next(Level::Coin, 2);
        self.chance.uniform(draw) < probability
    }

    /// Fills a vector with standard normal numbers.
    pub fn normals(&mut self, out: &mut [T]) {
        let draw = self.next(Level::Coin, 2);
        self.chance.normals(draw, out.len(), &mut |place, normal| out[place] = T::from_f64(normal));
    }

    /// Writes `dg/dw`.
    ///
    /// # Errors
    /// Returns the errors of [`Oracle::inner_gradient`].
    pub fn gradient(&mut self, on: Draw, at: [&[T]; 2], w_bar: &mut [T]) -> Result<(), Error> {
        self.oracle.inner_gradient(point(on, at), step(on), w_bar).map(|_| ())
    }

    /// Writes `dg/dw` and `dg/dx`.
    ///
    /// # Errors
    /// Returns the errors of [`Oracle::inner_gradients`].
    pub fn gradients(
        &mut self,
        on: Draw,
        at: [&[T]; 2],
        w_bar: &mut [T],
        x_bar: &mut [T],
    ) -> Result<(), Error> {
        self.oracle.inner_gradients(point(on, at), step(on), w_bar, x_bar).map(|_| ())
    }

    /// Writes `H v`.
    ///
    /// # Errors
    /// Returns the errors of [`Oracle::hessian_product`].
    pub fn hessian_product(
        &mut self,
        on: Draw,
        at: [&[T]; 2],
        v: &[T],
        product: &mut [T],
    ) -> Result<(), Error> {
        self.oracle.hessian_product(point(on, at), step(on), v, product)
    }

    /// Writes `B^T v`, where `B = d2g/dw dx`.
    ///
    /// # Errors
    /// Returns the errors of [`Oracle::mixed_product`].
    pub fn mixed_product(
        &mut self,
        on: Draw,
        at: [&[T]; 2],
        v: &[T],
        product: &mut [T],
    ) -> Result<(), Error> {
        self.oracle.mixed_product(point(on, at), step(on), v, product)
    }

    /// Writes `dg/dw`, `H v` and `B^T v` from one sweep over the samples.
    ///
    /// # Errors
    /// Returns the errors of [`Oracle::inner_sweep`].
    pub fn sweep(
        &mut self,
        on: Draw,
        at: [&[T]; 2],
        v: &[T],
        [gradient, hessian_product, mixed_product]: [&mut [T]; 3],
    ) -> Result<(), Error> {
        let (point, step) = (point(on, at), step(on));
        self.oracle.inner_sweep(point, step, v, gradient, hessian_product, mixed_product)
    }

    /// Writes `df/dw` and `df/dx`.
    ///
    /// # Errors
    /// Returns the errors of [`Oracle::outer_gradient`].
    pub fn outer_gradients(
        &mut self,
        on: Draw,
        at: [&[T]; 2],
        w_bar: &mut [T],
        x_bar: &mut [T],
    ) -> Result<(), Error> {
        self.loss = Some(self.oracle.outer_gradient(point(on, at), w_bar, x_bar)?);
        Ok(())
    }

    /// Takes `steps` steps of size `lr` on `w`, each with a new mini-batch, or all on all samples.
    ///
    /// # Errors
    /// Returns the errors of [`Oracle::inner_gradient`].
    pub fn descend(
        &mut self,
        w: &mut [T],
        x: &[T],
        (steps, lr): (usize, f64),
        all: bool,
    ) -> Result<(), Error> {
        let mut g = self.oracle.take(w.len())?;
        for _ in self.oracle.each(0..steps) {
            let i = if all { self.all() } else { self.inner() };
            self.gradient(i, [w, x], &mut g)?;
            add(w, -lr, &g);
        }
        self.oracle.give(g);
        Ok(())
    }
}

fn point<T>(draw: Draw, [w, x]: [&[T]; 2]) -> Point<'_, T> {
    Point { w, x, draw }
}

/// The step of the draw identifies the random numbers of a loss.
fn step(draw: Draw) -> usize {
    usize::try_from(draw.step).unwrap_or(usize::MAX)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below count")]
fn below(uniform: f64, count: usize) -> usize {
    ((uniform * count as f64) as usize).min(count - 1)
}

pub(super) fn sizes<T: Element>(oracle: &Oracle<T>) -> Sizes {
    let batches = [Level::Inner, Level::Outer].map(|level| oracle.mini_batches(level).max(1));
    Sizes { p: oracle.inner_dim(), d: oracle.outer_dim(), batches }
}

/// Updates a recursive direction by its last point, `d <- (1 - eta) (d - old)`, where `old` uses the newest samples at
/// that point.
pub(super) fn keep<T: Element>(d: &mut [T], eta: f64, old: &[T]) {
    add(d, -1.0, old);
    if eta > 0.0 {
        scale(d, T::from_f64(1.0 - eta));
    }
}

/// `y <- y + a x`
pub(super) fn add<T: Element>(y: &mut [T], a: f64, x: &[T]) {
    axpy(y, T::from_f64(a), x);
}
