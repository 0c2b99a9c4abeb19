//! Whether what Aya logged, what the origin saw and what the client got are the same requests, and those that the client framed.

use std::collections::HashMap;
use std::fmt;

use base_testkit::{Response, Seen, SeenBody, checksum};
use serde_json::Value;

use super::play::{Answers, SENTINEL};
use super::table::{Case, End, HOST, Outcome, Wanted};

/// A line of Aya's access log.
#[derive(Clone, Debug)]
pub(super) struct Logged {
    pub(super) listener: String,
    pub(super) id: String,
    pub(super) method: String,
    pub(super) target: String,
    pub(super) status: u16,
    pub(super) reason: String,
    pub(super) attempts: u64,
}

impl Logged {
    pub(super) fn read(line: &str) -> Option<Self> {
        let line: Value = serde_json::from_str(line).ok()?;
        let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
        let query = line["query"].as_str().map(|query| format!("?{query}")).unwrap_or_default();
        Some(Self {
            listener: text("listener"),
            id: text("request_id"),
            method: text("method"),
            target: format!("{}{query}", text("path")),
            status: line["status"].as_u64().and_then(|status| u16::try_from(status).ok())?,
            reason: text("reason"),
            attempts: line["attempts"].as_u64()?,
        })
    }

    pub(super) fn is_forwarded(&self) -> bool {
        self.attempts > 0
    }
}

/// What became of a payload at one origin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Requests that the origin saw as whole.
    pub(super) forwarded: usize,
    /// Of these, what the origin refused on its own.
    pub(super) declined: Vec<u16>,
    pub(super) end: Ending,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Ending {
    #[default]
    Served,
    Closed,
    Refused,
    Cut,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = match self.end {
            Ending::Served => "forwarded",
            Ending::Closed => "forwarded, closed",
            Ending::Refused => "refused",
            Ending::Cut => "cut",
        };
        match (self.forwarded, self.end) {
            (0, _) | (1, Ending::Served | Ending::Closed) => f.write_str(end),
            (count, Ending::Served | Ending::Closed) => write!(f, "{count} {end}"),
            (count, _) => write!(f, "{count} forwarded, then {end}"),
        }
    }
}

/// What was seen of one payload.
pub(super) struct Scene<'a> {
    pub(super) case: &'a Case,
    pub(super) logged: &'a [Logged],
    pub(super) seen: &'a HashMap<String, Vec<Seen>>,
    pub(super) answers: &'a Answers,
}

impl Scene<'_> {
    /// What became of it; else what is different.
    pub(super) fn judge(&self) -> Result<Verdict, String> {
        self.pairs()?;
        let mut faults = Vec::new();
        for outcome in &self.case.allowed {
            match self.fits(outcome) {
                Ok(verdict) => return Ok(verdict),
                Err(fault) => faults.push(fault),
            }
        }
        Err(faults.join("; or "))
    }

    fn fits(&self, outcome: &Outcome) -> Result<Verdict, String> {
        let mut verdict = Verdict { forwarded: outcome.forwarded.len(), ..Verdict::default() };
        let (whole, rest) = self
            .logged
            .split_at_checked(outcome.forwarded.len())
            .ok_or_else(|| format!("fewer requests than the client framed: {:?}", self.logged))?;
        let may_break = outcome.end == End::Any && rest.is_empty();
        for (line, wanted) in whole.iter().zip(&outcome.forwarded) {
            if !self.is_forwarded_whole(line, wanted, may_break)? {
                verdict.declined.push(line.status);
            }
        }
        verdict.end = match (&outcome.end, rest) {
            (End::Any | End::Close, []) => Ending::Closed,
            (End::Open | End::Any, [sentinel]) if sentinel.target == SENTINEL => {
                let wanted = Wanted {
                    method: "GET".to_owned(),
                    target: SENTINEL.to_owned(),
                    host: HOST.to_owned(),
                    body: Vec::new(),
                };
                self.is_forwarded_whole(sentinel, &wanted, false)?;
                Ending::Served
            }
            (End::Refused, [line]) if !line.is_forwarded() && !line.reason.is_empty() => Ending::Refused,
            (End::Cut(wanted), [line]) => {
                self.is_cut(line, wanted)?;
                Ending::Cut
            }
            (end, rest) => return Err(format!("{end:?} expected, but the log goes on with {rest:?}")),
        };
        Ok(verdict)
    }

    /// Whether the origin served it; false if it refused it by itself.
    fn is_forwarded_whole(&self, line: &Logged, wanted: &Wanted, may_break: bool) -> Result<bool, String> {
        let seen = self.seen.get(&line.id).map(Vec::as_slice).unwrap_or_default();
        if line.method != wanted.method || !line.is_forwarded() {
            return Err(format!("{} {} expected, but logged is {line:?}", wanted.method, wanted.target));
        }
        if !line.reason.is_empty() && !may_break {
            return Err(format!("it failed: {line:?}"));
        }
        let [seen] = seen else {
            // What its own parser refuses, an origin need not note; nor what is asked of the server as such.
            let declined = seen.is_empty() && (line.status >= 400 || may_break || wanted.target == "*");
            let told = || format!("seen {} times at the origin: {seen:?}, logged {line:?}", seen.len());
            return if declined { Ok(false) } else { Err(told()) };
        };
        let same = (seen.method.as_str(), unescaped(&seen.target)) == (&wanted.method, wanted.target.clone())
            && (wanted.host.is_empty() || seen.host == wanted.host);
        if !same {
            return Err(format!("framed was {wanted:?}, the origin saw {seen:?}"));
        }
        match &seen.body {
            SeenBody::Whole { length, checksum: sum } => {
                if *length != wanted.body.len() || *sum != checksum(&wanted.body) {
                    return Err(format!("a body of {} bytes, the origin saw {seen:?}", wanted.body.len()));
                }
            }
            SeenBody::Unread => {}
            SeenBody::Broken if may_break => {}
            SeenBody::Broken => return Err(format!("the origin saw a broken body: {seen:?}")),
        }
        Ok(seen.status < 400)
    }

    fn is_cut(&self, line: &Logged, wanted: &Wanted) -> Result<(), String> {
        if line.reason.is_empty() || line.method != wanted.method || line.target != wanted.target {
            return Err(format!(
                "a cut {} {} expected, but logged is {line:?}",
                wanted.method, wanted.target
            ));
        }
        let seen = self.seen.get(&line.id).map(Vec::as_slice).unwrap_or_default();
        match seen {
            [] => Ok(()),
            [one] if !matches!(one.body, SeenBody::Whole { .. }) => Ok(()),
            _ => Err(format!("a request that the client did not end is whole at the origin: {seen:?}")),
        }
    }

    /// Each answer belongs to the request at its place.
    fn pairs(&self) -> Result<(), String> {
        if let Some(fault) = &self.answers.fault {
            return Err(format!("not an answer: {fault}"));
        }
        let answered: Vec<_> = self.logged.iter().filter(|line| line.status > 0).collect();
        if answered.len() != self.answers.all.len() {
            let statuses: Vec<_> = self.answers.all.iter().map(|answer| answer.status).collect();
            return Err(format!("{} answers were logged, the client got {statuses:?}", answered.len()));
        }
        for (line, answer) in answered.into_iter().zip(&self.answers.all) {
            if line.status != answer.status {
                return Err(format!("logged with {}, answered with {}", line.status, answer.status));
            }
            belongs(line, answer)?;
        }
        Ok(())
    }
}

/// Whether an answer says of itself that it answers this request.
pub(super) fn belongs(line: &Logged, answer: &Response) -> Result<(), String> {
    let id = answer.header("x-request-id").unwrap_or_default();
    let saw = answer.header("x-saw").unwrap_or(id);
    if line.is_forwarded() && id != line.id {
        return Err(format!("the answer to {} names {id:?}", line.id));
    }
    if saw == id || saw.is_empty() { Ok(()) } else { Err(format!("the answer to {saw} went to {id}")) }
}

/// A target as it was before a log escaped it.
fn unescaped(target: &str) -> String {
    target.replace("\\\\", "\\").replace("\\\"", "\"")
}
