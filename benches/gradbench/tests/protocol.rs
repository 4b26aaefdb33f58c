//! Sessions with the tool: its responses to every kind of message; small inputs of every function of every eval,
//! compared with numbers that `golden.py` computed from the definitions in 60 digits; and its errors for invalid
//! inputs.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

/// Returns the responses to some messages.
fn session(messages: &[Value]) -> Vec<Value> {
    let mut tool = Command::new(env!("CARGO_BIN_EXE_hypertape-gradbench"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = tool.stdin.take().unwrap();
    for message in messages {
        writeln!(stdin, "{message}").unwrap();
    }
    drop(stdin);
    let output = tool.wait_with_output().unwrap();
    let answers = String::from_utf8(output.stdout).unwrap();
    answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn evaluate(module: &str, function: &str, input: Value) -> Value {
    json!({ "id": 0, "kind": "evaluate", "module": module, "function": function, "input": input })
}

#[test]
fn every_message_is_answered() {
    let input = json!({ "x": [0.0, 0.0], "min_runs": 3, "min_seconds": 0.001 });
    let answers = session(&[
        json!({ "id": 0, "kind": "start", "eval": "lse", "config": { "n": 2 } }),
        json!({ "id": 1, "kind": "define", "module": "lse" }),
        json!({ "id": 2, "kind": "define", "module": "tea" }),
        json!({ "id": 3, "kind": "evaluate", "module": "lse", "function": "gradient", "input": input, "description": "2" }),
        json!({ "id": 4, "kind": "analysis", "of": 3, "valid": true }),
        json!({ "id": 5, "kind": "new to us" }),
    ]);
    assert_eq!(answers[0], json!({ "id": 0, "tool": "hypertape" }));
    assert_eq!(answers[1], json!({ "id": 1, "success": true }));
    assert_eq!(answers[2], json!({ "id": 2, "success": false, "error": "no module \"tea\"" }));
    assert_eq!(answers[3]["output"], json!([0.5, 0.5]));
    let timings = answers[3]["timings"].as_array().unwrap();
    assert!(timings.iter().all(|timing| timing["name"] == "evaluate"));
    let nanoseconds = timings.iter().map(|timing| timing["nanoseconds"].as_u64().unwrap());
    assert!(timings.len() >= 3 && nanoseconds.sum::<u64>() >= 1_000_000);
    assert_eq!(answers[4..], [json!({ "id": 4 }), json!({ "id": 5 })]);
}

/// The largest deviation of `found`, relative to the entry or to 1, whichever is larger; infinite if the structure
/// differs.
fn deviation(found: &Value, expected: &Value) -> f64 {
    let most = |gaps: &mut dyn Iterator<Item = f64>| gaps.fold(0.0, f64::max);
    match (found, expected) {
        (Value::Array(found), Value::Array(expected)) if found.len() == expected.len() => {
            most(&mut found.iter().zip(expected).map(|(a, b)| deviation(a, b)))
        }
        (Value::Object(found), Value::Object(expected)) if found.len() == expected.len() => {
            most(&mut expected.iter().map(|(key, value)| deviation(&found[key], value)))
        }
        (Value::Number(found), Value::Number(expected)) => {
            let [a, b] = [found, expected].map(|number| number.as_f64().unwrap());
            (a - b).abs() / b.abs().max(1.0)
        }
        _ => f64::INFINITY,
    }
}

#[test]
fn outputs_are_those_of_the_definitions() {
    let cases = include_str!("golden.jsonl").lines();
    let cases: Vec<Value> = cases.map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |case: &Value, key: &str| case[key].as_str().unwrap().to_owned();
    let call =
        |case: &Value| evaluate(&of(case, "module"), &of(case, "function"), case["input"].clone());
    let answers = session(&cases.iter().map(call).collect::<Vec<_>>());
    assert_eq!((cases.len(), answers.len()), (32, 32));
    for (case, answer) in cases.iter().zip(&answers) {
        let gap = deviation(&answer["output"], &case["output"]);
        // Observed up to 1.1e-15, a few units of rounding.
        assert!(gap < 5e-14, "{} {}: {gap}, {}", case["module"], case["function"], answer["error"]);
    }
}

/// The suite's tolerance is 1e-4 times at least 1, which a gradient of zeros passes if it has many entries.
#[test]
fn long_gradients_are_compared_entry_by_entry() {
    let x: Vec<f64> = (0..10_000).map(|i| f64::from(i * 7919 % 10_000) / 1e4).collect();
    let answers = session(&[evaluate("lse", "gradient", json!({ "x": x }))]);
    let sum: f64 = x.iter().map(|x| x.exp()).sum();
    let relative = |(i, found): (usize, &Value)| found.as_f64().unwrap() / (x[i].exp() / sum) - 1.0;
    let gradient = answers[0]["output"].as_array().unwrap();
    let gap =
        gradient.iter().enumerate().map(relative).fold(0.0, |most: f64, gap| most.max(gap.abs()));
    // Observed 3e-15.
    assert!(gradient.len() == 10_000 && gap < 1e-13, "{gap}");
}

/// `y_i = x_0 ... x_i t^{i+1} / (i+1)!`, of which a method of order 4 computes the first four exactly. Whatever the
/// steps, the last entry is a multiple of the product of all `x`, so its gradient is itself divided by `x_i`. The
/// suite's large sizes have gradients of zeros, because entries reach at most four places per step.
#[test]
fn an_ode_ends_where_its_closed_form_does() {
    let x = [2.0, 0.5, 3.0, 4.0];
    let answers =
        session(&["primal", "gradient"].map(|f| evaluate("ode", f, json!({ "x": x, "s": 5 }))));
    let gradient = x.map(|x| 8.0 / x);
    let gaps = [[4.0, 2.0, 4.0, 8.0], gradient].map(|expected| json!(expected));
    let gaps =
        answers.iter().zip(&gaps).map(|(answer, expected)| deviation(&answer["output"], expected));
    // Observed 2e-16.
    assert!(gaps.clone().all(|gap| gap < 1e-14), "{:?}", gaps.collect::<Vec<_>>());
    for (n, s) in [(9, 2), (20, 50), (60, 100)] {
        let x: Vec<f64> = (0..n).map(|i| 3.0 + f64::from(i % 7)).collect();
        let answers =
            session(&["primal", "gradient"].map(|f| evaluate("ode", f, json!({ "x": x, "s": s }))));
        let [y, gradient] = [0, 1].map(|at| -> Vec<f64> {
            serde_json::from_value(answers[at]["output"].clone()).unwrap()
        });
        let last = y[y.len() - 1];
        assert_eq!(last == 0.0, n == 9);
        // Observed 1.4e-15.
        let near = |(x, d): (&f64, &f64)| (d * x - last).abs() <= 1e-13 * last;
        assert!(x.iter().zip(&gradient).all(near), "{n} {s}: {last} {gradient:?}");
    }
}

/// The plan for the whole function and the blocks of the observations give the same entries, summed in different
/// orders.
#[test]
fn bundles_by_a_plan_and_by_blocks_agree() {
    let mut input = json!({
        "n": 7, "m": 40, "p": 100, "cam": [0.1, -0.2, 0.3, 0.5, -0.5, 0.2, 3.0, 0.1, 0.2, 0.01, -0.02],
        "x": [0.4, 0.3, 4.0], "w": 0.5, "feat": [0.25, 0.5],
    });
    let mut both = vec![];
    for _ in 0..2 {
        both.extend(
            ["jacobian", "planned"].map(|function| evaluate("ba", function, input.clone())),
        );
        // Two runs; the second uses the plan of the first.
        input["min_runs"] = json!(2);
    }
    let answers = session(&both);
    for pair in answers.chunks_exact(2) {
        let of = |key: &str| [0, 1].map(|k| &pair[k]["output"][key]);
        for key in ["rows", "cols"] {
            let [blocks, plan] = of(key);
            assert!(blocks.is_array() && blocks == plan, "{key}: {blocks} {plan}");
        }
        let [blocks, plan] = of("vals");
        let gap = deviation(blocks, plan);
        // Observed 3e-16.
        assert!(gap < 1e-14, "{gap}");
    }
}

#[test]
fn what_is_no_input_is_named() {
    let says = |module, function, input: Value| {
        let answer = session(&[evaluate(module, function, input)]).remove(0);
        assert_eq!(answer["success"], false, "{answer}");
        answer["error"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        says("det", "primal", json!({ "A": [1.0], "ell": 2 })),
        "det: entries of the matrix: found 1, expected 4"
    );
    assert_eq!(
        says("det", "hessian", json!({ "A": [1.0], "ell": 1 })),
        "det: no function \"hessian\""
    );
    assert_eq!(says("lse", "primal", json!({})), "lse: missing field `x`");
    let ragged = json!({ "points": [[0.0, 1.0], [1.0]], "centroids": [[0.0, 0.0]] });
    assert_eq!(
        says("kmeans", "dir", ragged),
        "kmeans: coordinates of a point: found 1, expected 2"
    );
    let scale = json!({
        "d": 1, "k": 1, "n": 1, "x": [[0.0]], "m": 0, "gamma": 0.0, "alpha": [0.0], "mu": [[0.0]], "q": [[0.0]], "l": [[]],
    });
    assert_eq!(
        says("gmm", "objective", scale),
        "gmm: scale of the prior: found 0, expected a positive number"
    );
    let hand = json!({
        "theta": vec![0.0; 26], "us": [],
        "data": { "correspondences": [1], "points": [[0.0, 0.0, 0.0]], "model": {
            "parents": [], "base_relatives": [], "inverse_base_absolutes": [], "base_positions": [[0.0, 0.0, 0.0, 1.0]],
            "weights": [[]], "triangles": [], "is_mirrored": false,
        } },
    });
    assert_eq!(says("ht", "jacobian", hand), "ht: correspondences: found 1, expected less than 1");
}
