//! [`Pattern`]: which entries of a Jacobian or Hessian can differ from zero.

use super::drivers::Function;
use super::dual::Dual;
use super::real::Scalar;
use super::trace::{Graph, Trace};
use crate::array::element::Element;
use crate::fault::Fault;

/// The places of a sparse matrix, row by row, columns in ascending order.
///
/// Detection evaluates the function once on numbers that record what they depend on, then sweeps over the record with 64
/// columns in the bits of a word: `n / 64` sweeps of a word a record. A Hessian takes a sweep forward, for what a number
/// depends on, and one back from the pairs that meet in products, for what meets it. Branches are those taken at the
/// point; an entry that is zero by value alone counts.
///
/// ```
/// use hypertape_autodiff::scalar::{Function, Pattern, Real};
/// /// `x_0 x_1 + x_2^2`
/// struct Pair;
/// impl Function for Pair {
///     fn eval<R: Real>(&self, x: &[R], y: &mut [R]) { y[0] = x[0] * x[1] + x[2].square(); }
/// }
/// let hessian = Pattern::of_hessian(&Pair, &[0.0; 3]);
/// assert_eq!([0, 1, 2].map(|i| hessian.row(i).to_vec()), [[1], [0], [2]]);
/// assert_eq!(Pattern::of_jacobian(&Pair, &[0.0; 3], 1).row(0), [0, 1, 2]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    cols: usize,
    /// Where rows begin in `columns`, and its end.
    starts: Vec<usize>,
    columns: Vec<u32>,
}

impl Pattern {
    /// Of the `m` by `n` Jacobian of a function with `m` results.
    pub fn of_jacobian<F: Element + Scalar<Plain = F>>(
        f: &impl Function<F>,
        x: &[F],
        m: usize,
    ) -> Self {
        let graph = Graph { inputs: x.len(), ..Graph::default() };
        let results = trace(&graph, f, x.iter().copied(), m);
        let joins = graph.joins.borrow();
        let mut rows = vec![Vec::new(); m];
        each_block(x.len(), &joins, |first, below| {
            for (row, node) in rows.iter_mut().zip(&results) {
                row.extend(node.iter().flat_map(|&node| columns(first, below[node as usize])));
            }
        });
        Self::from_rows(x.len(), &rows)
    }

    /// Of the `n` by `n` Hessian of a function with one result, which is symmetric.
    pub fn of_hessian<F: Element + Scalar<Plain = F>>(f: &impl Function<F>, x: &[F]) -> Self {
        let graph = Graph { inputs: x.len(), ..Graph::default() };
        // Of second order, so that functions which ask for the order take part with both derivatives.
        trace(&graph, f, x.iter().map(|&x| Dual::<F>::constant(x)), 1);
        let (joins, bends) = (graph.joins.borrow(), graph.bends.borrow());
        let mut rows = vec![Vec::new(); x.len()];
        let mut meets = vec![0_u64; x.len() + joins.len()];
        each_block(x.len(), &joins, |first, below| {
            meets.fill(0);
            for &[a, b] in bends.iter() {
                meets[b as usize] |= below[a as usize];
                meets[a as usize] |= below[b as usize];
            }
            for (place, &[a, b]) in joins.iter().enumerate().rev() {
                let word = meets[x.len() + place];
                meets[a as usize] |= word;
                meets[b as usize] |= word;
            }
            for (row, &word) in rows.iter_mut().zip(&meets) {
                row.extend(columns(first, word));
            }
        });
        Self::from_rows(x.len(), &rows)
    }

    /// A known pattern: the columns of each row, in any order.
    ///
    /// # Errors
    /// [`Fault::Index`] for a column that is not below `cols`.
    pub fn new(cols: usize, mut rows: Vec<Vec<u32>>) -> Result<Self, Fault> {
        for row in &mut rows {
            row.sort_unstable();
            row.dedup();
            if let Some(&last) = row.last().filter(|&&last| last as usize >= cols) {
                let (operation, index) = ("pattern", last as usize);
                return Err(Fault::Index { operation, index, length: cols });
            }
        }
        Ok(Self::from_rows(cols, &rows))
    }

    /// Of columns that ascend.
    pub(super) fn from_rows(cols: usize, rows: &[Vec<u32>]) -> Self {
        let ends = rows.iter().scan(0, |end, row| {
            *end += row.len();
            Some(*end)
        });
        Self { cols, starts: std::iter::once(0).chain(ends).collect(), columns: rows.concat() }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.starts.len() - 1
    }

    /// Number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// The columns of row `i`.
    pub fn row(&self, i: usize) -> &[u32] {
        &self.columns[self.range(i)]
    }

    /// Where the entries of row `i` stand among all.
    pub fn range(&self, i: usize) -> std::ops::Range<usize> {
        self.starts[i]..self.starts[i + 1]
    }

    /// Where the entry in row `i` and column `j` stands among all.
    pub fn position(&self, i: usize, j: usize) -> Option<usize> {
        let found = self.row(i).binary_search(&u32::try_from(j).ok()?).ok()?;
        Some(self.starts[i] + found)
    }

    /// The transpose, and for each of its entries where it stands in `self`.
    pub(super) fn transposed(&self) -> (Self, Vec<usize>) {
        let mut rows = vec![Vec::new(); self.cols];
        let mut places = vec![Vec::new(); self.cols];
        for (i, row) in (0_u32..).zip(0..self.rows()) {
            for p in self.range(row) {
                rows[self.columns[p] as usize].push(i);
                places[self.columns[p] as usize].push(p);
            }
        }
        (Self::from_rows(self.rows(), &rows), places.concat())
    }
}

/// The numbers of the results.
fn trace<F: Element, T: Scalar<Plain = F>>(
    graph: &Graph,
    f: &impl Function<F>,
    x: impl Iterator<Item = T>,
    m: usize,
) -> Vec<Option<u32>> {
    let x: Vec<_> = x.enumerate().map(|(i, x)| Trace::variable(graph, i, x)).collect();
    let mut y = vec![Trace::default(); m];
    f.eval(&x, &mut y);
    y.into_iter().map(Trace::number).collect()
}

/// For each block of 64 inputs, its first and which of them each number depends on.
fn each_block(n: usize, joins: &[[u32; 2]], mut take: impl FnMut(usize, &[u64])) {
    let mut below = vec![0_u64; n + joins.len()];
    for first in (0..n).step_by(64) {
        below[..n].fill(0);
        for (bit, word) in below[first..n].iter_mut().take(64).enumerate() {
            *word = 1 << bit;
        }
        for (place, &[a, b]) in joins.iter().enumerate() {
            below[n + place] = below[a as usize] | below[b as usize];
        }
        take(first, &below);
    }
}

/// The columns that the bits of a word stand for.
fn columns(first: usize, mut word: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let bit = word.trailing_zeros();
        word &= word.checked_sub(1)?;
        u32::try_from(first).ok()?.checked_add(bit)
    })
}
