//! Parsers for the values of options. An error says what was expected.

use serde::{Deserialize, Serialize};

use hypertape_solver::{Range, Value};

/// Returns the parser of numbers in `range`.
pub(crate) fn within<V: Value>(range: Range) -> impl Fn(&str) -> Result<V, String> + Clone {
    move |text| {
        let value = V::read(Some(text)).filter(|value| value.number().is_some_and(range.holds));
        value.ok_or_else(|| format!("expected {}", range.expected))
    }
}

pub(crate) const ABOVE_ONE: Range =
    Range::new("a finite number above 1", |a| a > 1.0 && a.is_finite());

pub(crate) fn seed(text: &str) -> Result<u64, &'static str> {
    text.parse().map_err(|_| "expected a whole number from 0 to 2^64 - 1")
}

/// The number of draws is limited because the result of every draw is kept.
pub(crate) fn draws(text: &str) -> Result<u64, &'static str> {
    let number = text.parse().ok().filter(|&n| n <= 1_000_000);
    number.ok_or("expected a whole number from 0 to 1000000")
}

pub(crate) fn delimiter(text: &str) -> Result<char, &'static str> {
    match text {
        "tab" | "\\t" => Ok('\t'),
        "space" => Ok(' '),
        _ => text.parse().map_err(|_| "expected a character, tab or space"),
    }
}

/// `N,M,K`
pub(crate) fn split(text: &str) -> Result<[usize; 3], &'static str> {
    let sizes: Option<Vec<usize>> = text.split(',').map(|n| n.parse().ok()).collect();
    let sizes = sizes.and_then(|sizes| sizes.try_into().ok());
    sizes.ok_or("expected three whole numbers, such as 900,400,497")
}

/// `I/N`, with `1 <= I <= N`.
pub(crate) fn shard(text: &str) -> Result<(usize, usize), &'static str> {
    let parts = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
    parts.filter(|&(i, n)| 0 < i && i <= n).ok_or("expected I/N with I from 1 to N")
}

/// Reads `1000`, `64KiB`, `1.5GiB`, `10MB`.
///
/// # Errors
/// Returns what was expected, if `text` is anything else.
pub fn bytes(text: &str) -> Result<u64, &'static str> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match unit {
        "" | "B" => 1.0,
        "KiB" => 1024.0,
        "MiB" => 1_048_576.0,
        "GiB" => 1_073_741_824.0,
        "kB" | "KB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        _ => f64::NAN,
    };
    let bytes = number.parse::<f64>().map_or(f64::NAN, |number| number * unit);
    if (0.0..1e18).contains(&bytes) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range")]
        Ok(bytes as u64)
    } else {
        Err("expected bytes, such as 4096, 64MiB or 1.5GB")
    }
}

/// A step size, or `auto` for one that follows from the curvature.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Lr {
    Auto,
    #[serde(untagged)]
    Size(f64),
}

/// Parses a step size, or `auto`.
pub(crate) fn lr(text: &str) -> Result<Lr, String> {
    if text == "auto" {
        return Ok(Lr::Auto);
    }
    within(Range::POSITIVE)(text).map(Lr::Size).map_err(|why| why + ", or auto")
}
