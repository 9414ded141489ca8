//! Preconditions of a changelog, or of a changeset in it, in XML, YAML and JSON.

use walkback_core::Result;

use crate::changelog::{Place, Reading};
use crate::changeset::{Check, Conditions};
use crate::formatted::on_fail;
use crate::tree::Node;

/// What stands at the conditions. What is said on an error concerns conditions that nobody can ask, which stop walkback anyway;
/// and what is done where Liquibase only writes SQL is none of its business.
const KNOWN: &[&str] = &[
    "onFail",
    "onError",
    "onFailMessage",
    "onErrorMessage",
    "onSqlOutput",
    "onUpdateSql",
];

/// Returns what these elements ask for.
pub(crate) fn of<'n>(
    groups: impl IntoIterator<Item = &'n Node>,
    (reading, place): (&Reading<'_>, &Place),
) -> Result<Conditions> {
    let mut conditions = Conditions::default();
    for all in groups {
        if let Some(name) = all.unknown(KNOWN) {
            conditions.refuse(format!("`{name}` of a precondition"), all.line);
        }
        if let Some(value) = all.get("onFail") {
            conditions.on_fail = on_fail(value, all.line, &mut conditions.refusal);
        }
        let on_error = all.get("onError").unwrap_or("HALT");
        if !on_error.eq_ignore_ascii_case("halt") {
            conditions.refuse(format!("`onError={on_error}` of a precondition"), all.line);
        }
        for check in &all.children {
            one(reading, place, check, &mut conditions)?;
        }
    }
    Ok(conditions)
}

fn one(reading: &Reading<'_>, place: &Place, check: &Node, conditions: &mut Conditions) -> Result<()> {
    let known: &[&str] = match check.name.as_str() {
        "sqlCheck" => &["sql", "expectedResult"],
        "dbms" => &["type"],
        other => {
            conditions.refuse(format!("the precondition `{other}`"), check.line);
            return Ok(());
        }
    };
    if let Some(name) = check.unknown(known) {
        conditions.refuse(
            format!("`{name}` of the precondition `{}`", check.name),
            check.line,
        );
        return Ok(());
    }
    if check.name == "sqlCheck" {
        conditions.checks.push(Check {
            sql: check.get("sql").unwrap_or(&check.text).trim().to_owned(),
            expected: check.get("expectedResult").unwrap_or_default().to_owned(),
            line: check.line,
        });
        return Ok(());
    }
    let wanted = check.get("type").unwrap_or_default();
    if !reading.is_for(wanted, (place, check.line))? {
        // What does not hold is decided already; it is asked where its turn comes, as all others are.
        conditions.checks.push(Check {
            sql: "SELECT 'another engine'".to_owned(),
            expected: wanted.trim().to_owned(),
            line: check.line,
        });
    }
    Ok(())
}
