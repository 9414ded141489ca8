//! What going forward by the binary log needs of the server and of the user.

use walkback_core::replay::Lack;
use walkback_core::{ErrorKind, Result};

use crate::link::Link;

/// How long logs should be kept at the least, in seconds: a day.
const DAY: u64 = 86_400;

/// Returns what is not as it is needed.
pub(super) async fn check(link: &mut Link) -> Result<Vec<Lack>> {
    if !is_on(link.variable("log_bin").await?) {
        return Ok(vec![Lack::fatal(
            "the binary log is off (`log_bin`)",
            "set `log_bin = binlog` and a `server_id` in the server's configuration, and start it again",
        )]);
    }
    let mut lacks = Vec::new();
    match link.variable("binlog_format").await?.as_deref() {
        Some("STATEMENT") => lacks.push(Lack::fatal(
            "the binary log holds statements and not rows (`binlog_format` is `STATEMENT`)",
            "SET GLOBAL binlog_format = 'ROW', and in the server's configuration; sessions that are open keep theirs",
        )),
        Some("MIXED") => lacks.push(Lack::minor(
            "the binary log holds statements where the server takes them for safe (`binlog_format` is `MIXED`): they are \
             run again, and one that names the database itself may be refused",
            "SET GLOBAL binlog_format = 'ROW', and in the server's configuration; sessions that are open keep theirs",
        )),
        _ => {}
    }
    let image = link.variable("binlog_row_image").await?;
    // Rows are done again by the server, which knows what each of these leaves out.
    if let Some(image) = image.filter(|image| !["FULL", "NOBLOB", "MINIMAL"].contains(&image.as_str())) {
        lacks.push(Lack::minor(
            format!("it is not known what the binary log holds of a row (`binlog_row_image` is `{image}`)"),
            "SET GLOBAL binlog_row_image = 'FULL', and in the server's configuration",
        ));
    }
    if is_on(link.variable("binlog_alter_two_phase").await?) {
        lacks.push(Lack::fatal(
            "definitions are logged in two parts (`binlog_alter_two_phase`), which are not done again",
            "SET GLOBAL binlog_alter_two_phase = OFF, and in the server's configuration",
        ));
    }
    let triggers = link.variable("slave_run_triggers_for_rbr").await?;
    if let Some(mode) = triggers.filter(|mode| mode != "NO") {
        lacks.push(Lack::fatal(
            format!(
                "triggers run where rows of the log are done again (`slave_run_triggers_for_rbr` is `{mode}`)"
            ),
            "SET GLOBAL slave_run_triggers_for_rbr = 'NO'",
        ));
    }
    lacks.extend(link.retention().await?);
    lacks.extend(link.rights_to_replay().await?);
    Ok(lacks)
}

fn is_on(value: Option<String>) -> bool {
    matches!(value.as_deref(), Some("ON" | "1"))
}

impl Link {
    /// Returns a variable of the server; `None` where it has none of that name.
    async fn variable(&mut self, name: &str) -> Result<Option<String>> {
        let rows = self
            .texts(&format!("SHOW GLOBAL VARIABLES LIKE '{name}'"))
            .await?;
        Ok(rows
            .into_iter()
            .next()
            .and_then(|row| row.into_iter().nth(1))
            .flatten())
    }

    async fn retention(&mut self) -> Result<Option<Lack>> {
        let seconds = self.variable("binlog_expire_logs_seconds").await?;
        let seconds: u64 = seconds.and_then(|seconds| seconds.parse().ok()).unwrap_or(0);
        Ok((1..DAY).contains(&seconds).then(|| {
            Lack::minor(
                format!("the server removes its binary logs after {seconds} seconds (`binlog_expire_logs_seconds`)"),
                "set it to more than the time between two backups: SET GLOBAL binlog_expire_logs_seconds = 604800",
            )
        }))
    }

    /// Sees which rights are missing, as far as the grants of the user tell.
    async fn rights_to_replay(&mut self) -> Result<Vec<Lack>> {
        let mut lacks = Vec::new();
        let user = self.quoted_user().await?;
        let grant = |rights: &str| format!("GRANT {rights} ON *.* TO {user}");
        let (client, apply) = if self.server.is_mariadb {
            ("BINLOG MONITOR", "BINLOG REPLAY")
        } else {
            ("REPLICATION CLIENT", "REPLICATION_APPLIER")
        };
        match self.texts("SHOW BINARY LOGS").await {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => lacks.push(Lack::fatal(
                format!("{user} may not ask where the binary log stands"),
                grant(client),
            )),
            outcome => drop(outcome?),
        }
        let grants = self.texts("SHOW GRANTS").await?;
        let held: Vec<String> = grants
            .into_iter()
            .filter_map(|row| row.into_iter().next().flatten())
            .map(|line| line.to_ascii_uppercase())
            .filter(|line| line.contains(" ON *.* TO "))
            .collect();
        let has = |right: &str| {
            let mut lines = held.iter();
            lines
                .any(|line| line.contains(right) || line.contains("ALL PRIVILEGES") || line.contains("SUPER"))
        };
        if !has("REPLICATION SLAVE") && !has("REPLICATION REPLICA") {
            lacks.push(Lack::minor(
                format!("{user} does not seem to have the right to read the binary log"),
                grant("REPLICATION SLAVE"),
            ));
        }
        if !has(apply) && !has("BINLOG_ADMIN") {
            lacks.push(Lack::minor(
                format!("{user} does not seem to have the right to do again what the binary log holds"),
                grant(apply),
            ));
        }
        Ok(lacks)
    }
}
