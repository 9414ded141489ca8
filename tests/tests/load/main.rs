//! Records are loaded from a file: validated, in batches, with a way back that takes nothing else.

mod consent;
mod kills;
mod others;
mod quotes;
mod refusals;
mod rejects;
mod values;
mod writes;

use std::process::ExitCode;

use walkback_tests::{Backend, MYSQL, ONE_OF_EACH, Sandbox, journeys};

use consent::*;
use kills::*;
use others::*;
use quotes::*;
use refusals::*;
use rejects::*;
use values::*;
use writes::*;

/// Those that keep exact numbers of many digits.
const SERVERS_OF_EACH: &[Backend] = &[Backend::Postgres, Backend::Mysql, Backend::Mariadb];

fn main() -> ExitCode {
    walkback_tests::main(
        "load",
        &journeys! {
            ONE_OF_EACH => [
                a_clean_load_is_all_there_and_a_rollback_takes_it_back,
                a_load_can_be_taken_back_by_its_name_when_other_runs_have_followed,
                a_rollback_of_a_load_can_itself_be_walked_back,
                of_few_bad_records_the_good_ones_are_there_and_the_mended_ones_complete_it,
                past_the_threshold_the_load_takes_itself_back,
                the_threshold_may_be_a_number_and_is_not_judged_before_a_batch_was_tried,
                a_dry_run_asks_the_database_and_writes_nothing,
                values_and_names_of_all_kinds_arrive_as_they_are,
                what_a_type_does_not_take_is_rejected_with_its_reason,
                keys_that_the_server_counts_are_known_to_the_way_back,
                records_that_cannot_be_read_are_kept_as_they_are,
                what_applications_write_while_it_loads_and_afterwards_stays,
                rows_that_were_changed_since_are_reported_and_decided_by_the_policy,
                rows_that_refer_to_each_other_go_together,
                killed_at_any_step_it_goes_on_and_no_row_is_there_twice,
                killed_at_any_step_it_goes_back,
                a_killed_recover_is_done_by_the_next,
                a_file_that_has_changed_is_not_gone_on_with,
                what_cannot_be_loaded_is_refused_before_anything_is_written,
                a_hundred_thousand_records_are_loaded_and_taken_back,
                what_a_self_rollback_cannot_take_is_listed_and_not_forgotten,
                rows_that_were_kept_can_be_taken_back_later,
                a_killed_load_whose_table_has_gone_is_settled,
                a_load_is_found_also_where_its_run_has_ended,
                a_killed_load_whose_table_was_changed_keeps_its_rows_and_lists_them,
                a_file_of_rejected_records_that_is_somebody_elses_is_left_alone,
                quotes_that_nobody_can_have_meant_are_no_fields,
                a_document_that_looks_like_an_export_is_a_document,
                to_revert_what_was_changed_since_a_load_is_a_loss,
                a_plan_names_the_rows_of_a_load_that_stay,
                the_command_for_what_was_rejected_can_be_pasted,
                a_pipe_is_refused_and_not_waited_for,
                words_zones_and_digits_are_taken_as_the_columns_have_them,
            ],
            SERVERS_OF_EACH => [exact_keys_that_are_one_double_are_two_keys],
            MYSQL => [
                a_table_without_transactions_is_refused,
                a_key_that_the_server_does_not_tell_is_no_key,
                a_key_that_a_trigger_changes_is_no_row_of_others,
                rows_of_another_database_are_not_cascaded_away,
            ],
            &[Backend::Sqlite] => [
                a_table_that_replaces_rows_does_not_replace_those_of_others,
                a_text_that_reads_as_a_number_is_not_changed,
            ],
            &[Backend::Sqlite, Backend::Mysql, Backend::Mariadb] => [
                a_key_that_is_written_otherwise_since_is_a_change,
            ],
            &[Backend::Sqlite, Backend::Postgres] => [a_deferred_constraint_names_the_record],
            &[Backend::Postgres] => [
                a_setting_that_was_changed_since_changes_no_row,
                a_column_that_the_server_always_counts_is_refused,
            ],
        },
    )
}

fn project(backend: Backend) -> Sandbox {
    Sandbox::project(backend, env!("CARGO_BIN_EXE_walkback-under-test"))
}

/// A project with a table of people, one of whom is there already.
fn people(backend: Backend) -> Sandbox {
    let sandbox = project(backend);
    sandbox.migration(
        "001_people",
        "CREATE TABLE people (id INTEGER PRIMARY KEY, name VARCHAR(20) NOT NULL, age INTEGER CHECK (age >= 0), \
         email VARCHAR(40) UNIQUE);\n\
         INSERT INTO people VALUES (0, 'first', 1, 'first@example.org');",
        "DROP TABLE people;",
    );
    sandbox.ok(&["up", "-y"]);
    sandbox
}

/// Returns a file of people; `bad` says what is wrong with one, by its number.
fn csv(count: u32, bad: impl Fn(u32) -> Option<String>) -> String {
    let mut text = "id,name,age,email\n".to_owned();
    for number in 1..=count {
        let line = bad(number).unwrap_or_else(|| good(number));
        text.push_str(&line);
        text.push('\n');
    }
    text
}

fn good(number: u32) -> String {
    format!("{number},name {number},{},p{number}@example.org", number % 90)
}

fn how_many(sandbox: &Sandbox, table: &str) -> u32 {
    sandbox
        .value(&format!("SELECT count(*) FROM {table}"))
        .parse()
        .expect("a number")
}

fn a_clean_load_is_all_there_and_a_rollback_takes_it_back(backend: Backend) {
    let sandbox = people(backend);
    let before = sandbox.contents();
    sandbox.write("people.csv", &csv(250, |_| None));
    let output = sandbox.ok(&["load", "people", "people.csv"]);
    assert!(
        output
            .stdout
            .contains("loaded 250 records into `people`, 0 rejected"),
        "{}",
        output.transcript()
    );
    assert!(
        output
            .stdout
            .contains("take it back with `walkback rollback rb_load_people_"),
        "{}",
        output.transcript()
    );
    assert_eq!(how_many(&sandbox, "people"), 251);
    assert_eq!(
        sandbox.value("SELECT name FROM people WHERE id = 250"),
        "name 250"
    );
    assert!(!sandbox.path("people.csv.rejects.jsonl").exists());
    let audit = sandbox.ok(&["audit", "-n", "1"]);
    assert!(audit.stdout.contains("load"), "{}", audit.transcript());
    assert!(sandbox.status()["unfinished"].is_null());
    sandbox.ok(&["rollback", "-y"]);
    sandbox.assert_contents(&before, "taken back");
    // It can be loaded again, and what was taken back is not taken back again.
    sandbox.ok(&["load", "people", "people.csv"]);
    assert_eq!(how_many(&sandbox, "people"), 251);
}

fn a_load_can_be_taken_back_by_its_name_when_other_runs_have_followed(backend: Backend) {
    let sandbox = people(backend);
    sandbox.write("people.csv", &csv(5, |_| None));
    let loaded = sandbox.ok(&["load", "people", "people.csv", "--json"]).json();
    let point = loaded["report"]["point"].as_str().expect("a name").to_owned();
    sandbox.migration(
        "002_more",
        "CREATE TABLE more (id INTEGER PRIMARY KEY);",
        "DROP TABLE more;",
    );
    sandbox.ok(&["up", "-y"]);
    let plan = sandbox.ok(&["rollback", &point, "--dry-run"]);
    assert!(
        plan.stdout
            .contains("the 5 rows that were loaded into `people` go"),
        "{}",
        plan.transcript()
    );
    assert_eq!(how_many(&sandbox, "people"), 6);
    sandbox.ok(&["rollback", &point, "-y"]);
    assert_eq!(how_many(&sandbox, "people"), 1);
    assert_eq!(how_many(&sandbox, "more"), 0);
    let again = sandbox.run(&["rollback", &point, "-y"]);
    assert_eq!(again.code, Some(2), "{}", again.transcript());
    assert!(
        again.stderr.contains("has been taken back already"),
        "{}",
        again.transcript()
    );
}

fn a_rollback_of_a_load_can_itself_be_walked_back(backend: Backend) {
    let sandbox = people(backend);
    sandbox.write("people.csv", &csv(5, |_| None));
    sandbox.ok(&["load", "people", "people.csv"]);
    let loaded = sandbox.contents();
    sandbox.ok(&["rollback", "-y"]);
    assert_eq!(how_many(&sandbox, "people"), 1);
    sandbox.ok(&["rollback", "-y"]);
    sandbox.assert_contents(&loaded, "the rollback was walked back");
}

fn a_hundred_thousand_records_are_loaded_and_taken_back(backend: Backend) {
    let sandbox = people(backend);
    let before = sandbox.contents();
    sandbox.write("people.csv", &csv(100_000, |_| None));
    sandbox.ok(&["load", "people", "people.csv", "--batch", "1000"]);
    assert_eq!(how_many(&sandbox, "people"), 100_001);
    sandbox.ok(&["rollback", "-y"]);
    sandbox.assert_contents(&before, "taken back");
}
