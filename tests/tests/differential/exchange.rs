//! Valid exchanges drawn from a seed: what a client asks, and what the endpoint answers.

use super::draw::Draw;

/// Fields of one message, in order.
pub(super) type Lines = Vec<(String, String)>;

/// One request and its answer.
#[derive(Clone, Debug)]
pub(super) struct Exchange {
    /// In its target.
    pub(super) number: usize,
    pub(super) request: Message,
    pub(super) method: &'static str,
    pub(super) target: String,
    pub(super) is_old: bool,
    /// The client's `Connection`, if any.
    pub(super) connection: Option<&'static str>,
    pub(super) expects: bool,
    pub(super) answer: Message,
    pub(super) status: u16,
    /// Interim answers before it.
    pub(super) interim: Vec<u16>,
    /// The endpoint answers before it has read the body.
    pub(super) is_early: bool,
    /// The endpoint closes behind its answer, or in the middle of it.
    pub(super) ends: Ends,
    pub(super) upgrades: bool,
}

/// What is sent of a message behind its first line.
#[derive(Clone, Debug, Default)]
pub(super) struct Message {
    pub(super) fields: Lines,
    pub(super) body: Vec<u8>,
    pub(super) framing: Framing,
    pub(super) trailers: Lines,
    /// Sent in pieces of this size, with a pause behind each of the first few.
    pub(super) drip: Option<usize>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Framing {
    #[default]
    None,
    Length,
    /// Of this many bytes at most.
    Chunks(usize),
    UntilClose,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ends {
    Never,
    Behind,
    Within,
}

/// Exchanges on one connection of a client.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) exchanges: Vec<Exchange>,
    /// All requests are sent before the first answer is read.
    pub(super) is_pipelined: bool,
}

const METHODS: [&str; 9] = ["GET", "GET", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PURGE"];
const PATHS: [&str; 11] =
    ["", "/", "/a/b/c", "/a//b", "/a;v=1", "/%41%7e", "/a%2Fb", "/caf%C3%A9", "/a+b", "/~x/(y)!*'", "/a:b@c"];
const QUERIES: [&str; 8] = ["", "", "?", "?a=1&b=2", "?a=%20+", "?a?b/c", "?a=b&a=c", "?q='(x)'!*"];
const NAMES: [&str; 10] = [
    "X-One",
    "x-two",
    "X-THREE",
    "x-Four_Five",
    "Accept",
    "Accept-Language",
    "Cookie",
    "Authorization",
    "Range",
    "If-None-Match",
];
const ANSWER_NAMES: [&str; 9] = [
    "X-One",
    "x-two",
    "Set-Cookie",
    "Vary",
    "ETag",
    "Cache-Control",
    "Link",
    "WWW-Authenticate",
    "Content-Language",
];
const VALUES: [&str; 9] = [
    "1",
    "",
    "a, b,c",
    "\"quoted, text\"",
    "a  b",
    "a\tb",
    "k=v; Path=/; HttpOnly",
    "\u{e4}\u{ff}",
    "W/\"x\"",
];
const CODINGS: [&str; 4] = ["gzip", "br", "zstd", "identity"];
const STATUSES: [u16; 20] =
    [200, 200, 200, 201, 202, 204, 206, 299, 301, 304, 400, 401, 404, 409, 418, 429, 451, 500, 503, 599];
const BODY_BYTES: [usize; 10] = [0, 1, 2, 16, 100, 1000, 4095, 16_384, 70_000, 300_000];
/// Above this a body is not sent drop by drop.
const LARGEST_DRIP: usize = 1000;
/// Exchanges of one connection at most.
const LONGEST_SESSION: usize = 6;

/// So many sessions.
pub(super) fn sessions(draw: &mut Draw, count: usize) -> Vec<Session> {
    let mut number = 0;
    (0..count).map(|_| session(draw, &mut number)).collect()
}

fn session(draw: &mut Draw, number: &mut usize) -> Session {
    let is_pipelined = draw.chance(20);
    let mut exchanges: Vec<Exchange> = Vec::new();
    for _ in 0..=draw.below(LONGEST_SESSION) {
        let exchange = exchange(draw, *number, is_pipelined);
        *number += 1;
        let is_last = exchange.is_last();
        exchanges.push(exchange);
        if is_last {
            break;
        }
    }
    Session { exchanges, is_pipelined }
}

fn exchange(draw: &mut Draw, number: usize, is_pipelined: bool) -> Exchange {
    if !is_pipelined && draw.chance(3) {
        return upgrade(draw, number);
    }
    let method = *draw.pick(&METHODS);
    let is_old = draw.chance(8);
    let mut request = Message { fields: fields(draw, &NAMES), ..Message::default() };
    let with_body = if matches!(method, "POST" | "PUT" | "PURGE") { 85 } else { 10 };
    if draw.chance(with_body) {
        let chunks = if is_old { 0 } else { 50 };
        request.fill(draw, chunks);
        request.fields.push(("Content-Type".to_owned(), "application/x-play".to_owned()));
    }
    let expects = !is_old && !is_pipelined && !request.body.is_empty() && draw.chance(15);
    let connection = match (is_old, draw.below(10)) {
        (false, 0) => Some("close"),
        (false, 1) => Some("keep-alive"),
        (true, 0..=4) => Some("keep-alive"),
        _ => None,
    };
    let status = *draw.pick(&STATUSES);
    let mut answer = Message { fields: answer_fields(draw), ..Message::default() };
    if matches!(status, 204 | 304) {
        answer.framing = Framing::None;
    } else {
        answer.fill(draw, 40);
        if draw.chance(10) {
            answer.framing = Framing::UntilClose;
            answer.trailers.clear();
        }
    }
    let is_early =
        !is_pipelined && !expects && !request.body.is_empty() && request.body.len() < 5000 && draw.chance(8);
    let interim = if !is_old && draw.chance(6) { vec![103; 1 + draw.below(2)] } else { Vec::new() };
    let ends = match (answer.framing, draw.below(20)) {
        (Framing::UntilClose, _) | (_, 0) => Ends::Behind,
        (Framing::Length | Framing::Chunks(_), 1) if answer.body.len() > 1 && method != "HEAD" => {
            Ends::Within
        }
        _ => Ends::Never,
    };
    let target = format!("/x/{number}{}{}", draw.pick(&PATHS), draw.pick(&QUERIES));
    Exchange {
        number,
        request,
        method,
        target,
        is_old,
        connection,
        expects,
        answer,
        status,
        interim,
        is_early,
        ends,
        upgrades: false,
    }
}

/// A switch to a protocol that sends back what it gets.
fn upgrade(draw: &mut Draw, number: usize) -> Exchange {
    let size = 1 + draw.below(20_000);
    Exchange {
        number,
        request: Message { body: draw.bytes(size), ..Message::default() },
        method: "GET",
        target: format!("/upgrade/{number}"),
        is_old: false,
        connection: Some("Upgrade"),
        expects: false,
        answer: Message { fields: vec![("X-One".to_owned(), "1".to_owned())], ..Message::default() },
        status: 101,
        interim: Vec::new(),
        is_early: false,
        ends: Ends::Behind,
        upgrades: true,
    }
}

/// Ordinary fields, some of them several times.
fn fields(draw: &mut Draw, names: &[&str]) -> Lines {
    let mut fields = Vec::new();
    for _ in 0..draw.below(8) {
        let name = *draw.pick(names);
        // Fields of which there is one at most.
        let is_single = matches!(name, "Range" | "Authorization" | "ETag" | "If-None-Match");
        if is_single && fields.iter().any(|(other, _): &(String, String)| other == name) {
            continue;
        }
        let value =
            if draw.chance(4) { "v".repeat(draw.below(4000)) } else { (*draw.pick(&VALUES)).to_owned() };
        fields.push((name.to_owned(), value));
    }
    if draw.chance(3) {
        fields.extend((0..60).map(|index| (format!("X-Many-{index}"), index.to_string())));
    }
    fields
}

fn answer_fields(draw: &mut Draw) -> Lines {
    let mut fields = fields(draw, &ANSWER_NAMES);
    fields.push(("Server".to_owned(), "play/1".to_owned()));
    fields.push(("Date".to_owned(), "Fri, 20 Nov 2026 10:00:00 GMT".to_owned()));
    fields.push(("Content-Type".to_owned(), "application/x-play".to_owned()));
    fields
}

impl Message {
    /// Gives it a body; in so many of a hundred cases in chunks.
    fn fill(&mut self, draw: &mut Draw, chunked: usize) {
        let size = *draw.pick(&BODY_BYTES);
        self.body = draw.bytes(size);
        if draw.chance(15) {
            self.fields.push(("Content-Encoding".to_owned(), (*draw.pick(&CODINGS)).to_owned()));
        }
        self.framing = Framing::Length;
        if draw.chance(chunked) {
            self.framing = Framing::Chunks(*draw.pick(&[1, 7, 100, 4096, 65_536]).max(&(size / 200)));
            if draw.chance(25) {
                self.trailers =
                    vec![("X-Checksum".to_owned(), "1".to_owned()), ("x-late".to_owned(), "a b".to_owned())];
            }
        }
        if size <= LARGEST_DRIP && draw.chance(10) {
            self.drip = Some(1 + draw.below(40));
        }
    }
}

impl Exchange {
    /// Whether nothing may follow on the client's connection.
    fn is_last(&self) -> bool {
        self.is_early
            || self.upgrades
            || self.ends == Ends::Within
            || self.connection == Some("close")
            || (self.is_old && (self.connection.is_none() || self.answer.framing != Framing::Length))
    }

    /// What is unusual about it, in a line.
    pub(super) fn summary(&self) -> String {
        let Self { method, target, status, connection, ends, interim, .. } = self;
        let message = |message: &Message| {
            format!(
                "{:?} of {} bytes, {} trailers",
                message.framing,
                message.body.len(),
                message.trailers.len()
            )
        };
        format!(
            "{method} {target} old: {} connection: {connection:?} expects: {} request: {}; {status} answer: {}; ends: {ends:?} \
             early: {} interim: {interim:?}",
            self.is_old,
            self.expects,
            message(&self.request),
            message(&self.answer),
            self.is_early
        )
    }

    /// The head of the request.
    pub(super) fn request_head(&self) -> Vec<u8> {
        let version = if self.is_old { "1.0" } else { "1.1" };
        let mut text = format!("{} {} HTTP/{version}\r\nHost: play.test\r\n", self.method, self.target);
        if let Some(connection) = self.connection {
            text.push_str(&format!("Connection: {connection}\r\n"));
        }
        if self.upgrades {
            text.push_str("Upgrade: play\r\n");
        }
        if self.expects {
            text.push_str("Expect: 100-continue\r\n");
        }
        self.request.end_head(&mut text);
        latin1(&text)
    }

    /// The final answer's head.
    pub(super) fn answer_head(&self) -> Vec<u8> {
        let mut text = format!("HTTP/1.1 {} Play\r\n", self.status);
        if self.upgrades {
            text.push_str("Connection: Upgrade\r\nUpgrade: play\r\n");
        } else if self.ends == Ends::Behind && self.answer.framing != Framing::UntilClose {
            // Who closes in silence may meet the next request, which nobody may send again.
            text.push_str("Connection: close\r\n");
        }
        self.answer.end_head(&mut text);
        latin1(&text)
    }
}

impl Message {
    fn end_head(&self, text: &mut String) {
        match self.framing {
            Framing::Length => text.push_str(&format!("Content-Length: {}\r\n", self.body.len())),
            Framing::Chunks(_) => text.push_str("Transfer-Encoding: chunked\r\n"),
            Framing::None | Framing::UntilClose => {}
        }
        for (name, value) in &self.fields {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
    }

    /// The body as it is sent.
    pub(super) fn framed_body(&self) -> Vec<u8> {
        match self.framing {
            Framing::None => Vec::new(),
            Framing::Length | Framing::UntilClose => self.body.clone(),
            Framing::Chunks(size) => {
                let trailers: String =
                    self.trailers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
                crate::chunked(&self.body, size, &trailers)
            }
        }
    }
}

/// One byte for each character, as field values are sent.
fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|character| u8::try_from(u32::from(character)).unwrap_or(b'?')).collect()
}
