//! What statements of the log set off in the scratch database: triggers, functions and views, with the names that are in them.

use walkback_core::Result;

use super::apply::Replaying;

/// What may hold the name of a database and is run by statements: the view of the catalog, its database, and the text. Events do not
/// run there.
const BODIES: [(&str, &str, &str); 3] = [
    ("TRIGGERS", "TRIGGER_SCHEMA", "ACTION_STATEMENT"),
    ("ROUTINES", "ROUTINE_SCHEMA", "ROUTINE_DEFINITION"),
    ("VIEWS", "TABLE_SCHEMA", "VIEW_DEFINITION"),
];

impl Replaying {
    /// Returns what in the scratch database names the real one or a third by itself, or does not show what it names: a
    /// statement that sets it off could write there.
    pub(super) async fn reaching_out(&mut self) -> Result<Option<String>> {
        for (table, schema, body) in BODIES {
            let sql = format!("SELECT {body} FROM information_schema.{table} WHERE {schema} = DATABASE()");
            for row in self.scratch.texts(&sql).await? {
                let Some(text) = row.into_iter().next().flatten() else {
                    return Ok(Some(format!(
                        "one of its {} does not show its text",
                        table.to_lowercase()
                    )));
                };
                let text = text.to_lowercase();
                // As a name, or in a text that is run as a statement.
                let database = self.names.database.to_lowercase();
                if places(&text, &database).next().is_some() {
                    return Ok(Some(format!(
                        "one of its {} names the database",
                        table.to_lowercase()
                    )));
                }
                let other = self.names.others.iter().find(|other| {
                    places(&text, other).any(|end| {
                        let behind = text[end..].strip_prefix(['`', '"']).unwrap_or(&text[end..]);
                        behind.trim_start().starts_with('.')
                    })
                });
                if let Some(other) = other {
                    let what = table.to_lowercase();
                    return Ok(Some(format!("one of its {what} names the database `{other}`")));
                }
            }
        }
        Ok(None)
    }
}

/// Returns the ends of the places at which a name stands in a text, and is not a part of another.
pub(super) fn places<'t>(text: &'t str, name: &'t str) -> impl Iterator<Item = usize> + 't {
    let is_part = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '$');
    text.match_indices(name).filter_map(move |(at, found)| {
        let end = at + found.len();
        let is_whole = !name.is_empty()
            && !text[..at].chars().next_back().is_some_and(is_part)
            && !text[end..].chars().next().is_some_and(is_part);
        is_whole.then_some(end)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_only_whole() {
        let found: Vec<_> = places("app.t `app`.t snapp.t app_2.t 'app'", "app").collect();
        assert_eq!(found, [3, 10, 34]);
        assert_eq!(places("a", "").count(), 0);
    }
}
