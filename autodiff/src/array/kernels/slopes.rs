//! Steps of the chain rule at single entries, with and without a tangent, so that each step is one pass over memory.
//!
//! Zeros absorb as described in [`conventions`](crate::conventions).

use crate::array::kernels::number::Number;
use crate::conventions::passed;
use crate::functions::rule::{Rule, Slope, Term};

/// One entry.
#[derive(Clone, Copy)]
struct Lane<T, const FMA: bool>(T);

impl<T: Number, const FMA: bool> Term<'_> for Lane<T, FMA> {
    #[inline(always)]
    fn of(self, f: impl Rule) -> Self {
        Self(f.at::<FMA, T>(self.0))
    }

    #[inline(always)]
    fn by(self, other: Self) -> Self {
        Self(self.0 * other.0)
    }
}

/// One entry and its tangent.
#[derive(Clone, Copy)]
struct DualLane<T, const FMA: bool, const TAIL: bool> {
    value: T,
    tangent: T,
}

impl<T: Number, const FMA: bool, const TAIL: bool> Term<'_> for DualLane<T, FMA, TAIL> {
    #[inline(always)]
    fn of(self, f: impl Rule) -> Self {
        let value = f.at::<FMA, T>(self.value);
        let tangent = chain::<FMA, TAIL, T>(f, self.value, value, self.tangent);
        Self { value, tangent }
    }

    #[inline(always)]
    fn by(self, other: Self) -> Self {
        let tangent = passed(other.value, self.tangent) + passed(self.value, other.tangent);
        Self { value: self.value * other.value, tangent }
    }
}

/// Returns the slope at `x`, where `y = f(x)`. It is accurate in the tail of `f` only if `TAIL`.
#[inline(always)]
fn slope<'a, const TAIL: bool, T: Number, R: Term<'a>>(
    f: impl Rule,
    [x, y]: [R; 2],
    at: T,
    select: impl Fn(bool, R, R) -> R,
) -> Slope<R> {
    match (f.slope(x, y), f.tail(x, y)) {
        (Slope::Varying(here), Slope::Varying(there)) if TAIL => {
            Slope::Varying(select(f.in_tail(at), there, here))
        }
        (slope, _) => slope,
    }
}

/// Returns `f'(x) c`, where `y = f(x)`.
#[inline(always)]
pub(crate) fn chain<const FMA: bool, const TAIL: bool, T: Number>(
    f: impl Rule,
    x: T,
    y: T,
    c: T,
) -> T {
    let select = |tail, a, b| if tail { a } else { b };
    match slope::<TAIL, T, _>(f, [Lane::<T, FMA>(x), Lane(y)], y, select) {
        Slope::Zero => T::zero(),
        Slope::One => c,
        Slope::Number(factor) => c * T::of(factor),
        Slope::Over(divisor) => c / T::of(divisor),
        Slope::Piecewise(slope)
        | Slope::Varying(slope)
        | Slope::Adjoint(slope)
        | Slope::Masked(slope, _) => passed(slope.0, c),
    }
}

/// Returns `f''(x) dx c`, the tangent of [`chain`] for a constant `c`.
#[inline(always)]
pub(crate) fn chain_tangent<const FMA: bool, const TAIL: bool, T: Number>(
    f: impl Rule,
    x: T,
    y: T,
    dx: T,
    c: T,
) -> T {
    let dy = chain::<FMA, TAIL, T>(f, x, y, dx);
    let of =
        [DualLane::<T, FMA, TAIL> { value: x, tangent: dx }, DualLane { value: y, tangent: dy }];
    let select = |tail, a: DualLane<T, FMA, TAIL>, b: DualLane<T, FMA, TAIL>| DualLane {
        value: if tail { a.value } else { b.value },
        tangent: if tail { a.tangent } else { b.tangent },
    };
    match slope::<TAIL, T, _>(f, of, y, select) {
        Slope::Varying(slope) => passed(slope.tangent, c),
        _ => T::zero(),
    }
}
