//! A client's connection in the hands of a case: what it sends, and what it waits for.

use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use base_testkit::PATIENCE;

use super::frames::kind::{DATA, GOAWAY, HEADERS, PING, RST_STREAM, SETTINGS};
use super::frames::{Code, Frame, flag, setting, settings};
use super::heads;

/// What a client says first (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// What every window is until somebody says otherwise (§6.9.2).
const USUAL_WINDOW: u32 = 65_535;
/// How `:status: 200` begins a head: an entry of the static table (RFC 7541 appendix A).
const STATUS_200: u8 = 0x88;

/// Why a case has failed.
pub(super) type Outcome = Result<(), String>;

/// One connection to Aya. What is sent goes out with the next wait, in one piece, so that Aya can do nothing in between.
pub(super) struct Link {
    stream: TcpStream,
    output: Vec<u8>,
    input: Vec<u8>,
    /// What has come, for the report.
    seen: Vec<String>,
    /// What Aya's first SETTINGS say.
    settings: Vec<(u16, u32)>,
    /// Whether an error of the connection had the general code instead of its own.
    is_vague: bool,
}

/// What happens next.
enum Event {
    Frame(Frame),
    /// The connection ends, in order or not.
    End,
    /// Nothing, for long enough.
    Silence,
}

impl Link {
    /// Connects, and says nothing yet.
    pub(super) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("Aya listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a deadline can be set");
        stream.set_write_timeout(Some(PATIENCE)).expect("a deadline can be set");
        stream.set_nodelay(true).expect("delays can be switched off");
        Self {
            stream,
            output: Vec::new(),
            input: Vec::new(),
            seen: Vec::new(),
            settings: Vec::new(),
            is_vague: false,
        }
    }

    /// The beginning of a client: preface and settings.
    pub(super) fn begin(&mut self) {
        self.send_bytes(PREFACE);
        self.send(SETTINGS, flag::NONE, 0, settings(&[(setting::INITIAL_WINDOW_SIZE, USUAL_WINDOW)]));
    }

    /// Begins, and waits until both sides have taken the other's settings.
    pub(super) fn greet(&mut self) -> Outcome {
        self.begin();
        let (mut is_greeted, mut is_acknowledged) = (false, false);
        while !(is_greeted && is_acknowledged) {
            let frame =
                self.find("the greeting", |frame| (frame.kind == SETTINGS).then(|| Ok(frame.clone())))?;
            if frame.has(flag::ACK) {
                is_acknowledged = true;
                continue;
            }
            is_greeted = true;
            self.settings = frame.payload.chunks_exact(6).map(pair).collect();
            self.send(SETTINGS, flag::ACK, 0, []);
        }
        Ok(())
    }

    /// What Aya's settings say of this one.
    pub(super) fn setting(&self, name: u16) -> Option<u32> {
        self.settings.iter().rev().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    pub(super) fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: impl AsRef<[u8]>) {
        Frame { kind, flags, stream, payload: payload.as_ref().to_vec() }.put(&mut self.output);
    }

    pub(super) fn send_bytes(&mut self, bytes: &[u8]) {
        self.output.extend_from_slice(bytes);
    }

    /// Sends the usual request, which is whole.
    pub(super) fn get(&mut self, stream: u32) {
        self.send(HEADERS, flag::ALL, stream, heads::get(&[]));
    }

    /// Sends the head of a request whose body is still to come.
    pub(super) fn post(&mut self, stream: u32) {
        self.send(HEADERS, flag::END_HEADERS, stream, heads::post(&[]));
    }

    /// Sends the usual request, whose answer has no room until a window grows: its stream stays open on Aya's side.
    pub(super) fn hold(&mut self, stream: u32) {
        self.set(setting::INITIAL_WINDOW_SIZE, 0);
        self.get(stream);
    }

    /// Changes one of the client's settings.
    pub(super) fn set(&mut self, name: u16, value: u32) {
        self.send(SETTINGS, flag::NONE, 0, settings(&[(name, value)]));
    }

    /// Aya's first frame is its SETTINGS.
    pub(super) fn is_greeted(&mut self) -> Outcome {
        self.find("SETTINGS first", |frame| {
            let is_greeting = frame.kind == SETTINGS && !frame.has(flag::ACK);
            Some(if is_greeting { Ok(()) } else { Err(format!("{frame} came first")) })
        })
    }

    /// The settings that were sent last are acknowledged.
    pub(super) fn is_acknowledged(&mut self) -> Outcome {
        self.find("an acknowledgement", |frame| {
            (frame.kind == SETTINGS && frame.has(flag::ACK)).then_some(Ok(()))
        })
    }

    /// The request on this stream is answered with 200. A refusal in words of HTTP is no acceptance.
    pub(super) fn is_answered(&mut self, stream: u32) -> Outcome {
        let is_wanted = |frame: &Frame| frame.kind == HEADERS && frame.stream == stream;
        self.find("an answer", |frame| is_wanted(frame).then(|| fine(frame)))
    }

    /// The next piece of the answer's body is so long.
    pub(super) fn gets_data(&mut self, stream: u32, length: usize) -> Outcome {
        self.find("DATA", |frame| {
            if frame.kind != DATA {
                return None;
            }
            let is_wanted = frame.stream == stream && frame.payload.len() == length;
            Some(if is_wanted {
                Ok(())
            } else {
                Err(format!("{frame} instead of {length} bytes on {stream}"))
            })
        })
    }

    /// The answer on this stream is complete.
    pub(super) fn is_complete(&mut self, stream: u32) -> Outcome {
        self.find("the end of an answer", |frame| {
            let is_last = matches!(frame.kind, DATA | HEADERS) && frame.has(flag::END_STREAM);
            let is_closed = frame.kind == RST_STREAM && frame.code() == Some(Code::NONE);
            (frame.stream == stream && (is_last || is_closed)).then_some(Ok(()))
        })
    }

    /// A PING is answered, and it is the next to be: whatever came before had no answer of that kind.
    pub(super) fn is_alive(&mut self) -> Outcome {
        const QUESTION: &[u8; 8] = b"question";
        self.send(PING, flag::NONE, 0, QUESTION);
        self.pongs(QUESTION)
    }

    /// The next PING acknowledges one with these bytes.
    pub(super) fn pongs(&mut self, bytes: &[u8]) -> Outcome {
        self.find("an answer to PING", |frame| {
            let is_answer = frame.has(flag::ACK) && frame.stream == 0 && frame.payload == bytes;
            let wrong = || Err(format!("{frame} with {:?}", frame.payload));
            (frame.kind == PING).then(|| if is_answer { Ok(()) } else { wrong() })
        })
    }

    /// A PING is answered, or the connection ends.
    pub(super) fn is_alive_or_ends(&mut self) -> Outcome {
        self.is_alive().or_else(|fault| if matches!(self.next(), Event::End) { Ok(()) } else { Err(fault) })
    }

    /// The connection ends.
    pub(super) fn ends(&mut self) -> Outcome {
        loop {
            match self.next() {
                Event::Frame(_) => {}
                Event::End => return Ok(()),
                Event::Silence => return Err(self.fault("the end of the connection", "nothing happens")),
            }
        }
    }

    /// A connection error (RFC 9113 §5.4.1): GOAWAY with one of these codes, and the end of the connection. The frame is only recommended;
    /// Aya always sends it, and a connection that ends without would hide why.
    pub(super) fn is_cut(&mut self, codes: &[Code]) -> Outcome {
        let code = self.find("a connection error", |frame| match frame.kind {
            GOAWAY => Some(among(frame, codes, &[Code::PROTOCOL])),
            RST_STREAM => Some(Err(format!("only {frame}"))),
            _ => None,
        })?;
        self.is_vague = !codes.contains(&code);
        self.ends()
    }

    /// A stream error (§5.4.2): RST_STREAM on this stream with one of these codes, and nothing else of the connection suffers. It may
    /// be taken for a connection error as well.
    pub(super) fn is_reset(&mut self, stream: u32, codes: &[Code]) -> Outcome {
        let code = self.find("a stream error", |frame| match frame.kind {
            RST_STREAM if frame.stream != stream => Some(Err(format!("{frame} instead of {stream}"))),
            RST_STREAM => Some(among(frame, codes, &[]).map(|_| None)),
            GOAWAY => Some(among(frame, codes, &[Code::PROTOCOL]).map(Some)),
            _ => None,
        })?;
        let Some(code) = code else { return self.is_alive() };
        self.is_vague = !codes.contains(&code);
        self.ends()
    }

    /// As [`Self::is_reset`] for PROTOCOL_ERROR, or the request on this stream is answered as if nothing were wrong.
    pub(super) fn is_reset_or_answered(&mut self, stream: u32) -> Outcome {
        self.find("a stream error or an answer", |frame| match frame.kind {
            HEADERS if frame.stream == stream => Some(fine(frame)),
            RST_STREAM if frame.stream != stream => Some(Err(format!("{frame} instead of {stream}"))),
            RST_STREAM | GOAWAY => Some(among(frame, &[Code::PROTOCOL], &[]).map(drop)),
            _ => None,
        })
    }

    /// Whether an error of the connection was told by PROTOCOL_ERROR, where there is a code of its own. h2spec looks at the connection's
    /// end only.
    pub(super) fn is_vague(&self) -> bool {
        self.is_vague
    }

    /// Waits for a frame about which `judge` has an opinion. Errors that it has none about are not what was wanted.
    fn find<T>(
        &mut self,
        wanted: &str,
        judge: impl Fn(&Frame) -> Option<Result<T, String>>,
    ) -> Result<T, String> {
        loop {
            let frame = match self.next() {
                Event::Frame(frame) => frame,
                Event::End => return Err(self.fault(wanted, "the connection ends")),
                Event::Silence => return Err(self.fault(wanted, "nothing happens")),
            };
            match judge(&frame) {
                Some(verdict) => return verdict.map_err(|what| self.fault(wanted, what)),
                None if frame.code().is_some() => return Err(self.fault(wanted, &frame)),
                None => {}
            }
        }
    }

    fn fault(&self, wanted: &str, found: impl fmt::Display) -> String {
        format!("expected {wanted}, but: {found}; came before: {}", self.seen.join(", "))
    }

    fn next(&mut self) -> Event {
        // Aya may have closed already: what it has said before tells.
        let _ = self.stream.write_all(&self.output);
        self.output.clear();
        let mut room = [0; 4096];
        loop {
            if let Some(frame) = Frame::take(&mut self.input) {
                self.seen.push(frame.to_string());
                return Event::Frame(frame);
            }
            match self.stream.read(&mut room) {
                Ok(0) => return Event::End,
                Ok(count) => self.input.extend_from_slice(&room[..count]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Event::Silence;
                }
                Err(_) => return Event::End,
            }
        }
    }
}

/// One entry of a SETTINGS frame.
fn pair(bytes: &[u8]) -> (u16, u32) {
    (u16::from_be_bytes([bytes[0], bytes[1]]), u32::from_be_bytes([bytes[2], bytes[3], bytes[4], bytes[5]]))
}

/// Whether this head of an answer says 200.
fn fine(frame: &Frame) -> Outcome {
    let is_fine = frame.payload.first() == Some(&STATUS_200);
    if is_fine { Ok(()) } else { Err(format!("another status than 200: {:x?}", frame.payload)) }
}

/// The code by which the frame ends something, if it is one of these.
fn among(frame: &Frame, codes: &[Code], more: &[Code]) -> Result<Code, String> {
    let code = frame.code().filter(|code| codes.contains(code) || more.contains(code));
    code.ok_or_else(|| format!("{frame} with another code than {codes:?}"))
}
