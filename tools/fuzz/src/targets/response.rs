//! What endpoints send.

use traffic_http::Method;

use super::request::LIMITS;
use super::split::lengths;
use super::stream::{Role, assert_same_however_split};

/// A connection to an endpoint, as answers to GET and as answers to HEAD.
pub fn run(data: &[u8]) {
    for method in [Method::Get, Method::Head] {
        assert_same_however_split(Role::Client(method), LIMITS, data, &lengths(data));
    }
}
