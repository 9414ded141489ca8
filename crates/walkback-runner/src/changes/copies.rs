//! Copies of changed rows, where those themselves may not be written to: they are kept for another time, or what they are in
//! would not take it.

use walkback_core::{Cx, Dialect, DialectKind, Result, TableName};

use super::checks::Checks;
use super::undo::Taken;
use super::unique::Unique;
use crate::execute::Execution;
use crate::load::Shadow;

/// The names of the copies of a table's changed rows, as they were and as they were left.
pub(super) type Copies = Vec<Option<[TableName; 2]>>;

impl Execution<'_> {
    /// Copies the changed rows of the tables that have checks, or in which something has to be unique besides the primary
    /// key. The copies are cleared away with the shadows, numbered from `first`.
    pub(super) async fn copy_changed(
        &mut self,
        cx: &Cx,
        taken: &[Taken<'_>],
        first: usize,
    ) -> Result<Copies> {
        let dialect = self.runner.dialect();
        let mut names = (first..).map(Shadow::name_of).map(TableName::new);
        let mut all = Vec::new();
        for one in taken {
            let unique = Unique::all(cx, &mut *self.session, &*dialect, (one.table, &one.columns)).await?;
            if unique.is_empty() && Checks::of(&*dialect, one.table).is_empty() {
                all.push(None);
                continue;
            }
            let mut copies = [one.was.clone(), one.left.clone()];
            for copy in &mut copies {
                let from = std::mem::replace(copy, names.next().unwrap_or_else(|| one.was.clone()));
                for sql in self.copying(one, (&from, copy)) {
                    self.session.execute(cx, &sql, &[]).await?;
                }
            }
            all.push(Some(copies));
        }
        Ok(all)
    }

    /// Returns the statements that copy one table: none of its constraints, and with its key.
    fn copying(&self, one: &Taken<'_>, (from, to): (&TableName, &TableName)) -> Vec<String> {
        let (source, copy) = (self.dialect.quote_table(from), self.dialect.quote_table(to));
        let key = quoted(&*self.dialect, one.table.primary_key.iter().map(String::as_str));
        let all = format!("SELECT * FROM {source}");
        match self.dialect.kind() {
            // How much of a text is in the key is known there.
            DialectKind::Mysql => vec![
                format!("CREATE TABLE {copy} LIKE {source}"),
                format!("INSERT INTO {copy} {all}"),
            ],
            DialectKind::Postgres => vec![
                format!("CREATE TABLE {copy} AS {all}"),
                format!("CREATE INDEX ON {copy} ({key})"),
            ],
            DialectKind::Sqlite => {
                let columns = one.columns.iter().map(|column| column.name.as_str());
                let columns = quoted(&*self.dialect, columns);
                untyped((&source, &copy), (&columns, &key)).to_vec()
            }
        }
    }
}

/// Returns the statements that copy a table of SQLite without types and constraints: every value stays what it is.
pub(super) fn untyped((source, copy): (&str, &str), (columns, key): (&str, &str)) -> [String; 2] {
    [
        format!("CREATE TABLE {copy} ({columns}, PRIMARY KEY ({key}))"),
        format!("INSERT INTO {copy} ({columns}) SELECT {columns} FROM {source}"),
    ]
}

/// Returns a list of columns.
pub(super) fn quoted<'n>(dialect: &dyn Dialect, names: impl Iterator<Item = &'n str>) -> String {
    names
        .map(|name| dialect.quote_identifier(name))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Returns the tables with the copies of their changed rows, where there are any.
pub(super) fn copied<'a>(taken: &'a [Taken<'a>], copies: &'a Copies) -> Vec<Taken<'a>> {
    let one = |(one, copies): (&'a Taken<'a>, &'a Option<[TableName; 2]>)| {
        let [was, left] = match copies {
            Some([was, left]) => [was, left],
            None => [one.was, one.left],
        };
        Taken {
            table: one.table,
            columns: one.columns.clone(),
            was,
            left,
        }
    };
    taken.iter().zip(copies).map(one).collect()
}
