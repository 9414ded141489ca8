//! What a trigger, routine, event or view remembers of the session that made it, carried in a comment before
//! its definition.

use walkback_core::Result;

use crate::dialect::literal;
use crate::link::Link;
use crate::settings::Settings;

/// How the comment begins.
const BEGIN: &str = "/*walkback ";

/// How it ends.
const END: &str = " */ ";

/// The settings that can be carried, in the order they are written.
const NAMES: [&str; 4] = [
    "sql_mode",
    "character_set_client",
    "collation_connection",
    "time_zone",
];

/// Settings of the session that an object is made under.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Context(Vec<(&'static str, String)>);

impl Context {
    /// Adds a setting. One whose value could not be read back is left out.
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "_,+-:/".contains(letter);
        if NAMES.contains(&name) && value.chars().all(is_plain) && !value.contains("*/") {
            self.0.push((name, value.to_owned()));
        }
        self
    }

    /// Returns a definition with this in front of it.
    pub(crate) fn before(&self, definition: &str) -> String {
        let settings: Vec<_> = self
            .0
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        format!("{BEGIN}{}{END}{definition}", settings.join(" "))
    }

    /// Takes a context off the front of a statement.
    pub(crate) fn split(sql: &str) -> (Option<Self>, &str) {
        let parts = sql.strip_prefix(BEGIN).and_then(|rest| rest.split_once(END));
        let Some((settings, body)) = parts else {
            return (None, sql);
        };
        let mut context = Self::default();
        for setting in settings.split(' ') {
            let Some((name, value)) = setting.split_once('=') else {
                return (None, sql);
            };
            let Some(known) = NAMES.iter().find(|known| **known == name) else {
                return (None, sql);
            };
            context = context.with(known, value);
        }
        (Some(context), body)
    }

    /// Puts it in force.
    pub(crate) async fn enter(&self, link: &mut Link) -> Result<Settings> {
        let settings: Vec<_> = self
            .0
            .iter()
            .map(|(name, value)| (*name, literal(value)))
            .collect();
        Settings::enter(link, &settings).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_is_read_back_and_other_comments_are_left_alone() {
        let context = Context::default()
            .with("sql_mode", "STRICT_TRANS_TABLES,NO_ZERO_DATE")
            .with("time_zone", "+00:00");
        let sql = context.before("CREATE EVENT e DO SELECT ' */ '");
        assert_eq!(
            Context::split(&sql),
            (Some(context), "CREATE EVENT e DO SELECT ' */ '")
        );
        let empty = Context::default().with("sql_mode", "");
        assert_eq!(Context::split(&empty.before("X")), (Some(empty), "X"));
        for other in [
            "SELECT 1",
            "/* walkback a=b */ X",
            "/*walkback autocommit=0 */ X",
            "/*walkback x",
        ] {
            assert_eq!(Context::split(other), (None, other));
        }
    }
}
