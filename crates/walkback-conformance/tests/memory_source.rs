//! The checks of sources, checked: the sound source passes all of them, and each fault is seen by those that
//! are there for it. Without that, a check that cannot fail would look like one that never does.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;

use futures::FutureExt as _;
use walkback_conformance::runner::{Check, runtime};
use walkback_conformance::source::memory_source::{Fault, MemorySource};
use walkback_conformance::source::{CHECKS, Subject};

/// Each fault, with the checks that are there to see it; others may see it too.
const FAULTS: &[(Fault, &[&str])] = &[
    (Fault::EmptyFails, &["an_empty_folder_is_an_empty_graph"]),
    (
        Fault::MissingIsEmpty,
        &["a_folder_that_does_not_exist_is_not_found_and_named"],
    ),
    (
        Fault::MissingUnnamed,
        &["a_folder_that_does_not_exist_is_not_found_and_named"],
    ),
    (Fault::OrdersAsText, &["load_finds_every_migration_in_order"]),
    (Fault::ForgetsParents, &["load_finds_every_migration_in_order"]),
    (Fault::ForgetsLast, &["load_finds_every_migration_in_order"]),
    (Fault::WrongFile, &["load_names_the_file_of_each_migration"]),
    (Fault::ClaimsDown, &["load_says_which_migrations_have_a_way_back"]),
    (Fault::DeniesDown, &["load_says_which_migrations_have_a_way_back"]),
    (Fault::HidesUnmatched, &["load_names_every_file_it_cannot_use"]),
    (Fault::NoReason, &["load_names_every_file_it_cannot_use"]),
    (
        Fault::LoadsDiffer,
        &["two_loads_of_the_same_files_give_the_same_graph"],
    ),
    (
        Fault::LoadsOnce,
        &[
            "load_sees_what_was_added_since",
            "load_sees_what_was_removed_since",
        ],
    ),
    (
        Fault::Quadratic,
        &["load_takes_time_linear_in_the_number_of_files"],
    ),
    (Fault::IgnoresCancellation, &["load_ends_when_it_is_cancelled"]),
    (Fault::NoLocation, &["a_source_says_where_it_is"]),
    (
        Fault::LedgerWithoutId,
        &["the_ledger_has_one_column_for_the_identity"],
    ),
    (
        Fault::LedgerWithTwoIds,
        &["the_ledger_has_one_column_for_the_identity"],
    ),
    (
        Fault::LedgerCreatesAnother,
        &["the_ledger_has_one_column_for_the_identity"],
    ),
    (Fault::TrimsScripts, &["script_gives_the_text_byte_for_byte"]),
    (Fault::ConvertsLineEnds, &["script_gives_the_text_byte_for_byte"]),
    (
        Fault::WrongLine,
        &["script_names_the_file_and_line_the_text_begins_on"],
    ),
    (
        Fault::WrongScriptFile,
        &["script_names_the_file_and_line_the_text_begins_on"],
    ),
    (Fault::DownIsUp, &["script_tells_the_two_directions_apart"]),
    (
        Fault::EmptyForNone,
        &["script_of_a_direction_nobody_wrote_is_none"],
    ),
    (
        Fault::UnknownIsNone,
        &["script_of_an_unknown_migration_is_not_found_and_named"],
    ),
    (
        Fault::UnknownUnnamed,
        &["script_of_an_unknown_migration_is_not_found_and_named"],
    ),
    (Fault::NeedsLoad, &["script_needs_no_load"]),
    (
        Fault::ReplacesBytes,
        &["script_that_is_not_text_is_an_error_with_its_file_and_line"],
    ),
    (
        Fault::BrokenTextUnnamed,
        &["script_that_is_not_text_is_an_error_with_its_file_and_line"],
    ),
    (Fault::LoadWrites, &["nothing_but_create_writes"]),
    (Fault::ScriptWrites, &["nothing_but_create_writes"]),
    (
        Fault::CreateDoesNothing,
        &["create_writes_a_migration_that_load_finds"],
    ),
    (
        Fault::CreateForgetsSlug,
        &["create_writes_a_migration_that_load_finds"],
    ),
    (
        Fault::CreateReturnsTooFew,
        &["create_returns_exactly_the_files_it_wrote"],
    ),
    (
        Fault::CreateReturnsTooMany,
        &["create_returns_exactly_the_files_it_wrote"],
    ),
    (
        Fault::CreateChangesOthers,
        &["create_returns_exactly_the_files_it_wrote"],
    ),
    (
        Fault::CreateNeedsFolder,
        &["create_begins_where_there_is_nothing"],
    ),
    (Fault::CreateBeginsAnew, &["create_follows_the_last_migration"]),
    (Fault::CreateOverwrites, &["create_never_overwrites"]),
    (
        Fault::CreateDoublesIdentity,
        &["create_of_a_known_identity_writes_nothing"],
    ),
    (
        Fault::CreateAcceptsPaths,
        &["create_refuses_what_leads_out_of_the_folder"],
    ),
    (
        Fault::WriteDownDoesNothing,
        &["write_down_gives_a_migration_the_way_down_it_had_not"],
    ),
    (
        Fault::WriteDownRefusesEmpty,
        &["write_down_fills_the_empty_one_of_a_new_migration"],
    ),
    (
        Fault::WriteDownChangesUp,
        &["write_down_leaves_everything_else_as_it_is"],
    ),
    (Fault::WriteDownOverwrites, &["write_down_never_overwrites"]),
    (
        Fault::WriteDownInventsMigration,
        &["write_down_of_an_unknown_migration_is_not_found"],
    ),
];

/// Returns whether the check fails, by an error or a panic.
fn fails(check: &Check<Subject>, source: MemorySource) -> bool {
    let subject: Subject = Box::new(source);
    let outcome = runtime().block_on(AssertUnwindSafe((check.run)(subject)).catch_unwind());
    !matches!(outcome, Ok(Ok(())))
}

#[test]
fn the_sound_source_passes_every_check() {
    let failed: Vec<_> = CHECKS
        .iter()
        .filter(|check| fails(check, MemorySource::new()))
        .map(|check| check.name)
        .collect();
    assert!(failed.is_empty(), "{failed:?}");
}

#[test]
fn every_fault_is_seen_by_the_check_that_is_there_for_it() {
    let mut unseen = Vec::new();
    for (fault, names) in FAULTS {
        for name in *names {
            let check = CHECKS.iter().find(|check| check.name == *name);
            let check = check.unwrap_or_else(|| panic!("there is no check `{name}`"));
            if !fails(check, MemorySource::with_fault(*fault)) {
                unseen.push((fault, name));
            }
        }
    }
    assert!(unseen.is_empty(), "{unseen:?}");
}

#[test]
fn every_check_sees_some_fault() {
    let named: BTreeSet<&str> = FAULTS.iter().flat_map(|(_, names)| *names).copied().collect();
    let idle: Vec<_> = CHECKS
        .iter()
        .map(|check| check.name)
        .filter(|name| !named.contains(name))
        .collect();
    assert!(idle.is_empty(), "no fault shows that these can fail: {idle:?}");
}
