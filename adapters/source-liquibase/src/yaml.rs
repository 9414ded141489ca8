//! Changelogs in YAML, and in JSON, which is a part of it.

use std::path::Path;

use saphyr::{MarkedYaml, ScalarStyle, YamlData, YamlLoader};
use walkback_core::{Error, Result};

use crate::error;
use crate::plain::text_of;
use crate::tree::Node;

/// The lists that only hold what belongs to their element.
const TRANSPARENT: &[&str] = &["changes", "columns"];

/// Reads YAML or JSON.
pub(crate) fn of_yaml(file: &Path, text: &str) -> Result<Node> {
    let is_json = file
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    // Between the values of JSON a tab is a blank, and in them it is written as `\t`.
    let text = if is_json {
        text.replace('\t', " ")
    } else {
        text.to_owned()
    };
    let documents = documents(&text).map_err(|found| {
        let line = found.marker().line();
        error::at(file, line, "it cannot be read as YAML").with_source(found)
    })?;
    let wrong = || -> Error { error::at(file, 1, "it has no `databaseChangeLog`") };
    let root = documents.first().ok_or_else(wrong)?;
    let YamlData::Mapping(all) = &root.data else {
        return Err(wrong());
    };
    let is_root = |key: &MarkedYaml<'_>| matches!(&key.data, YamlData::Representation(text, ..) if text == "databaseChangeLog");
    let (key, value) = all.iter().find(|(key, _)| is_root(key)).ok_or_else(wrong)?;
    Reader { file }.node("databaseChangeLog", key.span.start.line(), value)
}

/// Reads the documents of a text without making anything of their values.
fn documents(text: &str) -> std::result::Result<Vec<MarkedYaml<'_>>, saphyr::ScanError> {
    let mut loader = YamlLoader::default();
    loader.early_parse(false);
    saphyr_parser::Parser::new_from_str(text).load(&mut loader, true)?;
    match loader.error() {
        Some(error) => Err(error.clone()),
        None => Ok(loader.into_documents()),
    }
}

struct Reader<'f> {
    file: &'f Path,
}

impl Reader<'_> {
    /// Returns the text of a value, if it is none of several; null is empty.
    fn scalar(&self, value: &MarkedYaml<'_>) -> Result<Option<String>> {
        let YamlData::Representation(text, style, tag) = &value.data else {
            return Ok(None);
        };
        let read = text_of(text, *style, tag.is_some()).map_err(|why| {
            error::at(self.file, value.span.start.line(), why).hint(format!(
                "Liquibase reads YAML 1.1, which makes another value of it; quote what is meant: `\"{text}\"`"
            ))
        })?;
        Ok(Some(read.unwrap_or_default().to_owned()))
    }

    fn name(&self, key: &MarkedYaml<'_>) -> Result<String> {
        match &key.data {
            YamlData::Representation(text, style, _) if *style != ScalarStyle::Plain || text != "<<" => {
                Ok(text.to_string())
            }
            _ => Err(error::at(
                self.file,
                key.span.start.line(),
                "a name is wanted here, and this is none",
            )),
        }
    }

    fn node(&self, name: &str, line: usize, value: &MarkedYaml<'_>) -> Result<Node> {
        let mut node = Node {
            name: name.to_owned(),
            line,
            ..Node::default()
        };
        self.fill(&mut node, value)?;
        Ok(node)
    }

    /// Takes a value of YAML into an element.
    fn fill(&self, node: &mut Node, value: &MarkedYaml<'_>) -> Result<()> {
        if let Some(text) = self.scalar(value)? {
            node.text = text;
            return Ok(());
        }
        match &value.data {
            YamlData::Mapping(entries) => {
                for (key, value) in entries {
                    self.entry(node, key, value)?;
                }
            }
            YamlData::Sequence(items) => {
                for item in items {
                    self.item(node, item)?;
                }
            }
            _ => {
                return Err(error::at(
                    self.file,
                    value.span.start.line(),
                    "this value of YAML cannot be followed",
                ));
            }
        }
        Ok(())
    }

    fn entry(&self, node: &mut Node, key: &MarkedYaml<'_>, value: &MarkedYaml<'_>) -> Result<()> {
        let name = self.name(key)?;
        if TRANSPARENT.contains(&name.as_str()) {
            return self.fill(node, value);
        }
        if let Some(text) = self.scalar(value)? {
            // What is null is not said; but of an empty rollback its author says that nothing is to be done.
            if !is_null(value) || name == "rollback" {
                node.values.push((name, text));
            }
            return Ok(());
        }
        let child = self.node(&name, key.span.start.line(), value)?;
        node.children.push(child);
        Ok(())
    }

    /// Takes one item of a list: `- createTable: ..`, or a value such as `- onFail: MARK_RAN`.
    fn item(&self, node: &mut Node, item: &MarkedYaml<'_>) -> Result<()> {
        let YamlData::Mapping(entries) = &item.data else {
            return self.fill(node, item);
        };
        for (key, value) in entries {
            let name = self.name(key)?;
            let child = self.node(&name, key.span.start.line(), value)?;
            if name.starts_with("on") && child.children.is_empty() {
                node.values.push((name, child.text));
            } else {
                node.children.push(child);
            }
        }
        Ok(())
    }
}

fn is_null(value: &MarkedYaml<'_>) -> bool {
    match &value.data {
        YamlData::Representation(text, style, tag) => {
            text_of(text, *style, tag.is_some()).is_ok_and(|text| text.is_none())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An id of `1.0` once was the `1` of YAML 1.2, and so another changeset than that of Liquibase.
    #[test]
    fn values_are_those_that_liquibase_reads() {
        let of = |id: &str| {
            let text = format!("databaseChangeLog:\n- changeSet:\n    author: a\n    id: {id}\n");
            of_yaml(Path::new("c.yaml"), &text)
        };
        let id = |written: &str| {
            let root = of(written).unwrap();
            root.all("changeSet").next().unwrap().get("id").map(str::to_owned)
        };
        assert_eq!(id("1.0").as_deref(), Some("1.0"));
        assert_eq!(id("'007'").as_deref(), Some("007"));
        assert_eq!(id("\"a\tb\"").as_deref(), Some("a\tb"));
        assert_eq!(id("null"), None);
        for wrong in ["007", "2024-01-01", "20240101_1", "1e3", "yes"] {
            let error = of(wrong).unwrap_err();
            assert!(error.message().contains(&format!("`{wrong}`")), "{error}");
            assert!(error.message().contains("c.yaml:4"), "{error}");
        }
    }

    #[test]
    fn a_tab_in_a_value_stays_one() {
        let text = "databaseChangeLog:\n- changeSet:\n    sql: |\n      select\t1\n";
        let root = of_yaml(Path::new("c.yaml"), text).unwrap();
        assert_eq!(
            root.all("changeSet").next().unwrap().get("sql"),
            Some("select\t1\n")
        );
    }
}
