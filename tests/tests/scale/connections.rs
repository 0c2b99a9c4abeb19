//! Ten thousand clients that wait, and five thousand that ask.

use std::io::{Read, Write};

use base_testkit::{Aya, Evidence, Nginx, load, raise_file_limit};

use crate::config_of;
use crate::vitals::{MIB, Vitals, wait_for_rest, wait_long};

const IDLE: usize = 10_000;
const ACTIVE: usize = 5_000;
/// The most that an idle client may cost.
const BYTES_OF_AN_IDLE_CLIENT: u64 = 4_096;
/// What an answer of the endpoint has at most, with its head.
const ANSWER_BYTES: usize = 1_024;

/// Of the connections wanted, as many as this system has files for: an idle client takes one, an active one perhaps two.
fn as_far_as_files_go() -> (usize, usize) {
    let share = (raise_file_limit() * 9 / 10) as f64 / (IDLE + 3 * ACTIVE / 2) as f64;
    let of = |count: usize| (count as f64 * share.min(1.0)) as usize;
    (of(IDLE), of(ACTIVE))
}

/// Ten thousand clients that have had an answer and wait cost 4 KiB each; five thousand that ask beside them are all served; those
/// that wait are served when they ask again; and no connection, request or descriptor is left of any of them.
#[test]
fn many_connections() {
    let (idle, active) = as_far_as_files_go();
    let nginx = Nginx::start("location / { return 200 'fine'; }");
    // Requests that find no connection wait in line: so many more descriptors are not to be had.
    let pool = format!(
        "connections: {{max: {}, queue: 10000, queue-timeout: 60s, idle: 1s, max-idle: 64}}",
        active / 4
    );
    let aya = Aya::start(&config_of(
        "max-connections: 16384, timeouts: {idle: 10m}",
        "",
        &pool,
        &nginx.address().to_string(),
    ));
    (0..100).for_each(|_| assert_eq!(aya.get("/").text(), "fine"));
    let before = Vitals::of(&aya);
    let mut crowd = crate::hostile::crowd(&aya, idle);
    let ask = |stream: &mut std::net::TcpStream| {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("it is taken");
        let mut answer = [0; ANSWER_BYTES];
        let count = stream.read(&mut answer).expect("an answer comes");
        assert!(
            answer.starts_with(b"HTTP/1.1 200") && answer[..count].ends_with(b"fine"),
            "{:?}",
            String::from_utf8_lossy(&answer[..count])
        );
    };
    crowd.iter_mut().for_each(ask);
    let waiting = Vitals::of(&aya);
    let each = waiting.resident.saturating_sub(before.resident) / crowd.len() as u64;
    let run = load(&aya.url("/"), active);
    let answered = || aya.metrics().sum("aya_requests_total", &[("code", "2xx")]);
    let open = || aya.metrics().sum("aya_connections_open", &[]);
    wait_long("all to be connected", || open() > (crowd.len() + active) as f64 * 0.99);
    let start = answered();
    wait_long("all to be served several times", || answered() > start + 10.0 * active as f64);
    let height = Vitals::of(&aya);
    let wrk = run.finish();
    // Those that waited all the time are as good as before.
    crowd.iter_mut().step_by(10).for_each(ask);
    let count = crowd.len();
    drop(crowd);
    let after = wait_for_rest(&aya, &before);
    let mut evidence = Evidence::of("scale", file!());
    let cheap = evidence.claim(
        "an idle client costs at most 4 KiB, ten thousand of them 40 MB",
        each <= BYTES_OF_AN_IDLE_CLIENT,
        format!("{each} bytes each for {count} clients that have had an answer and wait"),
    );
    let fine = wrk.bad_answers + wrk.socket_errors == 0;
    let seen = format!(
        "{active} active beside {count} idle: {} requests, {} failed; memory {} → {} MiB, {} after",
        wrk.requests,
        wrk.bad_answers + wrk.socket_errors,
        before.resident / MIB,
        height.resident / MIB,
        after.resident / MIB,
    );
    println!("{each} bytes each; {seen}");
    evidence.claim(
        "5,000 active clients beside 10,000 idle ones are all served, and no connection, request or descriptor stays behind",
        fine,
        seen,
    );
    assert!(cheap, "{each} bytes for an idle client");
    assert!(fine, "{}", wrk.text);
}
