//! The requests that are under way.

use traffic_balance::EndpointId;

use crate::server::Ticket;

/// A request that is under way.
#[derive(Debug)]
pub(crate) struct Request {
    serial: u64,
    /// When it came.
    pub(crate) arrived: u64,
    /// When its last attempt was sent.
    pub(crate) sent: u64,
    /// Nominal nanoseconds.
    pub(crate) work: f64,
    /// Whom it comes from.
    pub(crate) source: u64,
    /// The client of a closed loop.
    pub(crate) client: Option<u32>,
    /// Which instance takes it.
    pub(crate) instance: usize,
    /// Which server has it.
    pub(crate) server: usize,
    /// Other requests that were in flight there, as far as its instance knew.
    pub(crate) others: u32,
    /// Those that were there, from all instances.
    pub(crate) ahead: u32,
    /// Attempts that reached a server.
    pub(crate) attempts: u32,
    /// Endpoints that were asked.
    pub(crate) tried: Vec<EndpointId>,
}

/// What is known of a request when it comes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) work: f64,
    pub(crate) source: u64,
    pub(crate) client: Option<u32>,
    pub(crate) instance: usize,
}

/// All requests that are under way, by ticket. Places are used again, so memory follows what runs at once.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    table: Vec<Request>,
    free: Vec<usize>,
    begun: u64,
}

impl Requests {
    /// A new one.
    pub(crate) fn begin(&mut self, arrival: Arrival, now: u64) -> Ticket {
        self.begun += 1;
        let serial = self.begun;
        let Arrival { work, source, client, instance } = arrival;
        let mut tried = Vec::new();
        let place = self.free.pop().unwrap_or(self.table.len());
        if let Some(old) = self.table.get_mut(place) {
            tried = std::mem::take(&mut old.tried);
            tried.clear();
        }
        let request = Request {
            serial,
            arrived: now,
            sent: now,
            work,
            source,
            client,
            instance,
            server: 0,
            others: 0,
            ahead: 0,
            attempts: 0,
            tried,
        };
        match self.table.get_mut(place) {
            Some(old) => *old = request,
            None => self.table.push(request),
        }
        Ticket { place, serial }
    }

    /// The request, if it is still under way.
    pub(crate) fn find(&mut self, ticket: Ticket) -> Option<&mut Request> {
        self.table.get_mut(ticket.place).filter(|request| request.serial == ticket.serial)
    }

    /// Ends it.
    pub(crate) fn end(&mut self, ticket: Ticket) {
        if let Some(request) = self.find(ticket) {
            // No ticket has this number.
            request.serial = 0;
            self.free.push(ticket.place);
        }
    }

    /// How many have begun.
    pub(crate) const fn begun(&self) -> u64 {
        self.begun
    }

    /// How many are under way.
    pub(crate) fn running(&self) -> usize {
        self.table.len() - self.free.len()
    }

    /// When those that are under way came.
    pub(crate) fn arrivals(&self) -> impl Iterator<Item = u64> {
        self.table.iter().filter(|request| request.serial != 0).map(|request| request.arrived)
    }
}
