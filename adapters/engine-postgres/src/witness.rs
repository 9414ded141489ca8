//! Keeping what another tool's transaction changes: its tables are locked first, and those that the counters of the
//! transaction or the rows of the catalogs say it has changed are copied last.

use std::collections::BTreeSet;
use std::time::Duration;

use walkback_core::TableName;
use walkback_core::witness::{COPY, WHOLE, WITNESSED, Witness};

use crate::dialect::{quoted, quoted_table, text_literal};
use crate::engine::PostgresEngine;

/// What the tables and columns were called first. It ends with the transaction, and so tells whether it is the same.
const NAMES: &str = "pg_temp._walkback_names";

impl Witness for PostgresEngine {
    fn first(&self, tables: &[TableName], patience: Duration) -> Vec<String> {
        // In one order everywhere, so that two who hold tables do not wait for each other.
        let names: BTreeSet<String> = tables.iter().map(quoted_table).collect();
        let names: Vec<String> = names.into_iter().collect();
        let lock = match names.is_empty() {
            true => String::new(),
            false => format!("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE;", names.join(", ")),
        };
        vec![
            // While the point is looked at, the transaction is idle.
            "SET LOCAL idle_in_transaction_session_timeout = 0".to_owned(),
            FIRST
                .replace("{lock}", &lock)
                .replace("{patience}", &patience.as_millis().max(1).to_string()),
        ]
    }

    fn last(&self, home: Option<&str>) -> Vec<String> {
        vec![
            LAST.replace("{list}", &own(home, WITNESSED))
                .replace("{names}", NAMES)
                .replace("{schema}", &text_literal(home.unwrap_or_default()))
                .replace("{copy}", &text_literal(COPY))
                .replace("{whole}", &WHOLE.to_string()),
        ]
    }

    fn forget(&self, home: Option<&str>, copies: &[i64]) -> Vec<String> {
        let copies = copies.iter().map(|number| format!("{COPY}{number}"));
        let names = copies.chain([WITNESSED.to_owned()]);
        names
            .map(|name| format!("DROP TABLE IF EXISTS {}", own(home, &name)))
            .collect()
    }
}

/// Locks the tables, and notes what they and their columns are called.
///
/// The number of the transaction is that of its outermost part, and so lower than all that come in it. Whoever may not lock, or
/// may make no temporary tables, is not witnessed, and migrates as before.
const FIRST: &str = "DO $walkback$ \
    DECLARE usual text := current_setting('lock_timeout'); \
    BEGIN \
        PERFORM set_config('lock_timeout', '{patience}', true); \
        {lock} \
        PERFORM set_config('lock_timeout', usual, true); \
        CREATE TEMP TABLE _walkback_names ON COMMIT DROP AS \
        SELECT c.oid, n.nspname, c.relname, a.attnum, a.attname, txid_current() % 4294967296 AS number \
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
        JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
        WHERE c.relkind IN ('r', 'p', 'm') AND c.relpersistence <> 't'; \
    EXCEPTION WHEN insufficient_privilege THEN NULL; \
    END $walkback$";

/// Returns the quoted name of a table of ours.
fn own(home: Option<&str>, name: &str) -> String {
    match home {
        Some(home) => format!("{}.{}", quoted(home), quoted(name)),
        None => quoted(name),
    }
}

/// Lists and copies what the transaction has changed. A row of a catalog is its own if it was written by no earlier
/// transaction: nobody else can change the definition of a table that is locked.
///
/// The list and the copies are not logged: after a crash of the server they are empty, and say nothing.
const LAST: &str = r"DO $walkback$
DECLARE
    one record;
    mine bigint;
    counted integer := 0;
    home text := coalesce(nullif({schema}, ''), current_schema());
BEGIN
    IF to_regclass('{names}') IS NULL THEN
        RETURN;
    END IF;
    SELECT number INTO mine FROM {names} LIMIT 1;
    IF mine IS NULL THEN
        mine := txid_current() % 4294967296;
    END IF;
    PERFORM set_config('row_security', 'off', true);
    DROP TABLE IF EXISTS {list};
    CREATE UNLOGGED TABLE {list} (number integer, schema_name text, table_name text, why text);
    IF current_setting('track_counts') <> 'on' THEN
        INSERT INTO {list} VALUES (-1, NULL, NULL, 'the server counts no changes (`track_counts`)');
        RETURN;
    END IF;
    FOR one IN
        SELECT c.oid, n.nspname, c.relname, c.relkind,
            c.relkind = 'p' OR EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE c.oid IN (i.inhrelid, i.inhparent)) AS divided,
            EXISTS (SELECT FROM {names} o
                LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = o.oid AND a.attnum = o.attnum AND NOT a.attisdropped
                WHERE o.oid = c.oid AND (o.nspname <> n.nspname OR o.relname <> c.relname OR o.attname <> a.attname)) AS renamed
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'm') AND c.relpersistence <> 't'
            AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_'
            AND c.relname !~ '^_walkback'
            AND (
                pg_stat_get_xact_tuples_inserted(c.oid) + pg_stat_get_xact_tuples_updated(c.oid)
                    + pg_stat_get_xact_tuples_deleted(c.oid) > 0
                OR EXISTS (
                    SELECT FROM (
                        SELECT c.xmin
                        UNION ALL SELECT a.xmin FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid
                        UNION ALL SELECT d.xmin FROM pg_catalog.pg_attrdef d WHERE d.adrelid = c.oid
                        UNION ALL SELECT k.xmin FROM pg_catalog.pg_constraint k WHERE k.conrelid = c.oid
                        UNION ALL SELECT i.xmin FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid
                        UNION ALL SELECT t.xmin FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid
                    ) AS rows (by)
                    WHERE rows.by::text::bigint > 2
                        AND (rows.by::text::bigint - mine + 4294967296) % 4294967296 < 2147483648
                )
            )
        ORDER BY n.nspname, c.relname
    LOOP
        counted := counted + 1;
        INSERT INTO {list} VALUES (counted, one.nspname, one.relname, CASE
            WHEN one.relkind = 'm' THEN 'it is filled by a query'
            WHEN one.divided THEN 'it is one of several that are read as one'
            WHEN one.renamed THEN 'it or a column of it has got another name'
        END);
        IF one.relkind = 'r' AND NOT one.divided AND NOT one.renamed THEN
            BEGIN
                EXECUTE format('DROP TABLE IF EXISTS %I.%I', home, {copy} || counted);
                EXECUTE format('CREATE UNLOGGED TABLE %I.%I AS TABLE %I.%I', home, {copy} || counted, one.nspname, one.relname);
            EXCEPTION WHEN insufficient_privilege THEN
                UPDATE {list} SET why = 'its rows may not be read' WHERE number = counted;
            END;
        END IF;
    END LOOP;
    INSERT INTO {list} VALUES ({whole}, NULL, NULL, NULL);
END
$walkback$";
