//! [`custom`]: functions given by code, for scalars of every type.

use crate::array::element::Element;
use crate::custom::Custom;
use crate::fault::Fault;
use crate::scalar::real::Scalar;

/// Returns the results of a custom function: its Taylor polynomial at the values of `x`, up to the order that `R`
/// carries. A tape records one statement of `n` arguments per result.
///
/// Cost: the value; with first derivatives, `min(m, n)` products with the Jacobian; with second derivatives, `m n`
/// calls of [`Custom::hvp`].
///
/// # Errors
/// Returns the fault that the function reports, or [`Fault::Order`] if derivatives beyond second order are needed.
pub fn custom<R: Scalar>(f: &impl Custom<R::Plain>, x: &[R]) -> Result<Vec<R>, Fault> {
    let (n, zero) = (x.len(), R::Plain::from_f64(0.0));
    let at: Vec<_> = x.iter().map(|x| x.primal()).collect();
    let mut value = vec![zero; f.results(n)];
    f.value(&at, &mut value)?;
    let mut y: Vec<R> = value.into_iter().map(R::constant).collect();
    if R::ORDER == 0 {
        return Ok(y);
    }
    let m = y.len();
    let unit = |length, k| {
        let mut unit = vec![zero; length];
        unit[k] = R::Plain::from_f64(1.0);
        unit
    };
    let mut jacobian = vec![zero; m * n];
    if m <= n {
        for (i, row) in jacobian.chunks_exact_mut(n.max(1)).enumerate() {
            f.vjp(&at, &unit(m, i), row)?;
        }
    } else {
        for j in 0..n {
            let mut column = vec![zero; m];
            f.jvp(&at, &unit(n, j), &mut column)?;
            column.iter().enumerate().for_each(|(i, &d)| jacobian[i * n + j] = d);
        }
    }
    let moved: Vec<R> = x.iter().map(|&x| x - x.primal()).collect();
    for (y, row) in y.iter_mut().zip(jacobian.chunks_exact(n.max(1))) {
        *y += R::linear(row, &moved);
    }
    if R::ORDER > 2 {
        return Err(Fault::Order { operation: f.name(), order: R::ORDER });
    }
    if R::ORDER == 2 {
        for (i, y) in y.iter_mut().enumerate() {
            let bent = (0..n).map(|j| {
                let mut row = vec![zero; n];
                f.hvp(&at, &unit(n, j), &unit(m, i), &mut row)?;
                Ok(R::linear(&row, &moved))
            });
            let bent = bent.collect::<Result<Vec<_>, Fault>>()?;
            *y += R::dot(&moved, &bent) * R::Plain::from_f64(0.5);
        }
    }
    Ok(y)
}
