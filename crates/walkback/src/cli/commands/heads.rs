//! `heads`: the migrations nothing follows.

use walkback_core::Result;

use crate::cli::context::{Context, json};
use crate::cli::exit;
use crate::cli::render::style;

pub(super) async fn run(context: &Context) -> Result<u8> {
    let runner = context.runner()?;
    let history = runner.history(&context.cx).await?;
    let heads: Vec<_> = history.into_iter().filter(|entry| entry.head).collect();
    if heads.is_empty() {
        context.out.text("there are no migrations");
    }
    for head in &heads {
        let labels = if head.labels.is_empty() {
            String::new()
        } else {
            format!("  ({})", head.labels.join(", "))
        };
        context.out.text(format!("{}{}", head.name, style::dim(labels)));
    }
    context.object([("heads", json(&heads))])?;
    Ok(exit::DONE)
}
