//! The `hypertape` binary as users see it: its text, its files, its exit status and its one-line errors.

use std::ffi::OsStr;
use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hypertape::problems::{Quadratic, catalogue};
use serde_json::Value;
use tempfile::{TempDir, tempdir};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// The hypergradient of `quadratic` at its default start and settings.
const KNOWN: [f64; 2] = [0.889_454_368_725_553_7, -0.712_507_614_840_826_2];

fn command<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hypertape"));
    command.args(args).stdin(Stdio::null());
    command
}

/// Exit status, stdout and stderr of a command.
fn run<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> (i32, String, String) {
    let output = command(args).output().unwrap();
    let status = output.status.code().expect("ended by a signal");
    let [out, err] = [output.stdout, output.stderr].map(|b| String::from_utf8(b).unwrap());
    (status, out, err)
}

/// The words of a command line without quotes; `{}` is replaced by `path`.
fn words(line: &str, path: &Path) -> Vec<String> {
    line.split_whitespace().map(|word| word.replace("{}", path.to_str().unwrap())).collect()
}

/// Stdout of a command that must succeed. Its stderr is not a terminal, so nothing may be printed there, not even
/// progress.
#[track_caller]
fn ok(line: &str, path: &Path) -> String {
    let (status, out, err) = run(words(line, path));
    assert_eq!((status, err.as_str()), (0, ""), "{line}");
    out
}

/// The JSON objects that a successful command prints, one per line.
#[track_caller]
fn objects(line: &str, path: &Path) -> Vec<Value> {
    let out = ok(&format!("{line} --json"), path);
    let objects: Vec<Value> = out.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert!(objects.iter().all(Value::is_object), "{out}");
    objects
}

/// The one JSON object of `gradient`.
#[track_caller]
fn gradient(line: &str, path: &Path) -> Value {
    let mut rows = objects(&format!("gradient {line}"), path);
    assert_eq!(rows.len(), 1, "{line}");
    rows.remove(0)
}

/// Checks that a command fails with this status and prints a single line on stderr, which contains all `parts`.
#[track_caller]
fn refused<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>, status: i32, parts: &[&str]) {
    let args: Vec<_> = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
    let (found, out, err) = run(&args);
    assert_eq!((found, out.as_str()), (status, ""), "{args:?}: {err}");
    let line = err.strip_suffix('\n').unwrap_or_else(|| panic!("{args:?}: {err:?}"));
    assert!(line.starts_with("error: ") && !line.contains('\n'), "{args:?}: {err:?}");
    for part in parts {
        assert!(line.contains(part), "{args:?}: no {part:?} in {line:?}");
    }
}

/// A new file in a folder.
fn put(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

/// The names in a folder, sorted, including hidden ones.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A `.npy` file, format 1.0, of little-endian doubles.
fn npy(shape: &str, values: &[f64]) -> Vec<u8> {
    let mut header =
        format!("{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}").into_bytes();
    // Magic, header and final newline fill a multiple of 64 bytes.
    header.resize((header.len() + 11).next_multiple_of(64) - 11, b' ');
    header.push(b'\n');
    let length = u16::try_from(header.len()).unwrap().to_le_bytes();
    let values: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    [b"\x93NUMPY\x01\x00", &length[..], &header, &values].concat()
}

fn vector(values: &[f64]) -> Vec<u8> {
    npy(&format!("({},)", values.len()), values)
}

fn npz(arrays: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in arrays {
        zip.start_file(format!("{name}.npy"), SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

const ALIKE: &str = "note: the 2 runs have the same result, as no seed has an effect on it\n";

#[track_caller]
fn number(object: &Value, key: &str) -> f64 {
    object[key].as_f64().unwrap_or_else(|| panic!("{key}: {}", object[key]))
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn keys(object: &Value) -> Vec<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

/// Removes the times, the only part that differs between two equal runs.
fn timeless(objects: &[Value]) -> Vec<Value> {
    let mut objects = objects.to_vec();
    for object in &mut objects {
        object
            .as_object_mut()
            .unwrap()
            .retain(|key, _| !key.contains("seconds") && key != "process_peak_bytes");
    }
    objects
}

#[track_caller]
fn close(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (f, e) in found.iter().zip(expected) {
        assert!((f - e).abs() <= tolerance, "{found:?}, expected {expected:?}");
    }
}

/// `y += a M v`, with the transpose of `M` if `transposed`; `M` has as many rows as `y` or `v`.
fn add(y: &mut [f64], a: f64, matrix: &[f64], v: &[f64], transposed: bool) {
    let (rows, cols) = (y.len(), v.len());
    for i in 0..rows {
        for j in 0..cols {
            let entry = if transposed { matrix[j * rows + i] } else { matrix[i * cols + j] };
            y[i] += a * entry * v[j];
        }
    }
}

/// Outer loss and hypergradient of `quadratic`, by the recursions for `w` and its adjoint.
fn by_hand(x: &[f64], w: &[f64], steps: usize, lr: f64) -> (f64, Vec<f64>) {
    let q = Quadratic::<f64>::general();
    let mut w = w.to_vec();
    for _ in 0..steps {
        let mut slope = q.inner_linear.clone();
        add(&mut slope, 1.0, &q.inner_hessian, &w, false);
        add(&mut slope, 1.0, &q.inner_mixed, x, true);
        w.iter_mut().zip(&slope).for_each(|(w, s)| *w -= lr * s);
    }
    // Twice the quadratic part of the outer loss is its gradient minus its linear part, times the point.
    let (mut by_w, mut by_x) = (vec![0.0; w.len()], vec![0.0; x.len()]);
    add(&mut by_w, 1.0, &q.outer_hessian, &w, false);
    add(&mut by_w, 1.0, &q.outer_mixed, x, true);
    add(&mut by_x, 1.0, &q.outer_curvature, x, false);
    add(&mut by_x, 1.0, &q.outer_mixed, &w, false);
    let mut loss = 0.0;
    for (points, slopes, linear) in
        [(&w[..], &mut by_w, &q.outer_linear), (x, &mut by_x, &q.outer_direct)]
    {
        for ((p, s), l) in points.iter().zip(slopes).zip(linear) {
            loss += p * (*s / 2.0 + l);
            *s += l;
        }
    }
    for _ in 0..steps {
        let adjoint = by_w.clone();
        add(&mut by_x, -lr, &q.inner_mixed, &adjoint, false);
        add(&mut by_w, -lr, &q.inner_hessian, &adjoint, false);
    }
    (loss, by_x)
}

#[test]
fn lists_name_everything() {
    let none = Path::new("");
    let problems = ok("problems", none);
    let first: Vec<_> = problems.lines().skip(1).filter_map(|l| l.split(' ').next()).collect();
    assert_eq!(first, catalogue().iter().map(|entry| entry.name.clone()).collect::<Vec<_>>());
    assert_eq!(problems.lines().next().unwrap().split(' ').next(), Some("problem"));
    for entry in catalogue() {
        let line = problems.lines().find(|l| l.starts_with(&format!("{} ", entry.name))).unwrap();
        assert!(line.contains(&*entry.summary), "{line}");
        let told = ok(&format!("problems {}", entry.name), none);
        assert!(told.contains(&format!("{} steps, lr {}, ", entry.steps, entry.lr)), "{told}");
    }
    let estimators = ok("estimators", none);
    for (line, parts) in [
        ("rules", &["heavy-ball", "soft thresholding"][..]),
        ("rules ista", &["ista: ", "l1 ", "a positive finite number"]),
        ("schedules", &["binomial", "stores every state"]),
        ("schedules disk", &["cost of writing a state to disk", "Example: disk:ram=3,disk=20"]),
        ("optimisers", &["sgd", "x <- x - lr / k^power g"]),
        ("optimisers adam", &["b2 ", "0.999"]),
        (
            "couplings",
            &[
                "cold ",
                "warm ",
                "every inner loop starts where the last one of the same task ended",
            ],
        ),
        ("couplings warm", &["warm: every inner loop starts where", "no settings"]),
        ("algorithms", &["soba ", "pzobo ", "one step each of w, v and x"]),
        ("algorithms saba", &["step ", "a positive size, such as 0.1 or 0.1/k^0.5"]),
        ("estimators gmres", &["iterations ", "20", "warm ", "for every inner rule"]),
        ("estimators neumann", &["terms ", "mu "]),
        (
            "estimators thinned",
            &["cost for r steps: ", "q ", "0.3", "probability that a step is visited"],
        ),
        ("estimators exact", &["no settings"]),
    ] {
        let told = ok(line, none);
        assert!(parts.iter().all(|part| told.contains(part)), "{line}: {told}");
    }
    refused(["rules", "adm"], 2, &["unknown rule 'adm': did you mean adam?"]);
    let warmer = ["run", "quadratic", "--coupling", "wram"];
    refused(warmer, 2, &["--coupling: unknown coupling 'wram': did you mean warm?"]);
    assert!(estimators.lines().skip(1).any(|line| line.starts_with("exact ")), "{estimators}");
    // Every listed estimator is accepted with its defaults.
    for name in estimators.lines().skip(1).filter_map(|l| l.split(' ').next()) {
        let rule = if name == "reversible" { "heavy-ball" } else { "gradient-descent" };
        let row = gradient(&format!("quadratic --estimator {name} --rule {rule}"), none);
        assert!(row["estimator"].as_str().unwrap().starts_with(name), "{row}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one case after the other")]
fn implicit_estimates_tell_what_they_rest_on() {
    let none = Path::new("");
    // The text as typed, with the default settings added.
    for (typed, told) in [
        ("cg", "cg:iterations=20,tolerance=1e-12"),
        ("minres:iterations=3", "minres:iterations=3,tolerance=1e-12"),
        ("fixed-point:lr=0.5,warm=0", "fixed-point:lr=0.5,iterations=20,tolerance=1e-12,warm=0"),
        ("fixed-point", "fixed-point:iterations=20,tolerance=1e-12,warm=1"),
        ("neumann:terms=4", "neumann:terms=4"),
        ("nystrom:rank=2,shift=0.5", "nystrom:rank=2,shift=0.5,iterations=20,tolerance=1e-12"),
        ("dense:mu=0.85", "dense:mu=0.85"),
        ("stocbio:terms=3,batches=2.5", "stocbio:terms=3,batches=2.5,decay=1"),
        ("single-draw", "single-draw:terms=20"),
        ("roulette-neumann:mu=0.85", "roulette-neumann:survival=0.9,mu=0.85"),
        ("truncated:k=2", "truncated:k=2"),
        ("roulette:1:1,3:0.5,5:0.25", "roulette:1:1,3:0.5,5:0.25"),
    ] {
        let row = gradient(&format!("quadratic --estimator {typed} --repeat 3"), none);
        assert_eq!(row["estimator"], told);
        // The full text can be typed as well.
        let again = gradient(&format!("quadratic --estimator {told} --repeat 3"), none);
        assert_eq!(timeless(&[row]), timeless(&[again]), "{told}");
    }
    let row = gradient("quadratic --dtype float64 --estimator dense:mu=0.85", none);
    close(
        &numbers(&row["gradient_head"]),
        &[0.916_278_451_134_672_6, -0.606_441_715_910_993_3],
        2e-15,
    );
    let own = [
        "residual",
        "iterations",
        "inner_gradient_norm",
        "inner_gradient_ratio",
        "solution_error",
        "warnings",
    ];
    assert!(own.iter().all(|key| keys(&row).contains(key)), "{row}");
    assert!(number(&row, "residual") < 1e-15 && number(&row, "solution_error") < 1e-14, "{row}");
    assert_eq!((number(&row, "iterations"), number(&row, "mixed")), (3.0, 1.0));
    let warning = "the inner loop is not converged: |dg/dw| is 1.93e-1, 0.081 of that at its start";
    assert!(row["warnings"][0].as_str().unwrap().starts_with(warning), "{row}");
    let random = gradient("quadratic --steps 200 --estimator stocbio", none);
    assert!(
        random["residual"].is_null() && random["warnings"].as_array().unwrap().is_empty(),
        "{random}"
    );
    // In a table, every estimate has its own warnings.
    let out = ok("gradient quadratic --estimator exact --estimator cg --estimator dense", none);
    assert!(out.lines().nth(2).unwrap().contains("residual  |dg/dw|"), "{out}");
    let warned: Vec<&str> = out.lines().filter(|line| line.contains("not converged")).collect();
    let begins = ["cg:iterations=20,tolerance=1e-12", "dense"]
        .map(|name| format!("warning: {name}: {warning}"));
    assert!(
        warned.len() == 2 && warned.iter().zip(&begins).all(|(l, b)| l.starts_with(b)),
        "{out}"
    );
    let out = ok("certify quadratic --estimator cg --draws 2", none);
    let warned = out.lines().filter(|line| line.starts_with(&begins[0]));
    assert_eq!(warned.count(), 1, "{out}");
    let out = ok("gradient quadratic", none);
    assert!(!out.contains("residual"), "{out}");
    // Each of several runs starts anew.
    let line =
        "run quadratic --estimator fixed-point:iterations=2 --iterations 3 --repeat 2 --json";
    let (status, out, err) = run(words(line, none));
    assert_eq!((status, err.as_str()), (0, ALIKE));
    let several: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let losses = |repeat: f64| -> Vec<f64> {
        let lines =
            several.iter().filter(|o| o.get("loss").is_some() && number(o, "repeat") == repeat);
        lines.map(|o| number(o, "gradient_norm")).collect()
    };
    assert!(losses(0.0).len() == 3 && losses(0.0) == losses(1.0), "{several:?}");

    for (typed, parts) in [
        ("cg:iterations=0", &["iterations of cg: found 0, expected a whole number, 1 or more"][..]),
        ("cg:iterations=1.5", &["iterations of cg: found 1.5, expected a whole number"]),
        ("cg:warm=2", &["warm of cg: found 2, expected 0 or 1"]),
        (
            "cg:terms=2",
            &[
                "unknown setting 'terms' of cg: expected one of iterations, tolerance, mu, minimum, warm",
            ],
        ),
        ("truncated:k=-1", &["k of truncated: found -1, expected a whole number"]),
        ("dense:mu=0", &["mu of dense: found 0, expected a positive finite number"]),
        (
            "stocbio:decay=2",
            &["decay of stocbio: found 2, expected a number above 0 and at most 1"],
        ),
        ("roulette-neumann:survival=1", &["survival of roulette-neumann: found 1"]),
        ("forward:k=1", &["'forward' takes no settings, found 'k=1'"]),
        (
            "ufom:q=0.2,adaptive=1",
            &["ufom: expected one of q, subset, adaptive, paper-code, or d2 with v2"],
        ),
        ("ufom:d2=1", &["or d2 with v2"]),
        ("ufom:k=2,mixed=1", &["expected k or mixed"]),
        ("jump:anchors=0", &["anchors of jump: found 0, expected a whole number, 1 or more"]),
        ("roulette:0:1,5:x", &["expected depth:probability,..."]),
        ("roulette:0:1,5:2", &["level 1 of roulette", "depth 5 with probability 2"]),
        ("roulette:survival=2", &["survival of roulette: found 2, expected a probability"]),
        // Refused even if it has no effect.
        ("ufom:q=0.2,floor=2", &["floor of ufom: found 2, expected a probability"]),
        ("ufom:q=0.1,q=0.2", &["ufom: q is given twice"]),
        ("ufom:adaptiv", &["unknown setting 'adaptiv' of ufom: did you mean adaptive?"]),
        ("ufom:q", &["q of ufom: found no value, expected a probability"]),
        ("thinned:slots=0", &["slots of thinned: found 0, expected a whole number, 1 or more"]),
    ] {
        refused(words(&format!("gradient quadratic --estimator {typed}"), none), 2, parts);
    }
    let infinite = "gradient quadratic --estimator roulette-neumann:survival=0.5,mu=0.85";
    refused(words(infinite, none), 1, &["survival: found 0.5", "0.555025 or more", "infinite"]);
    refused(
        words("gradient w3 --estimator cg", none),
        1,
        &["implicit gradient is identically zero"],
    );
}

#[test]
fn certify_tells_what_estimators_are_worth() {
    let none = Path::new("");
    let line = "certify quadratic --draws 20 --estimator ufom:q=0.5 --estimator truncated:k=1";
    let table = ok(line, none);
    assert_eq!(table.lines().count(), 5, "{table}");
    assert!(table.starts_with("quadratic: 5 steps, 20 draws"), "{table}");
    let rows: Vec<Value> = ok(&format!("{line} --json"), none)
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    let column = |name: &str| rows.iter().map(|row| row[name].clone()).collect::<Vec<_>>();
    assert_eq!(column("estimator"), ["exact", "ufom:q=0.5", "truncated:k=1"]);
    assert_eq!(column("verdict"), ["exact", "undecided", "BIASED"]);
    assert_eq!((rows[0]["error"].as_f64(), rows[0]["residual"].is_null()), (Some(0.0), true));
    // A coin of 1/2 adds the square of the error of the first-order estimate.
    let both = ok("gradient quadratic --estimator exact --estimator first-order --json", none);
    let heads = both.lines().map(|l| serde_json::from_str::<Value>(l).unwrap());
    let heads: Vec<Vec<f64>> =
        heads.map(|row| serde_json::from_value(row["gradient_head"].clone()).unwrap()).collect();
    let exact: f64 = heads[0].iter().map(|g| g * g).sum();
    let missed: f64 = heads[0].iter().zip(&heads[1]).map(|(g, g0)| (g - g0).powi(2)).sum();
    let predicted = rows[1]["predicted"].as_f64().unwrap();
    assert!((predicted / (exact + missed) - 1.0).abs() < 1e-14, "{predicted}");
    let (status, _, err) = run("certify quadratic --draws 1".split(' '));
    assert_eq!(
        (status, err.as_str()),
        (
            1,
            "error: certify keeps an estimate of each draw: it takes from 2 to 1000000 draws, not 1\n"
        )
    );
}

#[test]
fn help_is_there() {
    let none = Path::new("");
    let cases = [
        ("--help", ["problems", "estimators", "gradient", "run"].as_slice()),
        ("problems --help", &["Usage: hypertape problems"]),
        ("estimators --help", &["Usage: hypertape estimators"]),
        (
            "gradient --help",
            &[
                "PROBLEM",
                "--estimator",
                "--steps",
                "--lr",
                "--seed",
                "--data-seed",
                "--dtype",
                "--at",
                "--init",
                "--save",
                "--json",
                "--repeat",
            ],
        ),
        ("run --help", &["PROBLEM", "--outer", "--outer-lr", "--iterations", "--repeat"]),
        ("--version", &[concat!("hypertape ", env!("CARGO_PKG_VERSION"))]),
    ];
    for (line, parts) in cases {
        let out = ok(line, none);
        for part in parts {
            assert!(out.contains(part), "{line}: no {part:?} in {out}");
        }
    }
    let (status, out, err) = run::<&str>([]);
    assert_eq!((status, out.as_str()), (2, ""), "no arguments");
    assert!(err.contains("Usage: hypertape"), "{err}");
}

#[test]
fn gradient_prints_one_object_an_estimator() {
    let none = Path::new("");
    let row = gradient("quadratic", none);
    let mut expected = [
        "problem",
        "estimator",
        "schedule",
        "rule",
        "dtype",
        "steps",
        "lr",
        "seed",
        "data_seed",
        "threads",
        "loss",
        "gradient_norm",
        "gradient_head",
        "plain_steps",
        "inner_gradients",
        "hvps",
        "mixed",
        "outer_gradients",
        "samples",
        "bytes_predicted",
        "bytes_measured",
        "repeat",
        "primal_seconds",
        "primal_seconds_min",
        "seconds",
        "seconds_min",
        "process_peak_bytes",
        "sensitivity",
        "growth",
        "warnings",
    ];
    expected.sort_unstable();
    let mut found = keys(&row);
    found.sort_unstable();
    assert_eq!(found, expected);

    for (key, text) in [("problem", "quadratic"), ("estimator", "exact"), ("dtype", "f64")] {
        assert_eq!(row[key], text, "{key}");
    }
    let counts = ["plain_steps", "inner_gradients", "hvps", "mixed", "steps"];
    for (key, count) in counts.map(|c| (c, 5)).into_iter().chain([("seed", 0), ("repeat", 1)]) {
        assert_eq!(row[key], count, "{key}");
    }
    assert_eq!(row["lr"], 0.3);
    assert!(row["data_seed"].is_null(), "{row}");
    assert_eq!(row["bytes_predicted"], row["bytes_measured"]);
    assert_eq!((&row["rule"], &row["schedule"]), (&"gradient-descent".into(), &"store-all".into()));
    for key in ["bytes_measured", "threads", "primal_seconds", "seconds"] {
        assert!(number(&row, key) > 0.0, "{key}");
    }
    for key in ["primal_seconds", "seconds"] {
        let min = number(&row, &format!("{key}_min"));
        assert!(min > 0.0 && min <= number(&row, key), "{key}");
    }
    close(&numbers(&row["gradient_head"]), &KNOWN, 1e-15);
    close(&[number(&row, "gradient_norm")], &[KNOWN[0].hypot(KNOWN[1])], 1e-15);

    let rows = objects("gradient quadratic --estimator exact --estimator exact --repeat 4", none);
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0]["repeat"], 4);
    assert_eq!(timeless(&rows[..1]), timeless(&rows[1..]));
}

#[test]
fn gradient_prints_a_table() {
    let out = ok("gradient quadratic --estimator exact --estimator exact", Path::new(""));
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 5, "{out}");
    assert_eq!(lines[0], "quadratic: 5 steps, lr 0.3, f64");
    assert!(lines[1].starts_with("inner loop and outer loss alone: "), "{out}");
    assert_eq!(
        lines[1].ends_with("; peak memory of the process: -"),
        !cfg!(target_os = "linux"),
        "{out}"
    );
    for column in ["estimator", "loss", "|gradient|", "gradients", "HVPs", "bytes", "time"] {
        assert!(lines[2].contains(column), "{out}");
    }
    for line in &lines[3..] {
        assert!(line.starts_with("exact ") && line.ends_with("0.889454 -0.712508"), "{out}");
    }
}

#[test]
fn threads_change_bytes_and_time_alone() {
    let none = Path::new("");
    let [one, two] =
        ["1", "2"].map(|n| gradient(&format!("sinusoid --steps 2 --threads {n}"), none));
    assert_eq!((&one["threads"], &two["threads"]), (&1.into(), &2.into()));
    for key in keys(&one) {
        let changes = key == "threads" || key.contains("bytes") || key.contains("seconds");
        assert!(changes || one[key] == two[key], "{key}: {} {}", one[key], two[key]);
    }
    // Another number of lanes changes the last digits, equally on any number of threads, and is part of the name.
    let of = |more: &str| gradient(&format!("w3{more}"), none);
    let [eight, of_64] = [" --steps 2", " --steps 2 --lanes 64"].map(of);
    assert_eq!(of_64["problem"], "w3:lanes=64");
    for more in [" --steps 2 --lanes 64 --threads 16", ":lanes=64 --steps 2"] {
        assert_eq!(of(more)["gradient_head"], of_64["gradient_head"], "{more}");
    }
    assert_ne!(eight["gradient_head"], of_64["gradient_head"]);
    let [eight, of_64] = [eight, of_64].map(|row| number(&row, "gradient_norm"));
    // The sums of 25 tasks are added in another order.
    assert!((eight / of_64 - 1.0).abs() < 1e-14, "{eight} {of_64}");
    let run = |n| objects(&format!("run sinusoid --iterations 3 --threads {n}"), none);
    let [one, two] = [run(1), run(2)];
    assert_eq!((&one[3]["threads"], &two[3]["threads"]), (&1.into(), &2.into()));
    assert_eq!(one[3]["results"], two[3]["results"]);
}

#[test]
fn schedules_and_budgets() {
    let none = Path::new("");
    let row = gradient("w3 --steps 1000 --schedule binomial:c=10", none);
    assert_eq!((&row["plain_steps"], &row["hvps"]), (&(25 * 3637).into(), &25_000.into()));
    assert_eq!(row["schedule"], "binomial:c=10");
    assert_eq!(row["bytes_predicted"], row["bytes_measured"]);
    let all = gradient("w1-ridge --schedule store-all", none);
    let budget = number(&all, "bytes_measured") * 0.7;
    let line = format!("w1-ridge --schedule auto --memory {budget:.0}");
    let chosen = gradient(&line, none);
    assert_ne!(chosen["schedule"], "store-all");
    assert!(number(&chosen, "bytes_measured") <= budget);
    assert_eq!(chosen["gradient_head"], all["gradient_head"]);
    // Without a schedule, what does not fit stores as many checkpoints as fit, and a note names them.
    let line = format!("gradient w1-ridge --memory {budget:.0} --json");
    let (status, out, err) = run(line.split(' '));
    let fitted: Value = serde_json::from_str(&out).unwrap();
    let schedule = fitted["schedule"].as_str().unwrap();
    assert_eq!((status, &fitted["gradient_head"]), (0, &all["gradient_head"]));
    assert!(number(&fitted, "bytes_measured") <= budget);
    let note = format!("note: exact stores checkpoints (--schedule {schedule}, ");
    assert!(schedule.starts_with("binomial:c=") && err.starts_with(&note), "{err}");
    let c: usize = schedule.rsplit('=').next().unwrap().parse().unwrap();
    let more = gradient(&format!("w1-ridge --schedule binomial:c={}", c + 1), none);
    assert!(number(&more, "bytes_measured") > budget);
    let enough = gradient(&format!("w1-ridge --memory {:.0}", budget / 0.7), none);
    assert_eq!(enough["schedule"], "store-all");
    // A run that is resumed keeps its schedule.
    let folder = tempdir().unwrap();
    for line in [
        "--iterations 3 --save {}/once",
        "--iterations 2 --save {}/cut --memory 100KiB",
        "--iterations 3 --resume {}/cut",
    ] {
        let (status, _, err) = run(words(&format!("run w1-ridge {line}"), folder.path()));
        assert_eq!((status, err.contains("binomial:c=")), (0, line.contains("100KiB")), "{err}");
    }
    let [once, cut] = ["once", "cut"].map(|run| fs::read(folder.path().join(run).join("x.npz")));
    assert!(once.unwrap() == cut.unwrap());

    // Problems have a default rule; steep steps of another rule are reported.
    assert_eq!(gradient("learned-steps", none)["rule"], "gradient-descent:outer=0");
    let row = gradient("quadratic --rule adam:eps=1e-300 --lr 1e-7", none);
    assert!(number(&row, "sensitivity") > 0.0, "{row}");

    let out = ok("plan w1-ridge --memory 100KiB --draws 0", none);
    assert!(out.starts_with("w1-ridge: 100 steps, f64, within 100.0 KiB\n"), "{out}");
    assert!(
        out.contains("\nrecommended schedule: binomial:c=") && out.contains("constant"),
        "{out}"
    );
    assert!(!out.contains("estimat"), "{out}");
    let out = ok("plan quadratic --draws 1", none);
    assert!(out.contains("\nrecommended estimator: "), "{out}");
    let rows = objects("plan quadratic --draws 1 --memory 7000", none);
    assert!(rows.iter().all(|row| number(row, "bytes_predicted") <= 7000.0));
    let (weighed, schedules): (Vec<_>, Vec<_>) =
        rows.iter().partition(|row| row["estimator"].is_string());
    for (rows, key) in [(schedules, "seconds_predicted"), (weighed, "relative")] {
        // Noise has to gain a fifth before it comes first, so exact may be out of order.
        let rows = rows.iter().filter(|row| row["estimator"] != "exact");
        let values: Vec<f64> = rows.map(|row| number(row, key)).collect();
        assert!(values.len() > 2 && values.is_sorted(), "{key} {values:?}");
    }

    for (line, why) in [
        ("gradient w1-ridge --memory 1KiB", " bytes) of memory, 1.0 KiB is allowed\n"),
        ("gradient w1-ridge --memory 100KiB --schedule store-all", "; binomial:c="),
        ("plan w1-ridge --estimator first-order", "an estimator with a schedule, such as exact\n"),
    ] {
        let (status, _, err) = run(line.split(' '));
        assert_eq!(status, 1, "{line}: {err}");
        assert!(err.contains(why), "{line}: {err}");
    }
    for (line, why) in [
        ("gradient quadratic --memory 1Mib", "expected bytes, such as 4096, 64MiB or 1.5GB"),
        ("gradient quadratic --schedule binomial", "binomial needs c, for example binomial:c=10"),
        (
            "gradient quadratic --rule adam:b1=2",
            "b1 of adam: found 2, expected a number from 0 to below 1",
        ),
        ("gradient quadratic --rule ista", "ista: expected l1 or outer"),
        (
            "gradient quadratic --rule gradient-descent:outer=0.5",
            "outer of gradient-descent: found 0.5, expected a whole number",
        ),
        ("gradient quadratic --rule heavy", "unknown rule 'heavy': did you mean heavy-ball?"),
    ] {
        let (status, _, err) = run(line.split(' '));
        assert_eq!(status, 2, "{line}: {err}");
        assert!(err.contains(why), "{line}: {err}");
    }
}

#[test]
fn a_breakdown_adds_up() {
    let none = Path::new("");
    for threads in [1, 2] {
        let row = gradient(
            &format!("w3 --steps 20 --schedule binomial:c=3 --breakdown --threads {threads}"),
            none,
        );
        let parts = row["breakdown"].as_array().unwrap();
        let of = |name: &str, key: &str| {
            let part = parts.iter().find(|part| part["part"] == name).unwrap();
            number(part, key)
        };
        assert_eq!(of("inner gradient", "calls"), number(&row, "inner_gradients"));
        assert_eq!(of("products from states", "calls"), number(&row, "hvps"));
        assert_eq!(of("start", "calls"), 25.0);
        let held = of("vectors: states, adjoints, kept tapes", "bytes");
        let most = of("products from states", "bytes").max(of("outer loss", "bytes"));
        let measured = number(&row, "bytes_measured");
        assert!(held < measured && measured <= held + most, "{row}");
        // All bytes of the arenas are attributed.
        let operations = row["operations"].as_array().unwrap();
        let own = operations.iter().filter(|row| row["part"] == "inner gradient");
        let bytes: f64 = own.clone().map(|row| number(row, "bytes")).sum();
        let workers = f64::from(threads);
        let calls = of("inner gradient", "calls");
        assert_eq!(workers * bytes, calls * of("inner gradient", "bytes"), "{row}");
        let records: f64 = own.map(|row| number(row, "records")).sum();
        assert_eq!(records % calls, 0.0, "{row}");
    }
    let out = ok("gradient quadratic --breakdown", none);
    assert!(out.contains("\n\nexact\npart ") && out.contains("\ninner gradient "), "{out}");
    assert!(out.contains("\npart ") && out.contains("  matmul "), "{out}");
}

/// A spill file has no name, so nothing remains of it, however the process ends.
#[test]
#[cfg(target_os = "linux")]
fn a_killed_process_leaves_no_spill_file() {
    let dir = tempdir().unwrap();
    for wait in [20, 60, 150, 300] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_hypertape"))
            .args("gradient w3 --steps 4000 --schedule disk:ram=1,disk=60".split(' '))
            .env("TMPDIR", dir.path().as_os_str())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(wait));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "after {wait} ms");
    }
}

#[test]
fn inner_rules_by_name() {
    let none = Path::new("");
    let plain = gradient("w1-ridge --steps 5", none);
    for rule in ["heavy-ball:momentum=0", "nesterov:momentum=0"] {
        let row = gradient(&format!("w1-ridge --steps 5 --rule {rule}"), none);
        assert_eq!(row["rule"], rule);
        let [found, expected] = [&row, &plain].map(|row| numbers(&row["gradient_head"]));
        close(&found, &expected, 1e-15);
    }
    let row = gradient("w1-ridge --steps 5 --rule adam:eps=0.001", none);
    assert_eq!(row["rule"], "adam:b1=0.9,b2=0.999,eps=0.001");
    // The gradient is evaluated once more on the way back.
    assert_eq!((&row["plain_steps"], &row["inner_gradients"]), (&5.into(), &10.into()));
}

#[test]
fn gradient_in_single_precision() {
    let none = Path::new("");
    let line = "w1-ridge --steps 20";
    let [double, single] =
        ["f64", "f32"].map(|dtype| gradient(&format!("{line} --dtype {dtype}"), none));
    assert_eq!((&double["dtype"], &single["dtype"]), (&"f64".into(), &"f32".into()));
    assert_eq!((&single["hvps"], &single["data_seed"]), (&20.into(), &1.into()));
    let [d, s] = [&double, &single].map(|row| numbers(&row["gradient_head"]));
    assert_eq!(d.len(), 8);
    let norm = number(&double, "gradient_norm");
    assert_ne!(d, s);
    // A few hundred roundings of 6e-8 each.
    close(&s, &d, 1e-5 * norm);
    close(&[number(&single, "loss")], &[number(&double, "loss")], 1e-5);
    assert!(number(&single, "bytes_measured") < number(&double, "bytes_measured"));
}

#[test]
fn seeds_choose_the_data() {
    let none = Path::new("");
    let own = gradient("w1-ridge --steps 2", none);
    let same = gradient("w1-ridge --steps 2 --data-seed 1", none);
    let other = gradient("w1-ridge --steps 2 --data-seed 7", none);
    assert_eq!(timeless(std::slice::from_ref(&own)), timeless(&[same]));
    assert_eq!(other["data_seed"], 7);
    assert_ne!(own["loss"], other["loss"]);
}

#[test]
fn starts_from_files() {
    let dir = tempdir().unwrap();
    let (x, w) = ([-0.4, 1.1], [0.3, -2.0, 0.75]);
    let x_npy = put(&dir, "x.npy", &vector(&x));
    let x_npz = put(&dir, "x.npz", &npz(&[("x", npy("(2, 1)", &x))]));
    let w_npy = put(&dir, "w.npy", &vector(&w));
    let w_npz = put(&dir, "w.npz", &npz(&[("w0", npy("(3, 1)", &w))]));
    let check = |line: &str, path: &Path, x: &[f64], w: &[f64], steps| {
        let row = gradient(&format!("quadratic {line}"), path);
        let (loss, expected) = by_hand(x, w, steps, 0.3);
        close(&numbers(&row["gradient_head"]), &expected, 1e-14);
        close(&[number(&row, "loss")], &[loss], 1e-14);
    };
    let (own_x, own_w) = ([0.7, -1.2], [0.0; 3]);
    check("", dir.path(), &own_x, &own_w, 5);
    close(&by_hand(&own_x, &own_w, 5, 0.3).1, &KNOWN, 1e-15);
    for path in [&x_npy, &x_npz] {
        check("--at {}", path, &x, &own_w, 5);
        check("--at {} --steps 0", path, &x, &own_w, 0);
    }
    for path in [&w_npy, &w_npz] {
        check("--init {}", path, &own_x, &w, 5);
    }
    check("--at {}/x.npz --init {}/w.npy --steps 3", dir.path(), &x, &w, 3);
    // A run starts there too.
    let lines = objects("run quadratic --at {}/x.npy --init {}/w.npz --iterations 1", dir.path());
    close(&[number(&lines[0], "loss")], &[by_hand(&x, &w, 5, 0.3).0], 1e-14);
}

#[test]
fn a_saved_gradient_is_read_back() {
    let dir = tempdir().unwrap();
    let row = gradient("quadratic --save {}/new/folder", dir.path());
    let folder = dir.path().join("new/folder");
    assert_eq!(names(&folder), ["exact.json", "exact.npz"]);
    let saved = fs::read_to_string(folder.join("exact.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&saved).unwrap(), row);

    let there = gradient("quadratic --at {}/exact.npz", &folder);
    let (loss, expected) = by_hand(&KNOWN, &[0.0; 3], 5, 0.3);
    close(&numbers(&there["gradient_head"]), &expected, 1e-14);
    close(&[number(&there, "loss")], &[loss], 1e-14);

    // A second call replaces the files, and the arrays have the same bytes.
    let first = fs::read(folder.join("exact.npz")).unwrap();
    let table = ok("gradient quadratic --save {}", &folder);
    assert!(table.starts_with("quadratic: "), "{table}");
    assert_eq!(names(&folder), ["exact.json", "exact.npz"]);
    assert_eq!(fs::read(folder.join("exact.npz")).unwrap(), first);
}

#[test]
fn an_estimator_that_fails_is_named_and_the_others_are_told() {
    let line = "gradient sinusoid --steps 1 --estimator exact --estimator cg --estimator first-order --json";
    let (status, out, err) = run(line.split(' '));
    assert_eq!(status, 1);
    assert!(err.starts_with("error: cg: the implicit gradient is identically zero"), "{err}");
    let told: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        told.iter().map(|row| &row["estimator"]).collect::<Vec<_>>(),
        ["exact", "first-order"]
    );
}

#[test]
fn a_saved_run_is_read_back() {
    let dir = tempdir().unwrap();
    let line = "run digits-clean --steps 5 --dtype";
    for dtype in ["f64", "f32"] {
        let folder = dir.path().join(dtype);
        let lines = objects(&format!("{line} {dtype} --iterations 2 --save {{}}"), &folder);
        assert_eq!(names(&folder), ["run.json", "state.json", "w.npz", "x.npz"]);
        let saved = fs::read_to_string(folder.join("run.json")).unwrap();
        let saved: Value = serde_json::from_str(&saved).unwrap();
        assert_eq!(keys(&saved), ["records", "summary"]);
        assert_eq!(saved["records"].as_array().unwrap()[..], lines[..2]);
        assert_eq!(saved["summary"], lines[2]);

        // The saved point is that of the next iteration.
        let at = format!("digits-clean --dtype {dtype}");
        let next = gradient(&format!("{at} --steps 5 --at {{}}/x.npz"), &folder);
        let longer = objects(&format!("{line} {dtype} --iterations 3"), &folder);
        for key in ["loss", "gradient_norm", "bytes_measured"] {
            assert_eq!(next[key], longer[2][key], "{dtype} {key}");
        }
        // The saved inner variables are those from which the result was computed.
        let held = gradient(&format!("{at} --steps 0 --at {{}}/x.npz --init {{}}/w.npz"), &folder);
        assert_eq!(held["loss"], lines[2]["results"]["result"]["outer loss"], "{dtype}");
    }
    // Several runs, several files.
    let folder = dir.path().join("several");
    let (status, _, err) = run(words("run quadratic --iterations 1 --repeat 2 --save {}", &folder));
    assert_eq!((status, err.as_str()), (0, ALIKE));
    let expected = [
        "run-0.json",
        "run-1.json",
        "state-0.json",
        "state-1.json",
        "w-0.npz",
        "w-1.npz",
        "x-0.npz",
        "x-1.npz",
    ];
    assert_eq!(names(&folder), expected);
}

#[test]
fn run_prints_records_and_a_summary() {
    let lines = objects("run digits-clean --iterations 2", Path::new(""));
    assert_eq!(lines.len(), 3);
    for (i, record) in lines[..2].iter().enumerate() {
        assert_eq!((&record["repeat"], &record["iteration"]), (&0.into(), &i.into()));
        for key in ["loss", "gradient_norm", "bytes_measured", "seconds"] {
            assert!(number(record, key) > 0.0, "{key}");
        }
        assert_eq!((&record["inner_gradients"], &record["hvps"]), (&100.into(), &100.into()));
    }
    assert!(number(&lines[1], "loss") < number(&lines[0], "loss"));
    let summary = &lines[2];
    for (key, text) in [("problem", "digits-clean"), ("estimator", "exact"), ("outer", "adam 0.3")]
    {
        assert_eq!(summary[key], text, "{key}");
    }
    for (key, value) in [("steps", 100), ("iterations", 2), ("seed", 0), ("data_seed", 0)] {
        assert_eq!(summary[key], value, "{key}");
    }
    assert_eq!(summary["seconds"], lines[1]["seconds"]);
    let results = &summary["results"];
    assert_eq!(keys(results), ["only clean samples", "result", "weights frozen"]);
    for (name, metrics) in results.as_object().unwrap() {
        let expected = ["F1", "outer loss", "precision", "recall", "test error"];
        assert_eq!(keys(metrics), expected, "{name}");
        assert!(number(metrics, "outer loss") > 0.0, "{name}");
        assert!((0.0..0.2).contains(&number(metrics, "test error")), "{name}");
    }
    // Frozen weights are the first point of the run, and no sample is found with them.
    assert_eq!(results["weights frozen"]["outer loss"], lines[0]["loss"]);
    assert!(results["weights frozen"]["precision"].is_null());
    for metric in ["precision", "recall", "F1"] {
        assert_eq!(results["only clean samples"][metric], 1.0, "{metric}");
    }
}

#[test]
fn run_prints_a_table() {
    let none = Path::new("");
    let out = ok("run digits-clean --iterations 2 --steps 5 --outer-lr 0.125", none);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 5, "{out}");
    assert_eq!(lines[0], "digits-clean: 2 outer iterations, adam 0.125, exact");
    for metric in ["outer loss", "test error", "precision", "recall", "F1"] {
        assert!(lines[1].contains(metric), "{out}");
    }
    for (line, name) in lines[2..].iter().zip(["result", "weights frozen", "only clean samples"]) {
        assert!(line.starts_with(name), "{out}");
    }
    let out = ok("run digits-clean --iterations 1 --steps 5 --repeat 3", none);
    assert!(
        out.starts_with("digits-clean: 1 outer iterations, adam 0.3, exact, 3 runs\n"),
        "{out}"
    );
    assert!(out.contains(" ± "), "{out}");
}

#[test]
fn runs_repeat() {
    let none = Path::new("");
    let line = "run digits-clean --iterations 2 --steps 10";
    let lines = objects(&format!("{line} --repeat 2"), none);
    assert_eq!(lines.len(), 6);
    let summaries = [&lines[2], &lines[5]];
    for (i, summary) in summaries.into_iter().enumerate() {
        for key in ["repeat", "seed", "data_seed"] {
            assert_eq!(summary[key], i, "{key}");
        }
    }
    assert_ne!(summaries[0]["results"], summaries[1]["results"]);
    // The same seeds give the same numbers, also those of the second run alone.
    let again = objects(&format!("{line} --repeat 2"), none);
    assert_eq!(timeless(&lines), timeless(&again));
    let alone = objects(&format!("{line} --seed 1 --data-seed 1"), none);
    assert_eq!(alone[2]["results"], summaries[1]["results"]);
}

#[test]
fn run_takes_its_outer_optimiser() {
    let none = Path::new("");
    let line = "run quadratic --iterations 3 --outer";
    let sgd = objects(&format!("{line} sgd --outer-lr 0.1234567"), none);
    assert_eq!(sgd[3]["outer"], "sgd 0.1234567", "as it was typed");
    let adam = objects(&format!("{line} adam"), none);
    assert_eq!(adam[3]["outer"], "adam 0.1");
    assert_eq!(sgd[0]["loss"], adam[0]["loss"]);
    assert_ne!(sgd[1]["loss"], adam[1]["loss"]);
    // x_1 = x_0 - lr gradient.
    let x: Vec<f64> =
        [0.7, -1.2].iter().zip(KNOWN).map(|(x, g): (&f64, f64)| x - 0.123_456_7 * g).collect();
    close(&[number(&sgd[1], "loss")], &[by_hand(&x, &[0.0; 3], 5, 0.3).0], 1e-14);
    let momentum =
        objects(&format!("{line} momentum --outer-lr 0.1234567 --outer-momentum 0.5"), none);
    assert_eq!(momentum[3]["outer"], "momentum 0.1234567, 0.5");
    assert_eq!(momentum[1]["loss"], sgd[1]["loss"]);
    assert_ne!(momentum[2]["loss"], sgd[2]["loss"]);
    refused(
        words(&format!("{line} sgd --outer-momentum 0.5"), none),
        2,
        &["--outer-momentum: sgd has no momentum"],
    );
    // Settings in the text replace the options; some have no option.
    let text = objects(&format!("{line} momentum:lr=0.1234567,momentum=0.5"), none);
    assert_eq!(timeless(&text), timeless(&momentum));
    let slow = objects(&format!("{line} adam:b1=0.5"), none);
    assert_eq!(slow[3]["outer"], "adam:lr=0.1,b1=0.5");
    assert_ne!(slow[2]["loss"], adam[2]["loss"]);
    for (typed, why) in [
        ("adam:lr=0.1 --outer-lr 0.2", "--outer: adam: lr is given twice"),
        ("adam:b3=1", "--outer: unknown setting 'b3' of adam: did you mean b1?"),
        ("adam:lr=0", "--outer: lr of adam: found 0, expected a positive finite number"),
    ] {
        refused(words(&format!("{line} {typed}"), none), 2, &[why]);
    }
    // Without iterations the result is the start.
    let idle = objects("run quadratic --iterations 0", none);
    assert_eq!(idle.len(), 1);
    assert_eq!(idle[0]["results"]["result"], idle[0]["results"]["start"]);
}

#[test]
fn run_takes_couplings_and_limits() {
    let none = Path::new("");
    let of = |options: &str| objects(&format!("run quadratic --iterations 50 {options}"), none);
    let lines = of("--coupling warm");
    let summary = &lines[50];
    assert_eq!(summary["coupling"], "warm");
    assert_eq!((&summary["estimator"], &summary["outer"]), (&"exact".into(), &"sgd 0.1".into()));
    let why = "a control has no inner point to go on from";
    assert_eq!(keys(&summary["results"]), ["result"], "{why}");
    assert_eq!(summary["ended"], "iterations");
    // 5 gradients and 5 products per iteration.
    let calls = of("--oracle-calls 21");
    assert_eq!((calls.len(), &calls[3]["ended"]), (4, &"oracle calls".into()));
    let norm = of("--gradient-norm 0.9");
    let summary = norm.last().unwrap();
    assert_eq!(
        (&summary["ended"], &summary["iterations"]),
        (&"gradient norm".into(), &(norm.len() - 2).into())
    );
    assert_eq!(summary["results"]["result"]["outer loss"], norm[norm.len() - 2]["loss"]);
    assert_eq!(of("--time 1e-9").last().unwrap()["ended"], "time");
    let told = ok("run quadratic --iterations 50 --oracle-calls 21", none);
    assert!(
        told.starts_with("quadratic: 3 outer iterations, ended by oracle calls, sgd 0.1, exact\n"),
        "{told}"
    );
}

#[test]
fn run_takes_algorithms_of_one_loop() {
    let none = Path::new("");
    let line = "run quadratic-sampled --algorithm saba:step=0.3,ratio=2 --iterations 5000";
    let lines = objects(line, none);
    // By default one in a thousand iterations is recorded.
    assert_eq!(lines.len(), 1001);
    assert_eq!((&lines[1]["iteration"], &lines[1]["samples"]), (&5.into(), &640.into()));
    let summary = &lines[1000];
    assert_eq!(summary["estimator"], "saba:step=0.3,ratio=2");
    assert_eq!(summary["outer"], "sgd 0.15");
    assert_eq!(keys(&summary["results"]), ["result", "start"]);
    let slope = |name: &str| number(&summary["results"][name], "|dh/dx|");
    assert!(slope("result") < 1e-12 && slope("start") > 1.0, "{summary}");
    // Threads change nothing; the outer optimiser does.
    let shared = timeless(&objects(&format!("{line} --threads 2"), none));
    assert_eq!(shared[..1000], timeless(&lines)[..1000]);
    assert_eq!(shared[1000]["results"], summary["results"]);
    let adam = objects(&format!("{line} --outer adam:lr=0.05 --record-every 2500"), none);
    assert_eq!((adam.len(), &adam[2]["outer"]), (3, &"adam 0.05".into()));
    let calls = objects(&format!("{line} --oracle-calls 21 --record-every 100"), none);
    // One gradient and one product per iteration.
    assert_eq!((&calls[1]["ended"], &calls[1]["iterations"]), (&"oracle calls".into(), &11.into()));
    for (typed, status, parts) in [
        ("saba:step=0.3 --memory 10KiB", 1, &[" bytes) of memory, 10.0 KiB is allowed"][..]),
        ("saba", 2, &["--algorithm: saba needs step, for example saba:step=0.1"]),
        ("saba:step=0.3 --estimator cg", 2, &["--algorithm <A>", "--estimator <E>"]),
        ("soba:step=1e9/k^0", 1, &["outer iteration"]),
    ] {
        refused(words(&format!("run quadratic-sampled --algorithm {typed}"), none), status, parts);
    }
    let tasks = "run sinusoid --algorithm soba:step=0.1";
    refused(
        words(tasks, none),
        1,
        &["soba:step=0.1 is for problems of a single task, and this one has 1000"],
    );
}

#[test]
fn step_sizes_that_the_curvature_tells() {
    let none = Path::new("");
    let found = gradient("w1-ridge --lr auto --steps 20", none);
    // 1 over the largest eigenvalue of X'X/n + e^x; steps of twice this size would diverge.
    let lr = number(&found, "lr");
    let same = gradient(&format!("w1-ridge --lr {lr:?} --steps 20"), none);
    assert_eq!(found["gradient_norm"], same["gradient_norm"]);
    let run = objects("run w1-ridge --lr auto --steps 20 --iterations 2", none);
    assert_eq!(run[2]["lr"], "auto");
    refused(words("gradient w1-ridge --lr fast", none), 2, &["a positive finite number, or auto"]);
    let adam = "gradient w1-ridge --lr auto --rule adam";
    refused(words(adam, none), 1, &["lr of adam:b1=0.9,b2=0.999,eps=1e-8: found auto"]);
    // One penalty per feature, from the command line.
    let lasso = objects("run lasso --penalties feature --penalty 0.2 --iterations 3", none);
    assert_eq!(lasso[3]["problem"], "lasso:penalty=0.2,penalties=feature");
    refused(words("run lasso --penalty 0", none), 2, &["penalty: found 0, expected a positive"]);
}

/// Command lines that are wrong in themselves, and what the error message names.
type Bad = (&'static str, &'static [&'static str]);

#[test]
fn bad_usage() {
    let cases: &[Bad] = &[
        ("gradient quadratik", &["unknown problem 'quadratik'", "did you mean quadratic?"]),
        ("run w1-rigde", &["unknown problem 'w1-rigde'", "did you mean w1-ridge?"]),
        (
            "gradient xyz",
            &[
                "unknown problem 'xyz'",
                "expected one of quadratic, quadratic-sampled, learned-steps",
            ],
        ),
        ("gradient", &["missing: <PROBLEM>"]),
        ("gradient quadratic w1-ridge", &["unexpected argument 'w1-ridge'"]),
        (
            "gradient quadratic --estimator exat",
            &["unknown estimator 'exat'", "did you mean exact?"],
        ),
        ("run quadratic --estimator exat", &["unknown estimator 'exat'", "did you mean exact?"]),
        ("run quadratic --estimator exact --estimator exact", &["--estimator", "multiple times"]),
        ("gradient quadratic --estimator exact:k=1", &["'exact' takes no settings", "'k=1'"]),
        ("gradient quadratic --estimator exact --estimator exact:", &["'exact' takes no settings"]),
        ("gradeint quadratic", &["unrecognized subcommand 'gradeint'", "'gradient'"]),
        ("help gradeint", &["unrecognized subcommand 'gradeint'"]),
        ("xyz", &["unrecognized subcommand 'xyz'", "--help"]),
        ("gradient quadratic --stesp 3", &["unexpected argument '--stesp'", "'--steps'"]),
        ("problems --json", &["unexpected argument '--json'"]),
        ("gradient quadratic --outer sgd", &["unexpected argument '--outer'"]),
        ("gradient quadratic --steps", &["--steps", "value is required"]),
        ("gradient quadratic --steps -3", &["'-3'", "--steps", "a whole number, 0 or more"]),
        ("gradient quadratic --steps x", &["'x'", "--steps", "a whole number, 0 or more"]),
        ("gradient quadratic --steps 1.5", &["'1.5'", "--steps", "a whole number"]),
        ("gradient quadratic --steps 18446744073709551616", &["--steps", "a whole number"]),
        ("gradient quadratic --steps 2 --steps 3", &["--steps", "multiple times"]),
        ("gradient quadratic --lr NaN", &["'NaN'", "--lr", "a positive finite number"]),
        ("gradient quadratic --lr -1", &["'-1'", "--lr", "a positive finite number"]),
        ("gradient quadratic --lr=-1", &["'-1'", "--lr", "a positive finite number"]),
        ("gradient quadratic --lr 0", &["'0'", "--lr", "a positive finite number"]),
        ("gradient quadratic --lr inf", &["'inf'", "--lr", "a positive finite number"]),
        ("run quadratic --outer-lr nan", &["'nan'", "--outer-lr", "a positive finite number"]),
        ("run quadratic --outer-lr -0.1", &["'-0.1'", "--outer-lr", "a positive finite number"]),
        ("run quadratic --outer adagrad", &["'adagrad'", "--outer", "sgd, momentum, adam"]),
        ("run quadratic --iterations -1", &["'-1'", "--iterations", "a whole number, 0 or more"]),
        ("run quadratic --repeat 0", &["'0'", "--repeat", "a whole number, 1 or more"]),
        ("check quadratic --threads 0", &["'0'", "--threads", "a whole number, 1 or more"]),
        ("check quadratic --lanes 0", &["'0'", "--lanes", "a whole number, 1 or more"]),
        ("check quadratic:lanes=0", &["lanes: found '0', expected a whole number, 1 or more"]),
        ("check quadratic:lanes=2 --lanes 3", &["lanes is given twice"]),
        ("check w1-ridge:penalties=3", &["penalties: found 3 for 200 features of 2000 samples"]),
        ("check w1-ridge:samples=1000000,features=1000", &["268435456 numbers at most"]),
        ("gradient quadratic --repeat 0", &["'0'", "--repeat", "a whole number, 1 or more"]),
        ("gradient quadratic --repeat -2", &["'-2'", "--repeat", "a whole number, 1 or more"]),
        ("gradient quadratic --dtype f16", &["'f16'", "--dtype", "f64, f32"]),
        ("gradient quadratic --seed -1", &["'-1'", "--seed", "from 0 to 2^64 - 1"]),
        ("gradient w1-ridge --data-seed x", &["'x'", "--data-seed", "from 0 to 2^64 - 1"]),
        ("gradient quadratic --data-seed 3", &["--data-seed", "'quadratic' is fixed"]),
        ("run quadratic --data-seed 3", &["--data-seed", "'quadratic' is fixed"]),
        // The length of the progress bar once overflowed before the file was looked for.
        (
            "run quadratic --iterations 18446744073709551615 --repeat 3 --at absent.npy",
            &["--at", "absent.npy"],
        ),
    ];
    for (line, parts) in cases {
        refused(line.split(' '), 2, parts);
    }
}

#[test]
fn bad_files() {
    let dir = tempdir().unwrap();
    let two = vector(&[1.0, 2.0]);
    let huge = put(&dir, "huge.npy", &vector(&[1.0, 1e300]));
    let files: &[(&str, &[u8], &[&str])] = &[
        ("x.txt", b"1 2\n", &["expected a name that ends in .npy or .npz"]),
        ("x", &two, &["expected a name that ends in .npy or .npz"]),
        ("three.npy", &vector(&[1.0; 3]), &["3 values where 2 are expected", "\"x\" (2, 1)"]),
        ("none.npy", &vector(&[]), &["0 values where 2 are expected"]),
        ("empty.npy", b"", &["not an npy file"]),
        ("text.npy", b"0.5\n0.25\n", &["not an npy file"]),
        ("short.npy", &two[..two.len() - 3], &["truncated", "2 values", "1 are there"]),
        ("header.npy", &two[..40], &["malformed header"]),
        ("nan.npy", &vector(&[1.0, f64::NAN]), &["NaN at index 1", "finite"]),
        ("inf.npy", &vector(&[f64::INFINITY, 1.0]), &["inf at index 0", "finite"]),
        (
            "shape.npz",
            &npz(&[("x", npy("(2, 2)", &[1.0; 4]))]),
            &["\"x\" has shape (2, 2), expected (2, 1)"],
        ),
        (
            "name.npz",
            &npz(&[("y", two.clone())]),
            &["missing array \"x\" (2, 1)", "holds \"y\" (2, 1)"],
        ),
        (
            "more.npz",
            &npz(&[("x", two.clone()), ("y", two.clone())]),
            &["unknown array \"y\" (2, 1)", "\"x\" (2, 1)"],
        ),
        ("nothing.npz", &npz(&[]), &["missing array \"x\"", "no arrays"]),
        ("plain.npz", &two, &["not an npz file"]),
        ("short.npz", &npz(&[("x", two.clone())])[..50], &["not an npz file"]),
    ];
    for (name, bytes, parts) in files {
        let path = put(&dir, name, bytes);
        let parts: Vec<&str> = parts.iter().copied().chain(["--at", *name]).collect();
        for line in ["gradient quadratic --at {}", "run quadratic --json --at {}"] {
            refused(words(line, &path), 2, &parts);
        }
    }
    let inner = put(&dir, "inner.npy", &two);
    let matrix = put(&dir, "matrix.npz", &npz(&[("W", npy("(10, 64)", &[0.0; 640]))]));
    let cases: &[(&str, &Path, &[&str])] = &[
        (
            "gradient quadratic --at {}/absent.npy",
            dir.path(),
            &["--at", "absent.npy", "No such file or directory"],
        ),
        (
            "gradient quadratic --at {}/absent.npz",
            dir.path(),
            &["--at", "absent.npz", "No such file or directory"],
        ),
        ("gradient quadratic --init {}", &inner, &["--init", "2 values where 3 are expected"]),
        ("gradient quadratic --init {}/absent.npy", dir.path(), &["--init", "absent.npy"]),
        (
            "gradient digits-clean --init {}",
            &matrix,
            &["--init", "\"W\" has shape (10, 64), expected (64, 10)"],
        ),
        ("gradient quadratic --dtype f32 --at {}", &huge, &["--at", "value 1 overflows f32"]),
        ("gradient quadratic --at {}/a.npy/b.npy", dir.path(), &["--at", "b.npy"]),
    ];
    for (line, path, parts) in cases {
        refused(words(line, path), 2, parts);
    }
    // In double precision the value is finite, but its loss is not.
    refused(words("gradient quadratic --at {}", &huge), 1, &["not finite"]);
}

#[test]
fn folders_that_cannot_be_written() {
    let dir = tempdir().unwrap();
    let file = put(&dir, "plain", b"kept");
    for below in ["{}", "{}/below"] {
        for line in ["gradient quadratic --save", "run quadratic --json --save"] {
            let args = words(&format!("{line} {below}"), &file);
            refused(args, 1, &["--save", "cannot create the folder", "plain"]);
        }
    }
    assert_eq!(fs::read(&file).unwrap(), b"kept");
    // A folder in place of a file.
    fs::create_dir_all(dir.path().join("taken/exact.npz")).unwrap();
    let args = words("gradient quadratic --save {}/taken", dir.path());
    refused(args, 1, &["--save", "exact.npz", "not a regular file"]);
    assert_eq!(names(&dir.path().join("taken")), ["exact.npz"]);
}

#[test]
fn odd_names_stay_on_one_line() {
    refused(["gradient", "a\nb"], 2, &["unknown problem 'a\\nb'"]);
    refused(["gradient", "quadratic", "--at", "a\n\u{1b}[1mb.npy"], 2, &["--at", "a\\n", "b.npy"]);
    refused(["gradient", "quadratic", "--steps", "a\n\nb"], 2, &["--steps", "a whole number"]);
    refused(["gradient", "quadratic", "--at", ""], 2, &["--at"]);
    refused(["gradient", ""], 2, &["unknown problem ''"]);
}

#[test]
fn instructions_must_be_known() {
    for line in ["problems", "gradient quadratic"] {
        let with = |path| command(line.split(' ')).env("HYPERTAPE_SIMD", path).output().unwrap();
        let output = with("sse9\n");
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{err}");
        let expected =
            "error: HYPERTAPE_SIMD is \"sse9\\n\"; expected one that this processor has: portable";
        assert!(err.starts_with(expected) && err.lines().count() == 1, "{err}");
        assert!(with("portable").status.success());
    }
    // Help does not depend on the instruction set.
    let output = command(["--help"]).env("HYPERTAPE_SIMD", "sse9").output().unwrap();
    assert!(output.status.success());
}

#[cfg(unix)]
#[test]
fn bytes_that_are_no_text() {
    use std::os::unix::ffi::OsStrExt;
    let odd = OsStr::from_bytes(b"\xff.npy");
    refused([OsStr::new("gradient"), odd], 2, &["UTF-8"]);
    // A path need not be valid text.
    let args = ["gradient", "quadratic", "--at"].map(OsStr::new);
    refused(args.into_iter().chain([odd]), 2, &["--at", ".npy", "No such file or directory"]);
}

#[test]
fn diverging_inner_loops() {
    let dir = tempdir().unwrap();
    let named = ["gradient of the inner loss is not finite", "inner step 5", "lr 1000000"];
    refused(words("gradient w1-ridge --lr 1e6", dir.path()), 1, &named);
    refused(words("gradient w1-ridge --lr 1e6 --json --save {}", dir.path()), 1, &named);
    refused(words("gradient w1-ridge --lr 1e6 --dtype f32", dir.path()), 1, &named[..1]);
    let in_a_run = [&named[..], &["outer iteration 0"]].concat();
    for options in ["", "--json", "--save {}", "--json --repeat 2 --save {}"] {
        let line = format!("run w1-ridge --lr 1e6 --iterations 2 {options}");
        refused(words(&line, dir.path()), 1, &in_a_run);
    }
    // There is no result, but the progress of each run.
    assert_eq!(names(dir.path()), ["state-0.json", "state.json"]);
}

#[test]
fn diverging_outer_loops() {
    let dir = tempdir().unwrap();
    let line = "run quadratic --outer sgd --outer-lr 1000 --iterations 200 --save {}";
    let parts = ["outer iteration 1:", "the outer loss is", "above the limit", "diverges"];
    refused(words(line, dir.path()), 1, &parts);
    assert_eq!(names(dir.path()), ["state.json"]);
    // Where the first run is saved, another one is not.
    refused(words(&format!("{line}/json --json"), dir.path()), 1, &parts);
}

#[test]
fn a_reader_that_went_away() {
    for line in ["problems", "estimators", "gradient quadratic", "run quadratic --json --help"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = command(line.split(' ')).stdout(writer).output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        let expected = i32::from(!line.contains("--help"));
        assert_eq!((output.status.code(), err.as_str()), (Some(expected), ""), "{line}");
    }
    // The reader may also leave in the middle of the output.
    let mut child =
        command(["problems"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    assert!(matches!(output.status.code(), Some(0 | 1)), "{:?}", output.status);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk() {
    let full = || fs::File::options().write(true).open("/dev/full").unwrap();
    let output = command(["problems"]).stdout(full()).output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.starts_with("error: standard output: ") && err.lines().count() == 1, "{err}");
    // An error that cannot be printed still has an exit status, both from the parser and from a command.
    for line in ["problems --xyz", "gradient xyz"] {
        let status = command(line.split(' ')).stderr(full()).status().unwrap();
        assert_eq!(status.code(), Some(2), "{line}");
    }
}

#[test]
fn samples_come_from_files() {
    let scratch = tempdir().unwrap();
    // Thirty samples in three classes, dense and sparse.
    let value = |i: usize, j: usize| ((i * 7 + j * 5) % 4 + usize::from(i % 3 == j)) as f64 / 4.0;
    let row = |i: usize| ([0, 1, 2].map(|j| value(i, j)), 10 * (i % 3));
    let comma = |([a, b, c], class): ([f64; 3], usize)| format!("{a},{b},{c},{class}\n");
    let colon = |([a, b, c], class): ([f64; 3], usize)| format!("{class} 1:{a} 2:{b} 3:{c}\n");
    let csv =
        "a,b,c,class\n".to_owned() + &(0..30).map(row).map(comma).collect::<Vec<_>>().concat();
    let svm = (0..30).map(row).map(colon).collect::<Vec<_>>().concat();
    let csv = put(&scratch, "a.csv", csv.as_bytes());
    let svm = put(&scratch, "a.svm", svm.as_bytes());
    for (problem, head) in [
        ("digits-penalty", 3),
        ("digits-penalty --penalties class", 3),
        ("digits-clean --batch 4", 8),
    ] {
        let line = format!("{problem} --steps 5 --split 12,9,9 --train {{}}");
        let [dense, sparse] = [&csv, &svm].map(|file| gradient(&line, file));
        // Sums in a different order; 2e-16 is observed.
        let gap = number(&dense, "gradient_norm") - number(&sparse, "gradient_norm");
        assert!(gap.abs() < 1e-14 && number(&dense, "gradient_norm") > 1e-4, "{problem}: {gap:e}");
        assert_eq!(dense["gradient_head"].as_array().unwrap().len(), head, "{problem}");
    }
    let line = "run digits-clean --iterations 1 --steps 5 --corruption 0.25 --split 12,9,9 --train {} --test {}";
    let lines = objects(line, &csv);
    assert_eq!(lines[1]["results"]["only clean samples"]["F1"], 1.0);
    let bad = put(&scratch, "bad.csv", b"1,2,0\n1,2\n");
    for (line, parts) in [
        ("check digits-penalty --train {}", &["bad.csv:2: 2 fields, where line 1 has 3"][..]),
        ("gradient digits-penalty --valid {}", &["--train"]),
        (
            "gradient quadratic --batch 3",
            &["error: quadratic has no setting 'batch'; it has lanes"],
        ),
        (
            "gradient digits-penalty --corruption 0.5",
            &[
                "digits-penalty has no setting 'corruption'; it has penalty, penalties, batch, lanes",
            ],
        ),
        (
            "gradient digits-clean --penalties one",
            &["digits-clean has no setting 'penalties'; it has corruption, penalty, batch, lanes"],
        ),
        ("gradient quadratic --train {}", &["quadratic takes no samples"]),
        ("gradient digits-clean --split 1,2 --train {}", &["--split", "three whole numbers"]),
    ] {
        refused(words(line, &bad), 2, parts);
    }
}
