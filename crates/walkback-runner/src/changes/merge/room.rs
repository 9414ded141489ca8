//! What has to be unique in a table as it was, and what was written since.
//!
//! Who has a value now keeps it: a cell that would go back to it stays as it is, and a row that would come back with it does
//! not. Where two rows have it now, because it does not have to be unique any more, what was written since has no place.

use walkback_core::catalog::{Object, Schema, Table};
use walkback_core::engine::SessionExt as _;
use walkback_core::name::ObjectKind;
use walkback_core::{Cx, Dialect, DialectKind, Result, Session};
use walkback_sql::lexer::{TokenKind, significant_tokens};

use super::cells::Cell;
use super::mixed::COULD_NOT_HOLD;
use super::sql::MergeSql;
use crate::changes::TableChanges;
use crate::changes::asking::{Asking, Question};
use crate::changes::collide::TAKEN;
use crate::changes::sql::{deleted, update};

/// Returns the columns of which no two rows of a table have the same, besides its primary key.
fn unique_columns(dialect: &dyn Dialect, table: &Table, schema: &Schema) -> Vec<Vec<String>> {
    let facts = table.facts.keys();
    let facts = facts
        .filter(|fact| fact.trim_start_matches("inherited ").starts_with("unique "))
        .filter_map(|fact| columns_in(dialect, table, fact));
    let indexes = schema
        .objects_on(&table.name)
        .filter(|object| object.kind == ObjectKind::Index);
    let indexes = indexes.filter_map(|index| columns_in(dialect, table, &text_of(dialect.kind(), index)?));
    facts.chain(indexes).collect()
}

/// Returns the text of an index that has to be unique, as far as its columns are concerned.
fn text_of(kind: DialectKind, index: &Object) -> Option<String> {
    let has = |text: &str| index.definition.contains(text);
    match kind {
        DialectKind::Sqlite => {
            let is_unique = index.facts.get("unique").is_some_and(|is| is == "yes");
            let columns = index.facts.get("columns")?;
            (is_unique && !index.facts.contains_key("where")).then(|| format!("({columns})"))
        }
        DialectKind::Postgres => has("CREATE UNIQUE INDEX ").then(|| index.definition.clone()),
        DialectKind::Mysql => has(" ADD UNIQUE KEY ").then(|| index.definition.clone()),
    }
}

/// Reads the columns in the first parentheses of a text. `None`: there are others than whole columns, or not all rows are meant.
fn columns_in(dialect: &dyn Dialect, table: &Table, text: &str) -> Option<Vec<String>> {
    let tokens = significant_tokens(dialect.kind(), text);
    let open = tokens.iter().position(|token| token.is_symbol("("))?;
    let close = open + tokens[open..].iter().position(|token| token.is_symbol(")"))?;
    if tokens[close..].iter().any(|token| token.is_word("WHERE")) {
        return None;
    }
    let items = tokens[open + 1..close].split(|token| token.is_symbol(","));
    items
        .map(|item| {
            let (name, order) = item.split_first()?;
            let is_order = order
                .iter()
                .all(|token| token.is_word("ASC") || token.is_word("DESC"));
            let mut columns = table.columns.iter().filter(|column| !column.generated);
            let column = columns.find(|column| match name.kind {
                TokenKind::Word => column.name.eq_ignore_ascii_case(name.text),
                _ => dialect.quote_identifier(&column.name) == name.text,
            })?;
            is_order.then(|| column.name.clone())
        })
        .collect()
}

impl<'a> MergeSql<'a> {
    /// Returns the cells of which no two rows may have the same, of each of what had to be unique.
    fn unique(&self, then: &Schema) -> Vec<Vec<Cell<'a>>> {
        let all = unique_columns(self.dialect, &self.merged.then, then).into_iter();
        all.filter_map(|columns| {
            let cells = columns.iter().map(|name| {
                let mut cells = self.cells.iter();
                cells
                    .find(|cell| cell.then.name == *name && !cell.has_another_type())
                    .copied()
            });
            cells.collect()
        })
        .collect()
    }

    /// Says that two rows have the same in each of these cells, as the server sees it.
    fn equal(&self, cells: &[Cell<'_>], one: &str, other: &str) -> String {
        let each = cells.iter().map(|cell| {
            let name = cell.name(self.dialect);
            format!("{one}.{name} = {other}.{name}")
        });
        each.collect::<Vec<_>>().join(" AND ")
    }

    fn all_same_in(&self, cells: &[Cell<'_>], one: &str, other: &str) -> String {
        let each = cells.iter().map(|cell| cell.same(self.dialect, one, other));
        each.collect::<Vec<_>>().join(" AND ")
    }

    /// Returns the pairs of rows `s` and `o` of the shadow that have the same.
    fn twins(&self, cells: &[Cell<'_>]) -> String {
        format!(
            "FROM {0} AS s JOIN {0} AS o ON {1} AND NOT ({2})",
            self.shadow(),
            self.equal(cells, "o", "s"),
            self.keys("o", "s"),
        )
    }

    /// Leaves as it is now what has gone back to a value that another row has, until no more has to: each round leaves some
    /// for good, and as they are now no two are the same.
    pub(super) async fn give_way(
        &self,
        cx: &Cx,
        session: &mut dyn Session,
        then: &Schema,
        found: &mut TableChanges,
    ) -> Result<()> {
        let all = self.unique(then);
        let mut is_settled = false;
        while !is_settled {
            is_settled = true;
            for cells in &all {
                if !self.has_twins(cx, session, cells).await? {
                    continue;
                }
                let twins = self.twins(cells);
                let own: Vec<_> = cells.iter().filter(|cell| !cell.is_key).copied().collect();
                let gone = format!(
                    "{twins} WHERE NOT EXISTS (SELECT 1 FROM {} AS n WHERE {})",
                    self.live(),
                    self.keys("n", "s"),
                );
                is_settled &= self.remove(cx, session, (&gone, TAKEN), found).await? == 0;
                let went_back = format!(
                    "{twins} JOIN {} AS n ON {} JOIN {} AS a ON {} WHERE NOT ({})",
                    self.live(),
                    self.keys("n", "s"),
                    self.left(),
                    self.keys("a", "n"),
                    self.all_same_in(&own, "s", "n"),
                );
                if own.is_empty() {
                    continue;
                }
                self.ask_for_cells(cx, session, (&own, &went_back, TAKEN), ("s", "n"), found)
                    .await?;
                is_settled &= self.set(cx, session, (&own, &went_back, "n")).await? == 0;
            }
        }
        Ok(())
    }

    /// Takes away what was written since, and another row has as well.
    pub(super) async fn leave_out_twins(
        &self,
        cx: &Cx,
        session: &mut dyn Session,
        (then, now): (&Schema, &Schema),
        found: &mut TableChanges,
    ) -> Result<()> {
        let still = unique_columns(self.dialect, &self.merged.now, now);
        for cells in self.unique(then) {
            let names: Vec<_> = cells.iter().map(|cell| cell.then.name.clone()).collect();
            // Where it has to be unique now too, nobody can have written it twice.
            if still.contains(&names) || !self.has_twins(cx, session, &cells).await? {
                continue;
            }
            let is_new = |row: &str| {
                format!(
                    "(EXISTS (SELECT 1 FROM {} AS x WHERE {}) AND NOT EXISTS (SELECT 1 FROM {} AS y WHERE {}))",
                    self.live(),
                    self.keys("x", row),
                    self.left(),
                    self.keys("y", row),
                )
            };
            let both = self.twins(&cells);
            let changed = format!(
                "{both} JOIN {} AS n ON {} JOIN {} AS a ON {} WHERE NOT ({}) AND NOT {}",
                self.live(),
                self.keys("n", "s"),
                self.left(),
                self.keys("a", "n"),
                self.all_same_in(&cells, "n", "a"),
                is_new("o"),
            );
            self.ask_for_cells(cx, session, (&cells, &changed, COULD_NOT_HOLD), ("n", "a"), found)
                .await?;
            self.set(cx, session, (&cells, &changed, "a")).await?;
            let twins = format!(
                "{both} WHERE {} AND (NOT {} OR ({}) < ({}))",
                is_new("s"),
                is_new("o"),
                self.key_of("o"),
                self.key_of("s"),
            );
            let what = "written since, and the table could not hold it before";
            self.remove(cx, session, (&twins, what), found).await?;
        }
        Ok(())
    }

    /// Takes rows `s` away, and tells it.
    async fn remove(
        &self,
        cx: &Cx,
        session: &mut dyn Session,
        (rest, what): (&str, &str),
        found: &mut TableChanges,
    ) -> Result<u64> {
        let those = format!("(SELECT DISTINCT {} {rest}) AS c", self.key_of("s"));
        let rest = format!(
            "FROM {} AS t WHERE EXISTS (SELECT 1 FROM {those} WHERE {})",
            self.shadow(),
            self.keys("c", "t")
        );
        self.ask_for(cx, session, (&self.key_of("t"), &rest, None, what), found)
            .await?;
        let delete = format!("DELETE{} {rest}", deleted(self.dialect, "t"));
        session.execute(cx, &delete, &[]).await
    }

    async fn has_twins(&self, cx: &Cx, session: &mut dyn Session, cells: &[Cell<'_>]) -> Result<bool> {
        let names: Vec<_> = cells.iter().map(|cell| cell.name(self.dialect)).collect();
        let present: Vec<_> = names.iter().map(|name| format!("{name} IS NOT NULL")).collect();
        let sql = format!(
            "SELECT 1 FROM {} WHERE {} GROUP BY {} HAVING count(*) > 1 LIMIT 1",
            self.shadow(),
            present.join(" AND "),
            names.join(", "),
        );
        Ok(session.fetch_optional(cx, &sql, &[]).await?.is_some())
    }

    async fn ask_for(
        &self,
        cx: &Cx,
        session: &mut dyn Session,
        (selected, rest, column, what): (&str, &str, Option<&str>, &str),
        found: &mut TableChanges,
    ) -> Result<()> {
        let asking = Asking {
            dialect: self.dialect,
            key: &self.merged.then.primary_key,
        };
        let question = Question {
            selected: selected.to_owned(),
            rest: rest.to_owned(),
        };
        asking.ask(cx, session, (&question, what), column, found).await
    }

    /// Asks for the cells of rows that differ between two of their states.
    async fn ask_for_cells(
        &self,
        cx: &Cx,
        session: &mut dyn Session,
        (cells, rest, what): (&[Cell<'_>], &str, &str),
        (one, other): (&str, &str),
        found: &mut TableChanges,
    ) -> Result<()> {
        for cell in cells.iter().filter(|cell| !cell.is_key) {
            let name = cell.name(self.dialect);
            // What was written since is in the shadow by then.
            let before = if (one, other) == ("n", "a") { "a" } else { "s" };
            let selected = format!("{}, {before}.{name}, a.{name}, n.{name}", self.key_of("s"));
            let rest = format!("{rest} AND NOT ({})", cell.same(self.dialect, one, other));
            self.ask_for(
                cx,
                session,
                (&selected, &rest, Some(&cell.then.name), what),
                found,
            )
            .await?;
        }
        Ok(())
    }

    /// Writes cells of those rows `s` of the shadow as another row has them.
    async fn set(
        &self,
        cx: &Cx,
        session: &mut dyn Session,
        (cells, rest, from): (&[Cell<'_>], &str, &str),
    ) -> Result<u64> {
        let cells: Vec<_> = cells.iter().filter(|cell| !cell.is_key).collect();
        if cells.is_empty() {
            return Ok(0);
        }
        let values = cells.iter().map(|cell| {
            let name = cell.name(self.dialect);
            format!("{from}.{name} AS {name}")
        });
        let values: Vec<_> = std::iter::once(self.key_of("s")).chain(values).collect();
        let those = format!("(SELECT DISTINCT {} {rest}) AS c", values.join(", "));
        let sets: Vec<_> = cells
            .iter()
            .map(|cell| (cell.name(self.dialect), cell.value(self.dialect, "c")))
            .collect();
        let sql = update(
            self.dialect,
            (&self.shadow(), "t"),
            &sets,
            &those,
            &self.keys("t", "c"),
        );
        session.execute(cx, &sql, &[]).await
    }
}
