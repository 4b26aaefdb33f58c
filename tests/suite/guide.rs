//! Every console block of the guide is run, and its output compared. (Blocks of Rust are doctests, and those of Python
//! are run by the tests of the package.) Blocks of `sh`, which need a cluster, files or time, are read by a shell, and the
//! jobs of a cluster are run with a small study.
//!
//! A line `$ command` is run by the shell, in a folder that all blocks of a page share; a line that starts with `> `
//! continues it. The lines that follow are the expected output of both streams. `...` stands for any number of lines,
//! `[..]` for any text within a line, and `? 1` for that exit status. All times are equal, and so are all widths of gaps
//! between columns.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

/// Replaces each time in a line by `TIME`, and each gap by a space.
fn timeless(line: &str) -> String {
    let mut words: Vec<&str> = Vec::new();
    for word in line.split_whitespace() {
        let unit = word.trim_end_matches([',', ')', ']', ';']);
        let number = |word: &str| word.trim_start_matches(['(', '[']).parse::<f64>().is_ok();
        if ["ns", "us", "µs", "ms", "s"].contains(&unit) && words.last().is_some_and(|w| number(w))
        {
            words.pop();
            words.push("TIME");
        } else {
            words.push(word);
        }
    }
    words.join(" ")
}

/// Whether `line` matches `pattern`, in which `[..]` stands for any text.
fn line_matches(pattern: &str, line: &str) -> bool {
    match pattern.split_once("[..]") {
        None => pattern == line,
        Some((head, rest)) => line.strip_prefix(head).is_some_and(|tail| {
            (0..=tail.len())
                .filter(|&i| tail.is_char_boundary(i))
                .any(|i| line_matches(rest, &tail[i..]))
        }),
    }
}

/// Whether `lines` match `patterns`, in which `...` stands for any number of lines.
fn lines_match(patterns: &[String], lines: &[String]) -> bool {
    match patterns.split_first() {
        None => lines.is_empty(),
        Some((any, rest)) if any == "..." => {
            (0..=lines.len()).any(|i| lines_match(rest, &lines[i..]))
        }
        Some((first, rest)) => lines
            .split_first()
            .is_some_and(|(line, others)| line_matches(first, line) && lines_match(rest, others)),
    }
}

/// Runs a command of the shell in a folder; returns its status, and the output of both streams.
fn shell(command: &str, folder: &Path) -> (ExitStatus, String) {
    let binary = Path::new(env!("CARGO_BIN_EXE_hypertape")).parent().unwrap();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
    let mut process = Command::new("sh");
    process.arg("-c").arg(format!("exec 2>&1\n{command}")).current_dir(folder);
    let output = process.env("PATH", &path).env("HYPERTAPE_SIMD", "avx2").output().unwrap();
    (output.status, String::from_utf8(output.stdout).unwrap())
}

/// Runs the commands of a block; returns the expected and the actual output of the first that differs.
fn run(block: &str, folder: &Path) -> Result<usize, String> {
    let mut lines = block.lines().peekable();
    let mut runs = 0;
    while let Some(line) = lines.next() {
        let mut command = line.strip_prefix("$ ").ok_or(format!("no command: {line}"))?.to_owned();
        while let Some(more) = lines.next_if(|line| line.starts_with("> ")) {
            command = format!("{command}\n{}", &more[2..]);
        }
        let status = lines.next_if(|line| line.starts_with("? "));
        let status: i32 = status.map_or(0, |line| line[2..].parse().unwrap());
        let mut expected = Vec::new();
        while let Some(line) = lines.next_if(|line| !line.starts_with("$ ")) {
            expected.push(line);
        }
        let (output, text) = shell(&command, folder);
        let found: Vec<String> = text.lines().map(timeless).collect();
        let patterns: Vec<String> = expected.iter().map(|line| timeless(line)).collect();
        if output.code() != Some(status) || !lines_match(&patterns, &found) {
            let expected = expected.join("\n");
            return Err(format!("{command}\n-- prints ({output})\n{text}-- not\n{expected}"));
        }
        runs += 1;
    }
    Ok(runs)
}

/// The blocks of a page in a language.
fn blocks<'p>(page: &'p str, language: &str) -> Vec<&'p str> {
    let fence = format!("\n```{language}\n");
    let rests = page.split(&fence).skip(1);
    rests.map(|rest| rest.split("\n```").next().unwrap()).collect()
}

#[test]
fn the_guide_prints_what_it_says() {
    let pages = texts();
    let mut failures = Vec::new();
    let mut runs = 0;
    for page in &pages {
        let text = fs::read_to_string(page).unwrap();
        let scratch = tempfile::tempdir().unwrap();
        for block in blocks(&text, "console") {
            match run(block, scratch.path()) {
                Ok(more) => runs += more,
                Err(failure) => failures.push(format!("{}: {failure}", page.display())),
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    assert!(runs >= 10, "{runs} commands in {} pages", pages.len());
}

/// The pages of the guide and of the project.
fn texts() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = [root.to_owned(), root.join("docs"), root.join("autodiff")];
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    let mut texts: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
    texts.retain(|page| page.extension().is_some_and(|e| e == "md"));
    texts.sort();
    texts
}

/// Blocks that cannot be doctests, because they are part of another crate, are copies of an example.
#[test]
fn ignored_blocks_stand_in_an_example() {
    let methods = include_str!("../../examples/own-methods/src/lib.rs");
    let mut copies = 0;
    for page in texts() {
        let text = fs::read_to_string(&page).unwrap();
        for block in blocks(&text, "rust,ignore") {
            assert!(methods.contains(block), "{}: {block}", page.display());
            copies += 1;
        }
    }
    assert_eq!(copies, 1);
}

#[test]
fn blocks_for_the_shell_parse() {
    let mut read = 0;
    for page in texts() {
        let text = fs::read_to_string(&page).unwrap();
        for block in blocks(&text, "sh") {
            let output = Command::new("sh").args(["-n", "-c", block]).output().unwrap();
            let why = String::from_utf8(output.stderr).unwrap();
            assert!(output.status.success() && why.is_empty(), "{}: {why}", page.display());
            read += 1;
        }
    }
    assert!(read >= 6, "{read}");
}

/// Each job of a cluster runs its shard, and all of them together the study.
#[test]
fn jobs_of_a_cluster_are_the_shards_of_a_study() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/studies.md");
    let text = fs::read_to_string(page).unwrap();
    let jobs = blocks(&text, "sh").into_iter();
    let merge = jobs.clone().find_map(|block| block.lines().find(|line| line.contains("merge")));
    let jobs: Vec<&str> =
        jobs.filter(|block| block.contains("/16") && !block.contains(":::")).collect();
    assert_eq!(jobs.len(), 2);
    for job in jobs {
        let folder = tempfile::tempdir().unwrap();
        let study = "[[grid]]\nproblem = 'quadratic'\nsteps = [1, 2, 3]\niterations = 1";
        fs::write(folder.path().join("big.toml"), study).unwrap();
        for task in 0..3 {
            let at = format!("SLURM_ARRAY_TASK_ID={} JOB_COMPLETION_INDEX={task}", task + 1);
            let (status, told) = shell(&format!("export {at}\n{job}"), folder.path());
            assert!(status.success(), "{job}: {told}");
        }
        let (status, told) = shell(merge.unwrap(), folder.path());
        assert!(status.success(), "{told}");
        let records = fs::read_to_string(folder.path().join("joined/records.jsonl")).unwrap();
        assert_eq!(records.lines().count(), 3, "{records}");
    }
}

#[test]
fn links_lead_to_files_that_are_there() {
    let mut links = 0;
    for page in texts() {
        let text = fs::read_to_string(&page).unwrap();
        for link in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            let file = link.split('#').next().unwrap();
            if !file.is_empty() && !file.contains("://") {
                assert!(page.parent().unwrap().join(file).exists(), "{}: {link}", page.display());
                links += 1;
            }
        }
    }
    assert!(links > 40, "{links}");
    let (root, contents) = (Path::new(env!("CARGO_MANIFEST_DIR")).join("docs"), "SUMMARY.md");
    let summary = fs::read_to_string(root.join(contents)).unwrap();
    for page in texts().iter().filter(|page| page.starts_with(&root)) {
        let name = page.file_name().unwrap().to_str().unwrap();
        assert!(
            name == contents || summary.contains(&format!("({name})")),
            "{name} is not in {contents}"
        );
    }
}

#[test]
fn what_differs_is_found() {
    let [pattern, same, other] =
        ["a\n...\nb [..] c  (2.5 ms, 3", "a\nx\ny\nb 1 c (81 us, 3", "a\nx\ny\nb 1 d (81 us, 3"]
            .map(|text| text.lines().map(timeless).collect::<Vec<_>>());
    assert!(lines_match(&pattern, &same));
    assert!(!lines_match(&pattern, &other));
    assert_ne!(timeless("b 2.5 KiB"), timeless("b 81 KiB"));
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(run("$ echo one\none\n$ exit 3\n? 3\n", folder.path()), Ok(2));
    let failure = run("$ echo one\ntwo\n", folder.path()).unwrap_err();
    assert!(failure.contains("one\n-- not\ntwo"), "{failure}");
    assert!(
        run("$ hypertape gradient nothing\n...\n", folder.path())
            .unwrap_err()
            .contains("exit status: 2")
    );
}
