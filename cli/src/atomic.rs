//! Files that are written completely or not at all.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use serde::Serialize;

use crate::ranks;
use hypertape_solver::{UNFINISHED, replace};

/// Writes `value` to `path` as indented JSON.
pub(crate) fn json(path: &Path, value: &impl Serialize) -> Result<()> {
    write(path, |file| {
        serde_json::to_writer_pretty(&mut *file, value)?;
        Ok(writeln!(file)?)
    })
}

/// [Replaces](replace) a whole file, or leaves it unchanged on failure. With several ranks, only the first one writes.
pub(crate) fn write(path: &Path, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    if !ranks::first() {
        return Ok(());
    }
    // A rename would replace a device such as /dev/null by a regular file.
    if fs::metadata(path).is_ok_and(|existing| !existing.is_file()) {
        bail!("cannot write {}: it exists and is not a regular file", path.display());
    }
    let folder = path.parent().filter(|folder| *folder != Path::new("") && !folder.is_dir());
    if let Some(folder) = folder {
        bail!("cannot write {}: {} is not an existing folder", path.display(), folder.display());
    }
    replace(path, write)
        .map_err(|e: anyhow::Error| anyhow!("cannot write {}: {e:#}", path.display()))
}

/// Creates a folder if it does not exist and checks that files can be created in it, so that a long run fails at its
/// start instead of its end.
pub(crate) fn prepare_dir(path: &Path) -> Result<()> {
    if !ranks::first() {
        return Ok(());
    }
    fs::create_dir_all(path)
        .map_err(|e| anyhow!("cannot create the folder {}: {e}", path.display()))?;
    tempfile::tempfile_in(path)
        .map(drop)
        .map_err(|e| anyhow!("cannot create files in the folder {}: {e}", path.display()))
}

/// Time between two attempts to lock a folder.
const MOMENT: Duration = Duration::from_millis(50);

/// Creates a folder if necessary and locks it for as long as the returned file lives, so that no two processes write to
/// it. Unfinished files of processes that were killed are removed. `what` says what a process does in the folder; a
/// second process gets it in its error message. With several ranks, only the first one locks.
pub(crate) fn lock(path: &Path, what: &str) -> Result<Option<File>> {
    prepare_dir(path)?;
    if !ranks::first() {
        return Ok(None);
    }
    // A folder can be locked like a file if the system supports it.
    let name = if cfg!(unix) { path.to_owned() } else { path.join("lock") };
    let file = if cfg!(unix) { File::open(&name) } else { File::create(&name) };
    let file = file.map_err(|e| anyhow!("{}: {e}", name.display()))?;
    // A child process that was started just before its parent was killed holds a copy of the lock until it executes its
    // own program.
    let mut tries = 0..10;
    while let Err(e) = file.try_lock() {
        match e {
            TryLockError::WouldBlock if tries.next().is_some() => thread::sleep(MOMENT),
            TryLockError::WouldBlock => bail!("{}: another process {what} here", name.display()),
            TryLockError::Error(e) => bail!("{}: {e}", name.display()),
        }
    }
    for entry in fs::read_dir(path)?.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(UNFINISHED[0]) && name.ends_with(UNFINISHED[1]) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(Some(file))
}

#[cfg(test)]
mod tests {
    use tempfile::{TempDir, tempdir};

    use super::*;

    fn names(folder: &TempDir) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn put(path: &Path, text: &str) -> Result<()> {
        write(path, |w| Ok(w.write_all(text.as_bytes())?))
    }

    fn fail(path: &Path) -> String {
        let result = write(path, |w| {
            w.write_all(b"half")?;
            w.flush()?;
            bail!("interrupted after 4 bytes")
        });
        result.unwrap_err().to_string()
    }

    #[test]
    fn writes_and_overwrites() {
        let dir = tempdir().unwrap();
        let path = dir.path().join("a.txt");
        put(&path, "a longer first text").unwrap();
        put(&path, "second").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "second");
        assert_eq!(names(&dir), ["a.txt"]);
    }

    #[test]
    fn failure_leaves_nothing() {
        let dir = tempdir().unwrap();
        let message = fail(&dir.path().join("a.txt"));
        assert!(message.contains("a.txt") && message.contains("after 4 bytes"), "{message}");
        assert!(names(&dir).is_empty());
    }

    #[test]
    fn failure_keeps_the_old_file() {
        let dir = tempdir().unwrap();
        let path = dir.path().join("a.txt");
        put(&path, "old").unwrap();
        fail(&path);
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(names(&dir), ["a.txt"]);
    }

    #[test]
    fn a_panic_leaves_nothing() {
        let dir = tempdir().unwrap();
        let path = dir.path().join("a.txt");
        let caught = std::panic::catch_unwind(|| write(&path, |_| panic!("in the writer")));
        assert!(caught.is_err());
        assert!(names(&dir).is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn a_file_is_as_public_as_any_other() {
        let dir = tempdir().unwrap();
        let [ours, plain] = ["ours", "plain"].map(|name| dir.path().join(name));
        put(&ours, "").unwrap();
        fs::write(&plain, "").unwrap();
        let mode = |path| fs::metadata(path).unwrap().permissions();
        assert_eq!(mode(ours), mode(plain));
    }

    #[test]
    fn names_a_missing_folder() {
        let dir = tempdir().unwrap();
        let path = dir.path().join("absent").join("a.txt");
        let message = fail(&path);
        assert!(message.contains(&path.display().to_string()), "{message}");
        assert!(message.contains("absent is not an existing folder"), "{message}");
    }

    #[test]
    fn refuses_what_is_not_a_file() {
        let dir = tempdir().unwrap();
        let message = fail(dir.path());
        assert!(message.contains(&dir.path().display().to_string()), "{message}");
        assert!(message.contains("not a regular file"), "{message}");
    }

    #[cfg(unix)]
    #[test]
    fn leaves_devices_alone() {
        assert!(fail(Path::new("/dev/null")).contains("/dev/null"));
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }

    #[test]
    fn prepares_a_nested_folder() {
        let dir = tempdir().unwrap();
        let path = dir.path().join("a").join("b");
        prepare_dir(&path).unwrap();
        prepare_dir(&path).unwrap();
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
    }

    #[test]
    fn names_a_folder_that_cannot_be() {
        let dir = tempdir().unwrap();
        let file = dir.path().join("plain");
        put(&file, "").unwrap();
        for path in [file.clone(), file.join("below")] {
            let message = prepare_dir(&path).unwrap_err().to_string();
            assert!(message.contains(&path.display().to_string()), "{message}");
        }
    }

    /// /proc refuses new files even from the superuser, who may write to every regular folder.
    #[cfg(target_os = "linux")]
    #[test]
    fn names_a_folder_that_cannot_be_written() {
        let message = prepare_dir(Path::new("/proc")).unwrap_err().to_string();
        assert!(message.contains("cannot create files in the folder /proc"), "{message}");
        let message = fail(Path::new("/proc/a.txt"));
        assert!(message.contains("cannot write /proc/a.txt"), "{message}");
    }
}
