//! Python, as far as it has to be read: the tree of a file, and the constants in it.

use std::collections::BTreeMap;
use std::path::Path;

use tree_sitter::{Node, Parser, Tree};
use walkback_core::{Error, Result};

use crate::error;

/// A file of Python, parsed.
pub(crate) struct Source {
    pub(crate) text: String,
    tree: Tree,
}

/// A constant of a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Constant {
    /// `None`.
    None,
    /// `True` or `False`.
    Flag(bool),
    /// A text.
    Text(String),
    /// A tuple, a list or a set of texts.
    Texts(Vec<String>),
    /// Something that only running the file would tell.
    Computed {
        /// Its line.
        line: usize,
    },
}

impl Source {
    /// Parses a file.
    ///
    /// # Errors
    /// `Config` by `file:line` if it is not UTF-8 or not Python.
    pub(crate) fn read(file: &Path) -> Result<Self> {
        let bytes = std::fs::read(file).map_err(|error| Error::io("read", file, error))?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = 1 + valid.iter().filter(|byte| **byte == b'\n').count();
            error::at(file, line, "the file is not UTF-8")
        })?;
        Self::parse(file, text)
    }

    pub(crate) fn parse(file: &Path, text: String) -> Result<Self> {
        let mut parser = Parser::new();
        parser
            .set_language(&tree_sitter_python::LANGUAGE.into())
            .map_err(|error| Error::internal("the grammar of Python does not fit").with_source(error))?;
        let tree = parser
            .parse(&text, None)
            .ok_or_else(|| Error::internal("Python was not parsed"))?;
        let source = Self { text, tree };
        match first_error(source.root()) {
            None => Ok(source),
            Some(node) => Err(error::at(file, line_of(node), "this is not Python")),
        }
    }

    pub(crate) fn root(&self) -> Node<'_> {
        self.tree.root_node()
    }

    pub(crate) fn slice(&self, node: Node<'_>) -> &str {
        &self.text[node.byte_range()]
    }

    /// Returns the constants that the module assigns at its top, the last assignment of each.
    pub(crate) fn constants(&self) -> BTreeMap<String, Constant> {
        let mut constants = BTreeMap::new();
        for statement in children(self.root()) {
            let Some(assignment) = named(statement, "assignment") else {
                continue;
            };
            let sides = (
                assignment.child_by_field_name("left"),
                assignment.child_by_field_name("right"),
            );
            let (Some(left), Some(right)) = sides else {
                continue;
            };
            self.assign(left, right, &mut constants);
        }
        constants
    }

    fn assign(&self, left: Node<'_>, right: Node<'_>, constants: &mut BTreeMap<String, Constant>) {
        match left.kind() {
            "identifier" => {
                let value = self.value(right, constants);
                constants.insert(self.slice(left).to_owned(), value);
            }
            "pattern_list" | "tuple_pattern" => {
                let (names, values) = (children(left), children(right));
                for (index, name) in names
                    .iter()
                    .enumerate()
                    .filter(|(_, name)| name.kind() == "identifier")
                {
                    let value = match values.get(index).filter(|_| values.len() == names.len()) {
                        Some(value) => self.value(*value, constants),
                        None => computed(right),
                    };
                    constants.insert(self.slice(*name).to_owned(), value);
                }
            }
            _ => {}
        }
    }

    /// Returns what an expression is, as far as that can be told without running it.
    pub(crate) fn value(&self, node: Node<'_>, known: &BTreeMap<String, Constant>) -> Constant {
        match node.kind() {
            "none" => Constant::None,
            "true" => Constant::Flag(true),
            "false" => Constant::Flag(false),
            "string" | "concatenated_string" | "binary_operator" => self
                .text_of(node, known)
                .map_or_else(|| computed(node), Constant::Text),
            "identifier" => known
                .get(self.slice(node))
                .cloned()
                .unwrap_or_else(|| computed(node)),
            "parenthesized_expression" => match children(node)[..] {
                [inner] => self.value(inner, known),
                _ => computed(node),
            },
            // `revision = other = "abc"`
            "assignment" => match node.child_by_field_name("right") {
                Some(right) => self.value(right, known),
                None => computed(node),
            },
            "tuple" | "list" | "set" | "expression_list" => {
                let texts: Option<Vec<_>> = children(node)
                    .into_iter()
                    .map(|item| self.text_of(item, known))
                    .collect();
                texts.map_or_else(|| computed(node), Constant::Texts)
            }
            _ => computed(node),
        }
    }

    fn text_of(&self, node: Node<'_>, known: &BTreeMap<String, Constant>) -> Option<String> {
        match node.kind() {
            "string" => self.plain_string(node),
            "concatenated_string" => children(node)
                .into_iter()
                .map(|part| self.plain_string(part))
                .collect(),
            "parenthesized_expression" => match children(node)[..] {
                [inner] => self.text_of(inner, known),
                _ => None,
            },
            "identifier" => match known.get(self.slice(node))? {
                Constant::Text(text) => Some(text.clone()),
                _ => None,
            },
            "binary_operator" => {
                let operator = node.child_by_field_name("operator")?;
                let left = self.text_of(node.child_by_field_name("left")?, known)?;
                let right = self.text_of(node.child_by_field_name("right")?, known)?;
                (self.slice(operator) == "+").then(|| left + &right)
            }
            _ => None,
        }
    }

    /// Returns a string without escapes and without values put into it.
    fn plain_string(&self, node: Node<'_>) -> Option<String> {
        let mut text = String::new();
        let mut is_raw = false;
        for part in all_children(node) {
            match part.kind() {
                "string_start" => {
                    let prefix = self
                        .slice(part)
                        .trim_end_matches(['"', '\''])
                        .to_ascii_lowercase();
                    if prefix.contains(['f', 'b', 't']) {
                        return None;
                    }
                    is_raw = prefix.contains('r');
                }
                "string_content" => {
                    let slice = self.slice(part);
                    if !is_raw && slice.contains('\\') {
                        return None;
                    }
                    text.push_str(slice);
                }
                "string_end" => {}
                _ => return None,
            }
        }
        Some(text)
    }

    /// Returns the text that a module or a function begins with to say what it is.
    pub(crate) fn doc(&self, body: Node<'_>) -> Option<String> {
        let first = children(body).into_iter().find(|node| node.kind() != "comment")?;
        let string = named(first, "string").or_else(|| named(first, "concatenated_string"))?;
        let content = children_of(string)
            .into_iter()
            .filter(|part| part.kind() == "string_content");
        Some(content.map(|part| self.slice(part)).collect())
    }

    /// Returns a function of the module by its name.
    pub(crate) fn function(&self, name: &str) -> Option<Node<'_>> {
        let mut found = None;
        for statement in children(self.root()) {
            let function = match statement.kind() {
                "decorated_definition" => statement.child_by_field_name("definition"),
                _ => Some(statement),
            };
            let function = function.filter(|node| node.kind() == "function_definition");
            let is_it = |node: &Node<'_>| {
                let called = node.child_by_field_name("name");
                called.is_some_and(|called| self.slice(called) == name)
            };
            found = function.filter(is_it).or(found);
        }
        found
    }

    /// Returns the calls of functions and methods of this name, anywhere in the file.
    pub(crate) fn calls(&self, name: &str) -> Vec<Node<'_>> {
        let mut calls = Vec::new();
        let mut open = vec![self.root()];
        while let Some(node) = open.pop() {
            let called = node
                .child_by_field_name("function")
                .filter(|_| node.kind() == "call");
            let last = called.and_then(|called| match called.kind() {
                "attribute" => called.child_by_field_name("attribute"),
                _ => Some(called),
            });
            if last.is_some_and(|last| self.slice(last) == name) {
                calls.push(node);
            }
            open.extend(children_of(node));
        }
        calls
    }
}

pub(crate) fn line_of(node: Node<'_>) -> usize {
    node.start_position().row + 1
}

fn computed(node: Node<'_>) -> Constant {
    Constant::Computed { line: line_of(node) }
}

/// Returns the named children of a node, without comments.
pub(crate) fn children(node: Node<'_>) -> Vec<Node<'_>> {
    children_of(node)
        .into_iter()
        .filter(|child| child.kind() != "comment")
        .collect()
}

fn children_of(node: Node<'_>) -> Vec<Node<'_>> {
    node.named_children(&mut node.walk()).collect()
}

pub(crate) fn all_children(node: Node<'_>) -> Vec<Node<'_>> {
    node.children(&mut node.walk()).collect()
}

/// Returns what an expression statement consists of, if that is of a kind.
fn named<'t>(statement: Node<'t>, kind: &str) -> Option<Node<'t>> {
    if statement.kind() != "expression_statement" {
        return None;
    }
    children(statement)
        .into_iter()
        .next()
        .filter(|node| node.kind() == kind)
}

fn first_error(root: Node<'_>) -> Option<Node<'_>> {
    let mut at = root;
    if !at.has_error() {
        return None;
    }
    loop {
        if at.is_error() || at.is_missing() {
            return Some(at);
        }
        match all_children(at)
            .into_iter()
            .find(|child| child.has_error() || child.is_missing())
        {
            Some(child) => at = child,
            None => return Some(at),
        }
    }
}
