//! Changelogs that another one includes: one by its name, or all of a folder.

use std::path::{Path, PathBuf};

use walkback_core::{Error, Result};

use crate::changelog::{Place, Reading};
use crate::error;
use crate::formatted::split_names;
use crate::identity::plain;
use crate::structured::{context_of, refuse_unknown};
use crate::tree::Node;

const ONE: &[&str] = &[
    "file",
    "relativeToChangelogFile",
    "errorIfMissing",
    "context",
    "contextFilter",
    "labels",
    "ignore",
    "logicalFilePath",
];

const ALL: &[&str] = &[
    "path",
    "relativeToChangelogFile",
    "errorIfMissingOrEmpty",
    "context",
    "contextFilter",
    "labels",
    "ignore",
    "endsWithFilter",
    "minDepth",
    "maxDepth",
];

/// Returns the place of a file that another one names.
pub(crate) fn named(reading: &Reading<'_>, place: &Place, node: &Node, path: &str) -> Place {
    let filename = if node.is("relativeToChangelogFile", false) {
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
    if let Some(context) = context_of(node) {
        inner.contexts.insert(0, context.trim().to_owned());
    }
    let labels = split_names(node.get("labels").unwrap_or_default());
    inner.labels.splice(0..0, labels);
    inner
}

fn relative(root: &Path, file: &Path) -> String {
    let inside = file.strip_prefix(root).unwrap_or(file);
    plain(&inside.to_string_lossy())
}

/// Includes one changelog.
pub(crate) fn one(reading: &mut Reading<'_>, place: &Place, node: &Node) -> Result<()> {
    refuse_unknown(place, node, ONE)?;
    if node.is("ignore", false) {
        return Ok(());
    }
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
pub(crate) fn all(reading: &mut Reading<'_>, place: &Place, node: &Node) -> Result<()> {
    for wanted in ["filter", "resourceComparator", "resourceFilter"] {
        if node.get(wanted).is_some() {
            return Err(error::unsupported(
                &place.file,
                node.line,
                format!("`{wanted}` of `includeAll` is a program in Java"),
            ));
        }
    }
    refuse_unknown(place, node, ALL)?;
    if node.is("ignore", false) {
        return Ok(());
    }
    let path = node
        .get("path")
        .ok_or_else(|| error::at(&place.file, node.line, "an `includeAll` names no `path`"))?;
    let folder = named(reading, place, node, path);
    let files = files(reading, place, node, &folder)?;
    if files.is_empty() && node.is("errorIfMissingOrEmpty", true) {
        return Err(error::at(
            &place.file,
            node.line,
            format!("there is nothing to include in `{}`", folder.file.display()),
        ));
    }
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

/// Returns the files of a folder that are asked for, in order.
fn files(reading: &Reading<'_>, place: &Place, node: &Node, folder: &Place) -> Result<Vec<PathBuf>> {
    let depth = |name: &str, otherwise: usize| match node.get(name) {
        None => Ok(otherwise),
        Some(text) => text.trim().parse().map_err(|error| {
            error::at(
                &place.file,
                node.line,
                format!("`{name}` of `includeAll` is no number"),
            )
            .with_source(error)
        }),
    };
    let (least, most) = (depth("minDepth", 0)?, depth("maxDepth", usize::MAX)?);
    let mut files = Vec::new();
    if folder.file.is_dir() {
        collect(&folder.file, (1, most), &mut files)?;
    }
    let end = node.get("endsWithFilter").unwrap_or_default().to_lowercase();
    let is_asked = |(depth, file): (usize, PathBuf)| {
        let name = relative(reading.root, &file).to_lowercase();
        (depth >= least && name.ends_with(&end)).then_some(file)
    };
    let mut files: Vec<PathBuf> = files.into_iter().filter_map(is_asked).collect();
    files.sort_by_key(|file| relative(reading.root, file));
    Ok(files)
}

/// Collects the files of a folder with their depth, which is 1 in the folder itself.
fn collect(folder: &Path, (depth, most): (usize, usize), files: &mut Vec<(usize, PathBuf)>) -> Result<()> {
    if depth > most {
        return Ok(());
    }
    let failed = |error| Error::io("read the folder", folder, error);
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            collect(&path, (depth + 1, most), files)?;
        } else {
            files.push((depth, path));
        }
    }
    Ok(())
}
