//! The file in which people keep their passwords, as libpq reads it.

use std::path::Path;

use walkback_core::{Error, ErrorKind, Result};

use crate::config::Config;

/// Returns the password that the password file has for a database, if there is such a file and line.
pub(crate) fn password(config: &Config) -> Result<Option<String>> {
    let Some(file) = config.passfile.as_deref().filter(|file| file.is_file()) else {
        return Ok(None);
    };
    must_be_private(file)?;
    let text = std::fs::read_to_string(file).map_err(|error| Error::io("read", file, error))?;
    let user = config.user()?;
    let (host, port) = config.places()[0];
    let host = if host.starts_with('/') { "localhost" } else { host };
    Ok(find(&text, &[host, &port.to_string(), config.database(), user]))
}

#[cfg(unix)]
fn must_be_private(file: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let metadata = std::fs::metadata(file).map_err(|error| Error::io("read", file, error))?;
    if metadata.permissions().mode() & 0o077 == 0 {
        return Ok(());
    }
    let file = file.display();
    Err(Error::new(
        ErrorKind::PermissionDenied,
        format!("the password file `{file}` can be read by others"),
    )
    .hint(format!("run `chmod 600 {file}`")))
}

#[cfg(not(unix))]
fn must_be_private(_: &Path) -> Result<()> {
    Ok(())
}

/// Finds the first line whose host, port, database and user are these, or `*`.
fn find(text: &str, wanted: &[&str; 4]) -> Option<String> {
    text.lines()
        .map(|line| line.trim_end_matches('\r'))
        .filter(|line| !line.starts_with('#'))
        .find_map(|line| {
            let mut fields = fields(line);
            let fits = wanted.iter().all(|wanted| {
                fields
                    .next()
                    .is_some_and(|field| field == "*" || field == *wanted)
            });
            fits.then(|| fields.next()).flatten()
        })
}

/// Splits a line at `:`; a `\` takes the next character as it is.
fn fields(line: &str) -> impl Iterator<Item = String> {
    let mut letters = line.chars();
    let mut is_done = false;
    std::iter::from_fn(move || {
        if is_done {
            return None;
        }
        let mut field = String::new();
        loop {
            match letters.next() {
                Some('\\') => field.extend(letters.next()),
                Some(':') => return Some(field),
                Some(letter) => field.push(letter),
                None => {
                    is_done = true;
                    return Some(field);
                }
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_fits_is_taken() {
        let text = "# a comment\nother:5432:*:u:no\nh:*:d:u:p\\:w\\\\\n*:*:*:*:last";
        assert_eq!(find(text, &["h", "5432", "d", "u"]).as_deref(), Some("p:w\\"));
        assert_eq!(find(text, &["h", "5432", "e", "u"]).as_deref(), Some("last"));
        assert_eq!(find("h:1:d:u:p", &["h", "2", "d", "u"]), None);
        assert_eq!(find("h:1:d", &["h", "1", "d", "u"]), None);
    }
}
