//! Names that users type: finds the item, or returns an error with the nearest name.

use crate::error::Error;

pub(crate) fn spelling(why: String) -> Error {
    Error::Spelling { why }
}

/// Returns the item called `name`.
///
/// ```
/// use hypertape_solver::find_by_name;
/// let why = |name| find_by_name("problem", name, &["ridge", "w1-ridge"], |p| p).unwrap_err().to_string();
/// assert_eq!(why("w1-rigde"), "unknown problem 'w1-rigde': did you mean w1-ridge?");
/// assert_eq!(why("xyz"), "unknown problem 'xyz': expected one of ridge, w1-ridge");
/// ```
///
/// # Errors
/// Returns [`Error::Spelling`] with the name of the nearest item, or with all names if none is near.
pub fn find_by_name<'a, I>(
    kind: &str,
    name: &str,
    items: &'a [I],
    name_of: impl Fn(&I) -> &str,
) -> Result<&'a I, Error> {
    items.iter().find(|item| name_of(item) == name).ok_or_else(|| {
        let names: Vec<&str> = items.iter().map(name_of).collect();
        // `ufom,q=0.5` or `ufom(q=0.5)`.
        let typed = |known: &&str| {
            let rest = name.strip_prefix(*known)?;
            let settings = rest.strip_prefix([',', '(', ' ', '/'])?.trim_end_matches(')');
            settings.contains('=').then(|| format!("did you mean {known}:{settings}?"))
        };
        if let Some(hint) = names.iter().find_map(typed) {
            return spelling(format!("unknown {kind} '{name}': {hint}"));
        }
        spelling(format!("unknown {kind} '{name}': {}", hint(name, &names)))
    })
}

/// Suggests the nearest of `names` if at most half of its letters differ, and otherwise lists all of them.
pub(crate) fn hint(name: &str, names: &[&str]) -> String {
    let lower = name.to_lowercase();
    let share = |other: &&&str| distance(&lower, other) as f64 / name.len().max(other.len()) as f64;
    match names.iter().min_by(|a, b| share(a).total_cmp(&share(b))) {
        Some(nearest) if share(&nearest) <= 0.5 => format!("did you mean {nearest}?"),
        _ if names.len() == 1 => format!("expected {}", names[0]),
        _ => format!("expected one of {}", names.join(", ")),
    }
}

/// Number of letters to insert, delete or replace (Levenshtein distance).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.chars().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[row.len() - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_and_far_names() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!((distance("", "abc"), distance("abc", "")), (3, 3));
        assert_eq!(
            hint("digit-clean", &["digits-clean", "w1-ridge"]),
            "did you mean digits-clean?"
        );
        assert_eq!(hint("xyz", &["ufom", "cg"]), "expected one of ufom, cg");
        assert_eq!(hint("heavy", &["adam", "heavy-ball"]), "did you mean heavy-ball?");
        assert_eq!(hint("SGD", &["sgd", "momentum", "adam"]), "did you mean sgd?");
        // An abbreviation is completed.
        assert_eq!(hint("stoc", &["stocbio", "cg"]), "did you mean stocbio?");
        assert_eq!(hint("10", &["c"]), "expected c");
        assert_eq!(hint("a", &[]), "expected one of ");
        for text in ["ufom,q=0.5", "ufom(q=0.5)", "ufom q=0.5"] {
            let error = find_by_name("estimator", text, &["fo", "ufom"], |name| name).unwrap_err();
            let told = format!("unknown estimator '{text}': did you mean ufom:q=0.5?");
            assert_eq!(error.to_string(), told);
        }
    }
}
