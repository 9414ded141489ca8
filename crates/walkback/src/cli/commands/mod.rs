//! The commands, one file each.

mod abort;
mod advise;
mod approve;
mod audit;
mod backup;
mod backup_verify;
mod change;
mod completions;
mod current;
mod deploy;
mod doctor;
mod down;
mod dump;
mod goto;
mod graph;
mod heads;
mod history;
mod init;
mod lint;
mod load;
mod maintenance;
mod man;
mod merge;
mod new;
mod past;
mod plan;
mod point;
mod prune;
mod purge;
mod recover;
mod redo;
mod restore;
mod rollback;
mod show;
mod stamp;
mod status;
mod sync;
mod unlock;
mod up;
mod verify;

use walkback_core::Result;

use super::args::Command;
use super::context::Context;

/// Runs a command, and returns its exit code.
pub(crate) async fn run(context: &Context, command: Command) -> Result<u8> {
    match command {
        Command::Init(args) => init::run(context, &args),
        Command::New(args) => new::run(context, &args).await,
        Command::Merge(args) => merge::run(context, &args).await,
        Command::Doctor(args) => Box::pin(doctor::run(context, &args)).await,
        Command::Advise(args) => Box::pin(advise::run(context, &args)).await,
        Command::Status(args) => status::run(context, &args).await,
        Command::History => history::run(context).await,
        Command::Current => current::run(context).await,
        Command::Heads => heads::run(context).await,
        Command::Show(args) => show::run(context, &args).await,
        Command::Graph(args) => graph::run(context, &args).await,
        Command::Up(args) => Box::pin(up::run(context, &args)).await,
        Command::Plan(args) => Box::pin(plan::run(context, &args)).await,
        Command::Approve(args) => approve::run(context, &args),
        Command::Deploy(args) => Box::pin(deploy::run(context, &args)).await,
        Command::Down(args) => down::run(context, &args).await,
        Command::Goto(args) => goto::run(context, &args).await,
        Command::Sync(args) => Box::pin(sync::run(context, &args)).await,
        Command::Redo(args) => redo::run(context, &args).await,
        Command::Stamp(args) => stamp::run(context, &args).await,
        Command::Rollback(args) => Box::pin(rollback::run(context, &args)).await,
        Command::Restore(args) => restore::run(context, &args).await,
        Command::Backup(command) => Box::pin(backup::run(context, &command)).await,
        Command::Point(command) => point::run(context, &command).await,
        Command::Lint(args) => lint::run(context, &args).await,
        Command::Verify(args) => verify::run(context, &args).await,
        Command::Load(args) => Box::pin(load::run(context, &args)).await,
        Command::Recover(args) => recover::run(context, &args).await,
        Command::Abort(args) => abort::run(context, &args).await,
        Command::Unlock(args) => unlock::run(context, &args).await,
        Command::Purge(args) => purge::run(context, &args).await,
        Command::Maintenance(command) => maintenance::run(context, &command).await,
        Command::Audit(args) => audit::run(context, &args).await,
        Command::Completions(args) => completions::run(context, &args),
        Command::Man(args) => man::run(context, &args),
    }
}
