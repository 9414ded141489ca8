//! Triggers that name a column their table no longer has.
//!
//! The server lets a column go that a trigger still reads, and from then on refuses every write that fires it;
//! but it creates no such trigger. Where one was there at a point, it comes back as it was: made while the column
//! is there, which then goes again.

use walkback_core::catalog::Object;
use walkback_core::name::ObjectKind;
use walkback_core::{Error, Result, TableName};

use crate::dialect::quoted;
use crate::error::sent_code;
use crate::link::Link;

/// A column that is not there.
const NO_SUCH_COLUMN: &str = "1054";

impl Link {
    /// Creates an object; a trigger also where a column that it names is gone.
    pub(crate) async fn create_object(&mut self, object: &Object) -> Result<()> {
        let mut lent: Vec<String> = Vec::new();
        let made = loop {
            let made = self.execute(&object.definition, &[]).await.map(drop);
            match (
                &made,
                object.on.as_ref().filter(|_| object.kind == ObjectKind::Trigger),
            ) {
                (Err(error), Some(on)) => match missing_column(error).filter(|name| !lent.contains(name)) {
                    Some(column) => {
                        self.lend(on, &column).await?;
                        lent.push(column);
                    }
                    None => break made,
                },
                _ => break made,
            }
        };
        if let Some(on) = object.on.as_ref().filter(|_| !lent.is_empty()) {
            let drops: Vec<_> = lent
                .iter()
                .map(|column| format!("DROP COLUMN {}", quoted(column)))
                .collect();
            self.run(&format!("ALTER TABLE {} {}", quoted(&on.name), drops.join(", ")))
                .await?;
        }
        made
    }

    /// Adds a column that nobody is to see for long. Its type is of no concern to a trigger that is being made.
    async fn lend(&mut self, on: &TableName, column: &str) -> Result<()> {
        self.run(&format!(
            "ALTER TABLE {} ADD COLUMN {} INT NULL",
            quoted(&on.name),
            quoted(column)
        ))
        .await
    }
}

/// Returns the column that the server misses in `OLD` or `NEW`, if that is why it refused.
fn missing_column(error: &Error) -> Option<String> {
    if sent_code(error) != Some(NO_SUCH_COLUMN) {
        return None;
    }
    // Unknown column 'a' in 'OLD'
    let message = std::error::Error::source(error)?.to_string();
    let rest = ["'OLD'", "'NEW'"]
        .iter()
        .find_map(|row| message.strip_suffix(row))?;
    let (from, to) = (rest.find('\'')? + 1, rest.rfind('\'')?);
    rest.get(from..to).map(str::to_owned)
}
