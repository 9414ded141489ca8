//! Who may depend on whom, and that every version stands in the root manifest alone.

use toml::Value;

use super::Violation;
use super::workspace::{Dependency, DependencyKind, Member};

/// The place of a crate in the layout, from its folder and its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Core,
    Sql,
    Vault,
    Runner,
    Conformance,
    Adapters,
    Facade,
    Engine,
    Store,
    Source,
    Tests,
    Services,
    Xtask,
}

impl Role {
    /// Returns the role of one of our crates, by its name; `None` for a crate of somebody else.
    pub(crate) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "walkback-core" => Self::Core,
            "walkback-sql" => Self::Sql,
            "walkback-vault" => Self::Vault,
            "walkback-runner" => Self::Runner,
            "walkback-conformance" => Self::Conformance,
            "walkback-adapters" => Self::Adapters,
            "walkback" => Self::Facade,
            "walkback-tests" => Self::Tests,
            "walkback-services" => Self::Services,
            "xtask" => Self::Xtask,
            _ if name.starts_with("walkback-engine-") => Self::Engine,
            _ if name.starts_with("walkback-store-") => Self::Store,
            _ if name.starts_with("walkback-source-") => Self::Source,
            _ => return None,
        })
    }

    pub(crate) fn is_adapter(self) -> bool {
        matches!(self, Self::Engine | Self::Store | Self::Source)
    }

    /// Returns what the layout lets this crate depend on.
    fn may_use(self, other: Self) -> bool {
        match self {
            Self::Core | Self::Services | Self::Xtask => false,
            Self::Sql | Self::Vault | Self::Conformance | Self::Store | Self::Source => other == Self::Core,
            Self::Engine => matches!(other, Self::Core | Self::Sql),
            Self::Runner => matches!(other, Self::Core | Self::Sql | Self::Vault),
            Self::Adapters => other == Self::Core || other.is_adapter(),
            Self::Facade => matches!(other, Self::Core | Self::Runner | Self::Adapters),
            Self::Tests => true,
        }
    }

    fn allowed(self) -> &'static str {
        match self {
            Self::Core | Self::Services | Self::Xtask => "nothing of ours",
            Self::Sql | Self::Vault | Self::Conformance | Self::Store | Self::Source => "walkback-core",
            Self::Engine => "walkback-core, walkback-sql",
            Self::Runner => "walkback-core, walkback-sql, walkback-vault",
            Self::Adapters => "walkback-core, adapters",
            Self::Facade => "walkback-core, walkback-runner, walkback-adapters",
            Self::Tests => "anything",
        }
    }
}

/// Checks every edge between our crates, and where versions stand.
pub(crate) fn check(members: &[Member]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for member in members {
        let file = member.path("Cargo.toml");
        let Some(role) = Role::of(member.name()) else {
            violations.push(Violation::new(
                &file,
                format!("`{}` has no place in the layout", member.name()),
                "name it after its role (docs/adr/0001), or add the role to xtask/src/layers/edges.rs",
            ));
            continue;
        };
        check_folder(member, role, &mut violations);
        check_package(member, &mut violations);
        for dependency in member.dependencies() {
            check_edge(&file, member.name(), role, &dependency, &mut violations);
            check_version(&file, &dependency, &mut violations);
        }
    }
    violations
}

fn check_folder(member: &Member, role: Role, violations: &mut Vec<Violation>) {
    let expected = match role {
        Role::Tests => "tests".to_owned(),
        Role::Services => "tests/services".to_owned(),
        Role::Xtask => "xtask".to_owned(),
        _ if role.is_adapter() => format!("adapters/{}", member.name().trim_start_matches("walkback-")),
        _ => format!("crates/{}", member.name()),
    };
    if member.folder != expected {
        violations.push(Violation::new(
            &member.path("Cargo.toml"),
            format!("`{}` is not in its folder", member.name()),
            &format!("move it to `{expected}`"),
        ));
    }
}

fn check_edge(file: &str, name: &str, role: Role, dependency: &Dependency<'_>, out: &mut Vec<Violation>) {
    let target = package_of(dependency);
    let Some(other) = Role::of(target) else {
        return;
    };
    let dev = dependency.kind == DependencyKind::Dev;
    let for_tests = matches!(other, Role::Conformance | Role::Services) && role != Role::Xtask;
    let allowed = role.may_use(other) || (dev && for_tests);
    if !allowed {
        let sort = match dependency.kind {
            DependencyKind::Normal => "depends on",
            DependencyKind::Dev => "depends (for its tests) on",
            DependencyKind::Build => "depends (for its build) on",
        };
        out.push(Violation::new(
            file,
            format!("`{name}` {sort} `{target}`"),
            &format!("it may use: {}", role.allowed()),
        ));
    }
}

/// Returns the real name of a dependency that may be renamed.
fn package_of<'m>(dependency: &Dependency<'m>) -> &'m str {
    dependency
        .value
        .get("package")
        .and_then(Value::as_str)
        .unwrap_or(dependency.name)
}

fn check_version(file: &str, dependency: &Dependency<'_>, out: &mut Vec<Violation>) {
    let inherited = dependency.value.get("workspace").and_then(Value::as_bool) == Some(true);
    if !inherited {
        out.push(Violation::new(
            file,
            format!(
                "`{}` does not take its version from the workspace",
                dependency.name
            ),
            &format!(
                "add it to `[workspace.dependencies]` of the root, and write `{}.workspace = true`",
                dependency.name
            ),
        ));
    }
}

fn check_package(member: &Member, out: &mut Vec<Violation>) {
    let file = member.path("Cargo.toml");
    let package = member.manifest.get("package").and_then(Value::as_table);
    for field in ["version", "edition", "rust-version", "license", "repository"] {
        let value = package.and_then(|package| package.get(field));
        let inherited = value
            .and_then(|value| value.get("workspace"))
            .and_then(Value::as_bool);
        if inherited != Some(true) {
            out.push(Violation::new(
                &file,
                format!("`package.{field}` does not come from the workspace"),
                &format!("write `{field}.workspace = true`"),
            ));
        }
    }
    let description = package
        .and_then(|package| package.get("description"))
        .and_then(Value::as_str)
        .unwrap_or_default();
    if description.len() < 20 {
        out.push(Violation::new(
            &file,
            "the crate has no real `description`".to_owned(),
            "say in one line what it is for",
        ));
    }
    let lints = member
        .manifest
        .get("lints")
        .and_then(|lints| lints.get("workspace"));
    if lints.and_then(Value::as_bool) != Some(true) {
        out.push(Violation::new(
            &file,
            "the lints of the workspace do not apply".to_owned(),
            "add `[lints]` with `workspace = true`",
        ));
    }
}
