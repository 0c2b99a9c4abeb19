//! What each request is answered.

use serde_json::json;

use super::client::Server;
use super::fake::Fake;
use crate::types::Readiness;

#[tokio::test]
async fn supervisors_and_scrapers_get_their_answers() {
    let server = Server::start();
    let health = server.get("/healthz").await;
    assert_eq!((health.status(), health.body()), (200, "ok\n"));
    let ready = server.get("/readyz").await;
    assert_eq!((ready.status(), ready.json()), (200, json!({"ready": true, "reasons": []})));
    let metrics = server.get("/metrics").await;
    assert_eq!((metrics.status(), metrics.body()), (200, "aya_up 1\n"));
    assert_eq!(metrics.field("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let status = server.get("/api/v1/status").await.json();
    assert_eq!(status["version"], "1.2.3");
    assert_eq!(status["listeners"][0]["addresses"][0], "127.0.0.1:80");
    assert_eq!(server.get("/api/v1/openapi.json").await.body(), crate::openapi_json());
    server.stop().await;
}

#[tokio::test]
async fn a_node_that_is_not_ready_says_why() {
    let readiness = Readiness { ready: false, reasons: vec!["draining".into()] };
    let server = Server::with(Fake { readiness, ..Fake::new() }, None);
    let answer = server.get("/readyz").await;
    assert_eq!((answer.status(), answer.json()), (503, json!({"ready": false, "reasons": ["draining"]})));
    assert_eq!(server.get("/healthz").await.status(), 200);
}

#[tokio::test]
async fn counts_come_with_each_endpoint_as_it_is() {
    let stats = Server::start().get("/api/v1/stats").await.json();
    assert_eq!(stats["bounds_us"], json!([100]));
    let pool = &stats["pools"][0];
    assert_eq!(pool["first_byte"], json!({"buckets": [9, 0], "sum_us": 900}));
    let endpoint = &pool["endpoints"][0];
    assert_eq!((&endpoint["answers"]["2xx"], &endpoint["answers"]["5xx"]), (&json!(9), &json!(0)));
    assert_eq!(
        (&endpoint["endpoint"]["condition"], &endpoint["endpoint"]["in_flight"]),
        (&json!("up"), &json!(3))
    );
}

#[tokio::test]
async fn the_first_page_lists_everything() {
    let server = Server::start();
    let page = server.get("/").await;
    assert_eq!(page.status(), 200);
    assert_eq!(page.field("content-type"), Some("text/html; charset=utf-8"));
    assert!(page.body().contains("<a href=\"/metrics\">/metrics</a>"), "{page:?}");
    assert!(page.body().contains("PATCH /api/v1/pools/{pool}/endpoints/{address}"), "{page:?}");
}

#[tokio::test]
async fn every_described_request_is_answered_and_other_methods_are_not() {
    let server = Server::start();
    let document: serde_json::Value = serde_json::from_str(&crate::openapi_json()).unwrap();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let path = path.replace("{pool}", "api").replace("{address}", "10.0.0.9:80");
        for method in ["get", "post", "put", "patch", "delete"] {
            let answer = server.send(&method.to_uppercase(), &path, &[], b"").await;
            let is_described = methods.get(method).is_some();
            assert_eq!(answer.status() != 405, is_described, "{method} {path}: {answer:?}");
            assert!(answer.status() != 404 && answer.status() < 500, "{method} {path}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems() {
    let server = Server::start();
    server.get("/api/v1/nothing").await.problem(404, "not-found");
    let answer = server.send("DELETE", "/api/v1/status", &[], b"").await;
    answer.problem(405, "method-not-allowed");
    assert_eq!(answer.field("allow"), Some("GET,HEAD"));
}

#[tokio::test]
async fn the_configuration_is_shown_with_its_generation() {
    let server = Server::start();
    let answer = server.get("/api/v1/config").await;
    assert_eq!(answer.field("etag"), Some("\"7\""));
    let config = answer.json();
    assert_eq!((&config["source"], &config["origin"]), (&json!("listeners: {}\n"), &json!("file")));
    assert_eq!(server.get("/api/v1/config/history").await.json()[0]["generation"], 6);
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let server = Server::start();
    let report = server.send("POST", "/api/v1/config?dry-run=true", &[], b"good").await;
    assert_eq!(report.status(), 200);
    assert_eq!(report.json()["changes"][0]["kind"], "added");
    let bad = server.send("POST", "/api/v1/config?dry-run=true", &[], b"bad").await;
    assert_eq!((bad.status(), &bad.json()["valid"]), (200, &json!(false)));
    assert!(bad.body().ends_with("}\n"), "{bad:?}");
    assert_eq!(bad.json()["diagnostics"][0]["suggestion"], "remove it");
    for misspelt in ["dry_run=true", "dryrun=true", "dry-run", "dry-run=yes", "dry-run=true&dry-run=false"] {
        let path = format!("/api/v1/config?{misspelt}");
        server.send("POST", &path, &[], b"good").await.problem(400, "bad-request");
    }
    assert_eq!(server.calls(), [""; 0]);
}

#[tokio::test]
async fn a_configuration_is_applied_once_it_is_found_valid() {
    let server = Server::start();
    let answer = server.send("POST", "/api/v1/config", &[], b"good").await;
    assert_eq!((answer.status(), answer.field("etag")), (200, Some("\"8\"")));
    assert_eq!(answer.json()["generation"], 8);
    let problem = server.send("POST", "/api/v1/config", &[], b"bad").await.problem(422, "config-invalid");
    assert_eq!(
        (&problem["diagnostics"][0]["line"], &problem["title"]),
        (&json!(1), &json!("Unprocessable Entity"))
    );
    let failed = server.send("POST", "/api/v1/config", &[], b"port in use").await.problem(500, "failed");
    assert_eq!(failed["how"], "stop the other program");
    assert_eq!(
        server.send("POST", "/api/v1/config", &[], b"\xff\xfe").await.status(),
        200,
        "bytes are the node's matter"
    );
    assert_eq!(server.calls(), ["apply 4 bytes", "apply 2 bytes"]);
}

#[tokio::test]
async fn a_change_can_be_tied_to_a_generation() {
    let server = Server::start();
    for current in ["If-Match: \"7\"", "If-Match: 7", "If-Match: *"] {
        assert_eq!(
            server.send("POST", "/api/v1/config", &[current], b"good").await.status(),
            200,
            "{current}"
        );
    }
    let problem = server.send("POST", "/api/v1/config", &["If-Match: \"6\""], b"good").await;
    let problem = problem.problem(409, "generation-mismatch");
    assert_eq!(problem["where"], "If-Match");
    for nonsense in ["If-Match: \"x\"", "If-Match: W/\"7\"", "If-Match:", "If-Match: -1"] {
        server.send("POST", "/api/v1/config", &[nonsense], b"good").await.problem(400, "bad-request");
    }
    assert_eq!(server.calls().len(), 3);
}

#[tokio::test]
async fn a_fault_in_the_check_is_answered_and_the_server_lives_on() {
    let server = Server::start();
    server.send("POST", "/api/v1/config?dry-run=true", &[], b"fault").await.problem(500, "failed");
    assert_eq!(server.get("/healthz").await.status(), 200);
    assert_eq!(server.calls(), [""; 0]);
}

#[tokio::test]
async fn an_earlier_configuration_comes_back() {
    let server = Server::start();
    let path = "/api/v1/config/rollback";
    assert_eq!(server.send("POST", path, &[], br#"{"generation": 6}"#).await.status(), 200);
    server.send("POST", path, &[], br#"{"generation": 1}"#).await.problem(404, "not-found");
    for bad in [
        "",
        "{}",
        "[",
        "6",
        r#"{"generation": "6"}"#,
        r#"{"generation": -1}"#,
        r#"{"generation": 6, "force": true}"#,
    ] {
        let problem = server.send("POST", path, &[], bad.as_bytes()).await.problem(400, "bad-request");
        assert_eq!(problem["where"], "body");
    }
    assert_eq!(server.calls(), ["rollback 6"]);
}

#[tokio::test]
async fn pools_are_shown() {
    let server = Server::start();
    let pools = server.get("/api/v1/pools").await.json();
    assert_eq!(pools[0]["endpoints"][0]["in_flight"], 3);
    let pool = server.get("/api/v1/pools/api").await.json();
    assert_eq!((&pool["name"], &pool["endpoints"][0]["health"]), (&json!("api"), &json!("up")));
    server.get("/api/v1/pools/none").await.problem(404, "not-found");
    server.get("/api/v1/pools/%FF").await.problem(400, "bad-request");
}

#[tokio::test]
async fn endpoints_are_added() {
    let server = Server::start();
    let path = "/api/v1/pools/api/endpoints";
    let added = server.send("POST", path, &[], br#"{"address": "10.0.0.2:80"}"#).await;
    assert_eq!((added.status(), &added.json()["weight"]), (201, &json!(1)));
    server.send("POST", path, &[], br#"{"address": "10.0.0.1:8080"}"#).await.problem(409, "conflict");
    let invalid = server.send("POST", path, &[], br#"{"address": "nonsense"}"#).await.problem(422, "invalid");
    assert_eq!(invalid["where"], "address");
    let heavy = server.send("POST", path, &[], br#"{"address": "10.0.0.2:80", "weight": 65536}"#).await;
    assert_eq!(heavy.problem(422, "invalid")["where"], "weight");
    server.send("POST", path, &[], br#"{"adress": "10.0.0.2:80"}"#).await.problem(400, "bad-request");
    let elsewhere = "/api/v1/pools/none/endpoints";
    server.send("POST", elsewhere, &[], br#"{"address": "10.0.0.2:80"}"#).await.problem(404, "not-found");
    assert_eq!(server.calls(), ["add 10.0.0.2:80 weight 1"]);
}

#[tokio::test]
async fn endpoints_are_changed_and_removed() {
    let server = Server::start();
    let path = "/api/v1/pools/api/endpoints/%5B::1%5D:80";
    let changed = server.send("PATCH", path, &[], br#"{"state": "drain"}"#).await;
    assert_eq!((changed.status(), &changed.json()["state"]), (200, &json!("drain")));
    assert_eq!(server.send("PATCH", path, &[], br#"{"weight": 0}"#).await.status(), 200);
    for bad in ["{}", r#"{"state": "asleep"}"#, r#"{"weight": 1.5}"#, r#"{"weight": 99999999999}"#] {
        server.send("PATCH", path, &[], bad.as_bytes()).await.problem(400, "bad-request");
    }
    let removed = server.send("DELETE", path, &[], b"").await;
    assert_eq!((removed.status(), removed.body()), (204, ""));
    server.send("DELETE", "/api/v1/pools/none/endpoints/a:1", &[], b"").await.problem(404, "not-found");
    assert_eq!(
        server.calls(),
        [
            "change [::1]:80 EndpointChange { weight: None, state: Some(Drain) }",
            "change [::1]:80 EndpointChange { weight: Some(0), state: None }",
            "remove [::1]:80"
        ]
    );
}

#[tokio::test]
async fn requests_that_are_remembered_can_be_asked_about() {
    let server = Server::start();
    let all = server.get("/api/v1/decisions").await.json();
    assert_eq!((&all[0]["request_id"], &all[0]["candidates"][0]["out"]), (&json!("r1"), &json!("down")));
    assert!(all[0]["path"].as_str().unwrap().contains("limit: 50"), "{all}");
    assert_eq!(all[0].get("reason"), None, "what is not known is absent");
    let asked = "request-id=r1&failed=true&slower-than=2s&pool=p&route=r&endpoint=10.0.0.1:80&limit=3";
    let one = server.get(&format!("/api/v1/decisions?{asked}")).await.json();
    let path = one[0]["path"].as_str().unwrap();
    for part in ["failed: true", "Some(2000)", "pool: Some(\"p\")", "route: Some(\"r\")", "limit: 3"] {
        assert!(path.contains(part), "{part} in {path}");
    }
    assert_eq!(server.get("/api/v1/decisions?request-id=r2").await.json(), json!([]));
    for (bad, place) in [("fail=true", "query"), ("slower-than=2", "slower-than"), ("limit=1001", "limit")] {
        let problem = server.get(&format!("/api/v1/decisions?{bad}")).await.problem(400, "bad-request");
        assert_eq!(problem["place"], *place, "{problem}");
    }
}
