//! Aligned tables, and numbers formatted for people.

use std::fmt;

pub(crate) use hypertape_solver::text::{bytes, plain};

/// Alignment of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// A table that prints with two spaces between its columns and no newline at its end.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    /// The alignment of each column.
    pub(crate) align: Vec<Align>,
    /// The header and the rows.
    pub(crate) lines: Vec<Vec<String>>,
}

/// The header of a column, and the function that gives its cell in a row.
pub(crate) type Column<'c, R> = (&'c str, &'c dyn Fn(&R) -> String);

impl Table {
    /// Creates a table with a header and no rows. A name that begins with `>` is the header of a column of numbers.
    pub(crate) fn new<N: AsRef<str>>(columns: impl IntoIterator<Item = N>) -> Self {
        let column = |name: N| match name.as_ref().strip_prefix('>') {
            Some(name) => (name.to_owned(), Align::Right),
            None => (name.as_ref().to_owned(), Align::Left),
        };
        let (header, align) = columns.into_iter().map(column).unzip();
        Self { align, lines: vec![header] }
    }

    /// Creates a table with one row for each of `rows`.
    pub(crate) fn of<R, N: AsRef<str>>(rows: &[R], columns: &[(N, impl Fn(&R) -> String)]) -> Self {
        let cells = |row| columns.iter().map(move |(_, cell)| cell(row));
        Self::new(columns.iter().map(|(name, _)| name)).with(rows.iter().map(cells))
    }

    /// Adds rows.
    pub(crate) fn with<T: Into<String>>(
        mut self,
        rows: impl IntoIterator<Item: IntoIterator<Item = T>>,
    ) -> Self {
        rows.into_iter().for_each(|row| self.push(row));
        self
    }

    /// Adds a row. Cells that are missing stay blank, and cells beyond the last column are dropped.
    pub(crate) fn push<T: Into<String>>(&mut self, row: impl IntoIterator<Item = T>) {
        let mut row: Vec<String> = row.into_iter().map(Into::into).collect();
        row.resize(self.align.len(), String::new());
        self.lines.push(row);
    }

    /// The table in Markdown.
    pub(crate) fn markdown(&self) -> String {
        let rule = self.align.iter().map(|a| if *a == Align::Left { ":--" } else { "--:" });
        let rule = rule.map(str::to_owned).collect();
        let mut lines: Vec<&Vec<String>> = self.lines.iter().collect();
        lines.insert(1, &rule);
        let row = |row: &&Vec<String>| {
            let cells = row.iter().map(|cell| cell.replace('|', "\\|").replace('\n', " "));
            format!("| {} |", cells.collect::<Vec<_>>().join(" | "))
        };
        lines.iter().map(row).collect::<Vec<_>>().join("\n")
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| {
            self.lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.align.len()).map(width).collect();
        for (i, line) in self.lines.iter().enumerate() {
            let cells = line.iter().zip(&self.align).zip(&widths);
            let padded: Vec<String> = cells
                .map(|((cell, align), &width)| match align {
                    Align::Left => format!("{cell:<width$}"),
                    Align::Right => format!("{cell:>width$}"),
                })
                .collect();
            let newline = if i == 0 { "" } else { "\n" };
            write!(f, "{newline}{}", padded.join("  ").trim_end())?;
        }
        Ok(())
    }
}

/// A number for JSON, which has neither `NaN` nor infinity.
pub(crate) fn finite(value: f64) -> Option<f64> {
    Some(value).filter(|v| v.is_finite())
}

/// Formats a number that may be missing.
pub(crate) fn known(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| significant(value, digits))
}

/// A duration to three significant digits, in a suitable unit: `812 µs`.
pub(crate) fn seconds(s: f64) -> String {
    let exponent = exponent(s, 3);
    let (unit, thousandths) = match exponent.div_euclid(3) {
        0.. => ("s", 0),
        -1 => ("ms", 1),
        -2 => ("µs", 2),
        _ => ("ns", 3),
    };
    let value = s * 1000_f64.powi(thousandths);
    format!("{value:.*} {unit}", decimals(exponent + 3 * thousandths, 3))
}

/// A number rounded to `digits` significant digits, in plain notation from 0.0001 up to ten million and with an
/// exponent otherwise: `0.06512`, `12340`, `1.234e-9`.
pub(crate) fn significant(x: f64, digits: usize) -> String {
    if x == 0.0 {
        return "0".to_owned();
    }
    let scientific = format!("{x:.*e}", digits.saturating_sub(1));
    let exponent = exponent(x, digits);
    match scientific.parse::<f64>() {
        Ok(rounded) if x.is_finite() && (-4..7).contains(&exponent) => {
            format!("{rounded:.*}", decimals(exponent, digits))
        }
        _ => scientific,
    }
}

/// The decimal exponent of `x` after rounding to `digits` significant digits, or 0 if it has none.
fn exponent(x: f64, digits: usize) -> i32 {
    let text = format!("{x:.*e}", digits.saturating_sub(1));
    text.split_once('e').and_then(|(_, exponent)| exponent.parse().ok()).unwrap_or(0)
}

/// The number of decimals that show `digits` significant digits of a number with this decimal exponent.
fn decimals(exponent: i32, digits: usize) -> usize {
    let digits = i32::try_from(digits).unwrap_or(i32::MAX);
    usize::try_from(digits.saturating_sub(1).saturating_sub(exponent)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(["method", ">time", "note"]);
        table.push(["store", "812 µs", ""]);
        table.push(["checkpoint", "1.23 ms", "exact"]);
        table.push(["a"]);
        let expected = "\
method         time  note
store        812 µs
checkpoint  1.23 ms  exact
a";
        assert_eq!(table.to_string(), expected);
    }

    #[test]
    fn empty_tables_print() {
        assert_eq!(Table::new([""; 0]).to_string(), "");
        assert_eq!(Table::new([">a", "b"]).to_string(), "a  b");
    }

    #[test]
    fn durations() {
        let cases = [
            (0.0, "0.00 s"),
            (1.23e-3, "1.23 ms"),
            (4.56, "4.56 s"),
            (812e-6, "812 µs"),
            (35.2e-9, "35.2 ns"),
            (1.23e-10, "0.123 ns"),
            (999.6e-6, "1.00 ms"),
            (9.996, "10.0 s"),
            (59.96, "60.0 s"),
            (4567.8, "4568 s"),
            (f64::NAN, "NaN s"),
            (f64::INFINITY, "inf s"),
        ];
        for (s, expected) in cases {
            assert_eq!(seconds(s), expected);
        }
    }

    #[test]
    fn significant_digits() {
        let cases = [
            (0.065_123, "0.06512"),
            (1.234e-9, "1.234e-9"),
            (12_344.0, "12340"),
            (0.5, "0.5000"),
            (-2.0, "-2.000"),
            (9.9996, "10.00"),
            (0.000_099_999, "0.0001000"),
            (0.000_012_34, "1.234e-5"),
            (1_234_567.0, "1235000"),
            (9_999_999.0, "1.000e7"),
            (0.0, "0"),
            (-0.0, "0"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::MAX, "1.798e308"),
        ];
        for (x, expected) in cases {
            assert_eq!(significant(x, 4), expected);
        }
        assert_eq!(significant(1234.5, 0), "1000");
        assert_eq!(significant(0.1, 17), "0.10000000000000001");
    }
}
