//! Names that users type: exact match, or an error with the nearest one.

use super::failure::Failure;

/// The item called `name`.
///
/// # Errors
/// A usage error that names the nearest item, or all of them if none is near.
pub(crate) fn find<'a, I>(
    kind: &str,
    name: &str,
    items: &'a [I],
    name_of: impl Fn(&I) -> &str,
) -> Result<&'a I, Failure> {
    if let Some(item) = items.iter().find(|item| name_of(item) == name) {
        return Ok(item);
    }
    let nearness = |item: &&I| strsim::jaro_winkler(name, name_of(item));
    let nearest = items.iter().max_by(|a, b| nearness(a).total_cmp(&nearness(b)));
    let hint = if let Some(item) = nearest.filter(|item| nearness(item) > 0.7) {
        format!("did you mean {}?", name_of(item))
    } else {
        let all: Vec<&str> = items.iter().map(name_of).collect();
        format!("expected one of {}", all.join(", "))
    };
    Err(Failure::usage(format!("unknown {kind} '{name}': {hint}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_and_far_names() {
        let items = ["digits-clean", "w1-ridge"];
        let text = |name| match find("problem", name, &items, |i| i) {
            Err(Failure::Usage(why)) => why,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            text("digit-clean"),
            "unknown problem 'digit-clean': did you mean digits-clean?"
        );
        assert_eq!(text("xyz"), "unknown problem 'xyz': expected one of digits-clean, w1-ridge");
        assert_eq!(find("problem", "w1-ridge", &items, |i| i).unwrap(), &"w1-ridge");
    }
}
