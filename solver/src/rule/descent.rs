//! Gradient descent: `w' = w - lr s_t g`, with fixed factors `s_t` or learned ones, `s_t = e^{x_t}` (step sizes as
//! outer variables: Maclaurin, Duvenaud and Adams 2015). A learned factor has the slope `dw'/dx_t = -lr s_t g`. Factors
//! may also belong to entries instead of steps, with `s = e^x` of the shape of `w`.

use hypertape_autodiff::{Array, Element, Fault, List, Shape};

use crate::error::Error;
use crate::rule::{Rule, RuleForm, Step};
use crate::spelling::{About, Range, Spelled, Visit};

/// Gradient descent, with a factor `s_t` on the size of each step, 1 by default.
///
/// ```
/// use hypertape_solver::{GradientDescent, Named, Rule, Step};
/// let halved = GradientDescent::with_factors(vec![1.0, 0.5])?;
/// assert_eq!(Rule::<f64>::multiple(&halved, Step::new(1, 0.1)), Some(-0.05));
/// assert_eq!(Named::name(&GradientDescent::learned(1)), "gradient-descent:outer=1");
/// assert_eq!(Named::name(&GradientDescent::sized(1)), "gradient-descent:sizes=1");
/// # Ok::<(), hypertape_solver::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct GradientDescent {
    factors: Vec<f64>,
    learned: Option<Learned>,
}

/// The outer variable whose exponentials are the factors.
#[derive(Clone, Copy, Debug)]
enum Learned {
    /// One factor per step.
    Steps(usize),
    /// One factor per entry: those of the first array of `w` in this outer variable, those of the other arrays in the
    /// following ones.
    Entries(usize),
}

impl GradientDescent {
    /// Creates the rule with one factor per step; the last one applies to all later steps.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] unless each factor is positive and finite.
    pub fn with_factors(factors: Vec<f64>) -> Result<Self, Error> {
        factors.iter().try_for_each(|&s| Range::POSITIVE.check("a step's factor", s))?;
        Ok(Self { factors, learned: None })
    }

    /// Creates the rule with the factors `exp(x_k)` of the outer variable in place `k`: one per step, where the last
    /// applies to all later steps, or a scalar for all.
    pub fn learned(k: usize) -> Self {
        Self { factors: Vec::new(), learned: Some(Learned::Steps(k)) }
    }

    /// Creates the rule with the factors `exp(x_{k+i})` for the entries of array `i` of `w`, from the outer variable in
    /// place `k + i`: one number per entry, or a scalar for the whole array.
    ///
    /// ```
    /// use hypertape_autodiff::{Array, Element, List, Shape};
    /// use hypertape_solver::{Bilevel, Draw, Estimator, Exact, GradientDescent, InnerLoop, Oracle, Params, Rows};
    ///
    /// /// `g = (w_1^2 + w_2^2) / 2` from `w = (1, 2)`, and `f = w_1 + w_2`.
    /// struct Bowl;
    /// impl Bilevel<f64> for Bowl {
    ///     fn start(&self) -> Params<f64> {
    ///         Params::new().with("sizes", Shape::column(2), [0.0; 2])
    ///     }
    ///     fn init<'a, A: Array<'a, Elem = f64>>(&'a self, x: &[A], _: Draw) -> List<A> {
    ///         List::from_slice(&[x[0].constant(Shape::column(2), &[1.0, 2.0])])
    ///     }
    ///     fn inner<'a, A: Array<'a, Elem = f64>>(&'a self, w: &[A], _: &[A], _: Draw, _: Rows) -> A {
    ///         w[0].square().sum() * 0.5
    ///     }
    ///     fn outer<'a, A: Array<'a, Elem = f64>>(&'a self, w: &[A], _: &[A], _: Draw, _: Rows) -> A {
    ///         w[0].sum()
    ///     }
    /// }
    ///
    /// let (mut oracle, mut gradient) = (Oracle::new(Bowl)?, [0.0; 2]);
    /// oracle.set_rule(GradientDescent::sized(0));
    /// // Two steps, each w_i' = w_i (1 - e^{x_i} / 4).
    /// let x = [0.0, 2.0_f64.ln()];
    /// Exact::default().estimate(&mut oracle, &InnerLoop::new(2, 0.25)?, &x, Draw::new(0, 0), &mut gradient)?;
    /// // dF/dx_i = -2 w_i (1 - s_i) s_i with s = (1/4, 1/2)
    /// assert!((gradient[0] - -0.375).abs() < 1e-15 && (gradient[1] - -1.0).abs() < 1e-15);
    /// # Ok::<(), hypertape_solver::Error>(())
    /// ```
    pub fn sized(k: usize) -> Self {
        Self { factors: Vec::new(), learned: Some(Learned::Entries(k)) }
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

    fn spell(&self, settings: &mut Visit) -> Result<Self, Error> {
        let (steps, entries) = match self.learned {
            None => (None, None),
            Some(Learned::Steps(k)) => (Some(k), None),
            Some(Learned::Entries(k)) => (None, Some(k)),
        };
        let help = "index of the outer array whose exp multiplies lr: one entry, or one per step";
        let steps = settings.get("outer", steps, Range::COUNT, help);
        let help =
            "index of the first of the outer arrays whose exp multiply lr, one for each array of w";
        let entries = settings.get("sizes", entries, Range::COUNT, help);
        settings.at_most_one(&[steps.is_some(), entries.is_some()], "outer or sizes");
        let learned = steps.map(Learned::Steps).or(entries.map(Learned::Entries));
        Ok(Self { learned, ..self.clone() })
    }
}

impl<T: Element> Rule<T> for GradientDescent {
    fn update<'a, A: Array<'a, Elem = T>>(&self, s: &[A], g: A, x: &[A], step: Step) -> List<A> {
        let factor = match self.learned {
            None => return List::from_slice(&[s[0] - g * self.size(step)]),
            Some(Learned::Entries(k)) => outer_variable(x, k + step.array, g).exp(),
            Some(Learned::Steps(k)) => {
                let log = outer_variable(x, k, g);
                let last = log.shape().len().saturating_sub(1);
                log.slice(step.index.min(last), Shape::SCALAR).exp()
            }
        };
        List::from_slice(&[s[0] - g * (factor * step.lr)])
    }

    fn multiple(&self, step: Step) -> Option<f64> {
        self.learned.is_none().then(|| -self.size(step))
    }

    fn entrywise(&self) -> bool {
        !matches!(self.learned, Some(Learned::Entries(_)))
    }

    fn form(&self) -> RuleForm {
        if self.learned.is_some() { RuleForm::AffineInState } else { RuleForm::Affine }
    }
}

/// Returns the outer variable in place `k`. If there are fewer, raises a fault and returns a scalar like `like`.
pub(crate) fn outer_variable<'a, A: Array<'a>>(x: &[A], k: usize, like: A) -> A {
    if let Some(&x) = x.get(k) {
        return x;
    }
    let operation = "the outer variables";
    like.arena().raise(Fault::Index { operation, index: k, length: x.len() });
    like.scalar(0.0)
}
