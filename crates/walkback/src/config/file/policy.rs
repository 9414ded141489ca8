//! `[env.<name>.policy]`: what the environment allows.

use walkback_core::{Error, Result};
use walkback_runner::{Approver, Confirmation, Decision, Hours, Policy};

use super::keys::POLICY;
use super::{Located, Table};

impl Table<'_> {
    pub(super) fn policy(&self) -> Result<Policy> {
        const DECISIONS: [(&str, Decision); 3] = [
            ("allow", Decision::Allow),
            ("ask", Decision::Ask),
            ("refuse", Decision::Refuse),
        ];
        const CONFIRMATIONS: [(&str, Confirmation); 2] =
            [("yes", Confirmation::Yes), ("type-name", Confirmation::TypeName)];
        self.allow(POLICY, &[])?;
        Ok(Policy {
            destructive: self.choice("destructive", &DECISIONS)?.unwrap_or_default(),
            lossy: self.choice("lossy", &DECISIONS)?.unwrap_or_default(),
            require_ticket: self.boolean("require_ticket")?.unwrap_or_default(),
            confirm: self.choice("confirm", &CONFIRMATIONS)?.unwrap_or_default(),
            allowed_users: self.allowed_users()?,
            allowed_hours: self.allowed_hours()?,
            read_only_during_run: self.boolean("read_only_during_run")?.unwrap_or_default(),
            approvals: self.approvals()?,
            approvers: self.approvers()?,
            self_approval: self.boolean("self_approval")?.unwrap_or_default(),
            approval_lifetime: self.duration("approval_lifetime")?,
        })
    }

    /// More approvals than there are approvers would lock everybody out.
    fn approvals(&self) -> Result<usize> {
        let Some(wanted) = self.count("approvals")? else {
            return Ok(0);
        };
        if self.approvers_file()?.is_none() {
            enough(&wanted, &self.approvers()?)?;
        }
        Ok(wanted.value)
    }

    /// Reads who may approve, where they are listed; those of a file are read when the environment is used.
    fn approvers(&self) -> Result<Vec<String>> {
        if self.approvers_file()?.is_some() {
            return Ok(Vec::new());
        }
        let listed = self.strings("approvers")?.unwrap_or_default();
        let checked = listed.into_iter().map(|line| match Approver::parse(&line.value) {
            Ok(_) => Ok(line.value),
            Err(error) => Err(moved(&line, &error)),
        });
        checked.collect()
    }

    /// Returns the file that says who may approve, where it is one.
    pub(super) fn approvers_file(&self) -> Result<Option<Located<String>>> {
        match self.get("approvers") {
            Some(value) if value.get_ref().as_str().is_some() => self.string("approvers"),
            _ => Ok(None),
        }
    }

    /// A list of nobody would lock everybody out.
    fn allowed_users(&self) -> Result<Vec<String>> {
        let Some(users) = self.strings("allowed_users")? else {
            return Ok(Vec::new());
        };
        if users.is_empty() || users.iter().any(|user| user.value.trim().is_empty()) {
            return Err(self
                .place(&self.key_span("allowed_users"))
                .error("`allowed_users` names nobody")
                .hint("write it as `allowed_users = [\"alice\", \"deploy@ci\"]`, or leave it out"));
        }
        Ok(users.into_iter().map(|user| user.value).collect())
    }

    /// Reads hours: one string, or a list of them.
    fn allowed_hours(&self) -> Result<Vec<Hours>> {
        let Some(value) = self.get("allowed_hours") else {
            return Ok(Vec::new());
        };
        let texts = match value.get_ref().as_str() {
            Some(_) => vec![self.string_of("allowed_hours", value)?],
            None => self.strings("allowed_hours")?.unwrap_or_default(),
        };
        if texts.is_empty() {
            return Err(self
                .place(&self.key_span("allowed_hours"))
                .error("`allowed_hours` names none")
                .hint(
                    "write it as `allowed_hours = \"Mon-Fri 08:00-18:00 Europe/Berlin\"`, or leave it out",
                ));
        }
        texts.iter().map(hours).collect()
    }
}

fn hours(text: &Located<String>) -> Result<Hours> {
    text.value.parse::<Hours>().map_err(|error| moved(text, &error))
}

/// Says an error again, with the place of what it is about.
fn moved(text: &Located<String>, error: &Error) -> Error {
    let told = text.at.error(error.message());
    let hints = error.hints().iter().cloned();
    hints.fold(told, Error::hint)
}

/// Fails if fewer people are listed than have to approve.
pub(crate) fn enough(wanted: &Located<usize>, lines: &[String]) -> Result<()> {
    let approvers = lines.iter().map(|line| Approver::parse(line));
    let people = Approver::people(&approvers.collect::<Result<Vec<_>>>()?);
    if wanted.value <= people {
        return Ok(());
    }
    let error = wanted
        .at
        .error(format!("`approvals = {}` wants more than `approvers` lists", wanted.value))
        .hint("list them as `approvers = [\"ssh-ed25519 AAAA.. ann@example.com\"]`, or name an `allowed_signers` file");
    Err(match people < lines.len() {
        true => {
            error.hint("keys of one person are one approver: `ann@laptop` and `ann@desktop` are both `ann`")
        }
        false => error,
    })
}
