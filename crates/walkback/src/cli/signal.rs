//! Ctrl-C and SIGTERM: the first asks the run to stop and be undone, the next ones are told to wait.

use walkback_core::Cx;

use super::output::write_error;

const FIRST: &str = "\ninterrupted: stopping, and undoing what was begun\n";
const LATER: &str =
    "\nundoing is under way, please wait; if the program is killed now, run `walkback recover` afterwards\n";

/// Listens until the program ends. Must be called inside a runtime.
pub(crate) fn listen(cx: &Cx) -> std::io::Result<()> {
    let canceller = cx.canceller();
    let mut signals = Signals::new()?;
    tokio::spawn(async move {
        while signals.next().await.is_some() {
            write_error(if canceller.is_cancelled() { LATER } else { FIRST });
            canceller.cancel();
        }
    });
    Ok(())
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> Option<()> {
        tokio::select! {
            heard = self.interrupt.recv() => heard,
            heard = self.terminate.recv() => heard,
        }
    }
}

#[cfg(windows)]
struct Signals(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        tokio::signal::windows::ctrl_c().map(Self)
    }

    async fn next(&mut self) -> Option<()> {
        self.0.recv().await
    }
}
