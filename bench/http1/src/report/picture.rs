//! CPU time per request as bars, as an SVG document that needs nothing else, for light and dark pages.

use std::fmt::Write as _;

use crate::proxies::Proxy;
use crate::results::{CaseResult, Row};

const WIDTH: f64 = 860.0;
/// Room for names.
const LEFT: f64 = 150.0;
/// Room for figures behind the bars.
const RIGHT: f64 = 120.0;
const TOP: f64 = 64.0;
const BAR: f64 = 16.0;
/// Between cases, with the case's name in it.
const GAP: f64 = 34.0;
/// Bars that would be longer end here, and say so by their figure.
const MOST: f64 = 8.0;
const STYLE: &str = "<style>svg{color:#222;background:#fff}text{fill:currentColor}.faint{stroke:#ddd}.peer{fill:#9aa5b1}.floor{fill:#c9d1d9}\
    .aya{fill:#0072b2}@media(prefers-color-scheme:dark){svg{color:#e6e6e6;background:#161b22}.faint{stroke:#30363d}.peer{fill:#6e7a87}\
    .floor{fill:#484f58}.aya{fill:#4fa8dc}}</style>";

/// One group of bars a case; the bare relay is 1.
pub(crate) fn bars(cases: &[CaseResult]) -> String {
    let mut body = String::new();
    let mut y = TOP;
    for case in cases {
        let rows = measured(case);
        let Some(floor) = rows.iter().find(|row| row.proxy == Proxy::Relay).map(|row| row.cpu_us()) else {
            continue;
        };
        y += GAP;
        line(
            &mut body,
            &text(LEFT, y - 8.0, 14, &format!(r#"<tspan font-weight="bold">{}</tspan>"#, case.title)),
        );
        for row in rows {
            draw(&mut body, y, row, row.cpu_us() / floor);
            y += BAR + 3.0;
        }
    }
    let (height, unit) = (y + 20.0, scale());
    let mut out = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0}" font-family="system-ui, sans-serif" role="img" aria-label="CPU time per request of proxies, compared with a bare relay">{STYLE}"#
    );
    line(&mut out, &text(LEFT, 26.0, 17, "CPU time per request, bare relay = 1"));
    line(&mut out, &text(LEFT, 48.0, 13, "shorter is better; figures: times the relay, and µs"));
    for tick in 0..=MOST as u32 {
        let x = LEFT + unit * f64::from(tick);
        line(&mut out, &format!(r#"<path d="M{x:.1} {TOP}V{:.0}" class="faint"/>"#, y + 4.0));
    }
    out.push_str(&body);
    out.push_str("</svg>\n");
    out
}

fn measured(case: &CaseResult) -> Vec<&Row> {
    case.rows.iter().filter(|row| row.cpu_us().is_finite()).collect()
}

/// What 1 is as wide as.
fn scale() -> f64 {
    (WIDTH - LEFT - RIGHT) / MOST
}

fn draw(out: &mut String, y: f64, row: &Row, ratio: f64) {
    let class = match row.proxy {
        Proxy::Relay => "floor",
        proxy if proxy.is_peer() => "peer",
        _ => "aya",
    };
    let width = scale() * ratio.min(MOST);
    line(
        out,
        &format!(r#"<rect x="{LEFT}" y="{y:.1}" width="{width:.1}" height="{BAR}" rx="2" class="{class}"/>"#),
    );
    let name = format!(r#"<tspan text-anchor="end">{}</tspan>"#, row.name);
    line(out, &text(LEFT - 8.0, y + 12.5, 13, &name));
    let figure = format!("{ratio:.2} · {:.1} µs", row.cpu_us());
    line(out, &text(LEFT + width + 6.0, y + 12.5, 12, &figure));
}

fn text(x: f64, y: f64, size: u32, text: &str) -> String {
    format!(r#"<text x="{x:.1}" y="{y:.1}" font-size="{size}">{text}</text>"#)
}

fn line(out: &mut String, element: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{element}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_the_ratio() {
        let row = |proxy, name: &str, cpu_us| Row { cpu_us: vec![cpu_us], ..Row::new(proxy, name) };
        let rows = vec![
            Row::new(Proxy::Direct, "direct"),
            row(Proxy::Relay, "bare relay", 10.0),
            row(Proxy::Aya, "Aya", 12.0),
            row(Proxy::Envoy, "Envoy", 200.0),
        ];
        let svg = bars(&[CaseResult { name: "small", title: "small", rows }]);
        assert!(svg.contains(&format!(r#"width="{:.1}""#, scale() * 1.2)), "{svg}");
        assert!(svg.contains("1.20 · 12.0 µs") && svg.contains("20.00 · 200.0 µs"), "{svg}");
        assert!(svg.contains(&format!(r#"width="{:.1}""#, scale() * MOST)), "{svg}");
        assert!(!svg.contains("direct"), "{svg}");
    }
}
