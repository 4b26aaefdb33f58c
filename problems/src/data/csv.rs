//! Dense rows of numbers with any separator, and a label in one column.
//!
//! Empty lines and lines that begin with `#` are skipped. The separator is the first of tab, semicolon, comma and blank
//! for which the first lines have equally many fields. The first line is taken for a header if it
//! - consists of names alone, or has a name in a column that continues with numbers;
//! - counts its columns from 0, as pandas does: at least eight of them, or three if numbers with fractions follow;
//! - gives the numbers of samples and features and then the names of classes, as scikit-learn's own files do.

use std::borrow::Cow;
use std::io::BufRead;

use hypertape_autodiff::Element;
use hypertape_solver::Error;

use super::source::{Features, Lines, Name, Table, number, shown};

/// Number of lines from which the separator and the header are detected.
const FIRST: usize = 10;

/// Reads a table. The labels are in the column with the name or number (from 1) `label`, or in the last column. Columns
/// are separated by `delimiter`, or by the separator that is detected.
pub(crate) fn read<T: Element>(
    name: Name,
    reader: impl BufRead,
    (label, delimiter): (Option<&str>, Option<char>),
) -> Result<Table<T>, Error> {
    let content = |line: &Result<(u64, String), Error>| {
        line.as_ref().map_or(true, |(_, text)| !text.trim().is_empty() && !text.starts_with('#'))
    };
    let mut lines = Lines::new(name, reader).filter(content);
    let first: Vec<_> = lines.by_ref().take(FIRST).collect::<Result<_, _>>()?;
    let detected = detect(&first);
    let separator = delimiter.unwrap_or(detected);
    let rows = first.iter().map(|(line, text)| fields(name, *line, text, separator));
    let rows: Vec<Vec<Cow<str>>> = rows.collect::<Result<_, _>>()?;
    let hint = if separator == detected {
        String::new()
    } else {
        format!("; is the delimiter {}?", named(detected))
    };
    let (mut notes, mut head) = (Vec::new(), None);
    let begins = header(&rows).unwrap_or(Begins::Samples);
    if let Begins::Guessed(why) = begins {
        let text = shown(&first[0].1);
        notes.push(format!("{}: the first line, {text}, is taken for a header, as {why}", name.0));
    }
    if begins != Begins::Samples {
        head = Some(&rows[0]);
    }
    let skipped = usize::from(head.is_some());
    let Some(width) = rows.get(skipped).map(Vec::len) else {
        return Err(name.told("", "no samples"));
    };
    if width < 2 {
        let why = "one column, where a label and a feature are needed";
        return Err(name.told(format_args!(":{}", first[skipped].0), why.to_owned() + &hint));
    }
    let place = column(head, width, label).map_err(|why| name.told("", why + &hint))?;
    let (mut values, mut labels) = (Vec::new(), Vec::new());
    let rest = first.iter().skip(skipped).map(|(line, text)| Ok((*line, Cow::from(text))));
    for row in rest.chain(lines.map(|line| line.map(|(line, text)| (line, Cow::from(text))))) {
        let (line, text) = row?;
        let row = fields(name, line, &text, separator)?;
        if row.len() != width {
            let (first, found) = (first[skipped].0, row.len());
            let why = format!("{found} fields, where line {first} has {width}{hint}");
            return Err(name.told(format_args!(":{line}"), why));
        }
        for (i, field) in row.iter().enumerate() {
            if i == place {
                labels.push(name.label(format_args!(":{line}"), field)?);
            } else {
                let number = number(field).ok_or_else(|| {
                    let column = i + 1;
                    let what = match field.trim() {
                        "" => format!("column {column} is empty, where a feature needs a number"),
                        text => format!(
                            "column {column} holds {:?}, which is no finite number; if the labels are there, pass --label {column}",
                            shown(text)
                        ),
                    };
                    name.told(format_args!(":{line}"), what)
                })?;
                values.push(name.element(|| format!(":{line}"), number)?);
            }
        }
    }
    Ok(Table { features: Features::Dense(values), labels, notes })
}

/// Returns the index of the label column among `width` columns, or the reason why there is none.
fn column(
    head: Option<&Vec<Cow<str>>>,
    width: usize,
    label: Option<&str>,
) -> Result<usize, String> {
    let Some(label) = label else { return Ok(width - 1) };
    let named = head.and_then(|head| head.iter().position(|field| field.trim() == label));
    let numbered = label.parse().ok().filter(|n| (1..=width).contains(n)).map(|n: usize| n - 1);
    named.or(numbered).ok_or_else(|| {
        let has = match head {
            Some(head) => format!("the header has {}", shown(&head.join(", "))),
            None => format!("there are {width}"),
        };
        format!("no column {:?}: {has}; numbers count from 1", shown(label))
    })
}

/// Detects the separator. The first line is left out if there are others, because a header may have another number of
/// fields.
fn detect(lines: &[(u64, String)]) -> char {
    let lines = if lines.len() > 1 { &lines[1..] } else { lines };
    let fits = |separator: &char| {
        let mut counts = lines.iter().map(|(_, text)| split(text, *separator).count());
        counts.next().is_some_and(|first| first > 1 && counts.all(|count| count == first))
    };
    ['\t', ';', ',', ' '].into_iter().find(fits).unwrap_or(',')
}

/// A separator as users type it.
fn named(separator: char) -> String {
    match separator {
        '\t' => "tab".to_owned(),
        ' ' => "space".to_owned(),
        other => other.to_string(),
    }
}

/// Splits a line without quotes. For blanks, any number of them is one separator.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let blanks = separator == ' ';
    text.split(move |c: char| if blanks { c.is_whitespace() } else { c == separator })
        .filter(move |field| !blanks || !field.is_empty())
}

/// Splits a line into fields. A quoted field may contain separators, and two quotes in it stand for one.
fn fields<'l>(
    name: Name,
    line: u64,
    text: &'l str,
    separator: char,
) -> Result<Vec<Cow<'l, str>>, Error> {
    if !text.contains('"') {
        return Ok(split(text, separator).map(Cow::from).collect());
    }
    let (mut fields, mut quoted) = (vec![String::new()], false);
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let (last, next) = (fields.len() - 1, rest.peek());
        match c {
            '"' if quoted && next == Some(&'"') => {
                rest.next();
                fields[last].push('"');
            }
            '"' => quoted = !quoted,
            _ if quoted || c != separator => fields[last].push(c),
            ' ' if fields[last].is_empty() || next.is_none() => {}
            _ => fields.push(String::new()),
        }
    }
    if quoted {
        return Err(name.told(format_args!(":{line}"), "a quote that does not end in its line"));
    }
    Ok(fields.into_iter().map(Cow::from).collect())
}

/// The kind of the first line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begins {
    Samples,
    /// A header of names alone.
    Header,
    /// A header, recognised for this reason.
    Guessed(&'static str),
}

/// Whether the first line is a header, and why.
fn header(rows: &[Vec<Cow<str>>]) -> Option<Begins> {
    let (first, others) = rows.split_first()?;
    let number = |field: &Cow<str>| {
        let field = field.trim();
        field.parse::<f64>().is_ok() || ["true", "false"].contains(&&*field.to_ascii_lowercase())
    };
    if !first.iter().any(number) {
        return Some(Begins::Header);
    }
    let second = others.first()?;
    let whole = |field: &Cow<str>| field.trim().parse::<usize>().ok();
    let counts = first.len() > 2 && whole(&first[0]).is_some();
    if counts
        && first.get(1).and_then(whole) == Some(second.len() - 1)
        && !first[2..].iter().any(number)
    {
        return Some(Begins::Guessed("it counts samples and features and names classes"));
    }
    if first.len() != second.len() {
        return None;
    }
    if first.iter().zip(second).any(|(a, b)| !number(a) && number(b)) {
        return Some(Begins::Guessed("it has a name where numbers follow"));
    }
    let numbers: Vec<_> = first.iter().take_while(|field| number(field)).collect();
    let counted = numbers.iter().enumerate().all(|(i, field)| whole(field) == Some(i));
    let fractions = others.iter().flatten().any(|field| number(field) && field.contains('.'));
    let columns = numbers.len();
    let all = columns + 1 >= first.len();
    (all && counted && (columns >= 8 || columns >= 3 && fractions))
        .then_some(Begins::Guessed("it counts the columns"))
}
