//! The folder for what outlives one process: the list of standing servers, unpacked systems.

use std::path::{Path, PathBuf};

/// Returns the folder: `services` in cargo's target folder, or one in the system's temporary folder for a program
/// that stands elsewhere.
#[must_use]
pub fn home() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    target_folder(&program).map_or_else(
        || std::env::temp_dir().join("walkback-services"),
        |target| target.join("services"),
    )
}

/// Returns the folder above a program that cargo marked as its own.
fn target_folder(program: &Path) -> Option<&Path> {
    program
        .ancestors()
        .find(|folder| folder.join("CACHEDIR.TAG").is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_of_cargo_finds_the_target_folder() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let program = folder.path().join("debug/deps/suite");
        assert_eq!(target_folder(&program), None);
        std::fs::write(folder.path().join("CACHEDIR.TAG"), "").expect("a file");
        assert_eq!(target_folder(&program), Some(folder.path()));
    }
}
