//! The rules of scalars that are not in the [table](crate::functions), for everything that carries derivatives. They
//! give values and partials over the inner number, which a [`Chain`] turns into tangents or records.

use num_traits::{Float, One as _, Zero};

use super::chain::{Bar, By, Chain, Minus, One, Statement};
use super::real::{Scalar, expect_pairs, shift};
use crate::array::element::Element;
use crate::functions::rule::{self, Unary, with_rule};

/// The order of derivatives that a chain adds to that of its inner number.
pub(crate) const ORDER: u32 = 1;

/// The plain float of a chain.
type Plain<C> = <<C as Chain>::Inner as Scalar>::Plain;

#[inline(always)]
pub(crate) fn neg<C: Chain>(x: C) -> C {
    x.unary("neg", -x.inner(), Minus)
}

#[inline(always)]
pub(crate) fn add<C: Chain>(a: C, b: C) -> C {
    a.binary(b, "add", a.inner() + b.inner(), (One, One))
}

#[inline(always)]
pub(crate) fn sub<C: Chain>(a: C, b: C) -> C {
    a.binary(b, "sub", a.inner() - b.inner(), (One, Minus))
}

#[inline(always)]
pub(crate) fn mul<C: Chain>(a: C, b: C) -> C {
    a.binary(b, "mul", a.inner() * b.inner(), (By(b.inner()), By(a.inner())))
}

#[inline(always)]
pub(crate) fn div<C: Chain>(a: C, b: C) -> C {
    let (q, r) = (a.inner() / b.inner(), b.inner().recip());
    a.binary(b, "div", q, (By(r), By(-(q * r))))
}

#[inline(always)]
pub(crate) fn rem<C: Chain>(a: C, b: C) -> C {
    let r = a.inner() % b.inner();
    if r.any(|r| r.is_zero()) {
        kink("rem", a, b);
    }
    // Rounded to an integer, because `a / b` may have been rounded up to the next.
    let whole = ((a.inner() - r) / b.inner()).round();
    a.binary(b, "rem", r, (One, By(-whole)))
}

/// `c / x`
#[inline(always)]
pub(crate) fn quotient<C: Chain>(c: f64, x: C) -> C {
    let y = C::Inner::constant(Plain::<C>::from_f64(c)) / x.inner();
    x.unary("div", y, By(-(y / x.inner())))
}

/// Records that a function of two numbers has no derivative here.
#[inline(always)]
fn kink<C: Chain>(name: &'static str, a: C, b: C) {
    if a.is_passive() { b.kink(name) } else { a.kink(name) }
}

#[inline(always)]
pub(crate) fn powi<C: Chain>(x: C, n: i32) -> C {
    let inner = x.inner();
    let below = match n.checked_sub(1) {
        Some(below) => inner.powi(below),
        None => inner.powi(n) / inner,
    };
    let slope = if n == 0 { C::Inner::zero() } else { below * Plain::<C>::from_f64(n.into()) };
    x.unary("powi", inner.powi(n), By(slope))
}

#[inline(always)]
pub(crate) fn powf<C: Chain>(x: C, p: C) -> C {
    let (base, exponent) = (x.inner(), p.inner());
    let (y, zero) = (base.powf(exponent), C::Inner::zero());
    let mut by_base = base.powf(exponent - Plain::<C>::one()).absorb(exponent);
    if base.any(|base| base.is_zero()) {
        // At 0, 0 for powers between 0 and 1.
        let between = |p: Plain<C>| p > Plain::<C>::zero() && p < Plain::<C>::one();
        let flat = base.compare(exponent, |base, p| base.is_zero() && between(p));
        if flat.any(|flat| !flat.is_zero()) {
            x.kink("powf");
        }
        by_base = flat.select(zero, by_base);
    }
    if p.is_passive() {
        return x.unary("powf", y, By(by_base));
    }
    x.binary(p, "powf", y, (By(by_base), By(base.ln().absorb(y))))
}

#[inline(always)]
pub(crate) fn log<C: Chain + Float>(x: C, base: C) -> C {
    x.ln() / base.ln()
}

/// Returns `a/r` and `b/r` with `r = (a^2 + b^2)^(1/2)`, and 0 at 0. The operands are scaled if `r` overflows or is
/// subnormal.
#[inline(always)]
fn direction<T: Scalar>(a: T, b: T, r: T) -> [T; 2] {
    let (one, epsilon) = (T::Plain::one(), T::Plain::epsilon());
    let scale = |size: T::Plain| match size {
        _ if size.is_infinite() => epsilon,
        _ if size * epsilon < T::Plain::min_positive_value() => (epsilon * epsilon).recip(),
        _ => one,
    };
    if !r.any(|size| scale(size) != one) {
        return [a / r, b / r];
    }
    let (scale, none) = (r.each(scale), r.equal(T::zero()));
    let (a, b) = (a * scale, b * scale);
    let r = none.select(T::one(), a.hypot(b));
    [a / r, b / r]
}

#[inline(always)]
pub(crate) fn hypot<C: Chain>(a: C, b: C) -> C {
    let r = a.inner().hypot(b.inner());
    if r.any(|r| r.is_zero()) {
        kink("hypot", a, b);
    }
    let [by_a, by_b] = direction(a.inner(), b.inner(), r);
    a.binary(b, "hypot", r, (By(by_a), By(by_b)))
}

#[inline(always)]
pub(crate) fn atan2<C: Chain>(a: C, b: C) -> C {
    let r = a.inner().hypot(b.inner());
    let [sin, cos] = direction(a.inner(), b.inner(), r);
    let mut over = r;
    if r.any(|r| r.is_zero()) {
        kink("atan2", a, b);
        over = r.equal(C::Inner::zero()).select(C::Inner::one(), r);
    }
    a.binary(b, "atan2", a.inner().atan2(b.inner()), (By(cos / over), By(-(sin / over))))
}

#[inline(always)]
pub(crate) fn sin_cos<C: Chain>(x: C) -> (C, C) {
    let (sin, cos) = x.inner().sin_cos();
    (x.unary("sin", sin, By(cos)), x.unary("cos", cos, By(-sin)))
}

/// `x a + b`
#[inline(always)]
pub(crate) fn mul_add<C: Chain>(x: C, a: C, b: C) -> C {
    b.add_product(x, a, x.inner().mul_add(a.inner(), b.inner()))
}

/// `c + a b`
#[inline(always)]
pub(crate) fn add_product<C: Chain>(c: C, a: C, b: C) -> C {
    c.add_product(a, b, c.inner().add_product(a.inner(), b.inner()))
}

#[inline(always)]
pub(crate) fn max<C: Chain>(a: C, b: C) -> C {
    chosen("max", a, b, |a, b| a >= b || b.is_nan())
}

#[inline(always)]
pub(crate) fn min<C: Chain>(a: C, b: C) -> C {
    chosen("min", a, b, |a, b| a <= b || b.is_nan())
}

/// Returns `a` where `before(a, b)` holds, otherwise `b`.
#[inline(always)]
fn chosen<C: Chain>(
    name: &'static str,
    a: C,
    b: C,
    before: impl Fn(Plain<C>, Plain<C>) -> bool,
) -> C {
    let (x, y) = (a.inner(), b.inner());
    if x.equal(y).any(|same| !same.is_zero()) {
        kink(name, a, b);
    }
    choose(x.compare(y, before), a, b)
}

/// Returns `a` where the mask is not 0 and `b` where it is.
#[inline(always)]
fn choose<C: Chain>(mask: C::Inner, a: C, b: C) -> C {
    if !mask.any(|mask| mask.is_zero()) {
        return a;
    }
    if !mask.any(|mask| !mask.is_zero()) {
        return b;
    }
    C::blend(mask.compare(C::Inner::zero(), |mask, zero| mask != zero), a, b)
}

#[inline(always)]
pub(crate) fn select<C: Chain>(mask: C, a: C, b: C) -> C {
    choose(mask.inner(), a, b)
}

#[inline(always)]
pub(crate) fn compare<C: Chain>(a: C, b: C, test: impl Fn(Plain<C>, Plain<C>) -> bool) -> C {
    C::passive(a.inner().compare(b.inner(), test))
}

#[inline(always)]
pub(crate) fn each<C: Chain>(x: C, f: impl Fn(Plain<C>) -> Plain<C>) -> C {
    C::passive(x.inner().each(f))
}

#[inline(always)]
pub(crate) fn any<C: Chain>(x: C, test: impl Fn(Plain<C>) -> bool) -> bool {
    x.inner().any(test)
}

#[inline(always)]
pub(crate) fn alike<C: Chain>(x: C) -> Option<Plain<C>> {
    x.inner().alike()
}

#[inline(always)]
pub(crate) fn abs_sub<C: Chain>(a: C, b: C) -> C {
    sub(a, b).apply(rule::Relu)
}

#[inline(always)]
pub(crate) fn copysign<C: Chain>(x: C, sign: C) -> C {
    let same = |a: Plain<C>, b: Plain<C>| a.is_sign_negative() == b.is_sign_negative();
    choose(x.inner().compare(sign.inner(), same), x, neg(x))
}

/// `sum_i c_i x_i`
#[inline(always)]
fn weighted<C: Chain>(terms: impl Iterator<Item = (Plain<C>, C)>) -> C {
    let (mut sum, mut statement) = (C::Inner::zero(), C::statement());
    for (c, x) in terms {
        sum += x.inner() * c;
        statement.argument(x, C::Inner::constant(c));
    }
    statement.close(sum)
}

#[inline]
pub(crate) fn sum_of<C: Chain>(x: &[C]) -> C {
    weighted(x.iter().map(|&x| (Plain::<C>::one(), x)))
}

#[inline]
pub(crate) fn dot<C: Chain>(a: &[C], b: &[C]) -> C {
    expect_pairs("dot", a.len(), b.len());
    let (mut sum, mut statement) = (C::Inner::zero(), C::statement());
    for (&a, &b) in a.iter().zip(b) {
        sum = sum.add_product(a.inner(), b.inner());
        statement.product(a, b);
    }
    statement.close(sum)
}

#[inline]
pub(crate) fn linear<C: Chain>(c: &[Plain<C>], x: &[C]) -> C {
    expect_pairs("linear", c.len(), x.len());
    weighted(c.iter().copied().zip(x.iter().copied()))
}

#[inline]
pub(crate) fn logsumexp<C: Chain>(x: &[C]) -> C {
    let (infinity, mut statement) = (Plain::<C>::infinity(), C::statement());
    if x.iter().any(|x| x.inner().any(|x| x == infinity)) {
        // A single infinity has a share of 1; the shares of several depend on how the limit is approached.
        let has = |x: &C| x.inner().primal() == infinity;
        let single = x.iter().filter(|x| has(x)).count() == 1;
        let share = if single { C::Inner::one() } else { C::Inner::nan() };
        for &x in x {
            statement.argument(x, if has(&x) { share } else { C::Inner::zero() });
        }
        let inner: Vec<_> = x.iter().map(|x| x.inner()).collect();
        return statement.close(C::Inner::logsumexp(&inner));
    }
    let most = shift(x.iter().map(|x| x.inner()));
    let mut sum = C::Inner::zero();
    for &x in x {
        let e = (x.inner() - most).exp();
        sum += e;
        statement.argument(x, e);
    }
    add(statement.close(sum).apply(rule::Ln), C::passive(most))
}

/// Returns the product of a slope and an adjoint, with the derivatives of both.
#[inline(always)]
pub(crate) fn absorb<C: Chain>(slope: C, adjoint: C) -> C {
    let (w, c) = (slope.inner(), adjoint.inner());
    slope.binary(adjoint, "mul", w.absorb(c), (Bar(c), By(w)))
}

impl Unary {
    /// Returns the value at a scalar, with the derivatives that it carries.
    #[doc(hidden)]
    pub fn of_scalar<R: Scalar>(self, x: R) -> R {
        with_rule!(self, |f| x.through(f))
    }
}
