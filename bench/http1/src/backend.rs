//! A backend that is never the bottleneck: answers made beforehand, two system calls a request.
//!
//! `GET /128`, `/64k` and `/1m` answer with so many bytes; everything else, after its body if it has one,
//! with 128.

mod beside;

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use crate::socket::{self, Outcome, Poller, Ready, Wait};
use crate::wire::request_head;

pub(crate) use self::beside::BackendBeside;

/// Read at once; a longer request body takes several reads.
const BUFFER_BYTES: usize = 256 * 1024;
/// Listeners: proxies balance over this many endpoints.
pub(crate) const LISTENERS: usize = 2;
/// The sizes of the answers, and the paths that ask for them.
const ANSWERS: [(&[u8], usize); 3] = [(b"/128 ", 128), (b"/64k ", 64 * 1024), (b"/1m ", 1024 * 1024)];

/// Answers until the process ends.
pub(crate) fn run() -> anyhow::Result<()> {
    let (mut backend, addresses) = Backend::new()?;
    for address in addresses {
        println!("listening {address}");
    }
    loop {
        backend.turn(Wait::ForEver)?;
    }
}

fn answer(bytes: usize) -> Vec<u8> {
    let mut message = format!(
        "HTTP/1.1 200 OK\r\nServer: backend\r\nContent-Type: application/octet-stream\r\nContent-Length: {bytes}\r\n\r\n"
    )
    .into_bytes();
    message.resize(message.len() + bytes, b'x');
    message
}

/// The listeners and all who came.
struct Backend {
    poller: Poller,
    listeners: Vec<OwnedFd>,
    answers: Vec<Vec<u8>>,
    clients: Vec<Option<Client>>,
    free: Vec<usize>,
    buffer: Vec<u8>,
    ready: Vec<Ready>,
}

struct Client {
    socket: OwnedFd,
    /// The start of a head that has not come whole.
    head: Vec<u8>,
    /// Bytes of the request body still to come.
    body_left: u64,
    /// Which answer is due once the body is there.
    answer: usize,
    /// How much of the answer is sent; `None` when none is under way.
    sent: Option<usize>,
}

impl Backend {
    /// Listens; says where.
    fn new() -> io::Result<(Self, Vec<SocketAddr>)> {
        let poller = Poller::new()?;
        let (mut listeners, mut addresses) = (Vec::new(), Vec::new());
        for token in 0..LISTENERS {
            let (listener, address) = socket::listen()?;
            poller.add(&listener, token)?;
            listeners.push(listener);
            addresses.push(address);
        }
        let backend = Self {
            poller,
            listeners,
            answers: ANSWERS.iter().map(|(_, bytes)| answer(*bytes)).collect(),
            clients: Vec::new(),
            free: Vec::new(),
            buffer: vec![0; BUFFER_BYTES],
            ready: Vec::new(),
        };
        Ok((backend, addresses))
    }

    /// Answers what has come, or what comes first.
    fn turn(&mut self, wait: Wait) -> io::Result<()> {
        let mut ready = std::mem::take(&mut self.ready);
        self.poller.wait(wait, &mut ready)?;
        for Ready { token, ended } in ready.drain(..) {
            if token < LISTENERS {
                self.accept(token)?;
            } else {
                self.serve(token - LISTENERS, ended);
            }
        }
        self.ready = ready;
        Ok(())
    }

    fn accept(&mut self, listener: usize) -> io::Result<()> {
        while let Some(socket) = self.listeners.get(listener).and_then(socket::accept) {
            let index = self.free.pop().unwrap_or_else(|| {
                self.clients.push(None);
                self.clients.len() - 1
            });
            self.poller.add(&socket, index + LISTENERS)?;
            let client = Client { socket, head: Vec::new(), body_left: 0, answer: 0, sent: None };
            if let Some(place) = self.clients.get_mut(index) {
                *place = Some(client);
            }
        }
        Ok(())
    }

    fn serve(&mut self, index: usize, ended: bool) {
        let Some(place) = self.clients.get_mut(index) else { return };
        let Some(client) = place else { return };
        if client.go_on(ended, &self.answers, &mut self.buffer).is_none() {
            *place = None;
            self.free.push(index);
        }
    }
}

impl Client {
    /// Does what can be done; `None` when the connection is over.
    fn go_on(&mut self, ended: bool, answers: &[Vec<u8>], buffer: &mut [u8]) -> Option<()> {
        if self.sent.is_some() {
            self.send(answers)?;
        }
        loop {
            match socket::receive(&self.socket, buffer) {
                Outcome::Gone => return None,
                Outcome::Wait => return Some(()),
                Outcome::Bytes(count) => {
                    self.take(buffer.get(..count)?, answers)?;
                    if count < buffer.len() && !ended {
                        return Some(());
                    }
                }
            }
        }
    }

    fn take(&mut self, input: &[u8], answers: &[Vec<u8>]) -> Option<()> {
        if self.body_left > 0 {
            self.body_left = self.body_left.saturating_sub(input.len() as u64);
            return if self.body_left == 0 { self.answer(answers) } else { Some(()) };
        }
        if self.head.is_empty() {
            return self.begin(input, answers);
        }
        let mut head = std::mem::take(&mut self.head);
        head.extend_from_slice(input);
        self.begin(&head, answers)
    }

    /// Reads a head, or keeps it until the rest comes.
    fn begin(&mut self, input: &[u8], answers: &[Vec<u8>]) -> Option<()> {
        let Some(head) = request_head(input).ok()? else {
            self.head = input.to_vec();
            return Some(());
        };
        let path = input.iter().position(|byte| *byte == b' ').and_then(|space| input.get(space + 1..))?;
        self.answer = ANSWERS.iter().position(|(name, _)| path.starts_with(name)).unwrap_or(0);
        let came = (input.len() - head.bytes) as u64;
        self.body_left = head.length.unwrap_or(0).saturating_sub(came);
        if self.body_left == 0 { self.answer(answers) } else { Some(()) }
    }

    fn answer(&mut self, answers: &[Vec<u8>]) -> Option<()> {
        self.sent = Some(0);
        self.send(answers)
    }

    fn send(&mut self, answers: &[Vec<u8>]) -> Option<()> {
        let answer = answers.get(self.answer)?;
        while let Some(sent) = self.sent {
            match socket::send(&self.socket, answer.get(sent..)?) {
                Outcome::Gone => return None,
                Outcome::Wait => break,
                Outcome::Bytes(count) => {
                    self.sent = Some(sent + count).filter(|sent| *sent < answer.len());
                }
            }
        }
        Some(())
    }
}
