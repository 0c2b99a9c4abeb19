//! What drives the sockets: epoll or io_uring, and nobody notices which.

use std::time::Duration;

use base_testkit::{Aya, Backend, Signal, answer, checksum, load, wait_until};

use crate::{chunked, config, noise};

/// Which driver a fresh Aya takes by itself here.
fn usual() -> String {
    let aya =
        Aya::start_with("listeners: {web: {bind: '127.0.0.1:0'}}\nroutes: []\n", &["--io", "auto"], &[]);
    aya.status()["io"].as_str().expect("a driver").to_owned()
}

/// Messages small and large, both ways, with bodies of either kind, and an end under load: the same with each driver.
#[test]
fn each_driver_serves_alike() {
    let large = noise(3 << 20, 7);
    let body = large.clone();
    let backend = Backend::answering(move |request| match request.target.as_str() {
        "/large" => answer(200, &[], &body),
        _ => answer(200, &[], checksum(&request.body)),
    });
    let drivers = if usual() == "io-uring" { &["epoll", "io-uring"][..] } else { &["epoll"] };
    for driver in drivers {
        let text = format!("io: {driver}\n{}", config("", "", "", &[&backend]));
        let mut aya = Aya::start_with(&text, &["--io", driver], &[]);
        assert_eq!(aya.status()["io"], *driver);
        let mut client = aya.client();
        for round in 0..20_usize {
            assert_eq!(client.get("/small").status, 200);
            let upload = noise(round * 9_001 + 1, 3);
            let head = format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", upload.len());
            client.send([head.as_bytes(), &upload].concat());
            assert_eq!(client.response().text(), checksum(&upload));
            client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
            client.send(chunked(&upload, 777, ""));
            assert_eq!(client.response().text(), checksum(&upload));
            assert!(client.get("/large").body == large, "{driver}: the body was changed in round {round}");
        }
        let pressure = load(&aya.url("/small"), 16);
        wait_until("some load", || aya.metrics().sum("aya_requests_total", &[("code", "2xx")]) > 1_000.0);
        let report = pressure.finish();
        assert_eq!((report.bad_answers, report.socket_errors), (0, 0), "{driver}: {report:?}");
        drop(client);
        wait_until("all to be let go", || aya.metrics().sum("aya_connections_open", &[]).abs() < 0.1);
        aya.signal(Signal::TERM);
        assert_eq!(aya.wait(Duration::from_secs(10)).code, Some(0));
    }
}

/// Another driver is taken with the next start; until then it is said, and all goes on.
#[test]
fn a_reload_does_not_change_the_driver() {
    let backend = Backend::echo("a");
    let text = config("", "", "", &[&backend]);
    let mut aya = Aya::start(&format!("io: epoll\n{text}"));
    let before = aya.generation();
    aya.rewrite(&format!("io: io-uring\n{text}"));
    aya.wait_for_generation_after(before);
    assert_eq!(aya.get("/").status, 200);
    // A choice in the environment is one for good.
    if std::env::var_os("AYA_IO").is_none() {
        assert_eq!(aya.status()["io"], "epoll");
        aya.wait_for_line("what drives sockets (`io`) changes with the next start");
    }
}

/// With io_uring a worker looks out for more before it sleeps, if it is told to, and no longer does after a reload that says nothing of it.
#[test]
fn a_worker_looks_out_for_more_while_it_is_told_to() {
    if usual() != "io-uring" {
        return;
    }
    let backend = Backend::echo("a");
    let text = config("", "", "", &[&backend]);
    let aya = Aya::start_with(&format!("busy-poll: true\n{text}"), &["--io", "io-uring"], &[]);
    let seen = || {
        let metrics = aya.metrics();
        (metrics.sum("aya_busy_polls_total", &[]), metrics.sum("aya_requests_total", &[]))
    };
    let pressure = load(&aya.url("/"), 4);
    wait_until("it to look out", || seen().0 > 100.0);
    let before = aya.generation();
    aya.rewrite(&text);
    aya.wait_for_generation_after(before);
    let mut last = seen();
    wait_until("requests for which nobody looked out", || {
        let now = seen();
        if now.0 > last.0 {
            last = now;
        }
        now.1 > last.1 + 5_000.0
    });
    let report = pressure.finish();
    assert_eq!((report.bad_answers, report.socket_errors), (0, 0), "{report:?}");
}
