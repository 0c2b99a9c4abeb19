//! Connections that checks keep from one question to the next.
//!
//! Making a connection and taking it down again is most of what a check costs, for both sides. A check keeps its connection where the
//! endpoint does, up to a number over all checks; and now and then it makes a new one all the same, so that an endpoint that
//! accepts no more is found.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::TcpStream;

/// Questions on one connection: the next one is asked on a new one. As many as Apache httpd answers on one if nothing is said.
pub const MAX_QUESTIONS_PER_CONNECTION: u32 = 100;

/// What one check of one endpoint keeps. The default keeps nothing.
#[derive(Debug, Default)]
pub struct Line {
    /// How many may be kept, over all checks.
    places: Option<Arc<Places>>,
    kept: Option<Kept>,
    /// What is sent again and again: composed once, and in one place when it is needed.
    pub(crate) question: Box<[u8]>,
}

/// A connection with its place among those that are kept.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) stream: TcpStream,
    address: SocketAddr,
    /// Questions that were asked on it.
    questions: u32,
    /// `None`: it cannot be kept.
    place: Option<Place>,
}

/// How many connections are kept, over all checks, and how many may be.
#[derive(Debug)]
pub(crate) struct Places {
    most: AtomicUsize,
    taken: AtomicUsize,
}

/// One of them, until it is dropped.
#[derive(Debug)]
struct Place(Arc<Places>);

impl Line {
    /// One that keeps its connection while there is a place.
    pub(crate) fn new(places: &Arc<Places>) -> Self {
        Self { places: Some(Arc::clone(places)), ..Self::default() }
    }

    /// The connection that was kept, unless it leads elsewhere, or the endpoint has closed it or said something unasked.
    pub(crate) fn take(&mut self, address: SocketAddr) -> Option<Kept> {
        self.kept.take().filter(|kept| kept.address == address && kept.is_quiet())
    }

    /// A new connection, with a place if there is one.
    pub(crate) fn begin(&self, stream: TcpStream, address: SocketAddr) -> Kept {
        let place = self.places.as_ref().and_then(Places::take);
        Kept { stream, address, questions: 0, place }
    }

    /// Keeps a connection for the next question.
    pub(crate) fn keep(&mut self, kept: Kept) {
        self.kept = Some(kept).filter(Kept::may_be_kept);
    }
}

impl Places {
    pub(crate) const fn new(most: usize) -> Self {
        Self { most: AtomicUsize::new(most), taken: AtomicUsize::new(0) }
    }

    /// Says how many there are from now on. If more are taken, the others are given back when they are used next.
    pub(crate) fn set(&self, most: usize) {
        self.most.store(most, Ordering::Relaxed);
    }

    /// Takes one, if there is one.
    fn take(self: &Arc<Self>) -> Option<Place> {
        let most = self.most.load(Ordering::Relaxed);
        let one_more = |taken| (taken < most).then_some(taken + 1);
        let taken = self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        taken.ok().map(|_| Place(Arc::clone(self)))
    }

    fn are_too_many(&self) -> bool {
        self.taken.load(Ordering::Relaxed) > self.most.load(Ordering::Relaxed)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Kept {
    /// Whether another question may follow the one that is asked now.
    pub(crate) fn may_be_kept(&self) -> bool {
        self.place.as_ref().is_some_and(|place| !place.0.are_too_many())
            && self.questions < MAX_QUESTIONS_PER_CONNECTION
    }

    /// Counts a question.
    pub(crate) const fn ask(&mut self) {
        self.questions += 1;
    }

    fn is_quiet(&self) -> bool {
        matches!(self.stream.try_read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}
