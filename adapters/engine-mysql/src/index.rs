//! Indexes of a shadow that is loaded: they are the names of its own, so that [the exchange](crate::swap) finds them
//! made.

use walkback_core::catalog::{Object, Table};
use walkback_core::name::ObjectKind;
use walkback_core::{Error, Result, TableName};

use crate::catalog::definition::retargeted;
use crate::dialect::quoted;
use crate::link::Link;
use crate::settings::Settings;

impl Link {
    /// Makes those of these indexes that are the table's and that the shadow has not.
    pub(crate) async fn index_shadow(
        &mut self,
        table: &Table,
        shadow: &TableName,
        indexes: &[Object],
    ) -> Result<()> {
        self.must_be_alive()?;
        let own = |index: &&Object| {
            index.kind == ObjectKind::Index && index.on.as_ref().is_some_and(|on| on.name == table.name.name)
        };
        let indexes: Vec<_> = indexes.iter().filter(own).collect();
        let settings = [("sql_mode", "'ALLOW_INVALID_DATES'".to_owned())];
        let before = Settings::enter(self, &settings).await?;
        let outcome = self.make_indexes(&shadow.name, &indexes).await;
        before.after(self, outcome).await
    }

    /// Gives a shadow these indexes and no others. They are made together, since then the rows are read once; a
    /// full-text index wants to be alone.
    pub(crate) async fn make_indexes(&mut self, shadow: &str, indexes: &[&Object]) -> Result<()> {
        let made = self.indexes_of(shadow).await?;
        let same = |made: &Object, index: &Object| (&made.name, &made.facts) == (&index.name, &index.facts);
        for other in made
            .iter()
            .filter(|made| !indexes.iter().any(|index| same(made, index)))
        {
            let sql = format!(
                "ALTER TABLE {} DROP INDEX {}",
                quoted(shadow),
                quoted(&other.name.name)
            );
            self.run(&sql).await?;
        }
        let mut together = String::new();
        for index in indexes
            .iter()
            .filter(|index| !made.iter().any(|made| same(made, index)))
        {
            let on = index.on.as_ref().map_or("", |on| &on.name);
            let sql = retargeted(&index.definition, on, shadow).ok_or_else(|| {
                Error::internal(format!(
                    "the definition of index `{}` is not one of this engine",
                    index.name
                ))
            })?;
            match action_of(&sql, shadow) {
                None => self.run(&sql).await?,
                Some(_) if together.is_empty() => together = sql,
                Some(action) => together.push_str(&format!(", {action}")),
            }
        }
        if together.is_empty() {
            return Ok(());
        }
        self.run(&together).await
    }

    /// Puts indexes of a table in the place of others, in one statement: a foreign key may need one of both, and the server
    /// refuses to be without it in between. It takes the index of a key away by itself once another one serves.
    pub(crate) async fn replace_indexes(
        &mut self,
        table: &str,
        drops: &[&Object],
        adds: &[&Object],
    ) -> Result<()> {
        let there = self.indexes_of(table).await?;
        let is_there = |index: &Object| there.iter().find(|made| made.name == index.name);
        let drops = drops.iter().filter(|index| is_there(index).is_some());
        let drops = drops.map(|index| format!("DROP INDEX {}", quoted(&index.name.name)));
        let is_made = |index: &Object| is_there(index).is_some_and(|made| made.facts == index.facts);
        let adds = adds.iter().filter(|index| !is_made(index));
        let actions: Vec<String> = drops.chain(adds.filter_map(|index| addition(index))).collect();
        if actions.is_empty() {
            return Ok(());
        }
        self.run(&format!("ALTER TABLE {} {}", quoted(table), actions.join(", ")))
            .await
    }
}

/// Returns what adds an index, as part of a statement that does more.
pub(crate) fn addition(index: &Object) -> Option<String> {
    action_of(&index.definition, &index.on.as_ref()?.name)
}

fn action_of(sql: &str, table: &str) -> Option<String> {
    let sql = retargeted(sql, table, "")?;
    let action = sql.strip_prefix("ALTER TABLE `` ")?;
    let is_plain = ["ADD KEY ", "ADD UNIQUE KEY "]
        .iter()
        .any(|add| action.starts_with(add));
    is_plain.then(|| action.to_owned())
}
