//! Test binaries: built by cargo, run side by side.
//!
//! Cargo runs one after the other, and most of ours wait for a server a good part of the time. Those of one package stay
//! one after the other, because an adapter's change what is true for its whole server; the journeys, each in a database of
//! its own, come after them and are shared out one by one.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::process::{cargo, output, shown};

/// The folder of the package whose binaries get along with each other.
const JOURNEYS: &str = "tests";

/// How many run at once at most: each runs its tests side by side too.
const AT_ONCE: usize = 4;

/// One binary of tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TestBinary {
    /// The source it is made of.
    source: PathBuf,
    /// The folder of its package, where it is run.
    folder: PathBuf,
    executable: PathBuf,
}

/// Builds all test binaries of the workspace.
pub(crate) fn build(root: &Path) -> Result<Vec<TestBinary>> {
    let mut command = cargo(root);
    command.args(["test", "--workspace", "--no-run"]);
    println!("$ {}", shown(&command));
    command.arg("--message-format=json-render-diagnostics");
    let binaries = read(&output(&mut command)?);
    if binaries.is_empty() {
        bail!("cargo did not say where the test binaries are");
    }
    Ok(binaries)
}

fn read(messages: &str) -> Vec<TestBinary> {
    let mut binaries = Vec::new();
    for line in messages.lines() {
        let Ok(message) = serde_json::from_str::<serde_json::Value>(line) else {
            continue;
        };
        let path = |value: &serde_json::Value| value.as_str().map(PathBuf::from);
        let is_test = message["profile"]["test"] == true;
        let paths = (
            path(&message["target"]["src_path"]),
            path(&message["manifest_path"]),
            path(&message["executable"]),
        );
        if let (true, (Some(source), Some(manifest), Some(executable))) = (is_test, paths)
            && let Some(folder) = manifest.parent()
        {
            binaries.push(TestBinary {
                source: source.strip_prefix(folder).unwrap_or(&source).to_owned(),
                folder: folder.to_owned(),
                executable,
            });
        }
    }
    binaries
}

/// Runs all of them, also after one has failed.
pub(crate) fn run(root: &Path, binaries: Vec<TestBinary>, variables: &[(String, String)]) -> Result<()> {
    let count = binaries.len();
    let (journeys, others): (Vec<_>, Vec<_>) = binaries
        .into_iter()
        .partition(|binary| binary.folder == root.join(JOURNEYS));
    let mut packages: BTreeMap<PathBuf, Vec<TestBinary>> = BTreeMap::new();
    for binary in others {
        packages.entry(binary.folder.clone()).or_default().push(binary);
    }
    let mut failed = side_by_side(root, packages.into_values().collect(), variables)?;
    let alone = journeys.into_iter().map(|binary| vec![binary]).collect();
    failed.extend(side_by_side(root, alone, variables)?);
    if failed.is_empty() {
        println!("\n{count} test binaries passed");
        return Ok(());
    }
    bail!(
        "{} of {count} test binaries failed: {}",
        failed.len(),
        failed.join(", ")
    )
}

/// Runs lists of binaries, each list in its order, and returns the names of those that failed.
fn side_by_side(
    root: &Path,
    lists: Vec<Vec<TestBinary>>,
    variables: &[(String, String)],
) -> Result<Vec<String>> {
    let workers = std::thread::available_parallelism().map_or(1, |count| count.get().min(AT_ONCE));
    let waiting = Mutex::new(VecDeque::from(lists));
    let failed = Mutex::new(Vec::new());
    let serve = || -> Result<()> {
        loop {
            let list = waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some(list) = list else { return Ok(()) };
            for binary in list {
                if !binary.run(variables)? {
                    let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                    failed.push(binary.name(root));
                }
            }
        }
    };
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..workers).map(|_| scope.spawn(serve)).collect();
        for worker in running {
            worker
                .join()
                .unwrap_or_else(|_| bail!("a thread that runs tests has panicked"))?;
        }
        Ok::<_, anyhow::Error>(())
    })?;
    Ok(failed.into_inner().unwrap_or_else(PoisonError::into_inner))
}

impl TestBinary {
    fn name(&self, root: &Path) -> String {
        let folder = self.folder.strip_prefix(root).unwrap_or(&self.folder);
        folder.join(&self.source).display().to_string()
    }

    /// Runs it, and shows what it wrote once it has ended. Returns whether it passed.
    fn run(&self, variables: &[(String, String)]) -> Result<bool> {
        let mut written = tempfile::tempfile().context("cannot create a temporary file")?;
        let to = |file: &File| file.try_clone().map(Stdio::from).context("cannot share a file");
        let begin = Instant::now();
        let status = Command::new(&self.executable)
            .current_dir(&self.folder)
            .env("CARGO_MANIFEST_DIR", &self.folder)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(to(&written)?)
            .stderr(to(&written)?)
            .status()
            .with_context(|| format!("cannot start `{}`", self.executable.display()))?;
        let mut text = Vec::new();
        written.seek(SeekFrom::Start(0))?;
        written.read_to_end(&mut text)?;
        let mut out = std::io::stdout().lock();
        writeln!(
            out,
            "\n     Ran {} ({}) in {:.1} s: {status}",
            self.source.display(),
            self.executable.display(),
            begin.elapsed().as_secs_f64()
        )?;
        out.write_all(&text)?;
        Ok(status.success())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binary(folder: &Path, script: &str) -> TestBinary {
        use std::os::unix::fs::PermissionsExt as _;
        let executable = folder.join(format!("{}.sh", script.len()));
        std::fs::write(&executable, format!("#!/bin/sh\n{script}\n")).expect("a script");
        std::fs::set_permissions(&executable, std::fs::Permissions::from_mode(0o755)).expect("it may run");
        TestBinary {
            source: PathBuf::from(format!("tests/{}.rs", script.len())),
            folder: folder.to_owned(),
            executable,
        }
    }

    #[test]
    fn what_cargo_says_of_test_binaries_is_read() {
        let messages = r#"{"reason":"compiler-artifact","manifest_path":"/w/a/Cargo.toml","target":{"src_path":"/w/a/tests/x.rs"},"profile":{"test":true},"executable":"/w/target/x-1"}
{"reason":"compiler-artifact","manifest_path":"/w/a/Cargo.toml","target":{"src_path":"/w/a/src/main.rs"},"profile":{"test":false},"executable":"/w/target/a"}
{"reason":"compiler-artifact","manifest_path":"/w/a/Cargo.toml","target":{"src_path":"/w/a/src/lib.rs"},"profile":{"test":true},"executable":null}
not JSON
{"reason":"build-finished","success":true}"#;
        let expected = TestBinary {
            source: "tests/x.rs".into(),
            folder: "/w/a".into(),
            executable: "/w/target/x-1".into(),
        };
        assert_eq!(read(messages), std::slice::from_ref(&expected));
        assert_eq!(expected.name(Path::new("/w")), "a/tests/x.rs");
    }

    #[test]
    fn all_are_run_and_each_that_fails_is_named() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let seen = folder.path().join("seen");
        let variables = [("SEEN".to_owned(), seen.display().to_string())];
        let package = folder.path().join("package");
        std::fs::create_dir(&package).expect("a folder");
        let journeys = folder.path().join(JOURNEYS);
        std::fs::create_dir(&journeys).expect("a folder");
        let binaries = vec![
            binary(&journeys, "pwd >> \"$SEEN\"; exit 3"),
            binary(&package, "pwd >> \"$SEEN\"; exit 101 #"),
            binary(&package, "pwd >> \"$SEEN\""),
        ];
        let error = run(folder.path(), binaries.clone(), &variables).expect_err("two fail");
        let said = error.to_string();
        assert!(said.starts_with("2 of 3 test binaries failed"), "{said}");
        assert!(
            said.contains("tests/tests/") && said.contains("package/tests/"),
            "{said}"
        );
        let seen = std::fs::read_to_string(&seen).expect("they have run");
        assert_eq!(seen.lines().count(), 3, "{seen}");
        assert!(
            seen.lines().last().is_some_and(|last| last.ends_with("/tests")),
            "{seen}"
        );
        assert!(run(folder.path(), binaries[2..].to_vec(), &variables).is_ok());
    }
}
