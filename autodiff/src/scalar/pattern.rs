//! [`Pattern`]: which entries of a Jacobian or Hessian can differ from zero.

use std::num::NonZero;

use super::drivers::Function;
use super::dual::Dual;
use super::real::Scalar;
use super::trace::{Graph, Trace};
use crate::array::element::Element;
use crate::fault::Fault;

/// The places of a sparse matrix, row by row, columns in ascending order.
///
/// Detection evaluates the function once on numbers that record what they depend on, then sweeps over the record with 64
/// columns in the bits of a word: forward, to what depends on these columns, and for a Hessian on to what meets that in
/// products, and back. Cost: the numbers that a sweep comes by, so `n` for a band and at most `n / 64` a record. Branches
/// are those taken at the point; an entry that is zero by value alone counts.
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
        let links = (0..).zip(results).filter_map(|(row, node)| Some((node?, row)));
        detect(&joins, &Self::sorted(x.len() + joins.len(), m, links), x.len(), m)
    }

    /// Of the `n` by `n` Hessian of a function with one result, which is symmetric.
    pub fn of_hessian<F: Element + Scalar<Plain = F>>(f: &impl Function<F>, x: &[F]) -> Self {
        let graph = Graph { inputs: x.len(), ..Graph::default() };
        // Of second order, so that functions which ask for the order take part with both derivatives.
        trace(&graph, f, x.iter().map(|&x| Dual::<F>::constant(x)), 1);
        let (joins, bends) = (graph.joins.borrow(), graph.bends.borrow());
        let (numbers, both) =
            (x.len() + joins.len(), bends.iter().flat_map(|&[a, b]| [(a, b), (b, a)]));
        detect(&joins, &Self::sorted(numbers, numbers, both), x.len(), x.len())
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
        let places = (0..).zip(&rows).flat_map(|(i, row)| row.iter().map(move |&j| (i, j)));
        Ok(Self::sorted(rows.len(), cols, places))
    }

    /// Of rows and columns, whose order is kept in a row.
    fn sorted(rows: usize, cols: usize, places: impl Iterator<Item = (u32, u32)> + Clone) -> Self {
        let mut starts = vec![0; rows + 1];
        places.clone().for_each(|(i, _)| starts[i as usize + 1] += 1);
        (0..rows).for_each(|i| starts[i + 1] += starts[i]);
        let (mut next, mut columns) = (starts.clone(), vec![0; starts[rows]]);
        for (i, j) in places {
            columns[next[i as usize]] = j;
            next[i as usize] += 1;
        }
        Self { cols, starts, columns }
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
    pub(super) fn transposed(&self) -> (Self, Vec<u32>) {
        let rows =
            (0_u32..).zip(0..self.rows()).flat_map(|(i, row)| self.row(row).iter().map(move |_| i));
        let turned = Self::sorted(self.cols, self.rows(), self.columns.iter().copied().zip(rows));
        let places = Self::sorted(self.cols, self.len(), self.columns.iter().copied().zip(0..));
        (turned, places.columns)
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

/// For each of `rows` targets which of `n` inputs reach it: up the joins, over a link, and down the joins, whose numbers
/// follow those of the rows among the targets.
fn detect(joins: &[[u32; 2]], links: &Pattern, n: usize, rows: usize) -> Pattern {
    let mut wanted: Vec<bool> = (0..links.rows()).map(|node| !links.row(node).is_empty()).collect();
    for (place, &[a, b]) in joins.iter().enumerate().rev() {
        wanted[a as usize] |= wanted[n + place];
        wanted[b as usize] |= wanted[n + place];
    }
    let uses = joins.iter().zip((0_u32..).skip(n)).filter(|&(_, user)| wanted[user as usize]);
    let uses = uses.flat_map(|(&[a, b], user)| [(a, user), (b, user)]);
    let users = Pattern::sorted(links.rows(), links.rows(), uses);
    let (mut up, mut over) = (Words::new(links.rows()), Words::new(links.cols()));
    let mut found = Vec::new();
    for first in (0..n).step_by(64) {
        (first..n).take(64).for_each(|i| up.add(i, 1 << (i - first)));
        up.drain(false, |up, node, word| {
            users.row(node).iter().for_each(|&user| up.add(user as usize, word));
            links.row(node).iter().for_each(|&target| over.add(target as usize, word));
        });
        over.drain(true, |over, target, word| {
            let Some(place) = target.checked_sub(rows) else {
                let row = u32::try_from(target).unwrap_or(u32::MAX);
                return found.extend(columns(first, word).map(|column| (row, column)));
            };
            joins[place].iter().for_each(|&below| over.add(below as usize, word));
        });
    }
    // Columns of a row ascend, as they were found.
    Pattern::sorted(rows, n, found.iter().copied())
}

/// Words by number, and which are not zero.
struct Words {
    words: Vec<u64>,
    live: Vec<u64>,
}

impl Words {
    fn new(len: usize) -> Self {
        Self { words: vec![0; len], live: vec![0; len.div_ceil(64)] }
    }

    fn add(&mut self, number: usize, word: u64) {
        self.words[number] |= word;
        self.live[number / 64] |= 1 << (number % 64);
    }

    /// Takes words out from the lowest number up, or from the highest down; `take` may add beyond its number.
    fn drain(&mut self, down: bool, mut take: impl FnMut(&mut Self, usize, u64)) {
        let blocks = self.live.len();
        for block in 0..blocks {
            let block = if down { blocks - 1 - block } else { block };
            while let Some(live) = NonZero::new(self.live[block]) {
                let bit = if down { live.ilog2() } else { live.trailing_zeros() };
                self.live[block] ^= 1 << bit;
                let number = 64 * block + bit as usize;
                let word = std::mem::take(&mut self.words[number]);
                take(self, number, word);
            }
        }
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
