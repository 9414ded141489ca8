//! `alembic.ini` and `pyproject.toml`: where the revisions are.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use configparser::ini::Ini;
use walkback_core::{Error, Result};

use crate::error;

/// Where a project of Alembic has its things.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    /// `alembic.ini` or `pyproject.toml`.
    pub(crate) file: PathBuf,
    /// The folder from which Alembic is run: the one it is in, or one above from which its paths are meant.
    pub(crate) folder: PathBuf,
    /// The folder with `env.py`.
    pub(crate) scripts: PathBuf,
    /// The folders with revisions.
    pub(crate) versions: Vec<PathBuf>,
    /// Whether folders in these folders count.
    pub(crate) recursive: bool,
}

impl Settings {
    /// Reads the settings of a project.
    ///
    /// # Errors
    /// `NotFound` if there are none, `Config` by file where they cannot be read or do not say where the revisions are.
    pub(crate) fn read(file: &Path, section: &str) -> Result<Self> {
        if !file.is_file() {
            return Err(error::no_settings(file));
        }
        // As it is named: messages should name files as a person would.
        let folder = match file.parent() {
            Some(folder) if folder != Path::new("") => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        let beside = folder.join("pyproject.toml");
        let mut options = BTreeMap::new();
        if beside.is_file() {
            options = from_toml(&beside, &folder)?;
        }
        if file.extension().is_none_or(|extension| extension != "toml") {
            options.extend(from_ini(file, section, &folder)?);
        }
        let Some(scripts) = options.get("script_location") else {
            return Err(Error::config(format!(
                "`{}` does not say where the migrations are: it has no `script_location` in `[{section}]`",
                file.display()
            ))
            .hint("set `path` in `[source]` to the `alembic.ini` of the project, and `section` if it is called otherwise"));
        };
        let folder = root(scripts, folder);
        let paths = words(
            options.get("prepend_sys_path").map_or(".", String::as_str),
            &options,
        );
        let scripts = located(scripts, &folder, &paths);
        let versions = match options
            .get("version_locations")
            .filter(|text| !text.trim().is_empty())
        {
            None => vec![scripts.join("versions")],
            Some(text) => words(text, &options)
                .iter()
                .map(|location| located(location, &folder, &paths))
                .collect(),
        };
        let recursive = options.get("recursive_version_locations").is_some_and(|flag| {
            matches!(
                flag.trim().to_ascii_lowercase().as_str(),
                "true" | "1" | "yes" | "on"
            )
        });
        Ok(Self {
            file: file.to_owned(),
            folder,
            scripts,
            versions,
            recursive,
        })
    }
}

/// Returns the folder from which a project is run: Alembic takes paths from where it is started, which may be above.
fn root(scripts: &str, folder: PathBuf) -> PathBuf {
    let is_there = |root: &Path| root.join(scripts).is_dir();
    if Path::new(scripts).is_absolute() || is_there(&folder) {
        return folder;
    }
    let whole = std::path::absolute(&folder).unwrap_or_else(|_| folder.clone());
    let above = whole.ancestors().skip(1).find(|root| is_there(root));
    above.map_or(folder, Path::to_owned)
}

/// Returns where something is: a path from the folder of the project, or `package:path`.
fn located(location: &str, folder: &Path, paths: &[String]) -> PathBuf {
    match location.split_once(':').filter(|(package, _)| package.len() > 1) {
        None => named(&folder.join(location)),
        Some((package, path)) => {
            let inside = Path::new(&package.replace('.', "/")).join(path);
            let mut roots = paths
                .iter()
                .map(|root| folder.join(root))
                .chain([folder.to_owned()]);
            let found = roots.find(|root| root.join(&inside).is_dir());
            named(&found.unwrap_or_else(|| folder.to_owned()).join(inside))
        }
    }
}

/// Returns a path without the dots that say nothing.
fn named(path: &Path) -> PathBuf {
    let parts = path.components().filter(|part| *part != Component::CurDir);
    parts.collect()
}

/// Splits a list of paths as Alembic does.
fn words(text: &str, options: &BTreeMap<String, String>) -> Vec<String> {
    let separator = options
        .get("path_separator")
        .or_else(|| options.get("version_path_separator"));
    let at = |separator: char| text.split(separator).collect::<Vec<_>>();
    let words = match separator.map(|separator| separator.trim()) {
        Some("os") => at(if cfg!(windows) { ';' } else { ':' }),
        Some("newline") => text.lines().collect(),
        Some("space") => text.split_whitespace().collect(),
        Some(":") => at(':'),
        Some(";") => at(';'),
        Some(LIST) => at('\u{1f}'),
        _ => text.split([',', ' ', '\n']).collect(),
    };
    let words = words.into_iter().map(str::trim).filter(|word| !word.is_empty());
    words.map(str::to_owned).collect()
}

/// How a list of TOML is told from a text.
const LIST: &str = "a list";

fn from_ini(file: &Path, section: &str, folder: &Path) -> Result<BTreeMap<String, String>> {
    let text = std::fs::read_to_string(file).map_err(|error| Error::io("read", file, error))?;
    let mut ini = Ini::new();
    ini.set_multiline(true);
    ini.set_inline_comment_symbols(Some(&[]));
    ini.set_default_section("default");
    ini.read(text)
        .map_err(|why| Error::config(format!("`{}` cannot be read: {why}", file.display())))?;
    let map = ini.get_map_ref();
    let of = |name: &str| map.get(name).into_iter().flatten();
    let mut raw = BTreeMap::from([("here".to_owned(), folder.display().to_string())]);
    let mut is_there = false;
    for (name, value) in of("default").chain(of(&section.to_lowercase())) {
        is_there = true;
        raw.insert(name.clone(), value.clone().unwrap_or_default());
    }
    if !is_there || !map.contains_key(&section.to_lowercase()) {
        return Ok(BTreeMap::new());
    }
    raw.iter()
        .filter(|(name, _)| OPTIONS.contains(&name.as_str()))
        .map(|(name, value)| {
            let value = interpolated(value, &raw, 0).ok_or_else(|| {
                Error::config(format!("`{name}` in `{}` cannot be filled in", file.display()))
            })?;
            Ok((name.clone(), value))
        })
        .collect()
}

/// The options that are of use here. Others may hold what only Alembic can fill in.
const OPTIONS: &[&str] = &[
    "script_location",
    "version_locations",
    "path_separator",
    "version_path_separator",
    "prepend_sys_path",
    "recursive_version_locations",
];

/// Fills in `%(name)s`, as Python does: `%%` stands for itself.
fn interpolated(text: &str, options: &BTreeMap<String, String>, depth: usize) -> Option<String> {
    if depth > 10 {
        return None;
    }
    let mut filled = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        filled.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            filled.push('%');
            rest = after;
        } else {
            let (name, after) = rest.strip_prefix('(')?.split_once(")s")?;
            // Where the project is, it is as it is: a folder may have any name.
            let value = options.get(&name.to_lowercase())?;
            filled.push_str(&match name {
                "here" => value.clone(),
                _ => interpolated(value, options, depth + 1)?,
            });
            rest = after;
        }
    }
    filled.push_str(rest);
    Some(filled)
}

fn from_toml(file: &Path, folder: &Path) -> Result<BTreeMap<String, String>> {
    let text = std::fs::read_to_string(file).map_err(|error| Error::io("read", file, error))?;
    let document: toml::Table = toml::from_str(&text).map_err(|error| {
        let line = error
            .span()
            .and_then(|span| text.get(..span.start))
            .map_or(1, |before| 1 + before.matches('\n').count());
        error::at(file, line, "this is not TOML").with_source(error)
    })?;
    let here = BTreeMap::from([("here".to_owned(), folder.display().to_string())]);
    let table = document
        .get("tool")
        .and_then(|tool| tool.get("alembic"))
        .and_then(toml::Value::as_table);
    let mut options = BTreeMap::new();
    for (name, value) in table.into_iter().flatten() {
        let fill = |text: &str| interpolated(text, &here, 0).unwrap_or_else(|| text.to_owned());
        let value = match value {
            toml::Value::String(text) => fill(text),
            toml::Value::Boolean(flag) => flag.to_string(),
            toml::Value::Array(items) => {
                options.insert("path_separator".to_owned(), LIST.to_owned());
                let texts = items.iter().filter_map(toml::Value::as_str).map(fill);
                texts.collect::<Vec<_>>().join("\u{1f}")
            }
            _ => continue,
        };
        options.insert(name.clone(), value);
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, text: &str) -> Settings {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        let settings = Settings::read(&file, "alembic").unwrap();
        let base = folder.path();
        let inside = |path: &Path| path.strip_prefix(base).unwrap().to_owned();
        Settings {
            file: inside(&settings.file),
            folder: PathBuf::new(),
            scripts: inside(&settings.scripts),
            versions: settings.versions.iter().map(|path| inside(path)).collect(),
            recursive: settings.recursive,
        }
    }

    #[test]
    fn the_folders_are_found_as_alembic_finds_them() {
        let cases = [
            ("script_location = migrations", vec!["migrations/versions"]),
            ("script_location: %(here)s/db", vec!["db/versions"]),
            (
                "script_location = db\nversion_locations = a/v b/v,c",
                vec!["a/v", "b/v", "c"],
            ),
            (
                "script_location = db\nversion_path_separator = os\nversion_locations = %(here)s/a b:%(here)s/c",
                vec!["a b", "c"],
            ),
            (
                "script_location = db\npath_separator = newline\nversion_locations =\n    a\n    b c",
                vec!["a", "b c"],
            ),
            (
                "root = x%%y\nscript_location = %(root)s\nsqlalchemy.url = a://b:%c@d",
                vec!["x%y/versions"],
            ),
        ];
        for (text, expected) in cases {
            let settings = read(
                "alembic.ini",
                &format!("[alembic]\n{text}\n[loggers]\nkeys = root\n"),
            );
            let expected: Vec<_> = expected.iter().map(PathBuf::from).collect();
            assert_eq!(settings.versions, expected, "{text}");
        }
    }

    #[test]
    fn a_project_file_says_it_too() {
        let text = "[tool.alembic]\nscript_location = \"%(here)s/db\"\nversion_locations = [\"%(here)s/a b\", \"c\"]\n";
        let settings = read("pyproject.toml", text);
        assert_eq!(settings.scripts, Path::new("db"));
        assert_eq!(settings.versions, [Path::new("a b"), Path::new("c")]);
    }
}
