//! Connections that are passed on by what their clients ask for in TLS.

use std::collections::HashMap;

use crate::check::checker::{Checker, Names, reference};
use crate::check::parse;
use crate::document;
use crate::model::{HostPattern, PassThrough};
use crate::text::Place;

/// What of the connections of a listener is passed on as it is.
pub(super) fn check(
    checker: &mut Checker<'_>,
    listener: &document::Listener,
    names: &Names<'_>,
    place: &Place<'_>,
) -> Vec<PassThrough> {
    let place = place.key("pass-through");
    if listener.pass_through.is_empty() {
        return Vec::new();
    }
    if listener.protocol == document::Protocol::Udp {
        // Refused as a whole.
        return Vec::new();
    }
    if listener.protocol == document::Protocol::Http && listener.tls.is_none() && checker.clean {
        let message = "what is not passed on here would be served without TLS at the same address".to_owned();
        let help = "add `tls`, or write `protocol: tcp`";
        checker.key_error("needs-tls", message, &place, help);
    }
    let mut seen = HashMap::new();
    let mut out = Vec::new();
    for (index, entry) in listener.pass_through.iter().enumerate() {
        let place = place.index(index);
        let names_place = place.key("server-name");
        let hosts: Vec<_> = entry
            .server_name
            .iter()
            .enumerate()
            .filter_map(|(index, name)| server_name(checker, name, &names_place.index(index)))
            .collect();
        // Names that were refused are not there to tell entries apart.
        let is_whole = hosts.len() == entry.server_name.len();
        let span = place.span(checker.root);
        if is_whole && let Some(first) = seen.insert(conditions(&hosts, &entry.alpn), span) {
            let message =
                "this takes the same connections as another one, so it would never be used".to_owned();
            checker.clash(
                "identical-entries",
                message,
                (&place, first, "the first one"),
                "remove one, or change what it takes",
            );
        }
        let pool = reference(checker, "pool", &entry.pool, &names.pools, &place.key("pool"));
        let alpn = entry.alpn.iter().map(|protocol| protocol.as_str().into()).collect();
        out.extend(pool.map(|pool| PassThrough { names: hosts, alpn, pool }));
    }
    out
}

/// A name as clients ask for it; the first stage has checked its form.
fn server_name(checker: &mut Checker<'_>, text: &str, place: &Place<'_>) -> Option<HostPattern> {
    let pattern = checker.parsed(text, parse::host_pattern, place)?;
    let is_address = |name: &str| {
        let name = name.trim_start_matches('[').trim_end_matches(']');
        name.parse::<std::net::IpAddr>().is_ok()
    };
    match &pattern {
        HostPattern::Exact(name) if is_address(name) => {
            let message = format!("clients do not ask for addresses such as `{text}` in TLS");
            let help = "write a name, or leave `server-name` away to take every connection over TLS";
            checker.error("bad-value", message, place, help);
            None
        }
        _ => Some(pattern),
    }
}

/// A text that is the same for entries that take the same connections.
fn conditions(names: &[HostPattern], alpn: &[String]) -> String {
    let mut names: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
    let mut alpn = alpn.to_vec();
    for list in [&mut names, &mut alpn] {
        list.sort_unstable();
        list.dedup();
    }
    format!("{names:?} {alpn:?}")
}
