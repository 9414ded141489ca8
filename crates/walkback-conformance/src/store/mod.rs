//! What every store must pass: one check for each line of the contract of
//! [`BackupStore`], and what an operator would notice beyond it.
//!
//! The whole test of an adapter:
//! ```ignore
//! fn main() -> ExitCode {
//!     walkback_conformance::store::main("fs", || {
//!         let folder = tempfile::tempdir().unwrap();
//!         Fixture::Ready(StoreFixture::new(Arc::new(FsStore::new(folder.path()))).keeping(folder))
//!     })
//! }
//! ```

mod crash;
mod keys;
mod listing;
mod reading;
mod removing;
mod support;
mod writing;

use std::any::Any;
use std::fmt;
use std::process::ExitCode;
use std::sync::Arc;

use walkback_core::BackupStore;

pub use crash::crash_scenario;
pub use support::noise;

use crate::runner::{self, Check, Fixture};

/// A fresh and empty store.
pub struct StoreFixture {
    /// The store.
    pub store: Arc<dyn BackupStore>,
    in_memory: bool,
    _kept: Box<dyn Any + Send>,
}

impl fmt::Debug for StoreFixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreFixture")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

impl StoreFixture {
    /// Creates a fixture of a store that is fresh and empty.
    #[must_use]
    pub fn new(store: Arc<dyn BackupStore>) -> Self {
        Self {
            store,
            in_memory: false,
            _kept: Box::new(()),
        }
    }

    /// Keeps something, such as a temporary folder, as long as the store is used.
    #[must_use]
    pub fn keeping(mut self, kept: impl Any + Send) -> Self {
        self._kept = Box::new(kept);
        self
    }

    /// Says that blobs are in memory on purpose, so that memory is not measured.
    #[must_use]
    pub fn in_memory(mut self) -> Self {
        self.in_memory = true;
        self
    }
}

/// What every store must pass.
pub static CHECKS: &[Check<StoreFixture>] = crate::checks![
    writing::a_blob_is_invisible_until_it_is_committed,
    writing::a_committed_blob_is_whole_and_visible_at_once,
    writing::a_commit_over_an_existing_key_replaces_it,
    writing::a_reader_sees_the_old_blob_or_the_new_one,
    writing::an_aborted_writer_leaves_nothing,
    writing::a_dropped_writer_leaves_nothing,
    writing::an_abort_keeps_the_blob_that_was_there,
    writing::many_pieces_make_one_blob,
    writing::an_empty_blob_is_a_blob,
    writing::a_large_blob_takes_little_memory,
    writing::concurrent_writers_of_one_key_do_not_mix,
    writing::a_cancelled_context_stops_a_writer_and_leaves_nothing,
    writing::a_cancelled_writer_can_still_be_aborted,
    writing::the_size_and_time_of_a_blob_are_those_of_its_commit,
    reading::a_missing_blob_is_not_found,
    reading::a_range_gives_the_part_asked_for,
    reading::a_range_past_the_end_is_cut,
    reading::a_reader_may_stop_early,
    keys::keys_that_break_the_rule_are_refused_with_no_effect,
    keys::keys_that_keep_the_rule_are_accepted,
    keys::a_key_below_another_is_kept_apart_or_refused,
    listing::an_empty_store_lists_nothing,
    listing::a_list_is_sorted_by_the_bytes_of_the_keys,
    listing::a_prefix_selects_exactly_what_begins_with_it,
    listing::a_prefix_cannot_leave_the_store,
    listing::a_list_shows_committed_blobs_only,
    listing::a_list_goes_on_while_others_write,
    removing::a_removed_blob_is_gone,
    removing::removing_a_missing_blob_is_fine,
    removing::removing_takes_one_blob_only,
    removing::a_removed_key_can_be_written_again,
    removing::sweep_takes_nothing_that_is_committed,
    removing::sweep_spares_living_writers,
    removing::sweep_while_others_write_loses_nothing,
];

/// Runs the checks as the `main` of a test binary.
#[must_use]
pub fn main(name: &str, fixture: impl Fn() -> Fixture<StoreFixture> + Send + Sync + 'static) -> ExitCode {
    runner::run(runner::trials(name, CHECKS, fixture))
}
