//! Gradient descent: `w' = w - lr s_t g`, with fixed factors `s_t` or learned ones, `s_t = e^{x_t}` (step sizes as outer
//! variables: Maclaurin, Duvenaud and Adams 2015). A learned factor has the slope `dw'/dx_t = -lr s_t g`.

use hypertape_autodiff::{Array, Element, Fault, List, Shape};

use crate::error::Error;
use crate::rule::{Rule, Step};
use crate::spelling::{About, Range, Settings, Spelled};

/// Gradient descent, with a factor `s_t` on the size of each step, 1 by default.
///
/// ```
/// use hypertape_solver::{GradientDescent, Rule, Step};
/// let halved = GradientDescent::with_factors(vec![1.0, 0.5])?;
/// assert_eq!(Rule::<f64>::multiple(&halved, Step { index: 1, lr: 0.1 }), Some(-0.05));
/// assert_eq!(Rule::<f64>::name(&GradientDescent::learned(1)), "gradient-descent:outer=1");
/// # Ok::<(), hypertape_solver::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct GradientDescent {
    factors: Vec<f64>,
    learned: Option<usize>,
}

impl GradientDescent {
    /// With a factor for each step; the last one holds for all steps after.
    ///
    /// # Errors
    /// [`Error::Invalid`] unless each is positive and finite.
    pub fn with_factors(factors: Vec<f64>) -> Result<Self, Error> {
        match factors.iter().find(|&&s| !(s > 0.0 && s.is_finite())) {
            Some(s) => Err(Error::invalid("a step's factor", s, "a positive finite number")),
            None => Ok(Self { factors, learned: None }),
        }
    }

    /// With the factors `exp(x_k)` of the outer variable in place `k`: one for each step, of which the last holds for all
    /// steps after, or a scalar for all.
    pub fn learned(k: usize) -> Self {
        Self { factors: Vec::new(), learned: Some(k) }
    }

    fn size(&self, step: Step) -> f64 {
        let factor = self.factors.get(step.index).or(self.factors.last());
        factor.map_or(step.lr, |s| s * step.lr)
    }
}

impl Spelled for GradientDescent {
    fn about(&self) -> About {
        About { name: "gradient-descent", summary: "w' = w - lr g", cost: "" }
    }

    fn spell(&self, settings: &mut Settings) -> Result<Self, Error> {
        let help =
            "place of the outer variable x whose exp(x) multiplies lr: one factor, or one a step";
        let learned = settings.get("outer", self.learned, Range::COUNT, help);
        Ok(Self { learned, ..self.clone() })
    }
}

impl<T: Element> Rule<T> for GradientDescent {
    fn name(&self) -> String {
        self.text()
    }

    fn update<'a, A: Array<'a, Elem = T>>(
        &self,
        state: &[A],
        gradient: A,
        x: &[A],
        step: Step,
    ) -> List<A> {
        let Some(k) = self.learned else {
            return List::from_slice(&[state[0] - gradient * self.size(step)]);
        };
        let log = outer_variable(x, k, gradient);
        let factor = log.slice(step.index.min(log.shape().len().saturating_sub(1)), Shape::SCALAR);
        List::from_slice(&[state[0] - gradient * (factor.exp() * step.lr)])
    }

    fn multiple(&self, step: Step) -> Option<f64> {
        self.learned.is_none().then(|| -self.size(step))
    }

    fn nonlinear(&self) -> bool {
        self.learned.is_some()
    }
}

/// The outer variable in place `k`; a fault, and a scalar like `like`, if there are fewer.
pub(crate) fn outer_variable<'a, A: Array<'a>>(x: &[A], k: usize, like: A) -> A {
    if let Some(&x) = x.get(k) {
        return x;
    }
    let (what, expected, found) = ("the outer variables", k + 1, x.len());
    like.arena().raise(Fault::Length { what, expected, found });
    like.scalar(0.0)
}
