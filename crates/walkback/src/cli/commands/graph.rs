//! `graph`: the graph of migrations, drawn.

use walkback_core::Result;

use crate::cli::args::{Graph, GraphFormat};
use crate::cli::context::{Context, json};
use crate::cli::exit;
use crate::cli::render::graph as render;

pub(super) async fn run(context: &Context, args: &Graph) -> Result<u8> {
    let runner = context.runner()?;
    let graph = runner.graph(&context.cx).await?;
    let drawn = match args.format {
        GraphFormat::Text if graph.nodes.is_empty() => "there are no migrations".to_owned(),
        GraphFormat::Text => render::text(&graph),
        GraphFormat::Mermaid => render::mermaid(&graph),
        GraphFormat::Dot => render::dot(&graph),
    };
    context.out.text(&drawn);
    context.object([("graph", json(&graph)), ("drawing", Ok(drawn.into()))])?;
    Ok(exit::DONE)
}
