//! Gradient descent: `w' = w - lr s_t g`.

use hypertape_autodiff::{Array, Element, List};

use crate::error::Error;
use crate::rule::{Rule, Step};

/// Gradient descent, with a factor `s_t` on the size of each step, 1 by default.
///
/// ```
/// use hypertape_solver::{GradientDescent, Rule, Step};
/// let halved = GradientDescent::with_factors(vec![1.0, 0.5])?;
/// assert_eq!(Rule::<f64>::multiple(&halved, Step { index: 1, lr: 0.1 }), Some(-0.05));
/// # Ok::<(), hypertape_solver::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct GradientDescent {
    factors: Vec<f64>,
}

impl GradientDescent {
    /// With a factor for each step; the last one holds for all steps after.
    ///
    /// # Errors
    /// [`Error::Invalid`] unless each is positive and finite.
    pub fn with_factors(factors: Vec<f64>) -> Result<Self, Error> {
        match factors.iter().find(|&&s| !(s > 0.0 && s.is_finite())) {
            Some(s) => Err(Error::invalid("a step's factor", s, "a positive finite number")),
            None => Ok(Self { factors }),
        }
    }

    fn size(&self, step: Step) -> f64 {
        let factor = self.factors.get(step.index).or(self.factors.last());
        factor.map_or(step.lr, |s| s * step.lr)
    }
}

impl<T: Element> Rule<T> for GradientDescent {
    fn name(&self) -> String {
        "gradient-descent".into()
    }

    fn update<'a, A: Array<'a, Elem = T>>(
        &self,
        state: &[A],
        gradient: A,
        _: &[A],
        step: Step,
    ) -> List<A> {
        List::from_slice(&[state[0] - gradient * self.size(step)])
    }

    fn multiple(&self, step: Step) -> Option<f64> {
        Some(-self.size(step))
    }

    fn nonlinear(&self) -> bool {
        false
    }
}
