use walkback_core::migration::SqlScript;
use walkback_core::{DialectKind, Direction, Migration};
use walkback_sql::Sql;

use super::Level;
use super::allow::Allowed;
use super::rules;
use super::subject::Subject;
use crate::plan::{ReadScript, ScriptOrigin};

/// A migration to be looked at.
struct Case {
    kind: DialectKind,
    migration: Migration,
    up: SqlScript,
    down: Option<SqlScript>,
    has_expanded: bool,
}

impl Case {
    fn new(kind: DialectKind, up: &str, down: &str) -> Self {
        Self {
            kind,
            migration: Migration::new("1", "a", "up.sql"),
            up: SqlScript::new(up, "up.sql"),
            down: (!down.is_empty()).then(|| SqlScript::new(down, "down.sql")),
            has_expanded: false,
        }
    }

    fn loose(mut self) -> Self {
        self.up.transaction = false;
        self
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Returns what is found: `empty-down down.sql:1 error`.
    fn found(&self) -> Vec<String> {
        let dialect = Sql(self.kind);
        let read = |sql: &SqlScript| ReadScript::read_sql(sql, &dialect, ScriptOrigin::File).unwrap();
        let (up, down) = (read(&self.up), self.down.as_ref().map(read));
        let subject = Subject {
            migration: &self.migration,
            dialect: &dialect,
            up: &up,
            has_expanded: self.has_expanded,
            down: down.as_ref(),
            down_at: self.down.as_ref().map(|sql| &sql.location),
        };
        let found = rules::check(&subject);
        for finding in &found {
            assert!(
                !finding.message.is_empty() && !finding.advice.is_empty(),
                "{finding:?}"
            );
            assert!(
                !finding.message.contains("  ") && !finding.advice.contains("  "),
                "{finding:?}"
            );
        }
        found
            .iter()
            .map(|found| format!("{} {} {}", found.rule, found.at, found.level.word()))
            .collect()
    }
}

fn found(kind: DialectKind, up: &str, down: &str) -> Vec<String> {
    Case::new(kind, up, down).found()
}

const ALL: [DialectKind; 3] = DialectKind::ALL;

#[test]
fn a_down_that_does_nothing_is_empty_unless_the_up_does_nothing_too() {
    for kind in ALL {
        let empty = ["empty-down down.sql:2 error"];
        assert_eq!(
            found(kind, "CREATE TABLE t (a INT);", "-- nothing\nSELECT 1;"),
            empty
        );
        assert!(found(kind, "CREATE TABLE t (a INT);", "DROP TABLE t;").is_empty());
        assert!(found(kind, "SELECT 1;", "SELECT 1;").is_empty());
        // A source may hand out a script that holds comments only, and such a one is run.
        let comment = found(kind, "CREATE TABLE t (a INT);", "-- to do\n");
        assert_eq!(comment, ["empty-down down.sql:1 error"]);
        let meant = |case: &mut Case| case.migration.irreversible = Some("why".to_owned());
        let case = Case::new(kind, "CREATE TABLE t (a INT);", "SELECT 1;").with(meant);
        assert!(case.found().is_empty());
    }
}

#[test]
fn a_file_without_a_statement_is_empty_only_where_no_down_can_be_derived() {
    let has_file = |case: &mut Case| case.migration.empty_down = Some("down.sql".into());
    for kind in ALL {
        assert!(
            Case::new(kind, "CREATE TABLE t (a INT);", "")
                .with(has_file)
                .found()
                .is_empty()
        );
        let rows = Case::new(kind, "INSERT INTO t VALUES (1);", "")
            .with(has_file)
            .found();
        assert_eq!(rows, ["empty-down down.sql:1 error"]);
    }
}

#[test]
fn a_migration_without_a_down_is_irreversible_only_if_none_can_be_derived() {
    for kind in ALL {
        for up in [
            "CREATE TABLE t (a INT); CREATE INDEX i ON t (a); CREATE VIEW v AS SELECT a FROM t;",
            "ALTER TABLE t ADD COLUMN b INT;",
            "ALTER TABLE t RENAME TO u;",
            "SELECT 1;",
            "CREATE TABLE t (a INT);\nINSERT INTO t VALUES (1);",
        ] {
            let clean = found(kind, up, "");
            assert!(
                !clean.iter().any(|found| found.contains("irreversible")),
                "{up}: {clean:?}"
            );
        }
        for up in [
            "CREATE TABLE t (a INT);\nINSERT INTO u VALUES (1);",
            "SELECT 1;\nUPDATE t SET a = 1 WHERE a = 2;",
        ] {
            assert!(
                found(kind, up, "").contains(&"irreversible up.sql:2 error".to_owned()),
                "{up}"
            );
            let meant = |case: &mut Case| case.migration.irreversible = Some("why".to_owned());
            assert!(
                !Case::new(kind, up, "")
                    .with(meant)
                    .found()
                    .iter()
                    .any(|f| f.contains("irrev"))
            );
        }
    }
    let unnamed = "ALTER TABLE t ADD CHECK (a > 0) NOT VALID;";
    assert_eq!(
        found(DialectKind::Postgres, unnamed, ""),
        ["irreversible up.sql:1 error"]
    );
    let block = "DO $$ BEGIN PERFORM 1; END $$;";
    assert!(found(DialectKind::Postgres, block, "").contains(&"irreversible up.sql:1 error".to_owned()));
    assert!(found(DialectKind::Mysql, "CALL p();", "").contains(&"irreversible up.sql:1 error".to_owned()));
}

#[test]
fn a_down_that_brings_back_a_column_or_a_table_without_its_data_loses_it() {
    let column = "ALTER TABLE t DROP COLUMN a;";
    let table = "DROP TABLE t;";
    for kind in ALL {
        for (up, down, expected) in [
            (
                column,
                "SELECT 2;\nALTER TABLE T ADD COLUMN A INT;",
                "down.sql:2 error",
            ),
            (column, "ALTER TABLE t ADD COLUMN b INT;", "up.sql:1 error"),
            (table, "CREATE TABLE t (a INT);", "down.sql:1 error"),
            (table, "CREATE TABLE u (a INT);", "up.sql:1 error"),
            (
                "DELETE FROM t WHERE a = 1;",
                "DROP TABLE IF EXISTS u;",
                "up.sql:1 warning",
            ),
            (
                "UPDATE t SET a = 2 WHERE a = 1;",
                "DROP TABLE IF EXISTS u;",
                "up.sql:1 warning",
            ),
            (column, "", "up.sql:1 warning"),
            (table, "", "up.sql:1 warning"),
        ] {
            assert_eq!(
                found(kind, up, down),
                [format!("down-loses-data {expected}")],
                "{kind}: {up} {down}"
            );
        }
        let unprotected = |case: &mut Case| case.up.protect = Some("off".to_owned());
        let found = Case::new(kind, table, "").with(unprotected).found();
        assert_eq!(found, ["down-loses-data up.sql:1 error"]);
    }
}

#[test]
fn a_down_that_fills_what_it_brings_back_loses_nothing_that_can_be_seen() {
    let column = "ALTER TABLE t DROP COLUMN a;";
    let table = "DROP TABLE t;";
    for kind in ALL {
        for (up, down) in [
            (
                column,
                "ALTER TABLE t ADD COLUMN a INT; UPDATE t SET a = (SELECT a FROM kept WHERE kept.id = t.id) WHERE 1 = 1;",
            ),
            (
                column,
                "CREATE TABLE n (a INT); INSERT INTO n SELECT 1; DROP TABLE t; ALTER TABLE n RENAME TO t;",
            ),
            (column, "ALTER TABLE t RENAME COLUMN kept TO a;"),
            (table, "CREATE TABLE t (a INT); INSERT INTO t SELECT a FROM kept;"),
            (table, "CREATE TABLE t AS SELECT a FROM kept;"),
            (table, "ALTER TABLE kept RENAME TO t;"),
            (
                "CREATE TABLE n (a INT); INSERT INTO n SELECT a FROM t; DROP TABLE t; ALTER TABLE n RENAME TO t;",
                "DROP TABLE IF EXISTS x;",
            ),
            (
                "CREATE TABLE t (a INT); INSERT INTO t VALUES (1); UPDATE t SET a = 2 WHERE a = 1; DELETE FROM t WHERE a = 2;",
                "DROP TABLE t;",
            ),
            ("DROP TABLE IF EXISTS t; CREATE TABLE t (a INT);", "DROP TABLE t;"),
            (
                "ALTER TABLE t ADD COLUMN b INT; UPDATE t SET b = a WHERE b IS NULL;",
                "ALTER TABLE t DROP COLUMN b;",
            ),
            ("DELETE FROM t WHERE a = 1;", "INSERT INTO t SELECT a FROM kept;"),
        ] {
            let found = found(kind, up, down);
            let loses: Vec<_> = found.iter().filter(|found| found.contains("loses")).collect();
            assert!(loses.is_empty(), "{kind}: {up} {down}: {loses:?}");
        }
    }
    let block = "DO $$ BEGIN PERFORM put_back(); END $$;";
    assert_eq!(
        found(DialectKind::Postgres, column, block),
        ["unknown-statement down.sql:1 warning"]
    );
}

#[test]
fn a_lock_is_named_in_both_directions_and_not_on_a_table_of_the_script_itself() {
    let up = "CREATE INDEX i ON t (a);";
    let down = "ALTER TABLE t ALTER COLUMN a SET NOT NULL;\nDROP INDEX i;";
    assert_eq!(
        found(DialectKind::Postgres, up, down),
        ["locks-table up.sql:1 warning", "locks-table down.sql:1 warning"]
    );
    let own =
        "CREATE TABLE t (a int); CREATE INDEX i ON t (a); ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0);";
    assert!(found(DialectKind::Postgres, own, "DROP TABLE t;").is_empty());
    assert_eq!(
        found(
            DialectKind::Mysql,
            "ALTER TABLE t MODIFY a BIGINT;",
            "ALTER TABLE t MODIFY a INT, ALGORITHM=INPLACE;"
        ),
        ["locks-table up.sql:1 warning"]
    );
    assert!(found(DialectKind::Sqlite, up, "DROP INDEX i;").is_empty());
}

#[test]
fn outside_a_transaction_what_another_statement_follows_stands_being_done_again() {
    let again = |kind, up: &str| -> Vec<String> {
        let found = Case::new(kind, up, "DROP TABLE IF EXISTS x;").loose().found();
        let rerun = found.iter().filter(|found| found.contains("not-rerunnable"));
        rerun.cloned().collect()
    };
    let first = ["not-rerunnable up.sql:1 warning"];
    for kind in ALL {
        for up in [
            "CREATE TABLE a (i INT);\nSELECT 1;",
            "DROP TABLE a;\nSELECT 1;",
            "ALTER TABLE a RENAME TO b;\nSELECT 1;",
            "ALTER TABLE a ADD COLUMN b INT;\nSELECT 1;",
            "INSERT INTO a VALUES (1);\nSELECT 1;",
        ] {
            assert_eq!(again(kind, up), first, "{kind}: {up}");
        }
        for up in [
            "CREATE TABLE a (i INT);",
            "CREATE TABLE IF NOT EXISTS a (i INT); SELECT 1;",
            "DROP TABLE IF EXISTS a; CREATE TABLE a (i INT); SELECT 1;",
            "INSERT INTO a SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM a); SELECT 1;",
            "UPDATE a SET i = 1 WHERE i = 2; SELECT 1;",
        ] {
            assert!(again(kind, up).is_empty(), "{kind}: {up}");
        }
    }
    let postgres = |up| again(DialectKind::Postgres, up);
    assert_eq!(
        postgres("ALTER TABLE IF EXISTS a DROP COLUMN b; SELECT 1;"),
        first
    );
    assert_eq!(
        postgres("ALTER TABLE a ADD COLUMN IF NOT EXISTS b int, DROP COLUMN c; SELECT 1;"),
        first
    );
    assert!(
        postgres("ALTER TABLE a ADD COLUMN IF NOT EXISTS b int, DROP COLUMN IF EXISTS c; SELECT 1;")
            .is_empty()
    );
    assert!(postgres("ALTER TABLE IF EXISTS a RENAME TO b; SELECT 1;").is_empty());
    assert!(postgres("CREATE OR REPLACE VIEW v AS SELECT 1; SELECT 1;").is_empty());
}

#[test]
fn mysql_commits_around_definitions_and_postgresql_runs_some_statements_alone() {
    let two = "CREATE TABLE a (i INT);\nCREATE TABLE b (i INT);";
    let down = "DROP TABLE IF EXISTS b;\nDROP TABLE IF EXISTS a;";
    assert_eq!(
        found(DialectKind::Mysql, two, down),
        ["not-rerunnable up.sql:1 warning"]
    );
    for kind in [DialectKind::Postgres, DialectKind::Sqlite] {
        assert!(found(kind, two, down).is_empty(), "{kind}");
    }
    let rows = "INSERT INTO a VALUES (1);\nINSERT INTO a VALUES (2);";
    assert!(found(DialectKind::Mysql, rows, "DELETE FROM a WHERE i < 3;").is_empty());
    let index = "CREATE INDEX CONCURRENTLY i ON t (a);\nCREATE INDEX CONCURRENTLY j ON t (b);";
    assert_eq!(
        found(DialectKind::Postgres, index, "DROP INDEX i, j;"),
        ["not-rerunnable up.sql:1 warning"]
    );
}

#[test]
fn what_cannot_be_read_is_unknown_until_its_author_says_what_it_touches() {
    let down = "UPDATE t SET a = 1 WHERE a = 2;";
    for (kind, sql) in [
        (DialectKind::Postgres, "DO $$ BEGIN PERFORM f(); END $$;"),
        (DialectKind::Mysql, "CALL p();"),
        (DialectKind::Sqlite, "SELECT load_extension('x');"),
    ] {
        let unknown = "unknown-statement up.sql:1 warning".to_owned();
        assert!(found(kind, sql, down).contains(&unknown), "{kind}");
        let touches = format!("-- walkback: touches t\n{sql}");
        assert!(
            !found(kind, &touches, down)
                .iter()
                .any(|found| found.contains("unknown")),
            "{kind}"
        );
    }
}

#[test]
fn an_allow_speaks_of_its_script_or_of_the_statement_behind_it() {
    let text = "-- walkback: allow=locks-table\n\nCREATE INDEX i ON t (a);\n-- walkback: allow=not-rerunnable,down-loses-data\n\
                -- why it is meant\nDROP TABLE a;\nDROP TABLE b;\n-- walkback: allow=no-such\n";
    let mut script = SqlScript::new(text, "up.sql");
    // A section of a file that begins further down.
    script.location.line = 11;
    let allowed = Allowed::read(&script, &Sql(DialectKind::Postgres), Direction::Up);
    let finding = |rule, line| {
        let at = walkback_core::statement::Location {
            file: "up.sql".into(),
            line,
        };
        super::subject::finding(rule, Level::Warning, Direction::Up, &at, "", "")
    };
    use super::Rule::{DownLosesData, LocksTable, NotRerunnable};
    assert!(allowed.covers(&finding(LocksTable, 13)) && allowed.covers(&finding(LocksTable, 17)));
    assert!(allowed.covers(&finding(NotRerunnable, 16)) && allowed.covers(&finding(DownLosesData, 16)));
    assert!(!allowed.covers(&finding(NotRerunnable, 17)) && !allowed.covers(&finding(NotRerunnable, 13)));
    let useless: Vec<_> = allowed.useless.iter().map(|found| found.at.line).collect();
    assert_eq!(useless, [18]);
    let wrong = SqlScript::new("-- walkback: allow=lock-table\nSELECT 1;", "up.sql");
    let wrong = Allowed::read(&wrong, &Sql(DialectKind::Postgres), Direction::Up);
    assert!(
        wrong.useless[0].message.contains("lock-table"),
        "{:?}",
        wrong.useless
    );
}

#[test]
fn what_expands_takes_nothing_away_from_old_code() {
    let expands = |case: &mut Case| case.migration.phase = Some(walkback_core::Phase::Expand);
    let narrow = |kind, up: &str| {
        let found = Case::new(kind, up, "SELECT 1;").with(expands).found();
        let mut found = found.into_iter();
        found.find(|found| found.starts_with("expand-narrows"))
    };
    let error = Some("expand-narrows up.sql:1 error".to_owned());
    for kind in ALL {
        for sql in [
            "DROP TABLE t;",
            "ALTER TABLE t DROP COLUMN a;",
            "ALTER TABLE t RENAME COLUMN a TO b;",
            "ALTER TABLE t RENAME TO u;",
            "DELETE FROM t;",
            "DROP VIEW v;",
            "ALTER TABLE t ADD COLUMN a INTEGER NOT NULL;",
        ] {
            assert_eq!(narrow(kind, sql), error, "{kind} {sql}");
        }
        for sql in [
            "ALTER TABLE t ADD COLUMN a INTEGER NOT NULL DEFAULT 1;",
            "ALTER TABLE t ADD COLUMN a INTEGER;",
            "CREATE INDEX i ON t (a);",
            "UPDATE t SET a = 1;",
            "CREATE TABLE n (a INTEGER); ALTER TABLE n ADD COLUMN b INTEGER NOT NULL; DROP TABLE n;",
            "DROP VIEW v; CREATE VIEW v AS SELECT a, b FROM t;",
            "CREATE VIEW w AS SELECT a FROM t; DROP VIEW w;",
        ] {
            assert_eq!(narrow(kind, sql), None, "{kind} {sql}");
        }
        // Without the mark it is nobody's business.
        let plain = Case::new(kind, "DROP TABLE t;", "SELECT 1;").found();
        assert!(
            plain.iter().all(|found| !found.starts_with("expand")),
            "{plain:?}"
        );
    }
    let postgres = |sql| narrow(DialectKind::Postgres, sql);
    assert_eq!(postgres("ALTER TABLE t ALTER COLUMN a SET NOT NULL;"), error);
    let warning = Some("expand-narrows up.sql:1 warning".to_owned());
    assert_eq!(postgres("ALTER TABLE t ALTER COLUMN a TYPE smallint;"), warning);
    assert_eq!(postgres("ALTER TABLE t ALTER COLUMN a DROP NOT NULL;"), None);
    assert_eq!(
        narrow(DialectKind::Mysql, "ALTER TABLE t MODIFY a SMALLINT;"),
        warning
    );
    assert_eq!(narrow(DialectKind::Mysql, "ALTER TABLE t CHANGE a b INT;"), error);
}

#[test]
fn what_contracts_has_something_before_it_that_expands() {
    let contracts = |case: &mut Case| case.migration.phase = Some(walkback_core::Phase::Contract);
    for kind in ALL {
        let case = Case::new(kind, "DROP TABLE t;", "SELECT 1;").with(contracts);
        assert!(
            case.found()
                .contains(&"contract-alone up.sql:1 warning".to_owned())
        );
        let case = case.with(|case| case.has_expanded = true);
        assert!(case.found().iter().all(|found| !found.starts_with("contract")));
    }
}
