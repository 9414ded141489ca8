//! Changelogs in XML, YAML and JSON: properties, includes, changesets.

use std::path::Path;

use walkback_core::Result;

use crate::changelog::{Place, Reading};
use crate::changeset::{Change, Changeset, Check, Conditions, Rollback, Text, without_blanks};
use crate::error;
use crate::expression;
use crate::formatted::{on_fail, shown_contexts, split_names};
use crate::identity::plain;
use crate::modelled;
use crate::tree::{self, Node};

/// What an element of a changeset may be that is no change.
const NO_CHANGE: &[&str] = &["comment", "preConditions", "validCheckSum", "rollback"];

/// Reads a changelog in XML, YAML or JSON.
pub(crate) fn read(reading: &mut Reading<'_>, place: &Place, is_xml: bool) -> Result<()> {
    let text = error::read(&place.file)?;
    let root = if is_xml {
        tree::of_xml(&place.file, &text)?
    } else {
        tree::of_yaml(&place.file, &text)?
    };
    if root.name != "databaseChangeLog" {
        return Err(error::at(
            &place.file,
            root.line,
            format!("`{}` is no `databaseChangeLog`", root.name),
        ));
    }
    let mut place = place.clone();
    let logical = root
        .get("logicalFilePath")
        .map(plain)
        .filter(|path| !path.is_empty());
    if let Some(logical) = logical {
        place.filename = logical;
    }
    for child in root.children {
        let mut child = child;
        child.expand(&reading.parameters);
        match child.name.as_str() {
            "changeSet" => changeset(reading, &place, &child)?,
            "include" => include(reading, &place, &child)?,
            "includeAll" => include_all(reading, &place, &child)?,
            "property" => property(reading, &place, &child)?,
            "preConditions" => reading.notice(
                &place.file,
                child.line,
                "preconditions of a whole changelog are left to `liquibase update`",
            ),
            "logicalFilePath" => {}
            other => {
                return Err(error::unsupported(
                    &place.file,
                    child.line,
                    format!("`{other}` of a changelog cannot be followed"),
                ));
            }
        }
    }
    Ok(())
}

fn property(reading: &mut Reading<'_>, place: &Place, node: &Node) -> Result<()> {
    if let Some(dbms) = node.get("dbms")
        && !reading.is_for(dbms, (place, node.line))?
    {
        return Ok(());
    }
    let asked = &reading.config.contexts;
    let context = context_of(node);
    if !asked.is_empty() && context.is_some_and(|one| !expression::holds(one, asked)) {
        return Ok(());
    }
    if node.get("file").is_some() {
        return Err(error::unsupported(
            &place.file,
            node.line,
            "properties in a file of their own cannot be read",
        )
        .hint("say them in `parameters` of the section `[source]`"));
    }
    reading.parameters.set(
        node.get("name").unwrap_or_default(),
        node.get("value").unwrap_or_default(),
    );
    Ok(())
}

fn context_of(node: &Node) -> Option<&str> {
    ["contextFilter", "context", "contexts"]
        .into_iter()
        .find_map(|name| node.get(name))
        .filter(|context| !context.trim().is_empty())
}

/// Returns the place of a file that another one names.
fn named(reading: &Reading<'_>, place: &Place, node: &Node, path: &str) -> Place {
    let is_relative = node.is("relativeToChangelogFile", false) || node.is("relativeToChangeLog", false);
    let filename = if is_relative {
        let folder = relative(reading.root, &place.file);
        let folder = folder.rsplit_once('/').map_or("", |(folder, _)| folder);
        plain(&format!("{folder}/{path}"))
    } else {
        plain(path)
    };
    let mut inner = place.clone();
    inner.file = reading.root.join(&filename);
    inner.filename = filename;
    inner.chain.push(place.file.clone());
    inner
        .contexts
        .extend(context_of(node).map(|context| context.trim().to_owned()));
    inner
        .labels
        .extend(split_names(node.get("labels").unwrap_or_default()));
    inner
}

fn relative(root: &Path, file: &Path) -> String {
    let inside = file.strip_prefix(root).unwrap_or(file);
    plain(&inside.to_string_lossy())
}

fn include(reading: &mut Reading<'_>, place: &Place, node: &Node) -> Result<()> {
    let path = node
        .get("file")
        .ok_or_else(|| error::at(&place.file, node.line, "an `include` names no `file`"))?;
    let mut inner = named(reading, place, node, path);
    if let Some(logical) = node.get("logicalFilePath") {
        inner.filename = plain(logical);
    }
    if inner.chain.contains(&inner.file) {
        return Err(error::at(
            &place.file,
            node.line,
            format!("`{path}` includes itself"),
        ));
    }
    if !inner.file.is_file() {
        if !node.is("errorIfMissing", true) {
            return Ok(());
        }
        return Err(error::at(
            &place.file,
            node.line,
            format!("there is no `{}` to include", inner.file.display()),
        ));
    }
    reading.file(&inner)
}

/// Includes every changelog of a folder and of those in it, in the order of their paths.
fn include_all(reading: &mut Reading<'_>, place: &Place, node: &Node) -> Result<()> {
    let path = node
        .get("path")
        .ok_or_else(|| error::at(&place.file, node.line, "an `includeAll` names no `path`"))?;
    for wanted in ["filter", "resourceComparator", "resourceFilter"] {
        if node.get(wanted).is_some() {
            return Err(error::unsupported(
                &place.file,
                node.line,
                format!("`{wanted}` of `includeAll` is a program in Java"),
            ));
        }
    }
    let folder = named(reading, place, node, path);
    let mut files = Vec::new();
    let is_there = folder.file.is_dir();
    if !is_there && node.is("errorIfMissingOrEmpty", true) {
        return Err(error::at(
            &place.file,
            node.line,
            format!("there is no folder `{}` to include", folder.file.display()),
        ));
    }
    if is_there {
        collect(&folder.file, &mut files)?;
    }
    files.sort_by_key(|file| relative(reading.root, file));
    for file in files {
        let known = file
            .extension()
            .and_then(|extension| extension.to_str())
            .unwrap_or_default();
        if !["sql", "xml", "yaml", "yml", "json"].contains(&known.to_lowercase().as_str()) {
            reading.notice(&file, 1, "no changelog has this ending");
            continue;
        }
        let mut inner = folder.clone();
        inner.filename = relative(reading.root, &file);
        inner.file = file;
        if inner.chain.contains(&inner.file) {
            continue;
        }
        reading.file(&inner)?;
    }
    Ok(())
}

fn collect(folder: &Path, files: &mut Vec<std::path::PathBuf>) -> Result<()> {
    let failed = |error| walkback_core::Error::io("read the folder", folder, error);
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

fn changeset(reading: &mut Reading<'_>, place: &Place, node: &Node) -> Result<()> {
    let mut labels = split_names(node.get("labels").unwrap_or_default());
    labels.extend(place.labels.iter().cloned());
    let context = context_of(node);
    let is_wanted = reading.is_wanted((place, node.line), node.get("dbms"), context, &labels)?;
    if !is_wanted || node.is("ignore", false) {
        return Ok(());
    }
    let needed = |name: &str| {
        let value = node.get(name).map(str::to_owned);
        value.ok_or_else(|| error::at(&place.file, node.line, format!("a changeset has no `{name}`")))
    };
    let mut changes = Vec::new();
    for child in &node.children {
        if !NO_CHANGE.contains(&child.name.as_str()) {
            changes.push(change(reading, place, child)?);
        }
    }
    let tag = node.all("tagDatabase").last().and_then(|tag| tag.get("tag"));
    reading.add(Changeset {
        id: needed("id")?,
        author: needed("author")?,
        filename: node
            .get("logicalFilePath")
            .map_or_else(|| place.filename.clone(), plain),
        file: place.file.clone(),
        line: node.line,
        changes,
        rollback: rollback(reading, place, node)?,
        conditions: conditions(node),
        comment: node.get("comment").map(|comment| comment.trim().to_owned()),
        contexts: shown_contexts(place, context.map(str::trim)),
        labels,
        tag: tag.map(str::to_owned),
        accepts: accepts(node),
        runs_in_transaction: node.is("runInTransaction", true),
        fails_on_error: node.is("failOnError", true),
        runs_again: ["runAlways", "runOnChange"]
            .into_iter()
            .find(|name| node.is(name, false)),
    })
}

fn accepts(node: &Node) -> Vec<String> {
    let children = node.all("validCheckSum").flat_map(|sum| {
        let inner = sum.children.iter().map(|child| child.text.clone());
        std::iter::once(sum.text.clone()).chain(inner)
    });
    let values = node.values.iter().filter(|(name, _)| name == "validCheckSum");
    let all = children.chain(values.map(|(_, value)| value.clone()));
    all.map(|sum| sum.trim().to_owned())
        .filter(|sum| !sum.is_empty())
        .collect()
}

/// Reads one change.
fn change(reading: &Reading<'_>, place: &Place, node: &Node) -> Result<Change> {
    match node.name.as_str() {
        "sql" => {
            let (text, line) = match node.get("sql") {
                Some(text) => (text, None),
                None => (node.text.as_str(), node.text_line),
            };
            let text = text_of(place, node, text, line);
            let checked = without_blanks(&text.text);
            of_sql(reading, place, node, text, checked, "sql")
        }
        "sqlFile" => {
            let path = node
                .get("path")
                .ok_or_else(|| error::at(&place.file, node.line, "a `sqlFile` names no `path`"))?;
            let file = named(reading, place, node, path);
            let text = reading.parameters.expand(&error::read(&file.file)?);
            let checked = without_blanks(&text);
            let text = text_of(&file, node, &text, Some(1));
            of_sql(
                reading,
                place,
                node,
                text,
                checked,
                &format!("sqlFile path={path}"),
            )
        }
        _ => modelled::change(reading.dialect, place, node),
    }
}

fn of_sql(
    reading: &Reading<'_>,
    place: &Place,
    node: &Node,
    text: Text,
    checked: String,
    description: &str,
) -> Result<Change> {
    let is_for = match node.get("dbms") {
        Some(dbms) => reading.is_for(dbms, (place, node.line))?,
        None => true,
    };
    let mut change = Change::of_sql(text, checked, description);
    change.line = node.line;
    if node.get("comment").is_some() {
        // What Liquibase makes of it is not known.
        change.checked = None;
    }
    if !is_for {
        change.sql = None;
    }
    Ok(change)
}

fn text_of(place: &Place, node: &Node, text: &str, line: Option<usize>) -> Text {
    let body = text.trim_start();
    let before = text[..text.len() - body.len()].matches('\n').count();
    let splits = node.is("splitStatements", true);
    let delimiter = node.get("endDelimiter").filter(|said| splits && *said != ";");
    Text {
        file: place.file.clone(),
        line: line.map_or(node.line, |line| line + before),
        text: body.trim_end().to_owned(),
        delimiter: delimiter.map(str::to_owned),
        is_verbatim: line.is_some(),
    }
}

/// Reads how a changeset is taken back: SQL, changes, another changeset, or nothing to be done.
fn rollback(reading: &Reading<'_>, place: &Place, node: &Node) -> Result<Option<Rollback>> {
    if let Some((_, text)) = node.values.iter().find(|(name, _)| name == "rollback") {
        let text = text_of(place, node, text, None);
        let is_nothing = matches!(text.text.to_lowercase().as_str(), "" | "empty" | "not required");
        return Ok(Some(Rollback::Sql(if is_nothing {
            Vec::new()
        } else {
            vec![text]
        })));
    }
    let mut texts = Vec::new();
    let mut is_said = false;
    for rollback in node.all("rollback") {
        is_said = true;
        if let Some(id) = rollback.get("changeSetId") {
            let filename = rollback.get("changeSetPath").map(plain);
            return Ok(Some(Rollback::Changeset {
                id: id.to_owned(),
                author: rollback.get("changeSetAuthor").unwrap_or_default().to_owned(),
                filename: filename.unwrap_or_else(|| place.filename.clone()),
                line: rollback.line,
            }));
        }
        let own = rollback.get("sql").unwrap_or(&rollback.text);
        if !own.trim().is_empty() && rollback.children.is_empty() {
            texts.push(text_of(place, rollback, own, rollback.text_line));
        }
        for child in rollback.children.iter().filter(|child| child.name != "comment") {
            let change = change(reading, place, child)?;
            if let Some(why) = change.refusal {
                return Ok(Some(Rollback::Refused {
                    why,
                    line: child.line,
                }));
            }
            texts.extend(change.sql);
        }
    }
    Ok(is_said.then_some(Rollback::Sql(texts)))
}

fn conditions(node: &Node) -> Conditions {
    let mut conditions = Conditions::default();
    for all in node.all("preConditions") {
        if let Some(value) = all.get("onFail") {
            conditions.on_fail = on_fail(value, all.line, &mut conditions.refusal);
        }
        let on_error = all.get("onError").unwrap_or("HALT");
        if !on_error.eq_ignore_ascii_case("halt") {
            let why = format!("`onError={on_error}` of a precondition");
            conditions.refusal.get_or_insert((why, all.line));
        }
        for check in &all.children {
            if check.name != "sqlCheck" {
                let why = format!("the precondition `{}`", check.name);
                conditions.refusal.get_or_insert((why, check.line));
                continue;
            }
            conditions.checks.push(Check {
                sql: check.get("sql").unwrap_or(&check.text).trim().to_owned(),
                expected: check.get("expectedResult").unwrap_or_default().to_owned(),
                line: check.line,
            });
        }
    }
    conditions
}
