//! The rules, by name.

use std::fmt;

use serde::Serialize;

/// A rule. Its name is stable: scripts name it in `-- walkback: allow=..`, and other programs read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Rule {
    /// A script cannot be run the way it is written.
    UnreadableScript,
    /// An `allow=..` names no rule, or stands before no statement.
    UselessAllow,
    /// The down does nothing, although the up does.
    EmptyDown,
    /// There is no way back, and nobody says so.
    Irreversible,
    /// The down brings back a definition without its data.
    DownLosesData,
    /// A statement keeps others from a table for as long as it takes to read or write all of it.
    LocksTable,
    /// A statement would fail, or do its work twice, if the script ran again after it stopped half-way.
    NotRerunnable,
    /// Nobody can read what a statement does.
    UnknownStatement,
    /// A migration that expands takes away or narrows what the old code needs.
    ExpandNarrows,
    /// A migration contracts, and none before it expands.
    ContractAlone,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::UnreadableScript,
        Self::UselessAllow,
        Self::EmptyDown,
        Self::Irreversible,
        Self::DownLosesData,
        Self::LocksTable,
        Self::NotRerunnable,
        Self::UnknownStatement,
        Self::ExpandNarrows,
        Self::ContractAlone,
    ];

    /// Returns its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::UnreadableScript => "unreadable-script",
            Self::UselessAllow => "useless-allow",
            Self::EmptyDown => "empty-down",
            Self::Irreversible => "irreversible",
            Self::DownLosesData => "down-loses-data",
            Self::LocksTable => "locks-table",
            Self::NotRerunnable => "not-rerunnable",
            Self::UnknownStatement => "unknown-statement",
            Self::ExpandNarrows => "expand-narrows",
            Self::ContractAlone => "contract-alone",
        }
    }

    /// Returns whether a script may silence it. What makes a script useless is not a matter of opinion.
    #[must_use]
    pub const fn can_be_allowed(self) -> bool {
        !matches!(self, Self::UnreadableScript | Self::UselessAllow)
    }

    /// Returns the rule that a script may silence by this name.
    pub(super) fn allowed(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|rule| rule.can_be_allowed() && rule.name() == name)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
