//! Who a client is by its certificate, behind the handshake.

use base_testkit::{Authority, Aya, Backend, Client, Wanted, curl, wait_until};

use crate::tls::{SITE, fingerprint, folder_of, openssl};

/// Aya with routes that ask for certificates, in front of a backend that tells what it gets.
struct Scene {
    aya: Aya,
    backend: Backend,
    /// Of `alice.pem`.
    fingerprint: String,
}

impl Scene {
    fn new() -> Self {
        let (authority, backend) = (Authority::new("play"), Backend::echo("app"));
        let client = |subject| authority.issue_as(Wanted { subject, ..Wanted::default() });
        let (alice, bob) = (client("alice, the first"), client("bob"));
        let names = [("site", &authority.issue(&["site.test"])), ("alice", &alice), ("bob", &bob)];
        let folder = folder_of(&authority, &names);
        let fingerprint = fingerprint(&folder.path().join("alice.pem").display().to_string());
        let clients = "clients: {certificate: optional, authorities: ca.pem, forward: chain}";
        let yaml = format!(
            "listeners:\n  web: {{bind: '127.0.0.1:0', tls: {{{SITE}, {clients}}}}}\n  plain: {{bind: '127.0.0.1:0'}}\n\
             routes:\n\
             - {{match: {{path: /who, client-certificate: {{subject: '~ ^CN=alice', fingerprint: '{fingerprint}'}}}}, respond: {{body: it is alice}}}}\n\
             - {{match: {{path: /who, client-certificate: true}}, respond: {{body: somebody else}}}}\n\
             - {{match: {{path: /who, client-certificate: false}}, respond: {{body: nobody}}}}\n\
             - {{match: {{path: /only}}, filters: [{{require-certificate: {{subject: [CN=bob]}}}}], respond: {{body: hello bob}}}}\n\
             - {{match: {{path: /any}}, filters: [{{require-certificate: {{}}}}], respond: {{body: hello}}}}\n\
             - {{filters: [{{set-header: {{request: {{x-who: '{{certificate:subject}}', x-print: '{{certificate:fingerprint}}'}}}}}}], pool: app}}\n\
             pools: {{app: {{endpoints: ['{}']}}}}\n",
            backend.address()
        );
        Self { aya: Aya::start_in(folder, &yaml, &[], &[]), backend, fingerprint }
    }

    fn file(&self, name: &str) -> String {
        self.aya.folder().join(name).display().to_string()
    }

    /// What a client gets that shows this certificate, if any, and writes into the fields of RFC 9440 by itself.
    fn ask(&self, name: &str, path: &str) -> String {
        let port = self.aya.listener("web").port();
        let (connect, url) =
            (format!("site.test:{port}:127.0.0.1:{port}"), format!("https://site.test:{port}{path}"));
        let [ca, cert, key] =
            ["ca.pem", &format!("{name}.pem"), &format!("{name}.key")].map(|name| self.file(name));
        let shown: &[&str] = if name.is_empty() { &[] } else { &["--cert", &cert, "--key", &key] };
        let forged =
            ["-H", "Client-Cert: :Zm9yZ2Vk:", "-H", "client_cert_chain: :Zm9yZ2Vk:", "-w", " %{http_code}"];
        curl(&[&["--cacert", &ca, "--connect-to", &connect, &url], &forged[..], shown].concat()).stdout
    }
}

/// Routes choose by a client's certificate, and a filter lets only some in; `aya explain` knows.
#[test]
fn routes_and_filters_know_who_the_client_is() {
    let scene = Scene::new();
    assert_eq!(scene.ask("alice", "/who"), "it is alice 200");
    assert_eq!(scene.ask("bob", "/who"), "somebody else 200");
    assert_eq!(scene.ask("", "/who"), "nobody 200");
    assert_eq!(scene.ask("bob", "/only"), "hello bob 200");
    assert!(scene.ask("alice", "/only").ends_with(" 403") && scene.ask("", "/only").ends_with(" 403"));
    assert!(scene.ask("", "/any").contains("a client certificate is needed here"));
    assert_eq!(scene.ask("alice", "/any"), "hello 200");
    wait_until("the refusals to be counted", || {
        scene.aya.total("aya_failures_total", &[("reason", "certificate-required")]) == 3.0
    });

    let explained = |more: &[&str]| {
        let file = scene.aya.config().display().to_string();
        Aya::run(&[&["explain", &file, "GET", "https://site.test/who"], more].concat()).stdout
    };
    let (as_alice, as_nobody) =
        (explained(&["--client-certificate", &scene.file("alice.pem")]), explained(&[]));
    assert!(as_alice.contains("route-1: takes it"), "{as_alice}");
    assert!(as_nobody.contains("route-1: does not: client certificate"), "{as_nobody}");
    assert!(as_nobody.contains("route-3: takes it"), "{as_nobody}");
}

/// Templates and the fields of RFC 9440 tell the endpoint who the client is; what clients write there themselves never arrives.
#[test]
fn endpoints_are_told_who_the_client_is() {
    let scene = Scene::new();
    scene.ask("alice", "/");
    let seen = scene.backend.only_request();
    assert_eq!(seen.header("x-who"), Some("CN=alice\\, the first"));
    assert_eq!(seen.header("x-print"), Some(&*scene.fingerprint));
    let pem = openssl(&["x509", "-in", &scene.file("alice.pem")]);
    let base64: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    assert_eq!(seen.headers("client-cert"), [format!(":{base64}:")]);
    assert_eq!(seen.header("client_cert_chain"), None);

    scene.backend.forget();
    scene.ask("", "/");
    let seen = scene.backend.only_request();
    assert_eq!((seen.header("x-who"), seen.header("client-cert")), (Some(""), None));
    assert_eq!(seen.header("client_cert_chain"), None);

    scene.backend.forget();
    let mut plain = Client::connect(scene.aya.listener("plain"));
    assert_eq!(plain.get_with("/", "client-cert: :Zm9yZ2Vk:\r\n").status, 200);
    assert_eq!(scene.backend.only_request().header("client-cert"), None);
}
