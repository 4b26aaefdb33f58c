//! Every console block of the guide is run, and its output compared. (Blocks of Rust are doctests, and those of Python
//! are run by the tests of the package.)
//!
//! A line `$ command` is run by the shell, in a folder that all blocks of a page share; a line that starts with `> `
//! continues it. The lines that follow are the expected output of both streams. `...` stands for any number of lines,
//! `[..]` for any text within a line, and `? 1` for that exit status.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

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
fn lines_match(patterns: &[&str], lines: &[&str]) -> bool {
    match patterns.split_first() {
        None => lines.is_empty(),
        Some((&"...", rest)) => (0..=lines.len()).any(|i| lines_match(rest, &lines[i..])),
        Some((first, rest)) => lines
            .split_first()
            .is_some_and(|(line, others)| line_matches(first, line) && lines_match(rest, others)),
    }
}

/// Runs the commands of a block; returns the expected and the actual output of the first that differs.
fn run(block: &str, folder: &Path) -> Result<usize, String> {
    let binary = Path::new(env!("CARGO_BIN_EXE_hypertape")).parent().unwrap();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
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
            expected.push(line.trim_end());
        }
        let shell = format!("exec 2>&1\n{command}");
        let mut process = Command::new("sh");
        process.arg("-c").arg(&shell).current_dir(folder);
        process.env("PATH", &path).env("HYPERTAPE_SIMD", "avx2");
        let output = process.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let found: Vec<&str> = text.lines().map(str::trim_end).collect();
        if output.status.code() != Some(status) || !lines_match(&expected, &found) {
            let expected = expected.join("\n");
            return Err(format!(
                "{command}\n-- prints ({})\n{text}-- not\n{expected}",
                output.status
            ));
        }
        runs += 1;
    }
    Ok(runs)
}

/// The console blocks of a page.
fn blocks(page: &str) -> impl Iterator<Item = &str> {
    page.split("\n```console\n").skip(1).map(|rest| rest.split("\n```").next().unwrap())
}

#[test]
fn the_guide_prints_what_it_says() {
    let pages = texts();
    let mut failures = Vec::new();
    let mut runs = 0;
    for page in &pages {
        let text = fs::read_to_string(page).unwrap();
        let scratch = tempfile::tempdir().unwrap();
        for block in blocks(&text) {
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
    let mut blocks = 0;
    for page in texts() {
        let text = fs::read_to_string(&page).unwrap();
        for rest in text.split("\n```rust,ignore\n").skip(1) {
            let block = rest.split("\n```").next().unwrap();
            assert!(methods.contains(block), "{}: {block}", page.display());
            blocks += 1;
        }
    }
    assert_eq!(blocks, 1);
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
    assert!(lines_match(&["a", "...", "b [..] c"], &["a", "x", "y", "b 1 c"]));
    assert!(!lines_match(&["a", "...", "b [..] c"], &["a", "x", "y", "b 1 d"]));
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
