//! What the workers remember of requests, as the admin API shows it.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use base_kit::{Clock, Moment, MonotonicClock};
use control_api::{
    AttemptView, CandidateView, DecisionFilter, DecisionView, EndpointNow, NodeError, SessionView,
};
use traffic_balance::{EndpointState, Health, SessionOutcome};
use traffic_proxy::{Attempt, Candidate, Decision, DecisionQuery};

use super::condition;
use crate::control::lock;
use crate::node::Node;
use crate::transitions::Cause;

/// Endpoints of a pool shown as they are now: as many as are kept of how they were.
const MAX_NOW: usize = 16;
/// An average of answers is shown as it is, without being faded by its age.
const UNFADED: Duration = Duration::from_secs(u32::MAX as u64);

impl Node {
    /// Asks all workers, and gives what they remember, the latest first.
    pub(crate) async fn recall(&self, filter: DecisionFilter) -> Result<Vec<DecisionView>, NodeError> {
        if lock(&self.0.current).snapshot.model.operation.decisions.is_none() {
            return Err(NodeError::NotFound {
                what: "no requests are remembered: `decisions` is off".to_owned(),
                how: "take `decisions: off` out of the configuration, or give `keep` or `failures` a number"
                    .to_owned(),
            });
        }
        let limit = filter.limit;
        let is_single = filter.request_id.is_some();
        let query = DecisionQuery {
            request_id: filter.request_id,
            failed: filter.failed,
            slower_than: filter.slower_than_ms.map(Duration::from_millis),
            pool: filter.pool,
            route: filter.route,
            endpoint: filter.endpoint,
            limit,
        };
        let mut found = self.0.workers.recall(&Arc::new(query)).await;
        found.sort_by_key(|decision| Reverse(decision.time));
        found.truncate(limit);
        let view = |decision| self.decision_view(decision, is_single);
        Ok(found.iter().map(view).collect())
    }

    fn decision_view(&self, decision: &Decision, is_single: bool) -> DecisionView {
        let reason = decision.reason;
        let pool = decision.pool().map(text);
        let candidates = decision.candidates.iter().flat_map(|candidates| candidates.iter());
        let candidates =
            candidates.map(|candidate| self.candidate_view(pool.as_deref(), candidate, decision)).collect();
        let now = pool.as_deref().filter(|_| is_single).map(|pool| self.now(pool)).unwrap_or_default();
        DecisionView {
            request_id: decision.request_id().to_owned(),
            time_ms: u64::try_from(decision.time.as_millis()).unwrap_or(u64::MAX),
            client: decision.client.to_string(),
            listener: text(decision.listener()),
            method: text(decision.method()),
            host: text(decision.host()),
            path: text(decision.path()),
            path_cut: decision.is_cut,
            status: decision.status,
            reason: reason.map(|reason| reason.word().to_owned()),
            meaning: reason.map(|reason| reason.meaning().trim().to_owned()),
            detail: decision.detail.clone(),
            blame: reason.map(|reason| reason.blame().word().to_owned()),
            route: decision.route().map(text),
            answered_by: decision.answerer().map(text),
            pool,
            balancer: decision.balancer().map(text),
            panic: decision.in_panic,
            session: session_view(decision),
            attempts: decision
                .attempts()
                .map(|(endpoint, attempt)| attempt_view(endpoint, attempt))
                .collect(),
            attempts_omitted: decision.omitted,
            candidates,
            now,
            head_ms: millis(decision.head),
            queued_ms: decision.queued.map(millis),
            body_ms: millis(decision.body()),
            total_ms: millis(decision.total),
        }
    }

    fn candidate_view(
        &self,
        pool: Option<&str>,
        candidate: &Candidate,
        decision: &Decision,
    ) -> CandidateView {
        let Candidate { endpoint, out, despite, share, tier } = candidate;
        let now = MonotonicClock.now();
        let suffers = out.is_some() || despite.is_some() || *share < 100;
        let state = self.pool_now(pool.unwrap_or_default()).and_then(|pool| pool.endpoint(endpoint));
        // Why it is as it is is known of the present only.
        let state = state.filter(|state| suffers && (!state.is_eligible(now) || state.is_degraded()));
        let cause = state.and_then(|state| self.0.causes.of(&state));
        // What was found since is not why it got less then.
        let is_of_then = |cause: &Cause| out.is_some() || cause.at <= decision.time + decision.total;
        CandidateView {
            endpoint: endpoint.clone(),
            out: out.map(str::to_owned),
            despite: despite.map(str::to_owned),
            share_percent: *share,
            tier: *tier,
            cause: cause.filter(is_of_then).map(|cause| cause.what),
        }
    }
}

impl Node {
    /// The endpoints of a pool as they are, those of the first tier first.
    fn now(&self, pool: &str) -> Vec<EndpointNow> {
        let Some(pool) = self.pool_now(pool) else { return Vec::new() };
        let now = MonotonicClock.now();
        let all = pool.endpoints();
        let mut endpoints: Vec<_> = all.iter().map(|endpoint| self.as_now(endpoint, now)).collect();
        endpoints.sort_by_key(|endpoint| endpoint.tier);
        endpoints.truncate(MAX_NOW);
        endpoints
    }

    fn as_now(&self, endpoint: &EndpointState, now: Moment) -> EndpointNow {
        let condition = condition(endpoint, now);
        let cause = self.0.causes.of(endpoint).filter(|_| condition != Health::Up.word());
        let (learned, in_flight) = (endpoint.learned(), endpoint.in_flight());
        let latency = learned.latency.value_nanos(UNFADED, now);
        let latency = latency.or_else(|| learned.latency_at.value_nanos(in_flight, UNFADED, now));
        let in_use = learned.utilisation.last(now);
        let in_use = [in_use.cpu, in_use.memory, in_use.io].into_iter().flatten().reduce(f64::max);
        EndpointNow {
            endpoint: endpoint.name().to_owned(),
            condition: condition.to_owned(),
            cause: cause.map(|cause| cause.what),
            share_percent: endpoint.share_percent(now),
            tier: endpoint.tier(),
            zone: endpoint.zone().as_deref().map(str::to_owned),
            weight: endpoint.weight(),
            in_flight,
            latency_ms: latency.map(|nanos| (nanos / 1e3).round() / 1e3),
            in_use_percent: in_use.map(|share| (share * 1e3).round() / 10.0),
        }
    }
}

fn session_view(decision: &Decision) -> Option<SessionView> {
    let (endpoint, outcome) = (decision.session().map(text), decision.session_outcome);
    let outcome = outcome.map(|outcome| SessionOutcome::word(outcome).to_owned());
    (endpoint.is_some() || outcome.is_some()).then_some(SessionView { endpoint, outcome })
}

fn attempt_view(endpoint: &[u8], attempt: &Attempt) -> AttemptView {
    let setback = attempt.setback.as_deref();
    AttemptView {
        endpoint: text(endpoint),
        began_ms: millis(attempt.began),
        chosen_by: if attempt.choice.is_bound { "session" } else { "balancer" }.to_owned(),
        among: attempt.choice.among,
        tier: attempt.choice.tier,
        share_percent: attempt.choice.share,
        others_in_flight: attempt.others,
        reused: attempt.is_reused,
        connect_ms: attempt.connect.map(millis),
        send_ms: attempt.sending().map(millis),
        first_byte_ms: attempt.first_byte.map(millis),
        status: (attempt.status > 0).then_some(attempt.status),
        reason: setback.map(|setback| setback.reason.word().to_owned()),
        detail: setback.and_then(|setback| setback.detail.clone()),
        fault: setback.map(|setback| setback.fault.word().to_owned()),
        after: setback.map(|setback| setback.after.word().to_owned()),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Microseconds are as exact as the clock is worth.
fn millis(span: Duration) -> f64 {
    (span.as_secs_f64() * 1e6).round() / 1e3
}
