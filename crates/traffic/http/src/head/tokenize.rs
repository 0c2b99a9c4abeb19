//! From bytes to tokens: httparse, and what it is too lenient for.
//!
//! Heads come here that the quick way (`Fields::read`) did not take: unusual ones, incomplete ones, wrong ones. Here is
//! decided what is wrong with them.
//!
//! httparse accepts lines that end with a bare LF, any number of leading empty lines and non-ASCII targets. The first
//! is closed by comparing where its tokens lie (`Fields::load`), which costs one comparison per line; the others by
//! looking. It refuses by itself: bare CR, control characters, folded lines, blanks around names, several blanks in
//! the start line.

use std::mem::MaybeUninit;

use httparse::Header;

use super::HeadLimits;
use crate::HttpError;
use crate::fields::{field_error, is_token};
use crate::limits::STACK_FIELDS;

/// What httparse writes field lines into.
pub(super) type Slots<'input> = [MaybeUninit<Header<'input>>];

/// Runs `tokenize` with enough slots.
#[inline]
pub(super) fn with_slots<'input, T>(
    limits: &HeadLimits,
    mut tokenize: impl FnMut(&mut Slots<'input>) -> Result<T, HttpError>,
) -> Result<T, HttpError> {
    let mut slots = [const { MaybeUninit::uninit() }; STACK_FIELDS];
    let outcome = tokenize(slots.get_mut(..limits.max_fields.min(STACK_FIELDS)).unwrap_or_default());
    if limits.max_fields <= STACK_FIELDS || !matches!(outcome, Err(HttpError::TooManyFields)) {
        return outcome;
    }
    let mut slots = Vec::with_capacity(limits.max_fields);
    slots.resize_with(limits.max_fields, MaybeUninit::uninit);
    tokenize(&mut slots)
}

/// What was already looked at of a head that is still growing.
///
/// Tokenising starts over each time, so it is only done when it is due: at first, when the head's end has come, when
/// the input has doubled, and at the limit. The cost of a head that drips in stays linear.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    searched: usize,
    tokenized: usize,
}

impl Progress {
    /// Whether `input` should be tokenised now.
    #[inline]
    pub(super) fn is_due(&mut self, input: &[u8], limits: &HeadLimits) -> bool {
        let length = input.len();
        let is_due = self.tokenized == 0
            || length >= self.tokenized.saturating_mul(2)
            || length >= limits.max_head_bytes
            || has_head_end(input, self.searched);
        self.searched = length;
        if is_due {
            self.tokenized = length;
        }
        is_due
    }
}

/// Whether an empty line ends at or after `from`. A line that ends with LF alone counts, to be refused by name.
fn has_head_end(input: &[u8], from: usize) -> bool {
    let fresh = input.get(from..).unwrap_or_default();
    memchr::memchr_iter(b'\n', fresh).any(|at| {
        let before = input.get(..from + at).unwrap_or_default();
        before.ends_with(b"\n") || before.ends_with(b"\n\r")
    })
}

/// The part of the input that may hold a head.
pub(super) fn window<'input>(input: &'input [u8], limits: &HeadLimits) -> &'input [u8] {
    input.get(..limits.max_head_bytes).unwrap_or(input)
}

/// What a head that is not complete yet means: wait, or it is too large.
pub(super) fn incomplete<T>(input: &[u8], limits: &HeadLimits) -> Result<Option<T>, HttpError> {
    if input.len() >= limits.max_head_bytes { Err(HttpError::HeadTooLarge) } else { Ok(None) }
}

/// How many bytes of an empty line precede the request line: at most one line is skipped (RFC 9112 §2.2).
#[inline]
pub(super) fn leading_empty_line(window: &[u8]) -> Result<usize, HttpError> {
    match window {
        [b'\r', b'\n', b'\r' | b'\n', ..] | [b'\n', ..] => Err(HttpError::LeadingBytes),
        [b'\r', b'\n', ..] => Ok(2),
        [b'\r'] => Ok(0),
        [b'\r', ..] => Err(HttpError::LeadingBytes),
        _ => Ok(0),
    }
}

/// A record of type handshake: no method begins like that.
const TLS_HANDSHAKE: &[u8] = &[22];

/// Names what is wrong with a request head.
#[cold]
pub(super) fn request_error(head: &[u8], error: httparse::Error) -> HttpError {
    match error {
        httparse::Error::Token if head.starts_with(TLS_HANDSHAKE) => HttpError::TlsHandshake,
        httparse::Error::Token => {
            let (method, rest) = split_at_blank(head);
            match (is_token(method), rest) {
                (false, _) => HttpError::InvalidMethod,
                (true, [b' ' | b'\r' | b'\n', ..]) => HttpError::InvalidStartLine,
                (true, rest) => {
                    let (target, _) = split_at_blank(rest);
                    // A target followed by the line's end: HTTP/0.9.
                    let ends_early = target.iter().find(|byte| byte.is_ascii_control());
                    if matches!(ends_early, Some(b'\r' | b'\n')) {
                        HttpError::InvalidStartLine
                    } else {
                        HttpError::InvalidTarget
                    }
                }
            }
        }
        httparse::Error::Version => {
            let (_, rest) = split_at_blank(head);
            let (_, version) = split_at_blank(rest);
            version_error(version)
        }
        other => field_error(other),
    }
}

/// Names what is wrong with a response head.
#[cold]
pub(super) fn response_error(head: &[u8], error: httparse::Error) -> HttpError {
    match error {
        httparse::Error::Version => version_error(head),
        other => field_error(other),
    }
}

fn version_error(version: &[u8]) -> HttpError {
    let is_known = version.starts_with(b"HTTP/1.1") || version.starts_with(b"HTTP/1.0");
    match version {
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', ..] if !is_known => HttpError::VersionNotSupported,
        _ => HttpError::InvalidStartLine,
    }
}

/// Whether the target, complete or not, is longer than the limit, so that the answer can say so.
#[cold]
pub(super) fn has_long_target(head: &[u8], limits: &HeadLimits) -> bool {
    let (method, rest) = split_at_blank(head);
    let length = rest.iter().position(|&byte| byte <= b' ' || byte == 0x7f).unwrap_or(rest.len());
    is_token(method) && length > limits.max_target_bytes
}

/// The parts before and after the first space.
fn split_at_blank(line: &[u8]) -> (&[u8], &[u8]) {
    let length = line.iter().position(|&byte| byte == b' ').unwrap_or(line.len());
    let (before, after) = line.split_at(length);
    (before, after.get(1..).unwrap_or_default())
}
