//! A small Debian in a folder.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use walkback_services::home;

use super::mirror;
use super::recipe::Recipe;

/// Says to every package that its service is not to be started.
const NO_START: &str = "usr/sbin/policy-rc.d";

const APT_SETTINGS: &str = "etc/apt/apt.conf.d/90walkback";

/// What no server needs, in an image that lives for a test.
const BALLAST: [&str; 13] = [
    APT_SETTINGS,
    NO_START,
    "etc/apt/sources.list",
    "etc/resolv.conf",
    "usr/share/doc",
    "usr/share/i18n",
    "usr/share/info",
    "usr/share/locale",
    "usr/share/man",
    "var/cache/apt",
    "var/lib/apt/lists",
    // The data that the packages make: the entrypoint makes its own, with the password that is asked for.
    "var/lib/mysql",
    "var/lib/postgresql",
];

/// Mounts `/proc`, which some packages want while they are configured, for nobody but the command.
const WITH_PROC: &str = r#"mount -t proc proc "$1/proc" && exec chroot "$@""#;

/// A folder with a system in it.
#[derive(Debug)]
pub(super) struct System {
    root: PathBuf,
}

impl System {
    /// Returns the base of a suite, unpacked the first time it is asked for.
    pub(super) fn base(suite: &str, mirror: &str) -> Result<Self> {
        let root = home().join("bases").join(suite);
        if root.exists() {
            return Ok(Self { root });
        }
        let begun = Self {
            root: root.with_extension("begun"),
        };
        begun.clear()?;
        eprintln!("{suite}: unpacking the base");
        let mut debootstrap = Command::new("debootstrap");
        debootstrap
            .args(["--variant=minbase", suite])
            .arg(&begun.root)
            .arg(mirror);
        begun.run(&mut debootstrap)?;
        begun.rename(&root)
    }

    /// Copies it to another folder.
    pub(super) fn copy(&self, to: &Path) -> Result<Self> {
        let copy = Self {
            root: to.to_path_buf(),
        };
        copy.clear()?;
        copy.run(
            Command::new("cp")
                .args(["--archive", "--reflink=auto", "--one-file-system"])
                .arg(&self.root)
                .arg(&copy.root),
        )?;
        Ok(copy)
    }

    /// Moves it to another folder, in the place of what is there.
    pub(super) fn rename(self, to: &Path) -> Result<Self> {
        let moved = Self {
            root: to.to_path_buf(),
        };
        moved.clear()?;
        fs::rename(&self.root, to)
            .with_context(|| format!("cannot rename `{}` to `{}`", self.root.display(), to.display()))?;
        Ok(moved)
    }

    /// Installs the packages of an image, and its entrypoint.
    pub(super) fn install(&self, recipe: &Recipe) -> Result<()> {
        self.write(NO_START, "#!/bin/sh\nexit 101\n", 0o755)?;
        self.write(APT_SETTINGS, &mirror::settings()?, 0o644)?;
        let resolver = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        self.write("etc/resolv.conf", &resolver, 0o644)?;
        self.inside(&["apt-get", "update"])?;
        let mut install = vec!["apt-get", "install", "--yes", "--no-install-recommends"];
        install.extend(recipe.packages.split_whitespace());
        self.inside(&install)?;
        self.write("usr/local/bin/docker-entrypoint.sh", recipe.entrypoint, 0o755)
    }

    /// Removes what no server needs, and all that tells of this machine.
    pub(super) fn slim(&self) -> Result<()> {
        for path in BALLAST {
            remove(&self.root.join(path))?;
        }
        Ok(())
    }

    /// Hands it to Docker as an image.
    pub(super) fn import(&self, recipe: &Recipe) -> Result<()> {
        let changes = [
            format!(
                "ENV PATH={}/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                recipe.path
            ),
            "ENTRYPOINT [\"docker-entrypoint.sh\"]".to_owned(),
            format!("CMD [\"{}\"]", recipe.command),
            format!("EXPOSE {}", recipe.port),
        ];
        let mut tar = Command::new("tar")
            .args(["--numeric-owner", "--one-file-system", "-C"])
            .arg(&self.root)
            .args(["-c", "."])
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start `tar`")?;
        let archive = tar.stdout.take().context("`tar` has no output")?;
        let mut docker = Command::new("docker");
        docker.arg("import");
        for change in &changes {
            docker.args(["--change", change]);
        }
        docker.args(["-", recipe.tag]).stdin(archive);
        let imported = docker.output().context("cannot start `docker`")?;
        let packed = tar.wait().context("`tar` is lost")?;
        if !packed.success() || !imported.status.success() {
            bail!(
                "Docker does not take the system: {}",
                String::from_utf8_lossy(&imported.stderr).trim()
            );
        }
        Ok(())
    }

    /// Removes it.
    pub(super) fn remove(self) -> Result<()> {
        remove(&self.root)
    }

    fn clear(&self) -> Result<()> {
        remove(&self.root)?;
        let parent = self.root.parent().context("a folder has a parent")?;
        fs::create_dir_all(parent).with_context(|| format!("cannot make `{}`", parent.display()))
    }

    fn write(&self, path: &str, text: &str, mode: u32) -> Result<()> {
        let file = self.root.join(path);
        // In some bases it is a link to a file of a service that does not run here.
        remove(&file)?;
        fs::write(&file, text)
            .and_then(|()| fs::set_permissions(&file, fs::Permissions::from_mode(mode)))
            .with_context(|| format!("cannot write `{}`", file.display()))
    }

    /// Runs a program with the system as its root.
    fn inside(&self, command: &[&str]) -> Result<()> {
        let mut run = if may_mount() {
            let mut unshare = Command::new("unshare");
            unshare.args(["--mount", "sh", "-c", WITH_PROC, "sh"]);
            unshare
        } else {
            Command::new("chroot")
        };
        run.arg(&self.root)
            .args(["env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C"])
            .args(command);
        self.run(&mut run)
    }

    /// Runs a program with its output in a log beside the system.
    fn run(&self, command: &mut Command) -> Result<()> {
        let path = self.root.with_extension("log");
        let log = File::options()
            .create(true)
            .append(true)
            .open(&path)
            .with_context(|| format!("cannot write `{}`", path.display()))?;
        let errors = log.try_clone().context("cannot share the log")?;
        let program = command.get_program().to_string_lossy().into_owned();
        let status = command
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .status()
            .with_context(|| format!("cannot start `{program}`"))?;
        if status.success() {
            return Ok(());
        }
        let said = fs::read(&path).unwrap_or_default();
        let said = String::from_utf8_lossy(&said[said.len().saturating_sub(1500)..]).into_owned();
        bail!(
            "`{program}` failed ({status}); the end of `{}`:\n{said}",
            path.display()
        );
    }
}

/// Returns whether we may mount something that only our own commands see.
fn may_mount() -> bool {
    Command::new("unshare")
        .args(["--mount", "true"])
        .output()
        .is_ok_and(|output| output.status.success())
}

fn remove(path: &Path) -> Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    };
    removed.with_context(|| format!("cannot remove `{}`", path.display()))
}
