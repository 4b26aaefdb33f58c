//! The common part of `particle` and `saddle`: derivatives of derivatives in two modes, and a naive descent
//! (Pearlmutter and Siskind 2008), generic over the number, so that it can be differentiated inside a function.

use std::array::from_fn;
use std::marker::PhantomData;

use hypertape_autodiff::Fault;
use hypertape_autodiff::scalar::{Dual, Float, Real, Tape, Var};

/// A function of `N` numbers and of `P` parameters with respect to which it is not differentiated here.
pub(crate) trait Objective<const N: usize, const P: usize> {
    fn eval<R: Real>(&self, x: [R; N], parameters: [R; P]) -> Result<R, Fault>;
}

/// The mode in which a gradient is computed.
pub(crate) trait Mode {
    /// Memory of gradients over numbers `R`.
    type Memory<R: Real>: Default;

    fn gradient<R: Real, const N: usize, const P: usize>(
        memory: &mut Self::Memory<R>,
        f: &impl Objective<N, P>,
        x: [R; N],
        parameters: [R; P],
    ) -> Result<[R; N], Fault>;
}

/// Forward mode with all directions in one pass.
pub(crate) struct Forward;

impl Mode for Forward {
    type Memory<R: Real> = PhantomData<R>;

    fn gradient<R: Real, const N: usize, const P: usize>(
        _: &mut PhantomData<R>,
        f: &impl Objective<N, P>,
        x: [R; N],
        parameters: [R; P],
    ) -> Result<[R; N], Fault> {
        let x = from_fn(|i| Dual::<R, N>::variable(x[i], i));
        Ok(f.eval(x, parameters.map(|p| Dual::new(p, [R::zero(); N])))?.tangents())
    }
}

/// Reverse mode on a tape, for which parameters are constants.
pub(crate) struct Reverse;

impl Mode for Reverse {
    type Memory<R: Real> = Tape<R>;

    fn gradient<R: Real, const N: usize, const P: usize>(
        tape: &mut Tape<R>,
        f: &impl Objective<N, P>,
        x: [R; N],
        parameters: [R; P],
    ) -> Result<[R; N], Fault> {
        let (mut fault, mut gradient) = (None, [R::zero(); N]);
        tape.gradient(
            |x| {
                let value = f.eval(from_fn(|i| x[i]), parameters.map(Var::from));
                value.unwrap_or_else(|raised| {
                    fault = Some(raised);
                    Float::nan()
                })
            },
            &x,
            &mut gradient,
        )?;
        fault.map_or(Ok(gradient), Err)
    }
}

/// Length below which a gradient or a step ends the descent.
const SHORT: f64 = 1e-5;

/// Descends from `x`. A step that does not reduce `f` is taken back and the step size is halved; after ten that do, it
/// is doubled.
pub(crate) fn descend<M: Mode, R: Real, const N: usize, const P: usize>(
    f: &impl Objective<N, P>,
    mut x: [R; N],
    parameters: [R; P],
) -> Result<[R; N], Fault> {
    let is_short = |v: [R; N]| v.map(|v| v.primal().powi(2)).iter().sum::<f64>().sqrt() <= SHORT;
    let mut memory = M::Memory::<R>::default();
    let mut slope = |x| M::gradient(&mut memory, f, x, parameters);
    let (mut value, mut gradient) = (f.eval(x, parameters)?, slope(x)?);
    let (mut lr, mut downhill) = (1e-5, 0);
    while !is_short(gradient) {
        if downhill == 10 {
            (lr, downhill) = (2.0 * lr, 0);
        }
        let next: [R; N] = from_fn(|i| x[i] - gradient[i] * lr);
        if is_short(from_fn(|i| next[i] - x[i])) {
            break;
        }
        let below = f.eval(next, parameters)?;
        if below < value {
            (x, value, gradient) = (next, below, slope(next)?);
            downhill += 1;
        } else {
            (lr, downhill) = (lr / 2.0, 0);
        }
    }
    Ok(x)
}
