//! The table of functions of one number: each is one row, for arrays and for scalars, in every mode.
//!
//! A row gives the name of the function as a type and as a method, and then
//!
//! - its value at `x`, over plain numbers in lanes, with `FMA` where the processor has it;
//! - its [`Slope`](rule::Slope) as an expression in its argument and its value, which is evaluated on plain numbers, on
//!   pairs of number and tangent, on whole arrays and on scalars of every nesting;
//! - where it has no derivative (`kink`), which strict scalar tapes report;
//! - where the slope loses digits to the rounding error of the value, and the expression that replaces it there
//!   (`tail`).
//!
//! The rows form three sections: functions that scalars have from [`Float`](num_traits::Float), with its names;
//! functions that they have from [`Scalar`](crate::scalar::Scalar), some of which serve only to express slopes and are
//! hidden; and functions with a parameter. Macros derive from the rows the types of `rule.rs`, `Unary`, the methods of
//! `Array` and `Scalar`, and the match arms of all loops.

pub(crate) mod rule;

/// Passes the rows of a section, or of `all`, to a macro, after its other input: `functions!(all path::of; with)`.
macro_rules! functions {
    ($section:ident $($then:ident)::+ $(; $($with:tt)*)?) => {
        $crate::functions::rows! { $section [$($then)::+] {$($($with)*)?}
            float {
                /// `1 / x`
                Recip recip { |x| x.recip(); |_x, y| varying(-y.square()); }
                /// `e^x`
                Exp exp { |x| math::exp::<FMA, T>(x); |_x, y| varying(y); }
                /// `2^x`
                Exp2 exp2 { |x| x.exp2(); |_x, y| varying(y * LN_2); }
                /// `e^x - 1`, accurate near 0.
                ExpM1 exp_m1 { |x| math::exp_m1::<FMA, T>(x); |x, _y| varying(x.exp()); }
                /// Natural logarithm.
                Ln ln { |x| math::ln::<FMA, T>(x); |x, _y| varying(x.recip_from_zero()); }
                /// `ln(1 + x)`, accurate near 0.
                Ln1p ln_1p { |x| math::log1p::<FMA, T>(x); |x, _y| varying((x + 1.0).recip_from_zero()); }
                /// Logarithm to base 2.
                Log2 log2 { |x| x.log2(); |x, _y| varying(x.recip_from_zero() * LOG2_E); }
                /// Logarithm to base 10.
                Log10 log10 { |x| x.log10(); |x, _y| varying(x.recip_from_zero() * LOG10_E); }
                /// Square root. Its derivative at 0 is 0; see [`conventions`](crate::conventions).
                Sqrt sqrt { |x| x.sqrt(); |_x, y| varying(y.recip_or_zero() * 0.5); kink |x| x.is_zero(); }
                /// Cube root. Its derivative at 0 is 0.
                Cbrt cbrt { |x| x.cbrt(); |_x, y| varying(y.recip_or_zero().square() * (1.0 / 3.0)); kink |x| x.is_zero(); }
                /// Sine.
                Sin sin { |x| x.sin(); |x, _y| varying(x.cos()); }
                /// Cosine.
                Cos cos { |x| x.cos(); |x, _y| varying(-x.sin()); }
                /// Tangent.
                Tan tan { |x| x.tan(); |_x, y| varying(y.square() + 1.0); }
                /// Inverse sine.
                Asin asin { |x| x.asin(); |x, _y| varying(((-x + 1.0) * (x + 1.0)).recip_sqrt()); }
                /// Inverse cosine.
                Acos acos { |x| x.acos(); |x, _y| varying(-((-x + 1.0) * (x + 1.0)).recip_sqrt()); }
                /// Inverse tangent.
                Atan atan { |x| x.atan(); |x, _y| varying(x.recip_hypot().square()); }
                /// Hyperbolic sine.
                Sinh sinh { |x| math::sinh::<FMA, T>(x); |x, _y| varying(x.cosh()); }
                /// Hyperbolic cosine.
                Cosh cosh { |x| math::cosh::<FMA, T>(x); |x, _y| varying(x.sinh()); }
                /// Hyperbolic tangent.
                Tanh tanh {
                    |x| math::tanh::<FMA, T>(x);
                    |x, y| varying(-y.square() + 1.0);
                    tail |y| y * y > T::SATURATED => {
                        let u = (x.abs() * -2.0).exp();
                        varying((u + 1.0).recip().square() * u * 4.0)
                    };
                }
                /// Inverse hyperbolic sine.
                Asinh asinh { |x| math::asinh::<FMA, T>(x); |x, _y| varying(x.recip_hypot()); }
                /// Inverse hyperbolic cosine.
                Acosh acosh { |x| math::acosh::<FMA, T>(x); |x, _y| varying((x + -1.0).recip_sqrt() * (x + 1.0).recip_sqrt()); }
                /// Inverse hyperbolic tangent.
                Atanh atanh { |x| math::atanh::<FMA, T>(x); |x, _y| varying(((-x + 1.0) * (x + 1.0)).recip_from_zero()); }
                /// `|x|`. Its derivative at 0 is 0.
                Abs abs { |x| x.abs(); |x, _y| piecewise(x.sign_or_zero()); kink |x| x.is_zero(); }
                /// The largest integer that is at most `x`.
                Floor floor { |x| x.floor(); |_x, _y| Zero; kink |x| x.fract().is_zero(); }
                /// The smallest integer that is at least `x`.
                Ceil ceil { |x| x.ceil(); |_x, _y| Zero; kink |x| x.fract().is_zero(); }
                /// The nearest integer; halves are rounded away from 0.
                Round round { |x| x.round(); |_x, _y| Zero; kink |x| x.fract().abs() == T::of(0.5); }
                /// The integer part of `x`.
                Trunc trunc { |x| x.trunc(); |_x, _y| Zero; kink |x| x.fract().is_zero(); }
                /// `x - trunc x`
                Fract fract { |x| x.fract(); |_x, _y| One; kink |x| x.fract().is_zero(); }
                /// 1 with the sign of `x`, which zeros have too.
                Signum signum { |x| x.signum(); |_x, _y| Zero; kink |x| x.is_zero(); }
            }
            scalar {
                /// `x^2`
                Square square { |x| x * x; |x, _y| varying(x * 2.0); }
                /// `max(x, 0)`. Its derivative at 0 is 0.
                Relu relu {
                    |x| if x <= T::zero() { T::zero() } else { x };
                    |x, _y| piecewise(x.unit_step());
                    kink |x| x.is_zero();
                }
                /// `1 / (1 + e^-x)`, without overflow.
                Sigmoid sigmoid {
                    |x| math::sigmoid::<FMA, T>(x);
                    // Its second factor has no rounding error near y = 1.
                    |x, y| varying((-y + 1.0) * y);
                    tail |y| y > T::of(FLAT) => varying((-x).sigmoid() * y);
                }
                /// `ln(1 + e^x)`, without overflow.
                Softplus softplus {
                    |x| math::softplus::<FMA, T>(x);
                    |x, _y| varying(x.sigmoid());
                    // From where the tail of `sigmoid` begins.
                    tail |y| y > T::of(7.0) => varying(x.sigmoid());
                }
                /// The error function, `2/pi^(1/2)` times the integral of `e^(-t^2)` from 0 to `x`.
                Erf erf {
                    |x| math::erf::<FMA, T>(x);
                    |x, _y| varying((-x.square()).exp() * FRAC_2_SQRT_PI);
                }
                /// `1 - erf x`, accurate in its upper tail.
                Erfc erfc {
                    |x| math::erfc::<FMA, T>(x);
                    |x, _y| varying((-x.square()).exp() * -FRAC_2_SQRT_PI);
                }
                /// `ln |Gamma(x)|`, with an error of at most 6e-15 times the larger of 1 and its absolute value.
                LnGamma ln_gamma { |x| gamma::ln_gamma::<FMA, T>(x); |x, _y| varying(x.digamma()); }
                /// `Gamma'(x) / Gamma(x)`, with an error of at most 6e-15 times the larger of 1 and its absolute value.
                Digamma digamma { |x| gamma::digamma::<FMA, T>(x); |x, _y| varying(x.polygamma(1.0)); }
                /// `1 / x`, but 0 at 0. The slope of `sqrt` is a multiple of it.
                #[doc(hidden)]
                RecipOrZero recip_or_zero {
                    |x| if x.is_zero() { x } else { x.recip() };
                    |_x, y| varying(-y.square());
                }
                /// `1 / x` for `x >= 0`, where logarithms are defined, and `NaN` below.
                #[doc(hidden)]
                RecipFromZero recip_from_zero {
                    |x| if x < T::zero() { T::nan() } else { x.abs().recip() };
                    |_x, y| varying(-y.square());
                }
                /// `1 / sqrt x`
                #[doc(hidden)]
                RecipSqrt recip_sqrt { |x| x.sqrt().recip(); |_x, y| varying(y.square() * y * -0.5); }
                /// `1 / sqrt(x^2 + 1)`
                #[doc(hidden)]
                RecipHypot recip_hypot { |x| math::hypot(x, T::one()).recip(); |x, y| varying(y.square() * y * -x); }
                /// The slope of `abs`, see [`conventions::sign`](crate::conventions::sign).
                #[doc(hidden)]
                SignOrZero sign_or_zero { |x| conventions::sign(x); |_x, _y| Zero; }
                /// The slope of `relu`, see [`conventions::step`](crate::conventions::step).
                #[doc(hidden)]
                UnitStep unit_step { |x| conventions::step(x); |_x, _y| Zero; }
            }
            number {
                /// `c x`
                #[doc(hidden)]
                Scale(c: f64) scale { |x| x * T::of(c); |_x, _y| Number(c); }
                /// `x + c`
                #[doc(hidden)]
                Shift(c: f64) shift { |x| x + T::of(c); |_x, _y| { let _ = c; One }; }
                /// `x / c`, correctly rounded, which `x * (1 / c)` is not.
                #[doc(hidden)]
                Over(c: f64) divide { |x| x / T::of(c); |_x, _y| Slope::Over(c); }
                /// `x^p`
                Power(p: f64) power {
                    |x| conventions::power(x, p);
                    |x, _y| match p {
                        0.0 => Zero,
                        1.0 => One,
                        _ if p > 0.0 && p < 1.0 => varying(x.power_or_zero(p - 1.0) * p),
                        _ => varying(x.power(p - 1.0) * p),
                    };
                    kink |x| x.is_zero() && p > 0.0 && p < 1.0;
                }
                /// The larger of `x` and `c`; `NaN` where `x` is. Its derivative at `c` is 0, like that of `relu` at 0.
                #[doc(hidden)]
                Floored(c: f64) floored {
                    |x| if x < T::of(c) { T::of(c) } else { x };
                    |x, _y| piecewise((x + -c).unit_step());
                    kink |x| x == T::of(c);
                }
                /// The smaller of `x` and `c`; `NaN` where `x` is. Its derivative at `c` is 0.
                #[doc(hidden)]
                Capped(c: f64) capped {
                    |x| if x > T::of(c) { T::of(c) } else { x };
                    |x, _y| piecewise((-x + c).unit_step());
                    kink |x| x == T::of(c);
                }
                /// The derivative of order `n` of [digamma](crate::Unary::Digamma), for integers `n >= 0`.
                Polygamma(n: f64) polygamma {
                    |x| gamma::polygamma(x, n);
                    |x, _y| varying(x.polygamma(n + 1.0));
                }
                /// `x^p`, but 0 at 0, see [`conventions::power_or_zero`](crate::conventions::power_or_zero).
                #[doc(hidden)]
                PowerOrZero(p: f64) power_or_zero {
                    |x| conventions::power_or_zero(x, p);
                    |x, _y| varying(x.power_or_zero(p - 1.0) * p);
                }
            }
        }
    };
}

/// Selects a section of the table.
macro_rules! rows {
    (all [$($then:ident)::+] $with:tt $($section:ident {$($row:tt)*})*) => {
        $($then)::+! { $with $($($row)*)* }
    };
    (float [$($then:ident)::+] $with:tt float {$($row:tt)*} $($rest:tt)*) => {
        $($then)::+! { $with $($row)* }
    };
    (scalar [$($then:ident)::+] $with:tt float $float:tt scalar {$($row:tt)*} $($rest:tt)*) => {
        $($then)::+! { $with $($row)* }
    };
    (named [$($then:ident)::+] $with:tt float {$($float:tt)*} scalar {$($scalar:tt)*} $($rest:tt)*) => {
        $($then)::+! { $with $($float)* $($scalar)* }
    };
    (number [$($then:ident)::+] $with:tt float $float:tt scalar $scalar:tt number {$($row:tt)*}) => {
        $($then)::+! { $with $($row)* }
    };
}

pub(crate) use {functions, rows};
