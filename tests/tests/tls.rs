//! TLS: what clients are shown, what they have to show, what they may come back with, and what is said when it fails.

mod identity;
mod stapling;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use base_testkit::{
    Authority, Aya, Backend, Ended, Issued, PATIENCE, Process, Python, TempFolder, Wanted, answer, curl,
    wait_until,
};
use scenarios::noise;

/// A folder with these certificates, `NAME.pem` and `NAME.key`, and the authority's own, `ca.pem`.
fn folder_of(authority: &Authority, certificates: &[(&str, &Issued)]) -> TempFolder {
    let folder = TempFolder::new();
    folder.write("ca.pem", authority.pem());
    certificates.iter().for_each(|(name, issued)| put(&folder, name, issued));
    folder
}

fn put(folder: &TempFolder, name: &str, issued: &Issued) {
    folder.write(&format!("{name}.pem"), &issued.cert);
    folder.write(&format!("{name}.key"), &issued.key);
}

/// A configuration that says hello over TLS with these settings, in flow style.
fn hello(tls: &str) -> String {
    format!(
        "listeners: {{web: {{bind: '127.0.0.1:0', tls: {{{tls}}}}}}}\nroutes: [{{respond: {{body: hello}}}}]\n"
    )
}

const SITE: &str = "certificates: {cert: site.pem, key: site.key}";

/// Aya that says hello with a certificate for `site.test`, and what else these settings say.
fn site(more: &str) -> (Authority, Aya) {
    let authority = Authority::new("play");
    let folder = folder_of(&authority, &[("site", &authority.issue(&["site.test"]))]);
    let aya = Aya::start_in(folder, &hello(&format!("{SITE}{more}")), &[], &[]);
    (authority, aya)
}

/// Asks for this host with curl, which trusts the authority in the folder.
fn ask(aya: &Aya, host: &str, more: &[&str]) -> Ended {
    let address = aya.listener("web");
    let connect = format!("{host}:{0}:127.0.0.1:{0}", address.port());
    let url = format!("https://{host}:{}/", address.port());
    let authority = aya.folder().join("ca.pem");
    let authority = authority.to_string_lossy();
    curl(&[&["--cacert", &authority, "--connect-to", &connect, &url], more].concat())
}

/// What `openssl s_client` says of a connection that it closes at once.
fn s_client(address: SocketAddr, arguments: &[&str]) -> String {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &address.to_string()]).args(arguments);
    let ended = Process::run(command, PATIENCE);
    format!("{}{}", ended.stdout, ended.stderr)
}

/// A client is shown the certificate of the name it asks for, exact before wildcard; the first one if the name is in none.
#[test]
fn the_name_chooses_the_certificate() {
    let authority = Authority::new("play");
    let folder = folder_of(&authority, &[("site", &authority.issue(&["site.test", "127.0.0.1"]))]);
    let more = TempFolder::new();
    put(&more, "wild", &authority.issue(&["*.site.test"]));
    let shop = authority.issue(&["shop.site.test", "shop.test"]);
    // Key and certificate in one file.
    more.write("shop.crt", format!("{}{}", shop.key, shop.cert));
    let all =
        format!("certificates: [{{cert: site.pem, key: site.key}}, {{folder: '{}'}}]", more.path().display());
    let aya = Aya::start_in(folder, &hello(&all), &[], &[]);
    let shown = |name: &str| {
        let said = s_client(aya.listener("web"), &["-servername", name]);
        let subject = said.lines().find_map(|line| line.strip_prefix("subject="));
        subject.unwrap_or_else(|| panic!("no subject: {said}")).replace(' ', "")
    };
    for (name, subject) in [
        ("site.test", "CN=site.test"),
        ("SHOP.site.test", "CN=shop.site.test"),
        ("shop.test", "CN=shop.site.test"),
        ("other.site.test", "CN=*.site.test"),
        ("deep.other.site.test", "CN=site.test"),
        ("unknown.test", "CN=site.test"),
    ] {
        assert_eq!(shown(name), subject, "{name}");
    }
    for host in ["site.test", "shop.site.test", "shop.test", "other.site.test", "127.0.0.1"] {
        assert_eq!(ask(&aya, host, &[]).stdout, "hello", "{host}");
    }
    assert_eq!(ask(&aya, "unknown.test", &[]).code, Some(60), "curl refuses a certificate for others");
}

/// Names that are in no certificate can be refused in the handshake.
#[test]
fn unknown_names_are_refused_where_that_is_asked_for() {
    let (_, aya) = site(", unknown-name: refuse");
    assert_eq!(ask(&aya, "site.test", &[]).stdout, "hello");
    assert_eq!(ask(&aya, "other.test", &["--insecure"]).code, Some(35));
    wait_until("it to be counted", || failed(&aya, "unknown-name") == 1.0);
}

fn failed(aya: &Aya, fault: &str) -> f64 {
    aya.metrics().sum("aya_tls_handshakes_total", &[("result", fault)])
}

/// Of an RSA and an ECDSA certificate for the same name a client is shown the one that it can verify, ECDSA if both.
#[test]
fn rsa_and_ecdsa_stand_side_by_side() {
    let authority = Authority::new("play");
    let wanted = |subject, is_rsa| Wanted { subject, hosts: &["site.test"], is_rsa, ..Wanted::default() };
    let (rsa, ecdsa) = (authority.issue_as(wanted("rsa", true)), authority.issue_as(wanted("ecdsa", false)));
    let folder = folder_of(&authority, &[("rsa", &rsa), ("ecdsa", &ecdsa)]);
    let aya = Aya::start_in(
        folder,
        &hello("certificates: [{cert: rsa.pem, key: rsa.key}, {cert: ecdsa.pem, key: ecdsa.key}]"),
        &[],
        &[],
    );
    for version in ["-tls1_2", "-tls1_3"] {
        for (signatures, subject) in [
            ("RSA-PSS+SHA256", "CN = rsa"),
            ("ECDSA+SHA256", "CN = ecdsa"),
            ("RSA-PSS+SHA256:ECDSA+SHA256", "CN = ecdsa"),
        ] {
            for name in ["site.test", "unknown.test"] {
                let arguments = ["-servername", name, version, "-sigalgs", signatures];
                let said = s_client(aya.listener("web"), &arguments);
                assert!(
                    said.contains(&format!("subject={subject}\n")),
                    "{version} {signatures} {name}: {said}"
                );
            }
        }
    }
}

/// `modern` speaks TLS 1.3 only; `intermediate`, the default, 1.2 as well, with forward secrecy and authenticated encryption; neither anything older.
#[test]
fn a_policy_decides_on_versions_and_ciphers() {
    let (_, modern) = site(", policy: modern");
    let (_, intermediate) = site("");
    let version = |aya: &Aya, most: &str| ask(aya, "site.test", &["--tls-max", most]).code;
    assert_eq!((version(&modern, "1.3"), version(&modern, "1.2")), (Some(0), Some(35)));
    assert_eq!((version(&intermediate, "1.3"), version(&intermediate, "1.2")), (Some(0), Some(0)));
    let old = s_client(intermediate.listener("web"), &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]);
    assert!(old.contains("alert") && old.contains("Cipher is (NONE)"), "{old}");
    for (cipher, is_spoken) in [
        ("ECDHE-ECDSA-AES128-GCM-SHA256", true),
        ("ECDHE-ECDSA-AES128-SHA256", false),
        ("AES128-GCM-SHA256", false),
    ] {
        let said = s_client(intermediate.listener("web"), &["-tls1_2", "-cipher", cipher]);
        assert_eq!(said.contains(&format!("Cipher is {cipher}")), is_spoken, "{cipher}: {said}");
    }
    wait_until("it to be counted", || failed(&intermediate, "nothing-in-common") >= 3.0);
}

/// A client in Python: connects `argv[3]` times to `site.test` at a port, each time with the session of the time before, and says which were
/// taken up again.
const RESUMING: &str = "import socket, ssl, sys\n\
    def context(version):\n\
    \x20   made = ssl.create_default_context(cafile=sys.argv[2])\n\
    \x20   made.minimum_version = made.maximum_version = version\n\
    \x20   return made\n\
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):\n\
    \x20   made, session = context(version), None\n\
    \x20   for port in sys.argv[3:]:\n\
    \x20       plain = socket.create_connection(('127.0.0.1', int(sys.argv[1]) if port == '-' else int(port)))\n\
    \x20       with made.wrap_socket(plain, server_hostname='site.test', session=session) as stream:\n\
    \x20           stream.sendall(b'GET / HTTP/1.1\\r\\nHost: site.test\\r\\nConnection: close\\r\\n\\r\\n')\n\
    \x20           answer = b''\n\
    \x20           while part := stream.recv(4096): answer += part\n\
    \x20           assert answer.endswith(b'hello'), answer\n\
    \x20           session = stream.session\n\
    \x20           print(stream.session_reused, end=' ')\n";

/// A client that was here before comes back without a full handshake, at any worker, and with keys from the configuration at
/// another process; but not where tickets are off.
#[test]
fn sessions_are_taken_up_again() {
    let authority = Authority::new("play");
    let issued = authority.issue(&["site.test"]);
    let start = |tickets: &str| {
        let folder = folder_of(&authority, &[("site", &issued)]);
        let key = ("TICKET_KEY", "0123456789abcdef0123456789abcdef");
        Aya::start_in(folder, &hello(&format!("{SITE}{tickets}")), &["--workers", "4"], &[key])
    };
    let resumed = |aya: &Aya, ports: &[&str]| {
        let (port, ca) = (aya.listener("web").port().to_string(), aya.folder().join("ca.pem"));
        let ended = Python::run(RESUMING, &[&[&*port, &ca.to_string_lossy()], ports].concat());
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        ended.stdout
    };
    let yes = " True".repeat(11);
    let one = start("");
    assert_eq!(resumed(&one, &["-"; 12]), format!("False{yes} False{yes} "));
    wait_until("them to be counted", || failed(&one, "resumed") == 22.0 && failed(&one, "full") == 2.0);
    let keys = ", tickets: {keys: {env: TICKET_KEY}}";
    let (here, there) = (start(keys), start(keys));
    let other = there.listener("web").port().to_string();
    assert_eq!(resumed(&here, &["-", &other, "-"]), "False True True False True True ");
    let stranger = one.listener("web").port().to_string();
    assert_eq!(resumed(&here, &["-", &stranger]), "False False False False ");
    let without = start(", tickets: off");
    assert_eq!(resumed(&without, &["-", "-"]), "False False False False ");
}

/// A new certificate is shown without a connection being dropped.
#[test]
fn a_certificate_is_replaced_while_traffic_flows() {
    let (authority, aya) = site("");
    let address = aya.listener("web");
    let fingerprint = || {
        let said = s_client(address, &["-servername", "site.test"]);
        let shown = said.split("BEGIN CERTIFICATE").nth(1).and_then(|rest| rest.split("END").next());
        shown.unwrap_or_else(|| panic!("no certificate: {said}")).to_owned()
    };
    let ca = aya.folder().join("ca.pem");
    // Speaks once before and once after, on one connection.
    let script = "import socket, ssl, sys\n\
        made = ssl.create_default_context(cafile=sys.argv[2])\n\
        with made.wrap_socket(socket.create_connection(('127.0.0.1', int(sys.argv[1]))), server_hostname='site.test') as stream:\n\
        \x20   for _ in range(2):\n\
        \x20       stream.sendall(b'GET / HTTP/1.1\\r\\nHost: site.test\\r\\n\\r\\n')\n\
        \x20       answer = b''\n\
        \x20       while not answer.endswith(b'hello'): answer += stream.recv(4096)\n\
        \x20       print('answered', flush=True)\n\
        \x20       if not open(sys.argv[3]).read():\n\
        \x20           while not open(sys.argv[3]).read(): pass\n";
    let (go, code) = (aya.folder().join("go"), aya.folder().join("client.py"));
    std::fs::write(&go, "").expect("it can be written");
    std::fs::write(&code, script).expect("it can be written");
    let mut command = Command::new("python3");
    command.arg(&code).arg(address.port().to_string()).args([&ca, &go]);
    let client = Process::start(command);
    wait_until("the first answer", || client.stdout().contains("answered"));
    let before = fingerprint();
    let generation = aya.generation();
    let next = authority.issue(&["site.test"]);
    std::fs::write(aya.folder().join("site.pem"), &next.cert).expect("it can be written");
    std::fs::write(aya.folder().join("site.key"), &next.key).expect("it can be written");
    aya.wait_for_generation_after(generation);
    assert_ne!(fingerprint(), before);
    assert_eq!(ask(&aya, "site.test", &[]).stdout, "hello");
    std::fs::write(&go, "go").expect("it can be written");
    let ended = client.wait(PATIENCE);
    assert_eq!((ended.code, ended.stdout.lines().count()), (Some(0), 2), "{}", ended.stderr);
    // A key that does not belong to its certificate is refused, and changes nothing.
    let shown = fingerprint();
    std::fs::write(aya.folder().join("site.key"), authority.issue(&["site.test"]).key)
        .expect("it can be written");
    wait_until("it to be refused", || {
        aya.metrics().sum("aya_config_reloads_total", &[("result", "rejected")]) >= 1.0
    });
    wait_until("it to be said", || {
        aya.stderr().contains("the private key does not belong to the certificate")
    });
    assert_eq!(fingerprint(), shown);
    std::fs::write(aya.folder().join("site.key"), &next.key).expect("it can be written");
    assert_eq!(ask(&aya, "site.test", &[]).stdout, "hello");
}

/// Clients have to show a certificate of the authority, one that is not revoked; where it is optional, none at all is fine too.
#[test]
fn clients_show_certificates() {
    let (authority, stranger) = (Authority::new("play"), Authority::new("stranger"));
    let client = |authority: &Authority, subject| authority.issue_as(Wanted { subject, ..Wanted::default() });
    let (alice, mallory, other) =
        (client(&authority, "alice"), client(&authority, "mallory"), client(&stranger, "other"));
    let names = [
        ("site", &authority.issue(&["site.test"])),
        ("alice", &alice),
        ("mallory", &mallory),
        ("other", &other),
    ];
    let start = |clients: &str| {
        let folder = folder_of(&authority, &names);
        folder.write("revoked.pem", authority.revoke(&[&mallory], 30));
        Aya::start_in(
            folder,
            &hello(&format!("{SITE}, clients: {{authorities: ca.pem, {clients}}}")),
            &[],
            &[],
        )
    };
    let as_whom = |aya: &Aya, name: &str| {
        let (cert, key) =
            (aya.folder().join(format!("{name}.pem")), aya.folder().join(format!("{name}.key")));
        ask(aya, "site.test", &["--cert", &cert.to_string_lossy(), "--key", &key.to_string_lossy()]).stdout
            == "hello"
    };
    let required = start("revoked: revoked.pem");
    assert!(as_whom(&required, "alice"));
    assert!(!as_whom(&required, "mallory") && !as_whom(&required, "other"));
    assert_ne!(ask(&required, "site.test", &[]).stdout, "hello");
    wait_until("them to be counted", || {
        failed(&required, "client-certificate-refused") == 2.0
            && failed(&required, "client-certificate-missing") == 1.0
    });
    let optional = start("certificate: optional, revoked: revoked.pem");
    assert!(as_whom(&optional, "alice") && !as_whom(&optional, "mallory") && !as_whom(&optional, "other"));
    assert_eq!(ask(&optional, "site.test", &[]).stdout, "hello");
    let trusting = start("certificate: required");
    assert!(as_whom(&trusting, "mallory"), "without a list nobody is looked up");
}

/// A session that began at a listener which asks for no certificate is not taken up again at one that does (as CVE-2025-23419 was).
#[test]
fn a_session_opens_only_the_door_it_was_made_at() {
    let authority = Authority::new("play");
    let folder = folder_of(&authority, &[("site", &authority.issue(&["site.test"]))]);
    let keys = "tickets: {keys: {env: TICKET_KEY}}";
    let text = format!(
        "listeners:\n  web: {{bind: '127.0.0.1:0', tls: {{{SITE}, {keys}}}}}\n  \
         closed: {{bind: '127.0.0.1:0', tls: {{{SITE}, {keys}, clients: {{authorities: ca.pem}}}}}}\n\
         routes: [{{respond: {{body: hello}}}}]\n"
    );
    let aya = Aya::start_in(folder, &text, &[], &[("TICKET_KEY", "0123456789abcdef0123456789abcdef")]);
    let closed = aya.listener("closed").port().to_string();
    let (port, ca) = (aya.listener("web").port().to_string(), aya.folder().join("ca.pem"));
    let ended = Python::run(RESUMING, &[&port, &ca.to_string_lossy(), "-", "-", &closed]);
    assert_eq!(ended.stdout, "False True ", "{}", ended.stderr);
    assert_ne!(ended.code, Some(0));
    wait_until("it to be counted", || failed(&aya, "client-certificate-missing") == 1.0);
}

/// Bodies of every size go through in both directions, byte for byte, with either version.
#[test]
fn bodies_go_through_whole() {
    let backend = Backend::answering(|request| answer(200, &[], &request.body));
    let authority = Authority::new("play");
    let folder = folder_of(&authority, &[("site", &authority.issue(&["site.test"]))]);
    let text = crate::config(&format!("tls: {{{SITE}}}"), "", "", &[&backend]);
    let aya = Aya::start_in(folder, &text, &[], &[]);
    for version in ["--tlsv1.3", "--tls-max"] {
        for size in [0, 1, 1_000, 16_383, 16_384, 16_385, 65_536, 1_000_003, 8_000_000] {
            let (sent, got) = (aya.folder().join("sent"), aya.folder().join("got"));
            std::fs::write(&sent, noise(size, 7)).expect("it can be written");
            let body = format!("@{}", sent.display());
            let version: &[&str] =
                if version == "--tls-max" { &["--tls-max", "1.2"] } else { &["--tlsv1.3"] };
            let ended = ask(
                &aya,
                "site.test",
                &[version, &["--data-binary", &body, "--output", &got.to_string_lossy()]].concat(),
            );
            assert_eq!(ended.code, Some(0), "{size}: {}", ended.stderr);
            let got = std::fs::read(&got).unwrap_or_default();
            assert!(got == noise(size, 7), "{size}: {} bytes came", got.len());
        }
    }
}

/// The end of a connection is told: a client can tell an answer that ends with it from one that was cut off.
#[test]
fn the_end_is_told() {
    let backend = Backend::script(|session| {
        session.request()?;
        session.send(b"HTTP/1.0 200 OK\r\n\r\nto the end")?;
        Ok(())
    });
    let authority = Authority::new("play");
    let folder = folder_of(&authority, &[("site", &authority.issue(&["site.test"]))]);
    let aya =
        Aya::start_in(folder, &crate::config(&format!("tls: {{{SITE}}}"), "", "", &[&backend]), &[], &[]);
    let script = "import socket, ssl, sys\n\
        made = ssl.create_default_context(cafile=sys.argv[2])\n\
        plain = socket.create_connection(('127.0.0.1', int(sys.argv[1])))\n\
        with made.wrap_socket(plain, server_hostname='site.test', suppress_ragged_eofs=False) as stream:\n\
        \x20   stream.sendall(b'GET / HTTP/1.0\\r\\nHost: site.test\\r\\n\\r\\n')\n\
        \x20   answer = b''\n\
        \x20   while part := stream.recv(4096): answer += part\n\
        \x20   assert answer.endswith(b'to the end'), answer\n";
    let (port, ca) = (aya.listener("web").port().to_string(), aya.folder().join("ca.pem"));
    let ended = Python::run(script, &[&port, &ca.to_string_lossy()]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

/// A request without TLS is told what is missing; one for a host that the certificate is not for goes no further.
#[test]
fn who_is_in_the_wrong_place_is_told() {
    let authority = Authority::new("play");
    let folder = folder_of(&authority, &[("site", &authority.issue(&["site.test", "also.test"]))]);
    let aya = Aya::start_in(folder, &hello(SITE), &[], &[]);
    let plain = aya.get("/");
    assert_eq!((plain.status, plain.header("x-aya-reason")), (400, Some("tls-required")));
    let host =
        |host: &str| ask(&aya, "site.test", &["--include", "--header", &format!("Host: {host}")]).stdout;
    for good in ["site.test", "SITE.test:443", "also.test", "site.test."] {
        assert!(host(good).ends_with("hello"), "{good}");
    }
    for version in ["--http1.1", "--http2"] {
        let told = ask(&aya, "site.test", &[version, "--include", "--header", "Host: other.test"]).stdout;
        let status = told.split_whitespace().nth(1);
        assert_eq!(status, Some("421"), "{version}: {told}");
        assert!(told.contains("x-aya-reason: misdirected"), "{version}: {told}");
    }
}

/// Garbage, silence and broken handshakes cost only those who bring them, are counted by kind, and end in time.
#[test]
fn broken_handshakes_harm_nobody() {
    let authority = Authority::new("play");
    let folder = folder_of(&authority, &[("site", &authority.issue(&["site.test"]))]);
    let text = hello(SITE).replace("tls: {", "timeouts: {tls-handshake: 300ms}, tls: {");
    let aya = Aya::start_in(folder, &text, &[], &[]);
    let address = aya.listener("web");
    let silent = TcpStream::connect(address).expect("it listens");
    let ends = |mut stream: &TcpStream| {
        stream.set_read_timeout(Some(PATIENCE)).expect("it can be set");
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).map(|_| rest).unwrap_or_default()
    };
    for (index, bytes) in [
        &b"\x16\x03\x01\xff\xff"[..],
        b"\x00\x01\x02\x03\x04\x05\x06",
        b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
        &[0xff; 70_000],
    ]
    .iter()
    .enumerate()
    {
        let mut stream = TcpStream::connect(address).expect("it listens");
        // It may be refused before all of it is taken.
        let _ = stream.write_all(bytes);
        let told = ends(&stream);
        assert!(told.is_empty() || told[0] == 0x15, "{index}: nothing but an alert: {told:?}");
        assert_eq!(ask(&aya, "site.test", &[]).stdout, "hello");
    }
    assert_eq!(ends(&silent), b"", "silence ends, too");
    drop(TcpStream::connect(address));
    for (fault, least) in [("timeout", 1.0), ("protocol", 4.0), ("closed", 1.0)] {
        wait_until(&format!("{least} × {fault}"), || failed(&aya, fault) >= least);
    }
    wait_until("all to be gone", || aya.metrics().sum("aya_connections_open", &[("listener", "web")]) == 0.0);
}

/// `aya check` refuses a certificate that has ended or does not belong to its key, and warns of one that ends soon; a running Aya goes on with one
/// that has ended, and says so.
#[test]
fn bad_certificates_are_found_beforehand() {
    let authority = Authority::new("play");
    let issue = |days| {
        authority.issue_as(Wanted { subject: "site", hosts: &["site.test"], days, ..Wanted::default() })
    };
    let check = |issued: &Issued| {
        let folder = folder_of(&authority, &[("site", issued)]);
        let file = folder.write("aya.yaml", hello(SITE));
        Aya::run(&["check", &file.to_string_lossy()])
    };
    let good = check(&issue(90));
    assert_eq!((good.code, good.stderr.as_str()), (Some(0), ""));
    let soon = check(&issue(20));
    assert_eq!(soon.code, Some(0));
    assert!(soon.stderr.contains("runs out in 19 days"), "{}", soon.stderr);
    let ended = check(&issue(-3));
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("has run out 3 days ago"), "{}", ended.stderr);
    let mixed = check(&Issued { key: issue(90).key, ..issue(90) });
    assert_eq!(mixed.code, Some(2));
    assert!(mixed.stderr.contains("the private key does not belong to the certificate"), "{}", mixed.stderr);
    let no_names = check(&authority.issue_as(Wanted::default()));
    assert!(no_names.stderr.contains("names no host"), "{}", no_names.stderr);
    let no_key = check(&Issued { key: "nothing".to_owned(), ..issue(90) });
    assert!(no_key.stderr.contains("there is no private key in it"), "{}", no_key.stderr);
    let folder = folder_of(&authority, &[("site", &issue(-3))]);
    let aya = Aya::start_in(folder, &hello(SITE), &[], &[]);
    assert_eq!(ask(&aya, "site.test", &["--insecure"]).stdout, "hello");
    assert!(aya.stderr().contains("has run out 3 days ago"), "{}", aya.stderr());
}

/// What endpoints are told of a client that comes over TLS.
#[test]
fn endpoints_are_told_of_tls() {
    let backend = Backend::echo("a");
    let authority = Authority::new("play");
    let folder = folder_of(&authority, &[("site", &authority.issue(&["site.test"]))]);
    let aya =
        Aya::start_in(folder, &crate::config(&format!("tls: {{{SITE}}}"), "", "", &[&backend]), &[], &[]);
    assert_eq!(ask(&aya, "site.test", &[]).code, Some(0));
    let requests = backend.requests();
    assert_eq!(requests[0].header("x-forwarded-proto"), Some("https"));
}

/// A client in Python that is told what to do in its arguments: the port, the authority, and for each connection to `site.test` the name of a
/// file that has to be there before it is made, or `-`. Says which took up the session of the one before. Without tickets, if `NO_TICKETS` is set.
const WAITING: &str = "import os, socket, ssl, sys, time\n\
    made, session = ssl.create_default_context(cafile=sys.argv[2]), None\n\
    if os.environ.get('NO_TICKETS'):\n\
    \x20   made.options |= ssl.OP_NO_TICKET\n\
    \x20   made.maximum_version = ssl.TLSVersion.TLSv1_2\n\
    for file in sys.argv[3:]:\n\
    \x20   while file != '-' and not os.path.exists(file): time.sleep(0.01)\n\
    \x20   plain = socket.create_connection(('127.0.0.1', int(sys.argv[1])))\n\
    \x20   with made.wrap_socket(plain, server_hostname='site.test', session=session) as stream:\n\
    \x20       stream.sendall(b'GET / HTTP/1.1\\r\\nHost: site.test\\r\\nConnection: close\\r\\n\\r\\n')\n\
    \x20       answer = b''\n\
    \x20       while part := stream.recv(4096): answer += part\n\
    \x20       assert b'200 OK' in answer, answer\n\
    \x20       session = stream.session\n\
    \x20       print(stream.session_reused, flush=True)\n";

/// Tickets, and sessions kept for clients that take none, are good after a reload: also one that brings another certificate, but not one that asks
/// more of clients.
#[test]
fn sessions_outlive_reloads() {
    for no_tickets in ["", "yes"] {
        let authority = Authority::new("play");
        let folder = folder_of(&authority, &[("site", &authority.issue(&["site.test"]))]);
        let yaml = hello(&format!("{SITE}, clients: {{certificate: optional, authorities: ca.pem}}"));
        let aya = Aya::start_in(folder, &yaml, &["--workers", "2"], &[]);
        let path = |name: &str| aya.folder().join(name);
        let mut command = Command::new("python3");
        command.args(["-c", WAITING, &aya.listener("web").port().to_string()]).arg(path("ca.pem"));
        command.args(["-", "-"]).args(["one", "two", "three"].map(path)).env("NO_TICKETS", no_tickets);
        let client = Process::start(command);
        let said = |wanted: &str| {
            wait_until(wanted, || client.stdout().split_whitespace().collect::<Vec<_>>().join(" ") == wanted);
        };
        said("False True");
        let reload = |change: &dyn Fn()| {
            let before = aya.generation();
            change();
            aya.wait_for_generation_after(before);
        };
        reload(&|| aya.rewrite(&yaml.replace("hello", "goodbye")));
        std::fs::write(path("one"), "").unwrap();
        said("False True True");
        reload(&|| {
            let next = authority.issue(&["site.test"]);
            std::fs::write(path("site.pem"), &next.cert).unwrap();
            std::fs::write(path("site.key"), &next.key).unwrap();
        });
        std::fs::write(path("two"), "").unwrap();
        said("False True True True");
        std::fs::write(path("revoked.pem"), authority.revoke(&[], 30)).unwrap();
        reload(&|| {
            aya.rewrite(&yaml.replace("authorities: ca.pem", "authorities: ca.pem, revoked: revoked.pem"));
        });
        std::fs::write(path("three"), "").unwrap();
        said("False True True True False");
    }
}

/// A connection that was made when nothing was asked of clients ends with its next answer once something is; the next one has to show a certificate.
#[test]
fn what_is_asked_of_clients_now_holds_for_those_that_are_in() {
    let (_authority, aya) = site("");
    let ca = aya.folder().join("ca.pem");
    let script = "import os, socket, ssl, sys, time\n\
        made = ssl.create_default_context(cafile=sys.argv[2])\n\
        with made.wrap_socket(socket.create_connection(('127.0.0.1', int(sys.argv[1]))), server_hostname='site.test') as stream:\n\
        \x20   for _ in range(3):\n\
        \x20       try:\n\
        \x20           stream.sendall(b'GET / HTTP/1.1\\r\\nHost: site.test\\r\\n\\r\\n')\n\
        \x20           answer = stream.recv(4096)\n\
        \x20       except OSError: answer = b''\n\
        \x20       print('closes' if b'connection: close' in answer.lower() else 'stays' if answer else 'over', flush=True)\n\
        \x20       while not os.path.exists(sys.argv[3]): time.sleep(0.01)\n";
    let mut command = Command::new("python3");
    command
        .args(["-c", script, &aya.listener("web").port().to_string()])
        .args([&ca, &aya.folder().join("go")]);
    let client = Process::start(command);
    wait_until("the first answer", || client.stdout().contains("stays"));
    let before = aya.generation();
    aya.rewrite(&hello(&format!("{SITE}, clients: {{authorities: ca.pem}}")));
    aya.wait_for_generation_after(before);
    std::fs::write(aya.folder().join("go"), "").expect("it can be written");
    let ended = client.wait(PATIENCE);
    assert_eq!(
        ended.stdout.split_whitespace().collect::<Vec<_>>(),
        ["stays", "closes", "over"],
        "{}",
        ended.stderr
    );
    assert_ne!(ask(&aya, "site.test", &[]).stdout, "hello");
}

/// The access log tells of the connection and the client, the metric of the end of each certificate, the key log what a tool needs to
/// decrypt: each with what `openssl` says of the same.
#[test]
fn logs_and_metrics_tell_of_connections() {
    let authority = Authority::new("play");
    let alice = authority.issue_as(Wanted { subject: "alice", ..Wanted::default() });
    let soon =
        authority.issue_as(Wanted { subject: "soon", hosts: &["soon.test"], days: 3, ..Wanted::default() });
    let folder = folder_of(
        &authority,
        &[("site", &authority.issue(&["site.test"])), ("soon", &soon), ("alice", &alice)],
    );
    let tls = "certificates: [{cert: site.pem, key: site.key}, {cert: soon.pem, key: soon.key}], key-log: keys.log, \
               clients: {certificate: optional, authorities: ca.pem}";
    let fields = "tls_version, tls_cipher, tls_name, tls_client, tls_client_fingerprint, tls_handshake";
    let yaml = format!("{}logs: {{access: {{to: stderr, fields: [{fields}]}}}}\n", hello(tls));
    let mut aya = Aya::start_in(folder, &yaml, &[], &[]);
    let path = |aya: &Aya, name: &str| aya.folder().join(name).display().to_string();
    let (cert, key) = (path(&aya, "alice.pem"), path(&aya, "alice.key"));
    let asked = ask(
        &aya,
        "site.test",
        &["--cert", &cert, "--key", &key, "--ciphers", "ECDHE-ECDSA-AES128-GCM-SHA256", "--tls-max", "1.2"],
    );
    assert_eq!(asked.stdout, "hello", "{}", asked.stderr);
    let line: serde_json::Value = serde_json::from_str(&aya.wait_for_line("tls_version")).unwrap();
    assert_eq!(line["tls_version"], "TLSv1.2");
    assert_eq!(line["tls_cipher"], "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256");
    assert_eq!(
        (&line["tls_name"], &line["tls_client"], &line["tls_handshake"]),
        (&"site.test".into(), &"CN=alice".into(), &"full".into())
    );
    assert_eq!(line["tls_client_fingerprint"], fingerprint(&cert));

    let ends = |name: &str| {
        let labels = [("place", "listeners.web"), ("certificate", &*path(&aya, name))];
        aya.metrics().sum("aya_tls_certificate_not_after_timestamp_seconds", &labels)
    };
    for name in ["site.pem", "soon.pem"] {
        let said = openssl(&["x509", "-noout", "-enddate", "-dateopt", "iso_8601", "-in", &path(&aya, name)]);
        let date = said.trim().strip_prefix("notAfter=").unwrap().to_owned();
        let mut command = Command::new("date");
        command.args(["-u", "-d", &date, "+%s"]);
        assert_eq!(
            ends(name),
            Process::run(command, PATIENCE).stdout.trim().parse::<f64>().unwrap(),
            "{name}"
        );
    }
    assert!(aya.stderr().contains("soon.pem runs out in 2 days"), "{}", aya.stderr());
    assert!(!aya.stderr().contains("site.pem runs out"), "{}", aya.stderr());

    let (log, mode) = (path(&aya, "keys.log"), std::os::unix::fs::PermissionsExt::mode);
    assert_eq!(mode(&std::fs::metadata(&log).unwrap().permissions()) & 0o777, 0o600);
    let said = s_client(aya.listener("web"), &["-servername", "site.test", "-tls1_2"]);
    let master =
        said.lines().find_map(|line| line.trim().strip_prefix("Master-Key: ")).expect("a key").to_lowercase();
    wait_until("the secret of the connection", || {
        std::fs::read_to_string(&log)
            .unwrap()
            .lines()
            .any(|line| line.starts_with("CLIENT_RANDOM ") && line.ends_with(&master))
    });
}

fn openssl(arguments: &[&str]) -> String {
    let mut command = Command::new("openssl");
    command.args(arguments);
    let ended = Process::run(command, PATIENCE);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    ended.stdout
}

/// Of the certificate in a file, in hexadecimal digits.
fn fingerprint(path: &str) -> String {
    let said = openssl(&["x509", "-noout", "-fingerprint", "-sha256", "-in", path]);
    said.trim().split('=').next_back().unwrap_or_default().replace(':', "").to_lowercase()
}
