//! Picking ports.

use std::fmt;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Picked from below the range from which the kernel takes ports for outgoing connections, so that a port stays free while its
/// backend is dead.
const FIRST: u32 = 10_000;
const COUNT: u32 = 22_000;
/// A connection over loopback is made in far less.
const FULL_AFTER: Duration = Duration::from_millis(200);

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A listener on a picked port of 127.0.0.1.
pub(crate) fn listen() -> TcpListener {
    // Processes of one test run start at far-apart places; a multiplicative hash spreads neighbouring ids.
    let start = std::process::id().wrapping_mul(2_654_435_761) >> 8;
    for _ in 0..COUNT {
        let offset = (start + NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        let port = u16::try_from(FIRST + offset).expect("the range lies within 16 bits");
        if claim(port)
            && let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        {
            return listener;
        }
    }
    panic!("no port of 127.0.0.1 is free");
}

/// Makes a port this process's own until it ends, also while nobody listens there: a backend that is dead for a while must not be
/// mistaken for one of another play. False if another process has it.
fn claim(port: u16) -> bool {
    static CLAIMED: Mutex<Vec<File>> = Mutex::new(Vec::new());
    let folder = std::env::temp_dir().join("aya-ports");
    let _ = std::fs::create_dir_all(&folder);
    let file = File::options().create(true).truncate(false).write(true).open(folder.join(port.to_string()));
    let Some(file) = file.ok().filter(|file| file.try_lock().is_ok()) else { return false };
    CLAIMED.lock().unwrap_or_else(PoisonError::into_inner).push(file);
    true
}

/// A port of 127.0.0.1 on which nobody listens, and that the kernel gives to nobody by itself.
pub fn free_port() -> u16 {
    listen().local_addr().as_ref().map(SocketAddr::port).expect("a bound socket has an address")
}

/// A port of 127.0.0.1 whose queue is full: connecting to it neither succeeds nor fails.
#[derive(Debug)]
pub struct FullPort {
    address: SocketAddr,
    _listener: socket2::Socket,
    _queue: Vec<TcpStream>,
}

impl FullPort {
    /// Fills one.
    ///
    /// # Panics
    /// When the kernel does not let it.
    pub fn new() -> Self {
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)
            .and_then(|socket| socket.bind(&free.into()).and_then(|()| socket.listen(0)).map(|()| socket))
            .expect("a free port can be listened on");
        let mut queue = Vec::new();
        // A queue of length 0 holds one or two connections; the first that does not fit is not answered.
        while let Ok(stream) = TcpStream::connect_timeout(&free, FULL_AFTER) {
            queue.push(stream);
            assert!(queue.len() < 100, "the queue does not fill");
        }
        Self { address: free, _listener: listener, _queue: queue }
    }
}

impl Default for FullPort {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for FullPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}
