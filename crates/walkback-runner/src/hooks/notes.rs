//! What is noted in the journal round a hook, also where the connection is lost: what starts services must not wait for it.

use std::sync::Arc;
use std::time::Duration;

use walkback_core::{Access, Cx, Dialect, ErrorKind, Result, Session};

use crate::journal::{HookRecord, Journal};
use crate::runner::Runner;

/// How often a note is tried again on a new connection.
const TRIES: usize = 3;

/// How long to wait before that.
const PAUSE: Duration = Duration::from_millis(500);

/// Something to note.
#[derive(Debug)]
pub(crate) enum Note<'n> {
    /// How far a run has come: its name, the stages.
    Stage(&'n str, &'n str),
    /// A command is about to run.
    Begins(&'n mut HookRecord),
    /// A command has ended.
    Ended(&'n mut HookRecord),
}

/// The journal of a run, on a session of its own or on one that is lent.
pub(crate) struct Notes<'a> {
    runner: &'a Runner,
    dialect: Arc<dyn Dialect>,
    /// The schema of the journal.
    home: Option<String>,
    session: Held<'a>,
    /// Whether the journal could not be reached: no more than one attempt is made from then on.
    is_lost: bool,
}

enum Held<'a> {
    Lent(&'a mut dyn Session),
    Own(Box<dyn Session>),
    None,
}

impl<'a> Notes<'a> {
    /// Notes on a session of its own, which is opened when it is needed.
    pub(crate) fn of(runner: &'a Runner) -> Self {
        Self {
            runner,
            dialect: runner.dialect(),
            home: None,
            session: Held::None,
            is_lost: false,
        }
    }

    /// Notes on the session of a run, as long as that answers.
    pub(crate) fn on(runner: &'a Runner, session: &'a mut dyn Session, home: Option<String>) -> Self {
        Self {
            home,
            session: Held::Lent(session),
            ..Self::of(runner)
        }
    }

    /// Notes something. With `anyhow` a note that cannot be written is told, and is no failure.
    pub(crate) async fn note(&mut self, cx: &Cx, mut note: Note<'_>, anyhow: bool) -> Result<()> {
        let mut tries = if self.is_lost { 0 } else { TRIES };
        loop {
            let error = match self.write(cx, &mut note).await {
                Ok(()) => return Ok(()),
                Err(error) if !anyhow || error.kind() == ErrorKind::Interrupted => return Err(error),
                Err(error) => error,
            };
            self.session = Held::None;
            if tries == 0 {
                self.is_lost = true;
                cx.progress().warn(&format!(
                    "{} cannot be noted in the journal, and is done all the same: {error}",
                    phrase(&note)
                ));
                return Ok(());
            }
            tries -= 1;
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn write(&mut self, cx: &Cx, note: &mut Note<'_>) -> Result<()> {
        if matches!(self.session, Held::None) {
            self.session = Held::Own(self.runner.connect(cx, Access::Write).await?);
        }
        let session: &mut dyn Session = match &mut self.session {
            Held::Lent(session) => *session,
            Held::Own(session) => &mut **session,
            Held::None => return Ok(()),
        };
        let mut journal = Journal::new(session, &*self.dialect).at(self.home.as_deref());
        match note {
            Note::Stage(run, detail) => journal.note_stage(cx, run, detail).await,
            Note::Begins(record) => journal.begin_hook(cx, record).await,
            // Its beginning could not be noted: all of it is, now.
            Note::Ended(record) if record.seq == 0 => journal.begin_hook(cx, record).await,
            Note::Ended(record) => journal.end_hook(cx, record).await,
        }
    }
}

fn phrase(note: &Note<'_>) -> String {
    match note {
        Note::Stage(_, detail) => match detail.rsplit(", ").next() {
            Some(stage) => format!("that {}", stage.replace(" begun", " has begun")),
            None => "a stage".to_owned(),
        },
        Note::Begins(record) => format!("the beginning of `{}`", record.command),
        Note::Ended(record) => format!("the end of `{}`", record.command),
    }
}
