//! What each column of the table shows, and how wide it is.

use ratatui::style::{Color, Style};

use super::table::{Lines, Row, Sort};

/// A column.
pub(super) struct Column {
    title: &'static str,
    what: What,
    width: usize,
    /// The width of the screen from which on there is room for it.
    from_width: usize,
    /// What sorts by it.
    pub(super) sort: Option<Sort>,
    is_number: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Name,
    State,
    Weight,
    Rate,
    Errors,
    InFlight,
    P50,
    P99,
    Requests,
    AllErrors,
    Cause,
}

const fn column(
    title: &'static str,
    what: What,
    width: usize,
    from_width: usize,
    sort: Option<Sort>,
) -> Column {
    let is_number = !matches!(what, What::Name | What::State | What::Cause);
    Column { title, what, width, from_width, sort, is_number }
}

/// Name and cause take what is left; the others fit, with gaps, into 80 together.
const COLUMNS: [Column; 11] = [
    column("pool / endpoint", What::Name, MIN_NAME, 0, Some(Sort::Name)),
    column("state", What::State, 11, 0, Some(Sort::State)),
    column("weight", What::Weight, 7, 0, Some(Sort::Weight)),
    column("req/s", What::Rate, 7, 0, Some(Sort::Rate)),
    column("errors", What::Errors, 7, 0, Some(Sort::Errors)),
    column("in flight", What::InFlight, 9, 0, Some(Sort::InFlight)),
    column("p50", What::P50, 6, 0, Some(Sort::P50)),
    column("p99", What::P99, 6, 0, Some(Sort::P99)),
    column("requests", What::Requests, 9, 104, None),
    column("failed", What::AllErrors, 7, 104, None),
    column("cause", What::Cause, MIN_CAUSE, 120, None),
];
/// An address of IPv4 with its port, and the indent.
const MIN_NAME: usize = 20;
/// Room for a pool and an address in one.
const MAX_NAME: usize = 44;
const MIN_CAUSE: usize = 19;
/// From this width on there is room for the share behind any weight.
const ROOM_FOR_SHARES: usize = 84;
const MORE_FOR_SHARES: usize = 2;

/// The columns for a screen of this width and these lines, each with its width.
pub(super) fn fitting(width: usize, rows: &[Row<'_>], lines: Lines) -> Vec<(&'static Column, usize)> {
    let is_shown = |column: &&Column| column.from_width <= width;
    let with_room = |column: &Column| {
        let more = if column.what == What::Weight && width >= ROOM_FOR_SHARES { MORE_FOR_SHARES } else { 0 };
        column.width + more
    };
    let mut columns: Vec<_> =
        COLUMNS.iter().filter(is_shown).map(|column| (column, with_room(column))).collect();
    let taken: usize = columns.iter().map(|(_, width)| width + 1).sum();
    let mut left = (width + 1).saturating_sub(taken);
    if let Some((_, width)) = columns.first_mut() {
        let names = rows.iter().map(|row| name(row, lines, MAX_NAME).0.chars().count());
        let wanted = names.max().unwrap_or_default().clamp(MIN_NAME, MAX_NAME);
        let more = left.min(wanted - MIN_NAME);
        *width += more;
        left -= more;
    }
    if let Some((_, width)) = columns.last_mut().filter(|(column, _)| column.what == What::Cause) {
        *width += left;
    }
    columns
}

impl Column {
    /// The title, with an arrow where lines are ordered by it.
    pub(super) fn heading(&self, sort: Sort, is_reversed: bool, width: usize) -> (String, Style) {
        let style = Style::new().bold();
        if self.sort != Some(sort) {
            return (self.placed(self.title, width), style);
        }
        let arrow = if is_reversed { "▲" } else { "▼" };
        (self.placed(&format!("{}{arrow}", self.title), width), style.cyan())
    }

    /// What a line says.
    pub(super) fn cell(&self, row: &Row<'_>, lines: Lines, width: usize) -> (String, Style) {
        let (text, style) = self.content(row, lines, width);
        (self.placed(&text, width), style)
    }

    fn placed(&self, text: &str, width: usize) -> String {
        match self.what {
            // Prose is cut off at its end, names in the middle.
            What::Cause => format!("{text:<width$.width$}"),
            _ if self.is_number => format!("{:>width$}", shortened(text, width)),
            _ => format!("{:<width$}", shortened(text, width)),
        }
    }

    fn content(&self, row: &Row<'_>, lines: Lines, width: usize) -> (String, Style) {
        let (load, plain) = (row.load(), Style::new());
        match self.what {
            What::Name => name(row, lines, width),
            What::State => state(row),
            What::Weight => (row.endpoint.map_or_else(String::new, |_| weight(row, width)), plain),
            What::Rate => (rate(load.requests_per_second), plain),
            What::Errors => (percent(load.error_share), trouble(load.error_share)),
            What::InFlight => in_flight(row),
            What::P50 => (latency(load.p50_ms), plain),
            What::P99 => (latency(load.p99_ms), plain),
            What::Requests => (count(load.requests), plain.dim()),
            What::AllErrors => (count(load.errors), plain.dim()),
            What::Cause => {
                let cause = row.endpoint.and_then(|endpoint| endpoint.cause.clone());
                (cause.unwrap_or_default(), plain.dim())
            }
        }
    }
}

fn name(row: &Row<'_>, lines: Lines, width: usize) -> (String, Style) {
    match (row.endpoint, lines) {
        (None, _) => (row.pool.name.clone(), Style::new().bold()),
        (Some(endpoint), Lines::Endpoints) => {
            // What tells endpoints apart is the address: of the pool there is what has room.
            let room = width.saturating_sub(endpoint.address.chars().count() + 1);
            let pool = if room < 4 { String::new() } else { format!("{} ", shortened(&row.pool.name, room)) };
            (format!("{pool}{}", endpoint.address), Style::new())
        }
        (Some(endpoint), _) => {
            (format!("  {}", shortened(&endpoint.address, width.saturating_sub(2))), Style::new())
        }
    }
}

fn state(row: &Row<'_>) -> (String, Style) {
    let Some(endpoint) = row.endpoint else {
        let (eligible, all) = (row.eligible(), row.pool.endpoints.len());
        if row.pool.panic {
            return (format!("{eligible}/{all} panic"), Style::new().fg(Color::Red).bold());
        }
        let color = match eligible {
            0 if all > 0 => Color::Red,
            _ if eligible < all || row.is_lowered() => Color::Yellow,
            _ => Color::Green,
        };
        return (format!("{eligible}/{all} up"), Style::new().fg(color));
    };
    let color = match (endpoint.condition.as_str(), endpoint.eligible) {
        ("down" | "ejected", _) => Color::Red,
        ("up", true) => Color::Green,
        // Drained, degraded, in reserve, and what this version does not know yet.
        _ => Color::Yellow,
    };
    (endpoint.condition.clone(), Style::new().fg(color))
}

/// Requests in flight; of a pool, also those that wait for room, in a colour of their own.
fn in_flight(row: &Row<'_>) -> (String, Style) {
    let in_flight = count(row.load().in_flight);
    match row.pool.waiting {
        waiting if waiting > 0 && row.endpoint.is_none() => {
            (format!("{in_flight}+{}", count(waiting.into())), Style::new().yellow().bold())
        }
        _ => (in_flight, Style::new()),
    }
}

/// The weight, and the part of it that counts where there is room.
fn weight(row: &Row<'_>, width: usize) -> String {
    let Some(endpoint) = row.endpoint else { return String::new() };
    let weight = endpoint.weight.to_string();
    match row.share() {
        Some(share) if weight.len() + format!("·{share}%").chars().count() <= width => {
            format!("{weight}·{share}%")
        }
        _ => weight,
    }
}

fn trouble(share: Option<f64>) -> Style {
    match share {
        Some(share) if share >= 0.05 => Style::new().red().bold(),
        Some(share) if share > 0.0 => Style::new().yellow(),
        _ => Style::new(),
    }
}

/// What stands for something that is not known.
const NOTHING: &str = "–";

/// `0.5`, `342`, `12.3k`.
pub(super) fn rate(per_second: Option<f64>) -> String {
    per_second.map_or_else(
        || NOTHING.to_owned(),
        |rate| match rate {
            0.0 => "0".to_owned(),
            _ if rate < 9.95 => format!("{rate:.1}"),
            _ => large(rate),
        },
    )
}

/// `12 345`, in few cells.
pub(super) fn count(count: u64) -> String {
    large(count as f64)
}

fn large(number: f64) -> String {
    match number {
        _ if number < 99_999.5 => format!("{number:.0}"),
        _ if number < 999_950.0 => format!("{:.1}k", number / 1e3),
        _ if number < 999_950_000.0 => format!("{:.1}M", number / 1e6),
        _ => format!("{:.1}G", number / 1e9),
    }
}

/// `0.02%`, `3.4%`, `100%`; nothing wrong is `0`.
pub(super) fn percent(share: Option<f64>) -> String {
    share.map_or_else(
        || NOTHING.to_owned(),
        |share| match share * 100.0 {
            0.0 => "0".to_owned(),
            percent if percent < 0.01 => "<0.01%".to_owned(),
            percent if percent < 0.995 => format!("{percent:.2}%"),
            percent if percent < 9.95 => format!("{percent:.1}%"),
            percent => format!("{percent:.0}%"),
        },
    )
}

/// `85µs`, `1.2ms`, `12ms`, `1.2s`.
pub(super) fn latency(milliseconds: Option<f64>) -> String {
    milliseconds.map_or_else(
        || NOTHING.to_owned(),
        |ms| match ms {
            _ if ms < 0.9995 => format!("{:.0}µs", ms * 1e3),
            _ if ms < 9.95 => format!("{ms:.1}ms"),
            _ if ms < 999.5 => format!("{ms:.0}ms"),
            _ if ms < 9_950.0 => format!("{:.1}s", ms / 1e3),
            _ => format!("{:.0}s", ms / 1e3),
        },
    )
}

/// At most so many characters: what is left out is in the middle, because names differ at both ends.
pub(super) fn shortened(text: &str, width: usize) -> String {
    let length = text.chars().count();
    if length <= width {
        return text.to_owned();
    }
    let Some(kept) = width.checked_sub(1) else { return String::new() };
    let end = kept.div_ceil(2);
    let start: String = text.chars().take(kept - end).collect();
    start + "…" + &text.chars().skip(length - end).collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_take_few_cells() {
        let rates = [0.0, 0.04, 9.94, 9.96, 99_999.0, 123_456.0, 12_345_678.0, 5e9];
        let shown = rates.map(|value| rate(Some(value)));
        assert_eq!(shown, ["0", "0.0", "9.9", "10", "99999", "123.5k", "12.3M", "5.0G"]);
        let shares = [0.0, 0.00001, 0.0002, 0.034, 0.5, 1.0].map(|value| percent(Some(value)));
        assert_eq!(shares, ["0", "<0.01%", "0.02%", "3.4%", "50%", "100%"]);
        let times = [0.085, 1.23, 12.3, 999.4, 1_234.0, 60_000.0].map(|value| latency(Some(value)));
        assert_eq!(times, ["85µs", "1.2ms", "12ms", "999ms", "1.2s", "60s"]);
        assert_eq!((rate(None), percent(None), latency(None)), ("–".into(), "–".into(), "–".into()));
    }

    #[test]
    fn names_are_shortened_in_the_middle() {
        assert_eq!(shortened("10.0.0.1:8080", 13), "10.0.0.1:8080");
        assert_eq!(shortened("api-7f9c.shop.svc:8080", 12), "api-7…c:8080");
        assert_eq!((shortened("abc", 1), shortened("abc", 0)), ("…".into(), String::new()));
    }
}
