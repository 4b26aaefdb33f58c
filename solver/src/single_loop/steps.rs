//! Step sizes of `w`, `v` and `x` in one notation: `a / k^p` in iteration `k`, counted from 1.

use crate::outer::{Optimiser, decayed};
use crate::spelling::{Range, Value, Visit};

/// Help of the setting `inner`.
pub(super) const INNER: &str = "steps of w per iteration";

/// The number `size / k^power` in iteration `k`, counted from 1; typed `0.1` or `0.1/k^0.5`.
///
/// Without a power, that of the algorithm is used.
///
/// ```
/// use hypertape_solver::Value;
/// use hypertape_solver::single_loop::Decay;
/// let decay = Decay::read(Some("0.2/k^0.5")).unwrap();
/// assert_eq!((decay.at(0, 0.0), decay.at(3, 0.0)), (0.2, 0.1));
/// assert_eq!(decay.print().as_deref(), Some("0.2/k^0.5"));
/// assert_eq!(Decay::read(Some("0.2")).unwrap().at(3, 1.0), 0.05);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decay {
    /// Value in the first iteration.
    pub size: f64,
    /// Power of the decay.
    pub power: Option<f64>,
}

impl Decay {
    /// Range of step sizes.
    pub(crate) const RANGE: Range =
        Range::new("a positive size, such as 0.1 or 0.1/k^0.5", Range::POSITIVE.holds);

    /// Range of shares.
    pub(crate) const SHARE: Range =
        Range::new("a share, such as 0.5 or 0.5/k^0.67", Range::UP_TO_ONE.holds);

    pub(crate) const fn of(size: f64) -> Self {
        Self { size, power: None }
    }

    /// Returns the value in iteration `t`, counted from 0; `power` is used if the decay has no power of its own.
    pub fn at(self, t: usize, power: f64) -> f64 {
        decayed(self.size, t + 1, self.power.unwrap_or(power))
    }
}

impl Value for Decay {
    fn read(typed: Option<&str>) -> Option<Self> {
        let typed = typed?;
        let (size, power) = match typed.split_once("/k^") {
            Some((size, power)) => (size, Some(power.parse().ok()?)),
            None => (typed, None),
        };
        let decays = power.is_none_or(Range::NOT_NEGATIVE.holds);
        Some(Self { size: size.parse().ok()?, power }).filter(|_| decays)
    }

    fn number(self) -> Option<f64> {
        Some(self.size)
    }

    fn print(self) -> Option<String> {
        let size = self.size.print()?;
        let power = self.power.and_then(f64::print);
        Some(power.map_or_else(|| size.clone(), |power| format!("{size}/k^{power}")))
    }
}

/// Step sizes of the three variables.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Steps {
    /// Step size of `w`.
    pub inner: Decay,
    /// Step size of `v`, or of the factors of a series; by default the size for `w`.
    pub linear: Option<Decay>,
    /// Step size of `x`; by default the size for `w` divided by `ratio`.
    pub outer: Option<Decay>,
    /// Ratio of the step size of `w` to that of `x`.
    pub ratio: f64,
    /// Powers by which the three sizes decay by default.
    pub powers: [f64; 3],
}

impl Steps {
    /// Creates sizes `size`, `size` and `size / ratio` with these powers.
    pub const fn new(size: f64, ratio: f64, powers: [f64; 3]) -> Self {
        Self { inner: Decay::of(size), linear: None, outer: None, ratio, powers }
    }

    /// Default step sizes of an algorithm in the registry.
    pub(crate) const fn listed(powers: [f64; 3]) -> Self {
        Self::new(0.1, 1.0, powers)
    }

    /// Returns the step sizes of `w` and `v` in iteration `t`, counted from 0.
    pub fn at(&self, t: usize) -> [f64; 2] {
        let linear = self.linear.unwrap_or(Decay::of(self.inner.size));
        [self.inner.at(t, self.powers[0]), linear.at(t, self.powers[1])]
    }

    /// Returns the optimiser that takes the steps of `x`.
    ///
    /// ```
    /// use hypertape_solver::single_loop::Steps;
    /// assert_eq!(Steps::new(0.1, 10.0, [0.4, 0.0, 0.6]).outer().to_string(), "sgd 0.01/k^0.6");
    /// ```
    pub fn outer(&self) -> Optimiser {
        let outer = self.outer.unwrap_or(Decay::of(self.inner.size / self.ratio));
        Optimiser::Sgd { lr: outer.size, power: outer.power.unwrap_or(self.powers[2]) }
    }

    /// Visits the settings `step` (required), `linear`, `ratio` and `outer`, which all algorithms have.
    ///
    /// In [`spelled!`](crate::spelled), that is a line with only the field.
    #[must_use]
    pub fn spell(self, visit: &mut Visit) -> Self {
        let inner = visit.need("step", self.inner, Decay::RANGE, "step size of w");
        let help = "step size of v, or of the factors of a series; that of w if not given";
        let linear = visit.get("linear", self.linear, Decay::RANGE, help);
        let help = "step size of w over that of x";
        let ratio = visit.get_if(self.ratio != 1.0, "ratio", self.ratio, Range::POSITIVE, help);
        let help = "step size of x, in place of ratio";
        let outer = visit.get("outer", self.outer, Decay::RANGE, help);
        let both = [visit.given("ratio"), visit.given("outer")];
        visit.at_most_one(&both, "ratio or outer, not both");
        Self { inner, linear, outer, ratio, ..self }
    }
}
