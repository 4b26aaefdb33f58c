//! Second moments of unbiased estimates, and the settings that minimise expected cost times second moment.
//!
//! All estimators here are random sums of levels: an estimate that every call computes, and corrections towards the
//! exact gradient `g`, each computed with some probability and divided by it. With `g_0, ..., g_L = g` and level `i`
//! reached with probability `P_i`, `1 = P_0 >= P_1 >= ... > 0`,
//!
//! ```text
//! G = g_0 + sum_{i <= N} (g_i - g_{i-1}) / P_i,    P(N >= i) = P_i,    E G = g
//! E|G|^2 = sum_i b_i / P_i,    b_0 = E|g|^2 - E|R_1|^2,    b_i = E|R_i|^2 - E|R_{i+1}|^2,    R_i = g - g_{i-1},    R_{L+1} = 0
//! E cost = sum_i P_i t_i,      t_i = what level i adds
//! ```
//!
//! (Rhee and Glynn 2015, theorem 1, for the moments; Beatson and Adams 2019 for the compromise). One level is the
//! estimate of Likhosherstov et al. (2021). If the noise of tasks matters instead of the second moment, `tr Cov g`
//! replaces `E|g|^2`.

/// Second moments and costs of the levels of an estimate.
#[derive(Clone, Debug, PartialEq)]
pub struct Levels {
    moments: Vec<f64>,
    costs: Vec<f64>,
}

impl Levels {
    /// Creates levels from `base = E|g|^2`, the tails `E|R_1|^2, ..., E|R_L|^2`, and the total cost of reaching each of
    /// the levels `0, ..., L`, in any unit.
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
    /// Panics unless there is one more cost than tails.
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

    /// Returns blocks of levels `(b, t, levels)` with decreasing ratios `b/t`, by pooling adjacent violators.
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

    /// Returns the `P_1, ..., P_L` that minimise `E cost E|G|^2`, none of them below `floor`.
    ///
    /// In a block of levels that are reached together, `P^2` is the block's `b/t` divided by that of the first block. A
    /// small probability makes a correction large, so a floor prevents underestimated moments from ruining a run.
    pub fn survival(&self, floor: f64) -> Vec<f64> {
        let blocks = self.blocks();
        let (b, t, _) = blocks[0];
        let each = |&(own, cost, n): &(f64, f64, usize)| {
            let chance = (own / cost / (b / t)).max(0.0).sqrt();
            std::iter::repeat_n(if chance.is_nan() { 1.0 } else { chance.clamp(floor, 1.0) }, n)
        };
        blocks.iter().flat_map(each).skip(1).collect()
    }

    /// Returns the minimum of `E cost E|G|^2`, which is the square of the sum of `sqrt(b t)` over the blocks.
    pub fn least(&self) -> f64 {
        self.blocks().iter().map(|(b, t, _)| (b * t).max(0.0).sqrt()).sum::<f64>().powi(2)
    }

    /// Returns `E|G|^2` for `survival = P_1, ..., P_L`.
    pub fn second_moment(&self, survival: &[f64]) -> f64 {
        self.moments[0] + self.moments[1..].iter().zip(survival).map(|(b, p)| b / p).sum::<f64>()
    }

    /// Returns the expected cost for `survival = P_1, ..., P_L`.
    pub fn cost(&self, survival: &[f64]) -> f64 {
        self.costs[0] + self.costs[1..].iter().zip(survival).map(|(t, p)| t * p).sum::<f64>()
    }
}

/// Returns the probability `q` in `(0, 1]` that minimises `(C1 + q C2) (V^2 - D^2 + D^2/q)^p`.
///
/// `d2` is `E|g - g0|^2`, `v2` is `E|g|^2`, `c1` the cost of every call, and `c2` the additional cost of a hit. The
/// exponent `p` is the power of the second moment to which the number of iterations is proportional: 2 for steps
/// `k^-1/2`, 1 for steps tuned to it, 1/2 in the synthetic experiments of Likhosherstov et al. (2021). The minimum is
/// at `q = 1` iff `d2 >= c2 v2 / (p (c1 + c2))`, otherwise at the root in (0, 1) of
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
    // Solves a q^2 + b q - c = 0 for a, c > 0, in the form without cancellation for b > 0.
    let (a, b, c) = (c2 * (v2 - d2), (1.0 - p) * c2 * d2, p * c1 * d2);
    let root = (b * b + 4.0 * a * c).sqrt();
    if b > 0.0 { 2.0 * c / (b + root) } else { (root - b) / (2.0 * a) }
}

/// Returns `E(1 - lr h b/q)^2` for a coin `b` of probability `q`: the factor by which a step of a thinned sweep
/// multiplies the mean square of an adjoint along an eigenvector of the inner Hessian with eigenvalue `h`.
///
/// If it is above 1, which holds for `q < lr h / 2`, the mean square grows without bound.
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
