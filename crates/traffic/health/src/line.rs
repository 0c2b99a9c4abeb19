//! Connections that checks keep from one question to the next.
//!
//! Making a connection and taking it down again is most of what a check costs, for both sides. A check keeps its connection where the
//! endpoint does, up to a number over all checks; and now and then it makes a new one all the same, so that an endpoint that
//! accepts no more is found.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Questions on one connection: the next one is asked on a new one.
pub const MAX_QUESTIONS_PER_CONNECTION: u32 = 16;

/// What one check of one endpoint keeps. The default keeps nothing.
#[derive(Debug, Default)]
pub struct Line {
    /// How many more may be kept, over all checks.
    places: Option<Arc<Semaphore>>,
    kept: Option<Kept>,
}

/// A connection with its place among those that are kept.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) stream: TcpStream,
    address: SocketAddr,
    /// Questions that were asked on it.
    questions: u32,
    /// `None`: it cannot be kept.
    place: Option<OwnedSemaphorePermit>,
}

impl Line {
    /// One that keeps its connection while there is a place.
    pub(crate) fn new(places: &Arc<Semaphore>) -> Self {
        Self { places: Some(Arc::clone(places)), kept: None }
    }

    /// The connection that was kept, unless it leads elsewhere, or the endpoint has closed it or said something unasked.
    pub(crate) fn take(&mut self, address: SocketAddr) -> Option<Kept> {
        self.kept.take().filter(|kept| kept.address == address && kept.is_quiet())
    }

    /// A new connection, with a place if there is one.
    pub(crate) fn begin(&self, stream: TcpStream, address: SocketAddr) -> Kept {
        let place = self.places.as_ref().and_then(|places| Arc::clone(places).try_acquire_owned().ok());
        Kept { stream, address, questions: 0, place }
    }

    /// Keeps a connection for the next question.
    pub(crate) fn keep(&mut self, kept: Kept) {
        self.kept = Some(kept).filter(Kept::may_be_kept);
    }
}

impl Kept {
    /// Whether another question may follow the one that is asked now.
    pub(crate) const fn may_be_kept(&self) -> bool {
        self.place.is_some() && self.questions < MAX_QUESTIONS_PER_CONNECTION
    }

    /// Counts a question.
    pub(crate) const fn ask(&mut self) {
        self.questions += 1;
    }

    fn is_quiet(&self) -> bool {
        matches!(self.stream.try_read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}
