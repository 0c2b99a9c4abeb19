//! Servers die, stop, slow down and are cut off, configurations and endpoints change, for minutes; and whatever could be saved is
//! saved.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base_testkit::{Aya, Evidence, LoadReport, Signal, Stopwatch, TempFolder, load, wait_until};
use scenarios::noise;

use super::checker::{Findings, ask_until};
use super::network::Namespace;
use super::origin::{Fate, Origin};
use super::strokes::Strokes;
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

/// Strikes servers until the time is over; gives how many rounds that were. Never so many that none is well, and never two strokes within
/// one request.
fn strike(origins: &mut [Origin], strokes: &Strokes, span: Duration) -> usize {
    let (mut rounds, watch) = (0, Stopwatch::start());
    while watch.elapsed() < span {
        let dice = noise(8, rounds as u64 * 104_729 + 7);
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
                (index, fates[(usize::from(die) + rounds) % fates.len()])
            })
            .collect();
        for (index, fate) in &struck {
            strokes.begin(&origins[*index].address().to_string(), *fate);
            origins[*index].strike(*fate);
        }
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
            strokes.end(&origins[*index].address().to_string());
        }
        rounds += 1;
        std::thread::sleep(REST);
    }
    rounds
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
    let folder = TempFolder::new();
    let diary = folder.path().join(DIARY);
    let mut origins: Vec<_> = (0..SERVERS).map(|_| Origin::start(networks.next(), &diary)).collect();
    let spare = Origin::start(None, &diary);
    let servers: Vec<_> = origins.iter().map(|origin| origin.address().to_string()).collect();
    let mut stage = Stage {
        aya: Aya::start(&text(0, &servers)),
        servers,
        spare: spare.address().to_string(),
        strokes: Strokes::new(),
    };
    // What Aya holds when it has had everything to do once is what it must come back to.
    let warm = stage.perform(CHECKERS, || std::thread::sleep(WARM_UP)).1;
    assert!(warm.is_sound(), "before anything has happened: {warm:?}");
    let before = stage.rest(None);
    let (rounds, deeds) = stage.perform(0, || strike(&mut origins, &stage.strokes, span()));
    let after = stage.rest(Some(&before));
    let posts = Posts::read(&folder.read(DIARY));
    let report = Report { deeds, posts, fates: stage.strokes.count(), rounds, missing };
    report.publish(&before, &after);
    report.judge(&before, &after);
}

/// Everything goes on as it will, and nothing befalls anybody.
const WARM_UP: Duration = Duration::from_secs(5);

/// Where it happens.
struct Stage {
    aya: Aya,
    servers: Vec<String>,
    /// The one that comes and goes.
    spare: String,
    strokes: Strokes,
}

/// What clients saw and an operator did.
#[derive(Debug)]
struct Deeds {
    findings: Findings,
    wrk: LoadReport,
    reloads: usize,
    changes: usize,
}

impl Stage {
    /// Has clients, from this number on, and an operator do what they do while something happens.
    fn perform<T>(&self, first: u64, happens: impl FnOnce() -> T) -> (T, Deeds) {
        let Self { aya, servers, spare, strokes } = self;
        let run = load(&aya.url("/length/wrk/600"), LOADERS);
        let over = AtomicBool::new(false);
        let (outcome, findings, (reloads, changes)) = std::thread::scope(|scope| {
            let over = &over;
            let checkers: Vec<_> = (first..first + CHECKERS)
                .map(|client| scope.spawn(move || ask_until(over, aya, strokes, client)))
                .collect();
            let operator = scope.spawn(|| operate(aya, servers, spare, over));
            let outcome = happens();
            over.store(true, Ordering::Relaxed);
            let join = |all: Findings, one: std::thread::ScopedJoinHandle<'_, Findings>| {
                all.and(one.join().expect("a checker does not panic"))
            };
            let findings = checkers.into_iter().fold(Findings::default(), join);
            (outcome, findings, operator.join().expect("the operator does not panic"))
        });
        (outcome, Deeds { findings, wrk: run.finish(), reloads, changes })
    }

    /// Back to where it began, the same configuration and no clients: what Aya holds then, when it holds no more than before.
    fn rest(&mut self, before: Option<&Vitals>) -> Vitals {
        self.aya.signal(Signal::HUP);
        wait_until("the first configuration to run", || self.aya.get("/length/end/10").status == 200);
        match before {
            Some(before) => wait_for_rest(&self.aya, before),
            None => {
                let nobody = || self.aya.total("aya_connections_open", &[]) < 0.5;
                wait_until("all clients to be gone", nobody);
                Vitals::of(&self.aya)
            }
        }
    }
}

impl Deeds {
    fn is_sound(&self) -> bool {
        self.findings.faults.is_empty() && self.wrk.bad_answers + self.wrk.socket_errors == 0
    }
}

/// Where servers note down which POSTs they were sent.
const DIARY: &str = "posts";

/// What servers did that may not be done twice.
#[derive(Debug)]
struct Posts {
    done: usize,
    repeated: Vec<String>,
}

impl Posts {
    fn read(diary: &str) -> Self {
        let mut seen = BTreeSet::new();
        let repeated = diary.lines().filter(|id| !seen.insert(*id)).map(str::to_owned).collect();
        Self { done: seen.len(), repeated }
    }
}

/// All of it.
struct Report {
    deeds: Deeds,
    posts: Posts,
    /// What befell servers, and how often.
    fates: BTreeMap<&'static str, usize>,
    rounds: usize,
    /// Why ways were not cut, if they were not.
    missing: Option<String>,
}

/// What Aya may hold more at the end than when it was warm: what its allocator keeps of what was in use.
const KEPT_BYTES: u64 = 32 << 20;

impl Report {
    fn publish(&self, before: &Vitals, after: &Vitals) {
        let Self { deeds: Deeds { findings, wrk, reloads, changes }, posts, fates, .. } = self;
        let mut evidence = Evidence::of("chaos", file!());
        let excuses: Vec<_> =
            findings.excused.iter().map(|(excuse, count)| format!("{count} × {}", excuse.words())).collect();
        let shown: Vec<_> = fates.iter().map(|(fate, count)| format!("{fate} {count} ×")).collect();
        let saved = format!(
            "{} requests by clients that check, {} by wrk; {} strokes ({}), {reloads} reloads, {changes} changes through the API; unexcused: {}; \
             wrk saw {} failures; excused: {}",
            findings.answered,
            wrk.requests,
            fates.values().sum::<usize>(),
            shown.join(", "),
            findings.faults.len(),
            wrk.bad_answers + wrk.socket_errors,
            if excuses.is_empty() { "none".to_owned() } else { excuses.join(", ") },
        );
        println!("{saved}");
        evidence.claim(
            "no request fails that could safely have been sent again, whatever befalls its endpoints and the configuration",
            self.deeds.is_sound(),
            saved,
        );
        let wrong = findings.faults.iter().filter(|fault| fault.contains("wrong bytes")).count();
        evidence.claim(
            "every byte that a client gets is the right one, also of answers that break off",
            wrong == 0,
            format!("{} MiB compared, {wrong} wrong answers", findings.checked_bytes >> 20),
        );
        evidence.claim(
            "what may not be repeated reaches an endpoint at most once, whatever befalls it",
            posts.repeated.is_empty(),
            format!(
                "{} POSTs in the diaries of endpoints, {} of them twice",
                posts.done,
                posts.repeated.len()
            ),
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
        let back = "when it is over, connections, requests, descriptors and threads are as many as before, and memory is within 32 MiB of what it was after a warm-up";
        evidence.claim(back, Self::is_back(before, after), held);
        let cut =
            "the way to endpoints is cut in network namespaces: dropped, reset, link down, answers lost";
        let is_cut = Fate::OF_A_NETWORK.iter().all(|fate| fates.contains_key(fate.words()));
        match &self.missing {
            None if is_long() || is_cut => drop(evidence.claim(cut, is_cut, "as often as counted above")),
            None => evidence.not_run(cut, "the time was too short for all of them"),
            Some(why) => evidence.not_run(cut, why.as_str()),
        }
        evidence.page("chaos", "Lifecycle chaos", self.page());
    }

    fn page(&self) -> String {
        let mut text = "What befell servers, each time for 0.3 to 2.4 s, one or two of four at a time:\n\n| fate | times |\n|---|--:|\n".to_owned();
        for (fate, count) in &self.fates {
            let _ = writeln!(text, "| {fate} | {count} |");
        }
        text.push_str("\nFailures that could not be avoided; there are no other excuses:\n\n| excuse | times |\n|---|--:|\n");
        for excuse in super::checker::Excuse::ALL {
            let count = self.deeds.findings.excused.get(excuse).copied().unwrap_or_default();
            let _ = writeln!(text, "| {} | {count} |", excuse.words());
        }
        text
    }

    fn is_back(before: &Vitals, after: &Vitals) -> bool {
        after.resident <= before.resident + KEPT_BYTES
    }

    fn judge(&self, before: &Vitals, after: &Vitals) {
        let Self { deeds: Deeds { findings, wrk, .. }, posts, rounds, .. } = self;
        let shown: Vec<_> = findings.faults.iter().take(10).collect();
        assert!(self.deeds.is_sound(), "{} unexcused: {shown:#?}; {}", findings.faults.len(), wrk.text);
        assert!(posts.repeated.is_empty(), "done twice: {:?}", posts.repeated);
        assert!(Self::is_back(before, after), "{before:?} {after:?}");
        let is_test = *rounds >= 5 && findings.answered > 1_000 && posts.done > 50;
        assert!(is_test, "that is no test: {rounds} rounds, {posts:?}, {findings:?}");
    }
}
