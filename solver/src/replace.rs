//! Files that appear complete or not at all (feature `serde`).

use std::io::{self, BufWriter, Write};
#[cfg(unix)]
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Prefix and suffix of the names of unfinished files.
pub const UNFINISHED: [&str; 2] = [".hypertape-", ".tmp"];

/// Writes a temporary file in the folder of `path`, and renames it to `path` once it is on the disk.
///
/// After an error `path` is unchanged and the temporary file is removed. The file has the permissions of any new file,
/// not the private ones of a temporary file.
///
/// ```
/// use hypertape_solver::replace;
/// let path = std::env::temp_dir().join(format!("hypertape-replace-{}", std::process::id()));
/// replace(&path, |file| file.write_all(b"first"))?;
/// let failed = replace(&path, |file| {
///     file.write_all(b"second, cut sh")?;
///     Err(std::io::Error::other("interrupted"))
/// });
/// assert_eq!((failed.unwrap_err().to_string(), std::fs::read(&path)?), ("interrupted".into(), b"first".to_vec()));
/// std::fs::remove_file(path)?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// Returns the errors of `write`, and an error if the file cannot be written or renamed.
pub fn replace<E: From<io::Error>>(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<(), E>,
) -> Result<(), E> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(UNFINISHED[0]).suffix(UNFINISHED[1]);
    #[cfg(unix)]
    builder.permissions(PermissionsExt::from_mode(0o666));
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    let mut writer = BufWriter::new(builder.tempfile_in(folder.unwrap_or(Path::new(".")))?);
    write(&mut writer)?;
    let file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|e| e.error)?;
    Ok(())
}
