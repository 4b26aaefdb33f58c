//! Vectors that outlive a call, one for each place in the meta-batch. During a call a place belongs to a single worker.
//! Each vector is stored with the task that it belongs to, because a task may be drawn twice.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hypertape_autodiff::Element;

use crate::error::Error;
use crate::params::Params;

type Places<T> = BTreeMap<usize, (u64, Vec<T>)>;

/// The last vector of each place.
#[derive(Debug, Default)]
pub(crate) struct ByPlace<T>(Mutex<Places<T>>);

impl<T: Element> Clone for ByPlace<T> {
    fn clone(&self) -> Self {
        Self(Mutex::new(self.places().clone()))
    }
}

impl<T: Element> ByPlace<T> {
    /// Removes all vectors and returns them in the order of their places.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Vec<T>> {
        std::mem::take(&mut *self.places()).into_values().map(|(_, v)| v)
    }

    /// Locks the vectors, also after a thread panicked while it held the lock.
    fn places(&self) -> MutexGuard<'_, Places<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Copies the vector in `place` to `v` if it belongs to `task`, and returns whether it did.
    pub(crate) fn load(&self, place: usize, task: u64, v: &mut [T]) -> bool {
        match self.places().get(&place) {
            Some((about, kept)) if *about == task && kept.len() == v.len() => {
                v.copy_from_slice(kept);
                true
            }
            _ => false,
        }
    }

    /// Whether the vector in `place` belongs to `task`.
    pub(crate) fn knows(&self, place: usize, task: u64) -> bool {
        self.places().get(&place).is_some_and(|(about, _)| *about == task)
    }

    pub(crate) fn store(&self, place: usize, task: u64, v: &[T]) {
        let mut places = self.places();
        let (about, kept) = places.entry(place).or_default();
        *about = task;
        kept.clear();
        kept.extend_from_slice(v);
    }

    /// Returns all vectors, named `LETTER.PLACE.TASK`.
    pub(crate) fn state(&self, letter: &str) -> Params<T> {
        let places = self.places();
        let named = places.iter().map(|(place, (task, v))| (format!("{letter}.{place}.{task}"), v));
        named.fold(Params::new(), |state, (name, v)| state.with_column(name, v))
    }

    /// Reads what [`state`](Self::state) returned.
    pub(crate) fn read(letter: &str, state: &Params<T>) -> Result<Self, Error> {
        let parse = |name: &String| {
            let (own, rest) = name.split_once('.')?;
            let (place, task) = rest.split_once('.').filter(|_| own == letter)?;
            Some((place.parse().ok()?, (task.parse().ok()?, state.get(name)?.to_vec())))
        };
        let refuse = |name| Error::invalid("a kept solution", name, format!("{letter}.PLACE.TASK"));
        let read = state.names().iter().map(|name| parse(name).ok_or_else(|| refuse(name)));
        read.collect::<Result<_, _>>().map(|places| Self(Mutex::new(places)))
    }
}
