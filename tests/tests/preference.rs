//! Which endpoints come first, and when others take over: tiers, zones, subsets, panic, slow start.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base_testkit::{Aya, Backend, answer, wait_until};
use serde_json::{Value, json};

use crate::config_of;

/// A backend that says its name, and whether it is well.
struct Actor {
    backend: Backend,
    is_well: Arc<AtomicBool>,
    name: String,
}

impl Actor {
    fn new(name: &str) -> Self {
        let is_well = Arc::new(AtomicBool::new(true));
        let (shown, said) = (Arc::clone(&is_well), format!("x-backend: {name}"));
        let backend = Backend::answering(move |request| {
            let is_sick = request.target == "/healthz" && !shown.load(Ordering::SeqCst);
            answer(if is_sick { 503 } else { 200 }, &[&said], "")
        });
        Self { backend, is_well, name: name.to_owned() }
    }

    /// With these keys, as an endpoint of a configuration.
    fn with(&self, keys: &str) -> String {
        format!("{{address: '{}', {keys}}}", self.backend)
    }

    /// Falls sick or gets well, and waits until Aya knows.
    fn set_well(&self, aya: &Aya, is_well: bool) {
        self.is_well.store(is_well, Ordering::SeqCst);
        let word = if is_well { "up" } else { "down" };
        wait_until(&format!("{} to be {word}", self.name), || self.view(aya)["health"] == word);
    }

    /// As the admin API shows it.
    fn view(&self, aya: &Aya) -> Value {
        let pool = aya.admin("GET", "/api/v1/pools/main", "").json();
        let endpoints = pool["endpoints"].as_array().cloned().unwrap_or_default();
        endpoints.into_iter().find(|one| one["address"] == self.backend.to_string()).expect("it is listed")
    }
}

fn actors(names: &[&str]) -> Vec<Actor> {
    names.iter().map(|name| Actor::new(name)).collect()
}

const CHECKS: &str = "health: {http: /healthz, interval: 50ms, timeout: 5s, rise: 1, fall: 1}";

/// One worker of the node `edge-1` in zone `a`, so that shares hold for few requests.
fn front(endpoints: &[String], pool: &str) -> Aya {
    let config = config_of("", "", pool, &endpoints.join(", "));
    Aya::start(&format!("workers: 1\nnode: {{name: edge-1, zone: a}}\n{config}"))
}

/// How many of so many requests each backend gets. All are answered well.
fn counts(aya: &Aya, count: usize) -> HashMap<String, usize> {
    let (mut client, mut counts) = (aya.client(), HashMap::new());
    for _ in 0..count {
        let response = client.get("/");
        assert_eq!(response.status, 200, "{}", response.reason());
        *counts.entry(response.header("x-backend").unwrap_or("?").to_owned()).or_default() += 1;
    }
    counts
}

/// Those that get traffic, in the order of their names.
fn served_by(aya: &Aya) -> String {
    let mut names: Vec<_> = counts(aya, 40).into_keys().collect();
    names.sort();
    names.concat()
}

/// The backup gets nothing while one of the first tier is left, everything when none is, and gives it back.
#[test]
fn a_backup_takes_over_and_gives_back() {
    let actors = actors(&["a", "b", "x", "y"]);
    let tiers = ["tier: 0", "tier: 0", "tier: 1", "tier: 2"];
    let endpoints: Vec<_> = actors.iter().zip(tiers).map(|(actor, keys)| actor.with(keys)).collect();
    let aya = front(&endpoints, CHECKS);
    assert_eq!(served_by(&aya), "ab");
    assert_eq!(actors[2].view(&aya)["tier"], 1);
    actors[0].set_well(&aya, false);
    assert_eq!(served_by(&aya), "b");
    actors[1].set_well(&aya, false);
    assert_eq!(served_by(&aya), "x");
    actors[2].set_well(&aya, false);
    assert_eq!(served_by(&aya), "y");
    actors[1].set_well(&aya, true);
    assert_eq!(served_by(&aya), "b");
}

/// Where nothing checks, the first request that finds the first tier dead is answered by the backup.
#[test]
fn a_retry_reaches_the_backup() {
    let mut actors = actors(&["a", "x"]);
    let endpoints = [actors[0].with("tier: 0"), actors[1].with("tier: 1")];
    let aya = front(&endpoints, "ejection: off");
    assert_eq!(served_by(&aya), "a");
    actors[0].backend.kill();
    assert_eq!(served_by(&aya), "x");
    actors[0].backend.restart();
    assert_eq!(served_by(&aya), "a");
}

/// The own zone takes all as long as it suffices; what it lacks goes to others, in the measure of the rule; and nothing is lost when it
/// is gone.
#[test]
fn zones_spill_over_in_proportion() {
    let actors = actors(&["a", "b", "c", "d", "w", "x", "y", "z"]);
    let zones = ["zone: a", "zone: a", "zone: a", "zone: a", "zone: b", "zone: b", "zone: b", "zone: b"];
    let endpoints: Vec<_> = actors.iter().zip(zones).map(|(actor, keys)| actor.with(keys)).collect();
    let aya = front(&endpoints, CHECKS);
    assert_eq!(served_by(&aya), "abcd");
    actors[0].set_well(&aya, false);
    assert_eq!(served_by(&aya), "bcd", "3 of the 2.8 that suffice");
    actors[1].set_well(&aya, false);
    let counts = counts(&aya, 2_000);
    let near =
        counts.iter().filter(|(name, _)| "abcd".contains(&***name)).map(|(_, count)| count).sum::<usize>();
    // 2 of 2.8 are 71.4 %; the standard deviation is 20 requests.
    assert!((1_310..1_550).contains(&near), "{near} of 2000 near: {counts:?}");
    assert_eq!(counts.len(), 6, "{counts:?}");
    actors[2].set_well(&aya, false);
    actors[3].set_well(&aya, false);
    assert_eq!(served_by(&aya), "wxyz");
    actors[2].set_well(&aya, true);
    actors[3].set_well(&aya, true);
    actors[1].set_well(&aya, true);
    assert_eq!(served_by(&aya), "bcd");
}

/// Endpoints that the API adds have their tier and zone, too.
#[test]
fn the_api_adds_to_tiers_and_zones() {
    let actors = actors(&["a", "f", "x"]);
    let aya = front(&[actors[0].with("zone: a")], "ejection: off");
    let add = |actor: &Actor, more: Value| {
        let mut body = json!({"address": actor.backend.to_string()});
        body.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
        aya.admin("POST", "/api/v1/pools/main/endpoints", &body.to_string())
    };
    for bad in [json!({"tier": 16}), json!({"zone": "no name"}), json!({"zone": ""})] {
        assert_eq!(add(&actors[1], bad.clone()).status, 422, "{bad}");
    }
    assert_eq!(add(&actors[1], json!({"zone": "b"})).status, 201);
    assert_eq!(add(&actors[2], json!({"tier": 1, "zone": "a"})).status, 201);
    let view = actors[2].view(&aya);
    assert_eq!((&view["tier"], &view["zone"]), (&json!(1), &json!("a")));
    assert_eq!(served_by(&aya), "a");
    let set_state = |actor: &Actor, state: &str| {
        let path = format!("/api/v1/pools/main/endpoints/{}", actor.backend);
        assert_eq!(aya.admin("PATCH", &path, &json!({"state": state}).to_string()).status, 200);
    };
    set_state(&actors[0], "maintenance");
    assert_eq!(served_by(&aya), "f", "the other zone of the same tier comes first");
    set_state(&actors[1], "maintenance");
    assert_eq!(served_by(&aya), "x");
    set_state(&actors[0], "ready");
    assert_eq!(served_by(&aya), "a");
}

/// A node uses only so many endpoints, always the same ones; when one of them goes, one other comes.
#[test]
fn a_subset_is_used_and_mended() {
    let actors = actors(&["a", "b", "c", "d", "e", "f"]);
    let endpoints: Vec<_> = actors.iter().map(|actor| actor.with("weight: 1")).collect();
    let start = |node: &str| {
        let config = config_of("", "", &format!("subset: 2, {CHECKS}"), &endpoints.join(", "));
        Aya::start(&format!("workers: 2\nnode: {{name: {node}}}\n{config}"))
    };
    let aya = start("edge-1");
    let before = served_by(&aya);
    assert_eq!(before.len(), 2, "{before}");
    let lost = actors.iter().find(|actor| before.starts_with(&actor.name)).expect("it is one of them");
    lost.set_well(&aya, false);
    let after = served_by(&aya);
    assert!(
        after.len() == 2 && after.contains(&before[1..]) && !after.contains(&lost.name),
        "{before} {after}"
    );
    lost.set_well(&aya, true);
    assert_eq!(served_by(&aya), before);
    drop(aya);
    assert_eq!(served_by(&start("edge-1")), before, "after a restart, too");
    let others: Vec<_> = (2..6).map(|node| served_by(&start(&format!("edge-{node}")))).collect();
    assert!(others.iter().any(|other| *other != before), "{others:?}");
}

/// When too little is fit all endpoints get traffic, and everybody is told; before the first checks nothing is known, and that is no panic.
#[test]
fn a_panic_uses_all_and_is_told() {
    let actors = actors(&["a", "b", "c", "d"]);
    let endpoints: Vec<_> = actors.iter().map(|actor| actor.with("weight: 1")).collect();
    let mut aya = front(&endpoints, &format!("panic: 50%, {CHECKS}"));
    let is_told = |aya: &Aya, panics: bool| {
        let metric = aya.metrics().sum("aya_pool_panic", &[("pool", "main")]);
        let api = aya.admin("GET", "/api/v1/pools/main", "").json();
        api["panic"] == panics && (metric > 0.5) == panics
    };
    assert!(is_told(&aya, false));
    actors[0].set_well(&aya, false);
    actors[1].set_well(&aya, false);
    assert_eq!(served_by(&aya), "cd", "half is enough");
    assert!(!aya.stderr().contains("panic"), "{}", aya.stderr());
    actors[2].set_well(&aya, false);
    wait_until("all to get traffic", || served_by(&aya) == "abcd");
    wait_until("the panic to be told", || is_told(&aya, true));
    let line = aya.wait_for_line("25% of the weight is fit, less than 50%");
    assert!(line.contains("main") && line.contains("panic"), "{line}");
    actors[1].set_well(&aya, true);
    wait_until("it to be over", || served_by(&aya) == "bd");
    wait_until("that to be told", || is_told(&aya, false));
    aya.wait_for_line("50% of the weight is fit, at least 50%");
    let labels = [("pool", "main"), ("to", "panic"), ("cause", "panic-threshold")];
    assert!((aya.metrics().sum("aya_endpoint_transitions_total", &labels) - 1.0).abs() < 0.1);
}

/// An endpoint that comes back, or is new, begins with a tenth of its share; API and metrics show it. Those of the start are not new.
#[test]
fn slow_start_begins_with_a_trickle() {
    let actors = actors(&["a", "b", "n"]);
    let endpoints: Vec<_> = actors[..2].iter().map(|actor| actor.with("weight: 1")).collect();
    for balance in ["round-robin", "least-connections"] {
        let aya = front(&endpoints, &format!("slow-start: 1h, balance: {balance}, {CHECKS}"));
        let share = |actor: &Actor| {
            let address = actor.backend.to_string();
            let labels = [("pool", "main"), ("endpoint", address.as_str())];
            let metric = aya.metrics().sum("aya_endpoint_share_percent", &labels);
            let api = actor.view(&aya)["share_percent"].as_f64().unwrap_or_default();
            assert!((api - metric).abs() < 1.5, "API {api}, metric {metric}");
            api as u32
        };
        assert_eq!((share(&actors[0]), share(&actors[1])), (100, 100));
        actors[0].set_well(&aya, false);
        actors[0].set_well(&aya, true);
        assert!((10..20).contains(&share(&actors[0])), "{}", share(&actors[0]));
        let before = counts(&aya, 1_000);
        // A tenth of a half, and no more whatever happens in the hour's first minutes.
        assert!((30..120).contains(&before["a"]), "{balance}: {before:?}");
        let new = json!({"address": actors[2].backend.to_string()}).to_string();
        assert_eq!(aya.admin("POST", "/api/v1/pools/main/endpoints", &new).status, 201);
        wait_until("the new one to be up", || actors[2].view(&aya)["health"] == "up");
        assert!((10..20).contains(&share(&actors[2])), "{}", share(&actors[2]));
    }
    let aya = front(&endpoints, &format!("slow-start: 200ms, {CHECKS}"));
    actors[0].set_well(&aya, false);
    actors[0].set_well(&aya, true);
    wait_until("it to have all of its share", || actors[0].view(&aya)["share_percent"] == 100);
}
