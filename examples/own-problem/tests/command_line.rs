//! The command line of this crate: its settings, samples from files, and what is refused.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// Status, standard output and standard error.
fn run(line: &str) -> (Option<i32>, String, String) {
    let words = line.split_whitespace();
    let output = Command::new(env!("CARGO_BIN_EXE_own-problem")).args(words).output().unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    (output.status.code(), out, err)
}

/// The number after `"name":` in one JSON object.
fn number(json: &str, name: &str) -> f64 {
    let rest = json.split_once(&format!("\"{name}\":")).unwrap().1.trim_start_matches('[');
    rest[..rest.find([',', ']', '}']).unwrap()].parse().unwrap()
}

fn file(name: &str, text: &str) -> String {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn one_step_on_own_samples_has_the_known_gradient() {
    let train = [file("train.csv", "1,1\n-1,0\n"), file("train.svm", "1 1:1\n0 1:-1\n")];
    let valid = file("valid.csv", "2,1\n");
    for train in train {
        let line = format!(
            "gradient scales --train {train} --valid {valid} --test {valid} --steps 1 --lr 0.5 --json"
        );
        let (status, out, err) = run(&line);
        assert_eq!((status, err.as_str()), (Some(0), ""));
        // w_1 = lr e^x/2 from the two samples, so z = 2 e^x w_1 = e^{2x}/2 and f = ln(1 + e^{-z}).
        let z = 0.5_f64;
        let (loss, slope) = ((-z).exp().ln_1p(), -2.0 * z / (1.0 + z.exp()));
        assert!((number(&out, "loss") - loss).abs() < 1e-15, "{out}");
        assert!((number(&out, "gradient_head") - slope).abs() < 1e-15, "{out}");
    }
}

#[test]
fn settings_are_listed_recorded_and_checked() {
    let (_, out, _) = run("problems scales");
    for part in [
        "scales: one log-scale per feature",
        "50 steps, lr 0.5, 100 iterations of adam 0.1, data seed 0",
        "--train: samples whose labels are classes",
        "penalty  0.001    a number, 0 or more",
        "Example: scales:penalty=0.001",
    ] {
        assert!(out.contains(part), "no {part:?} in {out}");
    }
    // Without noise the data is clean, so at any strength only the prior changes it.
    let (_, out, _) = run("gradient prior:noise=0 --steps 0 --json");
    assert!(out.contains("\"problem\":\"prior:noise=0\"") && number(&out, "loss") == 0.0, "{out}");
    let (_, by_name, _) = run("gradient scales:penalty=0.5,batch=20 --json --dtype f32");
    let (_, by_option, _) = run("gradient scales --batch 20 --penalty 0.5 --json --dtype f32");
    assert_eq!(number(&by_name, "loss"), number(&by_option, "loss"));
    let name = "\"problem\":\"scales:penalty=0.5,batch=20\"";
    assert!(by_name.contains(name) && by_option.contains(name), "{by_option}");
    for (line, why) in [
        ("gradient prior --dtype f32", "prior has no precision but f64"),
        ("gradient prior:noise=2", "noise: found '2', expected a number from 0 to 1"),
        ("gradient prior:nois=2", "prior has no setting 'nois'; it has noise, lanes"),
        ("gradient prior:noise=0,noise=1", "noise is given twice"),
        ("gradient prior --batch 3", "prior has no setting 'batch'; it has noise, lanes"),
        ("gradient scales:batch=1 --batch 3", "batch is given twice"),
        ("problems prio", "unknown problem 'prio': did you mean prior?"),
    ] {
        assert_eq!(run(line), (Some(2), String::new(), format!("error: {why}\n")));
    }
}

#[test]
fn derivatives_are_right_and_a_study_knows_the_settings() {
    for problem in ["prior", "scales:batch=32", "scales --dtype f32"] {
        let (status, out, err) = run(&format!("check {problem}"));
        assert_eq!((status, err.as_str()), (Some(0), ""), "{out}");
    }
    let bad = file("bad.toml", "[[grid]]\nproblem = ['prior', 'prior:noise=2']\n");
    let (status, _, err) = run(&format!("study {bad} --dry-run"));
    assert_eq!(status, Some(2));
    assert!(
        err.ends_with("bad.toml:2: problem: noise: found '2', expected a number from 0 to 1\n"),
        "{err}"
    );
}
