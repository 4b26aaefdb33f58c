//! Named arrays in numpy's `.npy` and `.npz` files.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufReader, Cursor, Read};
use std::path::Path;

use anyhow::{Result, anyhow, bail, ensure};
use npyz::WriterBuilder;
use npyz::npz::{NpzWriter, array_name_from_file_name};
use npyz::zip::write::FileOptions;
use npyz::zip::{CompressionMethod, DateTime, ZipArchive};
use serde::{Deserialize, Serialize};

use super::atomic;
use crate::problems::data::npy;

/// An array of up to two dimensions: one of `n` values has `n` rows and one column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct NamedArray {
    /// Its name.
    pub(crate) name: String,
    /// The first dimension.
    pub(crate) rows: usize,
    /// The second dimension.
    pub(crate) cols: usize,
    /// The values, row after row.
    pub(crate) data: Vec<f64>,
}

/// What a file held.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ArrayFile {
    /// The values of a `.npy` file, row after row.
    Flat(Vec<f64>),
    /// The arrays of a `.npz` file, in its order.
    Named(Vec<NamedArray>),
}

/// Reads a `.npy` or `.npz` file of finite numbers.
pub(crate) fn read(path: &Path) -> Result<ArrayFile> {
    let contents = match path.extension().and_then(|e| e.to_str()) {
        Some("npy") => open(path).and_then(read_npy).map(|array| ArrayFile::Flat(array.data)),
        Some("npz") => open(path).and_then(read_npz).map(ArrayFile::Named),
        _ => Err(anyhow!("unknown kind of file, expected a name that ends in .npy or .npz")),
    };
    contents.map_err(|e| anyhow!("{}: {e:#}", path.display()))
}

/// The values of a file as one vector, in the order in which `into` declares names, rows and
/// columns. `what` opens the error messages.
pub(crate) fn assign(
    file: &ArrayFile,
    into: &[(String, usize, usize)],
    what: &str,
) -> Result<Vec<f64>> {
    let declared = || list(into.iter().map(|(name, rows, cols)| (name, *rows, *cols)));
    let arrays = match file {
        ArrayFile::Flat(data) => {
            let (found, total) = (data.len(), into.iter().map(|(_, r, c)| r * c).sum::<usize>());
            ensure!(
                found == total,
                "{what}: {found} values where {total} are expected: {}",
                declared()
            );
            return Ok(data.clone());
        }
        ArrayFile::Named(arrays) => arrays,
    };
    let mut flat = Vec::new();
    for (name, rows, cols) in into {
        let Some(array) = arrays.iter().find(|array| array.name == *name) else {
            let found = list(arrays.iter().map(|a| (&a.name, a.rows, a.cols)));
            bail!("{what}: missing array {name:?} ({rows}, {cols}), the file holds {found}");
        };
        // Numpy users write a vector as (n,), (n, 1) or (1, n) alike.
        let is_vector = |r, c| r == 1 || c == 1;
        let same = (array.rows, array.cols) == (*rows, *cols)
            || array.data.len() == rows * cols
                && is_vector(array.rows, array.cols)
                && is_vector(*rows, *cols);
        ensure!(
            same,
            "{what}: array {name:?} has shape ({}, {}), expected ({rows}, {cols})",
            array.rows,
            array.cols
        );
        flat.extend_from_slice(&array.data);
    }
    if let Some(NamedArray { name, rows, cols, .. }) =
        arrays.iter().find(|array| into.iter().all(|(name, ..)| array.name != *name))
    {
        bail!("{what}: unknown array {name:?} ({rows}, {cols}), expected only {}", declared());
    }
    Ok(flat)
}

/// Writes a `.npz` file of two-dimensional little-endian doubles. The same arrays give the same
/// bytes.
pub(crate) fn write_npz(path: &Path, arrays: &[NamedArray]) -> Result<()> {
    atomic::write(path, |writer| {
        check_names(arrays)?;
        // Only an archive in memory can be abandoned: the archive writer ends its archive even
        // when dropped after an error, and prints to stderr if it cannot.
        let mut npz = NpzWriter::new(Cursor::new(Vec::new()));
        let options = FileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .last_modified_time(DateTime::default())
            .large_file(true);
        for NamedArray { name, rows, cols, data } in arrays {
            ensure!(
                rows.checked_mul(*cols) == Some(data.len()),
                "array {name:?}: {} values do not fill shape ({rows}, {cols})",
                data.len()
            );
            let mut array = npz
                .array::<f64>(name, options)?
                .dtype(npyz::DType::new_scalar("<f8".parse()?))
                .shape(&[*rows as u64, *cols as u64])
                .begin_nd()?;
            array.extend(data.iter().copied())?;
            array.finish()?;
        }
        writer.write_all(npz.zip_writer().finish()?.get_ref())?;
        Ok(())
    })
}

fn open(path: &Path) -> Result<BufReader<File>> {
    Ok(BufReader::new(File::open(path)?))
}

fn list<'a>(arrays: impl Iterator<Item = (&'a String, usize, usize)>) -> String {
    let arrays: Vec<String> = arrays.map(|(name, r, c)| format!("{name:?} ({r}, {c})")).collect();
    if arrays.is_empty() { "no arrays".to_owned() } else { arrays.join(", ") }
}

fn check_names(arrays: &[NamedArray]) -> Result<()> {
    let mut seen = HashSet::new();
    for NamedArray { name, .. } in arrays {
        ensure!(!name.is_empty(), "an array has an empty name");
        ensure!(seen.insert(name), "two arrays are named {name:?}");
    }
    Ok(())
}

fn read_npz(file: BufReader<File>) -> Result<Vec<NamedArray>> {
    let mut archive = ZipArchive::new(file).map_err(|e| anyhow!("not an npz file: {e}"))?;
    let mut arrays = Vec::new();
    for i in 0..archive.len() {
        let entry = archive.by_index(i).map_err(|e| anyhow!("entry {i} of the archive: {e}"))?;
        let Some(name) = array_name_from_file_name(entry.name()).map(str::to_owned) else {
            bail!("entry {:?} is not an array, expected a name that ends in .npy", entry.name());
        };
        let array =
            read_npy(BufReader::new(entry)).map_err(|e| anyhow!("array {name:?}: {e:#}"))?;
        arrays.push(NamedArray { name, ..array });
    }
    check_names(&arrays)?;
    Ok(arrays)
}

fn read_npy(reader: impl Read) -> Result<NamedArray> {
    let npy::Matrix { rows, cols, values: data } = npy::read(reader).map_err(|why| anyhow!(why))?;
    Ok(NamedArray { name: String::new(), rows, cols, data })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use npyz::zip::ZipWriter;
    use tempfile::tempdir;

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

    fn npz(entries: &[(&str, Vec<u8>)], method: CompressionMethod) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in entries {
            let options = FileOptions::default().compression_method(method);
            zip.start_file(*name, options).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    fn read_bytes(name: &str, bytes: &[u8]) -> Result<ArrayFile> {
        let dir = tempdir().unwrap();
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        read(&path)
    }

    /// Checks that a file is refused in one line that names it and contains the given parts.
    fn refused(name: &str, bytes: &[u8], parts: &[&str]) {
        let message = read_bytes(name, bytes).unwrap_err().to_string();
        for part in parts.iter().chain([&name]) {
            assert!(message.contains(part), "no {part:?} in {message:?}");
        }
        assert!(!message.contains('\n'), "{message:?}");
    }

    fn flat(bytes: &[u8]) -> Vec<f64> {
        match read_bytes("a.npy", bytes).unwrap() {
            ArrayFile::Flat(data) => data,
            ArrayFile::Named(_) => panic!("a flat file has no names"),
        }
    }

    fn array(name: &str, rows: usize, cols: usize, data: &[f64]) -> NamedArray {
        NamedArray { name: name.to_owned(), rows, cols, data: data.to_vec() }
    }

    #[test]
    fn reads_every_dtype() {
        let values = [1.0, -2.0, 300.0];
        let bytes: [(&str, Vec<u8>); 8] = [
            ("<f8", [1_f64, -2.0, 300.0].map(f64::to_le_bytes).concat()),
            (">f8", [1_f64, -2.0, 300.0].map(f64::to_be_bytes).concat()),
            ("<f4", [1_f32, -2.0, 300.0].map(f32::to_le_bytes).concat()),
            (">f4", [1_f32, -2.0, 300.0].map(f32::to_be_bytes).concat()),
            ("<i8", [1_i64, -2, 300].map(i64::to_le_bytes).concat()),
            (">i8", [1_i64, -2, 300].map(i64::to_be_bytes).concat()),
            ("<i4", [1_i32, -2, 300].map(i32::to_le_bytes).concat()),
            (">i4", [1_i32, -2, 300].map(i32::to_be_bytes).concat()),
        ];
        for (dtype, bytes) in bytes {
            let file = npy(&format!("'{dtype}'"), "False", "(3,)", &bytes);
            assert_eq!(flat(&file), values, "{dtype}");
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
        ];
        for (shape, order, count, (rows, cols), data) in cases {
            let file = npy("'<f8'", order, shape, &six[..8 * count]);
            let read = read_npy(&file[..]).unwrap();
            assert_eq!(read, array("", rows, cols, &data), "{shape} {order}");
        }
    }

    #[test]
    fn reads_format_versions_two_and_three() {
        let text = b"{ 'shape':(2,),'descr' : '<f8', 'fortran_order': False}";
        let length = u32::try_from(text.len()).unwrap().to_le_bytes();
        for version in [2, 3] {
            let start = [b"\x93NUMPY", &[version, 0][..], &length, text].concat();
            assert_eq!(flat(&[start, doubles(&[7.0, 8.0])].concat()), [7.0, 8.0]);
        }
    }

    #[test]
    fn reads_archives_in_their_order() {
        let entries = [("w.npy", vector(&[1.0, 2.0])), ("a/b.npy", vector(&[3.0]))];
        for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
            assert_eq!(
                read_bytes("a.npz", &npz(&entries, method)).unwrap(),
                ArrayFile::Named(vec![array("w", 2, 1, &[1.0, 2.0]), array("a/b", 1, 1, &[3.0])])
            );
        }
    }

    #[test]
    fn refuses_other_files() {
        refused("a.txt", b"", &[".npy", ".npz"]);
        refused("a", b"", &[".npy", ".npz"]);
        refused("a.npy", b"", &["not an npy file"]);
        refused("a.npy", b"PK\x03\x04 and so on", &["not an npy file"]);
        refused("a.npz", &vector(&[1.0]), &["not an npz file"]);
        refused("a.npy", b"\x93NUMPY\x04\x01\0\0", &["4.1", "3.0"]);
        let message = read(Path::new("/nowhere/a.npy")).unwrap_err().to_string();
        assert!(message.contains("/nowhere/a.npy"), "{message}");
    }

    #[test]
    fn refuses_malformed_headers() {
        refused("a.npy", b"\x93NUMPY\x01\x00\x76\x00{'de", &["118 bytes", "4 are there"]);
        refused("a.npy", b"\x93NUMPY\x02\x00\xff\xff\xff\xff{", &["4294967295", "1 are"]);
        refused("a.npy", b"\x93NUMPY\x01", &["not an npy file"]);
        refused("a.npy", b"\x93NUMPY\x01\x00", &["malformed header"]);
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
            refused("a.npy", &file, &["malformed header", "'fortran_order'", "expected"]);
        }
        refused("a.npy", &npy(&"[".repeat(60_000), "False", "()", &[]), &["malformed header"]);
    }

    #[test]
    fn refuses_other_dtypes_and_shapes() {
        for descr in
            ["'<c16'", "'|b1'", "'|O'", "'<f2'", "'f8'", "''", "[('a', '<f8'), ('b', '<i4')]"]
        {
            refused("a.npy", &npy(descr, "False", "(3,)", &[]), &[descr, "f4, f8, i4 or i8"]);
        }
        let file = npy("'<f8'", "False", "(1, 2, 3)", &doubles(&[0.0; 6]));
        refused("a.npy", &file, &["3 dimensions", "[1, 2, 3]", "at most 2"]);
    }

    #[test]
    fn refuses_headers_that_claim_too_much() {
        let three = doubles(&[1.0, 2.0, 3.0]);
        refused("a.npy", &npy("'<f8'", "False", "(2, 2)", &three), &["4 values and 3 are"]);
        refused("a.npy", &npy("'<f8'", "False", "(3,)", &three[..23]), &["3 values and 2 are"]);
        let huge = "9223372036854775808";
        let file = npy("'<f8'", "False", &format!("({huge},)"), &three);
        refused("a.npy", &file, &[huge, "3 are there"]);
        let file = npy("'<f8'", "True", &format!("({huge}, 2)"), &three);
        refused("a.npy", &file, &[huge, "more values than any file can hold"]);
        let entries = [("w.npy", npy("'<f8'", "False", "(5,)", &three))];
        let file = npz(&entries, CompressionMethod::Deflated);
        refused("a.npz", &file, &["array \"w\"", "5 values and 3 are"]);
    }

    #[test]
    fn refuses_trailing_bytes() {
        let mut file = vector(&[1.0, 2.0]);
        file.extend([0; 9]);
        refused("a.npy", &file, &["9 bytes follow the 2 values"]);
        let file = npz(&[("w.npy", file)], CompressionMethod::Stored);
        refused("a.npz", &file, &["array \"w\"", "9 bytes follow the 2 values"]);
    }

    #[test]
    fn refuses_what_is_not_finite() {
        refused("a.npy", &vector(&[0.0, f64::NAN]), &["NaN at index 1"]);
        refused("a.npy", &vector(&[f64::NEG_INFINITY]), &["-inf at index 0"]);
        let fortran = npy("'<f8'", "True", "(2, 2)", &doubles(&[0.0, f64::INFINITY, 0.0, 0.0]));
        refused("a.npy", &fortran, &["inf at index 2"]);
        let file = npz(&[("w.npy", vector(&[0.0, f64::NAN]))], CompressionMethod::Stored);
        refused("a.npz", &file, &["array \"w\"", "NaN at index 1"]);
    }

    #[test]
    fn refuses_odd_archives() {
        let one = || vector(&[1.0]);
        let file = |entries: &[_]| npz(entries, CompressionMethod::Stored);
        refused("a.npz", &file(&[(".npy", one())]), &["empty name"]);
        refused("a.npz", &file(&[("w.npy", one()), ("w.npy", one())]), &["named \"w\""]);
        refused("a.npz", &file(&[("notes.txt", one())]), &["\"notes.txt\"", ".npy"]);
        refused("a.npz", &file(&[("w.npy", b"text".to_vec())]), &["array \"w\"", "not an npy"]);
        let mut bytes = file(&[("w.npy", one())]);
        refused("a.npz", &bytes[..bytes.len() - 30], &["not an npz file"]);
        let value = bytes.windows(8).position(|w| w == 1_f64.to_le_bytes()).unwrap();
        bytes[value] ^= 1;
        refused("a.npz", &bytes, &["array \"w\"", "checksum"]);
    }

    fn declared() -> Vec<(String, usize, usize)> {
        vec![("w".to_owned(), 2, 3), ("b".to_owned(), 2, 1)]
    }

    fn assign_named(arrays: &[NamedArray]) -> Result<Vec<f64>> {
        assign(&ArrayFile::Named(arrays.to_vec()), &declared(), "theta.npz")
    }

    #[test]
    fn assigns_in_the_declared_order() {
        let values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
        assert_eq!(assign(&ArrayFile::Flat(values.to_vec()), &declared(), "").unwrap(), values);
        for (rows, cols) in [(2, 1), (1, 2)] {
            let arrays = [array("b", rows, cols, &values[6..]), array("w", 2, 3, &values[..6])];
            assert_eq!(assign_named(&arrays).unwrap(), values);
        }
    }

    #[test]
    fn refuses_to_assign_what_does_not_fit() {
        let (w, b) = (array("w", 2, 3, &[0.0; 6]), array("b", 2, 1, &[0.0; 2]));
        let transposed = NamedArray { rows: 3, cols: 2, ..w.clone() };
        let vector = NamedArray { rows: 6, cols: 1, ..w.clone() };
        let cases = [
            (vec![w.clone()], "missing array \"b\" (2, 1), the file holds \"w\" (2, 3)"),
            (vec![], "missing array \"w\" (2, 3), the file holds no arrays"),
            (vec![transposed, b.clone()], "array \"w\" has shape (3, 2), expected (2, 3)"),
            (vec![vector, b.clone()], "array \"w\" has shape (6, 1), expected (2, 3)"),
            (
                vec![w.clone(), array("b", 3, 1, &[0.0; 3])],
                "array \"b\" has shape (3, 1), expected (2, 1)",
            ),
            (
                vec![w, array("v", 1, 4, &[0.0; 4]), b],
                "unknown array \"v\" (1, 4), expected only \"w\" (2, 3), \"b\" (2, 1)",
            ),
        ];
        for (arrays, expected) in cases {
            let message = assign_named(&arrays).unwrap_err().to_string();
            assert_eq!(message, format!("theta.npz: {expected}"));
        }
        let flat = ArrayFile::Flat(vec![0.0; 7]);
        assert_eq!(
            assign(&flat, &declared(), "theta.npy").unwrap_err().to_string(),
            "theta.npy: 7 values where 8 are expected: \"w\" (2, 3), \"b\" (2, 1)"
        );
    }

    #[test]
    fn writes_what_it_reads() {
        let dir = tempdir().unwrap();
        let path = dir.path().join("a.npz");
        let arrays =
            [array("w", 2, 2, &[1.0, f64::MIN_POSITIVE, -0.0, 4e300]), array("b", 0, 1, &[])];
        write_npz(&path, &arrays).unwrap();
        let first = fs::read(&path).unwrap();
        assert_eq!(read(&path).unwrap(), ArrayFile::Named(arrays.to_vec()));
        write_npz(&path, &arrays).unwrap();
        assert_eq!(fs::read(&path).unwrap(), first);
        write_npz(&path, &[]).unwrap();
        assert_eq!(read(&path).unwrap(), ArrayFile::Named(vec![]));
    }

    #[test]
    fn a_refused_write_keeps_the_old_file() {
        let dir = tempdir().unwrap();
        let path = dir.path().join("a.npz");
        let good = array("w", 1, 1, &[1.0]);
        write_npz(&path, std::slice::from_ref(&good)).unwrap();
        let cases = [
            (array("b", 2, 2, &[0.0; 3]), "array \"b\": 3 values do not fill shape (2, 2)"),
            (array("b", usize::MAX, 2, &[]), "0 values do not fill shape"),
            (array("", 0, 1, &[]), "empty name"),
            (array("w", 0, 1, &[]), "two arrays are named \"w\""),
        ];
        for (bad, expected) in cases {
            let message = write_npz(&path, &[good.clone(), bad]).unwrap_err().to_string();
            assert!(message.contains(expected) && message.contains("a.npz"), "{message}");
            assert_eq!(read(&path).unwrap(), ArrayFile::Named(vec![good.clone()]));
            assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
        }
    }
}
