//! What the sockets of a thread share: the ring itself, its buffers, and the state of each socket.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{Ordering, fence};
use std::task::Waker;
use std::time::Duration;

use base_kit::{Clock as _, Moment, MonotonicClock, prefetch, prefetch_task};
use io_uring::types::{self, Fd};
use io_uring::{IoUring, cqueue, opcode, squeue};
use rustix::io::Errno;
use rustix::net::RecvFlags;
use slab::Slab;
use socket2::SockAddr;

use super::buffers::{GROUP, Provided};
use super::lookout::{BusyPolls, LookOut};
use super::pieces::{Piece, Pieces};
use crate::buffer::{BufferPool, Storage};
use crate::stream::Peek;

/// Operations that can be queued between two turns; more make a turn of their own.
const ENTRIES: u32 = 512;
/// Pieces that a socket may hold of what its owner has not asked for yet; then receiving stops until it does. 16 KiB.
const MOST_WAITING: usize = 4;
/// So many times a direct read must have brought a small piece until a socket goes back to receiving as it comes.
const CALM: u8 = 4;
/// Reads and sends past the ring, of up to 256 KiB each, after which the others get their turn.
const DIRECT_PER_TURN: u32 = 8;
/// How long what is still being sent when a thread ends may make no progress.
const LAST_SENDS: Duration = Duration::from_millis(200);
/// How long the kernel has to give back what it was handed when a ring ends, and in how many looks.
const LAST_RETURNS: Duration = Duration::from_millis(20);
const LAST_LOOKS: u32 = 10;
/// Turns that follow each other at once because each left something to hand over, and nobody to wake.
const MOST_ROUNDS: u32 = 8;
/// How long a thread sleeps in its ring before the runtime looks for timers of which nobody told. Longer than a tick of the kernel's: to
/// have the hardware end a sleep before that takes 10 µs on virtual machines, each time, and the tick comes anyway.
const LONGEST_SLEEP: Duration = Duration::from_millis(20);
/// Where a timer is due this soon, the runtime sleeps: its timers are as coarse.
const SHORTEST_SLEEP: Duration = Duration::from_millis(1);
/// Bytes of a task that are fetched ahead: what a connection's takes at most.
const TASK: usize = 2048;
/// `IORING_ENTER_GETEVENTS`: have what has come posted.
const GET_EVENTS: u32 = 1;

/// What an operation is for, in the lowest bits of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Receive = 0,
    Send = 1,
    Room = 2,
    Data = 3,
    Connect = 4,
    Cancel = 5,
    Events = 6,
}

/// Bits of an operation's name that hold its kind.
const KIND_BITS: u32 = 3;

/// The ring of a thread.
pub(super) struct Core {
    io: IoUring,
    provided: Provided,
    sockets: Slab<Socket>,
    pub(super) pool: BufferPool,
    /// What is being taken.
    completed: Vec<cqueue::Entry>,
    /// Whom to wake when the turn is over.
    woken: Woken,
    /// Reads and sends that went past the ring since its last turn.
    direct: u32,
    /// The thread had nothing left to do since the last turn.
    has_rested: bool,
    /// It had nothing left to do before the last turn either, and so is not short of time.
    pub(super) has_time: bool,
    /// How it looks out for more before it sleeps, if it does.
    look_out: Option<LookOut>,
    /// What the runtime waits for, if that is known.
    events: Option<Fd>,
    /// The kernel was asked to tell when there are events for the runtime.
    awaiting_events: bool,
    /// When a timer of the runtime is due that must not be late.
    pub(super) timer: Moment,
    /// The bell rings for what is completed.
    is_bell_on: bool,
    /// Wakes the task that takes turns.
    pub(super) turns: Option<Waker>,
}

/// Whom to wake.
#[derive(Default)]
struct Woken {
    /// Who has something from where it connected to: these go first, since they end what was begun before.
    dialed: Vec<Waker>,
    others: Vec<Waker>,
}

/// A piece that is being sent.
struct Sending {
    storage: Storage,
    length: usize,
}

/// How a socket receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// The kernel puts what comes into lent buffers.
    AsItComes,
    /// A lot comes: it is read directly into the owner's buffer.
    Bulk {
        /// Something has come, or may have.
        is_readable: bool,
        /// Small pieces read in a row.
        small: u8,
    },
}

/// One socket, until neither its owner nor the kernel uses it any more.
pub(super) struct Socket {
    pub(super) fd: OwnedFd,
    pub(super) queue: Pieces,
    /// How receiving ended: with an error's number, or 0 for the end of the stream.
    pub(super) end: Option<i32>,
    /// How it receives.
    pub(super) mode: Mode,
    /// A receive is with the kernel.
    receiving: bool,
    /// The kernel was asked to tell when something has come.
    awaiting_data: bool,
    /// It was asked to stop.
    stopping: bool,
    pub(super) reader: Option<Waker>,
    sending: Option<Sending>,
    pub(super) send_error: Option<i32>,
    /// The kernel was asked to tell when there is room to send.
    awaiting_room: bool,
    pub(super) writer: Option<Waker>,
    /// It connects to somewhere, and was not accepted.
    is_dialed: bool,
    /// Where it is being connected to.
    target: Option<Box<SockAddr>>,
    /// How that ended: with an error's number, or 0.
    pub(super) connected: Option<i32>,
    /// Its peer is to see that it broke off.
    pub(super) is_aborted: bool,
    /// Its owner has gone.
    is_left: bool,
}

impl Core {
    /// One that rings the bell for what is completed. `events` is what the runtime waits for, to be waited for in its place.
    pub(super) fn new(pool: BufferPool, bell: &OwnedFd, events: Option<RawFd>) -> io::Result<Self> {
        let io = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .setup_submit_all()
            .setup_cqsize(ENTRIES * 8)
            .build(ENTRIES)?;
        io.submitter().register_eventfd(bell.as_raw_fd())?;
        let provided = Provided::new(&io, &pool)?;
        Ok(Self {
            io,
            provided,
            sockets: Slab::new(),
            pool,
            completed: Vec::new(),
            woken: Woken::default(),
            direct: 0,
            has_rested: false,
            has_time: false,
            look_out: None,
            events: events.map(Fd),
            awaiting_events: false,
            timer: Moment::NEVER,
            is_bell_on: true,
            turns: None,
        })
    }

    pub(super) fn add(&mut self, fd: OwnedFd) -> usize {
        self.sockets.insert(Socket {
            fd,
            queue: Pieces::default(),
            end: None,
            mode: Mode::AsItComes,
            receiving: false,
            awaiting_data: false,
            stopping: false,
            reader: None,
            sending: None,
            send_error: None,
            awaiting_room: false,
            writer: None,
            is_dialed: false,
            target: None,
            connected: None,
            is_aborted: false,
            is_left: false,
        })
    }

    pub(super) fn socket(&mut self, key: usize) -> Option<&mut Socket> {
        self.sockets.get_mut(key)
    }

    /// Begins to connect.
    pub(super) fn connect(&mut self, key: usize, address: SocketAddr) {
        let Some(socket) = self.sockets.get_mut(key) else { return };
        let address = Box::new(SockAddr::from(address));
        let fd = Fd(socket.fd.as_raw_fd());
        let operation = opcode::Connect::new(fd, address.as_ptr().cast(), address.len()).build();
        assert!(socket.target.is_none(), "a socket connects once");
        (socket.is_dialed, socket.target) = (true, Some(address));
        self.push(&operation.user_data(name(key, Kind::Connect)));
    }

    /// Sees to it that what comes is received.
    pub(super) fn receive(&mut self, key: usize) {
        let Some(socket) = self.sockets.get_mut(key) else { return };
        if socket.is_watched() || socket.end.is_some() {
            return;
        }
        let fd = Fd(socket.fd.as_raw_fd());
        if socket.mode == Mode::AsItComes {
            socket.receiving = true;
            self.push(&opcode::RecvMulti::new(fd, GROUP).build().user_data(name(key, Kind::Receive)));
        } else {
            socket.awaiting_data = true;
            let events = (libc::POLLIN | libc::POLLRDHUP) as u32;
            self.push(&opcode::PollAdd::new(fd, events).build().user_data(name(key, Kind::Data)));
        }
    }

    /// Queues a piece that was copied.
    pub(super) fn send(&mut self, key: usize, storage: Storage, length: usize) {
        let Some(socket) = self.sockets.get_mut(key) else { return };
        let fd = Fd(socket.fd.as_raw_fd());
        let flags = libc::MSG_NOSIGNAL | libc::MSG_WAITALL;
        let count = u32::try_from(length).unwrap_or(u32::MAX);
        let operation = opcode::Send::new(fd, storage.as_ptr(), count).flags(flags).build();
        // What is with the kernel must not be given away.
        assert!(socket.sending.is_none(), "one piece at a time");
        socket.sending = Some(Sending { storage, length });
        self.push(&operation.user_data(name(key, Kind::Send)));
    }

    /// Asks to be told when more can be sent.
    pub(super) fn await_room(&mut self, key: usize) {
        let Some(socket) = self.sockets.get_mut(key) else { return };
        if socket.awaiting_room {
            return;
        }
        socket.awaiting_room = true;
        let fd = Fd(socket.fd.as_raw_fd());
        let operation = opcode::PollAdd::new(fd, libc::POLLOUT as u32).build();
        self.push(&operation.user_data(name(key, Kind::Room)));
    }

    /// The owner has gone: what is queued is still tried once, in this order, and then given up. Whoever wants more for what was sent last
    /// waits for it first.
    pub(super) fn leave(&mut self, key: usize) {
        let Some(socket) = self.sockets.get_mut(key) else { return };
        socket.is_left = true;
        (socket.reader, socket.writer) = (None, None);
        let kinds = [
            (socket.receiving, Kind::Receive),
            (socket.sending.is_some(), Kind::Send),
            (socket.awaiting_room, Kind::Room),
            (socket.awaiting_data, Kind::Data),
            (socket.target.is_some(), Kind::Connect),
        ];
        for (_, kind) in kinds.iter().filter(|(is_under_way, _)| *is_under_way) {
            self.cancel(key, *kind);
        }
        self.release(key);
    }

    fn cancel(&mut self, key: usize, kind: Kind) {
        let operation = opcode::AsyncCancel::new(name(key, kind)).build();
        self.push(&operation.user_data(name(key, Kind::Cancel)));
    }

    /// Lets go of a socket that nobody uses.
    fn release(&mut self, key: usize) {
        let is_free = |socket: &Socket| {
            let sends = socket.is_sending() || socket.awaiting_room || socket.target.is_some();
            socket.is_left && !socket.is_watched() && !sends
        };
        if self.sockets.get(key).is_some_and(is_free) {
            let mut socket = self.sockets.remove(key);
            while let Some(piece) = socket.queue.pop_front() {
                self.pool.give(piece.storage);
            }
        }
    }

    fn push(&mut self, operation: &squeue::Entry) {
        loop {
            // SAFETY: what the operation points to is owned by the socket's entry or by `Provided`. An entry is removed only when none of its
            // operations is under way (`release`), and when the ring ends, both are given up without being freed unless everything has
            // come back (`drop`).
            if unsafe { self.io.submission().push(operation) }.is_ok() {
                return;
            }
            self.enter();
        }
    }

    /// The one system call.
    fn enter(&mut self) {
        let count = u32::try_from(self.io.submission().len()).unwrap_or(u32::MAX);
        // SAFETY: the flags ask for no argument.
        let entered = unsafe { self.io.submitter().enter::<libc::sigset_t>(count, 0, GET_EVENTS, None) };
        // Interrupted, or short of memory or room for what was completed: what was not taken is handed over again next time.
        debug_assert!(entered.is_ok() || entered.is_err_and(|error| is_passing(&error)));
    }

    /// Takes what was completed.
    fn reap(&mut self) {
        let mut completed = std::mem::take(&mut self.completed);
        completed.extend(self.io.completion());
        for entry in &completed {
            let (key, _) = parse(entry.user_data());
            self.sockets.get(key).inspect(|socket| prefetch(*socket));
        }
        for entry in completed.drain(..) {
            let (key, kind) = parse(entry.user_data());
            self.complete(key, kind, entry.result(), entry.flags());
        }
        self.completed = completed;
        self.provided.publish();
    }

    /// Notes that there is nothing left to do, looks out for more, and sleeps until it comes; whether it came.
    fn rest(&mut self) -> bool {
        self.has_rested = true;
        let Self { look_out, io, .. } = self;
        look_out.as_mut().is_some_and(|look_out| look_out.look(&MonotonicClock, || has_work(io)))
            || self.sleep()
    }

    /// Sleeps until something is completed or the runtime has events; whether there is something to take.
    ///
    /// The runtime could do this: but then the bell would wake it, and what was completed be known after two more system calls.
    fn sleep(&mut self) -> bool {
        let timer = self.timer.since(MonotonicClock.now());
        let Some(events) = self.events.filter(|_| timer >= SHORTEST_SLEEP) else { return false };
        if !self.awaiting_events {
            self.awaiting_events = true;
            let operation = opcode::PollAdd::new(events, libc::POLLIN as u32).build();
            self.push(&operation.user_data(name(0, Kind::Events)));
        }
        let timeout = types::Timespec::from(timer.min(LONGEST_SLEEP));
        let arguments = types::SubmitArgs::new().timespec(&timeout);
        // In vain, interrupted, or short of memory: the runtime has its turn.
        let _ = self.io.submitter().submit_with_args(1, &arguments);
        !self.io.completion().is_empty()
    }

    /// Has the bell ring for what is completed, or not.
    fn set_bell(&mut self, is_on: bool) {
        if self.is_bell_on == is_on {
            return;
        }
        self.is_bell_on = is_on;
        let completed = self.io.completion();
        if is_on {
            completed.enable_eventfd();
            // What was completed before is seen by who looks next; what is completed later rings.
            fence(Ordering::SeqCst);
        } else {
            completed.disable_eventfd();
        }
    }

    fn complete(&mut self, key: usize, kind: Kind, result: i32, flags: u32) {
        match kind {
            Kind::Receive => self.received(key, result, flags),
            Kind::Send => self.sent(key, result),
            Kind::Data => {
                if let Some(socket) = self.sockets.get_mut(key) {
                    socket.awaiting_data = false;
                    socket.note_readable(true);
                    socket.wake_reader(&mut self.woken);
                }
            }
            Kind::Room => {
                if let Some(socket) = self.sockets.get_mut(key) {
                    socket.awaiting_room = false;
                    self.woken.others.extend(socket.writer.take());
                }
            }
            Kind::Connect => {
                if let Some(socket) = self.sockets.get_mut(key) {
                    (socket.target, socket.connected) = (None, Some(-result.min(0)));
                    self.woken.others.extend(socket.writer.take());
                }
            }
            // What it was about may be gone, and its place taken by another.
            Kind::Cancel => return,
            Kind::Events => {
                self.awaiting_events = false;
                return;
            }
        }
        self.release(key);
    }

    fn received(&mut self, key: usize, result: i32, flags: u32) {
        let storage = cqueue::buffer_select(flags).and_then(|number| self.provided.take(number, &self.pool));
        let Some(socket) = self.sockets.get_mut(key) else { return };
        if !cqueue::more(flags) {
            (socket.receiving, socket.stopping) = (false, false);
        }
        match (usize::try_from(result), storage) {
            (Ok(length @ 1..), Some(storage)) => {
                let is_full = length == storage.len();
                socket.queue.push_back(Piece { storage, start: 0, end: length as u32 });
                socket.wake_reader(&mut self.woken);
                if is_full {
                    socket.mode = Mode::Bulk { is_readable: true, small: 0 };
                }
                let is_enough = is_full || socket.queue.len() >= MOST_WAITING;
                if is_enough && socket.receiving && !socket.stopping {
                    socket.stopping = true;
                    self.cancel(key, Kind::Receive);
                }
                return;
            }
            (_, storage) => {
                if let Some(storage) = storage {
                    self.pool.give(storage);
                }
            }
        }
        let errno = -result.min(0);
        let goes_on = cqueue::more(flags) || matches!(errno, libc::ENOBUFS | libc::ECANCELED | libc::EINTR);
        if goes_on {
            // Out of buffers for a moment, or stopped because too much was waiting: whoever waits asks again.
            if socket.reader.is_some() && !socket.is_left {
                self.receive(key);
            }
            return;
        }
        socket.end = Some(errno);
        socket.wake_reader(&mut self.woken);
    }

    fn sent(&mut self, key: usize, result: i32) {
        let Some(socket) = self.sockets.get_mut(key) else { return };
        let Some(Sending { storage, length }) = socket.sending.take() else { return };
        self.pool.give(storage);
        if result < 0 {
            socket.send_error = Some(-result);
        } else if usize::try_from(result).is_ok_and(|sent| sent < length) {
            // All of it was asked for, so that only an error on the way explains this.
            socket.send_error = Some(libc::EPIPE);
        }
        self.woken.others.extend(socket.writer.take());
    }

    /// Stops everything that is under way; whether the kernel holds nothing any more.
    fn take_back(&mut self) -> bool {
        self.enter();
        // There may be nothing to cancel; what counts is what is seen below.
        let _ =
            self.io.submitter().register_sync_cancel(Some(LAST_RETURNS.into()), types::CancelBuilder::any());
        let timeout = types::Timespec::from(LAST_RETURNS);
        let arguments = types::SubmitArgs::new().timespec(&timeout);
        for _ in 0..LAST_LOOKS {
            self.reap();
            if !self.sockets.iter().any(|(_, socket)| socket.is_lent()) {
                return self.io.submitter().unregister_buf_ring(GROUP).is_ok();
            }
            let _ = self.io.submitter().submit_with_args(1, &arguments);
        }
        false
    }
}

impl Drop for Core {
    /// Closing a ring does not wait for what is under way. Memory that the kernel may still write to is rather lost than used by others.
    fn drop(&mut self) {
        if !self.take_back() {
            tracing::warn!(target: "aya::net", "the kernel does not give back the memory of a ring that ends; it stays taken");
            std::mem::forget(std::mem::take(&mut self.sockets));
            self.provided.give_up();
        }
    }
}

impl Woken {
    const fn is_empty(&self) -> bool {
        self.dialed.is_empty() && self.others.is_empty()
    }
}

impl Socket {
    /// Has whoever waits for what comes woken at the end of the turn.
    fn wake_reader(&mut self, woken: &mut Woken) {
        let place = if self.is_dialed { &mut woken.dialed } else { &mut woken.others };
        place.extend(self.reader.take().inspect(|waker| prefetch_task(waker, TASK)));
    }

    /// Whether the kernel holds memory of it.
    const fn is_lent(&self) -> bool {
        self.receiving || self.sending.is_some() || self.target.is_some()
    }

    /// Notes what a direct read brought, where it could have brought `room`.
    pub(super) fn has_read(&mut self, count: usize, room: usize) {
        let Mode::Bulk { is_readable, small } = &mut self.mode else { return };
        // A read that does not fill its buffer has emptied the socket.
        *is_readable = count == room;
        *small = if count < super::buffers::SIZE.bytes() { small.saturating_add(1) } else { 0 };
        if *small >= CALM && !*is_readable {
            self.mode = Mode::AsItComes;
        }
    }

    /// Whether it can be read directly: nothing that came before is still on its way through the ring.
    pub(super) const fn is_readable(&self) -> bool {
        matches!(self.mode, Mode::Bulk { is_readable: true, .. }) && !self.receiving
    }

    /// Notes whether there is something to read directly.
    const fn note_readable(&mut self, is_so: bool) {
        if let Mode::Bulk { is_readable, .. } = &mut self.mode {
            *is_readable = is_so;
        }
    }

    /// Reads past the ring; `None` if there was nothing after all.
    pub(super) fn receive_now(&mut self, room: &mut [u8], flags: RecvFlags) -> io::Result<Option<usize>> {
        match rustix::net::recv(self.fd.as_fd(), room, flags | RecvFlags::DONTWAIT) {
            Ok((count, _)) => Ok(Some(count)),
            Err(Errno::AGAIN | Errno::INTR) => {
                self.note_readable(false);
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Looks past the ring, and takes nothing.
    pub(super) fn peek_now(&mut self) -> io::Result<Option<Peek>> {
        let seen = self.receive_now(&mut [0], RecvFlags::PEEK)?;
        Ok(seen.map(|count| if count == 0 { Peek::End } else { Peek::Bytes }))
    }

    /// Whether the kernel was asked to receive, or to tell when there is something: what has come since the last turn is known then.
    pub(super) const fn is_watched(&self) -> bool {
        self.receiving || self.awaiting_data
    }

    /// Whether a piece is on its way.
    pub(super) const fn is_sending(&self) -> bool {
        self.sending.is_some()
    }
}

/// Notes that a read or send goes past the ring. Whoever keeps the thread busy with these must not keep the others waiting.
pub(super) fn note_direct(core: &RefCell<Core>) {
    let is_due = core.try_borrow_mut().is_ok_and(|mut core| {
        core.direct += 1;
        core.direct >= DIRECT_PER_TURN
    });
    if is_due {
        turn(core);
    }
}

/// See [`super::RingNetwork::set_busy_poll`].
pub(super) fn set_busy_poll(core: &RefCell<Core>, is_wanted: bool) {
    let look_out = &mut core.borrow_mut().look_out;
    if is_wanted != look_out.is_some() {
        *look_out = is_wanted.then(LookOut::default);
    }
}

/// See [`super::RingNetwork::take_busy_polls`].
pub(super) fn take_busy_polls(core: &RefCell<Core>) -> BusyPolls {
    core.borrow_mut()
        .look_out
        .as_mut()
        .map(|look_out| std::mem::take(&mut look_out.counts))
        .unwrap_or_default()
}

/// See [`super::RingNetwork::before_wait`].
///
/// While the runtime waits, the bell is on. Where something was taken the runtime must not wait, since whoever was woken may be gone: the task that
/// takes turns keeps it from that.
pub(super) fn before_wait(core: &RefCell<Core>) {
    let has_taken = turn(core) || core.borrow_mut().rest() && turn(core);
    let mut core = core.borrow_mut();
    if !has_taken {
        core.set_bell(true);
    }
    if has_taken || has_work(&mut core.io) {
        core.turns.iter().for_each(Waker::wake_by_ref);
    }
}

/// Whether there is something to hand over or to take.
fn has_work(io: &mut IoUring) -> bool {
    has_to_enter(io) || !io.completion().is_empty()
}

/// Whether there is something that takes a system call.
fn has_to_enter(io: &mut IoUring) -> bool {
    let queue = io.submission();
    !queue.is_empty() || queue.taskrun() || queue.cq_overflow()
}

/// Hands over what is queued, takes what was completed, and wakes those who wait for it; whether there was anything to do.
pub(super) fn turn(core: &RefCell<Core>) -> bool {
    let mut woken = {
        let Ok(mut core) = core.try_borrow_mut() else { return true };
        core.direct = 0;
        core.set_bell(false);
        if !has_work(&mut core.io) {
            return false;
        }
        core.has_time = std::mem::take(&mut core.has_rested);
        for _ in 0..MOST_ROUNDS {
            if has_to_enter(&mut core.io) {
                core.enter();
            }
            core.reap();
            // Receives that were begun anew are not to wait for what wakes the thread next. Whoever is woken makes another turn.
            if !core.woken.is_empty() || core.io.submission().is_empty() {
                break;
            }
        }
        std::mem::take(&mut core.woken)
    };
    // Outside, because whoever is woken may be dropped on the spot, with sockets.
    woken.dialed.drain(..).chain(woken.others.drain(..)).for_each(Waker::wake);
    if let Ok(mut core) = core.try_borrow_mut() {
        core.woken = woken;
    }
    true
}

/// See [`super::RingNetwork::finish`].
pub(super) fn finish(core: &RefCell<Core>) {
    turn(core);
    let Ok(mut core) = core.try_borrow_mut() else { return };
    let timeout = types::Timespec::from(LAST_SENDS);
    let arguments = types::SubmitArgs::new().timespec(&timeout);
    // Those that have room are done; the others have a moment.
    let is_sending = |core: &Core| core.sockets.iter().any(|(_, socket)| socket.is_sending());
    while is_sending(&core) && core.io.submitter().submit_with_args(1, &arguments).is_ok() {
        core.reap();
    }
}

const fn name(key: usize, kind: Kind) -> u64 {
    ((key as u64) << KIND_BITS) | kind as u64
}

const fn parse(name: u64) -> (usize, Kind) {
    let kind = match name & ((1 << KIND_BITS) - 1) {
        0 => Kind::Receive,
        1 => Kind::Send,
        2 => Kind::Room,
        3 => Kind::Data,
        4 => Kind::Connect,
        5 => Kind::Cancel,
        _ => Kind::Events,
    };
    ((name >> KIND_BITS) as usize, kind)
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINTR | libc::EBUSY | libc::EAGAIN | libc::ENOMEM))
}
