//! `cargo xtask layers`: the architecture, enforced by a program instead of by memory.

mod edges;
mod homes;
mod shape;
#[cfg(test)]
mod tests;
mod workspace;

use std::fmt;
use std::path::Path;

use anyhow::{Result, bail};
use workspace::Member;

/// Something that breaks a rule, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    /// The file, with a line where there is one.
    pub(crate) at: String,
    pub(crate) what: String,
    pub(crate) hint: String,
}

impl Violation {
    pub(crate) fn new(at: &str, what: String, hint: &str) -> Self {
        Self {
            at: at.to_owned(),
            what,
            hint: hint.to_owned(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}\n    hint: {}", self.at, self.what, self.hint)
    }
}

/// Prints violations, and fails if there are any.
pub(crate) fn report(check: &str, seen: &str, violations: &[Violation]) -> Result<()> {
    for violation in violations {
        println!("{violation}");
    }
    if violations.is_empty() {
        println!("{check}: {seen}, all in order");
        return Ok(());
    }
    bail!(
        "{check} found {} thing(s) to put right in {seen}",
        violations.len()
    );
}

/// Checks the workspace at `root`.
pub(crate) fn run(root: &Path) -> Result<()> {
    let members = workspace::read(root)?;
    let files: usize = members.iter().map(|member| member.files.len()).sum();
    report(
        "layers",
        &format!("{} crates, {files} files", members.len()),
        &check(&members, homes::EXCEPTIONS),
    )
}

fn check(members: &[Member], exceptions: &[homes::Exception]) -> Vec<Violation> {
    let mut violations = edges::check(members);
    violations.extend(shape::check(members));
    violations.extend(homes::check(members, exceptions));
    violations
}
