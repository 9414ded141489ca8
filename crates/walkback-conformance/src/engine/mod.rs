//! What every engine must pass: checks for each line of the contracts of [`Engine`] and
//! [`Session`](walkback_core::Session).
//!
//! The SQL in them is what all engines speak; quotes, placeholders and types come from the dialect. What is
//! optional is checked both ways: claimed means it works, not claimed means `Unsupported` and no effect.
//!
//! The whole test of an adapter:
//! ```ignore
//! fn main() -> ExitCode {
//!     walkback_conformance::engine::main("sqlite", || {
//!         let folder = tempfile::tempdir().unwrap();
//!         Fixture::Ready(EngineFixture::new(open(folder.path())).keeping(folder))
//!     })
//! }
//! ```
//!
//! [`faulty`] holds engines that break the contract in one way each, so that the checks are tested as well.

mod access;
mod bulk;
mod cancelling;
mod capturing;
mod catalog;
mod crash;
mod dumps;
pub mod faulty;
mod fingerprints;
mod holding;
mod locks;
mod scratch;
mod snapshots;
mod statements;
mod support;
mod swapping;
mod transactions;
mod witnessing;

use std::any::Any;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use walkback_core::Engine;

pub use crash::crash_scenario;

use crate::runner::{self, Check, Fixture};

/// Opens an engine on a copy that [`Physical`](walkback_core::engine::Physical) has made.
type OpenCopy = fn(&Path) -> Arc<dyn Engine>;

/// A fresh and empty database.
pub struct EngineFixture {
    /// The engine on it.
    pub engine: Arc<dyn Engine>,
    file: Option<PathBuf>,
    open_copy: Option<OpenCopy>,
    _kept: Box<dyn Any + Send + Sync>,
}

impl fmt::Debug for EngineFixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineFixture")
            .field("engine", &self.engine)
            .finish_non_exhaustive()
    }
}

impl EngineFixture {
    /// Creates a fixture of a database that is fresh and empty.
    #[must_use]
    pub fn new(engine: Arc<dyn Engine>) -> Self {
        Self {
            engine,
            file: None,
            open_copy: None,
            _kept: Box::new(()),
        }
    }

    /// Keeps something, such as a temporary folder, as long as the database is used.
    #[must_use]
    pub fn keeping(mut self, kept: impl Any + Send + Sync) -> Self {
        self._kept = Box::new(kept);
        self
    }

    /// Says that the database is this one file, which is not there yet.
    #[must_use]
    pub fn in_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.file = Some(file.into());
        self
    }

    /// Says how a copy as files is opened, so that it can be looked into.
    #[must_use]
    pub fn opening_copies(mut self, open: OpenCopy) -> Self {
        self.open_copy = Some(open);
        self
    }

    /// Returns the same fixture with another engine on it.
    #[must_use]
    pub fn with_engine(mut self, wrap: impl FnOnce(Arc<dyn Engine>) -> Arc<dyn Engine>) -> Self {
        self.engine = wrap(self.engine);
        self
    }
}

/// What every engine must pass.
pub static CHECKS: &[Check<EngineFixture>] = crate::checks![
    access::opening_an_engine_and_asking_about_it_touches_nothing,
    access::a_database_that_was_never_written_reads_as_empty_and_is_not_created,
    access::a_read_session_changes_nothing,
    access::a_reader_leaves_every_byte_of_the_database_as_it_is,
    access::sessions_are_independent_of_each_other,
    statements::execute_returns_how_many_rows_it_changed,
    statements::execute_runs_exactly_one_statement,
    statements::parameters_are_bound_and_never_spliced,
    statements::a_wrong_number_of_parameters_is_an_error,
    statements::values_come_back_as_they_were_bound,
    statements::any_name_stands_for_itself_when_it_is_quoted,
    statements::a_refused_statement_is_an_error_with_a_cause,
    statements::a_query_gives_every_row_in_order,
    statements::a_query_can_be_left_in_the_middle,
    cancelling::a_cancelled_context_runs_nothing,
    cancelling::cancelling_stops_a_statement_and_the_session_goes_on,
    cancelling::a_deadline_stops_a_query,
    cancelling::cancelling_ends_a_stream,
    cancelling::a_dropped_call_leaves_the_session_usable,
    transactions::commit_keeps_and_shows_what_was_written,
    transactions::rollback_takes_rows_back,
    transactions::rollback_takes_definitions_back_where_that_is_claimed,
    transactions::begin_inside_a_transaction_is_an_error,
    transactions::commit_and_rollback_outside_of_a_transaction_are_errors,
    transactions::a_dropped_session_rolls_back,
    transactions::a_failed_statement_leaves_a_transaction_that_rolls_back,
    transactions::a_rebuild_enforces_foreign_keys_at_its_end_only,
    transactions::a_rebuild_that_violates_a_foreign_key_rolls_back,
    transactions::foreign_keys_are_enforced_again_after_a_rebuild,
    snapshots::a_read_transaction_sees_one_moment,
    snapshots::a_read_transaction_changes_nothing,
    snapshots::a_snapshot_is_shared_where_that_is_claimed,
    locks::a_lock_excludes_other_sessions,
    locks::the_holder_of_a_lock_is_named_where_that_is_claimed,
    locks::the_session_that_holds_a_lock_is_found_and_can_be_ended,
    locks::a_freed_lock_can_be_taken,
    locks::a_dropped_session_frees_its_locks,
    locks::transactions_do_not_matter_to_a_lock,
    locks::locks_of_different_names_are_different_locks,
    locks::a_lock_that_is_not_held_cannot_be_freed,
    capturing::changed_rows_are_captured_as_they_were_and_as_they_are_left,
    witnessing::what_another_transaction_changes_is_copied_before_it_ends,
    holding::a_statement_waits_for_a_lock_only_so_long,
    holding::held_tables_are_written_by_nobody_else_where_that_is_claimed,
    holding::no_write_gets_between_a_hold_and_its_swap_where_that_is_claimed,
    holding::an_owner_lacks_no_right,
    holding::rights_are_read_and_can_be_given_again,
    holding::a_database_that_is_read_only_keeps_applications_from_writing,
    catalog::a_table_is_found_by_its_name,
    catalog::a_schema_describes_tables_as_they_were_made,
    catalog::a_schema_shows_what_its_own_transaction_changed,
    catalog::a_schema_never_shows_the_tables_of_walkback,
    catalog::definitions_create_what_they_define,
    catalog::two_spellings_of_one_table_have_equal_facts,
    catalog::every_change_of_meaning_is_a_difference,
    catalog::another_order_of_columns_is_residue_and_no_other_difference,
    fingerprints::the_order_of_rows_does_not_matter,
    fingerprints::every_cell_matters,
    fingerprints::values_that_only_look_alike_differ,
    bulk::an_export_imports_to_the_same_rows,
    bulk::the_rows_of_a_chunk_are_told_apart,
    bulk::the_same_rows_give_the_same_chunks,
    bulk::one_changed_row_changes_at_most_two_chunks,
    bulk::an_export_says_what_its_rows_add_up_to,
    bulk::the_parts_of_a_table_hold_each_row_once,
    bulk::an_empty_table_has_no_chunks,
    bulk::an_export_can_be_left_in_the_middle,
    bulk::an_import_belongs_to_the_transaction_around_it,
    bulk::an_import_that_fails_by_itself_leaves_nothing,
    bulk::a_chunk_that_is_not_right_is_refused,
    swapping::a_shadow_is_an_empty_table_of_the_same_shape,
    swapping::a_shadow_gets_its_keys_once_it_is_loaded,
    swapping::a_shadow_takes_no_name_that_is_taken,
    swapping::rows_set_aside_stand_in_nobodys_way,
    swapping::nothing_is_set_aside_under_a_name_that_is_taken,
    swapping::a_swap_puts_rows_and_objects_in_place,
    swapping::a_swap_is_taken_back_by_a_rollback,
    swapping::foreign_keys_mean_the_live_tables_after_a_swap,
    scratch::a_scratch_database_is_empty_and_private,
    scratch::a_scratch_database_is_gone_when_it_is_dropped,
    scratch::a_copy_holds_the_database_in_one_state,
    scratch::a_copy_never_replaces_a_file,
    scratch::a_copy_that_is_stopped_leaves_nothing,
    dumps::a_dump_of_another_family_is_unsupported_and_names_it,
    dumps::every_form_of_its_own_family_is_loaded_by_a_program_or_by_itself,
];

/// Runs the checks as the `main` of a test binary.
#[must_use]
pub fn main(name: &str, fixture: impl Fn() -> Fixture<EngineFixture> + Send + Sync + 'static) -> ExitCode {
    runner::run(runner::trials(name, CHECKS, fixture))
}
