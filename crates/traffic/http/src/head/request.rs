//! Request heads.

use httparse::Status;

use super::framing::{self, Framing};
use super::tokenize::{self, Progress, Slots};
use super::{HeadLimits, Method, Version, authority, has_token, target, tokens};
use crate::HttpError;
use crate::fields::{Fields, KnownField, Span, scan};

/// A request line and its fields, in bytes of its own. Made once and reused: [`RequestHead::clear`] keeps the memory.
#[derive(Clone, Debug, Default)]
pub struct RequestHead {
    /// Its store holds the whole head; the places below point into it.
    fields: Fields,
    method: Method,
    version: Version,
    method_name: Span,
    target: Span,
    path_and_query: Span,
    /// Where the `?` is, or the end.
    path_end: u32,
    host: Span,
    /// The request line as received with its CRLF, if it can be sent as it is.
    line: Option<Span>,
    progress: Progress,
}

impl RequestHead {
    /// An empty head, to be parsed into.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes of memory held.
    pub fn capacity_bytes(&self) -> usize {
        self.fields.capacity_bytes()
    }

    /// Forgets the message and keeps the memory.
    pub fn clear(&mut self) {
        self.forget();
        self.progress = Progress::default();
    }

    /// Forgets what was parsed, and not how much of a growing head was looked at.
    fn forget(&mut self) {
        self.fields.clear();
        self.method = Method::default();
        self.version = Version::default();
        (self.method_name, self.target, self.path_and_query) = (Span::EMPTY, Span::EMPTY, Span::EMPTY);
        (self.path_end, self.host, self.line) = (0, Span::EMPTY, None);
    }

    /// Parses a head. `input` begins with its first byte on every call, grown at the end; a call where more bytes are
    /// needed gives `None`, else how many bytes the head had. Checks start line, fields, target and host; what the
    /// body is, [`RequestHead::framing`] tells.
    ///
    /// At most one empty line before the request line is skipped. After an error the connection is of no more use.
    pub fn parse(&mut self, input: &[u8], limits: &HeadLimits) -> Result<Option<usize>, HttpError> {
        if input.is_empty() || !self.progress.is_due(input, limits) {
            return Ok(None);
        }
        let window = tokenize::window(input, limits);
        let skipped = tokenize::leading_empty_line(window)?;
        let head = window.get(skipped..).unwrap_or_default();
        let length = match self.read(head, limits) {
            None => self.examine(head, limits)?,
            length => length,
        };
        let Some(length) = length else {
            self.forget();
            return tokenize::incomplete(input, limits);
        };
        self.resolve()?;
        self.progress = Progress::default();
        Ok(Some(skipped + length))
    }

    /// Takes over a head that is complete and has nothing unusual; else `None`, and [`RequestHead::examine`] finds out.
    fn read(&mut self, head: &[u8], limits: &HeadLimits) -> Option<usize> {
        let method_length = scan::target_length(head, head);
        let method = Method::from_bytes(head.get(..method_length)?);
        let target_start = method_length + 1;
        let from_target = head.get(target_start..)?;
        let target_length = scan::target_length(head, from_target);
        let version = match from_target.get(target_length..)?.first_chunk()? {
            b" HTTP/1.1\r\n" => Version::Http11,
            b" HTTP/1.0\r\n" => Version::Http10,
            _ => return None,
        };
        let target_end = target_start + target_length;
        let is_usual = method != Method::Other
            && head.get(method_length) == Some(&b' ')
            && (1..=limits.max_target_bytes).contains(&target_length);
        if !is_usual {
            return None;
        }
        let length = self.fields.read(head, target_end + 11, limits.max_fields)?;
        (self.method, self.version) = (method, version);
        self.method_name = Span::new(0, method_length);
        self.target = Span::new(target_start, target_end);
        Some(length)
    }

    /// Takes over any head, says that it is not complete, or what is wrong with it.
    #[inline(never)]
    fn examine(&mut self, head: &[u8], limits: &HeadLimits) -> Result<Option<usize>, HttpError> {
        tokenize::with_slots(limits, |slots| self.tokenize(head, slots, limits))
    }

    fn tokenize<'input>(
        &mut self,
        head: &'input [u8],
        slots: &mut Slots<'input>,
        limits: &HeadLimits,
    ) -> Result<Option<usize>, HttpError> {
        let mut request = httparse::Request::new(&mut []);
        let length = match request.parse_with_uninit_headers(head, slots) {
            Ok(Status::Complete(length)) => length,
            _ if tokenize::has_long_target(head, limits) => return Err(HttpError::TargetTooLong),
            Ok(Status::Partial) => return Ok(None),
            Err(error) => return Err(tokenize::request_error(head, error)),
        };
        let method_length = request.method.unwrap_or_default().len();
        let target_length = request.path.unwrap_or_default().len();
        if target_length > limits.max_target_bytes {
            return Err(HttpError::TargetTooLong);
        }
        self.version = Version::from_minor(request.version);
        self.fields.load(head.get(..length).unwrap_or_default(), request.headers)?;
        self.method_name = Span::new(0, method_length);
        self.target = Span::new(method_length + 1, method_length + 1 + target_length);
        self.method = Method::from_bytes(self.method_bytes());
        if self.method == Method::Other && Method::is_disguised(self.method_bytes()) {
            return Err(HttpError::InvalidMethod);
        }
        target::check(self.target())?;
        Ok(Some(length))
    }

    /// Takes the target apart and finds the authority (RFC 9112 §3.2, §3.2.2).
    fn resolve(&mut self) -> Result<(), HttpError> {
        let target = target::parse(self.fields.bytes(), self.target, self.method)?;
        self.place_path(target.path_and_query);
        self.line = None;
        if target.authority.is_none() && self.version == Version::Http11 {
            // SP, HTTP/1.1 and CRLF follow the target.
            self.line = Some(Span { start: 0, end: self.target.end + 11 });
        }
        if self.fields.has_several(KnownField::Host) {
            return Err(HttpError::SeveralHosts);
        }
        let mut field = self.fields.value_span(KnownField::Host, 0);
        if let Some(host) = field {
            authority::check(host.of(self.fields.bytes()))?;
            if self.fields.has_blanks_behind(KnownField::Host) {
                // Some servers keep blanks behind a value, and so see another host.
                field = Some(self.fields.compose_known(KnownField::Host).push_stored(host).replace());
            }
        } else if self.version == Version::Http11 {
            return Err(HttpError::MissingHost);
        }
        self.host = field.unwrap_or_default();
        if let Some(authority) = target.authority {
            self.adopt(authority);
        }
        if target.authority.is_some() && self.method != Method::Connect {
            self.make_origin_form();
        }
        Ok(())
    }

    /// The authority of the target wins over Host.
    fn adopt(&mut self, authority: Span) {
        let bytes = self.fields.bytes();
        if authority.of(bytes) != self.host.of(bytes) {
            let is_new = !self.fields.has(KnownField::Host);
            self.host = self.fields.compose_known(KnownField::Host).push_stored(authority).replace();
            if is_new {
                self.fields.move_last_to_front();
            }
        }
    }

    /// An absolute-form may lack a path: it is `/`, or `*` where OPTIONS means the server (RFC 9112 §3.2.4).
    fn make_origin_form(&mut self) {
        let path_and_query = self.path_and_query;
        match path_and_query.of(self.fields.bytes()) {
            [] if self.method == Method::Options => {
                let place = self.fields.store(&[b"*"]);
                self.place_path(place);
            }
            [b'/', ..] => {}
            _ => {
                let place = self.fields.store_copy(b"/", path_and_query);
                self.place_path(place);
            }
        }
    }

    fn place_path(&mut self, place: Span) {
        self.path_and_query = place;
        let question_mark = memchr::memchr(b'?', place.of(self.fields.bytes()));
        self.path_end = question_mark.map_or(place.end, |at| Span::new(place.start as usize + at, 0).start);
    }

    /// The method.
    pub const fn method(&self) -> Method {
        self.method
    }

    /// The method as it was written.
    pub fn method_bytes(&self) -> &[u8] {
        self.method_name.of(self.fields.bytes())
    }

    /// The request target as received.
    pub fn target(&self) -> &[u8] {
        self.target.of(self.fields.bytes())
    }

    /// The path, raw; `*` for `OPTIONS *`, empty for CONNECT.
    pub fn path(&self) -> &[u8] {
        Span { start: self.path_and_query.start, end: self.path_end }.of(self.fields.bytes())
    }

    /// What follows the first `?`, raw.
    pub fn query(&self) -> Option<&[u8]> {
        (self.path_end < self.path_and_query.end)
            .then(|| Span { start: self.path_end + 1, end: self.path_and_query.end }.of(self.fields.bytes()))
    }

    /// Path and query together, as they will be sent.
    pub fn path_and_query(&self) -> &[u8] {
        self.path_and_query.of(self.fields.bytes())
    }

    /// The authority that the request is for, with its port if it has one: from the target if that names one, else
    /// from Host. Empty for an HTTP/1.0 request without either.
    pub fn host(&self) -> &[u8] {
        self.host.of(self.fields.bytes())
    }

    /// The version that the client speaks.
    pub const fn version(&self) -> Version {
        self.version
    }

    /// Notes that the head came by another version than its lines say.
    pub const fn set_version(&mut self, version: Version) {
        self.version = version;
    }

    /// The fields.
    pub const fn fields(&self) -> &Fields {
        &self.fields
    }

    /// The fields, to be edited. To change Host use [`RequestHead::set_host`], so that [`RequestHead::host`] follows.
    pub const fn fields_mut(&mut self) -> &mut Fields {
        &mut self.fields
    }

    /// The place of [`RequestHead::host`] in the store of the fields.
    pub(crate) const fn host_span(&self) -> Span {
        self.host
    }

    /// Replaces path and query. Bytes that a target must not have are percent-encoded, a missing `/` is added.
    pub fn set_path_and_query(&mut self, path_and_query: &[u8]) {
        let start = match path_and_query {
            [b'/', ..] | b"*" => b"".as_slice(),
            _ => b"/",
        };
        let mut place = self.fields.store(&[start]);
        for &byte in path_and_query {
            let encoded = percent_encoded(byte);
            let piece = if target::is_target_byte(byte) { std::slice::from_ref(&byte) } else { &encoded };
            place.end = self.fields.store(&[piece]).end;
        }
        self.place_path(place);
        self.line = None;
    }

    /// Replaces Host, and with it what [`RequestHead::host`] gives. The value must be a valid authority.
    pub fn set_host(&mut self, host: &[u8]) {
        let is_new = !self.fields.has(KnownField::Host);
        self.host = self.fields.compose_known(KnownField::Host).push(host).replace();
        if is_new {
            self.fields.move_last_to_front();
        }
    }

    /// How the body is framed; an error if that could be read in two ways.
    pub fn framing(&self) -> Result<Framing, HttpError> {
        Ok(framing::declared(&self.fields, self.version)?.unwrap_or(Framing::Empty))
    }

    /// Whether the client wants to keep the connection.
    pub fn persists(&self) -> bool {
        framing::persists(&self.fields, self.version)
    }

    /// Whether the client waits for `100 Continue` before it sends the body (RFC 9110 §10.1.1). HTTP/1.0 knows no
    /// expectations; anything but `100-continue` is an error.
    pub fn expects_continue(&self) -> Result<bool, HttpError> {
        if !self.fields.has(KnownField::Expect) || self.version == Version::Http10 {
            return Ok(false);
        }
        let is_continue = |value: &[u8]| value.eq_ignore_ascii_case(b"100-continue");
        if self.fields.values(KnownField::Expect).all(is_continue) {
            Ok(true)
        } else {
            Err(HttpError::ExpectationFailed)
        }
    }

    /// The protocol that the client wants to switch to, if `Connection` says so too (RFC 9110 §7.8).
    ///
    /// HTTP itself (`h2c`, `HTTP/2.0`) and TLS are not switched to: requests inside such a tunnel would pass by
    /// every rule. Nor is there a switch where the request has a body: some servers stop reading HTTP at the end of such a
    /// head, and take the body for what follows. The client is served in HTTP/1.1 as if it had not asked.
    pub fn upgrade(&self) -> Option<&[u8]> {
        let protocols = self.fields.get(KnownField::Upgrade)?;
        let may_switch = self.version != Version::Http10
            && !self.fields.has_several(KnownField::Upgrade)
            && matches!(self.framing(), Ok(Framing::Empty | Framing::Length(0)))
            && has_token(&self.fields, KnownField::Connection, b"upgrade")
            && !tokens(protocols).any(is_refused_protocol);
        (may_switch && !protocols.is_empty()).then_some(protocols)
    }

    /// Panics when the parts of this value do not fit together. For tests and simulations.
    pub fn check_invariants(&self) {
        self.fields.check_invariants();
        let length = self.fields.bytes().len();
        for place in
            [self.method_name, self.target, self.path_and_query, self.host, self.line.unwrap_or_default()]
        {
            assert!(place.start <= place.end && place.range().end <= length);
        }
        assert!((self.path_and_query.start..=self.path_and_query.end).contains(&self.path_end));
        assert_eq!(self.method, Method::from_bytes(self.method_bytes()));
    }

    /// Appends the head as Aya sends it to an endpoint: origin-form, HTTP/1.1, fields, empty line. CONNECT keeps its
    /// target.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let bytes = self.fields.bytes();
        // Room for the end of a rewritten start line and the empty line.
        out.reserve(bytes.len() + 32);
        let run = self.line.unwrap_or_else(|| {
            let target = if self.method == Method::Connect { self.target } else { self.path_and_query };
            out.extend_from_slice(self.method_name.of(bytes));
            out.push(b' ');
            out.extend_from_slice(target.of(bytes));
            out.extend_from_slice(b" HTTP/1.1\r\n");
            Span::default()
        });
        self.fields.encode_after(run, out);
        out.extend_from_slice(b"\r\n");
    }
}

fn is_refused_protocol(protocol: &[u8]) -> bool {
    let name = protocol.split(|&byte| byte == b'/').next().unwrap_or_default();
    [b"h2c".as_slice(), b"h2", b"http", b"tls"].iter().any(|refused| name.eq_ignore_ascii_case(refused))
}

fn percent_encoded(byte: u8) -> [u8; 3] {
    let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'A' + nibble - 10 };
    [b'%', digit(byte >> 4), digit(byte & 0x0f)]
}
