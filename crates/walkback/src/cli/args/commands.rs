//! The arguments of each command.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand, ValueEnum};
use walkback_runner::RecoverDirection;
use walkback_runner::vault::Keep;

/// Flags of commands that change the database.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Rules")]
pub(crate) struct ConsentArgs {
    /// How long to wait for the lock: `5s`, `500ms`.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(crate) lock_timeout: Option<Duration>,
    /// Ticket of the change, for the policy and the audit.
    #[arg(long, value_name = "ID")]
    pub(crate) ticket: Option<String>,
    /// Why, in words, for the audit.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Go ahead although statements destroy something.
    #[arg(long)]
    pub(crate) allow_destructive: bool,
    /// Go ahead although something is lost that cannot be brought back.
    #[arg(long)]
    pub(crate) allow_lossy: bool,
    /// Confirm by the name of the environment, where the policy says `confirm = "type-name"` and nobody can type it.
    #[arg(long, value_name = "ENV")]
    pub(crate) confirm_name: Option<String>,
}

/// Flags of commands that run scripts.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct RunArgs {
    /// Show the plan and change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print the SQL that would be executed, and change nothing.
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) sql: bool,
    #[command(flatten)]
    pub(crate) consent: ConsentArgs,
}

/// Where to go.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct TargetArgs {
    /// Target: an id, a unique prefix, `head`, `base`, `+N`, `-N`, `label@head`.
    #[arg(value_name = "TARGET", allow_negative_numbers = true, conflicts_with_all = ["to", "count"])]
    pub(crate) target: Option<String>,
    /// The same, as a flag.
    #[arg(
        long,
        value_name = "TARGET",
        allow_negative_numbers = true,
        conflicts_with = "count"
    )]
    pub(crate) to: Option<String>,
    /// How many migrations.
    #[arg(short = 'n', long = "count", value_name = "N", value_parser = at_least_one)]
    pub(crate) count: Option<usize>,
}

pub(super) fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(0) => Err("it must be at least 1".to_owned()),
        Ok(number) => Ok(number),
        Err(error) => Err(error.to_string()),
    }
}

/// Arguments of `init`.
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// Layout of the migrations.
    #[arg(long, value_name = "KIND", default_value = "sql")]
    pub(crate) source: String,
    /// Folder of the migrations.
    #[arg(long, value_name = "FOLDER", default_value = "migrations")]
    pub(crate) path: String,
}

/// Arguments of `new`.
#[derive(Debug, Args)]
pub(crate) struct New {
    /// What it is about: `add_users`. With `--down-from-up` the migration: its id, its name or its slug.
    pub(crate) slug: String,
    /// What it follows, instead of the only head.
    #[arg(long, value_name = "ID")]
    pub(crate) parent: Vec<String>,
    /// Write the way back of a migration that is there and has none, derived from its up script.
    #[arg(long, conflicts_with = "parent")]
    pub(crate) down_from_up: bool,
}

/// Arguments of `merge`.
#[derive(Debug, Args)]
pub(crate) struct Merge {
    /// The heads to join.
    #[arg(required = true, num_args = 2.., value_name = "ID")]
    pub(crate) ids: Vec<String>,
    /// What the migration is called.
    #[arg(long, default_value = "merge")]
    pub(crate) slug: String,
}

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Check what a production environment should have as well, and try the ways back of what is pending on a scratch
    /// database.
    #[arg(long)]
    pub(crate) production: bool,
}

/// Arguments of `advise`.
#[derive(Debug, Args)]
pub(crate) struct Advise {
    /// What is wrong. Asked if nothing is said.
    #[arg(value_name = "SYMPTOM")]
    pub(crate) symptom: Option<SymptomArg>,
}

/// What is wrong, as a person sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SymptomArg {
    /// The schema is not what the migration should have made of it.
    Incomplete,
    /// Data is wrong since the migration.
    Corrupt,
    /// The database is slow since the migration.
    Slow,
    /// The application fails since the migration.
    Application,
    /// A migration failed, or was stopped, half-way.
    Partial,
}

/// Arguments of `status`.
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Exit with 3 unless the database is exactly where the migrations are.
    #[arg(long)]
    pub(crate) check: bool,
}

/// Arguments of `show`.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// Its id, or a unique prefix.
    #[arg(value_name = "ID")]
    pub(crate) id: String,
}

/// Arguments of `graph`.
#[derive(Debug, Args)]
pub(crate) struct Graph {
    /// How to draw it.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: GraphFormat,
}

/// How to draw the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum GraphFormat {
    /// Lines and letters.
    Text,
    /// A Mermaid flowchart.
    Mermaid,
    /// Graphviz.
    Dot,
}

/// Arguments of `deploy`.
#[derive(Debug, Args)]
pub(crate) struct Deploy {
    /// The environment of the configuration to deploy to.
    #[arg(value_name = "ENV")]
    pub(crate) environment: String,
    /// How far: an id, a unique prefix, `head`, `+N`, `label@head`; all pending migrations if nothing is said.
    #[arg(long, value_name = "TARGET", allow_negative_numbers = true)]
    pub(crate) to: Option<String>,
    /// One part of changes in two parts: `expand` with the new code, `contract` when no old code runs any more.
    #[arg(long, value_name = "PHASE", value_parser = super::up::phase, conflicts_with = "to")]
    pub(crate) phase: Option<walkback_core::Phase>,
    /// Deploy the plan of a file, as it was approved.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["to", "phase"])]
    pub(crate) plan: Option<PathBuf>,
    /// Show the stages and the plan, and run nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) consent: ConsentArgs,
}

/// Arguments of `down`.
#[derive(Debug, Args)]
pub(crate) struct Down {
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// Arguments of `goto`.
#[derive(Debug, Args)]
pub(crate) struct Goto {
    /// Target: an id, a unique prefix, `head`, `base`, `+N`, `-N`, `label@head`.
    #[arg(allow_negative_numbers = true)]
    pub(crate) target: String,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// Arguments of `sync`.
#[derive(Debug, Args)]
pub(crate) struct Sync {
    /// What becomes of cells and rows that a migration changed and that were changed again since.
    #[arg(long, value_name = "POLICY", default_value = "keep")]
    pub(crate) on_conflict: ConflictPolicy,
    /// Show what would be walked back and applied, and change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) consent: ConsentArgs,
}

/// Arguments of `redo`.
#[derive(Debug, Args)]
pub(crate) struct Redo {
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// Arguments of `stamp`.
#[derive(Debug, Args)]
pub(crate) struct Stamp {
    /// Target: an id, a unique prefix, `head`, `base`.
    #[arg(allow_negative_numbers = true)]
    pub(crate) target: String,
    /// Take every row out of the ledger first, also what no file knows.
    #[arg(long)]
    pub(crate) purge: bool,
    /// Show what would be written, and change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) consent: ConsentArgs,
}

/// Arguments of `rollback`.
#[derive(Debug, Args)]
pub(crate) struct Rollback {
    /// Rollback point, instead of the one of the last run; with `--type backup` a backup, and beside the file of a
    /// dump the migration that is the newest in it.
    #[arg(value_name = "POINT", conflicts_with_all = ["to", "to_time", "count"])]
    pub(crate) point: Option<String>,
    /// Walk back until this migration is the newest; beside the file of a dump, the newest in it.
    #[arg(
        long,
        value_name = "TARGET",
        allow_negative_numbers = true,
        conflicts_with = "count"
    )]
    pub(crate) to: Option<String>,
    /// Walk back what was applied after this moment: RFC 3339, or `2026-11-20 14:03:00`, in UTC if it says no offset.
    #[arg(long, value_name = "MOMENT", value_parser = super::moment::parse, conflicts_with_all = ["to", "count", "backup"])]
    pub(crate) to_time: Option<DateTime<Utc>>,
    /// Walk back this many migrations.
    #[arg(short = 'n', long = "count", value_name = "N", value_parser = at_least_one, conflicts_with = "backup")]
    pub(crate) count: Option<usize>,
    /// Walk back to what a backup holds: its id, the path of its manifest in the vault, or the file of a dump that
    /// `pg_dump`, `mysqldump` or SQLite has made.
    #[arg(long = "backup-file", value_name = "BACKUP", visible_alias = "backup")]
    pub(crate) backup: Option<String>,
    /// How to walk back.
    #[arg(long = "type", value_name = "KIND", default_value = "auto")]
    pub(crate) kind: RollbackType,
    /// What becomes of cells and rows that the migration changed and that were changed again since, where rows go back
    /// cell by cell.
    #[arg(long, value_name = "POLICY", default_value = "keep")]
    pub(crate) on_conflict: ConflictPolicy,
    /// The whole procedure: stop services, make a backup, walk back, start services, ask the health check, then bring the
    /// code back; by the hooks of the environment.
    #[arg(long, conflicts_with = "sql")]
    pub(crate) full: bool,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// What becomes of what was changed again since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ConflictPolicy {
    /// It stays as it is now, and is listed.
    Keep,
    /// It goes back as well; the safety point keeps what it was changed to.
    Revert,
    /// Nothing is changed, and the exit code is 7.
    Stop,
}

/// How to walk back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RollbackType {
    /// The way that loses least; the choice and its reason are printed.
    Auto,
    /// Down scripts, newest first.
    Down,
    /// What the migration changed in rows, cell by cell; what was written since stays.
    Surgical,
    /// Only the rows that the migration added go; all else stays as it is now.
    Partial,
    /// Tables as they were at the point.
    Full,
    /// The database's own, while the run is unfinished.
    Transaction,
    /// Straight from a backup.
    Backup,
}

/// The commands of `backup`.
#[derive(Debug, Subcommand)]
pub(crate) enum Backup {
    /// Back up tables, or everything.
    Create(BackupCreate),
    /// List the backups, newest first, and the dumps of other tools in a folder.
    List(BackupList),
    /// Show what a backup or the file of a dump holds.
    Show(BackupId),
    /// Read every byte of backups and check it.
    Verify(BackupVerify),
    /// Write a backup as plain SQL or as JSON Lines, for other programs.
    Export(BackupExport),
    /// Remove the backups and points that no rule keeps and nothing needs, and give their space back.
    Prune(BackupPrune),
    /// Remove what killed writers have left, and chunks that no backup and no point needs any more.
    Sweep,
}

/// Arguments of `backup prune`.
#[derive(Debug, Args)]
pub(crate) struct BackupPrune {
    /// Keep everything younger than this: `30d`. In the place of `retention` of the environment.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(crate) retention: Option<Duration>,
    /// Keep so many generations: `daily=7,weekly=4`; of `last`, `hourly`, `daily`, `weekly`, `monthly`, `yearly`.
    /// In the place of `keep` of the environment.
    #[arg(long, value_name = "RULES", value_parser = <Keep as FromStr>::from_str)]
    pub(crate) keep: Option<Keep>,
    /// Show what goes and what stays, and why, and change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// How long to wait for the lock: `5s`, `500ms`.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(crate) lock_timeout: Option<Duration>,
    /// Confirm by the name of the environment, where the policy says `confirm = "type-name"` and nobody can type it.
    #[arg(long, value_name = "ENV")]
    pub(crate) confirm_name: Option<String>,
}

/// Arguments of `backup create`.
#[derive(Debug, Args)]
pub(crate) struct BackupCreate {
    /// Tables; none means all.
    #[arg(value_name = "TABLE")]
    pub(crate) tables: Vec<String>,
    /// Only this table, as `restore` has it; may be repeated.
    #[arg(long = "table", value_name = "TABLE")]
    pub(crate) only: Vec<String>,
    /// What it is for.
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<String>,
    /// Keep the rights of users and roles on the database too. On PostgreSQL every backup holds them.
    #[arg(long)]
    pub(crate) grants: bool,
    /// How many sessions work side by side; as many as there are processors if nothing is said.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=8))]
    pub(crate) jobs: Option<u8>,
}

/// Arguments of `backup list`.
#[derive(Debug, Args)]
pub(crate) struct BackupList {
    /// List also the dumps of other tools in this folder.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) dumps: Option<PathBuf>,
}

/// One backup or point.
#[derive(Debug, Args)]
pub(crate) struct BackupId {
    /// Its id, or a unique prefix; for `backup`, also the file of a dump.
    #[arg(value_name = "ID")]
    pub(crate) id: String,
}

/// Arguments of `backup verify`.
#[derive(Debug, Args)]
pub(crate) struct BackupVerify {
    /// Backups and points, or files of dumps; none means all of the vault.
    #[arg(value_name = "ID")]
    pub(crate) ids: Vec<String>,
    /// Restore each into a scratch database as well, and compare schema and rows.
    #[arg(long)]
    pub(crate) restore: bool,
}

/// Arguments of `backup export`.
#[derive(Debug, Args)]
pub(crate) struct BackupExport {
    /// Its id, or a unique prefix.
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    /// The folder to write into. It must not be there yet, or be empty.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) out: PathBuf,
    /// What to write.
    #[arg(long, value_name = "FORMAT", default_value = "sql")]
    pub(crate) format: BackupFormat,
    /// Only this table; may be repeated.
    #[arg(long = "table", value_name = "TABLE")]
    pub(crate) tables: Vec<String>,
}

/// What to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BackupFormat {
    /// One file that `psql`, `mysql` or `sqlite3` loads.
    Sql,
    /// One file for each table, a JSON object a row.
    Jsonl,
}

/// The commands of `point`.
#[derive(Debug, Subcommand)]
pub(crate) enum Point {
    /// Make a rollback point of everything, now.
    Create(PointCreate),
    /// List the points, newest first.
    List,
    /// Show what a point holds.
    Show(BackupId),
    /// Remove a point, and what only it holds.
    Remove(PointRemove),
}

/// Arguments of `point create`.
#[derive(Debug, Args)]
pub(crate) struct PointCreate {
    /// What it is for.
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<String>,
}

/// Arguments of `point remove`.
#[derive(Debug, Args)]
pub(crate) struct PointRemove {
    /// Its id, or a unique prefix.
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    /// Remove it although an applied migration needs it to be walked back, or although it cannot be read.
    #[arg(long)]
    pub(crate) force: bool,
    /// Confirm by the name of the environment, where the policy says `confirm = "type-name"` and nobody can type it.
    #[arg(long, value_name = "ENV")]
    pub(crate) confirm_name: Option<String>,
}

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Migrations; none means all.
    #[arg(value_name = "ID")]
    pub(crate) ids: Vec<String>,
    /// Also write the outcomes into this file, in the form of JUnit.
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
}

/// Arguments of `recover`.
#[derive(Debug, Args)]
pub(crate) struct Recover {
    /// Go back to what was there before the half-done migration.
    #[arg(long, conflicts_with = "forward")]
    pub(crate) back: bool,
    /// Run what is left of the half-done migration.
    #[arg(long)]
    pub(crate) forward: bool,
    /// Show what was found and what would be done, and change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) consent: ConsentArgs,
}

impl Recover {
    /// Returns the way that was asked for.
    pub(crate) fn direction(&self) -> Option<RecoverDirection> {
        match (self.back, self.forward) {
            (true, _) => Some(RecoverDirection::Back),
            (_, true) => Some(RecoverDirection::Forward),
            _ => None,
        }
    }
}

/// Arguments of `abort`.
#[derive(Debug, Args)]
pub(crate) struct Abort {
    /// How long to wait until the run has stopped and undone what it had begun; `60s` if nothing is said.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(crate) wait: Option<Duration>,
}

/// Arguments of `unlock`.
#[derive(Debug, Args)]
pub(crate) struct Unlock {
    #[command(flatten)]
    pub(crate) consent: ConsentArgs,
}

/// Arguments of `purge`.
#[derive(Debug, Args)]
pub(crate) struct Purge {
    /// Drop also what has not reached its deadline.
    #[arg(long)]
    pub(crate) all: bool,
    /// Show what would be dropped and what stays, and change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) consent: ConsentArgs,
}

/// The commands of `maintenance`.
#[derive(Debug, Subcommand)]
pub(crate) enum Maintenance {
    /// Keep applications from writing; runs of walkback still write.
    On(MaintenanceSwitch),
    /// Let applications write again.
    Off(MaintenanceSwitch),
    /// Say whether applications are kept from writing.
    Status,
}

/// Arguments of `maintenance on` and `maintenance off`.
#[derive(Debug, Args)]
pub(crate) struct MaintenanceSwitch {
    #[command(flatten)]
    pub(crate) consent: ConsentArgs,
}

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell.
    pub(crate) shell: clap_complete::Shell,
}

/// Arguments of `man`.
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Write one page for each command into this folder.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) dir: Option<PathBuf>,
}
