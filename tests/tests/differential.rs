//! The same valid exchanges through Aya, nginx and HAProxy to one endpoint: the endpoint gets the same, and so does the client, but
//! for differences that are known and have their reason.

mod client;
mod draw;
mod endpoint;
mod exchange;
mod facts;
mod page;
mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use base_testkit::{Backend, Evidence, HaProxy, Nginx};

use crate::is_long;
use draw::Draw;
use exchange::{Exchange, Session};
use facts::Facts;
use rules::{RULES, Who};

/// Client connections, of three exchanges on average.
const SHORT_SESSIONS: usize = 200;
const LONG_SESSIONS: usize = 2000;

/// What all this came to.
#[derive(Default)]
struct Tally {
    exchanges: usize,
    facts: usize,
    /// How often each rule explained a difference.
    explained: Vec<usize>,
    /// What no rule explains, and another proxy does as Aya does.
    others_alone: Vec<String>,
    /// What no rule explains, and no other does as Aya.
    unknown: Vec<String>,
}

/// Hundreds of valid exchanges drawn from `AYA_SEED`, each through three proxies: same status, fields, bodies and trailers both ways, and
/// the endpoint sees each request once.
#[test]
fn aya_does_as_nginx_and_haproxy_do() {
    let seed = seed();
    let count = if is_long() { LONG_SESSIONS } else { SHORT_SESSIONS };
    let sessions = exchange::sessions(&mut Draw::new(seed), count);
    let exchanges: Arc<Vec<Exchange>> =
        Arc::new(sessions.iter().flat_map(|session| session.exchanges.clone()).collect());
    let mut evidence = Evidence::of("differential", file!());
    let peers = peers(&mut evidence);
    let results = run(&peers, &sessions, &exchanges);
    let tally = compare(&peers, &results, &exchanges);
    let seen = format!(
        "seed {seed}: {} exchanges on {} connections, {} facts compared; {} differences; in {} another \
         stood alone",
        tally.exchanges,
        sessions.len(),
        tally.facts,
        tally.unknown.len(),
        tally.others_alone.len()
    );
    let names: Vec<_> = peers.iter().skip(1).map(|who| who.name()).collect();
    let claim = format!("Valid exchanges come out of Aya as out of {}", names.join(" and "));
    evidence.claim(&claim, tally.unknown.is_empty(), &seen);
    evidence.page("differential", "Differential", page::page(&seen, &tally));
    assert!(peers.len() > 1, "neither nginx nor HAProxy is installed");
    assert!(tally.unknown.is_empty(), "{seen}\n{}", page::shown(&tally.unknown));
}

/// Where the choices begin: `AYA_SEED`.
fn seed() -> u64 {
    std::env::var("AYA_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// Aya, and those of the others that are installed.
fn peers(evidence: &mut Evidence) -> Vec<Who> {
    let mut peers = vec![Who::Aya];
    for (who, program, package) in
        [(Who::Nginx, "nginx", "nginx-light"), (Who::HaProxy, "haproxy", "haproxy")]
    {
        if base_testkit::is_program(program) {
            peers.push(who);
        } else {
            assert!(std::env::var_os("CI").is_none(), "CI compares with {program}");
            let claim = format!("Valid exchanges come out of Aya as out of {}", who.name());
            evidence.not_run(&claim, format!("`{program}` is missing: apt-get install {package}"));
        }
    }
    peers
}

/// Plays all sessions through each proxy, to an endpoint of its own; the facts of each exchange, in order.
fn run(peers: &[Who], sessions: &[Session], exchanges: &Arc<Vec<Exchange>>) -> Vec<Vec<Facts>> {
    std::thread::scope(|scope| {
        let plays: Vec<_> = peers
            .iter()
            .map(|who| {
                scope.spawn(move || {
                    let backend = endpoint::start(exchanges, who.takes_interim());
                    match who {
                        Who::Aya => {
                            let aya = crate::front_with("", "", "ejection: off", &[&backend]);
                            play(aya.listener("web"), &backend, sessions)
                        }
                        Who::Nginx => play(nginx(&backend).address(), &backend, sessions),
                        Who::HaProxy => play(HaProxy::start(backend.address()).address(), &backend, sessions),
                    }
                })
            })
            .collect();
        plays.into_iter().map(|play| play.join().expect("a play does not panic")).collect()
    })
}

/// An nginx that buffers nothing, keeps the client's `Host` and field names as they are, and follows upgrades.
fn nginx(backend: &Backend) -> Nginx {
    let to = format!(
        "proxy_pass http://{backend}; proxy_http_version 1.1; proxy_set_header Host $http_host; proxy_buffering off; \
         proxy_request_buffering off; proxy_pass_header Server; proxy_pass_header Date;"
    );
    Nginx::start(&format!(
        "underscores_in_headers on; merge_slashes off; large_client_header_buffers 8 32k; proxy_buffer_size 64k; proxy_buffers 8 64k;\
         location / {{ {to} proxy_set_header Connection ''; }}\
         location /upgrade/ {{ {to} proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; }}"
    ))
}

fn play(address: SocketAddr, backend: &Backend, sessions: &[Session]) -> Vec<Facts> {
    let mut all = Vec::new();
    for session in sessions {
        let got = client::play(address, session);
        for (exchange, got) in session.exchanges.iter().zip(got) {
            all.push((exchange.number, got));
        }
    }
    let mut requests: BTreeMap<usize, Vec<_>> = BTreeMap::new();
    for request in backend.requests() {
        requests.entry(endpoint::number(&request.target).unwrap_or(usize::MAX)).or_default().push(request);
    }
    all.iter()
        .map(|(number, got)| facts::facts(got, requests.get(number).map(Vec::as_slice).unwrap_or_default()))
        .collect()
}

/// Aya's facts beside those of the others.
fn compare(peers: &[Who], results: &[Vec<Facts>], exchanges: &[Exchange]) -> Tally {
    let mut tally = Tally { exchanges: exchanges.len(), explained: vec![0; RULES.len()], ..Tally::default() };
    for (number, exchange) in exchanges.iter().enumerate() {
        let of_each: Vec<&Facts> = results.iter().filter_map(|facts| facts.get(number)).collect();
        let names: BTreeSet<&String> = of_each.iter().flat_map(|facts| facts.keys()).collect();
        for name in names {
            let values: Vec<_> = of_each.iter().map(|facts| facts.get(name)).collect();
            tally.judge(exchange, name, peers, &values);
        }
    }
    tally
}

impl Tally {
    /// One fact: Aya's value, then those of the others. A difference that no rule explains is Aya's to account for, unless another
    /// proxy, which no rule speaks of here, bears it out.
    fn judge(&mut self, exchange: &Exchange, fact: &str, peers: &[Who], values: &[Option<&String>]) {
        let Some((own, others)) = values.split_first() else { return };
        let mut is_borne_out = false;
        let mut different = Vec::new();
        for (peer, theirs) in peers.iter().skip(1).zip(others) {
            self.facts += 1;
            match rules::explain([Who::Aya, *peer], fact, exchange) {
                Some(rule) if own != theirs => self.explained[rule] += 1,
                None if own != theirs => {
                    different.push(page::difference(exchange, fact, *own, *peer, *theirs));
                }
                None => is_borne_out = true,
                Some(_) => {}
            }
        }
        if is_borne_out { self.others_alone.extend(different) } else { self.unknown.extend(different) }
    }
}
