//! Sticky cookies: forged, cut off, doubled.

use std::sync::{Arc, LazyLock};

use base_kit::Moment;
use base_model::check_bytes;
use base_model::model::Pool;
use traffic_balance::{EndpointState, PoolState, Session, Stickiness};
use traffic_http::{Fields, KnownField};
use traffic_route::{FieldLookup, any_cookie_value};

const NAME: &str = "node";
const CONFIG: &str = "
listeners: {web: {bind: 127.0.0.1:8080}}
routes: [{pool: p}]
pools:
  p:
    endpoints: [10.0.0.1:80, 10.0.0.2:80, 10.0.0.3:80]
    sticky: {cookie: node, keys: [{env: KEY}]}
";

fn key(name: &str) -> Option<String> {
    (name == "KEY").then(|| "0123456789abcdef".repeat(4))
}

/// A pool whose sessions have a cookie, and the cookies that Aya would set.
struct Stage {
    endpoints: Arc<[Arc<EndpointState>]>,
    pool: Pool,
    genuine: Vec<Vec<u8>>,
}

static STAGE: LazyLock<Stage> = LazyLock::new(|| {
    let loaded = check_bytes(CONFIG.as_bytes(), "/nowhere/fuzz.yaml", &key, &app_node::catalog());
    assert!(loaded.is_ok(), "{}", loaded.map_or_else(|error| error.to_string(), |_| String::new()));
    let pool = loaded.ok().and_then(|loaded| loaded.model.pools.first().cloned());
    let pool = pool.unwrap_or_else(|| unreachable!("the configuration has a pool"));
    let endpoints: Arc<[_]> = PoolState::new(&pool).endpoints().iter().map(Arc::clone).collect();
    let mut stage = Stage { endpoints, pool, genuine: Vec::new() };
    let sticky = stage.stickiness();
    stage.genuine = stage.endpoints.iter().map(|endpoint| issued(&sticky, endpoint)).collect();
    stage
});

impl Stage {
    fn stickiness(&self) -> Stickiness {
        let sticky = self.pool.sticky.as_ref().and_then(|sticky| Stickiness::new(sticky, None));
        let mut sticky = sticky.unwrap_or_else(|| unreachable!("the pool is sticky"));
        sticky.update(&self.endpoints);
        sticky
    }
}

/// The value of the cookie that a client gets with the first answer of this endpoint.
fn issued(sticky: &Stickiness, endpoint: &EndpointState) -> Vec<u8> {
    let bound = sticky.answered(Session::default(), endpoint.id(), (None, true), Moment::ZERO);
    let line = bound.set_cookie.unwrap_or_default();
    let value = line.split(|&byte| byte == b';').next().unwrap_or_default();
    let value = value.strip_prefix(b"node=").unwrap_or_default().to_vec();
    assert_eq!(value.len(), 32);
    value
}

thread_local! {
    static STICKY: Stickiness = STAGE.stickiness();
}

struct Cookies<'a>(&'a Fields);

impl FieldLookup for Cookies<'_> {
    fn any_value(&self, name: &str, accept: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.0.find_all(name).any(accept)
    }
}

/// The value of a `Cookie` field. The bytes 1 to 3 stand for genuine values, 4 to 6 for all but their last digit.
pub fn run(data: &[u8]) {
    let mut text = Vec::new();
    for &byte in data {
        match STAGE.genuine.get(usize::from(byte).wrapping_sub(1) % 3).filter(|_| (1..=6).contains(&byte)) {
            Some(genuine) => {
                let length = if byte < 4 { 32 } else { 31 };
                text.extend_from_slice(genuine.get(..length).unwrap_or_default());
            }
            // A head that was read has no control characters.
            None => text.push(if byte.is_ascii_control() && byte != b'\n' { b' ' } else { byte }),
        }
    }
    let mut fields = Fields::new();
    fields.append("host", b"a");
    // Two lines, where a new line is written.
    text.split(|&byte| byte == b'\n').take(2).for_each(|line| fields.append("cookie", line));
    STICKY.with(|sticky| check(sticky, &mut fields));
}

fn check(sticky: &Stickiness, fields: &mut Fields) {
    let mut others = Vec::new();
    any_cookie_value(&Cookies(fields), NAME, &mut |value| {
        let session = sticky.find(value, Moment::ZERO);
        let signed = STAGE.genuine.iter().position(|genuine| genuine == value);
        assert_eq!(session.endpoint, signed.and_then(|index| Some(STAGE.endpoints.get(index)?.id())));
        assert_eq!(session.is_known(), signed.is_some());
        false
    });
    any_cookie_value(&Cookies(fields), "other", &mut |value| {
        others.push(value.to_vec());
        false
    });
    let had = fields.remove_cookie(NAME);
    fields.check_invariants();
    let is_left = any_cookie_value(&Cookies(fields), NAME, &mut |_| true);
    assert!(!is_left, "{:?}", fields.get(KnownField::Cookie).map(String::from_utf8_lossy));
    assert!(!fields.remove_cookie(NAME), "had: {had}");
    let mut kept = Vec::new();
    any_cookie_value(&Cookies(fields), "other", &mut |value| {
        kept.push(value.to_vec());
        false
    });
    assert_eq!(kept, others, "the others stay as they are");
}
