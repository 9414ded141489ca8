//! The command line: what may be typed.

mod approval;
mod audit;
mod commands;
mod lint;
mod load;
mod moment;
mod restore;
mod up;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use approval::{Approve, Plan};
pub(crate) use audit::Audit;
pub(crate) use commands::*;
pub(crate) use lint::{Lint, LintDialect};
pub(crate) use load::{Load, RecordFormat};
pub(crate) use restore::Restore;
pub(crate) use up::Up;

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "walkback",
    bin_name = "walkback",
    version,
    about = "Rollback-first database migrations: apply them, and always be able to walk them back",
    after_help = AFTER_HELP,
    max_term_width = 100,
    arg_required_else_help = true,
    subcommand_required = true,
    infer_long_args = false
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const AFTER_HELP: &str = "\
A flag wins over a variable, and a variable over `walkback.toml`; `.env` beside it is read.
Variables: WALKBACK_CONFIG, WALKBACK_ENV, WALKBACK_URL, DATABASE_URL, WALKBACK_LOCK_TIMEOUT,
           WALKBACK_LOG, WALKBACK_LOG_FORMAT, NO_COLOR

Exit codes:
    0  done
    1  failed; the database is as it was
    2  wrong usage or configuration
    3  a check says no
    4  failed, and the database needs `walkback recover`
    5  the lock is held by somebody else
    6  refused by policy, or not confirmed
    7  conflicts were left for a person to decide
    8  a backup is missing or damaged
  130  interrupted, and undone";

/// Flags of every command.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Global {
    /// Configuration file, instead of the first `walkback.toml` upwards from here.
    #[arg(
        short,
        long,
        global = true,
        value_name = "FILE",
        help_heading = "Global options"
    )]
    pub(crate) config: Option<PathBuf>,
    /// Environment of the configuration to work on.
    #[arg(
        short,
        long,
        global = true,
        value_name = "ENV",
        help_heading = "Global options"
    )]
    pub(crate) env: Option<String>,
    /// Database, instead of the one of the environment: `sqlite:app.db`.
    #[arg(
        short,
        long,
        global = true,
        value_name = "URL",
        help_heading = "Global options"
    )]
    pub(crate) url: Option<String>,
    /// Print one JSON object on stdout, also on failure. Never asks: add `--yes`.
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) json: bool,
    /// Answer every question with yes.
    #[arg(short, long, global = true, help_heading = "Global options")]
    pub(crate) yes: bool,
    /// Nobody is there to ask: yes to each question, but refuse what would be asked because it destroys or loses something;
    /// `--allow-destructive` and `--allow-lossy` say what may be.
    #[arg(long, global = true, conflicts_with = "yes", help_heading = "Global options")]
    pub(crate) unattended: bool,
    /// Log what happens to stderr; twice for more.
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Global options")]
    pub(crate) verbose: u8,
    /// How the log is written: `json` is one object a line, and logs also without `-v`.
    #[arg(long, global = true, value_name = "FORMAT", help_heading = "Global options")]
    pub(crate) log_format: Option<LogFormat>,
    /// No progress, no notes and no plan; only the outcome, warnings and errors.
    #[arg(
        short,
        long,
        global = true,
        conflicts_with = "verbose",
        help_heading = "Global options"
    )]
    pub(crate) quiet: bool,
    /// Append what the command says to a file, as Markdown: for the summary of a pipeline.
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    pub(crate) summary: Option<PathBuf>,
    /// When to use colours.
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        help_heading = "Global options"
    )]
    pub(crate) color: ColorWhen,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line, for programs.
    Json,
}

/// When to use colours. They never carry meaning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorWhen {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write a `walkback.toml` and a folder for migrations.
    Init(Init),
    /// Write the files of a new migration.
    #[command(visible_alias = "create")]
    New(New),
    /// Write a migration that joins several heads.
    Merge(Merge),
    /// Check the configuration, the database, the migrations and the vault.
    Doctor(Doctor),
    /// Say what to do when something is wrong: the kind of rollback, and its command.
    Advise(Advise),
    /// Say where the database stands: applied, pending, ahead, edited, drifted.
    #[command(visible_alias = "info")]
    Status(Status),
    /// List all migrations, in order, with their state and what their way back is worth.
    History,
    /// Name the migrations the database is at.
    Current,
    /// Name the migrations nothing follows.
    Heads,
    /// Show one migration: its place, its statements and what they do, its way back.
    Show(Show),
    /// Draw the graph of migrations.
    Graph(Graph),
    /// Apply pending migrations: all, or up to a target.
    #[command(visible_aliases = ["migrate", "upgrade"])]
    Up(Up),
    /// Show what `up` would do, and write it to a file for others to approve.
    Plan(Plan),
    /// Approve a plan: add a signature to its file.
    Approve(Approve),
    /// Deploy: backup, hooks, migrations, health check, and back again by itself if one of them fails.
    Deploy(Deploy),
    /// Run downs, newest first: ONE, or down to a target.
    #[command(visible_aliases = ["downgrade", "revert"])]
    Down(Down),
    /// Go to a target, down and up as needed.
    Goto(Goto),
    /// Bring the database to what the checkout has: walk back what it lacks, apply what is pending.
    Sync(Sync),
    /// Run the down and the up of the newest migration again.
    Redo(Redo),
    /// Write the ledger without running a script.
    #[command(visible_alias = "baseline")]
    Stamp(Stamp),
    /// Walk back: the last run, to a target, to a point or to a backup.
    #[command(visible_alias = "undo")]
    Rollback(Rollback),
    /// Replace tables by what a backup holds.
    Restore(Restore),
    /// Make and look at backups.
    #[command(subcommand)]
    Backup(Backup),
    /// Make, look at and remove rollback points.
    #[command(subcommand)]
    Point(Point),
    /// Read migrations in both directions, and name what will hurt: without running them.
    Lint(Lint),
    /// Prove the way back: up, down, compare schema and data, up; on a copy.
    Verify(Verify),
    /// Load records from a file into a table: in batches, with a way back.
    Load(Load),
    /// Put an unfinished run right.
    Recover(Recover),
    /// Ask the run that is under way to stop and undo itself, from any machine.
    Abort(Abort),
    /// Free the lock of a run whose process is gone, by ending its sessions at the server.
    Unlock(Unlock),
    /// Drop for good what restores replaced and migrations dropped, once its deadline has passed.
    Purge(Purge),
    /// Keep applications from writing, and let them again.
    #[command(subcommand)]
    Maintenance(Maintenance),
    /// List the runs that changed the database, newest first.
    Audit(Audit),
    /// Print completions for a shell.
    Completions(Completions),
    /// Print the manual page, or write those of all commands into a folder.
    Man(Man),
}

impl Command {
    /// Returns the name used in `--json` output.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Init(_) => "init",
            Self::New(_) => "new",
            Self::Merge(_) => "merge",
            Self::Doctor(_) => "doctor",
            Self::Advise(_) => "advise",
            Self::Status(_) => "status",
            Self::History => "history",
            Self::Current => "current",
            Self::Heads => "heads",
            Self::Show(_) => "show",
            Self::Graph(_) => "graph",
            Self::Up(_) => "up",
            Self::Plan(_) => "plan",
            Self::Approve(_) => "approve",
            Self::Deploy(_) => "deploy",
            Self::Down(_) => "down",
            Self::Goto(_) => "goto",
            Self::Sync(_) => "sync",
            Self::Redo(_) => "redo",
            Self::Stamp(_) => "stamp",
            Self::Rollback(_) => "rollback",
            Self::Restore(_) => "restore",
            Self::Backup(Backup::Create(_)) => "backup create",
            Self::Backup(Backup::List(_)) => "backup list",
            Self::Backup(Backup::Show(_)) => "backup show",
            Self::Backup(Backup::Verify(_)) => "backup verify",
            Self::Backup(Backup::Prune(_)) => "backup prune",
            Self::Backup(Backup::Sweep) => "backup sweep",
            Self::Backup(Backup::Export(_)) => "backup export",
            Self::Point(Point::Create(_)) => "point create",
            Self::Point(Point::List) => "point list",
            Self::Point(Point::Show(_)) => "point show",
            Self::Point(Point::Remove(_)) => "point remove",
            Self::Lint(_) => "lint",
            Self::Verify(_) => "verify",
            Self::Load(_) => "load",
            Self::Recover(_) => "recover",
            Self::Abort(_) => "abort",
            Self::Unlock(_) => "unlock",
            Self::Purge(_) => "purge",
            Self::Maintenance(Maintenance::On(_)) => "maintenance on",
            Self::Maintenance(Maintenance::Off(_)) => "maintenance off",
            Self::Maintenance(Maintenance::Status) => "maintenance status",
            Self::Audit(_) => "audit",
            Self::Completions(_) => "completions",
            Self::Man(_) => "man",
        }
    }

    /// Returns the `--jobs` of the command.
    pub(crate) fn jobs(&self) -> Option<usize> {
        let jobs = match self {
            Self::Backup(Backup::Create(args)) => args.jobs,
            Self::Restore(args) => args.jobs,
            _ => None,
        };
        jobs.map(usize::from)
    }

    /// Returns the environment that the command names itself.
    pub(crate) fn environment(&self) -> Option<&str> {
        match self {
            Self::Deploy(args) => Some(&args.environment),
            _ => None,
        }
    }

    /// Returns the `--lock-timeout` of the command.
    pub(crate) fn lock_timeout(&self) -> Option<Duration> {
        match self {
            Self::Up(args) => args.run.consent.lock_timeout,
            Self::Deploy(args) => args.consent.lock_timeout,
            Self::Down(args) => args.run.consent.lock_timeout,
            Self::Goto(args) => args.run.consent.lock_timeout,
            Self::Sync(args) => args.consent.lock_timeout,
            Self::Redo(args) => args.run.consent.lock_timeout,
            Self::Stamp(args) => args.consent.lock_timeout,
            Self::Rollback(args) => args.run.consent.lock_timeout,
            Self::Restore(args) => args.consent.lock_timeout,
            Self::Load(args) => args.consent.lock_timeout,
            Self::Recover(args) => args.consent.lock_timeout,
            Self::Purge(args) => args.consent.lock_timeout,
            Self::Unlock(args) => args.consent.lock_timeout,
            Self::Backup(Backup::Prune(args)) => args.lock_timeout,
            Self::Maintenance(Maintenance::On(args) | Maintenance::Off(args)) => args.consent.lock_timeout,
            _ => None,
        }
    }
}
