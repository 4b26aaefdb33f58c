//! [`Map`]: one function of few arguments at many observations, several of which travel side by side.

use std::array::from_fn;
use std::ops::Range;

use num_traits::{One, Zero};

use super::drivers::{Function, TOGETHER};
use super::dual::Dual;
use super::lanes::{Lanes, together};
use super::real::Scalar;
use super::tape::Tape;
use crate::array::element::Element;
use crate::fault::{Fault, expect_length};

/// What a function is given at each of many observations: arguments, then data, of which there are no derivatives.
#[derive(Clone, Copy, Debug)]
pub struct Observations<'a, F> {
    count: usize,
    /// Numbers of the arguments of each; all in order, if there are none.
    places: Option<&'a [usize]>,
    data: &'a [F],
}

impl<'a, F: Element + Scalar<Plain = F>> Observations<'a, F> {
    /// `count` observations of a function of all arguments, each with as many numbers of `data`, one after the other.
    pub fn new(count: usize, data: &'a [F]) -> Self {
        Self { count, places: None, data }
    }

    /// The same of a function of a few arguments, as many for each observation, whose numbers are `places`, one observation after
    /// the other.
    #[must_use]
    pub fn at(self, places: &'a [usize]) -> Self {
        Self { places: Some(places), ..self }
    }

    /// Those of a range, which ends at the last one. Threads take a part and a [`Map`] each; their sums are added in an order
    /// that does not depend on who is first.
    ///
    /// ```
    /// use hypertape_autodiff::scalar::{Function, Map, Observations, Real};
    /// struct Square;
    /// impl Function for Square {
    ///     fn eval<R: Real>(&self, x: &[R], y: &mut [R]) { y[0] = (x[0] * x[1]).square(); }
    /// }
    /// let data: Vec<f64> = (0..100).map(f64::from).collect();
    /// let all = Observations::new(100, &data);
    /// let part = |k: usize| {
    ///     let mut gradient = [0.0];
    ///     Map::<f64>::new().gradient(&Square, &[3.0], all.part(50 * k..50 * k + 50), &mut gradient).map(|_| gradient[0])
    /// };
    /// let slopes = std::thread::scope(|s| [0, 1].map(|k| s.spawn(move || part(k))).map(|part| part.join().unwrap()));
    /// assert_eq!(slopes[0]? + slopes[1]?, 6.0 * 328_350.0);
    /// # Ok::<(), hypertape_autodiff::Fault>(())
    /// ```
    #[must_use]
    pub fn part(self, Range { start, end }: Range<usize>) -> Self {
        let (start, end) = (start.min(self.count), end.min(self.count));
        let (arguments, columns) = (self.width(self.places.unwrap_or(&[])), self.width(self.data));
        let end = end.max(start);
        Self {
            count: end - start,
            places: self.places.map(|places| &places[start * arguments..end * arguments]),
            data: &self.data[start * columns..end * columns],
        }
    }

    /// Of a list with as many entries for each, how many.
    fn width<E>(&self, list: &[E]) -> usize {
        list.len() / self.count.max(1)
    }

    /// Numbers of arguments and of data of each.
    fn sizes(&self, n: usize) -> Result<[usize; 2], Fault> {
        let expect_whole = |what, length: usize| {
            expect_length(what, length.next_multiple_of(self.count.max(1)), length)
        };
        expect_whole("the data of observations", self.data.len())?;
        let Some(places) = self.places else { return Ok([n, self.width(self.data)]) };
        expect_whole("the places of observations", places.len())?;
        match places.iter().max() {
            Some(&index) if index >= n => Err(Fault::Index { operation: "map", index, length: n }),
            _ => Ok([self.width(places), self.width(self.data)]),
        }
    }
}

/// Memory for values and derivatives of a function at many observations, `N` of which are one [`Lanes`]. Where those take
/// different branches, they are evaluated one by one.
///
/// ```
/// use hypertape_autodiff::scalar::{Float, Function, Map, Observations, Real};
/// /// What `x_0 e^(-x_1 t)` misses, squared, for data `t` and `y`.
/// struct Decay;
/// impl Function for Decay {
///     fn eval<R: Real>(&self, x: &[R], y: &mut [R]) {
///         y[0] = (x[0] * (-x[1] * x[2]).exp() - x[3]).square();
///     }
/// }
/// let data = [0.0, 1.0, 0.0, 3.0, 0.0, 5.0];
/// let (mut map, all) = (Map::<f64>::new(), Observations::new(3, &data));
/// let (mut gradient, mut hessian) = ([0.0; 2], [0.0; 4]);
/// let value = map.hessian(&Decay, &[4.0, 1.0], all, &mut gradient, &mut hessian)?;
/// assert_eq!((value, gradient, hessian), (11.0, [6.0, 0.0], [6.0, 0.0, 0.0, 0.0]));
/// # Ok::<(), hypertape_autodiff::Fault>(())
/// ```
#[derive(Debug, Default)]
pub struct Map<F: Scalar, const N: usize = 8> {
    many: Pass<F, N>,
    one: Pass<F, 1>,
}

/// Memory for `L` observations at a time.
#[derive(Debug, Default)]
struct Pass<F: Scalar, const L: usize> {
    x: Vec<Lanes<F, L>>,
    results: Vec<Lanes<F, L>>,
    tape: Tape<Lanes<F, L>>,
    second: Tape<Dual<Lanes<F, L>, TOGETHER>>,
    gradient: Vec<Lanes<F, L>>,
}

/// Observations that are side by side.
struct Group {
    first: usize,
    count: usize,
}

impl Group {
    /// The observation of a lane; the last one again in those beyond.
    fn of(&self, lane: usize) -> usize {
        self.first + lane.min(self.count - 1)
    }

    /// The observations, and what belongs to each.
    fn points<F: Scalar, const L: usize>(
        &self,
        x: Lanes<F, L>,
    ) -> impl Iterator<Item = (usize, F)> {
        (self.first..self.first + self.count).zip(x.points())
    }

    /// The sum over its observations.
    fn total<F: Scalar, const L: usize>(&self, x: Lanes<F, L>) -> F {
        let mut points = x.points();
        points[self.count..].fill(F::zero());
        Lanes::new(points).total()
    }

    /// Writes `m` results of each observation.
    fn spread<F: Scalar, const L: usize>(
        &self,
        results: impl Iterator<Item = Lanes<F, L>>,
        m: usize,
        y: &mut [F],
    ) {
        for (j, result) in results.enumerate() {
            self.points(result).for_each(|(i, result)| y[i * m + j] = result);
        }
    }
}

/// For each group of observations what is said of it, in a [`Pass`] of all of them; where they take different branches, the same in
/// a pass of each.
macro_rules! for_groups {
    ($map:ident, $given:ident, |$pass:ident, $group:ident| $body:block) => {
        let count = $given.observations.count;
        for first in (0..count).step_by(N) {
            let $group = Group { first, count: N.min(count - first) };
            let $pass = &mut $map.many;
            let together = (|| -> Result<(), Fault> { $body })();
            if together == Err(Fault::Branches) {
                for first in first..first + $group.count {
                    let $group = Group { first, count: 1 };
                    let $pass = &mut $map.one;
                    (|| -> Result<(), Fault> { $body })()?;
                }
            } else {
                together?;
            }
        }
    };
}

impl<F: Element + Scalar<Plain = F>, const N: usize> Map<F, N> {
    /// No memory yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Values: writes the results of each observation, one observation after the other, into `y`.
    ///
    /// # Errors
    /// A length that does not match; [`Fault::Index`] of an argument that is not there.
    pub fn values(
        &mut self,
        f: &impl Function<F>,
        x: &[F],
        observations: Observations<'_, F>,
        y: &mut [F],
    ) -> Result<(), Fault> {
        let given = Given::new(x, observations)?;
        let m = given.results(y)?;
        for_groups!(self, given, |pass, group| {
            let Pass { x, results, .. } = pass;
            x.clear();
            x.extend(given.arguments(&group).chain(given.data(&group)));
            results.resize(m, Lanes::default());
            together(|| f.eval(x, results)).ok_or(Fault::Branches)?;
            group.spread(results.iter().copied(), m, y);
            Ok(())
        });
        Ok(())
    }

    /// Jacobians of each observation, one after the other, row by row: a matrix whose blocks of rows have the columns of the
    /// observation's arguments. Writes the results into `y`.
    ///
    /// ```
    /// use hypertape_autodiff::scalar::{Function, Map, Observations, Real};
    /// /// `(x_0 x_1, x_1)`
    /// struct Pair;
    /// impl Function for Pair {
    ///     fn eval<R: Real>(&self, x: &[R], y: &mut [R]) { (y[0], y[1]) = (x[0] * x[1], x[1]); }
    /// }
    /// let (mut y, mut jacobians) = ([0.0; 4], [0.0; 8]);
    /// let pairs = Observations::new(2, &[]).at(&[0, 1, 2, 1]);
    /// Map::<f64>::new().jacobians(&Pair, &[2.0, 3.0, 5.0], pairs, &mut y, &mut jacobians)?;
    /// assert_eq!((y, jacobians), ([6.0, 3.0, 15.0, 3.0], [3.0, 2.0, 0.0, 1.0, 3.0, 5.0, 0.0, 1.0]));
    /// # Ok::<(), hypertape_autodiff::Fault>(())
    /// ```
    ///
    /// # Errors
    /// As [`values`](Self::values).
    pub fn jacobians(
        &mut self,
        f: &impl Function<F>,
        x: &[F],
        observations: Observations<'_, F>,
        y: &mut [F],
        jacobians: &mut [F],
    ) -> Result<(), Fault> {
        let given = Given::new(x, observations)?;
        let (m, n) = (given.results(y)?, given.arguments);
        expect_length("the Jacobians", y.len() * n, jacobians.len())?;
        for_groups!(self, given, |pass, group| {
            let tape = &mut pass.tape;
            tape.record(given.arguments(&group), given.data(&group), m, |x, y| f.eval(x, y))?;
            tape.pull_rows(m, |row, column, bar| {
                let to = |(i, entry)| jacobians[(i * m + row) * n + column] = entry;
                group.points(bar).for_each(to);
            });
            group.spread(tape.values(), m, y);
            Ok(())
        });
        Ok(())
    }

    /// The sum over observations of a function with one result, and its gradient.
    ///
    /// # Errors
    /// As [`values`](Self::values).
    pub fn gradient(
        &mut self,
        f: &impl Function<F>,
        x: &[F],
        observations: Observations<'_, F>,
        gradient: &mut [F],
    ) -> Result<F, Fault> {
        let given = Given::new(x, observations)?;
        expect_length("the gradient", x.len(), gradient.len())?;
        gradient.fill(F::zero());
        let mut value = F::zero();
        for_groups!(self, given, |pass, group| {
            let tape = &mut pass.tape;
            tape.record(given.arguments(&group), given.data(&group), 1, |x, y| f.eval(x, y))?;
            tape.pull(
                |_| [Lanes::one()],
                |a, [bar]| given.add(&group, [a], bar, |[place], bar| gradient[place] += bar),
            );
            value += group.total(tape.value());
            Ok(())
        });
        Ok(value)
    }

    /// The same with the Hessian of the sum, row by row.
    ///
    /// # Errors
    /// As [`values`](Self::values).
    pub fn hessian(
        &mut self,
        f: &impl Function<F>,
        x: &[F],
        observations: Observations<'_, F>,
        gradient: &mut [F],
        hessian: &mut [F],
    ) -> Result<F, Fault> {
        let (given, n) = (Given::new(x, observations)?, x.len());
        expect_length("the gradient", n, gradient.len())?;
        expect_length("the Hessian", n * n, hessian.len())?;
        gradient.fill(F::zero());
        hessian.fill(F::zero());
        let (mut value, k) = (F::zero(), given.arguments);
        for_groups!(self, given, |pass, group| {
            let (mut sum, own) = (Lanes::default(), &mut pass.gradient);
            own.resize(k, Lanes::default());
            for first in (0..k.max(1)).step_by(TOGETHER) {
                let along = |(a, x): (usize, _)| Dual::variable(x, a.wrapping_sub(first));
                let arguments = given.arguments(&group).enumerate().map(along);
                let data = given.data(&group).map(|c| Dual::new(c, [Lanes::zero(); TOGETHER]));
                let take = |row: usize, moved: [_; TOGETHER]| {
                    for (column, moved) in (first..k).zip(moved) {
                        let to = |[i, j]: [usize; 2], entry| hessian[i * n + j] += entry;
                        given.add(&group, [row, column], moved, to);
                    }
                };
                sum = pass.second.second(|x, y| f.eval(x, y), arguments, data, own, take)?;
            }
            for (a, &bar) in own.iter().enumerate() {
                given.add(&group, [a], bar, |[place], bar| gradient[place] += bar);
            }
            value += group.total(sum);
            Ok(())
        });
        Ok(value)
    }
}

/// Arguments and data by observation.
struct Given<'a, F> {
    x: &'a [F],
    observations: Observations<'a, F>,
    arguments: usize,
    columns: usize,
}

impl<'a, F: Element + Scalar<Plain = F>> Given<'a, F> {
    fn new(x: &'a [F], observations: Observations<'a, F>) -> Result<Self, Fault> {
        let [arguments, columns] = observations.sizes(x.len())?;
        Ok(Self { x, observations, arguments, columns })
    }

    /// How many each observation has.
    fn results(&self, y: &[F]) -> Result<usize, Fault> {
        let m = self.observations.width(y);
        expect_length("the results of observations", m * self.observations.count, y.len())?;
        Ok(m)
    }

    /// The number of an argument.
    fn place(&self, observation: usize, argument: usize) -> usize {
        let places = self.observations.places;
        places.map_or(argument, |places| places[observation * self.arguments + argument])
    }

    fn arguments<const L: usize>(
        &self,
        group: &Group,
    ) -> impl ExactSizeIterator<Item = Lanes<F, L>> {
        (0..self.arguments).map(|a| {
            let shared = self.observations.places.is_none();
            Lanes::new(if shared {
                [self.x[a]; L]
            } else {
                from_fn(|lane| self.x[self.place(group.of(lane), a)])
            })
        })
    }

    fn data<const L: usize>(&self, group: &Group) -> impl ExactSizeIterator<Item = Lanes<F, L>> {
        let entry = |observation: usize, c| self.observations.data[observation * self.columns + c];
        (0..self.columns).map(move |c| Lanes::new(from_fn(|lane| entry(group.of(lane), c))))
    }

    /// Adds what a few arguments have at each observation of a group to what belongs to their numbers.
    fn add<const L: usize, const K: usize>(
        &self,
        group: &Group,
        arguments: [usize; K],
        x: Lanes<F, L>,
        mut to: impl FnMut([usize; K], F),
    ) {
        if self.observations.places.is_none() {
            return to(arguments, group.total(x));
        }
        for (i, x) in group.points(x) {
            to(arguments.map(|argument| self.place(i, argument)), x);
        }
    }
}
