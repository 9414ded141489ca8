//! Running other programs.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// Runs a program with its output on the terminal, and fails if it does.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let line = shown(command);
    println!("$ {line}");
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("cannot start `{line}`"))?;
    if status.success() {
        return Ok(());
    }
    bail!("`{line}` failed ({status})");
}

/// Runs a program and returns what it writes to stdout.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let line = shown(command);
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start `{line}`"))?;
    if !output.status.success() {
        bail!("`{line}` failed ({})", output.status);
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{line}` did not write UTF-8"))
}

/// Variables that may hold a password, and are of no use when the server they lead to is gone.
const SECRET: &str = "WALKBACK_TEST_";

/// Returns the command line of a program, as a person would type it.
pub(crate) fn shown(command: &Command) -> String {
    let variables = command.get_envs().filter_map(|(name, value)| {
        let value = value?.to_string_lossy();
        let is_secret = name.to_string_lossy().starts_with(SECRET);
        (!is_secret).then(|| format!("{}={}", name.to_string_lossy(), quoted(&value)))
    });
    let program = Path::new(command.get_program());
    let program = program
        .file_name()
        .unwrap_or(command.get_program())
        .to_string_lossy();
    let arguments = command
        .get_args()
        .map(|argument| quoted(&argument.to_string_lossy()));
    variables
        .chain(std::iter::once(program.into_owned()))
        .chain(arguments)
        .collect::<Vec<_>>()
        .join(" ")
}

fn quoted(text: &str) -> String {
    if text.is_empty() || text.contains([' ', '"', '\'', '$', '*', ';']) {
        format!("'{}'", text.replace('\'', "'\\''"))
    } else {
        text.to_owned()
    }
}

/// Returns cargo, in the root of the workspace.
pub(crate) fn cargo(root: &Path) -> Command {
    // The cargo that runs us: the same toolchain, even where several are installed.
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    // What it told us about ourselves is not for the crates below: the scripts that build some of them ask for
    // such variables, and would run again after every change between here and a shell.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&*name);
        }
    }
    command
}

/// Returns whether a program is on `PATH`.
pub(crate) fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Says which packages a build of walkback is made together with.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Build<'a> {
    /// By itself, with these arguments.
    Alone(&'a [&'a str]),
    /// With the tests of the workspace: cargo compiles a dependency once for each set of features that is asked of
    /// it, and this is the set of the tests.
    WithTests,
}

/// Builds the binary of walkback and returns where it is.
pub(crate) fn build_walkback(root: &Path, build: Build<'_>) -> Result<std::path::PathBuf> {
    let mut command = cargo(root);
    command.args(["build", "--bin", "walkback"]);
    match build {
        Build::Alone(arguments) => command.args(["--package", "walkback"]).args(arguments),
        Build::WithTests => command.args(["--workspace", "--test", "services"]),
    };
    println!("$ {}", shown(&command));
    command.arg("--message-format=json-render-diagnostics");
    let messages = output(&mut command)?;
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == "walkback")
        .find_map(|message| message["executable"].as_str().map(Into::into))
        .context("cargo did not say where the binary is")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_command_can_be_typed() {
        let mut command = Command::new("/usr/bin/walkback");
        command.args(["new", "it's two words", ""]).env("A", "b c");
        command.env("WALKBACK_TEST_MYSQL_URL", "mysql://root:secret@127.0.0.1/");
        assert_eq!(shown(&command), r"A='b c' walkback new 'it'\''s two words' ''");
    }
}
