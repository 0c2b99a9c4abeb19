//! Who may ask.

use std::sync::Arc;

use base_model::model::Secret;

use super::client::Server;
use super::fake::Fake;
use crate::server::{ServeError, serve};

#[tokio::test]
async fn without_a_token_only_names_of_this_machine_are_served() {
    let server = Server::start();
    for host in ["localhost", "127.0.0.1:9900", "[::1]:9900"] {
        assert_eq!(
            server.send("GET", "/metrics", &[&format!("Host: {host}")], b"").await.status(),
            200,
            "{host}"
        );
    }
    for host in
        ["evil.example.com", "127.0.0.1.evil.example.com:9900", "localhost.evil.example.com", "10.0.0.1", ""]
    {
        let answer = server.send("GET", "/metrics", &[&format!("Host: {host}")], b"").await;
        assert_eq!(answer.problem(403, "forbidden")["where"], "Host", "{host}");
    }
    let two = server.send("GET", "/metrics", &["Host: localhost", "Host: evil.example.com"], b"").await;
    assert_eq!(two.status(), 400);
    let absolute = server.send("GET", "http://evil.example.com/metrics", &["Host: localhost"], b"").await;
    absolute.problem(403, "forbidden");
    let none = server.raw(b"GET /metrics HTTP/1.0\r\n\r\n").await;
    none.problem(403, "forbidden");
    let open = server.send("GET", "/healthz", &["Host: any.example.com"], b"").await;
    assert_eq!(open.status(), 200);
}

#[tokio::test]
async fn pages_of_other_origins_change_nothing() {
    let server = Server::start();
    let own = format!("Origin: http://{}", server.address);
    let rollback = br#"{"generation": 6}"#;
    let path = "/api/v1/config/rollback";
    for fine in [vec![own.as_str()], vec![own.as_str(), "Sec-Fetch-Site: same-origin"], vec![]] {
        assert_eq!(server.send("POST", path, &fine, rollback).await.status(), 200, "{fine:?}");
    }
    for refused in [
        "Origin: http://evil.example.com",
        "Origin: null",
        "Origin: http://localhost:1",
        "Origin:",
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Site: same-site",
    ] {
        server.send("POST", path, &[refused], rollback).await.problem(403, "forbidden");
        let body = server.send("DELETE", "/api/v1/pools/api/endpoints/a:1", &[refused], b"").await;
        body.problem(403, "forbidden");
    }
    assert_eq!(server.calls().len(), 3);
}

#[tokio::test]
async fn with_a_token_everything_but_health_needs_it() {
    let server = Server::with_token("secret");
    for path in ["/", "/readyz", "/metrics", "/api/v1/openapi.json", "/api/v1/config", "/nothing"] {
        for wrong in [
            "X: y",
            "Authorization: Bearer wrong",
            "Authorization: Bearer",
            "Authorization: Basic secret",
            "Authorization: secret",
        ] {
            let answer = server.send("GET", path, &[wrong], b"").await;
            answer.problem(401, "unauthorized");
            assert_eq!(answer.field("www-authenticate"), Some("Bearer realm=\"aya\""), "{path} {wrong}");
            assert!(!answer.0.contains("secret"));
        }
    }
    let fields = ["Host: admin.example.com", "Authorization: bearer secret"];
    assert_eq!(server.send("GET", "/metrics", &fields, b"").await.status(), 200, "under any name");
    let posted = server.send("POST", "/api/v1/config/rollback", &fields, br#"{"generation": 6}"#).await;
    assert_eq!(posted.status(), 200);
    assert_eq!(server.get("/healthz").await.status(), 200);
}

#[tokio::test]
async fn answers_are_kept_by_nobody() {
    let server = Server::start();
    for path in ["/metrics", "/nothing"] {
        let answer = server.get(path).await;
        assert_eq!(answer.field("cache-control"), Some("no-store"));
        assert_eq!(answer.field("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.field("access-control-allow-origin"), None);
    }
}

#[tokio::test]
async fn an_open_address_without_a_token_is_not_served() {
    let listener = || std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let node = || Arc::new(Fake::new());
    let open = serve(listener(), node(), None, std::future::pending()).await;
    assert!(matches!(open, Err(ServeError::NoToken(_))), "{open:?}");
    let empty = serve(listener(), node(), Some(Secret::new("")), std::future::pending()).await;
    assert!(matches!(empty, Err(ServeError::EmptyToken)), "{empty:?}");
    let fine = serve(listener(), node(), Some(Secret::new("x")), std::future::ready(())).await;
    assert!(fine.is_ok(), "{fine:?}");
}
