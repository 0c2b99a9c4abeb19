//! What a request under way holds.

use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::time::Duration;

use base_kit::Moment;
use base_signal::Reason;
use traffic_balance::{EndpointId, Session};
use traffic_filter::AnswerRecoding;
use traffic_http::request_id::RequestId;
use traffic_http::trace_context::TraceContext;
use traffic_http::{Fields, Framing, KnownField, RequestHead, ResponseHead};

use crate::decisions::Notes;
use crate::relay::lent::{Lender, Lent, Reuse};
use crate::relay::pump::{Pump, Replay};
use crate::upstream::Reach;

/// Memory that has grown above this is given back to the allocator: many of each kind are kept.
const KEPT_BYTES: usize = 16 << 10;

/// What requests borrow from their worker.
#[derive(Default)]
pub(crate) struct Lenders {
    requests: Lender<RequestHead>,
    replies: Lender<Reply>,
}

/// A request and its answer. All of its memory is used again, so that a request allocates nothing.
pub(crate) struct Exchange {
    /// Until it is written out; or longer, if it may have to be written differently.
    pub(crate) request: Lent<RequestHead>,
    /// From the first byte of the answer on.
    pub(crate) reply: Lent<Reply>,
    /// The request's body on its way up.
    pub(crate) up: Pump,
    /// Bytes for the endpoint: the head, then re-framed body.
    pub(crate) to_endpoint: Vec<u8>,
    /// The beginning of the request body, in case it has to be sent again.
    pub(crate) replay: Replay,
    /// Endpoints tried for this request.
    pub(crate) tried: Vec<EndpointId>,
    /// What it says of its session.
    pub(crate) session: Session,
    /// Who changes the body of its answer, if a filter does.
    pub(crate) recoding: Option<Box<dyn AnswerRecoding>>,
    pub(crate) asked: Asked,
    pub(crate) record: Record,
    pub(crate) notes: Notes,
}

/// An answer on its way.
#[derive(Default)]
pub(crate) struct Reply {
    pub(crate) head: ResponseHead,
    pub(crate) body: Pump,
    /// Bytes on their way to the client: the head, then re-framed body.
    pub(crate) out: Vec<u8>,
}

/// What the client asked for, whatever filters make of it.
#[derive(Default)]
pub(crate) struct Asked {
    /// What is kept, one after the other.
    bytes: Vec<u8>,
    method: Place,
    host: Place,
    path: Place,
    query: Option<Place>,
    user_agent: Option<Place>,
    referer: Option<Place>,
    trace_id: Option<Place>,
    origin: Option<Place>,
    /// The normal form of the path, where it differs from the one received.
    normal: Option<Place>,
}

/// A part of what is kept: where it begins and ends. Heads have limits far below 4 GiB.
#[derive(Clone, Copy, Debug, Default)]
struct Place(u32, u32);

impl Asked {
    /// Keeps what the head asks for.
    pub(crate) fn note(&mut self, request: &RequestHead) {
        self.clear();
        self.method = self.keep(request.method_bytes());
        self.host = self.keep(request.host());
        self.path = self.keep(request.path());
        self.query = request.query().map(|query| self.keep(query));
    }

    /// Keeps the name that the client asks for in TLS, where there is no head.
    pub(crate) fn note_server_name(&mut self, name: &str) {
        self.clear();
        self.host = self.keep(name.as_bytes());
    }

    /// Keeps what the log tells of the client.
    pub(crate) fn note_client(&mut self, fields: &Fields) {
        self.user_agent = fields.get(KnownField::UserAgent).map(|value| self.keep(value));
        self.referer = fields.find("referer").map(|value| self.keep(value));
    }

    /// Keeps the trace that the request belongs to.
    pub(crate) fn note_trace(&mut self, trace: &TraceContext) {
        self.trace_id = Some(self.keep(trace.trace_id().as_bytes()));
    }

    /// Keeps what filters want to know of the client beyond that.
    pub(crate) fn note_origin(&mut self, fields: &Fields) {
        self.origin = fields.find("origin").map(|value| self.keep(value));
    }

    /// Keeps the normal form of the path.
    pub(crate) fn note_normal(&mut self, path: &[u8]) {
        self.normal = Some(self.keep(path));
    }

    /// The method; empty if there was no request line.
    pub(crate) fn method(&self) -> &[u8] {
        self.at(self.method)
    }

    /// The authority, port included; empty if there was none.
    pub(crate) fn host(&self) -> &[u8] {
        self.at(self.host)
    }

    /// The path as received, without query.
    pub(crate) fn path(&self) -> &[u8] {
        self.at(self.path)
    }

    /// The path as it was matched.
    pub(crate) fn matched_path(&self) -> &[u8] {
        self.at(self.normal.unwrap_or(self.path))
    }

    /// Behind the question mark.
    pub(crate) fn query(&self) -> Option<&[u8]> {
        self.query.map(|place| self.at(place))
    }

    /// The client's software, as it says.
    pub(crate) fn user_agent(&self) -> Option<&[u8]> {
        self.user_agent.map(|place| self.at(place))
    }

    /// Where the client came from, as it says.
    pub(crate) fn referer(&self) -> Option<&[u8]> {
        self.referer.map(|place| self.at(place))
    }

    /// The trace that the request belongs to.
    pub(crate) fn trace_id(&self) -> Option<&[u8]> {
        self.trace_id.map(|place| self.at(place))
    }

    /// The site whose page asks, as its browser says; only where filters want to know.
    pub(crate) fn origin(&self) -> Option<&[u8]> {
        self.origin.map(|place| self.at(place))
    }

    fn keep(&mut self, value: &[u8]) -> Place {
        let end = |bytes: &Vec<u8>| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let start = end(&self.bytes);
        self.bytes.extend_from_slice(value);
        Place(start, end(&self.bytes))
    }

    fn at(&self, Place(start, end): Place) -> &[u8] {
        self.bytes.get(start as usize..end as usize).unwrap_or_default()
    }

    fn clear(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        *self = Self { bytes, ..Self::default() };
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
    /// What it waited for an endpoint with room.
    pub(crate) queued: Option<Duration>,
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
            queued: None,
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
    /// One that borrows from these lenders.
    pub(crate) fn new(lenders: &Lenders) -> Self {
        Self {
            request: lenders.requests.lend(),
            reply: lenders.replies.lend(),
            up: Pump::default(),
            to_endpoint: Vec::new(),
            replay: Replay::default(),
            tried: Vec::new(),
            session: Session::default(),
            recoding: None,
            asked: Asked::default(),
            record: Record::default(),
            notes: Notes::default(),
        }
    }
}

impl Reuse for Exchange {
    fn renew(&mut self) -> bool {
        self.request.give_back();
        self.reply.give_back();
        self.up.reset(Framing::Empty, Framing::Empty);
        self.to_endpoint.clear();
        self.replay.start(0, false);
        self.tried.clear();
        self.session = Session::default();
        self.recoding = None;
        self.asked.clear();
        self.record = Record::default();
        self.notes.clear();
        self.to_endpoint.capacity() + self.replay.capacity() + self.asked.bytes.capacity() <= KEPT_BYTES
    }
}

impl Reuse for RequestHead {
    fn renew(&mut self) -> bool {
        self.clear();
        self.capacity_bytes() <= KEPT_BYTES
    }
}

impl Reuse for Reply {
    fn renew(&mut self) -> bool {
        self.head.clear();
        self.body.reset(Framing::Empty, Framing::Empty);
        self.out.clear();
        self.head.capacity_bytes() + self.out.capacity() <= KEPT_BYTES
    }
}

/// Lets the router look at a head's fields.
pub(crate) struct Lookup<'a>(pub(crate) &'a Fields);

impl traffic_route::FieldLookup for Lookup<'_> {
    fn any_value(&self, name: &str, accept: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.0.find_all(name).any(accept)
    }
}
