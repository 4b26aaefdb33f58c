//! What users read: help in lines that fit, examples that run, settings that are explained, words that shells complete.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::tempdir;

/// Status, stdout and stderr of a command in a folder.
fn run(line: &str, folder: &Path) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hypertape"));
    command.args(line.split_whitespace()).current_dir(folder).stdin(Stdio::null());
    let output = command.output().unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    (output.status.code().unwrap(), out, err)
}

const COMMANDS: [&str; 18] = [
    "",
    "problems",
    "estimators",
    "algorithms",
    "rules",
    "schedules",
    "optimisers",
    "couplings",
    "gradient",
    "check",
    "certify",
    "plan",
    "run",
    "study",
    "study merge",
    "study report",
    "compare",
    "completions",
];

#[test]
fn help_fits_has_headings_and_its_examples_run() {
    let folder = tempdir().unwrap();
    let samples = "a,b,class\n1,0,no\n0,1,yes\n1,1,no\n2,1,yes\n1,2,no\n2,2,yes\n";
    fs::write(folder.path().join("samples.csv"), samples).unwrap();
    let study = "[[grid]]\nproblem = 'quadratic'\nmeasure = 'gradient'\nrepeats = 6";
    fs::write(folder.path().join("study.toml"), study).unwrap();
    let mut examples = 0;
    for command in COMMANDS {
        let (status, help, err) = run(&format!("{command} --help"), folder.path());
        assert_eq!((status, err.as_str()), (0, ""), "{command}");
        let long = help.lines().find(|line| line.chars().count() > 100);
        assert_eq!(long, None, "{command}");
        if ["gradient", "run"].contains(&command) {
            for heading in
                ["Inner loop:", "Outer loop:", "Memory and precision:", "Data:", "Output:"]
            {
                assert!(help.lines().any(|line| line == heading), "{command}: no {heading}");
            }
        }
        let lines = help.lines().skip_while(|line| *line != "Examples:");
        for line in lines.filter_map(|line| line.strip_prefix("  hypertape ")) {
            let (status, _, err) = run(line, folder.path());
            assert_eq!(status, 0, "{line}: {err}");
            examples += 1;
        }
    }
    assert!(examples > 15, "{examples}");
    let (_, help, _) = run("gradient --help", folder.path());
    let text = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let told = "/ primal is this time divided by that of the inner loop and the outer loss alone; for loops of a few \
                milliseconds it is noisy: give --repeat 20.";
    assert!(text.contains(told), "{help}");
}

/// Each setting has a line that explains it, and the text after "Example:" is valid.
#[test]
fn every_setting_is_explained() {
    let none = tempdir().unwrap();
    let mut explained = 0;
    for (kind, line) in [
        ("estimators", "gradient quadratic --estimator"),
        ("rules", "gradient quadratic --rule"),
        ("schedules", "gradient quadratic --schedule"),
        ("algorithms", "run quadratic --iterations 2 --algorithm"),
        ("optimisers", "run quadratic --iterations 2 --outer"),
        ("couplings", "run quadratic --iterations 2 --coupling"),
    ] {
        let (_, list, _) = run(kind, none.path());
        assert!(list.lines().all(|line| line.chars().count() <= 100), "{list}");
        for name in list.lines().skip(1).filter_map(|line| line.split_whitespace().next()) {
            let (status, told, err) = run(&format!("{kind} {name}"), none.path());
            assert_eq!(status, 0, "{err}");
            let Some(given) = told.lines().last().and_then(|line| line.strip_prefix("Example: "))
            else {
                continue;
            };
            let settings = told.lines().skip_while(|line| !line.starts_with("setting ")).skip(1);
            for row in settings.take_while(|row| !row.starts_with("Example: ")) {
                let cells = row.split("  ").filter(|part| !part.is_empty()).count();
                assert!(cells == 4, "{name}: {row}");
                explained += 1;
            }
            let (status, _, err) = run(&format!("{line} {given}"), none.path());
            assert!(status != 2, "{given}: {err}");
        }
    }
    assert!(explained > 60, "{explained}");
    let (_, ufom, _) = run("estimators ufom", none.path());
    assert!(ufom.lines().count() > 2 + 1 + 12, "{ufom}");
}

#[test]
fn shells_complete_the_words() {
    let none = tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (status, script, err) = run(&format!("completions {shell}"), none.path());
        assert_eq!((status, err.as_str()), (0, ""), "{shell}");
        assert!(
            ["certify", "outer-momentum", "tolerance"].iter().all(|word| script.contains(word))
        );
    }
}
