//! [`Map`]: one function of few arguments at many observations, several of which are evaluated side by side.

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

/// The input of a function at each of many observations: its arguments, and then data, with respect to which it is not
/// differentiated.
#[derive(Clone, Copy, Debug)]
pub struct Observations<'a, F> {
    count: usize,
    /// Indices of the arguments of each observation; without them, all arguments in order.
    places: Option<&'a [usize]>,
    data: &'a [F],
}

impl<'a, F: Element + Scalar<Plain = F>> Observations<'a, F> {
    /// Creates `count` observations of a function of all arguments. The numbers in `data` are divided evenly among the
    /// observations, one observation after the other.
    pub fn new(count: usize, data: &'a [F]) -> Self {
        Self { count, places: None, data }
    }

    /// Makes the function depend on some of the arguments only, as many for each observation. `places` are the indices
    /// of these arguments, one observation after the other.
    #[must_use]
    pub fn at(self, places: &'a [usize]) -> Self {
        Self { places: Some(places), ..self }
    }

    /// Returns the observations of a range, cut to those that exist. For several threads, give each a part and a
    /// [`Map`] of its own; if their sums are added in a fixed order, the result does not depend on which thread is
    /// first.
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

    /// Returns the number of entries per observation of a list.
    fn width<E>(&self, list: &[E]) -> usize {
        list.len() / self.count.max(1)
    }

    /// Returns the numbers of arguments and of data per observation.
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

/// Memory for values and derivatives of a function at many observations, `N` of which are evaluated as one [`Lanes`].
/// If these take different branches, they are evaluated one by one.
///
/// Unlike for arrays, the instruction set is the one that the program is compiled for. It is not chosen at run time,
/// which would require your function to be compiled once per instruction set. `-C target-cpu=x86-64-v3` reduces the
/// time of the Jacobians of a bundle adjustment by 18 %.
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

/// Observations that are evaluated side by side.
struct Group {
    first: usize,
    count: usize,
}

impl Group {
    /// Returns the observation of a lane. Lanes beyond the last observation repeat it.
    fn of(&self, lane: usize) -> usize {
        self.first + lane.min(self.count - 1)
    }

    /// Returns the observations with their values in `x`.
    fn points<F: Scalar, const L: usize>(
        &self,
        x: Lanes<F, L>,
    ) -> impl Iterator<Item = (usize, F)> {
        (self.first..self.first + self.count).zip(x.points())
    }

    /// Returns the sum over the observations.
    fn total<F: Scalar, const L: usize>(&self, x: Lanes<F, L>) -> F {
        let mut points = x.points();
        points[self.count..].fill(F::zero());
        Lanes::new(points).total()
    }

    /// Writes the `m` results of each observation.
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

/// Evaluates the body for each group of observations, in a [`Pass`] of the whole group; if they take different
/// branches, in a pass of each.
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
    /// Creates a map without memory.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes the results of all observations into `y`, one observation after the other.
    ///
    /// # Errors
    /// Returns [`Fault::Length`] if a length does not match, [`Fault::Index`] if an argument does not exist, and any
    /// other fault of the evaluation.
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

    /// Computes the Jacobian of each observation, in row-major order and one after the other: a matrix with a block of
    /// rows per observation, whose columns are the arguments of the observation. Writes the results into `y`.
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
    /// Returns [`Fault::Length`] if a length does not match, [`Fault::Index`] if an argument does not exist, and any
    /// other fault of the evaluation.
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

    /// Computes the gradient of the sum over observations of a function with one result, and returns the sum.
    ///
    /// # Errors
    /// Returns [`Fault::Length`] if a length does not match, [`Fault::Index`] if an argument does not exist, and any
    /// other fault of the evaluation.
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

    /// Computes the gradient and the Hessian, in row-major order, of the sum over observations of a function with one
    /// result, and returns the sum.
    ///
    /// # Errors
    /// Returns [`Fault::Length`] if a length does not match, [`Fault::Index`] if an argument does not exist, and any
    /// other fault of the evaluation.
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

/// The arguments and the data of each observation.
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

    /// Returns the number of results per observation.
    fn results(&self, y: &[F]) -> Result<usize, Fault> {
        let m = self.observations.width(y);
        expect_length("the results of observations", m * self.observations.count, y.len())?;
        Ok(m)
    }

    /// Returns the index of an argument of an observation.
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

    /// Adds derivatives with respect to some arguments of the observations of a group to the entries that belong to the
    /// indices of these arguments.
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
