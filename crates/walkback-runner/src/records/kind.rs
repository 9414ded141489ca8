//! What the type of a column takes, and fields as values of it. What a server would cut, round or change without a word is
//! refused here.

use walkback_core::Value;
use walkback_core::dialect::DialectKind;

use super::cell::{Cell, Escape};
use super::convert::{
    affinity, boolean, bounded, bytes, clock, exact, float, integer, json, member, members, unchanged,
};
use super::moment::{self, Zone};

/// What the type of a column takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Integer {
        least: i128,
        most: i128,
    },
    /// An exact number: how many digits before and after the point, where there is a bound.
    Decimal {
        whole: Option<usize>,
        fraction: Option<usize>,
    },
    /// An exact number that SQLite keeps as an integer or a double: how many digits before and after the point, where
    /// there is a bound.
    Affinity {
        whole: Option<usize>,
        fraction: Option<usize>,
    },
    Float,
    Bool,
    /// What MySQL makes of `BOOLEAN`: an integer of one byte, for which truth values have words.
    TinyBool,
    /// Text of at most so many characters.
    Text {
        most: Option<usize>,
    },
    /// Text that the server takes spaces off at its end.
    Char {
        most: usize,
    },
    Bytes {
        most: Option<usize>,
    },
    /// Bytes that the server fills up to this length.
    FixedBytes {
        length: usize,
    },
    /// A double that the server rounds.
    RoundedFloat {
        whole: usize,
        fraction: usize,
    },
    /// One of these words; `many`: any of them, with commas between.
    Member {
        of: Vec<String>,
        many: bool,
    },
    /// A time of day, with so many digits of a second.
    Clock {
        digits: usize,
    },
    Date,
    /// A moment, with so many digits of a second.
    Moment {
        digits: usize,
        zone: Zone,
    },
    Json,
    Year,
    /// Bits, as many as this.
    Bits {
        most: u32,
    },
    /// A type that SQLite does not know, and makes numbers of texts that read as such.
    Loose,
    /// What only the server knows: it reads the text.
    Other,
}

impl Kind {
    /// Reads the type of a column as the catalog spells it.
    pub(super) fn of(dialect: DialectKind, data_type: &str) -> Self {
        let lower = data_type.trim().to_ascii_lowercase();
        let (name, arguments) = parts(&lower);
        let first = arguments.first().copied();
        let is_unsigned = lower.contains("unsigned");
        match dialect {
            DialectKind::Sqlite => of_sqlite(&lower, &name, &arguments),
            DialectKind::Mysql => of_mysql((data_type, &name), &arguments, is_unsigned),
            DialectKind::Postgres => match name.as_str() {
                // An array is the server's to read.
                _ if lower.ends_with(']') => Self::Other,
                "smallint" => signed(16),
                "integer" => signed(32),
                "bigint" => signed(64),
                "numeric" => decimal(&arguments),
                "real" | "double precision" => Self::Float,
                "boolean" => Self::Bool,
                "text" => Self::Text { most: None },
                "character varying" => Self::Text { most: first },
                "character" => Self::Text {
                    most: Some(first.unwrap_or(1)),
                },
                "bytea" => Self::Bytes { most: None },
                "date" => Self::Date,
                "json" | "jsonb" => Self::Json,
                "timestamp" | "timestamp without time zone" => Self::Moment {
                    digits: first.unwrap_or(6),
                    zone: Zone::None,
                },
                "timestamp with time zone" => Self::Moment {
                    digits: first.unwrap_or(6),
                    zone: Zone::Kept,
                },
                "time" | "time without time zone" | "time with time zone" => Self::Clock {
                    digits: first.unwrap_or(6),
                },
                _ => Self::Other,
            },
        }
    }

    /// Returns what it is in a table of SQLite that keeps every value as it comes.
    pub(super) fn in_strict_table(self) -> Self {
        match self {
            Self::Loose => Self::Other,
            other => other,
        }
    }

    /// Returns a field as a value of this type, or why it is none.
    pub(super) fn value(&self, dialect: DialectKind, cell: Cell) -> Result<Value, String> {
        let text = match cell {
            Cell::Null => return Ok(Value::Null),
            Cell::Broken(bytes) => {
                let at = std::str::from_utf8(&bytes)
                    .err()
                    .map_or(0, |error| error.valid_up_to());
                return Err(format!("is not UTF-8, from its byte {} on", at + 1));
            }
            Cell::Bool(value) => return self.of_bool(dialect, value),
            Cell::Json(raw) => return self.of_structure(dialect, raw),
            Cell::Number(digits) => match (self, dialect) {
                // It is the same number, however it is written.
                (Self::Loose | Self::Json, DialectKind::Sqlite) => return affinity(&digits),
                _ => digits,
            },
            Cell::Text(text) if *self == Self::Json => return json(dialect, text),
            Cell::Text(text) => text,
        };
        self.of_text(dialect, text)
    }

    /// Returns an array or an object as a value: itself, or what it stands for in an export.
    fn of_structure(&self, dialect: DialectKind, raw: String) -> Result<Value, String> {
        let is_text = matches!(self, Self::Text { .. } | Self::Char { .. } | Self::Member { .. });
        let escape = match self {
            Self::Json => None,
            _ => Escape::of(&raw),
        };
        match (escape, self) {
            (Some(Escape::Broken(bytes)), _) if is_text => self.value(dialect, Cell::Broken(bytes)),
            (Some(Escape::Number(digits)), _) if !is_text => self.value(dialect, Cell::Number(digits)),
            (Some(Escape::Bytes(text)), Self::Bytes { .. } | Self::FixedBytes { .. }) => {
                self.of_text(dialect, text)
            }
            (Some(Escape::Bytes(text)), Self::Other | Self::Loose) => bytes(&text, None),
            (_, Self::Json | Self::Other | Self::Loose | Self::Text { most: None }) => {
                bounded(dialect, raw, None)
            }
            _ => Err("is an array or an object".to_owned()),
        }
    }

    fn of_bool(&self, dialect: DialectKind, value: bool) -> Result<Value, String> {
        match self {
            Self::Bool if dialect == DialectKind::Postgres => Ok(Value::Bool(value)),
            Self::Bool | Self::TinyBool | Self::Affinity { .. } => Ok(Value::Integer(i64::from(value))),
            // MySQL's own word for a truth value is a small integer.
            Self::Integer { .. } if dialect != DialectKind::Postgres => Ok(Value::Integer(i64::from(value))),
            Self::Text { .. } | Self::Char { .. } | Self::Json | Self::Other | Self::Loose => {
                self.of_text(dialect, value.to_string())
            }
            _ => Err(format!("`{value}` is a truth value")),
        }
    }

    fn of_text(&self, dialect: DialectKind, text: String) -> Result<Value, String> {
        match self {
            Self::Integer { least, most } => integer(&text, *least, *most),
            Self::Decimal { whole, fraction } => exact(dialect, &text, *whole, *fraction),
            Self::Affinity { whole, fraction } => {
                exact(dialect, &text, *whole, *fraction).and_then(|_| affinity(&text))
            }
            Self::Float => float(dialect, &text),
            Self::Bool => boolean(dialect, &text),
            Self::TinyBool => match text.bytes().any(|byte| byte.is_ascii_digit()) {
                true => integer(&text, i128::from(i8::MIN), i128::from(i8::MAX)),
                false => boolean(dialect, &text),
            },
            Self::Text { most } => bounded(dialect, text, *most),
            Self::Char { .. } if text.ends_with(' ') => {
                Err("ends with a space, which the server would take off".to_owned())
            }
            Self::Char { most } => bounded(dialect, text, Some(*most)),
            Self::Bytes { most } => bytes(&text, *most),
            Self::FixedBytes { length } => match bytes(&text, Some(*length))? {
                Value::Bytes(bytes) if bytes.len() < *length => Err(format!(
                    "has {} bytes, and the server would fill them up to {length}",
                    bytes.len()
                )),
                value => Ok(value),
            },
            Self::RoundedFloat { whole, fraction } => {
                exact(dialect, &text, Some(*whole), Some(*fraction))?;
                float(dialect, &text)
            }
            Self::Member { of, many } => member(text, of, *many),
            Self::Clock { digits } => clock(&text, *digits).and_then(|()| bounded(dialect, text, None)),
            Self::Date => moment::date(&text).map(|()| Value::Text(text)),
            Self::Moment { digits, zone } => moment::moment(&text, *digits, *zone).map(Value::Text),
            Self::Year => match text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_digit()) {
                true => Ok(Value::Text(text)),
                false => Err(format!("`{}` is no year of four digits", shown(&text))),
            },
            Self::Bits { most } => {
                let limit = 1_i128.checked_shl(*most).unwrap_or(i128::MAX);
                integer(&text, 0, limit - 1)
            }
            Self::Loose => unchanged(text),
            Self::Json | Self::Other => bounded(dialect, text, None),
        }
    }
}

/// Takes a type apart: its words without arguments, and the numbers in parentheses.
fn parts(lower: &str) -> (String, Vec<usize>) {
    let Some((before, rest)) = lower.split_once('(') else {
        return (lower.to_owned(), Vec::new());
    };
    let (inside, after) = rest.split_once(')').unwrap_or((rest, ""));
    let arguments = inside
        .split(',')
        .filter_map(|word| word.trim().parse().ok())
        .collect();
    (format!("{}{after}", before.trim_end()), arguments)
}

fn of_sqlite(lower: &str, name: &str, arguments: &[usize]) -> Kind {
    let first = arguments.first().copied();
    match name {
        "boolean" | "bool" => Kind::Bool,
        "date" => Kind::Date,
        "datetime" | "timestamp" => Kind::Moment {
            digits: 9,
            zone: Zone::Kept,
        },
        "json" => Kind::Json,
        _ if lower.contains("int") => signed(64),
        _ if ["char", "clob", "text"].iter().any(|word| lower.contains(word)) => Kind::Text { most: first },
        _ if lower.contains("blob") => Kind::Bytes { most: None },
        _ if ["real", "floa", "doub"].iter().any(|word| lower.contains(word)) => Kind::Float,
        "numeric" | "decimal" => affinity_of(arguments),
        "" => Kind::Other,
        _ => Kind::Loose,
    }
}

fn of_mysql((data_type, name): (&str, &str), arguments: &[usize], is_unsigned: bool) -> Kind {
    let first = arguments.first().copied();
    // A word of an `ENUM` may hold a parenthesis.
    let mut words = name.split(|letter: char| !letter.is_ascii_alphanumeric());
    let word = words.next().unwrap_or_default();
    let sized = |bits: u32| match is_unsigned {
        true => Kind::Integer {
            least: 0,
            most: (1 << bits) - 1,
        },
        false => signed(bits),
    };
    match word {
        "tinyint" if arguments == [1] && !is_unsigned => Kind::TinyBool,
        "tinyint" => sized(8),
        "smallint" => sized(16),
        "mediumint" => sized(24),
        "int" | "integer" => sized(32),
        "bigint" => sized(64),
        "decimal" | "numeric" => match arguments {
            [] => decimal(&[10, 0]),
            given => decimal(given),
        },
        "float" | "double" => match arguments {
            [digits, scale] => Kind::RoundedFloat {
                whole: digits.saturating_sub(*scale),
                fraction: *scale,
            },
            _ => Kind::Float,
        },
        // How it spells a word with one of these is not the same on every server.
        "enum" | "set" if data_type.contains('\\') => Kind::Other,
        "enum" | "set" => Kind::Member {
            of: members(data_type),
            many: word == "set",
        },
        "time" => Kind::Clock {
            digits: first.unwrap_or(0),
        },
        "char" => Kind::Char {
            most: first.unwrap_or(1),
        },
        "varchar" => Kind::Text {
            most: Some(first.unwrap_or(1)),
        },
        "tinytext" | "text" | "mediumtext" | "longtext" => Kind::Text { most: None },
        "binary" => Kind::FixedBytes {
            length: first.unwrap_or(1),
        },
        "varbinary" => Kind::Bytes {
            most: Some(first.unwrap_or(1)),
        },
        "tinyblob" | "blob" | "mediumblob" | "longblob" => Kind::Bytes { most: None },
        "date" => Kind::Date,
        "datetime" | "timestamp" => Kind::Moment {
            digits: first.unwrap_or(0),
            zone: match word {
                "timestamp" => Zone::Utc,
                _ => Zone::None,
            },
        },
        "json" => Kind::Json,
        "year" => Kind::Year,
        "bit" => Kind::Bits {
            most: first.and_then(|bits| u32::try_from(bits).ok()).unwrap_or(1),
        },
        _ => Kind::Other,
    }
}

fn signed(bits: u32) -> Kind {
    let most = (1_i128 << (bits - 1)) - 1;
    Kind::Integer {
        least: -most - 1,
        most,
    }
}

fn decimal(arguments: &[usize]) -> Kind {
    match arguments {
        [] => Kind::Decimal {
            whole: None,
            fraction: None,
        },
        [digits] => Kind::Decimal {
            whole: Some(*digits),
            fraction: Some(0),
        },
        [digits, scale, ..] => Kind::Decimal {
            whole: Some(digits.saturating_sub(*scale)),
            fraction: Some(*scale),
        },
    }
}

fn affinity_of(arguments: &[usize]) -> Kind {
    match decimal(arguments) {
        Kind::Decimal { whole, fraction } => Kind::Affinity { whole, fraction },
        other => other,
    }
}

/// Shows the beginning of a text on one line.
pub(super) fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(40).flat_map(char::escape_debug).collect();
    if text.chars().nth(40).is_some() {
        short.push_str("..");
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use DialectKind::{Mysql, Postgres, Sqlite};

    fn of(dialect: DialectKind, data_type: &str, text: &str) -> Result<Value, String> {
        Kind::of(dialect, data_type).value(dialect, Cell::Text(text.to_owned()))
    }

    #[test]
    fn what_a_server_would_change_without_a_word_is_refused() {
        for (dialect, data_type, text) in [
            (Mysql, "int", "12.7"),
            (Mysql, "int unsigned", "-1"),
            (Mysql, "tinyint(1)", "128"),
            (Mysql, "decimal(5,2)", "1.234"),
            (Mysql, "decimal(5,2)", "1234.5"),
            (Mysql, "varchar(3)", "abcd"),
            (Mysql, "date", "2026-02-30"),
            (Mysql, "date", "2026-02-03 10:00"),
            (Mysql, "datetime", "2026-02-03 10:00:00.5"),
            (Mysql, "datetime", "2026-02-03 10:00:00Z"),
            (Mysql, "tinyint(1)", "perhaps"),
            (Mysql, "tinyint(1)", "1.5"),
            (Mysql, "tinyint(4)", "no"),
            (Postgres, "timestamp without time zone", "2026-02-03 10:00:00+02"),
            (Sqlite, "DECIMAL(5,2)", "12345.678"),
            (Sqlite, "DECIMAL(5,2)", "1.234"),
            (Sqlite, "NUMERIC(3)", "1.5"),
            (Mysql, "year", "70"),
            (Mysql, "double", "NaN"),
            (Mysql, "varbinary(1)", "\\x0001"),
            (Mysql, "bit(3)", "8"),
            (Postgres, "integer", "99999999999999999999999"),
            (Postgres, "numeric(3,1)", "1.25"),
            (Postgres, "text", "a\0b"),
            (Postgres, "jsonb", "{"),
            (Sqlite, "INTEGER", "9223372036854775808"),
            (Sqlite, "INTEGER", "abc"),
            (Sqlite, "INTEGER", ""),
            (Sqlite, "DECIMAL(20,2)", "12345678901234567.89"),
            (Sqlite, "REAL", "NaN"),
            (Sqlite, "VARCHAR(3)", "abcd"),
            (Sqlite, "BOOLEAN", "maybe"),
            (Sqlite, "STRING", "00501"),
            (Sqlite, "STRING", "1.50"),
            (Sqlite, "STRING", " 5"),
            (Sqlite, "UUID", "12345678901234567890"),
            (Sqlite, "UUID", "1e5"),
            (Sqlite, "JSON", "12345678901234567890"),
            (Mysql, "enum('a','b')", "1"),
            (Mysql, "enum('a','b')", "A"),
            (Mysql, "set('a','b')", "a,c"),
            (Mysql, "time", "10:00:00.6"),
            (Postgres, "time(2) without time zone", "10:00:00.666"),
            (Mysql, "char(3)", "a "),
            (Mysql, "binary(4)", "\\x00"),
            (Mysql, "double(10,2)", "1.234"),
        ] {
            assert!(
                of(dialect, data_type, text).is_err(),
                "{dialect} {data_type} {text}"
            );
        }
    }

    #[test]
    fn what_fits_is_taken_as_it_is() {
        let text = |text: &str| Ok(Value::Text(text.to_owned()));
        assert_eq!(
            of(Mysql, "bigint unsigned", "18446744073709551615"),
            Ok(Value::Unsigned(u64::MAX))
        );
        assert_eq!(of(Mysql, "varchar(3)", "a😀b"), text("a😀b"));
        assert_eq!(of(Postgres, "double precision", "NaN"), text("NaN"));
        assert_eq!(of(Postgres, "numeric", "NaN"), text("NaN"));
        assert_eq!(of(Postgres, "integer[]", "{1,2}"), text("{1,2}"));
        let huge = "123456789012345678901234567890.123456789";
        assert_eq!(of(Postgres, "numeric", huge), Ok(Value::Decimal(huge.to_owned())));
        assert_eq!(of(Postgres, "bytea", "\\x00ff"), Ok(Value::Bytes(vec![0, 255])));
        assert_eq!(
            of(
                Postgres,
                "timestamp(3) without time zone",
                "2026-02-03 10:00:00.123"
            ),
            text("2026-02-03 10:00:00.123")
        );
        assert_eq!(of(Sqlite, "NUMERIC", "7"), Ok(Value::Integer(7)));
        assert_eq!(of(Sqlite, "NUMERIC", "7.25"), Ok(Value::Float(7.25)));
        assert_eq!(of(Sqlite, "DECIMAL(5,2)", "-123.450"), Ok(Value::Float(-123.45)));
        assert_eq!(of(Sqlite, "DECIMAL(5,2)", "123"), Ok(Value::Integer(123)));
        for (word, value) in [("no", 0), ("Yes", 1), ("7", 7), ("-1", -1)] {
            assert_eq!(of(Mysql, "tinyint(1)", word), Ok(Value::Integer(value)), "{word}");
        }
        assert_eq!(
            of(Mysql, "timestamp", "2026-02-03 00:11:12+02:00"),
            text("2026-02-02 22:11:12")
        );
        assert_eq!(of(Sqlite, "", "any"), text("any"));
        assert_eq!(of(Sqlite, "boolean", "true"), Ok(Value::Integer(1)));
        for same in ["501", "-7", "1.5", "0.25", "a1", "0x1F", "", "nan"] {
            assert_eq!(of(Sqlite, "STRING", same), text(same));
        }
        let strict = Kind::of(Sqlite, "ANY").in_strict_table();
        assert_eq!(
            strict.value(Sqlite, Cell::Text("00501".to_owned())),
            text("00501")
        );
        assert_eq!(of(Mysql, "enum('it''s','B')", "it's"), text("it's"));
        assert_eq!(of(Mysql, "enum('a)','b')", "b"), text("b"));
        assert_eq!(of(Mysql, "set('a','b')", "b,a"), text("b,a"));
        assert_eq!(of(Mysql, "set('a','b')", ""), text(""));
        assert_eq!(of(Mysql, "time(1)", "10:00:00.600"), text("10:00:00.600"));
        assert_eq!(of(Mysql, "double(10,2)", "1.25"), Ok(Value::Float(1.25)));
    }

    #[test]
    fn a_document_is_itself_and_a_number_of_an_export_is_a_number() {
        let of = |dialect, data_type: &str, raw: &str| {
            Kind::of(dialect, data_type).value(dialect, Cell::Json(raw.to_owned()))
        };
        let document = "{\"number\":\"42\"}";
        let itself = Ok(Value::Text(document.to_owned()));
        assert_eq!(of(Postgres, "jsonb", document), itself);
        assert_eq!(of(Mysql, "json", document), itself);
        assert_eq!(of(Sqlite, "JSON", document), itself);
        assert_eq!(of(Sqlite, "TEXT", document), itself);
        assert_eq!(of(Postgres, "bigint", document), Ok(Value::Integer(42)));
        assert_eq!(of(Sqlite, "STRING", document), Ok(Value::Integer(42)));
        assert_eq!(
            of(Postgres, "bytea", "{\"hex\":\"41\"}"),
            Ok(Value::Bytes(vec![0x41]))
        );
        assert_eq!(of(Sqlite, "", "{\"hex\":\"41\"}"), Ok(Value::Bytes(vec![0x41])));
        let broken = of(Postgres, "text", "{\"text_hex\":\"ff\"}");
        assert!(broken.unwrap_err().contains("not UTF-8"));
        assert!(of(Postgres, "integer", "[1]").is_err());
    }
}
