//! What the engine gets in place of the system's clock and network.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use base_kit::{Clock, Moment};
use traffic_net::{Connecting, Incoming, Network, Stream};

use crate::endpoint;
use crate::net::{End, EngineStream, Tap};
use crate::world::{CALENDAR, Door, World};

/// The network as the engine sees it.
pub(crate) struct EngineNetwork(pub(crate) Rc<World>);

impl Network for EngineNetwork {
    fn connect(&self, address: SocketAddr) -> Connecting {
        Box::pin(endpoint::accept(Rc::clone(&self.0), address))
    }

    fn listen(&self, _address: SocketAddr, _socket: TcpListener) -> io::Result<Box<dyn Incoming>> {
        let door = Rc::new(Door::default());
        *self.0.door.borrow_mut() = Some(Rc::clone(&door));
        Ok(Box::new(DoorKeeper { world: Rc::clone(&self.0), door }))
    }
}

/// Closes the door when the engine no longer listens.
struct DoorKeeper {
    world: Rc<World>,
    door: Rc<Door>,
}

impl Incoming for DoorKeeper {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Box<dyn Stream>, SocketAddr)>> {
        self.world.net.look();
        match self.door.waiting.borrow_mut().pop_front() {
            Some((end, peer)) => {
                let link = end.link;
                self.world.note(|| format!("aya accepts link {link} of {peer}"));
                let tap = ClientTap(Rc::clone(&self.world));
                self.world.ledger.borrow_mut().fronts.entry(link).or_default().last_use =
                    self.world.elapsed();
                Poll::Ready(Ok((Box::new(EngineStream::new(end, Box::new(tap))), peer)))
            }
            None => {
                *self.door.waker.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for DoorKeeper {
    fn drop(&mut self) {
        *self.world.door.borrow_mut() = None;
        for (end, _) in self.door.waiting.take() {
            self.world.violate("answered-once", format!("link {} was open and is not accepted", end.link));
            end.abort();
        }
    }
}

/// Notes what Aya leaves unread of a client.
struct ClientTap(Rc<World>);

impl Tap for ClientTap {
    fn written(&mut self, end: &End, _: &[u8]) {
        let now = self.0.elapsed();
        self.0.ledger.borrow_mut().fronts.entry(end.link).or_default().last_use = now;
    }

    fn closed(&mut self, end: &End) {
        self.0.note(|| {
            format!("aya closes link {}, leaves something unread: {}", end.link, end.is_neglected())
        });
        let now = self.0.elapsed();
        let mut ledger = self.0.ledger.borrow_mut();
        let front = ledger.fronts.entry(end.link).or_default();
        (front.closed, front.is_neglected) = (Some(now), end.is_neglected());
    }
}

/// The engine's clock: that of the runtime.
pub(crate) struct EngineClock(pub(crate) Rc<World>);

impl Clock for EngineClock {
    fn now(&self) -> Moment {
        self.0.net.look();
        self.0.now()
    }

    fn since_epoch(&self) -> Duration {
        CALENDAR + self.0.elapsed()
    }
}
