//! Named arrays in NumPy's `.npy` and `.npz` files.

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;

use anyhow::{Error, Result, anyhow, bail, ensure};

use crate::atomic;
use hypertape_autodiff::{Element, Shape};
use hypertape_problems::data::npy::{self, Matrix};
use hypertape_problems::data::npz::{self, NpzWriter};
use hypertape_solver::Params;

/// The contents of a file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ArrayFile {
    /// The values of a `.npy` file in row-major order.
    Flat(Vec<f64>),
    /// The arrays of a `.npz` file, in the order of the file.
    Named(Params<f64>),
}

/// Reads a `.npy` or `.npz` file of finite numbers with at most `most` values per array. If two arrays of an archive
/// have the same name, the later one counts, as in NumPy.
pub(crate) fn read(path: &Path, most: usize) -> Result<ArrayFile> {
    let most = most as u64;
    let open = || Ok::<_, Error>(BufReader::new(File::open(path)?));
    let contents = || match path.extension().and_then(|e| e.to_str()) {
        Some("npy") => {
            let flat = npy::read_at_most(open()?, most).map_err(Error::msg)?;
            Ok(ArrayFile::Flat(flat.values))
        }
        Some("npz") => Ok(ArrayFile::Named(read_npz(open()?, most)?)),
        _ => bail!("unknown kind of file, expected a name that ends in .npy or .npz"),
    };
    contents().map_err(|e| anyhow!("{}: {e:#}", path.display()))
}

/// Returns the values of a file as one vector, in the order in which `like` declares its arrays. Error messages begin
/// with `what`.
pub(crate) fn assign<T: Element>(
    file: &ArrayFile,
    like: &Params<T>,
    what: &str,
) -> Result<Vec<f64>> {
    let arrays = match file {
        ArrayFile::Flat(data) => {
            let (found, total) = (data.len(), like.values().len());
            let declared = list(like);
            ensure!(
                found == total,
                "{what}: {found} values where {total} are expected: {declared}"
            );
            return Ok(data.clone());
        }
        ArrayFile::Named(arrays) => arrays,
    };
    let mut flat = Vec::new();
    for (name, expected, _) in like.iter() {
        let Some((_, found, data)) = arrays.iter().find(|array| array.0 == name) else {
            let (expected, found) = (size(expected), list(arrays));
            bail!("{what}: missing array {name:?} {expected}, the file holds {found}");
        };
        // NumPy users write a vector as (n,), (n, 1) or (1, n).
        let is_vector = |shape: Shape| shape.rows == 1 || shape.cols == 1;
        let same = found == expected
            || found.len() == expected.len() && is_vector(found) && is_vector(expected);
        let [found, expected] = [found, expected].map(size);
        ensure!(same, "{what}: array {name:?} has shape {found}, expected {expected}");
        flat.extend_from_slice(data);
    }
    if let Some((name, shape, _)) = arrays.iter().find(|array| like.get(array.0).is_none()) {
        let (shape, declared) = (size(shape), list(like));
        bail!("{what}: unknown array {name:?} {shape}, expected only {declared}");
    }
    Ok(flat)
}

/// Writes a `.npz` file of two-dimensional arrays of little-endian doubles, as `numpy.savez` does. The same arrays give
/// the same bytes.
pub(crate) fn write_npz<T: Element>(path: &Path, arrays: &Params<T>) -> Result<()> {
    atomic::write(path, |writer| {
        let mut npz = NpzWriter::new(arrays.names()).map_err(Error::msg)?;
        for (name, shape, values) in arrays.iter() {
            let size = [shape.rows as usize, shape.cols as usize];
            npz.add(name, |file| npy::write(file, size, values.iter().map(|v| v.as_f64())))?;
        }
        Ok(writer.write_all(&npz.finish()?)?)
    })
}

fn size(Shape { rows, cols }: Shape) -> String {
    format!("({rows}, {cols})")
}

fn list<T: Element>(arrays: &Params<T>) -> String {
    let each = arrays.iter().map(|(name, shape, _)| format!("{name:?} {}", size(shape)));
    let each: Vec<String> = each.collect();
    if each.is_empty() { "no arrays".to_owned() } else { each.join(", ") }
}

fn read_npz(file: impl Read + Seek, most: u64) -> Result<Params<f64>> {
    let mut arrays = Params::new();
    for (name, Matrix { rows, cols, values }) in npz::read(file, most).map_err(Error::msg)? {
        let Some(shape) = u32::try_from(rows).ok().zip(u32::try_from(cols).ok()) else {
            bail!("array {name:?}: shape ({rows}, {cols}), expected sizes below 2^32");
        };
        arrays = arrays.with(name, Shape::new(shape.0, shape.1), values);
    }
    Ok(arrays)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{Cursor, Write};

    use tempfile::tempdir;
    use zip::write::SimpleFileOptions;
    use zip::{CompressionMethod, ZipWriter};

    use super::*;

    /// An array of one column.
    fn vector(values: &[f64]) -> Vec<u8> {
        let mut file = Vec::new();
        npy::write(&mut file, [values.len(), 1], values.iter().copied()).unwrap();
        file
    }

    fn npz(entries: &[(&str, Vec<u8>)], method: CompressionMethod) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in entries {
            let options = SimpleFileOptions::default().compression_method(method);
            zip.start_file(*name, options).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    fn read_bytes(name: &str, bytes: &[u8]) -> Result<ArrayFile> {
        let dir = tempdir().unwrap();
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        read(&path, 1000)
    }

    /// Checks that a file is refused in one line that names it and contains the given parts.
    fn refused(name: &str, bytes: &[u8], parts: &[&str]) {
        let message = read_bytes(name, bytes).unwrap_err().to_string();
        for part in parts.iter().chain([&name]) {
            assert!(message.contains(part), "no {part:?} in {message:?}");
        }
        assert!(!message.contains('\n'), "{message:?}");
    }

    /// Named arrays in their order.
    fn arrays(named: &[(&str, Shape, &[f64])]) -> Params<f64> {
        let each = named.iter();
        each.fold(Params::new(), |all, &(name, shape, values)| {
            all.with(name, shape, values.iter().copied())
        })
    }

    #[test]
    fn large_arrays_are_refused_by_their_header() {
        let large = vector(&[0.0; 1001]);
        refused("a.npy", &large, &["1001 values, expected at most 1000"]);
        let npz = npz(&[("w.npy", large)], CompressionMethod::Deflated);
        refused("a.npz", &npz, &["1001 values, expected at most 1000"]);
    }

    #[test]
    fn reads_archives_in_their_order() {
        let entries = [("w.npy", vector(&[1.0, 2.0])), ("a/b.npy", vector(&[3.0]))];
        let expected =
            arrays(&[("w", Shape::column(2), &[1.0, 2.0]), ("a/b", Shape::SCALAR, &[3.0])]);
        for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
            let read = read_bytes("a.npz", &npz(&entries, method)).unwrap();
            assert_eq!(read, ArrayFile::Named(expected.clone()));
        }
        // An archive that was appended to may contain a name twice.
        let mut twice =
            npz(&[("w.npy", vector(&[1.0])), ("v.npy", vector(&[2.0]))], CompressionMethod::Stored);
        let places: Vec<_> =
            (0..twice.len()).filter(|&i| twice[i..].starts_with(b"v.npy")).collect();
        for i in places {
            twice[i] = b'w';
        }
        let read = read_bytes("a.npz", &twice).unwrap();
        assert_eq!(read, ArrayFile::Named(arrays(&[("w", Shape::SCALAR, &[2.0])])));
        let flat = read_bytes("a.npy", &vector(&[7.0, 8.0])).unwrap();
        assert_eq!(flat, ArrayFile::Flat(vec![7.0, 8.0]));
    }

    #[test]
    fn refuses_other_files() {
        refused("a.txt", b"", &[".npy", ".npz"]);
        refused("a", b"", &[".npy", ".npz"]);
        refused("a.npy", b"", &["not an npy file"]);
        refused("a.npy", b"PK\x03\x04 and so on", &["not an npy file"]);
        refused("a.npz", &vector(&[1.0]), &["not an npz file"]);
        let message = read(Path::new("/nowhere/a.npy"), 1).unwrap_err().to_string();
        assert!(message.contains("/nowhere/a.npy"), "{message}");
    }

    #[test]
    fn refuses_odd_archives() {
        let one = || vector(&[1.0]);
        let file = |entries: &[_]| npz(entries, CompressionMethod::Stored);
        refused("a.npz", &file(&[(".npy", one())]), &["empty name"]);
        refused("a.npz", &file(&[("notes.txt", one())]), &["\"notes.txt\"", ".npy"]);
        refused("a.npz", &file(&[("w.npy", b"text".to_vec())]), &["array \"w\"", "not an npy"]);
        let mut bytes = file(&[("w.npy", one())]);
        refused("a.npz", &bytes[..bytes.len() - 30], &["not an npz file"]);
        let value = bytes.windows(8).position(|w| w == 1_f64.to_le_bytes()).unwrap();
        bytes[value] ^= 1;
        refused("a.npz", &bytes, &["array \"w\"", "checksum"]);
        let longer = [vector(&[1.0, 2.0]), vec![0; 9]].concat();
        refused("a.npz", &file(&[("w.npy", longer)]), &["array \"w\"", "9 bytes follow the 2"]);
        let short = vector(&[1.0, 2.0])[..136].to_vec();
        let file = npz(&[("w.npy", short)], CompressionMethod::Deflated);
        refused("a.npz", &file, &["array \"w\"", "2 values and 1 are"]);
    }

    const W: Shape = Shape::new(2, 3);
    const B: Shape = Shape::column(2);

    fn declared() -> Params<f32> {
        Params::new().with("w", W, [0.0; 6]).with("b", B, [0.0; 2])
    }

    #[test]
    fn assigns_in_the_declared_order() {
        let values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
        assert_eq!(assign(&ArrayFile::Flat(values.to_vec()), &declared(), "").unwrap(), values);
        for shape in [B, Shape::new(1, 2)] {
            let named = arrays(&[("b", shape, &values[6..]), ("w", W, &values[..6])]);
            assert_eq!(assign(&ArrayFile::Named(named), &declared(), "").unwrap(), values);
        }
    }

    #[test]
    fn refuses_to_assign_what_does_not_fit() {
        let (six, b) = (&[0.0; 6], ("b", B, &[0.0; 2][..]));
        let w = |rows, cols| ("w", Shape::new(rows, cols), &six[..]);
        let cases = [
            (&[w(2, 3)][..], "missing array \"b\" (2, 1), the file holds \"w\" (2, 3)"),
            (&[], "missing array \"w\" (2, 3), the file holds no arrays"),
            (&[w(3, 2), b], "array \"w\" has shape (3, 2), expected (2, 3)"),
            (&[w(6, 1), b], "array \"w\" has shape (6, 1), expected (2, 3)"),
            (
                &[w(2, 3), ("b", Shape::column(3), &six[..3])],
                "array \"b\" has shape (3, 1), expected (2, 1)",
            ),
            (
                &[w(2, 3), ("v", Shape::new(1, 4), &six[..4]), b],
                "unknown array \"v\" (1, 4), expected only \"w\" (2, 3), \"b\" (2, 1)",
            ),
        ];
        for (found, expected) in cases {
            let named = ArrayFile::Named(arrays(found));
            let message = assign(&named, &declared(), "theta.npz").unwrap_err().to_string();
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
        let values = [1.0, f64::MIN_POSITIVE, -0.0, 4e300];
        let named = arrays(&[("w", Shape::new(2, 2), &values), ("b", Shape::column(0), &[])]);
        write_npz(&path, &named).unwrap();
        let first = fs::read(&path).unwrap();
        assert_eq!(read(&path, 1000).unwrap(), ArrayFile::Named(named.clone()));
        write_npz(&path, &named).unwrap();
        assert_eq!(fs::read(&path).unwrap(), first);
        // The header as numpy.savez writes it: sizes of 8 bytes after the name, with 128 bytes of header and 4 doubles
        // of data.
        let size = 160_u64.to_le_bytes();
        assert_eq!(&first[26..39], b"\x05\0\x14\0w.npy\x01\0\x10\0");
        assert_eq!([&first[39..47], &first[47..55]], [&size, &size]);
        assert_eq!(&first[55..63], b"\x93NUMPY\x01\0");
        write_npz(&path, &Params::<f32>::new()).unwrap();
        assert_eq!(read(&path, 1000).unwrap(), ArrayFile::Named(Params::new()));
    }

    #[test]
    fn a_refused_write_keeps_the_old_file() {
        let dir = tempdir().unwrap();
        let path = dir.path().join("a.npz");
        let good = arrays(&[("w", Shape::SCALAR, &[1.0])]);
        write_npz(&path, &good).unwrap();
        for (name, expected) in [("", "empty name"), ("w", "two arrays are named \"w\"")] {
            let bad = good.clone().with(name, Shape::SCALAR, [2.0]);
            let message = write_npz(&path, &bad).unwrap_err().to_string();
            assert!(message.contains(expected) && message.contains("a.npz"), "{message}");
            assert_eq!(read(&path, 1000).unwrap(), ArrayFile::Named(good.clone()));
            assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
        }
    }
}
