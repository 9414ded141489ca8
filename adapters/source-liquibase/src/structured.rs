//! Changelogs in XML, YAML and JSON: properties, includes, changesets.

use walkback_core::Result;

use crate::changelog::{Place, Property, Reading};
use crate::changeset::{Before, Change, Changeset, OnFail, Order, Rollback, Text, without_blanks};
use crate::formatted::{shown_contexts, split_names};
use crate::identity::plain;
use crate::tree::{self, Node};
use crate::{conditions, error, include, modelled, parameters, yaml};

/// What an element of a changeset may be that is no change.
const NO_CHANGE: &[&str] = &["comment", "preConditions", "validCheckSum", "rollback"];

/// What a changelog may say of itself.
const ROOT: &[&str] = &[
    "logicalFilePath",
    "objectQuotingStrategy",
    "context",
    "contextFilter",
    "changeLogId",
    "schemaLocation",
    "noNamespaceSchemaLocation",
];

const PROPERTY: &[&str] = &[
    "name",
    "value",
    "dbms",
    "context",
    "contextFilter",
    "labels",
    "global",
];

const CHANGESET: &[&str] = &[
    "id",
    "author",
    "context",
    "contextFilter",
    "labels",
    "dbms",
    "runAlways",
    "runOnChange",
    "runOrder",
    "runInTransaction",
    "failOnError",
    "logicalFilePath",
    "objectQuotingStrategy",
    "onValidationFail",
    "runWith",
    "created",
    "ignore",
    "comment",
    "rollback",
    "validCheckSum",
];

const ROLLBACK: &[&str] = &["changeSetId", "changeSetAuthor", "changeSetPath", "sql"];

const SQL: &[&str] = &[
    "sql",
    "dbms",
    "splitStatements",
    "stripComments",
    "endDelimiter",
    "comment",
];

const SQL_FILE: &[&str] = &[
    "path",
    "relativeToChangelogFile",
    "encoding",
    "dbms",
    "splitStatements",
    "stripComments",
    "endDelimiter",
];

/// Reads a changelog in XML, YAML or JSON.
pub(crate) fn read(reading: &mut Reading<'_>, place: &Place, is_xml: bool) -> Result<()> {
    let text = error::read(&place.file)?;
    let root = if is_xml {
        tree::of_xml(&place.file, &text)?
    } else {
        yaml::of_yaml(&place.file, &text)?
    };
    if root.name != "databaseChangeLog" {
        return Err(error::at(
            &place.file,
            root.line,
            format!("`{}` is no `databaseChangeLog`", root.name),
        ));
    }
    refuse_unknown(place, &root, ROOT)?;
    let mut place = place_of(place, &root);
    for child in root.children {
        let mut child = child;
        let open = child.open(&reading.parameters);
        child.expand(&reading.parameters);
        match child.name.as_str() {
            "changeSet" => changeset(reading, &place, &child, open)?,
            "include" => include::one(reading, &place, &child)?,
            "includeAll" => include::all(reading, &place, &child)?,
            "property" => property(reading, &place, &child)?,
            "preConditions" => before(reading, &mut place, &child, open)?,
            "logicalFilePath" | "objectQuotingStrategy" | "changeLogId" => {}
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

/// Returns the place of a changelog with what its root says of all of it.
fn place_of(place: &Place, root: &Node) -> Place {
    let mut place = place.clone();
    if let Some(logical) = root
        .get("logicalFilePath")
        .map(plain)
        .filter(|path| !path.is_empty())
    {
        place.filename = logical;
    }
    if let Some(context) = context_of(root) {
        place.contexts.insert(0, context.trim().to_owned());
    }
    if let Some(quoting) = root.get("objectQuotingStrategy") {
        place.quoting = Some(quoting.trim().to_owned());
    }
    place
}

/// Takes up what has to hold before anything of a changelog is applied.
fn before(
    reading: &Reading<'_>,
    place: &mut Place,
    node: &Node,
    open: Option<(String, usize)>,
) -> Result<()> {
    let mut conditions = conditions::of([node], (reading, place))?;
    if let Some((name, line)) = open {
        conditions.refuse(parameters::refusal(&name), line);
    }
    if matches!(conditions.on_fail, OnFail::MarkRan | OnFail::Continue) {
        let why = "`onFail` of the preconditions, which is `HALT` or `WARN` for all of a changelog,";
        conditions.refuse(why.to_owned(), node.line);
    }
    let file = place.file.clone();
    place.before.push(Before { file, conditions });
    Ok(())
}

fn property(reading: &mut Reading<'_>, place: &Place, node: &Node) -> Result<()> {
    if node.get("file").is_some() {
        return Err(error::unsupported(
            &place.file,
            node.line,
            "properties in a file of their own cannot be read",
        )
        .hint("say them in `parameters` of the section `[source]`"));
    }
    refuse_unknown(place, node, PROPERTY)?;
    let property = Property {
        name: node.get("name").unwrap_or_default(),
        value: node.get("value").unwrap_or_default(),
        dbms: node.get("dbms"),
        context: context_of(node),
        labels: node.get("labels"),
        is_global: node.is("global", true),
    };
    reading.property((place, node.line), &property)
}

pub(crate) fn context_of(node: &Node) -> Option<&str> {
    ["contextFilter", "context"]
        .into_iter()
        .find_map(|name| node.get(name))
        .filter(|context| !context.trim().is_empty())
}

fn changeset(
    reading: &mut Reading<'_>,
    place: &Place,
    node: &Node,
    open: Option<(String, usize)>,
) -> Result<()> {
    let mut labels = place.labels.clone();
    labels.extend(split_names(node.get("labels").unwrap_or_default()));
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
            changes.push(change(reading, place, node, child)?);
        }
    }
    let tag = node.all("tagDatabase").last().and_then(|tag| tag.get("tag"));
    let refusal = open.map(|(name, line)| (parameters::refusal(&name), line));
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
        conditions: conditions::of(node.all("preConditions"), (reading, place))?,
        before: place.before.clone(),
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
        order: order(place, node)?,
        refusal: refusal.or_else(|| refused(node).map(|why| (why, node.line))),
    })
}

/// Returns why nothing of a changeset can be followed.
fn refused(node: &Node) -> Option<String> {
    if let Some(name) = node.unknown(CHANGESET) {
        return Some(format!("`{name}`"));
    }
    for (name, usual) in [("runWith", "jdbc"), ("onValidationFail", "halt")] {
        if let Some(value) = node.get(name)
            && !value.trim().eq_ignore_ascii_case(usual)
        {
            return Some(format!("`{name}={value}`"));
        }
    }
    let strange = node.all("rollback").find_map(|child| child.unknown(ROLLBACK));
    strange.map(|name| format!("`{name}` of the rollback"))
}

fn order(place: &Place, node: &Node) -> Result<Order> {
    match node.get("runOrder").map(str::trim) {
        None | Some("") => Ok(Order::InPlace),
        Some("first") => Ok(Order::First),
        Some("last") => Ok(Order::Last),
        Some(other) => Err(error::at(
            &place.file,
            node.line,
            format!("`runOrder` is `first` or `last`, and here `{other}`"),
        )),
    }
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

/// Reads one change, of a changeset or of its rollback.
fn change(reading: &Reading<'_>, place: &Place, changeset: &Node, node: &Node) -> Result<Change> {
    match node.name.as_str() {
        "sql" => {
            let (text, line) = match node.get("sql") {
                Some(text) => (text, None),
                None => (node.text.as_str(), node.text_line),
            };
            let text = text_of(place, node, text, line);
            let checked = without_blanks(&text.text);
            let change = Change::of_sql(text, checked, "sql");
            of_sql(reading, place, (node, SQL), change)
        }
        "sqlFile" => {
            let path = node
                .get("path")
                .ok_or_else(|| error::at(&place.file, node.line, "a `sqlFile` names no `path`"))?;
            let file = include::named(reading, place, node, path);
            let raw = error::read(&file.file)?;
            let text = text_of(&file, node, &reading.parameters.expand(&raw), Some(1));
            // Liquibase takes the sum of the file, before it knows any value.
            let mut change = Change::of_sql(text, without_blanks(&raw), &format!("sqlFile path={path}"));
            change.refusal = reading.parameters.open(&raw).as_deref().map(parameters::refusal);
            of_sql(reading, place, (node, SQL_FILE), change)
        }
        _ => {
            let mut change = modelled::change(reading.dialect, place, node)?;
            let quoting = changeset.get("objectQuotingStrategy").map(str::trim);
            let quoting = quoting.or(place.quoting.as_deref()).unwrap_or("LEGACY");
            if quoting != "LEGACY" && change.sql.is_some() {
                let why = format!("`{}` with `objectQuotingStrategy={quoting}`", node.name);
                change.refusal.get_or_insert(why);
            }
            Ok(change)
        }
    }
}

fn of_sql(
    reading: &Reading<'_>,
    place: &Place,
    (node, known): (&Node, &[&str]),
    mut change: Change,
) -> Result<Change> {
    let is_for = match node.get("dbms") {
        Some(dbms) => reading.is_for(dbms, (place, node.line))?,
        None => true,
    };
    change.line = node.line;
    if let Some(name) = node.unknown(known) {
        change.refusal = Some(format!("`{name}` of `{}`", node.name));
    }
    let encoding = node.get("encoding").map_or_else(String::new, str::to_lowercase);
    if !matches!(encoding.as_str(), "" | "utf-8" | "utf8") {
        change.refusal = Some(format!("`encoding={encoding}` of `{}`", node.name));
    }
    if node.get("comment").is_some() {
        // What Liquibase makes of it is not known.
        change.checked = None;
    }
    if !is_for {
        change.sql = None;
        change.refusal = None;
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
            let change = change(reading, place, node, child)?;
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

/// Refuses what an element that is not part of a changeset says and nothing here follows.
pub(crate) fn refuse_unknown(place: &Place, node: &Node, known: &[&str]) -> Result<()> {
    match node.unknown(known) {
        Some(name) => Err(error::unsupported(
            &place.file,
            node.line,
            format!("`{name}` of `{}` cannot be followed", node.name),
        )),
        None => Ok(()),
    }
}
