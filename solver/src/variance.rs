//! Second moments of unbiased estimates, and the settings at which expected cost times second moment is least.
//!
//! All estimators here are random sums of levels: an estimate that every call makes, and corrections towards the exact
//! gradient `g`, each made with some probability and divided by it. With `g_0, ..., g_L = g` and level `i` reached with
//! probability `P_i`, `1 = P_0 >= P_1 >= ... > 0`,
//!
//! ```text
//! G = g_0 + sum_{i <= N} (g_i - g_{i-1}) / P_i,    P(N >= i) = P_i,    E G = g
//! E|G|^2 = sum_i b_i / P_i,    b_0 = E|g|^2 - E|R_1|^2,    b_i = E|R_i|^2 - E|R_{i+1}|^2,    R_i = g - g_{i-1},    R_{L+1} = 0
//! E cost = sum_i P_i t_i,      t_i = what level i adds
//! ```
//!
//! (Rhee and Glynn 2015, theorem 1, for the moments; Beatson and Adams 2019 for the compromise.) One level is the estimate of
//! Likhosherstov et al. (2021). Where noise of tasks matters and not the second moment, `tr Cov g` takes the place of `E|g|^2`.

/// Second moments and costs of the levels of an estimate.
#[derive(Clone, Debug, PartialEq)]
pub struct Levels {
    moments: Vec<f64>,
    costs: Vec<f64>,
}

impl Levels {
    /// From `base = E|g|^2`, the tails `E|R_1|^2, ..., E|R_L|^2` of the levels, and what reaching each of the levels
    /// `0, ..., L` costs altogether, in any unit.
    ///
    /// ```
    /// use hypertape_solver::Levels;
    /// // An estimate off by 0.26 for 20 gradients, the exact one for 81.
    /// let levels = Levels::new(1.15, &[0.26], &[20.0, 81.0]);
    /// let survival = levels.survival(0.0);
    /// assert!((survival[0] - (20.0 * 0.26 / (61.0 * 0.89_f64)).sqrt()).abs() < 1e-15);
    /// assert!((levels.second_moment(&survival) * levels.cost(&survival) / levels.least() - 1.0).abs() < 1e-15);
    /// ```
    ///
    /// # Panics
    /// Unless there is one cost more than tails.
    #[must_use]
    #[track_caller]
    pub fn new(base: f64, tails: &[f64], costs: &[f64]) -> Self {
        assert_eq!(costs.len(), tails.len() + 1, "costs and tails of levels");
        let before = std::iter::once(base).chain(tails.iter().copied());
        let after = tails.iter().copied().chain([0.0]);
        let cheaper = std::iter::once(0.0).chain(costs.iter().copied());
        Self {
            moments: before.zip(after).map(|(before, after)| before - after).collect(),
            costs: costs.iter().zip(cheaper).map(|(cost, cheaper)| cost - cheaper).collect(),
        }
    }

    /// Blocks of levels `(b, t, levels)` with falling ratios `b/t`, by pooling adjacent violators.
    fn blocks(&self) -> Vec<(f64, f64, usize)> {
        let mut blocks: Vec<(f64, f64, usize)> = Vec::new();
        for (&b, &t) in self.moments.iter().zip(&self.costs) {
            let mut block = (b, t, 1);
            while let Some(&(b, t, n)) = blocks.last()
                && b * block.1 <= block.0 * t
            {
                block = (b + block.0, t + block.1, n + block.2);
                blocks.pop();
            }
            blocks.push(block);
        }
        blocks
    }

    /// `P_1, ..., P_L` of the least `E cost E|G|^2`, but none below `floor`: in a block of levels that are reached together
    /// `P^2` is its `b/t` over that of the block of level 0. What makes a correction rare also makes it large, so a floor
    /// keeps moments that were estimated too low from ruining a run.
    pub fn survival(&self, floor: f64) -> Vec<f64> {
        let blocks = self.blocks();
        let (b, t, _) = blocks[0];
        let each = |&(own, cost, n): &(f64, f64, usize)| {
            let chance = (own / cost / (b / t)).max(0.0).sqrt();
            std::iter::repeat_n(if chance.is_nan() { 1.0 } else { chance.clamp(floor, 1.0) }, n)
        };
        blocks.iter().flat_map(each).skip(1).collect()
    }

    /// The least `E cost E|G|^2`: the square of the sum of `sqrt(b t)` over the blocks.
    pub fn least(&self) -> f64 {
        self.blocks().iter().map(|(b, t, _)| (b * t).max(0.0).sqrt()).sum::<f64>().powi(2)
    }

    /// `E|G|^2` with `survival = P_1, ..., P_L`.
    pub fn second_moment(&self, survival: &[f64]) -> f64 {
        self.moments[0] + self.moments[1..].iter().zip(survival).map(|(b, p)| b / p).sum::<f64>()
    }

    /// Expected cost with the same.
    pub fn cost(&self, survival: &[f64]) -> f64 {
        self.costs[0] + self.costs[1..].iter().zip(survival).map(|(t, p)| t * p).sum::<f64>()
    }
}

/// The probability that minimises `(C1 + q C2) (V^2 - D^2 + D^2/q)^p` over `(0, 1]`.
///
/// `d2` is `E|g - g0|^2`, `v2` is `E|g|^2`, `c1` what every call costs, `c2` what a hit adds. The exponent `p` says how
/// the number of iterations depends on the second moment: 2 for steps `k^-1/2`, 1 for steps tuned to it, 1/2 in the
/// synthetic experiments of Likhosherstov et al. (2021). The minimum is at `q = 1` iff
/// `d2 >= c2 v2 / (p (c1 + c2))`, otherwise at the root in (0, 1) of
/// `c2 (v2 - d2) q^2 + (1 - p) c2 d2 q - p c1 d2 = 0`. For `p = 1` this is [`Levels::survival`] of one level.
///
/// ```
/// use hypertape_solver::optimal_probability;
/// let q = optimal_probability(53.212, 2229.3, 11.0, 10.0, 0.5);
/// assert!((q - 0.110).abs() < 5e-4);
/// assert_eq!(optimal_probability(2.0, 2.0, 11.0, 10.0, 1.0), 1.0);
/// ```
pub fn optimal_probability(d2: f64, v2: f64, c1: f64, c2: f64, p: f64) -> f64 {
    if d2 >= c2 * v2 / (p * (c1 + c2)) {
        return 1.0;
    }
    // a q^2 + b q - c = 0 with a, c > 0, in the form that does not cancel for b > 0.
    let (a, b, c) = (c2 * (v2 - d2), (1.0 - p) * c2 * d2, p * c1 * d2);
    let root = (b * b + 4.0 * a * c).sqrt();
    if b > 0.0 { 2.0 * c / (b + root) } else { (root - b) / (2.0 * a) }
}

/// `E(1 - lr h b/q)^2` with `b` a coin of probability `q`: what a step of a thinned sweep does to the mean square of an
/// adjoint along an eigenvector of the inner Hessian with eigenvalue `h`. Above 1 it grows from step to step, without
/// bound, which is so for `q < lr h / 2`.
///
/// ```
/// use hypertape_solver::mean_square_factor;
/// assert_eq!(mean_square_factor(0.5, 1.0, 0.25), 1.0);
/// assert_eq!(mean_square_factor(0.5, 1.0, 1.0), 0.25);
/// ```
pub fn mean_square_factor(lr: f64, h: f64, q: f64) -> f64 {
    let x = lr * h;
    1.0 - 2.0 * x + x * x / q
}
