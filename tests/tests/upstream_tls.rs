//! TLS to endpoints: whose certificates are good, what they are shown, and what is said when it fails.

use std::net::{SocketAddr, TcpListener};
use std::process::Command;

use base_testkit::{
    Authority, Aya, Backend, Issued, Nginx, PATIENCE, Process, Python, Response, TempFolder, Wanted,
    checksum, wait_until,
};

/// What nginx says of the connection that a request came on.
const FACTS: &str = "ssl_session_cache shared:play:1m; location / { return 200 \
    '$ssl_server_name $ssl_protocol $ssl_session_reused $ssl_client_verify $connection_requests'; }";

/// An nginx over TLS with a certificate for these hosts.
fn nginx(authority: &Authority, hosts: &[&str], more: &str) -> Nginx {
    Nginx::start_tls(&authority.issue(hosts), &format!("{more} {FACTS}"))
}

/// A folder with the authority's certificate.
fn folder_of(authority: &Authority) -> TempFolder {
    let folder = TempFolder::new();
    folder.write("ca.pem", authority.pem());
    folder
}

/// A configuration with these endpoints and these settings of `tls`, in flow style, and what else the pool has.
fn config(endpoints: &[SocketAddr], tls: &str, pool: &str) -> String {
    let endpoints: Vec<String> = endpoints.iter().map(|address| format!("'{address}'")).collect();
    format!(
        "listeners: {{web: {{bind: '127.0.0.1:0'}}}}\nroutes: [{{pool: app}}]\npools: {{app: {{endpoints: [{}], tls: {tls}, {pool}}}}}\n",
        endpoints.join(", ")
    )
}

const TRUSTED: &str = "{authorities: ca.pem, name: app.test}";

fn start(authority: &Authority, endpoints: &[SocketAddr], tls: &str, pool: &str) -> Aya {
    Aya::start_in(folder_of(authority), &config(endpoints, tls, pool), &[], &[])
}

fn handshakes(aya: &Aya, result: &str) -> f64 {
    aya.total("aya_upstream_tls_handshakes_total", &[("pool", "app"), ("result", result)])
}

/// What the answer says of why there is none.
fn refusal(response: &Response) -> (u16, &str) {
    (response.status, response.header("x-aya-reason").unwrap_or("-"))
}

/// Requests go over TLS to an endpoint whose certificate is for the name that is wanted, and is signed by whom the pool trusts; connections
/// are kept, and sessions taken up again.
#[test]
fn requests_go_over_tls() {
    let authority = Authority::new("play");
    let server = nginx(&authority, &["app.test"], "ssl_protocols TLSv1.2 TLSv1.3;");
    let aya = start(&authority, &[server.address()], TRUSTED, "");
    let mut client = aya.client();
    assert_eq!(client.get("/").text(), "app.test TLSv1.3 . NONE 1");
    assert_eq!(client.get("/").text(), "app.test TLSv1.3 . NONE 2");
    assert_eq!((handshakes(&aya, "full"), handshakes(&aya, "resumed")), (1.0, 0.0));

    for version in ["TLSv1.2", "TLSv1.3"] {
        let server = nginx(&authority, &["app.test"], &format!("ssl_protocols {version};"));
        let aya = start(&authority, &[server.address()], TRUSTED, "connections: {max-idle: 0}");
        let mut client = aya.client();
        assert_eq!(client.get("/").text(), format!("app.test {version} . NONE 1"));
        for _ in 0..5 {
            assert_eq!(client.get("/").text(), format!("app.test {version} r NONE 1"));
        }
        assert_eq!((handshakes(&aya, "full"), handshakes(&aya, "resumed")), (1.0, 5.0), "{version}");
    }
}

/// Without a name the endpoint's own host is asked for and has to be in the certificate: a name with SNI, an address without. Without a port
/// it is 443.
#[test]
fn the_endpoints_own_host_is_the_name() {
    let authority = Authority::new("play");
    let server = nginx(&authority, &["localhost", "127.0.0.1"], "");
    let port = server.address().port();
    let tls = "{authorities: ca.pem}";
    let by_name = config(&[], tls, "").replace("endpoints: []", &format!("endpoints: ['LocalHost:{port}']"));
    let aya = Aya::start_in(folder_of(&authority), &by_name, &[], &[]);
    wait_until("the name to be looked up", || aya.get("/").status == 200);
    let said = aya.get("/").text();
    assert!(said.starts_with("localhost TLS"), "{said}");

    let aya = start(&authority, &[server.address()], tls, "");
    assert!(aya.get("/").text().starts_with(" TLS"), "an address is no server name");

    let no_port = config(&[], tls, "").replace("endpoints: []", "endpoints: [127.0.0.1]");
    let aya = Aya::start_in(folder_of(&authority), &no_port, &[], &[]);
    assert_eq!(aya.admin("GET", "/api/v1/pools/app", "").json()["endpoints"][0]["address"], "127.0.0.1:443");
    let added = aya.admin("POST", "/api/v1/pools/app/endpoints", r#"{"address": "127.0.0.2"}"#);
    assert_eq!(added.json()["address"], "127.0.0.2:443");
}

/// An endpoint that cannot show that it is the one is asked nothing; the answer, the metric and the word of the log say why.
#[test]
fn endpoints_that_are_not_who_they_should_be_get_nothing() {
    let (authority, other) = (Authority::new("play"), Authority::new("other"));
    let gone =
        authority.issue_as(Wanted { subject: "gone", hosts: &["app.test"], days: -1, ..Wanted::default() });
    let (good, revoked) = (authority.issue(&["app.test"]), authority.issue(&["app.test"]));
    let trusted = "{authorities: ca.pem, name: app.test}";
    let with_lists = "{authorities: ca.pem, name: app.test, revoked: revoked.pem}";
    for (issued, tls, detail) in [
        (&other.issue(&["app.test"]), trusted, "not signed by one of the `authorities`"),
        (&authority.issue(&["other.test"]), trusted, "app.test"),
        (&gone, trusted, "expired"),
        (&revoked, with_lists, "revoked"),
        // The certificate of a client is not one of a server.
        (
            &authority.issue_as(Wanted { subject: "app.test", ..Wanted::default() }),
            trusted,
            "extended key usage",
        ),
    ] {
        let server = Nginx::start_tls(issued, FACTS);
        let folder = folder_of(&authority);
        folder.write("revoked.pem", authority.revoke(&[&revoked], 30));
        let config = format!("{}logs: {{level: debug}}\n", config(&[server.address()], tls, ""));
        let mut aya = Aya::start_in(folder, &config, &[], &[]);
        let response = aya.get("/");
        assert_eq!(refusal(&response), (502, "upstream-tls"), "{detail}: {}", response.text());
        assert!(
            !response.text().contains("app.test"),
            "clients are not told of what is behind: {}",
            response.text()
        );
        let line = aya.wait_for_line("certificate-refused");
        assert!(line.to_lowercase().contains(detail), "{detail}: {line}");
        wait_until("it to be counted", || handshakes(&aya, "certificate-refused") >= 1.0);
    }
    let server = Nginx::start_tls(&good, FACTS);
    let folder = folder_of(&authority);
    folder.write("revoked.pem", authority.revoke(&[&revoked], 30));
    let aya = Aya::start_in(folder, &config(&[server.address()], with_lists, ""), &[], &[]);
    assert_eq!(aya.get("/").status, 200, "one that is not on the list is good");
}

fn openssl(arguments: &[&str]) {
    let mut command = Command::new("openssl");
    command.args(arguments);
    let ended = Process::run(command, PATIENCE);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

/// A certificate for `app.test` that has signed itself, in `NAME.pem` and `NAME.key`, of an authority or not.
fn signs_itself(folder: &TempFolder, name: &str, is_authority: bool) -> Issued {
    let path = |end: &str| folder.path().join(format!("{name}.{end}")).display().to_string();
    let constraint = if is_authority { "CA:TRUE" } else { "CA:FALSE" };
    let constraint = format!("basicConstraints=critical,{constraint}");
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", &path("key")];
    let about = [
        "-days",
        "30",
        "-subj",
        "/CN=app.test",
        "-addext",
        "subjectAltName=DNS:app.test",
        "-addext",
        &constraint,
    ];
    openssl(&[&["req", "-x509", "-out", &path("pem")], &key[..], &about].concat());
    Issued { cert: folder.read(&format!("{name}.pem")), key: folder.read(&format!("{name}.key")), serial: 0 }
}

/// A certificate that has signed itself is good if it is named itself, as `openssl req -x509` makes it or not marked as an authority's, and with
/// `verify: off` any is. One that is no authority's does not make others good.
#[test]
fn certificates_that_signed_themselves_can_be_named() {
    let (authority, made) = (Authority::new("play"), TempFolder::new());
    let status = |server: &Nginx, named: &Issued, tls: &str| {
        let folder = folder_of(&authority);
        folder.write("self.pem", &named.cert);
        Aya::start_in(folder, &config(&[server.address()], tls, ""), &[], &[]).get("/").status
    };
    for is_authority in [true, false] {
        let issued = signs_itself(&made, "self", is_authority);
        let server = Nginx::start_tls(&issued, FACTS);
        assert_eq!(status(&server, &issued, "{authorities: self.pem, name: app.test}"), 200);
        assert_eq!(status(&server, &issued, "{authorities: [ca.pem, self.pem], name: app.test}"), 200);
        assert_eq!(status(&server, &issued, "{authorities: self.pem, name: other.test}"), 502);
        assert_eq!(status(&server, &issued, "{authorities: ca.pem, name: app.test}"), 502);
        assert_eq!(status(&server, &issued, "{verify: off}"), 200);
    }
    // The key of a server that is named signs for another one.
    let path = |name: &str| made.path().join(name).display().to_string();
    let request = ["-subj", "/CN=app.test", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    openssl(&[&["req", "-out", &path("other.csr"), "-keyout", &path("other.key")], &request[..]].concat());
    made.write("names", "subjectAltName=DNS:app.test");
    let signed =
        ["-CA", &path("self.pem"), "-CAkey", &path("self.key"), "-extfile", &path("names"), "-days", "9"];
    let to = ["-CAcreateserial", "-in", &path("other.csr"), "-out", &path("other.pem")];
    openssl(&[&["x509", "-req"], &signed[..], &to].concat());
    let other = Issued { cert: made.read("other.pem"), key: made.read("other.key"), serial: 0 };
    let named = Issued { cert: made.read("self.pem"), key: String::new(), serial: 0 };
    let impostor = Nginx::start_tls(&other, FACTS);
    assert_eq!(status(&impostor, &named, "{authorities: self.pem, name: app.test}"), 502);
    assert_eq!(status(&impostor, &named, "{authorities: [ca.pem, self.pem], name: app.test}"), 502);
}

/// Those whom the system trusts are trusted if nothing else is said; `system` stands for them beside others.
#[test]
fn whom_the_system_trusts_is_trusted() {
    let (of_system, own) = (Authority::new("system"), Authority::new("own"));
    let servers = [nginx(&of_system, &["app.test"], ""), nginx(&own, &["app.test"], "")];
    let system = folder_of(&of_system);
    let system = system.path().join("ca.pem").display().to_string();
    for (tls, statuses) in [
        ("{name: app.test}", [200, 502]),
        ("{name: app.test, authorities: [system, ca.pem]}", [200, 200]),
        ("{name: app.test, authorities: ca.pem}", [502, 200]),
    ] {
        for (server, wanted) in servers.iter().zip(statuses) {
            let config = config(&[server.address()], tls, "");
            let aya = Aya::start_in(
                folder_of(&own),
                &config,
                &[],
                &[("SSL_CERT_FILE", &system), ("SSL_CERT_DIR", "")],
            );
            assert_eq!(aya.get("/").status, wanted, "{tls}");
        }
    }
    let folder = TempFolder::new();
    let file = folder.write("aya.yaml", config(&[servers[0].address()], "on", ""));
    let mut command = Aya::command();
    command
        .arg("check")
        .arg(file)
        .env("SSL_CERT_FILE", folder.write("nobody.pem", ""))
        .env_remove("SSL_CERT_DIR");
    let nobody = Process::run(command, PATIENCE);
    assert_eq!(nobody.code, Some(2), "{nobody:?}");
    assert!(nobody.stderr.contains("no certificates that the system trusts"), "{nobody:?}");
}

/// An endpoint that asks who comes is shown the certificate of the pool; a new one on disk is shown from then on.
#[test]
fn endpoints_are_shown_who_comes() {
    let authority = Authority::new("play");
    let trust = folder_of(&authority);
    let asks = format!(
        "ssl_client_certificate {}; ssl_verify_client on; location / {{ return 200 '$ssl_client_s_dn'; }}",
        trust.path().join("ca.pem").display()
    );
    let server = Nginx::start_tls(&authority.issue(&["app.test"]), &asks);
    let us = |subject| authority.issue_as(Wanted { subject, ..Wanted::default() });
    let folder = folder_of(&authority);
    let put = |folder: &std::path::Path, issued: &Issued| {
        std::fs::write(folder.join("us.key.new"), &issued.key).unwrap();
        std::fs::rename(folder.join("us.key.new"), folder.join("us.key")).unwrap();
        std::fs::write(folder.join("us.pem.new"), &issued.cert).unwrap();
        std::fs::rename(folder.join("us.pem.new"), folder.join("us.pem")).unwrap();
    };
    put(folder.path(), &us("aya one"));
    let shown = "{authorities: ca.pem, name: app.test, certificate: {cert: us.pem, key: us.key}}";
    let aya = Aya::start_in(folder, &config(&[server.address()], shown, ""), &[], &[]);
    let mut client = aya.client();
    assert_eq!(client.get("/").text(), "CN=aya one");
    let ends = "aya_tls_certificate_not_after_timestamp_seconds";
    assert!(aya.metrics().sum(ends, &[("place", "pools.app")]) > 1.7e9);
    put(aya.folder(), &us("aya two"));
    wait_until("the new one to be shown", || client.get("/").text() == "CN=aya two");

    let nothing = start(&authority, &[server.address()], TRUSTED, "");
    assert_eq!(nothing.get("/").status, 400, "nginx tells who shows nothing");
}

/// Every way of not coming to the end of a handshake has its word.
#[test]
fn failures_have_their_words() {
    let authority = Authority::new("play");
    let plain = Backend::script(|session| {
        session.exactly(5)?;
        session.send("HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
    });
    let old = nginx(&authority, &["app.test"], "ssl_protocols TLSv1.2;");
    let modern = "{authorities: ca.pem, name: app.test, policy: modern}";
    let closing = Backend::script(|session| session.exactly(5).map(drop));
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    for (address, tls, (status, reason), word) in [
        (plain.address(), TRUSTED, (502, "upstream-tls"), "not-tls"),
        (old.address(), modern, (502, "upstream-tls"), "nothing-in-common"),
        (closing.address(), TRUSTED, (502, "upstream-tls"), "closed"),
        (silent.local_addr().unwrap(), TRUSTED, (504, "connect-timeout"), "timeout"),
    ] {
        let aya = start(&authority, &[address], tls, "timeouts: {connect: 500ms}");
        assert_eq!(refusal(&aya.get("/")), (status, reason), "{word}");
        wait_until(word, || handshakes(&aya, word) >= 1.0);
    }
}

/// An endpoint whose certificate is not good costs no request where another one can serve it, and takes no attempt.
#[test]
fn requests_go_to_another_endpoint() {
    let authority = Authority::new("play");
    let bad = nginx(&Authority::new("other"), &["app.test"], "");
    let good = nginx(&authority, &["app.test"], "");
    let aya = start(&authority, &[bad.address(), good.address()], TRUSTED, "");
    let mut client = aya.client();
    for number in 0..50 {
        let response = client.post("/", vec![b'x'; 2_000 * number]);
        assert_eq!(response.status, 200, "{}", response.text());
    }
    let of_bad = [("endpoint", &*bad.address().to_string()), ("state", "ejected")];
    wait_until("the other to be ejected", || aya.total("aya_endpoint_state", &of_bad) == 1.0);
}

/// Sends back what it gets, byte by byte, and speaks another protocol when asked to.
const ECHO: &str = r#"
import http.server, socketserver, ssl, sys
class Echo(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_POST(self):
        if self.headers.get('transfer-encoding') == 'chunked':
            body = b''
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size); self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers['content-length']))
        self.send_response(200)
        self.send_header('transfer-encoding', 'chunked')
        self.end_headers()
        for at in range(0, len(body), 50000):
            piece = body[at:at + 50000]
            self.wfile.write(b'%x\r\n%s\r\n' % (len(piece), piece))
        self.wfile.write(b'0\r\n\r\n')
    def do_GET(self):
        self.send_response(101)
        self.send_header('connection', 'upgrade')
        self.send_header('upgrade', 'echo')
        self.end_headers()
        while piece := self.connection.recv(100000):
            self.connection.sendall(piece)
        self.close_connection = True
    def log_message(self, *_):
        pass
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
server = Server(('127.0.0.1', int(sys.argv[1])), Echo)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain('site.pem', 'site.key')
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
"#;

/// Bodies go there and back byte for byte, framed either way, and so does what is spoken after a switch of protocols.
#[test]
fn bodies_and_tunnels_go_both_ways() {
    let authority = Authority::new("play");
    let issued = authority.issue(&["app.test"]);
    let server = Python::script(ECHO, &[("site.pem", &issued.cert), ("site.key", &issued.key)]);
    let aya = start(&authority, &[server.address()], TRUSTED, "");
    let mut client = aya.client();
    for bytes in [0, 1, 16_384, 16_385, 300_000, 8_000_000] {
        let body: Vec<u8> =
            (0..bytes).map(|index: u32| (index.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let response = client.post("/", &body);
        assert_eq!((response.status, checksum(&response.body)), (200, checksum(&body)), "{bytes}");
        let mut chunked = b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
        for piece in body.chunks(70_000) {
            chunked.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            chunked.extend_from_slice(piece);
            chunked.extend_from_slice(b"\r\n");
        }
        chunked.extend_from_slice(b"0\r\n\r\n");
        let mut sender = client.split();
        let sending = std::thread::spawn(move || sender.send(chunked));
        let response = client.response_to("POST");
        sending.join().unwrap();
        assert_eq!((response.status, checksum(&response.body)), (200, checksum(&body)), "{bytes} in chunks");
    }
    let mut tunnel = aya.client();
    tunnel.send("GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n");
    assert_eq!(tunnel.head().status, 101);
    for piece in ["hello", "again"] {
        tunnel.send(piece);
        assert_eq!(tunnel.exactly(piece.len()).expect("an echo"), piece.as_bytes());
    }
}

/// Checks go over TLS as requests do: a handshake alone, or a request in it; one can be asked in the clear.
#[test]
fn checks_go_over_tls() {
    let authority = Authority::new("play");
    let good = nginx(&authority, &["app.test"], "");
    let bad = nginx(&Authority::new("other"), &["app.test"], "");
    let plain = Backend::echo("plain");
    let in_clear = format!("{{http: /healthz, tls: off, port: {}}}", plain.port());
    let spread = |check: &str| format!("health: {check}, panic: 0%");
    for check in ["tls", "{tls: on}", "{http: /, interval: 100ms}"] {
        let aya = start(&authority, &[good.address(), bad.address()], TRUSTED, &spread(check));
        let state = |nginx: &Nginx, state| {
            aya.total("aya_endpoint_state", &[("endpoint", &nginx.address().to_string()), ("state", state)])
        };
        wait_until("both to be judged", || state(&good, "up") == 1.0 && state(&bad, "down") == 1.0);
        let pool = aya.admin("GET", "/api/v1/pools/app", "").text();
        assert!(
            pool.contains("TLS handshake failed: the endpoint's certificate is not signed"),
            "{check}: {pool}"
        );
    }
    let aya = start(&authority, &[good.address()], TRUSTED, &spread(&in_clear));
    wait_until("it to be asked", || plain.request_count() > 2);
    assert_eq!(aya.get("/").status, 200);
    let connections = plain.connection_count();
    wait_until("it to be asked again", || plain.request_count() > 5);
    assert_eq!(plain.connection_count(), connections, "checks keep their connections");

    // The same over TLS: nginx counts the requests of a connection.
    let body = "health: {http: /, interval: 50ms, fall: 1, body: '~ NONE [1-4]$'}, panic: 0%";
    let aya = start(&authority, &[good.address()], TRUSTED, body);
    let down = [("endpoint", &*good.address().to_string()), ("state", "down")];
    wait_until("the fifth question on one connection", || aya.total("aya_endpoint_state", &down) == 1.0);
}

/// What a pool trusts now decides, not what it trusted when a connection was made; and an unrelated change makes no new ones.
#[test]
fn a_reload_leaves_no_connection_of_before() {
    let authority = Authority::new("play");
    let server = nginx(&authority, &["app.test"], "");
    let folder = folder_of(&authority);
    folder.write("other.pem", Authority::new("other").pem());
    let yaml = |tls: &str, pool: &str| format!("workers: 1\n{}", config(&[server.address()], tls, pool));
    let aya = Aya::start_in(folder, &yaml(TRUSTED, ""), &[], &[]);
    let requests = |response: &Response| response.text().rsplit(' ').next().unwrap().to_owned();
    let mut client = aya.client();
    assert_eq!(requests(&client.get("/")), "1");
    let reload = |yaml: &str| {
        let before = aya.generation();
        aya.rewrite(yaml);
        aya.wait_for_generation_after(before);
    };
    reload(&yaml(TRUSTED, "timeouts: {connect: 7s}"));
    assert_eq!(requests(&client.get("/")), "2", "the connection is kept");
    reload(&yaml("{authorities: other.pem, name: app.test}", ""));
    assert_eq!(refusal(&client.get("/")), (502, "upstream-tls"));
    reload(&yaml(TRUSTED, ""));
    wait_until("it to be back", || client.get("/").status == 200);
    let plain = yaml(TRUSTED, "").replace(&format!("tls: {TRUSTED}, "), "");
    reload(&plain);
    assert_eq!(client.get("/").status, 400, "nginx tells who speaks in the clear");
}

/// Questions of what an endpoint has to do go over TLS, too.
#[test]
fn probes_go_over_tls() {
    let authority = Authority::new("play");
    let report = "location /load { add_header endpoint-load-metrics 'TEXT named_metrics.rif=3, named_metrics.latency_ms=5' always; return 200; }";
    let servers = [(); 2].map(|()| nginx(&authority, &["app.test"], report));
    let addresses = servers.each_ref().map(Nginx::address);
    let pool = "balance: {kind: prequal, probe: /load, probe-timeout: 5s}";
    let aya = start(&authority, &addresses, TRUSTED, pool);
    let mut client = aya.client();
    wait_until("answers", || {
        client.get("/");
        aya.total("aya_upstream_probes_total", &[]) > 3.0
    });
    assert_eq!(aya.total("aya_upstream_probes_total", &[("result", "failed")]), 0.0);
}

/// Aya in front of Aya: what one says, the other one understands, with keys for both sides.
#[test]
fn two_of_us_understand_each_other() {
    let authority = Authority::new("play");
    let inner = folder_of(&authority);
    let issued = authority.issue(&["app.test"]);
    inner.write("site.pem", format!("{}{}", issued.cert, issued.key));
    let inner = Aya::start_in(
        inner,
        "listeners: {web: {bind: '127.0.0.1:0', tls: {certificates: site.pem, clients: {authorities: ca.pem}}}}\n\
         routes: [{respond: {body: inner}}]\n",
        &[],
        &[],
    );
    let outer = folder_of(&authority);
    let us = authority.issue_as(Wanted { subject: "outer", ..Wanted::default() });
    outer.write("us.pem", format!("{}{}", us.cert, us.key));
    let shown = "{authorities: ca.pem, name: app.test, certificate: us.pem}";
    let outer = Aya::start_in(outer, &config(&[inner.listener("web")], shown, "host: app.test"), &[], &[]);
    for _ in 0..20 {
        assert_eq!(outer.get("/").text(), "inner");
    }
}
