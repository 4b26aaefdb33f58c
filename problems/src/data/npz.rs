//! NumPy's `.npz` format: archives of arrays, each entry of which is an `.npy` file.

use std::io::{self, BufReader, Cursor, Read, Seek, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

use super::npy::{self, Matrix};

/// An archive that is being read. If two arrays have the same name, the later one counts, as in NumPy.
#[derive(Debug)]
pub struct Npz<R> {
    archive: ZipArchive<R>,
    names: Vec<String>,
}

impl<R: Read + Seek> Npz<R> {
    /// Opens an archive.
    ///
    /// # Errors
    /// Returns a message that says what is wrong: the file is no archive, an entry is no array, or a name is empty.
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

    /// Reads the array with index `number`. An array of more than `most` values is refused by its header.
    ///
    /// # Errors
    /// Returns a message that says what is wrong.
    pub fn read(&mut self, number: usize, most: u64) -> Result<Matrix, String> {
        let refused = |e: String| format!("array {:?}: {e}", self.names[number]);
        let entry = self.archive.by_index(number).map_err(|e| refused(e.to_string()))?;
        npy::read_at_most(BufReader::new(entry), most).map_err(refused)
    }

    /// Returns the `.npy` file of the array with index `number`.
    pub(super) fn bytes(&mut self, number: usize) -> Result<Vec<u8>, String> {
        let refused = |e: String| format!("array {:?}: {e}", self.names[number]);
        let mut entry = self.archive.by_index(number).map_err(|e| refused(e.to_string()))?;
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(|e| refused(e.to_string()))?;
        Ok(bytes)
    }
}

/// Reads all arrays of an archive, in its order. An array of more than `most` values is refused by its header.
///
/// # Errors
/// Returns a message that says what is wrong.
pub fn read(file: impl Read + Seek, most: u64) -> Result<Vec<(String, Matrix)>, String> {
    let mut npz = Npz::open(file)?;
    let names = npz.names().to_vec().into_iter().enumerate();
    names.map(|(i, name)| Ok((name, npz.read(i, most)?))).collect()
}

/// An archive that is being written. The same arrays give the same bytes.
pub struct NpzWriter {
    // Writing an entry needs to seek back to the place of its size, which a stream cannot do.
    zip: ZipWriter<Cursor<Vec<u8>>>,
}

impl std::fmt::Debug for NpzWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NpzWriter").finish_non_exhaustive()
    }
}

impl NpzWriter {
    /// Starts an archive of arrays with these names.
    ///
    /// # Errors
    /// Returns a message if a name is empty or occurs twice.
    pub fn new(names: &[String]) -> Result<Self, String> {
        check_names(names)?;
        Ok(Self { zip: ZipWriter::new(Cursor::new(Vec::new())) })
    }

    /// Adds the next array. `write` writes its `.npy` file, for example with [`npy::write`].
    ///
    /// # Errors
    /// Returns the errors of the archive writer and of `write`.
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

    /// Completes the archive and returns its bytes.
    ///
    /// # Errors
    /// Returns the errors of the archive writer.
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
