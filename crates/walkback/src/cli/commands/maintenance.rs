//! `maintenance`: keep applications from writing, and let them again.

use walkback_core::Result;

use super::change::place;
use crate::cli::args::{Maintenance, MaintenanceSwitch};
use crate::cli::context::{Context, consent};
use crate::cli::exit;

pub(super) async fn run(context: &Context, command: &Maintenance) -> Result<u8> {
    let runner = context.runner()?;
    let (wanted, args) = match command {
        Maintenance::Status => {
            let read_only = runner.read_only(&context.cx).await?;
            return say(context, &place(&runner), read_only);
        }
        Maintenance::On(args) => (true, args),
        Maintenance::Off(args) => (false, args),
    };
    let MaintenanceSwitch { consent: rules } = args;
    if wanted {
        context
            .confirm(
                &runner,
                format!("keep applications from writing {}", place(&runner)),
                rules.confirm_name.as_deref(),
            )
            .await?;
    }
    let notice = runner.set_read_only(&context.cx, wanted, &consent(rules)).await?;
    if let Some(notice) = notice {
        context.out.warn(&notice);
    }
    say(context, &place(&runner), wanted)
}

fn say(context: &Context, place: &str, read_only: bool) -> Result<u8> {
    context.out.text(if read_only {
        format!("applications are kept from writing {place}; `walkback maintenance off` ends this")
    } else {
        format!("applications may write {place}")
    });
    context.object([("read_only", Ok(read_only.into()))])?;
    Ok(exit::DONE)
}
