//! Where this machine has its packages from.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// Returns the mirror of Debian in the system's own apt sources.
pub(super) fn of_this_machine() -> Result<String> {
    let output = Command::new("apt-get")
        .args([
            "indextargets",
            "--format",
            "$(REPO_URI) $(LABEL)",
            "Identifier: Packages",
        ])
        .output()
        .context("there is no `apt-get`, so no mirror is known: name one with `--mirror`")?;
    if !output.status.success() {
        bail!("apt: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    first_of_debian(&String::from_utf8_lossy(&output.stdout)).context(
        "the apt sources of this machine name no mirror of Debian: name one with `--mirror`, such as one from \
         https://www.debian.org/mirror/list",
    )
}

/// Picks the main archive: not the one for security, which holds a part, and nobody else's.
fn first_of_debian(targets: &str) -> Option<String> {
    let uri_of = |line: &str| line.split_whitespace().next().map(str::to_owned);
    targets
        .lines()
        .find(|line| line.split_whitespace().nth(1) == Some("Debian"))
        // Before the first `apt-get update` there are no labels.
        .or_else(|| {
            targets.lines().find(|line| {
                let uri = line.split_whitespace().next().unwrap_or_default();
                uri.trim_end_matches('/').ends_with("/debian")
            })
        })
        .and_then(uri_of)
}

/// Returns the settings of apt that lead out of this machine, as it reads them from a file.
pub(super) fn settings() -> Result<String> {
    let output = Command::new("apt-config")
        .arg("dump")
        .output()
        .context("cannot start `apt-config`")?;
    let dump = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut lines: Vec<&str> = dump
        .lines()
        .filter(|line| {
            let name = line.split_whitespace().next().unwrap_or_default().to_lowercase();
            name.starts_with("acquire::") && name.contains("proxy")
        })
        .collect();
    // A mirror may be a snapshot whose index says that it is out of date.
    lines.push("Acquire::Check-Valid-Until \"false\";");
    lines.push("APT::Sandbox::User \"root\";");
    Ok(lines.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_of_debian_itself_is_picked() {
        let targets =
            "http://a/tools/ Tools\nhttp://m/debian-security/ Debian-Security\nhttp://m/debian/ Debian\n";
        assert_eq!(first_of_debian(targets).as_deref(), Some("http://m/debian/"));
        let unlabelled = "http://m/debian-security/ \nhttp://m/debian/ \n";
        assert_eq!(first_of_debian(unlabelled).as_deref(), Some("http://m/debian/"));
        assert_eq!(first_of_debian("http://u/ubuntu/ Ubuntu\n"), None);
        assert_eq!(first_of_debian(""), None);
    }
}
