//! Ctrl-C while the lock is released: the thread that called looks for signals between two evaluations.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use pyo3::prelude::*;

/// Time between two looks. Each takes the lock, for which another thread may let it wait.
const LOOK: Duration = Duration::from_millis(50);

/// Whether a call is to end, and the exception that it ends with.
pub(crate) struct Patience {
    caller: ThreadId,
    over: AtomicBool,
    raised: Mutex<(Instant, Option<PyErr>)>,
}

impl Patience {
    /// Of the thread that calls.
    pub(crate) fn new() -> Arc<Self> {
        let raised = Mutex::new((Instant::now(), None));
        Arc::new(Self { caller: thread::current().id(), over: AtomicBool::new(false), raised })
    }

    /// Whether it is over. Other threads only see what the caller found: signals are its own to handle.
    pub(crate) fn is_over(&self) -> bool {
        if self.over.load(Ordering::Relaxed) || thread::current().id() != self.caller {
            return self.over.load(Ordering::Relaxed);
        }
        let mut raised = self.raised.lock().unwrap_or_else(PoisonError::into_inner);
        if raised.0.elapsed() >= LOOK {
            let seen = Python::attach(|py| py.check_signals());
            raised.0 = Instant::now();
            if let Err(error) = seen {
                raised.1 = Some(error);
                self.over.store(true, Ordering::Relaxed);
            }
        }
        self.over.load(Ordering::Relaxed)
    }

    /// Ends it with an exception, the first if there are several.
    pub(crate) fn end(&self, error: PyErr) {
        self.raised.lock().unwrap_or_else(PoisonError::into_inner).1.get_or_insert(error);
        self.over.store(true, Ordering::Relaxed);
    }

    /// The exception, if there is one.
    pub(crate) fn raised(&self) -> Option<PyErr> {
        self.raised.lock().unwrap_or_else(PoisonError::into_inner).1.take()
    }

    /// What asks an oracle to stop.
    pub(crate) fn stop(self: &Arc<Self>) -> Arc<dyn Fn() -> bool + Send + Sync> {
        let patience = Arc::clone(self);
        Arc::new(move || patience.is_over())
    }
}
