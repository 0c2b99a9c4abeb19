//! What is left to say at the end.

use std::io::{self, Write};

use super::board::Board;

/// Writes the summary. A reader that has gone away is no error: there is nobody to tell.
pub(super) fn print(board: &Board) -> io::Result<()> {
    match io::stdout().lock().write_all(text(board).as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

pub(super) fn text(board: &Board) -> String {
    let verdict = match (board.answered, board.failures) {
        (0, _) => "Clients got no answer.".to_owned(),
        (_, 0) => "No client saw a failure.".to_owned(),
        (_, failures) => format!("Clients saw {failures} failures."),
    };
    let requests = board.answered + board.failures;
    let mut text = format!("\n{requests} requests in {:.1} s. {verdict}\n", board.elapsed.as_secs_f64());
    for row in &board.rows {
        let share = row.share_overall * 100.0;
        text.push_str(&format!("  {:8} {:7} answers, {share:4.1} %", row.name, row.answered));
        if row.endpoint.failures > 0 {
            text.push_str(&format!(", {} attempts failed there", row.endpoint.failures));
        }
        if row.left > 0 {
            text.push_str(&format!(", left {}, {}", times(row.left), returned(row.returned)));
        }
        text.push('\n');
    }
    text
}

fn returned(count: u32) -> String {
    if count == 0 { "not back yet".to_owned() } else { format!("returned {}", times(count)) }
}

fn times(count: u32) -> String {
    match count {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        _ => format!("{count} times"),
    }
}
