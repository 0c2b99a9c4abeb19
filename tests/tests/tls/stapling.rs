//! What authorities say of certificates, shown beside them.

use std::process::Command;

use base_testkit::{Authority, Aya, Process, TempFolder, Wanted, free_port, wait_until};

use crate::tls::{ask, folder_of, hello, openssl, s_client};

/// An authority that answers over OCSP, with OpenSSL, and its files: certificates `good` and `bad`, of which the second one is revoked, each with its issuer behind
/// it, and what the authority says of them.
struct Ocsp {
    authority: Authority,
    folder: TempFolder,
    /// Where it says that it answers.
    port: u16,
}

impl Ocsp {
    fn new() -> Self {
        let (authority, folder, port) = (Authority::new("play"), TempFolder::new(), free_port());
        let url = format!("http://127.0.0.1:{port}/ocsp");
        let wanted =
            Wanted { subject: "site.test", hosts: &["site.test"], ocsp: Some(&url), ..Wanted::default() };
        // State, until when, when it was revoked, number, file, subject.
        let mut index = String::new();
        for (name, state, revoked) in [("good", "V", ""), ("bad", "R", "260101000000Z")] {
            let issued = authority.issue_as(wanted);
            folder.write(&format!("{name}.pem"), format!("{}{}", issued.cert, authority.pem()));
            folder.write(&format!("{name}.key"), &issued.key);
            let number = issued.serial;
            index.push_str(&format!(
                "{state}\t391231235959Z\t{revoked}\t{number:016X}\tunknown\t/CN=site.test\n"
            ));
        }
        folder.write("index.txt", index);
        folder.write("ca.pem", authority.pem());
        folder.write("ca.key", authority.key());
        let ocsp = Self { authority, folder, port };
        for name in ["good", "bad"] {
            ocsp.prepare(name, "ca", &format!("{name}.ocsp"));
        }
        ocsp
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// How it answers, if this one signs.
    fn answering(&self, signer: &str) -> Vec<String> {
        let (index, ca) = (self.path("index.txt"), self.path("ca.pem"));
        let (signer, key) = (self.path(&format!("{signer}.pem")), self.path(&format!("{signer}.key")));
        ["ocsp", "-index", &index, "-CA", &ca, "-rsigner", &signer, "-rkey", &key, "-ndays", "2"]
            .map(str::to_owned)
            .into()
    }

    /// Has it answer a question beforehand.
    fn prepare(&self, name: &str, signer: &str, file: &str) {
        let (request, cert) = (self.path("request.der"), self.path(&format!("{name}.pem")));
        openssl(&["ocsp", "-issuer", &self.path("ca.pem"), "-cert", &cert, "-no_nonce", "-reqout", &request]);
        let answering = self.answering(signer);
        let answering: Vec<&str> = answering.iter().map(String::as_str).collect();
        openssl(&[&answering[..], &["-reqin", &request, "-respout", &self.path(file)]].concat());
    }

    /// Aya with these settings and a copy of its files.
    fn start(&self, tls: &str) -> Aya {
        let copy = folder_of(&self.authority, &[]);
        for name in ["good.pem", "good.key", "good.ocsp", "bad.pem", "bad.key"] {
            std::fs::copy(self.folder.path().join(name), copy.path().join(name)).expect("it can be copied");
        }
        Aya::start_in(copy, &hello(tls), &[], &[])
    }

    /// What `aya check` says of a certificate with this beside it.
    fn refused(&self, ocsp: &str) -> String {
        let [cert, key, ocsp] = ["good.pem", "good.key", ocsp].map(|name| self.path(name));
        let yaml = hello(&format!("certificates: {{cert: '{cert}', key: '{key}', ocsp: '{ocsp}'}}"));
        let ended = Aya::run(&["check", &self.folder.write("check.yaml", yaml).display().to_string()]);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        ended.stderr
    }
}

/// What a client is told of the certificate.
fn told(aya: &Aya) -> String {
    let said = s_client(aya.listener("web"), &["-servername", "site.test", "-status"]);
    let find =
        |start: &str| said.lines().map(str::trim).find(|line| line.starts_with(start)).unwrap_or_default();
    format!("{} {}", find("OCSP response"), find("Cert Status"))
}

/// What the authority says of a certificate, in a file, is shown beside it; not if it is about another certificate, or somebody else has signed it.
#[test]
fn what_the_authority_has_said_is_shown() {
    let ocsp = Ocsp::new();
    let from_file = ocsp.start("certificates: {cert: good.pem, key: good.key, ocsp: good.ocsp}");
    assert!(told(&from_file).ends_with("Cert Status: good"), "{}", told(&from_file));
    let without = ocsp.start("certificates: {cert: good.pem, key: good.key}");
    assert!(told(&without).contains("no response sent"), "{}", told(&without));

    assert!(ocsp.refused("bad.ocsp").contains("it is about another certificate"));
    assert!(ocsp.refused("ca.pem").contains("it is no OCSP response"));
    let stranger = Authority::new("play");
    ocsp.folder.write("stranger.pem", stranger.pem());
    ocsp.folder.write("stranger.key", stranger.key());
    ocsp.prepare("good", "stranger", "stranger.ocsp");
    assert!(ocsp.refused("stranger.ocsp").contains("not signed by the issuer"));
    let mut changed = std::fs::read(ocsp.path("good.ocsp")).expect("it is there");
    let place = changed.windows(2).position(|pair| pair == [0x18, 0x0f]).expect("a date") + 5;
    changed[place] ^= 1;
    ocsp.folder.write("changed.ocsp", changed);
    assert!(ocsp.refused("changed.ocsp").contains("not signed by the issuer"));
}

/// The authority is asked, OpenSSL's responder, where the certificate says so; and not again because of a reload. One that says that the certificate is revoked is not
/// shown.
#[test]
fn the_authority_is_asked() {
    let ocsp = Ocsp::new();
    let fetches = |aya: &Aya, result| aya.total("aya_tls_ocsp_fetches_total", &[("result", result)]);
    let fetching = "certificates: {cert: good.pem, key: good.key}, ocsp: fetch";
    let unheard = ocsp.start(fetching);
    wait_until("nobody to answer", || fetches(&unheard, "failed") == 1.0);

    let mut command = Command::new("openssl");
    command.args(ocsp.answering("ca")).args(["-port", &ocsp.port.to_string()]);
    let mut responder = Process::start(command);
    // It takes one connection after the other: one that only tries would be in the way.
    responder.wait_for_line("waiting for OCSP client connections");
    let asking = ocsp.start(fetching);
    wait_until("what it says to be shown", || told(&asking).ends_with("Cert Status: good"));
    assert_eq!(ask(&asking, "site.test", &["--cert-status"]).stdout, "hello");
    let generation = asking.generation();
    asking.rewrite(&hello(&format!("{fetching}, policy: modern")));
    asking.wait_for_generation_after(generation);
    assert!(told(&asking).ends_with("Cert Status: good"), "it is there when the new settings are");
    assert_eq!(fetches(&asking, "fetched"), 1.0, "it is not asked again");

    let revoked = ocsp.start("certificates: {cert: bad.pem, key: bad.key}, ocsp: fetch");
    wait_until("it to be found out", || fetches(&revoked, "failed") == 1.0);
    wait_until("it to be said", || revoked.stderr().contains("the certificate is revoked"));
    assert!(told(&revoked).contains("no response sent"));
}
