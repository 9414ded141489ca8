//! Names of things in a database, kept apart from their quoted form.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The name of a table: an optional schema and the name itself, both exactly as the catalog has them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TableName {
    /// Schema (PostgreSQL) or database (MySQL); `None` is the one the session works in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// Name without quotes.
    pub name: String,
}

impl TableName {
    /// Creates the name of a table in the schema the session works in.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            schema: None,
            name: name.into(),
        }
    }

    /// Creates the name of a table in a named schema.
    pub fn in_schema(schema: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            schema: Some(schema.into()),
            name: name.into(),
        }
    }

    /// Returns the same name in the same schema with another last part.
    #[must_use]
    pub fn renamed(&self, name: impl Into<String>) -> Self {
        Self {
            schema: self.schema.clone(),
            name: name.into(),
        }
    }
}

/// For messages; never for SQL, where [`Dialect::quote_table`](crate::Dialect::quote_table) is used.
impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// What sort of object a definition or an effect is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ObjectKind {
    /// A base table.
    Table,
    /// An index.
    Index,
    /// A view.
    View,
    /// A materialized view.
    MaterializedView,
    /// A trigger.
    Trigger,
    /// A sequence.
    Sequence,
    /// A function or procedure.
    Routine,
    /// A type, enum or domain.
    Type,
    /// A table constraint.
    Constraint,
    /// A schema or database.
    Schema,
    /// An extension.
    Extension,
    /// A scheduled event.
    Event,
    /// A rewrite rule or row policy.
    Policy,
    /// A grant, role or user.
    Grant,
    /// A comment on another object.
    Comment,
    /// Anything else the dialect can create.
    Other,
}

impl ObjectKind {
    /// Returns the word used in messages.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Index => "index",
            Self::View => "view",
            Self::MaterializedView => "materialized view",
            Self::Trigger => "trigger",
            Self::Sequence => "sequence",
            Self::Routine => "routine",
            Self::Type => "type",
            Self::Constraint => "constraint",
            Self::Schema => "schema",
            Self::Extension => "extension",
            Self::Event => "event",
            Self::Policy => "policy",
            Self::Grant => "grant",
            Self::Comment => "comment",
            Self::Other => "object",
        }
    }
}
