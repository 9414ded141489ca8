//! Engines that break the contract in one way each: a check that none of them fails is no check.

mod engine;
mod session;

use std::cell::Cell;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Once};

use futures::FutureExt as _;
use libtest_mimic::{Failed, Trial};

pub use self::engine::Faulty;
use super::{CHECKS, EngineFixture};
use crate::runner::{Fixture, runtime};

/// One way to break the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// A read session writes.
    ReadSessionWrites,
    /// Opening a read session creates the database.
    ReadSessionCreates,
    /// The count of changed rows is always one.
    CountsOne,
    /// Only the first of several statements is run, and the rest dropped.
    DropsSecondStatement,
    /// Parameters are written into the statement.
    SplicesParameters,
    /// Text that is bound loses its characters beyond the basic plane.
    LosesEmoji,
    /// The last row of a query is lost.
    LosesLastRow,
    /// A cancelled context is not looked at.
    IgnoresCancellation,
    /// A cancelled commit is not rolled back.
    ForgetsFailedCommit,
    /// A rollback commits.
    RollbackCommits,
    /// A commit rolls back.
    CommitRollsBack,
    /// A transaction inside a transaction is accepted.
    AcceptsNestedBegin,
    /// A commit outside of a transaction is accepted.
    AcceptsStrayCommit,
    /// A transaction that rebuilds is one that writes.
    RebuildIsWrite,
    /// A read transaction is none at all.
    ReadIsNoTransaction,
    /// Snapshots are claimed and do not work.
    ClaimsSnapshots,
    /// Transactional definitions are not claimed.
    DeniesTransactionalDdl,
    /// Every lock is free.
    LockAlwaysTaken,
    /// A lock is never freed.
    UnlockDoesNothing,
    /// Every lock has one name.
    LocksShareOneName,
    /// The holder of a lock is claimed to be known and not said.
    ForgetsHolder,
    /// Every table is there.
    HasEveryTable,
    /// The schema has no indexes.
    HidesIndexes,
    /// The facts of tables hold no defaults and no checks.
    FactsAreColumnNames,
    /// The facts are the text as it was written.
    FactsAreText,
    /// The primary key has its columns in the order of the table.
    SortsPrimaryKey,
    /// A fingerprint leaves the last column out.
    FingerprintIgnoresLastColumn,
    /// A fingerprint counts and does not look.
    FingerprintCountsOnly,
    /// An export comes in the order in which rows lie.
    ExportsUnordered,
    /// An export cuts chunks by their size.
    CutsBySize,
    /// An import drops the last row.
    ImportDropsLastRow,
    /// The last two rows of a chunk are one.
    RowsRunTogether,
    /// What was captured as it was is what was left, and the other way round.
    CaptureIsTheWrongWayRound,
    /// What another tool's transaction changes is not kept.
    WitnessForgets,
    /// An import commits by itself.
    ImportCommits,
    /// An import takes any chunk for one it knows.
    ImportTrustsEncoding,
    /// A shadow has the columns and no constraints.
    ShadowLosesConstraints,
    /// A shadow has the columns and checks, and never gets its keys.
    KeysAreForgotten,
    /// A swap forgets the objects it should create.
    SwapForgetsObjects,
    /// A swap leaves the objects it should drop.
    SwapLeavesObjects,
    /// A swap commits halfway.
    SwapCommits,
    /// A scratch database is the real one.
    ScratchIsReal,
    /// A copy replaces what is there.
    CopyReplaces,
    /// A copy that fails leaves something behind.
    CopyLeavesDebris,
    /// A copy holds nothing.
    CopyIsEmpty,
    /// A scratch database stays.
    ScratchStays,
    /// A transaction is none at all.
    BeginDoesNothing,
    /// Missing parameters are NULL, and too many are dropped.
    PadsParameters,
    /// Names are in lower case.
    FoldsNames,
    /// Errors come without what the server said.
    HidesCause,
    /// A stream that is cancelled ends as if it were whole.
    CancelledStreamEnds,
    /// A deadline is reported as an interruption.
    DeadlineIsInterrupt,
    /// A dropped session lives on.
    LeaksSessions,
    /// It knows no session that holds a lock.
    FindsNoHolder,
    /// A statement that fails ends its transaction.
    FailureEndsTransaction,
    /// A read transaction is one that writes.
    ReadIsWrite,
    /// Locks end with the transaction.
    LocksEndWithTransaction,
    /// Any lock can be freed.
    FreesAnyLock,
    /// The schema is what others see.
    SchemaOfAnotherSession,
    /// The schema shows walkback's own tables.
    ShowsOwnTables,
    /// The definition of a table has its columns and nothing else.
    DefinitionsAreColumns,
    /// The order of columns is not told.
    ForgetsColumnOrder,
    /// A fingerprint changes with the indexes.
    FingerprintSeesIndexes,
    /// An empty table is one empty chunk.
    ExportsEmptyChunk,
    /// Chunks do not say what their rows add up to.
    ExportForgetsSums,
    /// A part of a table is all of it.
    ExportIgnoresRange,
    /// An export does not look at its context.
    ExportIgnoresCancellation,
    /// An import commits chunk by chunk.
    ImportKeepsHalf,
    /// A shadow replaces a table of its name.
    ShadowReplaces,
    /// What is set aside is a table with all constraints.
    AsideIsShadow,
    /// What is set aside replaces a table of its name.
    AsideReplaces,
    /// What is set aside has no rows.
    AsideIsEmpty,
    /// A swap renames the live table away first, which drags its foreign keys along.
    SwapRenamesAway,
}

/// Every fault, and the check that is there to catch it.
pub const FAULTS: &[(Fault, &str)] = &[
    (Fault::ReadSessionWrites, "a_read_session_changes_nothing"),
    (
        Fault::ReadSessionCreates,
        "a_database_that_was_never_written_reads_as_empty_and_is_not_created",
    ),
    (Fault::CountsOne, "execute_returns_how_many_rows_it_changed"),
    (Fault::DropsSecondStatement, "execute_runs_exactly_one_statement"),
    (Fault::SplicesParameters, "parameters_are_bound_and_never_spliced"),
    (Fault::LosesEmoji, "values_come_back_as_they_were_bound"),
    (Fault::LosesLastRow, "a_query_gives_every_row_in_order"),
    (Fault::IgnoresCancellation, "a_cancelled_context_runs_nothing"),
    (Fault::ForgetsFailedCommit, "a_cancelled_context_runs_nothing"),
    (Fault::RollbackCommits, "rollback_takes_rows_back"),
    (Fault::CommitRollsBack, "commit_keeps_and_shows_what_was_written"),
    (
        Fault::AcceptsNestedBegin,
        "begin_inside_a_transaction_is_an_error",
    ),
    (
        Fault::AcceptsStrayCommit,
        "commit_and_rollback_outside_of_a_transaction_are_errors",
    ),
    (
        Fault::RebuildIsWrite,
        "a_rebuild_enforces_foreign_keys_at_its_end_only",
    ),
    (Fault::ReadIsNoTransaction, "a_read_transaction_sees_one_moment"),
    (
        Fault::ClaimsSnapshots,
        "a_snapshot_is_shared_where_that_is_claimed",
    ),
    (
        Fault::DeniesTransactionalDdl,
        "rollback_takes_definitions_back_where_that_is_claimed",
    ),
    (Fault::LockAlwaysTaken, "a_lock_excludes_other_sessions"),
    (Fault::UnlockDoesNothing, "a_freed_lock_can_be_taken"),
    (
        Fault::LocksShareOneName,
        "locks_of_different_names_are_different_locks",
    ),
    (
        Fault::ForgetsHolder,
        "the_holder_of_a_lock_is_named_where_that_is_claimed",
    ),
    (Fault::HasEveryTable, "a_table_is_found_by_its_name"),
    (Fault::HidesIndexes, "a_schema_describes_tables_as_they_were_made"),
    (
        Fault::FactsAreColumnNames,
        "every_change_of_meaning_is_a_difference",
    ),
    (Fault::FactsAreText, "two_spellings_of_one_table_have_equal_facts"),
    (
        Fault::SortsPrimaryKey,
        "a_schema_describes_tables_as_they_were_made",
    ),
    (Fault::FingerprintIgnoresLastColumn, "every_cell_matters"),
    (Fault::FingerprintCountsOnly, "values_that_only_look_alike_differ"),
    (Fault::ExportsUnordered, "the_same_rows_give_the_same_chunks"),
    (Fault::CutsBySize, "one_changed_row_changes_at_most_two_chunks"),
    (Fault::ImportDropsLastRow, "an_export_imports_to_the_same_rows"),
    (Fault::RowsRunTogether, "the_rows_of_a_chunk_are_told_apart"),
    (
        Fault::CaptureIsTheWrongWayRound,
        "changed_rows_are_captured_as_they_were_and_as_they_are_left",
    ),
    (
        Fault::WitnessForgets,
        "what_another_transaction_changes_is_copied_before_it_ends",
    ),
    (
        Fault::ImportCommits,
        "an_import_belongs_to_the_transaction_around_it",
    ),
    (
        Fault::ImportTrustsEncoding,
        "a_chunk_that_is_not_right_is_refused",
    ),
    (
        Fault::ShadowLosesConstraints,
        "a_shadow_is_an_empty_table_of_the_same_shape",
    ),
    (
        Fault::KeysAreForgotten,
        "a_shadow_gets_its_keys_once_it_is_loaded",
    ),
    (Fault::SwapForgetsObjects, "a_swap_puts_rows_and_objects_in_place"),
    (Fault::SwapLeavesObjects, "a_swap_puts_rows_and_objects_in_place"),
    (Fault::SwapCommits, "a_swap_is_taken_back_by_a_rollback"),
    (Fault::ScratchIsReal, "a_scratch_database_is_empty_and_private"),
    (Fault::CopyReplaces, "a_copy_never_replaces_a_file"),
    (Fault::CopyLeavesDebris, "a_copy_that_is_stopped_leaves_nothing"),
    (Fault::CopyIsEmpty, "a_copy_holds_the_database_in_one_state"),
    (
        Fault::ScratchStays,
        "a_scratch_database_is_gone_when_it_is_dropped",
    ),
    (Fault::BeginDoesNothing, "sessions_are_independent_of_each_other"),
    (Fault::PadsParameters, "a_wrong_number_of_parameters_is_an_error"),
    (Fault::FoldsNames, "any_name_stands_for_itself_when_it_is_quoted"),
    (Fault::HidesCause, "a_refused_statement_is_an_error_with_a_cause"),
    (Fault::CancelledStreamEnds, "cancelling_ends_a_stream"),
    (Fault::DeadlineIsInterrupt, "a_deadline_stops_a_query"),
    (Fault::LeaksSessions, "a_dropped_session_rolls_back"),
    (Fault::LeaksSessions, "a_dropped_session_frees_its_locks"),
    (
        Fault::FindsNoHolder,
        "the_session_that_holds_a_lock_is_found_and_can_be_ended",
    ),
    (
        Fault::FailureEndsTransaction,
        "a_failed_statement_leaves_a_transaction_that_rolls_back",
    ),
    (
        Fault::RebuildIsWrite,
        "a_rebuild_that_violates_a_foreign_key_rolls_back",
    ),
    (Fault::ReadIsWrite, "a_read_transaction_changes_nothing"),
    (
        Fault::LocksEndWithTransaction,
        "transactions_do_not_matter_to_a_lock",
    ),
    (Fault::FreesAnyLock, "a_lock_that_is_not_held_cannot_be_freed"),
    (
        Fault::SchemaOfAnotherSession,
        "a_schema_shows_what_its_own_transaction_changed",
    ),
    (
        Fault::ShowsOwnTables,
        "a_schema_never_shows_the_tables_of_walkback",
    ),
    (
        Fault::DefinitionsAreColumns,
        "definitions_create_what_they_define",
    ),
    (
        Fault::ForgetsColumnOrder,
        "another_order_of_columns_is_residue_and_no_other_difference",
    ),
    (Fault::FingerprintSeesIndexes, "the_order_of_rows_does_not_matter"),
    (Fault::ExportsEmptyChunk, "an_empty_table_has_no_chunks"),
    (Fault::ExportForgetsSums, "an_export_says_what_its_rows_add_up_to"),
    (
        Fault::ExportIgnoresRange,
        "the_parts_of_a_table_hold_each_row_once",
    ),
    (
        Fault::ExportIgnoresCancellation,
        "an_export_can_be_left_in_the_middle",
    ),
    (
        Fault::ImportKeepsHalf,
        "an_import_that_fails_by_itself_leaves_nothing",
    ),
    (Fault::ShadowReplaces, "a_shadow_takes_no_name_that_is_taken"),
    (Fault::AsideIsShadow, "rows_set_aside_stand_in_nobodys_way"),
    (Fault::AsideIsEmpty, "rows_set_aside_stand_in_nobodys_way"),
    (
        Fault::AsideReplaces,
        "nothing_is_set_aside_under_a_name_that_is_taken",
    ),
    (
        Fault::SwapRenamesAway,
        "foreign_keys_mean_the_live_tables_after_a_swap",
    ),
];

/// Checks that no fault here makes fail, and why.
pub const WITHOUT_FAULT: &[(&str, &str)] = &[
    (
        "a_dump_of_another_family_is_unsupported_and_names_it",
        "how dumps are loaded is handed through as it is",
    ),
    (
        "every_form_of_its_own_family_is_loaded_by_a_program_or_by_itself",
        "how dumps are loaded is handed through as it is",
    ),
    (
        "opening_an_engine_and_asking_about_it_touches_nothing",
        "what would touch the database is in the hands of the engine itself",
    ),
    (
        "a_reader_leaves_every_byte_of_the_database_as_it_is",
        "a decorator has no way to write into the file of a session that reads",
    ),
    (
        "a_query_can_be_left_in_the_middle",
        "a decorator cannot keep a stream alive that was dropped",
    ),
    (
        "cancelling_stops_a_statement_and_the_session_goes_on",
        "an engine with this fault hangs the check instead of failing it",
    ),
    (
        "a_dropped_call_leaves_the_session_usable",
        "an engine with this fault hangs the check instead of failing it",
    ),
    (
        "foreign_keys_are_enforced_again_after_a_rebuild",
        "how they are switched off differs from engine to engine",
    ),
    (
        "a_statement_waits_for_a_lock_only_so_long",
        "the fixture itself may wait briefly, so that an ignored limit cannot be told from a kept one",
    ),
    (
        "held_tables_are_written_by_nobody_else_where_that_is_claimed",
        "where a write transaction excludes all others there is nothing to leave out",
    ),
    (
        "no_write_gets_between_a_hold_and_its_swap_where_that_is_claimed",
        "where definitions are part of a transaction there is nothing to hold outside of one",
    ),
    (
        "an_owner_lacks_no_right",
        "an engine whose rights are those of a file has none to invent",
    ),
    (
        "rights_are_read_and_can_be_given_again",
        "the faults are on an engine that has no rights; what it would see is seen in the journeys",
    ),
    (
        "a_database_that_is_read_only_keeps_applications_from_writing",
        "an engine without a server has no such mode",
    ),
];

/// Makes a trial of each fault, on a good engine: the check that is named must fail with it, and pass without.
pub fn trials(
    name: &str,
    fixture: impl Fn() -> Fixture<EngineFixture> + Clone + Send + Sync + 'static,
) -> Vec<Trial> {
    FAULTS
        .iter()
        .map(|(fault, catcher)| {
            let fixture = fixture.clone();
            Trial::test(format!("{name}::fault::{fault:?}::{catcher}"), move || {
                let check = CHECKS
                    .iter()
                    .find(|check| check.name == *catcher)
                    .ok_or_else(|| Failed::from(format!("there is no check `{catcher}`")))?;
                let run = |wrap: Option<Fault>| {
                    let ready = match fixture() {
                        Fixture::Ready(ready) => ready,
                        Fixture::Absent(why) => return Err(Failed::from(why)),
                    };
                    let ready = match wrap {
                        Some(fault) => ready.with_engine(|inner| Arc::new(Faulty::new(inner, fault))),
                        None => ready,
                    };
                    let outcome =
                        quietly(|| runtime().block_on(AssertUnwindSafe((check.run)(ready)).catch_unwind()));
                    Ok(matches!(outcome, Ok(Ok(()))))
                };
                if !run(None)? {
                    return Err(format!("`{catcher}` fails without the fault").into());
                }
                if run(Some(*fault))? {
                    return Err(format!("`{catcher}` passes with the fault").into());
                }
                Ok(())
            })
        })
        .chain([every_check_can_fail(name)])
        .collect()
}

/// Makes the trial that sees whether each check is made to fail by a fault, or is excused.
fn every_check_can_fail(name: &str) -> Trial {
    Trial::test(format!("{name}::fault::every_check_can_fail"), || {
        let caught = FAULTS.iter().map(|(_, catcher)| *catcher);
        let excused = WITHOUT_FAULT.iter().map(|(check, _)| *check);
        let known: Vec<_> = caught.chain(excused).collect();
        let unknown: Vec<_> = CHECKS
            .iter()
            .map(|check| check.name)
            .filter(|check| !known.contains(check))
            .collect();
        if unknown.is_empty() {
            return Ok(());
        }
        Err(format!("no fault makes these checks fail: {}", unknown.join(", ")).into())
    })
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs something whose panics are expected, and need not be printed.
fn quietly<T>(work: impl FnOnce() -> T) -> T {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                before(info);
            }
        }));
    });
    QUIET.set(true);
    let outcome = work();
    QUIET.set(false);
    outcome
}
