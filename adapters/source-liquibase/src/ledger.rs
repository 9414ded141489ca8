//! Liquibase's tables, as it makes them and writes into them.

use std::collections::BTreeMap;
use std::sync::Arc;

use walkback_core::dialect::ColumnType;
use walkback_core::ledger::{LedgerColumn, LedgerFormat, LedgerLock, LedgerValue, ToldRow};
use walkback_core::{DialectKind, MigrationId, TableName};

use crate::changelog::Changelog;
use crate::changeset::{CHECKSUM_VERSION, Changeset, shortened};
use crate::identity::identity;

/// The columns of `DATABASECHANGELOG`, in order, and what they hold.
const COLUMNS: [(&str, &str, LedgerValue); 14] = [
    ("ID", "id", LedgerValue::Id),
    ("AUTHOR", "author", LedgerValue::KeyPart),
    ("FILENAME", "filename", LedgerValue::KeyPart),
    ("DATEEXECUTED", "dateexecuted", LedgerValue::ServerClock),
    ("ORDEREXECUTED", "orderexecuted", LedgerValue::Next),
    ("EXECTYPE", "exectype", WAS_RUN),
    ("MD5SUM", "md5sum", LedgerValue::UpHash),
    ("DESCRIPTION", "description", LedgerValue::Told),
    ("COMMENTS", "comments", LedgerValue::Told),
    ("TAG", "tag", LedgerValue::Told),
    ("LIQUIBASE", "liquibase", LedgerValue::Writer),
    ("CONTEXTS", "contexts", LedgerValue::Told),
    ("LABELS", "labels", LedgerValue::Told),
    ("DEPLOYMENT_ID", "deployment_id", LedgerValue::Deployment),
];

/// `EXECTYPE`: run, or marked by a precondition.
const WAS_RUN: LedgerValue = LedgerValue::WasRun {
    yes: "EXECUTED",
    no: "MARK_RAN",
};

/// How many characters of a comment the ledger holds.
const LONGEST_COMMENT: usize = 250;

/// How many characters the other columns hold.
const LONGEST: usize = 255;

/// Returns the format of the ledger. PostgreSQL has its names in lower case, since Liquibase does not quote them.
pub(crate) fn format(dialect: DialectKind, changelog: Option<&Changelog>) -> LedgerFormat {
    let is_lower = dialect == DialectKind::Postgres;
    let columns = COLUMNS.map(|(upper, lower, value)| LedgerColumn {
        name: if is_lower { lower } else { upper },
        column_type: ColumnType::Text,
        value,
    });
    let name = |upper: &str| {
        TableName::new(if is_lower {
            upper.to_lowercase()
        } else {
            upper.to_owned()
        })
    };
    let told = changelog
        .map(|changelog| told(changelog, is_lower))
        .unwrap_or_default();
    let mut format = LedgerFormat::new("liquibase", name("DATABASECHANGELOG"), columns.into())
        .told_by(identity, Arc::new(told));
    format.create.insert(dialect, create(dialect));
    format.walks_back = Some("liquibase rollback-count 1");
    format.hash_prefix = Some(CHECKSUM_VERSION);
    let pick = |upper: &'static str, lower: &'static str| if is_lower { lower } else { upper };
    format.lock = Some(LedgerLock {
        table: name("DATABASECHANGELOGLOCK"),
        create: [(dialect, create_lock(dialect))].into(),
        id: pick("ID", "id"),
        locked: pick("LOCKED", "locked"),
        granted: pick("LOCKGRANTED", "lockgranted"),
        by: pick("LOCKEDBY", "lockedby"),
    });
    format
}

fn told(changelog: &Changelog, is_lower: bool) -> BTreeMap<MigrationId, ToldRow> {
    let row = |changeset: &Changeset| {
        let labels = changeset.labels.join(",");
        let values = [
            ("DESCRIPTION", "description", Some(changeset.description())),
            (
                "COMMENTS",
                "comments",
                Some(shortened(
                    changeset.comment.as_deref().unwrap_or_default(),
                    LONGEST_COMMENT,
                )),
            ),
            ("TAG", "tag", changeset.tag.clone()),
            (
                "CONTEXTS",
                "contexts",
                changeset.contexts.as_deref().map(|text| shortened(text, LONGEST)),
            ),
            (
                "LABELS",
                "labels",
                (!labels.is_empty()).then(|| shortened(&labels, LONGEST)),
            ),
        ];
        let values = values
            .into_iter()
            .filter_map(|(upper, lower, value)| Some((if is_lower { lower } else { upper }, value?)));
        ToldRow {
            key: changeset.key(),
            values: values.collect(),
            accepts: changeset.accepts.clone(),
            is_checked: changeset.checksum().is_some() && !accepts_any(changeset),
        }
    };
    let all = changelog.changesets.iter();
    all.map(|(id, changeset)| (id.clone(), row(changeset))).collect()
}

/// Returns whether its author takes every checksum for as good.
fn accepts_any(changeset: &Changeset) -> bool {
    let is_any = |sum: &String| matches!(sum.to_lowercase().as_str(), "any" | "*" | "1:any");
    changeset.accepts.iter().any(is_any)
}

/// Returns what Liquibase runs to make its table.
fn create(dialect: DialectKind) -> String {
    let (table, moment, integer, description) = match dialect {
        DialectKind::Postgres => (
            "databasechangelog",
            "TIMESTAMP WITHOUT TIME ZONE",
            "INTEGER",
            "DESCRIPTION",
        ),
        DialectKind::Mysql => ("DATABASECHANGELOG", "datetime", "INT", "`DESCRIPTION`"),
        DialectKind::Sqlite => ("DATABASECHANGELOG", "TEXT", "INTEGER", "DESCRIPTION"),
    };
    let sql = format!(
        "CREATE TABLE {table} (ID VARCHAR(255) NOT NULL, AUTHOR VARCHAR(255) NOT NULL, FILENAME VARCHAR(255) NOT NULL, \
         DATEEXECUTED {moment} NOT NULL, ORDEREXECUTED {integer} NOT NULL, EXECTYPE VARCHAR(10) NOT NULL, \
         MD5SUM VARCHAR(35){null}, {description} VARCHAR(255){null}, COMMENTS VARCHAR(255){null}, TAG VARCHAR(255){null}, \
         LIQUIBASE VARCHAR(20){null}, CONTEXTS VARCHAR(255){null}, LABELS VARCHAR(255){null}, DEPLOYMENT_ID VARCHAR(10){null})",
        null = if dialect == DialectKind::Mysql {
            " NULL"
        } else {
            ""
        },
    );
    in_case_of(dialect, sql)
}

/// Returns what Liquibase runs to make the table of its lock.
fn create_lock(dialect: DialectKind) -> String {
    let sql = match dialect {
        DialectKind::Postgres => {
            "CREATE TABLE databasechangeloglock (ID INTEGER NOT NULL, LOCKED BOOLEAN NOT NULL, \
             LOCKGRANTED TIMESTAMP WITHOUT TIME ZONE, LOCKEDBY VARCHAR(255), \
             CONSTRAINT databasechangeloglock_pkey PRIMARY KEY (ID))"
        }
        DialectKind::Mysql => {
            "CREATE TABLE DATABASECHANGELOGLOCK (ID INT NOT NULL, `LOCKED` TINYINT(1) NOT NULL, \
             LOCKGRANTED datetime NULL, LOCKEDBY VARCHAR(255) NULL, \
             CONSTRAINT PK_DATABASECHANGELOGLOCK PRIMARY KEY (ID))"
        }
        DialectKind::Sqlite => {
            "CREATE TABLE DATABASECHANGELOGLOCK (ID INTEGER NOT NULL, LOCKED BOOLEAN NOT NULL, LOCKGRANTED TEXT, \
             LOCKEDBY VARCHAR(255), CONSTRAINT PK_DATABASECHANGELOGLOCK PRIMARY KEY (ID))"
        }
    };
    in_case_of(dialect, sql.to_owned())
}

/// PostgreSQL folds what is not quoted; written so at once, the names stand in the text as they are in the catalog.
fn in_case_of(dialect: DialectKind, sql: String) -> String {
    match dialect {
        DialectKind::Postgres => sql.to_lowercase(),
        DialectKind::Mysql | DialectKind::Sqlite => sql,
    }
}
