//! `hypertape study` as users see it: its records, its behaviour when it is started again, and its errors.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

/// Exit status, stdout and stderr of a command.
fn run(args: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hypertape"));
    let output = command.args(args).stdin(Stdio::null()).output().unwrap();
    let status = output.status.code().expect("ended by a signal");
    let [out, err] = [output.stdout, output.stderr].map(|b| String::from_utf8(b).unwrap());
    (status, out, err)
}

/// A study in its own folder, which is removed at its end.
struct Study(PathBuf);

impl Study {
    fn new(text: &str) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let unique = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("hypertape-study-{}-{unique}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        fs::write(path.join("study.toml"), text).unwrap();
        Self(path)
    }

    fn start(&self) -> (i32, String, String) {
        self.start_into("out", &[])
    }

    fn start_into(&self, folder: &str, options: &[&str]) -> (i32, String, String) {
        let [file, out] = ["study.toml", folder].map(|name| self.at(name));
        run(&[&["study", &file, "--out", &out], options].concat())
    }

    fn at(&self, name: &str) -> String {
        self.0.join(name).into_os_string().into_string().unwrap()
    }

    /// Stdout and stderr of a start in which every cell succeeds.
    #[track_caller]
    fn ok(&self) -> (String, String) {
        let (status, out, err) = self.start();
        assert_eq!(status, 0, "{err}");
        (out, err)
    }

    fn path(&self) -> PathBuf {
        self.0.join("out/records.jsonl")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.path()).unwrap()
    }

    fn records(&self) -> Vec<Value> {
        self.records_in("out")
    }

    fn records_in(&self, folder: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.0.join(folder).join("records.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Replaces the records with `text`.
    fn put(&self, text: impl AsRef<[u8]>) {
        fs::create_dir_all(self.0.join("out")).unwrap();
        fs::write(self.path(), text).unwrap();
    }

    /// Checks that a start fails with status 2 and one line on stderr that ends with `why`, and does not change the
    /// folder.
    #[track_caller]
    fn refused(&self, why: &str) {
        let before = fs::read(self.path()).ok();
        let (status, out, err) = self.start();
        assert_eq!((status, out.as_str()), (2, ""), "{err}");
        assert_eq!(err.lines().count(), 1, "{err}");
        assert!(err.starts_with("error: ") && err.ends_with(&format!("{why}\n")), "{why}: {err}");
        assert_eq!(fs::read(self.path()).ok(), before);
        assert_eq!(self.0.join("out").exists(), before.is_some());
    }
}

impl Drop for Study {
    fn drop(&mut self) {
        // A test that failed may have left anything in the folder.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Removes what differs between two equal runs: clocks, and what the system reported about the process.
fn timeless(mut records: Vec<Value>) -> Vec<Value> {
    let told = [
        "seconds",
        "seconds_low",
        "seconds_high",
        "times",
        "process_peak_bytes",
        "finished",
        "paces",
    ];
    for record in &mut records {
        let record = record.as_object_mut().unwrap();
        for key in told {
            record.remove(key);
        }
        let points = record.get_mut("checkpoints").and_then(Value::as_array_mut);
        for point in points.into_iter().flatten() {
            point.as_object_mut().unwrap().remove("seconds");
        }
    }
    records
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

const GRID: &str = r#"
title = "two by two by two"
[[grid]]
problem = "quadratic"
estimator = ["exact", "first-order"]
steps = [5, 20]
lr = [0.3, 0.2]
iterations = 4
record_every = 2
"#;

#[test]
fn a_grid_by_hand() {
    let study = Study::new(GRID);
    let (out, err) = study.ok();
    assert_eq!(err, "8 cells, 0 of them already recorded\n");
    let files =
        ["figures", "records.csv", "records.jsonl", "report.html", "report.md", "study.toml"];
    assert_eq!(names(&study.0.join("out")), files);
    let records = study.records();
    let mut expected = Vec::new();
    for estimator in ["exact", "first-order"] {
        for steps in [5, 20] {
            for lr in [0.3, 0.2] {
                expected.push((estimator, steps, lr));
            }
        }
    }
    assert_eq!(records.len(), expected.len());
    for (record, (estimator, steps, lr)) in records.iter().zip(expected) {
        // Two iterations before the checkpoint at iteration 2, four before the end; one product per step for exact.
        let hvps = if estimator == "exact" { steps } else { 0 };
        let settings = json!({
            "problem": "quadratic", "estimator": estimator, "steps": steps, "lr": lr, "seed": 0,
            "data_seed": null, "dtype": "f64", "outer": "sgd", "outer_lr": 0.1, "outer_power": 0.0,
            "measure": "run", "schedule": "store-all", "rule": null, "memory": null, "threads": 1,
            "coupling": "cold", "outer_momentum": null, "ended": "iterations", "jobs": 1,
            "iterations": 4, "record_every": 2, "metrics": {},
            "plain_steps": 4 * steps, "inner_gradients": 4 * steps, "hvps": 4 * hvps,
        });
        for (key, value) in settings.as_object().unwrap() {
            assert_eq!(&record[key], value, "{key} of {record}");
        }
        let points = record["checkpoints"].as_array().unwrap();
        assert_eq!(points.len(), 2);
        for (point, iteration) in points.iter().zip([0, 2]) {
            assert_eq!(point["iteration"], iteration);
            assert_eq!(point["inner_gradients"], iteration * steps);
            assert_eq!(point["hvps"], iteration * hvps);
        }
        // `run` gives the same numbers.
        let [steps, lr] = [steps.to_string(), lr.to_string()];
        let line = ["run", "quadratic", "--estimator", estimator, "--steps", &steps];
        let line = [&line[..], &["--lr", &lr, "--iterations", "4", "--json"]].concat();
        let (status, told, err) = run(&line);
        assert_eq!(status, 0, "{err}");
        let told: Vec<Value> = told.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!(record["loss"], told[4]["results"]["result"]["outer loss"]);
        assert_eq!(record["gradient_norm"], told[3]["gradient_norm"]);
        for (point, k) in points.iter().zip([0, 2]) {
            assert_eq!(point["loss"], told[k]["loss"]);
            assert_eq!(point["gradient_norm"], told[k]["gradient_norm"]);
        }
    }
    // The known hypergradient of `quadratic` at its own start and settings; rounding of a square root.
    let norm = records[0]["checkpoints"][0]["gradient_norm"].as_f64().unwrap();
    let known = 0.889_454_368_725_553_7_f64.hypot(-0.712_507_614_840_826_2);
    assert!((norm - known).abs() < 1e-14, "{norm}");

    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[0], "two by two by two");
    let columns: Vec<&str> =
        lines[1].split("  ").filter(|c| !c.is_empty()).map(str::trim).collect();
    let head = [
        "problem",
        "estimator",
        "steps",
        "lr",
        "seeds",
        "outer loss",
        "gradients",
        "HVPs",
        "bytes",
        "time",
    ];
    assert_eq!(columns, head);
    assert_eq!(lines.len(), 2 + 8 + 1);
    assert_eq!(lines[10], format!("report: {}", study.at("out/report.html")));
    let row: Vec<&str> = lines[4].split_whitespace().collect();
    assert_eq!(row[..8], ["quadratic", "exact", "20", "0.3", "1,", "not", "random", "0.9866"]);
    assert_eq!(row[8..10], ["80"; 2]);

    // The loss during the runs, for each number of steps, against calls, samples or time.
    let report = study.0.join("out/report.html");
    let page = fs::read_to_string(&report).unwrap();
    assert_eq!(page.matches("<div class=\"switch\">").count(), 2);
    in_a_browser(&report, page.matches("<svg ").count(), 2);
}

/// Cells that are not random run with one seed, whatever the number of cells that run at a time, and the table says so.
#[test]
fn seeds_are_for_what_is_random() {
    let text = "[[grid]]\nproblem = ['quadratic', 'maml-quadratic']\nestimator = ['exact', 'ufom:q=0.5']\nseeds = 3\n\
                measure = 'gradient'\nrepeats = 0";
    let study = Study::new(text);
    let (out, _) = study.ok();
    let seeds = |records: Vec<Value>| -> Vec<_> {
        records.iter().map(|r| r["seed"].as_u64().unwrap()).collect()
    };
    let expected = [0, 0, 1, 2, 0, 1, 2, 0, 1, 2];
    assert_eq!(seeds(study.records()), expected);
    let rows: Vec<&str> = out.lines().collect();
    assert!(
        rows[1].contains("  1, not random  ") && rows[2..5].iter().all(|r| r.contains("  3  "))
    );
    let (_, err) = study.ok();
    let spared = "2 not needed: other seeds of what is not random\n";
    assert_eq!(err, format!("12 cells, 10 of them already recorded, {spared}"));
    let folder = study.at("out");
    let (status, out, err) = run(&["compare", &folder, &folder]);
    assert_eq!((status, err.as_str()), (0, ""));
    let told = "10 cells compared, 0 cells of the first are not in both; 2 were not needed: other seeds of what is not random\n";
    assert!(out.ends_with(told), "{out}");
    let (status, _, err) = study.start_into("side", &["--jobs", "3"]);
    assert_eq!(status, 0, "{err}");
    assert_eq!(seeds(study.records_in("side")), expected);
    let folders = ["out", "side", "both"].map(|name| study.at(name));
    let (_, _, err) = run(&["study", "merge", &folders[0], "--out", &folders[2]]);
    assert_eq!(err, "");
}

#[test]
fn standard_errors_are_those_of_the_records() {
    let text =
        "[[grid]]\nproblem = 'quadratic'\nestimator = 'ufom:q=0.5'\nseeds = 3\niterations = 5";
    let study = Study::new(text);
    let (out, _) = study.ok();
    let records = study.records();
    let losses: Vec<f64> = records.iter().map(|r| r["loss"].as_f64().unwrap()).collect();
    let mean = losses.iter().sum::<f64>() / 3.0;
    let squares = losses.iter().map(|l| (l - mean).powi(2)).sum::<f64>();
    let error = (squares / 2.0 / 3.0).sqrt();
    let row: Vec<&str> = out.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row[..3], ["quadratic", "ufom:q=0.5", "3"]);
    assert_eq!(row[4], "±");
    let shown = [row[3], row[5]].map(|t| t.parse::<f64>().unwrap());
    // Four and two significant digits are shown.
    assert!(error > 0.0 && (shown[0] / mean - 1.0).abs() < 5e-4, "{shown:?}, {mean}");
    assert!((shown[1] / error - 1.0).abs() < 5e-2, "{shown:?}, {error}");
}

#[test]
fn a_study_goes_on_where_it_stopped() {
    let study = Study::new(GRID);
    study.ok();
    let text = study.text();
    let whole = study.records();
    // Lines of both halves, in a different order: the order of the grid is restored.
    let lines: Vec<&str> = text.lines().collect();
    study.put([lines[6], lines[1], lines[3], lines[4]].join("\n"));
    let (_, err) = study.ok();
    assert_eq!(err, "8 cells, 4 of them already recorded\n");
    assert_eq!(timeless(study.records()), timeless(whole));
    let again = study.text();
    for kept in [1, 3, 4, 6] {
        assert_eq!(again.lines().nth(kept), Some(lines[kept]));
    }
    // Nothing is left to do: the file is not changed, and the table is the same.
    let (first, _) = study.ok();
    let (second, err) = study.ok();
    assert_eq!((first, study.text()), (second, again));
    assert_eq!(err, "8 cells, 8 of them already recorded\n");
}

#[test]
fn keys_nest_in_the_order_of_the_file() {
    let study = Study::new(
        "[[grid]]\nseeds = 2\nlr = [0.3, 0.1]\nproblem = 'quadratic'\niterations = 0\nestimator = 'ufom'\n\
         [[grid]]\nproblem = 'quadratic'\nlr = [0.1, 0.2]\niterations = 0\n\
         outer = 'adam'\nouter_lr = 1\ndtype = 'f32'\n\
         [[grid]]\niterations = 0x0\nproblem = 'quadratic'\nestimator = 'ufom'\nlr = 0.3",
    );
    let (_, err) = study.ok();
    // The last grid contains only a cell of the first.
    assert_eq!(err, "6 cells, 0 of them already recorded\n");
    let records = study.records();
    let cell = |r: &Value| (r["seed"].as_u64().unwrap(), r["lr"].as_f64().unwrap());
    let found: Vec<_> = records.iter().map(cell).collect();
    assert_eq!(found, [(0, 0.3), (0, 0.1), (1, 0.3), (1, 0.1), (0, 0.1), (0, 0.2)]);
    let last = &records[5];
    assert_eq!(
        (&last["outer"], &last["outer_lr"], &last["outer_power"]),
        (&json!("adam"), &json!(1.0), &Value::Null)
    );
    assert_eq!((&last["dtype"], &last["gradient_norm"]), (&json!("f32"), &Value::Null));
}

#[test]
fn metrics_and_what_is_undefined() {
    let study = Study::new(
        "[[grid]]\nproblem = 'digits-clean'\nsteps = 3\niterations = 1\nrecord_every = 1\n\
         [[grid]]\nproblem = 'digits-clean'\nsteps = 3\niterations = 0\ncontrol = 'only clean samples'",
    );
    let (out, _) = study.ok();
    assert!(out.lines().next().unwrap().contains("test error"), "{out}");
    let record = &study.records()[0];
    assert_eq!(record["data_seed"], 0);
    // The control knows all wrong labels.
    let control = &study.records()[1];
    assert_eq!([&control["metrics"]["F1"], &control["inner_gradients"]], [&json!(1.0), &json!(0)]);
    // At the start no sample is suspected, so the precision is 0/0.
    let start = &record["checkpoints"][0]["metrics"];
    assert_eq!((&start["precision"], &start["recall"]), (&Value::Null, &json!(0.0)));
    assert!(record["metrics"]["precision"].is_f64());
    // Records cost nothing: there are only the three steps of the single estimate.
    assert_eq!(record["inner_gradients"], 3);
}

#[test]
fn algorithms_are_judged_by_the_value_function() {
    let text = |tolerance: &str| {
        format!(
            "[[grid]]\nproblem = 'quadratic-sampled'\nalgorithm = ['saba:step=0.3', 'soba:step=0.3']\n\
             iterations = 200\nrecord_every = 100\n{tolerance}"
        )
    };
    // The problem has a closed form; the other values are computed by L-BFGS and conjugate gradients.
    let [closed, found] = ["", "value_tolerance = 1e-10"].map(|line| {
        let study = Study::new(&text(line));
        let (out, _) = study.ok();
        assert!(
            out.lines().nth(1).unwrap().starts_with("quadratic-sampled  saba:step=0.3"),
            "{out}"
        );
        assert!(
            names(&study.0.join("out/figures")).iter().any(|name| name.ends_with("-samples.svg"))
        );
        study.records()
    });
    for (closed, found) in closed.iter().zip(&found) {
        let points = |record: &Value| record["checkpoints"].as_array().unwrap().clone();
        assert_eq!(points(found).len(), 2);
        // One mini-batch of 64 per level and iteration.
        assert_eq!(points(found)[1]["samples"], 100 * 128);
        let ends = [closed.clone(), found.clone()];
        let all = [&ends[0], &ends[1]].map(|end| [points(end), vec![end.clone()]].concat());
        for (closed, found) in all[0].iter().zip(&all[1]) {
            for name in ["h(x)", "|dh/dx|"] {
                let [closed, found] =
                    [closed, found].map(|point| point["metrics"][name].as_f64().unwrap());
                // The minimum is accurate to 1e-10 of the start.
                assert!((closed - found).abs() < 1e-8, "{name}: {closed} {found}");
            }
        }
    }
}

#[test]
fn the_best_setting_of_each_algorithm_is_told_and_drawn() {
    let study = Study::new(
        "[[grid]]\nproblem = 'quadratic-sampled'\nalgorithm = '{soba,saba}:step={0.01,0.3}'\n\
         iterations = 3000\nrecord_every = 5\nrecord_ratio = 2\n\
         [[external]]\nproblem = 'quadratic-sampled'\nname = 'other:step=1'\ncurve = [[0, 8], [2, 1]]",
    );
    let (out, err) = study.ok();
    assert!(err.starts_with("4 cells"), "{err}");
    let points = study.records()[0]["checkpoints"].as_array().unwrap().clone();
    let places: Vec<_> = points.iter().map(|p| p["iteration"].as_u64().unwrap()).collect();
    assert_eq!(places, [0, 5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560]);
    // SABA converges, SOBA does not. The external program ends where its curve does, and its samples are unknown.
    let rows: Vec<_> = out.lines().skip_while(|l| !l.contains("best setting")).collect();
    let cells = |row: &str| {
        row.split("  ")
            .filter(|c| !c.is_empty())
            .map(str::trim)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(cells(rows[1])[1], "saba:step=0.3", "{out}");
    assert!(!rows[1].contains(" - "), "{out}");
    assert!(cells(rows[2])[1].starts_with("soba:step="), "{out}");
    // The external program has (1 + 0.01) / (8 + 0.01) left.
    assert_eq!(cells(rows[3])[1..4], ["other:step=1", "0.13", "-"], "{out}");
    let html = fs::read_to_string(study.0.join("out/report.html")).unwrap();
    assert!(html.contains("<h2>Best settings</h2>") && html.contains("part of h(x) left"));
    let figure = |name: &str| fs::read_to_string(study.0.join("out/figures").join(name)).unwrap();
    assert!(figure("quadratic-sampled-left-time.svg").contains(">other:step=1<"));
    assert!(!figure("quadratic-sampled-left-samples.svg").contains("other"));
    // Other figures show only the best settings.
    let loss = figure("quadratic-sampled-loss-time.svg");
    assert!(loss.contains(">saba:step=0.3<") && !loss.contains(">saba:step=0.01<"));
}

#[test]
fn a_cell_that_fails_does_not_stop_the_others() {
    let study = Study::new(
        "[[grid]]\nproblem = 'w1-ridge'\nsteps = 60\nlr = [1e6, 0.5]\niterations = 1\nseeds = [4]",
    );
    let parts = ["1 of 2 cells failed", "records.jsonl", "not finite at inner step 5"];
    // A recorded failure is not tried again, because it would fail again.
    for known in 0..2 {
        let (status, out, err) = study.start();
        assert_eq!(status, 1, "{err}");
        assert!(err.starts_with(&format!("2 cells, {} of them", 2 * known)), "{err}");
        let line = err.lines().nth(1).unwrap();
        assert!(parts.iter().all(|part| line.contains(part)), "{line}");
        let rows: Vec<Vec<&str>> = out.lines().map(|l| l.split_whitespace().collect()).collect();
        assert_eq!(
            rows[1],
            ["w1-ridge", "exact", "1000000", "0,", "1", "diverged", "-", "-", "-", "-", "-"]
        );
        assert_eq!(rows[2][..6], ["w1-ridge", "exact", "0.5", "1,", "not", "random"]);
    }
    let records = study.records();
    let [bad, good] = [&records[0], &records[1]];
    assert_eq!((&bad["lr"], &bad["seed"]), (&json!(1e6), &json!(4)));
    let error = bad["error"].as_str().unwrap();
    assert!(error.starts_with("outer iteration 0: ") && error.contains("inner step 5"), "{error}");
    assert!(bad.get("loss").is_none());
    assert_eq!(bad["failure"], "diverged");
    assert!(good["loss"].is_f64() && good.get("error").is_none());
}

/// A file that was missing may be there the next time; a loop that diverged diverges again.
#[test]
fn failures_that_need_not_repeat_are_run_again() {
    let study = Study::new(
        "[[grid]]\nproblem = 'ridge'\ntrain = 't.csv'\niterations = 1\n\
         [[grid]]\nproblem = 'quadratic'\nlr = 1e200\nmeasure = 'gradient'",
    );
    let start = |first: &str, kinds: [&str; 2]| {
        let (status, _, err) = study.start();
        assert_eq!((status, err.lines().next()), (1, Some(first)), "{err}");
        let records = study.records();
        assert_eq!([0, 1].map(|k| records[k]["failure"].as_str().unwrap_or_default()), kinds);
    };
    start("2 cells, 0 of them already recorded", ["failed", "diverged"]);
    let again = "2 cells, 1 of them already recorded, 1 run again after a failure";
    start(again, ["failed", "diverged"]);
    let lines: Vec<_> = (0..40).map(|i| format!("{},{i}", i % 7)).collect();
    fs::write(study.0.join("t.csv"), lines.join("\n")).unwrap();
    start(again, ["", "diverged"]);
    start("2 cells, 2 of them already recorded", ["", "diverged"]);
}

#[test]
fn errors_name_the_line_and_the_key() {
    let cases = [
        ("", "1: grid: missing, expected at least one [[grid]]"),
        ("\nzz = 1", "2: unknown key 'zz': expected one of title, grid, external"),
        ("steps = 5\n[[grid]]", "1: steps: settings go below a line [[grid]]"),
        ("title = 3", "1: title: found 3, expected a string"),
        ("[grid]", "1: grid: expected tables, each headed [[grid]]"),
        ("grid = [1]", "1: grid: expected tables, each headed [[grid]]"),
        ("title = 'a\n", "1: invalid literal string, expected `'`"),
        ("title = 'a'\ntitle = 'b'", "2: duplicate key"),
        ("\n[[grid]]\nsteps = 1", "2: problem: missing, expected a name or a list"),
    ];
    for (text, why) in cases {
        Study::new(text).refused(&format!("study.toml:{why}"));
    }
    // Below a problem, on lines 1 to 3.
    let cases = [
        ("stpes = 5", "4: unknown key 'stpes': did you mean steps?"),
        ("problem.a = 5", "4: cannot extend value of type string with a dotted key"),
        ("steps = []", "4: steps: found an empty list, expected at least one value"),
        ("steps = -1", "4: steps: found -1, expected a whole number, 0 or more"),
        ("steps = 1.0", "4: steps: found 1.0, expected a whole number, 0 or more"),
        ("steps = [[5]]", "4: steps: found a list, expected a whole number, 0 or more"),
        ("iterations = true", "4: iterations: found true, expected a whole number, 0 or more"),
        ("\nlr = [\n0.1,\n0]", "7: lr: found 0, expected a positive finite number, or auto"),
        ("lr = nan", "4: lr: found nan, expected a positive finite number, or auto"),
        ("seeds = 0", "4: seeds: found 0, expected a whole number, 1 or more"),
        ("seeds = [-3]", "4: seeds: found -3, expected a whole number from 0 to 2^64 - 1"),
        ("seeds = 99999999999", "2: grid: too many cells, expected at most 10000 in a study"),
        ("data_seed = 1", "4: data_seed: the data of 'quadratic' is fixed"),
        ("dtype = 'f16'", "4: dtype: found \"f16\", expected one of f64, f32"),
        ("outer = 'SGD'", "4: outer: unknown outer optimiser 'SGD': did you mean sgd?"),
        (
            "memory = '3 MB'",
            "4: memory: found \"3 MB\", expected bytes, such as 4096, 64MiB or 1.5GB",
        ),
        ("rule = 'ista'", "4: rule: ista: expected l1 or outer"),
        (
            "measure = 'gradient'\nouter = 'sgd'",
            "5: outer: found a setting of runs, expected measure = \"run\"",
        ),
        ("draws = 2", "4: draws: found a run, expected measure = \"gradient\""),
        (
            "json = true",
            "4: unknown key 'json': expected one of problem, seeds, steps, lr, rule, \
          tolerance, schedule, memory, data_seed, train, valid, test, label, delimiter, zero_based, standardise, split, corruption, penalty, \
          penalties, batch, dtype, lanes, threads, estimator, algorithm, coupling, outer, outer_lr, \
          outer_power, outer_momentum, gradient_norm, oracle_calls, time, record_every, iterations, measure, \
          value_tolerance, record_ratio, repeats, draws, control",
        ),
        ("[[external]]\nproblem = 'quadratic'\nbytes = 1", "4: external: found no seconds"),
        (
            "[[external]]\nproblem = 'quadratic'\nname = 'a'\ncurve = [[1]]",
            "7: curve: expected pairs of numbers, such as [[0, 0.7], [0.5, 0.2]]",
        ),
        ("record_ratio = 1", "4: record_ratio: found 1, expected a finite number above 1"),
        ("outer_lr = inf", "4: outer_lr: found inf, expected a positive finite number"),
        ("outer_power = -1", "4: outer_power: found -1, expected a finite number, 0 or more"),
        (
            "outer = 'adam'\nouter_power = 1",
            "5: outer_power: adam has no power; --outer sgd has it",
        ),
        ("record_every = 0", "4: record_every: found 0, expected a whole number, 1 or more"),
        (
            "estimator = ['exact', 'frist-order']",
            "4: estimator: unknown estimator 'frist-order': did you mean first-order?",
        ),
        (
            "estimator = 'exact'\nalgorithm = 'soba:step=0.1'",
            "5: algorithm: found algorithm and estimator in the same grid, expected only one of them in a cell; \
             give each a grid of its own",
        ),
        (
            "label = 'price'",
            "2: train: missing, expected beside the other keys of this grid that need it",
        ),
        ("estimator = 'exact:q=1'", "4: estimator: 'exact' takes no settings, found 'q=1'"),
        (
            "[[grid]]\nproblem = ['quadratic', 'quadratc']",
            "5: problem: unknown problem 'quadratc': did you mean quadratic?",
        ),
    ];
    for (text, why) in cases {
        let text = format!("\n[[grid]]\nproblem = 'quadratic'\n{text}");
        Study::new(&text).refused(&format!("study.toml:{why}"));
    }
    let (status, _, err) = run(&["study", "absent.toml", "--out", "absent"]);
    assert!(status == 2 && err.starts_with("error: cannot read absent.toml: "), "{err}");
}

/// An empty shard runs nothing.
const NO_CELL: [&str; 2] = ["--shard", "10000/10000"];

#[test]
fn without_a_file_the_study_of_the_digits() {
    let study = Study::new("");
    let mut command = Command::new(env!("CARGO_BIN_EXE_hypertape"));
    let output = command.arg("study").args(NO_CELL).current_dir(&study.0).output().unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|b| String::from_utf8(b).unwrap());
    assert!(output.status.success(), "{err}");
    assert!(out.ends_with("report: hypertape-study/digits/report.html\n"), "{out}");
    let text = fs::read_to_string(study.0.join("hypertape-study/digits/study.toml")).unwrap();
    assert_eq!(text, include_str!("../../cli/src/study/digits.toml"));
}

#[test]
fn the_studies_of_the_project() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("studies");
    let files = names(&folder);
    for name in &files {
        let file = folder.join(name).into_os_string().into_string().unwrap();
        let (status, out, err) = run(&[&["study", &file, "--dry-run"], &NO_CELL[..]].concat());
        assert!(status == 0 && out.starts_with("0 cells, "), "{name}: {err}");
    }
    for name in [
        "aid-itd-stocbio",
        "cleaning",
        "estimators-variance",
        "few-shot",
        "growth",
        "memory-time",
        "newsgroups-control",
        "single-loop",
        "ufom-divergence",
        "ufom-equal-cost",
        "ufom-optimal-q",
    ] {
        for file in [format!("{name}.toml"), format!("{name}-small.toml")] {
            assert!(files.contains(&file), "{file} is missing");
        }
    }
}

#[test]
fn records_that_are_not_of_the_study_are_kept() {
    let study = Study::new(GRID);
    study.ok();
    let text = study.text();
    let lines: Vec<&str> = text.lines().collect();
    let torn = &text[..text.rfind("etrics").unwrap()];
    study.put(torn);
    study.refused(
        "records.jsonl:8: not a record of a study: EOF while parsing a string; nothing was changed",
    );
    study.put(format!("{}\nhello\n", lines[0]));
    study.refused("records.jsonl:2: not a record of a study: expected value; nothing was changed");
    study.put(format!("{}\n\n", lines[0]));
    let why = "EOF while parsing a value; nothing was changed";
    study.refused(&format!("records.jsonl:2: not a record of a study: {why}"));
    study.put([lines[0].as_bytes(), b"\n\xff\n"].concat());
    let why = "invalid utf-8 sequence of 1 bytes from index 0; nothing was changed";
    study.refused(&format!("records.jsonl:2: not a record of a study: {why}"));
    study.put("{\"problem\":\"quadratic\"}\n");
    let why = "missing field `measure`; nothing was changed";
    study.refused(&format!("records.jsonl:1: not a record of a study: {why}"));
    study.put(lines[2].replace("\"hvps\":80", "\"hvp\":80"));
    let why = "missing field `hvps`; nothing was changed";
    study.refused(&format!("records.jsonl:1: not a record of a study: {why}"));
    study.put([lines[0], lines[5], lines[0]].join("\n"));
    study.refused("records.jsonl:3: the same cell as on an earlier line; nothing was changed");
    study.put(text.replace("\"lr\":0.2", "\"lr\":0.25"));
    let (status, _, err) = study.start();
    assert_eq!(status, 2);
    let part = "records.jsonl:2: a cell (quadratic, exact, seed 0) that is not in ";
    assert!(err.contains(part) && err.contains("another --out"), "{err}");
    assert_eq!(study.text(), text.replace("\"lr\":0.2", "\"lr\":0.25"));
}

/// A measurement of gradients, some of which may not use the memory that they need.
const GRADIENTS: &str = r#"
title = "bytes & <time>"
[[grid]]
problem = "quadratic"
measure = "gradient"
steps = [8, 64]
schedule = ["store-all", "binomial:c=2"]
repeats = 7
[[grid]]
problem = "quadratic"
measure = "gradient"
estimator = "ufom:q=0.5"
draws = 64
repeats = 1
[[grid]]
problem = "quadratic"
measure = "gradient"
memory = 1
schedule = ["store-all", "auto"]
[[external]]
problem = "quadratic"
steps = 64
name = "another program"
bytes = "1MiB"
seconds = 1e-9
"#;

/// Without a schedule, a budget that does not hold all states holds checkpoints, and the table says how many.
#[test]
fn budgets_are_filled_with_checkpoints() {
    let study = Study::new(
        "[[grid]]\nproblem = 'quadratic'\nmeasure = 'gradient'\nsteps = 64\nmemory = ['6500', '1MiB']",
    );
    let (out, _) = study.ok();
    let records = study.records();
    let taken: Vec<&str> =
        records.iter().map(|record| record["schedule_taken"].as_str().unwrap()).collect();
    assert!(taken[0].starts_with("binomial:c=") && taken[1] == "store-all", "{taken:?}");
    assert_eq!(records[0]["gradient_norm"], records[1]["gradient_norm"]);
    assert!(records.iter().all(|record| record["schedule"].is_null()), "{records:?}");
    let rows: Vec<&str> = out.lines().collect();
    assert!(rows[0].contains(" schedule ") && rows[1].contains(taken[0]), "{out}");
}

#[test]
fn gradients_are_counted_and_timed() {
    let study = Study::new(GRADIENTS);
    let (status, out, err) = study.start();
    assert!(status == 1 && err.contains("2 of 7 cells failed"), "{err}");
    let records = study.records();
    // theory: `c` states in addition to the start, so 8 steps with 2 states take 8 + 7 + ... plain steps; store-all
    // takes each step once.
    for (record, (steps, schedule)) in
        records.iter().zip([(8, "store-all"), (8, "binomial:c=2"), (64, "store-all")])
    {
        assert_eq!((&record["steps"], &record["schedule"]), (&json!(steps), &json!(schedule)));
        assert_eq!((&record["hvps"], &record["iterations"]), (&json!(steps), &json!(0)));
        let of = |key| serde_json::from_value::<Vec<f64>>(record[key].clone()).unwrap();
        let (mut times, paces) = (of("times"), of("paces"));
        times.sort_by(f64::total_cmp);
        assert!(times.len() == 7 && paces.len() == 7 && paces.is_sorted(), "{paces:?}");
        // Ranks (7 - 1.96 sqrt 7)/2 = 0.9 from either end.
        let [low, median, high] =
            ["seconds_low", "seconds", "seconds_high"].map(|k| record[k].as_f64().unwrap());
        assert_eq!([low, median, high], [times[0], times[3], times[6]]);
        assert_eq!(record["bytes_predicted"], record["bytes_measured"]);
        // The data are the same for all computations.
        assert_eq!(record["data_hash"], records[0]["data_hash"]);
    }
    assert_eq!(records[0]["plain_steps"], 8);
    assert!(records[1]["plain_steps"].as_u64() > Some(8));
    assert_eq!(records[0]["loss"], records[1]["loss"]);
    // A coin with q = 1/2: E|G|^2 = |g|^2 + (1/q - 1)|g_FO - g|^2, so the variance is 1 in units of |g_FO - g|^2, and
    // 64 tosses determine both moments to within three standard errors.
    let accuracy = &records[4]["accuracy"];
    let [bias, variance, second] =
        ["bias", "variance", "second_moment"].map(|k| accuracy[k].as_f64().unwrap());
    assert!(bias < 3.0 * (variance / 64.0).sqrt(), "{accuracy}");
    let mean = second - variance * 63.0 / 64.0;
    assert!((mean.sqrt() - 1.0).abs() <= bias * (1.0 + 1e-12), "{accuracy}");
    assert!(accuracy["relative"].as_f64() > Some(0.0), "{accuracy}");
    for record in &records[5..] {
        assert_eq!(record["failure"], "over budget", "{record}");
        assert!(record["error"].as_str().unwrap().contains(" of memory, "), "{record}");
    }
    let rows: Vec<&str> = out.lines().collect();
    assert!(rows[1].contains("bias") && rows[7].contains("1 over budget"), "{out}");

    let csv = fs::read_to_string(study.0.join("out/records.csv")).unwrap();
    let lines: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(lines.len(), 1 + 7);
    assert!(lines[0].contains(&"accuracy.bias") && lines[0].contains(&"bytes_measured"), "{csv}");
    let markdown = fs::read_to_string(study.0.join("out/report.md")).unwrap();
    assert!(markdown.starts_with("# bytes & <time>\n\n7 cells recorded, 2 failed."), "{markdown}");
    assert!(markdown.contains("\n| problem | estimator |") && markdown.contains("\n| :-- | :-- |"));

    // The line that grows in steps only, with the slopes between its two points, which have no error.
    let slope = |key: &str| {
        let [small, large] = [0, 2].map(|k| records[k][key].as_f64().unwrap());
        (large / small).ln() / 8_f64.ln()
    };
    let row = out.lines().find(|line| line.starts_with("steps")).unwrap();
    let cells: Vec<&str> = row.split("  ").filter(|c| !c.is_empty()).map(str::trim).collect();
    assert_eq!(cells[..4], ["steps", "quadratic, exact store-all", "8", "64"]);
    for (cell, key) in cells[4..].iter().zip(["seconds", "bytes_measured"]) {
        // The table shows three digits.
        let shown: f64 = cell.strip_suffix(" (two points, no error)").unwrap().parse().unwrap();
        assert!((shown - slope(key)).abs() <= 5e-3 * slope(key).abs(), "{row} {}", slope(key));
    }
    assert!(markdown.contains("\n## Cost as work grows\n\n| growing | of |"), "{markdown}");
    let page = fs::read_to_string(study.0.join("out/report.html")).unwrap();
    assert!(page.contains("<h1>bytes &amp; &lt;time&gt;</h1>"));
    let figures = names(&study.0.join("out/figures"));
    let expected = [
        "growth-steps-bytes.svg",
        "growth-steps-time.svg",
        "quadratic-5-steps-bias.svg",
        "quadratic-64-steps-time-bytes.svg",
        "quadratic-8-steps-time-bytes.svg",
        "quadratic-predicted.svg",
    ];
    assert_eq!(
        figures,
        expected.iter().filter(|f| !f.contains("bias")).copied().collect::<Vec<_>>()
    );
    // Each figure has a title and a description; nothing is loaded from elsewhere.
    assert_eq!(page.matches("<svg ").count(), figures.len());
    assert_eq!(page.matches("<desc>").count(), figures.len());
    let links = page.matches("http").count();
    assert_eq!(links, page.matches("http://www.w3.org/2000/svg").count());
    assert!(page.contains("prefers-color-scheme:dark") && page.contains("name=\"viewport\""));
    // The other program is the fastest and the largest: it is on the front, which has a mark less than there are points.
    let figure =
        fs::read_to_string(study.0.join("out/figures/quadratic-64-steps-time-bytes.svg")).unwrap();
    assert!(
        figure.contains("on the Pareto front: ")
            && figure.contains("another program: 1.0 MiB, 1.00 ns"),
        "{figure}"
    );
    in_a_browser(&study.0.join("out/report.html"), figures.len(), 0);
}

/// The script puts its findings into the title of the page: the number of figures, colours, and problems: a page wider
/// than WIDTH, figures that leave room unused, text that is cut off or overlaps, and points, series and tables that do
/// not respond.
const LAID_OUT: &str = r##"<script>{
const width = WIDTH, told = [], figures = [...document.querySelectorAll("svg")];
document.body.style.width = width - 32 + "px";
for (const title of document.querySelectorAll(".title")) title.style.display = "inline";
for (const svg of figures) {
  const frame = svg.getBoundingClientRect(), texts = [...svg.querySelectorAll("text")];
  if (frame.width && frame.width < Math.min(width - 60, 520)) told.push("narrow: " + frame.width);
  const boxes = texts.map(t => t.getBoundingClientRect());
  boxes.forEach((a, i) => {
    if (a.left < frame.left || a.right > frame.right) told.push("cut: " + texts[i].textContent);
    for (const [j, b] of boxes.entries())
      if (i < j && a.left < b.right && b.left < a.right && a.top + 2 < b.bottom && b.top + 2 < a.bottom)
        told.push(texts[i].textContent + " on " + texts[j].textContent);
  });
}
const colour = (what, of) => getComputedStyle(document.querySelector(of))[what];
if (document.body.scrollWidth > width) told.push("wide: " + document.body.scrollWidth);
const point = document.querySelector("#point"), mark = document.querySelector(".series .mark");
// Not by `focus()`, of which a page in a window without the focus, as on a busy machine, learns nothing.
mark.dispatchEvent(new FocusEvent("focus"));
if (mark.tabIndex < 0 || point.hidden || point.textContent !== mark.getAttribute("aria-label") || !point.textContent.includes(":"))
  told.push("a point says nothing");
const key = document.querySelector(".key"), series = document.querySelector(".series");
const shown = () => getComputedStyle(series).display !== "none";
const states = [shown()];
for (let i = 0; i < 2; i++) { key.dispatchEvent(new MouseEvent("click")); states.push(shown()); }
if (String(states) !== "true,false,true") told.push("a series stays: " + states);
const heads = [...document.querySelectorAll("table th")], column = heads.findIndex(h => h.textContent === "bytes");
const bytes = () => [...document.querySelectorAll("table")[0].tBodies[0].rows].map(row => parseFloat(row.cells[column].textContent));
for (const sign of [1, -1]) {
  heads[column].querySelector("button").click();
  const found = bytes().filter(value => value < 1000);
  if (found.length < 2 || found.some((value, i) => i && sign * (value - found[i - 1]) < 0)) told.push("not sorted: " + found);
}
const tabs = [...document.querySelectorAll(".switch")].map(group => {
  [...group.querySelectorAll(".tabs button")].find(button => button.textContent === "samples").click();
  return [...group.querySelectorAll("section")].filter(section => !section.hidden).map(section => section.dataset.tab);
});
if (tabs.some(shown => String(shown) !== "samples")) told.push("a switch shows " + tabs);
document.title = [figures.length, tabs.length, colour("backgroundColor", "body"), colour("fill", ".ground"), colour("fill", "text"), ...told];
}</script>"##;

/// Lays a page out in a headless browser, at the widths of a telephone and of a desktop, in the light and the dark
/// colour scheme. Without a browser it fails if `HYPERTAPE_BROWSER` is set, and otherwise prints that the test was
/// skipped.
fn in_a_browser(page: &Path, figures: usize, switches: usize) {
    let copy = page.with_file_name("laid-out.html");
    let mut browsers = ["chromium", "chromium-browser", "google-chrome"].into_iter();
    let Some(browser) = browsers.find(|name| Command::new(name).arg("--version").output().is_ok())
    else {
        assert!(
            std::env::var_os("HYPERTAPE_BROWSER").is_none(),
            "no browser: scripts/install-browser"
        );
        // Not through the macros, whose output is captured when a test passes.
        let _ = writeln!(std::io::stderr(), "SKIPPED: no browser has looked at {}", page.display());
        return;
    };
    for (width, scheme) in [(390, 0), (1280, 1)] {
        let script = LAID_OUT.replace("WIDTH", &width.to_string());
        fs::write(&copy, fs::read_to_string(page).unwrap() + &script).unwrap();
        let mut command = Command::new(browser);
        command.args(["--headless", "--disable-gpu", "--no-sandbox", "--dump-dom"]);
        command.arg(format!("--window-size={width},900"));
        command.arg(format!("--blink-settings=preferredColorScheme={scheme}")).arg(&copy);
        let dom = String::from_utf8(command.output().unwrap().stdout).unwrap();
        let (ground, ink) =
            [("rgb(22, 22, 22)", "rgb(221, 221, 221)"), ("rgb(255, 255, 255)", "rgb(34, 34, 34)")]
                [scheme];
        let title = format!("<title>{figures},{switches},{ground},{ground},{ink}</title>");
        let found = dom.lines().find(|line| line.contains("<title>")).unwrap_or(&dom);
        assert!(found.contains(&title), "{browser}, {width} pixels: {found}");
    }
}

#[test]
fn what_a_process_may_take() {
    // Without limits, neither would end within a minute.
    let text = "[[grid]]\nproblem = 'w1-ridge'\nsteps = 1000\niterations = 1000000";
    for (option, value, failure) in
        [("--cell-time", "0.2", "timeout"), ("--cell-memory", "1MiB", "over memory")]
    {
        let study = Study::new(text);
        let (status, out, err) = study.start_into("out", &[option, value]);
        assert!(status == 1 && err.contains(option), "{err}");
        assert_eq!(study.records()[0]["failure"], failure);
        assert!(out.contains(&format!("1 {failure}")), "{out}");
        // A cell process that nobody waits for ends too: its stdin closes when the parent process ends.
        let mut command = Command::new(env!("CARGO_BIN_EXE_hypertape"));
        command.args(["study", "cell"]).stdin(Stdio::piped()).stdout(Stdio::null());
        let mut process = command.spawn().unwrap();
        let mut stdin = process.stdin.take().unwrap();
        writeln!(stdin, "[\"Count\",\"\",{}]", study.records()[0]).unwrap();
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(process.try_wait().unwrap(), None);
        drop(stdin);
        assert_eq!(process.wait().unwrap().code(), Some(1));
    }
}

#[test]
fn a_dry_run_runs_nothing() {
    let study = Study::new(GRID);
    let (status, out, err) = study.start_into("out", &["--dry-run"]);
    assert_eq!((status, err.as_str()), (0, ""));
    assert!(out.starts_with("8 cells, about "), "{out}");
    assert!(!study.0.join("out").exists());
}

#[test]
fn killed_many_times_it_ends_with_the_same_records() {
    let study = Study::new(GRID);
    let (status, _, err) = study.start_into("whole", &[]);
    assert_eq!(status, 0, "{err}");
    let [file, out] = ["study.toml", "out"].map(|name| study.at(name));
    let mut command = Command::new(env!("CARGO_BIN_EXE_hypertape"));
    command.args(["study", &file, "--out", &out, "--jobs", "2"]).stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut ends = 0;
    let mut random = rand_pcg::Pcg64::seed_from_u64(20);
    let kills = crate::support::kills();
    for _ in 0..kills {
        let mut process = command.spawn().unwrap();
        std::thread::sleep(Duration::from_millis(random.random_range(0..80)));
        // Half of them are terminated by a signal that they notice, as from a batch system.
        if random.random_bool(0.5) {
            process.kill().unwrap();
        } else {
            Command::new("kill").args(["-TERM", &process.id().to_string()]).status().unwrap();
        }
        ends += u32::from(process.wait().unwrap().success());
        if let Ok(text) = fs::read_to_string(study.path()) {
            // All lines are complete at any time.
            assert!(text.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{text}");
        }
    }
    assert!(ends < kills, "no kill met a study that was running");
    study.ok();
    let left = |name: &String| name.starts_with('.') || name.contains(".tmp");
    assert!(!names(&study.0.join("out")).iter().any(left), "what kills left");
    // The records of cells that ran at the same time as others say so.
    let without_jobs = |folder| {
        let mut records = timeless(study.records_in(folder));
        for record in &mut records {
            record.as_object_mut().unwrap().remove("jobs");
        }
        records
    };
    assert_eq!(without_jobs("out"), without_jobs("whole"));
}

#[test]
fn one_process_a_folder() {
    let study = Study::new(GRID);
    fs::create_dir(study.0.join("out")).unwrap();
    let lock = fs::File::open(study.0.join("out")).unwrap();
    lock.lock().unwrap();
    let (status, _, err) = study.start();
    assert!(status == 1 && err.contains("out: another process runs a study here"), "{err}");
    // Closing the file does not suffice: a process that another test just started may hold a copy.
    lock.unlock().unwrap();
    study.ok();
}

#[test]
fn shards_are_merged_and_compared() {
    let study = Study::new(GRID);
    let whole = study.start_into("whole", &[]);
    for (shard, folder) in [("1/2", "a"), ("2/2", "b")] {
        let (status, _, err) = study.start_into(folder, &["--shard", shard]);
        assert_eq!((status, err.as_str()), (0, "4 cells, 0 of them already recorded\n"));
    }
    let [a, b, both, whole_folder] = ["a", "b", "both", "whole"].map(|name| study.at(name));
    let merge = |folders: &[&str]| run(&[&["study", "merge"], folders, &["--out", &both]].concat());
    // A missing cell is named, and the existing ones are kept.
    let (status, _, err) = merge(&[&a]);
    assert_eq!(
        (status, err.as_str()),
        (1, "error: 4 of 8 cells are missing, the first is cell 2\n")
    );
    let (status, out, err) = merge(&[&a, &b]);
    assert_eq!((status, err.as_str()), (0, ""));
    assert_eq!(timeless(study.records_in("both")), timeless(study.records_in("whole")));
    // The tables are the same apart from times.
    let counts = |table: &str| {
        let rows = table.lines().filter(|l| !l.starts_with("report: "));
        let rows = rows.map(|l| l.split_whitespace().take(9).map(str::to_owned).collect());
        rows.collect::<Vec<Vec<String>>>()
    };
    assert_eq!(counts(&out), counts(&whole.1));
    let (status, _, err) = merge(&[&a, &b, &whole_folder]);
    assert!(status == 1 && err.starts_with("error: cell 1 is also in "), "{err}");
    assert!(err.contains("with the same result; cell 2 is also"), "{err}");
    // A failure that need not repeat makes room for a result.
    let mut failed = study.records_in("both");
    (failed[0]["failure"], failed[0]["error"]) = (json!("timeout"), json!("late"));
    let lines: Vec<String> = failed.iter().map(Value::to_string).collect();
    fs::write(study.0.join("both/records.jsonl"), lines.join("\n")).unwrap();
    assert_eq!(merge(&[&a, &b]).0, 0);
    assert_eq!(timeless(study.records_in("both")), timeless(study.records_in("whole")));
    // Another result of the same cell, and then another study.
    let text = fs::read_to_string(study.0.join("b/records.jsonl")).unwrap();
    let path = study.0.join("b/records.jsonl");
    fs::write(&path, text.replacen("\"hvps\":20,", "\"hvps\":21,", 1)).unwrap();
    let (status, _, err) = merge(&[&whole_folder, &b]);
    assert!(status == 2 && err.contains("with another hvps; nothing was written"), "{err}");
    let hash = |text: &str| text.replacen("\"data_hash\":\"", "\"data_hash\":\"f", 1);
    fs::write(&path, hash(&text)).unwrap();
    // What was joined before is not replaced by another result.
    let before = study.records_in("both");
    let (status, _, err) = merge(&[&a, &b]);
    let kept = "with another data_hash; no record was replaced";
    assert!(status == 2 && err.contains("cell 2 is already in ") && err.contains(kept), "{err}");
    assert_eq!(study.records_in("both"), before);
    let (status, _, err) = run(&["study", "merge", &a, &b, "--out", &study.at("fresh")]);
    let why = "error: cells 1 and 2 have different data of quadratic\n";
    assert_eq!((status, err.as_str()), (1, why));
    fs::write(path, text).unwrap();
    let other = study.0.join("b/study.toml");
    fs::write(&other, GRID.replace("iterations = 4", "iterations = 4 # four")).unwrap();
    let (status, _, err) = merge(&[&a, &b]);
    assert_eq!(status, 2);
    assert!(err.contains("study.toml:8: 'iterations = 4' and 'iterations = 4 # four'"), "{err}");
    let (status, _, err) = merge(&[&study.at("absent")]);
    assert!(status == 2 && err.contains("not the folder of a study"), "{err}");

    // Compared with itself, nothing is worse.
    let (status, out, err) = run(&["compare", &whole_folder, &whole_folder]);
    assert_eq!((status, err.as_str()), (0, ""));
    let ratios =
        out.lines().filter(|l| l.contains(" 1.00 ") && l.ends_with("same, but for times: too few"));
    assert_eq!(ratios.count(), 8, "{out}");
    assert!(out.ends_with("8 cells compared, 0 cells of the first are not in both\n"), "{out}");
    let mut records = study.records_in("both");
    let write = |folder: &str, records: &[Value]| {
        let lines: Vec<String> = records.iter().map(Value::to_string).collect();
        fs::write(study.0.join(folder).join("records.jsonl"), lines.join("\n")).unwrap();
    };
    // Eight times per cell suffice for a verdict if no other program disturbs them.
    for record in &mut records {
        record["paces"] = json!([1.0, 1.01, 1.02, 1.0, 1.01, 1.04, 1.0, 1.0]);
        record["times"] = json!(vec![record["seconds"].as_f64().unwrap(); 8]);
    }
    write("both", &records);
    for (i, record) in records.iter_mut().enumerate() {
        // The first row takes a thousand times as long, and the second has another loss.
        if i < 1 {
            let time = record["seconds"].as_f64().unwrap() * 1e3;
            record["times"] = json!(vec![time; 8]);
        } else if i < 2 {
            record["loss"] = json!(0.5);
        }
    }
    write("whole", &records);
    let (status, out, err) = run(&["compare", &both, &whole_folder, "--slower", "1.000001"]);
    let verdicts: Vec<&str> =
        out.lines().skip(1).take(4).map(|l| l.rsplit("  ").next().unwrap().trim()).collect();
    assert_eq!((status, err.as_str()), (1, "error: 2 rows are worse than before\n"), "{out}");
    assert_eq!(verdicts, ["slower", "another result", "same", "same"], "{out}");
    // Another program disturbed three of the eight.
    for record in &mut records {
        record["paces"] = json!([1.0, 1.2, 1.0, 1.1, 1.0, 1.3, 1.0, 1.0]);
    }
    write("whole", &records);
    let (_, out, _) = run(&["compare", &both, &whole_folder, "--slower", "1.000001"]);
    let busy =
        out.lines().filter(|line| line.ends_with("same, but for times: the machine was busy"));
    assert_eq!(busy.count(), 7, "{out}");
    // On one side, records of an earlier version.
    for record in &mut records {
        record.as_object_mut().unwrap().remove("paces");
    }
    write("whole", &records);
    let (_, out, _) = run(&["compare", &both, &whole_folder]);
    assert_eq!(out.matches("same, but for times: recorded without paces").count(), 7, "{out}");
    let (status, out, _) = run(&["compare", &a, &whole_folder]);
    assert!(status == 0 && out.contains("4 cells compared, 4 cells of the first"), "{out}");
}

/// A full device, or a write that the system refuses, ends the command with an error; records are kept.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk() {
    let study = Study::new(GRID);
    let [file, out] = ["study.toml", "out"].map(|name| study.at(name));
    let binary = env!("CARGO_BIN_EXE_hypertape");
    let shell = |script: &str| {
        let output = Command::new("sh").args(["-c", script, binary, &file, &out]).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    // Blocks of 512 bytes: two records fit, the third does not.
    let (status, err) = shell("trap '' XFSZ; ulimit -f 8; exec \"$0\" study \"$1\" --out \"$2\"");
    assert_eq!(status, Some(1), "{err}");
    assert!(err.contains("error: --out: cannot write ") && err.contains("File too large"), "{err}");
    let kept = study.records();
    assert!((1..8).contains(&kept.len()), "{} records", kept.len());
    let (status, err) = shell("exec \"$0\" study \"$1\" --out \"$2\" >/dev/full");
    assert_eq!(status, Some(1));
    assert!(err.contains("error: standard output: No space left on device"), "{err}");
    let records = study.records();
    assert_eq!((records.len(), &records[..kept.len()]), (8, &kept[..]));
    // If a device is in the place of the records, it is not changed.
    fs::remove_file(study.path()).unwrap();
    std::os::unix::fs::symlink("/dev/full", study.path()).unwrap();
    let (status, _, err) = study.start();
    assert!(status == 1 && err.contains("records.jsonl: found no regular file"), "{err}");
}

#[test]
fn folders_that_cannot_be_written() {
    let study = Study::new(GRID);
    fs::write(study.0.join("out"), "kept").unwrap();
    let (status, out, err) = study.start();
    assert_eq!((status, out.as_str()), (1, ""), "{err}");
    assert!(err.starts_with("error: --out: cannot create the folder "), "{err}");
    assert_eq!(fs::read_to_string(study.0.join("out")).unwrap(), "kept");
}
