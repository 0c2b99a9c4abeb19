//! The demo in lines, for files, pipes and logs.

use std::io::{self, Write};

use super::board::{Board, Row};
use crate::terminal::Wish;

/// Writes a line each second, and one for each event at once.
#[derive(Default)]
pub(super) struct Plain {
    events_shown: usize,
    /// The second of the last regular line.
    second_shown: u64,
    greeted: bool,
}

impl Plain {
    /// Writes what is new. A reader that has gone away ends the demo.
    pub(super) fn show(&mut self, board: &Board, out: &mut impl Write) -> io::Result<Wish> {
        match self.write(board, out) {
            Ok(()) => Ok(Wish::GoOn),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Wish::End),
            Err(error) => Err(error),
        }
    }

    fn write(&mut self, board: &Board, out: &mut impl Write) -> io::Result<()> {
        if !self.greeted {
            self.greeted = true;
            writeln!(out, "Try: curl http://{}/", board.proxy)?;
            if let Some(admin) = board.admin {
                writeln!(out, "     aya top http://{admin}")?;
                writeln!(out, "     curl http://{admin}/metrics")?;
            }
        }
        let new = board.events_so_far - self.events_shown;
        for event in board.events.iter().skip(board.events.len().saturating_sub(new)) {
            writeln!(out, "{event}")?;
        }
        self.events_shown = board.events_so_far;
        if board.elapsed.as_secs() > self.second_shown {
            self.second_shown = board.elapsed.as_secs();
            writeln!(out, "{}", line(board))?;
        }
        out.flush()
    }
}

/// `  12 s   342 req/s, 0 failed | swift 38 % up | …`
fn line(board: &Board) -> String {
    let cell = |row: &Row| format!(" | {} {:.0} % {}", row.name, row.share * 100.0, row.endpoint.state);
    let cells: String = board.rows.iter().map(cell).collect();
    let seconds = board.elapsed.as_secs();
    format!("{seconds:4} s {:5.0} req/s, {} failed{cells}", board.rate_per_second, board.failures)
}
