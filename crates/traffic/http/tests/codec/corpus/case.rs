//! A case: bytes, and what somebody says of them.

/// Whose messages they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Side {
    #[default]
    Request,
    Response,
}

/// One case of a corpus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Case {
    /// File and heading.
    pub(crate) name: String,
    pub(crate) side: Side,
    /// How the parser that the case is about is set: `lenient-headers`, `finish`; empty for how it is by itself.
    pub(crate) mode: String,
    /// Whether the parser is told that messages have no body, as one is after HEAD.
    pub(crate) skips_body: bool,
    pub(crate) input: Vec<u8>,
    pub(crate) said: Vec<Said>,
}

/// A name and a value.
pub(crate) type Field = (Vec<u8>, Vec<u8>);

/// What is said of a stream of messages, by the corpus or by Aya.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// The start line's parts, and the fields.
    Head(Vec<u8>, Vec<Field>),
    /// All of a body that is there.
    Data(Vec<u8>),
    /// The message is complete; its trailers.
    End(Vec<Field>),
    /// What comes next is the start of a head.
    Unfinished,
    /// There is more, but the connection has ended before it.
    NotRead,
    /// Another protocol may follow.
    Switch,
    /// A CONNECT, behind which Aya does not read on.
    Connect,
    /// What comes next is wrong; why.
    Refused(String),
}

/// Reads cases as they are carried here: a line for each thing, `kind text`, with the escapes of Rust's byte strings.
pub(crate) fn read(text: &str) -> Vec<Case> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut cases: Vec<Case> = Vec::new();
    for line in lines {
        let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
        if kind == "case" {
            let (set, name) = rest.split_once(" | ").expect("case SIDE [MODE] | NAME");
            let mut words = set.split(' ');
            let side = if words.next() == Some("request") { Side::Request } else { Side::Response };
            let mode = words.next().unwrap_or_default();
            cases.push(Case {
                name: name.to_owned(),
                side,
                skips_body: mode == "skip-body",
                mode: if mode == "skip-body" { String::new() } else { mode.to_owned() },
                input: Vec::new(),
                said: Vec::new(),
            });
            continue;
        }
        let case = cases.last_mut().expect("a case begins with `case`");
        if kind == "input" { case.input.extend(unescape(rest)) } else { hear(&mut case.said, kind, rest) }
    }
    cases
}

fn hear(said: &mut Vec<Said>, kind: &str, rest: &str) {
    let next = match kind {
        "head" => Said::Head(unescape(rest), Vec::new()),
        "data" => Said::Data(unescape(rest)),
        "end" => Said::End(Vec::new()),
        "unfinished" => Said::Unfinished,
        "not-read" => Said::NotRead,
        "switch" => Said::Switch,
        "connect" => Said::Connect,
        "refused" => Said::Refused(rest.to_owned()),
        "field" => {
            let (name, value) = rest.split_once(": ").unwrap_or((rest.trim_end_matches(':'), ""));
            match said.last_mut() {
                Some(Said::Head(_, fields) | Said::End(fields)) => {
                    fields.push((unescape(name), unescape(value)));
                }
                other => panic!("a field behind {other:?}"),
            }
            return;
        }
        other => panic!("`{other}` is nothing that can be said"),
    };
    said.push(next);
}

/// The bytes that `escape_ascii` writes so. Quotes may stand for themselves.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match (byte, byte == b'\\') {
            (plain, false) => plain,
            _ => match rest.next() {
                Some(b'r') => b'\r',
                Some(b'n') => b'\n',
                Some(b't') => b'\t',
                Some(b'\\') => b'\\',
                Some(b'x') => {
                    let digits: String = rest.by_ref().take(2).map(char::from).collect();
                    u8::from_str_radix(&digits, 16).expect("two hexadecimal digits")
                }
                other => panic!("no escape: {other:?} in {text}"),
            },
        });
    }
    bytes
}
