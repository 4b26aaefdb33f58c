//! Ctrl-C while the lock is released: the calling thread checks for signals between two evaluations.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use pyo3::prelude::*;

/// Time between two checks. Each of them takes the lock, and may have to wait for another thread.
const LOOK: Duration = Duration::from_millis(50);

/// Whether a call has to end, and the exception that ends it.
pub(crate) struct Patience {
    caller: ThreadId,
    over: AtomicBool,
    raised: Mutex<(Instant, Option<PyErr>)>,
}

impl Patience {
    /// For a call by this thread.
    pub(crate) fn new() -> Arc<Self> {
        let raised = Mutex::new((Instant::now(), None));
        Arc::new(Self { caller: thread::current().id(), over: AtomicBool::new(false), raised })
    }

    /// Whether the call has to end. Only the calling thread checks for signals, which only it can handle; other threads
    /// see the result.
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

    /// Ends the call with an exception. If there are several, the first one counts.
    pub(crate) fn end(&self, error: PyErr) {
        self.raised.lock().unwrap_or_else(PoisonError::into_inner).1.get_or_insert(error);
        self.over.store(true, Ordering::Relaxed);
    }

    /// Takes the exception, if there is one.
    pub(crate) fn raised(&self) -> Option<PyErr> {
        self.raised.lock().unwrap_or_else(PoisonError::into_inner).1.take()
    }

    /// Returns the function by which an oracle asks whether it has to stop.
    pub(crate) fn stop(self: &Arc<Self>) -> Arc<dyn Fn() -> bool + Send + Sync> {
        let patience = Arc::clone(self);
        Arc::new(move || patience.is_over())
    }
}
