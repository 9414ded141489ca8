//! A proxy before a server, which can cut connections at a chosen moment.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// When connections are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// At which request of the client, counted from 1 over all connections.
    pub request: usize,
    /// Whether the server gets the request and answers it, and only the answer is lost.
    pub after_answer: bool,
    /// Whether all connections are cut, or only that of the request.
    pub all: bool,
}

/// A proxy on the loopback address. It ends with this value.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    cut: Mutex<Option<Cut>>,
    requests: AtomicUsize,
    has_cut: AtomicBool,
    is_over: AtomicBool,
    pairs: Mutex<Vec<Arc<Pair>>>,
}

/// A connection of the client, and the one to the server for it.
#[derive(Debug)]
struct Pair {
    client: TcpStream,
    server: TcpStream,
    /// Whether the next answer is not handed on.
    swallows: AtomicBool,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Proxy {
    /// Starts a proxy before a server on the loopback address.
    ///
    /// # Panics
    /// If no port can be listened on.
    #[must_use]
    pub fn before(server: u16, cut: Option<Cut>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("it has an address").port();
        let shared = Arc::new(Shared {
            cut: Mutex::new(cut),
            ..Shared::default()
        });
        let of_listener = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if of_listener.is_over.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else {
                    continue;
                };
                of_listener.join(client, server);
            }
        });
        Self { port, shared }
    }

    /// Returns the port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Cuts all connections; new ones are let through.
    pub fn cut_all(&self) {
        for pair in locked(&self.shared.pairs).iter() {
            pair.end();
        }
    }

    /// Cuts at the next request, whatever number `cut` has.
    pub fn cut_next(&self, cut: Cut) {
        let request = self.requests() + 1;
        *locked(&self.shared.cut) = Some(Cut { request, ..cut });
    }

    /// Returns how many requests there were.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }

    /// Returns whether it has cut.
    #[must_use]
    pub fn has_cut(&self) -> bool {
        self.shared.has_cut.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        // The listener looks up when somebody comes.
        TcpStream::connect(("127.0.0.1", self.port)).ok();
        for pair in locked(&self.shared.pairs).drain(..) {
            pair.end();
        }
    }
}

impl Shared {
    fn join(self: &Arc<Self>, client: TcpStream, server: TcpStream) {
        for stream in [&client, &server] {
            stream.set_nodelay(true).ok();
        }
        let pair = Arc::new(Pair {
            client,
            server,
            swallows: AtomicBool::new(false),
        });
        locked(&self.pairs).push(Arc::clone(&pair));
        let (shared, of_client) = (Arc::clone(self), Arc::clone(&pair));
        thread::spawn(move || {
            shared.hand_on_requests(&of_client);
            of_client.end();
        });
        let shared = Arc::clone(self);
        thread::spawn(move || {
            shared.hand_on_answers(&pair);
            pair.end();
        });
    }

    fn hand_on_requests(&self, pair: &Pair) {
        let mut buffer = vec![0; 64 << 10];
        let (mut from, mut to) = (&pair.client, &pair.server);
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            let number = self.requests.fetch_add(1, Ordering::SeqCst) + 1;
            let cut = locked(&self.cut).filter(|cut| cut.request == number);
            match cut {
                Some(cut) if !cut.after_answer => return self.cut_now(cut, pair),
                Some(_) => pair.swallows.store(true, Ordering::SeqCst),
                None => {}
            }
            if to.write_all(&buffer[..count]).is_err() {
                return;
            }
        }
    }

    fn hand_on_answers(&self, pair: &Pair) {
        let mut buffer = vec![0; 64 << 10];
        let (mut from, mut to) = (&pair.server, &pair.client);
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            let cut = *locked(&self.cut);
            if let Some(cut) = cut.filter(|_| pair.swallows.load(Ordering::SeqCst)) {
                return self.cut_now(cut, pair);
            }
            if to.write_all(&buffer[..count]).is_err() {
                return;
            }
        }
    }

    fn cut_now(&self, cut: Cut, pair: &Pair) {
        locked(&self.cut).take();
        self.has_cut.store(true, Ordering::SeqCst);
        pair.end();
        if cut.all {
            for other in locked(&self.pairs).iter() {
                other.end();
            }
        }
    }
}

impl Pair {
    fn end(&self) {
        self.client.shutdown(Shutdown::Both).ok();
        self.server.shutdown(Shutdown::Both).ok();
    }
}
