//! What a point has to hold.

use walkback_core::statement::Severity;

use super::{PlannedStep, PointScope};
use crate::protect::Protect;

impl PlannedStep {
    /// Returns what must be kept before this step so that it can be undone without any script.
    pub(crate) fn scope(&self) -> PointScope {
        let worst = self.statements.iter().map(|statement| statement.severity).max();
        let destroys = worst >= Some(Severity::AddsRows);
        // Outside a transaction also half of an addition has to be taken back.
        let needs = destroys || !self.transaction && worst > Some(Severity::None);
        match self.protect {
            Protect::Off => PointScope::None,
            // What it destroys is moved aside or copied beside, and its way back brings back all else.
            Protect::SoftDelete | Protect::BackupTable if self.is_soft() => PointScope::None,
            // What it changes is captured while it changes it.
            Protect::Capture | Protect::BackupTable if self.is_captured() => PointScope::None,
            Protect::Auto | Protect::SoftDelete | Protect::BackupTable | Protect::Capture if !needs => {
                PointScope::None
            }
            // Outside a transaction nobody can look at what it did and take it back to keep more.
            _ if !self.transaction && destroys && self.keeps_everything => PointScope::Everything,
            // What only adds is undone by the journal, statement by statement, and no row is needed for it.
            Protect::Auto | Protect::SoftDelete | Protect::BackupTable | Protect::Capture
                if !destroys && !self.keeps_everything =>
            {
                PointScope::Tables(Vec::new())
            }
            Protect::Auto
            | Protect::SoftDelete
            | Protect::BackupTable
            | Protect::Capture
            | Protect::Vault => self.touched().map_or(PointScope::Everything, PointScope::Tables),
        }
    }

    /// Returns what must be kept before this step so that walking it back can itself be walked back: every
    /// table it changes in any way.
    pub(crate) fn safety_scope(&self) -> PointScope {
        match self.touched() {
            Some(tables) if tables.is_empty() => PointScope::None,
            Some(tables) => PointScope::Tables(tables),
            None => PointScope::Everything,
        }
    }
}

impl PointScope {
    /// Returns what covers both.
    #[must_use]
    pub(crate) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Everything, _) | (_, Self::Everything) => Self::Everything,
            (Self::None, scope) | (scope, Self::None) => scope,
            (Self::Tables(mut tables), Self::Tables(more)) => {
                tables.extend(
                    more.into_iter()
                        .filter(|table| !tables.contains(table))
                        .collect::<Vec<_>>(),
                );
                Self::Tables(tables)
            }
        }
    }
}
