//! `cargo xtask services`: the servers that the tests want. `tests/services` does the work; this tool itself stays
//! free of drivers.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::process::{cargo, output, shown};

/// The services, by the names of `walkback-services`, each with the adapter that works on it.
pub(crate) const SERVICES: &[(&str, &str)] = &[
    ("postgres", "engine-postgres"),
    ("postgres-newest", "engine-postgres"),
    ("mysql", "engine-mysql"),
    ("mariadb", "engine-mysql"),
];

/// Servers that stand, and which of them would not without us.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// The variables that lead to them.
    pub(crate) variables: Vec<(String, String)>,
    started: Vec<String>,
}

/// Hands a command line to the program of `tests/services`.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<()> {
    let status = Command::new(program(root)?)
        .args(arguments)
        .stdin(Stdio::null())
        .status()
        .context("cannot start `walkback-services`")?;
    if !status.success() {
        bail!("`cargo xtask services {}` failed ({status})", arguments.join(" "));
    }
    Ok(())
}

/// Starts servers that are not there, and leaves none of them behind if one that is required cannot be had.
pub(crate) fn up(root: &Path, names: &[&str]) -> Result<Standing> {
    if names.is_empty() {
        return Ok(Standing::default());
    }
    let mut command = Command::new(program(root)?);
    command.args(["up", "--only", &names.join(",")]);
    println!("$ {}", shown(&command));
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start `walkback-services`")?;
    let standing = parse(&String::from_utf8_lossy(&output.stdout))?;
    if !output.status.success() {
        down(root, &standing)?;
        bail!("a service that is required cannot be had");
    }
    Ok(standing)
}

/// Stops what `up` started, and nothing that stood before.
pub(crate) fn down(root: &Path, standing: &Standing) -> Result<()> {
    if standing.started.is_empty() {
        return Ok(());
    }
    let only = standing.started.join(",");
    run(root, &["down".to_owned(), "--only".to_owned(), only])
}

/// Builds the program and returns where it is.
///
/// It is built as the tests are, so that `cargo test` finds its dependencies compiled with the features it wants.
fn program(root: &Path) -> Result<PathBuf> {
    let mut command = cargo(root);
    command
        .args(["test", "--workspace", "--no-run", "--test", "services"])
        .arg("--message-format=json-render-diagnostics");
    let messages = output(&mut command)?;
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == "walkback-services")
        .filter(|message| message["target"]["kind"][0] == "bin" && message["profile"]["test"] == false)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .context("cargo did not say where `walkback-services` is")
}

/// Reads what `up` writes for a shell.
fn parse(text: &str) -> Result<Standing> {
    let mut standing = Standing::default();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("# started ") {
            standing.started.push(name.to_owned());
        } else {
            let variable = line.strip_prefix("export ").and_then(|line| line.split_once('='));
            let (name, value) = variable.with_context(|| format!("`up` wrote `{line}`"))?;
            let value = value
                .strip_prefix('\'')
                .and_then(|value| value.strip_suffix('\''))
                .with_context(|| format!("`up` wrote `{name}` without quotes"))?
                .replace(r"'\''", "'");
            standing.variables.push((name.to_owned(), value));
        }
    }
    Ok(standing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_for_a_shell_is_read() {
        let standing =
            parse("# started mysql\nexport A='mysql://x'\nexport B='it'\\''s'\n").expect("it is read");
        assert_eq!(standing.started, ["mysql"]);
        let variables = [("A", "mysql://x"), ("B", "it's")];
        assert_eq!(
            standing.variables,
            variables.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
        assert_eq!(parse("").expect("nothing"), Standing::default());
        parse("what?").expect_err("no line of a shell");
        parse("export A=bare").expect_err("no quotes");
    }
}
