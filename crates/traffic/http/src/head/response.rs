//! Response heads.

use httparse::Status;

use super::framing::{self, Framing};
use super::tokenize::{self, Progress, Slots};
use super::{HeadLimits, Method, Version, status};
use crate::HttpError;
use crate::fields::{Fields, Span, scan};

/// A status line and its fields, in bytes of its own. Made once and reused: [`ResponseHead::clear`] keeps the memory.
#[derive(Clone, Debug, Default)]
pub struct ResponseHead {
    /// Its store holds the whole head; the places below point into it.
    fields: Fields,
    status: u16,
    version: Version,
    reason: Span,
    /// The status line as received with its CRLF, if it can be sent as it is.
    line: Option<Span>,
    progress: Progress,
}

/// Where the status begins in `HTTP/1.1 200 OK`.
const STATUS_AT: usize = 9;
/// Where the reason phrase begins in it.
const REASON_AT: usize = 13;

impl ResponseHead {
    /// An answer of Aya's own, without fields. To parse into, take [`ResponseHead::default`].
    pub fn new(status: u16) -> Self {
        let mut head = Self::default();
        head.reset(status);
        head
    }

    /// Makes this an answer of Aya's own, without fields; keeps the memory. A status outside 100–599 becomes 500.
    pub fn reset(&mut self, status: u16) {
        self.clear();
        self.set_status(status);
    }

    /// Replaces the status, with the reason phrase that is usual. A status outside 100–599 becomes 500.
    pub fn set_status(&mut self, status: u16) {
        debug_assert!((100..=599).contains(&status), "no status: {status}");
        self.status = if (100..=599).contains(&status) { status } else { 500 };
        let digits = [self.status / 100, self.status / 10 % 10, self.status % 10];
        let digits = digits.map(|digit| b'0' + u8::try_from(digit).unwrap_or(0));
        let reason = status::reason(self.status).as_bytes();
        let line = self.fields.store(&[b"HTTP/1.1 ", &digits, b" ", reason, b"\r\n"]);
        let start = line.range().start + REASON_AT;
        self.reason = Span::new(start, start + reason.len());
        self.line = Some(line);
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
        (self.status, self.version) = (0, Version::default());
        (self.reason, self.line) = (Span::EMPTY, None);
    }

    /// Parses a head, an interim one too. `input` begins with its first byte on every call, grown at the end; a call
    /// where more bytes are needed gives `None`, else how many bytes the head had. `max_target_bytes` means nothing
    /// here.
    pub fn parse(&mut self, input: &[u8], limits: &HeadLimits) -> Result<Option<usize>, HttpError> {
        if input.is_empty() || !self.progress.is_due(input, limits) {
            return Ok(None);
        }
        let window = tokenize::window(input, limits);
        if let [b'\r' | b'\n', ..] = window {
            return Err(HttpError::LeadingBytes);
        }
        let length = match self.read(window, limits) {
            None => self.examine(window, limits)?,
            length => length,
        };
        let Some(length) = length else {
            self.forget();
            return tokenize::incomplete(input, limits);
        };
        self.progress = Progress::default();
        Ok(Some(length))
    }

    /// Takes over a head that is complete and has nothing unusual; else `None`, and [`ResponseHead::examine`] finds out.
    fn read(&mut self, head: &[u8], limits: &HeadLimits) -> Option<usize> {
        let (start, rest) = head.split_first_chunk::<REASON_AT>()?;
        let (version, status) = match start {
            [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor @ (b'0' | b'1'), b' ', status @ .., b' '] => {
                (Version::from_minor(Some(minor - b'0')), status)
            }
            _ => return None,
        };
        if !status.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let status = status.iter().fold(0, |status, digit| status * 10 + u16::from(digit - b'0'));
        let reason_length = scan::text_length(rest, rest);
        if !(100..=599).contains(&status) || rest.get(reason_length..reason_length + 2) != Some(b"\r\n") {
            return None;
        }
        let reason = Span::new(REASON_AT, REASON_AT + reason_length);
        let line_end = reason.range().end + 2;
        let length = self.fields.read(head, line_end, limits.max_fields)?;
        (self.status, self.version, self.reason) = (status, version, reason);
        self.line = (version == Version::Http11).then(|| Span::new(0, line_end));
        Some(length)
    }

    /// Takes over any head, says that it is not complete, or what is wrong with it.
    #[inline(never)]
    fn examine(&mut self, head: &[u8], limits: &HeadLimits) -> Result<Option<usize>, HttpError> {
        tokenize::with_slots(limits, |slots| self.tokenize(head, slots))
    }

    fn tokenize<'input>(
        &mut self,
        head: &'input [u8],
        slots: &mut Slots<'input>,
    ) -> Result<Option<usize>, HttpError> {
        let mut response = httparse::Response::new(&mut []);
        let config = httparse::ParserConfig::default();
        let length = match config.parse_response_with_uninit_headers(&mut response, head, slots) {
            Ok(Status::Complete(length)) => length,
            Ok(Status::Partial) => return Ok(None),
            Err(error) => return Err(tokenize::response_error(head, error)),
        };
        self.status = response.code.unwrap_or_default();
        self.version = Version::from_minor(response.version);
        if !(100..=599).contains(&self.status) {
            return Err(HttpError::InvalidStatus);
        }
        let head = head.get(..length).unwrap_or_default();
        // The status line ends where the first field begins, or where the empty line does.
        let line_end = response
            .headers
            .first()
            .map_or(length.saturating_sub(2), |field| field.name.as_ptr() as usize - head.as_ptr() as usize);
        self.fields.load(head, response.headers)?;
        let text_end = line_end.saturating_sub(2);
        self.reason = Span::new(REASON_AT.min(text_end), text_end);
        // Without a reason phrase some leave out the blank before it, which a sender must not (RFC 9112 §4).
        let can_stay = self.version == Version::Http11 && text_end >= REASON_AT;
        self.line = can_stay.then(|| Span::new(0, line_end));
        Ok(Some(length))
    }

    /// The status, 100–599.
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// The reason phrase; may be empty.
    pub fn reason(&self) -> &[u8] {
        self.reason.of(self.fields.bytes())
    }

    /// The version that the endpoint speaks.
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

    /// The fields, to be edited.
    pub const fn fields_mut(&mut self) -> &mut Fields {
        &mut self.fields
    }

    /// Whether the final response is still to come: 1xx, except 101.
    pub const fn is_interim(&self) -> bool {
        self.status < 200 && self.status != 101
    }

    /// Whether another protocol follows this head: 101.
    pub const fn is_switching(&self) -> bool {
        self.status == 101
    }

    /// Whether a response with this status never has a body, whatever its fields say: 1xx, 204, 304.
    pub const fn is_bodyless(&self) -> bool {
        self.status < 200 || self.status == 204 || self.status == 304
    }

    /// How the body of the response to a request with this method is framed; an error if that could be read in two
    /// ways, even when there is no body.
    pub fn framing(&self, request: Method) -> Result<Framing, HttpError> {
        let declared = framing::declared(&self.fields, self.version)?;
        if self.is_bodyless() || request == Method::Head {
            return Ok(Framing::Empty);
        }
        Ok(declared.unwrap_or(Framing::UntilClose))
    }

    /// Whether the endpoint wants to keep the connection. A body until close ends it anyway.
    pub fn persists(&self) -> bool {
        framing::persists(&self.fields, self.version)
    }

    /// Panics when the parts of this value do not fit together. For tests and simulations.
    pub fn check_invariants(&self) {
        self.fields.check_invariants();
        let length = self.fields.bytes().len();
        for place in [self.reason, self.line.unwrap_or_default()] {
            assert!(place.start <= place.end && place.range().end <= length);
        }
        assert!((100..=599).contains(&self.status));
    }

    /// Appends the head as Aya sends it to a client: HTTP/1.1, fields, empty line.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let bytes = self.fields.bytes();
        // Room for a rewritten start line's version and the empty line.
        out.reserve(bytes.len() + 32);
        let run = self.line.unwrap_or_else(|| {
            out.extend_from_slice(b"HTTP/1.1 ");
            out.extend_from_slice(Span::new(STATUS_AT, STATUS_AT + 3).of(bytes));
            out.push(b' ');
            out.extend_from_slice(self.reason.of(bytes));
            out.extend_from_slice(b"\r\n");
            Span::default()
        });
        self.fields.encode_after(run, out);
        out.extend_from_slice(b"\r\n");
    }
}
