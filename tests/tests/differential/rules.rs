//! The differences between the proxies that are known, each with its reason.

use super::exchange::{Ends, Exchange, Framing};

/// One of the proxies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Aya,
    Nginx,
    HaProxy,
}

impl Who {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Aya => "Aya",
            Self::Nginx => "nginx",
            Self::HaProxy => "HAProxy",
        }
    }
}

/// From here on HAProxy 2.6 now and then stalls in an answer that follows interim ones.
const LARGE_ANSWER: usize = 10_000;

/// What HAProxy holds of a message.
const BUFFER: usize = 16_384;

impl Who {
    /// Before which final answers its endpoint sends interim ones.
    pub(super) const fn takes_interim(self) -> fn(&Exchange) -> bool {
        match self {
            Self::Aya => |_| true,
            Self::Nginx => |_| false,
            Self::HaProxy => |exchange| exchange.answer.body.len() < LARGE_ANSWER,
        }
    }
}

/// Something that one of them does otherwise than the others.
pub(super) struct Rule {
    pub(super) who: Who,
    pub(super) what: &'static str,
    pub(super) why: &'static str,
    /// Whether a fact of an exchange differs for this reason.
    pub(super) fits: fn(&str, &Exchange) -> bool,
}

pub(super) const RULES: &[Rule] = &[
    Rule {
        who: Who::Aya,
        what: "tells the endpoint who asks: `X-Forwarded-For`, `-Proto`, `-Host`, `Via`, `X-Request-Id`, `traceparent`",
        why: "on unless switched off by `forwarded`, `via`, `request-id`; the others do it when told to",
        fits: |fact, _| {
            let names = [
                "x-forwarded-for",
                "x-forwarded-proto",
                "x-forwarded-host",
                "via",
                "x-request-id",
                "traceparent",
            ];
            fact.strip_prefix("up.field.").is_some_and(|name| names.contains(&name))
        },
    },
    Rule {
        who: Who::Aya,
        what: "adds `Via` and `X-Request-Id` to answers",
        why: "RFC 9110 §7.6.3, and so that a client can name the request when it asks; `via: off` and `request-id: off` end it",
        fits: |fact, _| matches!(fact, "down.field.via" | "down.field.x-request-id"),
    },
    Rule {
        who: Who::Aya,
        what: "sends the path in its normal form",
        why: "what a route was matched with is what the endpoint gets; the others pass on what came, whatever their rules saw",
        fits: |fact, exchange| fact == "up.target" && exchange.target.contains('%'),
    },
    Rule {
        who: Who::Aya,
        what: "sends no more of a request's body when the endpoint has answered in full, and closes the client's connection",
        why: "nobody wants the rest; nginx mostly does the same, HAProxy goes on",
        fits: |fact, exchange| exchange.is_early && (fact.starts_with("up.") || fact == "down.stays"),
    },
    Rule {
        who: Who::Aya,
        what: "breaks off an answer to an HTTP/1.0 client where its endpoint broke it off",
        why: "only the connection's end tells such a client where an answer ends: nginx ends it, and half of it looks whole",
        fits: |fact, exchange| {
            let breaks = exchange.ends == Ends::Within;
            exchange.is_old && breaks && matches!(fact, "down.end" | "down.body")
        },
    },
    Rule {
        who: Who::Nginx,
        what: "passes no trailers",
        why: "version 1.22 drops those of requests and of answers; Aya and HAProxy pass them on",
        fits: |fact, _| fact.starts_with("up.trailer.") || fact.starts_with("down.trailer."),
    },
    Rule {
        who: Who::Nginx,
        what: "sends a chunked body with a length when all of it was there with the head",
        why: "RFC 9112 leaves it open; Aya and HAProxy keep the framing",
        fits: |fact, exchange| {
            fact == "up.field.content-length" && matches!(exchange.request.framing, Framing::Chunks(_))
        },
    },
    Rule {
        who: Who::Nginx,
        what: "answers 100 by itself, and does not tell the endpoint of the expectation",
        why: "Aya and HAProxy leave it to the endpoint, which can refuse before the body is sent",
        fits: |fact, exchange| exchange.expects && matches!(fact, "up.field.expect" | "down.interim"),
    },
    Rule {
        who: Who::Nginx,
        what: "gets no 103 here",
        why: "version 1.22 takes an endpoint's interim answer for the final one",
        fits: |fact, exchange| !exchange.interim.is_empty() && fact == "down.interim",
    },
    Rule {
        who: Who::HaProxy,
        what: "gets no 103 before large answers here",
        why: "version 2.6 now and then stalls in the answer that follows",
        fits: |fact, exchange| {
            let large = exchange.answer.body.len() >= LARGE_ANSWER;
            !exchange.interim.is_empty() && large && fact == "down.interim"
        },
    },
    Rule {
        who: Who::HaProxy,
        what: "closes behind an answer that ended with the endpoint's close",
        why: "Aya and nginx send it in chunks, and keep the client's connection",
        fits: |fact, exchange| fact == "down.stays" && exchange.answer.framing == Framing::UntilClose,
    },
    Rule {
        who: Who::HaProxy,
        what: "now and then answers 400 to trailers behind a large chunked body",
        why: "version 2.6, when its buffer is full as they come; Aya passes them on",
        fits: |_, exchange| !exchange.request.trailers.is_empty() && exchange.request.body.len() >= BUFFER,
    },
    Rule {
        who: Who::HaProxy,
        what: "refuses bodies of GET, HEAD and DELETE in HTTP/1.0 with 413",
        why: "old servers do not expect them; Aya and nginx send the request on in HTTP/1.1, where they are framed",
        fits: |_, exchange| {
            let unexpected = matches!(exchange.method, "GET" | "HEAD" | "DELETE");
            exchange.is_old && unexpected && exchange.request.framing != Framing::None
        },
    },
    Rule {
        who: Who::HaProxy,
        what: "sends chunks to an HTTP/1.0 client, with trailers, and so that it sees when they break off",
        why: "RFC 9112 §6.1: such a client may not know chunks; Aya and nginx send the body up to the close",
        fits: |fact, exchange| {
            let chunked = matches!(exchange.answer.framing, Framing::Chunks(_));
            let differs =
                fact.starts_with("down.trailer.") || matches!(fact, "down.end" | "down.body" | "down.stays");
            exchange.is_old && chunked && differs
        },
    },
    Rule {
        who: Who::HaProxy,
        what: "passes HTTP/1.0 on as such",
        why: "RFC 9110 §2.5: a proxy sends its own version; Aya and nginx do",
        fits: |fact, exchange| fact == "up.version" && exchange.is_old,
    },
];

/// The first rule by which a fact may differ between these two.
pub(super) fn explain(between: [Who; 2], fact: &str, exchange: &Exchange) -> Option<usize> {
    RULES.iter().position(|rule| between.contains(&rule.who) && (rule.fits)(fact, exchange))
}
