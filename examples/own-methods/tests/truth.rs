//! The methods of this crate, checked against known answers, and their command line.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use hypertape::contract::{Class, Contract, Truth, hold};
use hypertape::prelude::*;
use hypertape::{Implicit, check, nearby};
use own_methods::{Bicgstab, Lion, Residuals, problems};

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

#[test]
fn derivatives_of_the_problem_are_right() {
    let mut oracle = problems()[0].open::<f64>(None).unwrap();
    let x = nearby(oracle.start().values(), Draw::new(0, 0));
    let checks =
        check(&mut oracle, &InnerLoop::new(10, 0.5).unwrap(), &x, Draw::new(0, 0)).unwrap();
    assert!(checks.iter().all(|check| !check.failed()), "{checks:?}");
}

/// Returns the standard output of a command that succeeds.
fn run(line: &str) -> String {
    let words = line.split_whitespace();
    let output = Command::new(env!("CARGO_BIN_EXE_own-methods")).args(words).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
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
    let train = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("train.csv");
    fs::write(&train, "1,0.5,1\n-1,0.25,0\n0.5,-1,1\n-0.5,-0.75,0\n").unwrap();
    let samples = format!("--train {0} --valid {0} --test {0}", train.display());
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
