//! Rights of users and roles in backups and restores, where the server keeps them apart from the schema.

use walkback_core::grants::{Grant, GrantKeeping, GrantScope, Grants};
use walkback_core::{Cx, Error, ErrorKind, Result, TableName};
use walkback_vault::Manifest;

use crate::execute::Execution;
use crate::plan::PointScope;
use crate::restore::RestorePlan;
use crate::runner::Runner;

impl Runner {
    /// Returns whether the rights on this database are part of its schema: then every backup holds them, and every
    /// restore brings them back, whether they are asked for or not.
    #[must_use]
    pub fn grants_are_in_schema(&self) -> bool {
        matches!(self.engine().grants(), GrantKeeping::InSchema)
    }

    /// Plans to give back, after a restore, the rights that its backup holds: those on chosen tables where the plan
    /// is for chosen tables. Accounts that this server does not have are left out, with a warning that names them.
    /// Where rights are part of the schema there is nothing to plan.
    ///
    /// # Errors
    /// `NotFound` if the backup holds no rights, `PermissionDenied` with the statement that helps if the user of
    /// the connection may not give them, `Unsupported` where there are none.
    pub async fn plan_grants(&self, cx: &Cx, plan: &mut RestorePlan) -> Result<()> {
        let Some(server) = self.apart()? else {
            return Ok(());
        };
        let manifest = self.point(cx, &plan.point).await?;
        let mut grants = manifest.grants.clone().ok_or_else(|| none_held(&manifest))?;
        if let Some(only) = &plan.only {
            grants.retain(|grant| is_on(grant, only));
        }
        let obstacles = server.obstacles(cx, &grants).await?;
        if let Some(missing) = obstacles.missing_rights.first() {
            let error = Error::new(
                ErrorKind::PermissionDenied,
                format!("the user of this connection lacks a right that the run needs: {missing}"),
            );
            return Err(error.hint("nothing was changed"));
        }
        for account in &obstacles.absent {
            let others = grants.iter().filter(|grant| grant.account == *account).count();
            plan.warnings.push(format!(
                "`{account}` is no user or role of this server: what it may do is not given back ({others} of the \
                 backup's grants); create it, and run the restore again"
            ));
        }
        grants.retain(|grant| !obstacles.absent.contains(&grant.account));
        plan.grants = grants;
        Ok(())
    }

    /// Reads the rights that a backup of this scope holds. `None` where they are part of the schema.
    pub(crate) async fn grants_held(&self, cx: &Cx, scope: &PointScope) -> Result<Option<Vec<Grant>>> {
        let Some(server) = self.apart()? else {
            return Ok(None);
        };
        let mut grants = server.held(cx).await?;
        if let PointScope::Tables(tables) = scope {
            grants.retain(|grant| is_on(grant, tables));
        }
        Ok(Some(grants))
    }

    /// Returns the way to rights that are kept apart from the schema. `None` where they are part of it.
    fn apart(&self) -> Result<Option<&dyn Grants>> {
        match self.engine().grants() {
            GrantKeeping::Apart(server) => Ok(Some(server)),
            GrantKeeping::InSchema => Ok(None),
            GrantKeeping::None => Err(Error::unsupported("keeping grants", self.dialect().kind())
                .hint("there are no users and no rights in it: run the same command without `--grants`")),
        }
    }

    /// Returns the statements that give the rights a backup holds, those on chosen tables where some are chosen.
    pub(crate) fn grant_statements(
        &self,
        grants: &[Grant],
        only: Option<&[TableName]>,
    ) -> Result<Vec<String>> {
        let GrantKeeping::Apart(server) = self.engine().grants() else {
            return Ok(Vec::new());
        };
        let chosen = grants
            .iter()
            .filter(|grant| only.is_none_or(|only| is_on(grant, only)));
        chosen.map(|grant| server.statement(grant)).collect()
    }
}

impl Execution<'_> {
    /// Gives back the rights of a plan, once everything else is done: they cannot be part of a transaction, and on a
    /// table only once it is there. What goes wrong is a warning, and the same restore puts it right.
    pub(crate) async fn give_back(&mut self, cx: &Cx, plan: &RestorePlan) {
        let GrantKeeping::Apart(server) = self.runner.engine().grants() else {
            return;
        };
        if plan.grants.is_empty() {
            return;
        }
        match server.give(cx, &plan.grants).await {
            Ok(refused) => {
                self.report.grants = plan.grants.len().saturating_sub(refused.len());
                self.report.warnings.extend(refused);
            }
            Err(error) => self.report.warnings.push(format!(
                "the tables are restored, and the grants are not all given back: {error}; run `walkback restore {} \
                 --grants` once more",
                plan.point
            )),
        }
        cx.step("restore.granted");
    }
}

fn is_on(grant: &Grant, tables: &[TableName]) -> bool {
    match &grant.on {
        GrantScope::Table(name) => tables.iter().any(|table| table.name.eq_ignore_ascii_case(name)),
        _ => false,
    }
}

fn none_held(manifest: &Manifest) -> Error {
    Error::not_found(format!("`{}` holds no grants", manifest.id))
        .hint("restore it without `--grants`; those that the server has now stay as they are")
        .hint("`walkback backup create --grants` makes a backup that holds them")
}
