//! The smuggling grid: payloads that servers are known to read in different ways, through Aya to real servers. The requests that an
//! origin saw are those that Aya logged as forwarded and that the client framed, and every answer belongs to its request.

mod answers;
mod judge;
mod page;
mod play;
mod table;

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use base_testkit::{Aya, Evidence, ORIGINS, Origin, OriginKind, Seen, Stopwatch};

use crate::is_long;
use judge::{Logged, Scene, Verdict};
use play::Answers;
use table::{Case, Class};

/// The least that the table holds, so that no edit empties it unseen.
const LEAST_PAYLOADS: usize = 200;
/// The short form meets these, if they are there: a C server that passes on, one that is a parser of its own, one in Python.
const SHORT: [&str; 3] = ["nginx", "Node http", "gunicorn"];
/// How long Aya and the origins may take to write down what they have seen.
const SETTLES: Duration = Duration::from_secs(30);
/// The paths of the ordinary requests behind a payload begin so.
const AFTER: &str = "/after/";

/// What became of all payloads at one origin.
struct Column {
    kind: OriginKind,
    version: String,
    /// In the order of the table; or what is different.
    verdicts: Vec<Result<Verdict, String>>,
    /// What is different beyond single payloads.
    faults: Vec<String>,
}

/// What a payload brought, before the logs are read.
struct Played {
    answers: Answers,
    after: Vec<String>,
}

/// Every payload of the table, through one worker to each origin: what the origin saw is what Aya logged and the client framed, no
/// answer goes to another request, and the connection to the origin is in step after each.
#[test]
fn no_origin_sees_a_request_that_the_client_did_not_frame() {
    let classes = table::classes();
    let cases: Vec<&Case> = classes.iter().flat_map(|class| &class.cases).collect();
    assert!(cases.len() >= LEAST_PAYLOADS, "only {} payloads", cases.len());
    let mut evidence = Evidence::of("smuggling", file!());
    let claim = "Every origin saw exactly the requests that the client framed and Aya logged as forwarded";
    let mut present = Vec::new();
    for kind in ORIGINS {
        match kind.missing() {
            _ if !is_long() && !SHORT.contains(&kind.name) => {}
            Some(why) => {
                assert!(std::env::var_os("CI").is_none(), "CI runs against all origins: {why}");
                evidence.not_run(&format!("The payloads through Aya to {}", kind.name), why);
            }
            None => present.push(kind),
        }
    }
    let columns = run(&present, &cases);
    let faults: Vec<String> = columns.iter().flat_map(|column| column.differences(&cases)).collect();
    let seen = format!(
        "{} payloads × {} origins ({}): {} differences",
        cases.len(),
        columns.len(),
        columns
            .iter()
            .map(|column| format!("{} {}", column.kind.name, column.version))
            .collect::<Vec<_>>()
            .join(", "),
        faults.len()
    );
    evidence.claim(claim, faults.is_empty(), seen);
    evidence.page("smuggling", "Smuggling grid", page::page(&classes, &columns));
    assert!(faults.is_empty(), "{} differences:\n{}", faults.len(), faults.join("\n"));
}

/// One Aya of one worker, with a listener and a pool for each origin. All are met at once, each by one client after the other.
fn run(kinds: &[OriginKind], cases: &[&Case]) -> Vec<Column> {
    let mut origins: Vec<Origin> = kinds.iter().map(|kind| kind.start()).collect();
    let aya = Aya::start(&config(&origins));
    let plays: Vec<Vec<Played>> = std::thread::scope(|scope| {
        let meet = |number| {
            let address = aya.listener(&name(number));
            scope.spawn(move || meet(address, cases))
        };
        let plays: Vec<_> = (0..origins.len()).map(meet).collect();
        plays.into_iter().map(|play| play.join().expect("a play does not panic")).collect()
    });
    let log = log(&aya, 2 * cases.len() * origins.len());
    let dropped = aya.metrics().sum("aya_access_log_dropped_lines_total", &[]);
    assert!(dropped < 1.0, "the machine was too slow for the access log: {dropped} lines were dropped");
    let judged = origins.iter_mut().zip(&plays).enumerate();
    judged
        .map(|(number, (origin, plays))| {
            judge(origin, &by_payload(&log, &name(number), cases.len()), plays, cases)
        })
        .collect()
}

/// Of an origin's listener, route and pool.
fn name(number: usize) -> String {
    format!("origin-{number}")
}

fn config(origins: &[Origin]) -> String {
    let mut text = String::from(
        "workers: 1\nlogs: {access: {format: json, fields: [listener, request_id, method, path, query, status, reason, attempts]}}\n",
    );
    let (mut listeners, mut routes, mut pools) = (String::new(), String::new(), String::new());
    for (number, origin) in origins.iter().enumerate() {
        let name = name(number);
        let _ = writeln!(
            listeners,
            "  {name}: {{bind: '127.0.0.1:0', http2: off, timeouts: {{half-close: 10s}}}}"
        );
        let _ = writeln!(routes, "  - {{listeners: {name}, pool: {name}, retry: {{attempts: 1}}}}");
        // One connection is kept: what a payload leaves on it, the next request meets.
        let _ = writeln!(
            pools,
            "  {name}: {{endpoints: ['{}'], ejection: off, connections: {{max-idle: 1}}}}",
            origin.address()
        );
    }
    let _ = write!(text, "listeners:\n{listeners}routes:\n{routes}pools:\n{pools}");
    text
}

/// Plays all payloads to one origin, one after the other.
fn meet(address: SocketAddr, cases: &[&Case]) -> Vec<Played> {
    let mut played = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        let answers = play::send(address, case);
        let after = [("POST", "hello"), ("GET", "")]
            .into_iter()
            .filter_map(|(method, body)| in_step(address, method, &format!("{AFTER}{number}"), body).err())
            .collect();
        played.push(Played { answers, after });
    }
    played
}

/// Judges what was played to one origin.
fn judge(origin: &mut Origin, groups: &[Vec<Logged>], plays: &[Played], cases: &[&Case]) -> Column {
    let seen = settled(origin, groups);
    let mut column = Column {
        kind: origin.kind(),
        version: origin.kind().version(),
        verdicts: Vec::new(),
        faults: strangers(groups, &seen),
    };
    let mut by_id: HashMap<String, Vec<Seen>> = HashMap::new();
    for request in seen {
        by_id.entry(request.id.clone()).or_default().push(request);
    }
    for ((case, play), logged) in cases.iter().zip(plays).zip(groups) {
        let scene = Scene { case, logged, seen: &by_id, answers: &play.answers };
        let verdict = scene.judge().and_then(|verdict| match play.after.as_slice() {
            [] => Ok(verdict),
            faults => Err(format!("out of step afterwards: {}", faults.join(", "))),
        });
        column.verdicts.push(verdict);
    }
    column
}

/// An ordinary request is answered by its own answer.
fn in_step(address: SocketAddr, method: &str, target: &str, body: &str) -> Result<(), String> {
    let answer =
        play::ordinary(address, method, target, body).map_err(|error| format!("{method}: {error}"))?;
    let (id, saw) = (answer.header("x-request-id"), answer.header("x-saw"));
    if answer.status == 200 && id.is_some() && id == saw {
        Ok(())
    } else {
        Err(format!("{method}: {} {} with {id:?} and {saw:?}", answer.status, answer.reason()))
    }
}

/// Aya's access log, once it tells of so many ordinary requests, or is not going to.
fn log(aya: &Aya, ordinary: usize) -> Vec<Logged> {
    let watch = Stopwatch::start();
    loop {
        let stdout = aya.stdout();
        if stdout.matches(AFTER).count() >= ordinary || watch.elapsed() > SETTLES {
            return stdout.lines().filter_map(Logged::read).collect();
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What was logged for each payload: up to the two ordinary requests that followed it.
fn by_payload(log: &[Logged], listener: &str, count: usize) -> Vec<Vec<Logged>> {
    let mut groups = vec![Vec::new()];
    let mut afters = 0;
    for line in log.iter().filter(|line| line.listener == listener) {
        if line.target.starts_with(AFTER) {
            afters += 1;
            if afters % 2 == 0 {
                groups.push(Vec::new());
            }
        } else if let Some(group) = groups.last_mut() {
            group.push(line.clone());
        }
    }
    groups.resize(count, Vec::new());
    groups
}

/// What the origin saw, once it has noted all that Aya had an answer to, or is not going to.
fn settled(origin: &mut Origin, groups: &[Vec<Logged>]) -> Vec<Seen> {
    let answered: Vec<_> =
        groups.iter().flatten().filter(|line| line.reason.is_empty() && line.status == 200).collect();
    let watch = Stopwatch::start();
    loop {
        origin.flush();
        let seen = origin.seen();
        let ids: HashSet<_> = seen.iter().map(|request| request.id.as_str()).collect();
        if answered.iter().all(|line| ids.contains(line.id.as_str())) || watch.elapsed() > SETTLES {
            return seen;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Requests that the origin saw and Aya did not forward. What an origin refuses before it has read the id, it notes without: each such
/// note must be the answer to one forwarded request that it noted nowhere else.
fn strangers(groups: &[Vec<Logged>], seen: &[Seen]) -> Vec<String> {
    let forwarded: Vec<_> = groups.iter().flatten().filter(|line| line.is_forwarded()).collect();
    let ids: HashSet<_> = forwarded.iter().map(|line| line.id.as_str()).collect();
    let noted: HashSet<_> = seen.iter().map(|request| request.id.as_str()).collect();
    let mut unnoted: Vec<_> = forwarded.iter().filter(|line| !noted.contains(line.id.as_str())).collect();
    let mut strangers = Vec::new();
    for request in
        seen.iter().filter(|seen| !seen.target.starts_with(AFTER) && !ids.contains(seen.id.as_str()))
    {
        // Some have not even a method to note.
        let nameless = matches!(request.method.as_str(), "" | "<BADREQ>");
        let is_answer = |line: &&Logged| {
            line.status == request.status && line.status >= 400 && (nameless || line.method == request.method)
        };
        match unnoted.iter().position(|line| request.id.is_empty() && is_answer(line)) {
            Some(place) => drop(unnoted.remove(place)),
            None => strangers.push(format!("seen and not forwarded: {request:?}")),
        }
    }
    strangers
}

impl Column {
    fn differences(&self, cases: &[&Case]) -> Vec<String> {
        let of_case = |(case, verdict): (&&Case, &Result<Verdict, String>)| {
            let fault = verdict.as_ref().err()?;
            Some(format!("{}: {:?}: {fault}", self.kind.name, case.name))
        };
        let common = self.faults.iter().map(|fault| format!("{}: {fault}", self.kind.name));
        cases.iter().zip(&self.verdicts).filter_map(of_case).chain(common).collect()
    }
}
