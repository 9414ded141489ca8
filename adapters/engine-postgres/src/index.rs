//! Keys and indexes of a shadow that is loaded.
//!
//! They have other names than they will have, because the table that is to be replaced has those: what is called
//! what is noted on the shadow, and [the exchange](crate::swap) renames.

use walkback_core::catalog::{Object, Table};
use walkback_core::name::ObjectKind;
use walkback_core::{Cx, ErrorKind, Result, TableName};

use crate::dialect::{quoted, quoted_table};
use crate::link::Link;
use crate::shadow::{Note, stand_in};

/// How much memory the server may sort in while it makes an index, in kilobytes, if its own setting is not more.
const SORTED_IN: u64 = 128 << 10;

impl Link {
    /// Makes the keys of a shadow, and its indexes where each is by itself: in a transaction one that cannot be made
    /// yet would end it.
    pub(crate) async fn index_shadow(
        &mut self,
        cx: &Cx,
        table: &Table,
        shadow: &TableName,
        indexes: &[Object],
    ) -> Result<()> {
        cx.check()?;
        self.tidy().await?;
        self.must_write()?;
        let mut note = self.note_of(cx, shadow).await?;
        let is_alone = self.transaction.is_none();
        if is_alone {
            self.sort_in_memory(cx).await?;
        }
        self.make_keys(cx, shadow, &mut note).await?;
        // Those of a partitioned table take in those of its partitions.
        if is_alone && !table.facts.contains_key("partition by") {
            for index in indexes {
                if index.kind == ObjectKind::Index && index.on.as_ref() == Some(&table.name) {
                    self.make_index(cx, shadow, index, &mut note).await?;
                }
            }
        }
        let comment = note.comment(shadow)?;
        self.batch(cx, &comment).await
    }

    /// Makes the keys that a shadow has not yet, under names that nobody has.
    pub(crate) async fn make_keys(&mut self, cx: &Cx, shadow: &TableName, note: &mut Note) -> Result<()> {
        for (name, clause) in std::mem::take(&mut note.keys) {
            let other = stand_in(shadow, &name);
            self.add_constraint(cx, shadow, &other, &clause).await?;
            note.renames.push((other, name));
        }
        Ok(())
    }

    /// Makes an index, if it can be made now: one on an expression may need what only the exchange brings back.
    async fn make_index(
        &mut self,
        cx: &Cx,
        shadow: &TableName,
        index: &Object,
        note: &mut Note,
    ) -> Result<()> {
        let other = stand_in(shadow, &index.name.name);
        let Some(sql) = retargeted(&index.definition, shadow, &other) else {
            return Ok(());
        };
        match self.batch(cx, &sql).await {
            Ok(()) => note
                .indexes
                .push((other, index.name.name.clone(), index.definition.clone())),
            Err(error) if error.kind() == ErrorKind::Database => {
                tracing::debug!(index = %index.name, %error, "an index is left to the exchange");
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn sort_in_memory(&mut self, cx: &Cx) -> Result<()> {
        let sql = "SELECT pg_catalog.set_config('maintenance_work_mem', $1, false) FROM pg_catalog.pg_settings \
                   WHERE name = 'maintenance_work_mem' AND setting::bigint < $1::text::bigint";
        self.texts(cx, sql, &[&SORTED_IN.to_string()]).await.map(drop)
    }
}

/// Returns the definition of an index under another name on another table, if it is one statement.
fn retargeted(definition: &str, shadow: &TableName, name: &str) -> Option<String> {
    let (word, rest) = ["CREATE INDEX ", "CREATE UNIQUE INDEX "]
        .into_iter()
        .find_map(|word| Some((word, definition.strip_prefix(word)?)))?;
    let rest = after_identifier(rest)?.strip_prefix(" ON ")?;
    let table = after_identifier(rest)?;
    let rest = match table.strip_prefix('.') {
        Some(table) => after_identifier(table)?,
        None => table,
    };
    let rest = rest.strip_prefix(" USING ")?;
    Some(format!(
        "{word}{} ON {} USING {rest}",
        quoted(name),
        quoted_table(shadow)
    ))
}

/// Returns what comes after the identifier that a text begins with, as the server writes it.
fn after_identifier(text: &str) -> Option<&str> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(|letter: char| !(letter.is_alphanumeric() || matches!(letter, '_' | '$')))?;
        return (end > 0).then(|| &text[end..]);
    };
    let mut rest = quoted;
    loop {
        let end = rest.find('"')?;
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(more) => rest = more,
            None => return Some(rest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_gets_another_name_and_another_table() {
        let shadow = TableName::in_schema("a b", "s");
        for (definition, expected) in [
            (
                "CREATE INDEX i ON public.t USING btree (a) WHERE (b = ' ON x USING '::text)",
                r#"CREATE INDEX "n" ON "a b"."s" USING btree (a) WHERE (b = ' ON x USING '::text)"#,
            ),
            (
                r#"CREATE UNIQUE INDEX "a ON "" USING" ON "b "" c"."d USING" USING gin (e)"#,
                r#"CREATE UNIQUE INDEX "n" ON "a b"."s" USING gin (e)"#,
            ),
            (
                "CREATE INDEX é ON t USING hash (a)",
                r#"CREATE INDEX "n" ON "a b"."s" USING hash (a)"#,
            ),
        ] {
            assert_eq!(retargeted(definition, &shadow, "n").as_deref(), Some(expected));
        }
        for other in [
            "CREATE INDEX i ON ONLY public.t USING btree (a)",
            "ALTER TABLE t ADD UNIQUE (a)",
            "CREATE INDEX \"i ON t USING btree (a)",
        ] {
            assert_eq!(retargeted(other, &shadow, "n"), None, "{other}");
        }
    }
}
