//! `--summary`: what a command told, appended to a file as Markdown. Pipelines show such files.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use super::context::Context;
use super::exit;
use super::output::Told;

/// Appends what was told, if that was asked for. What the command did is done: a failure is only warned of.
pub(crate) fn append(context: &Context, code: u8) {
    let Some(file) = &context.global.summary else {
        return;
    };
    let title = match &context.global.env {
        Some(environment) => format!("`walkback {}` on `{environment}`", context.command),
        None => format!("`walkback {}`", context.command),
    };
    let text = markdown(&title, code, &context.out.told());
    if let Err(error) = write(file, &text) {
        let file = file.display();
        context
            .out
            .warn(format!("the summary cannot be written to `{file}`: {error}"));
    }
}

/// Writes it in one piece, so that commands that run side by side do not run into each other.
fn write(file: &Path, text: &str) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options
        .append(true)
        .create(true)
        .open(file)?
        .write_all(text.as_bytes())
}

fn markdown(title: &str, code: u8, told: &[Told]) -> String {
    let mut text = format!("### {title}: {}\n\n", exit::words(code));
    for told in told {
        match told {
            Told::Text(said) => text.push_str(&fenced(said)),
            Told::Warning(said) => writeln!(text, "> **warning**: {}\n", quoted(said)).unwrap_or_default(),
            Told::Error(said) => text.push_str(&fenced(said)),
        }
    }
    text
}

/// Returns text as it stands, whatever it holds.
fn fenced(text: &str) -> String {
    let text = plain(text);
    let text = text.trim_end();
    if text.is_empty() {
        return String::new();
    }
    let mut longest = 0;
    let mut run = 0;
    for character in text.chars() {
        run = if character == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}text\n{text}\n{fence}\n\n")
}

/// Returns text for a line that is quoted.
fn quoted(text: &str) -> String {
    let lines = plain(text);
    let lines = lines.trim().lines().map(|line| {
        // What stands between backticks is shown as it is.
        let parts = line.split('`').enumerate().map(|(index, part)| match index % 2 {
            0 => part.replace('<', "&lt;").replace('*', "\\*").replace('_', "\\_"),
            _ => part.to_owned(),
        });
        parts.collect::<Vec<_>>().join("`")
    });
    lines.collect::<Vec<_>>().join("\n> ")
}

/// Returns text without colours.
fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_stands_as_it_is() {
        let told = [
            Told::Text("\u{1b}[1mup\u{1b}[0m on app.db\n  ```x".to_owned()),
            Told::Warning("`a_b` <b> is slow\nsecond".to_owned()),
            Told::Error("error: no\n  hint: yes\n".to_owned()),
        ];
        let expected = "### `walkback up` on `dev`: failed; the database is as it was\n\n\
             ````text\nup on app.db\n  ```x\n````\n\n\
             > **warning**: `a_b` &lt;b> is slow\n> second\n\n\
             ```text\nerror: no\n  hint: yes\n```\n\n";
        assert_eq!(markdown("`walkback up` on `dev`", 1, &told), expected);
    }
}
