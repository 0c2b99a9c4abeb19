//! A server: requests run in it, wait in it, and are done after their work.
//!
//! All running requests make progress at the same rate, so one number, the progress since the server was built, says when each
//! of them is done: when it has grown by the request's work. (The virtual time of processor sharing.)

use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};

use crate::plan::ServerPlan;
use crate::scenario::ServerModel;

/// Names a request as long as it is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    /// Its place in the table; places are used again.
    pub(crate) place: usize,
    /// Never used again.
    pub(crate) serial: u64,
}

/// One server.
#[derive(Debug)]
pub(crate) struct Server {
    model: ServerModel,
    speed: f64,
    slots: f64,
    /// Share of the capacity that an antagonist takes.
    taken: f64,
    /// By how much it is slower than it should be.
    slowdown: f64,
    /// Nominal nanoseconds of work that each request did that runs since the beginning.
    progress: f64,
    /// When that was right.
    updated: u64,
    running: BinaryHeap<Running>,
    waiting: VecDeque<(Ticket, f64)>,
    /// Changes whenever the next end may be another one: earlier predictions are void.
    generation: u64,
}

#[derive(Debug)]
struct Running {
    /// The progress at which it is done.
    done_at: f64,
    ticket: Ticket,
}

impl Server {
    pub(crate) fn new(plan: &ServerPlan) -> Self {
        Self {
            model: plan.model,
            speed: plan.speed,
            slots: plan.slots,
            taken: 0.0,
            slowdown: 1.0,
            progress: 0.0,
            updated: 0,
            running: BinaryHeap::new(),
            waiting: VecDeque::new(),
            generation: 0,
        }
    }

    /// Which prediction holds.
    pub(crate) const fn generation(&self) -> u64 {
        self.generation
    }

    /// Requests in it.
    pub(crate) fn load(&self) -> usize {
        self.running.len() + self.waiting.len()
    }

    /// Takes a request with this much work.
    pub(crate) fn begin(&mut self, ticket: Ticket, work: f64, now: u64) {
        if self.has_room() {
            self.change(now);
            self.run(ticket, work);
        } else {
            self.waiting.push_back((ticket, work));
        }
    }

    /// When the next request will be done, if nothing changes.
    pub(crate) fn next_end(&self) -> Option<u64> {
        let rate = self.rate();
        let left = self.running.peek()?.done_at - self.progress;
        // Rounded up: at that time it is done.
        (rate > 0.0).then(|| self.updated.saturating_add((left.max(0.0) / rate).ceil() as u64))
    }

    /// Lets the request go that is done now. Call it only at the time of [`Server::next_end`].
    pub(crate) fn end(&mut self, now: u64) -> Option<Ticket> {
        self.change(now);
        let ended = self.running.pop()?;
        self.progress = self.progress.max(ended.done_at);
        self.fill();
        Some(ended.ticket)
    }

    /// Lets a request go that nobody waits for any more.
    pub(crate) fn cancel(&mut self, ticket: Ticket, now: u64) {
        if let Some(index) = self.waiting.iter().position(|(waiting, _)| *waiting == ticket) {
            self.waiting.remove(index);
            return;
        }
        self.change(now);
        self.running.retain(|running| running.ticket != ticket);
        self.fill();
    }

    /// Throws all requests out, in the order in which they came to run or to wait.
    pub(crate) fn clear(&mut self, now: u64) -> Vec<Ticket> {
        self.change(now);
        let mut out: Vec<Ticket> = self.running.drain().map(|running| running.ticket).collect();
        out.sort_unstable_by_key(|ticket| ticket.serial);
        out.extend(self.waiting.drain(..).map(|(ticket, _)| ticket));
        out
    }

    /// Sets the share of the capacity that an antagonist takes.
    pub(crate) fn set_taken(&mut self, taken: f64, now: u64) {
        self.change(now);
        self.taken = taken;
    }

    /// Sets by how much it is slower than it should be.
    pub(crate) fn set_slowdown(&mut self, slowdown: f64, now: u64) {
        self.change(now);
        self.slowdown = slowdown;
    }

    fn has_room(&self) -> bool {
        self.model == ServerModel::ProcessorSharing || (self.running.len() as f64) < self.slots
    }

    fn run(&mut self, ticket: Ticket, work: f64) {
        self.running.push(Running { done_at: self.progress + work, ticket });
    }

    fn fill(&mut self) {
        while self.has_room() {
            let Some((ticket, work)) = self.waiting.pop_front() else { break };
            self.run(ticket, work);
        }
    }

    /// To be called in front of every change of what runs or how fast.
    fn change(&mut self, now: u64) {
        self.generation += 1;
        if self.running.is_empty() {
            // Small numbers keep more digits behind the point.
            self.progress = 0.0;
        } else {
            self.progress += now.saturating_sub(self.updated) as f64 * self.rate();
        }
        self.updated = now;
    }

    /// How much of its work each running request does in a nanosecond.
    fn rate(&self) -> f64 {
        let speed = self.speed / self.slowdown;
        match self.model {
            ServerModel::Fifo => speed * (1.0 - self.taken),
            ServerModel::ProcessorSharing => {
                let cores = self.slots * (1.0 - self.taken);
                speed * (cores / self.running.len().max(1) as f64).min(1.0)
            }
        }
    }

    /// Asserts that nobody waits while there is room.
    pub(crate) fn check_invariants(&self) {
        assert!(self.waiting.is_empty() || !self.has_room(), "a request waits beside a free slot");
    }
}

impl Ord for Running {
    /// The greatest is done first; of two that are done at once, the older.
    fn cmp(&self, other: &Self) -> Ordering {
        other.done_at.total_cmp(&self.done_at).then(other.ticket.serial.cmp(&self.ticket.serial))
    }
}

impl PartialOrd for Running {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Running {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Running {}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(model: ServerModel, slots: f64, speed: f64) -> Server {
        Server::new(&ServerPlan { model, speed, slots, weight: 1, antagonist: None })
    }

    fn ticket(number: u64) -> Ticket {
        Ticket { place: number as usize, serial: number }
    }

    /// Serials and times of all that is left.
    fn ends(server: &mut Server) -> Vec<(u64, u64)> {
        let next = |server: &mut Server| {
            let at = server.next_end()?;
            Some((server.end(at)?.serial, at))
        };
        std::iter::from_fn(|| next(server)).collect()
    }

    #[test]
    fn a_queue_serves_in_order() {
        let mut queue = server(ServerModel::Fifo, 2.0, 2.0);
        for (number, work) in [(1, 100.0), (2, 40.0), (3, 20.0), (4, 200.0)] {
            queue.begin(ticket(number), work, 0);
        }
        assert_eq!(queue.load(), 4);
        queue.check_invariants();
        assert_eq!(ends(&mut queue), [(2, 20), (3, 30), (1, 50), (4, 130)]);
    }

    #[test]
    fn sharing_slows_everybody_down() {
        let mut shared = server(ServerModel::ProcessorSharing, 1.0, 1.0);
        shared.begin(ticket(1), 100.0, 0);
        shared.begin(ticket(2), 30.0, 20);
        // From 20 on both at half speed: 2 needs 60, then 1 has 50 left.
        assert_eq!(ends(&mut shared), [(2, 80), (1, 130)]);
        let mut cores = server(ServerModel::ProcessorSharing, 2.0, 1.0);
        cores.begin(ticket(1), 100.0, 0);
        cores.begin(ticket(2), 30.0, 20);
        assert_eq!(ends(&mut cores), [(2, 50), (1, 100)]);
    }

    #[test]
    fn antagonists_and_slowness_change_what_is_under_way() {
        let mut queue = server(ServerModel::Fifo, 1.0, 1.0);
        queue.begin(ticket(1), 100.0, 0);
        queue.set_taken(0.5, 50);
        assert_eq!(queue.next_end(), Some(150));
        queue.set_slowdown(2.0, 100);
        assert_eq!(queue.next_end(), Some(200));
        queue.set_taken(1.0, 120);
        assert_eq!(queue.next_end(), None, "nothing moves");
        queue.set_taken(0.0, 1_000);
        assert_eq!(ends(&mut queue), [(1, 1_040)]);
    }

    #[test]
    fn whoever_gives_up_leaves_room() {
        let mut queue = server(ServerModel::Fifo, 1.0, 1.0);
        (1..=4).for_each(|number| queue.begin(ticket(number), 10.0, 0));
        queue.cancel(ticket(1), 5);
        queue.cancel(ticket(3), 6);
        queue.check_invariants();
        assert_eq!(ends(&mut queue), [(2, 15), (4, 25)]);
        queue.begin(ticket(5), 10.0, 30);
        queue.begin(ticket(6), 10.0, 30);
        assert_eq!(queue.clear(31), [ticket(5), ticket(6)]);
        assert_eq!((queue.load(), queue.next_end()), (0, None));
    }
}
