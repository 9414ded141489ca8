//! Tables that a migration drops are moved aside under `protect = "soft-delete"`, and come back with everything.

mod backup_kills;
mod backup_rows;
mod backup_table;
mod collisions;
mod kills;
mod plans;
mod postgres;
mod purges;
mod refusals;

use std::process::ExitCode;

use walkback_tests::{Backend, Contents, MYSQL, ONE_OF_EACH, Output, Sandbox, journeys};

use backup_kills::*;
use backup_rows::*;
use backup_table::*;
use collisions::*;
use kills::*;
use plans::*;
use postgres::*;
use purges::*;
use refusals::*;

fn main() -> ExitCode {
    walkback_tests::main(
        "protect",
        &journeys! {
            ONE_OF_EACH => [
                a_dropped_table_comes_back_with_everything,
                numbering_goes_on_where_it_stood,
                two_tables_of_one_statement_that_refer_to_each_other_come_back,
                names_that_need_quotes_and_names_of_full_length_come_back,
                a_table_that_is_made_anew_by_the_same_migration_goes_when_the_old_one_comes_back,
                a_table_of_people_that_is_called_like_one_moved_aside_is_left_alone,
                keys_that_the_server_has_named_come_back,
                the_same_migration_can_go_up_and_back_again_and_again,
                what_was_moved_aside_holds_back_nothing_and_belongs_to_nobody,
                an_authors_down_that_loses_rows_is_not_taken,
                a_new_table_of_that_name_is_refused_and_nothing_is_changed,
                a_table_that_cannot_come_back_stays_aside,
                nothing_goes_before_its_deadline_unless_it_may_be_destroyed,
                unattended_a_restore_loses_nothing,
                what_the_server_refuses_to_drop_is_refused,
                a_purge_drops_only_what_has_passed_its_deadline_and_says_so_to_a_rollback,
                what_was_moved_back_and_is_dropped_in_the_same_run_is_counted_and_kept,
                the_plan_says_how_each_statement_is_protected,
                a_table_may_be_split_before_it_is_dropped,
                what_needs_a_point_besides_keeps_everything_in_it,
                a_script_may_say_otherwise_and_what_nobody_knows_is_refused,
                no_vault_is_needed,
                killed_at_any_step_it_is_recovered_and_walked_back,
                dropped_columns_come_back_with_their_values,
                what_was_written_since_stays,
                a_row_without_a_value_that_must_be_there_is_refused_before_anything,
                a_dropped_table_is_its_own_backup_table,
                quotes_long_names_and_keys_of_many_columns_are_no_obstacle,
                a_table_of_people_that_is_called_like_a_backup_table_is_left_alone,
                it_goes_up_and_back_again_and_a_rollback_is_walked_back,
                a_purge_drops_copies_after_their_deadline_only,
                what_cannot_be_kept_so_is_kept_in_a_point_and_the_plan_says_why,
                a_migration_before_may_make_the_table,
                killed_while_columns_are_kept_it_is_recovered,
                changed_rows_come_back_from_backup_tables,
                what_was_written_to_kept_rows_since_is_a_conflict_and_stays,
                without_a_vault_rows_are_kept_too,
                killed_while_rows_are_kept_nothing_is_lost,
                each_statement_may_say_how_it_is_protected,
                what_single_statements_ask_for_and_cannot_have_is_in_the_point,
                killed_while_columns_are_filled_nothing_is_lost,
                killed_while_a_half_done_script_is_taken_back_nothing_is_lost,
                killed_at_any_step_of_the_way_back_nothing_is_lost,
            ],
            &[Backend::Postgres, Backend::Mysql, Backend::Mariadb] => [an_emptied_table_is_filled_again],
            &[Backend::Postgres] => [
                what_cascades_goes_and_comes_back,
                comments_grants_owners_and_settings_come_back,
                what_cannot_be_moved_is_kept_in_the_point_and_said,
                types_and_functions_that_only_the_table_used_can_be_dropped_by_the_same_script,
            ],
            &[Backend::Sqlite] => [a_virtual_table_is_not_moved, a_child_whose_rows_would_lead_nowhere_is_refused],
            MYSQL => [a_constraint_of_the_same_name_can_be_made_anew],
        },
    )
}

/// A project whose environment moves tables aside, with a parent, a table with everything, and a child of it.
fn project(backend: Backend) -> Sandbox {
    let sandbox = bare(backend);
    let counted = match backend {
        Backend::Sqlite => "INTEGER PRIMARY KEY AUTOINCREMENT",
        Backend::Postgres | Backend::PostgresNewest => "SERIAL PRIMARY KEY",
        Backend::Mysql | Backend::Mariadb => "INTEGER PRIMARY KEY AUTO_INCREMENT",
    };
    let tables = format!(
        "CREATE TABLE parent (id INTEGER PRIMARY KEY, name VARCHAR(20));\n\
         CREATE TABLE log (line VARCHAR(50));\n\
         CREATE TABLE t (id {counted}, a VARCHAR(20) UNIQUE, b INTEGER DEFAULT 7, parent_id INTEGER,\n\
         CONSTRAINT positive CHECK (b > 0),\n\
         CONSTRAINT t_parent FOREIGN KEY (parent_id) REFERENCES parent (id) ON DELETE CASCADE);\n\
         CREATE INDEX t_b ON t (b);\n{}\n\
         INSERT INTO parent VALUES (1, 'one'), (2, 'two');\n\
         INSERT INTO t (a, parent_id) VALUES ('x', 1), ('y', 2), ('z', NULL);",
        backend.trigger("t_noted", "AFTER INSERT", "t", "INSERT INTO log VALUES ('noted')")
    );
    sandbox.migration("001_begin", &tables, "");
    sandbox.ok(&["up", "-y"]);
    sandbox
}

fn bare(backend: Backend) -> Sandbox {
    let sandbox = Sandbox::project(backend, env!("CARGO_BIN_EXE_walkback-under-test"));
    configure(&sandbox, "protect = \"soft-delete\"\n");
    sandbox
}

/// Adds to the configuration of the environment.
fn configure(sandbox: &Sandbox, more: &str) {
    let path = sandbox.path("walkback.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let changed = text.replacen("[env.dev]\n", &format!("[env.dev]\n{more}"), 1);
    assert_ne!(text, changed, "{text}");
    std::fs::write(&path, changed).unwrap();
}

/// Returns what the application sees, without the tables that were moved aside.
fn visible(sandbox: &Sandbox) -> Contents {
    let mut contents = sandbox.contents();
    let is_aside = |name: &str| name.contains("_deprecated_") || name.starts_with("_walkback_dropped_");
    contents.rows.retain(|name, _| !is_aside(name));
    contents
}

/// Returns where tables are that were moved aside: where they are now, and what they were called.
fn aside(sandbox: &Sandbox) -> Vec<(String, String)> {
    let plan = sandbox.ok(&["purge", "--dry-run", "--json"]).json();
    let groups = [&plan["plan"]["drop"], &plan["plan"]["stays"]];
    let tables = groups
        .iter()
        .flat_map(|group| group.as_array().expect("a list").clone());
    let of_migrations = tables.filter(|table| !table["migration"].is_null());
    of_migrations
        .map(|table| {
            let name = table["table"]["name"].as_str().expect("a name").to_owned();
            (name, table["replaced"].as_str().expect("a name").to_owned())
        })
        .collect()
}

fn assert_says(output: &Output, text: &str) {
    let all = output.transcript();
    assert!(all.contains(text), "`{text}` is not said: {all}");
}

fn a_dropped_table_comes_back_with_everything(backend: Backend) {
    let sandbox = project(backend);
    let before = sandbox.contents();
    sandbox.migration("002_drop", "DROP TABLE t;", "");
    let up = sandbox.ok(&["up", "-y"]);
    assert_says(&up, "moved `t` aside to");
    assert!(!visible(&sandbox).rows.contains_key("t"));
    assert_eq!(aside(&sandbox).len(), 1);
    assert!(
        sandbox.vault_files("points").is_empty() || !up.stdout.contains("kept what was there"),
        "no row is read: {}",
        up.transcript()
    );
    let status = sandbox.run(&["status", "--check"]);
    assert_eq!(status.code, Some(0), "{}", status.transcript());
    let back = sandbox.ok(&["rollback", "-y"]);
    sandbox.assert_contents(&before, &back.transcript());
    assert!(aside(&sandbox).is_empty());
    sandbox.assert_sound();
    sandbox.sql("INSERT INTO t (a, parent_id) VALUES ('new', 1)");
    assert_eq!(sandbox.value("SELECT count(*) FROM log"), "4");
    assert!(
        sandbox
            .session()
            .try_sql("INSERT INTO t (a) VALUES ('x')")
            .is_err()
    );
    assert!(
        sandbox
            .session()
            .try_sql("INSERT INTO t (a, b) VALUES ('c', 0)")
            .is_err()
    );
    sandbox.sql(if backend == Backend::Sqlite {
        "PRAGMA foreign_keys = ON; DELETE FROM parent WHERE id = 1"
    } else {
        "DELETE FROM parent WHERE id = 1"
    });
    assert_eq!(sandbox.value("SELECT count(*) FROM t"), "2");
}

fn numbering_goes_on_where_it_stood(backend: Backend) {
    let sandbox = project(backend);
    sandbox.sql("DELETE FROM t WHERE a = 'z'");
    sandbox.migration("002_drop", "DROP TABLE t;", "");
    sandbox.ok(&["up", "-y"]);
    sandbox.ok(&["rollback", "-y"]);
    sandbox.sql("INSERT INTO t (a) VALUES ('next')");
    assert_eq!(sandbox.value("SELECT id FROM t WHERE a = 'next'"), "4");
}

fn two_tables_of_one_statement_that_refer_to_each_other_come_back(backend: Backend) {
    let sandbox = project(backend);
    let before = sandbox.contents();
    let drop = if backend == Backend::Sqlite {
        "DROP TABLE t; DROP TABLE parent;"
    } else {
        "DROP TABLE parent, t;"
    };
    sandbox.migration("002_drop", drop, "");
    sandbox.ok(&["up", "-y"]);
    assert_eq!(aside(&sandbox).len(), 2);
    sandbox.ok(&["rollback", "-y"]);
    sandbox.assert_contents(&before, "");
    sandbox.assert_sound();
}

/// The index of a foreign key without a name is called as its column on MySQL, and as the key where that is made again.
fn keys_that_the_server_has_named_come_back(backend: Backend) {
    for drop in ["DROP TABLE c;", "DROP TABLE c;\nDROP TABLE p;"] {
        let sandbox = bare(backend);
        let tables = "CREATE TABLE p (id INTEGER PRIMARY KEY);\nCREATE TABLE q (a INTEGER, b INTEGER, PRIMARY KEY (a, b));\n\
            CREATE TABLE c (id INTEGER PRIMARY KEY, p INTEGER, a INTEGER, b INTEGER, CHECK (a > 0), UNIQUE (p, a), \
            FOREIGN KEY (p) REFERENCES p (id), FOREIGN KEY (a, b) REFERENCES q (a, b), FOREIGN KEY (b) REFERENCES p (id));\n\
            INSERT INTO p VALUES (1), (2); INSERT INTO q VALUES (1, 2); INSERT INTO c VALUES (1, 1, 1, 2);";
        sandbox.migration("001_begin", tables, "");
        sandbox.ok(&["up", "-y"]);
        let before = sandbox.contents();
        sandbox.migration("002_drop", drop, "");
        sandbox.ok(&["up", "-y"]);
        assert!(!aside(&sandbox).is_empty());
        for _ in 0..2 {
            let back = sandbox.ok(&["rollback", "-n", "1", "-y"]);
            sandbox.assert_contents(&before, &back.transcript());
            sandbox.ok(&["up", "-y"]);
        }
        sandbox.ok(&["rollback", "-y"]);
        sandbox.assert_contents(&before, "walked back");
        sandbox.assert_sound();
    }
}

fn the_same_migration_can_go_up_and_back_again_and_again(backend: Backend) {
    let sandbox = project(backend);
    let before = sandbox.contents();
    sandbox.migration("002_drop", "DROP TABLE t;", "");
    for _ in 0..2 {
        sandbox.ok(&["up", "-y"]);
        sandbox.ok(&["rollback", "-n", "1", "-y"]);
        sandbox.assert_contents(&before, "");
    }
    sandbox.ok(&["up", "-y"]);
    sandbox.ok(&["redo", "-y"]);
    assert_eq!(aside(&sandbox).len(), 1);
    sandbox.ok(&["down", "-y"]);
    sandbox.assert_contents(&before, "after `down`");
    // What a rollback did is walked back by its safety point, and that by another.
    sandbox.ok(&["up", "-y"]);
    sandbox.ok(&["rollback", "-y"]);
    sandbox.ok(&["rollback", "-y"]);
    assert!(!visible(&sandbox).rows.contains_key("t"));
    let refused = sandbox.run(&["rollback", "-n", "1", "-y"]);
    assert_eq!(refused.code, Some(6), "{}", refused.transcript());
    assert_says(&refused, "moved it back");
    sandbox.ok(&["rollback", "-y"]);
    sandbox.assert_contents(&before, "walked back three times");
}

fn what_was_moved_aside_holds_back_nothing_and_belongs_to_nobody(backend: Backend) {
    let sandbox = project(backend);
    sandbox.migration("002_drop", "DROP TABLE t;", "");
    sandbox.ok(&["up", "-y"]);
    let backup = sandbox.backup();
    let shown = sandbox.ok(&["backup", "show", &backup]);
    assert!(!shown.stdout.contains("_deprecated_"), "{}", shown.transcript());
    sandbox.sql(if backend == Backend::Sqlite {
        "PRAGMA foreign_keys = ON; DELETE FROM parent"
    } else {
        "DELETE FROM parent"
    });
    let (name, _) = aside(&sandbox)[0].clone();
    if !backend.is_postgres() {
        let count = format!("SELECT count(*) FROM {}", backend.quoted(&name));
        assert_eq!(sandbox.value(&count), "3", "no row went with the parents");
    }
    sandbox.migration("003_drop", "DROP TABLE parent;", "");
    sandbox.ok(&["up", "-y"]);
    sandbox.ok(&["restore", &backup, "-y"]);
    assert_eq!(aside(&sandbox).len(), 2, "a restore leaves it alone");
    sandbox.ok(&["verify"]);
}

fn an_authors_down_that_loses_rows_is_not_taken(backend: Backend) {
    let sandbox = project(backend);
    let before = sandbox.contents();
    sandbox.migration(
        "002_drop",
        "DROP TABLE t;",
        "CREATE TABLE t (id INTEGER PRIMARY KEY);",
    );
    sandbox.ok(&["up", "-y"]);
    let plan = sandbox.ok(&["rollback", "--dry-run"]);
    assert_says(&plan, "was moved aside, and is moved back with its rows");
    sandbox.ok(&["rollback", "-y"]);
    sandbox.assert_contents(&before, "");
    sandbox.ok(&["up", "-y"]);
    sandbox.ok(&["rollback", "--type", "down", "-y"]);
    assert_eq!(sandbox.value("SELECT count(*) FROM t"), "0");
    assert_eq!(aside(&sandbox).len(), 1, "it stays until its deadline");
}
