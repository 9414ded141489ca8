//! `doctor`: is everything as a run would need it?

use std::fmt::Write as _;

use walkback_core::Result;
use walkback_runner::{Check, CheckState};

use crate::cli::args::Doctor;
use crate::cli::context::{Context, json};
use crate::cli::exit;
use crate::cli::render::style;
use crate::cli::render::table::count;

pub(super) async fn run(context: &Context, args: &Doctor) -> Result<u8> {
    let runner = context.runner()?;
    let mut checks = runner.doctor(&context.cx).await;
    if args.production {
        checks.extend(Box::pin(runner.checklist(&context.cx)).await);
    }
    let failed = checks
        .iter()
        .filter(|check| check.state == CheckState::Fail)
        .count();
    context.out.text(text(&checks));
    context.out.text(match failed {
        0 => style::good("everything a run needs is there"),
        failed => style::error(format!("{} failed", count(failed, "check"))),
    });
    context.object([("checks", json(&checks)), ("passed", Ok((failed == 0).into()))])?;
    Ok(if failed == 0 {
        exit::DONE
    } else {
        exit::CHECK_FAILED
    })
}

fn text(checks: &[Check]) -> String {
    let mut text = String::new();
    for check in checks {
        let state = match check.state {
            CheckState::Ok => style::good("ok  "),
            CheckState::Warn => style::warning("warn"),
            CheckState::Fail => style::error("fail"),
        };
        writeln!(text, "{state}  {}: {}", check.name, check.message).ok();
        if let Some(hint) = &check.hint {
            writeln!(text, "      {}: {hint}", style::good("hint")).ok();
        }
    }
    text.trim_end().to_owned()
}
