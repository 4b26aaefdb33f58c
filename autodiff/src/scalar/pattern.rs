//! [`Pattern`]: the entries of a Jacobian or Hessian that can differ from zero.

use std::iter::successors;
use std::mem;
use std::num::NonZero;

use super::drivers::Function;
use super::dual::Dual;
use super::real::Scalar;
use super::trace::{Graph, Trace};
use crate::array::element::Element;
use crate::fault::Fault;

/// The positions of the entries of a sparse matrix, row by row, with columns in ascending order.
///
/// Detection evaluates the function once on numbers that record what they depend on, and then sweeps over the record.
/// For a Jacobian it sweeps backward from 64 rows, which are the bits of a word, or, if that visits too many numbers,
/// forward from 64 columns. For a Hessian it sweeps forward from columns, then on to the numbers that these meet in
/// products, and then backward. Cost: the number of visits, which is one per record if results share little, and at
/// most `n / 64` per record for columns, or twice that if rows were tried first. Branches are those taken at the point.
/// An entry that is zero only by value counts.
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
    /// The starts of the rows in `columns`, and its length.
    starts: Vec<usize>,
    columns: Vec<u32>,
}

impl Pattern {
    /// Detects the pattern of the `m` by `n` Jacobian of a function with `m` results.
    pub fn of_jacobian<F: Element + Scalar<Plain = F>>(
        f: &impl Function<F>,
        x: &[F],
        m: usize,
    ) -> Self {
        let n = x.len();
        let graph = Graph::new(n, false);
        let results = trace(&graph, f, x.iter().copied(), m);
        let joins = graph.joins.borrow();
        by_rows(&joins, &results, n).unwrap_or_else(|| {
            let links = (0..).zip(results).filter_map(|(row, node)| Some((node?, row)));
            by_columns(&joins, &Self::sorted(n + joins.len(), m, links), n, m)
        })
    }

    /// Detects the pattern of the symmetric `n` by `n` Hessian of a function with one result.
    pub fn of_hessian<F: Element + Scalar<Plain = F>>(f: &impl Function<F>, x: &[F]) -> Self {
        let graph = Graph::new(x.len(), true);
        // Traced with a type of second order, so that functions which depend on the order contribute both derivatives.
        trace(&graph, f, x.iter().map(|&x| Dual::<F>::constant(x)), 1);
        let (joins, interactions) = (graph.joins.borrow(), graph.interactions.borrow());
        let (numbers, both) =
            (x.len() + joins.len(), interactions.iter().flat_map(|&[a, b]| [(a, b), (b, a)]));
        by_columns(&joins, &Self::sorted(numbers, numbers, both), x.len(), x.len())
    }

    /// Creates a known pattern from the columns of each row, in any order.
    ///
    /// # Errors
    /// Returns [`Fault::Index`] if a column is not below `cols`.
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

    /// Creates a pattern from pairs of a row and a column. The order within a row is kept.
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

    /// Returns the number of rows.
    pub fn rows(&self) -> usize {
        self.starts.len() - 1
    }

    /// Returns the number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Returns the number of entries.
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// Returns whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// Returns the columns of row `i`.
    pub fn row(&self, i: usize) -> &[u32] {
        &self.columns[self.range(i)]
    }

    /// Returns the positions of the entries of row `i` among all entries.
    pub fn range(&self, i: usize) -> std::ops::Range<usize> {
        self.starts[i]..self.starts[i + 1]
    }

    /// Returns the position of the entry in row `i` and column `j` among all entries, if it is in the pattern.
    pub fn position(&self, i: usize, j: usize) -> Option<usize> {
        let found = self.row(i).binary_search(&u32::try_from(j).ok()?).ok()?;
        Some(self.starts[i] + found)
    }

    /// Returns the transpose.
    pub(super) fn transposed(&self) -> Self {
        let rows =
            (0..).zip(0..self.rows()).flat_map(|(i, row)| self.row(row).iter().map(move |_| i));
        Self::sorted(self.cols, self.rows(), self.columns.iter().copied().zip(rows))
    }

    /// Returns, for each entry of the transpose, its position in `self`.
    pub(super) fn transposed_places(&self) -> Vec<u32> {
        Self::sorted(self.cols, self.len(), self.columns.iter().copied().zip(0..)).columns
    }

    /// Returns the largest number of entries in a row.
    pub(super) fn longest(&self) -> usize {
        (0..self.rows()).map(|i| self.row(i).len()).max().unwrap_or(0)
    }
}

/// Evaluates the function and returns the numbers of its results in the graph.
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

/// Finds the inputs, of `n`, that each result depends on, by sweeping down the joins from 64 results at a time. This is
/// cheap if each result is a small function of its own, whose records are then adjacent. Returns `None` if it takes
/// more work than sweeping up from the inputs can take, as where many results share intermediate numbers.
fn by_rows(joins: &[[u32; 2]], results: &[Option<u32>], n: usize) -> Option<Pattern> {
    let mut budget = joins.len().saturating_mul(n.div_ceil(64).max(4));
    let mut words = Words::new(n + joins.len());
    let (mut starts, mut columns) = (vec![0], Vec::new());
    let mut rows = vec![Vec::new(); 64];
    for results in results.chunks(64) {
        for (bit, node) in results.iter().enumerate() {
            if let Some(node) = *node {
                words.add(node as usize, 1 << bit);
            }
        }
        while let Some((number, word)) = words.pop(true) {
            if let Some(place) = number.checked_sub(n) {
                budget = budget.checked_sub(1)?;
                joins[place].iter().for_each(|&below| words.add(below as usize, word));
            } else {
                let column = u32::try_from(number).unwrap_or(u32::MAX);
                bits(0, word).for_each(|row| rows[row as usize].push(column));
            }
        }
        for row in &mut rows[..results.len()] {
            // Columns were found from the last to the first.
            columns.extend(row.drain(..).rev());
            starts.push(columns.len());
        }
    }
    Some(Pattern { cols: n, starts, columns })
}

/// Finds, for each of `rows` targets, the inputs, of `n`, that reach it: up the joins, over a link, and down the joins.
/// The targets are the rows, followed by the joins.
fn by_columns(joins: &[[u32; 2]], links: &Pattern, n: usize, rows: usize) -> Pattern {
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
        while let Some((node, word)) = up.pop(false) {
            users.row(node).iter().for_each(|&user| up.add(user as usize, word));
            links.row(node).iter().for_each(|&target| over.add(target as usize, word));
        }
        while let Some((target, word)) = over.pop(true) {
            if let Some(place) = target.checked_sub(rows) {
                joins[place].iter().for_each(|&below| over.add(below as usize, word));
                continue;
            }
            let row = u32::try_from(target).unwrap_or(u32::MAX);
            found.extend(bits(first, word).map(|column| (row, column)));
        }
    }
    // The columns of a row are in ascending order, because they were found so.
    Pattern::sorted(rows, n, found.iter().copied())
}

/// 64 words, and a mask of those that are not zero.
struct Page {
    live: u64,
    words: [u64; 64],
}

/// Words by number, in pages. There are only as many pages as are in use at the same time, because touching memory for
/// the first time costs more than a sweep over it. A tree of bits finds the next page: each bit says whether a word of
/// the level below has any, so that gaps cost nothing.
struct Words {
    pages: Vec<Page>,
    /// Pages that are zero.
    free: Vec<u32>,
    /// The page of each 64 numbers, or `NONE`.
    page: Vec<u32>,
    live: Vec<Vec<u64>>,
    /// The index, in `page`, of the last number that was taken, until its page is empty.
    near: Option<usize>,
}

const NONE: u32 = u32::MAX;

impl Words {
    fn new(len: usize) -> Self {
        let pages = len.div_ceil(64).max(1);
        let above = |&len: &usize| (len > 1).then_some(len.div_ceil(64));
        let live = successors(Some(pages.div_ceil(64)), above).map(|len| vec![0; len]).collect();
        Self { pages: Vec::new(), free: Vec::new(), page: vec![NONE; pages], live, near: None }
    }

    fn add(&mut self, number: usize, word: u64) {
        let mut page = self.page[number / 64];
        if page == NONE {
            page = self.open(number / 64);
        }
        let page = &mut self.pages[page as usize];
        page.live |= 1 << (number % 64);
        page.words[number % 64] |= word;
    }

    fn open(&mut self, mut place: usize) -> u32 {
        let page = self.free.pop().unwrap_or_else(|| {
            self.pages.push(Page { live: 0, words: [0; 64] });
            u32::try_from(self.pages.len() - 1).unwrap_or(NONE)
        });
        self.page[place] = page;
        for level in &mut self.live {
            level[place / 64] |= 1 << (place % 64);
            place /= 64;
        }
        page
    }

    fn close(&mut self, mut place: usize) {
        self.free.push(mem::replace(&mut self.page[place], NONE));
        for level in &mut self.live {
            level[place / 64] ^= 1 << (place % 64);
            if level[place / 64] != 0 {
                break;
            }
            place /= 64;
        }
    }

    /// Takes out the word with the highest number, or with the lowest. Between two calls, only numbers that come later
    /// in this order may be added, until none are left.
    fn pop(&mut self, highest: bool) -> Option<(usize, u64)> {
        let first = |live: u64| {
            let live = NonZero::new(live)?;
            Some(if highest { live.ilog2() } else { live.trailing_zeros() } as usize)
        };
        loop {
            let top = || {
                let mut levels = self.live.iter().rev();
                levels.try_fold(0, |place, level| Some(64 * place + first(level[place])?))
            };
            let near = self.near.or_else(top)?;
            let page = &mut self.pages[self.page[near] as usize];
            let Some(bit) = first(page.live) else {
                self.near = None;
                self.close(near);
                continue;
            };
            self.near = Some(near);
            page.live ^= 1 << bit;
            return Some((64 * near + bit, mem::take(&mut page.words[bit])));
        }
    }
}

/// Returns the numbers, from `first` on, whose bits are set in a word.
fn bits(first: usize, mut word: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let bit = word.trailing_zeros();
        word &= word.checked_sub(1)?;
        u32::try_from(first).ok()?.checked_add(bit)
    })
}
