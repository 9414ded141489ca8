//! How large the tables are that statements lock.

use std::sync::Arc;
use std::time::Duration;

use walkback_core::bulk::TableSlice;
use walkback_core::{Access, Cx, Engine, Result, TableName};

use super::{Finding, Level};
use crate::verify::chain;

/// From here on a lock for the time of the whole table is an outage: 1 GiB.
const LARGE: u64 = 1 << 30;

/// How long a database may take to answer. Sizes are not worth a longer wait.
const PATIENCE: Duration = Duration::from_secs(5);

/// Says of each table that findings are about how large it is, if the database can be asked. One that cannot be
/// reached is told of, and changes nothing else.
pub(super) async fn add(cx: &Cx, engine: &Arc<dyn Engine>, findings: &mut [&mut Finding]) -> Result<()> {
    let mut tables: Vec<TableName> = findings.iter().filter_map(|found| found.table.clone()).collect();
    tables.sort();
    tables.dedup();
    if tables.is_empty() {
        return Ok(());
    }
    match read(&cx.clone().with_timeout(PATIENCE), engine, &tables).await {
        Ok(sizes) => {
            for (table, bytes) in tables.iter().zip(sizes) {
                let about = findings
                    .iter_mut()
                    .filter(|found| found.table.as_ref() == Some(table));
                about.for_each(|found| weigh(found, bytes));
            }
        }
        Err(error) => {
            cx.check()?;
            cx.progress().warn(&format!(
                "how large the tables are is not known: {}",
                chain(&error)
            ));
        }
    }
    Ok(())
}

async fn read(cx: &Cx, engine: &Arc<dyn Engine>, tables: &[TableName]) -> Result<Vec<u64>> {
    let mut session = engine.connect(cx, Access::Read).await?;
    let mut sizes = Vec::with_capacity(tables.len());
    for table in tables {
        // Whole, whatever its size: only the size is asked for.
        let slice = TableSlice::new(table.clone(), Vec::new(), Vec::new());
        sizes.push(session.divide(cx, &slice, u64::MAX).await?.bytes);
    }
    Ok(sizes)
}

/// Notes the size of a table; 0 is that of one that is not there or cannot be measured.
fn weigh(found: &mut Finding, bytes: u64) {
    if bytes == 0 {
        return;
    }
    found.table_bytes = Some(bytes);
    if bytes >= LARGE {
        found.level = Level::Error;
    }
}

#[cfg(test)]
mod tests {
    use walkback_core::Direction;
    use walkback_core::statement::Location;

    use super::*;
    use crate::lint::Rule;
    use crate::lint::subject::finding;

    #[test]
    fn a_lock_on_a_large_table_is_an_error() {
        let at = Location {
            file: "up.sql".into(),
            line: 1,
        };
        for (bytes, level, known) in [
            (0, Level::Warning, None),
            (16384, Level::Warning, Some(16384)),
            (LARGE, Level::Error, Some(LARGE)),
        ] {
            let mut found = finding(Rule::LocksTable, Level::Warning, Direction::Up, &at, "", "");
            weigh(&mut found, bytes);
            assert_eq!((found.level, found.table_bytes), (level, known));
        }
    }
}
