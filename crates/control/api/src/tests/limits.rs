//! What is too much, too slow, or no HTTP.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::client::{Answer, PATIENCE, Server};
use super::fake::Fake;
use crate::limits::{
    BODY_TIMEOUT, CONFIG_BYTES, CONNECTION_AGE, CONNECTIONS, CONNECTIONS_PER_HOST, FIRST_HEAD_TIMEOUT,
    LAST_REQUEST, SMALL_BODY_BYTES,
};

#[tokio::test]
async fn the_longest_body_is_taken_and_a_longer_one_is_not() {
    let server = Server::start();
    let mut body = vec![b'x'; CONFIG_BYTES];
    assert_eq!(server.send("POST", "/api/v1/config", &[], &body).await.status(), 200);
    body.push(b'x');
    server.send("POST", "/api/v1/config", &[], &body).await.problem(413, "too-large");
    assert_eq!(server.calls(), [format!("apply {CONFIG_BYTES} bytes")]);
    let small = vec![b' '; SMALL_BODY_BYTES + 1];
    server.send("POST", "/api/v1/config/rollback", &[], &small).await.problem(413, "too-large");
}

#[tokio::test]
async fn a_long_body_without_a_length_is_refused_too() {
    let server = Server::start();
    let head = "POST /api/v1/config/rollback HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = format!("8000\r\n{}\r\n", " ".repeat(0x8000));
    let bytes = format!("{head}{}0\r\n\r\n", chunk.repeat(3));
    server.raw(bytes.as_bytes()).await.problem(413, "too-large");
}

#[tokio::test]
async fn a_client_that_asks_first_is_refused_before_it_sends() {
    let server = Server::start();
    let length = CONFIG_BYTES + 1;
    let head = format!(
        "POST /api/v1/config HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
    );
    server.raw(head.as_bytes()).await.problem(413, "too-large");
}

#[tokio::test]
async fn bytes_that_are_no_request_end_their_connection_only() {
    let server = Server::start();
    for bytes in [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".as_slice(),
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
        &vec![b'A'; 200_000],
    ] {
        let answer = server.raw(bytes).await;
        assert!(answer.0.is_empty() || (400..500).contains(&answer.status()), "{answer:?}");
    }
    assert_eq!(server.get("/healthz").await.status(), 200);
}

/// Opens a connection from 127.0.0.`host` and keeps it open after an answer.
async fn hold(server: &Server, host: u8) -> TcpStream {
    let mut stream = server.connect_from(host).await;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut byte = [0];
    timeout(PATIENCE, stream.read_exact(&mut byte)).await.expect("has a place").unwrap();
    stream
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_a_place() {
    let server = Server::start();
    let mut held = Vec::new();
    for number in 0..CONNECTIONS {
        held.push(hold(&server, 2 + u8::try_from(number / CONNECTIONS_PER_HOST).unwrap()).await);
    }
    let mut waiting = std::pin::pin!(server.get("/healthz"));
    let early = timeout(std::time::Duration::from_millis(50), waiting.as_mut()).await;
    assert!(early.is_err(), "no place is free yet: {early:?}");
    held.pop();
    assert_eq!(timeout(PATIENCE, waiting).await.expect("gets the free place").status(), 200);
}

#[tokio::test]
async fn one_host_does_not_take_all_places() {
    let server = Server::start();
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS_PER_HOST {
        held.push(hold(&server, 2).await);
    }
    let mut refused = server.connect_from(2).await;
    let mut nothing = Vec::new();
    let _ = timeout(PATIENCE, refused.read_to_end(&mut nothing)).await.expect("closed at once");
    assert!(nothing.is_empty());
    assert_eq!(server.get("/healthz").await.status(), 200, "others are served");
    drop(held.pop());
    // The server sees the end of it a little later.
    let served = async {
        loop {
            let mut stream = server.connect_from(2).await;
            let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
            if stream.read_u8().await.is_ok() {
                return;
            }
        }
    };
    timeout(PATIENCE, served).await.expect("a place is free again");
}

#[tokio::test(start_paused = true)]
async fn whoever_connects_and_asks_nothing_is_gone_soon() {
    let server = Server::start();
    let mut asking = hold(&server, 2).await;
    let mut silent = server.connect().await;
    let mut nothing = Vec::new();
    let read = timeout(FIRST_HEAD_TIMEOUT * 2, silent.read_to_end(&mut nothing)).await;
    assert!(read.is_ok(), "the connection is closed");
    let mut rest = [0; 1024];
    let read = asking.read(&mut rest).await.unwrap();
    assert!(read > 0, "the rest of the answer");
    asking.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    assert!(asking.read(&mut rest).await.unwrap() > 0, "one that asked may take its time");
}

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_end_is_not_waited_for() {
    let server = Server::start();
    let mut stream = server.connect().await;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost:").await.unwrap();
    let mut answer = Vec::new();
    let read = timeout(FIRST_HEAD_TIMEOUT * 2, stream.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "the connection is closed");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_end_is_not_waited_for() {
    let server = Server::start();
    let mut stream = server.connect().await;
    let head = b"POST /api/v1/config HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nlisteners:";
    stream.write_all(head).await.unwrap();
    let mut answer = String::new();
    let read = timeout(BODY_TIMEOUT * 2, stream.read_to_string(&mut answer)).await;
    assert!(read.is_ok(), "the connection is closed");
    Answer(answer).problem(408, "timeout");
    assert_eq!(server.calls(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stops_reading_loses_its_place() {
    const LONG: usize = 64 * 1024 * 1024;
    let server = Server::with(Fake { metrics: "x".repeat(LONG), ..Fake::new() }, None);
    let mut stream = server.connect().await;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut byte = [0];
    timeout(PATIENCE, stream.read_exact(&mut byte)).await.expect("the answer begins").unwrap();
    tokio::time::sleep(CONNECTION_AGE + LAST_REQUEST * 2).await;
    let mut rest = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("the connection is closed");
    assert!(rest.len() < LONG, "it was cut off");
}

#[tokio::test]
async fn a_request_under_way_is_finished_when_the_server_stops() {
    let server = Server::with(Fake { metrics: "x".repeat(1_000_000), ..Fake::new() }, None);
    let mut idle = server.connect().await;
    let mut posting = server.connect().await;
    let head =
        b"POST /api/v1/config/rollback HTTP/1.1\r\nHost: localhost\r\nContent-Length: 17\r\n\r\n{\"gen";
    posting.write_all(head).await.unwrap();
    // An answer to another request shows that the server has taken what came before.
    assert_eq!(server.get("/metrics").await.body().len(), 1_000_000);
    let (address, node) = (server.address, server.node.clone());
    let finish = async {
        let mut nothing = Vec::new();
        timeout(PATIENCE, idle.read_to_end(&mut nothing))
            .await
            .expect("idle connections are closed")
            .unwrap();
        posting.write_all(b"eration\": 6}").await.unwrap();
        let mut answer = String::new();
        timeout(PATIENCE, posting.read_to_string(&mut answer)).await.expect("an answer").unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    };
    tokio::join!(server.stop(), finish);
    assert_eq!(node.calls.lock().unwrap().len(), 1);
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "nobody listens any more");
}
