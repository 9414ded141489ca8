//! Events as bytes: what is sent back to the server in `BINLOG` statements.
//!
//! They are sent without checksums, which the description of the format that goes before them says, so that an event may be
//! changed on the way.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mysql_async::binlog::BinlogChecksumAlg::BINLOG_CHECKSUM_ALG_CRC32;
use mysql_async::binlog::events::{BinlogEventHeader, Event, RotateEvent};

/// How long the header of an event is.
const HEADER: usize = 19;

/// Says that the file is still written to, which is nothing to whoever reads it later.
const IN_USE: u16 = 1;

/// Says that an event of rows is the last of its statement.
const LAST_OF_STATEMENT: u8 = 1;

/// Where the flags of an event of rows, and of the map of its table, are.
const FLAGS: usize = 6;

/// Where the name of the database is in the map of a table: behind its number and its flags.
const NAME: usize = 8;

/// Writes an event again, as one of this kind and with other data.
pub(super) fn bytes(header: &BinlogEventHeader, kind: u8, data: &[u8]) -> Vec<u8> {
    let size = u32::try_from(HEADER + data.len()).unwrap_or(u32::MAX);
    let mut bytes = Vec::with_capacity(HEADER + data.len());
    bytes.extend(header.timestamp().to_le_bytes());
    bytes.push(kind);
    bytes.extend(header.server_id().to_le_bytes());
    bytes.extend(size.to_le_bytes());
    bytes.extend(header.log_pos().to_le_bytes());
    bytes.extend((header.flags_raw() & !IN_USE).to_le_bytes());
    bytes.extend(data);
    bytes
}

/// Writes an event again, with other data.
fn again(header: &BinlogEventHeader, data: &[u8]) -> Vec<u8> {
    bytes(header, header.event_type_raw(), data)
}

/// Writes a description of the format which says that no event has a checksum.
pub(super) fn format_description(event: &Event) -> Vec<u8> {
    let mut data = event.data().to_vec();
    // The algorithm, which is none, and the room of a checksum of its own.
    data.extend([0_u8; 5]);
    again(&event.header(), &data)
}

/// Writes an event of rows as the only one of its statement.
pub(super) fn rows(event: &Event) -> Vec<u8> {
    let mut data = event.data().to_vec();
    if let Some(flags) = data.get_mut(FLAGS) {
        *flags |= LAST_OF_STATEMENT;
    }
    again(&event.header(), &data)
}

/// Returns the number of the table that an event of rows is about.
pub(super) fn table_number(event: &Event) -> u64 {
    let mut number = [0_u8; 8];
    for (into, from) in number[..FLAGS].iter_mut().zip(event.data()) {
        *into = *from;
    }
    u64::from_le_bytes(number)
}

/// Returns whether what follows a beginning of MariaDB is one part of a definition that is logged in two, by its data: the number and
/// the domain of the transaction, its flags, and what these say that follows.
pub(super) fn is_in_two(data: &[u8]) -> bool {
    const FLAGS: usize = 12;
    const OF_A_GROUP: u8 = 2;
    const DISTRIBUTED: u8 = 0x40 | 0x80;
    const PARTS: u8 = 2 | 4 | 8;
    let Some(flags) = data.get(FLAGS) else {
        return false;
    };
    let mut at = FLAGS + 1;
    if flags & OF_A_GROUP != 0 {
        at += 8;
    }
    if flags & DISTRIBUTED != 0 {
        let length = |index: usize| data.get(index).map_or(0, |length| usize::from(*length));
        at += 6 + length(at + 4) + length(at + 5);
    }
    data.get(at).is_some_and(|more| more & PARTS != 0)
}

/// What CRC-32 comes to over anything that its own CRC-32 follows.
const RESIDUE: u32 = 0x2144_DF1C;

/// How long a checksum is.
const CHECKSUM: usize = 4;

/// Returns the name in an event that says which file is next.
///
/// The first of these comes before the description of the format, which alone says whether events have checksums: MariaDB
/// adds one to it all the same, MySQL does not, and either may differ where a server's setting was changed between two files.
/// So the checksum itself tells whether it is one.
pub(super) fn name_of_next(event: &Event, rotate: &RotateEvent<'_>) -> String {
    let sum = event.calc_checksum(BINLOG_CHECKSUM_ALG_CRC32);
    let name = plain_name(rotate.name_raw(), event.checksum(), sum);
    String::from_utf8_lossy(&name).into_owned()
}

/// Returns a name without a checksum: by what was read as one, and the checksum of the event without that.
fn plain_name(name: &[u8], taken_off: Option<[u8; CHECKSUM]>, sum: u32) -> Vec<u8> {
    match taken_off {
        Some(bytes) if u32::from_le_bytes(bytes) == sum => name.to_vec(),
        // It was the end of the name.
        Some(bytes) => [name, &bytes].concat(),
        None if sum == RESIDUE => name[..name.len().saturating_sub(CHECKSUM)].to_vec(),
        None => name.to_vec(),
    }
}

/// The map of a table: which one a number stands for, and what its columns are.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Map<'e> {
    pub(super) database: &'e [u8],
    pub(super) table: &'e [u8],
    /// From the length of the table's name on.
    rest: &'e [u8],
    first: &'e [u8],
}

impl<'e> Map<'e> {
    /// Reads the names in it.
    pub(super) fn read(data: &'e [u8]) -> Option<Self> {
        let (first, named) = data.split_at_checked(NAME)?;
        let (length, after) = named.split_first()?;
        let (database, after) = after.split_at_checked(usize::from(*length))?;
        let rest = after.strip_prefix(&[0])?;
        let (length, after) = rest.split_first()?;
        let table = after.get(..usize::from(*length))?;
        Some(Self {
            database,
            table,
            rest,
            first,
        })
    }

    /// Writes it with another name of the database.
    pub(super) fn renamed(&self, header: &BinlogEventHeader, database: &str) -> Vec<u8> {
        again(header, &self.data(database))
    }

    fn data(&self, database: &str) -> Vec<u8> {
        let mut data = self.first.to_vec();
        data.push(u8::try_from(database.len()).unwrap_or(u8::MAX));
        data.extend(database.as_bytes());
        data.push(0);
        data.extend(self.rest);
        data
    }
}

/// Returns the statement that has the server do events again.
pub(super) fn statement(events: &[&[u8]]) -> String {
    let encoded: Vec<_> = events.iter().map(|event| STANDARD.encode(event)).collect();
    format!("BINLOG '\n{}\n'", encoded.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An event that says which file is next, as a server sends it, and how the reader of the stream was told to read it.
    fn name_of(name: &[u8], has_checksum: bool, is_told: bool) -> String {
        use mysql_async::binlog::events::{BinlogEventFooter, FormatDescriptionEvent};
        use mysql_async::binlog::{BinlogChecksumAlg, BinlogVersion, EventType};

        let data = [&4_u64.to_le_bytes()[..], name].concat();
        let size = HEADER + data.len() + if has_checksum { CHECKSUM } else { 0 };
        let mut bytes = vec![0; 4];
        bytes.push(EventType::ROTATE_EVENT as u8);
        bytes.extend(1_u32.to_le_bytes());
        bytes.extend(u32::try_from(size).unwrap().to_le_bytes());
        bytes.extend([0, 0, 0, 0, 0x20, 0]);
        bytes.extend(data);
        if has_checksum {
            bytes.extend(crc32(&bytes).to_le_bytes());
        }
        let alg = match is_told {
            true => BinlogChecksumAlg::BINLOG_CHECKSUM_ALG_CRC32,
            false => BinlogChecksumAlg::BINLOG_CHECKSUM_ALG_OFF,
        };
        let format =
            FormatDescriptionEvent::new(BinlogVersion::Version4).with_footer(BinlogEventFooter::new(alg));
        let event = Event::read(&format, &bytes[..]).unwrap();
        let rotate: RotateEvent<'_> = event.read_event().unwrap();
        name_of_next(&event, &rotate)
    }

    fn crc32(bytes: &[u8]) -> u32 {
        let mut sum = u32::MAX;
        for byte in bytes {
            sum ^= u32::from(*byte);
            for _ in 0..8 {
                sum = (sum >> 1) ^ (0xEDB8_8320 & (sum & 1).wrapping_neg());
            }
        }
        !sum
    }

    #[test]
    fn the_next_file_is_named_without_a_checksum_whoever_adds_one() {
        for name in ["binlog.000001", "mariadb-bin.1000000", "bin.1"] {
            for (has_checksum, is_told) in [(false, false), (true, false), (false, true), (true, true)] {
                let found = name_of(name.as_bytes(), has_checksum, is_told);
                assert_eq!(found, name, "a checksum: {has_checksum}, told of: {is_told}");
            }
        }
    }

    #[test]
    fn the_map_of_a_table_is_given_another_database_and_nothing_else() {
        let data = b"\x01\x02\0\0\0\0\x01\0\x03app\0\x06orders\0\x02\x03\x0f rest";
        let map = Map::read(data).unwrap();
        assert_eq!((map.database, map.table), (&b"app"[..], &b"orders"[..]));
        let renamed = map.data("walkback_scratch_1");
        let again = Map::read(&renamed).unwrap();
        assert_eq!(
            (again.database, again.table),
            (&b"walkback_scratch_1"[..], &b"orders"[..])
        );
        assert_eq!(again.data("app"), data);
        for length in 0..19 {
            assert_eq!(Map::read(&data[..length]), None, "cut after {length} bytes");
        }
    }
}
