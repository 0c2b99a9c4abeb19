//! Comparing endpoints with their peers: who fails more often or answers much later than the others of its level.
//!
//! What is a failure of all is none of one: a bad release, a broken database or a poisonous request hits all alike and moves
//! nothing. Judged is only what is beyond chance: with enough requests, and by four standard errors.
//! Less traffic comes first (a half, or a quarter where it is grave); what is still bad with little is taken out. After that it
//! begins with a trickle and is judged anew.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use base_kit::Moment;
use base_model::model::PeerCheck;

use crate::endpoint::{EndpointId, EndpointState, FULL, TRICKLE, Totals};
use crate::transition::CauseKind;

/// Standard errors that a difference must exceed: by chance one in 10,000 or so does. Of slow requests it takes at least as many as
/// the square of it, however slow they are: a few are no reason.
const CERTAINTY: f64 = 4.0;
/// How many times worse than the limit is grave.
const GRAVE: f64 = 2.0;
/// Requests that have waited since the last look count as well, when they are so many; fewer may just be long ones.
const STUCK_REQUESTS: u64 = 5;
/// Requests that suffice to find that one which did worse still does.
const STILL_WORSE: u32 = 5;
/// Less than this share, in percent, is not worth having.
const LEAST: u32 = 10;
/// Intervals after which one that did worse, and since had too few requests for a judgement, is taken for a better one: it does
/// little harm, and with more traffic there will be a judgement.
const PATIENCE: u32 = 10;
/// Intervals for which what was seen is good for a judgement.
const MEMORY: u32 = 60;
/// What is left after each judgement of the longest mean time that was seen of an endpoint: half of it after some seventy.
///
/// Where load is high, queues come and go: one that is long now is no reason, if others have such ones now and then. Against the
/// present times alone, equal servers with one slot each, in turn at a load of 0.85 to 0.9, were degraded for 8 to 20 % of their time;
/// so it is less than 0.1 %.
const WORST_FADES: f64 = 0.99;

/// What was seen of the endpoints of a pool.
#[derive(Debug, Default)]
pub(super) struct PeerWatch {
    seen: HashMap<EndpointId, Seen>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    /// When the present window began.
    since: Moment,
    /// The sums at that time.
    from: Totals,
    /// When it was looked at last, and the sums at that time.
    looked: (Moment, Totals),
    last: Option<Conduct>,
    /// The longest mean time of late, in seconds. It fades.
    worst: f64,
}

/// How an endpoint did in a window.
#[derive(Clone, Copy, Debug)]
struct Conduct {
    at: Moment,
    requests: f64,
    failed: f64,
    /// To the first byte, in seconds, with its standard error.
    mean: f64,
    error: f64,
    /// Whether requests have waited since the last look and count with that.
    is_stuck: bool,
    /// Whether it answered nothing at all besides: then the mean is how long it has been silent.
    is_silent: bool,
    /// The longest mean time of late.
    worst: f64,
}

/// What can be said of an endpoint.
enum Look {
    /// This is enough for a judgement.
    Enough(Conduct),
    /// This is enough to find that it still does worse, and not that it does well.
    Little(Conduct),
    /// It had hardly anything to do for long.
    Idle,
}

impl Look {
    const fn conduct(&self) -> Option<&Conduct> {
        match self {
            Self::Enough(conduct) | Self::Little(conduct) => Some(conduct),
            Self::Idle => None,
        }
    }
}

/// What is to be done with an endpoint.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) endpoint: Arc<EndpointState>,
    pub(super) verdict: Verdict,
}

#[derive(Debug)]
pub(super) enum Verdict {
    /// It does like its peers, or nothing speaks against it.
    Well,
    /// It does worse.
    Worse {
        kind: CauseKind,
        /// How many times beyond the limit.
        severity: f64,
        evidence: String,
    },
}

impl Verdict {
    fn severity(&self) -> f64 {
        match self {
            Self::Well => 0.0,
            Self::Worse { severity, .. } => *severity,
        }
    }

    /// The share that follows, in percent; 0 takes it out.
    pub(super) fn next_share(&self, share: u32) -> u32 {
        match self {
            Self::Well => (share * 2).min(FULL),
            Self::Worse { severity, kind, .. } => {
                let is_grave = *severity >= GRAVE;
                let less = if is_grave { share / 4 } else { share / 2 };
                match less {
                    LEAST.. => less,
                    // A slow endpoint may be an old machine: with a trickle it does no harm.
                    _ if *kind == CauseKind::SlowerThanPeers && !is_grave => TRICKLE,
                    _ if share > TRICKLE && !is_grave => TRICKLE,
                    _ => 0,
                }
            }
        }
    }
}

impl PeerWatch {
    /// Judges the endpoints that take traffic and had enough of it, the worst first.
    pub(super) fn judge(
        &mut self,
        endpoints: &[Arc<EndpointState>],
        policy: &PeerCheck,
        now: Moment,
    ) -> Vec<Finding> {
        if self.seen.len() > endpoints.len() {
            let there: HashSet<EndpointId> = endpoints.iter().map(|endpoint| endpoint.id()).collect();
            self.seen.retain(|id, _| there.contains(id));
        }
        // All are looked at before any is judged.
        let looks: Vec<(&Arc<EndpointState>, Look)> = endpoints
            .iter()
            .filter_map(|endpoint| Some((endpoint, self.look(endpoint, policy, now)?)))
            .collect();
        let groups = self.groups(endpoints, policy, now);
        let mut findings: Vec<Finding> = looks
            .into_iter()
            .filter_map(|(endpoint, look)| {
                let peers = groups
                    .get(&endpoint.level())
                    .and_then(|group| group.without(self.counted(endpoint, policy, now)));
                let against = look.conduct().zip(peers).and_then(|(own, peers)| compare(own, &peers, policy));
                let verdict = match (against, look) {
                    (Some(verdict), Look::Little(_)) => {
                        // The next judgement is of what comes from now on.
                        self.seen.insert(endpoint.id(), Seen::from_now(endpoint, now));
                        verdict
                    }
                    (Some(verdict), _) => verdict,
                    (None, Look::Little(_)) => return None,
                    (None, Look::Enough(_) | Look::Idle) => Verdict::Well,
                };
                Some(Finding { endpoint: Arc::clone(endpoint), verdict })
            })
            .collect();
        findings.sort_by(|a, b| b.verdict.severity().total_cmp(&a.verdict.severity()));
        findings
    }

    /// Whether nothing is under way, nothing was seen that counts, and nobody has less than all of its traffic: until a request comes, every
    /// judgement would be as the last one.
    pub(super) fn remembers_nothing(&self, endpoints: &[Arc<EndpointState>]) -> bool {
        let is_calm = |endpoint: &EndpointState| {
            let seen = self.seen.get(&endpoint.id());
            let has_news = |seen: &Seen| seen.last.is_some() || seen.from != endpoint.totals();
            endpoint.in_flight() == 0 && !endpoint.is_degraded() && !seen.is_some_and(has_news)
        };
        endpoints.iter().all(|endpoint| is_calm(endpoint))
    }

    /// After a time in which nobody looked: what comes from now on is seen. The longest mean times are kept.
    pub(super) fn go_on(&mut self, endpoints: &[Arc<EndpointState>], now: Moment) {
        for endpoint in endpoints {
            if let Some(seen) = self.seen.get_mut(&endpoint.id()) {
                *seen = Seen { worst: seen.worst, ..Seen::from_now(endpoint, now) };
            }
        }
    }

    /// What was seen of it is of no use any more.
    pub(super) fn forget(&mut self, endpoint: EndpointId) {
        self.seen.remove(&endpoint);
    }

    /// How an endpoint did since it was last judged; `None` while it is too early to say.
    fn look(&mut self, endpoint: &EndpointState, policy: &PeerCheck, now: Moment) -> Option<Look> {
        let anew = Seen::from_now(endpoint, now);
        if !endpoint.is_eligible(now) {
            self.seen.insert(endpoint.id(), anew);
            return None;
        }
        let did_worse = endpoint.is_degraded();
        let seen = self.seen.entry(endpoint.id()).or_insert(anew);
        let conduct = Conduct::of(&anew.from, seen, policy, now);
        seen.looked = anew.looked;
        // One that did worse gets little: less is enough to find that it does well.
        let quorum = if did_worse { policy.requests / 2 } else { policy.requests };
        if conduct.is_silent {
            // The window goes on: its requests wait since then.
            seen.last = Some(conduct);
            return Some(Look::Enough(conduct));
        }
        if conduct.is_stuck || conduct.requests >= f64::from(quorum) {
            *seen = Seen { last: Some(conduct), worst: conduct.worst, ..anew };
            return Some(Look::Enough(conduct));
        }
        let age = now.since(seen.since);
        if age >= policy.interval.saturating_mul(if did_worse { PATIENCE } else { MEMORY }) {
            *seen = Seen { worst: seen.worst, ..anew };
            return Some(Look::Idle);
        }
        (did_worse && conduct.requests >= f64::from(STILL_WORSE)).then_some(Look::Little(conduct))
    }

    /// What was seen lately of the endpoints of each level.
    fn groups(
        &self,
        endpoints: &[Arc<EndpointState>],
        policy: &PeerCheck,
        now: Moment,
    ) -> HashMap<u8, Group> {
        let mut groups: HashMap<u8, Group> = HashMap::new();
        for endpoint in endpoints {
            if let Some(conduct) = self.counted(endpoint, policy, now) {
                groups.entry(endpoint.level()).or_default().add(conduct);
            }
        }
        groups.values_mut().for_each(Group::sort);
        groups
    }

    /// What counts of an endpoint where others are compared with it.
    fn counted(&self, endpoint: &EndpointState, policy: &PeerCheck, now: Moment) -> Option<&Conduct> {
        let last = self.seen.get(&endpoint.id())?.last.as_ref()?;
        let is_recent = now.since(last.at) <= policy.interval.saturating_mul(MEMORY);
        (is_recent && !last.is_silent).then_some(last)
    }
}

/// What is known of those that are compared with each other.
#[derive(Debug, Default)]
struct Group {
    requests: f64,
    failed: f64,
    /// Mean times now, from the shortest, and the longest of late.
    means: Vec<f64>,
    worsts: Vec<f64>,
}

/// What is known of an endpoint's peers.
struct Peers {
    requests: f64,
    failed: f64,
    /// Medians of the mean times now, and of the longest of late.
    mean: f64,
    worst: f64,
}

impl Group {
    fn add(&mut self, conduct: &Conduct) {
        self.requests += conduct.requests;
        self.failed += conduct.failed;
        self.means.push(conduct.mean);
        self.worsts.push(conduct.worst);
    }

    fn sort(&mut self) {
        for times in [&mut self.means, &mut self.worsts] {
            times.sort_by(f64::total_cmp);
        }
    }

    /// All but what counts of one of them; `None` if nobody is left.
    fn without(&self, own: Option<&Conduct>) -> Option<Peers> {
        Some(Peers {
            requests: self.requests - own.map_or(0.0, |own| own.requests),
            failed: self.failed - own.map_or(0.0, |own| own.failed),
            mean: median_without(&self.means, own.map(|own| own.mean))?,
            worst: median_without(&self.worsts, own.map(|own| own.worst))?,
        })
    }
}

/// The median of what is sorted, but for one of them.
fn median_without(times: &[f64], own: Option<f64>) -> Option<f64> {
    let middle = times.len().checked_sub(usize::from(own.is_some()))? / 2;
    let is_before = own.is_some_and(|own| times.get(middle).is_some_and(|time| own <= *time));
    times.get(middle + usize::from(is_before)).copied()
}

/// Compares an endpoint with its peers; `None` if there is nothing against it.
fn compare(own: &Conduct, peers: &Peers, policy: &PeerCheck) -> Option<Verdict> {
    let errors = policy.errors.and_then(|limit| more_errors(own, peers, limit));
    let slower = policy.slower.and_then(|limit| slower(own, peers, limit, policy.slower_by.as_secs_f64()));
    match (errors, slower) {
        (Some(errors), Some(slower)) if slower.severity() > errors.severity() => Some(slower),
        (errors, slower) => errors.or(slower),
    }
}

impl Seen {
    fn from_now(endpoint: &EndpointState, now: Moment) -> Self {
        let from = endpoint.totals();
        Self { since: now, from, looked: (now, from), last: None, worst: 0.0 }
    }
}

impl Conduct {
    fn of(totals: &Totals, seen: &Seen, policy: &PeerCheck, now: Moment) -> Self {
        let mut window = totals.since(&seen.from);
        let is_quiet = window.ended() == 0;
        let (then, sums) = if is_quiet { (seen.since, &seen.from) } else { (seen.looked.0, &seen.looked.1) };
        // Some of those that waited then have ended since; at least so many have not.
        let stuck = u64::from(sums.waiting.min(totals.waiting)).saturating_sub(totals.since(sums).ended());
        let is_stuck = stuck >= STUCK_REQUESTS && now.since(then) >= policy.interval;
        if is_stuck {
            window.add_waiting(stuck, now.since(then));
        }
        let (mean, error) = window.mean_and_error();
        Self {
            at: now,
            requests: window.ended() as f64,
            failed: window.failed as f64,
            mean,
            error,
            is_stuck,
            is_silent: is_stuck && is_quiet,
            worst: (seen.worst * WORST_FADES).max(mean),
        }
    }

    fn failed_share(&self) -> f64 {
        if self.requests > 0.0 { (self.failed / self.requests).min(1.0) } else { 0.0 }
    }
}

/// The test of two proportions: is its share of failures larger by more than the limit, and not by chance?
fn more_errors(own: &Conduct, &Peers { requests, failed, .. }: &Peers, limit: f64) -> Option<Verdict> {
    if requests <= 0.0 || own.requests <= 0.0 {
        return None;
    }
    let (own_share, share) = (own.failed_share(), (failed / requests).min(1.0));
    let pooled = ((own.failed + failed) / (own.requests + requests)).min(1.0);
    let error = (pooled * (1.0 - pooled) * (1.0 / own.requests + 1.0 / requests)).sqrt();
    let more = own_share - share;
    // Failures come as whole ones: half a one less, or few requests would seem surer than they are.
    let surely = more - 0.5 / own.requests;
    (more > limit && surely > CERTAINTY * error).then(|| Verdict::Worse {
        kind: CauseKind::MoreErrorsThanPeers,
        severity: more / limit.max(f64::EPSILON),
        evidence: format!(
            "{:.0}% of its {:.0} requests fail, {:.0}% of those of its peers",
            own_share * 100.0,
            own.requests,
            share * 100.0
        ),
    })
}

/// Is it slower than the others by more than the limits, and not by chance? What counts of the others is the median, of their times
/// now and of the longest of late.
fn slower(own: &Conduct, &Peers { mean: median, worst, .. }: &Peers, times: f64, by: f64) -> Option<Verdict> {
    let limit = (worst * times).max(median + by);
    let surely = own.mean - median > CERTAINTY * own.error;
    let silence = if own.is_silent { "has been silent for" } else { "takes" };
    (own.mean > limit && surely).then(|| Verdict::Worse {
        kind: CauseKind::SlowerThanPeers,
        severity: own.mean / limit,
        evidence: format!("it {silence} {}, its peers take {} (median)", Millis(own.mean), Millis(median)),
    })
}

/// Seconds, shown in milliseconds.
struct Millis(f64);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0 * 1e3;
        if millis < 10.0 { write!(f, "{millis:.1}ms") } else { write!(f, "{millis:.0}ms") }
    }
}

#[cfg(test)]
mod tests;
