//! Files that appear whole or not at all.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Result, anyhow, bail, ensure};
use serde::Serialize;

use super::ranks;

/// Writes `value` to `path`, as JSON for people.
pub(crate) fn json(path: &Path, value: &impl Serialize) -> Result<()> {
    write(path, |file| {
        serde_json::to_writer_pretty(&mut *file, value)?;
        Ok(writeln!(file)?)
    })
}

/// Writes a file aside, in the folder of `path`, and renames it over `path` once it is on the disk.
///
/// On any error `path` is left as it was and nothing is left beside it. Of several ranks only the first writes.
pub(crate) fn write(path: &Path, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    if !ranks::first() {
        return Ok(());
    }
    // A rename would replace a device such as /dev/null by a plain file.
    if fs::metadata(path).is_ok_and(|existing| !existing.is_file()) {
        bail!("cannot write {}: it exists and is not a regular file", path.display());
    }
    let folder = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    ensure!(
        folder.is_dir(),
        "cannot write {}: {} is not an existing folder",
        path.display(),
        folder.display()
    );
    write_aside(path, folder, write).map_err(|e| anyhow!("cannot write {}: {e:#}", path.display()))
}

/// Creates a folder where there is none and proves that files can be created in it, so that a long
/// run fails at its start and not at its end.
pub(crate) fn prepare_dir(path: &Path) -> Result<()> {
    if !ranks::first() {
        return Ok(());
    }
    fs::create_dir_all(path)
        .map_err(|e| anyhow!("cannot create the folder {}: {e}", path.display()))?;
    Temporary::create(path)
        .map(drop)
        .map_err(|e| anyhow!("cannot create files in the folder {}: {e}", path.display()))
}

fn write_aside(
    path: &Path,
    folder: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<()>,
) -> Result<()> {
    let (temporary, file) = Temporary::create(folder)?;
    let mut writer = BufWriter::new(file);
    write(&mut writer)?;
    writer.flush()?;
    writer.get_ref().sync_all()?;
    // Some systems refuse to rename a file that is open.
    drop(writer);
    fs::rename(&temporary.0, path)?;
    Ok(())
}

/// The name of a file that is removed when this is dropped, unless it was renamed by then.
struct Temporary(PathBuf);

impl Temporary {
    fn create(folder: &Path) -> io::Result<(Self, File)> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        loop {
            let unique = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = folder.join(format!(".hypertape-{}-{unique}.tmp", process::id()));
            match File::create_new(&path) {
                // Left by a killed process that had the same id, as is common in containers.
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                created => return created.map(|file| (Self(path), file)),
            }
        }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Nothing is there to remove after the rename, and an error on the way is already known.
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An empty folder of its own for one test, removed at its end.
    pub(crate) struct Scratch(pub(crate) PathBuf);

    impl Scratch {
        pub(crate) fn new(test: &str) -> Self {
            static NEXT: AtomicU64 = AtomicU64::new(0);
            let unique = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!("hypertape-test-{}-{unique}-{test}", process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(&self.0).unwrap();
            entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
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
        let dir = Scratch::new("overwrite");
        let path = dir.0.join("a.txt");
        put(&path, "a longer first text").unwrap();
        put(&path, "second").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "second");
        assert_eq!(dir.names(), ["a.txt"]);
    }

    #[test]
    fn failure_leaves_nothing() {
        let dir = Scratch::new("nothing");
        let message = fail(&dir.0.join("a.txt"));
        assert!(message.contains("a.txt") && message.contains("after 4 bytes"), "{message}");
        assert!(dir.names().is_empty());
    }

    #[test]
    fn failure_keeps_the_old_file() {
        let dir = Scratch::new("old");
        let path = dir.0.join("a.txt");
        put(&path, "old").unwrap();
        fail(&path);
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(dir.names(), ["a.txt"]);
    }

    #[test]
    fn a_panic_leaves_nothing() {
        let dir = Scratch::new("panic");
        let path = dir.0.join("a.txt");
        let caught = std::panic::catch_unwind(|| write(&path, |_| panic!("in the writer")));
        assert!(caught.is_err());
        assert!(dir.names().is_empty());
    }

    #[test]
    fn a_stale_temporary_is_passed_over() {
        let dir = Scratch::new("stale");
        let stale = 1000;
        for n in 0..stale {
            put(&dir.0.join(format!(".hypertape-{}-{n}.tmp", process::id())), "").unwrap();
        }
        put(&dir.0.join("a.txt"), "new").unwrap();
        assert_eq!(dir.names().len(), stale + 1);
    }

    #[test]
    fn names_a_missing_folder() {
        let dir = Scratch::new("missing");
        let path = dir.0.join("absent").join("a.txt");
        let message = fail(&path);
        assert!(message.contains(&path.display().to_string()), "{message}");
        assert!(message.contains("absent is not an existing folder"), "{message}");
    }

    #[test]
    fn refuses_what_is_not_a_file() {
        let dir = Scratch::new("folder");
        let message = fail(&dir.0);
        assert!(message.contains(&dir.0.display().to_string()), "{message}");
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
        let dir = Scratch::new("nested");
        let path = dir.0.join("a").join("b");
        prepare_dir(&path).unwrap();
        prepare_dir(&path).unwrap();
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
    }

    #[test]
    fn names_a_folder_that_cannot_be() {
        let dir = Scratch::new("blocked");
        let file = dir.0.join("plain");
        put(&file, "").unwrap();
        for path in [file.clone(), file.join("below")] {
            let message = prepare_dir(&path).unwrap_err().to_string();
            assert!(message.contains(&path.display().to_string()), "{message}");
        }
    }

    /// /proc refuses new files even to the superuser, who may write in every plain folder.
    #[cfg(target_os = "linux")]
    #[test]
    fn names_a_folder_that_cannot_be_written() {
        let message = prepare_dir(Path::new("/proc")).unwrap_err().to_string();
        assert!(message.contains("cannot create files in the folder /proc"), "{message}");
        let message = fail(Path::new("/proc/a.txt"));
        assert!(message.contains("cannot write /proc/a.txt"), "{message}");
    }
}
