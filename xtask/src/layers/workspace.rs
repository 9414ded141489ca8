//! The workspace as the checks see it: manifests and source, in memory.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use toml::{Table, Value};

/// A crate of the workspace.
#[derive(Debug, Default)]
pub(crate) struct Member {
    /// Its folder, from the root, with `/`: `adapters/store-fs`.
    pub(crate) folder: String,
    /// Its `Cargo.toml`.
    pub(crate) manifest: Table,
    /// Its files by path from its folder; text of `.rs` files, empty text for others.
    pub(crate) files: BTreeMap<String, String>,
}

/// One line of a dependency table.
#[derive(Debug)]
pub(crate) struct Dependency<'m> {
    pub(crate) name: &'m str,
    pub(crate) value: &'m Value,
    pub(crate) kind: DependencyKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DependencyKind {
    Normal,
    Dev,
    Build,
}

impl Member {
    pub(crate) fn name(&self) -> &str {
        self.manifest
            .get("package")
            .and_then(|package| package.get("name"))
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// Returns all dependencies, those for one target only included.
    pub(crate) fn dependencies(&self) -> Vec<Dependency<'_>> {
        let mut tables = vec![&self.manifest];
        if let Some(targets) = self.manifest.get("target").and_then(Value::as_table) {
            tables.extend(targets.values().filter_map(Value::as_table));
        }
        let kinds = [
            ("dependencies", DependencyKind::Normal),
            ("dev-dependencies", DependencyKind::Dev),
            ("build-dependencies", DependencyKind::Build),
        ];
        let mut found = Vec::new();
        for table in tables {
            for (section, kind) in kinds {
                let Some(entries) = table.get(section).and_then(Value::as_table) else {
                    continue;
                };
                found.extend(
                    entries
                        .iter()
                        .map(|(name, value)| Dependency { name, value, kind }),
                );
            }
        }
        found
    }

    /// Returns the path from the root of one of its files.
    pub(crate) fn path(&self, file: &str) -> String {
        format!("{}/{file}", self.folder)
    }
}

/// Reads every member the root manifest lists.
pub(crate) fn read(root: &Path) -> Result<Vec<Member>> {
    let manifest = read_manifest(&root.join("Cargo.toml"))?;
    let patterns = manifest
        .get("workspace")
        .and_then(|workspace| workspace.get("members"))
        .and_then(Value::as_array)
        .context("`Cargo.toml` lists no `workspace.members`")?;
    let mut members = Vec::new();
    for pattern in patterns.iter().filter_map(Value::as_str) {
        match pattern.strip_suffix("/*") {
            Some(parent) => {
                for folder in sorted_folders(&root.join(parent))? {
                    members.push(read_member(root, &format!("{parent}/{folder}"))?);
                }
            }
            None => members.push(read_member(root, pattern)?),
        }
    }
    if members.is_empty() {
        bail!("the workspace has no members");
    }
    Ok(members)
}

fn read_member(root: &Path, folder: &str) -> Result<Member> {
    let path = root.join(folder);
    let mut files = BTreeMap::new();
    collect(&path, "", &mut files)?;
    Ok(Member {
        folder: folder.to_owned(),
        manifest: read_manifest(&path.join("Cargo.toml"))?,
        files,
    })
}

fn read_manifest(path: &Path) -> Result<Table> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    text.parse()
        .with_context(|| format!("`{}` is not TOML", path.display()))
}

fn sorted_folders(parent: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(parent).with_context(|| format!("cannot read `{}`", parent.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.path().join("Cargo.toml").is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn collect(root: &Path, inside: &str, files: &mut BTreeMap<String, String>) -> Result<()> {
    for entry in fs::read_dir(root.join(inside))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if inside.is_empty() {
            name.clone()
        } else {
            format!("{inside}/{name}")
        };
        if entry.file_type()?.is_dir() {
            if name != "target" && !name.starts_with('.') {
                collect(root, &path, files)?;
            }
        } else if name.ends_with(".rs") {
            let text = fs::read_to_string(entry.path())
                .with_context(|| format!("cannot read `{}`", entry.path().display()))?;
            files.insert(path, text);
        } else {
            files.insert(path, String::new());
        }
    }
    Ok(())
}
