//! Streams whose items are made on the thread of a connection.

use std::collections::VecDeque;

use futures::stream::{self, BoxStream, StreamExt as _};
use tokio::sync::{mpsc, oneshot};
use walkback_core::{Cx, Error, ErrorKind, Result};

use crate::link::{Link, Stop, Worker};

/// How many items wait for the reader; the thread waits when there are more.
const WAITING: usize = 2;

/// Where the thread puts what it makes.
#[derive(Debug)]
pub(crate) struct Outlet<T> {
    ready: Option<oneshot::Sender<Result<()>>>,
    items: mpsc::Sender<Result<T>>,
}

impl<T> Outlet<T> {
    /// Says that what comes next are items: errors until here are errors of the call.
    pub(crate) fn ready(&mut self) {
        if let Some(ready) = self.ready.take() {
            drop(ready.send(Ok(())));
        }
    }

    /// Says so if a check passes.
    pub(crate) fn ready_if<E>(
        &mut self,
        check: impl FnOnce() -> Result<(), E>,
        failed: impl FnOnce(E) -> Error,
    ) -> Result<()> {
        check().map_err(failed)?;
        self.ready();
        Ok(())
    }

    /// Sends an item, and returns whether anybody still reads.
    pub(crate) fn send(&self, item: T) -> bool {
        self.items.blocking_send(Ok(item)).is_ok()
    }

    fn fail(mut self, error: Error) {
        match self.ready.take() {
            Some(ready) => drop(ready.send(Err(error))),
            None => drop(self.items.blocking_send(Err(error))),
        }
    }
}

struct Reader<T> {
    items: mpsc::Receiver<Result<Vec<T>>>,
    waiting: VecDeque<T>,
    stop: Stop,
    cx: Cx,
    done: bool,
}

/// Starts to make items, and returns when the first is to be expected. Dropping the stream stops the thread.
pub(crate) async fn open<T: Send + 'static>(
    worker: &Worker,
    cx: &Cx,
    work: impl FnOnce(&mut Link, &mut Outlet<Vec<T>>) -> Result<()> + Send + 'static,
) -> Result<BoxStream<'static, Result<T>>> {
    cx.check()?;
    let (ready, mut is_ready) = oneshot::channel();
    let (sender, items) = mpsc::channel(WAITING);
    let mut outlet = Outlet {
        ready: Some(ready),
        items: sender,
    };
    let stop = worker.submit(move |link| match work(link, &mut outlet) {
        Ok(()) => outlet.ready(),
        Err(error) => outlet.fail(error),
    })?;
    tokio::select! {
        biased;
        outcome = &mut is_ready => outcome.unwrap_or_else(|_| Err(Error::internal("the thread of the SQLite connection has ended")))?,
        error = cx.ended() => return Err(error),
    }
    let reader = Reader {
        items,
        waiting: VecDeque::new(),
        stop,
        cx: cx.clone(),
        done: false,
    };
    Ok(stream::unfold(reader, |mut reader| async move {
        let item = reader.next().await?;
        Some((item, reader))
    })
    .boxed())
}

impl<T> Reader<T> {
    async fn next(&mut self) -> Option<Result<T>> {
        loop {
            if self.done {
                return None;
            }
            if let Err(error) = self.cx.check() {
                return Some(self.give_up(error));
            }
            if let Some(item) = self.waiting.pop_front() {
                return Some(Ok(item));
            }
            tokio::select! {
                biased;
                error = self.cx.ended() => return Some(self.give_up(error)),
                batch = self.items.recv() => match batch {
                    Some(Ok(batch)) => self.waiting.extend(batch),
                    Some(Err(error)) => return Some(self.give_up(error)),
                    None => self.done = true,
                },
            }
        }
    }

    fn give_up(&mut self, error: Error) -> Result<T> {
        self.stop.raise();
        self.items.close();
        self.done = true;
        match (error.kind(), self.cx.check()) {
            (ErrorKind::Interrupted, Err(cause)) => Err(cause),
            _ => Err(error),
        }
    }
}
