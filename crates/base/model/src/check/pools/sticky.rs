//! Stickiness: cookies that clients accept, secrets that are there, tables of a size.

use std::time::Duration;

use base_kit::TimeSpan;

use crate::check::checker::Checker;
use crate::check::operation;
use crate::document;
use crate::limits::{MAX_STICKY_KEYS, MAX_STICKY_TTL, MIN_STICKY_KEY_BYTES, MIN_STICKY_TTL};
use crate::model::{
    SameSite, Secret, SessionLimits, SessionName, Sticky, StickyCookie, StickyLearn, StickySource,
};
use crate::text::Place;

/// What sessions are known by; `None` if it cannot be had.
pub(super) fn check(
    checker: &mut Checker<'_>,
    sticky: &document::Sticky,
    place: &Place<'_>,
) -> Option<Sticky> {
    Some(match sticky {
        document::Sticky::Cookie(cookie) => Sticky::Cookie(own_cookie(checker, cookie, place)?),
        document::Sticky::Source(source) => Sticky::Source(StickySource {
            prefix: source.source.prefix,
            prefix6: source.source.prefix6,
            limits: limits(checker, source.ttl, source.max, place),
        }),
        document::Sticky::Learn(learn) => Sticky::Learn(StickyLearn {
            from: session_name(checker, &learn.learn, &place.key("learn")),
            limits: limits(checker, learn.ttl, learn.max, place),
        }),
    })
}

fn own_cookie(
    checker: &mut Checker<'_>,
    cookie: &document::StickyCookie,
    place: &Place<'_>,
) -> Option<StickyCookie> {
    if let Some(max_age) = cookie.max_age
        && max_age.duration() < Duration::from_secs(1)
    {
        let message = format!("`{max_age}` is too short: clients count in seconds");
        checker.error("bad-cookie", message, &place.key("max-age"), "write at least `1s`");
    }
    if cookie.same_site == document::SameSite::None && !cookie.secure {
        checker.error(
            "bad-cookie",
            "clients refuse a cookie with `same-site: none` that is not `secure`".to_owned(),
            &place.key("same-site"),
            "add `secure: true`, or write `lax`",
        );
    }
    check_prefix(checker, cookie, &place.key("cookie"));
    let keys = keys(checker, &cookie.keys, place);
    Some(StickyCookie {
        name: cookie.cookie.as_str().into(),
        keys: keys?,
        max_age: cookie.max_age.map(TimeSpan::duration),
        path: cookie.path.as_str().into(),
        domain: cookie.domain.as_deref().map(Into::into),
        secure: cookie.secure,
        http_only: cookie.http_only,
        same_site: match cookie.same_site {
            document::SameSite::Strict => SameSite::Strict,
            document::SameSite::Lax => SameSite::Lax,
            document::SameSite::None => SameSite::None,
        },
    })
}

/// Clients refuse a cookie whose name promises what its attributes do not hold (RFC 6265bis §4.1.3).
fn check_prefix(checker: &mut Checker<'_>, cookie: &document::StickyCookie, place: &Place<'_>) {
    let begins = |prefix: &str| {
        cookie.cookie.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    let (prefix, help) = if begins("__Host-") {
        if cookie.secure && cookie.path == "/" && cookie.domain.is_none() {
            return;
        }
        ("__Host-", "add `secure: true`, with `path: /` and without `domain`; or take another name")
    } else if begins("__Secure-") && !cookie.secure {
        ("__Secure-", "add `secure: true`, or take another name")
    } else {
        return;
    };
    let message = format!("clients refuse this cookie: its name begins with `{prefix}`");
    checker.error("bad-cookie", message, place, help);
}

/// The secrets that sign a cookie; `None` if one cannot be had.
fn keys(
    checker: &mut Checker<'_>,
    sources: &[document::SecretSource],
    place: &Place<'_>,
) -> Option<Vec<Secret>> {
    if sources.is_empty() && checker.clean {
        checker.warning(
            "no-sticky-keys",
            format!(
                "`{place}` has no `keys`: sessions end with the process, and other nodes do not know them"
            ),
            place,
            "add `keys: [{env: AYA_STICKY_KEY}]` or `keys: [{file: …}]`",
        );
    }
    let wanted =
        operation::KeysWanted { most: MAX_STICKY_KEYS, least_bytes: MIN_STICKY_KEY_BYTES, to: "sign" };
    operation::keys(checker, sources, wanted, &place.key("keys"))
}

fn session_name(checker: &mut Checker<'_>, from: &document::LearnFrom, place: &Place<'_>) -> SessionName {
    match from {
        document::LearnFrom::Cookie(name) => SessionName::Cookie(name.as_str().into()),
        document::LearnFrom::Header(name) => {
            let name = name.to_ascii_lowercase();
            if matches!(name.as_str(), "cookie" | "set-cookie") {
                checker.error(
                    "bad-session-name",
                    format!("all cookies together, in `{name}`, name no session"),
                    &place.key("header"),
                    "name the cookie: `learn: {cookie: JSESSIONID}`",
                );
            }
            SessionName::Header(name.into())
        }
        document::LearnFrom::Quic => SessionName::ConnectionId,
    }
}

fn limits(checker: &mut Checker<'_>, ttl: TimeSpan, max: u32, place: &Place<'_>) -> SessionLimits {
    let span = ttl.duration();
    if !(MIN_STICKY_TTL..=MAX_STICKY_TTL).contains(&span) {
        let message = format!("sessions cannot be kept for `{ttl}`");
        checker.error("bad-limit", message, &place.key("ttl"), "write `1s` to `365d`");
    }
    SessionLimits { ttl: span, max }
}
