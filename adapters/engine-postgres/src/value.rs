//! Values of cells, between walkback and PostgreSQL.
//!
//! Parameters travel as text, which the server reads as whatever type it has inferred. Cells come back in
//! binary where that is read here, and otherwise as the server's own text.

use std::error::Error as StdError;

use bytes::{BufMut as _, BytesMut};
use tokio_postgres::types::{Format, FromSql, IsNull, Kind, ToSql, Type, to_sql_checked};
use walkback_core::Value;

/// Signs of a `numeric` on the wire.
const POSITIVE: u16 = 0x0000;
const NEGATIVE: u16 = 0x4000;
const NOT_A_NUMBER: u16 = 0xc000;
const INFINITE: u16 = 0xd000;
const MINUS_INFINITE: u16 = 0xf000;

type Failure = Box<dyn StdError + Sync + Send>;

/// A parameter.
#[derive(Debug)]
pub(crate) struct Bound<'a>(pub(crate) &'a Value);

impl ToSql for Bound<'_> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Failure> {
        match self.0 {
            Value::Null => return Ok(IsNull::Yes),
            Value::Bool(value) => out.put_slice(if *value { b"t" } else { b"f" }),
            Value::Integer(value) => out.put_slice(value.to_string().as_bytes()),
            Value::Unsigned(value) => out.put_slice(value.to_string().as_bytes()),
            Value::Float(value) => out.put_slice(float_text(*value).as_bytes()),
            Value::Decimal(text) | Value::Text(text) => out.put_slice(text.as_bytes()),
            Value::BrokenText(bytes) => out.put_slice(bytes),
            Value::Bytes(bytes) if is_bytes(kind) => {
                out.put_slice(b"\\x");
                out.put_slice(hex::encode(bytes).as_bytes());
            }
            Value::Bytes(_) => {
                return Err(format!("bytes cannot be bound to a parameter of type {kind}").into());
            }
            other => return Err(format!("PostgreSQL has no place for {other:?}").into()),
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}

fn is_bytes(kind: &Type) -> bool {
    match kind.kind() {
        Kind::Domain(base) => is_bytes(base),
        _ => *kind == Type::BYTEA,
    }
}

/// Writes a float so that the server reads the same one: its shortest digits.
pub(crate) fn float_text(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        (if value > 0.0 { "Infinity" } else { "-Infinity" }).to_owned()
    } else {
        format!("{value:?}")
    }
}

/// Returns whether cells of a type are read from their binary form.
pub(crate) fn is_read_in_binary(kind: &Type) -> bool {
    const KNOWN: &[Type] = &[
        Type::BOOL,
        Type::INT2,
        Type::INT4,
        Type::INT8,
        Type::OID,
        Type::XID,
        Type::CID,
        Type::FLOAT4,
        Type::FLOAT8,
        Type::NUMERIC,
        Type::TEXT,
        Type::VARCHAR,
        Type::BPCHAR,
        Type::NAME,
        Type::UNKNOWN,
        Type::JSON,
        Type::JSONB,
        Type::XML,
        Type::BYTEA,
        Type::UUID,
        Type::CHAR,
    ];
    KNOWN.contains(kind) || matches!(kind.kind(), Kind::Enum(_))
}

/// A cell in its binary form.
#[derive(Debug)]
pub(crate) struct Cell(pub(crate) Value);

impl<'a> FromSql<'a> for Cell {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, Failure> {
        let value = match *kind {
            Type::BOOL => Value::Bool(raw.first() == Some(&1)),
            Type::INT2 => Value::Integer(i16::from_be_bytes(raw.try_into()?).into()),
            Type::INT4 => Value::Integer(i32::from_be_bytes(raw.try_into()?).into()),
            Type::INT8 => Value::Integer(i64::from_be_bytes(raw.try_into()?)),
            Type::OID | Type::XID | Type::CID => Value::Integer(u32::from_be_bytes(raw.try_into()?).into()),
            Type::FLOAT4 => Value::Float(f32::from_be_bytes(raw.try_into()?).into()),
            Type::FLOAT8 => Value::Float(f64::from_be_bytes(raw.try_into()?)),
            Type::NUMERIC => Value::Decimal(numeric_text(raw)?),
            Type::BYTEA => Value::Bytes(raw.to_vec()),
            Type::UUID => Value::Text(uuid_text(raw)?),
            Type::JSONB => text(raw.get(1..).unwrap_or_default()),
            Type::CHAR => text(raw.strip_suffix(b"\0").unwrap_or(raw)),
            _ => text(raw),
        };
        Ok(Self(value))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Failure> {
        Ok(Self(Value::Null))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// Returns the value of a cell that came as the server's text.
pub(crate) fn from_text(kind: &Type, cell: &str) -> Result<Value, Failure> {
    let value = match *kind {
        Type::BOOL => Value::Bool(cell == "t"),
        Type::INT2 | Type::INT4 | Type::INT8 | Type::OID | Type::XID | Type::CID => {
            Value::Integer(cell.parse()?)
        }
        // A float4 has the digits of a float4: read as one, it is exact.
        Type::FLOAT4 => Value::Float(cell.parse::<f32>()?.into()),
        Type::FLOAT8 => Value::Float(cell.parse()?),
        Type::NUMERIC => Value::Decimal(cell.to_owned()),
        Type::BYTEA => Value::Bytes(bytea_bytes(cell)?),
        _ => Value::Text(cell.to_owned()),
    };
    Ok(value)
}

fn text(raw: &[u8]) -> Value {
    match std::str::from_utf8(raw) {
        Ok(text) => Value::Text(text.to_owned()),
        Err(_) => Value::BrokenText(raw.to_owned()),
    }
}

fn bytea_bytes(cell: &str) -> Result<Vec<u8>, Failure> {
    if let Some(digits) = cell.strip_prefix("\\x") {
        return Ok(hex::decode(digits)?);
    }
    // What `bytea_output = escape` gives.
    let mut bytes = Vec::with_capacity(cell.len());
    let mut rest = cell.as_bytes();
    while let [first, tail @ ..] = rest {
        match (first, tail) {
            (b'\\', [b'\\', after @ ..]) => {
                bytes.push(b'\\');
                rest = after;
            }
            (b'\\', [a, b, c, after @ ..]) => {
                let digits = std::str::from_utf8(&[*a, *b, *c])?.to_owned();
                bytes.push(u8::from_str_radix(&digits, 8)?);
                rest = after;
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    Ok(bytes)
}

fn uuid_text(raw: &[u8]) -> Result<String, Failure> {
    let raw: [u8; 16] = raw.try_into()?;
    let digits = hex::encode(raw);
    Ok(format!(
        "{}-{}-{}-{}-{}",
        &digits[..8],
        &digits[8..12],
        &digits[12..16],
        &digits[16..20],
        &digits[20..]
    ))
}

/// Writes a `numeric` in its own digits and scale. On the wire it is groups of four digits, the first of which
/// counts 10000 to the power of its weight.
fn numeric_text(raw: &[u8]) -> Result<String, Failure> {
    let word = |index: usize| -> Result<u16, Failure> {
        let bytes = raw.get(2 * index..2 * index + 2).ok_or("a numeric is cut")?;
        Ok(u16::from_be_bytes(bytes.try_into()?))
    };
    let (count, sign, scale) = (word(0)?, word(2)?, usize::from(word(3)?));
    let weight = i32::from(i16::from_be_bytes(word(1)?.to_be_bytes()));
    match sign {
        POSITIVE | NEGATIVE => {}
        NOT_A_NUMBER => return Ok("NaN".to_owned()),
        INFINITE => return Ok("Infinity".to_owned()),
        MINUS_INFINITE => return Ok("-Infinity".to_owned()),
        other => return Err(format!("a numeric has the unknown sign {other}").into()),
    }
    let group = |power: i32| -> Result<u16, Failure> {
        match usize::try_from(weight - power) {
            Ok(index) if index < usize::from(count) => word(4 + index),
            _ => Ok(0),
        }
    };
    let mut out = String::from(if sign == NEGATIVE { "-" } else { "" });
    if weight < 0 {
        out.push('0');
    }
    for power in (0..=weight.max(-1)).rev() {
        let digits = group(power)?;
        if power == weight {
            out.push_str(&digits.to_string());
        } else {
            out.push_str(&format!("{digits:04}"));
        }
    }
    if scale > 0 {
        out.push('.');
        let mut fraction = String::new();
        let mut power = -1;
        while fraction.len() < scale {
            fraction.push_str(&format!("{:04}", group(power)?));
            power -= 1;
        }
        out.push_str(&fraction[..scale]);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numeric(weight: i16, sign: u16, scale: u16, groups: &[u16]) -> String {
        let mut raw = Vec::new();
        raw.extend(u16::try_from(groups.len()).unwrap().to_be_bytes());
        raw.extend(weight.to_be_bytes());
        raw.extend(sign.to_be_bytes());
        raw.extend(scale.to_be_bytes());
        groups.iter().for_each(|group| raw.extend(group.to_be_bytes()));
        numeric_text(&raw).unwrap()
    }

    #[test]
    fn a_numeric_keeps_its_digits_and_its_scale() {
        assert_eq!(numeric(0, POSITIVE, 0, &[]), "0");
        assert_eq!(numeric(0, POSITIVE, 2, &[]), "0.00");
        assert_eq!(numeric(0, NEGATIVE, 3, &[12, 3400]), "-12.340");
        assert_eq!(numeric(1, POSITIVE, 0, &[1]), "10000");
        assert_eq!(numeric(2, POSITIVE, 1, &[1, 0, 7, 5000]), "100000007.5");
        assert_eq!(numeric(-2, POSITIVE, 8, &[5]), "0.00000005");
        assert_eq!(numeric(0, NOT_A_NUMBER, 0, &[]), "NaN");
        assert_eq!(numeric(0, MINUS_INFINITE, 0, &[]), "-Infinity");
        assert!(numeric_text(&[0, 1]).is_err());
    }

    #[test]
    fn bytes_are_read_in_both_forms_the_server_knows() {
        assert_eq!(bytea_bytes("\\x00ff").unwrap(), [0, 255]);
        assert_eq!(bytea_bytes("a\\\\b\\000\\377").unwrap(), b"a\\b\x00\xff");
        assert!(bytea_bytes("\\x0").is_err());
    }

    #[test]
    fn a_float_is_written_in_full() {
        assert_eq!(float_text(-0.0), "-0.0");
        assert_eq!(float_text(f64::NAN), "NaN");
        assert_eq!(float_text(f64::NEG_INFINITY), "-Infinity");
        assert_eq!(float_text(5e-324), "5e-324");
    }
}
