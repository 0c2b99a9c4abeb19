//! gRPC, as far as a gateway has a part in it: how its own failures reach a client that reads statuses of gRPC, and how long that client waits.
//!
//! Sources: "gRPC over HTTP2" (requests, `grpc-timeout`, `grpc-message`) and "gRPC status codes", both in the specification of gRPC.

use std::fmt::Write as _;
use std::time::Duration;

use base_signal::Reason;
use traffic_filter::Answer;
use traffic_http::grpc::{Dialect, MediaType};
use traffic_http::{Fields, Method, RequestHead, ResponseHead, Version};

use crate::failure::{Failure, REASON_FIELD};

/// How long the client waits.
const TIMEOUT_FIELD: &str = "grpc-timeout";
/// The most digits of a timeout.
const MOST_DIGITS: usize = 8;
/// The first number with more.
const MOST_MILLIS: u128 = 100_000_000;

/// The codes that Aya itself answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Code {
    Cancelled = 1,
    DeadlineExceeded = 4,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
}

/// The dialect of a call, if this is one and not only something in the format of one: gRPC itself comes over HTTP/2 alone.
pub(crate) fn call(request: &RequestHead) -> Option<Dialect> {
    if request.method() != Method::Post {
        return None;
    }
    let MediaType { dialect, .. } = request.fields().find("content-type").and_then(MediaType::parse)?;
    (dialect != Dialect::Native || request.version() == Version::Http2).then_some(dialect)
}

/// How long the client of a call waits for its end; `None` if it does not say, or not in a way that can be read.
pub(crate) fn timeout(fields: &Fields) -> Option<Duration> {
    let (unit, digits) = fields.find(TIMEOUT_FIELD)?.split_last()?;
    if !(1..=MOST_DIGITS).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let count: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(match unit {
        b'H' => Duration::from_secs(count * 3_600),
        b'M' => Duration::from_secs(count * 60),
        b'S' => Duration::from_secs(count),
        b'm' => Duration::from_millis(count),
        b'u' => Duration::from_micros(count),
        b'n' => Duration::from_nanos(count),
        _ => return None,
    })
}

/// Has an endpoint know how long the client still waits, where that has said it: what it has waited here is gone.
pub(crate) fn tell_time_left(fields: &mut Fields, left: Duration) {
    if timeout(fields).is_some_and(|wanted| left < wanted) {
        let millis = left.as_millis().max(1);
        let value = if millis < MOST_MILLIS { format!("{millis}m") } else { format!("{}S", left.as_secs()) };
        fields.set(TIMEOUT_FIELD, value.as_bytes());
    }
}

/// The answer to a call that could not be served: a head that is the whole answer ("Trailers-Only").
pub(crate) fn of_failure(failure: &Failure, dialect: Dialect) -> Answer {
    let mut head = ResponseHead::new(200);
    let fields = head.fields_mut();
    fields.set("content-type", &MediaType { dialect, suffix: b"" }.written_as(dialect));
    fields.set("grpc-status", (code_of(failure.reason) as u8).to_string().as_bytes());
    fields.set("grpc-message", percent_encoded(&failure.text()).as_bytes());
    fields.set(REASON_FIELD, failure.reason.word().as_bytes());
    Answer { head, body: [].into() }
}

/// What a client that knows gRPC alone is told. `UNAVAILABLE` is what clients try again, also where a call may have had an effect; so it stands
/// for what had none, and for what was cut off on the way, as it does for clients that lose their connection.
const fn code_of(reason: Reason) -> Code {
    match reason {
        Reason::ClientClosed | Reason::ClientSendTimeout => Code::Cancelled,
        Reason::RequestTimeout
        | Reason::FirstByteTimeout
        | Reason::ResponseTimeout
        | Reason::UpstreamSendTimeout
        | Reason::RequestHeadTimeout
        | Reason::RequestBodyTimeout
        | Reason::IdleTimeout
        | Reason::LifetimeOver => Code::DeadlineExceeded,
        Reason::CertificateRequired | Reason::CrossOrigin => Code::PermissionDenied,
        Reason::HeadTooLarge | Reason::TargetTooLong => Code::ResourceExhausted,
        Reason::NoRoute
        | Reason::VersionNotSupported
        | Reason::MethodNotSupported
        | Reason::TransferCodingNotSupported => Code::Unimplemented,
        Reason::BadRequest
        | Reason::ExpectationFailed
        | Reason::TlsRequired
        | Reason::Internal
        | Reason::BadResponse
        | Reason::ResponseHeadTooLarge => Code::Internal,
        Reason::Misdirected
        | Reason::Overloaded
        | Reason::ShuttingDown
        | Reason::NoEndpoint
        | Reason::ConnectionLimit
        | Reason::QueueTimeout
        | Reason::ConnectFailed
        | Reason::ConnectTimeout
        | Reason::UpstreamTls
        | Reason::UpstreamClosed
        | Reason::ResponseBroken => Code::Unavailable,
    }
}

/// A text as `grpc-message` carries it: all but visible ASCII and blanks percent-encoded, and `%` as well.
fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut encoded, byte| {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(content_type: &str) -> RequestHead {
        let text = format!("POST /shop.Cart/Add HTTP/1.1\r\nhost: a\r\ncontent-type: {content_type}\r\n\r\n");
        let mut request = RequestHead::new();
        request.parse(text.as_bytes(), &traffic_http::HeadLimits::default()).unwrap();
        request.set_version(Version::Http2);
        request
    }

    #[test]
    fn calls_are_told_by_their_media_type() {
        let native = ["application/grpc", "application/grpc+proto", "Application/gRPC;x=y"];
        assert!(native.iter().all(|content_type| call(&request(content_type)) == Some(Dialect::Native)));
        assert_eq!(call(&request("application/grpc-web-text")), Some(Dialect::WebText));
        assert!(
            ["application/grpcx", "application/json", "a"]
                .iter()
                .all(|other| call(&request(other)).is_none())
        );
        let older = |content_type: &str| {
            let mut older = request(content_type);
            older.set_version(Version::Http11);
            call(&older)
        };
        assert_eq!([older("application/grpc"), older("application/grpc-web")], [None, Some(Dialect::Web)]);
    }

    #[test]
    fn timeouts_are_read_and_nonsense_is_not() {
        let of = |value: &str| {
            let mut request = request("application/grpc");
            request.fields_mut().set(TIMEOUT_FIELD, value.as_bytes());
            timeout(request.fields())
        };
        let known =
            [("1H", 3_600_000), ("2M", 120_000), ("3S", 3_000), ("100m", 100), ("99999999m", 99_999_999)];
        for (value, millis) in known {
            assert_eq!(of(value), Some(Duration::from_millis(millis)), "{value}");
        }
        assert_eq!([of("7u"), of("7n")], [7_000, 7].map(|nanos| Some(Duration::from_nanos(nanos))));
        assert_eq!(of("99999999H"), Some(Duration::from_secs(99_999_999 * 3_600)));
        for nonsense in ["", "S", "5", "5s", "-5S", "+5S", "5 S", "999999999S", "1.5S", "ä"] {
            assert_eq!(of(nonsense), None, "{nonsense}");
        }
        assert_eq!(timeout(request("application/grpc").fields()), None);
    }

    #[test]
    fn what_is_left_is_told_where_something_was_said() {
        let after = |said: Option<&str>, left_ms: u64| {
            let mut request = request("application/grpc");
            said.iter().for_each(|said| request.fields_mut().set(TIMEOUT_FIELD, said.as_bytes()));
            tell_time_left(request.fields_mut(), Duration::from_millis(left_ms));
            request.fields().find(TIMEOUT_FIELD).map(|value| String::from_utf8(value.to_vec()).unwrap())
        };
        let is = |said: &str| Some(said.to_owned());
        assert_eq!([after(Some("1S"), 700), after(Some("1S"), 0)], [is("700m"), is("1m")]);
        assert_eq!(after(Some("99H"), 200_000_000), is("200000S"));
        assert_eq!(after(Some("500m"), 700), is("500m"), "the route has more time");
        assert_eq!([after(None, 700), after(Some("soon"), 700)], [None, is("soon")]);
    }

    #[test]
    fn a_failed_call_is_told_in_its_own_words() {
        let answer = of_failure(&Failure::with(Reason::ConnectFailed, "10.1.2.3 refused"), Dialect::Native);
        let field =
            |name: &str| String::from_utf8(answer.head.fields().find(name).unwrap().to_vec()).unwrap();
        assert_eq!((answer.head.status(), answer.body.len()), (200, 0));
        assert_eq!([field("content-type"), field("grpc-status")], ["application/grpc", "14"]);
        assert_eq!(field("x-aya-reason"), "connect-failed");
        let message = field("grpc-message");
        assert!(message.starts_with("502 ") && !message.contains("10.1.2.3"), "{message}");
    }

    #[test]
    fn messages_are_encoded() {
        assert_eq!(percent_encoded("a b~%\n\u{e4}"), "a b~%25%0A%C3%A4");
    }
}
