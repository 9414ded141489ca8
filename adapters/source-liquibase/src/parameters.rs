//! Properties of a changelog, and the `${..}` that stand for them.

use std::collections::BTreeMap;

/// How far values may name each other, which they may do in a circle.
const DEEPEST: usize = 16;

/// Values by name. The first that is given to a name stays.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parameters {
    values: BTreeMap<String, String>,
}

impl Parameters {
    /// Begins with values that nothing in a changelog changes.
    pub(crate) fn new(values: &BTreeMap<String, String>) -> Self {
        Self {
            values: values.clone(),
        }
    }

    /// Gives a value to a name that has none.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.values
            .entry(name.to_owned())
            .or_insert_with(|| value.to_owned());
    }

    /// Puts values in the place of `${name}`. What has no value stays, and `${:name}` is a `${name}` that is meant.
    pub(crate) fn expand(&self, text: &str) -> String {
        self.expand_within(text, DEEPEST)
    }

    fn expand_within(&self, text: &str, depth: usize) -> String {
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
            match (self.values.get(name), name.strip_prefix(':')) {
                (Some(value), _) if depth > 0 => expanded.push_str(&self.expand_within(value, depth - 1)),
                (Some(_), _) => expanded.push_str(whole),
                (None, Some(name)) => expanded.push_str(&format!("${{{name}}}")),
                (None, None) => expanded.push_str(whole),
            }
            rest = &after[end + 1..];
        }
        expanded.push_str(rest);
        expanded
    }
}

#[cfg(test)]
mod tests {
    use super::Parameters;

    #[test]
    fn names_are_replaced_and_the_first_value_stays() {
        let mut parameters = Parameters::default();
        parameters.set("a", "x");
        parameters.set("a", "y");
        parameters.set("b", "<${a}>");
        assert_eq!(
            parameters.expand("${a} ${ b } ${c} ${:a} ${"),
            "x <x> ${c} ${a} ${"
        );
    }
}
