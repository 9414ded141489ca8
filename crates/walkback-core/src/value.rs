//! One value of one cell, as the row path of a session and the portable formats carry it.

use serde::{Deserialize, Serialize};

/// A value of a cell. What a type of an engine has no variant for travels as its own text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Value {
    /// SQL `NULL`.
    Null,
    /// A truth value, where the engine has the type.
    Bool(bool),
    /// A signed integer.
    Integer(i64),
    /// An unsigned integer beyond `i64`.
    Unsigned(u64),
    /// A double, bit for bit: `-0.0`, infinities and the payload of a NaN are kept.
    Float(f64),
    /// An exact number, in its own digits and scale.
    Decimal(String),
    /// Text in UTF-8.
    Text(String),
    /// A cell declared text whose bytes are not UTF-8; kept byte for byte.
    BrokenText(Vec<u8>),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl Value {
    /// Returns the integer, if it is one.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Integer(value) => Some(*value),
            Self::Bool(value) => Some(i64::from(*value)),
            Self::Unsigned(value) => i64::try_from(*value).ok(),
            Self::Decimal(value) => value.parse().ok(),
            _ => None,
        }
    }

    /// Returns the text, if it is valid text.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(value) | Self::Decimal(value) => Some(value),
            _ => None,
        }
    }

    /// Returns whether it is `NULL`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A row of a query, in the order of its columns.
pub type Row = Vec<Value>;
