//! Losses of linear models equal products and losses of scores, in every mode.

use hypertape_autodiff::{
    Arena, Array, Dual, Element, Function, RowLoss, Shape, Tape, Tensor, Var, Workspace,
};

fn wave<T: Element>(len: usize, seed: f64) -> Vec<T> {
    (0..len).map(|i| T::from_f64((0.37 * (i as f64 + 1.0) * seed).sin())).collect()
}

/// Rows, targets, parameters, weights, and a direction for both.
struct Case<T> {
    shape: [u32; 2],
    samples: Vec<T>,
    numbers: Vec<T>,
    signs: Vec<T>,
    labels: Vec<u32>,
    of: [Vec<T>; 4],
}

impl<T: Element> Case<T> {
    fn new(rows: u32, cols: u32, classes: u32) -> Self {
        let (n, d) = (rows as usize, (cols * classes) as usize);
        Self {
            shape: [cols, classes],
            samples: wave(n * cols as usize, 1.3),
            numbers: wave(n, 0.9),
            signs: (0..n).map(|i| T::from_f64(if i % 3 == 1 { -1.0 } else { 1.0 })).collect(),
            labels: (0..rows).map(|i| (i * 7 + 2) % classes).collect(),
            of: [wave(d, 0.6), wave(n, 2.1), wave(d, 1.9), wave(n, 0.2)],
        }
    }

    fn losses(&self) -> Vec<RowLoss<'_, T>> {
        let classes = RowLoss::CrossEntropy(&self.labels);
        match self.shape[1] {
            1 => {
                let of_signs = [RowLoss::Logistic(&self.signs), RowLoss::Softplus(&self.signs)];
                [&[RowLoss::Squared(&self.numbers)][..], &of_signs, &[classes]].concat()
            }
            _ => vec![classes],
        }
    }

    /// Returns the loss, by the operation or by a product and the losses of its rows.
    fn loss<'a, A: Array<'a, Elem = T>>(
        &'a self,
        loss: RowLoss<'a, T>,
        (w, p): (A, Option<A>),
        fused: bool,
    ) -> A {
        if fused {
            return w.linear_loss(&self.samples, loss, p);
        }
        let rows = Shape::new(u32::try_from(self.labels.len()).unwrap(), self.shape[0]);
        let losses = loss.of(w.constant(rows, &self.samples).matmul(w));
        p.map_or_else(|| losses.sum(), |p| p.dot(losses))
    }

    /// Returns value, gradients with respect to `w` and `p`, and the tangents of all of these, for the loss, or its
    /// square if `bent`. They are computed by reverse over reverse, and by tapes of duals in which all of the adjoint
    /// of `w` or only its tangents are wanted, with no weights, constant ones, or moving ones.
    fn found(&self, loss: RowLoss<T>, (weights, bent): (u8, bool), fused: bool) -> Vec<Vec<T>> {
        let arena = Arena::new();
        let one: &[T] = arena.fill(1, T::one()).unwrap();
        let tensor = |shape, data| Tensor::new(&arena, shape, data);
        let of_w = Shape::new(self.shape[0], self.shape[1]);
        let of_p = Shape::column(u32::try_from(self.labels.len()).unwrap());
        let [w, p, dw, dp] = &self.of;
        let dual =
            |shape, value, moving| Dual::new(tensor(shape, value), [Some(tensor(shape, moving))]);
        let keep = |all: &mut Vec<Vec<T>>, dual: Option<Dual<Tensor<T>>>| {
            let planes = dual.map(|d| [Some(d.value()), d.tangents()[0]]);
            all.extend(planes.into_iter().flatten().flatten().map(|t| t.values().to_vec()));
        };
        let mut all = Vec::new();
        for part in [false, true] {
            let tape = Tape::new(&arena).unwrap();
            let start = dual(of_w, w, dw);
            let w = if part { tape.variable_of_tangents(start) } else { tape.variable(start) };
            let p = match weights {
                0 => None,
                1 => Some(tape.passive(Dual::new(tensor(of_p, p), [None]))),
                _ => Some(tape.variable(dual(of_p, p, dp))),
            };
            let made = self.loss(loss, (w, p), fused);
            let made = if bent { made.square() } else { made };
            keep(&mut all, Some(made.value()));
            let seed = Dual::new(tensor(Shape::SCALAR, one), [None]);
            let adjoints = tape.finish().pull(&[(made.id().unwrap(), seed)], &arena);
            for id in [w.id(), p.and_then(Var::id)].into_iter().flatten() {
                let adjoint = adjoints.get(id);
                if part && id == w.id().unwrap() {
                    // Moved up, so that what was its tangent is its value.
                    all.push(adjoint.unwrap().value().values().to_vec());
                } else {
                    keep(&mut all, adjoint);
                }
            }
        }
        // d/dw (grad . dw), of a tape of variables.
        let outer = Tape::new(&arena).unwrap();
        let inner = Tape::new(&arena).unwrap();
        let w_outer = outer.variable(tensor(of_w, w));
        let w_inner = inner.variable(w_outer);
        let p = (weights > 0).then(|| inner.passive(outer.passive(tensor(of_p, p))));
        let made = self.loss(loss, (w_inner, p), fused);
        let seed = w_outer.constant(Shape::SCALAR, one);
        let adjoints = inner.finish().pull(&[(made.id().unwrap(), seed)], &arena);
        let gradient = adjoints.get(w_inner.id().unwrap()).unwrap();
        let moved = gradient.dot(w_outer.constant(of_w, dw));
        let seed = tensor(Shape::SCALAR, one);
        let adjoints = outer.finish().pull(&[(moved.id().unwrap(), seed)], &arena);
        all.push(gradient.values().to_vec());
        all.push(adjoints.get(w_outer.id().unwrap()).unwrap().values().to_vec());
        arena.status().unwrap();
        all
    }

    fn agrees(&self) {
        for (k, loss) in self.losses().into_iter().enumerate() {
            for of in (0..3).flat_map(|weights| [(weights, false), (weights, true)]) {
                let [fused, known] = [true, false].map(|fused| self.found(loss, of, fused));
                assert_eq!(fused.len(), known.len());
                for (which, (fused, known)) in fused.iter().zip(&known).enumerate() {
                    assert_eq!(fused.len(), known.len(), "{which}");
                    let size = known.iter().fold(1.0, |most: f64, v| most.max(v.as_f64().abs()));
                    for (a, b) in fused.iter().zip(known) {
                        // Sums of up to 67 terms are added in another order.
                        let gap = (a.as_f64() - b.as_f64()).abs() / size / T::epsilon().as_f64();
                        let Self { shape, labels, .. } = self;
                        assert!(gap < 64.0, "{shape:?} {} {k} {of:?} {which}: {gap}", labels.len());
                    }
                }
            }
        }
    }
}

#[test]
fn equals_a_product_and_losses_in_every_mode() {
    for (rows, cols, classes) in [(1, 1, 1), (5, 3, 1), (16, 8, 1), (37, 22, 1), (67, 35, 1)] {
        Case::<f64>::new(rows, cols, classes).agrees();
        Case::<f32>::new(rows, cols, classes).agrees();
    }
    for (rows, cols, classes) in [(1, 1, 2), (7, 5, 3), (33, 12, 10)] {
        Case::<f64>::new(rows, cols, classes).agrees();
        Case::<f32>::new(rows, cols, classes).agrees();
    }
}

/// The bits of value and gradient with respect to `w` of each direction, after those of the loss itself, and the losses
/// of the rows: the gradient with respect to weights. If `part`, only tangents of the gradient are computed, and move up
/// by one place.
fn bits<const N: usize>(
    (samples, loss): (&[f64], RowLoss<f64>),
    w: &[f64],
    moving: [&[f64]; N],
    part: bool,
) -> (Vec<[Vec<u64>; 2]>, Vec<u64>) {
    let (arena, of_w) = (Arena::new(), Shape::column(u32::try_from(w.len()).unwrap()));
    let tape = Tape::new(&arena).unwrap();
    let tensor = |values| Tensor::new(&arena, of_w, values);
    let w = Dual::new(tensor(w), moving.map(|v| Some(tensor(v))));
    let w = if part { tape.variable_of_tangents(w) } else { tape.variable(w) };
    let ones = vec![1.0; loss.rows()];
    let rows = Shape::column(u32::try_from(loss.rows()).unwrap());
    let p = tape.variable(Dual::new(Tensor::new(&arena, rows, &ones), [None; N]));
    let made = w.linear_loss(samples, loss, Some(p));
    let seed = made.value().scalar(1.0);
    let adjoints = tape.finish().pull(&[(made.id().unwrap(), seed)], &arena);
    let [of_w, of_p] = [w, p].map(|of| adjoints.get(of.id().unwrap()).unwrap());
    let bits = |part: Tensor<f64>| part.values().iter().map(|v| v.to_bits()).collect();
    let planes = |dual: Dual<Tensor<f64>, N>| -> Vec<Vec<u64>> {
        let tangents = dual.tangents().into_iter().flatten();
        std::iter::once(dual.value()).chain(tangents).map(bits).collect()
    };
    let both = planes(made.value()).into_iter().zip(planes(of_w));
    (both.map(<[_; 2]>::from).collect(), bits(of_p.value()))
}

#[test]
fn bits_depend_on_neither_company_nor_blocks() {
    let (case, count) = (Case::<f64>::new(61, 29, 1), 29);
    let w = &case.of[0];
    let moving: [Vec<f64>; 5] = [0.3, 1.3, 2.3, 3.3, 4.3].map(|seed| wave(count, seed));
    for loss in case.losses().into_iter().take(2) {
        let of = (&case.samples[..], loss);
        let (together, losses) = bits(of, w, moving.each_ref().map(|v| &v[..]), false);
        assert_eq!(bits(of, w, [], false).0, together[..1]);
        for (k, one) in moving.iter().enumerate() {
            let known = &together[1 + k];
            assert_eq!(bits(of, w, [one], false).0, [together[0].clone(), known.clone()]);
            assert_eq!(bits(of, w, [one], true).0[0][1], known[1]);
        }
        // Rows of a later block.
        let later = match loss {
            RowLoss::Squared(y) => RowLoss::Squared(&y[19..]),
            RowLoss::Logistic(y) => RowLoss::Logistic(&y[19..]),
            _ => unreachable!("the first two"),
        };
        assert_eq!(bits((&case.samples[19 * count..], later), w, [], false).1, losses[19..]);
    }
}

/// A loss of one parameter.
struct Loss<'d>(&'d [f64], RowLoss<'d, f64>);

impl Function<f64> for Loss<'_> {
    fn eval<'a, A: Array<'a, Elem = f64>>(&'a self, x: &[A]) -> A {
        x[0].linear_loss(self.0, self.1, None)
    }
}

#[test]
fn known_answers_at_the_ends() {
    let parts = |samples, loss| {
        let (mut gradient, mut product) = ([0.0], [0.0]);
        let (f, shapes) = (Loss(samples, loss), [Shape::SCALAR]);
        let value = Workspace::new().hvp(&f, &shapes, &[1.0], &[1.0], &mut gradient, &mut product);
        [value.unwrap(), gradient[0], product[0]]
    };
    // 800 + 0 + ln 2: slopes 1, 0 and a half; the curvature of the first two is 0, of the third a quarter.
    let [value, gradient, product] =
        parts(&[800.0, -800.0, 0.0], RowLoss::Logistic(&[-1.0, -1.0, 1.0]));
    assert_eq!([value, gradient, product], [800.0 + 2.0_f64.ln(), 800.0, 0.0]);
    // e^-50 of either side to the last digit.
    let [value, gradient, product] = parts(&[50.0], RowLoss::Logistic(&[1.0]));
    let tiny = (-50.0_f64).exp();
    assert!((value / tiny - 1.0).abs() < 1e-15 && (gradient / (-50.0 * tiny) - 1.0).abs() < 1e-15);
    assert!((product / (2500.0 * tiny) - 1.0).abs() < 1e-15);
    assert_eq!(parts(&[], RowLoss::Squared(&[])), [0.0; 3]);
}

#[test]
fn what_does_not_fit_is_named() {
    let told = |rows: usize, loss, classes, p: Option<u32>| {
        let arena = Arena::new();
        let (samples, ones) = (vec![1.0; rows * 3], vec![1.0; 9]);
        let w = Tensor::new(&arena, Shape::new(3, classes), &ones[..3 * classes as usize]);
        let p = p.map(|p| Tensor::new(&arena, Shape::column(p), &ones[..p as usize]));
        assert!(w.linear_loss(&samples, loss, p).values().is_empty());
        arena.status().unwrap_err().to_string()
    };
    let two = RowLoss::Squared(&[1.0, 2.0]);
    assert!(told(3, two, 1, None).contains("linear_loss"), "{}", told(3, two, 1, None));
    assert!(told(2, two, 2, None).contains("2x3"), "{}", told(2, two, 2, None));
    assert!(told(2, two, 1, Some(3)).contains("3x1"), "{}", told(2, two, 1, Some(3)));
    let message = told(2, RowLoss::CrossEntropy(&[0, 3]), 3, None);
    assert!(message.contains("index 3") && message.contains("linear_loss"), "{message}");
}
