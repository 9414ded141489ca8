//! A place in the binary log, with what tells whether it is still the same log.

use chrono::{DateTime, Utc};
use walkback_core::replay::LogPosition;
use walkback_core::{Error, ErrorKind, Result};

/// What the log is called in a position.
pub(crate) const LOG: &str = "binlog";

/// A place in the binary log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spot {
    /// The file.
    pub(crate) file: String,
    /// The offset of the event behind it.
    pub(crate) offset: u64,
    /// When it was there, by the clock of the server, in microseconds.
    pub(crate) micros: i64,
    /// The server, as it names itself.
    pub(crate) server: String,
    /// The transactions before it by their global names, for people and for other servers.
    pub(crate) gtid: String,
}

impl Spot {
    /// Writes it as a manifest holds it.
    pub(crate) fn position(&self) -> LogPosition {
        let gtid: String = self.gtid.split_whitespace().collect();
        let gtid = if gtid.is_empty() {
            String::new()
        } else {
            format!(" gtid={gtid}")
        };
        LogPosition::new(
            LOG,
            format!(
                "{}:{} time={} server={}{gtid}",
                self.file, self.offset, self.micros, self.server
            ),
        )
    }

    /// Reads what a manifest holds.
    pub(crate) fn parse(position: &LogPosition) -> Result<Self> {
        let wrong = || {
            Error::new(
                ErrorKind::Damaged,
                format!("`{}` is no place in a binary log", position.at),
            )
        };
        let mut words = position.at.split_whitespace();
        let (file, offset) = words
            .next()
            .and_then(|word| word.rsplit_once(':'))
            .ok_or_else(wrong)?;
        let field = |name: &str| {
            let mut words = position.at.split_whitespace();
            words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
        };
        if position.log != LOG {
            return Err(wrong());
        }
        Ok(Self {
            file: file.to_owned(),
            offset: offset.parse().map_err(|_| wrong())?,
            micros: field("time")
                .and_then(|time| time.parse().ok())
                .ok_or_else(wrong)?,
            server: field("server").ok_or_else(wrong)?.to_owned(),
            gtid: field("gtid").unwrap_or_default().to_owned(),
        })
    }

    /// Returns when it was there.
    pub(crate) fn moment(&self) -> Result<DateTime<Utc>> {
        DateTime::from_timestamp_micros(self.micros)
            .ok_or_else(|| Error::new(ErrorKind::Damaged, format!("`{}` is no moment", self.micros)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_back_and_anything_else_is_damaged() {
        let spot = Spot {
            file: "mysql-bin.000003".to_owned(),
            offset: 154,
            micros: 1_795_400_000_123_456,
            server: "9f1c".to_owned(),
            gtid: "9f1c:1-5,\naa:7".to_owned(),
        };
        let position = spot.position();
        assert_eq!(position.to_string(), "mysql-bin.000003:154");
        let read = Spot::parse(&position).unwrap();
        assert_eq!(read.gtid, "9f1c:1-5,aa:7");
        assert_eq!(
            (read.file, read.offset, read.micros),
            (spot.file, 154, spot.micros)
        );
        for at in [
            "",
            "binlog.000001",
            "binlog.000001:x time=1 server=a",
            "binlog.000001:4",
        ] {
            assert!(Spot::parse(&LogPosition::new(LOG, at)).is_err(), "{at}");
        }
        assert!(Spot::parse(&LogPosition::new("lsn", position.at)).is_err());
    }
}
