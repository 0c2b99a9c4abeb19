//! What h2spec (`summerwind/h2spec`) asks of a server, asked of Aya: its 147 cases, with frames of our own.
//!
//! A case has the number that it has there (`http2/6.9.2/3` is the third of section 6.9.2 of its group `http2`), and each section is in
//! the same order. h2spec counts 146 unless it is told to be strict; the one that is then added (`http2/5.4.1/2`) is here, too.
//!
//! h2spec follows RFC 7540. Where RFC 9113 asks for something else, the case takes what either allows, and says so. Where h2spec takes
//! more than the standard does, the cases are stricter:
//!
//! - An accepted request is answered with 200, not with any head.
//! - A connection error is a GOAWAY with a code that fits, and then the end of the connection; the end alone is not enough.
//! - A stream error is for the stream that is meant, and the connection is of use behind it.
//! - Frames that belong together leave together, so that no answer can come in between.

pub(crate) mod frames;
mod generic;
mod heads;
mod hpack;
mod http2;
mod link;

use std::collections::BTreeSet;
use std::net::SocketAddr;

use base_testkit::{Backend, answer};

use self::frames::{flag, kind};
use self::link::{Link, Outcome};
use crate::front;

/// What is asked, and what must come of it.
struct Case {
    section: &'static str,
    title: &'static str,
    begins: Begins,
    play: fn(&mut Link) -> Outcome,
}

/// Where a case begins.
enum Begins {
    /// Nothing was sent yet.
    Silent,
    /// Both sides know the other's settings.
    Greeted,
}

/// A case on a connection that both sides have begun.
const fn case(section: &'static str, title: &'static str, play: fn(&mut Link) -> Outcome) -> Case {
    Case { section, title, begins: Begins::Greeted, play }
}

/// A case about how a connection begins.
const fn beginning(section: &'static str, title: &'static str, play: fn(&mut Link) -> Outcome) -> Case {
    Case { section, title, begins: Begins::Silent, play }
}

/// Cases that end the connection with PROTOCOL_ERROR, though the standard has a code of their own for them: the library (`h2` 0.4.20) has one
/// code for whatever it cannot read. hyperium/h2#900, which was closed, had them told apart. h2spec takes them as well, since the connection ends as
/// it must. All others have the code that is asked for.
const VAGUE: &[&str] = &[
    "http2/4.3/1",
    "http2/5.1/5",
    "http2/5.1/6",
    "http2/6.1/2",
    "http2/6.3/2",
    "http2/6.4/3",
    "http2/6.5/1",
    "http2/6.5.2/2",
    "http2/6.7/4",
    "http2/6.9/3",
    "http2/6.9.2/3",
    "hpack/2.3.3/1",
    "hpack/2.3.3/2",
    "hpack/4.2/1",
    "hpack/5.2/1",
    "hpack/5.2/2",
    "hpack/5.2/3",
    "hpack/6.1/1",
    "hpack/6.3/1",
];

impl Case {
    fn run(&self, number: &str, address: SocketAddr) -> Outcome {
        let mut link = Link::connect(address);
        if matches!(self.begins, Begins::Greeted) {
            link.greet()?;
        }
        (self.play)(&mut link)?;
        match (link.is_vague(), VAGUE.contains(&number)) {
            (true, false) => {
                Err("passes with PROTOCOL_ERROR instead of its own code, and is not listed".to_owned())
            }
            (false, true) => Err("has its own code now: strike it from the list".to_owned()),
            _ => Ok(()),
        }
    }
}

/// The cases of a table with their numbers.
fn numbered(group: &str, cases: &'static [Case]) -> impl Iterator<Item = (String, &'static Case)> {
    cases.iter().enumerate().map(move |(index, case)| {
        let place = 1 + cases[..index].iter().filter(|before| before.section == case.section).count();
        (format!("{group}/{}/{place}", case.section), case)
    })
}

/// Plays all cases of a table before one Aya, and lists what has failed.
fn play(group: &str, cases: &'static [Case]) {
    let backend = Backend::answering(|request| {
        let body = if request.method == "HEAD" { "" } else { "a body of more than five bytes" };
        answer(200, &[], body)
    });
    let aya = front(&[&backend]);
    let address = aya.listener("web");
    let faults: Vec<_> = numbered(group, cases)
        .filter_map(|(number, case)| {
            let fault = case.run(&number, address).err()?;
            Some(format!("{number}: {}\n    {fault}", case.title))
        })
        .collect();
    assert!(faults.is_empty(), "{} of {} cases fail:\n{}", faults.len(), cases.len(), faults.join("\n"));
}

/// What every endpoint does, and what it takes.
#[test]
fn generic() {
    play("generic", generic::CASES);
}

/// How a connection begins, and frames as such (chapters 3 and 4 of RFC 7540).
#[test]
fn http2_framing() {
    play("http2", http2::framing::CASES);
}

/// Streams: their states, identifiers, number, priorities and errors (chapter 5).
#[test]
fn http2_streams() {
    play("http2", http2::streams::CASES);
}

/// What is wrong with frames of each type (chapters 6 and 7).
#[test]
fn http2_definitions() {
    play("http2", http2::definitions::CASES);
}

/// Windows (§6.9).
#[test]
fn http2_windows() {
    play("http2", http2::windows::CASES);
}

/// Requests (chapter 8).
#[test]
fn http2_messages() {
    play("http2", http2::messages::CASES);
}

/// Heads that cannot be decoded (RFC 7541).
#[test]
fn hpack() {
    play("hpack", hpack::CASES);
}

/// Pseudo-fields in trailers that end their request (h2spec's do not) reach no endpoint. RFC 9113 §8.1 has such a request refused; the library
/// leaves them out, and serves it.
#[test]
fn pseudo_fields_in_trailers_reach_nobody() {
    let backend = Backend::answering(|_| answer(200, &[], "fine"));
    let aya = front(&[&backend]);
    let mut link = Link::connect(aya.listener("web"));
    link.greet().expect("Aya greets");
    link.post(1);
    link.send(kind::DATA, flag::NONE, 1, "body");
    link.send(kind::HEADERS, flag::ALL, 1, heads::block(&[(":method", "DELETE"), ("x-test", "said")]));
    link.is_answered(1).expect("the request is served");
    let request = backend.only_request();
    assert_eq!((&*request.method, &*request.body), ("POST", &b"body"[..]));
    assert_eq!((request.trailers.get("x-test"), request.trailers.get(":method")), (Some("said"), None));
}

/// No case of h2spec is missing. All of them are about servers, and none leaves Aya out.
#[test]
fn none_is_missing() {
    let counts = [generic::CASES.len(), http2::chapters().map(<[Case]>::len).sum(), hpack::CASES.len()];
    assert_eq!((counts, counts.iter().sum::<usize>()), ([44, 95, 8], 147));

    let http2 = http2::chapters().flat_map(|cases| numbered("http2", cases));
    let all = numbered("generic", generic::CASES).chain(http2).chain(numbered("hpack", hpack::CASES));
    let numbers: BTreeSet<_> = all.map(|(number, _)| number).collect();
    assert_eq!(numbers.len(), 147, "two cases have the same number");
    assert!(VAGUE.iter().all(|number| numbers.contains(*number)), "a number in the list is nobody's");
    println!(
        "{} cases pass with PROTOCOL_ERROR instead of a code of their own: {}",
        VAGUE.len(),
        VAGUE.join(", ")
    );
}
