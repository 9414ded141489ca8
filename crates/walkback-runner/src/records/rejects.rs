//! The file of rejected records: JSON Lines that `load` takes, each with the reason in a field that is never a column.

use std::fs::{File, OpenOptions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use walkback_core::{Error, Result};

use super::cell::{hex, quoted};
use super::columns::Fault;
use super::read::{REJECT_FIELD, Record};

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

    /// Writes records behind what the checkpoint says is in the file, durably, and returns where it ends then. What a killed
    /// run or a batch that is tried again has written behind that goes.
    pub(super) fn write(&mut self, behind: u64, rejected: &[(Record, Fault)]) -> Result<u64> {
        if rejected.is_empty() {
            return Ok(behind);
        }
        let failed = |error| Error::io("write", &self.path, error);
        if self.file.is_none() {
            self.file = Some(open(&self.path).map_err(failed)?);
        }
        let Some(file) = &mut self.file else {
            return Ok(behind);
        };
        let text: String = rejected
            .iter()
            .map(|(record, fault)| line(record, fault))
            .collect();
        file.set_len(behind).map_err(failed)?;
        file.seek(SeekFrom::Start(behind)).map_err(failed)?;
        file.write_all(text.as_bytes()).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        Ok(behind + text.len() as u64)
    }

    /// Cuts what a killed run has written behind its last checkpoint.
    pub(super) fn cut(&self, behind: u64) -> Result<()> {
        if !self.path.exists() {
            return Ok(());
        }
        let failed = |error| Error::io("write", &self.path, error);
        if behind == 0 {
            return std::fs::remove_file(&self.path).map_err(failed);
        }
        let file = open(&self.path).map_err(failed)?;
        file.set_len(behind)
            .and_then(|()| file.sync_all())
            .map_err(failed)
    }
}

/// Opens the file for its owner only: it holds rows.
fn open(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
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
    use crate::records::cell::Cell;
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
        Rejects::new(&path).cut(end).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), end);
        Rejects::new(&path).cut(0).unwrap();
        assert!(!path.exists());
    }
}
