//! Diesel's own ledger.

use walkback_core::TableName;
use walkback_core::dialect::ColumnType;
use walkback_core::ledger::{LedgerColumn, LedgerFormat, LedgerValue};

/// How many characters of a version the ledger holds.
pub(crate) const LONGEST_VERSION: usize = 50;

/// Word for word and blank for blank what diesel runs on every engine: SQLite keeps the text of a definition,
/// and a schema that was made here should not differ from one made there.
const CREATE: &str = "CREATE TABLE IF NOT EXISTS __diesel_schema_migrations (
       version VARCHAR(50) PRIMARY KEY NOT NULL,
       run_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
)";

/// Returns the format of `__diesel_schema_migrations`.
pub(crate) fn format() -> LedgerFormat {
    LedgerFormat::new(
        "diesel",
        TableName::new("__diesel_schema_migrations"),
        vec![
            LedgerColumn {
                name: "version",
                column_type: ColumnType::Key(50),
                value: LedgerValue::Id,
            },
            LedgerColumn {
                name: "run_on",
                column_type: ColumnType::Text,
                value: LedgerValue::ServerDefault,
            },
        ],
    )
    .created_by(|_| CREATE.to_owned())
}
