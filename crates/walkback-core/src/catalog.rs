//! What a database holds: tables, columns and every other object, with text that re-creates it and facts
//! that compare it.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::name::{ObjectKind, TableName};

/// The schema of a database at one moment, read in one consistent view. Objects of walkback's own
/// (journal and ledger) and of the server itself are not in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    /// Tables, by name.
    pub tables: Vec<Table>,
    /// Everything else, in an order in which it can be created.
    pub objects: Vec<Object>,
    /// The schema (PostgreSQL) or database (MySQL) the session works in: what is in it has names without one,
    /// and is found under both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<String>,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Its name.
    pub name: TableName,
    /// Its columns, in order.
    pub columns: Vec<Column>,
    /// Columns of the primary key, in key order; empty if there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub primary_key: Vec<String>,
    /// Foreign keys from this table to others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub foreign_keys: Vec<ForeignKey>,
    /// Tables it is a partition of or inherits from: what is done to their rows may be done to its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<TableName>,
    /// Statement that creates it, without its indexes and triggers.
    pub definition: String,
    /// What is compared, each fact under its own name (`column email`, `check age > 0`), normalised so that
    /// two spellings of one meaning are equal. The order of the columns is a fact of its own.
    pub facts: BTreeMap<String, String>,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type, as the catalog spells it; may be empty on SQLite.
    pub data_type: String,
    /// Whether `NULL` is allowed.
    pub nullable: bool,
    /// Its default, as an expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// Whether the server computes it, so that it cannot be written.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub generated: bool,
}

/// A foreign key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignKey {
    /// Columns of this table.
    pub columns: Vec<String>,
    /// The table they refer to.
    pub references: TableName,
    /// Columns of that table; empty means its primary key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub referenced_columns: Vec<String>,
    /// Whether the server changes rows of this table by itself when rows of the other one go or change
    /// (`CASCADE`, `SET NULL`, `SET DEFAULT`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cascades: bool,
}

/// An object other than a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// Its kind.
    pub kind: ObjectKind,
    /// Its name.
    pub name: TableName,
    /// The table or view it belongs to, where it belongs to one (index, trigger).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<TableName>,
    /// Statement that creates it.
    pub definition: String,
    /// What is compared; see [`Table::facts`].
    pub facts: BTreeMap<String, String>,
}

impl Object {
    /// Returns what tells it from all others: some names are names among those of one table only.
    #[must_use]
    pub fn key(&self) -> Key<'_> {
        (self.kind, &self.name, self.on.as_ref())
    }
}

/// What tells the objects of a schema apart: kind, name, and the table it belongs to.
pub type Key<'s> = (ObjectKind, &'s TableName, Option<&'s TableName>);

impl Schema {
    /// Returns the table of that name. Names are compared as they are, then without regard to case.
    #[must_use]
    pub fn table(&self, name: &TableName) -> Option<&Table> {
        let name = &self.at_home(name);
        self.tables.iter().find(|table| table.name == *name).or_else(|| {
            self.tables.iter().find(|table| {
                table.name.name.eq_ignore_ascii_case(&name.name)
                    && (name.schema.is_none() || table.name.schema == name.schema)
            })
        })
    }

    /// Returns the table of exactly that name: beside it there may be one whose name differs in case only.
    #[must_use]
    pub fn exact_table(&self, name: &TableName) -> Option<&Table> {
        let name = self.at_home(name);
        self.tables.iter().find(|table| table.name == name)
    }

    /// Returns the object of that kind and name, without regard to case.
    #[must_use]
    pub fn object(&self, kind: ObjectKind, name: &TableName) -> Option<&Object> {
        let name = &self.at_home(name);
        self.objects.iter().find(|object| {
            object.kind == kind
                && object.name.name.eq_ignore_ascii_case(&name.name)
                && (name.schema.is_none() || object.name.schema == name.schema)
        })
    }

    /// Returns the object of this schema that is the same as one of another: of that kind and name, on the same table.
    #[must_use]
    pub fn counterpart(&self, other: &Object) -> Option<&Object> {
        self.objects
            .iter()
            .find(|object| object.key() == other.key())
            .or_else(|| {
                self.objects.iter().find(|object| {
                    object.kind == other.kind
                        && object.on == other.on
                        && object.name.schema == other.name.schema
                        && object.name.name.eq_ignore_ascii_case(&other.name.name)
                })
            })
    }

    /// Returns a name without its schema, if that is the one the session works in anyway.
    #[must_use]
    pub fn at_home(&self, name: &TableName) -> TableName {
        if name.schema.is_some() && name.schema == self.home {
            TableName::new(&name.name)
        } else {
            name.clone()
        }
    }

    /// Returns the objects that belong to a table: its indexes and triggers.
    pub fn objects_on<'a>(&'a self, table: &'a TableName) -> impl Iterator<Item = &'a Object> {
        self.objects
            .iter()
            .filter(move |object| object.on.as_ref() == Some(table))
    }

    /// Returns the hash of the schema: equal if and only if [`Schema::differences`] is empty.
    #[must_use]
    pub fn hash(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for ((kind, name, on), facts) in self.by_key() {
            let mut absorb = |text: &str| {
                hasher.update(&(text.len() as u64).to_le_bytes());
                hasher.update(text.as_bytes());
            };
            absorb(kind.word());
            absorb(&name.to_string());
            if let Some(on) = on {
                absorb(&on.to_string());
            }
            for (fact, value) in facts {
                absorb(fact);
                absorb(value);
            }
        }
        hasher.finalize().to_hex().to_string()
    }

    /// Returns what differs between this schema and a later one, object by object and fact by fact.
    #[must_use]
    pub fn differences(&self, later: &Self) -> Vec<Difference> {
        let (before, after) = (self.by_key(), later.by_key());
        let mut differences = Vec::new();
        // Said only where the name alone does not tell.
        let is_repeated = |key: &Key<'_>| {
            let keys = before.keys().chain(after.keys());
            keys.filter(|other| (other.0, other.1) == (key.0, key.1))
                .any(|other| other.2 != key.2)
        };
        let on = |key: &Key<'_>| key.2.filter(|_| is_repeated(key)).cloned();
        for (key, facts) in &before {
            let mut push = |change| {
                differences.push(Difference {
                    kind: key.0,
                    name: key.1.clone(),
                    on: on(key),
                    change,
                });
            };
            match after.get(key) {
                None => push(Change::Missing),
                Some(now) => fact_changes(facts, now).into_iter().for_each(push),
            }
        }
        for key in after.keys().filter(|key| !before.contains_key(*key)) {
            differences.push(Difference {
                kind: key.0,
                name: key.1.clone(),
                on: on(key),
                change: Change::Extra,
            });
        }
        differences
    }

    /// Returns the facts about every table and object, by what tells these apart.
    #[must_use]
    pub fn by_key(&self) -> BTreeMap<Key<'_>, &BTreeMap<String, String>> {
        let tables = self
            .tables
            .iter()
            .map(|table| ((ObjectKind::Table, &table.name, None), &table.facts));
        let objects = self.objects.iter().map(|object| (object.key(), &object.facts));
        tables.chain(objects).collect()
    }
}

fn fact_changes(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<Change> {
    let mut changes = Vec::new();
    for (fact, was) in before {
        match after.get(fact) {
            Some(now) if now == was => {}
            now => changes.push(Change::Fact {
                fact: fact.clone(),
                before: Some(was.clone()),
                after: now.cloned(),
            }),
        }
    }
    for (fact, now) in after.iter().filter(|(fact, _)| !before.contains_key(*fact)) {
        changes.push(Change::Fact {
            fact: fact.clone(),
            before: None,
            after: Some(now.clone()),
        });
    }
    changes
}

/// One thing in which two schemas differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Kind of the object.
    pub kind: ObjectKind,
    /// Name of the object.
    pub name: TableName,
    /// The table it belongs to, where its name alone does not tell which one it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<TableName>,
    /// What about it differs.
    pub change: Change,
}

/// How an object differs between an earlier and a later schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It was there before and is not now.
    Missing,
    /// It was not there before and is now.
    Extra,
    /// A fact about it changed, came or went.
    Fact {
        /// Name of the fact.
        fact: String,
        /// Its value before.
        before: Option<String>,
        /// Its value after.
        after: Option<String>,
    },
}

impl Difference {
    /// Returns whether only the order of columns differs: `SELECT *` shows it, nothing is lost by it.
    #[must_use]
    pub fn is_residue(&self) -> bool {
        matches!(&self.change, Change::Fact { fact, .. } if fact == COLUMN_ORDER)
    }
}

/// Name of the fact that holds the order of a table's columns.
pub const COLUMN_ORDER: &str = "order of columns";

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let on = self.on.as_ref();
        let on = on.map(|on| format!(" on `{on}`")).unwrap_or_default();
        let what = format!("{} `{}`{on}", self.kind.word(), self.name);
        match &self.change {
            Change::Missing => write!(f, "{what} is missing"),
            Change::Extra => write!(f, "{what} is left over"),
            Change::Fact { fact, .. } if fact == COLUMN_ORDER => {
                write!(f, "{what}: its columns stand in another order")
            }
            Change::Fact {
                fact,
                before: Some(before),
                after: Some(after),
            } => {
                write!(f, "{what}: {fact} was `{before}`, is `{after}`")
            }
            Change::Fact {
                fact,
                before: Some(before),
                after: None,
            } => {
                write!(f, "{what}: {fact} `{before}` is missing")
            }
            Change::Fact { fact, after, .. } => {
                write!(
                    f,
                    "{what}: {fact} `{}` is left over",
                    after.as_deref().unwrap_or_default()
                )
            }
        }
    }
}
