//! Connections that are passed on by what their clients ask for in TLS, and endpoints that are told whose they are.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use base_testkit::{Authority, Aya, HaProxy, Issued, Nginx, PATIENCE, TempFolder, curl, wait_until};

/// From where the plays' clients connect.
const CLIENT: &str = "127.0.0.9";

/// One certificate for all names of the plays.
fn issued() -> Issued {
    Authority::new("play").issue(&["*.play.test", "*.a.play.test"])
}

/// A server that says its name over TLS.
fn secure(issued: &Issued, name: &str) -> Nginx {
    Nginx::start_tls(issued, &format!("location / {{ return 200 '{name}'; }}"))
}

/// What comes back when this name is asked for there.
fn ask(address: SocketAddr, name: &str, arguments: &[&str]) -> String {
    let resolve = format!("{name}:{}:127.0.0.1", address.port());
    let url = format!("https://{name}:{}/", address.port());
    let ended =
        curl(&[arguments, &["--insecure", "--no-progress-meter", "--resolve", &resolve, &url]].concat());
    format!("{}{}", ended.stdout, ended.stderr)
}

/// Says this to whoever connects, then closes.
fn greeter(greeting: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it listens");
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.write_all(greeting.as_bytes());
        }
    });
    address
}

fn folder_with(issued: &Issued) -> TempFolder {
    let folder = TempFolder::new();
    folder.write("site.pem", &*issued.cert);
    folder.write("site.key", &*issued.key);
    folder
}

fn handshakes(aya: &Aya, result: &str) -> f64 {
    aya.total("aya_tls_handshakes_total", &[("listener", "wire"), ("result", result)])
}

/// The most specific name wins, then who speaks a protocol; names that nobody takes are told so, by an alert; a reload leads new connections elsewhere.
#[test]
fn connections_go_where_their_name_leads() {
    let issued = issued();
    let [one, two, many] = ["one", "two", "many"].map(|name| secure(&issued, name));
    let config = |first: &str| {
        format!(
            "listeners:
  wire:
    bind: '127.0.0.1:0'
    protocol: tcp
    pass-through:
      - {{server-name: '*.play.test', pool: many}}
      - {{server-name: [one.play.test, uno.play.test], pool: {first}}}
      - {{server-name: one.play.test, alpn: [h2, acme-tls/1], pool: two}}
logs: {{access: json}}
pools:
  one: {{endpoints: ['{}']}}
  two: {{endpoints: ['{}']}}
  many: {{endpoints: ['{}']}}
",
            one.address(),
            two.address(),
            many.address()
        )
    };
    let aya = Aya::start(&config("one"));
    let address = aya.listener("wire");
    for (name, arguments, answer) in [
        ("one.play.test", &["--http1.1"][..], "one"),
        ("ONE.play.test", &["--http1.1"], "one"),
        ("uno.play.test", &["--http2"], "one"),
        ("one.play.test", &["--http2"], "two"),
        ("x.play.test", &["--http2"], "many"),
        ("x.a.play.test", &["--tlsv1.2", "--tls-max", "1.2"], "many"),
    ] {
        assert_eq!(ask(address, name, arguments), answer, "{name} {arguments:?}");
    }
    for name in ["play.test", "other.test"] {
        let told = ask(address, name, &[]);
        assert!(told.contains("unrecognized name"), "{told}");
    }
    wait_until("all to be over", || {
        let over = |result: &str| {
            aya.total("aya_tcp_connections_total", &[("listener", "wire"), ("result", result)])
        };
        over("ended") > 5.5 && over("failed") > 1.5
    });
    assert_eq!(aya.total("aya_failures_total", &[("reason", "no-route")]), 2.0);
    wait_until("lines in the log", || aya.stdout().contains("\"host\":\"other.test\""));
    let line = aya.stdout().lines().find(|line| line.contains("x.a.play.test")).map(str::to_owned);
    let line = line.expect("it is written down");
    assert!(line.contains("\"pool\":\"many\"") && line.contains("\"version\":\"TCP\""), "{line}");
    let before = aya.generation();
    aya.rewrite(&config("many"));
    aya.wait_for_generation_after(before);
    wait_until("new connections to go elsewhere", || ask(address, "uno.play.test", &[]) == "many");
}

/// Beside what is passed on, a listener serves everybody else as it did: requests over TLS, or connections for its pool, with TLS or without.
#[test]
fn all_others_are_served_as_before() {
    let issued = issued();
    let other = secure(&issued, "other");
    let plain = Nginx::start("location / { return 200 'plain'; }");
    let greeting = greeter("220 hello\r\n");
    let tls = "tls: {certificates: {cert: site.pem, key: site.key}}";
    let through = "pass-through: {server-name: other.play.test, pool: other}";
    let text = format!(
        "listeners:
  requests: {{bind: '127.0.0.1:0', {through}, {tls}}}
  ended: {{bind: '127.0.0.1:0', protocol: tcp, pool: plain, {through}, {tls}}}
  open: {{bind: '127.0.0.1:0', protocol: tcp, pool: plain, {through}}}
  mail: {{bind: '127.0.0.1:0', protocol: tcp, pool: greeting, {through}, timeouts: {{tls-handshake: 300ms}}}}
routes: [{{respond: {{status: 200, body: own}}}}]
pools:
  other: {{endpoints: ['{}']}}
  plain: {{endpoints: ['{}']}}
  greeting: {{endpoints: ['{greeting}']}}
",
        other.address(),
        plain.address()
    );
    let aya = Aya::start_in(folder_with(&issued), &text, &[], &[]);
    for (listener, answer) in [("requests", "own"), ("ended", "plain")] {
        let address = aya.listener(listener);
        for arguments in [&["--http1.1"][..], &["--http2"], &["--tlsv1.2", "--tls-max", "1.2"]] {
            assert_eq!(ask(address, "own.play.test", arguments), answer, "{listener} {arguments:?}");
            assert_eq!(ask(address, "other.play.test", arguments), "other", "{listener} {arguments:?}");
        }
    }
    let open = aya.listener("open");
    assert_eq!(ask(open, "other.play.test", &[]), "other");
    assert_eq!(curl(&[&format!("http://{open}/")]).stdout, "plain");
    // Whoever waits for the endpoint to speak hears it, once it is clear that it has nothing to say.
    let mut client = TcpStream::connect(aya.listener("mail")).expect("it listens");
    client.set_read_timeout(Some(PATIENCE)).expect("it can be set");
    let mut heard = String::new();
    client.read_to_string(&mut heard).expect("it ends");
    assert_eq!(heard, "220 hello\r\n");
    // Without TLS where it is asked for.
    let told = curl(&["--include", &format!("http://{}/", aya.listener("requests"))]).stdout;
    assert!(told.contains("tls-required"), "{told}");
}

/// First messages that are broken, endless or late end their connection and no other, and are counted.
#[test]
fn broken_first_messages_hurt_nobody() {
    let issued = issued();
    let one = secure(&issued, "one");
    let text = format!(
        "listeners:
  wire: {{bind: '127.0.0.1:0', protocol: tcp, pass-through: {{pool: one}}, timeouts: {{tls-handshake: 1s}}}}
pools: {{one: {{endpoints: ['{}']}}}}
",
        one.address()
    );
    let aya = Aya::start(&text);
    let address = aya.listener("wire");
    let endless: Vec<u8> =
        [[22, 3, 1, 0, 1, 1], [22, 3, 1, 0, 1, 0], [22, 3, 1, 0, 1, 0x3f], [22, 3, 1, 0, 1, 0]]
            .into_iter()
            .chain([[22, 3, 1, 0, 1, 0]; 4_000])
            .flatten()
            .collect();
    for (said, ends, counted) in [
        (&b"\x16\x03\x01\x00\x05\x01\x00\x00\x01x"[..], false, "protocol"),
        (b"\x16\x03\x01\xff\xff", false, "protocol"),
        (&endless, false, "protocol"),
        (b"\x16\x03\x01\x02\x00\x01", true, "closed"),
        (b"\x16\x03\x01\x02\x00\x01", false, "timeout"),
        (b"", false, "timeout"),
    ] {
        let before = handshakes(&aya, counted);
        let mut client = TcpStream::connect(address).expect("it listens");
        client.set_read_timeout(Some(PATIENCE)).expect("it can be set");
        // It may be closed before it took all of it.
        let _ = client.write_all(said);
        if ends {
            client.shutdown(std::net::Shutdown::Write).expect("it is open");
        }
        let mut heard = Vec::new();
        let _ = client.read_to_end(&mut heard);
        assert_eq!(heard, b"");
        wait_until("it to be counted", || handshakes(&aya, counted) > before + 0.5);
        assert_eq!(ask(address, "any.play.test", &[]), "one");
    }
    // Who looks whether the port is open has done nothing wrong, and what is not TLS goes nowhere here.
    drop(TcpStream::connect(address).expect("it listens"));
    let ended = curl(&[&format!("http://{address}/")]);
    assert_eq!(ended.stdout, "");
    assert_eq!(aya.total("aya_failures_total", &[("reason", "no-route")]), 1.0);
}

/// What would become of a connection can be asked for beforehand.
#[test]
fn passages_are_explained() {
    let folder = TempFolder::new();
    let file = folder.write(
        "aya.yaml",
        "listeners:
  wire: {bind: '127.0.0.1:8443', protocol: tcp, pass-through: [{server-name: a.test, pool: one}, {server-name: a.test, alpn: h2, pool: two}]}
pools: {one: {endpoints: [10.0.0.1:443]}, two: {endpoints: [10.0.0.2:443]}}
",
    );
    let explain = |url: &str, more: &[&str]| {
        let file = file.to_string_lossy();
        let ended = Aya::run(&[&["explain", &*file, "GET", url], more].concat());
        format!("{}{}", ended.stdout, ended.stderr)
    };
    for (url, more, parts) in [
        ("https://a.test:8443/", &[][..], &["protocol  tls", "pool      one"][..]),
        ("https://A.test:8443/", &["--alpn", "h2"], &["protocol  tls", "pool      two"]),
        ("https://b.test:8443/", &[], &["no-route", "`pass-through`"]),
        ("tcp://a.test:8443/", &[], &["no-route"]),
    ] {
        let told = explain(url, more);
        assert!(parts.iter().all(|part| told.contains(part)), "{url} {more:?}: {told}");
    }
}

/// Who the client is and where it has connected to, as nginx and HAProxy hear it, for whole connections and checks; and what a proxy in front has said is handed on.
#[test]
fn endpoints_are_told_who_the_client_is() {
    let issued = issued();
    let said = "$proxy_protocol_addr to $proxy_protocol_server_addr:$proxy_protocol_server_port";
    let nginx = Nginx::start_introduced(&format!("location / {{ return 200 '{said}'; }}"));
    let haproxy = HaProxy::introduced("%[src] to %[dst]:%[dst_port] for %[fc_pp_authority]");
    let tls = "tls: {certificates: {cert: site.pem, key: site.key}}";
    let text = format!(
        "listeners:
  v1: {{bind: '0.0.0.0:0', protocol: tcp, pool: v1}}
  v2: {{bind: '127.0.0.1:0', protocol: tcp, pool: v2}}
  named: {{bind: '127.0.0.1:0', protocol: tcp, pool: named, {tls}}}
  behind: {{bind: '127.0.0.1:0', protocol: tcp, pool: v2, proxy-protocol: 127.0.0.1}}
pools:
  v1: {{endpoints: ['{0}'], proxy-protocol: v1, health: [tcp, {{http: /, interval: 50ms}}]}}
  v2: {{endpoints: ['{0}'], proxy-protocol: v2, health: {{http: /, interval: 50ms}}}}
  named: {{endpoints: ['{1}'], proxy-protocol: v2, health: {{http: /, interval: 50ms}}}}
",
        nginx.address(),
        haproxy.address()
    );
    let aya = Aya::start_in(folder_with(&issued), &text, &[], &[]);
    let told = |address: SocketAddr| curl(&["--interface", CLIENT, &format!("http://{address}/")]).stdout;
    for listener in ["v1", "v2"] {
        // That on all addresses is reached by one of them.
        let address = SocketAddr::from(([127, 0, 0, 1], aya.listener(listener).port()));
        assert_eq!(told(address), format!("{CLIENT} to {address}"), "{listener}");
    }
    let named = aya.listener("named");
    let heard = ask(named, "one.play.test", &["--interface", CLIENT]);
    assert_eq!(heard, format!("{CLIENT} to {named} for one.play.test"));
    for version in ["send-proxy", "send-proxy-v2"] {
        let front = HaProxy::relay(aya.listener("behind"), version);
        assert_eq!(told(front.address()), format!("{CLIENT} to {}", front.address()), "{version}");
    }
    let checked = |pool: &str, result: &str| {
        aya.total("aya_health_checks_total", &[("pool", pool), ("result", result)])
    };
    for pool in ["v1", "v2", "named"] {
        wait_until("checks to pass", || checked(pool, "pass") > 3.5);
        assert_eq!(checked(pool, "fail"), 0.0, "{pool}");
    }
}
