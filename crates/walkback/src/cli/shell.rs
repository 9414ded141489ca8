//! Commands that are shown to be pasted into a shell.

use super::args::Global;

/// Returns a command of walkback with each word quoted as a shell wants it, on the same configuration and environment.
///
/// A `--url` is not repeated: it may hold a password.
pub(crate) fn command(global: &Global, words: &[&str]) -> String {
    let mut line = "walkback".to_owned();
    for word in words {
        line.push(' ');
        line.push_str(&quoted(word));
    }
    if let Some(file) = &global.config {
        line.push_str(" -c ");
        line.push_str(&quoted(&file.display().to_string()));
    }
    if let Some(environment) = &global.env {
        line.push_str(" -e ");
        line.push_str(&quoted(environment));
    }
    line
}

/// Returns a word as a shell reads it as this one.
fn quoted(word: &str) -> String {
    // No argument holds the zero byte for which there is no spelling.
    shlex::try_quote(word).map_or_else(|_| word.to_owned(), |quoted| quoted.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_the_words_that_were_meant() {
        let global = Global {
            env: Some("the one".to_owned()),
            ..Global::default()
        };
        let words = ["load", "Or`der $x", "it's.csv", "", "a\nb"];
        let line = command(&global, &words);
        let read = shlex::split(&line).unwrap();
        assert_eq!(read[0], "walkback");
        assert_eq!(read[1..6], words);
        assert_eq!(read[6..], ["-e", "the one"]);
        assert_eq!(command(&Global::default(), &["load", "t"]), "walkback load t");
    }
}
