//! The header of an archive of `pg_dump`, which says what made it, when and from what.

/// What the header of an archive says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Header {
    /// The letter of `pg_dump --format`, as far as it is known.
    pub(super) form: Option<Form>,
    pub(super) database: Option<String>,
    pub(super) server: Option<String>,
    pub(super) tool: Option<String>,
    /// By the clock of the machine that made it.
    pub(super) made_at: Option<String>,
}

/// The forms of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Custom,
    Tar,
    Directory,
}

/// What every archive begins with.
const MAGIC: &[u8] = b"PGDMP";

/// Reads the header of an archive. `None`: it is none, or is cut off within it.
pub(super) fn read(bytes: &[u8]) -> Option<Header> {
    let mut rest = Rest(bytes.strip_prefix(MAGIC)?);
    let (major, minor, _) = (rest.byte()?, rest.byte()?, rest.byte()?);
    let (integer, _offset) = (usize::from(rest.byte()?), rest.byte()?);
    let form = match rest.byte()? {
        1 => Some(Form::Custom),
        3 => Some(Form::Tar),
        5 => Some(Form::Directory),
        _ => None,
    };
    if (major, minor) >= (1, 15) {
        rest.byte()?;
    } else {
        rest.integer(integer)?;
    }
    let mut time = [0_i64; 7];
    for part in &mut time {
        *part = rest.integer(integer)?;
    }
    let [second, minute, hour, day, month, year, _] = time;
    Some(Header {
        form,
        database: rest.text(integer)?,
        server: rest.text(integer)?,
        tool: rest.text(integer)?.map(|version| format!("pg_dump {version}")),
        made_at: Some(format!(
            "{:04}-{:02}-{day:02} {hour:02}:{minute:02}:{second:02}",
            year + 1900,
            month + 1
        )),
    })
}

struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// An integer is a sign and then its bytes, the lowest first.
    fn integer(&mut self, bytes: usize) -> Option<i64> {
        let negative = self.byte()? != 0;
        let mut value = 0_i64;
        for place in 0..bytes.min(8) {
            value |= i64::from(self.byte()?) << (8 * place);
        }
        Some(if negative { -value } else { value })
    }

    /// A text is its length, or -1 for none, and then its bytes.
    fn text(&mut self, integer: usize) -> Option<Option<String>> {
        let length = self.integer(integer)?;
        let Ok(length) = usize::try_from(length) else {
            return Some(None);
        };
        let bytes = self.0.get(..length)?;
        self.0 = &self.0[length..];
        Some(Some(String::from_utf8_lossy(bytes).into_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn integer(value: i64) -> Vec<u8> {
        let mut bytes = vec![u8::from(value < 0)];
        bytes.extend(&value.unsigned_abs().to_le_bytes()[..4]);
        bytes
    }

    fn text(text: &str) -> Vec<u8> {
        let mut bytes = integer(i64::try_from(text.len()).unwrap());
        bytes.extend(text.as_bytes());
        bytes
    }

    fn archive() -> Vec<u8> {
        let mut bytes = b"PGDMP\x01\x0e\x00\x04\x08\x01".to_vec();
        for number in [-1, 59, 58, 23, 31, 11, 126, 0] {
            bytes.extend(integer(number));
        }
        for part in ["app", "15.4", "16.1"] {
            bytes.extend(text(part));
        }
        bytes
    }

    #[test]
    fn the_header_says_what_made_the_archive_when_and_from_what() {
        let header = read(&archive()).unwrap();
        assert_eq!(header.form, Some(Form::Custom));
        assert_eq!(header.database.as_deref(), Some("app"));
        assert_eq!(header.server.as_deref(), Some("15.4"));
        assert_eq!(header.tool.as_deref(), Some("pg_dump 16.1"));
        assert_eq!(header.made_at.as_deref(), Some("2026-12-31 23:58:59"));
    }

    #[test]
    fn a_header_that_is_cut_off_anywhere_is_none() {
        let whole = archive();
        for length in 0..whole.len() {
            assert_eq!(read(&whole[..length]), None, "cut after {length} bytes");
        }
    }
}
