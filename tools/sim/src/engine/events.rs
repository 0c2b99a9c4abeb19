//! What is going to happen, in the order of time.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::server::Ticket;

/// Something that happens.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    /// The next request of open arrivals comes, if the load has not changed since.
    Arrival { generation: u64 },
    /// A client of a closed loop asks.
    Wake { client: u32 },
    /// A server is done with a request, if nothing has changed since.
    Done { server: usize, generation: u64 },
    /// A client gives up, if the request is still under way.
    Deadline(Ticket),
    /// A server answers with an error.
    ErrorAnswer(Ticket),
    /// An instance's question of what there is to do reaches a server, and the answer comes back.
    Probe { instance: usize, server: usize },
    /// An instance does what is due without a request.
    Tick { instance: usize },
    /// An instance checks all servers.
    Check { instance: usize },
    /// An antagonist comes or goes.
    Antagonist { server: usize, comes: bool },
    /// A fault begins or ends.
    Fault { index: usize },
    /// The load changes.
    Load,
}

/// Events to come.
#[derive(Debug, Default)]
pub(crate) struct Events {
    heap: BinaryHeap<Scheduled>,
    pushed: u64,
}

#[derive(Debug)]
struct Scheduled {
    at: u64,
    /// Keeps the order of events of the same time.
    number: u64,
    event: Event,
}

impl Events {
    /// This will happen then.
    pub(crate) fn push(&mut self, at: u64, event: Event) {
        self.pushed += 1;
        self.heap.push(Scheduled { at, number: self.pushed, event });
    }

    /// What happens next, and when, if that is before `end`.
    pub(crate) fn pop_before(&mut self, end: u64) -> Option<(u64, Event)> {
        if self.heap.peek()?.at >= end {
            return None;
        }
        self.heap.pop().map(|scheduled| (scheduled.at, scheduled.event))
    }
}

impl Ord for Scheduled {
    /// The greatest comes first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Scheduled {}
