//! `merge`: a migration that joins several heads.

use walkback_core::source::NewMigration;
use walkback_core::{Error, ErrorKind, MigrationId, Result};

use super::new;
use crate::cli::args::Merge;
use crate::cli::context::Context;

pub(super) async fn run(context: &Context, args: &Merge) -> Result<u8> {
    let slug = new::slug(&args.slug)?;
    let (source, graph) = new::sources(context).await?;
    let mut parents: Vec<MigrationId> = Vec::new();
    for name in &args.ids {
        let id = graph.find(name)?.id.clone();
        if parents.contains(&id) {
            return Err(Error::new(ErrorKind::Usage, format!("`{id}` is named twice")));
        }
        parents.push(id);
    }
    let below = graph.ancestors(&parents).into_iter().find(|id| {
        parents.contains(id)
            && graph
                .descendants([id])
                .iter()
                .any(|other| other != id && parents.contains(other))
    });
    if let Some(id) = below {
        return Err(Error::new(
            ErrorKind::Usage,
            format!("`{id}` comes before another one that is to be joined"),
        )
        .hint("leave it out: `walkback heads` lists what can be joined"));
    }
    let migration = NewMigration::new(new::free_id(context.cx.now(), &graph), slug, parents);
    let files = source.create(&context.cx, &migration).await?;
    new::tell(context, &migration, &files)
}
