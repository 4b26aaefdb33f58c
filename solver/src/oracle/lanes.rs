//! Lanes: sums over items (blocks of rows, tasks of a meta-batch) whose bits do not depend on the number of threads.
//!
//! A sum of `n` items is split into `k = min(n, L)` lanes, where [`Oracle::set_lanes`](crate::Oracle::set_lanes) sets
//! `L`. Lane `l` contains the items from `l n / k` up to `(l + 1) n / k`. Each lane adds its items in order, and the
//! lanes are added in order, whichever worker computes them. A worker takes consecutive lanes, and all workers except
//! the last take the same number. The first worker adds each of its lanes to the result as soon as it is complete,
//! which takes one vector in addition to the result. Each lane of the others is kept in a vector of its own until its
//! turn.
//!
//! If [`Ranks`] share a sum, rank `k` of `n` computes the lanes from `k L / n` up to `(k + 1) L / n` on one thread.
//! Every rank then receives all lanes, as numbers in `f64`, and adds them.

use std::ops::Range;
#[cfg(feature = "threads")]
use std::sync::Arc;

use hypertape_autodiff::{Element, axpy};

use crate::error::Error;
use crate::ranks::Ranks;

/// Default of the largest number of lanes of a sum, which limits the number of threads that can share one. It is the
/// smallest number that keeps 2, 4 and 8 threads equally busy, because each lane beyond those of the first worker takes
/// a vector.
pub(crate) const LANES: usize = 8;

/// The threads that help the calling thread.
#[derive(Clone, Debug, Default)]
pub(crate) struct Team {
    #[cfg(feature = "threads")]
    pool: Option<Arc<rayon::ThreadPool>>,
}

impl Team {
    /// Starts a team of `helpers` threads, which work alongside the calling one.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] if the system cannot start them, or without the feature `threads`.
    pub(crate) fn new(helpers: usize) -> Result<Self, Error> {
        if helpers == 0 {
            return Ok(Self::default());
        }
        let refuse = |found, expected| Err(Error::invalid("threads", found, expected));
        #[cfg(not(feature = "threads"))]
        {
            refuse((helpers + 1).to_string(), "1, as built without threads")
        }
        #[cfg(feature = "threads")]
        match rayon::ThreadPoolBuilder::new().num_threads(helpers).build() {
            Ok(pool) => Ok(Self { pool: Some(Arc::new(pool)) }),
            Err(why) => refuse(format!("{} ({why})", helpers + 1), "as many as the system starts"),
        }
    }

    /// Executes `jobs` on the helpers and `own` on this thread, and returns when all are finished.
    #[cfg_attr(
        not(feature = "threads"),
        expect(clippy::unused_self, reason = "without threads nobody helps")
    )]
    fn beside<R>(&self, jobs: impl Iterator<Item: FnOnce() + Send>, own: impl FnOnce() -> R) -> R {
        #[cfg(feature = "threads")]
        if let Some(pool) = &self.pool {
            return pool.in_place_scope(|scope| {
                jobs.for_each(|job| scope.spawn(|_| job()));
                own()
            });
        }
        jobs.for_each(|job| job());
        own()
    }
}

/// Adds an item's vector and returns its value, see [`Sharing::sum`]. It is a trait object, so that sharing is compiled
/// once.
pub(crate) type Add<'a, T, W, const N: usize> =
    dyn Fn(&mut W, usize, bool, [&mut [T]; N]) -> Result<T, Error> + Sync + 'a;

/// Splits a vector into parts of these lengths.
fn parts<const N: usize, T>(mut vector: &mut [T], lengths: [usize; N]) -> [&mut [T]; N] {
    lengths.map(|length| vector.split_off_mut(..length).unwrap_or_default())
}

/// Reborrows `out` for a shorter lifetime.
pub(crate) fn again<'a, const N: usize, T>(out: &'a mut [&mut [T]; N]) -> [&'a mut [T]; N] {
    out.each_mut().map(|part| &mut **part)
}

/// How a sum is divided among workers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sharing {
    items: usize,
    lanes: usize,
    /// Number of lanes per worker.
    each: usize,
}

impl Sharing {
    /// Splits `items` into at most `lanes` lanes for at most `workers` workers.
    pub(crate) fn new(items: usize, lanes: usize, workers: usize) -> Self {
        let lanes = items.min(lanes);
        Self { items, lanes, each: lanes.div_ceil(workers).max(1) }
    }

    /// Number of lanes.
    pub(crate) fn lanes(self) -> usize {
        self.lanes
    }

    /// Returns the lane of an item.
    pub(crate) fn lane(self, item: usize) -> usize {
        // The largest `l` with `l n / k < item + 1`.
        ((item + 1) * self.lanes - 1) / self.items
    }

    /// Number of workers that have something to do, at least one.
    pub(crate) fn workers(self) -> usize {
        self.lanes.div_ceil(self.each).max(1)
    }

    /// Number of lanes of all workers but the first.
    fn waiting(self) -> usize {
        self.lanes.saturating_sub(self.each)
    }

    /// Number of vectors needed besides the result.
    pub(crate) fn vectors(self) -> usize {
        self.waiting() + usize::from(self.each > 1)
    }

    /// Number of items of the worker that has the most.
    pub(crate) fn longest(self) -> usize {
        let items = |worker| self.own(worker).map(|lane| self.items(lane).len()).sum();
        (0..self.workers()).map(items).max().unwrap_or_default()
    }

    /// Whether one of a worker's lanes has more than one item.
    pub(crate) fn adds(self, worker: usize) -> bool {
        self.own(worker).any(|lane| self.items(lane).len() > 1)
    }

    /// Returns the lanes of a worker.
    fn own(self, worker: usize) -> Range<usize> {
        worker * self.each..((worker + 1) * self.each).min(self.lanes)
    }

    /// Returns the items of a lane.
    fn items(self, lane: usize) -> Range<usize> {
        lane * self.items / self.lanes..(lane + 1) * self.items / self.lanes
    }

    /// Writes the sum of the items' vectors into `out` and returns the sum of their values. A vector has `N` parts.
    ///
    /// `add(worker, item, first, out)` returns the value of an item and adds its vector to `out`, or overwrites `out`
    /// if the item is the `first` of its lane. `spare` has the length of [`vectors`](Self::vectors).
    ///
    /// # Errors
    /// Returns the error of the first item that fails. The content of `out` is then unspecified.
    pub(crate) fn sum<T: Element, W: Send, const N: usize>(
        self,
        team: &Team,
        workers: &mut [W],
        spare: &mut [T],
        mut out: [&mut [T]; N],
        add: &Add<T, W, N>,
    ) -> Result<T, Error> {
        if self.lanes == 0 {
            for part in out {
                part.fill(T::zero());
            }
            return Ok(T::zero());
        }
        if self.items == 1 {
            return add(&mut workers[0], 0, true, out);
        }
        let lengths = out.each_ref().map(|part| part.len());
        let (width, mut rest) = (lengths.iter().sum::<usize>(), spare);
        let mut vector = || parts(rest.split_off_mut(..width).unwrap_or_default(), lengths);
        // The values and vectors of the lanes that wait for their turn.
        let mut waiting: Vec<_> = (0..self.waiting()).map(|_| (Ok(T::zero()), vector())).collect();
        let mut own = vector();
        let plus = |out: &mut [&mut [T]; N], vector: &[&mut [T]; N]| {
            out.iter_mut().zip(vector).for_each(|(out, part)| axpy(out, T::one(), part));
        };
        let (first, others) = workers.split_at_mut(1);
        let shares = waiting.chunks_mut(self.each).zip(others).zip(1..);
        let jobs = shares.map(|((lanes, worker), k)| {
            move || {
                for ((value, vector), lane) in lanes.iter_mut().zip(k * self.each..) {
                    *value = self.sum_lane(lane, worker, vector, add);
                }
            }
        });
        let mut total = team.beside(jobs, || {
            let mut total = self.sum_lane(0, &mut first[0], &mut out, add)?;
            for lane in 1..self.each {
                total += self.sum_lane(lane, &mut first[0], &mut own, add)?;
                plus(&mut out, &own);
            }
            Ok::<_, Error>(total)
        })?;
        for (value, vector) in waiting {
            total += value?;
            plus(&mut out, &vector);
        }
        Ok(total)
    }

    /// Writes the sum of the vectors of a lane into `out` and returns the sum of its values.
    fn sum_lane<T: Element, W, const N: usize>(
        self,
        lane: usize,
        worker: &mut W,
        out: &mut [&mut [T]; N],
        add: &Add<T, W, N>,
    ) -> Result<T, Error> {
        let (items, mut total) = (self.items(lane), T::zero());
        for item in items.clone() {
            total += add(worker, item, item == items.start, again(out))?;
        }
        Ok(total)
    }

    /// Number of bytes that ranks exchange for a sum of vectors of `width` values.
    pub(crate) fn message(self, width: usize) -> usize {
        self.lanes * (2 + width) * size_of::<f64>()
    }

    /// Computes [`sum`](Self::sum) together with other processes. `worker` adds its lanes in the result as well.
    ///
    /// # Errors
    /// Returns the error of the first item of this rank that fails, or [`Error::Invalid`] if an item of another rank
    /// fails.
    pub(crate) fn sum_over<T: Element, W, const N: usize>(
        self,
        ranks: &dyn Ranks,
        worker: &mut W,
        mut out: [&mut [T]; N],
        add: &Add<T, W, N>,
    ) -> Result<T, Error> {
        let width: usize = out.iter().map(|part| part.len()).sum();
        let (count, length) = (ranks.count(), 2 + width);
        let lanes = |rank| rank * self.lanes / count..(rank + 1) * self.lanes / count;
        // Per lane: whether it failed, its value, its vector.
        let mut told = vec![0.0; self.lanes * length];
        let mut failed = None;
        for lane in lanes(ranks.rank()) {
            let result = self.sum_lane(lane, worker, &mut out, add);
            let part = &mut told[lane * length..(lane + 1) * length];
            part[0] = f64::from(u8::from(result.is_err()));
            part[1] = result.as_ref().map_or(0.0, |total| total.as_f64());
            let vector = out.iter().flat_map(|part| part.iter());
            part[2..].iter_mut().zip(vector).for_each(|(to, from)| *to = from.as_f64());
            failed = failed.or(result.err());
        }
        let lengths: Vec<_> = (0..count).map(|rank| lanes(rank).len() * length).collect();
        ranks.gather(&mut told, &lengths);
        if let Some(error) = failed {
            return Err(error);
        }
        let mut total = T::zero();
        for (lane, part) in told.chunks_exact(length).enumerate() {
            if part[0] != 0.0 {
                let rank = (0..count).find(|&rank| lanes(rank).contains(&lane)).unwrap_or(count);
                let found = format!("an error on rank {rank}");
                return Err(Error::invalid("the other processes", found, "none"));
            }
            total += T::from_f64(part[1]);
            for (to, &from) in out.iter_mut().flat_map(|part| part.iter_mut()).zip(&part[2..]) {
                let from = T::from_f64(from);
                *to = if lane == 0 { from } else { *to + from };
            }
        }
        Ok(total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_are_shared_out_evenly() {
        let table = [
            // items, lanes, threads: workers, vectors
            ((0, LANES, 2), (1, 0)),
            ((1, LANES, 8), (1, 0)),
            ((5, LANES, 1), (1, 1)),
            ((5, LANES, 2), (2, 3)),
            ((60, LANES, 1), (1, 1)),
            ((60, LANES, 2), (2, 5)),
            ((60, LANES, 3), (3, 6)),
            ((60, LANES, 5), (4, 7)),
            ((60, LANES, 8), (8, 7)),
            ((60, LANES, 99), (8, 7)),
            ((60, 64, 3), (3, 41)),
            ((64, 64, 16), (16, 61)),
            ((99, 64, 99), (64, 63)),
        ];
        for ((items, lanes, threads), known) in table {
            let plan = Sharing::new(items, lanes, threads);
            let found = (plan.workers(), plan.vectors());
            assert_eq!(found, known, "{items} items, {lanes} lanes, {threads} threads");
        }
    }

    #[test]
    fn each_item_knows_its_lane() {
        for items in 1..60 {
            let plan = Sharing::new(items, 1 + items % 11, 1);
            for lane in 0..plan.lanes() {
                assert!(plan.items(lane).all(|item| plan.lane(item) == lane), "{items} {lane}");
            }
        }
    }

    #[test]
    fn bits_are_those_of_the_definition_for_any_number_of_workers() {
        // Values whose sums depend on the order.
        let item =
            |i: usize| [0.1, 0.7, 1.3].map(|a| (a + i as f64).sin() * 10_f64.powf((i % 7) as f64));
        let plus = |a: [f64; 3], b: [f64; 3]| [a[0] + b[0], a[1] + b[1], a[2] + b[2]];
        for (items, lanes) in (1..40).flat_map(|items| [1, LANES, 16].map(|lanes| (items, lanes))) {
            let k = items.min(lanes);
            let lane = |l| (l * items / k..(l + 1) * items / k).map(item).reduce(plus).unwrap();
            let known = (0..k).map(lane).reduce(plus).unwrap();
            for threads in 1..=9 {
                let plan = Sharing::new(items, lanes, threads);
                let mut workers = vec![0; plan.workers()];
                let mut spare = vec![f64::NAN; 2 * plan.vectors()];
                let (mut left, mut right) = ([f64::NAN], [f64::NAN]);
                let add = |done: &mut usize, i, first, [left, right]: [&mut [f64]; 2]| {
                    let [value, a, b] = item(i);
                    *done += 1;
                    left[0] = if first { a } else { left[0] + a };
                    right[0] = if first { b } else { right[0] + b };
                    Ok(value)
                };
                let out = [&mut left[..], &mut right];
                let total =
                    plan.sum(&Team::default(), &mut workers, &mut spare, out, &add).unwrap();
                assert_eq!([total, left[0], right[0]], known, "{items} items, {threads} threads");
                assert_eq!(workers.iter().sum::<usize>(), items);
                assert!(!workers.contains(&0), "{items} items, {threads} threads: {workers:?}");
            }
        }
    }
}
