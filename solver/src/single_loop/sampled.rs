//! What an iteration evaluates: losses on samples that are named, so that it can see the same ones again.

use std::fmt;
use std::iter::Chain;
use std::ops::Range;

use hypertape_autodiff::{Element, axpy};
use rand::RngExt;

use crate::draw::{Draw, Level, Samples};
use crate::error::Error;
use crate::oracle::{Oracle, Point};
use crate::params::scale;

/// What an algorithm is about: its numbers of variables and mini-batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Inner variables.
    pub p: usize,
    /// Outer variables.
    pub d: usize,
    /// Mini-batches of the inner and of the outer loss.
    pub batches: [usize; 2],
}

/// Where random choices come from; by default from the draw that names them.
pub trait Chance: fmt::Debug + Send {
    /// A number from 0 to below 1, by which the outcome of a coin is chosen.
    fn uniform(&mut self, draw: Draw) -> f64 {
        draw.stream().random()
    }

    /// The number of a mini-batch, of so many.
    fn mini_batch(&mut self, draw: Draw, batches: usize) -> usize {
        below(self.uniform(draw), batches)
    }

    /// Tells `count` standard normal numbers by their places (Box and Muller 1958).
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

/// Choices by the draw that names them. Mini-batches come in [passes](Draw::in_passes): in its place among those of an iteration,
/// each comes once before one comes again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drawn;

impl Chance for Drawn {
    fn mini_batch(&mut self, draw: Draw, batches: usize) -> usize {
        draw.in_passes(batches)
    }
}

/// The evaluations of an iteration. Samples are [`Draw`]s: a mini-batch that was drawn, or all; each may be seen at several
/// points. `at` is `[w, x]`.
#[derive(Debug)]
pub struct Sampled<'a, 'p, T> {
    /// What evaluates; vectors to work in are taken from it.
    pub oracle: &'a mut Oracle<'p, T>,
    chance: &'a mut dyn Chance,
    draw: Draw,
    /// Draws so far: inner and outer mini-batches, others.
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

    /// The outer loss that was seen last.
    pub(super) fn loss(&self) -> Option<T> {
        self.loss
    }

    /// The iteration, from 0.
    pub fn iteration(&self) -> usize {
        usize::try_from(self.draw.iteration).unwrap_or(usize::MAX)
    }

    /// Numbers of variables and mini-batches.
    pub fn sizes(&self) -> Sizes {
        sizes(self.oracle)
    }

    /// Whether the iteration is only rehearsed, and all that a coin or a period decides is to be done.
    pub fn rehearses(&self) -> bool {
        self.oracle.rehearses()
    }

    /// Gives vectors back that were taken from the oracle.
    pub fn give(&mut self, vectors: impl IntoIterator<Item = Vec<T>>) {
        vectors.into_iter().for_each(|vector| self.oracle.give(vector));
    }

    /// Each of so many steps; in a rehearsal few of them.
    pub fn each(&self, steps: usize) -> Chain<Range<usize>, Range<usize>> {
        self.oracle.each(0..steps)
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
        // None is larger than the first.
        let number = if self.rehearses() { 0 } else { self.chance.mini_batch(draw, batches) };
        draw.on(Samples::Batch(number as u64))
    }

    /// A mini-batch of the inner loss.
    pub fn inner(&mut self) -> Draw {
        self.mini_batch(Level::Inner, 0)
    }

    /// A mini-batch of the outer loss.
    pub fn outer(&mut self) -> Draw {
        self.mini_batch(Level::Outer, 1)
    }

    /// All samples.
    pub fn all(&self) -> Draw {
        self.draw.on(Samples::All)
    }

    /// A number below `count`, each as likely; in a rehearsal the largest.
    pub fn number(&mut self, count: usize) -> usize {
        let draw = self.next(Level::Coin, 2);
        if self.rehearses() { count - 1 } else { below(self.chance.uniform(draw), count) }
    }

    /// Whether a coin falls that does so with this probability.
    pub fn coin(&mut self, probability: f64) -> bool {
        let draw = self.next(Level::Coin, 2);
        self.chance.uniform(draw) < probability
    }

    /// Fills a vector with standard normal numbers.
    pub fn normals(&mut self, out: &mut [T]) {
        let draw = self.next(Level::Coin, 2);
        self.chance.normals(draw, out.len(), &mut |place, normal| out[place] = T::from_f64(normal));
    }

    /// `dg/dw`.
    ///
    /// # Errors
    /// As [`Oracle::inner_gradient`], and so below.
    pub fn gradient(&mut self, on: Draw, at: [&[T]; 2], w_bar: &mut [T]) -> Result<(), Error> {
        self.oracle.inner_gradient(point(on, at), step(on), w_bar).map(|_| ())
    }

    /// `dg/dw` and `dg/dx`.
    ///
    /// # Errors
    /// As [`Oracle::inner_gradients`].
    pub fn gradients(
        &mut self,
        on: Draw,
        at: [&[T]; 2],
        w_bar: &mut [T],
        x_bar: &mut [T],
    ) -> Result<(), Error> {
        self.oracle.inner_gradients(point(on, at), step(on), w_bar, x_bar).map(|_| ())
    }

    /// `H v`.
    ///
    /// # Errors
    /// As [`Oracle::hessian_product`].
    pub fn hessian_product(
        &mut self,
        on: Draw,
        at: [&[T]; 2],
        v: &[T],
        product: &mut [T],
    ) -> Result<(), Error> {
        self.oracle.hessian_product(point(on, at), step(on), v, product)
    }

    /// `B^T v`, `B = d2g/dw dx`.
    ///
    /// # Errors
    /// As [`Oracle::mixed_product`].
    pub fn mixed_product(
        &mut self,
        on: Draw,
        at: [&[T]; 2],
        v: &[T],
        product: &mut [T],
    ) -> Result<(), Error> {
        self.oracle.mixed_product(point(on, at), step(on), v, product)
    }

    /// `dg/dw`, `H v` and `B^T v` by one sweep over the samples.
    ///
    /// # Errors
    /// As [`Oracle::inner_sweep`].
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

    /// `df/dw` and `df/dx`.
    ///
    /// # Errors
    /// As [`Oracle::outer_gradient`].
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

    /// `steps` steps of size `lr` on `w`, each on a mini-batch of its own, or on all samples.
    ///
    /// # Errors
    /// As [`Oracle::inner_gradient`].
    pub fn descend(
        &mut self,
        w: &mut [T],
        x: &[T],
        (steps, lr): (usize, f64),
        all: bool,
    ) -> Result<(), Error> {
        let mut g = self.oracle.take(w.len())?;
        for _ in self.each(steps) {
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

/// Random numbers of a loss are those of the draw.
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

/// What a direction with a memory keeps, `d <- (1 - eta) (d - old)`, where `old` is by the newest samples at the last point.
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
