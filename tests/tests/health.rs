//! Endpoints that fall sick, are left out, and come back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use base_testkit::{Aya, Backend, answer, never_within, wait_until};

use crate::{config, front_with};

/// A backend whose health answer can be changed.
fn patient(name: &'static str) -> (Backend, Arc<AtomicU16>) {
    let status = Arc::new(AtomicU16::new(200));
    let shown = Arc::clone(&status);
    let backend = Backend::answering(move |request| {
        let status = if request.target == "/healthz" { shown.load(Ordering::SeqCst) } else { 200 };
        answer(status, &[&format!("x-backend: {name}")], if status == 200 { "all fine" } else { "sick" })
    });
    (backend, status)
}

/// The endpoint's view in the status of its pool.
fn endpoint(aya: &Aya, backend: &Backend) -> serde_json::Value {
    let pool = aya.admin("GET", "/api/v1/pools/main", "").json();
    let endpoints = pool["endpoints"].as_array().cloned().unwrap_or_default();
    endpoints.into_iter().find(|one| one["address"] == backend.to_string()).expect("the endpoint is listed")
}

fn transitions(aya: &Aya, to: &str) -> f64 {
    aya.metrics().sum("aya_endpoint_transitions_total", &[("pool", "main"), ("to", to)])
}

const QUICK: &str = "health: {http: /healthz, interval: 50ms, timeout: 1s, rise: 2, fall: 2}";

/// An endpoint that fails its check is left out, and is back when it passes again; both are logged with their cause and counted.
#[test]
fn http_checks_take_out_and_bring_back() {
    let (well, _) = patient("well");
    let (sick, health) = patient("sick");
    let mut aya = front_with("", "", QUICK, &[&well, &sick]);
    wait_until("both to be up", || {
        endpoint(&aya, &well)["health"] == "up" && endpoint(&aya, &sick)["health"] == "up"
    });
    health.store(503, Ordering::SeqCst);
    wait_until("the sick one to be out", || endpoint(&aya, &sick)["health"] == "down");
    for _ in 0..20 {
        assert_eq!(aya.get("/").header("x-backend"), Some("well"));
    }
    assert!(endpoint(&aya, &sick)["cause"].as_str().is_some_and(|cause| cause.contains("503")));
    let line = aya.wait_for_line(&sick.to_string());
    assert!(line.contains("main"), "{line}");
    health.store(200, Ordering::SeqCst);
    wait_until("it to be back", || aya.get("/").header("x-backend") == Some("sick"));
    assert!(transitions(&aya, "down") >= 1.0 && transitions(&aya, "up") >= 1.0);
    assert!(aya.metrics().sum("aya_health_checks_total", &[("pool", "main"), ("result", "fail")]) >= 2.0);
}

/// One bad check does not take an endpoint out when two are asked for.
#[test]
fn a_single_failure_is_not_enough() {
    let countdown = Arc::new(AtomicU16::new(u16::MAX));
    let left = Arc::clone(&countdown);
    let backend = Backend::answering(move |request| {
        let fails = request.target == "/healthz" && left.fetch_sub(1, Ordering::SeqCst) == 1;
        answer(if fails { 500 } else { 200 }, &[], "")
    });
    let aya = front_with("", "", QUICK, &[&backend]);
    wait_until("it to be up", || endpoint(&aya, &backend)["health"] == "up");
    countdown.store(1, Ordering::SeqCst);
    let checks = || backend.requests().iter().filter(|request| request.target == "/healthz").count();
    let before = checks();
    wait_until("some checks to pass", || checks() > before + 5);
    assert!(transitions(&aya, "down") < 0.5);
}

/// No request goes to an endpoint that has not passed its first check.
#[test]
fn the_first_check_comes_before_traffic() {
    let (sick, health) = patient("sick");
    health.store(500, Ordering::SeqCst);
    let aya = front_with("", "", QUICK, &[&sick]);
    for _ in 0..10 {
        let response = aya.get("/");
        assert_eq!((response.status, response.reason()), (503, "no-endpoint"));
    }
    wait_until("it to be known as down", || endpoint(&aya, &sick)["health"] == "down");
    assert!(sick.requests().iter().all(|request| request.target == "/healthz"));
    health.store(200, Ordering::SeqCst);
    wait_until("it to be up", || aya.get("/").status == 200);
}

/// A check asks as it is told: method, host, fields; and accepts the statuses and the body it is told.
#[test]
fn a_check_asks_and_judges_as_told() {
    let backend = Backend::answering(|request| match request.target.as_str() {
        "/check" => answer(418, &[], "status: fine and well"),
        _ => answer(200, &[], ""),
    });
    let health = "health: {http: /check, method: POST, host: inner.test, headers: {x-probe: aya}, \
                  status: [200-299, 418], body: fine, interval: 50ms}";
    let aya = front_with("", "", health, &[&backend]);
    wait_until("it to be up", || aya.get("/").status == 200);
    let check =
        backend.requests().into_iter().find(|request| request.target == "/check").expect("it was asked");
    assert_eq!((check.method.as_str(), check.header("host")), ("POST", Some("inner.test")));
    assert_eq!(check.header("x-probe"), Some("aya"));
    drop(aya);
    for judgement in ["status: [200]", "status: [418], body: sick", "status: [418], body: '~ ^fine'"] {
        let health = format!("health: {{http: /check, {judgement}, interval: 50ms, fall: 1}}");
        let aya = front_with("", "", &health, &[&backend]);
        wait_until("it to be down", || endpoint(&aya, &backend)["health"] == "down");
        assert_eq!(aya.get("/").status, 503, "{judgement}");
    }
}

/// A check that gets no answer in its time fails.
#[test]
fn a_silent_endpoint_fails_its_check() {
    let backend = Backend::script(|session| {
        while session.request()?.is_some() {}
        Ok(())
    });
    let health = "health: {http: /healthz, interval: 50ms, timeout: 100ms, fall: 1}";
    let aya = front_with("", "", health, &[&backend]);
    wait_until("it to be down", || endpoint(&aya, &backend)["health"] == "down");
    assert_eq!(aya.get("/").reason(), "no-endpoint");
}

/// A tcp check sees a dead port and a living one.
#[test]
fn tcp_checks_take_out_and_bring_back() {
    let (well, _) = patient("well");
    let (mut mortal, _) = patient("mortal");
    let health = "ejection: off, health: {tcp: true, interval: 50ms, fall: 2, rise: 2}";
    let aya = front_with("", "", health, &[&well, &mortal]);
    wait_until("both to be up", || {
        endpoint(&aya, &well)["health"] == "up" && endpoint(&aya, &mortal)["health"] == "up"
    });
    mortal.kill();
    wait_until("the dead one to be out", || endpoint(&aya, &mortal)["health"] == "down");
    for _ in 0..20 {
        assert_eq!(aya.get("/").status, 200);
    }
    mortal.restart();
    wait_until("it to be back", || aya.get("/").header("x-backend") == Some("mortal"));
}

/// The shorthand `health: tcp` checks as the long form does.
#[test]
fn the_short_tcp_check_works() {
    let (well, _) = patient("well");
    let aya = front_with("", "", "health: tcp", &[&well]);
    wait_until("it to be up", || aya.get("/").status == 200);
}

/// A check on another port judges the endpoint by what answers there.
#[test]
fn a_check_can_ask_another_port() {
    let (service, _) = patient("service");
    let (agent, health) = patient("agent");
    let check =
        format!("health: {{http: /healthz, port: {}, interval: 50ms, fall: 1, rise: 1}}", agent.port());
    let aya = front_with("", "", &check, &[&service]);
    wait_until("it to be up", || aya.get("/").status == 200);
    health.store(500, Ordering::SeqCst);
    wait_until("it to be down", || aya.get("/").status == 503);
    assert!(service.requests().iter().all(|request| request.target != "/healthz"));
}

/// An endpoint that fails request after request is ejected for its time, without any active check, and then tried again.
#[test]
fn failures_in_a_row_eject() {
    let (well, _) = patient("well");
    let (mut mortal, _) = patient("mortal");
    let mut aya = front_with("", "", "ejection: {consecutive-failures: 3, for: 1s}", &[&well, &mortal]);
    mortal.kill();
    wait_until("it to be ejected", || {
        assert_eq!(aya.get("/").status, 200);
        endpoint(&aya, &mortal)["eligible"] == false
    });
    let line = aya.wait_for_line(&mortal.to_string());
    assert!(line.contains("main"), "{line}");
    mortal.restart();
    wait_until("it to be used again", || aya.get("/").header("x-backend") == Some("mortal"));
    assert!(aya.metrics().sum("aya_endpoint_transitions_total", &[("pool", "main")]) >= 2.0);
}

/// Failures that are not in a row do not eject, and neither does an error status of the application.
#[test]
fn a_success_between_failures_clears_them() {
    let backend = Backend::script(|session| {
        while let Some(request) = session.request()? {
            match request.target.as_str() {
                "/drop" => return Ok(()),
                "/error" => session.send(answer(500, &[], ""))?,
                _ => session.send(answer(200, &[], ""))?,
            }
        }
        Ok(())
    });
    let pool = "ejection: {consecutive-failures: 3, for: 60s}";
    let aya = front_with("", "retry: {attempts: 1}", pool, &[&backend]);
    for _ in 0..6 {
        for _ in 0..2 {
            let mut client = aya.client();
            assert_eq!(client.post("/drop", "x").status, 502);
        }
        assert_eq!(aya.get("/").status, 200);
    }
    for _ in 0..10 {
        assert_eq!(aya.get("/error").status, 500);
    }
    assert_eq!(aya.get("/").status, 200);
}

/// Checks are spread: an endpoint is not asked more often than its interval says, however many workers there are.
#[test]
fn checks_keep_their_interval() {
    let (backend, _) = patient("one");
    let health = "health: {http: /healthz, interval: 60s}";
    let aya = Aya::start(&format!("workers: 4\n{}", config("", "", health, &[&backend])));
    wait_until("it to be up", || endpoint(&aya, &backend)["health"] == "up");
    let checks = || backend.requests().iter().filter(|request| request.target == "/healthz").count();
    let first = checks();
    never_within(Duration::from_millis(500), "it is asked again", || checks() > first);
    assert!(first <= 3, "{first} checks at the start");
}
