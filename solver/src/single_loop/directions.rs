//! Algorithms that take one step of `w`, `v` and `x` at once, along the directions of Dagréou, Ablin, Vaiter and Moreau
//! (2022)
//!
//! ```text
//! D_w = g_w(i)        D_v = H(i) v + f_w(o)        D_x = B(i)^T v + f_x(o)
//! ```
//!
//! on an inner mini-batch `i` and an outer one `o`; `v` tends to `-H^-1 f_w`. The algorithms use these directions in
//! different ways:
//!
//! | algorithm | source | a direction is | powers |
//! |---|---|---|---|
//! | SOBA | Dagréou et al. 2022 | `D` | 1/2 |
//! | MA-SOBA | Chen, Xiao and Balasubramanian 2023 | `D`; for `x` the moving average `m <- (1 - theta) m + theta D`, initially `D` | 1/2 |
//! | SABA | Dagréou et al. 2022 | each of the five terms `q`, corrected by its table (SAGA): `q - table(i) + mean` | 0 |
//! | SRBA | Dagréou, Moreau, Vaiter and Ablin 2024 | `d <- d + D(y) - D(y_old)`; every `period` iterations `D` over all samples | 0 |
//! | SPABA | Chu, Xu, Yao and Zhang 2024 | the same, restarted by a coin (PAGE) | 0 |
//! | PnPBO | Chu, Xu, Yao, Yu and Zhang 2025 | for each variable one of these or STORM, `d <- D(y) + (1 - eta) (d - D(y_old))`; for `x` averaged if unbiased | 0 |
//!
//! Cost of an iteration: one sweep over `i` (an inner gradient, a Hessian-vector and a mixed product) and one outer
//! gradient; twice that for recursive directions, and all samples at a restart. Memory in values: `5 p + 2 d`; SABA's
//! tables `(n_i + 1) (2 p + d) + (n_o + 1) (p + d)` for `n_i`, `n_o` mini-batches, recursive ones `4 p + 2 d`, an
//! average `d`.

use hypertape_autodiff::Element;

use crate::draw::{Draw, Samples};
use crate::error::Error;
use crate::params::scale;
use crate::pool::Slots;
use crate::single_loop::algorithm::{Kept, Moving, SingleLoop};
use crate::single_loop::sampled::{Sampled, Sizes, add, keep};
use crate::single_loop::steps::{Decay, Steps};
use crate::spelling::{About, Range, Spelled, Visit};

/// How a direction is estimated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plug {
    /// From a mini-batch.
    Sgd,
    /// From a mini-batch, corrected by its last value.
    Saga,
    /// From the last direction and the change since then, restarted on all samples.
    Page,
    /// From the last direction, which is gradually forgotten, and the change since then.
    Storm,
}

impl Plug {
    const WORDS: [(&str, Self); 4] =
        [("sgd", Self::Sgd), ("saga", Self::Saga), ("page", Self::Page), ("storm", Self::Storm)];

    fn recursive(self) -> bool {
        matches!(self, Self::Page | Self::Storm)
    }
}

/// When directions are computed from all samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Restart {
    /// Every `n` iterations for a given `n`; by default half the number of mini-batches.
    Period(Option<usize>),
    /// With this probability, and in the first iteration; by default one over the default period.
    Coin(Option<f64>),
}

impl Restart {
    fn falls(self, on: &mut Sampled<impl Element>) -> bool {
        let (t, all) = (on.iteration(), period(on.sizes()));
        match self {
            Self::Period(period) => t.is_multiple_of(period.unwrap_or(all)),
            Self::Coin(probability) => t == 0 || on.coin(probability.unwrap_or(1.0 / all as f64)),
        }
    }
}

/// Help of the setting `period`.
pub(super) const PERIOD: &str =
    "iterations between restarts on all samples; half the number of mini-batches if not given";

/// Number of iterations in which half of all samples are seen once.
pub(super) fn period(sizes: Sizes) -> usize {
    (sizes.batches.iter().sum::<usize>() / 2).max(1)
}

/// Indices of the variables to which `[g_w, H v, B^T v, f_w, f_x]` belong.
const OF: [usize; 5] = [0, 1, 2, 1, 2];

/// An algorithm that moves `w`, `v` and `x` along these directions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Directions {
    about: About,
    steps: Steps,
    /// For `w`, `v` and `x`.
    plugs: [Plug; 3],
    restart: Restart,
    /// Weight of the newest direction in the average for `x`, if that is averaged.
    theta: Option<Decay>,
    /// Share that STORM forgets.
    forget: Decay,
}

impl Directions {
    fn listed(name: &'static str, summary: &'static str, plug: Plug, power: f64) -> Self {
        let cost = match plug {
            Plug::Sgd | Plug::Saga => "one sweep over an inner mini-batch, one outer gradient",
            _ => {
                "two sweeps over an inner mini-batch, two outer gradients; all samples at a restart"
            }
        };
        Self {
            about: About { name, summary, cost },
            steps: Steps::listed([power; 3]),
            plugs: [plug; 3],
            restart: Restart::Period(None),
            theta: None,
            forget: Decay { size: 1.0, power: Some(2.0 / 3.0) },
        }
    }

    /// SOBA with default settings.
    pub fn soba() -> Self {
        Self::listed(
            "soba",
            "one step each of w, v and x per iteration, on mini-batches",
            Plug::Sgd,
            0.5,
        )
    }

    /// MA-SOBA, which is SOBA with a moving average, with default settings.
    pub fn ma_soba() -> Self {
        let summary = "SOBA with a moving average of the directions of x";
        let theta = Some(Decay::of(0.1));
        Self { theta, ..Self::listed("ma-soba", summary, Plug::Sgd, 0.5) }
    }

    /// SABA with default settings.
    pub fn saba() -> Self {
        let summary =
            "SOBA with SAGA: a table of the last value of every mini-batch corrects each term";
        Self::listed("saba", summary, Plug::Saga, 0.0)
    }

    /// SRBA with default settings.
    pub fn srba() -> Self {
        let summary =
            "SOBA with SARAH: directions add differences, restarted on all samples every period";
        Self::listed("srba", summary, Plug::Page, 0.0)
    }

    /// SPABA with default settings.
    pub fn spaba() -> Self {
        let summary = "SOBA with PAGE: as SRBA, restarted on all samples with a given probability";
        Self { restart: Restart::Coin(None), ..Self::listed("spaba", summary, Plug::Page, 0.0) }
    }

    /// PnPBO with default settings.
    pub fn pnpbo() -> Self {
        let summary =
            "SGD, SAGA, PAGE or STORM for each of w, v and x, with directions of x averaged";
        let (restart, theta) = (Restart::Coin(None), Some(Decay::of(0.1)));
        let plugs = [Plug::Page, Plug::Page, Plug::Saga];
        Self { plugs, restart, theta, ..Self::listed("pnpbo", summary, Plug::Page, 0.0) }
    }

    fn recursive(&self) -> [bool; 3] {
        self.plugs.map(Plug::recursive)
    }

    /// Weight of the newest direction in that of `x`, if that is unbiased and averaged.
    fn averaged(&self) -> Option<Decay> {
        self.theta.filter(|_| !self.plugs[2].recursive())
    }

    /// Whether a term is corrected by a table.
    fn tabled(&self, term: usize) -> bool {
        self.plugs[OF[term]] == Plug::Saga
    }
}

impl Spelled for Directions {
    fn about(&self) -> About {
        self.about
    }

    fn spell(&self, visit: &mut Visit) -> Result<Self, Error> {
        let mut made = Self { steps: self.steps.spell(visit), ..*self };
        if self.about.name == "pnpbo" {
            for (name, plug) in ["w", "v", "x"].into_iter().zip(&mut made.plugs) {
                *plug = visit.word(name, *plug, &Plug::WORDS, "how its direction is estimated");
            }
            let help = "share of the previous direction that STORM forgets";
            made.forget = visit.get("forget", self.forget, Decay::SHARE, help);
        }
        if self.theta.is_some() {
            let help = "weight of the newest direction in the moving average";
            made.theta = visit.get("theta", self.theta, Decay::SHARE, help);
        }
        match self.restart {
            _ if !self.plugs.contains(&Plug::Page) => {}
            Restart::Period(period) => {
                let period = visit.get("period", period, Range::ONE_OR_MORE, PERIOD);
                made.restart = Restart::Period(period);
            }
            Restart::Coin(chance) => {
                let help = "probability of a restart on all samples; 2 over the number of mini-batches if not given";
                made.restart =
                    Restart::Coin(visit.get("restart", chance, Range::PROBABILITY, help));
            }
        }
        Ok(made)
    }
}

/// The terms `[g_w, H v, B^T v, f_w, f_x]` at a point.
type Terms<T> = [Vec<T>; 5];

fn terms<T: Element>(
    on: &mut Sampled<T>,
    [i, o]: [Draw; 2],
    [w, v, x]: [&[T]; 3],
    [gw, hv, bv, fw, fx]: &mut Terms<T>,
) -> Result<(), Error> {
    on.sweep(i, [w, x], v, [gw, hv, bv])?;
    on.outer_gradients(o, [w, x], fw, fx)
}

/// Writes the directions of the three variables into the first three terms.
fn join<T: Element>([_, hv, bv, fw, fx]: &mut Terms<T>) {
    add(hv, 1.0, fw);
    add(bv, 1.0, fx);
}

/// Corrects a term: replaces the stored value of its mini-batch, and updates the mean over all mini-batches.
fn correct<T: Element>(
    new: &mut [T],
    table: &mut Slots<T>,
    mean: &mut Slots<T>,
    on: Draw,
    n: usize,
) {
    let batch = if let Samples::Batch(batch) = on.samples { batch } else { 0 };
    let share = T::from_f64(1.0 / n as f64);
    let old = &mut table[usize::try_from(batch).unwrap_or_default()];
    for ((new, old), mean) in new.iter_mut().zip(old).zip(&mut mean[0]) {
        let (seen, change) = (*new, *new - *old);
        *new = change + *mean;
        *mean += change * share;
        *old = seen;
    }
}

impl<T: Element> SingleLoop<T> for Directions {
    fn steps(&self) -> Steps {
        self.steps
    }

    fn kept(&self, Sizes { p, d, batches: [n, m] }: Sizes) -> Vec<Kept> {
        let some = |kept: Kept, is: bool| if is { kept } else { Kept { count: 0, ..kept } };
        let tables = ["gw", "hv", "bv", "fw", "fx"].into_iter().zip([p, p, d, p, d]);
        let tables = tables.enumerate().flat_map(|(k, (name, length))| {
            let count = if k < 3 { n } else { m };
            let mean = ["mean gw", "mean hv", "mean bv", "mean fw", "mean fx"][k];
            [Kept { name, count, length }, Kept::one(mean, length)]
                .map(|kept| some(kept, self.tabled(k)))
        });
        let [old, last] = [["old w", "old v", "old x"], ["last w", "last v", "last x"]];
        let recursive = self.recursive();
        let any = recursive.contains(&true);
        let old = old.into_iter().zip([p, p, d]).map(|(name, n)| some(Kept::one(name, n), any));
        let last = last.into_iter().zip([p, p, d]).zip(recursive);
        let last = last.map(|((name, n), is)| some(Kept::one(name, n), is));
        let average = some(Kept::one("average", d), self.averaged().is_some());
        std::iter::once(Kept::one("v", p))
            .chain(tables)
            .chain(old)
            .chain(last)
            .chain([average])
            .collect()
    }

    fn iterate(&self, on: &mut Sampled<T>, at: &mut Moving<T>) -> Result<(), Error> {
        let (t, Sizes { batches, .. }, rehearses) =
            (on.iteration(), on.sizes(), on.oracle.rehearses());
        let (w, x, x_bar, kept) = at.parts::<18>()?;
        let [v, tables @ .., w_old, v_old, x_old, last_w, last_v, last_x, average] = kept;
        let v = &mut v[0];
        let [gw, hv, fw] = on.oracle.vectors(w.len())?;
        let [bv, fx] = on.oracle.vectors(x.len())?;
        let mut found = [gw, hv, bv, fw, fx];
        let (recursive, last) = (self.recursive(), [last_w, last_v, last_x]);
        let [any, pages] = [recursive.contains(&true), self.plugs.contains(&Plug::Page)];
        let restart = pages && self.restart.falls(on);
        if restart || pages && rehearses {
            let all = [on.all(); 2];
            terms(on, all, [w, v, x], &mut found)?;
            join(&mut found);
            for k in (0..3).filter(|&k| self.plugs[k] == Plug::Page) {
                last[k][0].copy_from_slice(&found[k]);
            }
        }
        // Directions that are not restarted use a mini-batch.
        let sees = |k: usize| !restart || self.plugs[k] != Plug::Page;
        if (0..3).any(sees) || rehearses {
            let samples = [on.inner(), on.outer()];
            let goes_on = t > 0 && (0..3).any(|k| recursive[k] && sees(k));
            if goes_on || any && rehearses {
                terms(on, samples, [&w_old[0], &v_old[0], &x_old[0]], &mut found)?;
                join(&mut found);
                for k in (0..3).filter(|&k| recursive[k] && sees(k)) {
                    let storm = self.plugs[k] == Plug::Storm;
                    let eta = if storm { self.forget.at(t, 0.0) } else { 0.0 };
                    keep(&mut last[k][0], eta, &found[k]);
                }
            }
            terms(on, samples, [w, v, x], &mut found)?;
            for (k, pair) in tables.chunks_exact_mut(2).enumerate().filter(|&(k, _)| self.tabled(k))
            {
                let [table, mean] = pair else { continue };
                let level = usize::from(k >= 3);
                correct(&mut found[k], table, mean, samples[level], batches[level]);
            }
            join(&mut found);
            for k in (0..3).filter(|&k| recursive[k] && sees(k)) {
                add(&mut last[k][0], 1.0, &found[k]);
            }
        }
        for k in (0..3).filter(|&k| recursive[k]) {
            found[k].copy_from_slice(&last[k][0]);
        }
        if any {
            for (old, now) in [(w_old, &*w), (v_old, &*v), (x_old, x)] {
                old[0].copy_from_slice(now);
            }
        }
        if let Some(theta) = self.averaged() {
            let share = if t == 0 { 1.0 } else { theta.at(t, 0.0) };
            scale(&mut average[0], T::from_f64(1.0 - share));
            add(&mut average[0], share, &found[2]);
            found[2].copy_from_slice(&average[0]);
        }
        let [lr_w, lr_v] = self.steps.at(t);
        add(w, -lr_w, &found[0]);
        add(v, -lr_v, &found[1]);
        x_bar.copy_from_slice(&found[2]);
        on.oracle.give_all(found);
        Ok(())
    }
}
