use walkback_core::catalog::{Schema, Table};
use walkback_core::migration::SqlScript;
use walkback_core::{DialectKind, Migration, TableName};
use walkback_sql::Sql;

use super::catalog::{CatalogOrigin, Definitions};
use super::{step, text};
use crate::plan::{ReadScript, ScriptOrigin};

/// Returns the way down of a script, given what is known of the time before it.
fn derived(kind: DialectKind, up: &str, known: &Definitions) -> String {
    let dialect = Sql(kind);
    let up = ReadScript::read_sql(&SqlScript::new(up, "a/up.sql"), &dialect, ScriptOrigin::File).unwrap();
    let mut steps = step::derive(&dialect, &up, known);
    steps.reverse();
    let text = text(&Migration::new("1", "a", "a/up.sql"), &steps);
    let (_, body) = text.split_once("\n\n").unwrap_or_default();
    body.to_owned()
}

fn unknown() -> Definitions {
    Definitions::unknown(CatalogOrigin::Unknown, "nobody\nanswers")
}

#[test]
fn statements_are_taken_back_newest_first_each_with_its_place() {
    for kind in DialectKind::ALL {
        let up = "CREATE TABLE t (a INT);\nSELECT 1;\nALTER TABLE u ADD COLUMN b INT;";
        let down = derived(kind, up, &unknown());
        let quote = if kind == DialectKind::Mysql { '`' } else { '"' };
        let plain = down.replace(quote, "");
        assert_eq!(
            plain,
            "-- Takes back up.sql:3.\nALTER TABLE u DROP COLUMN b;\n\n-- Takes back up.sql:1.\nDROP TABLE t;\n",
            "{kind}"
        );
    }
}

#[test]
fn what_has_no_inverse_is_a_comment_of_one_line() {
    for kind in DialectKind::ALL {
        let down = derived(
            kind,
            "ALTER TABLE u ADD COLUMN b INT;\nUPDATE u SET b = 1;",
            &unknown(),
        );
        let first = down.lines().next().unwrap_or_default();
        assert!(
            first.starts_with("-- cannot be derived: it updates `u`"),
            "{down}"
        );
        assert!(first.ends_with("(up.sql:2)"), "{down}");
        assert!(down.contains("DROP COLUMN"), "{down}");
    }
}

#[test]
fn without_a_catalog_nothing_is_said_of_what_was_there_before() {
    for kind in DialectKind::ALL {
        for up in [
            "DROP TABLE IF EXISTS t;",
            "ALTER TABLE t DROP COLUMN a;",
            "DROP VIEW v;",
            "CREATE TABLE IF NOT EXISTS t (a INT);",
        ] {
            let down = derived(kind, up, &unknown());
            assert!(
                down.starts_with("-- cannot be derived: it "),
                "{kind}: {up}: {down}"
            );
            assert!(
                down.contains("is not known: nobody answers (up.sql:1)"),
                "{kind}: {up}: {down}"
            );
        }
    }
}

#[test]
fn rows_of_a_new_table_go_with_it() {
    for kind in DialectKind::ALL {
        let up = "CREATE TABLE t (a INT);\nINSERT INTO t VALUES (1);\nINSERT INTO other VALUES (1);";
        let down = derived(kind, up, &unknown());
        assert!(
            down.contains("-- Takes back up.sql:2.\n-- Its rows go with the table, which is new.\n"),
            "{down}"
        );
        assert!(
            down.contains("-- cannot be derived: it inserts into `other`"),
            "{down}"
        );
    }
}

#[test]
fn what_a_definition_does_not_bring_back_is_said() {
    let mut schema = Schema::default();
    schema.tables.push(Table {
        name: TableName::new("t"),
        columns: Vec::new(),
        primary_key: Vec::new(),
        foreign_keys: Vec::new(),
        parents: Vec::new(),
        definition: "CREATE TABLE t (a INT)".to_owned(),
        facts: std::collections::BTreeMap::new(),
    });
    let known = Definitions::of(CatalogOrigin::Database, vec![schema]);
    for kind in DialectKind::ALL {
        let down = derived(kind, "DROP TABLE t;", &known);
        assert_eq!(
            down,
            "-- Takes back up.sql:1.\n-- Does not bring back the rows of table `t`.\nCREATE TABLE t (a INT);\n"
        );
    }
}
