//! Everything at once: clients of every temper, backends that die, configurations that change.

mod checker;
mod continuity;
mod network;
mod origin;
mod strokes;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use base_testkit::{Aya, Backend, Client, Response, answer, checksum, wait_until};
use serde_json::json;

use crate::{chunked, config, is_long};
use scenarios::noise;

const CLIENTS: u64 = 6;

/// Rounds of each client.
fn rounds() -> u64 {
    if is_long() { 10_000 } else { 500 }
}

/// Where the play's choices begin: `AYA_SEED`, so that other runs than the usual one can be tried.
fn seed() -> u64 {
    std::env::var("AYA_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// A backend that answers with the checksum of what it got; on some paths it misbehaves.
fn moody() -> Backend {
    Backend::script(|session| {
        while let Some(request) = session.request()? {
            match request.target.as_str() {
                "/drop" => return Ok(()),
                "/half" => return session.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"),
                "/tunnel" => {
                    session.send(
                        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
                    )?;
                    while let Ok(byte) = session.exactly(1) {
                        session.send(byte)?;
                    }
                    return Ok(());
                }
                "/large" => session.send(answer(200, &[], vec![b'x'; 300_000]))?,
                _ => session.send(answer(200, &[], checksum(&request.body)))?,
            }
        }
        Ok(())
    })
}

/// One thing that a client may do. Whole answers must be right; that some do not come is part of the play.
fn act(aya: &Aya, kept: &mut Option<Client>, seed: u64) -> Result<(), String> {
    let body = noise(usize::try_from(seed % 7000).unwrap_or_default(), seed);
    let mut client = kept.take().unwrap_or_else(|| aya.client());
    let whole = |response: Response, expected: &str| match response.status {
        200 if response.text() == expected => Ok(response.keeps_alive()),
        502..=504 if !response.reason().is_empty() => Ok(response.keeps_alive()),
        status => Err(format!("{status} {}: {}", response.reason(), response.text())),
    };
    let stays = match seed % 9 {
        0..=2 => {
            client.offer("POST /sum HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
            client.offer(chunked(&body, 999, ""));
            client.try_response().map_or(Ok(false), |response| whole(response, &checksum(&body)))?
        }
        3 => {
            let head = format!("PUT /sum HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
            client.offer([head.as_bytes(), &body, head.as_bytes(), &body].concat());
            let first =
                client.try_response().map_or(Ok(false), |response| whole(response, &checksum(&body)))?;
            first && client.try_response().map_or(Ok(false), |response| whole(response, &checksum(&body)))?
        }
        4 => {
            client.offer("POST /sum HTTP/1.1\r\nHost: a\r\nContent-Length: 9000\r\n\r\nhalf");
            client.reset();
            return Ok(());
        }
        5 => {
            client.offer("GET /tunnel HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
            let switched = client.try_response().is_ok_and(|response| response.status == 101);
            if switched && client.offer("z") && client.exactly(1).is_ok_and(|byte| byte != b"z") {
                return Err("the tunnel changed a byte".to_owned());
            }
            false
        }
        6 => {
            client.offer("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
            let is_large = client.response_head().is_ok_and(|head| head.status == 200);
            // Some leave in the middle.
            is_large && client.exactly(50_000).is_ok_and(|part| part.len() < 50_000)
        }
        7 => {
            client.offer(format!(
                "GET /{} HTTP/1.1\r\nHost: a\r\n\r\n",
                ["drop", "half"][(seed / 9 % 2) as usize]
            ));
            let answer = client.try_response();
            if answer.is_ok_and(|response| response.status == 200) {
                return Err("half an answer looked whole".to_owned());
            }
            false
        }
        _ => {
            client.offer("GET / HT")
                && seed.is_multiple_of(2)
                && client.offer("TP/1.1\r\nHost: a\r\n\r\n")
                && { client.try_response().map_or(Ok(false), |response| whole(response, &checksum(b"")))? }
        }
    };
    *kept = stays.then_some(client);
    Ok(())
}

/// Whatever clients, backends and operators do at once: no whole answer is wrong, nothing panics, and when it is over nothing is
/// left in flight, open or drained.
#[test]
fn chaos_leaves_nothing_behind() {
    let mut backends: Vec<_> = (0..3).map(|_| moody()).collect();
    let text = |number: usize, backends: &[Backend]| {
        let kinds = ["round-robin", "least-connections", "random", "weighted-round-robin", "source-hash"];
        let pool =
            format!("balance: {}, ejection: {{consecutive-failures: 3, for: 50ms}}", kinds[number % 5]);
        config("", "retry: {attempts: 3}", &pool, &backends.iter().collect::<Vec<_>>())
    };
    let aya = Aya::start(&text(0, &backends));
    let (over, done) = (AtomicBool::new(false), AtomicUsize::new(0));
    let faults = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (aya, faults, done, seed) = (&aya, &faults, &done, seed());
            scope.spawn(move || {
                let mut kept = None;
                for round in 0..rounds() {
                    if let Err(fault) = act(aya, &mut kept, client * 100_003 + round * 7919 + seed) {
                        faults.lock().expect("no panic before").push(fault);
                    }
                }
                done.fetch_add(1, Ordering::SeqCst);
            });
        }
        let mut number = 0;
        while !over.load(Ordering::SeqCst) {
            number += 1;
            operate(&aya, &mut backends, number, &text);
            over.store(
                done.load(Ordering::SeqCst) == usize::try_from(CLIENTS).unwrap_or_default(),
                Ordering::SeqCst,
            );
        }
    });
    let faults = faults.into_inner().expect("no panic before");
    assert!(faults.is_empty(), "with seed {}: {faults:?}", seed());
    let well = aya.metrics().sum("aya_requests_total", &[("code", "2xx")]);
    assert!(well > rounds() as f64, "only {well} requests went well: that is no test");
    wait_until("nothing to be in flight", || {
        aya.metrics().sum("aya_endpoint_requests_in_flight", &[]).abs() < 0.1
    });
    wait_until("no client to be counted", || aya.metrics().sum("aya_connections_open", &[]).abs() < 0.1);
    backends.iter_mut().for_each(Backend::restart);
    wait_until("all to be well again", || aya.get("/").status == 200);
}

/// One thing that an operator, or fate, may do.
fn operate(aya: &Aya, backends: &mut [Backend], number: usize, text: &dyn Fn(usize, &[Backend]) -> String) {
    let which = number / 4 % backends.len();
    match number % 4 {
        0 => backends[which].kill(),
        1 => {
            let full =
                format!("{}admin: {{bind: '127.0.0.1:0'}}\nworkers: 2\ndrain: 3s\n", text(number, backends));
            assert_eq!(aya.admin("POST", "/api/v1/config", &full).status, 200);
        }
        2 => {
            let state = ["drain", "ready", "maintenance", "ready"][number / 4 % 4];
            let path = format!("/api/v1/pools/main/endpoints/{}", backends[0]);
            let change = json!({"state": state, "weight": 1 + number % 5}).to_string();
            assert_eq!(aya.admin("PATCH", &path, &change).status, 200);
        }
        _ => backends.iter_mut().for_each(Backend::restart),
    }
    std::thread::sleep(std::time::Duration::from_millis(10));
}
