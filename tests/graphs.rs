//! Problems of graphs: equal to the same problems written by hand, in blocks, mini-batches and tasks, on threads, from files.

#[path = "suite/support/mod.rs"]
mod support;

use hypertape::graph::{Traced, Tracer};
use hypertape::problems::{GraphProblem, GraphStatement, InnerStart, Maml, catalogue};
use hypertape::{
    Array, Bilevel, Draw, Exact, InnerLoop, Level, Oracle, Params, Samples, Schedule, Shape,
};

use support::graphs::{w1, w2, w3};
use support::{deviation, estimate, exact};

fn oracle(statement: &GraphStatement, batch: Option<usize>) -> Oracle<'static, f64> {
    Oracle::new(GraphProblem::new(statement, batch).unwrap()).unwrap()
}

#[test]
fn workloads_as_graphs_have_the_hypergradients_of_the_catalogue() {
    for (name, statement, steps) in [
        ("w1-ridge", w1(false), 100),
        ("w1-logreg", w1(true), 100),
        ("w2", w2(), 4),
        ("w3", w3(), 100),
    ] {
        let entry = catalogue().into_iter().find(|entry| entry.name == name).unwrap();
        assert_eq!(
            (entry.lr, name == "w2" || entry.steps == statement.steps),
            (statement.lr, true)
        );
        let mut hand = entry.open::<f64>(None).unwrap();
        let (loss, known, cost) = exact(&mut hand, steps, entry.lr).unwrap();
        let mut graphs = oracle(&statement, None);
        assert_eq!(graphs.start(), hand.start(), "{name}");
        let (found_loss, found, found_cost) = exact(&mut graphs, steps, entry.lr).unwrap();
        let gap = deviation(&found, &known);
        // Blocks of other rows, divisions in another order; observed 3e-15.
        assert!(gap < 1e-13, "{name}: {gap:e}");
        assert!((loss - found_loss).abs() < 1e-14 * loss.abs(), "{name}: {loss} {found_loss}");
        let counts = |cost: &hypertape::Cost| (cost.inner_gradients, cost.hvps, cost.samples);
        if name != "w3" {
            assert_eq!(counts(&found_cost), counts(&cost), "{name}");
        }
        // No memory beside that of the operations.
        let (own, other) = (found_cost.bytes_measured, cost.bytes_measured);
        assert!(own as f64 <= 1.05 * other as f64, "{name}: {own} bytes, by hand {other}");
    }
}

#[test]
fn single_precision_and_threads_and_schedules_agree() {
    let statement = w1(true);
    let (_, known, _) = exact(&mut oracle(&statement, None), 20, 1.0).unwrap();
    let mut single = Oracle::<f32>::new(GraphProblem::new(&statement, None).unwrap()).unwrap();
    let (_, found, _) = exact(&mut single, 20, 1.0).unwrap();
    let gap = deviation(&found, &known);
    assert!(gap < 1e-5, "{gap:e}"); // 1e-7 a rounding; observed 1e-6
    for statement in [w1(true), w3()] {
        for batch in [None, Some(64)].into_iter().take(if statement.tasks.0 > 1 { 1 } else { 2 }) {
            let mut bits: Option<Vec<f64>> = None;
            for threads in [1, 2] {
                for schedule in ["store-all", "binomial:c=3", "uniform:k=4"] {
                    let mut oracle = oracle(&statement, batch);
                    oracle.set_threads(threads).unwrap();
                    let schedule: Schedule = schedule.parse().unwrap();
                    let run = (12, statement.lr);
                    let draw = Draw::new(3, 1);
                    let found =
                        estimate(&mut Exact::new(schedule), &mut oracle, run, draw).unwrap().1;
                    assert_eq!(*bits.get_or_insert_with(|| found.clone()), found, "{schedule:?}");
                }
            }
        }
    }
}

#[test]
fn mini_batches_add_up_to_the_losses_over_all_samples() {
    let statement = w1(true);
    let problem = GraphProblem::<f64>::new(&statement, Some(300)).unwrap();
    assert_eq!((problem.mini_batches(Level::Inner), problem.mini_batches(Level::Outer)), (7, 4));
    let inner = |step| Draw::new(5, 0).at(Level::Inner, step);
    assert_eq!(problem.samples(inner(0).on(Samples::All)), 2000);
    assert_eq!([0, 6, 7].map(|k| problem.samples(inner(0).on(Samples::Batch(k)))), [300, 200, 300]);
    // The mean over all batches is the loss over all samples, and so for gradients.
    let mut oracle = Oracle::new(problem).unwrap();
    let (w, x) = (vec![0.01; 200], oracle.start().values().to_vec());
    let mut of = |draw: Draw| {
        let mut gradient = vec![0.0; 200];
        let point = hypertape::Point { w: &w, x: &x, draw };
        let value = oracle.inner_value(point, 0).unwrap();
        oracle.inner_gradient(point, 0, &mut gradient).unwrap();
        (value, gradient)
    };
    let (value, gradient) = of(inner(0).on(Samples::All));
    let (mut mean, mut sum) = (0.0, vec![0.0; 200]);
    for k in 0..7 {
        let (value, gradient) = of(inner(0).on(Samples::Batch(k)));
        mean += value / 7.0;
        sum.iter_mut().zip(gradient).for_each(|(s, g)| *s += g / 7.0);
    }
    assert!((mean - value).abs() < 1e-14 * value, "{mean} {value}"); // sums of 2000 terms in another order
    let gap = deviation(&sum, &gradient);
    assert!(gap < 1e-13, "{gap:e}"); // observed 1e-15
}

/// Losses over `w.w` and `train.X`, six samples of two values, and a learned scale `x.s`.
fn small(inner: impl for<'a> Fn([Traced<'a, f64>; 3]) -> Traced<'a, f64>) -> GraphStatement {
    let shapes = [Shape::column(2), Shape::SCALAR, Shape::new(6, 2)];
    let graph = |loss: &dyn for<'a> Fn([Traced<'a, f64>; 3]) -> Traced<'a, f64>| {
        let tracer = Tracer::new();
        let named = ["w.w", "x.s", "train.X"].into_iter().zip(shapes);
        let at: Vec<_> = named.map(|(name, shape)| tracer.input(name, shape)).collect();
        tracer.finish(&[loss([at[0], at[1], at[2]])]).unwrap()
    };
    let outer = graph(&|[w, s, x]| (x.matmul(w) - 1.0).square().mean() * s.exp());
    let inner = graph(&inner);
    let values: Vec<f64> = (0..12).map(|i| (f64::from(i) * 0.9).sin()).collect();
    GraphStatement {
        x: Params::new().with("s", Shape::SCALAR, [0.3]),
        start: InnerStart::Given(Params::new().with("w", Shape::column(2), [0.1, -0.2])),
        arrays: Params::new().with("train.X", shapes[2], values),
        samples: vec!["train.X".to_owned()],
        ..GraphStatement::new(inner, outer)
    }
}

#[test]
fn descriptions_tell_how_losses_are_evaluated_and_why() {
    let described = |s: &GraphStatement| GraphProblem::<f64>::new(s, None).unwrap().describe();
    assert_eq!(
        described(&w1(true)),
        "inner loss: a sum over 2000 samples plus a rest; outer loss: a sum over 1000 samples"
    );
    assert_eq!(
        described(&w3()),
        "inner loss: one block, as there is no data that is declared as samples; outer loss: one block, as there is no \
         data that is declared as samples; 25 tasks"
    );
    // A variance over samples is no sum over them.
    let variance = small(|[w, s, x]| {
        let scores = x.matmul(w);
        (scores.square().mean() - scores.mean().square()) * s.exp() + w.dot(w)
    });
    assert_eq!(
        described(&variance),
        "inner loss: one block, as there is square (node 6) of what several samples contribute to; outer loss: a sum \
         over 6 samples"
    );
    let error = GraphProblem::<f64>::new(&variance, Some(2)).unwrap_err().to_string();
    assert_eq!(
        error,
        "mini-batches of the inner loss: found square (node 6) of what several samples contribute to, expected a sum \
         over samples"
    );
    // In one block it is what it says: the hypergradient by central differences of the loss.
    let mut oracle = oracle(&variance, None);
    let (_, gradient, _) = exact(&mut oracle, 5, 0.1).unwrap();
    let mut loss = |x: f64| {
        let (inner, mut w) = (InnerLoop::new(5, 0.1).unwrap(), Vec::new());
        hypertape::mean_loss(&mut oracle, &inner, &[x], Draw::new(0, 0), &mut w).unwrap()
    };
    let slope = (loss(0.3 + 1e-5) - loss(0.3 - 1e-5)) / 2e-5;
    assert!((gradient[0] - slope).abs() < 1e-9, "{} {slope}", gradient[0]); // step^2 and 1e-16 / step
}

#[test]
fn estimators_take_graphs_as_they_take_problems() {
    for text in ["neumann:terms=4", "truncated:k=3", "ufom:q=0.5", "first-order"] {
        let registry = hypertape::Registry::<f64>::default();
        let of = |oracle: &mut Oracle<f64>| {
            let mut estimator = registry.estimators.parse(text).unwrap();
            estimate(&mut *estimator, oracle, (6, 0.002), Draw::new(1, 0)).unwrap().1
        };
        let known = of(&mut Oracle::new(Maml::workload(3)).unwrap());
        let gap = deviation(&of(&mut oracle(&w3(), None)), &known);
        assert!(gap < 1e-13, "{text}: {gap:e}"); // observed 0
    }
}

#[test]
fn statements_that_do_not_fit_are_refused_in_one_line() {
    let told = |change: &dyn Fn(&mut GraphStatement)| {
        let mut statement = small(|[w, s, x]| x.matmul(w).square().mean() + s.exp() * w.dot(w));
        change(&mut statement);
        let message = GraphProblem::<f64>::new(&statement, None).unwrap_err().to_string();
        assert!(!message.contains('\n'), "{message}");
        message
    };
    let arrays = |name: &str, shape: Shape| {
        Params::new().with(name, shape, std::iter::repeat_n(1.0, shape.len()))
    };
    for (message, expected) in [
        (
            told(&|s| s.arrays = arrays("train.Y", Shape::new(6, 2))),
            "samples: found \"train.X\", expected the name of data",
        ),
        (
            told(&|s| {
                s.arrays = arrays("train.Y", Shape::new(6, 2));
                s.samples.clear();
            }),
            "inner loss: input \"train.X\": found no array of that name",
        ),
        (
            told(&|s| s.arrays = arrays("train.X", Shape::new(5, 2))),
            "inner loss: input \"train.X\": found shape 5x2, expected 6x2",
        ),
        (
            told(&|s| s.x = arrays("t", Shape::SCALAR)),
            "inner loss: input \"x.s\": found no array of that name",
        ),
        (
            told(&|s| s.x = Params::new()),
            "variables: found none, expected an outer and an inner array",
        ),
        (
            told(&|s| s.start = InnerStart::Graph(vec![], s.outer.clone())),
            "init: found 1 results for 0 names",
        ),
        (
            told(&|s| s.start = InnerStart::Graph(vec!["w".into()], s.outer.clone())),
            "init: input \"w.w\": found no array of that name",
        ),
        (
            told(&|s| s.tasks = (4, vec!["train.X".into()])),
            "data \"train.X\": found 6 rows of 2 values for 4 tasks, expected as many rows for each",
        ),
        (
            told(&|s| s.tasks = (0, vec!["train.X".into()])),
            "data \"train.X\": found 6 rows of 2 values for 0 tasks, expected as many rows for each",
        ),
        (
            told(&|s| s.lists = vec![("train.X".into(), vec![1])]),
            "data: two are called \"train.X\"",
        ),
        (
            told(&|s| s.lists = vec![("y".into(), vec![])]),
            "data \"y\": found 0 rows of 1 values for 1 tasks, expected as many rows for each",
        ),
        (
            told(&|s| {
                let tracer = Tracer::new();
                s.outer = tracer.finish(&[tracer.input("w.w", Shape::column(2))]).unwrap();
            }),
            "outer loss: found results of shape [2x1], expected [1x1]",
        ),
    ] {
        assert_eq!(message, expected);
    }
    let huge = |s: &mut GraphStatement| {
        s.arrays = Params::new().with("train.X", Shape::new(6, 2), [1e300; 12])
    };
    let mut statement = small(|[w, s, x]| x.matmul(w).square().mean() + s.exp() * w.dot(w));
    huge(&mut statement);
    let message = GraphProblem::<f32>::new(&statement, None).unwrap_err().to_string();
    assert_eq!(message, "array \"train.X\": value 0 is not finite in f32");
}
