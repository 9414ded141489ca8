//! Reading records from a file, one at a time, from any record on.

mod csv;
mod jsonl;
mod scan;

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use walkback_core::{Error, ErrorKind, Result};

use super::cell::Cell;
use super::options::{LoadFormat, LoadOptions};

/// The field of a rejected record that says why; it is never a column.
pub(super) const REJECT_FIELD: &str = "_walkback_reject";

/// What in it names the fields that are bytes which are no UTF-8.
pub(super) const NOT_UTF8: &str = "not_utf8";

/// What some editors put at the beginning of a file.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// How large a record may be: it is in memory as a whole.
const LARGEST: u64 = 64 << 20;

/// Where a record ends, so that the next one can be found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// How many records there are before it.
    pub(super) records: u64,
    /// How many lines.
    pub(super) lines: u64,
    /// How many bytes.
    pub(super) bytes: u64,
}

/// One record.
#[derive(Debug, Clone)]
pub(super) struct Record {
    /// Its number, from 1.
    pub(super) number: u64,
    /// The line it begins in, from 1.
    pub(super) line: u64,
    /// Its fields, or why it cannot be read.
    pub(super) body: std::result::Result<Vec<(Arc<str>, Cell)>, Unreadable>,
    /// Where it ends.
    pub(super) end: Place,
}

/// A record that cannot be read.
#[derive(Debug, Clone)]
pub(super) struct Unreadable {
    pub(super) why: String,
    /// Its bytes as they are in the file.
    pub(super) raw: Vec<u8>,
}

/// A file of records.
pub(super) enum Reader {
    Csv(csv::CsvReader),
    JsonLines(jsonl::JsonReader),
}

impl Reader {
    /// Opens the file, and goes behind what was read before.
    pub(super) fn open(options: &LoadOptions, from: Option<Place>) -> Result<Self> {
        Ok(match &options.format {
            LoadFormat::Csv { delimiter, null } => {
                Self::Csv(csv::CsvReader::open(&options.file, (*delimiter, null), from)?)
            }
            LoadFormat::JsonLines => Self::JsonLines(jsonl::JsonReader::open(&options.file, from)?),
        })
    }

    /// Returns the names of the fields, where the file says them once for all.
    pub(super) fn header(&self) -> Option<&[Arc<str>]> {
        match self {
            Self::Csv(reader) => Some(reader.header()),
            Self::JsonLines(_) => None,
        }
    }

    /// Reads the next record; nothing at the end.
    pub(super) fn next(&mut self) -> Result<Option<Record>> {
        match self {
            Self::Csv(reader) => reader.next(),
            Self::JsonLines(reader) => reader.next(),
        }
    }
}

/// What tells a file from any other: its size and the hash of all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seal {
    pub(super) bytes: u64,
    pub(super) hash: String,
}

impl Seal {
    /// Reads the whole file.
    pub(super) fn of(path: &Path) -> Result<Self> {
        let mut file = open(path)?;
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; 1 << 16];
        let mut bytes = 0;
        loop {
            let read = file
                .read(&mut buffer)
                .map_err(|error| Error::io("read", path, error))?;
            if read == 0 {
                break;
            }
            bytes += read as u64;
            hasher.update(&buffer[..read]);
        }
        Ok(Self {
            bytes,
            hash: hasher.finalize().to_hex().to_string(),
        })
    }

    /// Checks that a file is still the one that was begun with.
    pub(super) fn check(&self, path: &Path) -> Result<()> {
        if Self::of(path)? == *self {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::CheckFailed,
            format!(
                "`{}` is no longer the file that the load began with",
                path.display()
            ),
        ))
    }
}

fn open(path: &Path) -> Result<File> {
    // To open a pipe waits until somebody writes into it, and to open a device may do something.
    let about = path.metadata().map_err(|error| Error::io("open", path, error))?;
    refuse_other(path, &about)?;
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        // It may have become a pipe since.
        options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
    }
    let file = options
        .open(path)
        .map_err(|error| Error::io("open", path, error))?;
    let about = file
        .metadata()
        .map_err(|error| Error::io("look at", path, error))?;
    refuse_other(path, &about)?;
    Ok(file)
}

/// Refuses what is no file with records in it.
fn refuse_other(path: &Path, about: &std::fs::Metadata) -> Result<()> {
    if about.is_file() {
        return Ok(());
    }
    let what = match about.is_dir() {
        true => "a folder",
        false => "no file",
    };
    Err(Error::new(
        ErrorKind::Usage,
        format!(
            "`{}` is {what}: records are loaded from a file, for one that was killed has to go on with it",
            path.display()
        ),
    )
    .hint("write the records to a file first, and load that"))
}
