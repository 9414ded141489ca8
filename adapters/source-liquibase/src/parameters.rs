//! Properties of a changelog, and the `${..}` that stand for them.

use std::collections::BTreeMap;

/// How far values may name each other, which they may do in a circle.
const DEEPEST: usize = 16;

/// Values by name, whose case does not matter. The first that is given to a name stays.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parameters {
    everywhere: BTreeMap<String, String>,
    /// Those of one changelog and what it includes, innermost last.
    within: Vec<BTreeMap<String, String>>,
}

impl Parameters {
    /// Begins with values that nothing in a changelog changes.
    pub(crate) fn new(values: &BTreeMap<String, String>) -> Self {
        let folded = values
            .iter()
            .map(|(name, value)| (name.to_lowercase(), value.clone()));
        Self {
            everywhere: folded.collect(),
            within: Vec::new(),
        }
    }

    /// Enters a changelog.
    pub(crate) fn enter(&mut self) {
        self.within.push(BTreeMap::new());
    }

    /// Leaves it, and forgets what was said for it only.
    pub(crate) fn leave(&mut self) {
        self.within.pop();
    }

    /// Gives a value to a name that has none, everywhere or only in the changelog that was entered last.
    pub(crate) fn set(&mut self, name: &str, value: &str, is_global: bool) {
        let values = match self.within.last_mut() {
            Some(within) if !is_global => within,
            _ => &mut self.everywhere,
        };
        values
            .entry(name.to_lowercase())
            .or_insert_with(|| value.to_owned());
    }

    /// Puts values in the place of `${name}`. What has no value stays, and so does `${:name}`.
    pub(crate) fn expand(&self, text: &str) -> String {
        self.expand_within(text, DEEPEST, &mut None)
    }

    /// Returns the first `${name}` that has no value, where Liquibase may know one: from its environment.
    pub(crate) fn open(&self, text: &str) -> Option<String> {
        let mut open = None;
        self.expand_within(text, DEEPEST, &mut open);
        open
    }

    fn value(&self, name: &str) -> Option<&str> {
        let name = name.to_lowercase();
        let within = || self.within.iter().rev().find_map(|values| values.get(&name));
        self.everywhere.get(&name).or_else(within).map(String::as_str)
    }

    fn expand_within(&self, text: &str, depth: usize, open: &mut Option<String>) -> String {
        let mut expanded = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find("${") {
            let (before, after) = rest.split_at(start);
            expanded.push_str(before);
            let Some(end) = after.find('}') else {
                rest = after;
                break;
            };
            let (whole, name) = (&after[..=end], after[2..end].trim());
            match self.value(name) {
                Some(value) if depth > 0 => {
                    expanded.push_str(&self.expand_within(value, depth - 1, open));
                }
                _ => {
                    if may_have_value(name) {
                        open.get_or_insert_with(|| whole.to_owned());
                    }
                    expanded.push_str(whole);
                }
            }
            rest = &after[end + 1..];
        }
        expanded.push_str(rest);
        expanded
    }
}

/// Returns why a changeset is refused that holds a name without a value.
pub(crate) fn refusal(name: &str) -> String {
    format!(
        "`{name}`, which no property and nothing in `parameters` of the section `[source]` gives a value,"
    )
}

/// Says whether a name may be one of an environment variable, or of a setting of Java.
fn may_have_value(name: &str) -> bool {
    let is_plain = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '.' | '-');
    !name.is_empty() && name.chars().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::Parameters;

    #[test]
    fn names_are_replaced_and_the_first_value_stays() {
        let mut parameters = Parameters::default();
        parameters.set("a", "x", true);
        parameters.set("A", "y", true);
        parameters.set("b", "<${a}>", true);
        let text = "${a} ${ B } ${c} ${:a} ${} ${";
        assert_eq!(parameters.expand(text), "x <x> ${c} ${:a} ${} ${");
        assert_eq!(parameters.open(text).as_deref(), Some("${c}"));
        assert_eq!(parameters.open("${a} ${:c} ${PATH:x} ${}"), None);
        parameters.set("home", "${HOME}/x", true);
        assert_eq!(parameters.open("${home}").as_deref(), Some("${HOME}"));
    }

    /// As Liquibase 4.28.0 did with `global="false"`.
    #[test]
    fn what_is_not_global_holds_in_its_changelog_and_what_that_includes() {
        let mut parameters = Parameters::default();
        parameters.enter();
        parameters.set("near", "outer", false);
        parameters.set("both", "global", true);
        parameters.set("both", "local", false);
        parameters.enter();
        assert_eq!(parameters.expand("${near} ${both}"), "outer global");
        parameters.set("near", "inner", false);
        parameters.set("deep", "d", false);
        assert_eq!(parameters.expand("${near} ${deep}"), "inner d");
        parameters.leave();
        assert_eq!(parameters.expand("${near} ${deep}"), "outer ${deep}");
    }
}
