//! `-- walkback: allow=<rule>,<rule>`: what a script says is meant.
//!
//! In the comments before the first statement it speaks of the whole script; further down, of the statement it
//! stands before. The lines are read as sources read their directives: one that begins with `-- walkback:`.

use std::path::Path;

use walkback_core::migration::SqlScript;
use walkback_core::statement::Location;
use walkback_core::{Dialect, Direction};

use super::subject::finding;
use super::{Finding, Level, Rule};

/// What the `allow=..` of one script say.
#[derive(Debug, Default)]
pub(super) struct Allowed {
    /// Each with the line of the statement it is about; `None` is the whole script.
    rules: Vec<(Rule, Option<usize>)>,
    /// What is wrong with them.
    pub(super) useless: Vec<Finding>,
}

impl Allowed {
    /// Reads what a script says.
    pub(super) fn read(sql: &SqlScript, dialect: &dyn Dialect, direction: Direction) -> Self {
        let mut allowed = Self::default();
        // What cannot be split is reported as such.
        let statements = dialect.split(&sql.text, Path::new("")).unwrap_or_default();
        let lines: Vec<usize> = statements.iter().map(|statement| statement.line).collect();
        let directives = (1..).zip(sql.text.lines()).filter_map(|(line, text)| {
            let rules = rules_of(text)?;
            Some((line, rules))
        });
        for (line, names) in directives {
            let at = Location {
                file: sql.location.file.clone(),
                line: sql.location.line + line - 1,
            };
            let next = lines.iter().find(|statement| **statement > line);
            let scope = match (lines.first(), next) {
                (None, _) => None,
                (Some(first), _) if line < *first => None,
                (_, Some(next)) => Some(sql.location.line + next - 1),
                (_, None) => {
                    allowed.useless.push(behind_all(direction, &at));
                    continue;
                }
            };
            for name in names {
                match Rule::allowed(&name) {
                    Some(rule) => allowed.rules.push((rule, scope)),
                    None => allowed.useless.push(unknown(direction, &at, &name)),
                }
            }
        }
        allowed
    }

    /// Returns whether a finding is meant, as the script says.
    pub(super) fn covers(&self, found: &Finding) -> bool {
        self.rules
            .iter()
            .any(|(rule, line)| *rule == found.rule && line.is_none_or(|line| line == found.at.line))
    }

    /// Returns whether a rule is silenced for the whole script.
    pub(super) fn covers_all(&self, rule: Rule) -> bool {
        self.rules.contains(&(rule, None))
    }
}

fn unknown(direction: Direction, at: &Location, name: &str) -> Finding {
    let names: Vec<_> = Rule::ALL
        .into_iter()
        .filter(|rule| rule.can_be_allowed())
        .map(Rule::name)
        .collect();
    finding(
        Rule::UselessAllow,
        Level::Error,
        direction,
        at,
        format!("`allow={name}` names no rule that can be allowed"),
        format!("the rules are {}", names.join(", ")),
    )
}

fn behind_all(direction: Direction, at: &Location) -> Finding {
    finding(
        Rule::UselessAllow,
        Level::Error,
        direction,
        at,
        "`allow=..` stands before no statement",
        "put it on a line of its own, before the statement it is about or, for the whole script, before the first",
    )
}

/// Returns the rules that a line allows, if it does.
fn rules_of(line: &str) -> Option<Vec<String>> {
    let text = line.trim_start().strip_prefix("--")?.trim_start();
    let mut rest = text.strip_prefix("walkback:")?.trim();
    for section in ["up", "down"] {
        if let Some(behind) = rest.strip_prefix(section)
            && behind.starts_with(char::is_whitespace)
        {
            rest = behind.trim_start();
        }
    }
    let mut found = None;
    while let Some((key, behind)) = rest.split_once('=') {
        let (value, tail) = match behind.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => behind.split_once(char::is_whitespace).unwrap_or((behind, "")),
        };
        if key == "allow" {
            let names = value.split(',').map(|name| name.trim().to_owned());
            found.get_or_insert_with(Vec::new).extend(names);
        }
        rest = tail.trim_start();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allow_is_read_wherever_a_directive_may_stand() {
        let read = |line| rules_of(line).unwrap_or_default();
        assert_eq!(read("-- walkback: allow=locks-table"), ["locks-table"]);
        assert_eq!(read("  --walkback: allow=a,b"), ["a", "b"]);
        assert_eq!(
            read("-- walkback: down transaction=off allow=\"a, b\""),
            ["a", "b"]
        );
        assert_eq!(read("-- walkback: irreversible=\"we allow=all\" allow=c"), ["c"]);
        for none in [
            "SELECT 1; -- walkback: allow=a",
            "-- walkback: touches a",
            "-- allow=a",
            "-- walkback: up",
        ] {
            assert!(rules_of(none).is_none(), "{none}");
        }
    }
}
