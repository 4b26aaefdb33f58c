//! Runs that stop and continue: limits, states, and the binary killed at random moments.

use std::ops::ControlFlow::Continue;
use std::sync::Arc;
use std::time::Duration;

use crate::support::two_layer::TwoLayer;
use hypertape::coupling::{Cold, Coupling, Warm};
use hypertape::linear::{Cg, Stop};
use hypertape::problems::Quadratic;
use hypertape::{
    Cheap, Draw, Element, End, Estimator, Exact, Implicit, InnerLoop, Jump, Limits, Optimiser,
    Oracle, Probability, Record, Run, RunState, StochasticNeumann, Terms, Ufom,
};
use rand::{RngExt, SeedableRng};

fn general(outer: Optimiser, limits: Limits) -> Run<f64> {
    Run { limits, ..Run::new(InnerLoop::new(5, 0.3).unwrap(), outer, 100, 0) }
}

fn go_on<T: Element>(
    run: &Run<T>,
    oracle: &mut Oracle<T>,
    estimator: &mut dyn Estimator<T>,
    state: &mut RunState<T>,
) -> Vec<Record> {
    run.go_on(oracle, estimator, state, |_, _| Continue(())).unwrap()
}

#[test]
fn limits_end_a_run_and_are_told() {
    let mut oracle = Oracle::new(Quadratic::<f64>::general()).unwrap();
    let start = RunState::new(oracle.start().values().to_vec());
    let sgd = Optimiser::sgd(0.4).unwrap();
    let limits = Limits { oracle_calls: Some(35), ..Limits::default() };
    let mut state = start.clone();
    let records = go_on(&general(sgd, limits), &mut oracle, &mut Exact::default(), &mut state);
    // Five gradients and five products per iteration: the fourth iteration, with 40, is the first to reach 35.
    assert_eq!((records.len(), state.iteration, state.oracle_calls), (4, 4, 40));
    assert_eq!((records[2].end, records[3].end), (None, Some(End::OracleCalls)));
    let before = state.clone();
    assert!(
        go_on(&general(sgd, limits), &mut oracle, &mut Exact::default(), &mut state).is_empty()
    );
    assert_eq!(state, before, "a run that ended stays where it is");

    let limits = Limits { time: Some(Duration::ZERO), ..Limits::default() };
    let mut state = start.clone();
    assert!(
        go_on(&general(sgd, limits), &mut oracle, &mut Exact::default(), &mut state).is_empty()
    );
    assert_eq!((state.iteration, state.end), (0, Some(End::Time)));

    let limit = |tolerance| Limits { gradient_norm: Some(tolerance), ..Limits::default() };
    let mut state = start.clone();
    let loose = general(sgd, limit(1e-3));
    let records = go_on(&loose, &mut oracle, &mut Exact::default(), &mut state);
    let last = *records.last().unwrap();
    assert_eq!((last.end, state.end), (Some(End::GradientNorm), Some(End::GradientNorm)));
    assert!(last.gradient_norm <= 1e-3 && records[records.len() - 2].gradient_norm > 1e-3);
    // The final point is the one at which that norm was found.
    let mut gradient = [0.0; 2];
    let (inner, draw) = (loose.inner, Draw::new(0, 0));
    Exact::default().estimate(&mut oracle, &inner, &state.x, draw, &mut gradient).unwrap();
    // A norm of 1e-3, with its rounding.
    assert!((gradient[0].hypot(gradient[1]) - last.gradient_norm).abs() < 1e-18);
    // It continues under a tighter limit, and ends where an uninterrupted run would end.
    assert!(go_on(&loose, &mut oracle, &mut Exact::default(), &mut state).is_empty());
    let tight = general(sgd, limit(1e-6));
    go_on(&tight, &mut oracle, &mut Exact::default(), &mut state);
    let mut once = start;
    go_on(&tight, &mut oracle, &mut Exact::default(), &mut once);
    assert_eq!((&state.x, state.iteration), (&once.x, once.iteration));
}

/// Whether 12 iterations interrupted at random places end as 12 uninterrupted ones, bit for bit.
fn cut_at_random<T: Element>(
    mut oracle: Oracle<T>,
    estimators: &mut [Box<dyn Estimator<T>>],
    couplings: &[Arc<dyn Coupling>],
) {
    let mut random = rand_pcg::Pcg64::seed_from_u64(7);
    for estimator in estimators {
        for coupling in couplings {
            for outer in [
                Optimiser::decaying_sgd(0.1, 0.5),
                Optimiser::momentum(0.1, 0.9),
                Optimiser::adam(0.1),
            ]
            .map(Result::unwrap)
            {
                let inner = InnerLoop::new(4, 0.1).unwrap();
                let run = Run { coupling: Arc::clone(coupling), ..Run::new(inner, outer, 12, 3) };
                let mut once = RunState::new(oracle.start().values().to_vec());
                let mut cut = once.clone();
                go_on(&run, &mut oracle, &mut **estimator, &mut once);
                while cut.iteration < 12 {
                    let iterations = cut.iteration + random.random_range(1..5);
                    let part = Run { iterations: iterations.min(12), ..run.clone() };
                    go_on(&part, &mut oracle, &mut **estimator, &mut cut);
                }
                cut.elapsed = once.elapsed;
                assert_eq!(cut, once, "{} {coupling:?} {outer:?}", estimator.name());
            }
        }
    }
}

fn adaptive(cheap: Cheap) -> Ufom {
    let ufom = Ufom::with(Probability::Adaptive { floor: 0.1, decay: 0.8 }).unwrap();
    ufom.with_cheap(cheap).unwrap()
}

fn estimators<T: Element>() -> Vec<Box<dyn Estimator<T>>> {
    let cg = Cg { stop: Stop { iterations: 2, tolerance: 1e-12 } };
    vec![
        Box::new(Exact::default()),
        Box::new(Ufom::new(0.5).unwrap()),
        Box::new(adaptive(Cheap::FirstOrder)),
        Box::new(adaptive(Cheap::Jump(Jump { anchors: 2, degree: 2 }))),
        Box::new(Implicit::new(cg).unwrap().warm()),
        Box::new(StochasticNeumann::new(Terms::Single { terms: 5 }, Some(0.1)).unwrap()),
    ]
}

#[test]
fn a_run_goes_on_bit_for_bit() {
    let all: [Arc<dyn Coupling>; 2] = [Arc::new(Cold), Arc::new(Warm)];
    let mut deterministic = estimators();
    // On this problem, the coin would correct an estimate that vanishes.
    deterministic.drain(1..3);
    cut_at_random(Oracle::new(Quadratic::<f64>::general()).unwrap(), &mut deterministic, &all);
    // Mini-batches; a start that depends on x excludes warm starts.
    cut_at_random(Oracle::new(TwoLayer::<f32>::new(5)).unwrap(), &mut estimators(), &all[..1]);
}

#[test]
fn what_another_estimator_learned_is_refused() {
    let mut oracle = Oracle::new(TwoLayer::<f64>::new(5)).unwrap();
    let mut state = RunState::new(oracle.start().values().to_vec());
    let run = Run::new(InnerLoop::new(4, 0.1).unwrap(), Optimiser::sgd(0.1).unwrap(), 3, 3);
    go_on(&run, &mut oracle, &mut adaptive(Cheap::FirstOrder), &mut state);
    assert_eq!(state.estimator.names(), ["weight", "d2", "v2"]);
    let error = Estimator::set_state(&mut Ufom::new(0.5).unwrap(), &state.estimator).unwrap_err();
    let expected =
        "what ufom learned: found [\"weight\", \"d2\", \"v2\"], expected what its settings learn";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_state_of_another_optimiser_is_refused() {
    let mut oracle = Oracle::new(Quadratic::<f64>::general()).unwrap();
    let mut state = RunState::new(oracle.start().values().to_vec());
    let run = Run { iterations: 3, ..general(Optimiser::adam(0.1).unwrap(), Limits::default()) };
    go_on(&run, &mut oracle, &mut Exact::default(), &mut state);
    let run = general(Optimiser::sgd(0.1).unwrap(), Limits::default());
    let result = run.go_on(&mut oracle, &mut Exact::default(), &mut state, |_, _| Continue(()));
    let expected = "moments of the outer optimiser: found [mean 2x1, square 2x1], expected []";
    assert_eq!(result.unwrap_err().to_string(), expected);
}

#[cfg(all(feature = "cli", unix))]
mod binary {
    use std::fs;
    use std::os::unix::process::ExitStatusExt;
    use std::path::{Path, PathBuf};
    use std::process::{Child, Command, Output, Stdio, id};
    use std::thread::sleep;
    use std::time::{Duration, Instant};

    use rand::{RngExt, SeedableRng};
    use serde_json::Value;

    /// The folder of one test, removed at its end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(test: &str) -> Self {
            let path = std::env::temp_dir().join(format!("hypertape-resume-{}-{test}", id()));
            fs::create_dir(&path).unwrap();
            Self(path)
        }
        fn of(&self, name: &str) -> String {
            self.0.join(name).to_str().unwrap().to_owned()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn spawn(line: &str) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hypertape"));
        command.args(line.split_whitespace()).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn run(line: &str) -> Output {
        spawn(line).wait_with_output().unwrap()
    }

    #[track_caller]
    fn refused(line: &str, parts: &[&str]) {
        let output = run(line);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{line}: {text}");
        assert!(text.lines().count() == 1 && parts.iter().all(|p| text.contains(p)), "{text}");
    }

    type Results = (Vec<u8>, Vec<u8>, Value);

    /// Everything that a run wrote, apart from times.
    fn results(folder: &str) -> Results {
        let read = |name: &str| fs::read(Path::new(folder).join(name)).unwrap();
        let mut json: Value = serde_json::from_slice(&read("run.json")).unwrap();
        json["summary"]["seconds"] = Value::Null;
        for record in json["records"].as_array_mut().unwrap() {
            record["seconds"] = Value::Null;
        }
        (read("x.npz"), read("w.npz"), json)
    }

    const LINE: &str = "run digits-clean --steps 20 --estimator cg:iterations=3,warm=1 --coupling \
                        warm --iterations 100 --save-every 3";

    #[test]
    fn killed_many_times_it_ends_as_if_undisturbed() {
        let (undisturbed, found) = killed("kills", LINE);
        assert_eq!(found.2, undisturbed.2);
    }

    #[test]
    fn so_does_an_algorithm_with_its_table() {
        // A record may be divided where the run was interrupted, but its costs are not lost.
        let line =
            "run quadratic-sampled --algorithm saba:step=0.05 --iterations 20000 --save-every 500";
        let (mut undisturbed, mut found) = killed("tables", line);
        for json in [&mut undisturbed.2, &mut found.2] {
            let records = json["records"].as_array().unwrap();
            let samples = records.iter().map(|record| record["samples"].as_u64().unwrap());
            // One mini-batch of 64 per level and iteration.
            assert_eq!(samples.sum::<u64>(), 20_000 * 128);
            json["records"] = Value::Null;
        }
        assert_eq!(found.2, undisturbed.2);
    }

    /// The results of `line`, and its results when it is killed twenty times.
    fn killed(test: &str, line: &str) -> (Results, Results) {
        let folder = Folder::new(test);
        let [whole, cut] = ["whole", "cut"].map(|name| folder.of(name));
        let clock = Instant::now();
        assert!(run(&format!("{line} --save {whole}")).status.success());
        let all = crate::support::kills();
        // Each process runs half of this time on average, minus the start, so the kills reach about the middle of the
        // run.
        let longest = 2.0 * clock.elapsed().as_secs_f64() / f64::from(all);
        let mut random = rand_pcg::Pcg64::seed_from_u64(11);
        let (mut kills, mut progress) = (0, 0);
        while kills < all {
            let state = Path::new(&cut).join("state.json");
            let option = if state.exists() { "--resume" } else { "--save" };
            let mut child = spawn(&format!("{line} {option} {cut}"));
            sleep(Duration::from_secs_f64(random.random_range(0.0..longest)));
            // Half of the processes are terminated by a signal that they notice, as from a batch system, and save their
            // state.
            if random.random_bool(0.5) {
                child.kill().unwrap();
            } else {
                let id = child.id().to_string();
                Command::new("kill").args(["-TERM", &id]).status().unwrap();
            }
            let status = child.wait().unwrap();
            kills += u32::from(status.signal().is_some() || status.code() == Some(130));
            if let Ok(text) = fs::read(state) {
                let saved: Value = serde_json::from_slice(&text).unwrap();
                progress = saved["state"]["iteration"].as_u64().unwrap();
            }
        }
        assert!(progress > 0, "no run came as far as to save");
        let output = run(&format!("{line} --resume {cut}"));
        assert!(output.status.success(), "{output:?}");
        let mut names = fs::read_dir(&cut).unwrap().map(|entry| entry.unwrap().file_name());
        assert!(!names.any(|name| name.to_string_lossy().ends_with(".tmp")), "what kills left");
        let (undisturbed, found) = (results(&whole), results(&cut));
        assert!(found.0 == undisturbed.0 && found.1 == undisturbed.1, "x or w");
        (undisturbed, found)
    }

    #[test]
    fn an_interrupt_saves_and_ends_with_130() {
        let folder = Folder::new("interrupt");
        let [whole, cut] = ["whole", "cut"].map(|name| folder.of(name));
        let line = "run digits-clean --steps 20 --iterations 40";
        assert!(run(&format!("{line} --save {whole}")).status.success());
        let child = spawn(&format!("{line} --save {cut} --save-every 1000"));
        let state = Path::new(&cut).join("state.json");
        while !state.exists() {
            sleep(Duration::from_millis(1));
        }
        let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
        assert!(kill.success());
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(130), "{text}");
        let saved: Value = serde_json::from_slice(&fs::read(&state).unwrap()).unwrap();
        let expected = format!(
            "error: interrupted after {} iterations, which are saved for --resume\n",
            saved["state"]["iteration"]
        );
        assert_eq!(text, expected);
        assert!(run(&format!("{line} --resume {}", state.display())).status.success());
        assert!(!Path::new(&cut).join("run.json").exists(), "nothing asked for it");
        assert!(run(&format!("{line} --resume {cut}")).status.success());
        assert_eq!(results(&cut), results(&whole));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let folder = Folder::new("refused");
        let saved = folder.of("saved");
        let line = "run quadratic --estimator cg:warm=1 --iterations";
        assert!(run(&format!("{line} 3 --save {saved}")).status.success());
        for (option, difference) in [
            ("--lr 0.2", "found lr 0.3, expected 0.2"),
            ("--steps 7", "found steps 5, expected 7"),
            ("--seed 1", "found seed 0, expected 1"),
            ("--outer adam", "found outer sgd 0.1, expected adam 0.1"),
            ("--coupling warm", "found coupling cold, expected warm"),
            ("--dtype f32", "found dtype f64, expected f32"),
            ("--rule heavy-ball:momentum=0.5", "found rule gradient-descent, expected heavy-ball"),
        ] {
            refused(&format!("{line} 5 {option} --resume {saved}"), &["state.json", difference]);
        }
        refused(&format!("run quadratic --resume {saved}"), &["found estimator cg:", "exact"]);
        refused(
            &format!("{line} 5 --resume {}", folder.of("none")),
            &["--resume", "no run to resume"],
        );
        let text = Path::new(&saved).join("state.json");
        let whole = fs::read_to_string(&text).unwrap();
        for (other, why) in [
            ("{\"settings\": 3}".to_owned(), "found a file of an earlier version"),
            (whole.replace("\"format\":3", "\"format\":2"), "found a file of format 2, expected"),
            (whole.replace("\"hvps\"", "\"products\""), "by its checksum"),
            (whole.replace("0.", "1."), "by its checksum"),
            (whole[..whole.len() - 9].to_owned(), "EOF"),
        ] {
            fs::write(&text, other).unwrap();
            let parts = ["state.json: not the state of this run: ", why];
            refused(&format!("{line} 5 --resume {saved}"), &parts);
        }
        let file = text.display();
        refused(&format!("{line} 5 --repeat 2 --resume {file}"), &["expected a folder"]);
    }

    /// `--save` in place of `--resume` does not cost the run that is there.
    #[test]
    fn a_saved_run_is_not_replaced() {
        let folder = Folder::new("kept");
        let [saved, other] = ["saved", "other"].map(|name| folder.of(name));
        let line = "run quadratic --iterations";
        assert!(run(&format!("{line} 4 --save {saved}")).status.success());
        let state = Path::new(&saved).join("state.json");
        let before = (fs::read(&state).unwrap(), results(&saved));
        let (lost, out) = ("a run of 4 iterations", format!("--resume {saved}"));
        let ways = [&*format!("--save {saved}: "), lost, &*out, "another folder", "remove"];
        for others in ["1", "9", "1 --dtype f32 --outer adam"] {
            refused(&format!("{line} {others} --save {saved}"), &ways);
        }
        // Nor does a run that is resumed from elsewhere.
        assert!(run(&format!("{line} 2 --save {other}")).status.success());
        refused(&format!("{line} 3 --resume {other} --save {saved}"), &ways);
        assert!(before == (fs::read(&state).unwrap(), results(&saved)));
        // The same run, named by its folder or its file, goes on.
        assert!(run(&format!("{line} 5 --resume {saved} --save {saved}")).status.success());
        let on = format!("{line} 6 --resume {} --save {saved}/.", state.display());
        assert!(run(&on).status.success());
        assert_eq!(results(&saved).2["summary"]["iterations"], 6);
        // One of several runs is enough, and so is a state that cannot be read.
        assert!(run(&format!("{line} 1 --repeat 2 --save {saved}")).status.success());
        fs::remove_file(Path::new(&saved).join("state-0.json")).unwrap();
        let again = format!("{line} 1 --repeat 2 --save {saved}");
        refused(&again, &["a run of 1 iteration is saved"]);
        fs::write(Path::new(&saved).join("state-1.json"), "half").unwrap();
        refused(&again, &["another run is saved"]);
    }

    /// Limits count earlier sessions, and a note says so if that leaves nothing to do.
    #[test]
    fn a_run_without_more_to_do_says_so() {
        let folder = Folder::new("idle");
        let saved = folder.of("saved");
        let line = "run quadratic --iterations";
        let told = |line: &str| {
            let output = run(line);
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stderr).unwrap()
        };
        assert_eq!(told(&format!("{line} 8 --save {saved}")), "");
        let nothing = "note: nothing was left to do:";
        let on = |line: &str| told(&format!("{line} --resume {saved}"));
        let counted = "--iterations counts earlier sessions, which made 8: give more than that";
        assert_eq!(on(&format!("{line} 3")), format!("{nothing} {counted}\n"));
        // Five gradients and five products per iteration.
        let calls = "--oracle-calls counts earlier sessions, which made 80: give more than that";
        assert_eq!(on(&format!("{line} 9 --oracle-calls 80")), format!("{nothing} {calls}\n"));
        let time = on(&format!("{line} 9 --time 1e-9"));
        let counted = format!("{nothing} --time counts earlier sessions, which took ");
        assert!(time.starts_with(&counted), "{time}");
        let norm = format!("{line} 50 --gradient-norm 0.1");
        assert_eq!(on(&norm), "");
        let norm = on(&norm);
        let given = norm.strip_prefix(&format!("{nothing} the norm of the hypergradient is 0.0"));
        assert!(given.is_some_and(|rest| rest.ends_with(": give a smaller --gradient-norm\n")));
        // Where one of several runs goes on, something was left to do.
        let several = folder.of("several");
        let alike = "note: the 2 runs have the same result, as no seed has an effect on it\n";
        assert_eq!(told(&format!("{line} 2 --repeat 2 --save {several}")), alike);
        fs::remove_file(Path::new(&several).join("state-1.json")).unwrap();
        assert_eq!(told(&format!("{line} 2 --repeat 2 --resume {several}")), alike);
    }

    #[test]
    fn several_runs_go_on_where_they_were() {
        let folder = Folder::new("several");
        let [whole, cut] = ["whole", "cut"].map(|name| folder.of(name));
        let line = "run digits-clean --steps 3 --repeat 2 --iterations";
        assert!(run(&format!("{line} 4 --save {whole}")).status.success());
        assert!(run(&format!("{line} 2 --save {cut}")).status.success());
        // As if the second run had not begun.
        fs::remove_file(Path::new(&cut).join("state-1.json")).unwrap();
        assert!(run(&format!("{line} 4 --resume {cut}")).status.success());
        for name in ["x-0.npz", "x-1.npz", "w-0.npz", "w-1.npz"] {
            let [a, b] = [&whole, &cut].map(|f| fs::read(Path::new(f).join(name)).unwrap());
            assert!(a == b, "{name}");
        }
    }
}
