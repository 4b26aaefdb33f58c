//! Errors of the elementary functions: `f64` against 160-bit arithmetic at seeded points, `f32` against the standard
//! library (for `erf` and `erfc`, against the kernels) in `f64`, whose own error is below 1e-8 of an `f32` unit, at evenly
//! spread bit patterns.

use std::ops::Range;

use dashu_float::FBig;

use super::*;

/// Number of points in each range. The errors in the table of the module are those of ten times as many.
const POINTS: u32 = 300;
/// Distance between the bit patterns that are tested. The errors in the table are those of every 67th pattern and, for
/// `tanh`, of all from 2^-13 to 10.
const STRIDE: usize = 2039;

/// A function without and with fused multiply-add.
type Pair<T> = [fn(T) -> T; 2];

/// Uniform in [0, 1): number `i` of a stream (`SplitMix64`).
fn uniform(i: u32) -> f64 {
    let mut z = (u64::from(i) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 * (f64::EPSILON / 2.0)
}

fn points(range: &Range<f64>) -> impl Iterator<Item = f64> {
    (0..POINTS).map(|i| range.start + (range.end - range.start) * uniform(i))
}

/// Powers of 10 of both signs.
fn powers(exponents: &Range<f64>) -> impl Iterator<Item = f64> {
    let signed = |(i, e)| if i % 2 == 0 { 10_f64.powf(e) } else { -(10_f64.powf(e)) };
    points(exponents).enumerate().map(signed)
}

fn big(x: f64) -> FBig {
    FBig::try_from(x).unwrap().with_precision(160).value()
}

/// `|found - known|` in units of the last place of `known`.
fn ulps(found: f64, known: &FBig) -> f64 {
    let binade = f64::from_bits(known.to_f64().value().to_bits() & 0x7ff0_0000_0000_0000);
    let ulp = (binade * f64::EPSILON).max(5e-324);
    ((big(found) - known) / big(ulp)).to_f64().value().abs()
}

#[track_caller]
fn check(f: Pair<f64>, known: fn(&FBig) -> FBig, x: impl Iterator<Item = f64>, stated: f64) {
    for x in x {
        let known = known(&big(x));
        let found = f.map(|f| ulps(f(x), &known));
        assert!(found.iter().all(|&u| u <= stated), "{x:e}: {found:?} ulp, at most {stated}");
    }
}

/// The middle, both ends, and results that are subnormal.
const RANGES: [Range<f64>; 6] =
    [-1.0..1.0, -10.0..10.0, -38.0..-30.0, -745.0..709.0, -745.1..-708.0, 709.0..709.78];
const TINY: [Range<f64>; 2] = [-300.0..-1.0, -17.0..-1.0];

#[test]
fn errors_of_f64_are_as_stated() {
    let everywhere = || RANGES.iter().flat_map(points).chain(TINY.iter().flat_map(powers));
    check([exp::<false, _>, exp::<true, _>], FBig::exp, everywhere(), 0.97);
    let known = |x: &FBig| big(1.0) / ((-x.clone()).exp() + big(1.0));
    check([sigmoid::<false, _>, sigmoid::<true, _>], known, everywhere(), 1.9);
    let known = |x: &FBig| x.exp().ln_1p();
    check([softplus::<false, _>, softplus::<true, _>], known, everywhere(), 1.4);
    let known = |x: &FBig| {
        let e = (x.clone() + x).exp_m1();
        &e / (&e + big(2.0))
    };
    let x = [-1.0..1.0, -25.0..25.0];
    let x = x.iter().flat_map(points).chain(TINY.iter().flat_map(powers));
    check([tanh::<false, _>, tanh::<true, _>], known, x, 2.4);
    let x = [-1.0..1.0, -1.0..-0.9, 0.0..10.0, 0.0..1000.0];
    let x = x.iter().flat_map(points).chain(TINY.iter().flat_map(powers));
    let x = x.chain([0.0..17.0, 0.0..308.0].iter().flat_map(powers).map(f64::abs));
    check([log1p::<false, _>, log1p::<true, _>], FBig::ln_1p, x, 0.78);
    let x = [0.5..1.5, 0.0..1000.0].iter().flat_map(points);
    let x = x.chain([-323.0..308.0, -323.0..-307.0].iter().flat_map(powers).map(f64::abs));
    check([ln::<false, _>, ln::<true, _>], FBig::ln, x, 0.80);
    let (ends, tiny) = ([-745.0..709.7, 709.0..709.78], || TINY.iter().flat_map(powers));
    let x = RANGES[..3].iter().chain(&ends).flat_map(points).chain(tiny());
    check([exp_m1::<false, _>, exp_m1::<true, _>], FBig::exp_m1, x, 2.0);
    let both = [-0.5..0.5, -25.0..25.0, -710.0..710.0, 709.0..710.475];
    let x = || both.iter().flat_map(points).chain(tiny());
    check([sinh::<false, _>, sinh::<true, _>], FBig::sinh, x(), 2.3);
    check([cosh::<false, _>, cosh::<true, _>], FBig::cosh, x(), 1.5);
    let x = x().chain([0.0..308.0, 0.0..20.0].iter().flat_map(powers));
    check([asinh::<false, _>, asinh::<true, _>], FBig::asinh, x, 1.5);
    let x = [1.0..1.01, 1.0..10.0].iter().flat_map(points);
    let x = x.chain([0.0..308.0, 0.0..20.0].iter().flat_map(powers).map(f64::abs));
    check([acosh::<false, _>, acosh::<true, _>], FBig::acosh, x, 2.2);
    let x = [-0.5..0.5, -1.0..1.0, 0.9999..1.0].iter().flat_map(points).chain(tiny());
    check([atanh::<false, _>, atanh::<true, _>], FBig::atanh, x, 1.7);
}

#[test]
fn errors_of_hypot_are_as_stated() {
    let sizes = [-307.0..307.9, -307.0..307.9, -1.0..1.0, -160.0..-150.0];
    for (a, share) in sizes.iter().flat_map(powers).zip((0..).map(uniform)) {
        let known = big(a).hypot(&big(a * share));
        let error = ulps(hypot(a, a * share), &known);
        assert!(error <= 1.1, "{a:e}, {:e}: {error} ulp", a * share);
    }
    for (a, share) in (0..=u32::MAX).step_by(STRIDE).map(f32::from_bits).zip((0..97).cycle()) {
        let b = a * (share as f32 / 64.0);
        let known = f64::from(a).hypot(f64::from(b));
        let found = hypot(a, b);
        let ulp = f64::from(found.next_up() - found);
        let error = (f64::from(found) - known).abs() / ulp;
        let over = found.is_infinite() && known > f64::from(f32::MAX);
        assert!(error <= 1.2 || over || known.is_nan() && found.is_nan(), "{a:e}, {b:e}: {error}");
    }
    let (inf, nan) = (f64::INFINITY, f64::NAN);
    assert_eq!([hypot(inf, nan), hypot(nan, -inf), hypot(0.0, -0.0)], [inf, inf, 0.0]);
    assert_eq!([hypot(5e-324, 0.0), hypot(f64::MAX, f64::MAX)], [5e-324, inf]);
    assert!(hypot(nan, 1.0).is_nan());
}

#[track_caller]
#[expect(clippy::cast_possible_truncation, reason = "only the binade is read")]
fn check_single(f: Pair<f32>, known: fn(f64) -> f64, stated: f64) {
    for x in (0..=u32::MAX).step_by(STRIDE).map(f32::from_bits) {
        let known = known(f64::from(x));
        let binade = f32::from_bits((known as f32).to_bits() & 0x7f80_0000);
        let ulp = f64::from((binade * f32::EPSILON).max(1e-45));
        for found in f.map(|f| f(x)) {
            if known.is_nan() || binade.is_infinite() {
                let right = if known.is_nan() { found.is_nan() } else { found == known as f32 };
                assert!(right, "{x:e}: {found}, not {known}");
                continue;
            }
            let error = (f64::from(found) - known).abs() / ulp;
            assert!(error <= stated, "{x:e}: {error} ulp, at most {stated}");
        }
    }
}

#[test]
fn errors_of_f32_are_as_stated() {
    check_single([exp::<false, _>, exp::<true, _>], f64::exp, 1.1);
    check_single([log1p::<false, _>, log1p::<true, _>], f64::ln_1p, 0.81);
    check_single([tanh::<false, _>, tanh::<true, _>], f64::tanh, 2.5);
    let known = |x: f64| 1.0 / (1.0 + (-x).exp());
    check_single([sigmoid::<false, _>, sigmoid::<true, _>], known, 2.4);
    let known = |x: f64| x.max(0.0) + (-x.abs()).exp().ln_1p() + x * 0.0;
    check_single([softplus::<false, _>, softplus::<true, _>], known, 1.7);
    check_single([ln::<false, _>, ln::<true, _>], f64::ln, 0.82);
    check_single([exp_m1::<false, _>, exp_m1::<true, _>], f64::exp_m1, 2.0);
    check_single([sinh::<false, _>, sinh::<true, _>], f64::sinh, 2.2);
    check_single([cosh::<false, _>, cosh::<true, _>], f64::cosh, 1.6);
    check_single([asinh::<false, _>, asinh::<true, _>], f64::asinh, 1.8);
    check_single([acosh::<false, _>, acosh::<true, _>], f64::acosh, 2.2);
    let known = |x: f64| ((2.0 * x.abs() / (1.0 - x.abs())).ln_1p() / 2.0).copysign(x);
    check_single([atanh::<false, _>, atanh::<true, _>], known, 2.0);
    // The references of `tests/functions.rs` hold those of `f64`.
    check_single([erf::<false, _>, erf::<true, _>], erf::<true, _>, 1.3);
    check_single([erfc::<false, _>, erfc::<true, _>], erfc::<true, _>, 2.5);
}

/// The bits of `[exp, log1p, tanh, sigmoid, softplus]`, so that the sign of zero counts.
fn all<const FMA: bool, T: Number>(x: T) -> [T; 5] {
    [
        exp::<FMA, T>(x),
        log1p::<FMA, T>(x),
        tanh::<FMA, T>(x),
        sigmoid::<FMA, T>(x),
        softplus::<FMA, T>(x),
    ]
}

/// The bits of `[ln, exp_m1, sinh, cosh, asinh, acosh, atanh]`.
fn others<const FMA: bool, T: Number>(x: T) -> [T; 7] {
    [
        ln::<FMA, T>(x),
        exp_m1::<FMA, T>(x),
        sinh::<FMA, T>(x),
        cosh::<FMA, T>(x),
        asinh::<FMA, T>(x),
        acosh::<FMA, T>(x),
        atanh::<FMA, T>(x),
    ]
}

fn ends<const FMA: bool, T: Number>(tiny: f64, top: T, over: T) {
    let (inf, nan) = (T::infinity(), T::nan());
    let [zero, one, half, ln2] = [0.0, 1.0, 0.5, std::f64::consts::LN_2].map(T::of);
    let tiny = T::of(tiny);
    // The debug format tells -0 from 0, and NaN from numbers.
    let same = |x: T, expected: [T; 5]| {
        assert_eq!(format!("{:?}", all::<FMA, T>(x)), format!("{expected:?}"), "{x:?}");
    };
    same(inf, [inf, inf, one, one, inf]);
    same(-inf, [zero, nan, -one, zero, zero]);
    same(nan, [nan; 5]);
    same(zero, [one, zero, zero, half, ln2]);
    same(-zero, [one, -zero, -zero, half, ln2]);
    same(tiny, [one, tiny, tiny, half, ln2]);
    same(-tiny, [one, -tiny, -tiny, half, ln2]);
    same(over, [inf, log1p::<FMA, T>(over), one, one, over]);
    let same = |x: T, expected: [T; 7]| {
        assert_eq!(format!("{:?}", others::<FMA, T>(x)), format!("{expected:?}"), "{x:?}");
    };
    same(inf, [inf, inf, inf, inf, inf, inf, nan]);
    same(-inf, [nan, -one, -inf, inf, -inf, nan, nan]);
    same(nan, [nan; 7]);
    same(zero, [-inf, zero, zero, one, zero, nan, zero]);
    same(-zero, [-inf, -zero, -zero, one, -zero, nan, -zero]);
    same(tiny, [ln::<FMA, T>(tiny), tiny, tiny, one, tiny, nan, tiny]);
    same(-tiny, [nan, -tiny, -tiny, one, -tiny, nan, -tiny]);
    assert_eq!(
        [ln::<FMA, T>(one), acosh::<FMA, T>(one), atanh::<FMA, T>(-one)],
        [zero, zero, -inf]
    );
    assert!(exp_m1::<FMA, T>(top).is_finite() && exp_m1::<FMA, T>(over).is_infinite());
    assert!(sinh::<FMA, T>(over).is_finite() && cosh::<FMA, T>(over).is_finite());
    assert!(exp::<FMA, T>(top).is_finite() && exp::<FMA, T>(over).is_infinite());
    assert_eq!(log1p::<FMA, T>(-one), -inf);
    assert!(log1p::<FMA, T>(-one - T::epsilon()).is_nan());
    assert_eq!(softplus::<FMA, T>(T::max_value()), T::max_value());
    assert_eq!(all::<FMA, T>(T::min_value())[2..], [-one, zero, zero]);
}

#[test]
fn ends_are_right() {
    // The last whose e^x is finite, and the next.
    let top = 709.782_712_893_384_f64;
    ends::<false, f64>(5e-324, top, top.next_up());
    ends::<true, f64>(5e-324, top, top.next_up());
    let top = 88.722_83_f32;
    ends::<false, f32>(1e-45, top, top.next_up());
    ends::<true, f32>(1e-45, top, top.next_up());
    // The last results above zero: 2^-1074 and 2^-149 from half of them on.
    assert_eq!([exp::<true, f64>(-745.13), exp::<true, f64>(-745.14)], [5e-324, 0.0]);
    assert_eq!([exp::<true, f32>(-103.97), exp::<true, f32>(-103.98)], [1e-45, 0.0]);
}
