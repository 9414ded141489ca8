//! Reading a dump file, also one that is compressed.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek as _, SeekFrom};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use serde::Serialize;
use walkback_core::{Error, ErrorKind, Result};

/// How much is read at a time.
const BUFFER: usize = 256 << 10;

/// What a file is compressed with, over whatever its format does itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum DumpCompression {
    /// `gzip`.
    Gzip,
    /// `zstd`.
    Zstd,
}

impl DumpCompression {
    /// Returns the compression that a file with this beginning has.
    fn of(path: &Path, head: &[u8]) -> Result<Option<Self>> {
        let other = match head {
            [0x1f, 0x8b, ..] => return Ok(Some(Self::Gzip)),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => return Ok(Some(Self::Zstd)),
            [0xfd, b'7', b'z', b'X', b'Z', ..] => "xz",
            [b'B', b'Z', b'h', ..] => "bzip2",
            [b'P', b'K', 3, 4, ..] => "zip",
            _ => return Ok(None),
        };
        Err(Error::unsupported(
            format!("`{}`, which is compressed with {other},", path.display()),
            "walkback",
        )
        .hint("unpack it first; gzip and zstd are read as they are"))
    }
}

/// A file, unpacked as it is read.
pub(super) struct Reader {
    pub(super) lines: Box<dyn BufRead + Send>,
    pub(super) compression: Option<DumpCompression>,
    /// The first bytes, unpacked.
    pub(super) head: Vec<u8>,
}

/// Opens a dump. `head` is looked at without reading it away.
pub(super) fn open(path: &Path) -> Result<Reader> {
    let failed = |error| Error::io("read", path, error);
    let mut file = File::open(path).map_err(failed)?;
    let mut magic = Vec::new();
    (&mut file).take(8).read_to_end(&mut magic).map_err(failed)?;
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    let compression = DumpCompression::of(path, &magic)?;
    let file = BufReader::with_capacity(BUFFER, file);
    let mut lines: Box<dyn BufRead + Send> = match compression {
        None => Box::new(file),
        Some(DumpCompression::Gzip) => Box::new(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(file))),
        Some(DumpCompression::Zstd) => {
            let decoder = zstd::stream::read::Decoder::with_buffer(file).map_err(failed)?;
            Box::new(BufReader::with_capacity(BUFFER, decoder))
        }
    };
    let head = match lines.fill_buf() {
        Ok(head) => head.to_vec(),
        Err(error) => return Err(damaged(path, error)),
    };
    Ok(Reader {
        lines,
        compression,
        head,
    })
}

/// Says that a file cannot be unpacked or read.
pub(super) fn damaged(path: &Path, error: std::io::Error) -> Error {
    Error::new(
        ErrorKind::Damaged,
        format!(
            "`{}` is truncated or damaged: it cannot be read to its end",
            path.display()
        ),
    )
    .with_source(error)
    .hint("nothing was changed; take another dump, or bring this one back from a copy")
}
