//! How much one client, and all of them, may ask of the admin port.

use std::time::Duration;

/// Longest configuration: a little above the 10 MiB that the configuration reader itself accepts, so that its message, which
/// says where the limit is, is the one that is seen.
pub const CONFIG_BYTES: usize = 11 * 1024 * 1024;

/// Longest body of any other request: a handful of short members.
pub const SMALL_BODY_BYTES: usize = 64 * 1024;

/// Longest request head, and how much hyper buffers of a connection. hyper takes no less than 8 KiB.
pub const HEAD_BYTES: usize = 32 * 1024;

/// Connections at once; more wait in the kernel's queue. Operators and scrapers need a handful.
pub const CONNECTIONS: usize = 256;

/// Connections at once from one host: it does not take all places, by mistake or not.
pub const CONNECTIONS_PER_HOST: usize = 64;

/// For the first request head of a connection: whoever connects has something to ask.
pub const FIRST_HEAD_TIMEOUT: Duration = Duration::from_secs(2);

/// For a later request head, and between two requests of a connection.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(20);

/// For checking a configuration without using it: a thousand times what a large one needs.
pub const CHECK_TIMEOUT: Duration = Duration::from_secs(10);

/// For a request body, all of it: the longest one at 200 KiB/s.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a connection takes new requests; clients that keep connections open simply make a new one.
pub const CONNECTION_AGE: Duration = Duration::from_secs(300);

/// How long a request that is under way may take beyond that, or after the server was told to stop.
pub const LAST_REQUEST: Duration = Duration::from_secs(120);

/// How long requests under way may take when the server stops.
pub const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// How long no connection is accepted after the system refused one (out of descriptors, as a rule).
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Largest weight of an endpoint, as in the configuration.
pub const MAX_WEIGHT: u32 = 65_535;

/// Requests shown at a time, if not asked otherwise: a screen or two.
pub const DECISIONS: usize = 50;

/// Requests shown at a time at most: copying them takes each worker about a millisecond.
pub const MAX_DECISIONS: usize = 1_000;

const _: () = assert!(SMALL_BODY_BYTES < CONFIG_BYTES && HEAD_BYTES >= 8 * 1024);
const _: () =
    assert!(CONNECTIONS_PER_HOST < CONNECTIONS && FIRST_HEAD_TIMEOUT.as_secs() < HEAD_TIMEOUT.as_secs());
const _: () = assert!(BODY_TIMEOUT.as_secs() <= LAST_REQUEST.as_secs(), "the last request may have a body");
