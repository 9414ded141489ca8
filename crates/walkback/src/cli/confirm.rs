//! Asking a person before something is lost.

use std::io::{BufRead as _, IsTerminal as _};

use walkback_core::{Cx, Error, ErrorKind, Result};
use walkback_runner::Confirmation;

use super::output::write_error;
use super::render::style;

/// A question, and what has been said to it already.
#[derive(Debug, Clone)]
pub(crate) struct Question<'a> {
    /// What is going to happen, as the end of `really .. ?`.
    pub(crate) what: String,
    /// The environment it happens in.
    pub(crate) environment: &'a str,
    /// How the environment wants it confirmed.
    pub(crate) confirmation: Confirmation,
    /// `--yes`.
    pub(crate) yes: bool,
    /// `--confirm-name`.
    pub(crate) name: Option<&'a str>,
    /// Whether somebody is there to ask.
    pub(crate) interactive: bool,
}

/// What is still to be done about a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Granted,
    AskYes,
    AskName,
}

/// Returns whether a person can be asked: both ends of the conversation are a terminal.
pub(crate) fn is_interactive() -> bool {
    std::io::stdin().is_terminal() && stderr_is_terminal()
}

/// Returns whether somebody sees what is written to stderr.
pub(crate) fn stderr_is_terminal() -> bool {
    std::io::stderr().is_terminal()
}

/// Goes on only if the question is answered with yes, by a flag or by a person.
pub(crate) async fn confirm(cx: &Cx, question: &Question<'_>) -> Result<()> {
    let prompt = match decide(question)? {
        Answer::Granted => return Ok(()),
        Answer::AskYes => format!("really {}? [y/N] ", question.what),
        Answer::AskName => {
            format!(
                "really {}? type the name of the environment (`{}`): ",
                question.what, question.environment
            )
        }
    };
    let line = ask(cx, &prompt).await?;
    if accepts(question, &line) {
        Ok(())
    } else {
        Err(refused("not confirmed: nothing was changed"))
    }
}

/// Asks somebody at the terminal, and returns the line that is typed.
pub(crate) async fn ask(cx: &Cx, prompt: &str) -> Result<String> {
    write_error(&style::bold(prompt));
    // A thread of its own: a person who presses Ctrl-C instead of answering must not wait for the answer.
    let (send, receive) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = std::io::stdin().lock().read_line(&mut line);
        send.send(read.map(|_| line)).ok();
    });
    tokio::select! {
        line = receive => Ok(line.ok().and_then(std::io::Result::ok).unwrap_or_default()),
        error = cx.ended() => Err(Error::new(error.kind(), "interrupted before anything was changed")),
    }
}

fn decide(question: &Question<'_>) -> Result<Answer> {
    let environment = question.environment;
    if let Some(name) = question.name {
        if name == environment {
            return Ok(Answer::Granted);
        }
        return Err(refused(format!(
            "`--confirm-name {name}` does not name the environment `{environment}`"
        )));
    }
    match question.confirmation {
        Confirmation::Yes if question.yes => Ok(Answer::Granted),
        Confirmation::Yes if question.interactive => Ok(Answer::AskYes),
        Confirmation::TypeName if question.interactive => Ok(Answer::AskName),
        Confirmation::Yes => Err(refused(format!("nobody is there to confirm: {}", question.what))
            .hint("add `--yes` to confirm without being asked")),
        Confirmation::TypeName => Err(refused(format!(
            "`{environment}` wants its name typed to confirm, and nobody is there to type it: {}",
            question.what
        ))
        .hint(format!(
            "add `--confirm-name {environment}`; `--yes` is not enough here"
        ))),
    }
}

fn accepts(question: &Question<'_>, line: &str) -> bool {
    match question.confirmation {
        Confirmation::Yes => matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes"),
        Confirmation::TypeName => line.trim() == question.environment,
    }
}

fn refused(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Refused, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(confirmation: Confirmation) -> Question<'static> {
        Question {
            what: "drop it".into(),
            environment: "production",
            confirmation,
            yes: false,
            name: None,
            interactive: false,
        }
    }

    #[test]
    fn without_a_terminal_a_flag_is_needed() {
        let mut question = question(Confirmation::Yes);
        let error = decide(&question).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert!(error.hints()[0].contains("--yes"));
        question.yes = true;
        assert_eq!(decide(&question).unwrap(), Answer::Granted);
    }

    #[test]
    fn where_the_name_is_wanted_yes_is_not_enough() {
        let mut question = question(Confirmation::TypeName);
        question.yes = true;
        let error = decide(&question).unwrap_err();
        assert!(error.hints()[0].contains("--confirm-name production"));
        question.interactive = true;
        assert_eq!(decide(&question).unwrap(), Answer::AskName);
        question.name = Some("staging");
        assert_eq!(decide(&question).unwrap_err().kind(), ErrorKind::Refused);
        question.name = Some("production");
        assert_eq!(decide(&question).unwrap(), Answer::Granted);
    }

    #[test]
    fn only_a_clear_yes_is_a_yes() {
        let yes = question(Confirmation::Yes);
        for line in ["y\n", "YES\r\n", " yes "] {
            assert!(accepts(&yes, line), "{line:?}");
        }
        for line in ["", "\n", "n\n", "yep\n", "production\n"] {
            assert!(!accepts(&yes, line), "{line:?}");
        }
        let name = question(Confirmation::TypeName);
        assert!(accepts(&name, "production\n"));
        for line in ["y\n", "Production\n", "", "production x\n"] {
            assert!(!accepts(&name, line), "{line:?}");
        }
    }
}
