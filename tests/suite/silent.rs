//! Former silent errors with their right results: no result without a statement of how far it can be trusted.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::{TempDir, tempdir};

use hypertape::problems::{Precision, catalogue};
use hypertape::{Draw, InnerLoop, mean_loss};

fn output(line: &str, folder: &Path) -> Output {
    let words = line.split_whitespace().map(|word| word.replace("{}", folder.to_str().unwrap()));
    let mut command = Command::new(env!("CARGO_BIN_EXE_hypertape"));
    command.args(words).stdin(Stdio::null()).output().unwrap()
}

/// Status, stdout, stderr.
fn run(line: &str, folder: &Path) -> (i32, String, String) {
    let Output { status, stdout, stderr } = output(line, folder);
    let [out, err] = [stdout, stderr].map(|text| String::from_utf8(text).unwrap());
    (status.code().unwrap(), out, err)
}

#[track_caller]
fn refused(line: &str, folder: &Path, expected: &str) {
    let (status, _, err) = run(line, folder);
    assert!(status != 0 && err.lines().count() == 1, "{line}: {status} {err}");
    assert!(err.contains(expected), "{line}: {err}");
}

#[track_caller]
fn row(line: &str, folder: &Path) -> Value {
    let (status, out, err) = run(&format!("{line} --json"), folder);
    assert_eq!((status, err.as_str()), (0, ""), "{line}");
    serde_json::from_str(out.lines().last().unwrap()).unwrap()
}

fn head(row: &Value) -> Vec<f64> {
    serde_json::from_value(row["gradient_head"].clone()).unwrap()
}

fn near(found: &[f64], expected: &[f64], tolerance: f64) -> bool {
    found.iter().zip(expected).all(|(f, e)| (f - e).abs() <= tolerance)
}

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

const ON: &str = "--train {}/t.csv --valid {}/v.csv --test {}/v.csv";

/// A singular inner Hessian: three features, two samples, two classes, no penalty.
#[test]
fn singular_systems_end_at_least_squares_and_say_so() {
    let files = [("t.csv", "3,0,3,0\n0,-3,-1,1\n"), ("v.csv", "1,0,0,0\n3,3,-1,1\n0,-1,1,0\n")];
    let folder = folder(&files);
    let line = format!("digits-clean {ON} --corruption 0 --penalty 0 --lr .1 --estimator minres");
    let found = row(&format!("gradient {line}"), folder.path());
    // The sum of 10 000 terms of the Neumann series, which diverges only in the null space.
    let known = [0.006_291_032_400_2, 0.148_715_799_15];
    assert!(near(&head(&found), &known, 1e-11), "{found}");
    assert!((found["residual"].as_f64().unwrap() - 0.789).abs() < 1e-3, "{found}");
    assert!(found["warnings"].to_string().contains("linear system is not solved"), "{found}");
    // A run warns in its table, in every line of JSON, and at its end.
    let (status, out, _) = run(&format!("run {line} --iterations 4"), folder.path());
    let last = out.lines().last().unwrap();
    assert!(status == 0 && last.starts_with("warning: 4 of 4 estimates"), "{out}");
    assert!(last.contains("linear system is not solved: relative residual 7.89e-1"), "{out}");
    let summary = row(&format!("run {line} --iterations 4"), folder.path());
    assert_eq!(summary["warned"], 4, "{summary}");
}

#[test]
fn a_weight_without_gradient_does_not_spoil_the_others() {
    let folder = folder(&[("t.csv", "1,0,2\n2,0,1\n"), ("v.csv", "1,1,1\n2,-1,2\n")]);
    let line = format!("gradient ridge {ON} --steps 80 --lr .01 --rule rmsprop");
    let found = row(&line, folder.path());
    assert!(near(&head(&found), &[0.003_104_404_992_150_372_6, 0.0], 1e-15), "{found}");
    for problem in ["digits-penalty", "digits-parity"] {
        for rule in ["adam", "rmsprop"] {
            let found =
                row(&format!("gradient {problem} --steps 200 --rule {rule}"), folder.path());
            assert!(found["gradient_norm"].as_f64().is_some_and(f64::is_finite), "{found}");
        }
    }
}

#[test]
fn norms_of_single_precision_have_its_range() {
    let none = tempdir().unwrap();
    let found = row("gradient text --lr 20 --dtype f32 --steps 100", none.path());
    let norm = found["gradient_norm"].as_f64().unwrap();
    // The loop is chaotic: another instruction set gives another value of the same size.
    assert!((1e19..1e22).contains(&norm), "{norm:e}");
    assert!(found["warnings"].to_string().contains("the adjoint grew by a factor of"), "{found}");
}

#[test]
fn a_cheap_part_that_is_zero_is_told() {
    let none = tempdir().unwrap();
    for estimator in ["ufom:q=0.01", "roulette:0:1,100:0.01"] {
        let found = row(&format!("gradient w1-logreg --estimator {estimator}"), none.path());
        assert!(found["warnings"].to_string().contains("identically zero"), "{found}");
    }
}

/// With its defaults every inner loop makes progress, and reaches the same end in both precisions.
#[test]
fn default_inner_loops_of_all_problems_descend() {
    fn end<T: Precision>(entry: &hypertape::problems::Entry, steps: usize) -> f64 {
        let mut oracle = entry.open::<T>(entry.data_seed).unwrap();
        let x = oracle.start().values().to_vec();
        let draw = Draw::new(0, 0);
        let inner = InnerLoop::new(steps, entry.lr).unwrap();
        let mut w = Vec::new();
        mean_loss(&mut oracle, &inner, &x, draw, &mut w).unwrap();
        let draw = draw.for_task(oracle.task(draw, oracle.batch() - 1));
        let point = hypertape::Point { w: &w, x: &x, draw };
        oracle.inner_value(point, 0).unwrap().as_f64()
    }
    for entry in catalogue().into_iter().filter(|entry| !["w1-ridge", "w2"].contains(&&*entry.name))
    {
        let [start, end_of] = [0, entry.steps].map(|steps| end::<f64>(&entry, steps));
        assert!(end_of < start, "{}: from {start} to {end_of}", entry.name);
        if entry.open_f32.is_some() {
            let single = end::<f32>(&entry, entry.steps);
            // Losses with several thousand roundings, of loops that contract.
            let gap = (single - end_of).abs();
            assert!(
                gap <= 2e-4 * start.abs().max(end_of.abs()),
                "{}: {single} {end_of}",
                entry.name
            );
        }
    }
}

#[test]
fn labels_are_what_they_are() {
    let zeros = folder(&[("t.csv", "1,2,-0.0\n2,1,0.0\n3,1,1\n4,0,1\n5,2,0\n6,1,1\n")]);
    let (status, _, err) = run("gradient digits-penalty --train {}/t.csv --steps 2", zeros.path());
    assert_eq!((status, err.as_str()), (0, ""));
    // By parity, 2 and 4 are the same class.
    let (numbers, classes) = ("1,0,1\n0,1,2\n1,1,4\n", "1,0,1\n0,1,0\n1,1,0\n");
    let loss = |text: &str| {
        let folder = folder(&[("t.csv", text), ("v.csv", text)]);
        let line = format!("gradient digits-parity {ON} --steps 3");
        row(&line, folder.path())["loss"].as_f64().unwrap()
    };
    assert_eq!(loss(numbers).to_bits(), loss(classes).to_bits());
    let large = folder(&[("t.csv", "1,9007199254740993\n2,9007199254740992\n3,1\n")]);
    refused("gradient digits-penalty --train {}/t.csv", large.path(), "too large for a class");
    let alike =
        folder(&[("t.csv", "1,5\n2,5\n3,5\n"), ("two.csv", "1,0\n2,1\n"), ("a.svm", "1 1:2\n")]);
    refused("gradient lasso --train {}/t.csv", alike.path(), "every target is 5");
    refused("gradient digits-penalty --train {}/two.csv", alike.path(), "2 samples are too few");
    refused("gradient digits-penalty --train {}/none.csv", alike.path(), "none.csv: No such file");
    refused("gradient digits-penalty --train {}/a.svm --label 1", alike.path(), "--label");
    // A class that is missing from the training part of a split is still a class of the file.
    let rare = "1,0,0\n0,1,1\n1,1,0\n2,1,1\n1,2,0\n2,2,1\n0,2,2\n";
    let folder = folder(&[("t.csv", rare)]);
    for seed in 0..6 {
        let line = format!(
            "gradient digits-penalty --train {{}}/t.csv --split 2,2,3 --steps 1 --data-seed {seed}"
        );
        assert_eq!(run(&line, folder.path()).0, 0);
    }
}

#[test]
fn a_run_does_not_go_on_with_other_data_or_from_another_text() {
    let folder = folder(&[("t.csv", "1,0,0\n0,1,1\n1,1,0\n2,1,1\n1,2,0\n2,2,1\n")]);
    let line = "run digits-penalty --train {}/t.csv --steps 3";
    assert_eq!(run(&format!("{line} --iterations 4 --save {{}}/s"), folder.path()).0, 0);
    let names = || fs::read_dir(folder.path().join("s")).unwrap().count();
    let before = names();
    fs::write(folder.path().join("s/.hypertape-killed.tmp"), "half").unwrap();
    assert_eq!(run(&format!("{line} --iterations 6 --resume {{}}/s"), folder.path()).0, 0);
    assert!(names() <= before + 1, "what a killed run left is removed");
    let on = format!("{line} --iterations 8 --resume {{}}/s");
    refused(&format!("{on} --schedule binomial:c=2"), folder.path(), "schedule store-all");
    refused(&format!("{on} --at {{}}/s/x.npz"), folder.path(), "--at");
    let state = folder.path().join("s/state.json");
    let text = fs::read(&state).unwrap();
    // Changes every byte, each time by another bit.
    for i in (0..text.len()).step_by(7) {
        let mut other = text.clone();
        other[i] ^= 1 << (i % 7);
        fs::write(&state, other).unwrap();
        let (status, ..) = run(&on, folder.path());
        assert_eq!(status, 2, "byte {i}");
    }
    fs::write(&state, &text).unwrap();
    fs::write(folder.path().join("t.csv"), "1,0,0\n0,1,1\n1,1,0\n2,1,1\n1,2,0\n2,3,1\n").unwrap();
    refused(&on, folder.path(), "t.csv");
}

#[test]
fn verdicts_wait_for_enough_draws() {
    let none = tempdir().unwrap();
    let verdict = |line: &str| row(line, none.path())["verdict"].as_str().unwrap().to_owned();
    for seed in 0..20 {
        let found = verdict(&format!("certify w4 --steps 50 --draws 5 --seed {seed}"));
        assert!(found != "BIASED", "seed {seed}");
    }
    for seed in 0..40 {
        let found = verdict(&format!("certify quadratic --estimator ufom:q=0.01 --seed {seed}"));
        assert!(found != "BIASED", "seed {seed}");
    }
    let rare = verdict("certify learned-steps --estimator roulette:survival=0.01");
    assert_eq!(rare, "undecided");
    let (status, out, err) = run(
        "certify quadratic --estimator ufom --estimator first-order --estimator minres --rule ista:l1=0.1",
        none.path(),
    );
    assert!(status == 1 && out.contains("ufom") && err.contains("minres"), "{out}{err}");
}

#[test]
fn what_is_exact_by_another_name_is_not_recommended() {
    let none = tempdir().unwrap();
    for problem in ["learned-steps", "quadratic", "ridge"] {
        let (status, out, err) = run(&format!("plan {problem}"), none.path());
        assert_eq!(status, 0, "{err}");
        assert!(!out.contains("roulette:4:1") && !out.contains("NaN"), "{out}");
    }
    for line in ["plan learned-steps --steps 0", "plan ridge --draws 1", "certify ridge --draws 5"]
    {
        let (_, out, _) = run(line, none.path());
        assert!(!out.contains("NaN") && !out.contains("inf"), "{line}: {out}");
    }
}

#[test]
fn long_estimates_end_in_time() {
    let none = tempdir().unwrap();
    let clock = std::time::Instant::now();
    let line =
        "run quadratic --estimator neumann:terms=1000000000000 --iterations 3 --time 1 --json";
    let (status, out, err) = run(line, none.path());
    assert_eq!((status, err.as_str()), (0, ""));
    assert!(out.contains("\"ended\":\"time\""), "{out}");
    assert!(clock.elapsed().as_secs_f64() < 5.0);
    let line = "plan quadratic --steps 18446744073709551615 --tolerance 1e-3";
    refused(line, none.path(), "tolerance");
    refused(
        "gradient quadratic --estimator stocbio:batches=1e300",
        none.path(),
        "batches of stocbio",
    );
}

/// Typical mistakes of users; the whole sentence is compared.
#[test]
fn errors_say_what_to_do() {
    let folder = folder(&[
        ("big.csv", "1,0,1e39\n2,0,1\n3,1,2\n2,2,2\n"),
        ("two.csv", "1,0,1\n2,1,0\n"),
        ("t.csv", "1,0,0\n0,1,1\n1,1,0\n2,1,1\n1,2,0\n2,2,1\n"),
    ]);
    for (line, expected) in [
        (
            "run ridge --outer-lr 1e9 --iterations 3",
            "the run diverges; take a smaller outer step size, or a smaller lr",
        ),
        (
            "run quadratic --outer-lr 1e9 --iterations 3",
            "the run diverges; take a smaller outer step size",
        ),
        (
            "gradient ridge --train {}/big.csv --dtype f32",
            "big.csv: label 1e39 of sample 1: 1e39 is inf in f32",
        ),
        (
            "gradient quadratic --rule adam:eps=1e-60 --dtype f32",
            "error: eps of adam: 1e-60 is 0 in f32",
        ),
        ("gradient quadratic --lr 1e-60 --dtype f32", "error: --lr: 1e-60 is 0 in f32"),
        (
            "gradient quadratic --estimator jump:q=0.5 --tolerance 1e-3 --schedule online:c=2",
            "jump:q=0.5,anchors=3,degree=6 needs a known number of inner steps, and the loop ends by its tolerance 0.001",
        ),
        (
            "gradient quadratic --tolerance 1e-3 --schedule constant",
            "an inner loop that ends by a tolerance needs the schedule store-all or online, for example online:c=10, because constant depends on the number of steps",
        ),
        (
            "gradient quadratic --rule ista:outer=3",
            "the outer variables: index 3 is out of range, expected less than 1",
        ),
        ("gradient w3 --train {}/missing.csv", "error: --train: w3 takes no samples"),
        ("gradient ridge --train {}/missing.csv", "missing.csv: No such file or directory"),
        (
            "gradient digits-penalty --train {}/two.csv",
            "two.csv: 2 samples are too few for a share of each part",
        ),
        (
            "gradient digits-penalty --train {}/two.csv --split 0,0,0",
            "two.csv: --split leaves no samples",
        ),
        (
            "gradient digits-penalty --train {}/t.csv --delimiter ;",
            "where a label and a feature are needed; is the delimiter ,?",
        ),
        (
            "gradient quadratic --memory 1KiB",
            "needs at least 5.4 KiB (5456 bytes) of memory, 1.0 KiB is allowed",
        ),
        (
            "run quadratic --outer-momentum 0.5 --outer-power 1",
            "--outer-momentum: sgd has no momentum; no outer optimiser has power and momentum",
        ),
        (
            "run quadratic --outer-momentum 0.5",
            "--outer-momentum: sgd has no momentum; --outer momentum has it",
        ),
        ("gradient quadratic --schedule binomial", "binomial needs c, for example binomial:c=10"),
        (
            "certify quadratic --steps 18446744073709551615 --schedule constant",
            "certify goes through all steps",
        ),
        (
            "certify quadratic --draws 18446744073709551615",
            "expected a whole number from 0 to 1000000",
        ),
        ("gradient quadratic --estimator ufom:floor=-7", "floor of ufom: found -7"),
    ] {
        refused(line, folder.path(), expected);
    }
    let (status, out, _) = run("gradient quadratic --lr 1e-200", folder.path());
    assert!(status == 0 && out.starts_with("quadratic: 5 steps, lr 1e-200, f64\n"), "{out}");
}

/// Every estimate and run warns of a loss that is larger than that of any reasonable problem.
#[test]
fn losses_beyond_reason_are_told() {
    let none = tempdir().unwrap();
    for estimator in ["exact", "forward", "full-tape", "first-order", "cg"] {
        let found =
            row(&format!("gradient quadratic --lr 1e10 --estimator {estimator}"), none.path());
        assert!(found["warnings"].to_string().contains("the outer loss is 4.41e101"), "{found}");
    }
    let (_, out, _) = run("run quadratic --lr 1e9 --iterations 1", none.path());
    assert!(out.contains("warning: the estimate: the outer loss is 4.41e91"), "{out}");
}

#[cfg(unix)]
#[test]
fn a_spill_error_names_its_folder() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hypertape"));
    command.args(["gradient", "w3", "--schedule", "disk:ram=1,disk=90"]);
    let output = command.env("TMPDIR", "/nowhere").output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        err,
        "error: exact: the spill file in /nowhere cannot be made: No such file or directory\n"
    );
}

/// Notes on files are printed once on stderr, and included in the report of a study, whose files are looked for beside
/// it.
#[test]
fn what_is_decided_about_a_file_is_told() {
    let folder = folder(&[
        ("t.csv", "0,1,2\n1.5,0,0\n0,1,1\n1,1,0\n2,1,1\n1,2,0\n2,2,1\n"),
        (
            "study.toml",
            "[[grid]]\nproblem = 'digits-penalty'\ntrain = 't.csv'\nsteps = [1, 2]\nmeasure = 'gradient'\nrepeats = 0",
        ),
    ]);
    let note = "t.csv: the first line, 0,1,2, is taken for a header, as it counts the columns";
    let (status, _, err) =
        run("run digits-penalty --train {}/t.csv --iterations 1 --repeat 2", folder.path());
    assert_eq!((status, err.lines().count()), (0, 1), "{err}");
    assert!(err.starts_with("note: ") && err.ends_with(&format!("{note}\n")), "{err}");
    let (status, out, err) = run("study {}/study.toml --out {}/out", folder.path());
    assert_eq!(status, 0, "{err}");
    assert_eq!(out.matches(note).count(), 1, "{out}");
    let report = fs::read_to_string(folder.path().join("out/report.html")).unwrap();
    assert!(report.contains("is taken for a header"), "{report}");
}

/// Squares of a gradient of 1e31 overflow in single precision and are computed in double; if they overflow there, a
/// warning says so.
#[test]
fn plans_of_loops_that_diverge_have_numbers() {
    let none = Path::new("");
    let (status, out, err) = run("plan quadratic --steps 12 --lr 10 --dtype f32", none);
    assert_eq!((status, err.as_str()), (0, ""), "{out}");
    assert!(out.contains("e62") && !out.contains("NaN") && !out.contains("inf"), "{out}");
    let (status, out, err) = run("plan quadratic --steps 70 --lr 20", none);
    assert!(status == 0 && !out.contains("NaN"), "{out}{err}");
    assert!(err.contains("left out, as their E|G|^2 overflows: exact"), "{err}{out}");
}

/// Draws in which no correction is drawn show neither a spread nor a second moment, and a bias of a fifth of the gradient
/// is not called unbiased.
#[test]
fn certificates_do_not_claim_what_the_draws_do_not_show() {
    let folder = tempdir().unwrap();
    let line = "certify quadratic --draws 3 --estimator ufom:q=0.01";
    let found = row(line, folder.path());
    assert!(found["variance"][0].is_null() && found["second_moment"][0].is_null(), "{found}");
    assert!(found["warnings"].to_string().contains("no draw differs from another"), "{found}");
    let line = "certify quadratic-sampled --draws 3 --estimator truncated:k=3";
    assert_eq!(row(line, folder.path())["verdict"], "undecided");
    assert_eq!(row(&line.replace("3 --e", "100 --e"), folder.path())["verdict"], "BIASED");
}

/// Forty lines of a table.
fn lines(line: impl FnMut(usize) -> String) -> String {
    (0..40).map(line).collect::<Vec<_>>().join("\n")
}

/// A constant feature is scaled to 1, so that it is an intercept; without one, regression on centred features says so.
#[test]
fn constant_features_are_scaled_and_their_lack_is_told() {
    let table = |last: &str| lines(|i| format!("{i}{last},{}", 3 * i + 7));
    let (hundred, one, none) = (table(",100"), table(",1"), table(""));
    let folder = folder(&[("c.csv", &hundred), ("o.csv", &one), ("n.csv", &none)]);
    let line = "gradient ridge --train {}/c.csv --standardise --steps 300";
    let of_one = row(&line.replace("c.csv", "o.csv"), folder.path());
    assert_eq!(head(&row(line, folder.path())), head(&of_one));
    let (_, _, told) = run(&line.replace("c.csv", "n.csv"), folder.path());
    assert!(told.contains("add a column of ones"), "{told}");
}

#[test]
fn batches_larger_than_the_samples_are_refused() {
    let folder = tempdir().unwrap();
    let expected = "batch: found 100000, expected ";
    for problem in ["digits-clean", "digits-penalty"] {
        refused(&format!("gradient {problem}:batch=100000 --steps 2"), folder.path(), expected);
    }
}

/// A study whose file has changed is not answered from its records.
#[test]
fn records_of_a_file_that_has_changed_are_refused() {
    let table = |a: usize| lines(|i| format!("{},{}", i % 7, a * i));
    let study =
        "[[grid]]\nproblem = \"ridge\"\ntrain = \"t.csv\"\nlr = 0.01\nsteps = 5\nrepeats = 0\n";
    let folder = folder(&[("t.csv", &table(1)), ("s.toml", study)]);
    let line = "study {}/s.toml --out {}/found";
    let (status, out, err) = run(line, folder.path());
    assert_eq!(status, 0, "{out} {err}");
    assert_eq!(run(line, folder.path()).0, 0);
    fs::write(folder.path().join("t.csv"), table(2)).unwrap();
    let (status, _, err) = run(line, folder.path());
    assert!(status != 0 && err.contains("t.csv has changed since cell 1 was recorded"), "{err}");
}

/// An algorithm takes no inner loop, and the one that evaluates its result may diverge.
#[test]
fn a_result_whose_evaluation_diverges_carries_a_warning() {
    let folder = tempdir().unwrap();
    let line = "run w4 --algorithm soba:step=0.001 --iterations 3 --lr 5 --steps 60";
    let (status, out, err) = run(line, folder.path());
    let told = "1 of 4 estimates, the worst: the outer loss is ";
    assert!(status == 0 && out.contains(told), "{out} {err}");
    // The estimates themselves are sound.
    let (_, out, err) = run(&line.replace("--lr 5", "--lr 0.1"), folder.path());
    assert!(!out.contains("warning: "), "{out} {err}");
}

/// An option that has no effect is refused or told.
#[test]
fn options_without_effect_are_told() {
    let table = lines(|i| format!("{},{},{}", i % 7, i % 5, (3 * i) % 11));
    let folder = folder(&[("t.csv", &table), ("v.csv", &table), ("a.svm", "0 1:1\n1 1:2\n")]);
    let at = |text: &str| text.replace("{}", folder.path().to_str().unwrap());
    for (line, expected) in [
        (
            format!("gradient ridge {ON} --data-seed 3"),
            "--data-seed: the data of 'ridge' is fixed, as all samples of its three files are used",
        ),
        (
            "gradient digits-fewshot --train {}/none --split 1,2,3".to_owned(),
            "--split: digits-fewshot takes images from --train alone",
        ),
        (
            "gradient text --train {}/a.svm --delimiter ;".to_owned(),
            "--delimiter separates the columns of a CSV file, and {}/a.svm is none",
        ),
        (
            "gradient ridge --train {}/t.csv --zero-based".to_owned(),
            "--zero-based counts the indices of an svmlight file, and {}/t.csv is none",
        ),
        (
            "plan ridge --schedule constant".to_owned(),
            "--schedule: plan compares all schedules, expected none",
        ),
        (
            "plan ridge --save {}/s".to_owned(),
            "--save: plan writes no files, expected --json and a file for its output",
        ),
        (
            "check ridge --tolerance 1e-3".to_owned(),
            "--tolerance: check takes every step of --steps and stores every state, expected none",
        ),
        (
            "run ridge --iterations 1 --save-every 3".to_owned(),
            "--save-every: found neither --save nor --resume DIR, expected one",
        ),
    ] {
        let (status, _, err) = run(&line, folder.path());
        assert_eq!((status, err), (2, format!("error: {}\n", at(expected))), "{line}");
    }
    for (line, expected) in [
        (
            "run ridge --iterations 2 --repeat 3",
            "note: the 3 runs have the same result, as no seed has an effect on it\n",
        ),
        (
            "gradient quadratic --estimator forward --schedule binomial:c=2",
            "note: --schedule binomial:c=2 does nothing for forward\n",
        ),
        (
            "gradient quadratic --schedule disk:ram=1,disk=2",
            "note: exact takes 64.5 KiB of memory under disk:ram=1,disk=2, more than the 5.6 KiB of store-all, because \
             the buffers of the file take more than the states in it\n",
        ),
    ] {
        let (status, _, err) = run(line, folder.path());
        assert_eq!((status, err.as_str()), (0, expected), "{line}");
    }
    // Each run draws its own training samples from the file.
    let (status, out, err) =
        run("run ridge --train {}/t.csv --lr 0.01 --iterations 2 --repeat 3", folder.path());
    assert_eq!((status, err.as_str()), (0, ""));
    assert!(out.lines().nth(2).unwrap().contains(" ± "), "{out}");
    let seed = |seed: u64| {
        let line = format!("gradient ridge --train {{}}/t.csv --lr 0.01 --data-seed {seed}");
        row(&line, folder.path())["loss"].as_f64().unwrap()
    };
    assert!(seed(0) != seed(1));
}

/// Numbers to predict are not classes.
#[test]
fn a_class_for_every_sample_is_refused() {
    let measured = folder(&[("t.csv", &lines(|i| format!("{i},{}", 0.5 + i as f64)))]);
    let whole = folder(&[("t.csv", &lines(|i| format!("{i},{}", 100 + i)))]);
    for (folder, ends) in [(&measured, "0.5 to 39.5"), (&whole, "100 to 139")] {
        let (status, _, err) = run("gradient digits-penalty --train {}/t.csv", folder.path());
        let expected = format!(
            "error: {}/t.csv: each of the 40 samples has a label of its own, from {ends}, so that no class can be \
             learned; for numbers to predict take a problem of regression, such as ridge, and for classes another column\n",
            folder.path().display()
        );
        assert_eq!((status, err), (2, expected));
    }
}
