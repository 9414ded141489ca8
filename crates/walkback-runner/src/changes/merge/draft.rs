//! Tables of SQLite in which something has to be unique: its shadows are so from the beginning, and rows that are written one by
//! one may have the same for a while. So they are written elsewhere first.

use walkback_core::{Cx, Dialect, DialectKind, Result};

use super::run::Merging;
use crate::changes::copies::{quoted, untyped};
use crate::execute::Execution;
use crate::load::Shadow;

/// Where the rows of shadows are written first.
#[derive(Debug)]
pub(super) struct Drafts {
    /// As the shadows, with the names of those that are written to instead.
    pub(super) shadows: Vec<Shadow>,
    is_draft: Vec<bool>,
}

impl Drafts {
    /// Returns the statements that write what is in a draft into its shadow.
    fn fair_copy(&self, dialect: &dyn Dialect, (at, shadow): (usize, &Shadow)) -> Vec<String> {
        let (draft, to) = (
            dialect.quote_table(&self.shadows[at].name),
            dialect.quote_table(&shadow.name),
        );
        let columns = columns(dialect, shadow);
        vec![
            format!("DELETE FROM {to}"),
            format!("INSERT INTO {to} ({columns}) SELECT {columns} FROM {draft}"),
            format!("DROP TABLE {draft}"),
        ]
    }
}

impl Execution<'_> {
    /// Makes drafts of the shadows that are written to and want one. They are cleared away with these, numbered from `first`.
    pub(super) async fn draft(
        &mut self,
        cx: &Cx,
        merging: &Merging<'_>,
        (shadows, left, first): (&[Shadow], &[Option<Shadow>], usize),
    ) -> Result<Drafts> {
        let dialect = self.runner.dialect();
        let mut drafts = Drafts {
            shadows: shadows.to_vec(),
            is_draft: vec![false; shadows.len()],
        };
        if dialect.kind() != DialectKind::Sqlite {
            return Ok(drafts);
        }
        let mut names = (first..).map(Shadow::name_of);
        for (at, shadow) in shadows.iter().enumerate() {
            let is_it = |table: &super::Merged| table.then.name == shadow.table.name;
            let is_written = merging
                .tables
                .iter()
                .zip(left)
                .any(|(table, left)| is_it(table) && left.is_some());
            let is_unique = shadow.table.facts.keys().any(|fact| fact.starts_with("unique "));
            if !is_written || !is_unique {
                continue;
            }
            let draft = shadow.name.renamed(names.next().unwrap_or_default());
            let source = dialect.quote_table(&shadow.name);
            let key = shadow.table.primary_key.iter().map(String::as_str);
            let key = quoted(&*dialect, key);
            let making = untyped(
                (&source, &dialect.quote_table(&draft)),
                (&columns(&*dialect, shadow), &key),
            );
            for sql in making {
                self.session.execute(cx, &sql, &[]).await?;
            }
            drafts.shadows[at].name = draft;
            drafts.is_draft[at] = true;
        }
        Ok(drafts)
    }

    /// Writes what is in drafts into their shadows, and drops them: the last ones first.
    pub(super) async fn copy_fair(&mut self, cx: &Cx, drafts: &Drafts, shadows: &[Shadow]) -> Result<()> {
        let dialect = self.runner.dialect();
        for (at, shadow) in shadows.iter().enumerate().rev() {
            if !drafts.is_draft[at] {
                continue;
            }
            for sql in drafts.fair_copy(&*dialect, (at, shadow)) {
                self.session.execute(cx, &sql, &[]).await?;
            }
        }
        Ok(())
    }
}

/// Returns the columns of a table that can be written.
fn columns(dialect: &dyn Dialect, shadow: &Shadow) -> String {
    let columns = shadow.table.columns.iter().filter(|column| !column.generated);
    quoted(dialect, columns.map(|column| column.name.as_str()))
}
