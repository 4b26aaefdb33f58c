//! Checks that a sparse plan reads all entries, by comparing two products with random numbers: that of the entries, and
//! that of the function, which is computed as an additional direction of a pass.

use super::pattern::Pattern;
use super::real::Scalar;
use crate::array::element::Element;
use crate::fault::Fault;

/// Returns number `k` of the direction: between 1/2 and 3/2, and not close to any other.
pub(super) fn weight<F: Element>(k: usize) -> F {
    let golden = (k as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    F::from_f64(0.5 + (golden >> 11) as f64 * (f64::EPSILON / 2.0))
}

/// The product computed by the function, and memory for the product computed from the entries.
#[derive(Debug, Default)]
pub(super) struct ProductCheck<F> {
    pub(super) off: bool,
    /// One entry for each row, or for each column if the direction is a seed of rows.
    pub(super) product: Vec<F>,
    sums: Vec<[F; 2]>,
}

impl<F: Element + Scalar<Plain = F>> ProductCheck<F> {
    /// Makes room for a product of `len` entries.
    pub(super) fn reset(&mut self, len: usize) {
        self.product.clear();
        self.product.resize(len, F::zero());
    }

    /// Compares the products as far as they are finite. The tolerance is the square root of the rounding unit, because
    /// of rounding errors of sums that cancel and of entries that are such sums themselves.
    ///
    /// # Errors
    /// Returns [`Fault::Pattern`] if the products differ.
    pub(super) fn finish(
        &mut self,
        pattern: &Pattern,
        by_rows: bool,
        values: &[F],
    ) -> Result<(), Fault> {
        if self.off {
            return Ok(());
        }
        self.sums.clear();
        self.sums.resize(self.product.len(), [F::zero(); 2]);
        let mut most = F::zero();
        for i in 0..pattern.rows() {
            for (&j, &value) in pattern.row(i).iter().zip(&values[pattern.range(i)]) {
                let j = j as usize;
                let (at, by) = if by_rows { (j, i) } else { (i, j) };
                let (part, [sum, size]) = (value * weight(by), &mut self.sums[at]);
                *sum += part;
                *size += num_traits::Float::abs(part);
                most = most.max(num_traits::Float::abs(value));
            }
        }
        let unit = F::epsilon();
        let root = num_traits::Float::sqrt(unit);
        for (index, (&found, &[expected, size])) in self.product.iter().zip(&self.sums).enumerate()
        {
            let slack = root * (size + most) + unit * <F as Element>::from_f64(64.0);
            if num_traits::Float::abs(found - expected) > slack && found.is_finite() {
                let [found, expected] = [found, expected].map(Element::as_f64);
                return Err(Fault::Pattern { index, found, expected });
            }
        }
        Ok(())
    }
}
