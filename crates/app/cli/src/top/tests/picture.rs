//! The picture in the guide: the screen as the tests draw it, with its colours, as SVG. Its figures are those of a running Aya with
//! an endpoint that is slower than its peers, one that fails, requests that wait, and a pool of which most is down.

use std::fmt::Write as _;
use std::path::Path;

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};

use super::{at, board_of, drawn};

/// A cell of the usual monospaced fonts at 14 pixels.
const CELL: (f64, f64) = (8.4, 18.0);
/// Around the screen.
const MARGIN: f64 = 12.0;
/// Without a colour of its own: background and text.
const PLAIN: (&str, &str) = ("#14181f", "#d5dae3");

/// Compares a file with what it should hold, or writes it where `AYA_BLESS` is set.
#[track_caller]
pub(super) fn settle(path: &str, expected: &str) {
    if std::env::var_os("AYA_BLESS").is_some() {
        std::fs::create_dir_all(Path::new(path).parent().unwrap()).unwrap();
        std::fs::write(path, expected).unwrap();
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        found == expected,
        "{path} is out of date: `AYA_BLESS=1 cargo test -p app-cli` writes it\n{expected}"
    );
}

#[test]
fn the_picture_in_the_guide_is_the_screen() {
    let buffer = drawn(&mut troubled(), 100, 30, at(1));
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../docs/guide/pictures/top.svg");
    settle(path, &svg(&buffer));
}

fn troubled() -> super::Board {
    board_of([include_str!("picture-before.json"), include_str!("picture-after.json")])
}

#[test]
fn what_waits_what_is_degraded_and_panic_are_to_be_seen() {
    let screen = super::screen(&mut troubled(), 100, 30);
    for part in [
        "+7 waiting",
        "2+7",
        "degraded ",
        "1·10%",
        "1/3 panic",
        "tools/all",
        "panic: 33% of the weight is fit",
    ] {
        assert!(screen.contains(part), "{part} is missing:\n{screen}");
    }
    let narrow = super::screen(&mut troubled(), 80, 24);
    assert!(narrow.lines().all(|line| line.chars().count() <= 80));
    assert!(narrow.contains("+7 waiting") && narrow.contains("1·10%"), "{narrow}");
}

fn svg(buffer: &Buffer) -> String {
    let (columns, lines) = (f64::from(buffer.area.width), f64::from(buffer.area.height));
    let (width, height) = (columns * CELL.0 + 2.0 * MARGIN, lines * CELL.1 + 2.0 * MARGIN);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.1} {height:.1}\" width=\"{width:.0}\" \
         font-family=\"ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace\" font-size=\"14\">\n\
         <title>aya top</title>\n<rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{}\"/>\n",
        PLAIN.0
    );
    for y in 0..buffer.area.height {
        let mut x = 0;
        while x < buffer.area.width {
            let look = Look::of(&buffer[(x, y)]);
            let end = (x..buffer.area.width).find(|x| Look::of(&buffer[(*x, y)]) != look);
            let end = end.unwrap_or(buffer.area.width);
            let text: String = (x..end).map(|x| buffer[(x, y)].symbol()).collect();
            run(&mut svg, x, y, &text, &look);
            x = end;
        }
    }
    svg.push_str("</svg>\n");
    svg
}

/// Cells beside each other that look alike.
fn run(svg: &mut String, x: u16, y: u16, text: &str, look: &Look) {
    let (left, top) = (MARGIN + f64::from(x) * CELL.0, MARGIN + f64::from(y) * CELL.1);
    let width = text.chars().count() as f64 * CELL.0;
    if look.background != PLAIN.0 {
        let _ = writeln!(
            svg,
            "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{}\" fill=\"{}\"/>",
            CELL.1, look.background
        );
    }
    if text.trim().is_empty() {
        return;
    }
    let blank = text.chars().take_while(|letter| *letter == ' ').count();
    let (left, base) = (left + blank as f64 * CELL.0, top + CELL.1 * 0.75);
    let text = text.trim().replace('&', "&amp;").replace('<', "&lt;");
    let length = text.chars().count() as f64 * CELL.0;
    let bold = if look.is_bold { " font-weight=\"bold\"" } else { "" };
    let faint = if look.is_dim { " opacity=\"0.6\"" } else { "" };
    let _ = writeln!(
        svg,
        "<text x=\"{left:.1}\" y=\"{base:.1}\" textLength=\"{length:.1}\" fill=\"{}\"{bold}{faint} xml:space=\"preserve\">{text}</text>",
        look.text
    );
}

#[derive(PartialEq)]
struct Look {
    text: &'static str,
    background: &'static str,
    is_bold: bool,
    is_dim: bool,
}

impl Look {
    fn of(cell: &Cell) -> Self {
        let (mut text, mut background) = (color(cell.fg, PLAIN.1), color(cell.bg, PLAIN.0));
        if cell.modifier.contains(Modifier::REVERSED) {
            std::mem::swap(&mut text, &mut background);
        }
        Self {
            text,
            background,
            is_bold: cell.modifier.contains(Modifier::BOLD),
            is_dim: cell.modifier.contains(Modifier::DIM),
        }
    }
}

fn color(color: Color, plain: &'static str) -> &'static str {
    match color {
        Color::Reset => plain,
        Color::Red => "#f2777a",
        Color::Green => "#8ccf7e",
        Color::Yellow => "#e5c76b",
        Color::Cyan => "#6cbfbf",
        Color::White => "#ffffff",
        other => panic!("no colour for {other}"),
    }
}
