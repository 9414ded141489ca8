//! `current`: the migrations the database is at.

use walkback_core::Result;

use crate::cli::context::{Context, json};
use crate::cli::exit;

pub(super) async fn run(context: &Context) -> Result<u8> {
    let runner = context.runner()?;
    let current = runner.current(&context.cx).await?;
    if current.is_empty() {
        context.out.text("base");
    }
    for migration in &current {
        context.out.text(&migration.name);
    }
    context.object([("current", json(&current))])?;
    Ok(exit::DONE)
}
