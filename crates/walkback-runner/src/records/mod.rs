//! Loading records from a file into a table, as a run of its own: validated, in batches, with a way back.
//!
//! Each batch commits together with its checkpoint and with what takes its rows back: the key of each row, and a hash of
//! the row as it was loaded. A load that was killed goes on behind its last batch, or back; a rollback removes the rows
//! that are still as they were loaded, and nothing else.

mod abroad;
mod batch;
mod blame;
mod cell;
mod check;
mod columns;
mod convert;
mod image;
mod kind;
mod look;
mod moment;
mod options;
mod parents;
mod pinned;
mod plan;
mod read;
mod recover;
mod rejects;
mod report;
mod run;
mod tally;
mod undo;

pub use columns::LoadColumn;
pub use look::LoadUndo;
pub use options::{LoadFormat, LoadOptions, MaxFailures};
pub use plan::LoadPlan;
pub use report::{LoadReport, Reason, RejectedRecord};

pub(crate) use recover::LoadRecovery;
