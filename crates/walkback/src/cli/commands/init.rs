//! `init`: a configuration, a folder for migrations, and the lines git should know.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use walkback_core::{Error, ErrorKind, Result};

use crate::cli::args::Init;
use crate::cli::context::{Context, json};
use crate::cli::exit;
use crate::config::FILE_NAME;

/// What git must not keep: backups, and variables that may be secrets.
const IGNORED: [&str; 3] = [".walkback/", "*-walkback-lock", ".env"];

pub(super) fn run(context: &Context, args: &Init) -> Result<u8> {
    let folder = std::env::current_dir()
        .map_err(|error| Error::io("find the working directory", ".".as_ref(), error))?;
    let registry = walkback_adapters::registry()?;
    if !registry.sources().iter().any(|source| source.kind == args.source) {
        let kinds: Vec<_> = registry
            .sources()
            .iter()
            .map(|source| format!("`{}`", source.kind))
            .collect();
        return Err(Error::new(
            ErrorKind::Usage,
            format!("there is no layout of migrations `{}`", args.source),
        )
        .hint(format!("this build has {}", kinds.join(", "))));
    }
    let url = context.global.url.as_deref().unwrap_or("sqlite:app.db");
    let mut wrote = vec![create(&folder.join(FILE_NAME), &configuration(args, url))?];
    let migrations = folder.join(&args.path);
    if !migrations.is_dir() {
        fs::create_dir_all(&migrations)
            .map_err(|error| Error::io("create the folder", &migrations, error))?;
        wrote.push(migrations);
    }
    wrote.extend(ignore(&folder)?);
    for path in &wrote {
        let shown = path.strip_prefix(&folder).unwrap_or(path);
        context.out.text(format!("wrote {}", shown.display()));
    }
    context
        .out
        .text("next: `walkback new <slug>` writes a migration, `walkback up` applies it");
    context.object([("wrote", json(&wrote))])?;
    Ok(exit::DONE)
}

/// Writes a file that must not be there yet.
fn create(path: &Path, text: &str) -> Result<PathBuf> {
    let mut file = fs::File::create_new(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => Error::new(
            ErrorKind::AlreadyExists,
            format!("`{}` is there already", path.display()),
        )
        .hint("edit it, or remove it first to begin again"),
        _ => Error::io("write", path, error),
    })?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(|error| Error::io("write", path, error))?;
    Ok(path.to_owned())
}

/// Adds the lines that are missing to the `.gitignore` of a git repository. Nothing outside of one.
fn ignore(folder: &Path) -> Result<Option<PathBuf>> {
    if !folder.ancestors().any(|ancestor| ancestor.join(".git").exists()) {
        return Ok(None);
    }
    let path = folder.join(".gitignore");
    let mut text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(Error::io("read", &path, error)),
    };
    let missing: Vec<_> = IGNORED
        .iter()
        .filter(|line| !text.lines().any(|other| other.trim() == **line))
        .collect();
    if missing.is_empty() {
        return Ok(None);
    }
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    for line in missing {
        text.push_str(line);
        text.push('\n');
    }
    fs::write(&path, text).map_err(|error| Error::io("write", &path, error))?;
    Ok(Some(path))
}

fn configuration(args: &Init, url: &str) -> String {
    // TOML spells strings as JSON does, as far as these values go.
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    format!(
        r#"# The configuration of walkback. A flag wins over a variable, a variable over this file.
# Strings may hold ${{NAME}} and ${{NAME:-default}}; a `.env` file beside this one is read.

[source]
kind = {source}
path = {path}

# Where rollback points and backups go.
[store.local]
kind = "fs"
path = ".walkback/vault"

[env.dev]
url = {url}
stores = ["local"]

# [env.production]
# url = "${{DATABASE_URL}}"
# stores = ["local"]
# lock_timeout = "30s"
# [env.production.policy]
# destructive = "ask"        # allow, ask, refuse: migrations that destroy something
# lossy = "ask"              # allow, ask, refuse: rollbacks that lose something
# require_ticket = true      # every change needs `--ticket`
# confirm = "type-name"      # confirm by typing the name of the environment, instead of yes
"#,
        source = quoted(&args.source),
        path = quoted(&args.path),
        url = quoted(url),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{FileConfig, Overrides, Project, Variables};

    fn args() -> Init {
        Init {
            source: "sql".into(),
            path: "db/\"mine\"\\x".into(),
        }
    }

    #[test]
    fn what_is_written_can_be_read_with_the_comments_and_without() {
        let text = configuration(&args(), "sqlite:it's \"mine\".db");
        let config = FileConfig::parse(FILE_NAME.as_ref(), &text).unwrap();
        assert_eq!(
            config.environments["dev"].url.as_ref().unwrap().value,
            "sqlite:it's \"mine\".db"
        );
        assert_eq!(config.source.unwrap().settings["path"].value, "db/\"mine\"\\x");

        let (before, production) = text.split_once("# [env.production]").unwrap();
        let all = format!("{before}# [env.production]{production}").replace("\n# ", "\n");
        let all = all.replace("Strings may", "# Strings may");
        assert!(FileConfig::parse(FILE_NAME.as_ref(), &all).is_err() || all.contains("[env.production]"));
        let production: String = production
            .lines()
            .map(|line| format!("{}\n", line.trim_start_matches("# ")))
            .collect();
        let config = FileConfig::parse(FILE_NAME.as_ref(), &format!("[env.production]{production}")).unwrap();
        assert!(config.environments["production"].policy.require_ticket);
    }

    #[test]
    fn a_configuration_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE_NAME);
        create(&file, &configuration(&args(), "sqlite:a.db")).unwrap();
        assert_eq!(create(&file, "").unwrap_err().kind(), ErrorKind::AlreadyExists);
        Project::load(folder.path(), Variables::default(), Overrides::default()).unwrap();
    }

    #[test]
    fn git_is_told_once_and_only_where_there_is_git() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(ignore(folder.path()).unwrap(), None);
        fs::create_dir(folder.path().join(".git")).unwrap();
        fs::write(folder.path().join(".gitignore"), "target\n.env").unwrap();
        ignore(folder.path()).unwrap().unwrap();
        let text = fs::read_to_string(folder.path().join(".gitignore")).unwrap();
        assert_eq!(text, "target\n.env\n.walkback/\n*-walkback-lock\n");
        assert_eq!(ignore(folder.path()).unwrap(), None);
    }
}
