//! The other direction: an endpoint whose answers try to bring client, Aya and endpoint out of step.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base_testkit::{Aya, Backend, Client, Evidence, Response, Session, Wire, WireError, answer, wait_until};

use super::table::{HOST, Step, bytes, read_step};

const TABLE: &str = include_str!("answers.txt");
/// The least that the table holds.
const LEAST_ANSWERS: usize = 60;
/// Long enough for Aya to have passed the first part on, in most runs.
const MOMENT: Duration = Duration::from_millis(30);

/// What an endpoint answers, and what a client may get of it.
struct Case {
    name: String,
    method: String,
    steps: Vec<Step>,
    allowed: Vec<Got>,
}

/// What a client gets.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Got {
    /// An answer, whole.
    Relayed(u16, Vec<u8>),
    /// An error of Aya's own.
    Refused,
    /// The head of an answer, and an end that is none.
    Broken,
}

/// Whatever an endpoint answers, a client that reads strictly gets one answer for its request or sees that it broke off, and the next
/// request, on either connection, gets its own answer.
#[test]
fn no_answer_reaches_another_request() {
    let cases = Arc::new(cases());
    assert!(cases.len() >= LEAST_ANSWERS, "only {} answers", cases.len());
    let mut evidence = Evidence::of("smuggling", file!());
    let done = Arc::new(AtomicUsize::new(0));
    let backend = {
        let (cases, done) = (Arc::clone(&cases), Arc::clone(&done));
        Backend::script(move |session| serve(session, &cases, &done))
    };
    let aya = Aya::start(&format!(
        "workers: 1\n{}",
        crate::config("", "retry: {attempts: 1}", "ejection: off, connections: {max-idle: 1}", &[&backend])
    ));
    let mut page = String::from(
        "What a client gets of an endpoint's answer, read strictly, followed by a request on the same connection and two on new ones, \
         each of which must get its own answer. *Relayed* is an answer as it was meant, *refused* is a 502 of Aya's own, *broken* an \
         answer whose end does not come, on a connection that is closed.\n\n| answer | what the client gets |\n|---|---|\n",
    );
    let mut faults = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        let told = match meet(&aya, number, case, &done) {
            Ok(Got::Relayed(status, _)) => format!("relayed, {status}"),
            Ok(Got::Refused) => "refused".to_owned(),
            Ok(Got::Broken) => "broken".to_owned(),
            Err(fault) => {
                faults.push(format!("{:?}: {fault}", case.name));
                format!("DIFFERENT: {fault}").replace(['|', '\r', '\n'], " ")
            }
        };
        let to = if case.method == "GET" { String::new() } else { format!(" (to {})", case.method) };
        let _ = writeln!(page, "| {}{to} | {told} |", case.name);
    }
    let seen = format!("{} answers: {} differences", cases.len(), faults.len());
    let claim =
        "No answer of a hostile endpoint reaches another request, or a client that could read it differently";
    evidence.claim(claim, faults.is_empty(), seen);
    evidence.page("hostile-answers", "Answers of hostile endpoints", page);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Answers `/case/N` with the bytes of that case, and all else in order, saying whose the answer is.
fn serve(session: &mut Session, cases: &[Case], done: &AtomicUsize) -> Result<(), WireError> {
    while let Some(request) = session.request()? {
        let number = request.target.strip_prefix("/case/").and_then(|number| number.parse::<usize>().ok());
        let Some(case) = number.and_then(|number| cases.get(number)) else {
            let id = request.header("x-request-id").unwrap_or_default();
            session.send(answer(200, &[&format!("x-saw: {id}")], "ordinary"))?;
            continue;
        };
        for step in &case.steps {
            match step {
                // Aya may have closed already, and be right.
                Step::Send(bytes) => drop(session.send(bytes)),
                Step::Wait => std::thread::sleep(MOMENT),
                Step::Close => {
                    done.fetch_add(1, Ordering::SeqCst);
                    return Ok(());
                }
            }
        }
        done.fetch_add(1, Ordering::SeqCst);
    }
    Ok(())
}

fn meet(aya: &Aya, number: usize, case: &Case, done: &AtomicUsize) -> Result<Got, String> {
    let before = done.load(Ordering::SeqCst);
    let mut client = aya.client();
    let body = if case.method == "POST" { "hello" } else { "" };
    client.send(format!(
        "{} /case/{number} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {}\r\n\r\n{body}",
        case.method,
        body.len()
    ));
    let (got, goes_on) = read(&mut client, &case.method)?;
    // What comes late has come.
    wait_until("the endpoint to have said all", || done.load(Ordering::SeqCst) > before);
    if goes_on {
        ordinary(&mut client).map_err(|fault| format!("on the same connection: {fault}"))?;
    } else if got != Got::Broken
        && let Err(error) = client.closed_by_peer()
    {
        return Err(format!("not closed: {error}"));
    }
    for _ in 0..2 {
        ordinary(&mut aya.client()).map_err(|fault| format!("on a new connection: {fault}"))?;
    }
    // What breaks before anything was passed on can still be answered properly.
    let is_early = got == Got::Refused && case.allowed.contains(&Got::Broken);
    if is_early || case.allowed.contains(&got) {
        Ok(got)
    } else {
        Err(format!("{got:?} in place of {:?}", case.allowed))
    }
}

/// Reads the answer, and whether the connection stays.
fn read(client: &mut Client, method: &str) -> Result<(Got, bool), String> {
    loop {
        match Wire::response(client, method) {
            Ok(Response { status: 101, .. }) => return Err("it got a 101".to_owned()),
            Ok(Response { status: 100..=199, .. }) => {}
            Ok(response) if !response.reason().is_empty() && response.status == 502 => {
                return Ok((Got::Refused, response.keeps_alive()));
            }
            Ok(response) => {
                let goes_on = response.keeps_alive();
                return Ok((Got::Relayed(response.status, response.body), goes_on));
            }
            Err(WireError::Closed(_) | WireError::Io(_)) => return Ok((Got::Broken, false)),
            Err(error) => return Err(error.to_string()),
        }
    }
}

/// A request that must get its own answer.
fn ordinary(client: &mut Client) -> Result<(), String> {
    client.send(format!("GET /ordinary HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
    let answer = Wire::response(client, "GET").map_err(|error| error.to_string())?;
    let (id, saw) = (answer.header("x-request-id"), answer.header("x-saw"));
    let own = answer.status == 200 && id.is_some() && id == saw && answer.body == b"ordinary";
    if own { Ok(()) } else { Err(format!("{} {:?} with {id:?} and {saw:?}", answer.status, answer.text())) }
}

fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with(['#', 'c', 'a'])) {
        if let Some(name) = line.strip_prefix("= ") {
            let (name, method) = (name.to_owned(), "GET".to_owned());
            cases.push(Case { name, method, steps: Vec::new(), allowed: Vec::new() });
            continue;
        }
        let case = cases.last_mut().expect("a case begins with its name");
        if let Some(method) = line.strip_prefix("< ") {
            method.clone_into(&mut case.method);
        } else if let Some(allowed) = line.strip_prefix("? ") {
            case.allowed.push(Got::read(allowed));
        } else {
            read_step(&mut case.steps, line);
        }
    }
    cases
}

impl Got {
    /// `relay STATUS "BODY"`, `refuse` or `broken`.
    fn read(text: &str) -> Self {
        match text {
            "refuse" => Self::Refused,
            "broken" => Self::Broken,
            _ => {
                let relayed = text.strip_prefix("relay ").and_then(|rest| rest.split_once(' '));
                let (status, body) =
                    relayed.unwrap_or_else(|| panic!("nothing that a client gets: {text:?}"));
                Self::Relayed(status.parse().expect("a status"), bytes(body.trim_matches('"')))
            }
        }
    }
}
