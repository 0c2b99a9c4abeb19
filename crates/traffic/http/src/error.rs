//! What can be wrong with a message.

use thiserror::Error;

/// Why bytes were refused, or could not be framed. The text says what is wrong; whose fault it is depends on the
/// role and is decided by the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HttpError {
    /// Size of a head (start line and fields).
    #[error("the head is larger than the limit")]
    HeadTooLarge,
    /// Number of field lines.
    #[error("the head has more fields than the limit")]
    TooManyFields,
    /// Size of the request target.
    #[error("the request target is longer than the limit")]
    TargetTooLong,

    /// More than one empty line, or anything but CRLF, before a request line.
    #[error("there is something before the start line")]
    LeadingBytes,
    /// RFC 9112 §2.2: lines end with CRLF.
    #[error("a line does not end with CRLF")]
    InvalidLineEnd,
    /// The first bytes of a TLS handshake (RFC 8446 §5.1).
    #[error("this is TLS, and the port speaks plain HTTP")]
    TlsHandshake,
    /// The method is empty, no token, or a known one in other letters than capitals.
    #[error(
        "the method is empty, is a known one that is not in capitals, or has a character that it must not have"
    )]
    InvalidMethod,
    /// The target is empty, of no known form, or has a character that must not be there.
    #[error("the request target is invalid")]
    InvalidTarget,
    /// The start line is built otherwise than RFC 9112 §3 and §4 say.
    #[error("the start line is malformed")]
    InvalidStartLine,
    /// An HTTP version other than 1.0 and 1.1.
    #[error("the HTTP version is neither 1.0 nor 1.1")]
    VersionNotSupported,
    /// Status not three digits in 100–599, or a reason phrase with control characters.
    #[error("the status line has an invalid status or reason phrase")]
    InvalidStatus,
    /// Empty, with a character that is no token character, folded, or with blanks before the colon.
    #[error("a field name is empty or has a character that it must not have, or the line is folded")]
    InvalidFieldName,
    /// Control characters, a bare CR among them.
    #[error("a field value has a control character")]
    InvalidFieldValue,
    /// For instance `Content_Length`: what some servers read as the framing field.
    #[error("a field name looks like a framing field but is none")]
    AmbiguousFieldName,

    /// RFC 9112 §3.2: HTTP/1.1 requests name their host.
    #[error("the Host field is missing")]
    MissingHost,
    /// RFC 9112 §3.2: exactly one.
    #[error("there is more than one Host field")]
    SeveralHosts,
    /// Empty, with userinfo, an invalid port or a character that hosts do not have.
    #[error("the host is invalid")]
    InvalidHost,

    /// Not a plain row of digits.
    #[error("Content-Length is not a plain number")]
    InvalidContentLength,
    /// Repetition is refused even when the values agree: what counts it differs between servers, and no honest
    /// sender does it.
    #[error("Content-Length is repeated")]
    SeveralContentLengths,
    /// A length that does not fit 63 bits.
    #[error("a length is too large to be counted")]
    LengthOverflow,
    /// RFC 9112 §6.1: the sign of a smuggling attempt.
    #[error("both Content-Length and Transfer-Encoding are present")]
    LengthAndTransferEncoding,
    /// RFC 9112 §6.3: `chunked` is not the last coding, or not there just once, so that nobody knows where the body ends.
    #[error("Transfer-Encoding does not end with exactly one `chunked`")]
    InvalidTransferEncoding,
    /// Other codings below a final `chunked`.
    #[error("Transfer-Encoding has another coding than `chunked`")]
    TransferCodingNotSupported,
    /// More than one Transfer-Encoding field line.
    #[error("there is more than one Transfer-Encoding field")]
    SeveralTransferEncodings,
    /// RFC 9112 §6.1: a 1.0 peer cannot know it.
    #[error("Transfer-Encoding in an HTTP/1.0 message")]
    TransferEncodingInHttp10,
    /// Anything but `100-continue`.
    #[error("the expectation is not 100-continue")]
    ExpectationFailed,

    /// Not 1 to 16 hexadecimal digits, followed by CRLF or `;`.
    #[error("a chunk size is malformed")]
    InvalidChunkSize,
    /// A control character in a chunk extension.
    #[error("a chunk extension is malformed")]
    InvalidChunkExtension,
    /// One is too long, or there are too many for so little data.
    #[error("chunk extensions are larger than the limit")]
    ChunkExtensionsTooLarge,
    /// Chunk data not followed by CRLF.
    #[error("chunk data is not followed by CRLF")]
    InvalidChunkEnd,
    /// Bytes or number of trailer fields.
    #[error("the trailer section is larger than the limit")]
    TrailersTooLarge,
    /// The peer closed in the middle of a body.
    #[error("the body ended before its time")]
    UnexpectedEnd,

    /// More data than Content-Length announced, or data where there must be none.
    #[error("the body to send is longer than announced")]
    BodyTooLong,
    /// Less data than Content-Length announced.
    #[error("the body to send is shorter than announced")]
    BodyTooShort,
}
