//! `Facts`: a problem, its rule and its start; `Known`: the same with the properties derived from them.

use std::ops::Deref;
use std::sync::Arc;

use hypertape_autodiff::Element;

use crate::oracle::stepper::{AnyRule, Stepper};
use crate::oracle::view::View;
use crate::rule::descent::GradientDescent;

/// A problem, the rule of its inner steps, and the start of its inner loop if that replaces the problem's own.
#[derive(Clone)]
pub(crate) struct Facts<'p, T> {
    pub(crate) view: Arc<dyn View<T> + 'p>,
    pub(crate) rule: Arc<dyn Stepper<T> + 'p>,
    pub(crate) init: Option<Arc<[T]>>,
}

impl<'p, T: Element> Facts<'p, T> {
    /// The problem of `view` with gradient descent from its own start.
    pub(crate) fn new(view: Arc<dyn View<T> + 'p>) -> Self {
        Self { view, rule: AnyRule::new(GradientDescent::default()).0, init: None }
    }
}

/// Facts and the properties derived from them. Facts can be changed only through [`change`](Self::change), which
/// discards the derived properties.
pub(crate) struct Known<F, K> {
    facts: F,
    pub(crate) found: K,
}

impl<F, K: Default> Known<F, K> {
    pub(crate) fn new(facts: F) -> Self {
        Self { facts, found: K::default() }
    }

    /// Discards the derived properties and returns the facts for modification.
    pub(crate) fn change(&mut self) -> &mut F {
        self.found = K::default();
        &mut self.facts
    }
}

impl<F, K> Deref for Known<F, K> {
    type Target = F;

    fn deref(&self) -> &F {
        &self.facts
    }
}
