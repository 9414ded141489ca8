//! `point`: make, look at and remove rollback points.

use walkback_core::{ErrorKind, Result};
use walkback_runner::vault::PointKind;

use super::backup;
use crate::cli::args::{Point, PointCreate, PointRemove};
use crate::cli::context::Context;
use crate::cli::exit;
use crate::cli::render::style;
use crate::cli::render::table::count;

pub(super) async fn run(context: &Context, command: &Point) -> Result<u8> {
    match command {
        Point::Create(args) => create(context, args).await,
        Point::List => {
            backup::list(
                context,
                "point",
                |kind| {
                    !matches!(
                        kind,
                        PointKind::Backup
                            | PointKind::AfterUp
                            | PointKind::AfterRollback
                            | PointKind::Changes
                    )
                },
                None,
            )
            .await
        }
        Point::Show(args) => backup::show(context, args).await,
        Point::Remove(args) => remove(context, args).await,
    }
}

async fn create(context: &Context, args: &PointCreate) -> Result<u8> {
    let runner = context.runner()?;
    let manifest = runner
        .point_create(&context.cx, args.description.as_deref())
        .await?;
    context.out.text(backup::made("point", &manifest));
    context
        .out
        .text(format!("go back to it with `walkback rollback {}`", manifest.id));
    context.object([("point", backup::summary(&manifest))])?;
    Ok(exit::DONE)
}

async fn remove(context: &Context, args: &PointRemove) -> Result<u8> {
    let runner = context.runner()?;
    let (id, what) = match runner.point(&context.cx, &args.id).await {
        Ok(manifest) => {
            let rows = count(manifest.totals.rows, "row");
            let what = format!(
                "remove {} `{}` with {rows}",
                backup::words(&manifest),
                manifest.id
            );
            (manifest.id, what)
        }
        // A point that nobody can read keeps the space of all others from being given back.
        Err(error) if args.force && matches!(error.kind(), ErrorKind::Damaged | ErrorKind::Unsupported) => {
            context.out.warn(&error);
            (
                args.id.clone(),
                format!("give up `{}`, which cannot be read", args.id),
            )
        }
        Err(error) => return Err(error),
    };
    let id = id.as_str();
    context
        .confirm(&runner, what, args.confirm_name.as_deref())
        .await?;
    runner.point_remove(&context.cx, id, args.force).await?;
    let removed = style::good("removed");
    context.out.text(format!(
        "{removed} `{id}`; the space that only it took is given back a day later"
    ));
    context.object([("removed", Ok(id.into()))])?;
    Ok(exit::DONE)
}
