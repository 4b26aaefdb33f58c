//! Checks the architecture: every source file is listed in ARCHITECTURE.md with a level, and uses only files of lower
//! levels of its own crate and only crates below its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Crates from the lowest to the highest, each with its folder.
const CRATES: [(&str, &str); 5] = [
    ("hypertape_autodiff", "autodiff/src"),
    ("hypertape_solver", "solver/src"),
    ("hypertape_problems", "problems/src"),
    ("hypertape_cli", "cli/src"),
    ("hypertape", "src"),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// `path -> level`, from the lines of ARCHITECTURE.md that begin with the path of a Rust file.
fn levels() -> BTreeMap<String, f64> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let listed = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let path = words.next().filter(|p| Path::new(p).extension().is_some_and(|e| e == "rs"))?;
        Some((path.to_owned(), words.next()?.parse().ok()?))
    });
    listed.collect()
}

fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned());
        }
    }
}

/// The module paths that the code of a file names, in `use` and in expressions alike, with `super` and `crate` resolved
/// to a path in the crate. Comments do not count, nor lines after the unit tests begin.
fn uses(text: &str, module: &[String]) -> Vec<Vec<String>> {
    let code = text.split("#[cfg(test)]").next().unwrap_or(text);
    let code: String = code
        .lines()
        .map(|l| l.split("//").next().unwrap_or(l))
        .fold(String::new(), |s, l| s + "\n" + l);
    // A parent may re-export what its children build on it, but not use that itself.
    let children: Vec<String> = code
        .lines()
        .filter_map(|l| l.trim_start_matches("pub ").strip_prefix("mod ")?.strip_suffix(';'))
        .map(|child| format!("{child}::"))
        .collect();
    let mut found = Vec::new();
    for statement in code.split(';') {
        let start = statement.rfind("\nuse ").or_else(|| statement.rfind("\npub use "));
        let (expressions, list) = statement.split_at(start.unwrap_or(statement.len()));
        let roots = children.iter().map(String::as_str).chain(["crate::", "super::"]);
        roots.for_each(|root| paths(expressions, root, &mut found));
        let list = list.trim().trim_start_matches("use ");
        match list.strip_prefix("pub use ") {
            Some(exported) if children.iter().any(|child| exported.starts_with(child)) => {}
            exported => expand(exported.unwrap_or(list), &mut Vec::new(), &mut found),
        }
    }
    let children: Vec<&str> = children.iter().map(|child| child.trim_end_matches(':')).collect();
    for path in &mut found {
        let resolved = match path[0].as_str() {
            "crate" => path[1..].to_vec(),
            "super" => {
                let up = path.iter().take_while(|p| *p == "super").count();
                let base = &module[..module.len().saturating_sub(up)];
                base.iter().chain(&path[up..]).cloned().collect()
            }
            child if children.contains(&child) => module.iter().chain(&*path).cloned().collect(),
            _ => continue,
        };
        *path = std::iter::once("crate".to_owned()).chain(resolved).collect();
    }
    found
}

/// The paths that begin with `root` within expressions, signatures and `use` statements of functions.
fn paths(code: &str, root: &str, found: &mut Vec<Vec<String>>) {
    let part_of_a_name = |c: char| c.is_alphanumeric() || c == '_';
    for (start, _) in code.match_indices(root) {
        let (before, rest) = code.split_at(start);
        if before.ends_with(|c| part_of_a_name(c) || c == ':') {
            continue;
        }
        let end = rest.find(|c| !part_of_a_name(c) && c != ':').unwrap_or(rest.len());
        match rest[end..].chars().next() {
            Some('{') => expand(&rest[..=rest.find('}').unwrap_or(end)], &mut Vec::new(), found),
            Some('$') => {} // The caller of the macro names the rest.
            _ => expand(rest[..end].trim_end_matches(':'), &mut Vec::new(), found),
        }
    }
}

/// Splits `a::{b, c::d}` into its paths.
fn expand(text: &str, prefix: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    let text = text.trim();
    if let Some(inner) = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')) {
        let (mut depth, mut start) = (0, 0);
        for (i, c) in inner.char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    expand(&inner[start..i], prefix, found);
                    start = i + 1;
                }
                _ => {}
            }
        }
        expand(&inner[start..], prefix, found);
    } else if let Some((head, rest)) = text.split_once("::") {
        prefix.push(head.to_owned());
        expand(rest, prefix, found);
        prefix.pop();
    } else if !text.is_empty() {
        let name = text.split_whitespace().next().unwrap_or(text);
        found.push(prefix.iter().cloned().chain([name.to_owned()]).collect());
    }
}

/// The file that declares the longest leading part of a module path, if it is a module of the crate.
fn file_of(path: &[String], folder: &str, levels: &BTreeMap<String, f64>) -> Option<String> {
    (1..=path.len()).rev().find_map(|n| {
        let file = format!("{folder}/{}.rs", path[..n].join("/"));
        levels.contains_key(&file).then_some(file)
    })
}

#[test]
fn every_file_is_listed_and_uses_only_lower_levels() {
    let levels = levels();
    let mut complaints = Vec::new();
    for (rank, (name, folder)) in CRATES.iter().enumerate() {
        let mut files = Vec::new();
        sources(&root().join(folder), &mut files);
        for listed in levels.keys().filter(|l| l.starts_with(&format!("{folder}/"))) {
            if !files.contains(listed) {
                complaints.push(format!("{listed} is listed but does not exist"));
            }
        }
        for file in files {
            let inside = file.strip_prefix(&format!("{folder}/")).unwrap();
            let Some(&level) = levels.get(&file) else {
                complaints.push(format!("{file} has no level in ARCHITECTURE.md"));
                continue;
            };
            let module: Vec<String> =
                inside.trim_end_matches(".rs").split('/').map(ToOwned::to_owned).collect();
            for path in uses(&fs::read_to_string(root().join(&file)).unwrap(), &module) {
                if let Some(other) = CRATES.iter().position(|(n, _)| *n == path[0])
                    && other >= rank
                    && inside != "main.rs"
                {
                    complaints.push(format!("{file} uses {}, which is not below {name}", path[0]));
                }
                if path[0] != "crate" || inside == "lib.rs" {
                    continue;
                }
                if let Some(used) = file_of(&path[1..], folder, &levels)
                    && used != file
                    && levels[&used] >= level
                {
                    complaints.push(format!("{file} ({level}) uses {used} ({})", levels[&used]));
                }
            }
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn upward_uses_would_be_seen() {
    let text = "\nmod m;\npub mod o;\npub use m::N;\nuse o::P;\nuse crate::{a::B, c::{d, E}};\nuse super::f::G;\nuse std::fmt;\n\
                fn g() -> crate::h::I {\n    super::super::j::k(crate::l::m())\n} // crate::n\n#[cfg(test)]\nuse crate::z;";
    let module = ["x".to_owned(), "y".to_owned()];
    let paths: Vec<String> = uses(text, &module).iter().map(|p| p.join("::")).collect();
    let in_use = [
        "crate::x::y::o::P",
        "crate::a::B",
        "crate::c::d",
        "crate::c::E",
        "crate::x::f::G",
        "std::fmt",
    ];
    assert_eq!(paths[..6], in_use);
    assert_eq!(paths[6..], ["crate::h::I", "crate::l::m", "crate::j::k"]);
    let levels = BTreeMap::from([("s/c.rs".to_owned(), 3.0), ("s/c/d.rs".to_owned(), 1.0)]);
    let at = |path: &[&str]| {
        let path: Vec<String> = path.iter().map(|&p| p.to_owned()).collect();
        file_of(&path, "s", &levels)
    };
    assert_eq!(at(&["c", "d", "E"]).as_deref(), Some("s/c/d.rs"));
    assert_eq!(at(&["c", "E"]).as_deref(), Some("s/c.rs"));
    assert_eq!(at(&["fmt"]), None);
}
