//! Gradient steps followed by a proximal map or a projection.
//!
//! ```text
//! ISTA        y = w - lr g      w' = sign(y) max(|y| - lr l, 0)
//! projected   w' = min(max(w - lr g, lower), upper)
//! simplex     w' = max(w - lr g - tau, 0), tau such that sum w' = sum
//! ```
//!
//! At their fixed points `dg/dw` is not zero, so implicit estimates differentiate the fixed point of a step. The rules
//! are differentiable almost everywhere; at a kink the derivative is that of [`Array::max`] (Beck and Teboulle 2009 for
//! ISTA; Bertrand et al. 2020 for its derivative, in which only active coordinates move).

use hypertape_autodiff::{Array, Element, List};

use crate::error::Error;
use crate::rule::descent::outer_variable;
use crate::rule::{Rule, Step};
use crate::spelling::{About, Range, Spelled, Visit, spelled};

/// Iterative soft thresholding, for `g` plus `sum_j l_j |w_j|`.
///
/// The weights are a number, or `exp(x_k)` for the outer variable `x_k`, which is a scalar or has the shape of `w`.
///
/// ```
/// use hypertape_solver::{Ista, Named};
/// assert_eq!(Named::name(&Ista::new(0.5)?), "ista:l1=0.5");
/// assert_eq!(Named::name(&Ista::learned(0)), "ista:outer=0");
/// # Ok::<(), hypertape_solver::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Ista {
    weight: Weight,
}

#[derive(Clone, Copy, Debug)]
enum Weight {
    Fixed(f64),
    Outer(usize),
}

impl Ista {
    /// Creates the rule with the weight `l1`.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] unless `l1` is positive and finite.
    pub fn new(l1: f64) -> Result<Self, Error> {
        Self { weight: Weight::Fixed(l1) }.checked()
    }

    /// Creates the rule with the weights `exp(x_k)` of the outer variable in place `k`, which is a scalar or has the
    /// shape of `w`.
    pub fn learned(k: usize) -> Self {
        Self { weight: Weight::Outer(k) }
    }
}

impl Ista {
    /// An example weight, as the registry lists it.
    pub(crate) const LISTED: Self = Self { weight: Weight::Fixed(0.1) };
}

impl Spelled for Ista {
    fn about(&self) -> About {
        let summary = "soft thresholding: a gradient step, then a shrinkage by lr times a weight";
        About { name: "ista", summary, cost: "" }
    }

    fn spell(&self, settings: &mut Visit) -> Result<Self, Error> {
        let (l1, outer) = match self.weight {
            Weight::Fixed(l1) => (Some(l1), None),
            Weight::Outer(k) => (None, Some(k)),
        };
        let found = settings.get("l1", l1, Range::POSITIVE, "weight of the penalty");
        let help =
            "index of the outer array whose exp is the weight: one entry, or one per entry of w";
        let outer = settings.get("outer", outer, Range::COUNT, help);
        settings.exactly_one(["l1", "outer"]);
        let weight = found.filter(|_| !settings.given("outer")).map(Weight::Fixed);
        Ok(Self { weight: weight.or(outer.map(Weight::Outer)).unwrap_or(self.weight) })
    }
}

impl<T: Element> Rule<T> for Ista {
    fn update<'a, A: Array<'a, Elem = T>>(&self, s: &[A], g: A, x: &[A], step: Step) -> List<A> {
        let y = s[0] - g * step.lr;
        let zero = y.scalar(0.0);
        let threshold = match self.weight {
            Weight::Fixed(l1) => y.scalar(step.lr * l1),
            Weight::Outer(k) => outer_variable(x, k, y).exp() * step.lr,
        };
        // Two separate sides: `zero.max` puts the kink at |y| = threshold on the flat side.
        List::from_slice(&[zero.max(y - threshold) - zero.max(-y - threshold)])
    }

    fn entrywise(&self) -> bool {
        matches!(self.weight, Weight::Fixed(_))
    }

    fn stationary(&self) -> bool {
        false
    }
}

/// Projected gradient descent onto a box.
#[derive(Clone, Copy, Debug)]
pub struct Projected {
    lower: f64,
    upper: f64,
}

impl Projected {
    /// Creates the projection onto `[lower, upper]`; either bound may be infinite.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] unless `lower < upper`.
    pub fn new(lower: f64, upper: f64) -> Result<Self, Error> {
        Self { lower, upper }.checked()
    }
}

impl Default for Projected {
    /// Sets no bounds.
    fn default() -> Self {
        Self { lower: f64::NEG_INFINITY, upper: f64::INFINITY }
    }
}

impl Spelled for Projected {
    fn about(&self) -> About {
        let summary = "a gradient step, then the projection onto the box from lower to upper";
        About { name: "projected", summary, cost: "" }
    }

    fn spell(&self, settings: &mut Visit) -> Result<Self, Error> {
        let lower =
            settings.get("lower", self.lower, Range::NUMBER, "lower bound of the entries of w");
        let upper =
            settings.get("upper", self.upper, Range::NUMBER, "upper bound of the entries of w");
        if lower < upper {
            return Ok(Self { lower, upper });
        }
        let found = format!("{lower} to {upper}");
        Err(Error::invalid("the box of projected", found, "lower below upper"))
    }
}

impl<T: Element> Rule<T> for Projected {
    fn update<'a, A: Array<'a, Elem = T>>(&self, s: &[A], g: A, _: &[A], step: Step) -> List<A> {
        let y = s[0] - g * step.lr;
        List::from_slice(&[y.max(y.scalar(self.lower)).min(y.scalar(self.upper))])
    }

    fn entrywise(&self) -> bool {
        true
    }

    fn stationary(&self) -> bool {
        false
    }
}

spelled! {
    /// Projected gradient descent onto a simplex: the entries of each array are not negative and have a given sum.
    ///
    /// `tau` is found by Michelot's iteration (1986), with at most as many passes as there are entries, and
    /// differentiated through the positive entries. With the sum 1 the entries are probabilities.
    #[derive(Clone, Copy, Debug)]
    pub struct Simplex: "simplex",
        "a gradient step, then the projection onto the simplex of entries with a given sum",
        "" {
        sum: f64 = 1.0, Range::POSITIVE, "what the entries add up to";
    }
}

impl Simplex {
    /// Creates the projection onto entries with the sum `sum`.
    ///
    /// ```
    /// use hypertape_autodiff::{Arena, Array, Shape, Tensor};
    /// use hypertape_solver::{Rule, Simplex, Step};
    /// let arena = Arena::new();
    /// let values = [[0.8, 0.6, -0.1], [0.0; 3]];
    /// let [w, g] = values.each_ref().map(|v| Tensor::new(&arena, Shape::column(3), v));
    /// let next = Simplex::new(1.0)?.update(&[w], g, &[], Step::new(0, 1.0));
    /// assert!(next[0].values().iter().zip([0.6, 0.4, 0.0]).all(|(w, known): (&f64, _)| (w - known).abs() < 1e-15));
    /// # Ok::<(), hypertape_solver::Error>(())
    /// ```
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] unless `sum` is positive and finite.
    pub fn new(sum: f64) -> Result<Self, Error> {
        Self { sum }.checked()
    }
}

impl<T: Element> Rule<T> for Simplex {
    fn update<'a, A: Array<'a, Elem = T>>(&self, s: &[A], g: A, _: &[A], step: Step) -> List<A> {
        let y = s[0] - g * step.lr;
        let sum = T::from_f64(self.sum);
        // Once `tau` no longer changes, the entries above it are those from which it was computed.
        let (mut tau, mut count) = (T::neg_infinity(), usize::MAX);
        loop {
            let above = y.values().iter().filter(|&&y| y > tau);
            let (n, all) = above.fold((0, T::zero()), |(n, all), &y| (n + 1, all + y));
            if n == 0 || n >= count {
                break;
            }
            (tau, count) = ((all - sum) / T::from_f64(n as f64), n);
        }
        let zero = y.scalar(0.0);
        // One Newton step from there is exact, and gives `tau` its derivative.
        let known = y.scalar(tau.as_f64());
        let over = (y - known).max(zero).sum() - self.sum;
        List::from_slice(&[(y - (known + over / count as f64)).max(zero)])
    }

    fn stationary(&self) -> bool {
        false
    }
}
