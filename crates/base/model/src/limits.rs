//! How much a configuration may hold. Reading one must stay cheap whatever somebody sends.

use std::time::Duration;

/// Bytes of one configuration: ten times what 10,000 routes need.
pub const MAX_SOURCE_BYTES: usize = 10 << 20;

/// Lists and maps inside each other. The vocabulary needs 9.
pub const MAX_DEPTH: usize = 64;

/// Values in one configuration, aliases counted as often as they are used: 100,000 routes have six each.
pub const MAX_NODES: usize = 1_000_000;

/// Values that come from aliases: enough to share settings between pools, far too few for an alias bomb.
pub const MAX_ALIAS_NODES: usize = 100_000;

/// Bytes of text that come from aliases, for the same reason.
pub const MAX_ALIAS_BYTES: usize = 1 << 20;

/// Bytes of one value after environment variables are put in.
pub const MAX_SCALAR_BYTES: usize = 1 << 20;

/// Bytes of a file that holds a secret.
pub const MAX_SECRET_BYTES: u64 = 64 << 10;

/// Diagnostics kept of one configuration: whoever has more is not helped by reading them all.
pub const MAX_DIAGNOSTICS: usize = 100;

/// Bytes of a request or response head, whatever is configured: a head is kept in memory as a whole.
pub const MAX_HEAD_BYTES: u64 = 256 << 10;

/// Bytes of a line that is sent to an agent: it is a greeting or a name, not a message.
pub const MAX_LINE_BYTES: usize = 1 << 10;

/// Weight of one endpoint.
pub const MAX_ENDPOINT_WEIGHT: u32 = 65_535;

/// Weight of one pool in a split: fine enough for one request in a million.
pub const MAX_SHARE_WEIGHT: u32 = 1_000_000;

/// Secrets that sign a pool's sticky cookies: the one in use, and those it replaced. Each endpoint has a cookie of each.
pub const MAX_STICKY_KEYS: usize = 8;

/// Bytes of a secret that signs: 16 printable characters are beyond guessing if they were drawn at random.
pub const MIN_STICKY_KEY_BYTES: usize = 16;

/// How long sessions are kept at least: their ages are counted in parts of it.
pub const MIN_STICKY_TTL: Duration = Duration::from_secs(1);

/// How long sessions are kept at most: a year without a request is no session.
pub const MAX_STICKY_TTL: Duration = Duration::from_secs(365 * 24 * 3_600);

/// Certificates of one listener: each takes some 10 KiB.
pub const MAX_CERTIFICATES: usize = 100_000;

/// Bytes of a file with certificates or a key: a chain has some 5 KiB, all authorities of the web 250 KiB, a long revocation list 2 MiB.
pub const MAX_CERTIFICATE_BYTES: u64 = 8 << 20;

/// From when on it is said that a certificate ends: authorities of the web give ninety days and recommend renewal in the last thirty.
pub const CERTIFICATE_ENDS_SOON: Duration = Duration::from_hours(30 * 24);

/// Secrets that encrypt session tickets: the one in use, and those it replaced.
pub const MAX_TICKET_KEYS: usize = 8;

/// Bytes of such a secret: 32 printable characters are beyond guessing if they were drawn at random.
pub const MIN_TICKET_KEY_BYTES: usize = 32;

/// Bytes of a datagram that is sent to check an endpoint: every network passes so many on in one piece (RFC 9000 §14).
pub const MAX_DATAGRAM_BYTES: usize = 1_200;

/// Segments of one path: a look-up goes one level down for each.
pub const MAX_PATH_SEGMENTS: usize = 256;

/// Segments of all routes together, counted once for each host of a route: that many nodes the routing tables may need.
pub const MAX_ROUTED_SEGMENTS: u64 = 4_000_000;

/// Different regular expressions in the conditions of routes: each takes memory of its own on every worker.
pub const MAX_REGEXES: usize = 1_000;

/// Bytes of a compiled regular expression.
pub const MAX_REGEX_BYTES: usize = 1 << 20;

const _: () = assert!(MAX_ALIAS_NODES < MAX_NODES);
const _: () = assert!(MAX_ALIAS_BYTES <= MAX_SOURCE_BYTES);
const _: () = assert!(MAX_SCALAR_BYTES <= MAX_SOURCE_BYTES);
