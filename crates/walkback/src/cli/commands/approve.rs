//! `approve`: add a signature to a plan.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use walkback_core::{Error, ErrorKind, Result};
use walkback_runner::{PlanFile, SigningKey};

use crate::cli::args::Approve;
use crate::cli::confirm::is_interactive;
use crate::cli::context::{Context, json, variable};
use crate::cli::exit;
use crate::cli::render::style;

/// Where the passphrase of a key is, if nobody is there to type it.
const PASSPHRASE: &str = "WALKBACK_KEY_PASSPHRASE";

pub(super) fn run(context: &Context, args: &Approve) -> Result<u8> {
    let mut file = read(&args.file)?;
    if args.bytes {
        context.out.bytes(&file.plan.bytes()?);
        return Ok(exit::DONE);
    }
    context.out.text(shown(&file));
    let mut key = None;
    if let Some(path) = &args.key {
        let opened = opened(context, path)?;
        file.sign(&opened)?;
        key = Some(opened.fingerprint());
    }
    if let Some(path) = &args.signature {
        let text = fs::read_to_string(path).map_err(|error| Error::io("read the signature", path, error))?;
        key = Some(file.add_signature(&text)?);
    }
    if let Some(key) = &key {
        replace(&args.file, &file.text()?)?;
        context.out.text(format!(
            "{} with `{key}`: `{}` has {} now",
            style::good("approved"),
            args.file.display(),
            match file.signatures.len() {
                1 => "1 signature".to_owned(),
                count => format!("{count} signatures"),
            }
        ));
    }
    context.object([("file", json(&file)), ("key", json(&key))])?;
    Ok(exit::DONE)
}

/// Reads a plan.
pub(super) fn read(path: &Path) -> Result<PlanFile> {
    let text = fs::read_to_string(path).map_err(|error| Error::io("read the plan", path, error))?;
    PlanFile::parse(&text)
}

fn shown(file: &PlanFile) -> String {
    let plan = &file.plan;
    let mut text = format!(
        "{} on {} (environment `{}`), made by {}@{} at {}",
        plan.kind, plan.database, plan.environment, plan.made_by, plan.made_on, plan.made_at
    );
    for step in &plan.steps {
        text.push_str(&format!("\n{} {}", step.direction, step.name));
        for statement in &step.statements {
            text.push_str(&format!("\n  {}", statement.trim().replace('\n', "\n  ")));
        }
    }
    harmless(&text)
}

/// Writes control characters as what they are: a plan that somebody else has made must not move the cursor, nor hide a line.
/// So too what changes the direction of writing, or has no width.
fn harmless(text: &str) -> String {
    let hides = |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => shown.push(c),
            c if c.is_control() || hides(c) => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
    }
    shown
}

fn opened(context: &Context, path: &Path) -> Result<SigningKey> {
    let text = fs::read_to_string(path).map_err(|error| Error::io("read the key", path, error))?;
    let key = SigningKey::parse(&text)?;
    if !key.is_locked() {
        return Ok(key);
    }
    let passphrase = match variable(PASSPHRASE) {
        Some(passphrase) => passphrase,
        None if is_interactive() && !context.global.json => {
            rpassword::prompt_password(format!("passphrase of `{}`: ", path.display())).map_err(|error| {
                Error::new(ErrorKind::Io, "cannot ask for the passphrase").with_source(error)
            })?
        }
        None => {
            return Err(Error::new(
                ErrorKind::Usage,
                format!(
                    "the key `{}` needs its passphrase, and nobody is there to ask",
                    path.display()
                ),
            )
            .hint(format!("put it into `{PASSPHRASE}`")));
        }
    };
    key.unlock(&passphrase)
}

/// Replaces the file by another, all at once.
fn replace(path: &Path, text: &str) -> Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = Path::new(&beside);
    let written = fs::File::create(beside).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(beside, path)
    });
    written.map_err(|error| {
        fs::remove_file(beside).ok();
        Error::io("write the plan", path, error)
    })
}

#[cfg(test)]
mod tests {
    use super::harmless;

    #[test]
    fn what_would_hide_a_statement_is_shown() {
        assert_eq!(
            harmless("DROP TABLE a;\r\u{1b}[2KSELECT\t1;\n-- \u{202e}é"),
            "DROP TABLE a;\\u{d}\\u{1b}[2KSELECT\t1;\n-- \\u{202e}é"
        );
    }
}
