//! Reads along what Aya writes to an endpoint: requests, one after the other, each whole and its own.

use std::rc::Rc;
use std::time::Duration;

use base_testkit::Request;

use crate::net::{End, Tap};
use crate::settings::{self, PROBE_PATH};
use crate::wire::{Framing, framing, pattern};
use crate::world::World;

/// An endpoint that is taken out may still be asked by who has chosen it just before: as long as making a connection and a wait for
/// the network's leave take.
const JUST_BEFORE: Duration = Duration::from_millis(1);

/// What Aya writes on one connection to an endpoint.
pub(super) struct RequestTap {
    world: Rc<World>,
    endpoint: u32,
    stage: Stage,
    line: Vec<u8>,
    id: String,
    /// Body bytes so far.
    body: u64,
}

/// What comes next.
enum Stage {
    Head,
    Length(u64),
    ChunkSize,
    ChunkData(u64),
    ChunkEnd,
    Trailers,
}

impl RequestTap {
    pub(super) fn new(world: Rc<World>, endpoint: u32) -> Self {
        Self { world, endpoint, stage: Stage::Head, line: Vec::new(), id: String::new(), body: 0 }
    }

    fn byte(&mut self, end: &End, byte: u8) {
        match self.stage {
            Stage::Head => self.head_byte(end, byte),
            Stage::Length(left) => {
                self.body_byte(byte);
                self.stage = if left > 1 { Stage::Length(left - 1) } else { Stage::Head };
            }
            Stage::ChunkData(left) => {
                self.body_byte(byte);
                self.stage = if left > 1 { Stage::ChunkData(left - 1) } else { Stage::ChunkEnd };
            }
            Stage::ChunkSize | Stage::ChunkEnd | Stage::Trailers => {
                self.line.push(byte);
                if self.line.ends_with(b"\r\n") {
                    self.chunk_line();
                }
            }
        }
    }

    fn chunk_line(&mut self) {
        let line = String::from_utf8_lossy(&self.line).trim_end().to_owned();
        self.line.clear();
        self.stage = match (&self.stage, line.is_empty()) {
            (Stage::ChunkEnd, true) => Stage::ChunkSize,
            (Stage::Trailers, true) => Stage::Head,
            (Stage::Trailers, false) => Stage::Trailers,
            (Stage::ChunkSize, false) => match u64::from_str_radix(&line, 16) {
                Ok(0) => Stage::Trailers,
                Ok(size) => Stage::ChunkData(size),
                Err(_) => {
                    return self
                        .world
                        .violate("whole-requests", format!("{}: a chunk's size: {line:?}", self.id));
                }
            },
            _ => {
                return self.world.violate("whole-requests", format!("{}: a chunk's end: {line:?}", self.id));
            }
        };
    }

    fn body_byte(&mut self, byte: u8) {
        let own = pattern(&self.id, self.body, self.body + 1).next();
        if own != Some(byte) {
            self.world
                .violate("belongs", format!("{}: byte {} of its body is another's", self.id, self.body));
        }
        self.body += 1;
    }

    fn head_byte(&mut self, end: &End, byte: u8) {
        if self.line.is_empty() {
            self.begins(end);
        }
        self.line.push(byte);
        if byte == b'\n' && !self.line[..self.line.len() - 1].contains(&b'\n') {
            self.begun(end);
        }
        if !self.line.ends_with(b"\r\n\r\n") {
            return;
        }
        let head = std::mem::take(&mut self.line);
        let body = Request::parse(&head)
            .map_err(|error| error.to_string())
            .and_then(|request| framing(&request.fields).map_err(|cut| format!("{cut:?}")));
        self.body = 0;
        self.stage = match body {
            Ok(Some(Framing::Chunked)) => Stage::ChunkSize,
            Ok(Some(Framing::Length(length))) if length > 0 => Stage::Length(length),
            Ok(_) => Stage::Head,
            Err(what) => return self.world.violate("whole-requests", format!("{}: {what}", self.id)),
        };
    }

    /// The first byte of a request: the one before must have its answer, and Aya must have read that and nothing behind it.
    fn begins(&self, end: &End) {
        let (link, read) = (end.link, end.totals().1);
        let mut ledger = self.world.ledger.borrow_mut();
        let Some(exchanges) = ledger.upstream.get_mut(&link) else { return };
        let is_free = exchanges.begun == exchanges.answered && read == exchanges.answer_end;
        exchanges.begun += 1;
        let seen = *exchanges;
        drop(ledger);
        let what =
            || format!("a request on link {link} behind one without its answer: {seen:?}, {read} bytes read");
        self.world.check("whole-requests", is_free, what);
    }

    /// The first line is there: it says whose request it is.
    fn begun(&mut self, end: &End) {
        let line = String::from_utf8_lossy(&self.line).into_owned();
        let mut words = line.split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if target == PROBE_PATH {
            // It is answered like any other, but is nobody's.
            self.id = String::new();
            return;
        }
        self.id = target.rsplit('/').next().unwrap_or_default().to_owned();
        let endpoint = self.endpoint;
        let mut ledger = self.world.ledger.borrow_mut();
        let is_reused = ledger.upstream.get(&end.link).is_some_and(|exchanges| exchanges.begun > 1);
        let Some(asked) = ledger.requests.get_mut(&self.id) else {
            drop(ledger);
            return self
                .world
                .violate("belongs", format!("endpoint {endpoint} gets {line:?}, which nobody has sent"));
        };
        let (first, is_same) = (asked.sendings == 0, asked.method == method);
        // While a connection was made, the one that it is bound to may have come back.
        let is_passed_over = first
            && is_reused
            && asked.bound.is_some_and(|bound| bound != endpoint && serves(&self.world, bound));
        asked.sendings += 1;
        asked.was_passed_over |= is_passed_over;
        let may_be_repeated = matches!(asked.method, "GET" | "HEAD" | "PUT");
        ledger.tally.sent_again += u64::from(!first);
        drop(ledger);
        let id = &self.id;
        self.world.note(|| format!("aya sends {id} to endpoint {endpoint}"));
        self.world.check("belongs", is_same, || format!("{id}: sent as {line:?}"));
        let what = || format!("{id}: {method} is sent once more, to endpoint {endpoint}");
        self.world.check("never-doubled", first || may_be_repeated, what);
        if !settings::pool_and_name(endpoint).0.eq(target.split('/').nth(1).unwrap_or_default()) {
            self.world.violate("belongs", format!("{id}: sent to endpoint {endpoint} of another pool"));
        }
    }
}

impl Tap for RequestTap {
    fn written(&mut self, end: &End, bytes: &[u8]) {
        for byte in bytes {
            self.byte(end, *byte);
        }
    }

    fn closed(&mut self, _: &End) {}
}

/// Whether an endpoint may serve the sessions that it has, and could just before.
fn serves(world: &Rc<World>, endpoint: u32) -> bool {
    let (pool, name) = settings::pool_and_name(endpoint);
    let Some(state) = world.pools.pool(pool) else { return false };
    world.since_change() > JUST_BEFORE
        && state.serving_sessions(world.now()).iter().any(|one| one.name() == name)
}

/// An endpoint that may take no traffic gets none.
pub(super) fn check_eligible(world: &Rc<World>, endpoint: u32, what: &str) {
    let (pool, name) = settings::pool_and_name(endpoint);
    let Some(state) = world.pools.pool(pool) else { return };
    let now = world.now();
    let is_it = |one: &str| one == name;
    let may = state.eligible(now).iter().any(|member| is_it(member.state.name()))
        || state.serving_sessions(now).iter().any(|one| is_it(one.name()));
    let has_just_changed = world.since_change() <= JUST_BEFORE;
    world.check("left-alone", may || has_just_changed, || {
        format!("{what} to endpoint {endpoint}, which takes no traffic")
    });
}
