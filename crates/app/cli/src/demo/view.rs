//! The demo on a terminal, live.

use std::io;
use std::time::Duration;

use ratatui::Frame;
use ratatui::crossterm::event::KeyCode;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize as _};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row as TableRow, Table};

use super::board::{Board, Row};
use crate::terminal::{self, Input, Screen, Wish};

/// Columns of the table: name, state, rate, share, in flight, latencies, failures. With gaps they fit into 80.
const WIDTHS: [Constraint; 8] = [
    Constraint::Length(8),
    Constraint::Length(10),
    Constraint::Length(6),
    Constraint::Min(16),
    Constraint::Length(9),
    Constraint::Length(8),
    Constraint::Length(8),
    Constraint::Length(6),
];
/// Cells of a full share bar.
const BAR_CELLS: f64 = 10.0;
/// Parts of a cell, from an eighth to the whole.
const BAR_PARTS: [&str; 8] = ["▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"];

/// The demo's screen.
pub(super) struct View(Screen);

impl View {
    pub(super) fn open() -> io::Result<Self> {
        Ok(Self(Screen::open()?))
    }

    /// Draws the board and looks at the keyboard; never waits.
    pub(super) fn show(&mut self, board: &Board) -> io::Result<Wish> {
        self.0.draw(|frame| draw(frame, board))?;
        let ends = self.0.input()?.into_iter().any(wants_to_end);
        Ok(if ends { Wish::End } else { Wish::GoOn })
    }
}

/// `q`, Escape or Ctrl-C.
fn wants_to_end(input: Input) -> bool {
    let Input::Key(key) = input else { return false };
    matches!(key.code, KeyCode::Char('q') | KeyCode::Esc) || terminal::is_interrupt(key)
}

/// Draws everything there is to see.
pub(super) fn draw(frame: &mut Frame<'_>, board: &Board) {
    let table_height = board.rows.len() as u16 + 3;
    let heights =
        [Constraint::Length(4), Constraint::Length(table_height), Constraint::Min(3), Constraint::Length(1)];
    let [top, middle, bottom, footer] = Layout::vertical(heights).areas(frame.area());
    frame.render_widget(header(board), top);
    frame.render_widget(table(board), middle);
    frame.render_widget(events(board, bottom), bottom);
    frame.render_widget(Line::from(vec![" q ".bold().reversed(), " quit".into()]), footer);
}

fn header(board: &Board) -> Paragraph<'_> {
    let seconds = board.elapsed.as_secs();
    let failed = format!("{} failed", board.failures);
    let failed = if board.failures == 0 { failed.green() } else { failed.red().bold() };
    let figures = vec![
        "Aya demo".bold(),
        format!("   {}:{:02}   {:.0} req/s   ", seconds / 60, seconds % 60, board.rate_per_second).into(),
        format!("{} requests, ", board.answered + board.failures).into(),
        failed,
    ];
    let mut lines = vec![Line::from(figures), Line::from(format!("traffic   curl http://{}/", board.proxy))];
    if let Some(admin) = board.admin {
        lines.push(Line::from(format!("watch     aya top http://{admin}   curl http://{admin}/metrics")));
    }
    Paragraph::new(lines)
}

fn table(board: &Board) -> Table<'_> {
    let titles = ["backend", "state", "req/s", "share", "in flight", "p50", "p99", "failed"];
    Table::new(board.rows.iter().map(table_row), WIDTHS)
        .header(TableRow::new(titles).style(Style::new().bold()))
        .block(Block::new().borders(Borders::TOP | Borders::BOTTOM))
}

fn table_row(row: &Row) -> TableRow<'_> {
    let endpoint = &row.endpoint;
    let color = if endpoint.takes_traffic { Color::Green } else { Color::Red };
    TableRow::new([
        Cell::from(row.name),
        Cell::from(endpoint.state.as_str()).style(Style::new().fg(color)),
        Cell::from(format!("{:5.0}", row.rate_per_second)),
        Cell::from(share_bar(row.share)),
        Cell::from(format!("{:5}", endpoint.in_flight)),
        Cell::from(latency(row.p50)),
        Cell::from(latency(row.p99)),
        Cell::from(format!("{:5}", endpoint.failures)),
    ])
}

/// ` 34 % ███▍`
fn share_bar(share: f64) -> Line<'static> {
    let eighths = (share.clamp(0.0, 1.0) * BAR_CELLS * 8.0).round() as usize;
    let (full, rest) = (eighths / 8, eighths % 8);
    let mut bar = "█".repeat(full);
    if let Some(part) = rest.checked_sub(1).and_then(|part| BAR_PARTS.get(part)) {
        bar.push_str(part);
    }
    Line::from(vec![Span::from(format!("{:3.0} % ", share * 100.0)), bar.cyan()])
}

fn latency(value: Option<Duration>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{:.1} ms", value.as_secs_f64() * 1e3))
}

/// The newest events that fit, the newest last.
fn events(board: &Board, area: Rect) -> Paragraph<'_> {
    let skipped = board.events.len().saturating_sub(usize::from(area.height));
    Paragraph::new(
        board.events.iter().skip(skipped).map(|event| Line::from(event.to_string())).collect::<Vec<_>>(),
    )
}
