//! Every function of one number, for arrays and for scalars, at special points and at random ones, in `f32` and `f64`:
//! values and two derivatives compared with 60 digits (`scripts/function-references`), and all modes with each other.

#[path = "support/reverse.rs"]
mod reverse;

use hypertape_autodiff::scalar::{Dual, Scalar, Tape};
use hypertape_autodiff::{Array, Element, Function, Shape, Unary, Workspace};

/// Functions that only slopes use and that are hidden from users.
const PARTS: [&str; 6] =
    ["recip_or_zero", "recip_from_zero", "recip_sqrt", "recip_hypot", "sign_or_zero", "unit_step"];

/// A function of the table.
#[derive(Clone, Copy, Debug)]
struct Of(Unary);

impl<T: Element> Function<T> for Of {
    fn eval<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A]) -> A {
        x[0].unary(self.0)
    }
}

/// The points of each function: argument, value, first and second derivative.
fn references() -> Vec<(String, Vec<[f64; 4]>)> {
    let mut rest = &include_bytes!("data/functions.bin")[..];
    let mut all = Vec::new();
    while let Some((head, after)) = rest.split_at_checked(24) {
        let name = String::from_utf8(head[..16].to_vec()).unwrap();
        let numbers = |bytes: &[u8]| -> Vec<f64> {
            bytes.as_chunks().0.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect()
        };
        let count = head[16..].iter().rev().fold(0, |count, &byte| 256 * count + usize::from(byte));
        let (points, after) = after.split_at(32 * count);
        let points = numbers(points).as_chunks().0.to_vec();
        all.push((name.trim_end_matches('\0').to_owned(), points));
        rest = after;
    }
    all
}

/// Value, first and second derivative in one mode; `None` if the mode does not compute it.
type Found = (&'static str, [Option<f64>; 3]);

/// Every mode of arrays, and whether a column gives the same bits as its entries.
fn arrays<T: Element>(f: Of, x: f64) -> Vec<Found> {
    let (shape, at) = ([Shape::SCALAR], [T::from_f64(x)]);
    let (mut w, one) = (Workspace::new(), [T::one()]);
    let (mut y, mut d) = ([T::zero()], [T::zero()]);
    w.jvp(&f, &shape, &at, &one, &mut y, &mut d).unwrap();
    let mut all = vec![("forward", [Some(y[0]), Some(d[0]), None])];
    let value = w.gradient(&f, &shape, &at, &mut d).unwrap();
    all.push(("reverse", [Some(value), Some(d[0]), None]));
    let mut second = [T::zero()];
    let value = w.hvp(&f, &shape, &at, &one, &mut d, &mut second).unwrap();
    all.push(("forward over reverse", [Some(value), Some(d[0]), Some(second[0])]));
    let shapes = [Shape::column(19)];
    let (mut ys, mut ds) = ([T::zero(); 19], [T::zero(); 19]);
    w.jvp(&f, &shapes, &[at[0]; 19], &[T::one(); 19], &mut ys, &mut ds).unwrap();
    all.push(("first of a column", [Some(ys[0]), Some(ds[0]), None]));
    all.push(("last of a column", [Some(ys[18]), Some(ds[18]), None]));
    all.into_iter().map(|(mode, of)| (mode, of.map(|of| of.map(Element::as_f64)))).collect()
}

fn scalars<T: Element + Scalar<Plain = T>>(f: Unary, x: f64) -> Vec<Found> {
    let (at, one, zero) = (<T as Element>::from_f64(x), T::one(), T::zero());
    let sound = |y: T, d: T| Some(if y.is_nan() { T::nan() } else { d });
    let y = f.of_scalar(Dual::<T>::new(at, [one]));
    let mut all = vec![("dual", [Some(y.value()), sound(y.value(), y.tangents()[0]), None])];
    let y = f.of_scalar(Dual::<T, 3>::variable(at, 1));
    all.push(("three tangents", [Some(y.value()), sound(y.value(), y.tangents()[1]), None]));
    let y = f.of_scalar(Dual::<_>::new(Dual::<T>::new(at, [one]), [Dual::new(one, [zero])]));
    let (value, [slope]) = (y.value().value(), y.tangents());
    let second = sound(value, slope.tangents()[0]);
    all.push(("dual of dual", [Some(value), sound(value, slope.value()), second]));
    let (mut g, mut h) = ([zero], [zero]);
    let value = Tape::new().gradient(|x| f.of_scalar(x[0]), &[at], &mut g).unwrap();
    all.push(("tape", [Some(value), Some(g[0]), None]));
    let value = Tape::new().hvp(|x| f.of_scalar(x[0]), &[at], &[one], &mut g, &mut h).unwrap();
    all.push(("tape of duals", [Some(value), Some(g[0]), Some(h[0])]));
    let fused =
        Tape::new().gradient(|x| Scalar::fuse([x[0]], |[x]| [f.of_scalar(x)])[0], &[at], &mut g);
    all.push(("fused", [Some(fused.unwrap()), Some(g[0]), None]));
    all.into_iter().map(|(mode, of)| (mode, of.map(|of| of.map(Element::as_f64)))).collect()
}

/// The error in units of rounding, of the number or, near zeros of a second derivative, of the first one.
fn gap<T: Element>(found: f64, known: f64, scale: f64) -> f64 {
    let [epsilon, least] = [T::epsilon(), T::min_positive_value()].map(Element::as_f64);
    if found == known || (found.is_nan() && known.is_nan()) {
        return 0.0;
    }
    let beyond = |y: f64| y.abs() >= T::max_value().as_f64() * (1.0 - 8.0 * epsilon);
    if beyond(found) && beyond(known) && found.signum() == known.signum() {
        return 0.0;
    }
    let size = if scale.is_finite() { known.abs().max(scale.abs()) } else { known.abs() };
    let gap = (found - known).abs() / (epsilon * size + least);
    if gap.is_nan() { f64::INFINITY } else { gap }
}

/// The size below which errors of a value or slope are measured in units of 1 instead of itself.
fn scale(name: &str, order: usize) -> f64 {
    f64::from(u8::from(name == "ln_gamma" || (name == "digamma" && order == 0)))
}

/// Largest errors of value, slope and second derivative, in units of rounding, where they exceed the 2 ulp of kernels.
fn stated(name: &str, precision: &str) -> [f64; 3] {
    match name {
        // The slopes `1 - y^2` and `y (1 - y)` magnify the error of `y` up to where the tail begins, at a slope of a
        // thousandth, and for `tanh` in double precision of a millionth.
        "tanh" if precision == "f64" => [2.5, 1.3e6, 1.3e6],
        "tanh" => [2.5, 2560.0, 2560.0],
        "sigmoid" | "softplus" => [2.5, 1280.0, 1280.0],
        // The rounding error of x^2 in e^(-x^2): half a unit of numbers up to 708.
        "erf" => [1.0, 354.0, 354.0],
        "erfc" => [1.5, 354.0, 354.0],
        // Values near their zeros are measured in units of 1; slopes at negative arguments are a difference of two
        // terms.
        "ln_gamma" => [27.0, 8.0, 64.0],
        "digamma" => [8.0, 64.0, 64.0],
        // The error of the standard library, whose function scalars use.
        "atanh" => [10.0, 8.0, 16.0],
        _ => [2.0, 8.0, 16.0],
    }
}

fn sweep<T: Element + Scalar<Plain = T>>() {
    let references = references();
    let inf = f64::INFINITY;
    for &f in Unary::ALL.iter().filter(|f| !PARTS.contains(&f.name())) {
        let (name, points) = references
            .iter()
            .find(|(name, _)| name == f.name())
            .unwrap_or_else(|| panic!("no references for {}", f.name()));
        let stated = stated(name, T::NAME);
        let mut worst = [(0.0, 0.0, ""); 3];
        let unknown = [inf, -inf, f64::NAN, -0.0].map(|x| [x, f64::NAN, f64::NAN, f64::NAN]);
        for &[x, known @ ..] in points.iter().chain(&unknown) {
            // Scalars use the functions of the standard library, which overflow.
            let over = matches!(&name[..], "asinh" | "acosh") && T::NAME == "f32" && x.abs() > 1e38;
            let of = if over { arrays::<T> } else { |Of(f), x| scalars::<T>(f, x) };
            let modes = [arrays::<T>(Of(f), x), of(Of(f), x)];
            for (engine, modes) in modes.iter().enumerate() {
                let value = modes[0].1[0];
                let slope = modes[0].1[1].unwrap();
                for &(mode, found) in modes {
                    assert_eq!(
                        found[0].map(f64::to_bits),
                        value.map(f64::to_bits),
                        "{name} {x:e}: {mode}"
                    );
                    let same = gap::<T>(found[1].unwrap(), slope, 0.0);
                    assert!(same <= 4.0, "{name} at {x:e}, {mode}: {found:?}, others {slope:e}");
                }
                let seconds: Vec<f64> = modes.iter().filter_map(|m| m.1[2]).collect();
                assert!(
                    seconds.iter().all(|&d| gap::<T>(d, seconds[0], slope) <= 8.0),
                    "{name} at {x:e}: {modes:?}"
                );
                let found = [value.unwrap(), slope, seconds[0]];
                for order in (0..3).filter(|&k| !known[k].is_nan() && !known[0].is_nan()) {
                    let scale = if order == 2 { known[1] } else { scale(name, order) };
                    let error = gap::<T>(found[order], known[order], scale);
                    if error > worst[order].0 {
                        worst[order] = (error, x, ["array", "scalar"][engine]);
                    }
                }
            }
            let [array, scalar] = modes.map(|modes| modes.last().unwrap().1);
            for k in 0..2 {
                let gap = gap::<T>(array[k].unwrap(), scalar[k].unwrap(), scale(name, k));
                assert!(gap <= stated[k] * 2.0, "{name} at {x:e}: {array:?} and {scalar:?}");
            }
        }
        println!("{name} {}: {worst:?}", T::NAME);
        for k in 0..3 {
            let (error, x, engine) = worst[k];
            assert!(
                error <= stated[k],
                "{name}, order {k}, {engine} at {x:e}: {error} units of rounding"
            );
        }
    }
}

#[test]
fn in_double_precision() {
    sweep::<f64>();
}

#[test]
fn in_single_precision() {
    sweep::<f32>();
}

#[test]
fn a_small_stack_suffices() {
    // Without optimisation all temporary values of a kernel are on the stack, a quarter of which is asked for here.
    let small = std::thread::Builder::new().stack_size(512 << 10);
    let all = || Unary::ALL.iter().map(|&f| arrays::<f64>(Of(f), 0.5).len()).sum::<usize>();
    let modes = small.spawn(all).unwrap().join().unwrap();
    assert_eq!(modes, 5 * Unary::ALL.len());
}

#[test]
fn second_derivatives_by_reverse_over_reverse() {
    for (name, points) in references() {
        let Some(&f) = Unary::ALL.iter().find(|f| f.name() == name) else { continue };
        for [x, value, ..] in points.into_iter().filter(|point| !point[1].is_nan()) {
            let (shape, mut g, mut h) = ([Shape::SCALAR], [0.0], [0.0]);
            Workspace::new().hvp(&Of(f), &shape, &[x], &[1.0], &mut g, &mut h).unwrap();
            let other = reverse::reverse_over_reverse(&Of(f), &shape, &[x], &[1.0])[0];
            assert!(
                gap::<f64>(other, h[0], g[0]) <= 8.0,
                "{name} at {x:e}, {value:e}: {other:e}, {h:?}"
            );
        }
    }
}
