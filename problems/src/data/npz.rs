//! Numpy's archives of arrays by name, files in `.npz`.

use std::io::{BufReader, Read, Seek};

use zip::ZipArchive;

use super::npy::{self, Matrix};

/// The arrays of an archive, in its order, each of `most` values at most: more are refused by their header.
///
/// # Errors
/// What is wrong, in words.
pub fn read(file: impl Read + Seek, most: u64) -> Result<Vec<(String, Matrix)>, String> {
    let mut archive = ZipArchive::new(file).map_err(|e| format!("not an npz file: {e}"))?;
    let mut arrays = Vec::new();
    for i in 0..archive.len() {
        let entry = archive.by_index(i).map_err(|e| format!("entry {i} of the archive: {e}"))?;
        let Some(name) = entry.name().strip_suffix(".npy").map(str::to_owned) else {
            let name = entry.name();
            return Err(format!(
                "entry {name:?} is not an array, expected a name that ends in .npy"
            ));
        };
        let matrix = npy::read_at_most(BufReader::new(entry), most);
        arrays.push((name.clone(), matrix.map_err(|e| format!("array {name:?}: {e}"))?));
    }
    Ok(arrays)
}
