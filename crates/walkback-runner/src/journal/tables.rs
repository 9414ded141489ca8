//! The tables of the journal, as data.

use walkback_core::Dialect;
use walkback_core::dialect::ColumnType::{self, Integer, Key, Text};

pub(crate) const META: &str = "_walkback_meta";
pub(crate) const RUNS: &str = "_walkback_runs";
pub(crate) const STATEMENTS: &str = "_walkback_statements";
pub(crate) const MIGRATIONS: &str = "_walkback_migrations";
pub(crate) const POINTS: &str = "_walkback_points";
pub(crate) const AFTER: &str = "_walkback_after";
pub(crate) const UNDO: &str = "_walkback_undo";
pub(crate) const KEPT: &str = "_walkback_kept";
pub(crate) const CHANGES: &str = "_walkback_changes";
pub(crate) const RESCUES: &str = "_walkback_rescues";
pub(crate) const RETURNED: &str = "_walkback_returned";
pub(crate) const DEPRECATED: &str = "_walkback_deprecated";
pub(crate) const LOADS: &str = "_walkback_loads";
pub(crate) const LOAD_ROWS: &str = "_walkback_load_rows";
pub(crate) const HOOKS: &str = "_walkback_hooks";
pub(crate) const AUDIT: &str = "_walkback_audit";
pub(crate) const VERDICTS: &str = "_walkback_verdicts";

/// A table of the journal. Its first `key` columns are its primary key; all other columns may be `NULL`.
pub(crate) struct JournalTable {
    pub(crate) name: &'static str,
    columns: &'static [(&'static str, ColumnType)],
    key: usize,
}

/// All of them, in the order in which they are created. The last one says that the journal is there: where
/// definitions are final at once, a run may be killed between two of them.
pub(crate) const ALL: &[JournalTable] = &[
    JournalTable {
        name: RUNS,
        key: 1,
        columns: &[
            ("id", Key(64)),
            ("kind", Key(16)),
            ("status", Key(16)),
            ("environment", Key(64)),
            ("started_at", Key(40)),
            ("finished_at", Key(40)),
            ("actor", Text),
            ("from_heads", Text),
            ("to_heads", Text),
            ("ticket", Text),
            ("reason", Text),
            ("detail", Text),
            ("tool_version", Key(32)),
        ],
    },
    JournalTable {
        name: STATEMENTS,
        key: 2,
        columns: &[
            ("run_id", Key(64)),
            ("seq", Integer),
            ("migration", Key(255)),
            ("direction", Key(8)),
            ("place", Text),
            ("statement", Text),
            ("effect", Text),
            ("state", Key(16)),
            ("noted_at", Key(40)),
        ],
    },
    JournalTable {
        name: MIGRATIONS,
        key: 1,
        columns: &[
            ("id", Key(255)),
            ("slug", Text),
            ("parents", Text),
            ("up_hash", Key(64)),
            ("down_sql", Text),
            ("down_hash", Key(64)),
            ("down_transaction", Integer),
            ("derived_sql", Text),
            ("derived_loses", Text),
            ("verdict", Text),
            ("delta", Text),
            ("touched", Text),
            ("point", Key(200)),
            ("run_id", Key(64)),
            ("stored_at", Key(40)),
        ],
    },
    JournalTable {
        name: POINTS,
        key: 1,
        columns: &[
            ("id", Key(200)),
            ("run_id", Key(64)),
            ("kind", Key(16)),
            ("created_at", Key(40)),
            ("store", Text),
            ("manifest_hash", Text),
        ],
    },
    JournalTable {
        name: AFTER,
        key: 2,
        columns: &[
            ("migration", Key(255)),
            ("table_name", Key(255)),
            ("columns", Text),
            ("row_count", Integer),
            ("hash", Key(64)),
        ],
    },
    JournalTable {
        name: UNDO,
        key: 2,
        columns: &[
            ("run_id", Key(64)),
            ("seq", Integer),
            ("way", Text),
            ("why_none", Text),
            ("schema_before", Key(64)),
            ("with_outcome", Integer),
        ],
    },
    JournalTable {
        name: KEPT,
        key: 1,
        columns: &[
            ("name", Key(255)),
            ("schema_name", Key(255)),
            ("replaced", Text),
            ("run_id", Key(64)),
            ("row_count", Integer),
            ("kept_at", Key(40)),
            ("deadline", Key(40)),
        ],
    },
    JournalTable {
        name: CHANGES,
        key: 1,
        columns: &[("migration", Key(255)), ("point", Key(200))],
    },
    JournalTable {
        name: RESCUES,
        key: 2,
        columns: &[
            ("run_id", Key(64)),
            ("migration", Key(255)),
            ("changes", Key(200)),
            ("tables", Text),
            ("noted_at", Key(40)),
        ],
    },
    JournalTable {
        name: RETURNED,
        key: 3,
        columns: &[
            ("returned_by", Key(64)),
            ("run_id", Key(64)),
            ("migration", Key(255)),
            ("changes", Key(200)),
            ("tables", Text),
            ("noted_at", Key(40)),
        ],
    },
    JournalTable {
        name: DEPRECATED,
        key: 2,
        columns: &[
            ("run_id", Key(64)),
            ("seq", Integer),
            ("migration", Key(255)),
            ("schema_name", Key(255)),
            ("name", Key(255)),
            ("original_schema", Key(255)),
            ("original", Key(255)),
            ("noted_at", Key(40)),
            ("deadline", Key(40)),
            ("gone", Text),
        ],
    },
    JournalTable {
        name: LOADS,
        key: 1,
        columns: &[
            ("run_id", Key(64)),
            ("point", Key(200)),
            ("schema_name", Key(255)),
            ("table_name", Key(255)),
            ("columns", Text),
            ("options", Text),
            ("file_bytes", Integer),
            ("file_hash", Key(64)),
            ("state", Key(16)),
            ("batch", Integer),
            ("record_number", Integer),
            ("line_number", Integer),
            ("byte_offset", Integer),
            ("loaded", Integer),
            ("rejected", Integer),
            ("rejects_bytes", Integer),
            ("reasons", Text),
            ("noted_at", Key(40)),
        ],
    },
    JournalTable {
        name: LOAD_ROWS,
        key: 3,
        columns: &[
            ("run_id", Key(64)),
            ("batch", Integer),
            ("item", Integer),
            ("row_key", Text),
            ("row_hash", Key(64)),
        ],
    },
    JournalTable {
        name: HOOKS,
        key: 2,
        columns: &[
            ("run_id", Key(64)),
            ("seq", Integer),
            ("hook", Key(32)),
            ("command", Text),
            ("outcome", Key(16)),
            ("output", Text),
            ("began_at", Key(40)),
            ("ended_at", Key(40)),
        ],
    },
    JournalTable {
        name: AUDIT,
        key: 1,
        columns: &[
            ("seq", Integer),
            ("chain", Key(64)),
            ("noted_at", Key(40)),
            ("event", Key(16)),
            ("run_id", Key(64)),
            ("kind", Key(32)),
            ("outcome", Key(16)),
            ("user_name", Text),
            ("host_name", Text),
            ("process_id", Integer),
            ("environment", Text),
            ("database_name", Text),
            ("ticket", Text),
            ("reason", Text),
            ("from_heads", Text),
            ("to_heads", Text),
            ("lost", Text),
            ("detail", Text),
            ("approved", Text),
            ("previous_hash", Key(64)),
            ("entry_hash", Key(64)),
        ],
    },
    JournalTable {
        name: VERDICTS,
        key: 1,
        columns: &[
            ("migration", Key(255)),
            ("up_hash", Key(64)),
            ("down_hash", Key(64)),
            ("verdict", Text),
            ("passed", Integer),
            ("reason", Text),
            ("verified_at", Key(40)),
            ("tool_version", Key(32)),
        ],
    },
    JournalTable {
        name: META,
        key: 1,
        columns: &[("name", Key(64)), ("value", Text)],
    },
];

impl JournalTable {
    /// Returns the statement that creates it.
    pub(crate) fn create(&self, dialect: &dyn Dialect) -> String {
        let columns = self
            .columns
            .iter()
            .enumerate()
            .map(|(index, (name, column_type))| {
                let null = if index < self.key { " NOT NULL" } else { "" };
                format!("{name} {}{null}", dialect.column_type(*column_type))
            });
        let key: Vec<_> = self.columns[..self.key].iter().map(|(name, _)| *name).collect();
        format!(
            "CREATE TABLE {} ({}, PRIMARY KEY ({}))",
            self.name,
            columns.collect::<Vec<_>>().join(", "),
            key.join(", ")
        )
    }
}
