//! One connection of the load generator.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;

use base_kit::Moment;

use super::tally::Failure;
use super::traffic::Traffic;
use crate::socket::{self, Outcome, Poller};
use crate::wire::response_head;

/// A longer head is a failure.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// A connection and the request under way on it.
#[derive(Default)]
pub(crate) struct Connection {
    socket: Option<OwnedFd>,
    number: u64,
    due: Moment,
    state: State,
    /// The start of a head that has not come whole.
    head: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    /// No request under way.
    #[default]
    Idle,
    /// So many bytes of the request are sent.
    Sending(usize),
    /// The response head is not there yet.
    Head,
    /// So many bytes of the body are still to come.
    Body { left: u64, closes: bool },
}

/// How far a request got.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// Under way, or nothing was under way.
    Wait,
    /// Answered in full.
    Answered {
        /// When the request was due.
        due: Moment,
        /// Whether the proxy closes now.
        closes: bool,
    },
    /// Not answered as it should be.
    Failed(Failure),
}

impl Connection {
    pub(crate) fn is_open(&self) -> bool {
        self.socket.is_some()
    }

    pub(crate) fn open(
        &mut self,
        target: SocketAddr,
        source: Option<Ipv4Addr>,
        token: usize,
        poller: &Poller,
    ) -> io::Result<()> {
        let socket = socket::connect(target, source)?;
        poller.add(&socket, token)?;
        self.socket = Some(socket);
        Ok(())
    }

    pub(crate) fn close(&mut self) {
        self.socket = None;
        self.state = State::Idle;
        self.head.clear();
    }

    /// Starts the request of this number.
    pub(crate) fn begin(&mut self, number: u64, due: Moment, traffic: &mut Traffic) -> Step {
        (self.number, self.due, self.state) = (number, due, State::Sending(0));
        self.send(0, traffic)
    }

    /// Goes on after the kernel reported the socket.
    pub(crate) fn go_on(&mut self, ended: bool, traffic: &mut Traffic, buffer: &mut [u8]) -> Step {
        if let State::Sending(sent) = self.state {
            let step = self.send(sent, traffic);
            if !matches!(step, Step::Wait) {
                return step;
            }
        }
        loop {
            let Some(socket) = &self.socket else { return Step::Wait };
            match socket::receive(socket, buffer) {
                Outcome::Wait => return Step::Wait,
                Outcome::Gone => return self.lost(),
                Outcome::Bytes(count) => {
                    let step = self.take(buffer.get(..count).unwrap_or_default(), traffic);
                    if !matches!(step, Step::Wait) || count < buffer.len() && !ended {
                        return step;
                    }
                }
            }
        }
    }

    fn send(&mut self, mut sent: usize, traffic: &mut Traffic) -> Step {
        let Some(socket) = &self.socket else { return Step::Failed(Failure::Socket) };
        let request = traffic.request(self.number);
        while sent < request.len() {
            match socket::send(socket, request.get(sent..).unwrap_or_default()) {
                Outcome::Bytes(count) => sent += count,
                Outcome::Gone => return Step::Failed(Failure::Socket),
                Outcome::Wait => {
                    self.state = State::Sending(sent);
                    return Step::Wait;
                }
            }
        }
        self.state = State::Head;
        Step::Wait
    }

    /// The proxy closed: its right between requests, a failure during one.
    fn lost(&mut self) -> Step {
        if matches!(self.state, State::Idle) {
            self.close();
            return Step::Wait;
        }
        Step::Failed(Failure::Socket)
    }

    fn take(&mut self, input: &[u8], traffic: &Traffic) -> Step {
        match self.state {
            State::Body { left, closes } => self.take_body(left, closes, input.len() as u64),
            // Nothing was asked: an answer to a pause, such as a 408 before closing.
            State::Idle => self.lost(),
            State::Sending(_) | State::Head if self.head.is_empty() => self.take_head(input, traffic),
            State::Sending(_) | State::Head => {
                let mut head = std::mem::take(&mut self.head);
                head.extend_from_slice(input);
                self.take_head(&head, traffic)
            }
        }
    }

    fn take_head(&mut self, input: &[u8], traffic: &Traffic) -> Step {
        let head = match response_head(input) {
            Ok(Some(head)) => head,
            Ok(None) if input.len() < MAX_HEAD_BYTES => {
                self.head = input.to_vec();
                return Step::Wait;
            }
            _ => return Step::Failed(Failure::Body),
        };
        if !(200..300).contains(&head.status) {
            return Step::Failed(Failure::Status);
        }
        if head.length != Some(traffic.answer_bytes) {
            return Step::Failed(Failure::Body);
        }
        self.take_body(traffic.answer_bytes, head.closes, (input.len() - head.bytes) as u64)
    }

    fn take_body(&mut self, left: u64, closes: bool, came: u64) -> Step {
        if came > left {
            return Step::Failed(Failure::Body);
        }
        if came < left {
            self.state = State::Body { left: left - came, closes };
            return Step::Wait;
        }
        self.state = State::Idle;
        Step::Answered { due: self.due, closes }
    }
}
