//! What one peer sends on a connection, decoded message after message, in the order in which the engine does it.
//!
//! Shared by the tests of this package and by the fuzz targets of `tools/fuzz`.

use traffic_http::{
    BodyEvent, BodyReader, Framing, HeadLimits, HttpError, Method, RequestHead, ResponseHead,
};

/// Whom the codec plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// A server: what comes is requests.
    Server,
    /// A client: what comes is answers, each to a request of this method.
    Client(Method),
}

/// A head that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// The start line's three parts as received, with a blank between them; without the reason phrase if that is empty.
    pub(crate) start: Vec<u8>,
    /// As Aya sends it on.
    pub(crate) encoded: Vec<u8>,
    /// Of the body behind it.
    pub(crate) framing: Framing,
}

/// What a stream of messages is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A head.
    Head(Head),
    /// Data of a body. What arrives in several pieces is one event.
    Data(Vec<u8>),
    /// The message is complete; with its trailers.
    End(Vec<u8>),
    /// The message was the last one: whatever follows is not read.
    Close,
    /// Another protocol may follow: asked for by a request, or begun by a 101.
    Switch,
    /// A CONNECT: refused by the engine, and nothing behind it is read.
    Connect,
    /// What came cannot be read.
    Error(HttpError),
}

/// Where the input ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// Between messages.
    Nothing,
    /// In the middle of a head.
    Head,
    /// In the middle of a body whose end is still to come.
    Body,
    /// In a body that ends when the peer closes.
    UntilClose,
    /// Nothing more is read: so many bytes are left.
    Over(usize),
}

/// A connection that is read from.
pub(crate) struct Stream {
    role: Role,
    limits: HeadLimits,
    request: RequestHead,
    response: ResponseHead,
    /// While the body behind a head is read.
    body: Option<BodyReader>,
    /// What comes behind that body, if not the next head.
    then: Option<Event>,
    /// So many bytes of the input are used up.
    taken: usize,
    is_over: bool,
    events: Vec<Event>,
}

impl Stream {
    /// A connection that has just been opened.
    pub(crate) fn new(role: Role, limits: HeadLimits) -> Self {
        Self {
            role,
            limits,
            request: RequestHead::new(),
            response: ResponseHead::default(),
            body: None,
            then: None,
            taken: 0,
            is_over: false,
            events: Vec::new(),
        }
    }

    /// Reads on: `input` is all that was received so far.
    pub(crate) fn feed(&mut self, input: &[u8]) {
        while !self.is_over {
            let rest = input.get(self.taken..).unwrap_or_default();
            match self.step(rest) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => self.end_with(Event::Error(error)),
            }
        }
    }

    /// What was read so far.
    pub(crate) fn events(&self) -> &[Event] {
        &self.events
    }

    /// Where this much input has ended.
    pub(crate) fn rest(&self, input: &[u8]) -> Rest {
        match &self.body {
            _ if self.is_over => Rest::Over(self.unread(input)),
            None if self.taken == input.len() => Rest::Nothing,
            None => Rest::Head,
            Some(reader) if reader.clone().end_of_input().is_ok() => Rest::UntilClose,
            Some(_) => Rest::Body,
        }
    }

    /// So many bytes at the end of the input are not used up yet.
    pub(crate) fn unread(&self, input: &[u8]) -> usize {
        input.len() - self.taken
    }

    /// Reads one thing; whether there was one.
    fn step(&mut self, rest: &[u8]) -> Result<bool, HttpError> {
        if self.body.is_none() {
            return self.read_head(rest);
        }
        self.read_body(rest)
    }

    fn read_head(&mut self, rest: &[u8]) -> Result<bool, HttpError> {
        let length = match self.role {
            Role::Server => self.request.parse(rest, &self.limits)?,
            Role::Client(_) => self.response.parse(rest, &self.limits)?,
        };
        let Some(length) = length else { return Ok(false) };
        self.taken += length;
        let head = match self.role {
            Role::Server => self.take_request()?,
            Role::Client(method) => self.take_response(method)?,
        };
        self.body = Some(BodyReader::new(head.framing));
        self.events.push(Event::Head(head));
        if self.then == Some(Event::Connect) {
            self.end_with(Event::Connect);
        }
        Ok(true)
    }

    fn take_request(&mut self) -> Result<Head, HttpError> {
        let head = &self.request;
        head.check_invariants();
        let mut encoded = Vec::new();
        head.encode(&mut encoded);
        let framing = head.framing()?;
        head.expects_continue()?;
        let parts = [head.method_bytes(), head.target(), head.version().name().as_bytes()];
        let start = parts.join(b" ".as_slice());
        self.then = if head.method() == Method::Connect {
            Some(Event::Connect)
        } else if head.upgrade().is_some() {
            Some(Event::Switch)
        } else {
            (!head.persists()).then_some(Event::Close)
        };
        self.request.clear();
        Ok(Head { start, encoded, framing })
    }

    fn take_response(&mut self, request: Method) -> Result<Head, HttpError> {
        let head = &self.response;
        head.check_invariants();
        let mut encoded = Vec::new();
        head.encode(&mut encoded);
        let framing = head.framing(request)?;
        let status = head.status().to_string();
        let parts = [head.version().name().as_bytes(), status.as_bytes(), head.reason()];
        let start = parts.join(b" ".as_slice()).trim_ascii_end().to_vec();
        self.then = if head.is_switching() {
            Some(Event::Switch)
        } else {
            (!head.is_interim() && !head.persists()).then_some(Event::Close)
        };
        self.response.clear();
        Ok(Head { start, encoded, framing })
    }

    fn read_body(&mut self, rest: &[u8]) -> Result<bool, HttpError> {
        let Some(reader) = &mut self.body else { return Ok(false) };
        let (used, event) = reader.read(rest)?;
        self.taken += used;
        match event {
            BodyEvent::NeedMore => return Ok(false),
            BodyEvent::Data(data) => match self.events.last_mut() {
                Some(Event::Data(before)) => before.extend_from_slice(data),
                _ => self.events.push(Event::Data(data.to_vec())),
            },
            BodyEvent::End => {
                let mut trailers = Vec::new();
                reader.trailers().encode(&mut trailers);
                self.events.push(Event::End(trailers));
                self.body = None;
                if let Some(last) = self.then.take() {
                    self.end_with(last);
                }
            }
        }
        Ok(true)
    }

    fn end_with(&mut self, event: Event) {
        self.events.push(event);
        self.is_over = true;
    }
}

/// Reads the input whole, then as it grows to each of `lengths`, and asserts that both give the same. Gives what the whole gave.
pub(crate) fn assert_same_however_split(
    role: Role,
    limits: HeadLimits,
    input: &[u8],
    lengths: &[usize],
) -> Stream {
    let mut whole = Stream::new(role, limits);
    whole.feed(input);
    let mut split = Stream::new(role, limits);
    for &length in lengths {
        split.feed(input.get(..length).unwrap_or(input));
    }
    split.feed(input);
    let mut expected = whole.events();
    // A head that never ends and is bad already: where it is split, the error may wait for more bytes.
    if let ([before @ .., Event::Error(_)], true) = (expected, split.events().len() < expected.len()) {
        assert!(!has_head_end(input, split.taken), "a complete head must be refused");
        expected = before;
    }
    assert_eq!(split.events(), expected, "{:?}", String::from_utf8_lossy(input));
    // How far a message was looked into that cannot be read does not matter.
    if !matches!(whole.events(), [.., Event::Error(_)]) {
        assert_eq!(split.rest(input), whole.rest(input));
    }
    whole
}

/// Whether an empty line ends behind `from`.
fn has_head_end(input: &[u8], from: usize) -> bool {
    let rest = input.get(from..).unwrap_or_default();
    rest.windows(3).any(|window| window == b"\n\r\n") || rest.windows(2).any(|window| window == b"\n\n")
}
