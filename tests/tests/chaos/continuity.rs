//! Servers die, stop, slow down and are cut off, configurations and endpoints change, for minutes; and whatever could be saved is
//! saved.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use base_testkit::{Aya, Evidence, LoadReport, Signal, Stopwatch, load, wait_until};
use scenarios::noise;

use super::checker::{Findings, ask_until};
use super::network::Namespace;
use super::origin::{Fate, Origin};
use crate::is_long;
use crate::vitals::{Vitals, wait_for_rest};

/// Clients that check every byte.
const CHECKERS: u64 = 8;
/// Connections of wrk beside them.
const LOADERS: usize = 8;
/// Servers that fate strikes; another comes and goes by configuration, and is always well.
const SERVERS: usize = 4;
/// Servers that are struck at once at most: a request has three attempts.
const VICTIMS: usize = 2;
/// Between two strokes: longer than a request that met both victims takes, so that none meets a third.
const REST: Duration = Duration::from_millis(2_500);

/// How long it goes on.
fn span() -> Duration {
    Duration::from_secs(if is_long() { 600 } else { 45 })
}

/// The configuration, in many forms that all mean the same to a request.
fn text(number: usize, servers: &[String]) -> String {
    let balancers = ["round-robin", "least-connections", "random", "peak-ewma", "power-of-two"];
    let endpoints = servers.join(", ");
    format!(
        "listeners:\n  web: {{bind: '127.0.0.1:0', trusted-proxies: 127.0.0.0/8}}\n\
         routes: [{{pool: main, retry: {{attempts: 3}}, timeouts: {{request: {}s}}}}]\n\
         pools:\n  main:\n    endpoints: [{endpoints}]\n    balance: {}\n    replay: 64KiB\n\
         \x20   health: {{http: /, interval: 200ms, timeout: 200ms, fall: 2, rise: 1}}\n\
         \x20   ejection: {{consecutive-failures: 3, for: 200ms}}\n    connections: {{idle: 1s}}\n\
         \x20   timeouts: {{connect: 500ms, first-byte: 1s, response-progress: 1s, send-progress: 1s}}\n\
         decisions: {{failures: 65536}}\n",
        60 + number,
        balancers[number % balancers.len()],
    )
}

/// What was done to whom, and how often.
#[derive(Debug, Default)]
struct Deeds {
    fates: BTreeMap<&'static str, usize>,
    rounds: usize,
}

/// Strikes servers until the time is over. Never so many that none is well, and never two strokes within one request.
fn strike(origins: &mut [Origin], span: Duration) -> Deeds {
    let (mut deeds, watch) = (Deeds::default(), Stopwatch::start());
    while watch.elapsed() < span {
        let dice = noise(8, deeds.rounds as u64 * 104_729 + 7);
        let first = usize::from(dice[0]) % origins.len();
        let mut struck = vec![first];
        if dice[1].is_multiple_of(2) && VICTIMS > 1 {
            struck.push((first + 1 + usize::from(dice[2]) % (origins.len() - 1)) % origins.len());
        }
        let struck: Vec<(usize, Fate)> = struck
            .into_iter()
            .zip([dice[3], dice[4]])
            .map(|(index, die)| {
                let fates = origins[index].fates();
                (index, fates[(usize::from(die) + deeds.rounds) % fates.len()])
            })
            .collect();
        struck.iter().for_each(|(index, fate)| origins[*index].strike(*fate));
        let (hold, since) = (Duration::from_millis(300 + 8 * u64::from(dice[5])), Stopwatch::start());
        while since.elapsed() < hold {
            struck
                .iter()
                .filter(|(_, fate)| *fate == Fate::Slowed)
                .for_each(|(index, _)| origins[*index].drag());
            std::thread::sleep(Duration::from_millis(5));
        }
        for (index, fate) in &struck {
            origins[*index].heal(*fate);
            *deeds.fates.entry(fate.words()).or_default() += 1;
        }
        deeds.rounds += 1;
        std::thread::sleep(REST);
    }
    deeds
}

/// What an operator does meanwhile: other configurations, an endpoint that comes and goes, endpoints that rest.
fn operate(aya: &Aya, servers: &[String], spare: &str, over: &AtomicBool) -> (usize, usize) {
    let (mut reloads, mut changes) = (0, 0);
    let path = "/api/v1/pools/main/endpoints";
    for number in 1.. {
        if over.load(Ordering::Relaxed) {
            break;
        }
        match number % 4 {
            // With the spare and without it.
            0 | 2 => {
                let with_spare = [servers, &[spare.to_owned()]].concat();
                let text = text(number, if number % 4 == 0 { &with_spare } else { servers });
                let text = format!("{text}admin: {{bind: '127.0.0.1:0'}}\nworkers: 2\ndrain: 3s\n");
                assert_eq!(aya.admin("POST", "/api/v1/config", &text).status, 200);
                reloads += 1;
            }
            1 => {
                let change = format!("{{\"weight\": {}}}", 1 + number % 5);
                let answer = aya.admin("PATCH", &format!("{path}/{}", servers[0]), &change);
                assert_eq!(answer.status, 200, "{}", answer.text());
                changes += 1;
            }
            _ => {
                assert_eq!(aya.admin("POST", path, &format!("{{\"address\": \"{spare}\"}}")).status, 201);
                let gone = aya.admin("DELETE", &format!("{path}/{spare}"), "");
                assert_eq!(gone.status, 204, "{}", gone.text());
                changes += 2;
            }
        }
        std::thread::sleep(Duration::from_millis(400));
    }
    (reloads, changes)
}

/// Networks for half of the servers, or why there are none.
fn networks() -> Result<Vec<Namespace>, String> {
    (0..SERVERS / 2).map(|_| Namespace::new()).collect()
}

/// Whatever befalls servers, configurations and endpoints for minutes under load: every byte that clients get is right, every request
/// that could safely be sent again is answered, and nothing is left behind.
#[test]
fn whatever_could_be_saved_is_saved() {
    let networks = networks();
    let missing = networks.as_ref().err().cloned();
    let mut networks = networks.unwrap_or_default().into_iter();
    let mut origins: Vec<_> = (0..SERVERS).map(|_| Origin::start(networks.next())).collect();
    let spare = Origin::start(None);
    let servers: Vec<_> = origins.iter().map(|origin| origin.address().to_string()).collect();
    let mut aya = Aya::start(&text(0, &servers));
    (0..200).for_each(|_| assert_eq!(aya.get("/length/warm/100").status, 200));
    let before = Vitals::of(&aya);
    let run = load(&aya.url("/length/wrk/600"), LOADERS);
    let (over, ended) = (AtomicBool::new(false), AtomicUsize::new(0));
    let ((findings, deeds), (reloads, changes)) = std::thread::scope(|scope| {
        let checkers: Vec<_> = (0..CHECKERS)
            .map(|client| {
                let (aya, over, ended) = (&aya, &over, &ended);
                scope.spawn(move || {
                    let findings = ask_until(over, aya, client);
                    ended.fetch_add(1, Ordering::Relaxed);
                    findings
                })
            })
            .collect();
        let operator = scope.spawn(|| operate(&aya, &servers, &spare.address().to_string(), &over));
        let deeds = strike(&mut origins, span());
        over.store(true, Ordering::Relaxed);
        let join = |all: Findings, one: std::thread::ScopedJoinHandle<'_, Findings>| {
            all.and(one.join().expect("a checker does not panic"))
        };
        let findings = checkers.into_iter().fold(Findings::default(), join);
        ((findings, deeds), operator.join().expect("the operator does not panic"))
    });
    let wrk = run.finish();
    // Back to where it began: the same configuration, no clients.
    aya.signal(Signal::HUP);
    wait_until("the first configuration to run", || aya.get("/length/end/10").status == 200);
    let after = wait_for_rest(&aya, &before);
    let report = Report { findings, deeds, reloads, changes, wrk, missing };
    report.publish(&before, &after);
    report.judge(&before, &after);
}

/// All of it.
struct Report {
    findings: Findings,
    deeds: Deeds,
    reloads: usize,
    changes: usize,
    wrk: LoadReport,
    /// Why ways were not cut, if they were not.
    missing: Option<String>,
}

/// What Aya may hold more at the end than at the beginning: what its allocator keeps of what was in use.
const KEPT_BYTES: u64 = 32 << 20;

impl Report {
    fn publish(&self, before: &Vitals, after: &Vitals) {
        let Self { findings, deeds, wrk, .. } = self;
        let mut evidence = Evidence::of("chaos", file!());
        let excuses: Vec<_> =
            findings.excused.iter().map(|(excuse, count)| format!("{count} × {}", excuse.words())).collect();
        let fates: Vec<_> = deeds.fates.iter().map(|(fate, count)| format!("{fate} {count} ×")).collect();
        let saved = format!(
            "{} requests by clients that check, {} by wrk; {} strokes ({}), {} reloads, {} changes through the API; unexcused: {}; \
             wrk saw {} failures; excused: {}",
            findings.answered,
            wrk.requests,
            deeds.fates.values().sum::<usize>(),
            fates.join(", "),
            self.reloads,
            self.changes,
            findings.faults.len(),
            wrk.bad_answers + wrk.socket_errors,
            if excuses.is_empty() { "none".to_owned() } else { excuses.join(", ") },
        );
        println!("{saved}");
        evidence.claim(
            "no request fails that could safely have been sent again, whatever befalls its endpoints and the configuration",
            self.is_saved(),
            saved,
        );
        let wrong = findings.faults.iter().filter(|fault| fault.contains("wrong bytes")).count();
        evidence.claim(
            "every byte that a client gets is the right one, also of answers that break off",
            wrong == 0,
            format!("{} MiB compared, {wrong} wrong answers", findings.checked_bytes >> 20),
        );
        let held = format!(
            "descriptors {} → {}, threads {} → {}, memory {} → {} MiB; no connection or request counted",
            before.descriptors,
            after.descriptors,
            before.threads,
            after.threads,
            before.resident >> 20,
            after.resident >> 20,
        );
        println!("{held}");
        evidence.claim("when it is over, everything is given back", Self::is_back(before, after), held);
        let cut =
            "the way to endpoints is cut in network namespaces: dropped, reset, link down, answers lost";
        match &self.missing {
            None => drop(evidence.claim(cut, true, "as counted above")),
            Some(why) => evidence.not_run(cut, why.as_str()),
        }
        evidence.page("chaos", "Lifecycle chaos", self.page());
    }

    fn page(&self) -> String {
        let mut text = "What befell servers, each time for 0.3 to 2.4 s, one or two of four at a time:\n\n| fate | times |\n|---|--:|\n".to_owned();
        for (fate, count) in &self.deeds.fates {
            let _ = writeln!(text, "| {fate} | {count} |");
        }
        text.push_str("\nFailures that could not be avoided; there are no other excuses:\n\n| excuse | times |\n|---|--:|\n");
        for excuse in super::checker::Excuse::ALL {
            let count = self.findings.excused.get(excuse).copied().unwrap_or_default();
            let _ = writeln!(text, "| {} | {count} |", excuse.words());
        }
        text
    }

    fn is_saved(&self) -> bool {
        self.findings.faults.is_empty() && self.wrk.bad_answers + self.wrk.socket_errors == 0
    }

    fn is_back(before: &Vitals, after: &Vitals) -> bool {
        after.resident <= before.resident + KEPT_BYTES
    }

    fn judge(&self, before: &Vitals, after: &Vitals) {
        let Self { findings, wrk, deeds, .. } = self;
        let shown: Vec<_> = findings.faults.iter().take(10).collect();
        assert!(self.is_saved(), "{} unexcused: {shown:#?}; {}", findings.faults.len(), wrk.text);
        assert!(Self::is_back(before, after), "{before:?} {after:?}");
        assert!(deeds.rounds >= 5 && findings.answered > 1_000, "that is no test: {deeds:?} {findings:?}");
    }
}
