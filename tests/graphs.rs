//! Problems of graphs are equal to the same problems written by hand: in blocks, mini-batches and tasks, on threads,
//! and from files.

#[path = "suite/support/mod.rs"]
mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use hypertape::graph::{Traced, Tracer};
use hypertape::problems::data::npy;
use hypertape::problems::data::npz::NpzWriter;
use hypertape::problems::{
    DataMatrix, GraphProblem, GraphStatement, InnerStart, Maml, catalogue, read_problem,
    write_problem,
};
use hypertape::{
    Array, Bilevel, Draw, Exact, InnerLoop, Level, Oracle, Params, Samples, Schedule, Shape,
};

use serde_json::{Value, json};
use support::graphs::{w1, w2, w3};
use support::{deviation, estimate, exact};
use tempfile::tempdir;

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
        // Sums in a different order where the catalogue has one operation for a linear model; 3e-16 where it has the
        // same operations.
        assert!(gap < 1e-13, "{name}: {gap:e}");
        assert!((loss - found_loss).abs() < 1e-13 * loss.abs(), "{name}: {loss} {found_loss}");
        let counts = |cost: &hypertape::Cost| (cost.inner_gradients, cost.hvps, cost.samples);
        if name != "w3" {
            assert_eq!(counts(&found_cost), counts(&cost), "{name}");
        }
        // No memory in addition to that of the operations, which are the same only in w3.
        let (own, other) = (found_cost.bytes_measured, cost.bytes_measured);
        assert!(own == other || name != "w3", "{name}: {own} bytes, by hand {other}");
    }
}

#[test]
fn single_precision_and_threads_and_schedules_agree() {
    let statement = w1(true);
    let (_, known, _) = exact(&mut oracle(&statement, None), 20, 1.0).unwrap();
    let mut single = Oracle::<f32>::new(GraphProblem::new(&statement, None).unwrap()).unwrap();
    let (_, found, _) = exact(&mut single, 20, 1.0).unwrap();
    let gap = deviation(&found, &known);
    assert!(gap < 1e-5, "{gap:e}"); // observed 2e-7, roundings of 6e-8 in 20 steps
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
    assert!(gap < 1e-14, "{gap:e}"); // observed 3e-16
}

/// Losses over `w.w` and `train.X`, which has six samples of two values, and a learned scale `x.s`.
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
        arrays: vec![("train.X".to_owned(), DataMatrix::new(values, 2))],
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
    // A variance over samples is not a sum over samples.
    let variance = small(|[w, s, x]| {
        let scores = x.matmul(w);
        (scores.square().mean() - scores.mean().square()) * s.exp() + w.dot(w)
    });
    assert_eq!(
        described(&variance),
        "inner loss: one block, as there is square (node 9) of what several samples contribute to; outer loss: a sum \
         over 6 samples"
    );
    let error = GraphProblem::<f64>::new(&variance, Some(2)).unwrap_err().to_string();
    assert_eq!(
        error,
        "batch: the inner loss is not a sum or mean over samples, because there is square (node 9) of what several \
         samples contribute to; without batch it is evaluated on all samples"
    );
    let error = GraphProblem::<f64>::new(&w1(true), Some(2001)).unwrap_err().to_string();
    assert_eq!(error, "batch: found 2001, expected 2000 samples or fewer, as many as there are");
    // Evaluated as one block, it is correct: the hypergradient equals the central difference of the loss.
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
    for text in ["first-order", "ufom:q=0.5", "forward-gradient", "truncated:k=3", "cg"] {
        let of = |oracle: &mut Oracle<f64>| {
            let registry = hypertape::Registry::<f64>::default();
            let mut estimator = registry.estimators.parse(text).unwrap();
            estimate(&mut *estimator, oracle, (6, 0.002), Draw::new(1, 0))
                .map(|(_, gradient)| gradient)
        };
        let known = of(&mut Oracle::new(Maml::workload(3)).unwrap());
        match (of(&mut oracle(&w3(), None)), known) {
            (Ok(found), Ok(known)) if known.iter().any(|g| *g != 0.0) => {
                let gap = deviation(&found, &known);
                assert!(gap < 1e-13, "{text}: {gap:e}"); // observed 0
            }
            (found, known) => assert_eq!(found, known, "{text}"),
        }
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
    let data =
        |name: &str, rows: usize| vec![(name.to_owned(), DataMatrix::new(vec![1.0; 2 * rows], 2))];
    for (message, expected) in [
        (
            told(&|s| s.arrays = data("train.Y", 6)),
            "samples: found \"train.X\", expected the name of data",
        ),
        (
            told(&|s| {
                s.arrays = data("train.Y", 6);
                s.samples.clear();
            }),
            "inner loss: input \"train.X\": found no array of that name",
        ),
        (
            told(&|s| s.arrays = data("train.X", 5)),
            "inner loss: input \"train.X\": found shape 5x2, expected 6x2",
        ),
        (
            told(&|s| s.x = Params::new().with("t", Shape::SCALAR, [1.0])),
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
        s.arrays = vec![("train.X".to_owned(), DataMatrix::new([1e300; 12], 2))];
    };
    let mut statement = small(|[w, s, x]| x.matmul(w).square().mean() + s.exp() * w.dot(w));
    huge(&mut statement);
    let message = GraphProblem::<f32>::new(&statement, None).unwrap_err().to_string();
    assert_eq!(message, "array \"train.X\": value 0 is not finite in f32");
}

/// Exit status, stdout and stderr of a command in a folder.
fn command(folder: &Path, line: &str) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hypertape"));
    command.args(line.split_whitespace()).current_dir(folder).stdin(Stdio::null());
    let output = command.output().unwrap();
    let status = output.status.code().expect("ended by a signal");
    let [out, err] = [output.stdout, output.stderr].map(|b| String::from_utf8(b).unwrap());
    (status, out, err)
}

#[track_caller]
fn ok(folder: &Path, line: &str) -> String {
    let (status, out, err) = command(folder, line);
    assert_eq!((status, err.as_str()), (0, ""), "{line}");
    out
}

fn ridge() -> GraphStatement {
    let test = small(|[w, s, x]| x.matmul(w).square().mean() * s);
    GraphStatement {
        test: Some(test.inner),
        steps: 7,
        lr: 0.25,
        ..small(|[w, s, x]| (x.matmul(w) - 0.5).square().mean() + s.exp() * w.dot(w))
    }
}

#[test]
fn files_hold_problems_bit_for_bit() {
    let folder = tempdir().unwrap();
    for (name, statement) in [("ridge", ridge()), ("w3", w3()), ("w1", w1(true))] {
        let path = folder.path().join(format!("{name}.npz"));
        write_problem(&path, &statement).unwrap();
        let read = read_problem(&path).unwrap();
        assert_eq!(read, statement, "{name}");
        let bytes = fs::read(&path).unwrap();
        write_problem(&path, &read).unwrap();
        assert_eq!(fs::read(&path).unwrap(), bytes, "{name}");
        let entry = Arc::new(read).into_entry("a file").unwrap();
        let (_, found, _) = exact(&mut entry.open::<f64>(None).unwrap(), 3, entry.lr).unwrap();
        let (_, known, _) = exact(&mut oracle(&statement, None), 3, statement.lr).unwrap();
        assert_eq!(found, known, "{name}");
        assert!(entry.open::<f32>(None).is_ok());
    }
    // Labels are lists.
    let tracer = Tracer::new();
    let (w, labels) = (tracer.input("w.w", Shape::new(4, 2)), tracer.list("train.labels", 4));
    let loss = tracer.finish(&[w.cross_entropy(labels).mean()]).unwrap();
    let statement = GraphStatement {
        x: Params::new().with("x", Shape::SCALAR, [1.0]),
        start: InnerStart::Given(Params::new().with("w", Shape::new(4, 2), [0.5; 8])),
        lists: vec![("train.labels".to_owned(), vec![0, 1, 1, 0])],
        ..GraphStatement::new(loss.clone(), loss)
    };
    let path = folder.path().join("labels.npz");
    write_problem(&path, &statement).unwrap();
    // An outer array that no graph contains has the shape of its values.
    assert_eq!(read_problem(&path).unwrap(), statement);
    let other =
        GraphStatement { arrays: vec![("y".to_owned(), DataMatrix::new([1.0], 1))], ..statement };
    write_problem(&path, &other).unwrap();
    let told = read_problem(&path).unwrap_err().to_string();
    assert!(told.ends_with("array \"y\" is in no graph, expected none of that name"), "{told}");
}

#[test]
fn hostile_files_are_refused_in_one_line() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("p.npz");
    write_problem(&path, &ridge()).unwrap();
    let good = fs::read(&path).unwrap();
    let told = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let message = read_problem(&path).unwrap_err().to_string();
        let message = message.strip_prefix(&format!("{}: ", path.display())).unwrap().to_owned();
        assert!(!message.contains('\n') && message.len() < 400, "{message}");
        message
    };
    // Cut at every position.
    for end in (0..good.len()).step_by(101) {
        assert!(told(&good[..end]).starts_with("not an npz file"));
    }
    let text = {
        let start = good.windows(10).position(|w| w == b"{\"inner\":{").unwrap();
        let end = good[start..].windows(2).position(|w| w == b"PK").unwrap() + start;
        String::from_utf8(good[start..end].to_vec()).unwrap()
    };
    let json: Value = serde_json::from_str(&text).unwrap();
    let archive = |json: &Value, arrays: &[(&str, [usize; 2], usize)]| {
        let names = [&["problem"][..], &arrays.iter().map(|a| a.0).collect::<Vec<_>>()].concat();
        let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
        let mut npz = NpzWriter::new(&names).unwrap();
        npz.add("problem", |f| npy::write_bytes(f, json.to_string().as_bytes())).unwrap();
        for &(name, size, values) in arrays {
            npz.add(name, |f| npy::write(f, size, vec![0.5; values])).unwrap();
        }
        npz.finish().unwrap()
    };
    let arrays = [("x.s", [1, 1], 1), ("w.w", [2, 1], 2), ("train.X", [6, 2], 12)];
    fs::write(&path, archive(&json, &arrays)).unwrap();
    read_problem(&path).unwrap();
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut json = json.clone();
        change(&mut json);
        told(&archive(&json, &arrays))
    };
    let with = |i: usize, array| {
        let mut arrays = arrays;
        arrays[i] = array;
        told(&archive(&json, &arrays))
    };
    for (message, expected) in [
        (changed(&|j| j["version"] = json!(9)), "a problem: found version 9, expected version 1"),
        (changed(&|j| j["more"] = json!(9)), "a problem: found \"more\", expected no such field"),
        (
            changed(&|j| j["outer"] = Value::Null),
            "outer loss, a graph: found null, expected an object",
        ),
        (
            changed(&|j| drop(j.as_object_mut().unwrap().remove("outer"))),
            "a problem: found no \"outer\", expected one",
        ),
        (changed(&|j| j["x"] = json!("s")), "a problem: x: found \"s\", expected a list of texts"),
        (
            changed(&|j| j["lr"] = json!("fast")),
            "a problem: lr: found \"fast\", expected a number, or \"inf\", \"-inf\" or \"nan\"",
        ),
        // A cycle.
        (
            changed(&|j| j["inner"]["nodes"][3]["of"] = json!([3])),
            "inner loss, node 3, matmul: found node 3, expected one before node 3",
        ),
        (
            changed(&|j| {
                j["inner"]["inputs"][0]["shape"] = json!([4_000_000_000_u32, 4_000_000_000_u32]);
            }),
            "inner loss, node 0, input: found shape 4000000000x4000000000, expected 4294967295 entries or fewer",
        ),
        (changed(&|j| j["w"] = json!(["v"])), "found no array \"w.v\", expected one"),
        (told(&archive(&json, &arrays[..1])), "found no array \"w.w\", expected one"),
        (with(0, ("x.t", [1, 1], 1)), "array \"x.t\" is in no graph, expected none of that name"),
        (with(1, ("w.w", [3, 1], 3)), "array \"w.w\": found shape 3x1, expected 2x1"),
        (with(2, ("train.X", [2, 6], 12)), "array \"train.X\": found shape 2x6, expected 6x2"),
        // A header that claims too much is not believed.
        (
            with(2, ("train.X", [1 << 40, 2], 12)),
            "array \"train.X\": shape (1099511627776, 2) has 2199023255552 values, expected at most 1216",
        ),
        (
            with(2, ("train.X", [6, 2], 5)),
            "array \"train.X\": truncated, its header announces 12 values and 5 are there",
        ),
        (told(b"PK"), "not an npz file: "),
    ] {
        assert!(message.starts_with(expected), "{message}: {expected}");
    }
    let mut npz = NpzWriter::new(&["w".to_owned()]).unwrap();
    npz.add("w", |f| npy::write(f, [1, 1], [1.0])).unwrap();
    let told_of = told(&npz.finish().unwrap());
    assert_eq!(told_of, "found no array \"problem\", expected one with the text of a problem");
    fs::remove_file(&path).unwrap();
    let (status, out, err) = command(folder.path(), "gradient p.npz");
    let expected = "error: p.npz: cannot be read: No such file or directory\n";
    assert_eq!((status, out.as_str(), err.as_str()), (2, "", expected));
}

#[test]
fn the_command_line_takes_files_wherever_it_takes_problems() {
    let folder = tempdir().unwrap();
    let folder = folder.path();
    fs::create_dir(folder.join("sub")).unwrap();
    write_problem(&folder.join("sub/ridge.npz"), &ridge()).unwrap();
    let (loss, gradient, _) = exact(&mut oracle(&ridge(), None), 7, 0.25).unwrap();
    let out: Value =
        serde_json::from_str(&ok(folder, "gradient sub/ridge.npz --json --save saved")).unwrap();
    assert_eq!((out["loss"].as_f64(), out["steps"].as_u64()), (Some(loss), Some(7)));
    assert_eq!(out["gradient_norm"].as_f64(), Some(gradient[0].abs()));
    assert!(folder.join("saved").read_dir().unwrap().count() >= 2);
    for line in [
        "gradient sub/ridge.npz --dtype f32 --threads 2",
        "gradient sub/ridge.npz:batch=2",
        "plan sub/ridge.npz",
        "certify sub/ridge.npz --estimator ufom:q=0.5 --draws 50",
        "check sub/ridge.npz",
        "run sub/ridge.npz --iterations 3 --save run",
    ] {
        let out = ok(folder, line);
        assert!(line.starts_with("plan") || out.contains("sub/ridge.npz"), "{line}: {out}");
    }
    let out = ok(folder, "problems sub/ridge.npz");
    let expected = "sub/ridge.npz: inner loss: a sum over 6 samples plus a rest; outer loss: a sum over 6 samples\n7 steps, lr 0.25";
    assert!(out.starts_with(expected), "{out}");
    assert!(ok(folder, "run sub/ridge.npz --iterations 2").contains("test loss"));
    fs::write(
        folder.join("study.toml"),
        "[[grid]]\nproblem = \"sub/ridge.npz\"\nestimator = [\"exact\", \"truncated:k=2\"]\niterations = 2\n",
    )
    .unwrap();
    let (status, _, err) = command(folder, "study study.toml --out out");
    assert_eq!(status, 0, "{err}");
    let records = fs::read_to_string(folder.join("out/records.jsonl")).unwrap();
    assert_eq!(records.matches("sub/ridge.npz").count(), 2, "{records}");
    // A study finds the file beside itself, wherever it is started.
    fs::write(folder.join("sub/study.toml"), "[[grid]]\nproblem = 'ridge.npz'\niterations = 2\n")
        .unwrap();
    let (status, _, err) = command(folder, "study sub/study.toml --out beside");
    assert_eq!(status, 0, "{err}");
    let (status, out, err) = command(&folder.join("sub"), "study report ../beside");
    assert_eq!((status, out.matches("ridge.npz").count()), (0, 1), "{err}{out}");
    let (status, _, err) = command(folder, "gradient sub/ridge.npz:bat=2");
    assert_eq!((status, err.lines().count()), (2, 1), "{err}");
}
