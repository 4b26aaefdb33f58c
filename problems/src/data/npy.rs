//! Numpy's arrays, files in `.npy`: formats 1.0 to 3.0, numbers of four or eight bytes in either order.

use std::io::{self, ErrorKind, Read};

/// An array of up to two dimensions: one of `n` values has `n` rows and one column.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    /// The first dimension.
    pub rows: usize,
    /// The second dimension.
    pub cols: usize,
    /// The values, row after row.
    pub values: Vec<f64>,
}

#[expect(clippy::needless_pass_by_value, reason = "what `map_err` hands over")]
fn told(error: io::Error) -> String {
    error.to_string()
}

/// Reads one array. Memory grows with the values that are there, not with what a header claims.
///
/// # Errors
/// What is wrong, in words.
pub fn read(mut reader: impl Read) -> Result<Matrix, String> {
    let Header { descr, fortran_order, shape } = Header::read(&mut reader)?;
    let Some((width, big_endian, decode)) = decoder(&descr) else {
        return Err(format!(
            "dtype {descr} is not supported, expected f4, f8, i4 or i8 of either byte order"
        ));
    };
    let (rows, cols) = match *shape {
        [] => (1, 1),
        [n] => (n, 1),
        [rows, cols] => (rows, cols),
        _ => return Err(format!("{} dimensions {shape:?}, expected at most 2", shape.len())),
    };
    let Some(count) = rows.checked_mul(cols) else {
        return Err(format!("shape ({rows}, {cols}) has more values than any file can hold"));
    };

    let mut data = Vec::new();
    for found in 0..count {
        let mut bytes = [0; 8];
        match reader.read_exact(&mut bytes[..width]) {
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => {
                return Err(format!(
                    "truncated, its header announces {count} values and {found} are there"
                ));
            }
            result => result.map_err(told)?,
        }
        if big_endian {
            bytes[..width].reverse();
        }
        data.push(decode(bytes));
    }
    let trailing = io::copy(&mut reader, &mut io::sink()).map_err(told)?;
    if trailing > 0 {
        return Err(format!(
            "{trailing} bytes follow the {count} values that its header announces"
        ));
    }

    let size = |n| usize::try_from(n).map_err(|_| format!("a dimension of {n}, expected less"));
    let (rows, cols) = (size(rows)?, size(cols)?);
    if fortran_order {
        data = (0..data.len()).map(|i| data[i % cols * rows + i / cols]).collect();
    }
    if let Some(i) = data.iter().position(|value| !value.is_finite()) {
        return Err(format!("value {} at index {i}, expected finite numbers", data[i]));
    }
    Ok(Matrix { rows, cols, values: data })
}

type Decode = fn([u8; 8]) -> f64;

/// The width of a value in bytes, whether it is big-endian, and how to decode it once its bytes
/// are in little-endian order and padded at their end.
fn decoder(descr: &str) -> Option<(usize, bool, Decode)> {
    fn low([a, b, c, d, ..]: [u8; 8]) -> [u8; 4] {
        [a, b, c, d]
    }
    let (order, kind) = descr.strip_prefix('\'')?.strip_suffix('\'')?.split_at_checked(1)?;
    let big_endian = match order {
        "<" => false,
        ">" => true,
        _ => return None,
    };
    let (width, decode): (usize, Decode) = match kind {
        "f4" => (4, |bytes| f32::from_le_bytes(low(bytes)).into()),
        "f8" => (8, f64::from_le_bytes),
        "i4" => (4, |bytes| i32::from_le_bytes(low(bytes)).into()),
        "i8" => (8, |bytes| i64::from_le_bytes(bytes) as f64),
        _ => return None,
    };
    Some((width, big_endian, decode))
}

/// What stands before the values of an array.
///
/// The header reader of npyz trusts the file: it multiplies the dimensions unchecked and allocates
/// the announced length. Its errors repeat the whole header over several lines.
struct Header {
    /// The dtype as a Python literal.
    descr: String,
    fortran_order: bool,
    shape: Vec<u64>,
}

impl Header {
    fn read(reader: &mut impl Read) -> Result<Self, String> {
        let mut take = |n: u64| {
            let mut bytes = Vec::new();
            reader.by_ref().take(n).read_to_end(&mut bytes).map(|_| bytes).map_err(told)
        };
        let start = take(8)?;
        let Some(&[major, minor]) = start.strip_prefix(b"\x93NUMPY") else {
            return Err("not an npy file, expected it to start with the bytes \\x93NUMPY".into());
        };
        let length_width = match major {
            1 => 2,
            2 | 3 => 4,
            _ => {
                return Err(format!(
                    "npy format {major}.{minor} is not supported, expected 1.0, 2.0 or 3.0"
                ));
            }
        };
        let length = take(length_width)?.iter().rfold(0, |n, &byte| n << 8 | u64::from(byte));
        let text = take(length)?;
        if text.len() as u64 != length {
            let found = text.len();
            return Err(format!(
                "malformed header, {length} bytes announced and {found} are there"
            ));
        }
        let text = String::from_utf8_lossy(&text);
        Self::parse(text.trim()).ok_or_else(|| {
            let excerpt: String = text.trim().chars().take(80).collect();
            format!(
                "malformed header {excerpt:?}, expected {{'descr': '<f8', 'fortran_order': False, \
                 'shape': (2, 3)}}"
            )
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        let mut rest = text.strip_prefix('{')?.strip_suffix('}')?.trim_start();
        while !rest.is_empty() {
            let (key, after) = rest.split_once(':')?;
            let (value, tail) = after.split_at(literal_len(after)?);
            let value = value.trim();
            match key.trim() {
                "'descr'" => descr = Some(value.to_owned()),
                "'fortran_order'" => {
                    fortran_order = match value {
                        "False" => Some(false),
                        "True" => Some(true),
                        _ => None,
                    }
                }
                "'shape'" => {
                    let inner = value.strip_prefix('(')?.strip_suffix(')')?.trim();
                    let inner = inner.strip_suffix(',').unwrap_or(inner);
                    let dims = inner.split(',').filter(|_| !inner.is_empty());
                    shape = Some(dims.map(|n| n.trim().parse().ok()).collect::<Option<_>>()?);
                }
                _ => return None,
            }
            rest = tail.strip_prefix(',').unwrap_or(tail).trim_start();
        }
        Some(Self { descr: descr?, fortran_order: fortran_order?, shape: shape? })
    }
}

/// The length of the Python literal that `text` starts with: up to a comma outside of quotes and
/// brackets, or to the end.
fn literal_len(text: &str) -> Option<usize> {
    let (mut depth, mut quoted) = (0_usize, false);
    for (i, c) in text.char_indices() {
        match c {
            '\'' => quoted = !quoted,
            _ if quoted => {}
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.checked_sub(1)?,
            ',' if depth == 0 => return Some(i),
            _ => {}
        }
    }
    (depth == 0 && !quoted).then_some(text.len())
}
