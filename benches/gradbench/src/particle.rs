//! `particle`: the control `w` with which a charged particle, repelled by two fixed charges, meets the axis at the
//! origin: a descent on `x_0(t_f)^2`, where the path by Euler's method needs the gradient of the potential at every
//! step.
//!
//! ```text
//! p(x; w) = 1 / |x - (10, 10 - w)| + 1 / |x - (10, 0)|,   x'' = -grad p,   x(0) = (0, 8),   x'(0) = (3/4, 0)
//! ```
//!
//! The first letter of a function's name is the mode for `w`, the second that for `x`.

use std::array::from_fn;
use std::marker::PhantomData;

use hypertape_autodiff::Fault;
use hypertape_autodiff::scalar::Real;
use serde::Deserialize;
use serde_json::json;

use crate::descent::{Forward, Mode, Objective, Reverse, descend};
use crate::protocol::{Call, Error, Outcome};

/// Size of a time step.
const STEP: f64 = 0.1;

#[derive(Deserialize)]
struct Input {
    w: f64,
}

struct Potential;

impl Objective<2, 1> for Potential {
    fn eval<R: Real>(&self, [x, y]: [R; 2], [w]: [R; 1]) -> Result<R, Fault> {
        let to = |above: R| ((x - 10.0).square() + above.square()).sqrt().recip();
        Ok(to(y - 10.0 + w) + to(y))
    }
}

/// `x_0(t_f)^2`, where gradients of the potential are computed in mode `M`.
struct Miss<M>(PhantomData<M>);

impl<M: Mode> Objective<1, 0> for Miss<M> {
    fn eval<R: Real>(&self, [w]: [R; 1], []: [R; 0]) -> Result<R, Fault> {
        let mut memory = M::Memory::<R>::default();
        let (mut at, mut velocity) = ([0.0, 8.0].map(R::constant), [0.75, 0.0].map(R::constant));
        loop {
            let force = M::gradient(&mut memory, &Potential, at, [w])?;
            at = from_fn(|i| at[i] + velocity[i] * STEP);
            if at[1] <= 0.0 {
                // Goes back along the last step, to the axis.
                return Ok((at[0] - at[1] / velocity[1] * velocity[0]).square());
            }
            velocity = from_fn(|i| velocity[i] - force[i] * STEP);
        }
    }
}

pub(crate) fn eval(call: &Call) -> Result<Outcome, Error> {
    let Input { w } = call.input()?;
    let control: fn(f64) -> Result<[f64; 1], Fault> = match call.function.as_str() {
        "ff" => |w| descend::<Forward, _, 1, 0>(&Miss::<Forward>(PhantomData), [w], []),
        "fr" => |w| descend::<Forward, _, 1, 0>(&Miss::<Reverse>(PhantomData), [w], []),
        "rf" => |w| descend::<Reverse, _, 1, 0>(&Miss::<Forward>(PhantomData), [w], []),
        "rr" => |w| descend::<Reverse, _, 1, 0>(&Miss::<Reverse>(PhantomData), [w], []),
        _ => return Err(call.unknown()),
    };
    call.evaluate([0.0], |found| control(w).map(|at| *found = at), |[w]| json!(w))
}
