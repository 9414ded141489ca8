//! What MariaDB packs (`log_bin_compress`): the text of a statement or the rows of a table, each in its event, by zlib.
//!
//! The server itself takes no such event in a `BINLOG` statement: it is made the event that it was before.

use std::io::{Error, ErrorKind, Read as _, Result};

use flate2::read::ZlibDecoder;
use mysql_async::binlog::events::{BinlogEventFooter, Event};
use mysql_async::binlog::{BinlogChecksumAlg, EventType};

use super::event::bytes;

/// The kinds of events that are packed: a statement, and rows in the older and in the newer form.
const STATEMENT: u8 = 165;
const ROWS: std::ops::RangeInclusive<u8> = 166..=168;
const NEWER_ROWS: std::ops::RangeInclusive<u8> = 169..=171;

/// Where a statement says how long the name of its database and its variables are, and what comes behind that.
const LENGTH_OF_NAME: usize = 8;
const LENGTH_OF_VARIABLES: usize = 11;
const VARIABLES: usize = 13;

/// Where rows begin: behind the number of the table and the flags.
const COLUMNS: usize = 8;

/// The only way of packing there is, as the first byte of what is packed says it, and where that says how many bytes its length takes.
const ZLIB: u8 = 0x80;
const WAY: u8 = 0xF0;
const BYTES_OF_LENGTH: u8 = 0x07;

/// Returns the event that a packed one was; `None` if it is not packed.
pub(super) fn unpacked(event: &Event) -> Result<Option<Event>> {
    let header = event.header();
    let raw = header.event_type_raw();
    let Some(kind) = plain_kind(raw) else {
        return Ok(None);
    };
    let data = plain(raw, event.data()).ok_or_else(|| {
        Error::new(
            ErrorKind::InvalidData,
            "what is packed in it (`log_bin_compress`) is not whole",
        )
    })?;
    let unchecked = BinlogEventFooter::new(BinlogChecksumAlg::BINLOG_CHECKSUM_ALG_OFF);
    let format = event.fde().clone().with_footer(unchecked);
    Event::read(&format, &bytes(&header, kind, &data)[..]).map(Some)
}

/// Returns the kind of an event once it is unpacked.
fn plain_kind(raw: u8) -> Option<u8> {
    if raw == STATEMENT {
        Some(EventType::QUERY_EVENT as u8)
    } else if ROWS.contains(&raw) {
        Some(raw - ROWS.start() + EventType::WRITE_ROWS_EVENT_V1 as u8)
    } else if NEWER_ROWS.contains(&raw) {
        Some(raw - NEWER_ROWS.start() + EventType::WRITE_ROWS_EVENT as u8)
    } else {
        None
    }
}

/// Returns the data of an event once it is unpacked; `None` if it is not whole.
fn plain(raw: u8, data: &[u8]) -> Option<Vec<u8>> {
    let at = if raw == STATEMENT {
        behind_database(data)?
    } else {
        behind_columns(raw, data)?
    };
    let (before, packed) = data.split_at_checked(at)?;
    let mut plain = before.to_vec();
    plain.extend(unpack(packed)?);
    Some(plain)
}

/// Returns where the text of a statement begins.
fn behind_database(data: &[u8]) -> Option<usize> {
    let name = usize::from(*data.get(LENGTH_OF_NAME)?);
    let variables = usize::from(u16_at(data, LENGTH_OF_VARIABLES)?);
    Some(VARIABLES + variables + name + 1)
}

/// Returns where the rows themselves begin: behind the columns that they have, which a change names twice.
fn behind_columns(raw: u8, data: &[u8]) -> Option<usize> {
    let mut at = COLUMNS;
    if NEWER_ROWS.contains(&raw) {
        at += usize::from(u16_at(data, at)?);
    }
    let (columns, taken) = counted(data.get(at..)?)?;
    let is_change = raw == ROWS.start() + 1 || raw == NEWER_ROWS.start() + 1;
    let times = if is_change { 2 } else { 1 };
    Some(at + taken + columns.div_ceil(8) * times)
}

/// Returns a number as the protocol writes it, and how many bytes it takes.
fn counted(data: &[u8]) -> Option<(usize, usize)> {
    match data.first()? {
        0xFC => Some((usize::from(u16_at(data, 1)?), 3)),
        small @ ..=0xFA => Some((usize::from(*small), 1)),
        // No table has so many columns.
        _ => None,
    }
}

fn u16_at(data: &[u8], at: usize) -> Option<u16> {
    let bytes = data.get(at..at + 2)?;
    bytes.try_into().map(u16::from_le_bytes).ok()
}

/// Unpacks: a byte that says how, the length of what comes out, and what is packed.
fn unpack(packed: &[u8]) -> Option<Vec<u8>> {
    let (way, rest) = packed.split_first()?;
    let (length, rest) = rest.split_at_checked(usize::from(way & BYTES_OF_LENGTH))?;
    if way & WAY != ZLIB || length.len() > size_of::<u32>() {
        return None;
    }
    let length = length
        .iter()
        .fold(0_u64, |length, byte| length << 8 | u64::from(*byte));
    let mut plain = Vec::new();
    // No more than is said, whatever is in it.
    ZlibDecoder::new(rest)
        .take(length + 1)
        .read_to_end(&mut plain)
        .ok()?;
    (u64::try_from(plain.len()).ok()? == length).then_some(plain)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::ZlibEncoder;

    use super::*;

    fn pack(plain: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(plain).unwrap();
        let length = u16::try_from(plain.len()).unwrap().to_be_bytes();
        [&[ZLIB | 2], &length[..], &encoder.finish().unwrap()].concat()
    }

    #[test]
    fn what_was_packed_comes_out_and_what_is_not_whole_does_not() {
        let text = "INSERT INTO note VALUES ('one')".repeat(20);
        let before = b"\x01\0\0\0\0\0\0\0\x03\0\0\x02\0vvapp\0";
        let columns = b"\x01\0\0\0\0\0\x01\0\x09\xFF\x01";
        let changed = b"\x01\0\0\0\0\0\x01\0\x02\x03\x03";
        let newer = b"\x01\0\0\0\0\0\x01\0\x03\0x\x02\x03";
        for (raw, before) in [
            (165, &before[..]),
            (166, columns),
            (167, changed),
            (168, columns),
            (169, newer),
        ] {
            let packed = [before, &pack(text.as_bytes())].concat();
            let expected = [before, text.as_bytes()].concat();
            assert_eq!(plain(raw, &packed), Some(expected), "{raw}");
            for length in 0..packed.len() {
                assert_eq!(
                    plain(raw, &packed[..length]),
                    None,
                    "{raw}, cut after {length} bytes"
                );
            }
        }
        let mut longer = pack(b"abc");
        longer[2] = 4;
        assert_eq!(unpack(&longer), None, "shorter than is said");
        longer[2] = 2;
        assert_eq!(unpack(&longer), None, "longer than is said");
        longer[2] = 3;
        longer[0] |= 0x10;
        assert_eq!(unpack(&longer), None, "packed in another way");
    }

    #[test]
    fn each_kind_is_what_it_was_before() {
        for (raw, kind) in [
            (165, 2),
            (166, 23),
            (167, 24),
            (168, 25),
            (169, 30),
            (170, 31),
            (171, 32),
        ] {
            assert_eq!(plain_kind(raw), Some(kind));
        }
        assert_eq!(plain_kind(164), None);
        assert_eq!(plain_kind(23), None);
    }
}
