//! What can be compared of an exchange: what the endpoint got, and what the client got, fact by fact.

use std::collections::BTreeMap;

use base_testkit::{Fields, Request, Response, checksum};

/// Name of a fact → what it was. `up.…` is what the endpoint got, `down.…` what the client got.
pub(super) type Facts = BTreeMap<String, String>;

/// About one connection, and so different on each.
const OF_THE_CONNECTION: [&str; 3] = ["connection", "transfer-encoding", "keep-alive"];

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Whole,
    Broken,
    Missing,
}

/// What a client got.
#[derive(Debug)]
pub(super) struct Got {
    pub(super) interim: Vec<u16>,
    pub(super) response: Response,
    pub(super) end: End,
}

/// All facts of an exchange, of which the endpoint got these requests.
pub(super) fn facts(got: &Got, requests: &[Request]) -> Facts {
    let mut facts = Facts::new();
    let mut note = |name: &str, value: String| drop(facts.insert(name.to_owned(), value));
    note("down.end", format!("{:?}", got.end));
    let interim: Vec<_> = got.interim.iter().map(ToString::to_string).collect();
    note("down.interim", interim.join(","));
    note("up.count", requests.len().to_string());
    if got.end != End::Missing {
        note("down.status", got.response.status.to_string());
        note("down.stays", got.response.keeps_alive().to_string());
    }
    if got.end == End::Whole {
        note("down.body", sum(&got.response.body));
    }
    if let Some(request) = requests.first() {
        note("up.method", request.method.clone());
        note("up.target", request.target.clone());
        note("up.version", request.version.clone());
        note("up.body", sum(&request.body));
    }
    if got.end != End::Missing {
        fields(&mut facts, "down.field.", &got.response.fields);
        fields(&mut facts, "down.trailer.", &got.response.trailers);
    }
    if let Some(request) = requests.first() {
        fields(&mut facts, "up.field.", &request.fields);
        fields(&mut facts, "up.trailer.", &request.trailers);
    }
    facts
}

/// The values of each name, in the order in which they came.
fn fields(facts: &mut Facts, prefix: &str, fields: &Fields) {
    for (name, value) in &fields.0 {
        let name = name.to_ascii_lowercase();
        if OF_THE_CONNECTION.contains(&name.as_str()) {
            continue;
        }
        let line = format!("[{value}]");
        facts.entry(format!("{prefix}{name}")).and_modify(|known| known.push_str(&line)).or_insert(line);
    }
}

fn sum(body: &[u8]) -> String {
    format!("{} bytes, {}", body.len(), checksum(body))
}
