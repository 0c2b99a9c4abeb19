//! Lines over an axis, as an SVG document that needs nothing else, for light and dark pages.

use std::fmt::Write as _;

const HEIGHT: f64 = 540.0;
/// Room for the numbers of the vertical axis.
const LEFT: f64 = 80.0;
/// Where the lines end; the names stand behind.
const RIGHT: f64 = 750.0;
/// What the names need besides their characters.
const LEGEND: f64 = 70.0;
/// The width of a character of a name; most are narrower.
const CHARACTER: f64 = 8.0;
/// Room for the title and the words of marks and shades.
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

/// Lines over an axis.
#[derive(Clone, Debug, Default)]
pub struct LineChart {
    /// Above it all.
    pub title: String,
    /// What the horizontal axis counts.
    pub across: String,
    /// What the vertical axis counts.
    pub upward: String,
    /// From the lowest to the uppermost.
    pub lines: Vec<ChartLine>,
    /// Where the horizontal axis ends, unless a line goes on.
    pub width: f64,
    /// Whether the horizontal axis counts in powers of ten, from 1 on.
    pub is_logarithmic: bool,
    /// Shades, each from one place to another, with a word.
    pub shades: Vec<(f64, f64, &'static str)>,
    /// Dashed upright lines, each with a number.
    pub marks: Vec<(f64, f64)>,
}

/// A line and its name. What is the same up to the first comma in names has the same colour.
#[derive(Clone, Debug, Default)]
pub struct ChartLine {
    /// Behind its end.
    pub name: String,
    /// From left to right; a gap where there is no value.
    pub points: Vec<(f64, Option<f64>)>,
}

impl LineChart {
    /// As an SVG document.
    pub fn svg(&self) -> String {
        let frame = Frame::around(self);
        let mut out = String::new();
        let longest = self.lines.iter().map(|line| line.name.chars().count()).max().unwrap_or_default();
        self.begin(&mut out, RIGHT + LEGEND + CHARACTER * longest as f64);
        draw_shades(&mut out, &frame, &self.shades);
        frame.draw_axes(&mut out);
        draw_marks(&mut out, &frame, &self.marks);
        let mut looks = Looks::default();
        for (index, line) in self.lines.iter().enumerate() {
            let (colour, dash) = looks.of(&line.name);
            // Upper lines are thinner, so that one that is covered all along can still be seen.
            let stroke = 1.5 + 0.4 * (self.lines.len() - 1 - index) as f64;
            let style = format!(
                r#"fill="none" stroke="{colour}" stroke-width="{stroke:.1}" stroke-dasharray="{dash}""#
            );
            let path = frame.path(line);
            write(&mut out, format_args!(r#"<path d="{path}" {style} stroke-linejoin="round"/>"#));
            let (x, y) = (RIGHT + 20.0, TOP + 10.0 + 22.0 * index as f64);
            write(&mut out, format_args!(r#"<path d="M{x} {y}h28" {style}/>"#));
            let (x, y, name) = (x + 36.0, y + 4.0, escaped(&line.name));
            write(&mut out, format_args!(r#"<text x="{x}" y="{y}" font-size="13">{name}</text>"#));
        }
        out.push_str("</svg>\n");
        out
    }

    fn begin(&self, out: &mut String, width: f64) {
        write(
            out,
            format_args!(
                r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT}" width="{width}" height="{HEIGHT}" font-family="sans-serif">"#
            ),
        );
        write(out, format_args!("{STYLE}"));
        let title = escaped(&self.title);
        write(out, format_args!(r#"<text x="{LEFT}" y="26" font-size="15">{title}</text>"#));
        let (middle, word) = ((TOP + HEIGHT - BOTTOM) / 2.0, escaped(&self.upward));
        write(
            out,
            format_args!(
                r#"<text transform="translate(20 {middle}) rotate(-90)" font-size="13" text-anchor="middle">{word}</text>"#
            ),
        );
        let (x, y, word) = ((LEFT + RIGHT) / 2.0, HEIGHT - 16.0, escaped(&self.across));
        write(
            out,
            format_args!(r#"<text x="{x}" y="{y}" font-size="13" text-anchor="middle">{word}</text>"#),
        );
    }
}

/// Colours and dashes: one colour for a family.
#[derive(Default)]
struct Looks<'a> {
    /// Each with how often it was there.
    families: Vec<(&'a str, usize)>,
}

impl<'a> Looks<'a> {
    fn of(&mut self, name: &'a str) -> (&'static str, &'static str) {
        let family = name.split(", ").next().unwrap_or(name);
        let index = self.families.iter().position(|(known, _)| *known == family).unwrap_or_else(|| {
            self.families.push((family, 0));
            self.families.len() - 1
        });
        let seen = self.families.get_mut(index).map_or(0, |(_, seen)| {
            *seen += 1;
            *seen - 1
        });
        let dash = (index / COLOURS.len() + seen) % DASHES.len();
        let colour = COLOURS.get(index % COLOURS.len()).copied().unwrap_or(INK);
        (colour, DASHES.get(dash).copied().unwrap_or("none"))
    }
}

fn draw_shades(out: &mut String, frame: &Frame, shades: &[(f64, f64, &'static str)]) {
    let mut free = LEFT;
    for (from, to, word) in shades {
        let (x, end) = (frame.x(from.max(0.0)), frame.x(to.min(frame.right)));
        let (width, height) = ((end - x).max(0.0), HEIGHT - BOTTOM - TOP);
        write(
            out,
            format_args!(
                r#"<rect x="{x:.1}" y="{TOP}" width="{width:.1}" height="{height}" class="fault"/>"#
            ),
        );
        // Of shades at the same place the words stand side by side, above those of marks.
        let (x, y) = (free.max(x + 4.0), TOP - 24.0);
        free = x + CHARACTER * (word.len() + 1) as f64;
        write(out, format_args!(r#"<text x="{x:.1}" y="{y}" font-size="12" class="quiet">{word}</text>"#));
    }
}

fn draw_marks(out: &mut String, frame: &Frame, marks: &[(f64, f64)]) {
    for (index, (place, load)) in marks.iter().enumerate() {
        let x = frame.x(*place);
        let (top, bottom) = (TOP - 6.0, HEIGHT - BOTTOM);
        write(out, format_args!(r#"<path d="M{x:.1} {top}V{bottom}" class="mark" stroke-dasharray="4 4"/>"#));
        let (x, y, word) = (x + 4.0, TOP - 8.0, if index == 0 { "load " } else { "" });
        write(
            out,
            format_args!(r#"<text x="{x:.1}" y="{y}" font-size="11" class="quiet">{word}{load}</text>"#),
        );
    }
}

/// Where values are on the page.
struct Frame {
    right: f64,
    is_logarithmic_across: bool,
    low: f64,
    high: f64,
    is_logarithmic: bool,
}

impl Frame {
    fn around(chart: &LineChart) -> Self {
        let points = || chart.lines.iter().flat_map(|line| &line.points);
        let values = || points().filter_map(|(_, value)| *value);
        let (least, most) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
        let is_logarithmic = least > 0.0 && most / least > LOGARITHMIC_FROM;
        let right = points().map(|(place, _)| *place).fold(chart.width, f64::max).max(1e-9);
        let is_logarithmic_across = chart.is_logarithmic;
        if is_logarithmic {
            let (low, high) = (10_f64.powf(least.log10().floor()), 10_f64.powf(most.log10().ceil()));
            return Self { right, is_logarithmic_across, low, high, is_logarithmic };
        }
        let step = step_of(most.max(1e-3), ROWS);
        let high = (most.max(1e-3) / step).ceil() * step;
        Self { right, is_logarithmic_across, low: 0.0, high, is_logarithmic }
    }

    fn x(&self, place: f64) -> f64 {
        let share = if self.is_logarithmic_across {
            place.max(1.0).log10() / self.right.max(10.0).log10()
        } else {
            place / self.right
        };
        LEFT + share * (RIGHT - LEFT)
    }

    /// Places that get a number on the horizontal axis.
    fn places(&self) -> Vec<f64> {
        if !self.is_logarithmic_across {
            return multiples(step_of(self.right, COLUMNS), self.right);
        }
        (0..).map(|power| 10_f64.powi(power)).take_while(|place| *place <= self.right * 1.001).collect()
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
    fn path(&self, line: &ChartLine) -> String {
        let mut path = String::new();
        let mut joined = false;
        for (place, value) in &line.points {
            if let Some(value) = value {
                let command = if joined { 'L' } else { 'M' };
                // Writing to a string cannot fail.
                let _ = write!(path, "{command}{:.1} {:.1}", self.x(*place), self.y(*value));
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
        for place in self.places() {
            let (x, end, y) = (self.x(place), bottom + 5.0, bottom + 20.0);
            write(out, format_args!(r#"<path d="M{x:.1} {bottom}V{end}" stroke="{INK}"/>"#));
            let place = number(place);
            write(
                out,
                format_args!(
                    r#"<text x="{x:.1}" y="{y}" font-size="12" text-anchor="middle">{place}</text>"#
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
