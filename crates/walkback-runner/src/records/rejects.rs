//! The file of rejected records: JSON Lines that `load` takes, each with the reason in a field that is never a column.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use walkback_core::{Error, ErrorKind, Result};

use super::cell::{Cell, hex, quoted};
use super::columns::Fault;
use super::read::{NOT_UTF8, REJECT_FIELD, Record};

/// What each record in the file begins with.
const BEGIN: &str = "{\"_walkback_reject\":{";

/// The file of rejected records.
pub(super) struct Rejects {
    path: PathBuf,
    file: Option<File>,
}

impl Rejects {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            file: None,
        }
    }

    /// Makes the file, so that it is nobody else's. One that is there must be empty: what a load that was killed before it
    /// began has left.
    pub(super) fn reserve(path: &Path) -> Result<()> {
        let failed = |error| Error::io("create", path, error);
        match make(path) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && is_free(path) => Ok(()),
            Err(error) => Err(failed(error).hint("move it away, or name another file with `--rejects FILE`")),
        }
    }

    /// Removes the file if nothing was rejected. One that stays empty is in nobody's way.
    pub(super) fn remove_empty(path: &Path) {
        if path
            .metadata()
            .is_ok_and(|about| about.is_file() && about.len() == 0)
        {
            std::fs::remove_file(path).ok();
        }
    }

    /// Writes records behind what the checkpoint says is in the file, durably, and returns where it ends then. What a killed
    /// run or a batch that is tried again has written behind that goes.
    pub(super) fn write(&mut self, behind: u64, rejected: &[(Record, Fault)]) -> Result<u64> {
        if rejected.is_empty() && self.file.is_none() {
            return Ok(behind);
        }
        let failed = |error| Error::io("write", &self.path, error);
        if self.file.is_none() {
            check_length(&self.path, behind)?;
            self.file = Some(open(&self.path).map_err(failed)?);
        }
        let Some(file) = &mut self.file else {
            return Ok(behind);
        };
        let text: String = rejected
            .iter()
            .map(|(record, fault)| line(record, fault))
            .collect();
        let length = file.metadata().map_err(failed)?.len();
        if text.is_empty() && length == behind {
            return Ok(behind);
        }
        file.set_len(behind).map_err(failed)?;
        file.seek(SeekFrom::Start(behind)).map_err(failed)?;
        file.write_all(text.as_bytes()).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        Ok(behind + text.len() as u64)
    }

    /// Cuts what a killed run has written behind its last checkpoint.
    ///
    /// # Errors
    /// If the file is not the one that the load has written: nothing is done to it then.
    pub(super) fn cut(path: &Path, behind: u64) -> Result<()> {
        check_length(path, behind)?;
        let failed = |error| Error::io("write", path, error);
        if !path.exists() {
            return Ok(());
        }
        let file = open(path).map_err(failed)?;
        file.set_len(behind)
            .and_then(|()| file.sync_all())
            .map_err(failed)
    }
}

/// Returns whether a load may write its rejected records there.
pub(super) fn is_free(path: &Path) -> bool {
    path.metadata()
        .map_or(true, |about| about.is_file() && about.len() == 0)
}

/// Checks that the file is what a load has written, at least as far as its checkpoint says.
pub(super) fn check_length(path: &Path, behind: u64) -> Result<()> {
    let failed = |error| Error::io("read", path, error);
    let wrong = |why: &str| {
        Err(Error::new(
            ErrorKind::CheckFailed,
            format!(
                "`{}` is not the file of rejected records any more: {why}",
                path.display()
            ),
        ))
    };
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => match behind {
            0 => return Ok(()),
            _ => return wrong("it is gone"),
        },
        Err(error) => return Err(failed(error)),
    };
    let length = file.metadata().map_err(failed)?.len();
    if length < behind {
        return wrong("it is shorter than what was written");
    }
    let mut begin = Vec::new();
    let known = BEGIN.len() as u64;
    (&mut file).take(known).read_to_end(&mut begin).map_err(failed)?;
    match BEGIN.as_bytes().starts_with(&begin) {
        true => Ok(()),
        false => wrong("it holds something else"),
    }
}

fn make(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let file = options.open(path)?;
    // Its name is durable once its folder is.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    Ok(file)
}

/// Opens the file that was made; where somebody has removed it, it is made again.
fn open(path: &Path) -> std::io::Result<File> {
    match OpenOptions::new().write(true).open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => make(path),
        opened => opened,
    }
}

/// Writes one record, as it was, with its reason first.
fn line(record: &Record, fault: &Fault) -> String {
    let mut about = format!(
        "\"record\":{},\"line\":{},\"reason\":{}",
        record.number,
        record.line,
        quoted(&fault.reason)
    );
    let mut fields = String::new();
    match &record.body {
        Ok(cells) => {
            let is_broken = |cell: &Cell| matches!(cell, Cell::Broken(_));
            let broken = cells.iter().filter(|(_, cell)| is_broken(cell));
            let broken: Vec<_> = broken.map(|(name, _)| quoted(name)).collect();
            if !broken.is_empty() {
                about.push_str(&format!(",\"{NOT_UTF8}\":[{}]", broken.join(",")));
            }
            for (name, cell) in cells {
                fields.push_str(&format!(",{}:{}", quoted(name), cell.to_json()));
            }
        }
        Err(unreadable) => about.push_str(&match std::str::from_utf8(&unreadable.raw) {
            Ok(raw) => format!(",\"raw\":{}", quoted(raw)),
            Err(_) => format!(",\"raw_hex\":\"{}\"", hex(&unreadable.raw)),
        }),
    }
    format!("{{\"{REJECT_FIELD}\":{{{about}}}{fields}}}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::read::{Place, Unreadable};

    fn record(body: std::result::Result<Cell, Unreadable>) -> Record {
        Record {
            number: 2,
            line: 3,
            body: body.map(|cell| vec![("a \"b\"".into(), cell)]),
            end: Place::default(),
        }
    }

    #[test]
    fn a_record_is_written_as_it_was() {
        let fault = Fault::new("no", "no `1`");
        assert_eq!(
            line(&record(Ok(Cell::Number("1.50".to_owned()))), &fault),
            "{\"_walkback_reject\":{\"record\":2,\"line\":3,\"reason\":\"no `1`\"},\"a \\\"b\\\"\":1.50}\n"
        );
        let broken = Unreadable {
            why: String::new(),
            raw: vec![0xff],
        };
        assert!(line(&record(Err(broken)), &fault).contains("\"raw_hex\":\"ff\"}"));
    }

    #[test]
    fn what_is_behind_the_checkpoint_is_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rejects.jsonl");
        let fault = Fault::new("no", "no");
        let one = [(record(Ok(Cell::Null)), fault)];
        let mut rejects = Rejects::new(&path);
        let end = rejects.write(0, &one).unwrap();
        rejects.write(end, &one).unwrap();
        assert_eq!(rejects.write(end, &one).unwrap(), 2 * end);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 2 * end);
        // A batch that is tried again may reject nothing.
        assert_eq!(rejects.write(end, &[]).unwrap(), end);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), end);
        rejects.write(end, &one).unwrap();
        Rejects::cut(&path, end).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), end);
        Rejects::cut(&path, 0).unwrap();
        Rejects::remove_empty(&path);
        assert!(!path.exists());
    }

    #[test]
    fn a_file_of_somebody_else_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.txt");
        std::fs::write(&path, "notes").unwrap();
        assert!(Rejects::reserve(&path).is_err());
        assert!(Rejects::cut(&path, 0).is_err());
        assert!(Rejects::cut(&path, 100).is_err());
        Rejects::remove_empty(&path);
        assert_eq!(std::fs::read(&path).unwrap(), b"notes");
        std::fs::remove_file(&path).unwrap();
        assert!(Rejects::cut(&path, 100).is_err());
        assert!(!path.exists(), "a file was made with a hole in it");
    }
}
