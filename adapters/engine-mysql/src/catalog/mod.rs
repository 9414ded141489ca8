//! The schema of a database, read from `information_schema` and `SHOW CREATE`.

pub(crate) mod definition;
pub(crate) mod objects;
pub(crate) mod tables;

use walkback_core::catalog::Schema;
use walkback_core::{Result, TableName};

use crate::dialect::literal;
use crate::link::Link;
use crate::settings::Settings;

/// What the names of walkback's own tables begin with.
pub(crate) const OWN: &str = "_walkback_";

/// A sort of table in `information_schema.TABLES`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Table,
    Sequence,
    View,
}

impl Link {
    /// Reads the schema.
    pub(crate) async fn schema(&mut self) -> Result<Schema> {
        self.must_be_alive()?;
        let database = self.database.clone();
        // So that every definition is spelled in one way only, whatever the session is set to.
        let settings = [("sql_mode", "''".to_owned())];
        let before = Settings::enter(self, &settings).await?;
        let outcome = self.read_schema(database).await;
        let schema = before.after(self, outcome).await;
        self.after_statement("the catalog", schema).await
    }

    async fn read_schema(&mut self, database: String) -> Result<Schema> {
        let names = self.names().await?;
        let of = |sort: Sort| names.iter().filter(move |(_, found)| *found == sort);
        let mut schema = Schema {
            home: Some(database),
            ..Schema::default()
        };
        for (name, _) in of(Sort::Sequence) {
            schema.objects.push(self.sequence(name).await?);
        }
        let mut foreign_keys = Vec::new();
        let mut positions = Vec::new();
        for (name, _) in of(Sort::Table) {
            let Some(read) = self.table(name).await? else {
                continue;
            };
            schema.tables.push(read.table);
            schema.objects.extend(read.indexes);
            foreign_keys.extend(read.foreign_keys);
            positions.extend(read.position);
        }
        schema.objects.extend(foreign_keys);
        schema.objects.extend(positions);
        schema.objects.extend(self.routines().await?);
        let mut views = Vec::new();
        for (name, _) in of(Sort::View) {
            views.extend(self.view(name).await?);
        }
        schema.objects.extend(objects::in_order(views));
        schema.objects.extend(self.triggers().await?);
        schema.objects.extend(self.events().await?);
        Ok(schema)
    }

    /// Returns the names of tables, sequences and views, without walkback's own, in order.
    async fn names(&mut self) -> Result<Vec<(String, Sort)>> {
        let rows = self
            .texts(
                "SELECT TABLE_NAME, TABLE_TYPE FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()",
            )
            .await?;
        let mut names: Vec<_> = rows
            .into_iter()
            .filter_map(|row| {
                let [name, sort] = <[Option<String>; 2]>::try_from(row).ok()?;
                let sort = match sort?.as_str() {
                    "BASE TABLE" | "SYSTEM VERSIONED" => Sort::Table,
                    "SEQUENCE" => Sort::Sequence,
                    "VIEW" => Sort::View,
                    _ => return None,
                };
                Some((name?, sort))
            })
            .filter(|(name, _)| !is_own(name))
            .collect();
        names.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(names)
    }

    /// Returns whether there is a table of that name.
    pub(crate) async fn has_table(&mut self, table: &TableName) -> Result<bool> {
        // The server's own names hold no letter beyond the basic plane, and it fails at the question.
        let is_possible = table.name.chars().all(|letter| letter <= '\u{ffff}');
        if !is_possible {
            return Ok(false);
        }
        let sql = format!(
            "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = {} AND TABLE_NAME = {} \
             AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')",
            self.schema_of(table),
            literal(&table.name)
        );
        Ok(self.one(&sql).await?.as_deref() != Some("0"))
    }
}

/// Returns whether a table is one of walkback's own.
pub(crate) fn is_own(name: &str) -> bool {
    name.get(..OWN.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(OWN))
}
