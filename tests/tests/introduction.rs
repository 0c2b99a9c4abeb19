//! Proxies in front that say by the PROXY protocol whom a connection is from.

use std::net::SocketAddr;
use std::time::Duration;

use base_testkit::{Authority, Aya, Backend, Client, HaProxy, TempFolder, answer, curl};

/// What HAProxy does with connections to one server.
const VERSIONS: [&str; 3] =
    ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c,authority"];
/// From where the plays' clients connect; the proxies connect from 127.0.0.1.
const CLIENT: &str = "127.0.0.9";

/// Answers with whom it was told of.
fn teller() -> Backend {
    Backend::answering(|request| {
        let told = |name: &str| request.header(name).unwrap_or("nobody").to_owned();
        answer(200, &[], format!("{} by {}", told("x-forwarded-for"), told("x-forwarded-proto")))
    })
}

fn told(address: SocketAddr, arguments: &[&str], scheme: &str) -> String {
    let url = format!("{scheme}://{address}/");
    let ended = curl(&[arguments, &["--interface", CLIENT, &url]].concat());
    format!("{}{}", ended.stdout, ended.stderr)
}

fn refused(aya: &Aya) -> f64 {
    aya.total("aya_proxy_protocol_failures_total", &[("listener", "web")])
}

/// HAProxy's two versions are understood, with HTTP/1.1 and HTTP/2, with TLS and without.
#[test]
fn haproxy_says_who_the_client_is() {
    let backend = teller();
    let authority = Authority::new("play");
    let issued = authority.issue(&["play.test"]);
    let folder = TempFolder::new();
    folder.write("site.pem", &*issued.cert);
    folder.write("site.key", &*issued.key);
    let text = format!(
        "listeners:
  web: {{bind: '127.0.0.1:0', proxy-protocol: 127.0.0.1/32}}
  secure: {{bind: '127.0.0.1:0', proxy-protocol: 127.0.0.1/32, tls: {{certificates: {{cert: site.pem, key: site.key}}}}}}
routes: [{{pool: main}}]
pools: {{main: {{endpoints: ['{backend}']}}}}
"
    );
    let aya = Aya::start_in(folder, &text, &[], &[]);
    for version in VERSIONS {
        let plain = HaProxy::relay(aya.listener("web"), version);
        for protocol in ["--http1.1", "--http2-prior-knowledge"] {
            assert_eq!(
                told(plain.address(), &[protocol], "http"),
                "127.0.0.9 by http",
                "{version} {protocol}"
            );
        }
        let secure = HaProxy::relay(aya.listener("secure"), version);
        for protocol in ["--http1.1", "--http2"] {
            let seen = told(secure.address(), &["--insecure", protocol], "https");
            assert_eq!(seen, "127.0.0.9 by https", "{version} {protocol}");
        }
    }
    assert_eq!(
        told(aya.listener("web"), &[], "http"),
        "127.0.0.9 by http",
        "who connects from elsewhere is a client"
    );
    assert_eq!(refused(&aya), 0.0);
}

/// A proxy may speak for itself, and what follows its introduction in the same piece is not lost.
#[test]
fn what_follows_an_introduction_is_served() {
    let backend = teller();
    let aya = Aya::start(&crate::config("proxy-protocol: [127.0.0.0/8]", "", "", &[&backend]));
    let get = "GET / HTTP/1.1\r\nHost: play.test\r\n\r\n";
    let said = |introduction: &[u8], pieces: usize| {
        let mut client = Client::connect(aya.listener("web"));
        let all = [introduction, get.as_bytes(), get.as_bytes()].concat();
        for piece in all.chunks(all.len().div_ceil(pieces)) {
            client.send(piece);
        }
        [client.response().text(), client.response().text()]
    };
    let signature = b"\r\n\r\n\0\r\nQUIT\n";
    let local = [&signature[..], &[0x20, 0, 0, 0]].concat();
    let named = [&signature[..], &[0x21, 0x11, 0, 12, 192, 0, 2, 7, 10, 0, 0, 1, 0x30, 0x39, 0, 80]].concat();
    for pieces in [1, 3, 1000] {
        assert_eq!(said(b"PROXY TCP4 192.0.2.7 10.0.0.1 12345 80\r\n", pieces), ["192.0.2.7 by http"; 2]);
        assert_eq!(said(b"PROXY TCP6 2001:db8::7 ::1 12345 80\r\n", pieces), ["2001:db8::7 by http"; 2]);
        assert_eq!(said(b"PROXY UNKNOWN\r\n", pieces), ["127.0.0.1 by http"; 2]);
        assert_eq!(said(&local, pieces), ["127.0.0.1 by http"; 2]);
        assert_eq!(said(&named, pieces), ["192.0.2.7 by http"; 2]);
    }
    assert_eq!(refused(&aya), 0.0);
}

/// Whoever does not introduce its client is not served: neither one that begins with something else, nor one that says too much, nor one that says nothing.
#[test]
fn connections_without_an_introduction_are_closed() {
    let backend = teller();
    let listener = "proxy-protocol: [127.0.0.0/8], timeouts: {request-head: 1s}";
    let aya = Aya::start(&crate::config(listener, "", "", &[&backend]));
    let signature = b"\r\n\r\n\0\r\nQUIT\n";
    let endless = [&signature[..], &[0x21, 0x11, 0xff, 0xff]].concat();
    let attempts: [&[u8]; 6] = [
        b"GET / HTTP/1.1\r\nHost: play.test\r\n\r\n",
        b"PROXY TCP4 192.0.2.7 10.0.0.1 12345\r\nGET / HTTP/1.1\r\nHost: play.test\r\n\r\n",
        &[b'P'; 300],
        &endless,
        b"PROXY TCP4 ",
        b"",
    ];
    for attempt in attempts {
        let before = refused(&aya);
        let mut client = Client::connect(aya.listener("web"));
        client.send(attempt);
        assert!(client.try_response().is_err(), "{attempt:?} is answered");
        assert!(refused(&aya) > before, "{attempt:?}");
    }
    assert!(backend.requests().is_empty());
    // Whoever only looks whether the port is open has done nothing wrong.
    let before = refused(&aya);
    drop(Client::connect(aya.listener("web")));
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(refused(&aya), before);
}

/// Rules about clients are about whom a trusted proxy names; and only of those that may introduce is anything believed.
#[test]
fn routes_go_by_the_client_that_is_named() {
    let backend = teller();
    let route = "match: {client: 192.0.2.0/24}";
    let aya = Aya::start(&crate::config("proxy-protocol: [127.0.0.1/32]", route, "", &[&backend]));
    let status = |introduction: &str| {
        let mut client = Client::connect(aya.listener("web"));
        client.send(format!("{introduction}GET / HTTP/1.1\r\nHost: play.test\r\n\r\n"));
        client.response().status
    };
    assert_eq!(status("PROXY TCP4 192.0.2.7 10.0.0.1 12345 80\r\n"), 200);
    assert_eq!(status("PROXY TCP4 198.51.100.7 10.0.0.1 12345 80\r\n"), 404);
    let code = ["--output", "/dev/null", "--write-out", "%{http_code}"];
    let introduced = [&code[..], &["--haproxy-protocol"]].concat();
    assert_eq!(
        told(aya.listener("web"), &introduced, "http"),
        "400",
        "from a client it is a malformed request"
    );
    assert_eq!(told(aya.listener("web"), &code, "http"), "404");
}
