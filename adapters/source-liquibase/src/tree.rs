//! A changelog in XML, YAML or JSON as one kind of tree: elements with values, what is in them, and text.

use std::path::Path;

use roxmltree::{Document, Node as XmlNode, ParsingOptions};
use walkback_core::Result;

use crate::error;
use crate::parameters::Parameters;

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

    /// Returns the first value whose name is not among these.
    pub(crate) fn unknown(&self, known: &[&str]) -> Option<&str> {
        let mut names = self.values.iter().map(|(name, _)| name.as_str());
        names.find(|name| !known.contains(name))
    }

    /// Returns the first `${name}` in it that has no value, and its line.
    pub(crate) fn open(&self, parameters: &Parameters) -> Option<(String, usize)> {
        let values = self.values.iter().map(|(_, value)| value);
        let own = values.chain([&self.text]).find_map(|text| parameters.open(text));
        own.map(|name| (name, self.line))
            .or_else(|| self.children.iter().find_map(|child| child.open(parameters)))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::of_yaml;

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
