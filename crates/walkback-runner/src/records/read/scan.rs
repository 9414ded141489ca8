//! Taking a line of comma-separated values apart, byte by byte.

/// Where in a field the next byte is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// At its beginning.
    Begin,
    /// In one without quotes.
    Plain,
    /// Between quotes.
    Quoted,
    /// Behind a quote that may be the closing one.
    Behind,
}

/// The fields of one record.
#[derive(Debug)]
pub(super) struct Scan {
    delimiter: u8,
    at: At,
    /// The line in which the last quote was opened.
    opened: u64,
    field: Vec<u8>,
    /// The fields so far.
    pub(super) fields: Vec<Vec<u8>>,
    /// Why they are not what anybody has meant.
    pub(super) wrong: Option<&'static str>,
}

impl Scan {
    pub(super) fn new(delimiter: u8) -> Self {
        Self {
            delimiter,
            at: At::Begin,
            opened: 0,
            field: Vec::new(),
            fields: Vec::new(),
            wrong: None,
        }
    }

    /// Returns the line of the quote that is open; none: the record ends with the line.
    pub(super) fn open_since(&self) -> Option<u64> {
        (self.at == At::Quoted).then_some(self.opened)
    }

    /// Takes one line with its end.
    pub(super) fn take(&mut self, line: &[u8], number: u64) {
        for (index, byte) in line.iter().copied().enumerate() {
            let next = line.get(index + 1);
            match (self.at, byte) {
                (At::Quoted, b'"') => self.at = At::Behind,
                (At::Quoted, _) => self.field.push(byte),
                (At::Behind, b'"') => {
                    self.field.push(byte);
                    self.at = At::Quoted;
                }
                (_, b'\n') => {}
                (_, b'\r') if next.is_none_or(|next| *next == b'\n') => {}
                (_, byte) if byte == self.delimiter => {
                    self.end();
                    self.at = At::Begin;
                }
                (At::Begin, b'"') => {
                    (self.at, self.opened) = (At::Quoted, number);
                }
                _ => self.plain(byte),
            }
        }
    }

    /// Takes a byte of a field without quotes, or one that should be none.
    fn plain(&mut self, byte: u8) {
        let wrong = match (self.at, byte) {
            (At::Behind, _) => Some("something stands behind the closing quote of a field"),
            (_, b'"') => Some("a quote stands inside a field that does not begin with one"),
            (_, b'\r') => Some("a carriage return stands outside quotes"),
            _ => None,
        };
        self.wrong = self.wrong.or(wrong);
        self.field.push(byte);
        self.at = At::Plain;
    }

    /// Ends a field.
    pub(super) fn end(&mut self) {
        self.fields.push(std::mem::take(&mut self.field));
    }
}
