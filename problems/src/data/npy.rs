//! NumPy's `.npy` format. Formats 1.0 to 3.0 are read, with booleans, integers and floating point numbers of every size
//! up to eight bytes, in either byte order. Arrays are written as little-endian doubles or as bytes, exactly as NumPy
//! writes them.

use std::io::{self, ErrorKind, Read, Write};

/// An array as a matrix. An array of `n` values has `n` rows and one column; of more than two dimensions, all but the
/// first are flattened into a row.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    /// First dimension.
    pub rows: usize,
    /// Product of the other dimensions.
    pub cols: usize,
    /// Values in row-major order.
    pub values: Vec<f64>,
}

#[expect(clippy::needless_pass_by_value, reason = "what `map_err` hands over")]
fn told(error: io::Error) -> String {
    error.to_string()
}

/// Reads one array. Memory grows with the values that are present, not with what the header claims.
///
/// # Errors
/// Returns a message that says what is wrong.
pub fn read(reader: impl Read) -> Result<Matrix, String> {
    read_at_most(reader, u64::MAX)
}

/// Reads one array of at most `most` values. A larger array is refused by its header, before its values are read.
///
/// # Errors
/// Returns a message that says what is wrong.
pub fn read_at_most(mut reader: impl Read, most: u64) -> Result<Matrix, String> {
    let Header { descr, fortran_order, shape } = Header::read(&mut reader)?;
    let Some(each) = values_of(&descr) else {
        return Err(format!(
            "dtype {descr} is not supported, expected b1, u1 to u8, i1 to i8 or f2 to f8"
        ));
    };
    let product = |sizes: &[u64]| sizes.iter().try_fold(1_u64, |n, &size| n.checked_mul(size));
    let rows = shape.first().copied().unwrap_or(1);
    let cols = shape.get(1..).map_or(Some(1), product);
    let Some((cols, count)) = cols.and_then(|cols| Some((cols, rows.checked_mul(cols)?))) else {
        return Err(format!("shape {} has more values than any file can hold", shown(&shape)));
    };
    if count > most {
        return Err(format!("shape {} has {count} values, expected at most {most}", shown(&shape)));
    }

    let mut data = Vec::new();
    for found in 0..count {
        match each.next(&mut reader) {
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => {
                return Err(format!(
                    "truncated, its header announces {count} values and {found} are there"
                ));
            }
            value => data.push(value.map_err(told)?),
        }
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
        // Maps an index in row-major order to the index in column-major order.
        let place = |i: usize| {
            let (mut rest, mut stride, mut place) = (i, data.len(), 0);
            for size in shape.iter().rev().filter_map(|&n| usize::try_from(n).ok()) {
                stride /= size;
                place += rest % size * stride;
                rest /= size;
            }
            place
        };
        data = (0..data.len()).map(|i| data[place(i)]).collect();
    }
    if let Some(i) = data.iter().position(|value| !value.is_finite()) {
        return Err(format!("value {} at index {i}, expected finite numbers", data[i]));
    }
    Ok(Matrix { rows, cols, values: data })
}

/// Writes `values`, in row-major order, as an array of two dimensions. The bytes are those of `numpy.save`.
///
/// ```
/// let mut file = Vec::new();
/// hypertape_problems::data::npy::write(&mut file, [1, 2], [0.5, -1.0])?;
/// assert!(file.starts_with(b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f8', 'fortran_order': False, 'shape': (1, 2), } "));
/// assert_eq!((file.len(), file[127]), (128 + 16, b'\n'));
/// assert_eq!(hypertape_problems::data::npy::read(&file[..])?.values, [0.5, -1.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Returns the errors of `writer`.
pub fn write(
    mut writer: impl Write,
    [rows, cols]: [usize; 2],
    values: impl IntoIterator<Item = f64>,
) -> io::Result<()> {
    write_header(&mut writer, "<f8", &format!("{rows}, {cols}"))?;
    for value in values {
        writer.write_all(&value.to_le_bytes())?;
    }
    Ok(())
}

/// Writes bytes as an array of one dimension.
///
/// # Errors
/// Returns the errors of `writer`.
pub fn write_bytes(mut writer: impl Write, bytes: &[u8]) -> io::Result<()> {
    write_header(&mut writer, "|u1", &format!("{},", bytes.len()))?;
    writer.write_all(bytes)
}

fn write_header(writer: &mut impl Write, descr: &str, shape: &str) -> io::Result<()> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}");
    // With the ten bytes before it and the newline, the header takes 128 bytes, enough for two sizes of 20 digits.
    writer.write_all(b"\x93NUMPY\x01\x00\x76\x00")?;
    writeln!(writer, "{header:117}")
}

/// Formats a shape as NumPy prints it.
fn shown(shape: &[u64]) -> String {
    let sizes: Vec<_> = shape.iter().map(u64::to_string).collect();
    format!("({})", sizes.join(", "))
}

/// Reads values of one type.
pub(super) struct Values {
    /// Bytes per value.
    pub(super) width: usize,
    big_endian: bool,
    /// Converts little-endian bytes, padded with zeros at the end, to a value.
    decode: fn([u8; 8]) -> f64,
}

impl Values {
    /// Reads the next value.
    pub(super) fn next(&self, reader: &mut impl Read) -> io::Result<f64> {
        let mut bytes = [0; 8];
        reader.read_exact(&mut bytes[..self.width])?;
        if self.big_endian {
            bytes[..self.width].reverse();
        }
        Ok((self.decode)(bytes))
    }
}

/// Returns the reader for the type that a header describes. `descr` includes its quotes.
pub(super) fn values_of(descr: &str) -> Option<Values> {
    fn low<const N: usize>(bytes: [u8; 8]) -> [u8; N] {
        std::array::from_fn(|i| bytes[i])
    }
    let (order, kind) = descr.strip_prefix('\'')?.strip_suffix('\'')?.split_at_checked(1)?;
    let (width, decode): (_, fn([u8; 8]) -> f64) = match kind {
        "b1" => (1, |bytes| f64::from(u8::from(bytes[0] != 0))),
        "u1" => (1, |bytes| bytes[0].into()),
        "i1" => (1, |bytes| bytes[0].cast_signed().into()),
        "u2" => (2, |bytes| u16::from_le_bytes(low(bytes)).into()),
        "i2" => (2, |bytes| i16::from_le_bytes(low(bytes)).into()),
        "f2" => (2, |bytes| half(u16::from_le_bytes(low(bytes)))),
        "u4" => (4, |bytes| u32::from_le_bytes(low(bytes)).into()),
        "i4" => (4, |bytes| i32::from_le_bytes(low(bytes)).into()),
        "f4" => (4, |bytes| f32::from_le_bytes(low(bytes)).into()),
        "u8" => (8, |bytes| u64::from_le_bytes(bytes) as f64),
        "i8" => (8, |bytes| i64::from_le_bytes(bytes) as f64),
        "f8" => (8, f64::from_le_bytes),
        _ => return None,
    };
    let known = order == "<" || order == ">" || order == "|" && width == 1;
    known.then_some(Values { width, big_endian: order == ">", decode })
}

/// Converts a number of half precision: a sign, an exponent of 5 bits and a fraction of 10.
fn half(bits: u16) -> f64 {
    let fraction = f64::from(bits & 0x3ff) / 1024.0;
    let size = match i32::from(bits >> 10 & 0x1f) {
        0 => fraction * 2_f64.powi(-14),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        exponent => (1.0 + fraction) * 2_f64.powi(exponent - 15),
    };
    if bits >> 15 == 0 { size } else { -size }
}

/// The header of an array.
pub(super) struct Header {
    /// The dtype as a Python literal.
    pub(super) descr: String,
    fortran_order: bool,
    pub(super) shape: Vec<u64>,
}

impl Header {
    pub(super) fn read(reader: &mut impl Read) -> Result<Self, String> {
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

/// Returns the length of the Python literal at the start of `text`, which ends at a comma outside of quotes and
/// brackets or at the end of the text.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn npy(descr: &str, order: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let text = format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n");
        let length = u16::try_from(text.len()).unwrap().to_le_bytes();
        [b"\x93NUMPY\x01\x00", &length[..], text.as_bytes(), data].concat()
    }

    fn doubles(values: &[f64]) -> Vec<u8> {
        values.iter().flat_map(|v| v.to_le_bytes()).collect()
    }

    fn vector(values: &[f64]) -> Vec<u8> {
        npy("'<f8'", "False", &format!("({},)", values.len()), &doubles(values))
    }

    /// Checks that a file is refused in one line that contains the given parts.
    fn refused(bytes: &[u8], parts: &[&str]) {
        let message = read(bytes).unwrap_err();
        for part in parts {
            assert!(message.contains(part), "no {part:?} in {message:?}");
        }
        assert!(!message.contains('\n'), "{message:?}");
    }

    #[test]
    fn reads_every_dtype() {
        let values = [1.0, -2.0, 300.0];
        let bytes = [
            ("<f8", [1_f64, -2.0, 300.0].map(f64::to_le_bytes).concat()),
            (">f8", [1_f64, -2.0, 300.0].map(f64::to_be_bytes).concat()),
            ("<f4", [1_f32, -2.0, 300.0].map(f32::to_le_bytes).concat()),
            (">f4", [1_f32, -2.0, 300.0].map(f32::to_be_bytes).concat()),
            ("<f2", [0x3c00_u16, 0xc000, 0x5cb0].map(u16::to_le_bytes).concat()),
            ("<i8", [1_i64, -2, 300].map(i64::to_le_bytes).concat()),
            (">i8", [1_i64, -2, 300].map(i64::to_be_bytes).concat()),
            ("<i4", [1_i32, -2, 300].map(i32::to_le_bytes).concat()),
            (">i4", [1_i32, -2, 300].map(i32::to_be_bytes).concat()),
            (">i2", [1_i16, -2, 300].map(i16::to_be_bytes).concat()),
        ];
        for (dtype, bytes) in bytes {
            let file = npy(&format!("'{dtype}'"), "False", "(3,)", &bytes);
            assert_eq!(read(&file[..]).unwrap().values, values, "{dtype}");
        }
        let unsigned = [
            ("|u1", vec![1, 255], [1.0, 255.0]),
            ("|b1", vec![1, 0], [1.0, 0.0]),
            ("|i1", vec![1, 255], [1.0, -1.0]),
            ("<u2", vec![1, 0, 255, 255], [1.0, 65_535.0]),
            (">u4", [1_u32, u32::MAX].map(u32::to_be_bytes).concat(), [1.0, 4_294_967_295.0]),
            (
                "<u8",
                [1_u64, 1 << 53].map(u64::to_le_bytes).concat(),
                [1.0, 9_007_199_254_740_992.0],
            ),
            // The smallest number of half precision, and the largest.
            ("<f2", vec![1, 0, 0xff, 0x7b], [2_f64.powi(-24), 65_504.0]),
        ];
        for (dtype, bytes, values) in unsigned {
            let file = npy(&format!("'{dtype}'"), "False", "(2,)", &bytes);
            assert_eq!(read(&file[..]).unwrap().values, values, "{dtype}");
        }
    }

    #[test]
    fn reads_every_shape() {
        let six = doubles(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let cases = [
            ("()", "False", 1, (1, 1), vec![1.0]),
            ("(0,)", "False", 0, (0, 1), vec![]),
            ("(4,)", "True", 4, (4, 1), vec![1.0, 2.0, 3.0, 4.0]),
            ("(2, 3)", "False", 6, (2, 3), vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
            ("(2, 3)", "True", 6, (2, 3), vec![1.0, 3.0, 5.0, 2.0, 4.0, 6.0]),
            ("(3, 0)", "True", 0, (3, 0), vec![]),
            ("(1, 2, 3)", "False", 6, (1, 6), vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
            ("(2, 3, 1)", "True", 6, (2, 3), vec![1.0, 3.0, 5.0, 2.0, 4.0, 6.0]),
        ];
        for (shape, order, count, (rows, cols), values) in cases {
            let file = npy("'<f8'", order, shape, &six[..8 * count]);
            let expected = Matrix { rows, cols, values };
            assert_eq!(read(&file[..]), Ok(expected), "{shape} {order}");
        }
    }

    #[test]
    fn reads_format_versions_two_and_three() {
        let text = b"{ 'shape':(2,),'descr' : '<f8', 'fortran_order': False}";
        let length = u32::try_from(text.len()).unwrap().to_le_bytes();
        for version in [2, 3] {
            let start = [b"\x93NUMPY", &[version, 0][..], &length, text].concat();
            let file = [start, doubles(&[7.0, 8.0])].concat();
            assert_eq!(read(&file[..]).unwrap().values, [7.0, 8.0]);
        }
    }

    #[test]
    fn refuses_malformed_headers() {
        refused(b"\x93NUMPY\x01\x00\x76\x00{'de", &["118 bytes", "4 are there"]);
        refused(b"\x93NUMPY\x02\x00\xff\xff\xff\xff{", &["4294967295", "1 are"]);
        for other in [&b""[..], b"PK\x03\x04 and so on", b"\x93NUMPY\x01"] {
            refused(other, &["not an npy file"]);
        }
        refused(b"\x93NUMPY\x04\x01\0\0", &["4.1", "3.0"]);
        refused(b"\x93NUMPY\x01\x00", &["malformed header"]);
        for (descr, order, shape) in [
            ("'<f8'", "False", "(-1,)"),
            ("'<f8'", "False", "3"),
            ("'<f8'", "False", "(2 3)"),
            ("'<f8'", "False", "(18446744073709551616,)"),
            ("'<f8'", "0", "(3,)"),
            ("'<f8'", "False", "(3,), 'more': 1"),
            ("'<f8", "False", "(3,)"),
            ("[[[[", "False", "(3,)"),
            (")", "False", "(3,)"),
        ] {
            let file = npy(descr, order, shape, &[]);
            refused(&file, &["malformed header", "'fortran_order'", "expected"]);
        }
        refused(&npy(&"[".repeat(60_000), "False", "()", &[]), &["malformed header"]);
    }

    #[test]
    fn refuses_other_dtypes() {
        for descr in
            ["'<c16'", "'|O'", "'|f8'", "'<U3'", "'f8'", "''", "[('a', '<f8'), ('b', '<i4')]"]
        {
            refused(&npy(descr, "False", "(3,)", &[]), &[descr, "b1, u1 to u8, i1 to i8"]);
        }
    }

    #[test]
    fn refuses_headers_that_claim_too_much() {
        let three = doubles(&[1.0, 2.0, 3.0]);
        refused(&npy("'<f8'", "False", "(2, 2)", &three), &["4 values and 3 are"]);
        refused(&npy("'<f8'", "False", "(3,)", &three[..23]), &["3 values and 2 are"]);
        let huge = "9223372036854775808";
        let file = npy("'<f8'", "False", &format!("({huge},)"), &three);
        refused(&file, &[huge, "3 are there"]);
        let file = npy("'<f8'", "True", &format!("({huge}, 2)"), &three);
        refused(&file, &[huge, "more values than any file can hold"]);
    }

    #[test]
    fn refuses_trailing_bytes() {
        let mut file = vector(&[1.0, 2.0]);
        file.extend([0; 9]);
        refused(&file, &["9 bytes follow the 2 values"]);
    }

    #[test]
    fn refuses_what_is_not_finite() {
        refused(&vector(&[0.0, f64::NAN]), &["NaN at index 1"]);
        refused(&vector(&[f64::NEG_INFINITY]), &["-inf at index 0"]);
        let fortran = npy("'<f8'", "True", "(2, 2)", &doubles(&[0.0, f64::INFINITY, 0.0, 0.0]));
        refused(&fortran, &["inf at index 2"]);
    }
}
