//! The differential as a page, and as the message of a failure.

use std::fmt::Write as _;

use super::Tally;
use super::exchange::Exchange;
use super::rules::{RULES, Who};

/// Longest part of a value that is shown.
const SHOWN: usize = 120;
/// Most differences that are shown.
const MOST: usize = 60;

const HOW: &str = "\
Exchanges are drawn from a seed: methods, paths and queries, fields in odd case and several of one name, bodies with a length, in chunks \
of many sizes, with trailers or up to the close, codings of content, HTTP/1.0 and 1.1, pipelined or in turn, `Expect: 100-continue`, 103, answers \
before the body was read, HEAD, 204 and 304, peers that send drop by drop, endpoints that close behind or within their answer, and upgrades. Each is played \
through Aya, nginx and HAProxy to an endpoint of the same script. Compared is, fact by fact, what the endpoint got (method, target, all \
values of each field in order, body, trailers, how often) and what the client got (status, fields, body, trailers, interim answers, whether it came \
whole, whether the connection stays). Fields about one connection are left out. `AYA_SEED` chooses other exchanges.
";

/// All of it, as Markdown.
pub(super) fn page(seen: &str, tally: &Tally) -> String {
    let mut text = format!(
        "{HOW}\nThis run: {seen}.\n\n## Known differences\n\n| who | what it does | why | facts |\n|---|---|---|---|\n"
    );
    for (rule, count) in RULES.iter().zip(&tally.explained) {
        let _ = writeln!(text, "| {} | {} | {} | {count} |", rule.who.name(), rule.what, rule.why);
    }
    if !tally.others_alone.is_empty() {
        let alone = shown(&tally.others_alone);
        let _ = write!(
            text,
            "\n## Where another stood alone\n\nNo rule explains these, and the third proxy does as Aya does.\n\n```\n{alone}\n```\n"
        );
    }
    if !tally.unknown.is_empty() {
        let _ = write!(text, "\n## Other differences\n\n```\n{}\n```\n", shown(&tally.unknown));
    }
    text
}

/// One difference, with what is needed to understand it.
pub(super) fn difference(
    exchange: &Exchange,
    fact: &str,
    own: Option<&String>,
    peer: Who,
    theirs: Option<&String>,
) -> String {
    let cut = |value: Option<&String>| {
        value.map_or_else(
            || "nothing".to_owned(),
            |value| format!("{:?}", value.chars().take(SHOWN).collect::<String>()),
        )
    };
    format!("{fact}: Aya {}, {} {}   [{}]", cut(own), peer.name(), cut(theirs), exchange.summary())
}

/// The first of them.
pub(super) fn shown(differences: &[String]) -> String {
    differences.iter().take(MOST).map(String::as_str).collect::<Vec<_>>().join("\n")
}
