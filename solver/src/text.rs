//! Numbers and choices formatted for people.

/// Formats a size in binary units, exactly below 1 KiB and otherwise rounded up, so that the printed size is always
/// sufficient.
///
/// ```
/// use hypertape_solver::text::bytes;
/// assert_eq!([1000, 1024, 5984].map(bytes), ["1000 B", "1.0 KiB", "5.9 KiB"]);
/// ```
pub fn bytes(n: u64) -> String {
    if n < 1024 {
        return format!("{n} B");
    }
    let in_tenths = |unit: &(u128, &str)| (u128::from(n) * 10).div_ceil(unit.0);
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let units = (1..).zip(units).map(|(power, name)| (1024_u128.pow(power), name));
    // Avoids 1024.0 of a unit if there is a larger unit.
    let fitting = units.map(|unit| (in_tenths(&unit), unit.1)).find(|(tenths, _)| *tenths < 10_240);
    let (tenths, name) = fitting.unwrap_or_default();
    format!("{}.{} {name}", tenths / 10, tenths % 10)
}

/// Formats a number without long rows of zeros: `0.25`, `1e-200`, `1e300`.
///
/// ```
/// use hypertape_solver::text::plain;
/// assert_eq!([0.25, 100.0, 1e-12, 1e200].map(plain), ["0.25", "100", "1e-12", "1e200"]);
/// ```
pub fn plain(value: f64) -> String {
    let text = format!("{value:?}");
    text.strip_suffix(".0").unwrap_or(&text).to_owned()
}

/// Rounds a number to 6 significant digits, for messages in which more of them say nothing.
///
/// ```
/// use hypertape_solver::text::{plain, short};
/// assert_eq!(plain(short(0.1 + 0.2)), "0.3");
/// assert_eq!(format!("{:e}", short(8.840284880251307e30)), "8.84028e30");
/// ```
pub fn short(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(value)
}

/// Formats a count with its noun: `1 iteration`, `3 iterations`.
///
/// ```
/// use hypertape_solver::text::counted;
/// assert_eq!([0, 1, 2].map(|n| counted(n, "iteration")), ["0 iterations", "1 iteration", "2 iterations"]);
/// ```
pub fn counted(n: u64, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

/// Joins words of which one is expected: `sgd, saga or page`.
///
/// ```
/// use hypertape_solver::text::either;
/// assert_eq!(either(&["one", "class", "feature"]), "one, class or feature");
/// assert_eq!(either(&["states", "tapes"]), "states or tapes");
/// ```
pub fn either(words: &[&str]) -> String {
    match words {
        [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        words => words.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let cases = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1025, "1.1 KiB"),
            (1536, "1.5 KiB"),
            (1024 * 1024 - 1, "1.0 MiB"),
            (1024 * 1024, "1.0 MiB"),
            (12_897_485, "12.4 MiB"),
            (u64::MAX, "16.0 EiB"),
        ];
        for (n, expected) in cases {
            assert_eq!(bytes(n), expected);
        }
    }
}
