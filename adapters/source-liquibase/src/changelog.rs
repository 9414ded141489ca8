//! Reading a changelog, with all that it includes, for one engine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use walkback_core::{Cx, DialectKind, Error, MigrationId, Result};

use crate::changeset::{Before, Changeset};
use crate::config::Config;
use crate::error;
use crate::expression;
use crate::formatted::{self, split_names};
use crate::identity::{identity, plain};
use crate::parameters::Parameters;
use crate::structured;

/// All changesets for one engine, in order.
#[derive(Debug)]
pub(crate) struct Changelog {
    pub(crate) changesets: Vec<(MigrationId, Changeset)>,
    /// What is not used, with the reason.
    pub(crate) notices: Vec<(PathBuf, String)>,
}

impl Changelog {
    /// Reads the root changelog.
    pub(crate) fn read(cx: &Cx, config: &Config, root: &Path, dialect: DialectKind) -> Result<Self> {
        let mut reading = Reading::new(cx, config, root, dialect);
        reading.file(&Place::root(&config.path, root))?;
        Ok(reading.finish())
    }

    /// Returns a changeset and the one that the ledger knows as that.
    pub(crate) fn find(&self, id: &MigrationId) -> Option<&Changeset> {
        let found = self.changesets.iter().find(|(known, _)| known == id);
        found.map(|(_, changeset)| changeset)
    }
}

/// Where a changelog stands, and what it is included under.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) file: PathBuf,
    /// What the ledger calls it.
    pub(crate) filename: String,
    /// The contexts it is under, innermost first, as the ledger shows them.
    pub(crate) contexts: Vec<String>,
    pub(crate) labels: Vec<String>,
    /// How names are quoted, where a changelog says it: `objectQuotingStrategy`.
    pub(crate) quoting: Option<String>,
    /// What has to hold before anything of it is applied.
    pub(crate) before: Vec<Before>,
    /// What has included it, to notice a circle.
    pub(crate) chain: Vec<PathBuf>,
}

impl Place {
    fn root(path: &str, root: &Path) -> Self {
        let filename = plain(path);
        Self {
            file: root.join(&filename),
            filename,
            contexts: Vec::new(),
            labels: Vec::new(),
            quoting: None,
            before: Vec::new(),
            chain: Vec::new(),
        }
    }
}

/// A property, and what it is for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Property<'t> {
    pub(crate) name: &'t str,
    pub(crate) value: &'t str,
    pub(crate) dbms: Option<&'t str>,
    pub(crate) context: Option<&'t str>,
    pub(crate) labels: Option<&'t str>,
    pub(crate) is_global: bool,
}

/// What is known while a changelog is read.
pub(crate) struct Reading<'a> {
    pub(crate) cx: &'a Cx,
    pub(crate) config: &'a Config,
    pub(crate) root: &'a Path,
    pub(crate) dialect: DialectKind,
    pub(crate) parameters: Parameters,
    changesets: Vec<Changeset>,
    by_key: BTreeMap<Vec<String>, usize>,
    notices: Vec<(PathBuf, String)>,
    /// How many changesets are for other engines or contexts.
    aside: BTreeMap<String, usize>,
}

impl<'a> Reading<'a> {
    fn new(cx: &'a Cx, config: &'a Config, root: &'a Path, dialect: DialectKind) -> Self {
        Self {
            cx,
            config,
            root,
            dialect,
            parameters: Parameters::new(&config.parameters),
            changesets: Vec::new(),
            by_key: BTreeMap::new(),
            notices: Vec::new(),
            aside: BTreeMap::new(),
        }
    }

    /// Reads one changelog, whatever it is written in.
    pub(crate) fn file(&mut self, place: &Place) -> Result<()> {
        self.cx.check()?;
        self.parameters.enter();
        let read = self.file_within(place);
        self.parameters.leave();
        read
    }

    fn file_within(&mut self, place: &Place) -> Result<()> {
        let extension = place.file.extension().and_then(|extension| extension.to_str());
        match extension.unwrap_or_default().to_lowercase().as_str() {
            "sql" => formatted::read(self, place),
            "xml" => structured::read(self, place, true),
            "yaml" | "yml" | "json" => structured::read(self, place, false),
            other => Err(error::unsupported(
                &place.file,
                1,
                format!("a changelog in `.{other}` cannot be read"),
            )),
        }
    }

    /// Notes something that is not used.
    pub(crate) fn notice(&mut self, file: &Path, line: usize, why: impl std::fmt::Display) {
        self.notices
            .push((file.to_owned(), format!("{why} (line {line})")));
    }

    /// Says whether a changeset is for this engine, and for what is asked for; one that is not is counted.
    pub(crate) fn is_wanted(
        &mut self,
        place: (&Place, usize),
        dbms: Option<&str>,
        contexts: Option<&str>,
        labels: &[String],
    ) -> Result<bool> {
        if let Some(dbms) = dbms
            && !self.is_for(dbms, place)?
        {
            self.leave("for other engines");
            return Ok(false);
        }
        for context in place.0.contexts.iter().map(String::as_str).chain(contexts) {
            if !self.is_in_context(context, place)? {
                self.leave("for other contexts than `contexts` names");
                return Ok(false);
            }
        }
        if !self.has_wanted_label(labels)? {
            self.leave("with other labels than `labels` asks for");
            return Ok(false);
        }
        Ok(true)
    }

    fn is_in_context(&self, context: &str, (place, line): (&Place, usize)) -> Result<bool> {
        expression::is_in_context(context, &self.config.contexts)
            .map_err(|why| error::at(&place.file, line, format!("the context {why}")))
    }

    fn has_wanted_label(&self, labels: &[String]) -> Result<bool> {
        match &self.config.labels {
            Some(wanted) if !labels.is_empty() => expression::holds(wanted, labels)
                .map_err(|why| Error::config(format!("`labels` of the section `[source]`: {why}"))),
            _ => Ok(true),
        }
    }

    /// Takes a property up, if it is for this engine and for what is asked for.
    pub(crate) fn property(&mut self, place: (&Place, usize), property: &Property<'_>) -> Result<()> {
        let is_for_engine = property.dbms.map_or(Ok(true), |dbms| self.is_for(dbms, place))?;
        let context = property.context.filter(|context| !context.trim().is_empty());
        let is_in_context = context.map_or(Ok(true), |one| self.is_in_context(one, place))?;
        let labels = split_names(property.labels.unwrap_or_default());
        if is_for_engine && is_in_context && self.has_wanted_label(&labels)? {
            self.parameters
                .set(property.name, property.value, property.is_global);
        }
        Ok(())
    }

    fn leave(&mut self, why: &str) {
        *self.aside.entry(why.to_owned()).or_default() += 1;
    }

    /// Says whether a list of engines names the one that is worked on. MySQL and MariaDB speak one dialect.
    pub(crate) fn is_for(&self, dbms: &str, (place, line): (&Place, usize)) -> Result<bool> {
        if let Some(engine) = &self.config.dbms {
            return Ok(expression::names_engine(dbms, &engine.to_lowercase()));
        }
        let names: &[&str] = match self.dialect {
            DialectKind::Sqlite => &["sqlite"],
            DialectKind::Postgres => &["postgresql"],
            DialectKind::Mysql => &["mysql", "mariadb"],
        };
        let is_named = |name: &&str| expression::names_engine(dbms, name);
        let first = names.first().is_some_and(is_named);
        if names.iter().all(|name| is_named(name) == first) {
            return Ok(first);
        }
        Err(error::at(
            &place.file,
            line,
            format!("`dbms:{dbms}` tells MySQL and MariaDB apart"),
        )
        .hint("say which one it is: `dbms = \"mariadb\"` or `dbms = \"mysql\"` in the section `[source]` of walkback.toml"))
    }

    /// Adds a changeset that is wanted.
    pub(crate) fn add(&mut self, changeset: Changeset) -> Result<()> {
        let key = changeset.key();
        if let Some(earlier) = self.by_key.insert(key.clone(), self.changesets.len()) {
            let first = &self.changesets[earlier];
            return Err(error::twice(
                &identity(&key),
                (&first.file, first.line),
                (&changeset.file, changeset.line),
            ));
        }
        if let Some(again) = changeset.runs_again {
            let name = identity(&key);
            let why = match again {
                "runAlways" => {
                    format!("`{name}` is applied once here; its `runAlways` is left to `liquibase update`")
                }
                _ => format!(
                    "`{name}` counts as edited when it changes; its `{again}` is left to `liquibase update`"
                ),
            };
            self.notice(&changeset.file.clone(), changeset.line, why);
        }
        self.changesets.push(changeset);
        Ok(())
    }

    fn finish(mut self) -> Changelog {
        // As Liquibase does: the first ones before all others, the last ones behind, wherever they stand.
        self.changesets.sort_by_key(|changeset| changeset.order);
        for (why, count) in &self.aside {
            let what = format!("it has changesets {why}: {count}");
            self.notices.push((PathBuf::from(&self.config.path), what));
        }
        let name = |changeset: Changeset| (MigrationId::new(identity(&changeset.key())), changeset);
        Changelog {
            changesets: self.changesets.into_iter().map(name).collect(),
            notices: self.notices,
        }
    }
}
