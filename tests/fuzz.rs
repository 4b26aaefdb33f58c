//! Random command lines over all subcommands, about half of them valid, on mutated files: whatever is typed, there is
//! an answer within limits of time and memory, errors are one line, and there is no number that is not finite without a
//! warning.
//!
//! Runs 60 lines, or for `HYPERTAPE_FUZZ` seconds, from the seed `HYPERTAPE_FUZZ_SEED`; 20 minutes are about 20 000
//! lines.
#![cfg(all(feature = "cli", target_os = "linux"))]

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use tempfile::tempdir;

/// Limits for one line on these small problems.
const LONGEST: Duration = Duration::from_secs(25);
const MOST_KIB: u64 = 1 << 20;

const PROBLEMS: [&str; 9] = [
    "quadratic",
    "ridge",
    "lasso",
    "elastic-net",
    "learned-steps",
    "maml-quadratic",
    "digits-penalty",
    "text",
    "log-ridge-tanh",
];
const ESTIMATORS: [&str; 18] = [
    "exact",
    "first-order",
    "ufom",
    "ufom:q=0.3",
    "full-tape",
    "truncated:k=2",
    "cg",
    "ufom:q=0",
    "minres:iterations=3",
    "gmres",
    "neumann:terms=4",
    "fixed-point",
    "dense",
    "nystrom:rank=2",
    "roulette",
    "thinned:q=0.5,slots=4",
    "stocbio",
    "jump:q=0.5,anchors=2,degree=3",
];
const RULES: [&str; 9] = [
    "gradient-descent",
    "momentum:momentum=0.5",
    "adam",
    "rmsprop",
    "ista",
    "adam:b1=2",
    "nesterov",
    "projected",
    "simplex",
];
const SCHEDULES: [&str; 8] = [
    "store-all",
    "binomial:c=2",
    "constant",
    "uniform:k=2",
    "store-all:keep=tapes",
    "online:c=3",
    "auto",
    "mixed:c=3",
];
const NUMBERS: [&str; 14] = [
    "0",
    "1",
    "2",
    "3",
    "5",
    "17",
    "-1",
    "0.5",
    "nan",
    "1e300",
    "1e-300",
    "18446744073709551615",
    "x",
    "",
];

fn pick<'a>(random: &mut Pcg64, all: &[&'a str]) -> &'a str {
    all.choose(random).copied().unwrap_or_default()
}

/// Writes a file of samples in the style of some program, sometimes with a byte changed, cut or repeated.
fn write_file(random: &mut Pcg64, folder: &Path) -> String {
    let kind = pick(random, &["csv", "svm", "npy", "csv.gz", "TXT", "npz", "idx"]);
    let (separator, first) = (pick(random, &[",", ",", ";", "\t", " "]), random.random_range(0..2));
    let classes = [["0", "1", "2"], ["no", "yes", "True"]][usize::from(random.random_bool(0.3))];
    let mut text = Vec::new();
    let heads = ["", "", "a,b,c,d\n", "0,1,2,3\n", "# made\n", "\u{feff}", "9,3,no,yes\n"];
    if kind != "svm" {
        text.extend_from_slice(pick(random, &heads).replace(',', separator).as_bytes());
    }
    for i in 0..random.random_range(0..14) {
        let mut row: Vec<String> = (0..3).map(|_| random.random_range(-3..4).to_string()).collect();
        row.push(classes[i % 3].to_owned());
        let line = match kind {
            "svm" => format!("{} {first}:{} 3:{}", row[3], row[0], row[1]),
            _ => row.join(separator),
        };
        text.extend_from_slice(line.as_bytes());
        text.push(b'\n');
    }
    if random.random_bool(0.4) && !text.is_empty() {
        let place = random.random_range(0..text.len());
        match random.random_range(0..3) {
            0 => text[place] = random.random(),
            1 => text.truncate(place),
            _ => text.extend_from_within(..place),
        }
    }
    let name = folder.join(format!("samples.{kind}"));
    fs::write(&name, text).unwrap();
    name.display().to_string()
}

/// A random command line; about half of them make sense.
#[expect(clippy::too_many_lines, reason = "a list of what there is")]
fn line(random: &mut Pcg64, folder: &Path) -> Vec<String> {
    let command = pick(
        random,
        &[
            "gradient",
            "gradient",
            "run",
            "run",
            "certify",
            "plan",
            "check",
            "problems",
            "estimators",
            "rules",
            "schedules",
            "completions",
            "study",
            "compare",
        ],
    );
    let mut words = vec![command.to_owned()];
    match command {
        "problems" | "estimators" | "rules" | "schedules" | "completions" => {
            let known = match command {
                "problems" => &PROBLEMS[..],
                "estimators" => &["exact", "ufom", "cg", "jump"],
                "rules" => &["adam", "ista"],
                "schedules" => &["online", "binomial"],
                _ => &["bash", "zsh"],
            };
            let odd = ["none", "", "exact", "bash"];
            let among = if random.random_bool(0.7) { known } else { &odd };
            words.push(pick(random, among).to_owned());
            return words;
        }
        "study" => {
            let (file, out) = (folder.join("study.toml"), folder.join("study"));
            let among = if random.random_bool(0.7) { &NUMBERS[..6] } else { &NUMBERS };
            let (problem, steps) = (pick(random, &PROBLEMS[..3]), pick(random, among));
            fs::write(
                &file,
                format!(
                    "[[grid]]\nproblem = \"{problem}\"\nsteps = {steps}\nmeasure = \"gradient\"\n"
                ),
            )
            .unwrap();
            let _ = fs::remove_dir_all(&out);
            words.extend(
                [file, "--out".into(), out]
                    .map(|path: std::path::PathBuf| path.display().to_string()),
            );
            return words;
        }
        "compare" => {
            words.extend([folder, folder].map(|path| path.join("study").display().to_string()));
            return words;
        }
        _ => words.push(pick(random, &PROBLEMS).to_owned()),
    }
    let small = |random: &mut Pcg64| random.random_range(0..30).to_string();
    let wild = random.random_bool(0.3);
    // Large numbers of steps are left out, because such loops run as long as was asked.
    let steps = if wild && random.random_bool(0.4) {
        pick(random, &["0", "-1", "nan", "1e300", "x", ""]).to_owned()
    } else {
        small(random)
    };
    words.extend(["--steps".to_owned(), steps]);
    let mut option = |random: &mut Pcg64, name: &str, sane: String| {
        let value =
            if wild && random.random_bool(0.4) { pick(random, &NUMBERS).to_owned() } else { sane };
        words.extend([name.to_owned(), value]);
    };
    if random.random_bool(0.6) && !["check", "plan"].contains(&command) {
        let among = if wild { &ESTIMATORS[..] } else { &ESTIMATORS[..7] };
        let estimator = pick(random, among).to_owned();
        option(random, "--estimator", estimator);
    }
    for (name, chance, among) in [
        ("--rule", 0.2, &RULES[..]),
        ("--schedule", 0.3, &SCHEDULES[..]),
        ("--lr", 0.3, &["0.1", "1e-3", "0.5", "10"][..]),
        ("--dtype", 0.2, &["f32", "f64"][..]),
        ("--memory", 0.2, &["1MiB", "64KiB", "3kB", "100"][..]),
        ("--tolerance", 0.1, &["1e-3", "1e-9"][..]),
        ("--threads", 0.1, &["2", "1"][..]),
        ("--lanes", 0.05, &["64", "3"][..]),
        ("--seed", 0.3, &["1", "7"][..]),
    ] {
        if random.random_bool(chance) {
            // The first values of each list can be combined with most others.
            let among = if wild { among } else { &among[..among.len().div_ceil(2)] };
            let value = pick(random, among).to_owned();
            option(random, name, value);
        }
    }
    // As for steps, larger numbers would run as long as was asked.
    let (count, most) = match command {
        "run" => ("--iterations", 4),
        "certify" => ("--draws", 9),
        _ => ("", 0),
    };
    if most > 0 {
        let sane = random.random_range(0..most).to_string();
        let wild = pick(random, &["-1", "nan", "1e300", "x", ""]).to_owned();
        words.extend([count.to_owned(), if random.random_bool(0.1) { wild } else { sane }]);
    }
    let takes_files = ["ridge", "lasso", "elastic-net", "digits-penalty"].contains(&&*words[1]);
    if random.random_bool(0.2) && (wild || takes_files) {
        let file = write_file(random, folder);
        words.extend(["--train".to_owned(), file]);
        if random.random_bool(0.2) {
            words.push("--zero-based".to_owned());
        }
        if random.random_bool(0.2) {
            let delimiter = pick(random, &["tab", ";", ",", "space", "", "ab"]).to_owned();
            words.extend(["--delimiter".to_owned(), delimiter]);
        }
    }
    if random.random_bool(0.2) {
        words.push("--json".to_owned());
    }
    words
}

/// Runs a command line; returns whether it succeeded, or which rule it broke.
fn broken(words: &[String], folder: &Path) -> Result<bool, String> {
    let [out, err] = ["out", "err"].map(|name| folder.join(name));
    let file = |path: &Path| File::create(path).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_hypertape"));
    command.args(words).stdin(Stdio::null()).stdout(file(&out)).stderr(file(&err));
    let mut child = command.spawn().unwrap();
    let (clock, mut peak) = (Instant::now(), 0);
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        let told = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let held =
            told.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        peak = peak.max(held.and_then(|held| held.parse().ok()).unwrap_or(0));
        if clock.elapsed() > LONGEST || peak > MOST_KIB {
            child.kill().unwrap();
            child.wait().unwrap();
            return Err(format!("{:?} and {peak} KiB", clock.elapsed()));
        }
        sleep(Duration::from_millis(1));
    };
    let [out, err] =
        [out, err].map(|path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned());
    let Some(code) = status.code() else { return Err(format!("ended by a signal: {err}")) };
    if err.contains("panicked") || ![0, 1, 2].contains(&code) {
        return Err(format!("status {code}: {err}"));
    }
    let errors = err.lines().filter(|line| line.starts_with("error: ")).count();
    let notes = err.lines().filter(|line| line.starts_with("note: ")).count();
    // There a study prints its number of cells.
    let others = err.lines().count() - errors - notes;
    if errors != usize::from(code != 0) || others > usize::from(words[0] == "study") {
        return Err(format!("status {code} with {errors} errors and {others} other lines: {err}"));
    }
    let number = |word: &str| ["NaN", "inf", "-inf", "null"].contains(&word) && word != "null";
    let odd = out.split(|c: char| c.is_whitespace() || ",[]:()".contains(c)).any(number);
    if code == 0 && odd && !out.contains("warning") {
        return Err(format!("a number that is none: {out}"));
    }
    Ok(code == 0)
}

#[test]
fn whatever_is_typed_there_is_an_answer() {
    let setting = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = setting("HYPERTAPE_FUZZ_SEED").unwrap_or(0);
    let (limit, clock) = (setting("HYPERTAPE_FUZZ").map(Duration::from_secs), Instant::now());
    let folder = tempdir().unwrap();
    let (mut valid, mut lines, mut wrong) = (0, 0, Vec::new());
    while limit.map_or(lines < 60, |limit| clock.elapsed() < limit) {
        let mut random = Pcg64::seed_from_u64(seed.wrapping_add(lines));
        let words = line(&mut random, folder.path());
        match broken(&words, folder.path()) {
            Ok(went) => valid += u64::from(went),
            Err(why) => {
                println!("{}: {why}", words.join(" "));
                wrong.push(words.join(" "));
            }
        }
        lines += 1;
    }
    println!("{lines} lines, {valid} valid, {} broken", wrong.len());
    assert!(wrong.is_empty(), "{} of {lines} lines broke something", wrong.len());
    assert!(5 * valid > 2 * lines, "{valid} of {lines} lines are valid: too few to tell");
}
