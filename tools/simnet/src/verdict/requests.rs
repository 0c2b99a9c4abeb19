//! What became of each request: what its client, the endpoints and Aya's own record say must agree.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use base_model::model::{Listener, Pool, Route, Sticky};
use base_signal::Reason;
use traffic_proxy::{After, Decision, DecisionQuery, Engine, Fault};

use crate::ledger::{Answer, Asked, ClientFault, Ended, Ledger};
use crate::settings;
use crate::world::World;

/// The runtime's clock ticks in milliseconds, and what falls together may wait for one tick more.
const TICK: Duration = Duration::from_millis(2);
/// With smaller pieces, what was sent of a request may be too little to tell whose it is.
const TELLING_PIECE: usize = 200;
/// Times for getting on that sending an answer of Aya's own takes at most in smaller pieces.
const SPOONFULS: u32 = 8;

/// Judges all requests.
pub(crate) fn judge(world: &Rc<World>, engine: &Engine) {
    let mut records: BTreeMap<String, Vec<Decision>> = BTreeMap::new();
    let query = DecisionQuery { limit: usize::MAX, ..DecisionQuery::default() };
    for record in engine.recall(&query) {
        let id =
            String::from_utf8_lossy(record.path().rsplit(|byte| *byte == b'/').next().unwrap_or_default())
                .into_owned();
        if let Some(reason) = record.reason {
            *world.ledger.borrow_mut().tally.reasons.entry(reason.word()).or_default() += 1;
        }
        records.entry(id).or_default().push(record);
    }
    let ledger = world.ledger.take();
    let judgement = Judgement { world, ledger: &ledger };
    let mut found = Vec::new();
    for (id, asked) in &ledger.requests {
        let records = records.get(id).map_or(&[][..], Vec::as_slice);
        judgement.request(id, asked, records, &mut found);
    }
    let checks = ledger.requests.len() as u64 * 8;
    *world.ledger.borrow_mut() = ledger;
    world.ledger.borrow_mut().tally.checks += checks;
    for (invariant, what) in found {
        world.violate(invariant, what);
    }
}

struct Judgement<'a> {
    world: &'a Rc<World>,
    ledger: &'a Ledger,
}

type Found = Vec<(&'static str, String)>;

impl Judgement<'_> {
    fn request(&self, id: &str, asked: &Asked, records: &[Decision], found: &mut Found) {
        let mut find = |invariant, what: String| found.push((invariant, format!("{id}: {what}")));
        if records.len() > 1 {
            return find("recorded-once", format!("{} records", records.len()));
        }
        let record = records.first();
        match asked.answers.as_slice() {
            [] => {
                if let Err(what) = self.unanswered(id, asked, record) {
                    find("answered-once", what);
                }
            }
            [answer] => {
                // Whose a head is that has not come whole, nobody can tell.
                let is_late = answer.reason.as_deref() == Some(Reason::RequestHeadTimeout.word());
                let is_nameless = record.is_none() && is_late && (asked.is_slow || asked.sent.is_none());
                if let (Err(what), false) = (agree(answer, record), is_nameless) {
                    find("recorded-once", what);
                }
            }
            several => find("answered-once", format!("{} answers", several.len())),
        }
        if let Some(record) = record {
            let checks = [
                ("retry-elsewhere", tried_elsewhere(record)),
                ("in-time", self.in_time(asked, record)),
                ("needless-failure", self.needed(asked, record)),
                ("session-kept", self.kept_session(asked, record)),
            ];
            for (invariant, result) in checks {
                if let Err(what) = result {
                    find(invariant, what);
                }
            }
        }
        if self.world.scenario.is_calm() && !self.succeeded(asked) {
            find(
                "needless-failure",
                format!("in a calm world: {:?}, recorded {:?}", asked.answers, record.map(outcome)),
            );
        }
    }

    /// Why there may be no answer.
    fn unanswered(&self, id: &str, asked: &Asked, record: Option<&Decision>) -> Result<(), String> {
        let session = self.ledger.sessions.get(&asked.session).cloned().unwrap_or_default();
        let Some((ended, at)) = session.ended else {
            return if self.ledger.drained.is_some() {
                Ok(())
            } else {
                Err("its connection has not ended".to_owned())
            };
        };
        let is_over = record.is_none() && asked.fault == Some(ClientFault::HalfCloses);
        if ended == Ended::ByClient || asked.fault == Some(ClientFault::IsCut) || is_over {
            return Ok(());
        }
        let front = session.link.and_then(|link| self.ledger.fronts.get(&link)).copied().unwrap_or_default();
        let closed = front.closed.unwrap_or(at);
        let patience = self.least(|listener| listener.timeouts.idle.min(listener.timeouts.request_head));
        let was_idle = closed.saturating_sub(front.last_use) >= patience;
        if let Some(record) = record {
            // The answer had begun, and came to nothing before the client had all of its head.
            let is_broken_off = record.reason.is_some_and(|reason| reason.status() != record.status);
            let gave_up = matches!(record.reason, Some(Reason::ClientClosed | Reason::ClientSendTimeout));
            let is_excused = gave_up && (asked.fault.is_some() || asked.is_slow || asked.sent.is_none());
            let was_cut = self.ledger.cut.is_some_and(|cut| at >= cut);
            // An answer that comes while the client still sends may be lost with the connection.
            let is_unfinished = asked.sent.is_none();
            return if is_excused || is_broken_off || was_idle || was_cut || is_unfinished {
                Ok(())
            } else {
                Err(format!("no answer, {}", outcome(record)))
            };
        }
        let is_behind = session.was_told
            || session.requests.iter().take_while(|one| *one != id).any(|before| self.is_broken(before));
        let drained = self.ledger.drained.is_some_and(|drained| closed >= drained);
        if is_behind || !front.is_neglected && (was_idle || drained) || asked.sent.is_none() {
            return Ok(());
        }
        Err(format!(
            "no answer and no record, the connection ended ({ended:?}, {front:?}) at {at:?}, last used at {:?}",
            session.last_use
        ))
    }

    /// Whether a request left its connection so that nothing can follow.
    fn is_broken(&self, id: &str) -> bool {
        self.ledger.requests.get(id).is_some_and(|asked| {
            asked.sent.is_none()
                || asked.is_answered_early
                || asked.answers.is_empty()
                || asked.answers.iter().any(|answer| !answer.is_whole || answer.is_until_close)
        })
    }

    fn least(&self, of: impl Fn(&Listener) -> Duration) -> Duration {
        let models = self.world.models.borrow();
        models.iter().flat_map(|model| &model.listeners).map(of).min().unwrap_or_default()
    }

    fn pools<T>(&self, name: &str, of: impl Fn(&Pool, &Route) -> T) -> Vec<T> {
        let models = self.world.models.borrow();
        let both = |model: &base_model::Model| {
            let index = model.pool_index(name)?;
            Some(of(model.pools.get(index)?, model.routes.get(index)?))
        };
        models.iter().filter_map(both).collect()
    }

    /// A time-out comes when its time has come.
    fn in_time(&self, asked: &Asked, record: &Decision) -> Result<(), String> {
        let Some(reason) = record.reason else { return Ok(()) };
        let pool = |of: &dyn Fn(&Pool) -> Duration| {
            self.pools(asked.pool, |pool, _| of(pool)).into_iter().min().unwrap_or_default()
        };
        let whole: Vec<_> = self.pools(asked.pool, |_, route| route.request_timeout);
        let whole_least = whole.iter().flatten().min().copied().unwrap_or(Duration::MAX);
        let least = match reason {
            Reason::RequestHeadTimeout => self.least(|listener| listener.timeouts.request_head),
            // The client owed something when its own time was over, or the request's.
            Reason::RequestBodyTimeout => {
                self.least(|listener| listener.timeouts.body_progress).min(whole_least)
            }
            Reason::ClientSendTimeout => {
                self.least(|listener| listener.timeouts.send_progress).min(whole_least)
            }
            Reason::FirstByteTimeout => pool(&|pool| pool.timeouts.first_byte),
            Reason::ResponseTimeout => pool(&|pool| pool.timeouts.response_progress),
            Reason::UpstreamSendTimeout => pool(&|pool| pool.timeouts.send_progress),
            Reason::ConnectTimeout => pool(&|pool| pool.timeouts.connect),
            Reason::QueueTimeout => pool(&|pool| pool.connections.queue_timeout),
            Reason::RequestTimeout => whole_least,
            _ => Duration::ZERO,
        };
        if record.total < least {
            return Err(format!("{reason} after {:?}, not before {least:?}", record.total));
        }
        let Some(most) = whole.iter().copied().max().flatten().filter(|_| !whole.contains(&None)) else {
            return Ok(());
        };
        // An answer of Aya's own may take its time to be sent, and whoever has read a part of it and stops has that time again.
        let models = self.world.models.borrow();
        let spans = if self.tells() { 1 } else { SPOONFULS };
        let spans = spans + u32::from(asked.fault == Some(ClientFault::StallsReading));
        let sending = models
            .iter()
            .flat_map(|model| &model.listeners)
            .map(|listener| spans * listener.timeouts.send_progress + listener.timeouts.request_head);
        let most = most + sending.max().unwrap_or_default() + TICK;
        if record.total > most {
            Err(format!("{reason} after {:?}, later than {most:?}", record.total))
        } else {
            Ok(())
        }
    }

    /// Whether what is sent goes out in pieces of some length.
    fn tells(&self) -> bool {
        let weather = self.world.net.weather();
        weather.piece.min(weather.room) >= TELLING_PIECE
    }

    /// What is not tried again could not be.
    fn needed(&self, asked: &Asked, record: &Decision) -> Result<(), String> {
        let Some((_, attempt)) = record.attempts().last() else { return Ok(()) };
        let Some(setback) = &attempt.setback else { return Ok(()) };
        let least = |numbers: Vec<usize>| numbers.into_iter().min().unwrap_or_default();
        let is_right = match setback.after {
            After::NotIdempotent => asked.method == "POST" && (!self.tells() || asked.sendings > 0),
            After::BodyGone => {
                let kept = least(self.pools(asked.pool, |pool, _| pool.replay_bytes));
                asked.method == "POST" || asked.body_bytes > kept as u64
            }
            After::NoAttemptLeft => {
                let counts = |setback: &traffic_proxy::Setback| {
                    setback.after != After::FreshConnection && setback.reason != Reason::ConnectFailed
                };
                let made =
                    record.attempts().filter(|(_, one)| one.setback.as_deref().is_some_and(counts)).count();
                made + record.omitted as usize
                    >= least(self.pools(asked.pool, |_, route| route.attempts as usize))
            }
            After::NotItsFault => !matches!(setback.fault, Fault::Endpoint | Fault::EndpointSilent),
            _ => true,
        };
        if is_right { Ok(()) } else { Err(format!("given up as {:?}: {}", setback.after, outcome(record))) }
    }

    fn kept_session(&self, asked: &Asked, record: &Decision) -> Result<(), String> {
        let Some(bound) = asked.bound.filter(|_| asked.was_passed_over) else { return Ok(()) };
        let always = self.pools(asked.pool, |pool, _| {
            matches!(pool.sticky, Some(Sticky::Cookie(_))) && pool.connections.max >= 1_000
        });
        let (_, name) = settings::pool_and_name(bound);
        let was_tried = record.attempts().any(|(one, _)| one == name.as_bytes());
        if was_tried || always.contains(&false) {
            return Ok(());
        }
        Err(format!("its session is bound to {name}, which could have served it: {}", outcome(record)))
    }

    fn succeeded(&self, asked: &Asked) -> bool {
        let session = self.ledger.sessions.get(&asked.session).cloned().unwrap_or_default();
        match asked.answers.as_slice() {
            [answer] => answer.is_whole && answer.reason.is_none(),
            _ => session.was_told || asked.sent.is_none(),
        }
    }
}

/// What the client got is what was recorded.
fn agree(answer: &Answer, record: Option<&Decision>) -> Result<(), String> {
    let Some(record) = record else { return Err(format!("answered {} and not recorded", answer.status)) };
    let shown = || format!("the client got {answer:?}, {}", outcome(record));
    if answer.status != record.status {
        return Err(shown());
    }
    let word = record.reason.map(Reason::word);
    let right = match &answer.reason {
        Some(reason) => word == Some(reason) && record.reason.map(Reason::status) == Some(answer.status),
        // An answer that comes whole has nothing to be sorry for.
        None => !(answer.is_whole && word.is_some()),
    };
    if right { Ok(()) } else { Err(shown()) }
}

/// What is tried again goes to another endpoint, or to the same one on a fresh connection.
fn tried_elsewhere(record: &Decision) -> Result<(), String> {
    if record.omitted > 0 {
        return Ok(());
    }
    let attempts: Vec<_> = record.attempts().collect();
    for (place, (name, _)) in attempts.iter().enumerate() {
        let before = &attempts[..place];
        let Some((last, attempt)) = before.last() else { continue };
        let is_fresh = attempt.is_reused
            && attempt.setback.as_ref().is_some_and(|it| it.after == After::FreshConnection);
        let again = before.iter().any(|(one, _)| one == name);
        if again && !(is_fresh && last == name) {
            return Err(format!("to the same endpoint again: {}", outcome(record)));
        }
    }
    Ok(())
}

/// A record in a line.
fn outcome(record: &Decision) -> String {
    let attempts: Vec<_> = record
        .attempts()
        .map(|(name, one)| {
            let setback =
                one.setback.as_ref().map(|it| format!("{} {:?} {:?}", it.reason, it.detail, it.after));
            format!("{} {:?} reused {} {setback:?}", String::from_utf8_lossy(name), one.began, one.is_reused)
        })
        .collect();
    let (status, reason, total) = (record.status, record.reason, record.total);
    format!("recorded {status} {reason:?} {:?} after {total:?}, attempts {attempts:?}", record.detail)
}
