//! What of the log is nothing to go forward by, and what cannot be done again: where it is, and why.

use std::io::Read as _;

use mysql_async::binlog::EventType;
use mysql_async::binlog::events::{Event, TransactionPayloadEvent};
use walkback_core::{Error, ErrorKind, Result};

use super::apply::Replaying;
use super::gone;
use crate::error::excerpt;

/// The log is not there.
const NO_LOG: u16 = 1236;

/// Says that whoever does not know an event may do without it.
const IGNORABLE: u16 = 0x80;

/// Events that write nothing and that the driver has no name for: a newer sign of life of MySQL, and of MariaDB what a statement of
/// rows was, places of other logs, and keys of files.
const UNNAMED: [u8; 5] = [41, 160, 161, 163, 164];

impl Replaying {
    /// Sees that an event that is not done again writes nothing.
    pub(super) fn must_be_harmless(&self, event: &Event) -> Result<()> {
        let header = event.header();
        let raw = header.event_type_raw();
        let is_known = header.event_type().is_ok_and(is_harmless);
        if is_known || UNNAMED.contains(&raw) || header.flags_raw() & IGNORABLE != 0 {
            return Ok(());
        }
        Err(self.refused(
            &format!("it is an event of a kind that is not known ({raw})"),
            None,
        ))
    }

    /// Sees that a transaction that is packed can be unpacked whole: what reads the log says nothing otherwise.
    pub(super) fn must_be_whole(&self, event: &Event) -> Result<()> {
        let payload: TransactionPayloadEvent<'_> = self.understood(event.read_event())?;
        let mut reader = self.understood(payload.decompressed())?;
        let (mut buffer, mut length) = (vec![0_u8; 64 << 10], 0_u64);
        loop {
            let read = self.understood(reader.read(&mut buffer))?;
            if read == 0 {
                break;
            }
            length += read as u64;
        }
        if length == 0 || length != payload.uncompressed_size() {
            return Err(self.refused("a packed transaction is not whole", None));
        }
        Ok(())
    }

    /// Returns where the event is that is being done, in words.
    pub(super) fn place(&self) -> String {
        format!("before `{}:{}`", self.file, self.offset)
    }

    /// Says why something in the log cannot be done again.
    pub(super) fn refused(&self, why: &str, statement: Option<&str>) -> Error {
        let what = statement.map_or_else(String::new, |sql| format!(" (`{}`)", excerpt(sql)));
        Error::new(
            ErrorKind::Unsupported,
            format!(
                "what is in the binary log {} cannot be done again: {why}{what}",
                self.place()
            ),
        )
        .hint("the database was not changed; begin with a backup made after it, or go to a moment before it")
    }

    pub(super) fn unreadable(&self, error: mysql_async::Error) -> Error {
        match &error {
            mysql_async::Error::Server(server) if server.code == NO_LOG => {
                gone(&self.spot).with_context("server", &server.message)
            }
            _ => {
                let place = self.scratch.place.clone();
                place.failed(
                    format!(
                        "the binary log cannot be read behind `{}:{}`",
                        self.file, self.offset
                    ),
                    error,
                )
            }
        }
    }

    pub(super) fn understood<T>(&self, outcome: std::io::Result<T>) -> Result<T> {
        outcome.map_err(|error| {
            Error::new(
                ErrorKind::Unsupported,
                format!("the event in the binary log {} is not understood", self.place()),
            )
            .with_source(error)
        })
    }
}

fn is_harmless(kind: EventType) -> bool {
    matches!(
        kind,
        EventType::STOP_EVENT
            | EventType::ROTATE_EVENT
            | EventType::PREVIOUS_GTIDS_EVENT
            | EventType::HEARTBEAT_EVENT
            | EventType::IGNORABLE_EVENT
            | EventType::ROWS_QUERY_EVENT
            | EventType::VIEW_CHANGE_EVENT
            | EventType::TRANSACTION_CONTEXT_EVENT
            // Parts of a file that is loaded by an event of its own.
            | EventType::BEGIN_LOAD_QUERY_EVENT
            | EventType::APPEND_BLOCK_EVENT
            | EventType::DELETE_FILE_EVENT
    )
}

pub(super) fn is_of_rows(kind: EventType) -> bool {
    matches!(
        kind,
        EventType::WRITE_ROWS_EVENT_V1
            | EventType::UPDATE_ROWS_EVENT_V1
            | EventType::DELETE_ROWS_EVENT_V1
            | EventType::WRITE_ROWS_EVENT
            | EventType::UPDATE_ROWS_EVENT
            | EventType::DELETE_ROWS_EVENT
            | EventType::PARTIAL_UPDATE_ROWS_EVENT
    )
}
