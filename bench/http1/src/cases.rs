//! What is measured.

use crate::load::Traffic;

/// One kind of traffic.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    /// As given to `--only`.
    pub(crate) name: &'static str,
    /// As shown in tables.
    pub(crate) title: &'static str,
    /// What is sent.
    pub(crate) traffic: fn() -> Traffic,
    /// Whether latency is measured: at every rate for every proxy, which takes its time.
    pub(crate) with_latency: bool,
    /// How many times as many rounds it gets as others.
    pub(crate) more_rounds: usize,
}

/// Rounds of what Aya is held to within a few per cent: single rounds differ by more.
pub(crate) const MORE_ROUNDS: usize = 3;

/// Memory of idle clients; not a kind of traffic, but chosen in the same way.
pub(crate) const IDLE: &str = "idle";
/// Route look-up with few and many hosts; Aya alone.
pub(crate) const HOSTS: &str = "hosts";

/// Every kind of traffic.
pub(crate) const CASES: &[Case] = &[
    case("keepalive-8", "128 B, 8 connections", || Traffic::get("/128", 128, 8)),
    Case {
        with_latency: true,
        more_rounds: MORE_ROUNDS,
        ..case("keepalive-64", "128 B, 64 connections", || Traffic::get("/128", 128, 64))
    },
    Case {
        with_latency: true,
        more_rounds: MORE_ROUNDS,
        ..case("keepalive-512", "128 B, 512 connections", || Traffic::get("/128", 128, 512))
    },
    case("body-64k", "64 KiB, 64 connections", || Traffic::get("/64k", 64 * 1024, 64)),
    case("body-1m", "1 MiB, 16 connections", || Traffic::get("/1m", 1024 * 1024, 16)),
    Case {
        with_latency: true,
        ..case("connect", "connection per request, 64 at once", || {
            Traffic::get("/128", 128, 64).reconnecting()
        })
    },
    case("post-16k", "POST of 16 KiB, 64 connections", || Traffic::post(16 * 1024, 64)),
];

const fn case(name: &'static str, title: &'static str, traffic: fn() -> Traffic) -> Case {
    Case { name, title, traffic, with_latency: false, more_rounds: 1 }
}

/// Whether a case was asked for: all are, unless some are named (by how their names begin).
pub(crate) fn is_chosen(name: &str, only: &[String]) -> bool {
    only.is_empty() || only.iter().any(|wanted| name.starts_with(wanted.as_str()))
}

/// The names of all cases.
pub(crate) fn names() -> Vec<&'static str> {
    CASES.iter().map(|case| case.name).chain([IDLE, HOSTS]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_chosen_by_how_they_begin() {
        let only = ["keepalive".to_owned(), "hosts".to_owned()];
        let chosen: Vec<_> = names().into_iter().filter(|name| is_chosen(name, &only)).collect();
        assert_eq!(chosen, ["keepalive-8", "keepalive-64", "keepalive-512", "hosts"]);
        assert!(is_chosen("anything", &[]));
    }
}
