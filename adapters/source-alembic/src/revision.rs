//! Revision files: what one says of itself, read without running it.

use std::path::{Path, PathBuf};

use tree_sitter::Node;
use walkback_core::{Direction, Migration, MigrationId, Result};

use crate::computed::Known;
use crate::error;
use crate::syntax::{Constant, Source, all_children, children, line_of};

/// What a revision file says of itself.
#[derive(Debug, Clone)]
pub(crate) struct Revision {
    pub(crate) file: PathBuf,
    pub(crate) id: String,
    pub(crate) down: Vec<String>,
    pub(crate) labels: Vec<String>,
    pub(crate) depends_on: Vec<String>,
    /// The first line of what the file says it is about.
    pub(crate) message: String,
    pub(crate) upgrade: Function,
    pub(crate) downgrade: Function,
}

/// One direction of a revision.
#[derive(Debug, Clone)]
pub(crate) struct Function {
    /// The line it begins on; the first of the file where there is none.
    pub(crate) line: usize,
    /// Whether it holds a statement that does something.
    pub(crate) does_something: bool,
    /// What it raises, if that is the first thing it does.
    pub(crate) raises: Option<String>,
    /// What it is known by: the same however it is laid out, and whatever its comments say.
    pub(crate) hash: String,
    /// Whether it leaves its transaction for some of its statements.
    pub(crate) leaves_transaction: bool,
}

/// What a file in a folder of versions turned out to be.
pub(crate) enum Found {
    /// A revision.
    Revision(Box<Revision>),
    /// A revision that says of itself what only running it would tell, here.
    Computed {
        /// What it computes.
        name: &'static str,
        /// Where.
        line: usize,
        /// All that can be told without running it.
        rest: Box<Revision>,
    },
    /// No revision, for this reason.
    Other(String),
}

impl Revision {
    /// Reads a file.
    pub(crate) fn read(file: &Path) -> Result<Found> {
        let source = Source::read(file)?;
        let constants = source.constants();
        let mut computed = None;
        let mut texts = |name: &'static str| match constants.get(name) {
            None | Some(Constant::None) => Vec::new(),
            Some(Constant::Text(text)) => vec![text.clone()],
            Some(Constant::Texts(texts)) => texts.clone(),
            Some(Constant::Flag(_)) => Vec::new(),
            Some(Constant::Computed { line }) => {
                computed.get_or_insert((name, *line));
                Vec::new()
            }
        };
        let id = texts("revision").into_iter().next();
        let revision = Self {
            file: file.to_owned(),
            id: id.clone().unwrap_or_default(),
            down: texts("down_revision"),
            labels: texts("branch_labels"),
            depends_on: texts("depends_on"),
            message: message(&source),
            upgrade: Function::read(&source, Direction::Up),
            downgrade: Function::read(&source, Direction::Down),
        };
        Ok(match (computed, id) {
            (Some((name, line)), _) => Found::Computed {
                name,
                line,
                rest: Box::new(revision),
            },
            (None, None) => Found::Other("it has no `revision`, and Alembic stops at such a file".to_owned()),
            (None, Some(_)) => Found::Revision(Box::new(revision)),
        })
    }

    /// Takes over what running the file has told.
    pub(crate) fn told(mut self, known: &Known) -> Self {
        self.id.clone_from(&known.id);
        self.down.clone_from(&known.down);
        self.labels.clone_from(&known.labels);
        self.depends_on.clone_from(&known.depends_on);
        self
    }

    pub(crate) fn function(&self, direction: Direction) -> &Function {
        match direction {
            Direction::Up => &self.upgrade,
            Direction::Down => &self.downgrade,
        }
    }

    /// Returns the migration. Dependencies may be named by label.
    pub(crate) fn migration(&self, by_label: impl Fn(&str) -> Option<String>) -> Migration {
        let mut migration = Migration::new(&self.id, slug(&self.message), &self.file);
        migration.parents = self.down.iter().map(MigrationId::new).collect();
        let depends_on = self.depends_on.iter();
        migration.depends_on = depends_on
            .map(|name| MigrationId::new(by_label(name).unwrap_or_else(|| name.clone())))
            .collect();
        migration.labels.clone_from(&self.labels);
        migration.up_hash = Some(self.upgrade.hash.clone());
        migration.irreversible.clone_from(&self.downgrade.raises);
        // A merge does nothing in either direction: that is a way back.
        migration.has_down = self.downgrade.raises.is_none()
            && (self.downgrade.does_something || !self.upgrade.does_something);
        if !migration.has_down && self.downgrade.raises.is_none() {
            migration.empty_down = Some(self.file.clone());
        }
        migration
    }
}

/// Returns the first line of what a file says it is about, as `alembic history` shows it.
fn message(source: &Source) -> String {
    let doc = source.doc(source.root()).unwrap_or_default();
    let doc = doc.trim();
    // The beginning of it, up to an empty line.
    let paragraph = doc.lines().take_while(|line| !line.trim().is_empty());
    paragraph.map(str::trim).collect::<Vec<_>>().join(" ")
}

/// Returns a message as it is part of the name of a migration.
fn slug(message: &str) -> String {
    let words = message
        .to_lowercase()
        .split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect::<Vec<_>>()
        .join("_");
    // As long as Alembic makes the names of its files.
    match words.char_indices().nth(40) {
        None => words,
        Some((end, _)) => {
            let cut = &words[..end];
            cut.rsplit_once('_').map_or(cut, |(whole, _)| whole).to_owned()
        }
    }
}

impl Function {
    fn read(source: &Source, direction: Direction) -> Self {
        let name = name_of(direction);
        let Some(function) = source.function(name) else {
            return Self {
                line: 1,
                does_something: false,
                raises: None,
                hash: hash(""),
                leaves_transaction: false,
            };
        };
        let body = function.child_by_field_name("body");
        let statements: Vec<_> = body.map(children).unwrap_or_default();
        let doing: Vec<_> = statements
            .iter()
            .copied()
            .filter(|node| !does_nothing(*node))
            .collect();
        let raises = doing
            .first()
            .filter(|node| node.kind() == "raise_statement")
            .map(|node| raised(source, *node));
        let mut tokens = String::new();
        // What it uses of the file, it may have from elsewhere in the file.
        for node in children(source.root()) {
            let is_other = node.kind() == "function_definition" && node.id() != function.id() && {
                let called = node.child_by_field_name("name");
                called.is_some_and(|called| matches!(source.slice(called), "upgrade" | "downgrade"))
            };
            if !is_other && !says_what_it_is(source, node) {
                add_tokens(source, node, &mut tokens);
            }
        }
        Self {
            line: line_of(function),
            does_something: !doing.is_empty(),
            raises,
            hash: hash(&tokens),
            leaves_transaction: tokens.contains("autocommit_block"),
        }
    }
}

/// Returns the function of a direction.
pub(crate) fn name_of(direction: Direction) -> &'static str {
    match direction {
        Direction::Up => "upgrade",
        Direction::Down => "downgrade",
    }
}

/// Returns whether a statement has no effect: `pass`, `...`, a text.
fn does_nothing(node: Node<'_>) -> bool {
    let is_value = |node: &Node<'_>| {
        matches!(
            node.kind(),
            "string" | "concatenated_string" | "ellipsis" | "none"
        )
    };
    match node.kind() {
        "pass_statement" => true,
        "expression_statement" => children(node).iter().all(is_value),
        "return_statement" => children(node).is_empty(),
        _ => false,
    }
}

/// Returns what a statement raises, in words.
fn raised(source: &Source, node: Node<'_>) -> String {
    let Some(what) = children(node).into_iter().next() else {
        return "it raises an error".to_owned();
    };
    let arguments = what.child_by_field_name("arguments");
    let texts = arguments.map(children).unwrap_or_default();
    let none = std::collections::BTreeMap::new();
    match texts.first().map(|text| source.value(*text, &none)) {
        Some(Constant::Text(text)) => text,
        _ => format!("it raises `{}`", source.slice(what)),
    }
}

/// Returns whether a statement of a module only says what it is: its text, its imports of types, its place in the graph.
fn says_what_it_is(source: &Source, node: Node<'_>) -> bool {
    match node.kind() {
        "import_statement" | "import_from_statement" => true,
        "expression_statement" => children(node).first().is_none_or(|inner| match inner.kind() {
            "string" | "concatenated_string" => true,
            "assignment" => inner.child_by_field_name("left").is_some_and(|left| {
                matches!(
                    source.slice(left),
                    "revision" | "down_revision" | "branch_labels" | "depends_on"
                )
            }),
            _ => false,
        }),
        _ => false,
    }
}

/// Adds the words of the syntax, as they mean the same: without comments, without the way quotes are written, without a
/// comma that closes a list.
fn add_tokens(source: &Source, node: Node<'_>, tokens: &mut String) {
    let parts = all_children(node);
    if parts.is_empty() {
        let token = match node.kind() {
            "comment" => return,
            "string_start" => source
                .slice(node)
                .trim_end_matches(['"', '\''])
                .to_ascii_lowercase(),
            "string_end" => "\"".to_owned(),
            _ => source.slice(node).to_owned(),
        };
        tokens.push_str(&token);
        tokens.push('\u{1f}');
        return;
    }
    for (index, part) in parts.iter().enumerate() {
        let closes = parts
            .get(index + 1..)
            .and_then(|rest| rest.iter().find(|next| next.kind() != "comment"))
            .is_some_and(|next| matches!(next.kind(), ")" | "]" | "}"));
        if part.kind() == "," && closes && node.kind() != "tuple" {
            continue;
        }
        add_tokens(source, *part, tokens);
    }
    if node.kind() == "block" {
        tokens.push('\u{1e}');
    }
}

fn hash(tokens: &str) -> String {
    blake3::hash(tokens.as_bytes()).to_hex().to_string()
}

/// Returns the error for a revision that only running it would tell.
pub(crate) fn is_computed(file: &Path, name: &str, line: usize) -> walkback_core::Error {
    error::at(
        file,
        line,
        format!("`{name}` is computed, and to know it the file has to be run"),
    )
}
