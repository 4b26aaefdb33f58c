//! Arrays of the kind in which MNIST comes: two zero bytes, a type, a number of dimensions, each of these in four bytes, the
//! first the slowest, then the values, all with the highest byte first.

use std::io::{ErrorKind, Read};

use hypertape_autodiff::Element;
use hypertape_solver::Error;

use super::source::{Name, Rows};

/// Most values: 16 GiB of doubles.
const MOST: usize = 1 << 31;

/// Bytes a value, and the value of so many bytes, which are padded at their end.
type Decode = (usize, fn([u8; 8]) -> f64);

fn decoder(kind: u8) -> Option<Decode> {
    fn four([a, b, c, d, ..]: [u8; 8]) -> [u8; 4] {
        [a, b, c, d]
    }
    Some(match kind {
        0x08 => (1, |b| f64::from(b[0])),
        0x09 => (1, |b| f64::from(b[0].cast_signed())),
        0x0B => (2, |b| f64::from(i16::from_be_bytes([b[0], b[1]]))),
        0x0C => (4, |b| f64::from(i32::from_be_bytes(four(b)))),
        0x0D => (4, |b| f64::from(f32::from_be_bytes(four(b)))),
        0x0E => (8, f64::from_be_bytes),
        _ => return None,
    })
}

/// Reads an array, bytes over 255 if they are to be `scaled`.
pub(crate) fn read<T: Element>(
    name: Name,
    mut reader: impl Read,
    scaled: bool,
) -> Result<Rows<T>, Error> {
    let mut at = 0;
    let magic: [u8; 4] = take(name, &mut reader, &mut at, "a header")?;
    let [0, 0, kind, dimensions @ 1..=8] = magic else {
        let found = format!("{magic:?}");
        return Err(name.wrong(" byte 0", found, "0, 0, a type and from 1 to 8 dimensions"));
    };
    let Some((width, decode)) = decoder(kind) else {
        let expected = "8, 9, 11, 12, 13 or 14";
        return Err(name.wrong(" byte 2", format!("type {kind}"), expected));
    };
    let mut sizes = Vec::new();
    for _ in 0..dimensions {
        sizes
            .push(u32::from_be_bytes(take(name, &mut reader, &mut at, "the size of a dimension")?)
                as usize);
    }
    let (rows, others) = (sizes[0], &sizes[1..]);
    let product = |sizes: &[usize]| sizes.iter().try_fold(1_usize, |n, &size| n.checked_mul(size));
    let (Some(cols), Some(count)) = (product(others), product(&sizes).filter(|&n| n <= MOST))
    else {
        let found = format!("dimensions {sizes:?}");
        return Err(name.wrong(" byte 4", found, format!("{MOST} values at most")));
    };
    let scale = if scaled && kind == 0x08 { 255.0 } else { 1.0 };
    let mut values = Vec::new();
    for i in 0..count {
        let mut bytes = [0; 8];
        if let Err(e) = reader.read_exact(&mut bytes[..width]) {
            if e.kind() != ErrorKind::UnexpectedEof {
                return Err(name.unreadable(&e));
            }
            let found = format!("the end after {i} values");
            return Err(name.wrong(format_args!(" byte {at}"), found, format!("{count}")));
        }
        values.push(name.element(|| format!(" byte {at}"), decode(bytes) / scale)?);
        at += width;
    }
    match reader.read(&mut [0]) {
        Ok(0) => Ok(Rows { count: rows, cols, values }),
        Ok(_) => {
            let expected = format!("the end after {count} values");
            Err(name.wrong(format_args!(" byte {at}"), "more bytes", expected))
        }
        Err(e) => Err(name.unreadable(&e)),
    }
}

fn take(name: Name, reader: &mut impl Read, at: &mut usize, what: &str) -> Result<[u8; 4], Error> {
    let mut bytes = [0; 4];
    match reader.read_exact(&mut bytes) {
        Ok(()) => {
            *at += 4;
            Ok(bytes)
        }
        Err(e) if e.kind() == ErrorKind::UnexpectedEof => {
            Err(name.wrong(format_args!(" byte {at}"), "the end", what))
        }
        Err(e) => Err(name.unreadable(&e)),
    }
}
