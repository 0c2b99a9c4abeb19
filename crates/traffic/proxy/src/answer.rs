//! Answers that Aya gives by itself: handlers' and failures'.

use std::cell::RefCell;

use base_kit::Clock;
use traffic_filter::Answer;
use traffic_http::{Framing, KnownField, Method, ResponseHead, Version};

use crate::failure::{Failure, REASON_FIELD};

/// The present time as HTTP writes it, made once a second.
#[derive(Default)]
pub(crate) struct DateCache(RefCell<(u64, String)>);

impl DateCache {
    /// Writes the date into a head, unless it has one.
    pub(crate) fn put(&self, head: &mut ResponseHead, clock: &dyn Clock) {
        if head.fields().has(KnownField::Date) {
            return;
        }
        let now = clock.since_epoch();
        let (second, text) = &mut *self.0.borrow_mut();
        if *second != now.as_secs() || text.is_empty() {
            *second = now.as_secs();
            *text = httpdate::fmt_http_date(std::time::UNIX_EPOCH + now);
        }
        head.fields_mut().set("date", text.as_bytes());
    }
}

/// The answer to a request that could not be served. It names nothing internal; what the client can mend, it is told.
pub(crate) fn of_failure(failure: &Failure) -> Answer {
    let mut head = ResponseHead::new(failure.reason.status());
    let fields = head.fields_mut();
    fields.set("content-type", b"text/plain; charset=utf-8");
    fields.set("cache-control", b"no-store");
    fields.set(REASON_FIELD, failure.reason.word().as_bytes());
    let body = failure.text() + "\n";
    Answer { head, body: body.into_bytes().into() }
}

/// Frames an answer and writes it out.
pub(crate) fn encode(answer: &mut Answer, method: Method, version: Version, close: bool, out: &mut Vec<u8>) {
    let has_body = frame(answer, method);
    put_connection(&mut answer.head, version, close);
    answer.head.encode(out);
    if has_body {
        out.extend_from_slice(&answer.body);
    }
}

/// Tells in an answer's head how long its body is. False if that is left away, where the request or the status allows none.
pub(crate) fn frame(answer: &mut Answer, method: Method) -> bool {
    let is_bodiless = matches!(answer.head.status(), 100..=199 | 204 | 304);
    if !is_bodiless {
        let mut length = [0; 20];
        answer.head.fields_mut().set("content-length", decimal(answer.body.len(), &mut length));
    }
    !is_bodiless && method != Method::Head
}

/// Says whether the connection stays, where the version's default does not say it already, and has a word for it.
pub(crate) fn put_connection(head: &mut ResponseHead, version: Version, close: bool) {
    if version == Version::Http2 {
        return;
    }
    if close {
        head.fields_mut().set("connection", b"close");
    } else if version == Version::Http10 {
        head.fields_mut().set("connection", b"keep-alive");
    }
}

/// How an answer's body is framed for a client of this version.
pub(crate) fn client_framing(upstream: Framing, version: Version) -> Framing {
    match (upstream, version) {
        (Framing::Chunked | Framing::UntilClose, Version::Http11) => Framing::Chunked,
        (Framing::Chunked | Framing::UntilClose, Version::Http10 | Version::Http2) => Framing::UntilClose,
        (framing, _) => framing,
    }
}

/// Writes a number in decimal, without allocating.
fn decimal(mut number: usize, digits: &mut [u8; 20]) -> &[u8] {
    let mut start = digits.len();
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        start -= 1;
        if number == 0 {
            break;
        }
    }
    digits.get(start..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use base_signal::Reason;

    use super::*;

    #[test]
    fn numbers_are_written_in_decimal() {
        let mut digits = [0; 20];
        assert_eq!(decimal(0, &mut digits), b"0");
        assert_eq!(decimal(1_234_567_890, &mut digits), b"1234567890");
        assert_eq!(decimal(usize::MAX, &mut digits), usize::MAX.to_string().as_bytes());
    }

    #[test]
    fn a_failure_says_why_but_nothing_internal() {
        let failure = Failure::with(Reason::ConnectFailed, "connection to 10.1.2.3:80 refused");
        let mut answer = of_failure(&failure);
        let mut out = Vec::new();
        encode(&mut answer, Method::Get, Version::Http11, false, &mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("HTTP/1.1 502 "), "{text}");
        assert!(text.contains("x-aya-reason: connect-failed\r\n"), "{text}");
        assert!(!text.contains("10.1.2.3"), "{text}");
    }

    #[test]
    fn what_the_fields_of_an_answer_say_changes_nothing_about_its_body() {
        let mut head = ResponseHead::new(200);
        head.fields_mut().set("grpc-status", b"0");
        let mut answer = Answer { head, body: b"body".to_vec().into() };
        let mut out = Vec::new();
        encode(&mut answer, Method::Get, Version::Http11, false, &mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("content-length: 4\r\n") && text.ends_with("\r\n\r\nbody"), "{text}");
    }

    #[test]
    fn an_answer_to_head_has_the_length_but_no_body() {
        let mut answer = of_failure(&Reason::NoRoute.into());
        let length = answer.body.len();
        let mut out = Vec::new();
        encode(&mut answer, Method::Head, Version::Http10, true, &mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.contains(&format!("content-length: {length}\r\n")) && text.ends_with("\r\n\r\n"),
            "{text}"
        );
        assert!(text.contains("connection: close\r\n"), "{text}");
    }
}
