//! Every metric there is: name, labels, meaning. The reference page is made from [`ALL`].

use std::fmt::Write as _;

/// A metric: a name, and a series for each set of label values.
#[derive(Debug, PartialEq, Eq)]
pub struct Family {
    /// As in the output.
    pub name: &'static str,
    /// What it tells.
    pub help: &'static str,
    /// What sort of number it is.
    pub kind: FamilyKind,
    /// Label names.
    pub labels: &'static [&'static str],
    /// Most series; what comes after is counted in one whose labels are all `other`.
    pub max_series: usize,
}

/// What sort of number a family holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FamilyKind {
    /// Only grows; starts at zero with the process.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Durations in seconds, counted by length.
    Histogram,
}

impl FamilyKind {
    /// The word in Prometheus text.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Series of what is known beforehand (reasons, results): never reached.
const FIXED: usize = 256;
/// Series per listener, route or pool: a few thousand of each is a large configuration.
const NAMED: usize = 4_096;
/// Series of histograms: each is 27 lines of output and 27 numbers per worker.
const HISTOGRAMS: usize = 1_024;
/// Series per endpoint: at about 100 bytes a line, a scrape of some megabytes.
const ENDPOINTS: usize = 16_384;

const fn family(
    kind: FamilyKind,
    name: &'static str,
    labels: &'static [&'static str],
    max_series: usize,
    help: &'static str,
) -> Family {
    Family { name, help, kind, labels, max_series }
}

/// States the families once: a static for each, and the list of them all.
macro_rules! families {
    ($($constant:ident = $kind:ident $name:literal $labels:expr, $limit:ident, $help:literal;)+) => {
        $(#[doc = concat!("`", $name, "`: ", $help)]
        pub static $constant: Family = family(FamilyKind::$kind, $name, &$labels, $limit, $help);)+

        /// All families, by subject.
        pub static ALL: &[&Family] = &[$(&$constant,)+];
    };
}

families! {
    REQUESTS = Counter "aya_requests_total" ["route", "code"], NAMED,
        "Requests answered, by route (none if no route took it) and class of the status sent (1xx to 5xx; none if the client was gone).";
    FAILURES = Counter "aya_failures_total" ["reason", "blame"], FIXED,
        "Requests that failed, by reason and by who has to act (client, upstream, aya).";
    REQUEST_DURATION = Histogram "aya_request_duration_seconds" ["route"], HISTOGRAMS,
        "Time from the first byte of the request head to the last byte of the answer.";

    CONNECTIONS_OPEN = Gauge "aya_connections_open" ["listener"], NAMED,
        "Client connections open.";
    CONNECTIONS_ACCEPTED = Counter "aya_connections_accepted_total" ["listener"], NAMED,
        "Client connections accepted.";
    CONNECTIONS_LIMIT = Gauge "aya_connections_limit" ["listener"], NAMED,
        "Client connections that may be open at once (max-connections).";
    CONNECTIONS_HELD = Counter "aya_connections_held_total" ["listener"], NAMED,
        "Client connections that had to wait because as many as may be were open. Those behind them in the kernel's queue are not counted.";
    TCP_CONNECTIONS = Counter "aya_tcp_connections_total" ["listener", "result"], NAMED,
        "Connections of listeners with protocol: tcp that are over, by what came of them: ended by both sides, or failed.";
    TCP_DURATION = Histogram "aya_tcp_connection_duration_seconds" ["listener"], HISTOGRAMS,
        "Time from the begin of a connection of a listener with protocol: tcp to its end.";
    UDP_SESSIONS = Counter "aya_udp_sessions_total" ["listener", "result"], NAMED,
        "Sessions of listeners with protocol: udp that are over, by what came of them: ended, or failed.";
    UDP_DURATION = Histogram "aya_udp_session_duration_seconds" ["listener"], HISTOGRAMS,
        "Time from the first datagram of a session to its end.";
    UDP_DATAGRAMS = Counter "aya_udp_datagrams_total" ["listener", "direction"], NAMED,
        "Datagrams of listeners with protocol: udp, from clients (up) and to them (down).";
    UDP_DROPPED = Counter "aya_udp_datagrams_dropped_total" ["listener", "cause"], NAMED,
        "Datagrams that were not passed on: as many sessions as may be were open (no-session), no endpoint could take it (no-endpoint), or the system did not (not-taken).";
    HTTP2_CONNECTIONS = Counter "aya_http2_connections_total" ["listener"], NAMED,
        "Client connections on which HTTP/2 was begun.";
    HTTP2_ABUSE = Counter "aya_http2_abuse_total" ["listener", "kind"], NAMED,
        "Clients that were sent away for what they do over HTTP/2, by kind.";
    PROXY_PROTOCOL_FAILURES = Counter "aya_proxy_protocol_failures_total" ["listener"], NAMED,
        "Connections of proxies that were to say by the PROXY protocol who their client is, and did not.";
    TLS_HANDSHAKES = Counter "aya_tls_handshakes_total" ["listener", "result"], NAMED,
        "TLS handshakes, by what came of them: full, resumed, or why they failed.";
    TLS_CERTIFICATE_ENDS = Gauge "aya_tls_certificate_not_after_timestamp_seconds" ["place", "certificate"], NAMED,
        "When a certificate runs out, in seconds since 1970-01-01 UTC, by its place in the configuration (listeners.NAME, pools.NAME) and path.";
    TLS_OCSP_FETCHES = Counter "aya_tls_ocsp_fetches_total" ["result"], FIXED,
        "Questions to authorities of what they say of certificates (OCSP), by result (fetched, failed). Only with ocsp: fetch.";
    BYTES_RECEIVED = Counter "aya_bytes_received_total" ["listener"], NAMED,
        "Bytes received from clients, heads included.";
    BYTES_SENT = Counter "aya_bytes_sent_total" ["listener"], NAMED,
        "Bytes sent to clients, heads included.";

    UPSTREAM_REQUESTS = Counter "aya_upstream_requests_total" ["pool", "endpoint", "outcome"], ENDPOINTS,
        "Attempts sent to endpoints, by outcome: class of the status received (1xx to 5xx), connected where connections are passed on, or failed.";
    UPSTREAM_FIRST_BYTE = Histogram "aya_upstream_first_byte_seconds" ["pool"], HISTOGRAMS,
        "Time from the request sent to the first byte of the endpoint's answer.";
    UPSTREAM_QUEUE_TIME = Histogram "aya_upstream_queue_seconds" ["pool"], HISTOGRAMS,
        "Time that requests waited because all endpoints, or that of their session, were at their connection limit; only those that had to.";
    UPSTREAM_QUEUE = Gauge "aya_upstream_queue_requests" ["pool"], NAMED,
        "Requests that wait now because all endpoints, or that of their session, are at their connection limit.";
    UPSTREAM_RETRIES = Counter "aya_upstream_retries_total" ["pool"], NAMED,
        "Attempts after the first, on the next candidate.";
    UPSTREAM_REPLAYS = Counter "aya_upstream_replays_total" ["pool"], NAMED,
        "Requests sent again because a reused connection turned out to be closed.";
    UPSTREAM_CONNECTIONS_OPENED = Counter "aya_upstream_connections_opened_total" ["pool"], NAMED,
        "Connections made to endpoints.";
    UPSTREAM_CONNECTIONS_REUSED = Counter "aya_upstream_connections_reused_total" ["pool"], NAMED,
        "Requests sent on a connection that was already open.";
    UPSTREAM_HTTP2_CONNECTIONS = Counter "aya_upstream_http2_connections_total" ["pool"], NAMED,
        "Connections to endpoints on which HTTP/2 was begun: each carries many requests.";
    UPSTREAM_CONNECTIONS_OPEN = Gauge "aya_upstream_connections_open" ["pool"], NAMED,
        "Connections to endpoints open, idle ones included.";

    STICKY_REQUESTS = Counter "aya_sticky_requests_total" ["pool", "outcome"], NAMED,
        "Requests answered by a sticky pool, by what became of the session (kept, new, moved to another endpoint, unknown: forged, of another key, forgotten). Those without a session are not counted.";
    STICKY_SESSIONS = Gauge "aya_sticky_sessions" ["pool"], NAMED,
        "Sessions in a pool's table; a pool with cookies of Aya's own has none.";
    STICKY_EVICTIONS = Counter "aya_sticky_evictions_total" ["pool"], NAMED,
        "Sessions in use that were forgotten because the table was full.";

    UPSTREAM_TLS_HANDSHAKES = Counter "aya_upstream_tls_handshakes_total" ["pool", "result"], NAMED,
        "TLS handshakes with endpoints, by what came of them: full, resumed, or why they failed.";

    UPSTREAM_PROBES = Counter "aya_upstream_probes_total" ["pool", "result"], NAMED,
        "Questions to endpoints of what they have to do, by result (answered; silent for an answer without a report; failed for none in time). Only where the balancer asks.";

    ENDPOINT_IN_FLIGHT = Gauge "aya_endpoint_requests_in_flight" ["pool", "endpoint"], ENDPOINTS,
        "Requests that an endpoint is working on, over all workers.";
    ENDPOINT_STATE = Gauge "aya_endpoint_state" ["pool", "endpoint", "state"], ENDPOINTS,
        "1 for the state that an endpoint is in, 0 for the others.";
    ENDPOINT_SHARE = Gauge "aya_endpoint_share_percent" ["pool", "endpoint"], ENDPOINTS,
        "Which part of its share of traffic an endpoint gets while it is up and not ejected: less than 100 while it is new, or does worse than its peers.";
    POOL_PANIC = Gauge "aya_pool_panic" ["pool"], NAMED,
        "1 while so little of a pool is fit that all endpoints get traffic.";
    ENDPOINT_AGENT_WEIGHT = Gauge "aya_endpoint_agent_weight_percent" ["pool", "endpoint"], ENDPOINTS,
        "Share of an endpoint's weight that its agent asks for, in percent; only where an agent has spoken.";
    ENDPOINT_UTILIZATION = Gauge "aya_endpoint_utilization_percent" ["pool", "endpoint", "resource"], ENDPOINTS,
        "What an endpoint's machine has in use (cpu, memory, io), in percent, as it or its agent told last; only what was told.";
    ENDPOINT_TRANSITIONS = Counter "aya_endpoint_transitions_total" ["pool", "to", "cause"], NAMED,
        "Changes of an endpoint's state (or of a pool's: panic and calm), by new state and kind of cause (http-check, tcp-check, tls-check, grpc-check, agent-check, exec-check, icmp-check, udp-check, name-lookup, consecutive-failures, more-errors-than-peers, slower-than-peers, like-its-peers, panic-threshold, ejection-over, admin, configuration).";
    HEALTH_CHECKS = Counter "aya_health_checks_total" ["pool", "result"], NAMED,
        "Active health checks made, by result (pass, fail, or silent for an agent that could not be asked or was not understood).";

    CONFIG_GENERATION = Gauge "aya_config_generation" [], FIXED,
        "Number of the configuration in use; grows by one with each change.";
    UPGRADES = Counter "aya_upgrades_total" ["result"], FIXED,
        "Successors that were started, by result: handed-over to one that serves, or failed.";
    CONFIG_RELOADS = Counter "aya_config_reloads_total" ["result"], FIXED,
        "Configurations offered, by result (applied, unchanged, rejected).";

    ACCESS_LOG_LINES = Counter "aya_access_log_lines_total" [], FIXED,
        "Access-log lines written.";
    ACCESS_LOG_DROPPED = Counter "aya_access_log_dropped_lines_total" [], FIXED,
        "Access-log lines lost because the target was too slow or failing.";
    ACCESS_LOG_ERRORS = Counter "aya_access_log_errors_total" [], FIXED,
        "Failed attempts to open or write the access log.";
    DECISIONS_KEPT = Counter "aya_decisions_kept_total" ["as"], FIXED,
        "Requests remembered for those who ask what became of them, by why (latest; failure for what failed, was tried more than once or was slow).";
    DECISIONS_SKIPPED = Counter "aya_decisions_skipped_total" [], FIXED,
        "Requests not remembered because there were more in a second than `decisions.rate`, or `decisions.keep` is 0.";
    BUSY_POLLS = Counter "aya_busy_polls_total" ["result"], FIXED,
        "Times a worker looked out for more before it slept (`busy-poll`), by what came of it (found, nothing).";
    METRICS_OVERFLOW = Counter "aya_metrics_overflow_total" ["family"], FIXED,
        "Look-ups of a series that found its family full and were counted under other.";

    BUILD_INFO = Gauge "aya_build_info" ["version"], FIXED,
        "Always 1; the version is in the label.";
    PROCESS_START_TIME = Gauge "process_start_time_seconds" [], FIXED,
        "When the process started, in seconds since 1970-01-01 UTC.";
    PROCESS_CPU = Counter "process_cpu_seconds_total" [], FIXED,
        "CPU time used, in user and kernel mode.";
    PROCESS_MEMORY = Gauge "process_resident_memory_bytes" [], FIXED,
        "Memory held in RAM.";
    PROCESS_OPEN_FILES = Gauge "process_open_fds" [], FIXED,
        "File descriptors open.";
    PROCESS_MAX_FILES = Gauge "process_max_fds" [], FIXED,
        "File descriptors that may be open.";
}

/// Time from the request sent to the first byte of the answer, by endpoint. Not in the output of a scrape, where 27 lines for
/// each endpoint would be most of it: the admin API tells it, and `aya top` shows its quantiles.
pub static ENDPOINT_FIRST_BYTE: Family = family(
    FamilyKind::Histogram,
    "aya_endpoint_first_byte_seconds",
    &["pool", "endpoint"],
    ENDPOINTS,
    "Time from the request sent to the first byte of the endpoint's answer.",
);

/// Families that are kept like all others and left out of a scrape.
pub static UNSCRAPED: &[&Family] = &[&ENDPOINT_FIRST_BYTE];

/// The class of a status as label value: `2xx` … `5xx`, and `none` for what is no status.
pub const fn status_class(status: u16) -> &'static str {
    match status / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        5 => "5xx",
        _ => "none",
    }
}

/// `docs/reference/metrics.md`.
pub fn reference_markdown() -> String {
    let mut page = String::from(REFERENCE_HEAD);
    for Family { name, help, kind, labels, max_series } in ALL {
        let labels: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
        let (kind, labels) = (kind.word(), labels.join(", "));
        // Writing into a string cannot fail, here and below.
        let _ = writeln!(page, "| `{name}` | {kind} | {labels} | {max_series} | {help} |");
    }
    let bounds: Vec<_> =
        super::buckets::BOUNDS.iter().map(|&bound| format!("{}", bound as f64 / 1e9)).collect();
    let _ = writeln!(page, "\nBuckets of every histogram, in seconds: {}.", bounds.join(", "));
    page
}

const REFERENCE_HEAD: &str = "\
# Metrics

<!-- Made from the list of families in `base-signal`; do not edit. -->

Served by the admin port at `GET /metrics`, as Prometheus text. Times are in seconds, sizes in bytes. Each metric holds at
most the number of series given; what comes after is counted in one whose labels are all `other`, and
`aya_metrics_overflow_total` says so. A counter starts at zero with the process and never goes back. The series of a route,
pool or endpoint that is gone from the configuration go too.

| metric | type | labels | series | what it tells |
|---|---|---|---|---|
";

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_follow_the_rules_and_are_used_once() {
        let names: HashSet<_> = ALL.iter().map(|family| family.name).collect();
        assert_eq!(names.len(), ALL.len());
        for family in ALL {
            let name = family.name;
            assert!(name.starts_with("aya_") || name.starts_with("process_"), "{name}");
            assert_eq!(name.ends_with("_total"), family.kind == FamilyKind::Counter, "{name}");
            // Durations, and points in time.
            let is_moment = name.contains("start_time") || name.contains("_timestamp");
            assert_eq!(
                name.ends_with("_seconds"),
                family.kind == FamilyKind::Histogram || is_moment,
                "{name}"
            );
            assert!(family.help.ends_with('.') && !family.help.contains('|'), "{name}");
            assert!(family.labels.iter().all(|label| !["le", "job", "instance"].contains(label)), "{name}");
        }
    }

    #[test]
    fn statuses_have_their_class() {
        assert_eq!(
            [0, 101, 204, 404, 599, 999].map(status_class),
            ["none", "1xx", "2xx", "4xx", "5xx", "none"]
        );
    }
}
