//! A changelog in XML, YAML or JSON as one kind of tree: elements with values, what is in them, and text.

use std::path::Path;

use roxmltree::{Document, Node as XmlNode, ParsingOptions};
use saphyr::{LoadableYamlNode as _, MarkedYaml, ScalarOwned, YamlData};
use walkback_core::{Error, Result};

use crate::error;
use crate::parameters::Parameters;

/// The lists of YAML that only hold what belongs to their element.
const TRANSPARENT: &[&str] = &["changes", "columns"];

/// An element.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) line: usize,
    pub(crate) values: Vec<(String, String)>,
    pub(crate) children: Vec<Node>,
    pub(crate) text: String,
    /// The line the text begins on, where its lines are those of the file.
    pub(crate) text_line: Option<usize>,
}

impl Node {
    /// Returns a value: an attribute, or the text of an element of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let value = self.values.iter().find(|(known, _)| known == name);
        let text = || {
            let child = self.children.iter().find(|child| child.name == name)?;
            Some(child.text.as_str())
        };
        value.map(|(_, value)| value.as_str()).or_else(text)
    }

    /// Returns whether a value is `true`, or what it is where it is not said.
    pub(crate) fn is(&self, name: &str, otherwise: bool) -> bool {
        self.get(name)
            .map_or(otherwise, |value| value.trim().eq_ignore_ascii_case("true"))
    }

    /// Returns the elements of a name.
    pub(crate) fn all<'n>(&'n self, name: &'n str) -> impl Iterator<Item = &'n Node> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// Puts the values of parameters into all of it.
    pub(crate) fn expand(&mut self, parameters: &Parameters) {
        for (_, value) in &mut self.values {
            *value = parameters.expand(value);
        }
        self.text = parameters.expand(&self.text);
        for child in &mut self.children {
            child.expand(parameters);
        }
    }
}

/// Reads XML.
pub(crate) fn of_xml(file: &Path, text: &str) -> Result<Node> {
    let options = ParsingOptions {
        allow_dtd: true,
        ..ParsingOptions::default()
    };
    let document = Document::parse_with_options(text, options).map_err(|found| {
        let line = usize::try_from(found.pos().row).unwrap_or(1);
        error::at(file, line, "it cannot be read as XML").with_source(found)
    })?;
    Ok(xml_node(&document, document.root_element()))
}

fn xml_node(document: &Document<'_>, node: XmlNode<'_, '_>) -> Node {
    let line_at = |place: usize| usize::try_from(document.text_pos_at(place).row).unwrap_or(1);
    let mut read = Node {
        name: node.tag_name().name().to_owned(),
        line: line_at(node.range().start),
        ..Node::default()
    };
    for attribute in node.attributes() {
        read.values
            .push((attribute.name().to_owned(), attribute.value().to_owned()));
    }
    for child in node.children() {
        if child.is_element() {
            read.children.push(xml_node(document, child));
        } else if child.is_text()
            && let Some(text) = child.text()
        {
            if !text.trim().is_empty() && read.text_line.is_none() {
                read.text_line = Some(line_at(child.range().start));
            }
            read.text.push_str(text);
        }
    }
    read
}

/// Reads YAML; JSON is a part of it.
pub(crate) fn of_yaml(file: &Path, text: &str) -> Result<Node> {
    // Between the values of JSON a tab is a blank, and in them it is written as `\t`.
    let text = text.replace('\t', " ");
    let documents = MarkedYaml::load_from_str(&text).map_err(|found| {
        let line = found.marker().line();
        error::at(file, line, "it cannot be read as YAML").with_source(found)
    })?;
    let wrong = || -> Error { error::at(file, 1, "it has no `databaseChangeLog`") };
    let root = documents.first().ok_or_else(wrong)?;
    let YamlData::Mapping(all) = &root.data else {
        return Err(wrong());
    };
    let found = all
        .iter()
        .find(|(key, _)| scalar(key).as_deref() == Some("databaseChangeLog"));
    let (key, value) = found.ok_or_else(wrong)?;
    Ok(yaml_node("databaseChangeLog", key.span.start.line(), value))
}

fn scalar(value: &MarkedYaml<'_>) -> Option<String> {
    match &value.data {
        YamlData::Value(scalar) => Some(match scalar.clone().into_owned() {
            ScalarOwned::Null => String::new(),
            ScalarOwned::Boolean(value) => value.to_string(),
            ScalarOwned::Integer(value) => value.to_string(),
            ScalarOwned::FloatingPoint(value) => value.to_string(),
            ScalarOwned::String(value) => value,
        }),
        YamlData::Representation(text, ..) => Some(text.to_string()),
        _ => None,
    }
}

fn yaml_node(name: &str, line: usize, value: &MarkedYaml<'_>) -> Node {
    let mut node = Node {
        name: name.to_owned(),
        line,
        ..Node::default()
    };
    fill(&mut node, value);
    node
}

/// Takes a value of YAML into an element.
fn fill(node: &mut Node, value: &MarkedYaml<'_>) {
    if let Some(text) = scalar(value) {
        node.text = text;
        return;
    }
    match &value.data {
        YamlData::Mapping(entries) => {
            for (key, value) in entries {
                let name = scalar(key).unwrap_or_default();
                let line = key.span.start.line();
                if TRANSPARENT.contains(&name.as_str()) {
                    fill(node, value);
                } else if let Some(text) = scalar(value) {
                    node.values.push((name, text));
                } else {
                    node.children.push(yaml_node(&name, line, value));
                }
            }
        }
        YamlData::Sequence(items) => {
            for item in items {
                item_of(node, item);
            }
        }
        _ => {}
    }
}

/// Takes one item of a list: `- createTable: ..`, or a value such as `- onFail: MARK_RAN`.
fn item_of(node: &mut Node, item: &MarkedYaml<'_>) {
    let YamlData::Mapping(entries) = &item.data else {
        fill(node, item);
        return;
    };
    for (key, value) in entries {
        let name = scalar(key).unwrap_or_default();
        let line = key.span.start.line();
        let child = yaml_node(&name, line, value);
        if name.starts_with("on") && child.children.is_empty() {
            node.values.push((name, child.text));
        } else {
            node.children.push(child);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_spellings_are_one_tree() {
        let xml = "<?xml version=\"1.0\"?>\n<databaseChangeLog xmlns=\"x\">\n <changeSet id=\"1\" author=\"a\">\n  <createTable tableName=\"t\"><column name=\"c\" type=\"int\"/></createTable>\n  <sql>\n   select 1\n  </sql>\n </changeSet>\n</databaseChangeLog>";
        let yaml = "databaseChangeLog:\n  - changeSet:\n      id: 1\n      author: a\n      changes:\n        - createTable:\n            tableName: t\n            columns:\n              - column:\n                  name: c\n                  type: int\n        - sql: select 1\n";
        let json = "{\"databaseChangeLog\": [\n\t{\"changeSet\": {\"id\": \"1\", \"author\": \"a\", \"changes\": [\n{\"createTable\": {\"tableName\": \"t\", \"columns\": [{\"column\": {\"name\": \"c\", \"type\": \"int\"}}]}},\n{\"sql\": {\"sql\": \"select 1\"}}]}}]}";
        let file = Path::new("c");
        for root in [
            of_xml(file, xml).unwrap(),
            of_yaml(file, yaml).unwrap(),
            of_yaml(file, json).unwrap(),
        ] {
            let changeset = root.all("changeSet").next().unwrap();
            assert_eq!(
                (changeset.get("id"), changeset.get("author")),
                (Some("1"), Some("a"))
            );
            let table = changeset.all("createTable").next().unwrap();
            assert_eq!(table.get("tableName"), Some("t"));
            assert_eq!(table.all("column").next().unwrap().get("type"), Some("int"));
            let sql = changeset.all("sql").next().unwrap();
            assert_eq!(sql.get("sql").unwrap_or(&sql.text).trim(), "select 1");
        }
        assert_eq!(
            of_xml(file, xml).unwrap().children[0].children[1].text_line,
            Some(5)
        );
        let error = of_xml(file, "<a>\n<b></a>").unwrap_err();
        assert!(error.to_string().contains("c:2"), "{error}");
    }
}
