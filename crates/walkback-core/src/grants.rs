//! Rights that users and roles have on a database, where a server keeps them apart from it.

use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::cx::Cx;
use crate::error::Result;

/// Where an engine has the rights on a database.
#[derive(Debug, Clone, Copy)]
pub enum GrantKeeping<'e> {
    /// There are no users, and no rights.
    None,
    /// They are objects of the schema: every point holds them, and every restore brings them back.
    InSchema,
    /// The server keeps them apart from the database.
    Apart(&'e dyn Grants),
}

/// A user or a role of a server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// From where it connects, where that is a part of who it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match &self.host {
            Some(host) => write!(f, "@{host}"),
            None => Ok(()),
        }
    }
}

/// What a right is on. Never more than one database, and never another than the one it is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantScope {
    /// The database and all that is in it. The server may write its name in more than one way: this is the one.
    Database(String),
    /// A table or a view, or columns of it.
    Table(String),
    /// A routine.
    Routine {
        /// Which sort: `FUNCTION`, `PROCEDURE`.
        sort: String,
        /// Its name.
        name: String,
    },
}

impl fmt::Display for GrantScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database(_) => f.write_str("the database"),
            Self::Table(name) => write!(f, "table `{name}`"),
            Self::Routine { sort, name } => write!(f, "{} `{name}`", sort.to_lowercase()),
        }
    }
}

/// One right, of the whole or of columns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Right {
    /// In the words of the server: `SELECT`, `CREATE VIEW`.
    pub right: String,
    /// The columns; empty means all there is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
}

/// What one account may do with one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Who.
    pub account: Account,
    /// On what.
    pub on: GrantScope,
    /// What. Empty where it may only be passed on.
    pub rights: Vec<Right>,
    /// Whether the account may pass it on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub with_grant_option: bool,
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the rights of `{}` on {}", self.account, self.on)
    }
}

/// What stands in the way of giving rights.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Obstacles {
    /// Accounts that this server does not have, sorted.
    pub absent: Vec<Account>,
    /// What the user of the connection may not give, in words with the statement that lets it.
    pub missing_rights: Vec<String>,
}

/// Rights on a database that its server keeps apart from it.
///
/// - No password, no right on a whole server, no right on another database and no membership in a role is read,
///   kept or given.
/// - Accounts are never created.
#[async_trait]
pub trait Grants: fmt::Debug + Send + Sync {
    /// Returns the rights that accounts have on this database and on what is in it, in the same order each time.
    /// `PermissionDenied`, with the statements that grant it, if the user of the connection may not read them.
    async fn held(&self, cx: &Cx) -> Result<Vec<Grant>>;

    /// Returns what stands in the way of giving these. Changes nothing.
    async fn obstacles(&self, cx: &Cx, grants: &[Grant]) -> Result<Obstacles>;

    /// Gives rights on this database, whichever database they were read from; those that an account has already stay
    /// as they are. Returns why, for each that the server refuses; the others are given.
    async fn give(&self, cx: &Cx, grants: &[Grant]) -> Result<Vec<String>>;

    /// Returns the statement that gives a right on the database in which it is run.
    fn statement(&self, grant: &Grant) -> Result<String>;
}
