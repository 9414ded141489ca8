//! `images`: Docker images under the usual tags, from Debian's packages.
//!
//! Where no registry answers, an image can still be made: `debootstrap` unpacks a small Debian into a folder, the
//! server is installed in it with `chroot`, and `docker import` takes the folder.

mod mirror;
mod recipe;
mod system;

use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use recipe::Recipe;
use system::System;
use walkback_services::home;

/// What to build, and from where.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only these: `postgres:15`, `postgres:18`, `mysql:9.7`, `mariadb:10.11`
    #[arg(long, value_name = "TAGS", value_delimiter = ',')]
    only: Vec<String>,
    /// Build also what Docker has already
    #[arg(long)]
    force: bool,
    /// Leave a folder for a machine without Docker, whose server the tests start by themselves; MySQL only
    #[arg(long)]
    unpacked: bool,
    /// Mirror of Debian's packages; the one in the system's own apt sources if not given
    #[arg(long, value_name = "URL")]
    mirror: Option<String>,
}

/// Builds what is asked for.
pub(crate) fn run(options: &Options) -> Result<()> {
    let recipes = recipe::named(&options.only)?;
    check_tools(options)?;
    let mirror = match &options.mirror {
        Some(mirror) => mirror.clone(),
        None => mirror::of_this_machine()?,
    };
    for recipe in recipes {
        if options.unpacked {
            unpack(recipe, &mirror, options)?;
        } else if !options.force && is_there(recipe.tag)? {
            eprintln!("{}: there already (`--force` builds it anew)", recipe.tag);
        } else {
            let begin = Instant::now();
            let system = build(recipe, &mirror)?;
            system.import(recipe)?;
            system.remove()?;
            eprintln!("{}: built in {:.0} s", recipe.tag, begin.elapsed().as_secs_f64());
        }
    }
    Ok(())
}

fn check_tools(options: &Options) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!("making a system from packages takes root: run it with `sudo`");
    }
    let docker = (!options.unpacked).then_some(("docker", "docker.io"));
    for (tool, package) in [("debootstrap", "debootstrap"), ("tar", "tar")]
        .into_iter()
        .chain(docker)
    {
        if Command::new(tool).arg("--version").output().is_err() {
            bail!("there is no `{tool}`: run `apt-get install {package}`");
        }
    }
    Ok(())
}

/// Unpacks the base of the suite, once, and makes a copy of it into the system of an image.
fn build(recipe: &Recipe, mirror: &str) -> Result<System> {
    let base = System::base(recipe.suite, mirror)?;
    let system = base.copy(&home().join("building").join(recipe.folder()))?;
    eprintln!("{}: installing {}", recipe.tag, recipe.packages);
    system.install(recipe)?;
    system.slim()?;
    Ok(system)
}

/// Leaves the folder where the tests look for it.
fn unpack(recipe: &Recipe, mirror: &str, options: &Options) -> Result<()> {
    if !recipe.runs_unpacked {
        bail!("`{}` cannot run from a folder; only MySQL can", recipe.tag);
    }
    let folder = home().join("unpacked").join(recipe.folder());
    if folder.exists() && !options.force {
        eprintln!("{}: unpacked already (`--force` does it anew)", recipe.tag);
        return Ok(());
    }
    build(recipe, mirror)?.rename(&folder)?;
    eprintln!("{}: unpacked into `{}`", recipe.tag, folder.display());
    Ok(())
}

/// Returns whether Docker has an image.
fn is_there(tag: &str) -> Result<bool> {
    let output = Command::new("docker")
        .args(["images", "--quiet", tag])
        .output()
        .context("cannot start `docker`")?;
    if !output.status.success() {
        bail!(
            "docker does not answer: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(!output.stdout.trim_ascii().is_empty())
}
