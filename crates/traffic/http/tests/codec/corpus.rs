//! The cases of other parsers, read by the codec in the role that each is for.

mod case;
mod class;
mod source;
mod verdict;

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use base_testkit::Evidence;
use traffic_http::HttpError;

use case::{Case, Said};
use class::Class;
use verdict::{RANDOM_SPLITS, verdict};

/// Cases of llhttp's test suite that are carried here; see `corpus/LICENSE-llhttp`.
const CARRIED: &str = include_str!("corpus/llhttp.txt");
/// Cases of our own: what is said of them is what Aya must say.
const OWN: &str = include_str!("corpus/own.txt");
/// As many as are carried at least.
const MIN_CARRIED: usize = 60;

/// A case with what came of it.
struct Judged {
    case: Case,
    ours: Vec<Said>,
    /// Hosts that were put in, because the case lacks them and Aya wants them.
    hosts: usize,
    /// Why both differ, if they do; Aya's error, if nobody knows.
    class: Option<Result<Class, Option<HttpError>>>,
}

/// Reads a case, given hosts where it lacks them and without fragments where it has some, and compares.
fn judge(case: Case) -> Judged {
    let mut input = case.input.clone();
    let (mut hosts, mut fragments) = (0, 0);
    let mut ours = verdict(&case, &input);
    loop {
        match ours.error {
            Some(HttpError::MissingHost) => {
                put_host(&mut input, ours.head_at);
                hosts += 1;
            }
            Some(HttpError::InvalidTarget) if drop_fragment(&mut input, ours.head_at) => fragments += 1,
            _ => break,
        }
        ours = verdict(&case, &input);
    }
    let theirs = plain(&case.said, hosts > 0);
    let said = plain(&ours.said, hosts > 0);
    let class = if said != theirs {
        let found = class::of(&case, &said, &theirs, ours.error);
        let found = found.filter(|class| *class != Class::LateError || is_refused_when_whole(&case, &input));
        Some(found.ok_or(ours.error))
    } else {
        (fragments > 0).then_some(Ok(Class::Fragment))
    };
    Judged { ours: ours.said, case, hosts, class }
}

/// Whether a head that is wrong but has not ended is refused when it ends.
fn is_refused_when_whole(case: &Case, input: &[u8]) -> bool {
    verdict(case, &[input, b"\r\n\r\n"].concat()).error.is_some()
}

/// Behind the start line of the head that begins there.
fn put_host(input: &mut Vec<u8>, head_at: usize) {
    let head = &input[head_at..];
    let skipped = if head.starts_with(b"\r\n") { 2 } else { 0 };
    let end = head[skipped..].windows(2).position(|pair| pair == b"\r\n").expect("a start line");
    let at = head_at + skipped + end + 2;
    input.splice(at..at, *b"Host: put-in.example\r\n");
}

/// Of the target that begins there; whether it had one.
fn drop_fragment(input: &mut Vec<u8>, head_at: usize) -> bool {
    let line = input[head_at..].split(|&byte| byte == b'\r').next().unwrap_or_default();
    let Some(start) = line.iter().position(|&byte| byte == b'#') else { return false };
    let length = line[start..].iter().position(|&byte| byte == b' ').unwrap_or(line.len() - start);
    input.drain(head_at + start..head_at + start + length);
    true
}

/// Without what cannot be compared: the words of a refusal, fragments, and hosts if some were put in.
fn plain(said: &[Said], without_hosts: bool) -> Vec<Said> {
    let plain = |said: &Said| match said {
        Said::Refused(_) => Said::Refused(String::new()),
        Said::Head(start, fields) => {
            let is_kept = |name: &[u8]| !(without_hosts && name.eq_ignore_ascii_case(b"host"));
            let mut start = start.clone();
            drop_fragment(&mut start, 0);
            Said::Head(start, fields.iter().filter(|(name, _)| is_kept(name)).cloned().collect())
        }
        said => said.clone(),
    };
    said.iter().map(plain).collect()
}

fn data_folder() -> PathBuf {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/data");
    env::var_os("AYA_DATA").map_or_else(beside, PathBuf::from).join("http1")
}

/// Fails for what nobody has explained, and gives how many agree and how many differ.
fn settle(judged: &[Judged]) -> (usize, usize) {
    let unexplained: Vec<String> = judged
        .iter()
        .filter_map(|judged| match &judged.class {
            Some(Err(error)) => Some(format!(
                "{} [{}] {error:?}\n  corpus {:?}\n  Aya    {:?}\n",
                judged.case.name,
                judged.case.mode,
                shown(&judged.case.said),
                shown(&judged.ours)
            )),
            _ => None,
        })
        .collect();
    assert!(
        unexplained.is_empty(),
        "{} differences are not explained:\n{}",
        unexplained.len(),
        unexplained.concat()
    );
    let differ = judged.iter().filter(|judged| judged.class.is_some()).count();
    (judged.len() - differ, differ)
}

/// In short, for people.
fn shown(said: &[Said]) -> String {
    let words: Vec<String> = said
        .iter()
        .map(|said| match said {
            Said::Head(start, _) => format!("`{}`", String::from_utf8_lossy(start)),
            Said::Data(data) => format!("{} B", data.len()),
            Said::End(fields) if fields.is_empty() => "end".to_owned(),
            Said::End(fields) => format!("end, {} trailers", fields.len()),
            Said::Unfinished => "a head that goes on".to_owned(),
            Said::NotRead => "the rest is not read".to_owned(),
            Said::Switch => "another protocol".to_owned(),
            Said::Connect => "CONNECT".to_owned(),
            Said::Refused(why) => format!("refused: {why}"),
        })
        .collect();
    words.join(" · ").replace('|', "\\|")
}

#[test]
fn what_is_carried_is_explained() {
    let judged: Vec<_> = case::read(CARRIED).into_iter().map(judge).collect();
    assert!(judged.len() >= MIN_CARRIED, "{} cases are carried", judged.len());
    let (agree, differ) = settle(&judged);
    let mut evidence = Evidence::of("corpus", file!());
    evidence.claim(
        "Of the cases of llhttp's tests that are carried here, every one that Aya reads otherwise has a reason",
        true,
        format!("{} cases: {agree} agree, {differ} differ, 0 without a reason", judged.len()),
    );
}

#[test]
fn our_own_cases_are_read_as_they_say() {
    let cases = case::read(OWN);
    for case in &cases {
        let ours = verdict(case, &case.input).said;
        let wanted = &case.said;
        assert_eq!(plain(&ours, false), plain(wanted, false), "{}: {}", case.name, shown(&ours));
    }
    let mut evidence = Evidence::of("corpus", file!());
    evidence.claim("Cases of our own are read as they say", true, format!("{} cases", cases.len()));
}

#[test]
fn the_whole_corpus_is_explained() {
    let mut evidence = Evidence::of("corpus", file!());
    let claims = [
        "Of all cases of llhttp's tests, every one that Aya reads otherwise has a reason",
        "Each case gives the same whole, byte by byte and in random pieces",
        "What Aya takes and llhttp refuses is only a method that llhttp does not know, or the inside of a chunk extension",
        "A request in HTTP/1.1 without a host is refused",
    ];
    let folder = data_folder();
    if !folder.is_dir() {
        let why = "the corpus is not there: `AYA_DATA` names the folder that has `http1`";
        claims.iter().for_each(|claim| evidence.not_run(claim, why));
        return;
    }
    let cases = source::read(&folder);
    for carried in case::read(CARRIED) {
        let is_same = cases.iter().any(|case| same(case, &carried));
        assert!(is_same, "{} is carried otherwise than it is: {:?}", carried.name, carried.said);
    }
    let judged: Vec<_> = cases.into_iter().map(judge).collect();
    assert!(judged.len() >= 251, "{} cases", judged.len());
    let (agree, differ) = settle(&judged);
    let total = judged.len();
    evidence.claim(
        claims[0],
        true,
        format!("{total} cases: {agree} agree, {differ} differ, 0 without a reason"),
    );
    evidence.claim(claims[1], true, format!("{total} cases, each in {} ways", RANDOM_SPLITS + 2));
    let taken: Vec<_> = judged.iter().filter(|judged| takes_more(judged)).collect();
    let excused = taken
        .iter()
        .all(|judged| matches!(judged.class, Some(Ok(Class::UnknownMethod | Class::QuotedExtension))));
    let holds = evidence.claim(claims[2], excused, format!("{} cases", taken.len()));
    assert!(holds, "{:?}", taken.iter().map(|judged| &judged.case.name).collect::<Vec<_>>());
    let hostless = judged.iter().filter(|judged| judged.hosts > 0).count();
    evidence.claim(
        claims[3],
        hostless > 0,
        format!("{hostless} cases are refused as they stand, and were given a host to be compared"),
    );
    evidence.page("corpus", "Cases of llhttp that Aya reads otherwise", page(&judged));
}

/// Whether Aya goes on where the corpus does not.
fn takes_more(judged: &Judged) -> bool {
    let is_refused = |said: &[Said]| {
        said.iter().any(|said| matches!(said, Said::Refused(_) | Said::NotRead | Said::Connect))
    };
    judged.class.as_ref().is_some_and(|class| *class != Ok(Class::LateError))
        && is_refused(&judged.case.said)
        && !is_refused(&judged.ours)
}

/// But for the words of a refusal, which may be cut.
fn same(a: &Case, b: &Case) -> bool {
    (&a.name, a.side, &a.mode, a.skips_body, &a.input) == (&b.name, b.side, &b.mode, b.skips_body, &b.input)
        && plain(&a.said, false) == plain(&b.said, false)
}

fn page(judged: &[Judged]) -> String {
    let mut by_class: BTreeMap<Class, Vec<&Judged>> = BTreeMap::new();
    for judged in judged {
        if let Some(Ok(class)) = judged.class {
            by_class.entry(class).or_default().push(judged);
        }
    }
    let mut page = String::from(
        "The cases are those of [llhttp](https://github.com/nodejs/llhttp), the parser of Node.js. Requests without a host, which Aya \
         refuses as they stand, were given one.\n",
    );
    for (class, judged) in by_class {
        let (heading, reason) = class.reason();
        let _ = write!(page, "\n## {heading}\n\n{reason}\n\n| case | llhttp | Aya |\n|---|---|---|\n");
        for Judged { case, ours, .. } in judged {
            let mode = if case.mode.is_empty() { String::new() } else { format!(" ({})", case.mode) };
            let name = case.name.replace('|', "\\|");
            let _ = writeln!(page, "| {name}{mode} | {} | {} |", shown(&case.said), shown(ours));
        }
    }
    page
}
