//! Settings of a session, put in force for some statements and put back afterwards.

use walkback_core::Result;

use crate::link::Link;

/// Settings as they were before.
#[derive(Debug)]
#[must_use = "settings must be put back"]
pub(crate) struct Settings(Vec<(&'static str, String)>);

impl Settings {
    /// Puts settings in force: names, and values as SQL.
    pub(crate) async fn enter(link: &mut Link, settings: &[(&'static str, String)]) -> Result<Self> {
        let names: Vec<_> = settings
            .iter()
            .map(|(name, _)| format!("@@SESSION.{name}"))
            .collect();
        let rows = link.texts(&format!("SELECT {}", names.join(", "))).await?;
        let before = rows.into_iter().next().unwrap_or_default();
        let before = settings
            .iter()
            .zip(before)
            .map(|((name, _), value)| (*name, as_sql(value)))
            .collect();
        let before = Self(before);
        match set(link, settings).await {
            Ok(()) => Ok(before),
            Err(error) => {
                before.leave(link).await?;
                Err(error)
            }
        }
    }

    /// Puts back what was before.
    pub(crate) async fn leave(self, link: &mut Link) -> Result<()> {
        link.finish(&assignment(&self.0)).await
    }

    /// Puts back what was before, and lets the outcome of what was done meanwhile come first.
    pub(crate) async fn after<T>(self, link: &mut Link, outcome: Result<T>) -> Result<T> {
        let back = self.leave(link).await;
        match (outcome, back) {
            (Ok(value), Ok(())) => Ok(value),
            (Err(error), _) | (Ok(_), Err(error)) => Err(error),
        }
    }
}

async fn set(link: &mut Link, settings: &[(&'static str, String)]) -> Result<()> {
    link.run(&assignment(settings)).await
}

fn assignment(settings: &[(&'static str, String)]) -> String {
    let each: Vec<_> = settings
        .iter()
        .map(|(name, value)| format!("SESSION {name} = {value}"))
        .collect();
    format!("SET {}", each.join(", "))
}

/// A number stays one: some settings take nothing else.
fn as_sql(value: Option<String>) -> String {
    match value {
        None => "NULL".to_owned(),
        Some(value) if value.parse::<u64>().is_ok() => value,
        Some(value) => crate::dialect::literal(&value),
    }
}
