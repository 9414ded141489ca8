//! `load`: load records from a file into a table.

use std::path::{Path, PathBuf};

use serde_json::Value;
use walkback_core::{Error, ErrorKind, Result};
use walkback_runner::{LoadFormat, LoadOptions};

use super::change::{self, place};
use crate::cli::args::{Load, RecordFormat};
use crate::cli::context::{Context, consent, json};
use crate::cli::exit;
use crate::cli::render::load as render;
use crate::cli::render::table::count;
use crate::cli::shell;

pub(super) async fn run(context: &Context, args: &Load) -> Result<u8> {
    let options = options(args)?;
    let runner = context.runner()?;
    let plan = Box::pin(runner.plan_load(&context.cx, &options)).await?;
    if args.dry_run {
        let plan = Box::pin(runner.check_load(&context.cx, plan)).await?;
        context.out.text(render::plan(&plan, &place(&runner)));
        return change::finish_dry_run(context, &plan.warnings, json(&plan));
    }
    context.out.detail(render::plan(&plan, &place(&runner)));
    change::warn_all(context, &plan.warnings);
    let consent = consent(&args.consent);
    runner.check_change(&context.cx, "load", &consent).await?;
    let what = || {
        let records = count(plan.records, "record");
        format!("load {records} into `{}` {}", plan.table, place(&runner))
    };
    let name = args.consent.confirm_name.as_deref();
    context.confirm_by_name(&runner, what, name).await?;
    let report = Box::pin(runner.run_load(&context.cx, &plan, &consent)).await?;
    let next = render::Next {
        again: report
            .rejects
            .as_deref()
            .map(|rejects| again(context, args, rejects)),
        undo: (report.loaded > 0).then(|| shell::command(&context.global, &["rollback", &report.point])),
    };
    context.out.text(render::report(&report, &next));
    change::warn_all(context, &report.warnings);
    context.object([
        ("plan", json(&plan)),
        ("dry_run", Ok(Value::Bool(false))),
        ("report", json(&report)),
    ])?;
    Ok(exit::DONE)
}

/// Returns the command that loads what was rejected: its fields are called as they were in the first file.
fn again(context: &Context, args: &Load, rejects: &Path) -> String {
    let file = rejects.display().to_string();
    let mut words = vec!["load".to_owned(), args.table.clone(), file];
    let says_how = |extension: &str| ["jsonl", "ndjson"].contains(&extension.to_ascii_lowercase().as_str());
    let extension = rejects.extension().and_then(|extension| extension.to_str());
    if !extension.is_some_and(says_how) {
        words.push("--format=jsonl".to_owned());
    }
    let maps = args
        .map
        .iter()
        .map(|(field, column)| ("--map", format!("{field}={column}")));
    let skips = args.skip.iter().map(|field| ("--skip", field.clone()));
    for (flag, value) in maps.chain(skips) {
        // What begins with a hyphen would be read as a flag.
        if value.starts_with('-') {
            words.push(format!("{flag}={value}"));
        } else {
            words.extend([flag.to_owned(), value]);
        }
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    shell::command(&context.global, &words)
}

fn options(args: &Load) -> Result<LoadOptions> {
    if args.file == Path::new("-") {
        return Err(Error::new(
            ErrorKind::Usage,
            "records are loaded from a file: one that was killed could not go on with what a pipe has given",
        )
        .hint("write them to a file first, then `walkback load <TABLE> <FILE>`"));
    }
    // It is kept with the run, which may be recovered from another folder.
    let file = absolute(&args.file)?;
    let rejects = match &args.rejects {
        Some(rejects) => absolute(rejects)?,
        None => beside(&file),
    };
    let mut options = LoadOptions::new(&args.table, file, format(args)?, rejects);
    options.map = args.map.iter().cloned().collect();
    options.skip = args.skip.iter().cloned().collect();
    options.batch = args.batch;
    options.max_failures = args.max_failures;
    Ok(options)
}

fn format(args: &Load) -> Result<LoadFormat> {
    let extension = args.file.extension().and_then(|extension| extension.to_str());
    let extension = extension.map(str::to_ascii_lowercase).unwrap_or_default();
    let format = match (args.format, extension.as_str()) {
        (Some(format), _) => format,
        (None, "csv" | "tsv") => RecordFormat::Csv,
        (None, "jsonl" | "ndjson") => RecordFormat::Jsonl,
        _ => {
            return Err(Error::new(
                ErrorKind::Usage,
                format!(
                    "the name of `{}` does not say how it is written",
                    args.file.display()
                ),
            )
            .hint("say so with `--format csv` or `--format jsonl`"));
        }
    };
    Ok(match format {
        RecordFormat::Csv => LoadFormat::Csv {
            delimiter: args
                .delimiter
                .unwrap_or(if extension == "tsv" { b'\t' } else { b',' }),
            null: args.null.clone(),
        },
        RecordFormat::Jsonl => {
            if args.delimiter.is_some() {
                return Err(Error::new(
                    ErrorKind::Usage,
                    "`--delimiter` does not go with JSON Lines",
                ));
            }
            LoadFormat::JsonLines
        }
    })
}

fn absolute(path: &Path) -> Result<PathBuf> {
    let absolute = std::path::absolute(path).map_err(|error| Error::io("find", path, error))?;
    match absolute.to_str() {
        Some(_) => Ok(absolute),
        None => Err(Error::new(
            ErrorKind::Usage,
            format!(
                "the path `{}` is not UTF-8, and could not be kept with the run",
                path.display()
            ),
        )),
    }
}

/// Returns a file that is not there yet, beside the records.
fn beside(file: &Path) -> PathBuf {
    let named = |number: usize| {
        let mut name = file.as_os_str().to_owned();
        name.push(match number {
            1 => ".rejects.jsonl".to_owned(),
            number => format!(".rejects.{number}.jsonl"),
        });
        PathBuf::from(name)
    };
    // An empty one is what a load has left that was killed before it began.
    let is_free = |path: &PathBuf| path.metadata().map_or(true, |about| about.len() == 0);
    let mut free = (1..1000).map(named).filter(is_free);
    free.next().unwrap_or_else(|| named(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{Cli, Command};
    use clap::Parser as _;

    fn of(line: &str) -> Result<LoadOptions> {
        let cli = Cli::try_parse_from(line.split(' ')).unwrap();
        let Command::Load(args) = cli.command else {
            panic!("{line}")
        };
        options(&args)
    }

    #[test]
    fn the_name_of_a_file_says_how_it_is_written() {
        let format = |line: &str| of(line).map(|options| options.format);
        let csv = |delimiter| LoadFormat::Csv {
            delimiter,
            null: "\\N".to_owned(),
        };
        assert_eq!(format("walkback load t a.csv").unwrap(), csv(b','));
        assert_eq!(format("walkback load t a.TSV").unwrap(), csv(b'\t'));
        assert_eq!(format("walkback load t a.csv --delimiter ;").unwrap(), csv(b';'));
        assert_eq!(format("walkback load t a.ndjson").unwrap(), LoadFormat::JsonLines);
        assert_eq!(
            format("walkback load t a.dat --format jsonl").unwrap(),
            LoadFormat::JsonLines
        );
        for wrong in [
            "walkback load t -",
            "walkback load t a.dat",
            "walkback load t a.jsonl --delimiter ;",
        ] {
            assert_eq!(of(wrong).unwrap_err().kind(), ErrorKind::Usage, "{wrong}");
        }
        for wrong in [
            "walkback load t a.csv --map a",
            "walkback load t a.csv --max-failures many",
        ] {
            assert!(Cli::try_parse_from(wrong.split(' ')).is_err(), "{wrong}");
        }
    }
}
