use std::net::SocketAddr;
use std::time::Duration;

use base_kit::Moment;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::board::Board;
use super::plain::Plain;
use super::traffic::{Answers, Ledger};
use super::{EndpointView, summary, view};
use crate::terminal::Wish;

const ADDRESSES: [&str; 2] = ["127.0.0.1:1001", "127.0.0.1:1002"];

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn board() -> Board {
    let backends = vec![("swift", address(ADDRESSES[0])), ("fragile", address(ADDRESSES[1]))];
    Board::new(backends, address("127.0.0.1:8080"), Some(address("127.0.0.1:9900")), Moment::ZERO)
}

fn endpoint(place: usize, state: &str, cause: &str) -> EndpointView {
    EndpointView {
        name: ADDRESSES[place].to_owned(),
        state: state.to_owned(),
        takes_traffic: state == "up",
        cause: cause.to_owned(),
        ..EndpointView::default()
    }
}

fn ledger(swift: u64, fragile: u64, failures: u64) -> Ledger {
    let mut answers = vec![Answers::default(), Answers::default()];
    answers[0].count = swift;
    answers[1].count = fragile;
    Ledger { answers, failures, last_failure: "status 502 (connect-failed)".to_owned() }
}

fn at(seconds: u64) -> Moment {
    Moment::ZERO + Duration::from_secs(seconds)
}

/// The fragile one leaves after a second and returns after another.
fn watched() -> Board {
    let mut board = board();
    let well = [endpoint(0, "up", ""), endpoint(1, "up", "")];
    board.update(at(0), &ledger(0, 0, 0), &well);
    board.update(
        at(1),
        &ledger(60, 40, 0),
        &[endpoint(0, "up", ""), endpoint(1, "down", "http check: status 503")],
    );
    board.update(at(2), &ledger(160, 40, 0), &[endpoint(0, "up", ""), endpoint(1, "up", "2 checks passed")]);
    board
}

fn lines(board: &Board) -> String {
    let mut out = Vec::new();
    assert_eq!(Plain::default().show(board, &mut out).unwrap(), Wish::GoOn);
    String::from_utf8(out).unwrap()
}

#[test]
fn leaving_and_returning_are_told_with_their_causes() {
    let text = lines(&watched());
    assert!(text.contains("Z fragile left: http check: status 503\n"), "{text}");
    assert!(text.contains("Z fragile returned: 2 checks passed\n"), "{text}");
}

#[test]
fn rates_and_shares_are_of_the_last_moments() {
    let board = watched();
    assert_eq!(board.rate_per_second, 100.0);
    assert_eq!(board.rows[0].share, 0.8);
    let text = lines(&board);
    assert!(text.contains("   2 s   100 req/s, 0 failed | swift 80 % up | fragile 20 % up\n"), "{text}");
}

#[test]
fn an_event_is_written_once() {
    let board = watched();
    let mut plain = Plain::default();
    let mut out = Vec::new();
    plain.show(&board, &mut out).unwrap();
    out.clear();
    plain.show(&board, &mut out).unwrap();
    assert!(out.is_empty());
}

#[test]
fn the_summary_counts_leaving_and_returning() {
    let board = watched();
    let text = summary::text(&board);
    assert!(text.contains("200 requests in 2.0 s. No client saw a failure."), "{text}");
    assert!(text.contains("fragile       40 answers, 20.0 %, left once, returned once"), "{text}");
    assert!(board.all_went_well());
}

#[test]
fn a_failure_that_clients_saw_is_told() {
    let mut board = watched();
    board.update(at(3), &ledger(200, 60, 2), &[]);
    assert!(!board.all_went_well());
    assert!(lines(&board).contains("clients saw 2 failed: status 502 (connect-failed)"));
    assert!(summary::text(&board).contains("Clients saw 2 failures."));
}

#[test]
fn no_answers_at_all_are_no_success() {
    assert!(!board().all_went_well());
}

#[test]
fn everything_fits_on_a_small_terminal() {
    let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
    let board = watched();
    terminal.draw(|frame| view::draw(frame, &board)).unwrap();
    let screen = terminal.backend().to_string();
    for expected in [
        "curl http://127.0.0.1:8080/",
        "curl http://127.0.0.1:9900/metrics",
        "swift    up",
        "80 % ████████",
        "in flight",
        "failed",
        "fragile left: http check: status 503",
        "q  quit",
    ] {
        assert!(screen.contains(expected), "{expected:?} is missing:\n{screen}");
    }
}
