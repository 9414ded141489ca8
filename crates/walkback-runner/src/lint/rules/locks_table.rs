//! `locks-table`: a statement keeps others from a table for as long as it takes to read or write all of it.

use walkback_core::statement::Action;
use walkback_core::{Direction, Statement};
use walkback_sql::table_locks;

use crate::lint::subject::{Subject, finding};
use crate::lint::{Finding, Level, Rule};
use crate::plan::{ReadScript, creates};

pub(super) fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (direction, script) in subject.scripts() {
        findings.extend(of_script(subject, direction, script));
    }
    findings
}

fn of_script(subject: &Subject<'_>, direction: Direction, script: &ReadScript) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut earlier: Vec<&Action> = Vec::new();
    for statement in &script.statements {
        let plain = Statement {
            sql: statement.sql.clone(),
            line: statement.at.line,
            touches: Vec::new(),
        };
        for lock in table_locks(subject.dialect.kind(), &plain) {
            // Nobody waits for a table that was not there before.
            if creates(&lock.table.name, &earlier) {
                continue;
            }
            let mut found = finding(
                Rule::LocksTable,
                Level::Warning,
                direction,
                &statement.at,
                format!(
                    "table `{}` is locked for as long as it is large: {}",
                    lock.table, lock.why
                ),
                lock.instead,
            );
            found.table = Some(lock.table);
            findings.push(found);
        }
        earlier.extend(&statement.effect.actions);
    }
    findings
}
