//! Partitions of MySQL and MariaDB, which are part of the definition of a table.
//!
//! Whoever adds and drops partitions by a clock has changed that definition since. So a table that comes back holds its
//! rows undivided until what was written since is in it, and is divided then as it is now.

use walkback_core::{Cx, DialectKind, Result, TableName};

use super::{Merged, Merging};
use crate::execute::Execution;
use crate::load::Shadow;

/// A table that was divided otherwise since, and how it is divided now.
#[derive(Debug)]
pub(super) struct Divided {
    table: TableName,
    clause: Option<String>,
}

impl Divided {
    /// Returns the tables that were divided otherwise since the migration, which had left that as it was.
    pub(super) fn all(kind: DialectKind, tables: &[Merged]) -> Vec<Self> {
        let divided = |merged: &Merged| {
            let [then, left, now] =
                [&merged.then, &merged.left, &merged.now].map(|table| clause_of(&table.definition));
            (then == left && left != now).then(|| Self {
                table: merged.then.name.clone(),
                clause: now.map(str::to_owned),
            })
        };
        match kind {
            DialectKind::Mysql => tables.iter().filter_map(divided).collect(),
            _ => Vec::new(),
        }
    }
}

impl Merging<'_> {
    /// Takes the partitions out of the definitions of such tables.
    pub(crate) fn undivide(&self, shadows: &mut [Shadow]) {
        for shadow in shadows {
            let is_divided = self.divided.iter().any(|one| one.table == shadow.table.name);
            if let Some(clause) = clause_of(&shadow.table.definition).filter(|_| is_divided) {
                let length = shadow.table.definition.len() - clause.len();
                shadow.table.definition.truncate(length);
            }
        }
    }
}

impl Execution<'_> {
    /// Divides the shadows as their tables are divided now.
    pub(crate) async fn divide_as_now(
        &mut self,
        cx: &Cx,
        merging: &Merging<'_>,
        shadows: &[Shadow],
    ) -> Result<()> {
        for one in &merging.divided {
            let shadow = shadows.iter().find(|shadow| shadow.table.name == one.table);
            if let Some((shadow, clause)) = shadow.zip(one.clause.as_ref()) {
                let sql = format!("ALTER TABLE {}{clause}", self.dialect.quote_table(&shadow.name));
                let divided = self.session.execute(cx, &sql, &[]).await;
                divided.map_err(|error| {
                    error.wrap(format!(
                        "the rows of `{}` as it was do not fit into the partitions that it has now",
                        one.table
                    ))
                })?;
            }
        }
        Ok(())
    }
}

/// Returns the end of a definition that divides the table, with what leads to it: the server writes it on lines of its own.
fn clause_of(definition: &str) -> Option<&str> {
    let at = definition.rfind("PARTITION BY ")?;
    let line = definition[..at].rfind('\n')?;
    let before = definition[line..at].trim();
    let is_it = before.is_empty() || before.starts_with("/*!") && !before.contains(' ');
    is_it.then(|| &definition[line..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_divides_a_table_is_at_its_end() {
        let mysql = "CREATE TABLE `t` (\n  `day` int\n) ENGINE=InnoDB\n/*!50100 PARTITION BY RANGE (`day`)\n(PARTITION p VALUES LESS THAN (1)) */";
        assert_eq!(
            clause_of(mysql),
            Some("\n/*!50100 PARTITION BY RANGE (`day`)\n(PARTITION p VALUES LESS THAN (1)) */")
        );
        let mariadb =
            "CREATE TABLE `t` (\n  `day` int\n) ENGINE=InnoDB\n PARTITION BY HASH (`day`)\nPARTITIONS 2";
        assert_eq!(
            clause_of(mariadb),
            Some("\n PARTITION BY HASH (`day`)\nPARTITIONS 2")
        );
        assert_eq!(
            clause_of("CREATE TABLE `t` (\n  `a` int COMMENT 'PARTITION BY x'\n)"),
            None
        );
        assert_eq!(
            clause_of("CREATE TABLE `t` (\n  `a` int\n) COMMENT='PARTITION BY x'"),
            None
        );
    }
}
