//! The load generator: one thread, any number of connections, every failure counted.
//!
//! *Closed loop*: each connection sends its next request when the last is answered, which finds out how much
//! a proxy can do. *Open loop*: requests are due at a fixed rate whatever the answers do, and latency counts
//! from the moment a request was due, so that a stall is felt by all requests it delays (no coordinated
//! omission).
//!
//! The thread never sleeps in a round: to be woken takes longer than a proxy, and whoever wakes it pays for it.

mod connection;
mod tally;
mod traffic;

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Result;
use base_kit::{Clock, Moment, MonotonicClock};

use self::connection::{Connection, Step};
use self::tally::Timing;
use crate::backend::BackendBeside;
use crate::socket::{Poller, Ready, Wait};

pub(crate) use self::tally::{Failure, Tally};
pub(crate) use self::traffic::{Traffic, host_name};

/// How long answers may take after the last request was due.
const PATIENCE: Duration = Duration::from_secs(5);
/// Read at once.
const BUFFER_BYTES: usize = 256 * 1024;
/// Requests under way at once while every connection makes its one request.
const OPENING_AT_ONCE: usize = 64;
/// A proxy that fails this often in one round is not measured further: the round ends.
const MOST_FAILURES: u64 = 20_000;
/// Source addresses used in turn by connections that last one request: 28,000 ports each.
const SOURCES: u64 = 32;

/// Connections to one proxy and what they send. They stay open from one round to the next.
pub(crate) struct Load {
    target: SocketAddr,
    traffic: Traffic,
    poller: Poller,
    connections: Vec<Connection>,
    /// Connections without a request under way, the one that waited longest first.
    idle: VecDeque<usize>,
    buffer: Vec<u8>,
    ready: Vec<Ready>,
    requests: u64,
    opened: u64,
    /// Who answers in the end, if this thread has to do that too.
    backend: Option<BackendBeside>,
}

/// When requests are sent.
#[derive(Clone, Copy, Debug)]
enum Pace {
    /// At once.
    Closed,
    /// One every so many nanoseconds, the next one then.
    Rate { interval_nanos: u64, due: Moment },
    /// One on each connection.
    Once,
}

/// A round of measuring.
struct Round {
    pace: Pace,
    start: Moment,
    end: Moment,
    tally: Tally,
}

impl Load {
    pub(crate) fn new(target: SocketAddr, traffic: Traffic) -> Result<Self> {
        let count = traffic.connections;
        Ok(Self {
            target,
            traffic,
            poller: Poller::new()?,
            connections: (0..count).map(|_| Connection::default()).collect(),
            idle: (0..count).collect(),
            buffer: vec![0; BUFFER_BYTES],
            ready: Vec::new(),
            requests: 0,
            opened: 0,
            backend: None,
        })
    }

    /// Answers for this backend as well, in rounds.
    pub(crate) fn beside(self, backend: &BackendBeside) -> Self {
        Self { backend: Some(backend.clone()), ..self }
    }

    /// As fast as the answers come, for so long. All requests are answered or failed when this returns.
    pub(crate) fn closed_loop(&mut self, time: Duration) -> Result<Tally> {
        self.run(|_| Pace::Closed, time)
    }

    /// At a fixed rate, for so long.
    pub(crate) fn open_loop(&mut self, rate_per_second: f64, time: Duration) -> Result<Tally> {
        let interval_nanos = (1e9 / rate_per_second.max(1.0)) as u64;
        self.run(|start| Pace::Rate { interval_nanos, due: start }, time)
    }

    /// One request on every connection, after which all are open.
    pub(crate) fn one_each(&mut self, time: Duration) -> Result<Tally> {
        self.run(|_| Pace::Once, time)
    }

    fn run(&mut self, pace: impl FnOnce(Moment) -> Pace, time: Duration) -> Result<Tally> {
        let backend = self.backend.clone();
        let mut backend = backend.as_ref().map(BackendBeside::take_turns);
        let start = MonotonicClock.now();
        let mut round = Round { pace: pace(start), start, end: start + time, tally: Tally::default() };
        let mut waiting = std::mem::take(&mut self.idle);
        loop {
            let now = MonotonicClock.now();
            let more = self.send_due(&mut round, &mut waiting, now);
            let busy = self.connections.len() - waiting.len() - self.idle.len();
            if busy == 0 && !more || round.tally.failures() > MOST_FAILURES {
                break;
            }
            if now > round.end + PATIENCE {
                round.tally.fail(Failure::Late, busy as u64);
                self.start_over();
                return Ok(round.finish());
            }
            if let Some(backend) = &mut backend {
                backend.turn()?;
            }
            self.poller.wait(Wait::No, &mut self.ready)?;
            self.go_on(&mut round, &mut waiting);
        }
        self.idle.append(&mut waiting);
        if round.tally.failures() > MOST_FAILURES {
            self.start_over();
        }
        Ok(round.finish())
    }

    /// Sends what is due on connections that wait; tells whether more will be due later.
    fn send_due(&mut self, round: &mut Round, waiting: &mut VecDeque<usize>, now: Moment) -> bool {
        loop {
            let Some(due) = round.next_due(now) else { return false };
            if due > now {
                return true;
            }
            if matches!(round.pace, Pace::Once) {
                let busy = self.connections.len() - waiting.len() - self.idle.len();
                if waiting.is_empty() || busy >= OPENING_AT_ONCE {
                    return !waiting.is_empty();
                }
            }
            let Some(index) = waiting.pop_front() else { return true };
            round.advance();
            let step = self.begin(index, due);
            self.settle(index, step, round, waiting);
            if round.tally.failures() > MOST_FAILURES {
                return false;
            }
        }
    }

    fn begin(&mut self, index: usize, due: Moment) -> Step {
        let source = self.traffic.reconnects.then(|| {
            let last = 2 + (self.opened % SOURCES) as u8;
            Ipv4Addr::new(127, 0, 1, last)
        });
        let Some(connection) = self.connections.get_mut(index) else { return Step::Wait };
        if !connection.is_open() {
            self.opened += 1;
            if connection.open(self.target, source, index, &self.poller).is_err() {
                return Step::Failed(Failure::Socket);
            }
        }
        let number = self.requests;
        self.requests += 1;
        connection.begin(number, due, &mut self.traffic)
    }

    /// Lets every connection that the kernel reported go on.
    fn go_on(&mut self, round: &mut Round, waiting: &mut VecDeque<usize>) {
        let mut ready = std::mem::take(&mut self.ready);
        for Ready { token: index, ended } in ready.drain(..) {
            let Some(connection) = self.connections.get_mut(index) else { continue };
            let step = connection.go_on(ended, &mut self.traffic, &mut self.buffer);
            self.settle(index, step, round, waiting);
        }
        self.ready = ready;
    }

    fn settle(&mut self, index: usize, step: Step, round: &mut Round, waiting: &mut VecDeque<usize>) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        match step {
            Step::Wait => return,
            Step::Answered { due, closes } => {
                if matches!(round.pace, Pace::Rate { .. }) {
                    round.tally.timings.push(Timing {
                        due_nanos: due.since(round.start).as_nanos() as u64,
                        nanos: MonotonicClock.now().since(due).as_nanos() as u64,
                    });
                }
                round.tally.answered += 1;
                if closes || self.traffic.reconnects {
                    connection.close();
                }
            }
            Step::Failed(failure) => {
                round.tally.fail(failure, 1);
                connection.close();
            }
        }
        // While every connection makes its one request, who has made it is done.
        if matches!(round.pace, Pace::Once) { self.idle.push_back(index) } else { waiting.push_back(index) }
    }

    fn start_over(&mut self) {
        for connection in &mut self.connections {
            connection.close();
        }
        self.idle = (0..self.connections.len()).collect();
    }
}

impl Round {
    /// When the next request is due; `None` if there is no further one.
    fn next_due(&self, now: Moment) -> Option<Moment> {
        match self.pace {
            Pace::Closed | Pace::Once => (now < self.end).then_some(now),
            Pace::Rate { due, .. } => (due < self.end).then_some(due),
        }
    }

    fn advance(&mut self) {
        if let Pace::Rate { interval_nanos, due } = &mut self.pace {
            *due = *due + Duration::from_nanos(*interval_nanos);
        }
    }

    fn finish(mut self) -> Tally {
        self.tally.elapsed = MonotonicClock.now().since(self.start);
        self.tally
    }
}

#[cfg(test)]
mod tests;
