//! The grid as a page.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::judge::{Ending, Verdict};
use super::{Class, Column};

const HOW: &str = "\
Each payload is sent to Aya on a connection of its own, an ordinary request right behind it. Aya has one worker, and keeps one connection \
to each origin. After each payload two ordinary requests take that connection, and must be answered by their own answers. Every \
forwarded request carries an id that Aya made; origins note it with method, target, host and a checksum of the body, and say in the answer \
whose it is. A payload passes when what the origin noted is what Aya logged as forwarded and the client framed, and every answer reached the \
request that it names.

- *forwarded*: the origin saw the request as the client framed it (a number in brackets: some that the origin refused by itself, \
with its own 4xx or 5xx).
- *refused*: Aya answered with an error and closed; nothing of it reached the origin.
- *cut*: the fault came to light in the body, when the head was on its way; no origin took the request as whole, both connections were closed.
";

/// All of it, as Markdown.
pub(super) fn page(classes: &[Class], columns: &[Column]) -> String {
    let mut text = format!("{HOW}\n## By class\n\n");
    let _ = write!(text, "| class | payloads |");
    for column in columns {
        let _ = write!(text, " {} {} |", column.kind.name, column.version);
    }
    let _ = writeln!(text, "\n|---|---|{}", "---|".repeat(columns.len()));
    let mut first = 0;
    for class in classes {
        let last = first + class.cases.len();
        let _ = write!(text, "| {} | {} |", class.name, class.cases.len());
        for column in columns {
            let _ = write!(text, " {} |", cell(&column.verdicts[first..last]));
        }
        text.push('\n');
        first = last;
    }
    let mut number = 0;
    for class in classes {
        let _ = write!(
            text,
            "\n## {}\n\n{}\n\n| payload | what became of it | otherwise |\n|---|---|---|\n",
            class.name, class.about
        );
        for case in &class.cases {
            let (common, others) = row(columns, number);
            let _ = writeln!(text, "| {} | {common} | {others} |", escaped(&case.name));
            number += 1;
        }
    }
    text
}

/// How many were forwarded, refused, cut.
fn cell(verdicts: &[Result<Verdict, String>]) -> String {
    let (mut forwarded, mut declined, mut refused, mut cut, mut wrong) = (0, 0, 0, 0, 0);
    for verdict in verdicts {
        match verdict {
            Ok(Verdict { end: Ending::Refused, .. }) => refused += 1,
            Ok(Verdict { end: Ending::Cut, .. }) => cut += 1,
            Ok(verdict) => {
                forwarded += 1;
                declined += usize::from(!verdict.declined.is_empty());
            }
            Err(_) => wrong += 1,
        }
    }
    let mut parts = Vec::new();
    for (count, word) in [(forwarded, "forwarded"), (refused, "refused"), (cut, "cut"), (wrong, "DIFFERENT")]
    {
        if count > 0 {
            let own =
                if word == "forwarded" && declined > 0 { format!(" ({declined})") } else { String::new() };
            parts.push(format!("{count} {word}{own}"));
        }
    }
    parts.join(", ")
}

/// What became of a payload at most origins, and where it was something else.
fn row(columns: &[Column], number: usize) -> (String, String) {
    let told: Vec<String> = columns
        .iter()
        .map(|column| match &column.verdicts[number] {
            Ok(verdict) => verdict.to_string(),
            Err(fault) => format!("DIFFERENT: {}", escaped(fault)),
        })
        .collect();
    let mut counts: HashMap<&str, usize> = HashMap::new();
    told.iter().for_each(|one| *counts.entry(one).or_default() += 1);
    let common = counts.into_iter().max_by_key(|(word, count)| (*count, *word)).map_or("", |(word, _)| word);
    let mut others = Vec::new();
    for (column, told) in columns.iter().zip(&told) {
        if told != common {
            others.push(format!("{}: {told}", column.kind.name));
        } else if let Ok(verdict) = &column.verdicts[number]
            && !verdict.declined.is_empty()
        {
            let statuses: Vec<_> = verdict.declined.iter().map(ToString::to_string).collect();
            others.push(format!("{}: {}", column.kind.name, statuses.join(", ")));
        }
    }
    (common.to_owned(), others.join("; "))
}

fn escaped(text: &str) -> String {
    text.replace('|', "\\|").replace(['\r', '\n'], " ")
}
