//! The strict store in memory passes every check, and for each way to misbehave a check fails: a test of the
//! tests.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::sync::Arc;

use futures::FutureExt as _;
use libtest_mimic::{Failed, Trial};
use walkback_conformance::crash;
use walkback_conformance::memory_store::{Fault, MemoryStore};
use walkback_conformance::runner::{self, Fixture};
use walkback_conformance::store::{CHECKS, StoreFixture, crash_scenario};

/// Each fault, with the check that is there to see it.
const FAULTS: &[(Fault, &str)] = &[
    (
        Fault::VisibleBeforeCommit,
        "a_blob_is_invisible_until_it_is_committed",
    ),
    (
        Fault::CommitReturnsEarly,
        "a_committed_blob_is_whole_and_visible_at_once",
    ),
    (
        Fault::CommitInTwoHalves,
        "a_reader_sees_the_old_blob_or_the_new_one",
    ),
    (
        Fault::OverwriteKeepsOld,
        "a_commit_over_an_existing_key_replaces_it",
    ),
    (Fault::KeepsLastPieceOnly, "many_pieces_make_one_blob"),
    (Fault::EmptyBlobVanishes, "an_empty_blob_is_a_blob"),
    (
        Fault::WritersShareBuffer,
        "concurrent_writers_of_one_key_do_not_mix",
    ),
    (Fault::AbortCommits, "an_aborted_writer_leaves_nothing"),
    (Fault::AbortRemovesOld, "an_abort_keeps_the_blob_that_was_there"),
    (Fault::DropCommits, "a_dropped_writer_leaves_nothing"),
    (
        Fault::IgnoresCancellation,
        "a_cancelled_context_stops_a_writer_and_leaves_nothing",
    ),
    (Fault::MissingReadsEmpty, "a_missing_blob_is_not_found"),
    (Fault::MissingStatsEmpty, "a_missing_blob_is_not_found"),
    (Fault::RangeOffByOne, "a_range_gives_the_part_asked_for"),
    (Fault::RangePastEndFails, "a_range_past_the_end_is_cut"),
    (Fault::ReadsInOnePiece, "a_large_blob_takes_little_memory"),
    (
        Fault::ReaderFollowsReplacement,
        "a_reader_sees_the_old_blob_or_the_new_one",
    ),
    (Fault::WrongSize, "a_committed_blob_is_whole_and_visible_at_once"),
    (
        Fault::NoTime,
        "the_size_and_time_of_a_blob_are_those_of_its_commit",
    ),
    (Fault::ListUnsorted, "a_list_is_sorted_by_the_bytes_of_the_keys"),
    (
        Fault::ListSortedByParts,
        "a_list_is_sorted_by_the_bytes_of_the_keys",
    ),
    (
        Fault::PrefixOfWholeParts,
        "a_prefix_selects_exactly_what_begins_with_it",
    ),
    (
        Fault::ListIgnoresPrefix,
        "a_prefix_selects_exactly_what_begins_with_it",
    ),
    (
        Fault::ListForgetsLast,
        "a_prefix_selects_exactly_what_begins_with_it",
    ),
    (Fault::ListShowsUnfinished, "a_list_shows_committed_blobs_only"),
    (Fault::RemoveOfMissingFails, "removing_a_missing_blob_is_fine"),
    (Fault::RemoveKeepsListed, "a_removed_blob_is_gone"),
    (Fault::RemoveTakesMore, "removing_takes_one_blob_only"),
    (Fault::SweepKillsLiving, "sweep_spares_living_writers"),
    (
        Fault::SweepTakesCommitted,
        "sweep_takes_nothing_that_is_committed",
    ),
    (
        Fault::AcceptsBadKeys,
        "keys_that_break_the_rule_are_refused_with_no_effect",
    ),
];

thread_local! {
    /// The trial on this thread is there to see a check panic.
    static EXPECTED: Cell<bool> = const { Cell::new(false) };
}

fn main() -> ExitCode {
    let mut trials = crash::trials(vec![crash_scenario("memory", |folder| {
        Arc::new(MemoryStore::persisted(folder))
    })]);
    trials.extend(runner::trials("memory", CHECKS, || {
        Fixture::Ready(StoreFixture::new(Arc::new(MemoryStore::new())).in_memory())
    }));
    trials.extend(FAULTS.iter().map(|(fault, check)| {
        Trial::test(format!("the checks see the fault {fault:?}"), move || {
            sees(*fault, check)
        })
    }));
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if !EXPECTED.get() {
            report(info);
        }
    }));
    runner::run(trials)
}

fn sees(fault: Fault, check: &str) -> Result<(), Failed> {
    let found = CHECKS.iter().find(|candidate| candidate.name == check);
    let check = found.ok_or_else(|| Failed::from(format!("there is no check `{check}`")))?;
    let store = MemoryStore::with_fault(fault);
    EXPECTED.set(true);
    let outcome = runner::runtime().block_on(async {
        let fixture = StoreFixture::new(Arc::new(store)).in_memory();
        AssertUnwindSafe((check.run)(fixture)).catch_unwind().await
    });
    match outcome {
        Ok(Ok(())) => Err(Failed::from(format!(
            "`{}` passes a store with {fault:?}",
            check.name
        ))),
        Ok(Err(_)) | Err(_) => Ok(()),
    }
}
