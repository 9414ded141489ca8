//! Colours. They are taken out where stdout or stderr is no terminal, and never carry meaning.

use anstyle::{AnsiColor, Style};

/// Something to be seen first.
pub(crate) fn bold(text: impl std::fmt::Display) -> String {
    painted(Style::new().bold(), text)
}

/// Something that stays in the background.
pub(crate) fn dim(text: impl std::fmt::Display) -> String {
    painted(Style::new().dimmed(), text)
}

/// The word before an error.
pub(crate) fn error(text: impl std::fmt::Display) -> String {
    painted(AnsiColor::Red.on_default().bold(), text)
}

/// The word before a warning, and what is risky in a plan.
pub(crate) fn warning(text: impl std::fmt::Display) -> String {
    painted(AnsiColor::Yellow.on_default().bold(), text)
}

/// The word before a hint, and what went well.
pub(crate) fn good(text: impl std::fmt::Display) -> String {
    painted(AnsiColor::Green.on_default(), text)
}

fn painted(style: Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}
