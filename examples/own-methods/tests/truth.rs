//! The methods of this crate, checked against known answers, and their command line.

use std::fs;
use std::ops::ControlFlow::Continue;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use hypertape::contract::{Class, Contract, Truth, hold};
use hypertape::prelude::*;
use hypertape::problems::{Quadratic, catalogue};
use hypertape::single_loop::Directions;
use hypertape::{Implicit, check, nearby};
use own_methods::{Bicgstab, HeavySoba, Lion, Residuals, problems};

#[test]
fn both_implicit_estimates_reach_the_gradient_of_the_limit() {
    let contract = Contract::new(Class::Exact(Truth::Limit));
    hold(&contract, &|| Ok(Box::new(Bicgstab))).unwrap_or_else(|broken| panic!("{broken}"));
    let residuals = |iterations| {
        let stop = Stop { iterations, tolerance: 1e-12 };
        hold(&contract, &move || Ok(Box::new(Implicit::new(Residuals { stop })?)))
    };
    residuals(20).unwrap_or_else(|broken| panic!("{broken}"));
    // A single iteration does not solve three equations.
    let broken = residuals(1).unwrap_err().to_string();
    assert!(broken.contains("gradient: found"), "{broken}");
}

#[test]
fn lion_takes_known_steps() {
    let (lion, mut x) = (Lion { lr: 0.5, b1: 0.75, b2: 0.5 }, [1.0, 1.0, 1.0]);
    let mut moments = lion.moments(3);
    lion.step(1, &mut moments, &mut x, &[4.0, -0.5, 0.0]);
    assert_eq!((x, moments.values()), ([0.5, 1.5, 1.0], &[2.0, -0.25, 0.0][..]));
    // The running mean outweighs a gradient of -4: 0.75 * 2 - 0.25 * 4 > 0.
    lion.step(2, &mut moments, &mut x, &[-4.0, -0.5, 0.0]);
    assert_eq!((x, moments.values()), ([0.0, 2.0, 1.0], &[-1.0, -0.375, 0.0][..]));
}

/// Returns `x` and `w` after some iterations of an algorithm.
fn moved(
    mut oracle: Oracle<f64>,
    algorithm: impl SingleLoop<f64> + 'static,
    iterations: usize,
) -> [Vec<f64>; 2] {
    let inner = InnerLoop::new(1, 0.1).unwrap();
    let run = Run::new(inner, algorithm.outer(), iterations, 0);
    let (mut joint, mut x) = (Joint::new(algorithm), oracle.start().values().to_vec());
    run.go(&mut oracle, &mut joint, &mut x, |_, _| Continue(())).unwrap();
    [x, joint.w()]
}

#[test]
fn heavy_soba_takes_known_steps() {
    // g = w^2/2 + x w and f = w^2, from w = 1, v = 0, x = 1/2. All directions by hand:
    // D_w = w + x is 3/2, 3/4, 1/2; D_v = v + 2 w is 2, -1/2, -9/4; D_x = v is 0, -1, -5/4.
    let steps = Steps::new(0.5, 1.0, [0.0; 3]);
    let scalar = || Oracle::new(Quadratic::scalar()).unwrap();
    for (iterations, x, w) in [(1, 0.5, 0.25), (2, 1.0, -0.5), (3, 1.875, -1.125)] {
        let found = moved(scalar(), HeavySoba { steps, momentum: 0.5 }, iterations);
        assert_eq!(found, [[x], [w]]);
    }
    // The minimum is at x = 0.
    let steps = Steps::new(0.25, 8.0, [0.0; 3]);
    let [x, w] = moved(scalar(), HeavySoba { steps, momentum: 0.5 }, 2000);
    assert!(x[0].abs() < 1e-15 && w[0].abs() < 1e-15, "{x:?} {w:?}");
}

/// On mini-batches, and in both levels of the samples.
#[test]
fn without_momentum_heavy_soba_has_the_bits_of_soba() {
    let entry = catalogue().into_iter().find(|entry| entry.name == "quadratic-sampled").unwrap();
    let sampled = || entry.open::<f64>(None).unwrap();
    let soba = Directions::soba();
    let heavy = HeavySoba { steps: SingleLoop::<f64>::steps(&soba), momentum: 0.0 };
    let found = moved(sampled(), heavy, 50);
    assert_ne!(found[0], sampled().start().values());
    assert_eq!(found, moved(sampled(), soba, 50));
}

#[test]
fn derivatives_of_the_problem_are_right() {
    let mut oracle = problems()[0].open::<f64>(None).unwrap();
    let x = nearby(oracle.start().values(), Draw::new(0, 0));
    let checks =
        check(&mut oracle, &InnerLoop::new(10, 0.5).unwrap(), &x, Draw::new(0, 0)).unwrap();
    assert!(checks.iter().all(|check| !check.failed()), "{checks:?}");
}

fn output(line: &str) -> Output {
    let words = line.split_whitespace();
    Command::new(env!("CARGO_BIN_EXE_own-methods")).args(words).output().unwrap()
}

/// Returns the standard output of a command that succeeds.
fn run(line: &str) -> String {
    let Output { status, stdout, stderr } = output(line);
    assert!(status.success(), "{line}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}

/// Returns a folder of this test's own, and the options of `decay` on four samples in it.
fn samples(name: &str) -> (PathBuf, String) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let train = folder.join("train.csv");
    fs::write(&train, "1,0.5,1\n-1,0.25,0\n0.5,-1,1\n-0.5,-0.75,0\n").unwrap();
    (folder, format!("--train {0} --valid {0} --test {0}", train.display()))
}

/// The number after `"name":` in one JSON object.
fn number(json: &str, name: &str) -> f64 {
    let rest = json.split_once(&format!("\"{name}\":")).unwrap().1.trim_start_matches('[');
    rest[..rest.find([',', ']', '}']).unwrap()].parse().unwrap()
}

#[test]
fn the_command_line_knows_them_all() {
    assert!(run("estimators bicgstab").contains("implicit, by BiCGStab"));
    assert!(run("estimators").contains("residuals"));
    assert!(run("optimisers").contains("lion"));
    let (_, samples) = samples("all");
    let gradient = |estimator: &str| {
        let line =
            format!("gradient decay {samples} --steps 300 --lr 1 --json --estimator {estimator}");
        number(&run(&line), "gradient_head")
    };
    let known = gradient("dense");
    for estimator in ["bicgstab", "residuals"] {
        // Both solve the same two equations, one to rounding and the other to 1e-12.
        assert!((gradient(estimator) / known - 1.0).abs() < 1e-11, "{estimator}");
    }
    let records = run(&format!(
        "run decay {samples} --iterations 2 --json --estimator bicgstab --outer lion:lr=0.125"
    ));
    let mut losses = records.lines().take(2).map(|line| number(line, "loss"));
    assert!(losses.next().unwrap() > losses.next().unwrap(), "{records}");
    assert!(records.contains("\"outer\":\"lion:lr=0.125,b1=0.9,b2=0.99\""), "{records}");
}

#[test]
fn the_algorithm_runs_by_name_and_resumes_to_the_same_bits() {
    assert!(
        run("algorithms").contains("\nheavy-soba  SOBA with heavy-ball momentum in w, v and x\n")
    );
    let told = run("algorithms heavy-soba");
    for setting in ["step", "linear", "ratio", "outer", "momentum"] {
        assert!(told.lines().any(|line| line.starts_with(setting)), "{told}");
    }
    assert!(told.ends_with("\nExample: heavy-soba:step=0.1\n"), "{told}");
    let refused = output("run decay --algorithm heavy-soba:momentum=0.5");
    let why = "error: --algorithm: heavy-soba needs step, for example heavy-soba:step=0.1\n";
    assert_eq!((refused.status.code(), &*refused.stderr), (Some(2), why.as_bytes()));

    let (folder, samples) = samples("algorithm");
    let text = "heavy-soba:step=0.5,ratio=2,momentum=0.5";
    let go = |iterations: usize, rest: &str| {
        run(&format!("run decay {samples} --algorithm {text} --iterations {iterations} {rest}"))
    };
    let records = go(12, &format!("--json --save {}", folder.join("once").display()));
    assert!(records.contains(&format!("\"estimator\":\"{text}\"")), "{records}");
    assert!(records.contains("\"outer\":\"sgd 0.25/k^0.5\""), "{records}");
    let loss = |line: Option<&str>| number(line.unwrap(), "loss");
    assert!(loss(records.lines().nth(11)) < loss(records.lines().next()), "{records}");
    let cut = folder.join("cut");
    go(5, &format!("--save {}", cut.display()));
    go(12, &format!("--resume {}", cut.display()));
    for file in ["x.npz", "w.npz"] {
        let [once, cut] = ["once", "cut"].map(|run| fs::read(folder.join(run).join(file)).unwrap());
        assert!(once == cut, "{file}");
    }
}
