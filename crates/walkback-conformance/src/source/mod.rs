//! What every source must pass.
//!
//! A fixture is a [`Harness`]: it opens the source and writes files for it. Most sources read a folder, and
//! for them [`Folder`] is the harness; a test of an adapter then reads
//! ```ignore
//! fn main() -> ExitCode {
//!     let layout = Layout {
//!         open: |folder| Arc::new(SqlSource::new(folder)),
//!         id: |n| n.to_string(),
//!         up: |id| format!("{id}_change/up.sql"),
//!         down: |id| format!("{id}_change/down.sql"),
//!         stray: "notes.txt",
//!     };
//!     walkback_conformance::source::main("sql", layout)
//! }
//! ```
//! [`memory_source`] is a source in memory that can be told to break the contract: it shows that each check
//! sees what it is there for.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use walkback_core::MigrationSource;

use crate::checks;
use crate::runner::{Check, Fixture, note, run, trials};

mod create;
mod down;
mod folder;
mod load;
pub mod memory_source;
mod script;

pub use folder::{Folder, Layout};

/// Opens a source, and writes what it reads.
pub trait Harness: Send + Sync {
    /// Opens the source. Each call gives a new one, over the same files.
    fn open(&self) -> Arc<dyn MigrationSource>;

    /// Returns an identity. A larger number gives one that comes later, also past 10.
    fn id(&self, n: u32) -> String;

    /// Writes the files of a migration: its way up, and its way down where there is one.
    fn add(&self, id: &str, up: &[u8], down: Option<&[u8]>);

    /// Writes a file that is no migration, and returns its path.
    fn add_stray(&self) -> PathBuf;

    /// Removes all there is, also where it was.
    fn remove_all(&self);

    /// Returns every file there is, with its bytes.
    fn contents(&self) -> BTreeMap<PathBuf, Vec<u8>>;
}

/// What each check works on: a harness without a migration.
pub type Subject = Box<dyn Harness>;

/// The checks, one for each line of the contract.
pub const CHECKS: &[Check<Subject>] = checks![
    load::an_empty_folder_is_an_empty_graph,
    load::a_folder_that_does_not_exist_is_not_found_and_named,
    load::load_finds_every_migration_in_order,
    load::load_names_the_file_of_each_migration,
    load::load_says_which_migrations_have_a_way_back,
    load::load_names_every_file_it_cannot_use,
    load::two_loads_of_the_same_files_give_the_same_graph,
    load::load_sees_what_was_added_since,
    load::load_sees_what_was_removed_since,
    load::load_takes_time_linear_in_the_number_of_files,
    load::load_ends_when_it_is_cancelled,
    load::a_source_says_where_it_is,
    load::the_ledger_has_one_column_for_the_identity,
    script::script_gives_the_text_byte_for_byte,
    script::script_names_the_file_and_line_the_text_begins_on,
    script::script_tells_the_two_directions_apart,
    script::script_of_a_direction_nobody_wrote_is_none,
    script::script_of_an_unknown_migration_is_not_found_and_named,
    script::script_needs_no_load,
    script::script_that_is_not_text_is_an_error_with_its_file_and_line,
    script::nothing_but_create_writes,
    create::create_writes_a_migration_that_load_finds,
    create::create_returns_exactly_the_files_it_wrote,
    create::create_begins_where_there_is_nothing,
    create::create_follows_the_last_migration,
    create::create_never_overwrites,
    create::create_of_a_known_identity_writes_nothing,
    create::create_refuses_what_leads_out_of_the_folder,
    down::write_down_gives_a_migration_the_way_down_it_had_not,
    down::write_down_fills_the_empty_one_of_a_new_migration,
    down::write_down_leaves_everything_else_as_it_is,
    down::write_down_never_overwrites,
    down::write_down_of_an_unknown_migration_is_not_found,
];

/// Runs the checks of a source whose files no [`Layout`] describes, as the `main` of a test binary. What its layout has no
/// place for is left out, with the reason, which is printed.
#[must_use]
pub fn main_without(
    name: &str,
    fixture: impl Fn() -> Fixture<Subject> + Send + Sync + 'static,
    left_out: &[(&str, &str)],
) -> ExitCode {
    let is_left_out = |trial: &str| {
        left_out
            .iter()
            .any(|(check, _)| trial == format!("{name}::{check}"))
    };
    for (check, why) in left_out {
        assert!(
            CHECKS.iter().any(|known| known.name == *check),
            "there is no check `{check}`"
        );
        note(&format!("{name}::{check} is left out: {why}"));
    }
    let mut trials = trials(name, CHECKS, fixture);
    trials.retain(|trial| !is_left_out(trial.name()));
    run(trials)
}

/// Runs the checks as the `main` of a test binary.
#[must_use]
pub fn main(name: &str, layout: Layout) -> ExitCode {
    run(trials(name, CHECKS, move || {
        Fixture::Ready(Box::new(Folder::new(layout)) as Subject)
    }))
}
