//! A smooth two-layer regression with everything that makes a hypergradient difficult: a learned start that enters
//! nonlinearly, mini-batches at both levels, outer variables in both losses, several arrays.

use hypertape::{Array, Bilevel, Draw, Element, Level, List, Params, Rows, Shape};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

const SAMPLES: u32 = 20;
const BATCH: usize = 6;
const INPUTS: u32 = 3;
const HIDDEN: u32 = 4;

pub(crate) struct TwoLayer<T> {
    inputs: Vec<T>,
    targets: Vec<T>,
    start: Vec<T>,
}

impl<T: Element> TwoLayer<T> {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Pcg64::seed_from_u64(seed);
        let mut draw = |n: usize| -> Vec<T> {
            (0..n).map(|_| T::from_f64(random.random_range(-1.0..1.0))).collect()
        };
        let weights = (INPUTS * HIDDEN + HIDDEN) as usize;
        Self {
            inputs: draw((SAMPLES * INPUTS) as usize),
            targets: draw(SAMPLES as usize),
            start: draw(weights + 1 + INPUTS as usize),
        }
    }

    /// Mean squared error of the network on a mini-batch, with inputs moved by `shift`.
    fn fit<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], shift: A, draw: Draw) -> A {
        let mut random = draw.stream();
        let pick = |_| random.random_range(0..SAMPLES);
        let batch = shift.indices(BATCH, pick);
        let inputs = shift.constant(Shape::new(SAMPLES, INPUTS), &self.inputs);
        let targets = shift.constant(Shape::column(SAMPLES), &self.targets);
        let inputs = inputs.gather_rows(batch) + shift;
        let output = inputs.matmul(w[0]).tanh().matmul(w[1]);
        output.squared_error(targets.gather_rows(batch)) / BATCH as f64
    }
}

impl<T: Element> Bilevel<T> for TwoLayer<T> {
    fn start(&self) -> Params<T> {
        let mut values = self.start.iter().copied();
        let shapes = [
            ("first", Shape::new(INPUTS, HIDDEN)),
            ("second", Shape::new(HIDDEN, 1)),
            ("log_penalty", Shape::SCALAR),
            ("shift", Shape::new(1, INPUTS)),
        ];
        shapes.into_iter().fold(Params::new(), |params, (name, shape)| {
            params.with(name, shape, values.by_ref().take(shape.len()))
        })
    }

    fn init<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A], draw: Draw) -> List<A> {
        let noise = draw.stream().random_range(0.9..1.1);
        List::from_slice(&[x[0].tanh() * noise, x[1] + x[2]])
    }

    fn inner<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], x: &[A], draw: Draw, _: Rows) -> A {
        assert_eq!(draw.level, Level::Inner);
        self.fit(w, x[3], draw) + x[2].exp() * (w[0].dot(w[0]) + w[1].dot(w[1]))
    }

    fn outer<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], x: &[A], draw: Draw, _: Rows) -> A {
        assert_eq!(draw.level, Level::Outer);
        self.fit(w, x[3].square(), draw) + x[2].square() * 0.1
    }
}
