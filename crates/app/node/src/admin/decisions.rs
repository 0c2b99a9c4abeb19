//! What the workers remember of requests, as the admin API shows it.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use base_kit::{Clock, MonotonicClock};
use control_api::{AttemptView, CandidateView, DecisionFilter, DecisionView, NodeError};
use traffic_proxy::{Attempt, Candidate, Decision, DecisionQuery};

use crate::control::lock;
use crate::node::Node;

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
        Ok(found.iter().map(|decision| self.decision_view(decision)).collect())
    }

    fn decision_view(&self, decision: &Decision) -> DecisionView {
        let reason = decision.reason;
        let pool = decision.pool().map(text);
        let candidates = decision.candidates.iter().flat_map(|candidates| candidates.iter());
        let candidates =
            candidates.map(|candidate| self.candidate_view(pool.as_deref(), candidate)).collect();
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
            attempts: decision
                .attempts()
                .map(|(endpoint, attempt)| attempt_view(endpoint, attempt))
                .collect(),
            attempts_omitted: decision.omitted,
            candidates,
            head_ms: millis(decision.head),
            queued_ms: decision.queued.map(millis),
            body_ms: millis(decision.body()),
            total_ms: millis(decision.total),
        }
    }

    fn candidate_view(&self, pool: Option<&str>, candidate: &Candidate) -> CandidateView {
        let Candidate { endpoint, out } = candidate;
        // Why it is out is known of the present only.
        let state = out.and_then(|_| self.0.endpoints.pool(pool?)?.endpoint(endpoint));
        let state = state.filter(|state| !state.is_eligible(MonotonicClock.now()));
        CandidateView {
            endpoint: endpoint.clone(),
            out: out.map(str::to_owned),
            cause: state.and_then(|state| self.0.causes.of(&state)).map(|cause| cause.what),
        }
    }
}

fn attempt_view(endpoint: &[u8], attempt: &Attempt) -> AttemptView {
    let setback = attempt.setback.as_deref();
    AttemptView {
        endpoint: text(endpoint),
        began_ms: millis(attempt.began),
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
