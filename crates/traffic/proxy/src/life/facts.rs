//! What balancers want to know of requests and answers.

use std::time::Duration;

use base_kit::Moment;
use traffic_balance::{EndpointState, KeySource, LoadReport, ReportUse, hash_key};
use traffic_http::{RequestHead, ResponseHead};
use traffic_route::{any_cookie_value, any_query_value};

use crate::relay::Lookup;

/// The hash of what requests must have in common to go to the same endpoint; `None` if this one does not have it.
pub(crate) fn balance_key(source: &KeySource, request: &RequestHead) -> Option<u64> {
    let mut found = None;
    let mut first = |value: &[u8]| {
        found = Some(hash_key(value.iter().copied()));
        true
    };
    match source {
        KeySource::Path => return Some(hash_key(request.path().iter().copied())),
        KeySource::Host => {
            return Some(hash_key(host_of(request.host()).iter().map(u8::to_ascii_lowercase)));
        }
        KeySource::Header(name) => {
            return request.fields().find(name).map(|value| hash_key(value.iter().copied()));
        }
        KeySource::Cookie(name) => any_cookie_value(&Lookup(request.fields()), name, &mut first),
        KeySource::Query(name) => any_query_value(request.query().unwrap_or_default(), name, &mut first),
    };
    found
}

/// An authority without its port.
pub(super) fn host_of(authority: &[u8]) -> &[u8] {
    let colon = authority.iter().rposition(|&byte| byte == b':').filter(|_| !authority.ends_with(b"]"));
    colon.and_then(|colon| authority.get(..colon)).unwrap_or(authority)
}

/// How long an overloaded endpoint asks to be spared. Dates are not looked at: clocks differ.
pub(super) fn retry_after(answer: &ResponseHead) -> Option<Duration> {
    if !matches!(answer.status(), 429 | 503) {
        return None;
    }
    let seconds = std::str::from_utf8(answer.fields().find("retry-after")?).ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// Learns what an answer tells of its endpoint's load, and takes it out unless the client is to see it.
pub(super) fn note_report(
    answer: &mut ResponseHead,
    wanted: ReportUse,
    endpoint: &EndpointState,
    now: Moment,
) {
    let Some(value) = answer.fields().find(LoadReport::FIELD) else { return };
    if let Some(report) = LoadReport::parse(value) {
        endpoint.learned().utilisation.report(report.resources, now);
    }
    if wanted == ReportUse::Taken {
        answer.fields_mut().remove(LoadReport::FIELD);
    }
}
