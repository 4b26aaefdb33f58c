//! Settings of operations: the form that a node holds, the form at an evaluation, and how tracing converts back.

use std::ops::Range;

use crate::array::by_value::Method;
use crate::array::kernels::convolution::Role;
use crate::fault::Fault;
use crate::shape::{Axis, Shape};

/// The samples that an evaluation sees: `start..start + len` of `of`. Nodes whose rows belong to samples are cut in
/// proportion.
///
/// ```
/// use hypertape_autodiff::graph::Window;
/// let window = Window::new(2..5, 10);
/// assert_eq!(window.of_rows(20), 4..10);
/// assert_eq!(Window::ALL.of_rows(20), 0..20);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    start: usize,
    len: usize,
    of: usize,
}

impl Window {
    /// The window of all samples.
    pub const ALL: Self = Self { start: 0, len: 1, of: 1 };

    /// Creates a window of the samples in a range, of `of` in all. The range is cut to `0..of`.
    pub fn new(range: Range<usize>, of: usize) -> Self {
        let of = of.max(1);
        let (start, end) = (range.start.min(of), range.end.min(of));
        Self { start, len: end.saturating_sub(start), of }
    }

    /// Returns the range of rows of the samples in view, where `rows` rows belong to all samples.
    pub fn of_rows(self, rows: usize) -> Range<usize> {
        let each = rows / self.of;
        each * self.start..each * (self.start + self.len)
    }

    /// Whether all samples are in view.
    pub(crate) fn is_all(self) -> bool {
        self.len == self.of
    }

    /// Returns a shape whose rows belong to all samples, cut to those in view.
    pub(crate) fn cut(self, shape: Shape) -> Shape {
        let rows = self.of_rows(shape.rows as usize).len();
        Shape::new(u32::try_from(rows).unwrap_or(u32::MAX), shape.cols)
    }
}

/// The data of an evaluation that settings depend on.
pub(crate) struct At<'a, 'l> {
    /// The named lists of whole numbers.
    pub(crate) lists: &'l [&'a [u32]],
    /// The samples in view for a node whose rows belong to samples, and [`Window::ALL`] for any other.
    pub(crate) window: Window,
}

/// A list of whole numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Indices {
    /// A list that is part of the graph.
    Given(Vec<u32>),
    /// The list input of this number.
    Named(usize),
    /// A list that has the same numbers for each sample, relative to its own rows. The entries of the first samples
    /// serve for any others.
    #[doc(hidden)]
    Alike(Vec<u32>),
}

/// A setting of an operation.
pub(crate) trait Setting: Sized {
    /// The type that the operation takes.
    type Given<'a>;
    /// Returns the setting at an evaluation.
    fn give<'a>(&'a self, at: &At<'a, '_>) -> Self::Given<'a>;
    /// Converts the setting back when tracing; `lists` are the addresses of the named lists.
    fn take(given: Self::Given<'_>, lists: &[Range<usize>]) -> Result<Self, Fault>;
}

macro_rules! plain {
    ($($type:ty),*) => {$(
        impl Setting for $type {
            type Given<'a> = Self;
            fn give<'a>(&'a self, _: &At<'a, '_>) -> Self {
                *self
            }
            fn take(given: Self, _: &[Range<usize>]) -> Result<Self, Fault> {
                Ok(given)
            }
        }
    )*};
}
plain!(bool, u32, usize, Role, Method, Axis);

impl Setting for Shape {
    type Given<'a> = Self;

    fn give<'a>(&'a self, at: &At<'a, '_>) -> Self {
        at.window.cut(*self)
    }

    fn take(given: Self, _: &[Range<usize>]) -> Result<Self, Fault> {
        Ok(given)
    }
}

impl Setting for Indices {
    type Given<'a> = &'a [u32];

    fn give<'a>(&'a self, at: &At<'a, '_>) -> &'a [u32] {
        let list = match self {
            Self::Given(list) => list,
            Self::Alike(list) => return &list[..at.window.of_rows(list.len()).len()],
            Self::Named(number) => at.lists.get(*number).copied().unwrap_or_default(),
        };
        &list[at.window.of_rows(list.len())]
    }

    fn take(given: &[u32], lists: &[Range<usize>]) -> Result<Self, Fault> {
        let given_at = addresses(given);
        for (number, list) in lists.iter().enumerate() {
            if given_at == *list && !given.is_empty() {
                return Ok(Self::Named(number));
            }
            if given_at.start.max(list.start) < given_at.end.min(list.end) {
                return Err(Fault::Trace { what: "takes a part of a named list" });
            }
        }
        Ok(Self::Given(given.to_vec()))
    }
}

/// Returns the address range of a list, by which tracing recognises named lists.
pub(crate) fn addresses(list: &[u32]) -> Range<usize> {
    let start = list.as_ptr() as usize;
    start..start + size_of_val(list)
}
