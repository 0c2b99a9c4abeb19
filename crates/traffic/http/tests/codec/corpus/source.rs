//! The corpus as its makers keep it: Markdown, with a block of bytes and a block of what a parser calls back for each case.

use std::path::Path;
use std::{fs, mem};

use super::case::{Case, Field, Said, Side};

/// All cases below this folder, file by file.
pub(crate) fn read(folder: &Path) -> Vec<Case> {
    let mut cases = Vec::new();
    for side in ["request", "response"] {
        let mut files: Vec<_> = fs::read_dir(folder.join(side))
            .expect("cases")
            .map(|entry| entry.expect("a file").path())
            .collect();
        files.sort();
        for file in files {
            let place = format!("{side}/{}", file.file_stem().expect("a name").to_string_lossy());
            read_file(&place, &fs::read_to_string(&file).expect("Markdown"), &mut cases);
        }
    }
    cases
}

fn read_file(place: &str, text: &str, cases: &mut Vec<Case>) {
    let (mut heading, mut meta, mut input) = (String::new(), String::new(), None);
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(title) = line.strip_prefix('#') {
            heading = title.trim_start_matches('#').trim().to_owned();
        } else if let Some(written) = line.trim_start().strip_prefix("<!-- meta=") {
            meta = written.replace([' ', '"'], "");
        } else if let Some(kind) = line.strip_prefix("```") {
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            match (kind, input.take()) {
                ("http", _) => input = Some(bytes_of(&block.join("\n"))),
                ("log", Some(input)) => {
                    let name = format!("{place}: {heading}");
                    cases.push(case(name, &meta, input, &block));
                }
                _ => {}
            }
        }
    }
}

/// What a block stands for: line ends are CRLF, a `\` at the end of a line takes its end away, other escapes are as in C.
fn bytes_of(block: &str) -> Vec<u8> {
    let text = block.replace("\\\n", "").replace('\n', "\r\n");
    let text = text.replace("\\r", "\r").replace("\\n", "\n").replace("\\t", "\t").replace("\\f", "\x0c");
    text.replace("\\xff", "\u{ff}").into_bytes()
}

fn case(name: String, meta: &str, input: Vec<u8>, log: &[&str]) -> Case {
    let kind = meta.split_once("type:").expect("a type").1;
    let kind = kind.split([',', '}']).next().unwrap_or_default();
    let (side, mode) = kind.split_once('-').unwrap_or((kind, ""));
    let side = if side == "request" { Side::Request } else { Side::Response };
    let mut listener = Listener { input: &input, side, ..Listener::default() };
    log.iter().for_each(|line| listener.hear(line));
    let said = listener.finish();
    Case { name, side, mode: mode.to_owned(), skips_body: meta.contains("skipBody:true"), input, said }
}

/// Makes of a parser's calls what they say.
#[derive(Default)]
struct Listener<'a> {
    input: &'a [u8],
    side: Side,
    said: Vec<Said>,
    /// Method and target, or protocol and version, as they come.
    parts: Vec<Vec<u8>>,
    fields: Vec<Field>,
    in_head: bool,
}

impl Listener<'_> {
    fn hear(&mut self, line: &str) {
        let (at, what) = line.split_once(' ').expect("a place and a call");
        let at = at.trim_start_matches("off=").parse().unwrap_or(self.input.len());
        if let Some(span) = what.strip_prefix("len=") {
            self.hear_span(at, span);
        } else if what == "message begin" {
            self.in_head = true;
            (self.parts, self.fields) = Default::default();
        } else if let Some(facts) = what.strip_prefix("headers complete ") {
            self.end_head(facts);
        } else if what == "message complete" {
            self.said.push(Said::End(mem::take(&mut self.fields)));
        } else if let Some(error) = what.strip_prefix("error code=") {
            self.end_with(error);
        }
    }

    fn hear_span(&mut self, at: usize, span: &str) {
        let (length, rest) = span.split_once(" span[").expect("a span");
        let (name, shown) = rest.split_once("]=").expect("a text");
        let bytes = self.input[at..at + length.parse::<usize>().expect("a length")].to_vec();
        let shown = shown.trim_matches('"');
        let is_plain = bytes.iter().all(|byte| byte.is_ascii_graphic() && !b"\\\"".contains(byte));
        assert!(!is_plain || shown.as_bytes() == bytes, "{shown} is shown where {bytes:?} are");
        match (name, self.said.last_mut()) {
            ("header_field", _) => self.fields.push((bytes, Vec::new())),
            ("header_value", _) => self.fields.last_mut().expect("a name").1.extend(bytes),
            ("method" | "url" | "protocol" | "version" | "status", _) => self.parts.push(bytes),
            ("body", Some(Said::Data(before))) => before.extend(bytes),
            ("body", _) => self.said.push(Said::Data(bytes)),
            _ => {}
        }
    }

    fn end_head(&mut self, facts: &str) {
        let status = facts.split(' ').find_map(|fact| fact.strip_prefix("status="));
        let text = |part: Option<&Vec<u8>>| {
            part.map(|part| String::from_utf8_lossy(part).into_owned()).unwrap_or_default()
        };
        let part = |index| text(self.parts.get(index));
        let start = match self.side {
            // HTTP/0.9 has no version in the line.
            Side::Request if self.parts.len() < 4 => format!("{} {}", part(0), part(1)),
            Side::Request => format!("{} {} {}/{}", part(0), part(1), part(2), part(3)),
            Side::Response => format!("{}/{} {} {}", part(0), part(1), status.unwrap_or_default(), part(2)),
        };
        let mut fields = mem::take(&mut self.fields);
        fields.iter_mut().for_each(|(_, value)| *value = value.trim_ascii().to_vec());
        self.said.push(Said::Head(start.trim_end().as_bytes().to_vec(), fields));
        self.in_head = false;
    }

    fn end_with(&mut self, error: &str) {
        let (code, reason) = error.split_once(" reason=").expect("a reason");
        self.in_head = false;
        let said = match code {
            "22" | "23" => Said::Switch,
            "5" => Said::NotRead,
            _ => Said::Refused(reason.trim_matches('"').to_owned()),
        };
        // How the body is framed is a part of the head.
        if reason.contains("Transfer-Encoding") && matches!(self.said.last(), Some(Said::Head(..))) {
            self.said.pop();
        }
        self.said.push(said);
    }

    fn finish(mut self) -> Vec<Said> {
        if self.in_head {
            self.said.push(Said::Unfinished);
        }
        self.said
    }
}
