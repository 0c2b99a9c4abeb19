//! A node that only remembers what it was asked.

use std::sync::Mutex;

use crate::node::{ApplyError, Node, NodeError, Pending};
use crate::types::{
    AdminState, Answers, Applied, AttemptView, CandidateView, Change, ChangeKind, CheckReport, ConfigView,
    DecisionFilter, DecisionView, Diagnostic, Durations, EndpointChange, EndpointStats, EndpointView, Health,
    HistoryEntry, ListenerView, NewEndpoint, Origin, PoolStats, PoolView, Readiness, Severity, Stats, Status,
    Upgraded,
};

/// The generation in use.
pub(super) const GENERATION: u64 = 7;

pub(super) struct Fake {
    pub(super) readiness: Readiness,
    /// What was changed, in order.
    pub(super) calls: Mutex<Vec<String>>,
    pub(super) metrics: String,
}

impl Fake {
    pub(super) fn new() -> Self {
        Self {
            readiness: Readiness { ready: true, reasons: Vec::new() },
            calls: Mutex::default(),
            metrics: "aya_up 1\n".into(),
        }
    }

    fn note(&self, call: String) {
        self.calls.lock().unwrap().push(call);
    }
}

fn applied(generation: u64) -> Applied {
    Applied {
        generation,
        fingerprint: "f".into(),
        changed: true,
        diagnostics: Vec::new(),
        changes: Vec::new(),
    }
}

fn endpoint() -> EndpointView {
    EndpointView {
        address: "10.0.0.1:8080".into(),
        resolved: None,
        weight: 1,
        share_percent: 100,
        tier: 0,
        zone: None,
        health: Health::Up,
        state: AdminState::Ready,
        agent: None,
        condition: "up".into(),
        eligible: true,
        cause: None,
        cause_ms: None,
        ejected_until_ms: None,
        in_flight: 3,
        requests: 10,
        failures: 1,
        last_failure: None,
    }
}

fn pool() -> PoolView {
    PoolView {
        name: "api".into(),
        balance: "round-robin".into(),
        sticky: None,
        waiting: 0,
        panic: false,
        panic_cause: None,
        panic_since_ms: None,
        endpoints: vec![endpoint()],
    }
}

fn in_pool(pool: &str) -> Result<(), NodeError> {
    if pool == "api" {
        return Ok(());
    }
    Err(NodeError::NotFound { what: format!("there is no pool `{pool}`"), how: "look at the list".into() })
}

impl Node for Fake {
    fn status(&self) -> Status {
        Status {
            version: "1.2.3".into(),
            generation: GENERATION,
            fingerprint: "f".into(),
            started_ms: 1_000,
            uptime_seconds: 5,
            workers: 2,
            io: "epoll".to_owned(),
            listeners: vec![ListenerView {
                name: "web".into(),
                protocol: "http".into(),
                addresses: vec!["127.0.0.1:80".into()],
            }],
            draining: false,
        }
    }

    fn is_ready(&self) -> Readiness {
        self.readiness.clone()
    }

    fn metrics(&self) -> String {
        self.metrics.clone()
    }

    fn stats(&self) -> Stats {
        let of_pool = PoolStats {
            name: "api".into(),
            balance: "round-robin".into(),
            retries: 2,
            connections: 4,
            waiting: 3,
            panic: false,
            panic_cause: None,
            panic_since_ms: None,
            first_byte: Durations { buckets: vec![9, 0], sum_us: 900 },
            endpoints: vec![EndpointStats {
                endpoint: endpoint(),
                answers: Answers { successful: 9, ..Answers::default() },
                first_byte: Durations { buckets: vec![9, 0], sum_us: 900 },
            }],
        };
        Stats {
            version: "1.2.3".into(),
            generation: GENERATION,
            bounds_us: vec![100],
            pools: vec![of_pool],
            ..Stats::default()
        }
    }

    fn config(&self) -> ConfigView {
        ConfigView {
            generation: GENERATION,
            fingerprint: "f".into(),
            applied_ms: 2_000,
            origin: Origin::File,
            source: "listeners: {}\n".into(),
        }
    }

    /// `bad` in it is an error; `fault` a fault of the node.
    fn check(&self, source: &[u8]) -> CheckReport {
        let text = String::from_utf8_lossy(source);
        assert!(!text.contains("fault"), "as asked for");
        if text.contains("bad") {
            let diagnostic = Diagnostic {
                severity: Severity::Error,
                message: "unknown key `bad`".into(),
                path: Some("bad".into()),
                line: Some(1),
                column: Some(1),
                excerpt: None,
                suggestion: Some("remove it".into()),
            };
            return CheckReport { diagnostics: vec![diagnostic], ..CheckReport::default() };
        }
        let change = Change {
            path: "pools.api".into(),
            kind: ChangeKind::Added,
            before: None,
            after: Some(text.len().to_string()),
        };
        CheckReport {
            valid: true,
            fingerprint: Some("g".into()),
            diagnostics: Vec::new(),
            changes: vec![change],
        }
    }

    fn apply(&self, source: Vec<u8>, if_generation: Option<u64>) -> Pending<'_, Result<Applied, ApplyError>> {
        Box::pin(async move {
            if if_generation.is_some_and(|wanted| wanted != GENERATION) {
                return Err(ApplyError::Outdated { current: GENERATION });
            }
            if source == b"port in use" {
                let (what, how) = ("port 80 is in use".into(), "stop the other program".into());
                return Err(NodeError::Failed { what, how }.into());
            }
            let report = self.check(&source);
            if !report.valid {
                return Err(ApplyError::Rejected(report));
            }
            self.note(format!("apply {} bytes", source.len()));
            Ok(applied(GENERATION + 1))
        })
    }

    fn history(&self) -> Result<Vec<HistoryEntry>, NodeError> {
        let entry =
            HistoryEntry { generation: 6, fingerprint: "e".into(), applied_ms: 1, origin: Origin::Api };
        Ok(vec![entry])
    }

    fn upgrade(&self) -> Pending<'_, Result<Upgraded, NodeError>> {
        Box::pin(async move {
            self.note("upgrade".to_owned());
            Ok(Upgraded { pid: 7 })
        })
    }

    fn rollback(&self, generation: u64) -> Pending<'_, Result<Applied, ApplyError>> {
        Box::pin(async move {
            if generation != 6 {
                let what = format!("no configuration of generation {generation} is kept");
                return Err(NodeError::NotFound { what, how: "look at the history".into() }.into());
            }
            self.note(format!("rollback {generation}"));
            Ok(applied(GENERATION + 1))
        })
    }

    /// Remembers one request; its path says what was asked.
    fn decisions(&self, filter: DecisionFilter) -> Pending<'_, Result<Vec<DecisionView>, NodeError>> {
        Box::pin(async move {
            let view = DecisionView {
                request_id: "r1".into(),
                path: format!("{filter:?}"),
                attempts: vec![AttemptView { endpoint: "10.0.0.1:8080".into(), ..AttemptView::default() }],
                candidates: vec![CandidateView {
                    endpoint: "10.0.0.1:8080".into(),
                    out: Some("down".into()),
                    cause: None,
                    ..CandidateView::default()
                }],
                ..DecisionView::default()
            };
            let is_it = filter.request_id.is_none_or(|id| id == view.request_id);
            Ok(if is_it { vec![view] } else { Vec::new() })
        })
    }

    fn pools(&self) -> Vec<PoolView> {
        vec![pool()]
    }

    fn pool(&self, name: &str) -> Option<PoolView> {
        (name == "api").then(pool)
    }

    fn add_endpoint(&self, pool: &str, new: NewEndpoint) -> Result<EndpointView, NodeError> {
        in_pool(pool)?;
        match new.address.as_str() {
            "10.0.0.1:8080" => {
                let (what, how) = ("it is there already".into(), "change it instead".into());
                Err(NodeError::Conflict { what, how })
            }
            "nonsense" => Err(NodeError::Invalid {
                what: "`nonsense` has no port".into(),
                place: "address".into(),
                how: "write host:port".into(),
            }),
            address => {
                self.note(format!("add {address} weight {}", new.weight));
                Ok(EndpointView { address: address.into(), weight: new.weight, ..endpoint() })
            }
        }
    }

    fn remove_endpoint(&self, pool: &str, address: &str) -> Result<(), NodeError> {
        in_pool(pool)?;
        self.note(format!("remove {address}"));
        Ok(())
    }

    fn change_endpoint(
        &self,
        pool: &str,
        address: &str,
        change: EndpointChange,
    ) -> Result<EndpointView, NodeError> {
        in_pool(pool)?;
        self.note(format!("change {address} {change:?}"));
        Ok(EndpointView { state: change.state.unwrap_or(AdminState::Ready), ..endpoint() })
    }
}
