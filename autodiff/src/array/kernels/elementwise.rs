//! Elementwise functions of one and two arrays, with broadcasting of scalars, rows and columns.

use crate::arena::Arena;
use crate::array::element::Element;
use crate::array::kernels::math;
use crate::array::kernels::simd::dispatched;
use crate::conventions;
use crate::fault::Fault;
use crate::shape::Shape;

/// A function of one number, applied to each entry. Slopes: `rules.rs`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Unary {
    /// `c x`
    Scale(f64),
    /// `x + c`
    Shift(f64),
    /// `x / c`, correctly rounded, which `x * (1 / c)` is not.
    Over(f64),
    /// `e^x`
    Exp,
    /// Natural logarithm.
    Ln,
    /// `ln(1 + x)`
    Log1p,
    /// Square root.
    Sqrt,
    /// `x^2`
    Square,
    /// `1 / x`
    Recip,
    /// Hyperbolic tangent.
    Tanh,
    /// `1 / (1 + e^-x)`
    Sigmoid,
    /// `ln(1 + e^x)`
    Softplus,
    /// `max(x, 0)`
    Relu,
    /// `|x|`
    Abs,
    /// `x^p`
    Power(f64),
    /// Slope of `abs`, see [`conventions::sign`].
    Sign,
    /// Slope of `relu`, see [`conventions::step`].
    Step,
    /// `x^p`, 0 at 0, see [`conventions::power_or_zero`].
    PowerOrZero(f64),
}

impl Unary {
    /// The name used in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scale(_) => "scale",
            Self::Shift(_) => "shift",
            Self::Over(_) => "divide",
            Self::Exp => "exp",
            Self::Ln => "ln",
            Self::Log1p => "log1p",
            Self::Sqrt => "sqrt",
            Self::Square => "square",
            Self::Recip => "recip",
            Self::Tanh => "tanh",
            Self::Sigmoid => "sigmoid",
            Self::Softplus => "softplus",
            Self::Relu => "relu",
            Self::Abs => "abs",
            Self::Power(_) => "power",
            Self::Sign => "sign",
            Self::Step => "step",
            Self::PowerOrZero(_) => "power_or_zero",
        }
    }

    /// The function of each entry of `x`.
    pub(crate) fn map<'a, T: Element>(self, arena: &'a Arena, x: &[T]) -> Result<&'a [T], Fault> {
        // One loop per function, so that each is compiled, and vectorised, on its own.
        fn each<'a, T: Element>(
            arena: &'a Arena,
            x: &[T],
            f: impl Fn(T) -> T,
        ) -> Result<&'a [T], Fault> {
            arena.collect(x.len(), x.iter().map(|&v| f(v))).map(|y| &*y)
        }
        let zero = T::zero();
        match self {
            Self::Scale(c) => {
                let c = T::from_f64(c);
                each(arena, x, |v| v * c)
            }
            Self::Shift(c) => {
                let c = T::from_f64(c);
                each(arena, x, |v| v + c)
            }
            Self::Over(c) => {
                let c = T::from_f64(c);
                each(arena, x, |v| v / c)
            }
            Self::Exp => smooth(arena, x, Exp),
            Self::Ln => each(arena, x, T::ln),
            Self::Log1p => smooth(arena, x, Log1p),
            Self::Sqrt => each(arena, x, T::sqrt),
            Self::Square => each(arena, x, |v| v * v),
            Self::Recip => each(arena, x, T::recip),
            Self::Tanh => smooth(arena, x, Tanh),
            Self::Sigmoid => smooth(arena, x, Sigmoid),
            Self::Softplus => smooth(arena, x, Softplus),
            Self::Relu => each(arena, x, |v| if v <= zero { zero } else { v }),
            Self::Abs => each(arena, x, T::abs),
            Self::Power(p) => each(arena, x, |v| conventions::power(v, p)),
            Self::Sign => each(arena, x, conventions::sign),
            Self::Step => each(arena, x, conventions::step),
            Self::PowerOrZero(p) => each(arena, x, |v| conventions::power_or_zero(v, p)),
        }
    }
}

/// A function of [`math`], as a type that loops are compiled for.
trait Smooth: Copy {
    fn at<const FMA: bool, T: Element>(self, x: T) -> T;
}

macro_rules! smooth {
    ($($name:ident $function:ident),*) => {$(
        #[derive(Clone, Copy)]
        struct $name;
        impl Smooth for $name {
            #[inline(always)]
            fn at<const FMA: bool, T: Element>(self, x: T) -> T {
                math::$function::<FMA, T>(x)
            }
        }
    )*};
}
smooth!(Exp exp, Log1p log1p, Tanh tanh, Sigmoid sigmoid, Softplus softplus);

fn smooth<'a, T: Element>(arena: &'a Arena, x: &[T], f: impl Smooth) -> Result<&'a [T], Fault> {
    let out = arena.fill(x.len(), T::zero())?;
    write_smooth(x, out, f);
    Ok(out)
}

dispatched! {
    fn write_smooth<T: Element, F: Smooth>(x: &[T], out: &mut [T], f: F) {
        for (o, &x) in out.iter_mut().zip(x) {
            *o = f.at::<FMA, T>(x);
        }
    }
}

/// A function of two numbers, applied to each pair of entries. Slopes: `rules.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Binary {
    /// `a + b`
    Add,
    /// `a - b`
    Sub,
    /// `a b`
    Mul,
    /// `a / b`
    Div,
    /// The larger; `NaN` if either is.
    Max,
    /// The smaller; `NaN` if either is.
    Min,
    /// 1 where `a >= b`, otherwise 0, see [`conventions::at_least`].
    AtLeast,
}

impl Binary {
    /// The name used in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Sub => "subtract",
            Self::Mul => "multiply",
            Self::Div => "divide",
            Self::Max => "max",
            Self::Min => "min",
            Self::AtLeast => "at_least",
        }
    }

    /// The function of each pair of entries, both broadcast to `shape`.
    pub(crate) fn map<'a, T: Element>(
        self,
        arena: &'a Arena,
        (a, a_shape): (&[T], Shape),
        (b, b_shape): (&[T], Shape),
        shape: Shape,
    ) -> Result<&'a [T], Fault> {
        let zip = Zip { arena, a, b, a_shape, b_shape, shape };
        match self {
            Self::Add => zip.each(|a, b| a + b),
            Self::Sub => zip.each(|a, b| a - b),
            Self::Mul => zip.each(|a, b| a * b),
            Self::Div => zip.each(|a, b| a / b),
            Self::Max => zip.each(|a, b| choose(a, b, a >= b)),
            Self::Min => zip.each(|a, b| choose(a, b, a <= b)),
            Self::AtLeast => zip.each(conventions::at_least),
        }
    }
}

fn choose<T: Element>(a: T, b: T, first: bool) -> T {
    if a.is_nan() || b.is_nan() {
        T::nan()
    } else if first {
        a
    } else {
        b
    }
}

/// Two operands on the way to one shape.
struct Zip<'a, 'b, T> {
    arena: &'a Arena,
    a: &'b [T],
    b: &'b [T],
    a_shape: Shape,
    b_shape: Shape,
    shape: Shape,
}

impl<'a, T: Element> Zip<'a, '_, T> {
    fn each(self, f: impl Fn(T, T) -> T) -> Result<&'a [T], Fault> {
        let Self { arena, a, b, a_shape, b_shape, shape } = self;
        let len = shape.len();
        let pairs = a.iter().zip(b);
        let out = if a_shape == b_shape {
            arena.collect(len, pairs.map(|(&a, &b)| f(a, b)))
        } else if b.len() == 1 && a_shape == shape {
            let b = b[0];
            arena.collect(len, a.iter().map(|&a| f(a, b)))
        } else if a.len() == 1 && b_shape == shape {
            let a = a[0];
            arena.collect(len, b.iter().map(|&b| f(a, b)))
        } else {
            let cols = shape.cols as usize;
            let at = |s: Shape, row: usize, col: usize| {
                let row = if s.rows == 1 { 0 } else { row * s.cols as usize };
                row + if s.cols == 1 { 0 } else { col }
            };
            let entry = |i: usize| {
                let (row, col) = (i / cols, i % cols);
                f(a[at(a_shape, row, col)], b[at(b_shape, row, col)])
            };
            arena.collect(len, (0..len).map(entry))
        };
        out.map(|y| &*y)
    }
}
