//! `Scratch`: the tapes of passes over scalars, kept from call to call.

use hypertape_autodiff::Fault;
use hypertape_autodiff::scalar::{Dual, Scalar, Tape, Var};

/// Most directions that travel together through a forward pass.
pub(crate) const TOGETHER: usize = 4;

/// Tapes over values, over one tangent, and over as many as travel together.
#[derive(Debug)]
pub(crate) struct Scratch<T> {
    pub(crate) values: Sweep<T>,
    pub(crate) tangent: Sweep<Dual<T>>,
    pub(crate) tangents: Sweep<Dual<T, TOGETHER>>,
}

impl<T: Scalar> Scratch<T> {
    /// Nothing recorded yet, at most `limit` bytes of records a tape.
    pub(crate) fn new(limit: usize) -> Self {
        Self { values: Sweep::new(limit), tangent: Sweep::new(limit), tangents: Sweep::new(limit) }
    }
}

/// A tape with the vectors around it.
#[derive(Debug)]
pub(crate) struct Sweep<S> {
    tape: Tape<S>,
    /// The variables of the last pass, and the adjoints that it left.
    pub(crate) point: Vec<S>,
    pub(crate) bars: Vec<S>,
    /// Its results, and their seeds.
    pub(crate) results: Vec<S>,
    pub(crate) seeds: Vec<S>,
}

impl<S: Scalar> Sweep<S> {
    /// Nothing recorded yet, at most `limit` bytes of records.
    pub(crate) fn new(limit: usize) -> Self {
        let mut tape = Tape::new();
        tape.set_limit(limit);
        let [point, bars, results, seeds] = [(); 4].map(|()| Vec::new());
        Self { tape, point, bars, results, seeds }
    }

    /// The value of a loss of `variables` and `constants`, whose adjoints by the variables are left in `bars`.
    pub(crate) fn gradient(
        &mut self,
        variables: impl Iterator<Item = S>,
        constants: impl ExactSizeIterator<Item = S>,
        loss: impl for<'t> FnOnce(&[Var<'t, S>], &[Var<'t, S>]) -> Var<'t, S>,
    ) -> Result<S, Fault> {
        self.seeds.clear();
        self.seeds.push(S::one());
        self.seeds.resize(1 + constants.len(), S::zero());
        self.pull(variables, |variables, results| {
            // The tape has memory for the numbers that are results, so constants wait among them.
            let (value, others) = results.split_at_mut(1);
            others.iter_mut().zip(constants).for_each(|(number, c)| *number = Var::from(c));
            value[0] = loss(variables, others);
        })?;
        Ok(self.results[0])
    }

    /// Evaluates a function, and leaves the pull-back of `seeds`, one a result, in `bars`.
    pub(crate) fn pull(
        &mut self,
        variables: impl Iterator<Item = S>,
        f: impl for<'t> FnOnce(&[Var<'t, S>], &mut [Var<'t, S>]),
    ) -> Result<(), Fault> {
        self.point.clear();
        self.point.extend(variables);
        self.bars.resize(self.point.len(), S::zero());
        self.results.resize(self.seeds.len(), S::zero());
        self.tape.vjp(f, &self.point, &mut self.results, &self.seeds, &mut self.bars)
    }

    /// Bytes of the last pass.
    pub(crate) fn used(&mut self) -> usize {
        self.tape.used() + 2 * (self.point.len() + self.seeds.len()) * size_of::<S>()
    }
}
