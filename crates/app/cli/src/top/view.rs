//! The board as a screen. Everything is drawn as lines of text, so that `--once` prints the same.

use base_kit::Moment;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Style, Stylize as _};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Padding, Paragraph};

use super::board::Board;
use super::columns::{self, count, latency, percent, rate};
use super::figures::{Figures, Trouble};
use super::table::{Lines, Row};

/// Lines of the header, with the line that separates it.
const HEADER: u16 = 3;
/// From this height on there is room for failures: their title, the reasons, and some of the last.
const HEIGHT_FOR_FAILURES: u16 = 14;
/// What the keys do.
const KEYS: [(&str, &str); 10] = [
    ("↑ ↓ PgUp PgDn Home End", "mark a line"),
    ("← →  or  S s", "choose what to sort by"),
    ("r", "turn the order round"),
    ("/", "filter by words; Enter keeps it, Esc clears it"),
    ("t", "only what is troubled"),
    ("v", "pools with endpoints, endpoints, pools"),
    ("Space", "pause"),
    ("", ""),
    ("?", "this help"),
    ("q", "quit"),
];

/// Draws all of it.
pub(super) fn draw(frame: &mut Frame<'_>, board: &mut Board, now: Moment) {
    let area = frame.area();
    let failures = failures_height(board, area.height);
    let heights =
        [Constraint::Length(HEADER), Constraint::Min(2), Constraint::Length(failures), Constraint::Length(1)];
    let [top, middle, bottom, footer] = Layout::vertical(heights).areas(area);
    let width = usize::from(area.width);
    board.page = usize::from(middle.height.saturating_sub(1)).max(1);
    let board = &*board;
    let rows = board.rows();
    let is_old = board.lost.is_some();
    let aged = |lines: Vec<Line<'static>>| {
        let style = if is_old { Style::new().dim() } else { Style::new() };
        Paragraph::new(lines).style(style)
    };
    frame.render_widget(Paragraph::new(header(board, now, width)), top);
    frame.render_widget(aged(table(board, &rows, width, board.page)), middle);
    frame.render_widget(aged(failures_lines(&board.figures, width, usize::from(bottom.height))), bottom);
    frame.render_widget(foot(board, &rows), footer);
    if board.shows_help {
        help(frame, area);
    }
}

/// The failures get what the table leaves, and at least a third of what there is if they need it.
fn failures_height(board: &Board, height: u16) -> u16 {
    if height < HEIGHT_FOR_FAILURES {
        return 0;
    }
    let rows = u16::try_from(board.rows().len()).unwrap_or(u16::MAX);
    let left = height.saturating_sub(HEADER + 1 + 1);
    let wanted = u16::try_from(board.figures.troubles.len()).unwrap_or(u16::MAX).saturating_add(2).max(4);
    wanted.min(left.saturating_sub(rows).max(left / 3))
}

/// Who is asked, and how it does as a whole.
fn header(board: &Board, now: Moment, width: usize) -> Vec<Line<'static>> {
    let is_old = board.lost.is_some();
    let why = board.lost.as_ref().map(|lost| format!("old figures: {}", lost.why));
    let separator = rule(&why.unwrap_or_default(), width);
    let separator = if is_old { separator.not_dim().red() } else { separator };
    vec![title(board, now), summary(&board.figures, is_old, width), separator]
}

fn title(board: &Board, now: Moment) -> Line<'static> {
    let figures = &board.figures;
    let mut spans = vec![
        "Aya ".bold(),
        figures.version.clone().into(),
        "  ".into(),
        board.target.clone().cyan(),
        "  ".into(),
    ];
    if let Some(lost) = &board.lost {
        let text = format!(" no answer for {} s, trying again ", lost.lasts(now).as_secs());
        spans.push(text.white().on_red().bold());
    } else {
        let up = uptime(figures.uptime_seconds);
        spans.push(
            format!("up {up}, {} workers, configuration {}", figures.workers, figures.generation).into(),
        );
    }
    if figures.draining {
        spans.push("  draining".yellow().bold());
    }
    if board.is_paused {
        spans.push("  paused".yellow().bold());
    }
    Line::from(spans)
}

fn summary(figures: &Figures, is_old: bool, width: usize) -> Line<'static> {
    let errors = match figures.error_share {
        Some(share) if share > 0.0 => percent(Some(share)).red().bold(),
        share => percent(share).green(),
    };
    let mut line = Line::from(vec![
        rate(figures.requests_per_second).bold(),
        " req/s   errors ".into(),
        errors,
        "   p50 ".into(),
        latency(figures.p50_ms).bold(),
        "   p99 ".into(),
        latency(figures.p99_ms).bold(),
        format!("   in flight {}", count(figures.in_flight)).into(),
        waiting(figures),
    ]);
    let connections = format!("   connections {}", count(figures.connections));
    // What waits is worth more than this.
    if figures.waiting == 0 || line.width() + connections.len() <= width {
        line.push_span(connections);
    }
    if is_old { line.dim() } else { line }
}

/// As in the table: behind a plus, and only where some wait.
fn waiting(figures: &Figures) -> Span<'static> {
    match figures.waiting {
        0 => Span::default(),
        waiting => format!("+{} waiting", count(waiting)).yellow().bold(),
    }
}

/// `3d 4h`, `4h 5m`, `5m 6s`, `6s`.
fn uptime(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, _, _) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

/// The column titles and so many lines that the marked one is among them.
pub(super) fn table(board: &Board, rows: &[Row<'_>], width: usize, height: usize) -> Vec<Line<'static>> {
    let columns = columns::fitting(width, rows, board.choice.lines);
    let choice = &board.choice;
    let cells = |texts: Vec<(String, Style)>| {
        let mut spans = Vec::new();
        for (text, style) in texts {
            spans.extend([Span::styled(text, style), " ".into()]);
        }
        spans.pop();
        Line::from(spans)
    };
    let headings =
        columns.iter().map(|(column, width)| column.heading(choice.sort, choice.is_reversed, *width));
    let mut lines = vec![cells(headings.collect())];
    if rows.is_empty() {
        let why =
            if board.figures.pools.is_empty() { "there are no pools" } else { "nothing fits the filter" };
        lines.push(why.dim().into());
    }
    let marked = board.marked_place(rows);
    let skipped = (marked + 1).saturating_sub(height);
    for (place, row) in rows.iter().enumerate().skip(skipped).take(height) {
        let line =
            cells(columns.iter().map(|(column, width)| column.cell(row, choice.lines, *width)).collect());
        let is_marked = place == marked && board.is_marking();
        lines.push(if is_marked { line.reversed() } else { line });
    }
    lines
}

/// What failed: how often for which reason, and the last of it by endpoint.
pub(super) fn failures_lines(figures: &Figures, width: usize, height: usize) -> Vec<Line<'static>> {
    let mut lines = vec![rule("last errors", width), reasons(figures)];
    let places = figures.troubles.iter().map(|trouble| trouble.pool.len() + 1 + trouble.endpoint.len());
    let place = places.max().unwrap_or_default().min(width / 2);
    let trouble = |trouble: &Trouble| {
        let age = age(figures.now_ms.saturating_sub(trouble.at_ms));
        let name = columns::shortened(&format!("{}/{}", trouble.pool, trouble.endpoint), place);
        Line::from(vec![
            format!("{age:>8}  ").dim(),
            format!("{name:<place$}  ").into(),
            trouble.what.clone().yellow(),
        ])
    };
    lines.extend(figures.troubles.iter().map(trouble));
    lines.truncate(height);
    lines
}

fn reasons(figures: &Figures) -> Line<'static> {
    let mut spans: Vec<Span<'static>> = vec!["clients saw: ".dim()];
    for failure in figures.failures.iter().take(MAX_REASONS) {
        if spans.len() > 1 {
            spans.push("  ".into());
        }
        match failure.per_second.filter(|rate| *rate > 0.0) {
            Some(now) => spans.push(format!("{} {}/s", failure.reason, rate(Some(now))).red()),
            None => spans.push(format!("{} {} in all", failure.reason, count(failure.count)).dim()),
        }
    }
    if spans.len() == 1 {
        let has_errors = figures.error_share.is_some_and(|share| share > 0.0);
        spans.push(if has_errors { "only 5xx that endpoints sent".yellow() } else { "no failure".green() });
    }
    Line::from(spans)
}

/// More reasons than fit beside each other on a wide screen.
const MAX_REASONS: usize = 8;

/// `12s ago`, `5m ago`, `3h ago`, `2d ago`.
fn age(milliseconds: u64) -> String {
    let seconds = milliseconds / 1_000;
    match seconds {
        0 => "now".to_owned(),
        1..120 => format!("{seconds}s ago"),
        120..7_200 => format!("{}m ago", seconds / 60),
        7_200..172_800 => format!("{}h ago", seconds / 3_600),
        _ => format!("{}d ago", seconds / 86_400),
    }
}

/// `── title ─────`
fn rule(title: &str, width: usize) -> Line<'static> {
    let title: String = title.chars().take(width.saturating_sub(6)).collect();
    let start = if title.is_empty() { String::new() } else { format!("── {title} ") };
    let rest = "─".repeat(width.saturating_sub(start.chars().count()));
    Line::from(format!("{start}{rest}")).dim()
}

/// The filter, or what is known of the marked line, or the keys.
fn foot(board: &Board, rows: &[Row<'_>]) -> Line<'static> {
    let choice = &board.choice;
    if board.is_typing {
        return Line::from(vec!["/".bold(), choice.filter.clone().into(), "█".into()]);
    }
    let mut spans = Vec::new();
    let keys =
        [("q", "quit"), ("?", "help"), ("←→", "sort"), ("/", "filter"), ("v", lines_word(choice.lines))];
    for (key, meaning) in keys {
        spans.extend([format!(" {key} ").reversed(), format!(" {meaning}  ").into()]);
    }
    if !choice.filter.is_empty() {
        spans.push(format!(" filter: {} ", choice.filter).yellow());
    }
    if choice.only_troubled {
        spans.push(" only troubled ".yellow());
    }
    if let Some(cause) = marked_cause(board, rows) {
        spans.push(cause.dim());
    }
    Line::from(spans)
}

/// Why the marked endpoint is in its state.
fn marked_cause(board: &Board, rows: &[Row<'_>]) -> Option<String> {
    let row = rows.get(board.marked_place(rows)).filter(|_| board.is_marking())?;
    let Some(endpoint) = row.endpoint else {
        let retries = rate(row.pool.retries_per_second);
        return Some(format!(
            "{}, retries {retries}/s, connections {}",
            row.pool.balance, row.pool.connections
        ));
    };
    let resolved = endpoint.resolved.as_ref().map(|address| format!("at {address}"));
    let cause = endpoint.cause.clone();
    Some([resolved, cause].into_iter().flatten().collect::<Vec<_>>().join(", "))
}

const fn lines_word(lines: Lines) -> &'static str {
    match lines {
        Lines::All => "all",
        Lines::Endpoints => "endpoints",
        Lines::Pools => "pools",
    }
}

fn help(frame: &mut Frame<'_>, area: Rect) {
    let lines: Vec<_> = KEYS
        .iter()
        .map(|(key, meaning)| Line::from(vec![format!("{key:<24}").bold(), (*meaning).into()]))
        .collect();
    let notes = [
        "",
        "Rates are of the last interval, quantiles (p50, p99) of the last ten.",
        "errors: answers 5xx and attempts without an answer.",
        "in flight 12+3: three more wait for an endpoint with room.",
    ];
    let lines: Vec<_> = lines.into_iter().chain(notes.map(Line::from)).collect();
    let height = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(2).min(area.height);
    let width = 94.min(area.width);
    let place = Rect { x: (area.width - width) / 2, y: (area.height - height) / 2, width, height };
    frame.render_widget(Clear, place);
    frame.render_widget(
        Paragraph::new(lines).block(Block::bordered().title(" keys ").padding(Padding::horizontal(1))),
        place,
    );
}

/// All of it as text, as wide as asked for and as long as it takes; for scripts and files.
pub(super) fn text(board: &Board, width: usize) -> String {
    let rows = board.rows();
    let mut lines = header(board, Moment::ZERO, width);
    lines.extend(table(board, &rows, width, rows.len()));
    lines.extend(failures_lines(&board.figures, width, usize::MAX));
    lines.iter().map(|line| format!("{line}").trim_end().to_owned() + "\n").collect()
}
