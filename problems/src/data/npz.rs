//! Numpy's archives of arrays, files in `.npz`: each entry a file in `.npy`.

use std::io::{self, BufReader, Cursor, Read, Seek, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

use super::npy::{self, Matrix};

/// An archive being read. Of two arrays of one name the later counts, as for numpy.
#[derive(Debug)]
pub struct Npz<R> {
    archive: ZipArchive<R>,
    names: Vec<String>,
}

impl<R: Read + Seek> Npz<R> {
    /// Opens an archive.
    ///
    /// # Errors
    /// What is wrong, in words: no archive, an entry that is no array, an empty name, or one that is there twice.
    pub fn open(reader: R) -> Result<Self, String> {
        let archive = ZipArchive::new(reader).map_err(|e| format!("not an npz file: {e}"))?;
        let mut names = Vec::new();
        for name in archive.file_names() {
            let Some(name) = name.strip_suffix(".npy") else {
                let expected = "expected a name that ends in .npy";
                return Err(format!("entry {name:?} is not an array, {expected}"));
            };
            names.push(name.to_owned());
        }
        check_names(&names)?;
        Ok(Self { archive, names })
    }

    /// The names of the arrays, in the order of the archive.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The array of this number, of `most` values at most: more are refused by its header.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn read(&mut self, number: usize, most: u64) -> Result<Matrix, String> {
        let refused = |e: String| format!("array {:?}: {e}", self.names[number]);
        let entry = self.archive.by_index(number).map_err(|e| refused(e.to_string()))?;
        npy::read_at_most(BufReader::new(entry), most).map_err(refused)
    }
}

/// The arrays of an archive, in its order, each of `most` values at most: more are refused by their header.
///
/// # Errors
/// What is wrong, in words.
pub fn read(file: impl Read + Seek, most: u64) -> Result<Vec<(String, Matrix)>, String> {
    let mut npz = Npz::open(file)?;
    let names = npz.names().to_vec().into_iter().enumerate();
    names.map(|(i, name)| Ok((name, npz.read(i, most)?))).collect()
}

/// An archive being written: the same arrays give the same bytes.
pub struct NpzWriter {
    // The archive writer seeks back to the sizes of an entry, which a stream cannot.
    zip: ZipWriter<Cursor<Vec<u8>>>,
}

impl std::fmt::Debug for NpzWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NpzWriter").finish_non_exhaustive()
    }
}

impl NpzWriter {
    /// An archive of arrays with these names.
    ///
    /// # Errors
    /// For an empty name, or one that is there twice.
    pub fn new(names: &[String]) -> Result<Self, String> {
        check_names(names)?;
        Ok(Self { zip: ZipWriter::new(Cursor::new(Vec::new())) })
    }

    /// The next array; `write` writes what `npy` has for it.
    ///
    /// # Errors
    /// Those of the archive.
    pub fn add(
        &mut self,
        name: &str,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .last_modified_time(DateTime::default())
            .large_file(true);
        self.zip.start_file(format!("{name}.npy"), options)?;
        write(&mut self.zip)
    }

    /// The bytes of the archive.
    ///
    /// # Errors
    /// Those of the archive.
    pub fn finish(self) -> io::Result<Vec<u8>> {
        Ok(self.zip.finish()?.into_inner())
    }
}

fn check_names(names: &[String]) -> Result<(), String> {
    if names.iter().any(String::is_empty) {
        return Err("an array has an empty name".to_owned());
    }
    let twice = (1..names.len()).find(|&i| names[..i].contains(&names[i]));
    twice.map_or(Ok(()), |i| Err(format!("two arrays are named {:?}", names[i])))
}
