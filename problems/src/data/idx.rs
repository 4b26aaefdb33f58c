//! IDX, the format of MNIST. A file consists of two zero bytes, a type, the number of dimensions, the size of each
//! dimension in four bytes (the slowest dimension first), and the values, all in big-endian order.

use std::io::{ErrorKind, Read};

use hypertape_autodiff::Element;
use hypertape_solver::Error;

use super::npy::values_of;
use super::source::{Name, Rows};

/// Largest number of values: 16 GiB of doubles.
const MOST: usize = 1 << 31;

/// Reads an array; bytes are divided by 255 if `scaled`.
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
    let known =
        [(8, "'|u1'"), (9, "'|i1'"), (11, "'>i2'"), (12, "'>i4'"), (13, "'>f4'"), (14, "'>f8'")];
    let known = known.iter().find(|(number, _)| *number == kind);
    let Some(each) = known.and_then(|(_, descr)| values_of(descr)) else {
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
        let value = each.next(&mut reader).map_err(|e| match e.kind() {
            ErrorKind::UnexpectedEof => {
                let found = format!("the end after {i} values");
                name.wrong(format_args!(" byte {at}"), found, format!("{count}"))
            }
            _ => name.unreadable(&e),
        })?;
        values.push(name.element(|| format!(" byte {at}"), value / scale)?);
        at += each.width;
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
