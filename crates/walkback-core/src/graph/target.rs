//! The grammar of targets: what a person may write where a migration is wanted.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, ErrorKind, Result};
use crate::migration::MigrationId;

/// Where to go, as it was written. What it means depends on the graph, and for steps on what is applied.
///
/// | written | means |
/// |---|---|
/// | `head` | the one migration that no other follows |
/// | `heads` | all of them |
/// | `base` | before the first migration |
/// | `20260411` | the migration with this identity |
/// | `20260411_drop_legacy` | the same, by its full name |
/// | `202604` | the same, by the beginning of either, where only one begins so |
/// | `author:id` | the migration with this alias, where only one has it |
/// | `billing` | the migration that declares the label `billing` |
/// | `+2`, `-1` | so many steps from what is applied |
/// | `20260411+1`, `head-2` | so many steps from there |
/// | `billing@head`, `billing@base`, `billing@-1`, `billing@20260411` | the same on one branch |
///
/// A full identity or name always means that migration, even if it could be read as steps too. What holds a `:` is never
/// read as steps or as a branch: other tools call their migrations `author:2024-01`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub(super) text: String,
    pub(super) label: Option<String>,
    pub(super) anchor: Anchor,
    pub(super) steps: Option<Steps>,
}

/// What a target starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Anchor {
    /// What is applied.
    Current,
    Head,
    Heads,
    Base,
    Named(String),
}

/// How far a target is from its anchor; never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Steps {
    Forward(usize),
    Back(usize),
}

impl Target {
    /// Returns the target `head`.
    #[must_use]
    pub fn head() -> Self {
        Self::plain("head".to_owned(), Anchor::Head, None)
    }

    /// Returns the target `heads`.
    #[must_use]
    pub fn heads() -> Self {
        Self::plain("heads".to_owned(), Anchor::Heads, None)
    }

    /// Returns the target `base`.
    #[must_use]
    pub fn base() -> Self {
        Self::plain("base".to_owned(), Anchor::Base, None)
    }

    /// Returns the target of exactly this migration.
    #[must_use]
    pub fn id(id: &MigrationId) -> Self {
        Self::plain(id.0.clone(), Anchor::Named(id.0.clone()), None)
    }

    /// Returns the target `+N`.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] for 0.
    pub fn forward(steps: usize) -> Result<Self> {
        format!("+{steps}").parse()
    }

    /// Returns the target `-N`.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] for 0.
    pub fn back(steps: usize) -> Result<Self> {
        format!("-{steps}").parse()
    }

    /// Returns whether the target depends on what is applied.
    #[must_use]
    pub fn is_relative(&self) -> bool {
        self.anchor == Anchor::Current
    }

    fn plain(text: String, anchor: Anchor, steps: Option<Steps>) -> Self {
        Self {
            text,
            label: None,
            anchor,
            steps,
        }
    }
}

/// Writes the target as it was written.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Target {
    type Err = Error;

    /// # Errors
    /// [`ErrorKind::Usage`] that says which part cannot be read.
    fn from_str(text: &str) -> Result<Self> {
        if text.is_empty() {
            return Err(usage("a target is wanted, and this one is empty".to_owned())
                .hint("write `head`, `base`, `-1` or the identity of a migration"));
        }
        if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(
                usage(format!("the target `{}` holds a blank", text.escape_debug()))
                    .hint("give one target, without blanks"),
            );
        }
        if text.contains(':') {
            return Ok(Self::plain(text.to_owned(), Anchor::Named(text.to_owned()), None));
        }
        let (label, rest) = match text.split_once('@') {
            None => (None, text),
            Some((label, rest)) => (Some(branch(text, label, rest)?), rest),
        };
        let (anchor, steps) = split_steps(text, rest)?;
        let anchor = match anchor {
            "" => Anchor::Current,
            "head" => Anchor::Head,
            "heads" => Anchor::Heads,
            "base" => Anchor::Base,
            name => Anchor::Named(name.to_owned()),
        };
        Ok(Self {
            text: text.to_owned(),
            label,
            anchor,
            steps,
        })
    }
}

fn branch(text: &str, label: &str, rest: &str) -> Result<String> {
    if label.is_empty() {
        return Err(
            usage(format!("`{text}` names no branch before the `@`")).hint(format!("write `<label>@{rest}`"))
        );
    }
    if rest.is_empty() {
        return Err(
            usage(format!("`{text}` names no migration after the `@`")).hint(format!("write `{label}@head`"))
        );
    }
    if rest.contains('@') {
        return Err(usage(format!("`{text}` holds more than one `@`")));
    }
    Ok(label.to_owned())
}

/// Splits `abc-2` into `abc` and two steps back. A sign that is not followed by digits alone belongs to the
/// name: slugs may hold one.
fn split_steps<'a>(text: &str, rest: &'a str) -> Result<(&'a str, Option<Steps>)> {
    let Some(at) = rest.rfind(['+', '-']) else {
        return Ok((rest, None));
    };
    let (name, digits) = (&rest[..at], &rest[at + 1..]);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        if name.is_empty() {
            return Err(usage(format!("`{text}` is not a number of steps"))
                .hint("write `+2` for two migrations forward, `-1` for one back"));
        }
        return Ok((rest, None));
    }
    let count: usize = digits
        .parse()
        .map_err(|error| usage(format!("`{text}` is too many steps")).with_source(error))?;
    if count == 0 {
        return Err(usage(format!("`{text}` is no step at all")).hint("the least is one: `+1` or `-1`"));
    }
    let steps = if rest.as_bytes()[at] == b'+' {
        Steps::Forward(count)
    } else {
        Steps::Back(count)
    };
    Ok((name, Some(steps)))
}

/// Two targets, `from:to`: what to show of a history, or between which states to write SQL. Either may be
/// left out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Range {
    /// Where it begins; left out, at the bases.
    pub from: Option<Target>,
    /// Where it ends; left out, at the heads.
    pub to: Option<Target>,
}

impl Range {
    /// Returns the range from one target to another.
    #[must_use]
    pub fn new(from: Option<Target>, to: Option<Target>) -> Self {
        Self { from, to }
    }
}

/// Writes the range as `from:to`.
impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |side: &Option<Target>| side.as_ref().map(ToString::to_string).unwrap_or_default();
        write!(f, "{}:{}", side(&self.from), side(&self.to))
    }
}

impl FromStr for Range {
    type Err = Error;

    /// # Errors
    /// [`ErrorKind::Usage`] if there is not exactly one `:`, or a side is no target.
    fn from_str(text: &str) -> Result<Self> {
        let side = |side: &str| match side {
            "" => Ok(None),
            side => side.parse().map(Some),
        };
        match text.split_once(':') {
            Some((from, to)) if !to.contains(':') => Ok(Self::new(side(from)?, side(to)?)),
            Some(_) => Err(usage(format!("the range `{text}` holds more than one `:`"))),
            None => Err(usage(format!("`{text}` is not a range")).hint(format!(
                "write `{text}:` for what follows it, `:{text}` for what leads to it"
            ))),
        }
    }
}

pub(super) fn usage(message: String) -> Error {
    Error::new(ErrorKind::Usage, message)
}
