//! Connections of a ring.

use std::cell::RefCell;
use std::fs::{self, DirEntry};
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, ready};

use base_kit::Moment;
use io_uring::IoUring;
use rustix::event::{EventfdFlags, eventfd};
use rustix::net::SocketFlags;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::spawn_local;

use super::core::Core;
use super::lookout::BusyPolls;
use super::socket::RingSocket;
use crate::buffer::BufferPool;
use crate::network::{Connecting, Incoming, Network};
use crate::stream::Stream;

thread_local! {
    /// The ring of this thread, if it has one.
    static RING: RefCell<Option<Rc<RefCell<Core>>>> = const { RefCell::new(None) };
}

/// The system's network, driven by the io_uring of the calling thread.
pub struct RingNetwork {
    core: Rc<RefCell<Core>>,
    /// Readable when something was completed while the thread waited; the runtime then returns from waiting.
    _bell: AsyncFd<OwnedFd>,
}

impl RingNetwork {
    /// Makes the ring of the calling thread, which a task of its own serves from then on: see [`RingNetwork::before_wait`]. Storage for what comes is taken
    /// from the pool.
    ///
    /// # Errors
    /// If the kernel has none or does not allow it, or the calling thread has no tokio runtime.
    pub fn start(pool: &BufferPool) -> io::Result<Self> {
        let bell = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        // SAFETY: the descriptor is owned by what is registered, and so stays what it is for as long as that.
        let bell = unsafe { AsyncFd::register_with_interest(bell, Interest::READABLE)? };
        let core =
            Rc::new(RefCell::new(Core::new(pool.clone(), bell.get_ref(), watcher_of(bell.get_ref()))?));
        spawn_local(Turns(Rc::downgrade(&core)));
        RING.with(|place| *place.borrow_mut() = Some(Rc::clone(&core)));
        Ok(Self { core, _bell: bell })
    }

    /// Whether the kernel has what it takes (Linux 6.1 or later) and allows it.
    ///
    /// # Errors
    /// What the kernel said when it was asked.
    pub fn probe() -> io::Result<()> {
        // Deferred work is the newest of the features that are needed.
        let ring: IoUring = IoUring::builder().setup_single_issuer().setup_defer_taskrun().build(1)?;
        drop(ring);
        Ok(())
    }

    /// To be called before the runtime of the calling thread waits (`on_thread_park`): sleeps until something comes, and wakes who waits for it. If
    /// nothing does, the runtime waits for both. Does nothing on a thread without a ring.
    pub fn before_wait() {
        if let Some(core) = ring() {
            super::core::before_wait(&core);
        }
    }

    /// Says when a timer of the calling thread's runtime is due that must not be late, in place of what was said before. Others may be, by some
    /// 20 ms. Does nothing on a thread without a ring.
    pub fn expect_timer(at: Moment) {
        if let Some(core) = ring() {
            core.borrow_mut().timer = at;
        }
    }

    /// Whether the calling thread looks out for more before it sleeps, as long as that finds something: at first it does not. Does nothing on a thread
    /// without a ring.
    pub fn set_busy_poll(is_wanted: bool) {
        if let Some(core) = ring() {
            super::core::set_busy_poll(&core, is_wanted);
        }
    }

    /// How often the calling thread has looked out for more since the last time this was asked.
    pub fn take_busy_polls() -> BusyPolls {
        ring().map(|core| super::core::take_busy_polls(&core)).unwrap_or_default()
    }

    /// Sends what is still queued in the calling thread's ring, which ends with its last socket.
    pub fn finish() {
        if let Some(core) = RING.with(|place| place.borrow_mut().take()) {
            super::core::finish(&core);
        }
    }
}

/// That of the calling thread.
fn ring() -> Option<Rc<RefCell<Core>>> {
    RING.with(|place| place.borrow().clone())
}

/// The task that takes turns: it calls itself again, behind all who were woken, as long as it finds something. Who has much to do then takes turn
/// after turn, and the runtime looks for events only now and then.
struct Turns(Weak<RefCell<Core>>);

impl Future for Turns {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(core) = self.0.upgrade() else { return Poll::Ready(()) };
        if core.borrow().turns.is_none() {
            core.borrow_mut().turns = Some(cx.waker().clone());
        }
        if super::core::turn(&core) {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

/// What the runtime waits for: the one set of watched descriptors (epoll) that has this one in it. The runtime does not tell, the system does; where it
/// does not, a thread with a ring sleeps as any other.
fn watcher_of(watched: &OwnedFd) -> Option<RawFd> {
    let mark = format!("tfd: {:8} ", watched.as_raw_fd());
    let own = Path::new("/proc/self");
    let watches = |entry: &DirEntry| {
        let is_set =
            fs::read_link(entry.path()).is_ok_and(|kind| kind.as_os_str() == "anon_inode:[eventpoll]");
        is_set
            && fs::read_to_string(own.join("fdinfo").join(entry.file_name()))
                .is_ok_and(|said| said.contains(&mark))
    };
    let found = fs::read_dir(own.join("fd")).ok()?.flatten().find(watches)?;
    found.file_name().to_str()?.parse().ok()
}

impl Network for RingNetwork {
    fn connect(&self, address: SocketAddr) -> Connecting {
        let core = Rc::clone(&self.core);
        Box::pin(async move {
            let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
            socket.set_tcp_nodelay(true)?;
            let socket = RingSocket::new(core, socket.into());
            socket.connect(address);
            Opening(Some(socket)).await
        })
    }

    fn listen(&self, _address: SocketAddr, socket: TcpListener) -> io::Result<Box<dyn Incoming>> {
        // SAFETY: as above.
        let listener = unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE)? };
        Ok(Box::new(RingIncoming { core: Rc::clone(&self.core), listener }))
    }
}

/// A connection that is being made.
struct Opening(Option<RingSocket>);

impl Future for Opening {
    type Output = io::Result<Box<dyn Stream>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(socket) = &mut self.0 else { return Poll::Pending };
        ready!(socket.poll_connected(cx))?;
        self.0.take().map_or(Poll::Pending, |socket| Poll::Ready(Ok(Box::new(socket))))
    }
}

struct RingIncoming {
    core: Rc<RefCell<Core>>,
    listener: AsyncFd<TcpListener>,
}

impl Incoming for RingIncoming {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Box<dyn Stream>, SocketAddr)>> {
        loop {
            let mut ready = ready!(self.listener.poll_read_ready(cx))?;
            // Not in non-blocking mode: operations of the ring are to wait.
            let accepted = ready.try_io(|listener| {
                Ok(rustix::net::acceptfrom_with(listener.get_ref(), SocketFlags::CLOEXEC)?)
            });
            let Ok(accepted) = accepted else { continue };
            let (socket, peer) = accepted?;
            // Whoever has no address cannot have come by TCP.
            let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
            let peer = peer.ok_or(io::ErrorKind::ConnectionAborted)?;
            return Poll::Ready(Ok((Box::new(RingSocket::new(Rc::clone(&self.core), socket)), peer)));
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::event::epoll;
    use tokio::runtime::{Builder, LocalOptions};

    use super::*;

    /// Of two sets, the one that has it.
    #[test]
    fn what_the_runtime_waits_for_is_found() {
        let bell = eventfd(0, EventfdFlags::NONBLOCK).unwrap();
        assert_eq!(watcher_of(&bell), None, "nobody watches it");
        let sets = [(); 2].map(|()| epoll::create(epoll::CreateFlags::CLOEXEC).unwrap());
        let [_, watching] = &sets;
        epoll::add(watching, &bell, epoll::EventData::new_u64(0), epoll::EventFlags::IN).unwrap();
        assert_eq!(watcher_of(&bell), Some(watching.as_raw_fd()));
        drop(sets);
        let runtime = Builder::new_current_thread().enable_io().build_local(LocalOptions::default()).unwrap();
        let _inside = runtime.enter();
        // SAFETY: it owns the descriptor.
        let bell = unsafe { AsyncFd::register_with_interest(bell, Interest::READABLE) }.unwrap();
        assert!(watcher_of(bell.get_ref()).is_some());
    }
}
