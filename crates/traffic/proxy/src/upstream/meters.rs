//! What is counted about pools and endpoints: handles, looked up once per worker.

use std::cell::OnceCell;

use base_model::model::Pool;
use base_signal::{Counter, Gauge, Histogram, Shard, families};
use traffic_balance::{EndpointState, SessionOutcome};
use traffic_tls::ConnectFault;

/// A pool's numbers.
pub(crate) struct PoolMeters {
    pub(crate) retries: Counter,
    pub(crate) replays: Counter,
    pub(crate) opened: Counter,
    pub(crate) reused: Counter,
    /// Connections that carry many exchanges.
    pub(crate) http2: Counter,
    pub(crate) open: Gauge,
    pub(crate) first_byte: Histogram,
    pub(crate) queued: Histogram,
    /// Where endpoints are reached over TLS.
    handshakes: Option<HandshakeMeters>,
}

/// What comes of TLS handshakes with a pool's endpoints.
struct HandshakeMeters {
    full: Counter,
    resumed: Counter,
    failed: Vec<(ConnectFault, Counter)>,
}

impl PoolMeters {
    pub(crate) fn new(shard: &Shard, settings: &Pool) -> Self {
        let pool = &*settings.name;
        Self {
            retries: shard.counter(&families::UPSTREAM_RETRIES, &[pool]),
            replays: shard.counter(&families::UPSTREAM_REPLAYS, &[pool]),
            opened: shard.counter(&families::UPSTREAM_CONNECTIONS_OPENED, &[pool]),
            reused: shard.counter(&families::UPSTREAM_CONNECTIONS_REUSED, &[pool]),
            http2: shard.counter(&families::UPSTREAM_HTTP2_CONNECTIONS, &[pool]),
            open: shard.gauge(&families::UPSTREAM_CONNECTIONS_OPEN, &[pool]),
            first_byte: shard.histogram(&families::UPSTREAM_FIRST_BYTE, &[pool]),
            queued: shard.histogram(&families::UPSTREAM_QUEUE_TIME, &[pool]),
            handshakes: settings.tls.is_some().then(|| HandshakeMeters::new(shard, pool)),
        }
    }

    /// Counts a handshake that came to its end.
    pub(crate) fn shook_hands(&self, is_resumed: bool) {
        if let Some(meters) = &self.handshakes {
            if is_resumed { &meters.resumed } else { &meters.full }.increment();
        }
    }

    /// Counts a handshake that did not.
    pub(crate) fn handshake_failed(&self, fault: ConnectFault) {
        let failed = self.handshakes.iter().flat_map(|meters| &meters.failed);
        failed.filter(|(other, _)| *other == fault).for_each(|(_, counter)| counter.increment());
    }
}

impl HandshakeMeters {
    fn new(shard: &Shard, pool: &str) -> Self {
        let handshakes = |result| shard.counter(&families::UPSTREAM_TLS_HANDSHAKES, &[pool, result]);
        Self {
            full: handshakes("full"),
            resumed: handshakes("resumed"),
            failed: ConnectFault::ALL.map(|fault| (fault, handshakes(fault.word()))).into(),
        }
    }
}

/// What becomes of a sticky pool's sessions.
pub(crate) struct StickyMeters {
    outcomes: [Counter; SessionOutcome::ALL.len()],
    pub(crate) evicted: Counter,
}

impl StickyMeters {
    pub(crate) fn new(shard: &Shard, pool: &str) -> Self {
        let outcome =
            |outcome: SessionOutcome| shard.counter(&families::STICKY_REQUESTS, &[pool, outcome.word()]);
        Self {
            outcomes: SessionOutcome::ALL.map(outcome),
            evicted: shard.counter(&families::STICKY_EVICTIONS, &[pool]),
        }
    }

    /// Counts a request by what became of its session.
    pub(crate) fn count(&self, outcome: SessionOutcome) {
        if let Some(counter) = self.outcomes.get(outcome as usize) {
            counter.increment();
        }
    }
}

/// An endpoint's attempts by outcome.
pub(crate) struct EndpointMeters {
    answered: [Counter; 5],
    failed: Counter,
    /// Made when the first connection is passed on: few endpoints have any.
    connected: OnceCell<Counter>,
    pub(crate) first_byte: Histogram,
}

impl EndpointMeters {
    pub(crate) fn new(shard: &Shard, pool: &str, endpoint: &str) -> Self {
        let attempts = |outcome| shard.counter(&families::UPSTREAM_REQUESTS, &[pool, endpoint, outcome]);
        Self {
            answered: ["1xx", "2xx", "3xx", "4xx", "5xx"].map(attempts),
            failed: attempts("failed"),
            connected: OnceCell::new(),
            first_byte: shard.histogram(&families::ENDPOINT_FIRST_BYTE, &[pool, endpoint]),
        }
    }

    /// Counts an attempt that was answered with this status.
    pub(crate) fn answered(&self, status: u16) {
        let class = usize::from(status / 100).wrapping_sub(1);
        self.answered.get(class).unwrap_or(&self.failed).increment();
    }

    /// Counts a connection that was made to pass another one on.
    pub(crate) fn connected(&self, shard: &Shard, endpoint: &EndpointState) {
        let labels = [endpoint.pool(), endpoint.name(), "connected"];
        self.connected.get_or_init(|| shard.counter(&families::UPSTREAM_REQUESTS, &labels)).increment();
    }

    /// Counts an attempt without a complete answer.
    pub(crate) fn failed(&self) {
        self.failed.increment();
    }
}
