//! The keys of an environment and its policy, so that one in the wrong table can be told where it belongs.

/// The keys of `[env.<name>]`.
pub(super) const ENVIRONMENT: &[&str] = &[
    "url",
    "stores",
    "stores_required",
    "lock_timeout",
    "lock_retries",
    "jobs",
    "soft_delete",
    "protect",
    "policy",
    "retention",
    "keep",
    "prune",
    "hooks",
    "recovery",
];

/// The keys of `[env.<name>.policy]`.
pub(super) const POLICY: &[&str] = &[
    "destructive",
    "lossy",
    "require_ticket",
    "confirm",
    "allowed_users",
    "allowed_hours",
    "read_only_during_run",
    "approvals",
    "approvers",
    "self_approval",
    "approval_lifetime",
];

/// Returns the table of the same environment that a key belongs to. `table` is the dotted name of the one that it is in.
pub(super) fn home_of(key: &str, table: &str) -> Option<String> {
    let environment = table.strip_prefix("env.")?.split('.').next()?;
    if ENVIRONMENT.contains(&key) {
        Some(format!("env.{environment}"))
    } else if POLICY.contains(&key) {
        Some(format!("env.{environment}.policy"))
    } else {
        None
    }
}
