//! Latency over time, one line for each policy, as an SVG document that needs nothing else, for light and dark pages.

use std::fmt::Write as _;

use crate::report::Quantile;
use crate::simulation::{PolicyResult, Simulation};

const HEIGHT: f64 = 540.0;
/// Room for the numbers of the vertical axis.
const LEFT: f64 = 80.0;
/// Where the lines end; the names stand behind.
const RIGHT: f64 = 750.0;
/// What the names need besides their characters.
const LEGEND: f64 = 70.0;
/// The width of a character of a name; most are narrower.
const CHARACTER: f64 = 8.0;
/// Room for the title and the phases' loads.
const TOP: f64 = 70.0;
/// Room for the numbers of the horizontal axis.
const BOTTOM: f64 = 60.0;
/// Most numbers of the vertical axis, besides 0.
const ROWS: f64 = 5.0;
/// Most numbers of the horizontal axis, besides 0.
const COLUMNS: f64 = 8.0;
/// Colours that the colour-blind can tell apart (Okabe and Ito, 2008).
const COLOURS: [&str; 7] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", INK];
/// What words and axes are drawn in.
const INK: &str = "currentColor";
/// Words and axes are as dark or as light as the page wants them; what is behind them is the page.
const STYLE: &str = "<style>\
    svg{color:#222;background:#fff}.faint{stroke:#ddd}.mark{stroke:#999}.quiet{fill:#555}.fault{fill:#000;opacity:.06}text{fill:currentColor}\
    @media(prefers-color-scheme:dark){svg{color:#e6e6e6;background:#161b22}.faint{stroke:#30363d}.mark{stroke:#777}.quiet{fill:#aaa}\
    .fault{fill:#fff;opacity:.09}}</style>";
/// Beyond the colours, lines are dashed as well.
const DASHES: [&str; 3] = ["none", "7 4", "2 3"];
/// When the largest value is so many times the smallest, a linear axis would hide the small ones.
const LOGARITHMIC_FROM: f64 = 20.0;

/// The chart as an SVG document.
pub fn chart(simulation: &Simulation, results: &[PolicyResult], quantile: Quantile) -> String {
    let lines: Vec<Line<'_>> = results
        .iter()
        .map(|result| Line {
            policy: &result.policy,
            points: result
                .points
                .iter()
                .map(|point| (point.seconds, point.latency.map(|latency| quantile.of(&latency))))
                .collect(),
        })
        .collect();
    let frame = Frame::around(&lines, simulation.measured_seconds());
    let mut out = String::new();
    let longest = lines.iter().map(|line| line.policy.chars().count()).max().unwrap_or_default();
    begin(&mut out, RIGHT + LEGEND + CHARACTER * longest as f64, simulation, quantile);
    draw_faults(&mut out, &frame, &simulation.fault_marks());
    frame.draw_axes(&mut out);
    draw_phases(&mut out, &frame, &simulation.phase_marks());
    let mut looks = Looks::default();
    for (index, line) in lines.iter().enumerate() {
        let (colour, dash) = looks.of(line.policy);
        // Upper lines are thinner, so that one that is covered all along can still be seen.
        let stroke = 1.5 + 0.4 * (lines.len() - 1 - index) as f64;
        let style =
            format!(r#"fill="none" stroke="{colour}" stroke-width="{stroke:.1}" stroke-dasharray="{dash}""#);
        write(&mut out, format_args!(r#"<path d="{}" {style} stroke-linejoin="round"/>"#, frame.path(line)));
        let (x, y) = (RIGHT + 20.0, TOP + 10.0 + 22.0 * index as f64);
        write(&mut out, format_args!(r#"<path d="M{x} {y}h28" {style}/>"#));
        let (x, y, name) = (x + 36.0, y + 4.0, escaped(line.policy));
        write(&mut out, format_args!(r#"<text x="{x}" y="{y}" font-size="13">{name}</text>"#));
    }
    out.push_str("</svg>\n");
    out
}

/// Colours and dashes: a balancer in several pools has one colour.
#[derive(Default)]
struct Looks<'a> {
    /// Each with how often it was there.
    balancers: Vec<(&'a str, usize)>,
}

impl<'a> Looks<'a> {
    fn of(&mut self, policy: &'a str) -> (&'static str, &'static str) {
        let balancer = policy.split(", ").next().unwrap_or(policy);
        let index = self.balancers.iter().position(|(known, _)| *known == balancer).unwrap_or_else(|| {
            self.balancers.push((balancer, 0));
            self.balancers.len() - 1
        });
        let seen = self.balancers.get_mut(index).map_or(0, |(_, seen)| {
            *seen += 1;
            *seen - 1
        });
        let dash = (index / COLOURS.len() + seen) % DASHES.len();
        let colour = COLOURS.get(index % COLOURS.len()).copied().unwrap_or(INK);
        (colour, DASHES.get(dash).copied().unwrap_or("none"))
    }
}

/// A shade while something is wrong, and what it is.
fn draw_faults(out: &mut String, frame: &Frame, faults: &[(f64, f64, &'static str)]) {
    let mut free = LEFT;
    for (from, to, word) in faults {
        let (x, end) = (frame.x(from.max(0.0)), frame.x(to.min(frame.seconds)));
        let (width, height) = ((end - x).max(0.0), HEIGHT - BOTTOM - TOP);
        write(
            out,
            format_args!(
                r#"<rect x="{x:.1}" y="{TOP}" width="{width:.1}" height="{height}" class="fault"/>"#
            ),
        );
        // Of faults at the same time the words stand side by side, above those of phases.
        let (x, y) = (free.max(x + 4.0), TOP - 24.0);
        free = x + CHARACTER * (word.len() + 1) as f64;
        write(out, format_args!(r#"<text x="{x:.1}" y="{y}" font-size="12" class="quiet">{word}</text>"#));
    }
}

/// A dashed line where each phase begins, and its load above.
fn draw_phases(out: &mut String, frame: &Frame, marks: &[(f64, f64)]) {
    for (index, (seconds, load)) in marks.iter().enumerate() {
        let x = frame.x(*seconds);
        let (top, bottom) = (TOP - 6.0, HEIGHT - BOTTOM);
        write(out, format_args!(r#"<path d="M{x:.1} {top}V{bottom}" class="mark" stroke-dasharray="4 4"/>"#));
        let (x, y, word) = (x + 4.0, TOP - 8.0, if index == 0 { "load " } else { "" });
        write(
            out,
            format_args!(r#"<text x="{x:.1}" y="{y}" font-size="11" class="quiet">{word}{load}</text>"#),
        );
    }
}

/// A policy's values over time.
struct Line<'a> {
    policy: &'a str,
    points: Vec<(f64, Option<f64>)>,
}

fn begin(out: &mut String, width: f64, simulation: &Simulation, quantile: Quantile) {
    write(
        out,
        format_args!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT}" width="{width}" height="{HEIGHT}" font-family="sans-serif">"#
        ),
    );
    write(out, format_args!("{STYLE}"));
    let title = escaped(&simulation.describe());
    write(out, format_args!(r#"<text x="{LEFT}" y="26" font-size="15">{title}</text>"#));
    let (middle, word) = ((TOP + HEIGHT - BOTTOM) / 2.0, quantile.word());
    write(
        out,
        format_args!(
            r#"<text transform="translate(20 {middle}) rotate(-90)" font-size="13" text-anchor="middle">{word} latency, ms</text>"#
        ),
    );
    let (x, y) = ((LEFT + RIGHT) / 2.0, HEIGHT - 16.0);
    write(
        out,
        format_args!(
            r#"<text x="{x}" y="{y}" font-size="13" text-anchor="middle">seconds after the warm-up</text>"#
        ),
    );
}

/// Where values are on the page.
struct Frame {
    seconds: f64,
    low: f64,
    high: f64,
    is_logarithmic: bool,
}

impl Frame {
    fn around(lines: &[Line<'_>], seconds: f64) -> Self {
        let values = || lines.iter().flat_map(|line| &line.points).filter_map(|(_, value)| *value);
        let (least, most) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
        let is_logarithmic = least > 0.0 && most / least > LOGARITHMIC_FROM;
        let seconds = seconds.max(1e-9);
        if is_logarithmic {
            let (low, high) = (10_f64.powf(least.log10().floor()), 10_f64.powf(most.log10().ceil()));
            return Self { seconds, low, high, is_logarithmic };
        }
        let step = step_of(most.max(1e-3), ROWS);
        Self { seconds, low: 0.0, high: (most.max(1e-3) / step).ceil() * step, is_logarithmic }
    }

    fn x(&self, seconds: f64) -> f64 {
        LEFT + seconds / self.seconds * (RIGHT - LEFT)
    }

    fn y(&self, value: f64) -> f64 {
        let share = if self.is_logarithmic {
            (value / self.low).log10() / (self.high / self.low).log10()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP)
    }

    /// The line, with gaps where there is no value.
    fn path(&self, line: &Line<'_>) -> String {
        let mut path = String::new();
        let mut joined = false;
        for (seconds, value) in &line.points {
            if let Some(value) = value {
                let command = if joined { 'L' } else { 'M' };
                // Writing to a string cannot fail.
                let _ = write!(path, "{command}{:.1} {:.1}", self.x(*seconds), self.y(*value));
            }
            joined = value.is_some();
        }
        path
    }

    fn draw_axes(&self, out: &mut String) {
        let bottom = HEIGHT - BOTTOM;
        for value in self.values() {
            let y = self.y(value);
            write(out, format_args!(r#"<path d="M{LEFT} {y:.1}H{RIGHT}" class="faint"/>"#));
            let (x, y, value) = (LEFT - 8.0, y + 4.0, number(value));
            write(
                out,
                format_args!(r#"<text x="{x}" y="{y:.1}" font-size="12" text-anchor="end">{value}</text>"#),
            );
        }
        for seconds in multiples(step_of(self.seconds, COLUMNS), self.seconds) {
            let (x, end, y) = (self.x(seconds), bottom + 5.0, bottom + 20.0);
            write(out, format_args!(r#"<path d="M{x:.1} {bottom}V{end}" stroke="{INK}"/>"#));
            let seconds = number(seconds);
            write(
                out,
                format_args!(
                    r#"<text x="{x:.1}" y="{y}" font-size="12" text-anchor="middle">{seconds}</text>"#
                ),
            );
        }
        write(out, format_args!(r#"<path d="M{LEFT} {TOP}V{bottom}H{RIGHT}" fill="none" stroke="{INK}"/>"#));
    }

    /// Values that get a number on the vertical axis.
    fn values(&self) -> Vec<f64> {
        if !self.is_logarithmic {
            return multiples(step_of(self.high, ROWS), self.high);
        }
        let (first, last) = (self.low.log10().round() as i32, self.high.log10().round() as i32);
        // Few decades leave room for numbers between.
        let between: &[f64] = if last - first <= 3 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let all = (first..=last).flat_map(|power| between.iter().map(move |part| part * 10_f64.powi(power)));
        all.filter(|value| *value <= self.high * 1.001).collect()
    }
}

/// A round number of which at most so many fit in the range: 1, 2 or 5 times a power of ten.
fn step_of(range: f64, parts: f64) -> f64 {
    let rough = range / parts;
    let power = 10_f64.powf(rough.log10().floor());
    let steps = [1.0, 2.0, 5.0].map(|part| part * power);
    steps.into_iter().find(|step| *step >= rough * 0.999).unwrap_or(10.0 * power)
}

/// 0, the step, twice the step and so on, up to the limit.
fn multiples(step: f64, limit: f64) -> Vec<f64> {
    (0..=(limit / step * 1.001) as u32).map(|number| f64::from(number) * step).collect()
}

/// Without zeros that say nothing.
fn number(value: f64) -> String {
    if value >= 1.0 || value == 0.0 {
        let text = format!("{value:.2}");
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    format!("{value:.6}").trim_end_matches('0').to_owned()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn write(out: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = out.write_fmt(line);
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round() {
        for (range, step) in [(10.0, 2.0), (60.0, 20.0), (1.0, 0.2), (240.0, 50.0), (7.0, 2.0)] {
            assert!((step_of(range, 5.0) - step).abs() < 1e-9, "{range}: {}", step_of(range, 5.0));
        }
        assert_eq!(multiples(2.0, 6.0), [0.0, 2.0, 4.0, 6.0]);
    }

    #[test]
    fn numbers_are_short() {
        let numbers = [(0.0, "0"), (0.05, "0.05"), (2.5, "2.5"), (100.0, "100"), (20_000.0, "20000")];
        for (value, text) in numbers {
            assert_eq!(number(value), text);
        }
    }
}
