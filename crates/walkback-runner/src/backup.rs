//! Backups and points that a person asks for.

use walkback_core::{Access, Cx, Error, ErrorKind, Result, TableName};
use walkback_vault::{Manifest, PointKind, PointSummary, StoreReport};

use crate::plan::PointScope;
use crate::point::{self, PointRequest};
use crate::runner::Runner;
use crate::settings::Consent;

impl Runner {
    /// Backs up chosen tables, or the whole database, in one consistent snapshot, while others go on writing. With
    /// `grants` it holds the rights on them as well; where these are part of the schema it does anyway.
    ///
    /// # Errors
    /// `NotFound` if a table does not exist. With `grants`, `PermissionDenied` if they may not be read, and
    /// `Unsupported` where there are none; nothing is written then.
    pub async fn backup_create(
        &self,
        cx: &Cx,
        tables: &[String],
        description: Option<&str>,
        grants: bool,
    ) -> Result<Manifest> {
        let scope = self.scope_of(cx, tables).await?;
        let grants = match grants {
            true => self.grants_held(cx, &scope).await?,
            false => None,
        };
        let about = match tables {
            [table] => table.as_str(),
            _ => "",
        };
        let request = PointRequest {
            kind: PointKind::Backup,
            prefix: "bk",
            about,
            scope: &scope,
            description: description.map(str::to_owned),
            run_id: None,
            of: None,
            grants,
            before: None,
        };
        self.keep(cx, request).await
    }

    /// Makes a rollback point of the whole database, to which `rollback` can go back.
    ///
    /// # Errors
    /// Fails if the database or the vault cannot be used.
    pub async fn point_create(&self, cx: &Cx, description: Option<&str>) -> Result<Manifest> {
        let request = PointRequest {
            kind: PointKind::BeforeUp,
            prefix: "rb",
            about: "manual",
            scope: &PointScope::Everything,
            description: description.map(str::to_owned),
            run_id: None,
            of: None,
            grants: None,
            before: None,
        };
        self.keep(cx, request).await
    }

    /// Returns the points and backups of the vault, newest first; damaged ones are listed with the reason.
    ///
    /// # Errors
    /// Fails if the vault cannot be read.
    pub async fn points(&self, cx: &Cx) -> Result<Vec<PointSummary>> {
        self.needed_vault()?.list(cx).await
    }

    /// Returns the manifest of a point or backup.
    ///
    /// # Errors
    /// `NotFound` if there is none of that id, `Damaged` if it is not what was written.
    pub async fn point(&self, cx: &Cx, id: &str) -> Result<Manifest> {
        self.needed_vault()?.open(cx, id).await
    }

    /// Reads all of a point or backup in every store that has it, and names what is damaged where.
    ///
    /// # Errors
    /// `NotFound` if no store has it.
    pub async fn point_verify(&self, cx: &Cx, id: &str) -> Result<Vec<StoreReport>> {
        self.needed_vault()?.verify(cx, id).await
    }

    /// Returns the points that applied migrations need and the vault has not, each with the name of its
    /// migration.
    ///
    /// # Errors
    /// Fails if the vault or the journal cannot be read.
    pub async fn points_missing(&self, cx: &Cx) -> Result<Vec<(String, String)>> {
        let points = self.points(cx).await?;
        let state = self.state(cx).await?;
        let needed = state
            .stored
            .values()
            .filter_map(|stored| Some((stored.point.clone()?, stored.name())));
        Ok(needed
            .filter(|(id, _)| points.iter().all(|point| point.id != *id))
            .collect())
    }

    /// Removes a point or backup, and the chunks that no other one needs. One whose manifest cannot be read is
    /// given up by its whole id, with `even_if_needed`; what it named is garbage once the grace period is over.
    ///
    /// # Errors
    /// `Refused` if an applied migration can only be walked back with it, unless `even_if_needed`.
    pub async fn point_remove(&self, cx: &Cx, id: &str, even_if_needed: bool) -> Result<()> {
        let vault = self.needed_vault()?;
        let manifest = match vault.open(cx, id).await {
            Err(error) if even_if_needed && is_unreadable(&error) => {
                self.note_removal(cx, id).await;
                return vault.remove(cx, id).await;
            }
            other => other?,
        };
        let state = self.state(cx).await?;
        let needed = state
            .stored
            .values()
            .find(|stored| stored.point.as_deref() == Some(&manifest.id));
        if let (Some(stored), false) = (needed, even_if_needed) {
            return Err(Error::new(
                ErrorKind::Refused,
                format!("`{}` is the point before `{}`, which is applied", manifest.id, stored.name()),
            )
            .hint("without it that migration can be walked back by a script at best; add `--force` if that is meant"));
        }
        self.note_removal(cx, &manifest.id).await;
        vault.remove(cx, &manifest.id).await?;
        vault.collect_garbage(cx).await.map(|_| ())
    }

    async fn note_removal(&self, cx: &Cx, id: &str) {
        let detail = format!("removes `{id}` from the stores");
        self.note_in_audit(cx, "point remove", &Consent::default(), &detail)
            .await;
    }

    /// Returns what a point holds of these tables, or of all.
    pub(crate) async fn scope_of(&self, cx: &Cx, tables: &[String]) -> Result<PointScope> {
        if tables.is_empty() {
            return Ok(PointScope::Everything);
        }
        let mut session = self.connect(cx, Access::Read).await?;
        let schema = self.schema(cx, &mut *session).await?;
        let found = tables.iter().map(|name| {
            let table = schema.table(&TableName::new(name));
            table.map(|table| table.name.clone()).ok_or_else(|| {
                let names: Vec<_> = schema.tables.iter().map(|table| table.name.to_string()).collect();
                Error::not_found(format!("there is no table `{name}`"))
                    .hint(format!("there are: {}", names.join(", ")))
            })
        });
        found.collect::<Result<_>>().map(PointScope::Tables)
    }

    pub(crate) async fn keep(&self, cx: &Cx, request: PointRequest<'_>) -> Result<Manifest> {
        let state = self.state(cx).await?;
        let written = point::make(self, cx, &state, request).await?;
        Ok(written.manifest)
    }
}

/// Returns whether an error says that a manifest is there and cannot be used.
fn is_unreadable(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Damaged | ErrorKind::Unsupported)
}
