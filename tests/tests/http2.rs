//! HTTP/2 with clients and with endpoints, and every mix of versions.

mod lifecycle;

use base_testkit::{Authority, Aya, Python, TempFolder};

use crate::config_of;

/// Behaves as it is asked to by path; its libraries are others than Aya's.
const ENDPOINT: &str = include_str!("http2/endpoint.py");
/// A table of exchanges; the same.
const CLIENT: &str = include_str!("http2/client.py");

/// Single connections.
const PLAYS: &str = include_str!("http2/plays.py");
/// Talks over a WebSocket.
const WEBSOCKET: &str = include_str!("http2/websocket.py");

/// What a pool says whose endpoints speak this version.
fn http2(version: &str) -> &'static str {
    if version == "2" { "http2: on" } else { "http2: off" }
}

/// Plays the table over one version to Aya and another one to the endpoint, with or without TLS on both sides.
fn play(client: &str, endpoint: &str, is_secure: bool) {
    let authority = Authority::new("play");
    let issued = authority.issue(&["matrix.test"]);
    let files = [("site.pem", &*issued.cert), ("site.key", &*issued.key)];
    let folder = TempFolder::new();
    files.iter().for_each(|(name, content)| drop(folder.write(name, content)));
    let ca = folder.write("ca.pem", authority.pem());
    let ca = ca.to_string_lossy();
    let (listener, pool, served, asked): (_, _, &[&str], &[&str]) = if is_secure {
        let pool = "tls: {authorities: ca.pem, name: matrix.test}";
        ("tls: {certificates: {cert: site.pem, key: site.key}}", pool, &["site.pem", "site.key"], &[&ca])
    } else {
        ("", "tls: off", &[], &[])
    };
    let server = Python::script_with(ENDPOINT, &files, &[&[endpoint], served].concat());
    let port = server.address().port();
    let endpoints = format!("'127.0.0.1:{port}', '127.0.0.2:{port}'");
    let pool = format!("ejection: off, {pool}, {}", http2(endpoint));
    let config = config_of(listener, "", &pool, &endpoints);
    let aya = Aya::start_in(folder, &config, &[], &[]);
    let port = aya.listener("web").port().to_string();
    let ended = Python::run(CLIENT, &[&[&*port, client, endpoint], asked].concat());
    assert_eq!(ended.code, Some(0), "{client} to {endpoint}:\n{}{}", ended.stdout, ended.stderr);
}

/// Whatever is spoken on the two sides, an exchange is the same.
#[test]
fn http1_to_http1() {
    play("1.1", "1.1", false);
}

#[test]
fn http1_to_http2() {
    play("1.1", "2", false);
}

#[test]
fn http2_to_http1() {
    play("2", "1.1", false);
}

#[test]
fn http2_to_http2() {
    play("2", "2", false);
}

#[test]
fn the_same_over_tls() {
    for client in ["1.1", "2"] {
        for endpoint in ["1.1", "2"] {
            play(client, endpoint, true);
        }
    }
}

/// WebSockets pass, whatever is spoken on the two sides (RFC 8441); to an endpoint that takes none over HTTP/2, over HTTP/1.1.
#[test]
fn websockets_in_every_mix() {
    let endpoints = [("1.1", Python::websocket_echo()), ("2", Python::script_with(ENDPOINT, &[], &["2"]))];
    for (endpoint, server) in &endpoints {
        let aya = Aya::start(&config_of("", "", http2(endpoint), &server.address().to_string()));
        let port = aya.listener("web").port().to_string();
        for client in ["1.1", "2"] {
            let ended = Python::run(WEBSOCKET, &[&port, client]);
            assert_eq!(ended.code, Some(0), "{client} to {endpoint}:\n{}{}", ended.stdout, ended.stderr);
        }
    }
}
