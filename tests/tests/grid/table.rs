//! The table of payloads: how its text is read.
//!
//! | line | what it says |
//! |---|---|
//! | `class: …`, `about: …` | the class of all cases of the file, in one sentence |
//! | `= name` | begins a case |
//! | `# …` | a fact about it |
//! | `? …` | what Aya may do; of several such lines, one must hold |
//! | `\| …` | a line that the client sends, CRLF behind it; with `\` at its end, without CRLF |
//! | `^` | the client sends [`CANARY`] |
//! | `~` | the client waits a moment for an answer |
//! | `!` | it ends the connection |
//!
//! In a line `\r`, `\n`, `\t`, `\0`, `\xHH`, `\\`, `\{a*100}` (a hundred of them) and `\^` (the canary) stand for bytes. What Aya may do
//! is a row of requests that it forwards, each `METHOD TARGET [@HOST] ["BODY"]`, and perhaps how it ends, with `;` between:
//!
//! | end | what it says |
//! |---|---|
//! | (nothing) | the connection goes on: the request that follows the payload is served |
//! | `any` | it goes on or not, because the server may have answered early |
//! | `close` | it ends in order, with the last answer |
//! | `refuse` | what follows is refused: forwarded to nobody, answered with an error, the connection closed |
//! | `cut METHOD TARGET` | this request breaks in its body: no server has it as whole, the connection is closed |

/// A request that is forwarded only where the client framed it as one.
pub(super) const CANARY: &str = "GET /smuggled HTTP/1.1\r\nHost: grid.test\r\n\r\n";
/// Where requests go that say nothing else.
pub(super) const HOST: &str = "grid.test";

const FILES: [&str; 15] = [
    include_str!("payloads/01-cl-te.txt"),
    include_str!("payloads/02-te-cl.txt"),
    include_str!("payloads/03-te-te.txt"),
    include_str!("payloads/04-cl-0.txt"),
    include_str!("payloads/05-lengths.txt"),
    include_str!("payloads/06-lines.txt"),
    include_str!("payloads/07-chunk-sizes.txt"),
    include_str!("payloads/08-chunk-lines.txt"),
    include_str!("payloads/09-trailers.txt"),
    include_str!("payloads/10-interim.txt"),
    include_str!("payloads/11-versions.txt"),
    include_str!("payloads/12-targets.txt"),
    include_str!("payloads/13-names.txt"),
    include_str!("payloads/14-pipelines.txt"),
    include_str!("payloads/15-published.txt"),
];

/// Cases that have something in common.
#[derive(Clone, Debug, Default)]
pub(super) struct Class {
    pub(super) name: String,
    pub(super) about: String,
    pub(super) cases: Vec<Case>,
}

/// What a client sends, and what Aya may make of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) steps: Vec<Step>,
    pub(super) allowed: Vec<Outcome>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Send(Vec<u8>),
    /// For a moment.
    Wait,
    /// Nothing more comes.
    Close,
}

/// Requests that are forwarded, and what comes then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) forwarded: Vec<Wanted>,
    pub(super) end: End,
}

/// A request as the client framed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) method: String,
    pub(super) target: String,
    /// Empty where the request names none.
    pub(super) host: String,
    pub(super) body: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    Open,
    Any,
    Close,
    Refused,
    Cut(Wanted),
}

/// All classes, in order.
pub(super) fn classes() -> Vec<Class> {
    FILES.iter().map(|text| class(text)).collect()
}

fn class(text: &str) -> Class {
    let mut class = Class::default();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix("class: ") {
            name.clone_into(&mut class.name);
        } else if let Some(about) = line.strip_prefix("about: ") {
            about.clone_into(&mut class.about);
        } else if let Some(name) = line.strip_prefix("= ") {
            class.cases.push(Case { name: name.to_owned(), ..Case::default() });
        } else {
            let case = class.cases.last_mut().expect("a case begins with its name");
            case.read(line);
        }
    }
    class
}

impl Case {
    fn read(&mut self, line: &str) {
        if let Some(allowed) = line.strip_prefix("? ") {
            self.allowed.push(Outcome::read(allowed));
        } else {
            read_step(&mut self.steps, line);
        }
    }

    /// The methods of the requests that the client may get answers to.
    pub(super) fn methods(&self) -> Vec<&str> {
        let longest = self.allowed.iter().max_by_key(|outcome| outcome.forwarded.len());
        longest.into_iter().flat_map(|outcome| &outcome.forwarded).map(|one| one.method.as_str()).collect()
    }
}

impl Outcome {
    fn read(text: &str) -> Self {
        let mut outcome = Self { forwarded: Vec::new(), end: End::Open };
        for part in text.split(" ; ") {
            assert_eq!(outcome.end, End::Open, "nothing follows the end: {text:?}");
            match part.trim() {
                "any" => outcome.end = End::Any,
                "close" => outcome.end = End::Close,
                "refuse" => outcome.end = End::Refused,
                part => match part.strip_prefix("cut ") {
                    Some(cut) => outcome.end = End::Cut(Wanted::read(cut)),
                    None => outcome.forwarded.push(Wanted::read(part)),
                },
            }
        }
        outcome
    }
}

impl Wanted {
    fn read(text: &str) -> Self {
        let (start, body) = match text.split_once(" \"") {
            Some((start, body)) => (start, body.strip_suffix('"').expect("a body ends with a quote")),
            None => (text, ""),
        };
        let mut words = start.split(' ');
        let method = words.next().unwrap_or_default().to_owned();
        let target = String::from_utf8_lossy(&bytes(words.next().expect("a target"))).into_owned();
        let host = words.next().map_or(HOST, |host| host.strip_prefix('@').expect("a host begins with @"));
        Self { method, target, host: host.to_owned(), body: bytes(body) }
    }
}

/// Reads a line that says what is done.
pub(super) fn read_step(steps: &mut Vec<Step>, line: &str) {
    let more = match line {
        "~" => return steps.push(Step::Wait),
        "!" => return steps.push(Step::Close),
        "^" => CANARY.as_bytes().to_vec(),
        line => {
            let text = line.strip_prefix('|').unwrap_or_else(|| panic!("not a line of the table: {line:?}"));
            let text = text.strip_prefix(' ').unwrap_or(text);
            match text.strip_suffix('\\').filter(|rest| !rest.ends_with('\\')) {
                Some(unended) => bytes(unended),
                None => [bytes(text).as_slice(), b"\r\n"].concat(),
            }
        }
    };
    if let Some(Step::Send(bytes)) = steps.last_mut() {
        bytes.extend_from_slice(&more);
    } else {
        steps.push(Step::Send(more));
    }
}

/// The bytes that a text stands for.
pub(super) fn bytes(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some((plain, escape)) = rest.split_once('\\') {
        out.extend_from_slice(plain.as_bytes());
        let kind = escape.chars().next().unwrap_or_else(|| panic!("nothing escaped in {text:?}"));
        rest = &escape[1..];
        match kind {
            'r' => out.push(b'\r'),
            'n' => out.push(b'\n'),
            't' => out.push(b'\t'),
            '0' => out.push(0),
            '\\' => out.push(b'\\'),
            '^' => out.extend_from_slice(CANARY.as_bytes()),
            'x' => {
                out.push(u8::from_str_radix(&rest[..2], 16).expect("two hexadecimal digits"));
                rest = &rest[2..];
            }
            '{' => {
                let (inside, behind) = rest.split_once('}').expect("a brace that closes");
                let (what, count) = inside.split_once('*').expect("what, and how often");
                out.extend(what.as_bytes().repeat(count.parse().expect("a count")));
                rest = behind;
            }
            other => panic!("an unknown escape {other:?} in {text:?}"),
        }
    }
    out.extend_from_slice(rest.as_bytes());
    out
}
