//! Capturing changed rows: triggers that fire once for each statement, and read the rows that it changed from its
//! transition tables into a temporary table. They are made and dropped inside the transaction.
//!
//! Two things are checked at the end. The counters of the statistics say how many rows of a table the transaction has
//! changed, whether a trigger fired or not. And the images of a row form a chain: each is what the one before it left. A
//! statement whose triggers did not fire in the order of its changes breaks it.

use async_trait::async_trait;
use walkback_core::capture::{Capture, Captured};
use walkback_core::catalog::Table;
use walkback_core::engine::SessionExt as _;
use walkback_core::{Cx, Error, ErrorKind, Result, Session, TableName};

use crate::dialect::{quoted, quoted_table, text_literal};
use crate::engine::PostgresEngine;

/// The schema that stands for the temporary tables of a session.
const TEMPORARY: &str = "pg_temp";

/// Numbers the statements whose rows are captured.
const NUMBERS: &str = "pg_temp._walkback_numbers";

/// What had been changed before the capture began.
const COUNTS: &str = "pg_temp._walkback_counts";

/// Says for the time of the transaction that rows went without a trigger for each.
const TRUNCATED: &str = "walkback.truncated";

/// The names of what serves one table.
struct Names {
    table: String,
    /// Its columns, as they are kept.
    columns: Vec<String>,
    key: Vec<String>,
    images: String,
    function: String,
    was: TableName,
    left: TableName,
}

impl Names {
    fn all(tables: &[Table]) -> Vec<Self> {
        let own =
            |kind: &str, number: usize| TableName::in_schema(TEMPORARY, format!("_walkback_{kind}_{number}"));
        let names = |(number, table): (usize, &Table)| Self {
            table: quoted_table(&table.name),
            columns: table
                .columns
                .iter()
                .filter(|column| !column.generated)
                .map(|column| quoted(&column.name))
                .collect(),
            key: table.primary_key.iter().map(|column| quoted(column)).collect(),
            images: quoted_table(&own("images", number)),
            function: quoted_table(&own("capture", number)),
            was: own("was", number),
            left: own("left", number),
        };
        tables.iter().enumerate().map(names).collect()
    }

    fn columns(&self, prefix: &str) -> String {
        let columns = self.columns.iter().map(|column| format!("{prefix}{column}"));
        columns.collect::<Vec<_>>().join(", ")
    }

    /// Returns what begins the capture.
    fn begin(&self) -> Vec<String> {
        let Self {
            table,
            images,
            function,
            ..
        } = self;
        let columns = self.columns("");
        let copy = |side: u8, rows: &str| {
            format!(
                "INSERT INTO {images} ({columns}, _walkback_number, _walkback_side) SELECT {}, _walkback_now, {side} \
                 FROM {rows} AS _walkback_row; ",
                self.columns("_walkback_row.")
            )
        };
        let (old, new) = (copy(0, "_walkback_old"), copy(1, "_walkback_new"));
        // An action of a foreign key runs as the owner of the table, who cannot write to what is temporary of ours.
        let body = format!(
            "DECLARE _walkback_now bigint := pg_catalog.nextval({number}::pg_catalog.regclass); BEGIN \
             IF TG_OP = 'TRUNCATE' THEN PERFORM pg_catalog.set_config({truncated}, 'true', true); END IF; \
             IF TG_OP IN ('UPDATE', 'DELETE') THEN {old}END IF; \
             IF TG_OP IN ('UPDATE', 'INSERT') THEN {new}END IF; RETURN NULL; END",
            number = text_literal(NUMBERS),
            truncated = text_literal(TRUNCATED),
        );
        let trigger = |operation: &str, rows: &str| {
            format!(
                "CREATE TRIGGER {} AFTER {operation} ON {table} {rows} FOR EACH STATEMENT EXECUTE FUNCTION {function}()",
                name_of_trigger(operation)
            )
        };
        vec![
            format!(
                "CREATE TEMPORARY TABLE {images} ON COMMIT DROP AS SELECT {columns}, 0::pg_catalog.int8 AS \
                 _walkback_number, 0::pg_catalog.int2 AS _walkback_side FROM {table} WITH NO DATA"
            ),
            format!(
                "CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS {}",
                text_literal(&body)
            ),
            trigger("INSERT", "REFERENCING NEW TABLE AS _walkback_new"),
            trigger(
                "UPDATE",
                "REFERENCING OLD TABLE AS _walkback_old NEW TABLE AS _walkback_new",
            ),
            trigger("DELETE", "REFERENCING OLD TABLE AS _walkback_old"),
            trigger("TRUNCATE", ""),
        ]
    }

    /// Returns what removes all but the rows.
    fn end(&self) -> Vec<String> {
        let triggers = ["INSERT", "UPDATE", "DELETE", "TRUNCATE"];
        let mut all: Vec<_> = triggers
            .iter()
            .map(|operation| format!("DROP TRIGGER {} ON {}", name_of_trigger(operation), self.table))
            .collect();
        all.push(format!("DROP FUNCTION {}()", self.function));
        all
    }

    /// Asks whether there are as many rows on each side as the server says were changed.
    fn is_complete(&self) -> String {
        format!(
            "SELECT (now.n_tup_upd + now.n_tup_del - earlier.n_tup_upd - earlier.n_tup_del = sides.old \
             AND now.n_tup_ins + now.n_tup_upd - earlier.n_tup_ins - earlier.n_tup_upd = sides.new)::pg_catalog.text \
             FROM pg_catalog.pg_stat_xact_user_tables AS now JOIN {COUNTS} AS earlier USING (relid), \
             (SELECT count(*) FILTER (WHERE _walkback_side = 0) AS old, \
             count(*) FILTER (WHERE _walkback_side = 1) AS new FROM {}) AS sides \
             WHERE now.relid = {}::pg_catalog.regclass",
            self.images,
            text_literal(&self.table)
        )
    }

    /// Asks whether some image of a row is not what the one before it left.
    fn is_broken(&self) -> String {
        let row = format!("ROW({})::pg_catalog.text", self.columns(""));
        format!(
            "SELECT EXISTS (SELECT 1 FROM (SELECT _walkback_side AS side, lag(_walkback_side) OVER chain AS side_before, \
             {row} AS image, lag({row}) OVER chain AS image_before FROM {} WINDOW chain AS (PARTITION BY {} \
             ORDER BY _walkback_number, _walkback_side)) AS links WHERE side = side_before \
             OR side < side_before AND image IS DISTINCT FROM image_before)::pg_catalog.text",
            self.images,
            self.key.join(", ")
        )
    }

    /// Returns what keeps the first image of each row if it was there before, or the last if it is there now.
    fn one_side(&self, to: &TableName, side: u8, is_plain: bool) -> String {
        let (columns, images, to) = (self.columns(""), &self.images, quoted_table(to));
        if is_plain {
            return format!(
                "CREATE TEMPORARY TABLE {to} ON COMMIT DROP AS SELECT {columns} FROM {images} \
                 WHERE _walkback_side = {side}"
            );
        }
        let direction = if side == 0 { "ASC" } else { "DESC" };
        let key = self.key.join(", ");
        format!(
            "CREATE TEMPORARY TABLE {to} ON COMMIT DROP AS SELECT {columns} FROM (SELECT DISTINCT ON ({key}) {columns}, \
             _walkback_side FROM {images} ORDER BY {key}, _walkback_number {direction}, _walkback_side {direction}) \
             AS ends WHERE _walkback_side = {side}"
        )
    }
}

/// Returns the name of a trigger: behind those that people give, since triggers fire in the order of their names.
fn name_of_trigger(operation: &str) -> String {
    quoted(&format!("~walkback_{}", operation.to_ascii_lowercase()))
}

fn incomplete(table: &Table, why: &str) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        format!("what changes in table `{}` cannot be captured: {why}", table.name),
    )
}

async fn is_true(cx: &Cx, session: &mut dyn Session, sql: &str) -> Result<bool> {
    let row = session.fetch_optional(cx, sql, &[]).await?;
    Ok(row.is_some_and(|row| row[0].as_str() == Some("true")))
}

#[async_trait]
impl Capture for PostgresEngine {
    async fn start(&self, cx: &Cx, session: &mut dyn Session, tables: &[Table]) -> Result<()> {
        let names = Names::all(tables);
        let relations = names
            .iter()
            .map(|names| format!("{}::pg_catalog.regclass", text_literal(&names.table)));
        let relations = relations.collect::<Vec<_>>().join(", ");
        let mut statements = vec![
            format!("DROP SEQUENCE IF EXISTS {NUMBERS}"),
            format!("CREATE TEMPORARY SEQUENCE {NUMBERS}"),
            format!(
                "CREATE TEMPORARY TABLE {COUNTS} ON COMMIT DROP AS SELECT relid, n_tup_ins, n_tup_upd, n_tup_del \
                 FROM pg_catalog.pg_stat_xact_user_tables WHERE relid IN ({relations})"
            ),
        ];
        statements.extend(names.iter().flat_map(Names::begin));
        for statement in statements {
            session.execute(cx, &statement, &[]).await?;
        }
        Ok(())
    }

    async fn finish(&self, cx: &Cx, session: &mut dyn Session, tables: &[Table]) -> Result<Vec<Captured>> {
        let counts = "SELECT pg_catalog.current_setting('track_counts')";
        let counts = session.fetch_optional(cx, counts, &[]).await?;
        let is_counted = counts.is_some_and(|row| row[0].as_str() == Some("on"));
        let truncated = format!(
            "SELECT (coalesce(pg_catalog.current_setting({}, true), '') = 'true')::pg_catalog.text",
            text_literal(TRUNCATED)
        );
        let truncated = is_true(cx, session, &truncated).await?;
        // With a check still to come a table cannot be altered; it comes now instead of with the commit.
        session.execute(cx, "SET CONSTRAINTS ALL IMMEDIATE", &[]).await?;
        let mut captured = Vec::new();
        for (names, table) in Names::all(tables).into_iter().zip(tables) {
            if truncated {
                return Err(incomplete(table, "a table was truncated"));
            }
            if !is_counted {
                return Err(incomplete(
                    table,
                    "the server does not count (`track_counts` is off)",
                ));
            }
            if !is_true(cx, session, &names.is_complete()).await? {
                return Err(incomplete(table, "rows were changed while no trigger fired"));
            }
            for statement in names.end() {
                session.execute(cx, &statement, &[]).await?;
            }
            let plain = format!(
                "SELECT (count(DISTINCT _walkback_number) <= 1)::pg_catalog.text FROM {}",
                names.images
            );
            let is_plain = is_true(cx, session, &plain).await?;
            if !is_plain && is_true(cx, session, &names.is_broken()).await? {
                return Err(incomplete(
                    table,
                    "one statement changed a row more than once, and not in the order in which triggers fired",
                ));
            }
            for (side, to) in [(0, &names.was), (1, &names.left)] {
                let sql = names.one_side(to, side, is_plain);
                session.execute(cx, &sql, &[]).await?;
            }
            captured.push(Captured::new(table.name.clone(), names.was, names.left));
        }
        session
            .execute(cx, &format!("DROP SEQUENCE {NUMBERS}"), &[])
            .await?;
        Ok(captured)
    }

    async fn abandon(&self, cx: &Cx, _: &mut dyn Session) -> Result<()> {
        // It went with the transaction.
        cx.check()
    }
}
