//! `contract-alone`: a migration contracts, and none before it expands.

use std::path::PathBuf;

use walkback_core::statement::Location;
use walkback_core::{Direction, Phase};

use crate::lint::subject::{Subject, finding};
use crate::lint::{Finding, Level, Rule};

pub(super) fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let migration = subject.migration;
    if migration.phase != Some(Phase::Contract) || subject.has_expanded {
        return Vec::new();
    }
    let at = subject.up.statements.first().map_or_else(
        || Location {
            file: PathBuf::from(&migration.file),
            line: 1,
        },
        |first| first.at.clone(),
    );
    vec![finding(
        Rule::ContractAlone,
        Level::Warning,
        Direction::Up,
        &at,
        format!(
            "`{}` contracts, and no migration before it expands",
            migration.name()
        ),
        "mark the migration that added what the new code needs with `-- walkback: phase=expand`, or take the mark away here",
    )]
}
