//! Frames as they go over the wire (RFC 9113 §4.1). Nothing keeps a case from making a wrong one.

use std::fmt;

/// Types of frames (§6).
pub(crate) mod kind {
    pub(crate) const DATA: u8 = 0;
    pub(crate) const HEADERS: u8 = 1;
    pub(crate) const PRIORITY: u8 = 2;
    pub(crate) const RST_STREAM: u8 = 3;
    pub(crate) const SETTINGS: u8 = 4;
    pub(crate) const PUSH_PROMISE: u8 = 5;
    pub(crate) const PING: u8 = 6;
    pub(crate) const GOAWAY: u8 = 7;
    pub(crate) const WINDOW_UPDATE: u8 = 8;
    pub(crate) const CONTINUATION: u8 = 9;
    /// One that nobody has defined.
    pub(crate) const UNKNOWN: u8 = 0x16;
}

/// Flags of frames (§6).
pub(crate) mod flag {
    pub(crate) const NONE: u8 = 0;
    pub(crate) const ACK: u8 = 0x1;
    pub(crate) const END_STREAM: u8 = 0x1;
    pub(crate) const END_HEADERS: u8 = 0x4;
    pub(crate) const PADDED: u8 = 0x8;
    pub(crate) const PRIORITY: u8 = 0x20;
    /// A head that is all of its message.
    pub(crate) const ALL: u8 = END_STREAM | END_HEADERS;
}

/// Identifiers of settings (§6.5.2).
pub(super) mod setting {
    pub(crate) const HEADER_TABLE_SIZE: u16 = 1;
    pub(crate) const ENABLE_PUSH: u16 = 2;
    pub(crate) const MAX_CONCURRENT_STREAMS: u16 = 3;
    pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;
    pub(crate) const MAX_FRAME_SIZE: u16 = 5;
    pub(crate) const MAX_HEADER_LIST_SIZE: u16 = 6;
    /// One that nobody has defined.
    pub(crate) const UNKNOWN: u16 = 0xff;
}

/// Why a stream or a connection ends (§7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Code(pub(super) u32);

impl Code {
    pub(super) const NONE: Self = Self(0);
    pub(super) const PROTOCOL: Self = Self(1);
    pub(super) const FLOW_CONTROL: Self = Self(3);
    pub(super) const STREAM_CLOSED: Self = Self(5);
    pub(super) const FRAME_SIZE: Self = Self(6);
    pub(super) const REFUSED_STREAM: Self = Self(7);
    pub(super) const CANCEL: Self = Self(8);
    pub(super) const COMPRESSION: Self = Self(9);
    /// One that nobody has defined.
    pub(super) const UNKNOWN: Self = Self(0xff);
}

/// Bytes in front of a payload.
pub(super) const HEADER_BYTES: usize = 9;
/// What both sides take at least, and Aya at most (§4.2).
pub(super) const FRAME_BYTES: usize = 1 << 14;
/// The largest window (§6.9.1).
pub(super) const LARGEST_WINDOW: u32 = (1 << 31) - 1;

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// Takes the first frame off what has come, if it is all there.
    pub(super) fn take(input: &mut Vec<u8>) -> Option<Self> {
        let header = input.get(..HEADER_BYTES)?;
        let length = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
        let (kind, flags) = (header[3], header[4]);
        let stream = u32::from_be_bytes([header[5], header[6], header[7], header[8]]);
        let payload = input.get(HEADER_BYTES..HEADER_BYTES + length)?.to_vec();
        input.drain(..HEADER_BYTES + length);
        Some(Self { kind, flags, stream, payload })
    }

    /// Appends it to what goes out.
    pub(crate) fn put(&self, output: &mut Vec<u8>) {
        let length = u32::try_from(self.payload.len()).expect("payloads of cases are small");
        output.extend_from_slice(&length.to_be_bytes()[1..]);
        output.extend_from_slice(&[self.kind, self.flags]);
        output.extend_from_slice(&self.stream.to_be_bytes());
        output.extend_from_slice(&self.payload);
    }

    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag == flag
    }

    /// The code of a RST_STREAM or a GOAWAY.
    pub(super) fn code(&self) -> Option<Code> {
        let at = match self.kind {
            kind::RST_STREAM => 0,
            kind::GOAWAY => 4,
            _ => return None,
        };
        let bytes = self.payload.get(at..at + 4)?;
        Some(Code(u32::from_be_bytes(bytes.try_into().ok()?)))
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 10] = [
            "DATA",
            "HEADERS",
            "PRIORITY",
            "RST_STREAM",
            "SETTINGS",
            "PUSH_PROMISE",
            "PING",
            "GOAWAY",
            "WINDOW_UPDATE",
            "CONTINUATION",
        ];
        let name = NAMES.get(usize::from(self.kind)).unwrap_or(&"UNKNOWN");
        write!(f, "{name} on {} (flags {:#x}, {} bytes", self.stream, self.flags, self.payload.len())?;
        self.code().map_or(Ok(()), |code| write!(f, ", code {}", code.0))?;
        write!(f, ")")
    }
}

/// The payload of a SETTINGS frame.
pub(super) fn settings(pairs: &[(u16, u32)]) -> Vec<u8> {
    pairs.iter().flat_map(|(name, value)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat()).collect()
}

/// The payload of a PRIORITY frame, or what a HEADERS frame begins with. `weight` is one less than the weight that is meant.
pub(super) fn priority(depends_on: u32, weight: u8) -> Vec<u8> {
    [&depends_on.to_be_bytes()[..], &[weight]].concat()
}

/// As [`priority`], with all others of the parent below this one.
pub(super) fn exclusive(depends_on: u32, weight: u8) -> Vec<u8> {
    priority(depends_on | 1 << 31, weight)
}

/// The payload of a GOAWAY frame.
pub(super) fn goaway(last: u32, code: Code, words: &str) -> Vec<u8> {
    [&last.to_be_bytes()[..], &code.0.to_be_bytes(), words.as_bytes()].concat()
}

/// A payload with `said` bytes of padding told in front of it, and `added` behind it.
pub(super) fn padded(payload: &[u8], said: usize, added: usize) -> Vec<u8> {
    let said = u8::try_from(said).expect("a length of padding is one byte");
    [&[said][..], payload, &vec![0; added]].concat()
}
