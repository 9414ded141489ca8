//! `man`: the manual.

use std::path::Path;

use clap::CommandFactory as _;
use walkback_core::{Error, Result};

use crate::cli::args::{Cli, Man};
use crate::cli::context::{Context, json};
use crate::cli::exit;

pub(super) fn run(context: &Context, args: &Man) -> Result<u8> {
    match &args.dir {
        Some(folder) => write(context, folder),
        None => print(context),
    }
}

fn print(context: &Context) -> Result<u8> {
    let mut page = Vec::new();
    clap_mangen::Man::new(Cli::command())
        .render(&mut page)
        .map_err(|error| Error::internal("the manual cannot be made").with_source(error))?;
    let page = String::from_utf8_lossy(&page);
    context.out.text(page.trim_end());
    context.object([("page", Ok(page.as_ref().into()))])?;
    Ok(exit::DONE)
}

fn write(context: &Context, folder: &Path) -> Result<u8> {
    std::fs::create_dir_all(folder).map_err(|error| Error::io("create the folder", folder, error))?;
    clap_mangen::generate_to(Cli::command(), folder)
        .map_err(|error| Error::io("write the manual into", folder, error))?;
    let entries = std::fs::read_dir(folder).map_err(|error| Error::io("read the folder", folder, error))?;
    let mut pages: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "1"))
        .collect();
    pages.sort();
    for page in &pages {
        context.out.text(format!("wrote {}", page.display()));
    }
    context.object([("pages", json(&pages))])?;
    Ok(exit::DONE)
}
