//! Values between the driver and walkback.

use mysql_async::Column;
use mysql_async::Value as Cell;
use mysql_async::consts::{ColumnFlags, ColumnType};
use walkback_core::Value;

/// The number of the character set `binary`.
const BINARY: u16 = 63;

/// Returns a parameter as the driver binds it.
pub(crate) fn bound(value: &Value) -> Cell {
    match value {
        Value::Bool(value) => Cell::Int(i64::from(*value)),
        Value::Integer(value) => Cell::Int(*value),
        Value::Unsigned(value) => Cell::UInt(*value),
        Value::Float(value) => Cell::Double(*value),
        Value::Decimal(text) | Value::Text(text) => Cell::Bytes(text.clone().into_bytes()),
        Value::BrokenText(bytes) | Value::Bytes(bytes) => Cell::Bytes(bytes.clone()),
        _ => Cell::NULL,
    }
}

/// Returns a cell of a result as walkback carries it.
pub(crate) fn read(cell: Cell, column: &Column) -> Value {
    match cell {
        Cell::NULL => Value::Null,
        Cell::Int(value) => Value::Integer(value),
        Cell::UInt(value) => i64::try_from(value).map_or(Value::Unsigned(value), Value::Integer),
        Cell::Float(value) => Value::Float(f64::from(value)),
        Cell::Double(value) => Value::Float(value),
        Cell::Bytes(bytes) => read_bytes(bytes, column),
        temporal => Value::Text(temporal_text(&temporal, column)),
    }
}

fn read_bytes(bytes: Vec<u8>, column: &Column) -> Value {
    use ColumnType as T;
    match column.column_type() {
        T::MYSQL_TYPE_BIT => number(bit(&bytes)),
        T::MYSQL_TYPE_DECIMAL | T::MYSQL_TYPE_NEWDECIMAL => text(bytes, Value::Decimal),
        T::MYSQL_TYPE_GEOMETRY | T::MYSQL_TYPE_VECTOR => Value::Bytes(bytes),
        // The rest of the numbers are bytes in the text protocol only.
        T::MYSQL_TYPE_TINY
        | T::MYSQL_TYPE_SHORT
        | T::MYSQL_TYPE_INT24
        | T::MYSQL_TYPE_LONG
        | T::MYSQL_TYPE_LONGLONG
        | T::MYSQL_TYPE_YEAR => parsed(bytes, |digits| {
            digits
                .parse()
                .map(Value::Integer)
                .or_else(|_| digits.parse().map(Value::Unsigned))
                .ok()
        }),
        T::MYSQL_TYPE_FLOAT | T::MYSQL_TYPE_DOUBLE => {
            parsed(bytes, |digits| digits.parse().map(Value::Float).ok())
        }
        T::MYSQL_TYPE_JSON
        | T::MYSQL_TYPE_DATE
        | T::MYSQL_TYPE_NEWDATE
        | T::MYSQL_TYPE_TIME
        | T::MYSQL_TYPE_DATETIME
        | T::MYSQL_TYPE_TIMESTAMP => text(bytes, Value::Text),
        _ if is_binary(column) => Value::Bytes(bytes),
        _ => text(bytes, Value::Text),
    }
}

/// Returns whether a column of strings holds bytes and not text.
fn is_binary(column: &Column) -> bool {
    let listed = ColumnFlags::ENUM_FLAG | ColumnFlags::SET_FLAG;
    column.character_set() == BINARY && !column.flags().intersects(listed)
}

fn text(bytes: Vec<u8>, make: impl FnOnce(String) -> Value) -> Value {
    match String::from_utf8(bytes) {
        Ok(text) => make(text),
        Err(error) => Value::BrokenText(error.into_bytes()),
    }
}

fn parsed(bytes: Vec<u8>, parse: impl FnOnce(&str) -> Option<Value>) -> Value {
    let value = std::str::from_utf8(&bytes).ok().and_then(parse);
    value.unwrap_or_else(|| text(bytes, Value::Text))
}

fn number(value: u64) -> Value {
    i64::try_from(value).map_or(Value::Unsigned(value), Value::Integer)
}

/// Returns the number that the bytes of a `BIT` are.
pub(crate) fn bit(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Writes a moment or a duration as the server would, with as many digits of a second as the column has.
pub(crate) fn temporal_text(cell: &Cell, column: &Column) -> String {
    match *cell {
        Cell::Date(year, month, day, hour, minute, second, micro) => {
            let date = format!("{year:04}-{month:02}-{day:02}");
            if matches!(
                column.column_type(),
                ColumnType::MYSQL_TYPE_DATE | ColumnType::MYSQL_TYPE_NEWDATE
            ) {
                return date;
            }
            let fraction = fraction(micro, column.decimals());
            format!("{date} {hour:02}:{minute:02}:{second:02}{fraction}")
        }
        Cell::Time(is_negative, days, hours, minutes, seconds, micro) => {
            let sign = if is_negative { "-" } else { "" };
            let hours = u64::from(days) * 24 + u64::from(hours);
            let fraction = fraction(micro, column.decimals());
            format!("{sign}{hours:02}:{minutes:02}:{seconds:02}{fraction}")
        }
        _ => String::new(),
    }
}

fn fraction(micro: u32, digits: u8) -> String {
    match usize::from(digits) {
        0 => String::new(),
        digits @ 1..=6 => format!(".{}", &format!("{micro:06}")[..digits]),
        // An expression does not say how many digits it has.
        _ if micro == 0 => String::new(),
        _ => format!(".{micro:06}"),
    }
}
