//! A backend in the process of the load.
//!
//! On two cores the load and the backend have to share one. As two programs they change places twice for each request, and each time the one wakes the
//! other; at half of what a proxy can do that took the whole core, so that what was measured as a proxy's latency was their own queue. While load is
//! measured its thread therefore answers as well. At all other times a thread of the backend's own does, for proxies that ask how it is.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::event::{PollFd, PollFlags};

use super::Backend;
use crate::socket::Wait;

/// A backend that whoever has it at hand can lend a turn.
#[derive(Clone)]
pub(crate) struct BackendBeside(Arc<Mutex<Backend>>);

/// The right to be the one who answers, until dropped.
pub(crate) struct Turns<'a>(MutexGuard<'a, Backend>);

impl BackendBeside {
    /// Listens; says where. Its thread ends with the program.
    pub(crate) fn start() -> io::Result<(Self, Vec<SocketAddr>)> {
        let (backend, addresses) = Backend::new()?;
        let events = backend.poller.descriptor()?;
        let backend = Self(Arc::new(Mutex::new(backend)));
        let own = backend.clone();
        std::thread::Builder::new().name("backend".to_owned()).spawn(move || own.answer(&events))?;
        Ok((backend, addresses))
    }

    /// Whoever has them answers, and nobody else.
    pub(crate) fn take_turns(&self) -> Turns<'_> {
        Turns(self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn answer(&self, events: &OwnedFd) {
        loop {
            let mut watched = [PollFd::new(events, PollFlags::IN)];
            // Interrupted: it looks again.
            let _ = rustix::event::poll(&mut watched, None);
            if self.take_turns().turn().is_err() {
                return;
            }
        }
    }
}

impl Turns<'_> {
    /// Answers what has come.
    pub(crate) fn turn(&mut self) -> io::Result<()> {
        self.0.turn(Wait::No)
    }
}
