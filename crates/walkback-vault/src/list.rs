//! Finding points: all of them, or one by the beginning of its id.

use chrono::{DateTime, Utc};
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use walkback_core::{Cx, Error, ErrorKind, Result, TableName};

use crate::manifest::PointFileContent;
use crate::vault::Vault;
use crate::{Database, LedgerState, Manifest, PointKind, Totals, error};

/// How many manifests are read at the same time.
const AT_ONCE: usize = 4;

/// A point in a list.
#[derive(Debug)]
#[non_exhaustive]
pub struct PointSummary {
    /// Its id.
    pub id: String,
    /// When its manifest was written, by the clock of the store.
    pub modified: DateTime<Utc>,
    /// What it was made for; `None` if nobody can tell.
    pub kind: Option<PointKind>,
    /// The public keys of those who can open it; empty if it is not encrypted.
    pub encrypted_to: Vec<String>,
    /// What it is, or why it cannot be used.
    pub info: Result<PointInfo>,
    /// In a set of several vaults: which of them have it whole, and which have it damaged.
    pub stores: Vec<PointStore>,
}

/// One of several vaults that have a point.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct PointStore {
    /// The name of the store.
    pub name: String,
    /// What is wrong with the manifest there.
    pub error: Option<String>,
}

impl PointSummary {
    /// Returns when the point was made; for one that cannot be read, when its manifest was written.
    #[must_use]
    pub fn created_at(&self) -> DateTime<Utc> {
        self.info.as_ref().map_or(self.modified, |info| info.created_at)
    }
}

/// What a list shows of a point that can be read.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct PointInfo {
    /// When it was begun.
    pub created_at: DateTime<Utc>,
    /// What it was made for.
    pub kind: PointKind,
    /// What a person wrote about it.
    pub description: Option<String>,
    /// The run it belongs to.
    pub run_id: Option<String>,
    /// The database.
    pub database: Database,
    /// The migrations that were applied.
    pub ledger: LedgerState,
    /// The tables whose rows are kept.
    pub tables: Vec<TableName>,
    /// Sums over the tables.
    pub totals: Totals,
    /// How many grants it holds, where rights were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grants: Option<usize>,
}

impl PointKind {
    /// Returns the words used in messages for a point of this kind, made for this run: one that a person made before an `up` is
    /// for none.
    #[must_use]
    pub const fn words_for(self, run_id: Option<&str>) -> &'static str {
        match (self, run_id) {
            (Self::BeforeUp, None) => "point",
            _ => self.words(),
        }
    }
}

impl PointStore {
    pub(crate) fn new(name: String, error: Option<String>) -> Self {
        Self { name, error }
    }
}

impl From<Manifest> for PointInfo {
    fn from(manifest: Manifest) -> Self {
        Self {
            created_at: manifest.created_at,
            kind: manifest.kind,
            description: manifest.description,
            run_id: manifest.run_id,
            database: manifest.database,
            ledger: manifest.ledger,
            tables: manifest.tables.into_iter().map(|entry| entry.table).collect(),
            totals: manifest.totals,
            grants: manifest.grants.map(|grants| grants.len()),
        }
    }
}

impl Vault {
    /// Lists the points, newest first. One whose manifest cannot be read is in the list, with the reason.
    ///
    /// # Errors
    /// Fails if the store does.
    pub async fn list(&self, cx: &Cx) -> Result<Vec<PointSummary>> {
        let files = self.point_files(cx).await?;
        let summaries = files
            .into_iter()
            .map(|file| self.summary_if_there(cx, file).boxed());
        let found = futures::stream::iter(summaries).buffered(AT_ONCE);
        let mut summaries: Vec<_> = found
            .try_collect::<Vec<_>>()
            .await?
            .into_iter()
            .flatten()
            .collect();
        summaries.sort_by_key(|point| std::cmp::Reverse((point.created_at(), point.id.clone())));
        Ok(summaries)
    }

    /// Opens a point by its id, or by the beginning of its id where only one point begins so.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], with the ids that come close; [`ErrorKind::Usage`] if several points begin
    /// so; [`ErrorKind::Damaged`] if the manifest is not what was written.
    pub async fn open(&self, cx: &Cx, id: &str) -> Result<Manifest> {
        let full = self.find(cx, id).await?;
        self.manifest(cx, &full).await
    }

    /// Returns the full id of the point that is called so or begins so.
    pub(crate) async fn find(&self, cx: &Cx, id: &str) -> Result<String> {
        find_in(id, self.point_files(cx).await?, &self.location())
    }

    async fn summary_if_there(&self, cx: &Cx, file: PointFile) -> Result<Option<PointSummary>> {
        match self.summary(cx, &file).await {
            // Removed since the store listed it.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            other => other.map(Some),
        }
    }

    async fn summary(&self, cx: &Cx, file: &PointFile) -> Result<PointSummary> {
        let mut summary = PointSummary {
            id: file.id.clone(),
            modified: file.modified,
            kind: None,
            encrypted_to: Vec::new(),
            info: Err(error::manifest(&file.id, "its name does not end in `.json`")),
            stores: Vec::new(),
        };
        if !file.is_manifest {
            return Ok(summary);
        }
        let bytes = self.manifest_bytes(cx, &file.id, &self.point_key(&file.id)).await;
        let content = bytes.and_then(|bytes| PointFileContent::parse(&file.id, &bytes));
        if let Ok(PointFileContent::Sealed(envelope)) = &content {
            summary.kind = Some(envelope.kind);
            summary.encrypted_to.clone_from(&envelope.encryption.recipients);
        }
        let manifest = match content {
            Ok(content) => self.unseal(&file.id, content).await,
            Err(error) => Err(error),
        };
        match manifest {
            Ok(manifest) => {
                summary.kind = Some(manifest.kind);
                summary.info = Ok(manifest.into());
            }
            Err(error) if error::is_about_a_point(&error) => summary.info = Err(error),
            Err(error) => return Err(error),
        }
        Ok(summary)
    }

    /// Lists the files of points without reading them, sorted by name.
    pub(crate) async fn point_files(&self, cx: &Cx) -> Result<Vec<PointFile>> {
        self.files_below(cx, "points/").await
    }

    pub(crate) async fn files_below(&self, cx: &Cx, below: &str) -> Result<Vec<PointFile>> {
        let prefix = self.key(below);
        let blobs = self.store.list(cx, &prefix).await?;
        blobs
            .map_ok(|blob| {
                let name = blob.key.strip_prefix(&prefix).unwrap_or(&blob.key);
                let stem = name.strip_suffix(".json");
                PointFile {
                    id: stem.unwrap_or(name).to_owned(),
                    is_manifest: stem.is_some(),
                    modified: blob.modified,
                }
            })
            .try_collect()
            .await
    }
}

/// Returns the full id of the one among these points that is called so or begins so.
pub(crate) fn find_in(id: &str, files: Vec<PointFile>, location: &str) -> Result<String> {
    if files.iter().any(|file| file.id == id) {
        return Ok(id.to_owned());
    }
    let matching: Vec<_> = files
        .iter()
        .filter(|file| !id.is_empty() && file.id.starts_with(id))
        .collect();
    match matching.as_slice() {
        [only] => Ok(only.id.clone()),
        [] => Err(unknown(id, files, location)),
        several => Err(several_begin_so(id, several)),
    }
}

/// Returns the error for a point that is not there, with those that come close.
fn unknown(id: &str, mut files: Vec<PointFile>, location: &str) -> Error {
    let error = Error::not_found(format!("there is no point `{id}` in the vault at `{}`", location));
    if files.is_empty() {
        return error.hint("the vault has no points; `walkback point create` makes one");
    }
    files.sort_by_key(|file| std::cmp::Reverse(file.modified));
    let close = files
        .iter()
        .filter(|file| strsim::jaro_winkler(&file.id, id) > 0.9 || (id.len() > 3 && file.id.contains(id)))
        .take(3)
        .map(|file| format!("`{}`", file.id))
        .collect::<Vec<_>>();
    let error = if close.is_empty() {
        // What a migration left is nothing to go back to.
        let newest = files.iter().find(|file| !file.id.starts_with("ch_"));
        let newest = newest.unwrap_or(&files[0]);
        error.hint(format!("the newest point is `{}`", newest.id))
    } else {
        error.hint(format!("did you mean {}?", close.join(" or ")))
    };
    error.hint("run `walkback point list` to see all points")
}

/// A file under `points/`, by its name alone.
#[derive(Debug, Clone)]
pub(crate) struct PointFile {
    pub(crate) id: String,
    pub(crate) is_manifest: bool,
    pub(crate) modified: DateTime<Utc>,
}

fn several_begin_so(id: &str, several: &[&PointFile]) -> Error {
    let names = several
        .iter()
        .take(5)
        .map(|file| format!("`{}`", file.id))
        .collect::<Vec<_>>();
    let more = several.len() - names.len();
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    Error::new(
        ErrorKind::Usage,
        format!("{} points begin with `{id}`", several.len()),
    )
    .hint(format!(
        "they are {}{more}; give more of the id",
        names.join(", ")
    ))
}
