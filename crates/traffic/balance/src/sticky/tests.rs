//! Tests of what becomes of sessions.

use std::time::Duration;

use base_model::model::{SessionLimits, StickyLearn};

use super::*;
use crate::fixture::{endpoint, pool, sticky_cookie};
use crate::pool::PoolState;

const LIMITS: SessionLimits = SessionLimits { ttl: Duration::from_secs(60), max: 1_000 };
const NOW: Moment = Moment::from_nanos(1_000_000_000_000);

struct Stage {
    pool: Arc<PoolState>,
    sticky: Stickiness,
}

impl Stage {
    fn new(settings: Sticky) -> Self {
        let mut model = pool("p", (0..3).map(|number| endpoint(number, 1)).collect());
        model.sticky = Some(settings.clone());
        let pool = PoolState::new(&model);
        let mut sticky = Stickiness::new(&settings, pool.sessions()).unwrap();
        sticky.update(&pool.endpoints());
        Self { pool, sticky }
    }

    fn id(&self, index: usize) -> EndpointId {
        self.pool.endpoints()[index].id()
    }

    /// The outcome and the cookie that is set.
    fn answered(
        &self,
        session: Session,
        index: usize,
        named: Option<&[u8]>,
    ) -> (Option<SessionOutcome>, Option<String>) {
        let bound = self.sticky.answered(session, self.id(index), (named, true), NOW);
        self.pool.check_invariants();
        let text = |line: &[u8]| {
            String::from_utf8_lossy(line).split(['=', ';']).nth(1).unwrap_or_default().to_owned()
        };
        (bound.outcome, bound.set_cookie.map(text))
    }
}

fn cookie(keys: &[&str]) -> Sticky {
    Sticky::Cookie(sticky_cookie(keys))
}

fn learn(from: SessionName) -> Sticky {
    Sticky::Learn(StickyLearn { from, limits: LIMITS })
}

#[test]
fn a_cookie_is_set_once_and_again_only_when_its_session_moves() {
    use SessionOutcome::{Kept, Moved, New, Unknown};
    let stage = Stage::new(cookie(&["a key of the test"]));
    let (outcome, value) = stage.answered(stage.sticky.find(b"", NOW), 1, None);
    assert_eq!(outcome, Some(New));
    let value = value.unwrap();
    let session = stage.sticky.find(value.as_bytes(), NOW);
    assert_eq!(session.endpoint, Some(stage.id(1)));
    assert_eq!(stage.answered(session, 1, None), (Some(Kept), None));
    let (outcome, moved) = stage.answered(session, 2, None);
    assert_eq!(outcome, Some(Moved));
    assert_eq!(stage.sticky.find(moved.unwrap().as_bytes(), NOW).endpoint, Some(stage.id(2)));
    let forged = stage.sticky.find(b"0123456789abcdef0123456789abcdef", NOW);
    assert_eq!(forged.endpoint, None);
    let (outcome, replaced) = stage.answered(forged, 1, None);
    assert_eq!((outcome, replaced), (Some(Unknown), Some(value)), "it is replaced");
}

#[test]
fn an_answer_that_does_not_bind_leaves_no_trace() {
    let stage = Stage::new(cookie(&["a key of the test"]));
    let bound = stage.sticky.answered(Session::default(), stage.id(0), (None, false), NOW);
    assert_eq!(bound, Bound { outcome: None, set_cookie: None, stored: None });
    let stage = Stage::new(learn(SessionName::Cookie("id".into())));
    let bound = stage.sticky.answered(Session::default(), stage.id(0), (Some(b"a"), false), NOW);
    assert_eq!(bound.stored, None);
    assert!(!stage.sticky.find(b"a", NOW).is_known());
}

#[test]
fn a_cookie_of_an_older_key_is_kept_and_signed_anew() {
    let old = Stage::new(cookie(&["the older key of it"]));
    let value = old.answered(Session::default(), 0, None).1.unwrap();
    let new = Stage::new(cookie(&["the newer key of it", "the older key of it"]));
    let session = new.sticky.find(value.as_bytes(), NOW);
    let (outcome, signed) = new.answered(session, 0, None);
    assert_eq!(outcome, Some(SessionOutcome::Kept));
    assert_ne!(signed.unwrap(), value);
}

#[test]
fn a_learned_cookie_is_known_after_its_answer_and_not_before() {
    use SessionOutcome::{Kept, Moved, New, Unknown};
    let stage = Stage::new(learn(SessionName::Cookie("id".into())));
    assert_eq!(stage.answered(Session::default(), 0, None).0, None, "no session, nothing to count");
    assert_eq!(stage.answered(Session::default(), 2, Some(b"abc")).0, Some(New));
    let session = stage.sticky.find(b"abc", NOW);
    assert_eq!(session.endpoint, Some(stage.id(2)));
    assert_eq!(stage.answered(session, 2, None).0, Some(Kept));
    assert_eq!(stage.answered(session, 0, None).0, Some(Moved));
    assert_eq!(stage.sticky.find(b"abc", NOW).endpoint, Some(stage.id(0)), "it stays where it moved");
    let made_up = stage.sticky.find(b"made up", NOW);
    assert_eq!(stage.answered(made_up, 1, None).0, Some(Unknown));
    assert!(!stage.sticky.find(b"made up", NOW).is_known(), "clients cannot fill the table");
}

#[test]
fn a_field_of_requests_is_learned_as_well() {
    let stage = Stage::new(learn(SessionName::Header("x-session".into())));
    let session = stage.sticky.find(b"abc", NOW);
    assert_eq!(stage.answered(session, 1, None).0, Some(SessionOutcome::Unknown));
    assert_eq!(stage.sticky.find(b"abc", NOW).endpoint, Some(stage.id(1)));
}

#[test]
fn sessions_of_endpoints_that_are_gone_are_known_but_free() {
    let mut stage = Stage::new(learn(SessionName::Cookie("id".into())));
    stage.answered(Session::default(), 0, Some(b"abc"));
    stage.sticky.update(&stage.pool.endpoints()[1..]);
    let session = stage.sticky.find(b"abc", NOW);
    assert!(session.is_known() && session.endpoint.is_none());
    assert_eq!(stage.answered(session, 1, None).0, Some(SessionOutcome::Moved));
}

#[test]
fn networks_hold_together() {
    let source = StickySource { prefix: 24, prefix6: 56, limits: LIMITS };
    let stage = Stage::new(Sticky::Source(source));
    let find = |client: &str| stage.sticky.find_client(client.parse().unwrap(), NOW);
    let same = |a: &str, b: &str| find(a).key == find(b).key;
    assert!(same("192.0.2.1", "192.0.2.200") && !same("192.0.2.1", "192.0.3.1"));
    assert!(same("192.0.2.1", "::ffff:192.0.2.9"), "IPv4 in another form");
    assert!(same("2001:db8::1", "2001:db8:0:ff:1::") && !same("2001:db8::1", "2001:db8:0:100::1"));
    assert!(!same("0.0.0.0", "::"), "families are apart");
    assert_eq!(stage.answered(find("192.0.2.1"), 1, None).0, Some(SessionOutcome::New));
    assert_eq!(find("192.0.2.7").endpoint, Some(stage.id(1)));
    let all = StickySource { prefix: 32, prefix6: 128, limits: LIMITS };
    let exact = |a: &str, b: &str| network(&all, a.parse().unwrap()) == network(&all, b.parse().unwrap());
    assert!(!exact("192.0.2.1", "192.0.2.2") && !exact("2001:db8::1", "2001:db8::2"));
}
