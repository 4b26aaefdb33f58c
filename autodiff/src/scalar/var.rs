//! Arithmetic of [`Var`]: operations that are recorded, and those that only multiply a derivative.

use std::array::from_fn;
use std::fmt;

use super::chain::{By, Chain, Partial, Statement};
use super::dual::Dual;
use super::number::{number, statements};
use super::real::Scalar;
use super::tape::{Node, Var};

impl<T: Scalar> Var<'_, T> {
    /// Returns the value.
    #[inline(always)]
    pub fn value(self) -> T {
        self.value
    }

    /// Returns whether the number depends on no argument.
    #[inline(always)]
    pub fn is_constant(self) -> bool {
        self.node.is_none()
    }

    /// Returns the same value as a constant, without derivatives of any order, like
    /// [`Array::detach`](crate::Array::detach).
    #[inline(always)]
    pub fn detach(self) -> Self {
        self.each(|x| x)
    }

    /// Returns `by` times the derivative.
    #[inline(always)]
    fn scaled<A: Partial<T>>(self, name: &'static str, by: A) -> T {
        let slope = by.raw(self.slope);
        if A::UNIT || slope.surely_finite() {
            return slope;
        }
        absorbed_slope(self.node, self.slope, name, by).by_fields()
    }

    /// Returns the products for two numbers, as [`scaled`](Self::scaled) does for one, with a single test.
    #[inline(always)]
    fn both_scaled<A: Partial<T>, B: Partial<T>>(
        self,
        other: Self,
        name: &'static str,
        (by, by_other): (A, B),
    ) -> [T; 2] {
        let (w, u) = (by.raw(self.slope), by_other.raw(other.slope));
        if A::UNIT && B::UNIT || (w + u).surely_finite() {
            return [w, u];
        }
        [
            absorbed_slope(self.node, self.slope, name, by).by_fields(),
            absorbed_slope(other.node, other.slope, name, by_other).by_fields(),
        ]
    }

    /// Makes the statement of `x` whose partials are the tangents of `y`. The partials are tested together, and all
    /// arguments but the last two go to their stream at once. An open statement would test each argument, and move each
    /// from place to place.
    #[inline(always)]
    fn fused<const L: usize>(x: [Self; L], y: Dual<T, L>) -> Self {
        let (value, partials) = (y.value(), y.tangents());
        let terms: [_; L] = from_fn(|k| (x[k].node, partials[k].product(x[k].slope)));
        let total = terms.iter().fold(T::zero(), |total, &(_, slope)| total + slope);
        let finite = total.surely_finite();
        if let [before @ .., (Some(a), w), (Some(b), u)] = &terms[..]
            && finite
        {
            let mut more = false;
            for &(node, slope) in before {
                if let Some(node) = node {
                    node.push_extra(slope, more);
                    more = true;
                }
            }
            return Self { value, slope: T::one(), node: a.record(*b, [*w, *u], more) };
        }
        let mut statement = Self::statement();
        for ((x, partial), (node, slope)) in x.into_iter().zip(partials).zip(terms) {
            match node {
                Some(node) if finite => statement.add(node, slope),
                _ => statement.argument(x, partial),
            }
        }
        statement.close(value)
    }
}

/// Returns `by` times a derivative, where zeros absorb, and notes a product that is not finite. It takes the parts of a
/// number: a number that is passed by reference would have to be in memory, even where this is not called.
#[cold]
#[inline(never)]
fn absorbed_slope<T: Scalar>(
    node: Option<Node<'_, T>>,
    slope: T,
    name: &'static str,
    by: impl Partial<T>,
) -> T {
    let product = by.raw(slope);
    if product.surely_finite() {
        return product;
    }
    if let Some(node) = node {
        node.note(name);
    }
    by.absorb(slope)
}

/// Converts a value to a constant.
impl<T: Scalar> From<T> for Var<'_, T> {
    #[inline(always)]
    fn from(value: T) -> Self {
        Self { value, slope: T::zero(), node: None }
    }
}

impl<T: fmt::Debug> fmt::Debug for Var<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.node.is_some() { "Var" } else { "Constant" };
        f.debug_tuple(name).field(&self.value).finish()
    }
}

impl<'t, T: Scalar> Chain for Var<'t, T> {
    type Inner = T;
    type Statement = Arguments<'t, T>;

    #[inline(always)]
    fn inner(self) -> T {
        self.value
    }

    #[inline(always)]
    fn passive(value: T) -> Self {
        Self::from(value)
    }

    #[inline(always)]
    fn is_passive(self) -> bool {
        self.node.is_none()
    }

    #[inline(always)]
    fn unary(self, name: &'static str, value: T, by: impl Partial<T>) -> Self {
        Self { value, slope: self.scaled(name, by), node: self.node }
    }

    #[inline(always)]
    fn binary(
        self,
        other: Self,
        name: &'static str,
        value: T,
        (by, by_other): (impl Partial<T>, impl Partial<T>),
    ) -> Self {
        let (Some(a), Some(b)) = (self.node, other.node) else {
            let active = if self.node.is_some() {
                self.unary(name, value, by)
            } else {
                other.unary(name, value, by_other)
            };
            return active;
        };
        let [w, u] = self.both_scaled(other, name, (by, by_other));
        if a.is(b) {
            return Self { value, slope: w + u, node: self.node };
        }
        Self { value, slope: T::one(), node: a.record(b, [w, u], false) }
    }

    #[inline(always)]
    fn add_product(self, a: Self, b: Self, value: T) -> Self {
        if let (Some(c), Some(p), Some(q)) = (self.node, a.node, b.node) {
            let [w, u] = a.both_scaled(b, "mul", (By(b.value), By(a.value)));
            c.push_extra(self.slope, false);
            return Self { value, slope: T::one(), node: p.record(q, [w, u], true) };
        }
        let product = a.binary(b, "mul", value, (By(b.value), By(a.value)));
        self.binary(product, "add", value, (super::chain::One, super::chain::One))
    }

    #[inline(always)]
    fn statement() -> Arguments<'t, T> {
        Arguments { last: [None; 2], more: false }
    }

    #[inline(always)]
    fn kink(self, name: &'static str) {
        if let Some(node) = self.node {
            node.note(name);
        }
    }
}

/// The arguments of an open statement: the last two, which go into its record, and whether there are others before
/// them, which are recorded as extra arguments.
pub(crate) struct Arguments<'t, T> {
    last: [Option<(Node<'t, T>, T)>; 2],
    more: bool,
}

impl<'t, T: Scalar> Arguments<'t, T> {
    /// Adds a node, and the derivative with respect to it.
    #[inline(always)]
    fn add(&mut self, node: Node<'t, T>, slope: T) {
        let [before, last] = self.last;
        if let Some((node, slope)) = before {
            node.push_extra(slope, self.more);
            self.more = true;
        }
        self.last = [last, Some((node, slope))];
    }
}

impl<'t, T: Scalar> Statement<Var<'t, T>> for Arguments<'t, T> {
    #[inline(always)]
    fn argument(&mut self, argument: Var<'t, T>, partial: T) {
        if let Some(node) = argument.node {
            self.add(node, argument.scaled("statement", By(partial)));
        }
    }

    #[inline(always)]
    fn close(self, value: T) -> Var<'t, T> {
        match self.last {
            [_, None] => Var::from(value),
            [None, Some((node, slope))] => Var { value, slope, node: Some(node) },
            [Some((a, w)), Some((b, u))] => {
                Var { value, slope: T::one(), node: a.record(b, [w, u], self.more) }
            }
        }
    }
}

number! { rules ['t, T: Scalar] Var<'t, T> {
    statements! {}
    type Local<const L: usize> = Dual<T, L>;

    #[inline(always)]
    fn fuse<const L: usize, const M: usize>(
        x: [Self; L],
        f: impl FnOnce([Dual<T, L>; L]) -> [Dual<T, L>; M],
    ) -> [Self; M] {
        f(from_fn(|k| Dual::variable(x[k].value, k))).map(|y| Self::fused(x, y))
    }
    #[inline(always)]
    fn surely_finite(self) -> bool {
        self.value.surely_finite() && self.slope.surely_finite()
    }
    #[inline(always)]
    fn by_fields(self) -> Self {
        Self { value: self.value.by_fields(), slope: self.slope.by_fields(), node: self.node }
    }
    #[inline(always)]
    fn surely_number(self) -> bool {
        self.value.surely_number() && self.slope.surely_number()
    }
    #[inline(always)]
    fn vanishes(self) -> bool {
        self.value.vanishes() && self.node.is_none()
    }
} }
