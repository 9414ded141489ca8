//! What has to be unique in a table, besides its primary key.

use walkback_core::catalog::{Column, Table};
use walkback_core::engine::SessionExt as _;
use walkback_core::value::Row;
use walkback_core::{Cx, Dialect, DialectKind, Result, Session, TableName, Value};

/// Values of which no two rows have the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unique {
    pub(super) parts: Vec<Part>,
    /// The rows of which it is asked, if not of all.
    pub(super) predicate: Option<String>,
    /// Whether two rows without a value have the same one.
    nulls_are_equal: bool,
}

/// A column, or what is made of columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// `None`: an expression.
    pub(super) column: Option<String>,
    value: String,
}

impl Unique {
    /// Returns what is unique in a table as it is now, as far as it can be asked of rows of which these columns were kept.
    pub(super) async fn all(
        cx: &Cx,
        session: &mut dyn Session,
        dialect: &dyn Dialect,
        (table, kept): (&Table, &[&Column]),
    ) -> Result<Vec<Self>> {
        let rows = session
            .fetch_all(cx, &parts_of(dialect, &table.name), &[])
            .await?;
        let mut all: Vec<(String, Self)> = Vec::new();
        for row in &rows {
            let text = |at: usize| row.get(at).and_then(Value::as_str).map(str::to_owned);
            let name = text(0).unwrap_or_default();
            if all.last().is_none_or(|(last, _)| *last != name) {
                let unique = Self {
                    parts: Vec::new(),
                    predicate: text(3),
                    nulls_are_equal: text(4).is_some_and(|is| is == "true"),
                };
                all.push((name, unique));
            }
            if let Some((_, unique)) = all.last_mut() {
                unique.parts.push(Part::of(dialect, row));
            }
        }
        Ok(all
            .into_iter()
            .map(|(_, unique)| unique)
            .filter(|unique| unique.can_be_asked_for(table, kept))
            .collect())
    }

    /// Returns whether it is made of what was kept. Of an expression nobody knows of what: of any of the columns.
    fn can_be_asked_for(&self, table: &Table, kept: &[&Column]) -> bool {
        let is_kept = |name: &str| kept.iter().any(|column| column.name == name);
        let has_all = table.columns.iter().all(|column| is_kept(&column.name));
        self.parts.iter().all(|part| match &part.column {
            Some(name) => is_kept(name),
            // MySQL tells texts in them as they would stand in another text.
            None => has_all && !part.value.is_empty() && !part.value.contains('\\'),
        }) && (self.predicate.is_none() || has_all)
    }

    /// Returns whether a change of one of these columns may change it.
    pub(super) fn is_of(&self, columns: impl Fn(&str) -> bool) -> bool {
        let may = |part: &Part| part.column.as_deref().is_none_or(&columns);
        self.predicate.is_some() || self.parts.iter().any(may)
    }

    /// Returns the rows of a source with their keys and what is to be unique of each.
    pub(super) fn of_rows(&self, source: &str, key: &str) -> String {
        let parts = self.parts.iter().enumerate();
        let parts: Vec<_> = parts
            .map(|(at, part)| format!("{} AS {}", part.value, named(at)))
            .collect();
        let condition = self.predicate.as_ref();
        let condition = condition.map(|predicate| format!(" WHERE {predicate}"));
        format!(
            "(SELECT {key}, {} FROM {source} AS r{})",
            parts.join(", "),
            condition.unwrap_or_default()
        )
    }

    /// Says that two of those rows cannot both be.
    pub(super) fn is_same(&self, one: &str, other: &str) -> String {
        let equals = if self.nulls_are_equal {
            "IS NOT DISTINCT FROM"
        } else {
            "="
        };
        let parts = 0..self.parts.len();
        let parts: Vec<_> = parts
            .map(|at| format!("{one}.{0} {equals} {other}.{0}", named(at)))
            .collect();
        parts.join(" AND ")
    }
}

impl Part {
    fn of(dialect: &dyn Dialect, row: &Row) -> Self {
        let text = |at: usize| row.get(at).and_then(Value::as_str).map(str::to_owned);
        let column = text(1);
        let name = column.as_ref().map(|name| dialect.quote_identifier(name));
        let value = match (name, text(2)) {
            // The beginning of a text; on PostgreSQL the server has written the whole.
            (Some(name), Some(length)) => format!("LEFT({name}, {length})"),
            (Some(name), None) => name,
            (None, expression) => expression.unwrap_or_default(),
        };
        Self { column, value }
    }
}

fn named(at: usize) -> String {
    format!("_walkback_unique_{at}")
}

/// Asks for the parts of what is unique: its name, the column, the length of its beginning or the expression, what is asked
/// of rows, whether those without a value are the same.
fn parts_of(dialect: &dyn Dialect, table: &TableName) -> String {
    let literal = |text: &str| dialect.literal(&Value::Text(text.to_owned()));
    match dialect.kind() {
        // What is asked of rows and expressions are in its text only: what has them is left out.
        DialectKind::Sqlite => format!(
            "SELECT l.name, i.name, NULL, NULL, NULL FROM pragma_index_list({}) AS l, pragma_index_info(l.name) AS i \
             WHERE l.\"unique\" = 1 AND l.origin <> 'pk' AND l.partial = 0 \
             AND NOT EXISTS (SELECT 1 FROM pragma_index_info(l.name) AS e WHERE e.name IS NULL) ORDER BY l.name, i.seqno",
            literal(&table.name)
        ),
        DialectKind::Postgres => format!(
            "SELECT i.indexrelid::text, a.attname::text, \
             CASE WHEN a.attname IS NULL THEN pg_catalog.pg_get_indexdef(i.indexrelid, k.n, true) END, \
             pg_catalog.pg_get_expr(i.indpred, i.indrelid), pg_catalog.to_jsonb(i) ->> 'indnullsnotdistinct' \
             FROM pg_catalog.pg_index AS i CROSS JOIN LATERAL pg_catalog.generate_series(1, i.indnkeyatts) AS k(n) \
             LEFT JOIN pg_catalog.pg_attribute AS a \
             ON a.attrelid = i.indrelid AND a.attnum = i.indkey[k.n - 1] AND a.attnum > 0 \
             WHERE i.indrelid = pg_catalog.to_regclass({}) AND i.indisunique AND NOT i.indisprimary ORDER BY i.indexrelid, k.n",
            literal(&dialect.quote_table(table))
        ),
        DialectKind::Mysql => format!(
            "SELECT s.INDEX_NAME, s.COLUMN_NAME, \
             COALESCE(CAST(s.SUB_PART AS CHAR), /*!80013 IF(s.COLUMN_NAME IS NULL, s.EXPRESSION, NULL), */ NULL), NULL, NULL \
             FROM information_schema.STATISTICS AS s WHERE s.TABLE_SCHEMA = {} AND s.TABLE_NAME = {} \
             AND s.NON_UNIQUE = 0 AND s.INDEX_NAME <> 'PRIMARY' ORDER BY s.INDEX_NAME, s.SEQ_IN_INDEX",
            table.schema.as_deref().map_or("DATABASE()".to_owned(), literal),
            literal(&table.name)
        ),
    }
}
