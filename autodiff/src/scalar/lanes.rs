//! [`Lanes`]: numbers at several points side by side, as one number.
//!
//! Every operation is done at each point, in a loop that the compiler turns into instructions on whole registers.
//! `Var<Lanes<f64, 8>>` therefore records eight evaluations as one, and `Dual<Lanes<f64, 8>, N>` carries the tangents
//! of eight.

use std::array::from_fn;
use std::cell::Cell;

use super::number::number;
use super::real::{Scalar, plain_fuse};
use crate::functions::rule::Rule;

/// `N` numbers side by side, one for each of `N` points.
///
/// The results at each point equal, bit for bit, those of an evaluation at that point alone, except for signs of zeros.
/// A branch goes the same way for all points: where a comparison differs between points, it has the result of the
/// first, and this is noted for [`together`] and drivers; [`Map`](super::Map) then evaluates these points one by one.
/// [`Scalar::select`], `max`, `abs` and similar functions choose for each point and are not branches.
///
/// ```
/// use hypertape_autodiff::scalar::{Dual, Float, Lanes, Real};
/// fn f<R: Real>(x: R) -> R {
///     x.square().max(x * 3.0)
/// }
/// let x = Lanes::new([1.0, 2.0, 4.0, 5.0]);
/// assert_eq!(f(x).points(), [3.0, 6.0, 16.0, 25.0]);
/// let [slopes] = f(Dual::<_>::new(x, [Lanes::new([1.0; 4])])).tangents();
/// assert_eq!(slopes.points(), [3.0, 3.0, 8.0, 10.0]);
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Lanes<T, const N: usize>([T; N]);

thread_local! {
    /// Whether points took different sides of a comparison since the current evaluation of this thread began.
    static APART: Cell<bool> = const { Cell::new(false) };
}

/// Returns the result of `f` if the points of all [`Lanes`] in it took the same branches.
///
/// ```
/// use hypertape_autodiff::scalar::{Lanes, together};
/// let far = |x: Lanes<f64, 2>| if x > 1.0 { x - 1.0 } else { x };
/// assert_eq!(together(|| far(Lanes::new([2.0, 5.0]))).map(Lanes::points), Some([1.0, 4.0]));
/// assert!(together(|| far(Lanes::new([0.0, 5.0]))).is_none());
/// ```
pub fn together<R>(f: impl FnOnce() -> R) -> Option<R> {
    let outer = APART.replace(false);
    let result = f();
    (!APART.replace(outer)).then_some(result)
}

/// Returns the common answer of all points. If they differ, returns that of the first and notes it.
#[inline(always)]
fn agreed<B: PartialEq + Copy, const N: usize>(answers: [B; N]) -> B {
    const { assert!(N > 0, "lanes are of one point at least") };
    if answers.iter().any(|answer| *answer != answers[0]) {
        APART.set(true);
    }
    answers[0]
}

impl<T: Scalar, const N: usize> Lanes<T, N> {
    /// Creates a number from its values at each point.
    #[inline(always)]
    pub fn new(points: [T; N]) -> Self {
        Self(points)
    }

    /// Returns the values at each point.
    #[inline(always)]
    pub fn points(self) -> [T; N] {
        self.0
    }

    #[inline(always)]
    fn passive(value: T) -> Self {
        Self([value; N])
    }

    #[inline(always)]
    fn apply(self, f: impl Rule) -> Self {
        Self(from_fn(|k| self.0[k].through(f)))
    }

    #[inline(always)]
    fn ask<B: PartialEq + Copy>(self, f: impl Fn(T) -> B) -> B {
        agreed::<_, N>(from_fn(|k| f(self.0[k])))
    }

    #[inline(always)]
    fn both<B: PartialEq + Copy>(self, other: Self, f: impl Fn(T, T) -> B) -> B {
        agreed::<_, N>(from_fn(|k| f(self.0[k], other.0[k])))
    }

    /// Returns the sum over points, added half by half.
    #[inline(always)]
    pub(super) fn total(self) -> T {
        let (mut sums, mut count) = (self.0, N);
        while count > 1 {
            let upper = count.div_ceil(2);
            (upper..count).for_each(|k| sums[k - upper] += sums[k]);
            count = upper;
        }
        sums[0]
    }
}

number! { lanes::of_points [T: Scalar, const N: usize] Lanes<T, N> {
    plain_fuse! {}
    #[inline(always)]
    fn surely_finite(self) -> bool {
        self.total().surely_finite()
    }
    #[inline(always)]
    fn surely_number(self) -> bool {
        self.total().surely_number()
    }
    #[inline(always)]
    fn by_fields(self) -> Self {
        Self(from_fn(|k| self.0[k].by_fields()))
    }
    #[inline(always)]
    fn product(self, factor: Self) -> Self {
        Self(from_fn(|k| self.0[k].product(factor.0[k])))
    }
    #[inline(always)]
    fn vanishes(self) -> bool {
        self.0.iter().all(|x| x.vanishes())
    }
} }

/// The operations at each point, by the names of `rules.rs`.
pub(crate) mod of_points {
    use std::array::from_fn;

    use crate::array::element::Element;
    use crate::scalar::lanes::Lanes;
    use crate::scalar::real::Scalar;

    pub(crate) const ORDER: u32 = 0;

    macro_rules! at_each {
        ($($name:ident($($x:ident),*): $result:expr;)*) => {$(
            #[inline(always)]
            pub(crate) fn $name<T: Scalar, const N: usize>($($x: Lanes<T, N>),*) -> Lanes<T, N> {
                Lanes(from_fn(|k| {
                    let ($($x,)*) = ($($x.0[k],)*);
                    $result
                }))
            }
        )*};
    }
    at_each! {
        neg(x): -x;
        add(a, b): a + b;
        sub(a, b): a - b;
        mul(a, b): a * b;
        div(a, b): a / b;
        rem(a, b): a % b;
        powf(a, b): a.powf(b);
        log(a, b): a.log(b);
        hypot(a, b): a.hypot(b);
        atan2(a, b): a.atan2(b);
        copysign(a, b): a.copysign(b);
        max(a, b): a.max(b);
        min(a, b): a.min(b);
        abs_sub(a, b): a.abs_sub(b);
        absorb(a, b): a.absorb(b);
        mul_add(x, a, b): x.mul_add(a, b);
        add_product(c, a, b): c.add_product(a, b);
        select(mask, a, b): mask.select(a, b);
    }

    #[inline(always)]
    pub(crate) fn quotient<T: Scalar, const N: usize>(c: f64, x: Lanes<T, N>) -> Lanes<T, N> {
        Lanes::passive(T::constant(Element::from_f64(c))) / x
    }

    #[inline(always)]
    pub(crate) fn powi<T: Scalar, const N: usize>(x: Lanes<T, N>, n: i32) -> Lanes<T, N> {
        Lanes(from_fn(|k| x.0[k].powi(n)))
    }

    #[inline(always)]
    pub(crate) fn sin_cos<T: Scalar, const N: usize>(x: Lanes<T, N>) -> (Lanes<T, N>, Lanes<T, N>) {
        let both: [_; N] = from_fn(|k| x.0[k].sin_cos());
        (Lanes(from_fn(|k| both[k].0)), Lanes(from_fn(|k| both[k].1)))
    }

    #[inline(always)]
    pub(crate) fn compare<T: Scalar, const N: usize>(
        a: Lanes<T, N>,
        b: Lanes<T, N>,
        test: impl Fn(T::Plain, T::Plain) -> bool,
    ) -> Lanes<T, N> {
        Lanes(from_fn(|k| a.0[k].compare(b.0[k], &test)))
    }

    #[inline(always)]
    pub(crate) fn each<T: Scalar, const N: usize>(
        x: Lanes<T, N>,
        f: impl Fn(T::Plain) -> T::Plain,
    ) -> Lanes<T, N> {
        Lanes(from_fn(|k| x.0[k].each(&f)))
    }

    #[inline(always)]
    pub(crate) fn any<T: Scalar, const N: usize>(
        x: Lanes<T, N>,
        test: impl Fn(T::Plain) -> bool,
    ) -> bool {
        // Without short-circuiting, so that the loop vectorises.
        x.0.into_iter().fold(false, |any, x| any | x.any(&test))
    }

    #[inline(always)]
    pub(crate) fn alike<T: Scalar, const N: usize>(x: Lanes<T, N>) -> Option<T::Plain> {
        let first = x.0[0].alike()?;
        x.0.iter().all(|x| x.alike() == Some(first)).then_some(first)
    }
}
