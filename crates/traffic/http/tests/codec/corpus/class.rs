//! Why Aya reads a case otherwise than its corpus.

use traffic_http::HttpError;

use super::case::{Case, Said, Side};

/// A reason for which Aya reads otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    Lenient,
    EmptyLines,
    Coding,
    TabBesideLength,
    Fragment,
    InvalidHost,
    Asterisk,
    OtherProtocol,
    Connect,
    UpgradeToHttp,
    Trailers,
    LateError,
    UnknownMethod,
    QuotedExtension,
    Callback,
}

impl Class {
    /// A heading, and why it is so.
    pub(crate) fn reason(self) -> (&'static str, &'static str) {
        match self {
            Self::Lenient => (
                "Stricter: nothing is read leniently",
                "The case switches a leniency of the parser on. Aya has none: what two servers could read differently is refused.",
            ),
            Self::EmptyLines => (
                "Stricter: one empty line before a request, none before an answer",
                "RFC 9112 §2.2 wants at least one empty line before a request to be skipped, and just one is. Before an answer none has a place: \
                 what comes between two answers may be the start of one that somebody slipped in.",
            ),
            Self::Coding => (
                "Stricter: one line with `chunked`, and nothing else",
                "A coding below `chunked` would have to be undone or passed on as it is, and a body whose last coding is not `chunked` ends \
                 nobody knows where. RFC 9112 §6.1 lets a server answer 501; an answer of an endpoint gets 502.",
            ),
            Self::TabBesideLength => (
                "Stricter: no tab beside a length",
                "RFC 9110 §5.5 takes a tab for a blank. Servers that do not know that read the length otherwise.",
            ),
            Self::Fragment => (
                "Stricter: no fragment in a target",
                "A fragment never travels (RFC 9112 §3.2 has no place for one), and servers that cut it off route another path than those \
                 that do not. The rest of the case was compared without it.",
            ),
            Self::InvalidHost => (
                "Stricter: a host is a name or an address",
                "User information must not be sent and is to be treated as an error (RFC 9110 §4.2.4); `=` is in no host's name.",
            ),
            Self::Asterisk => (
                "Stricter: `*` is for OPTIONS",
                "RFC 9112 §3.2.4. `PRI *` is the preface of HTTP/2, which is not spoken here; `M-SEARCH *` belongs to SSDP, over UDP.",
            ),
            Self::OtherProtocol => (
                "Not spoken: RTSP, ICE, HTTP/0.9 and versions that do not exist",
                "HTTP/1.0 and HTTP/1.1 are.",
            ),
            Self::Connect => (
                "Not done: CONNECT",
                "The codec reads its head; the engine answers 501 and closes, so nothing behind it is read.",
            ),
            Self::UpgradeToHttp => (
                "Not done: upgrades to HTTP itself",
                "Requests in such a tunnel would pass by every route. The client is served in HTTP/1.1 as if it had not asked (RFC 9110 §7.8 \
                 lets a server ignore it), so what follows is a request.",
            ),
            Self::Trailers => (
                "Safer: some fields are no trailers",
                "RFC 9110 §6.5.1: fields that decide about framing, routing, authentication or the content do not take effect behind it. They are \
                 dropped.",
            ),
            Self::LateError => (
                "Later: what is wrong is said when the head is complete",
                "The case ends in the middle of a head. With the rest of it, Aya refuses it too.",
            ),
            Self::UnknownMethod => (
                "Wider: any token is a method",
                "RFC 9110 §16.1 lets methods be added; which there are is the endpoint's business. llhttp has a list.",
            ),
            Self::QuotedExtension => (
                "Wider: chunk extensions are not looked into",
                "RFC 9112 §7.1.1 has a recipient ignore those that it does not know. Aya drops them, and refuses control characters and too many. \
                 A quote that is open when the line ends cannot carry it on: a CRLF ends the line whatever is in it.",
            ),
            Self::Callback => (
                "Not of HTTP: the caller says that a request has no body",
                "llhttp can be told so by the program around it. A request with a length has a body.",
            ),
        }
    }
}

/// The reason, if it is one that is known.
pub(crate) fn of(case: &Case, ours: &[Said], theirs: &[Said], error: Option<HttpError>) -> Option<Class> {
    use HttpError as E;
    let goes_no_further = matches!(ours.last(), Some(Said::Refused(_) | Said::NotRead));
    match (error, ours.last(), theirs.last()) {
        (Some(E::LeadingBytes), ..) => Some(Class::EmptyLines),
        (Some(E::InvalidTransferEncoding | E::SeveralTransferEncodings), ..)
            if case.side == Side::Response =>
        {
            Some(Class::Coding)
        }
        (Some(E::TransferCodingNotSupported | E::SeveralTransferEncodings), ..) if case.mode.is_empty() => {
            Some(Class::Coding)
        }
        (Some(E::InvalidContentLength), ..) if holds(case, b"\t") => Some(Class::TabBesideLength),
        (Some(E::InvalidHost), ..) => Some(Class::InvalidHost),
        (Some(E::InvalidTarget), ..) if holds(case, b" * ") => Some(Class::Asterisk),
        (Some(E::InvalidStartLine | E::VersionNotSupported), _, theirs)
            if case.mode.is_empty() && is_taken(theirs) =>
        {
            Some(if holds(case, b"Upgrade: HTTP") { Class::UpgradeToHttp } else { Class::OtherProtocol })
        }
        (None, Some(Said::Connect), Some(Said::Switch)) => Some(Class::Connect),
        (None, Some(Said::Unfinished), Some(Said::Refused(_))) => Some(Class::LateError),
        (None, Some(Said::End(_)), Some(Said::End(_))) if only_trailers_differ(ours, theirs) => {
            Some(Class::Trailers)
        }
        (None, Some(Said::End(_)), Some(Said::Refused(_))) if ours.len() == 2 && theirs.len() == 1 => {
            Some(Class::UnknownMethod)
        }
        (None, Some(Said::Data(_)), Some(Said::Refused(_))) if holds(case, b"=\"") => {
            Some(Class::QuotedExtension)
        }
        (None, Some(Said::Data(_)), Some(Said::End(_))) if case.skips_body => Some(Class::Callback),
        _ if case.mode.starts_with("lenient") && goes_no_further => Some(Class::Lenient),
        _ => None,
    }
}

fn is_taken(theirs: Option<&Said>) -> bool {
    !matches!(theirs, Some(Said::Refused(_) | Said::NotRead))
}

fn only_trailers_differ(ours: &[Said], theirs: &[Said]) -> bool {
    ours.len() == theirs.len()
        && ours.iter().zip(theirs).all(|pair| match pair {
            (Said::End(ours), Said::End(theirs)) => ours.iter().all(|field| theirs.contains(field)),
            (ours, theirs) => ours == theirs,
        })
}

fn holds(case: &Case, bytes: &[u8]) -> bool {
    case.input.windows(bytes.len()).any(|window| window == bytes)
}
