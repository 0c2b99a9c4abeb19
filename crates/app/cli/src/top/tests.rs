//! The view with figures that a running Aya gave (`tests/before.json`, and `tests/after.json` a second later).

mod picture;

use std::time::Duration;

use base_kit::Moment;
use clap::Parser as _;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::board::Board;
use super::client::NoAnswer;
use super::figures::{Figures, History};
use super::reading::Reading;
use super::table::{Choice, Lines, Sort};
use super::view;
use crate::terminal::Wish;

fn at(seconds: u64) -> Moment {
    Moment::ZERO + Duration::from_secs(seconds)
}

fn after() -> Reading {
    serde_json::from_str(include_str!("tests/after.json")).unwrap()
}

fn board() -> Board {
    board_of([include_str!("tests/before.json"), include_str!("tests/after.json")])
}

/// After these answers, a second apart.
fn board_of(answers: [&str; 2]) -> Board {
    let mut board = Board::new("10.0.0.5:9900".to_owned());
    for (second, answer) in (0..).zip(answers) {
        board.take(Ok(serde_json::from_str(answer).unwrap()), at(second));
    }
    board
}

fn drawn(board: &mut Board, width: u16, height: u16, now: Moment) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| view::draw(frame, board, now)).unwrap();
    terminal.backend().buffer().clone()
}

/// The screen as text, without the spaces at the ends of lines.
fn screen(board: &mut Board, width: u16, height: u16) -> String {
    let buffer = drawn(board, width, height, at(5));
    let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
    (0..height).map(|y| line(y) + "\n").collect()
}

fn press(board: &mut Board, keys: &[KeyCode]) -> Vec<Wish> {
    keys.iter().map(|code| board.press(KeyEvent::new(*code, KeyModifiers::NONE))).collect()
}

fn type_text(board: &mut Board, text: &str) {
    text.chars().for_each(|letter| drop(press(board, &[KeyCode::Char(letter)])));
}

/// The first word of each line of the table.
fn names(board: &Board) -> Vec<String> {
    let name = |row: &super::table::Row<'_>| {
        row.endpoint.map_or_else(|| row.pool.name.clone(), |endpoint| endpoint.address.clone())
    };
    board.rows().iter().map(name).collect()
}

/// A reading of one pool with these endpoints: address, attempts, failures, and the counts of three buckets.
fn reading(second: u64, endpoints: &[(&str, u64, u64, [u64; 3])]) -> Reading {
    let endpoints: Vec<_> = endpoints
        .iter()
        .map(|(address, requests, failures, buckets)| {
            serde_json::json!({
                "endpoint": {"address": address, "weight": 1, "condition": "up", "eligible": true,
                             "requests": requests, "failures": failures},
                "first_byte": {"buckets": buckets, "sum_us": 0},
            })
        })
        .collect();
    serde_json::from_value(serde_json::json!({
        "started_ms": 1, "clock_us": second * 1_000_000, "bounds_us": [1_000, 2_000],
        "pools": [{"name": "p", "endpoints": endpoints}],
    }))
    .unwrap()
}

fn figures(readings: Vec<Reading>) -> Figures {
    let mut history = History::default();
    readings.into_iter().for_each(|reading| history.add(reading));
    history.figures()
}

#[test]
fn rates_are_of_the_last_interval() {
    let figures = figures(vec![
        reading(0, &[("a", 0, 0, [0; 3])]),
        reading(10, &[("a", 1_000, 0, [0; 3])]),
        reading(12, &[("a", 1_100, 25, [0; 3]), ("b", 7, 7, [0; 3])]),
    ]);
    let pool = &figures.pools[0];
    assert_eq!(figures.interval_seconds, Some(2.0));
    assert_eq!((pool.load.requests_per_second, pool.load.error_share), (Some(50.0), Some(0.25)));
    let new = &pool.endpoints[1].load;
    assert_eq!((new.requests_per_second, new.error_share, new.requests), (None, None, 7), "it was seen once");
}

#[test]
fn one_reading_has_no_rates_and_another_process_begins_anew() {
    let of_one = figures(vec![reading(5, &[("a", 10, 0, [10, 0, 0])])]);
    let load = of_one.pools[0].endpoints[0].load;
    assert_eq!((load.requests_per_second, load.p50_ms, load.requests), (None, None, 10));
    let restarted = Reading { started_ms: 2, ..reading(9, &[("a", 3, 0, [3, 0, 0])]) };
    let anew = figures(vec![reading(5, &[("a", 10, 0, [10, 0, 0])]), restarted]);
    assert_eq!(anew.pools[0].load.requests_per_second, None);
    let same = figures(vec![reading(5, &[("a", 1, 0, [0; 3])]), reading(5, &[("a", 2, 0, [0; 3])])]);
    assert_eq!(same.pools[0].load.requests_per_second, None, "no time has passed");
}

#[test]
fn quantiles_are_of_the_last_readings_and_lie_within_their_buckets() {
    let quantiles = |last: [u64; 3]| {
        let figures =
            figures(vec![reading(0, &[("a", 0, 0, [50, 50, 50])]), reading(1, &[("a", 0, 0, last)])]);
        let load = figures.pools[0].endpoints[0].load;
        (load.p50_ms, load.p99_ms)
    };
    assert_eq!(quantiles([50, 50, 50]), (None, None), "nothing new");
    assert_eq!(quantiles([150, 50, 50]), (Some(0.5), Some(0.99)));
    assert_eq!(quantiles([100, 100, 50]), (Some(1.0), Some(1.98)));
    assert_eq!(quantiles([50, 50, 60]), (Some(2.0), Some(2.0)), "longer than the last bound: at least that");
    // One of long ago has left the readings that are kept.
    let many = (0..20).map(|second| reading(second, &[("a", 0, 0, [if second > 0 { 5 } else { 0 }, 0, 0])]));
    assert_eq!(figures(many.collect()).pools[0].endpoints[0].load.p50_ms, None);
}

#[test]
fn the_screen_at_80_by_24() {
    let shown = screen(&mut board(), 80, 24);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/top/tests/80x24.txt");
    picture::settle(path, &shown);
}

#[test]
fn a_wide_screen_shows_more() {
    let shown = screen(&mut board(), 160, 40);
    for part in ["requests", "failed", "cause", "http check: connect refused", "ejected"] {
        assert!(shown.contains(part), "{part} is missing:\n{shown}");
    }
}

#[test]
fn no_size_and_no_figures_are_too_small() {
    for (width, height) in [(1, 1), (2, 3), (10, 5), (20, 4), (39, 13), (80, 14), (400, 3), (300, 100)] {
        let mut full = board();
        screen(&mut full, width, height);
        press(&mut full, &[KeyCode::End, KeyCode::Char('?')]);
        screen(&mut full, width, height);
        full.take(Err(NoAnswer("connection refused".to_owned())), at(2));
        press(&mut full, &[KeyCode::Char('/'), KeyCode::Char('x')]);
        screen(&mut full, width, height);
        screen(&mut Board::new(String::new()), width, height);
    }
}

#[test]
fn the_marked_line_is_always_on_the_screen() {
    let mut board = board();
    for height in [8, 12, 24] {
        press(&mut board, &[KeyCode::End]);
        let shown = screen(&mut board, 80, height);
        assert!(shown.contains("  10.0.4.1:8000"), "{height}:\n{shown}");
        press(&mut board, &[KeyCode::Home]);
        assert!(screen(&mut board, 80, height).contains("\nshop "), "{height}");
    }
    press(&mut board, &[KeyCode::Down]);
    let shown = screen(&mut board, 100, 24);
    assert!(shown.lines().last().unwrap().contains("http check: status 200"), "{shown}");
}

#[test]
fn lines_are_sorted_within_their_pools() {
    let mut board = board();
    board.choice.sort = Sort::Rate;
    let sorted = names(&board);
    let shop = sorted.iter().position(|name| name == "shop").unwrap();
    assert_eq!(sorted[shop + 1..shop + 4], ["10.0.1.2:8080", "10.0.1.1:8080", "10.0.1.3:8080"]);
    board.choice.lines = Lines::Pools;
    let rates = |board: &Board| -> Vec<f64> {
        board.rows().iter().filter_map(|row| row.load().requests_per_second).collect()
    };
    assert_eq!(rates(&board).len(), 4);
    assert!(rates(&board).is_sorted_by(|a, b| a >= b), "{:?}", rates(&board));
    press(&mut board, &[KeyCode::Char('r')]);
    assert!(rates(&board).is_sorted(), "{:?}", rates(&board));
}

#[test]
fn sorting_by_state_brings_up_what_is_out() {
    let mut board = board();
    press(&mut board, &[KeyCode::Char('v')]);
    assert_eq!(board.choice.lines, Lines::Endpoints);
    while board.choice.sort != Sort::State {
        press(&mut board, &[KeyCode::Right]);
    }
    let out = ["10.0.1.3:8080", "10.0.2.1:9200", "10.0.3.2:80", "10.0.4.1:8000"];
    assert_eq!(names(&board)[..4], out);
    let count = |board: &mut Board, key| (0..9).filter(|_| !press(board, &[key]).is_empty()).count();
    assert_eq!((count(&mut board, KeyCode::Right), board.choice.sort), (9, Sort::State), "round once");
    assert_eq!((count(&mut board, KeyCode::Left), board.choice.sort), (9, Sort::State), "and back");
}

#[test]
fn filters_look_at_pool_address_and_state() {
    let found = |filter: &str| {
        let mut board = board();
        press(&mut board, &[KeyCode::Char('/')]);
        type_text(&mut board, filter);
        press(&mut board, &[KeyCode::Enter]);
        names(&board)
    };
    assert_eq!(found("DRAIN"), ["static", "10.0.3.2:80"]);
    assert_eq!(found("search"), ["search", "10.0.2.1:9200", "10.0.2.2:9200"]);
    assert_eq!(found("down 10.0.1"), ["shop", "10.0.1.3:8080"]);
    assert_eq!(found("nothing like it"), [""; 0]);
    let mut board = board();
    type_text(&mut board, "/q");
    assert_eq!((board.is_typing, board.choice.filter.as_str()), (true, "q"), "letters are no commands there");
    press(&mut board, &[KeyCode::Esc]);
    assert_eq!((board.is_typing, board.choice.filter.as_str()), (false, ""));
    press(&mut board, &[KeyCode::Char('t')]);
    assert!(!names(&board).contains(&"10.0.3.1:80".to_owned()), "{:?}", names(&board));
}

#[test]
fn keys_end_pause_and_explain_themselves() {
    let mut board = board();
    assert_eq!(press(&mut board, &[KeyCode::Char('?'), KeyCode::Char('x')]), [Wish::GoOn; 2]);
    press(&mut board, &[KeyCode::Char('?')]);
    assert!(screen(&mut board, 80, 24).contains("turn the order round"));
    assert_eq!(press(&mut board, &[KeyCode::Char('q')]), [Wish::End]);
    let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    board.is_typing = true;
    assert_eq!(board.press(control_c), Wish::End);
    board.is_typing = false;
    press(&mut board, &[KeyCode::Char(' ')]);
    let later = Reading { clock_us: after().clock_us + 1, generation: 77, ..after() };
    board.take(Ok(later), at(2));
    assert!(screen(&mut board, 80, 24).contains("paused"));
    assert_ne!(board.figures.generation, 77);
    press(&mut board, &[KeyCode::Char(' ')]);
    assert_eq!(board.figures.generation, 77);
}

#[test]
fn without_a_connection_the_last_figures_stay_and_are_called_old() {
    let mut board = board();
    let rate = board.figures.requests_per_second;
    board.take(Err(NoAnswer("connection refused".to_owned())), at(2));
    board.take(Err(NoAnswer("no answer in 5s".to_owned())), at(4));
    assert_eq!(board.figures.requests_per_second, rate);
    let shown = screen(&mut board, 80, 24);
    assert!(shown.contains("no answer for 3 s, trying again"), "since the first time:\n{shown}");
    assert!(shown.contains("old figures: no answer in 5s"), "{shown}");
    board.take(Ok(Reading { clock_us: after().clock_us + 1, ..after() }), at(6));
    assert!(!screen(&mut board, 80, 24).contains("old figures"));
}

#[test]
fn what_this_version_does_not_know_is_shown_as_it_is() {
    let mut reading = after();
    let state = &mut reading.pools[0].endpoints[0].endpoint;
    (state.condition, state.share_percent) = ("degraded".to_owned(), Some(40));
    reading.pools[0].endpoints[1].endpoint.condition = "hibernating-for-good".to_owned();
    let mut board = Board::new("x".to_owned());
    board.take(Ok(reading), at(0));
    let narrow = screen(&mut board, 80, 24);
    assert!(narrow.contains("degraded      1·40%") && narrow.contains("hiber…-good"), "{narrow}");
    board.figures.pools[0].endpoints[0].weight = 65_535;
    assert!(screen(&mut board, 100, 24).contains(" 65535·40%"));
    board.figures.pools[0].endpoints[0].eligible = false;
    assert!(!screen(&mut board, 100, 24).contains("·40%"), "what is out gets no share");
    let of_another: Reading =
        serde_json::from_str(r#"{"pools": [{"name": "p", "endpoints": [{}]}], "news": 1}"#).unwrap();
    board.take(Ok(of_another), at(1));
    assert!(screen(&mut board, 80, 24).contains("unknown"));
}

#[test]
fn shares_are_those_of_peers_and_agents_together() {
    let share = |json: &str| serde_json::from_str::<super::reading::State>(json).unwrap().share();
    assert_eq!(share("{}"), None);
    assert_eq!(share(r#"{"share_percent": 100, "agent": {"weight_percent": 50}}"#), Some(50));
    assert_eq!(share(r#"{"share_percent": 10, "agent": {"weight_percent": 300}}"#), Some(30));
    assert_eq!(share(r#"{"agent": {"weight_percent": 100}}"#), None);
}

#[test]
fn once_prints_all_lines_and_json_all_figures() {
    let board = board();
    let text = view::text(&board, 120);
    assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
    for part in ["shop", "10.0.4.1:8000", "last errors", "req/s"] {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
    let json = serde_json::to_value(&board.figures).unwrap();
    let endpoint = &json["pools"][0]["endpoints"][0];
    assert_eq!((&endpoint["address"], &endpoint["condition"]), (&"10.0.1.1:8080".into(), &"up".into()));
    assert!(endpoint["requests_per_second"].as_f64().unwrap() > 0.0, "{endpoint}");
    assert!(json["p99_ms"].as_f64() > json["p50_ms"].as_f64());
}

#[test]
fn troubles_are_the_latest_first() {
    let troubles = board().figures.troubles;
    assert!(troubles.is_sorted_by(|a, b| a.at_ms >= b.at_ms), "{troubles:?}");
    let has = |endpoint: &str, what: &str| {
        troubles.iter().any(|trouble| trouble.endpoint == endpoint && trouble.what.contains(what))
    };
    assert!(has("10.0.1.3:8080", "down: http check"), "{troubles:?}");
    assert!(has("10.0.2.1:9200", "ejected: 3 failures in a row"), "{troubles:?}");
    assert!(has("10.0.2.1:9200", "upstream-closed"), "{troubles:?}");
    let up = Choice { filter: "up".to_owned(), ..Choice::default() };
    assert!(!up.rows(&board().figures).is_empty());
}

#[test]
fn the_command_line_refuses_what_cannot_be_asked() {
    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        options: super::TopOptions,
    }
    assert!(Line::try_parse_from(["top"]).is_ok());
    assert!(Line::try_parse_from(["top", "lb:9900", "--interval", "250ms", "--json"]).is_ok());
    for wrong in [["top", "https://lb"].as_slice(), &["top", "--interval", "soon"], &["top", "a:1", "b:2"]] {
        assert!(Line::try_parse_from(wrong).is_err(), "{wrong:?}");
    }
    let short = Line::try_parse_from(["top", "--interval", "1ms"]).map(|line| line.options);
    let code = super::run(short.unwrap_or_else(|error| panic!("{error}"))).unwrap();
    assert_eq!(format!("{code:?}"), format!("{:?}", std::process::ExitCode::from(2)));
}
