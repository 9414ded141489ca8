//! The schema of a database, read from PostgreSQL's catalogs in one consistent view.
//!
//! Names in the schema the session works in (its home) stand without it. The text of definitions comes from the
//! server's own functions, run with the home alone in the search path, so that it says everything else in full.
//!
//! A foreign key belongs to its table: to its facts, and to its definition where the table it refers to can be
//! there before. The keys that close a circle of tables are objects of kind
//! [`Constraint`](walkback_core::name::ObjectKind::Constraint) in addition, to be created when all tables are there.

mod access;
mod objects;
mod order;
mod present;
mod queries;
mod sequences;
mod tables;

use std::collections::BTreeMap;

use walkback_core::catalog::{Object, Schema, Table};
use walkback_core::{Cx, Result, TableName};

use crate::dialect::{quoted, quoted_table, text_literal};
use crate::link::{Link, Texts};
use present::{Kind, Present};

pub(crate) use queries::DEPENDENCIES;

/// Facts, by name.
pub(crate) type Facts = BTreeMap<String, String>;

/// What facts say that are true or not there.
pub(crate) const HOLDS: &str = "holds";

/// An object with what the contract has no place for.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) object: Object,
    /// Number of its row in the catalog; empty for what is no object of its own to the server.
    pub(crate) oid: String,
    /// Where it stands among all, as far as nothing else decides.
    pub(crate) rank: u8,
    /// Statement that drops it; empty if it goes with its table or is never dropped.
    pub(crate) drop: String,
    /// What `COMMENT ON` and `GRANT .. ON` call it: `TABLE t`.
    pub(crate) called: String,
}

/// The whole catalog, in an order in which it can be created.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    pub(crate) home: Option<String>,
    pub(crate) tables: Vec<(String, Table)>,
    pub(crate) entries: Vec<Entry>,
}

impl Catalog {
    /// Returns the entry of an object, which may have lost its facts on the way.
    pub(crate) fn find(&self, object: &Object) -> Option<&Entry> {
        self.entries.iter().find(|entry| {
            entry.object.kind == object.kind
                && entry.object.name == object.name
                && entry.object.on == object.on
        })
    }

    /// Returns the number of a table.
    pub(crate) fn oid_of(&self, table: &TableName) -> Option<&str> {
        let found = self.tables.iter().find(|(_, other)| other.name == *table);
        found.map(|(oid, _)| oid.as_str())
    }

    fn schema(self) -> Schema {
        Schema {
            tables: self.tables.into_iter().map(|(_, table)| table).collect(),
            objects: self.entries.into_iter().map(|entry| entry.object).collect(),
            home: self.home,
        }
    }
}

/// Turns names of the catalog into names of the contract.
#[derive(Debug)]
pub(crate) struct Names {
    home: Option<String>,
}

impl Names {
    pub(crate) fn of(&self, schema: &str, name: &str) -> TableName {
        if self.home.as_deref() == Some(schema) {
            TableName::new(name)
        } else {
            TableName::in_schema(schema, name)
        }
    }
}

impl Link {
    /// Reads the schema.
    pub(crate) async fn schema(&mut self, cx: &Cx) -> Result<Schema> {
        Ok(self.catalog(cx).await?.schema())
    }

    /// Reads the whole catalog. In autocommit mode, all of it in one snapshot.
    pub(crate) async fn catalog(&mut self, cx: &Cx) -> Result<Catalog> {
        cx.check()?;
        self.tidy().await?;
        if self.is_in_block(cx).await? {
            let before = self
                .one_text(cx, "SELECT pg_catalog.current_setting('search_path')")
                .await?;
            let catalog = self.read_catalog(cx).await?;
            let back = format!(
                "SELECT pg_catalog.set_config('search_path', {}, true)",
                text_literal(&before)
            );
            self.batch(cx, &back).await?;
            return Ok(catalog);
        }
        self.is_block_loose = true;
        // Compiling what runs once would take longer than running it.
        self.batch(
            cx,
            "START TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET LOCAL jit = off",
        )
        .await?;
        let catalog = self.read_catalog(cx).await;
        self.tidy().await?;
        catalog
    }

    /// Returns the one cell of a query of our own.
    pub(crate) async fn one_text(&mut self, cx: &Cx, sql: &str) -> Result<String> {
        let rows = self.texts(cx, sql, &[]).await?;
        Ok(rows.first().map(|row| row.get(0).to_owned()).unwrap_or_default())
    }

    async fn read_catalog(&mut self, cx: &Cx) -> Result<Catalog> {
        let home = match &self.home {
            Some(home) => Some(home.clone()),
            None => {
                let rows = self.texts(cx, "SELECT current_schema()::text", &[]).await?;
                rows.first().and_then(|row| row.find(0)).map(str::to_owned)
            }
        };
        // A script may set another search path: what has a name without a schema must not change with it.
        self.home.clone_from(&home);
        let path = home.as_deref().map(quoted).unwrap_or_default();
        let narrow = format!(
            "SELECT pg_catalog.set_config('search_path', {}, true)",
            text_literal(&path)
        );
        self.batch(cx, &narrow).await?;
        let names = Names { home: home.clone() };
        let present = Present::read(self, cx).await?;
        let mut raw = tables::read(self, cx, &names, &present).await?;
        let sequences = present.texts(self, cx, Kind::Sequences).await?;
        sequences::fill_identities(&sequences, &names, &mut raw);
        let mut entries = objects::read(self, cx, &names, &present, &mut raw).await?;
        let sequences = sequences::read(self, cx, &names, &sequences, &raw).await?;
        entries.extend(sequences.entries);
        objects::tell_apart(&mut entries);
        let needs = self.texts(cx, queries::DEPENDENCIES, &[]).await?;
        let order = order::sort(&raw, entries, &needs);
        let mut catalog = tables::assemble(raw, order);
        catalog.home = home;
        catalog.entries.extend(sequences.positions);
        access::extend(self, cx, &present, &mut catalog).await?;
        Ok(catalog)
    }

    /// Returns a name with the schema it is in, if that is the one the session began to work in: a script may have
    /// changed what names without one mean.
    pub(crate) fn whole(&self, table: &TableName) -> TableName {
        let schema = table.schema.clone().or_else(|| self.home.clone());
        TableName {
            schema,
            name: table.name.clone(),
        }
    }

    /// Returns whether there is a table of that name.
    pub(crate) async fn has_table(&mut self, cx: &Cx, table: &TableName) -> Result<bool> {
        let name = quoted_table(&self.whole(table));
        let sql = "SELECT count(*)::text FROM pg_catalog.pg_class \
                   WHERE oid = pg_catalog.to_regclass($1) AND relkind IN ('r', 'p', 'f')";
        let rows = self.texts(cx, sql, &[&name]).await?;
        Ok(rows.first().is_some_and(|row| row.get(0) == "1"))
    }
}

/// Reads a cell that holds a list of texts as JSON.
fn list(row: &Texts, index: usize) -> Vec<String> {
    serde_json::from_str(row.get(index)).unwrap_or_default()
}

/// Writes options of storage, `fillfactor=70`, as they stand in a definition.
fn options(list: &[String]) -> String {
    let options: Vec<_> = list
        .iter()
        .map(|option| match option.split_once('=') {
            Some((name, value)) => format!("{name} = {}", text_literal(value)),
            None => option.clone(),
        })
        .collect();
    options.join(", ")
}

/// Returns facts of one.
fn fact(name: &str, value: impl Into<String>) -> Facts {
    Facts::from([(name.to_owned(), value.into())])
}
