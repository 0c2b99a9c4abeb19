//! Scratch memory for one request and its answer, lent by the worker.

use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::time::Duration;

use base_kit::Moment;
use base_signal::Reason;
use traffic_balance::EndpointId;
use traffic_http::request_id::RequestId;
use traffic_http::{Fields, Framing, RequestHead, ResponseHead};

use crate::relay::pump::{Pump, Replay};
use crate::upstream::Reach;

/// Scratch that has grown above this is given back to the allocator: many of them are kept.
const KEPT_BYTES: usize = 32 << 10;
/// Heads above this make their store grow, which is then not kept either.
const KEPT_HEAD_BYTES: u64 = 8 << 10;

/// Scratch memory for one request and its answer. All of it is used again, so that a request allocates nothing.
#[derive(Default)]
pub(crate) struct Exchange {
    pub(crate) request: RequestHead,
    pub(crate) response: ResponseHead,
    /// The request's body on its way up.
    pub(crate) up: Pump,
    /// The answer's body on its way down.
    pub(crate) down: Pump,
    /// Bytes on their way to the endpoint: the head, then re-framed body.
    pub(crate) to_endpoint: Vec<u8>,
    /// Bytes on their way to the client.
    pub(crate) to_client: Vec<u8>,
    /// The beginning of the request body, in case it has to be sent again.
    pub(crate) replay: Replay,
    /// Endpoints tried for this request.
    pub(crate) tried: Vec<EndpointId>,
    pub(crate) asked: Asked,
    /// Bytes of the largest head that was read into it.
    pub(crate) largest_head: u64,
    pub(crate) record: Record,
}

/// What the client asked for, whatever filters make of it.
#[derive(Default)]
pub(crate) struct Asked {
    /// Host, then path and query, as received.
    bytes: Vec<u8>,
    host_end: usize,
    path_end: usize,
    /// The normal form of the path, where it differs from the one received.
    normal: Vec<u8>,
}

impl Asked {
    /// Keeps what the head asks for.
    pub(crate) fn note(&mut self, request: &RequestHead) {
        self.clear();
        self.bytes.extend_from_slice(request.host());
        self.host_end = self.bytes.len();
        self.bytes.extend_from_slice(request.path_and_query());
        self.path_end = self.host_end + request.path().len();
    }

    /// Keeps the normal form of the path.
    pub(crate) fn note_normal(&mut self, path: &[u8]) {
        self.normal.extend_from_slice(path);
    }

    /// The authority, port included; empty if there was none.
    pub(crate) fn host(&self) -> &[u8] {
        self.bytes.get(..self.host_end).unwrap_or_default()
    }

    /// The path as received, without query.
    pub(crate) fn path(&self) -> &[u8] {
        self.bytes.get(self.host_end..self.path_end).unwrap_or_default()
    }

    /// The path as it was matched.
    pub(crate) fn matched_path(&self) -> &[u8] {
        if self.normal.is_empty() { self.path() } else { &self.normal }
    }

    /// Behind the question mark.
    pub(crate) fn query(&self) -> Option<&[u8]> {
        self.bytes.get(self.path_end + 1..)
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.normal.clear();
        (self.host_end, self.path_end) = (0, 0);
    }
}

/// What is known of a request for log and metrics.
pub(crate) struct Record {
    pub(crate) started: Moment,
    pub(crate) request_id: Option<RequestId>,
    /// The client, as trusted proxies report it.
    pub(crate) client: IpAddr,
    pub(crate) route: Option<usize>,
    pub(crate) pool: Option<usize>,
    pub(crate) endpoint: Option<Rc<Reach>>,
    pub(crate) attempts: u32,
    /// Status sent to the client; 0 if none was.
    pub(crate) status: u16,
    pub(crate) reason: Option<Reason>,
    pub(crate) detail: Option<String>,
    pub(crate) bytes_received: u64,
    pub(crate) bytes_sent: u64,
    pub(crate) connect: Option<Duration>,
    pub(crate) first_byte: Option<Duration>,
}

impl Default for Record {
    fn default() -> Self {
        Self {
            started: Moment::ZERO,
            request_id: None,
            client: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            route: None,
            pool: None,
            endpoint: None,
            attempts: 0,
            status: 0,
            reason: None,
            detail: None,
            bytes_received: 0,
            bytes_sent: 0,
            connect: None,
            first_byte: None,
        }
    }
}

impl Record {
    /// The request's id; empty before it has one.
    pub(crate) fn id(&self) -> &str {
        self.request_id.as_ref().map_or("", RequestId::as_str)
    }
}

impl Exchange {
    /// Makes it as new, with its memory kept. False if it has grown so much that it should not be kept.
    pub(crate) fn reset(&mut self) -> bool {
        self.request.clear();
        self.response.clear();
        self.up.reset(Framing::Empty, Framing::Empty);
        self.down.reset(Framing::Empty, Framing::Empty);
        self.to_endpoint.clear();
        self.to_client.clear();
        self.replay.start(0, false);
        self.tried.clear();
        self.asked.clear();
        self.record = Record::default();
        let largest_head = std::mem::take(&mut self.largest_head);
        let held = self.to_endpoint.capacity() + self.to_client.capacity() + self.replay.capacity();
        held <= KEPT_BYTES && largest_head <= KEPT_HEAD_BYTES
    }
}

/// Lets the router look at a head's fields.
pub(crate) struct Lookup<'a>(pub(crate) &'a Fields);

impl traffic_route::FieldLookup for Lookup<'_> {
    fn any_value(&self, name: &str, accept: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.0.find_all(name).any(accept)
    }
}
