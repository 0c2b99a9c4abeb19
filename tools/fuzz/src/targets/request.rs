//! What clients send.

use traffic_http::HeadLimits;

use super::split::lengths;
use super::stream::{Role, assert_same_however_split};

/// Small, so that short inputs reach them.
pub(super) const LIMITS: HeadLimits =
    HeadLimits { max_head_bytes: 1024, max_fields: 12, max_target_bytes: 128 };

/// A connection of a client.
pub fn run(data: &[u8]) {
    assert_same_however_split(Role::Server, LIMITS, data, &lengths(data));
}
