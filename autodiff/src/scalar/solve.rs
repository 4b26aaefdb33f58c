//! Linear systems, log-determinants and fixed points of scalars. The solution is computed on plain numbers, and
//! derivatives are [lifted](crate::array::newton) into it. For each order of derivatives a tape records `2 n`
//! statements of `n` arguments, instead of `n^3/3` records in all.

use crate::array::by_value::Method;
use crate::array::element::Element;
use crate::array::factored::alternating;
use crate::array::factors::Inverse;
use crate::array::newton::lift_scalars;
use crate::fault::{Fault, expect_length};
use crate::implicit::StopRule;
use crate::scalar::drivers::{Function, Tangents};
use crate::scalar::real::{Real, Scalar};

/// The log-determinant and the inverse, in row-major order, of a matrix of plain numbers.
struct Factors<F> {
    inverse: Vec<F>,
    log_det: F,
}

impl<F: Element> Factors<F> {
    /// Factors `a` and, if `y` is as long as a column, replaces it by the solution.
    fn new(mut a: Vec<F>, n: usize, method: Method, y: &mut [F]) -> Result<Self, Fault> {
        let mut pivots = vec![0; n];
        let factors = Inverse::new(method, n, &mut a, &mut pivots)?;
        factors.solve(false, usize::from(!y.is_empty()), y);
        let mut inverse = vec![F::zero(); n * n];
        inverse.iter_mut().step_by(n + 1).for_each(|d| *d = F::one());
        factors.solve(false, n, &mut inverse);
        Ok(Self { inverse, log_det: factors.log_det() })
    }
}

fn primals<R: Scalar>(x: &[R]) -> Vec<R::Plain> {
    x.iter().map(|x| x.primal()).collect()
}

/// Returns `M^-1 b` for the `n` by `n` matrix `m`, in row-major order.
///
/// ```
/// use hypertape_autodiff::{Method, scalar};
/// // y = x_1 / x_0 as a system
/// let found = scalar::gradient(
///     |x| scalar::solve(&x[..1], &x[1..], Method::Lu).unwrap()[0],
///     &[2.0, 6.0],
/// )?;
/// assert_eq!(found, (3.0, vec![-1.5, 0.5]));
/// # Ok::<(), hypertape_autodiff::Fault>(())
/// ```
///
/// # Errors
/// Returns [`Fault::Pivot`] if the matrix cannot be factored, [`Fault::Asymmetric`] if it must be symmetric and is not,
/// and [`Fault::Length`] if it is not `n` by `n`.
pub fn solve<R: Scalar>(m: &[R], b: &[R], method: Method) -> Result<Vec<R>, Fault> {
    let n = b.len();
    expect_length("the matrix of a system", n * n, m.len())?;
    let mut y = primals(b);
    let factors = Factors::new(primals(m), n, method, &mut y)?;
    Ok(lift_scalars(&y, &factors.inverse, |y: &[R]| {
        let rest = |i: usize| {
            let read = method.reads(i, n);
            b[i] - R::dot(&m[i * n..][read.clone()], &y[read])
        };
        (0..n).map(rest).collect()
    }))
}

/// Returns `ln |det M|` for the `n` by `n` matrix `m`, in row-major order.
///
/// ```
/// use hypertape_autodiff::{Method, scalar};
/// let m = [1.0, 2.0, 0.0, 4.0];
/// let found = scalar::gradient(|x| scalar::log_det(x, 2, Method::Lu).unwrap(), &m)?;
/// // the inverse, transposed
/// assert_eq!(found, (4.0_f64.ln(), vec![1.0, 0.0, -0.5, 0.25]));
/// # Ok::<(), hypertape_autodiff::Fault>(())
/// ```
///
/// # Errors
/// Returns [`Fault::Pivot`] if the matrix cannot be factored, [`Fault::Asymmetric`] if it must be symmetric and is not,
/// and [`Fault::Length`] if it is not `n` by `n`.
pub fn log_det<R: Scalar>(m: &[R], n: usize, method: Method) -> Result<R, Fault> {
    expect_length("the matrix of a determinant", n * n, m.len())?;
    let factors = Factors::new(primals(m), n, method, &mut [])?;
    let mut sum = R::constant(factors.log_det);
    // The columns of `E = M_0^-1 (M - M_0)`, one after the other.
    let mut step = vec![R::zero(); n * n];
    if R::ORDER > 0 {
        for (j, column) in step.chunks_exact_mut(n.max(1)).enumerate() {
            let read = |i: &usize| method.reads(*i, n).contains(&j);
            let moved = |i: usize| m[i * n + j] - m[i * n + j].primal();
            let zero = |i| if read(&i) { moved(i) } else { R::zero() };
            let moved: Vec<R> = (0..n).map(zero).collect();
            for (entry, row) in column.iter_mut().zip(factors.inverse.chunks_exact(n)) {
                *entry = R::linear(row, &moved);
            }
        }
    }
    let mut power = step.clone();
    for order in 1..=R::ORDER {
        let trace: Vec<R> = power.iter().step_by(n + 1).copied().collect();
        sum += R::sum_of(&trace) * R::Plain::from_f64(alternating(order));
        if order < R::ORDER {
            // The rows of a power of `E`: row `i` is multiplied with column `j` of `E`.
            let row = |i: usize| power.iter().skip(i).step_by(n).copied().collect::<Vec<R>>();
            let rows: Vec<_> = (0..n).map(row).collect();
            power = (0..n * n).map(|p| R::dot(&rows[p % n], &step[p / n * n..][..n])).collect();
        }
    }
    Ok(sum)
}

/// Returns the limit of `w <- f(w, x)` from `start`. The function `f` takes `w` first and then `x`, and writes as many
/// results as `w` has entries. Cost: the iteration on plain numbers, the Jacobian of `f` in `w`, and one evaluation for
/// each order of derivatives.
///
/// ```
/// use hypertape_autodiff::{StopRule, scalar::{self, Float, Real}};
/// /// Kepler's equation, `w = x_1 + x_0 sin w`
/// struct Kepler;
/// impl scalar::Function for Kepler {
///     fn eval<R: Real>(&self, x: &[R], y: &mut [R]) { y[0] = x[2] + x[1] * x[0].sin(); }
/// }
/// let (w, gradient) = scalar::gradient(
///     |x| scalar::fixed_point(&Kepler, &[0.0], x, StopRule::default()).unwrap()[0],
///     &[0.5, 1.0],
/// )?;
/// assert!((gradient[1] - 1.0 / (1.0 - 0.5 * w.cos())).abs() < 1e-13);
/// # Ok::<(), hypertape_autodiff::Fault>(())
/// ```
///
/// # Errors
/// Returns [`Fault::NotConverged`] if the iteration does not converge, and [`Fault::Pivot`] if `I - J` is singular.
pub fn fixed_point<F: Element + Scalar<Plain = F>, R: Real<F>>(
    f: &impl Function<F>,
    start: &[F],
    x: &[R],
    stop: StopRule,
) -> Result<Vec<R>, Fault> {
    let (n, mut w) = (start.len(), start.to_vec());
    let mut point = [start, &primals(x)].concat();
    stop.iterate("fixed_point", &mut w, |w, next| {
        point[..n].copy_from_slice(w);
        f.eval(&point, next);
        Ok(())
    })?;
    if R::ORDER == 0 {
        return Ok(w.into_iter().map(R::constant).collect());
    }
    let mut jacobian = vec![F::zero(); n * n];
    let of_w = |w: &[_], y: &mut [_]| {
        let rest = point[n..].iter().map(|&x| Scalar::constant(x));
        f.eval(&w.iter().copied().chain(rest).collect::<Vec<_>>(), y);
    };
    let mut value = w.clone();
    Tangents::<F, 4>::new().jacobian(of_w, &w, &mut value, &mut jacobian)?;
    for (p, d) in jacobian.iter_mut().enumerate() {
        *d = if p.is_multiple_of(n + 1) { F::one() } else { F::zero() } - *d;
    }
    let factors = Factors::new(jacobian, n, Method::Lu, &mut [])?;
    Ok(lift_scalars(&w, &factors.inverse, |y: &[R]| {
        let mut next = vec![R::zero(); n];
        f.eval(&[y, x].concat(), &mut next);
        next.iter().zip(y).map(|(&next, &y)| next - y).collect()
    }))
}
