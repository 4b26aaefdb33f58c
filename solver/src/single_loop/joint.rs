//! `Joint`: a single-loop algorithm as an estimator, whose estimate is the direction of `x`.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hypertape_autodiff::{Element, Shape, all_finite};

use crate::draw::Draw;
use crate::error::Error;
use crate::estimator::Estimator;
use crate::inner::InnerLoop;
use crate::oracle::Oracle;
use crate::outer::Optimiser;
use crate::params::Params;
use crate::pool::Slots;
use crate::rollout::Task;
use crate::single_loop::algorithm::{Kept, Moving, SingleLoop};
use crate::single_loop::sampled::sizes;
use crate::single_loop::sampled::{Chance, Drawn, Sampled};
use crate::spelling::Named;

/// A [`SingleLoop`] as an [`Estimator`].
///
/// Each call is one iteration, which moves `w` and the other kept vectors, and returns the direction of `x` as the
/// gradient. The inner loop passed to a call is ignored. `w` starts at the problem's start.
///
/// Its bytes are those of an iteration and of all kept vectors, including tables. Its state consists of the kept
/// vectors, by name.
pub struct Joint<T> {
    algorithm: Box<dyn SingleLoop<T>>,
    own: Mutex<Own<T>>,
}

/// The data that outlive a call.
struct Own<T> {
    chance: Box<dyn Chance>,
    w: Vec<T>,
    kept: Vec<Slots<T>>,
    /// Declarations and bytes of the kept vectors, once they exist.
    begun: Option<(Vec<Kept>, usize)>,
    /// The state from which they are restored.
    resumed: Params<T>,
    /// A memory limit, and the bytes that were predicted under it.
    admitted: Option<(u64, u64)>,
}

impl<T: Element> Own<T> {
    fn new() -> Self {
        Self {
            chance: Box::new(Drawn),
            w: Vec::new(),
            kept: Vec::new(),
            begun: None,
            resumed: Params::new(),
            admitted: None,
        }
    }

    /// Returns `w` and the kept vectors by name.
    fn named(&self, declared: &[Kept]) -> Params<T> {
        let shape = |kept: &Kept| {
            let [rows, columns] = [kept.count, kept.length].map(u32::try_from);
            Shape::new(rows.unwrap_or(u32::MAX), columns.unwrap_or(u32::MAX))
        };
        let all = declared.iter().zip(&self.kept).filter(|(kept, _)| kept.count > 0);
        all.fold(Params::new().with_column("w", &self.w), |params, (kept, slots)| {
            params.with(kept.name, shape(kept), slots.values().iter().copied())
        })
    }
}

impl<T> fmt::Debug for Joint<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Joint").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl<T: Element> Joint<T> {
    /// Creates the estimator of an algorithm. Its samples and coins are drawn with the seed of the run.
    pub fn new(algorithm: impl SingleLoop<T> + 'static) -> Self {
        let algorithm: Box<dyn SingleLoop<T>> = Box::new(algorithm);
        algorithm.into()
    }

    /// Replaces the source of random choices, which is not part of the state.
    #[must_use]
    pub fn by(self, chance: impl Chance + 'static) -> Self {
        self.own().chance = Box::new(chance);
        self
    }

    /// The default outer optimiser for `x`.
    pub fn outer(&self) -> Optimiser {
        self.algorithm.outer()
    }

    /// The inner variables `w`; empty before the first call.
    pub fn w(&self) -> Vec<T> {
        self.own().w.clone()
    }

    fn own(&self) -> MutexGuard<'_, Own<T>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Creates `w` and the kept vectors, which count as used.
    fn begin(&self, oracle: &mut Oracle<T>, at: Task<T>, own: &mut Own<T>) -> Result<(), Error> {
        let declared = self.algorithm.kept(sizes(oracle));
        own.w = oracle.take(oracle.inner_dim())?;
        oracle.init(at.x, at.draw, &mut own.w)?;
        own.kept.clear();
        for kept in &declared {
            let mut slots = oracle.take_slots(kept.count, kept.length)?;
            slots.values_mut().fill(T::zero());
            own.kept.push(slots);
        }
        let values = declared.iter().map(|kept| kept.count.saturating_mul(kept.length));
        let values = values.fold(own.w.len(), usize::saturating_add);
        let bytes = values.saturating_mul(size_of::<T>());
        if own.resumed.names().is_empty() || oracle.rehearses() {
            own.begun = Some((declared, bytes));
            return Ok(());
        }
        let fresh = own.named(&declared);
        if !fresh.is_like(&own.resumed) {
            let what = format!("the state of {}", self.name());
            return Err(Error::invalid(what, own.resumed.declared(), fresh.declared()));
        }
        let mut rest = own.resumed.values();
        let all = own.kept.iter_mut().map(Slots::values_mut);
        for vector in std::iter::once(&mut own.w[..]).chain(all) {
            let (values, others) = rest.split_at(vector.len());
            vector.copy_from_slice(values);
            rest = others;
        }
        (own.resumed, own.begun) = (Params::new(), Some((declared, bytes)));
        Ok(())
    }

    fn iterate(
        &self,
        oracle: &mut Oracle<T>,
        at: Task<T>,
        own: &mut Own<T>,
        x_bar: &mut [T],
    ) -> Result<T, Error> {
        let mut on = Sampled::new(oracle, &mut *own.chance, at.draw);
        let mut moving = Moving { w: &mut own.w, x: at.x, x_bar, kept: &mut own.kept };
        self.algorithm.iterate(&mut on, &mut moving)?;
        let (loss, t) = (on.loss(), on.iteration());
        let Some(loss) = loss else {
            let why = format!("{} never looks at the outer loss", self.name());
            return Err(Error::Told { why });
        };
        for (quantity, finite) in
            [("the outer loss", loss.is_finite()), ("the direction of x", all_finite(x_bar))]
        {
            if !finite {
                let lr = self.algorithm.steps().at(t)[0];
                return Err(Error::NonFinite { quantity, step: None, lr });
            }
        }
        Ok(loss)
    }
}

impl<T: Element> From<Box<dyn SingleLoop<T>>> for Joint<T> {
    fn from(algorithm: Box<dyn SingleLoop<T>>) -> Self {
        Self { algorithm, own: Mutex::new(Own::new()) }
    }
}

impl<T: Element> Named for Joint<T> {
    fn name(&self) -> String {
        self.algorithm.name()
    }
}

impl<T: Element> Estimator<T> for Joint<T> {
    fn state(&self) -> Params<T> {
        let own = self.own();
        own.begun.as_ref().map_or_else(|| own.resumed.clone(), |(declared, _)| own.named(declared))
    }

    fn set_state(&mut self, state: &Params<T>) -> Result<(), Error> {
        let mut own = self.own();
        (own.resumed, own.begun) = (state.clone(), None);
        Ok(())
    }

    fn brief(&self) -> bool {
        true
    }

    fn chance(&self) -> bool {
        true
    }

    fn remembers(&self) -> bool {
        true
    }

    fn task(&self, oracle: &mut Oracle<T>, at: Task<T>, gradient: &mut [T]) -> Result<T, Error> {
        let tasks = oracle.tasks().max(oracle.batch());
        if tasks > 1 {
            let name = self.name();
            let why = format!("{name} is for problems of a single task, and this one has {tasks}");
            return Err(Error::told(why));
        }
        if !oracle.stationary() {
            let expected = "one that comes to rest where dg/dw = 0, by whose gradient w is moved";
            return Err(Error::invalid("the inner rule", oracle.rule(), expected));
        }
        if oracle.implicit_vanishes()? {
            return Err(Error::ImplicitVanishes);
        }
        if oracle.rehearses() {
            let mut own = Own::new();
            self.begin(oracle, at, &mut own)?;
            let loss = self.iterate(oracle, at, &mut own, gradient)?;
            oracle.give(own.w);
            own.kept.into_iter().for_each(|slots| oracle.give_slots(slots));
            return Ok(loss);
        }
        let mut own = self.own();
        match own.begun {
            Some((_, bytes)) => oracle.hold(bytes),
            None => self.begin(oracle, at, &mut own)?,
        }
        let loss = self.iterate(oracle, at, &mut own, gradient)?;
        oracle.keep_end(at.draw, &own.w);
        oracle.release(own.begun.as_ref().map_or(0, |(_, bytes)| *bytes));
        Ok(loss)
    }

    /// A prediction under the same limit is not repeated.
    fn admit(
        &self,
        oracle: &mut Oracle<T>,
        inner: &InnerLoop,
        x: &[T],
        draw: Draw,
    ) -> Result<u64, Error> {
        let limit = oracle.memory().unwrap_or(u64::MAX);
        if let Some((_, needed)) = self.own().admitted.filter(|&(known, _)| known == limit) {
            return Ok(needed);
        }
        let needed = self.predict(oracle, inner, x, draw)?;
        if needed > limit {
            return Err(Error::Memory { limit, needed, advice: None });
        }
        self.own().admitted = Some((limit, needed));
        Ok(needed)
    }
}
