//! Active checks: one thing that is asked each, with keys that have a meaning in it.

use std::sync::Arc;

use crate::check::checker::Checker;
use crate::check::parse;
use crate::document::{self, GrpcService, Status, Switch};
use crate::model::{ActiveCheck, BodyMatch, CheckKind, PoolTls, StatusRange, ValuePattern};
use crate::text::Place;

/// What counts as well when a check names no statuses.
const USUAL_STATUSES: StatusRange = StatusRange { first: 200, last: 299 };

/// The checks of a pool that can be made.
pub(super) fn check(
    checker: &mut Checker<'_>,
    pool: &document::Pool,
    tls: Option<&Arc<PoolTls>>,
    place: &Place<'_>,
) -> Vec<ActiveCheck> {
    let checks = pool.health.iter().enumerate();
    let checks = checks.filter_map(|(index, document)| {
        let place = place.index(index);
        let check = active_check(checker, document, &place)?;
        if document.tls == Some(Switch::On) && pool.tls.is_none() {
            let message = format!("`{place}` asks over TLS, but the pool has no `tls`");
            let help = "write `tls: on` in the pool; it says whose certificates are good";
            checker.key_error("no-tls", message, &place.key("tls"), help);
        }
        let is_over_tls = match check.kind {
            CheckKind::Tls => true,
            CheckKind::Http { .. } | CheckKind::Grpc { .. } => document.tls != Some(Switch::Off),
            _ => false,
        };
        // On a port of its own something else listens, which knows nothing of it.
        let proxy_protocol = pool.proxy_protocol.filter(|_| check.port.is_none()).map(Into::into);
        Some(ActiveCheck { tls: tls.filter(|_| is_over_tls).cloned(), proxy_protocol, ..check })
    });
    checks.collect()
}

fn active_check(
    checker: &mut Checker<'_>,
    check: &document::Check,
    place: &Place<'_>,
) -> Option<ActiveCheck> {
    checker.positive(&[("interval", check.interval), ("timeout", check.timeout)], place);
    let kind = match asked(check).as_slice() {
        [one] => {
            only_what_it_uses(checker, check, one, place);
            check_kind(checker, check, place)
        }
        [first, second, ..] => {
            let message = format!("`{place}` has both `{first}` and `{second}`");
            checker.key_error(
                "two-checks",
                message,
                place,
                "write two checks as a list: `[tcp, {http: /healthz}]`",
            );
            return None;
        }
        [] => {
            if checker.clean {
                let message = format!("`{place}` does not say what is asked");
                checker.key_error("no-check", message, place, "add `http: /healthz` or `tcp: true`");
            }
            return None;
        }
    };
    Some(ActiveCheck {
        kind,
        interval: check.interval.duration(),
        timeout: check.timeout.duration(),
        rise: check.rise,
        fall: check.fall,
        jitter: check.jitter,
        port: check.port,
        tls: None,
        proxy_protocol: None,
    })
}

/// What a check asks, by the keys that say it.
fn asked(check: &document::Check) -> Vec<&'static str> {
    let all = [
        ("tcp", check.tcp.is_some()),
        ("http", check.http.is_some()),
        ("grpc", grpc_service(check).is_some()),
        ("agent", check.agent.is_some()),
        ("exec", check.exec.is_some()),
        ("icmp", check.icmp.is_some()),
        ("udp", check.udp.is_some()),
        // Beside these two it says how they are asked.
        ("tls", check.tls == Some(Switch::On) && check.http.is_none() && grpc_service(check).is_none()),
    ];
    all.into_iter().filter(|(_, given)| *given).map(|(kind, _)| kind).collect()
}

/// The service that is asked about, if one is; empty for the endpoint as a whole.
fn grpc_service(check: &document::Check) -> Option<&str> {
    match check.grpc.as_ref()? {
        GrpcService::Whole(is_asked) => is_asked.then_some(""),
        GrpcService::Named(name) => Some(name),
    }
}

fn check_kind(checker: &mut Checker<'_>, check: &document::Check, place: &Place<'_>) -> CheckKind {
    if let Some(path) = &check.http {
        return http_check(checker, check, path, place);
    }
    if let Some(service) = grpc_service(check) {
        return CheckKind::Grpc { service: service.into(), host: check.host.as_deref().map(Into::into) };
    }
    if check.agent.is_some() {
        return CheckKind::Agent { send: check.send.as_deref().map(Into::into) };
    }
    if let Some(words) = &check.exec {
        return exec_check(checker, words, &place.key("exec"));
    }
    if check.icmp.is_some() {
        return CheckKind::Icmp;
    }
    if let Some(sent) = &check.udp {
        let mut bytes = |text, key| Some(Arc::from(checker.parsed(text, parse::bytes, &place.key(key))?));
        let send = bytes(sent, "udp").unwrap_or_default();
        return CheckKind::Udp {
            send,
            expect: check.expect.as_deref().and_then(|text| bytes(text, "expect")),
        };
    }
    if check.tls == Some(Switch::On) {
        return CheckKind::Tls;
    }
    CheckKind::Tcp
}

fn exec_check(checker: &mut Checker<'_>, words: &[String], place: &Place<'_>) -> CheckKind {
    let program = words.first().map_or("", String::as_str);
    let place_of_program = if words.is_empty() { place } else { &place.index(0) };
    if program.is_empty() {
        let message = format!("`{place}` names no program");
        checker.error("bad-program", message, place_of_program, "write `[/usr/local/bin/check, --quick]`");
    } else if program.contains('/') && !program.starts_with('/') {
        let message = format!("where `{program}` is depends on the folder that Aya was started in");
        checker.error(
            "bad-program",
            message,
            place_of_program,
            "write its whole path, or only its name to look for it in PATH",
        );
    }
    let arguments = words.iter().skip(1).map(|word| word.as_str().into()).collect();
    CheckKind::Exec { program: program.into(), arguments }
}

/// Refuses keys that a check of this kind cannot use.
fn only_what_it_uses(checker: &mut Checker<'_>, check: &document::Check, kind: &str, place: &Place<'_>) {
    let usual = document::Check::default();
    for key in
        ["method", "host", "headers", "status", "body", "send", "expect", "rise", "fall", "port", "tls"]
    {
        let help = match (key, kind) {
            ("send", "agent") => continue,
            ("send", "udp") => "write it behind `udp`: `udp: PING`",
            ("send", _) => "remove it, or check with `agent: true`",
            ("expect", "udp") => continue,
            ("expect", _) => "remove it, or check with `udp: PING`",
            // The usual values may stand: a configuration that is spelled out has them.
            ("rise", "agent") if check.rise != usual.rise => HOLDS_AT_ONCE,
            ("fall", "agent") if check.fall != usual.fall => HOLDS_AT_ONCE,
            ("port", "icmp") => "remove it: an echo request goes to a machine, not to a port",
            ("rise" | "fall" | "port", _) | (_, "http") | ("tls", "tls") | ("tls" | "host", "grpc") => {
                continue;
            }
            _ => "remove it, or check with `http: /healthz`",
        };
        if checker.is_written(&place.key(key)) {
            let message = format!("`{key}` has no meaning in a check with `{kind}`");
            checker.key_error("unused-setting", message, &place.key(key), help);
        }
    }
}

const HOLDS_AT_ONCE: &str = "remove it: what an agent says holds at once";

fn http_check(
    checker: &mut Checker<'_>,
    check: &document::Check,
    path: &str,
    place: &Place<'_>,
) -> CheckKind {
    let headers: Vec<(Arc<str>, Arc<str>)> = check
        .headers
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase().into(), value.as_str().into()))
        .collect();
    if let Some(name) = check.headers.keys().find(|name| name.eq_ignore_ascii_case("host")) {
        let place = place.key("headers");
        checker.key_error(
            "unused-setting",
            "`host` is not set among the headers".to_owned(),
            &place.key(name),
            "write it beside `http`: `host: app.internal`",
        );
    }
    CheckKind::Http {
        method: check.method.as_deref().unwrap_or("GET").into(),
        path: path.into(),
        host: check.host.as_deref().map(Into::into),
        headers,
        statuses: statuses(checker, &check.status, &place.key("status")),
        body: check.body.as_deref().and_then(|body| body_match(checker, body, &place.key("body"))),
    }
}

fn statuses(checker: &mut Checker<'_>, documents: &[Status], place: &Place<'_>) -> Vec<StatusRange> {
    if documents.is_empty() {
        return vec![USUAL_STATUSES];
    }
    let documents = documents.iter().enumerate();
    let range = |(index, status): (usize, &Status)| match status {
        Status::Code(code) => Some(StatusRange { first: *code, last: *code }),
        Status::Range(text) => checker.parsed(text, parse::status_range, &place.index(index)),
    };
    documents.filter_map(range).collect()
}

fn body_match(checker: &mut Checker<'_>, text: &str, place: &Place<'_>) -> Option<BodyMatch> {
    Some(match checker.parsed(text, parse::value_pattern, place)? {
        ValuePattern::Regex(pattern) => BodyMatch::Regex(pattern),
        _ => BodyMatch::Contains(text.into()),
    })
}
