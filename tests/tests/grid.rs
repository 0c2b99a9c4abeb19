//! The smuggling grid: payloads that servers are known to read in different ways, through Aya to real servers. The requests that an
//! origin saw are those that Aya logged as forwarded and that the client framed, and every answer belongs to its request.

mod answers;
mod judge;
mod page;
mod play;
mod table;

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
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
/// How long an origin may take to write down what it has seen.
const SETTLES: Duration = Duration::from_secs(10);

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

/// One Aya of one worker, with a listener and a pool for each origin.
fn run(kinds: &[OriginKind], cases: &[&Case]) -> Vec<Column> {
    let origins: Vec<Origin> = kinds.iter().map(|kind| kind.start()).collect();
    let aya = Aya::start(&config(&origins));
    std::thread::scope(|scope| {
        let plays: Vec<_> = origins
            .into_iter()
            .enumerate()
            .map(|(number, origin)| {
                let aya = &aya;
                scope.spawn(move || meet(aya, &format!("origin-{number}"), origin, cases))
            })
            .collect();
        plays.into_iter().map(|play| play.join().expect("a play does not panic")).collect()
    })
}

fn config(origins: &[Origin]) -> String {
    let mut text = String::from(
        "workers: 1\nlogs: {access: {format: json, fields: [listener, request_id, method, path, query, status, reason, attempts]}}\n",
    );
    let (mut listeners, mut routes, mut pools) = (String::new(), String::new(), String::new());
    for (number, origin) in origins.iter().enumerate() {
        let name = format!("origin-{number}");
        let _ = writeln!(listeners, "  {name}: {{bind: '127.0.0.1:0', timeouts: {{half-close: 10s}}}}");
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

/// Plays all payloads to one origin, one after the other, and judges them.
fn meet(aya: &Aya, listener: &str, mut origin: Origin, cases: &[&Case]) -> Column {
    let address = aya.listener(listener);
    let mut played = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        let answers = play::send(address, case);
        let after = [("POST", "hello"), ("GET", "")]
            .into_iter()
            .filter_map(|(method, body)| in_step(address, method, &format!("/after/{number}"), body).err())
            .collect();
        played.push(Played { answers, after });
    }
    let groups = logged(aya, listener, cases.len());
    let seen = settled(&mut origin, &groups);
    let mut column = Column {
        kind: origin.kind(),
        version: origin.kind().version(),
        verdicts: Vec::new(),
        faults: strangers(&groups, &seen),
    };
    let mut by_id: HashMap<String, Vec<Seen>> = HashMap::new();
    for request in seen {
        by_id.entry(request.id.clone()).or_default().push(request);
    }
    for ((case, play), logged) in cases.iter().zip(&played).zip(&groups) {
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
fn in_step(address: std::net::SocketAddr, method: &str, target: &str, body: &str) -> Result<(), String> {
    let answer =
        play::ordinary(address, method, target, body).map_err(|error| format!("{method}: {error}"))?;
    let (id, saw) = (answer.header("x-request-id"), answer.header("x-saw"));
    if answer.status == 200 && id.is_some() && id == saw {
        Ok(())
    } else {
        Err(format!("{method}: {} {} with {id:?} and {saw:?}", answer.status, answer.reason()))
    }
}

/// What Aya logged for each payload: up to the two ordinary requests that followed it.
fn logged(aya: &Aya, listener: &str, count: usize) -> Vec<Vec<Logged>> {
    let watch = Stopwatch::start();
    loop {
        let stdout = aya.stdout();
        let lines = stdout.lines().filter_map(Logged::read).filter(|line| line.listener == listener);
        let mut groups = vec![Vec::new()];
        let mut afters = 0;
        for line in lines {
            if !line.target.starts_with("/after/") {
                groups.last_mut().expect("there is one").push(line);
                continue;
            }
            afters += 1;
            if afters % 2 == 0 {
                groups.push(Vec::new());
            }
        }
        if groups.len() > count || watch.elapsed() > SETTLES {
            groups.resize(count, Vec::new());
            return groups;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
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
        seen.iter().filter(|seen| !seen.target.starts_with("/after/") && !ids.contains(seen.id.as_str()))
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
