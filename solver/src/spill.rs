//! `Spill`: states in a file on disk, each with a checksum.
//!
//! The file has no name, so it disappears with the process, however that ends. A record consists of the bytes of one
//! state and a checksum of 8 bytes. The file takes `slots (n size_of::<T>() + 8)` bytes on disk, and one buffer takes
//! 64 KiB in memory.

use std::env::temp_dir;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};

use hypertape_autodiff::Element;

use crate::error::Error;

/// Size of the buffer in bytes.
const BUFFER: usize = 1 << 16;

/// States of `n` values each, by slot.
#[derive(Debug)]
pub(crate) struct Spill {
    file: File,
    n: usize,
}

impl Spill {
    /// Number of bytes in memory while a state is written or read.
    pub(crate) const BYTES: usize = BUFFER;

    /// Creates an empty file for states of `n` values, in the system's temporary folder (`TMPDIR`).
    ///
    /// # Errors
    /// Returns [`Error::Spill`] if it cannot be created.
    pub(crate) fn new(n: usize) -> Result<Self, Error> {
        let file = tempfile::tempfile().map_err(|why| error("cannot be made", &why))?;
        Ok(Self { file, n })
    }

    /// Writes `state` to `slot`.
    ///
    /// # Errors
    /// Returns [`Error::Spill`], for example if the disk is full.
    pub(crate) fn write<T: Element>(&mut self, slot: usize, state: &[T]) -> Result<(), Error> {
        let start = self.seek::<T>(slot);
        let write = || -> io::Result<()> {
            (&self.file).seek(start)?;
            let mut out = BufWriter::with_capacity(BUFFER, &self.file);
            let mut sum = Checksum::new(slot);
            for value in state {
                let bytes = value.to_le_bytes();
                sum.add(bytes.as_ref());
                out.write_all(bytes.as_ref())?;
            }
            out.write_all(&sum.0.to_le_bytes())?;
            out.flush()
        };
        write().map_err(|why| error("cannot be written", &why))
    }

    /// Reads the state in `slot`.
    ///
    /// # Errors
    /// Returns [`Error::Spill`] if it cannot be read or its checksum differs.
    pub(crate) fn read<T: Element>(&mut self, slot: usize, state: &mut [T]) -> Result<(), Error> {
        let start = self.seek::<T>(slot);
        let read = || -> io::Result<bool> {
            (&self.file).seek(start)?;
            let mut from = BufReader::with_capacity(BUFFER, &self.file);
            let mut sum = Checksum::new(slot);
            for value in state {
                let mut bytes = T::zero().to_le_bytes();
                from.read_exact(bytes.as_mut())?;
                sum.add(bytes.as_ref());
                *value = T::from_le_bytes(&bytes);
            }
            let mut expected = [0; 8];
            from.read_exact(&mut expected)?;
            Ok(sum.0.to_le_bytes() == expected)
        };
        match read() {
            Ok(true) => Ok(()),
            Ok(false) => {
                Err(error("was altered", &format!("the checksum of state {slot} differs")))
            }
            Err(why) => Err(error("cannot be read", &why)),
        }
    }

    fn seek<T>(&self, slot: usize) -> SeekFrom {
        SeekFrom::Start((slot as u64).saturating_mul((self.n * size_of::<T>() + 8) as u64))
    }
}

fn error(what: &'static str, why: &impl ToString) -> Error {
    Error::Spill { folder: temp_dir(), what, why: why.to_string() }
}

/// FNV-1a hash (Fowler, Noll and Vo) over whole values, starting with the slot.
struct Checksum(u64);

impl Checksum {
    fn new(slot: usize) -> Self {
        Self(0xcbf2_9ce4_8422_2325 ^ slot as u64)
    }

    fn add(&mut self, bytes: &[u8]) {
        let value = bytes.iter().rev().fold(0, |v, &b| v << 8 | u64::from(b));
        self.0 = (self.0 ^ value).wrapping_mul(0x0100_0000_01b3);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_come_back_as_they_were() {
        let mut spill = Spill::new(3).unwrap();
        let states = [[1.0, -0.0, f64::MAX], [f64::MIN_POSITIVE, 2.5, 1e-320]];
        for (slot, state) in states.iter().enumerate().rev() {
            spill.write(slot, state).unwrap();
        }
        for (slot, state) in states.iter().enumerate() {
            let mut back = [0.0; 3];
            spill.read(slot, &mut back).unwrap();
            assert_eq!(back.map(f64::to_bits), state.map(f64::to_bits));
        }
        let mut narrow = Spill::new(2).unwrap();
        narrow.write(1, &[1.5_f32, -2.0]).unwrap();
        let mut back = [0.0_f32; 2];
        narrow.read(1, &mut back).unwrap();
        assert_eq!(back, [1.5, -2.0]);
    }

    #[test]
    fn a_bit_that_flips_and_a_file_cut_short_are_noticed() {
        let mut spill = Spill::new(4).unwrap();
        spill.write(0, &[1.0, 2.0, 3.0, 4.0]).unwrap();
        (&spill.file).seek(SeekFrom::Start(9)).unwrap();
        (&spill.file).write_all(&[7]).unwrap();
        let mut back = [0.0; 4];
        let why = spill.read(0, &mut back).unwrap_err().to_string();
        assert!(why.ends_with(" was altered: the checksum of state 0 differs"), "{why}");
        spill.file.set_len(30).unwrap();
        let why = spill.read(0, &mut back).unwrap_err().to_string();
        assert!(why.contains(" cannot be read: "), "{why}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_disk_is_an_error() {
        let file = File::options().read(true).write(true).open("/dev/full").unwrap();
        let why = Spill { file, n: 2 }.write(0, &[1.0, 2.0]).unwrap_err().to_string();
        let expected =
            format!("the spill file in {} cannot be written: No space left", temp_dir().display());
        assert!(why.starts_with(&expected), "{why}");
    }
}
