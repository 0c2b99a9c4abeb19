//! Messages and their bodies: persistence, framing in both directions, streaming, old peers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base_testkit::{Backend, Gate, answer, checksum, wait_until};

use crate::{chunked, front, front_with, noise};

const MEBIBYTE: usize = 1024 * 1024;

/// One client connection carries request after request.
#[test]
fn a_connection_is_kept_alive() {
    let backend = Backend::echo("a");
    let aya = front(&[&backend]);
    let mut client = aya.client();
    for number in 0..20 {
        let response = client.get(&format!("/{number}"));
        assert_eq!((response.status, response.keeps_alive()), (200, true));
        assert_eq!(response.json()["target"], format!("/{number}"));
    }
}

/// A hundred requests in one write are answered in their order.
#[test]
fn pipelined_requests_are_answered_in_order() {
    let backend = Backend::echo("a");
    let aya = front(&[&backend]);
    let mut client = aya.client();
    let requests: String =
        (0..100).map(|n| format!("GET /{n} HTTP/1.1\r\nHost: play.test\r\n\r\n")).collect();
    client.send(requests);
    for number in 0..100 {
        assert_eq!(client.response().json()["target"], format!("/{number}"));
    }
}

/// Pipelined requests with bodies of each framing do not run into one another.
#[test]
fn pipelined_bodies_are_kept_apart() {
    let backend = Backend::echo("a");
    let aya = front(&[&backend]);
    let mut client = aya.client();
    let mut bytes = Vec::new();
    for _ in 0..10 {
        bytes.extend_from_slice(b"POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
        bytes.extend_from_slice(b"POST /chunked HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        bytes.extend_from_slice(&chunked(b"hello world", 3, ""));
        bytes.extend_from_slice(b"GET /none HTTP/1.1\r\nHost: a\r\n\r\n");
        bytes.extend_from_slice(b"POST /empty HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    }
    client.send(bytes);
    for _ in 0..10 {
        for (path, body) in [("/length", "hello"), ("/chunked", "hello world"), ("/none", ""), ("/empty", "")]
        {
            let seen = client.response().json();
            assert_eq!(seen["target"], path);
            assert_eq!(seen["checksum"], checksum(body.as_bytes()), "{path}");
        }
    }
}

/// Cuts bytes into pieces of 1 to 40 bytes, in a way of its own for each seed.
fn pieces(bytes: &[u8], seed: u64) -> Vec<Vec<u8>> {
    let mut lengths = noise(bytes.len(), seed).into_iter().map(|byte| usize::from(byte) % 40 + 1);
    let mut rest = bytes;
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(lengths.next().unwrap_or(1).min(rest.len()));
        pieces.push(piece.to_vec());
        rest = behind;
    }
    pieces
}

/// It does not matter into which pieces the network cuts requests and responses.
#[test]
fn pieces_do_not_matter() {
    let backend = Backend::script(|session| {
        while let Some(request) = session.request()? {
            let mut bytes = b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n".to_vec();
            bytes.extend_from_slice(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Long: ");
            bytes.extend_from_slice(&[b'y'; 100]);
            bytes.extend_from_slice(b"\r\n\r\n");
            bytes.extend_from_slice(&chunked(&request.body, 13, "X-Sum: 1\r\n"));
            for piece in pieces(&bytes, request.body.len() as u64 + 5) {
                session.send(piece)?;
            }
        }
        Ok(())
    });
    let aya = front(&[&backend]);
    let mut client = aya.client();
    for seed in 1..30 {
        let body = noise(300 + seed * 7, seed as u64);
        let mut bytes =
            b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n\r\n".to_vec();
        bytes.extend_from_slice(&chunked(&body, 17, "X-Check: 1\r\n"));
        bytes.extend_from_slice(
            format!("POST /y HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes(),
        );
        bytes.extend_from_slice(&body);
        pieces(&bytes, seed as u64).into_iter().for_each(|piece| client.send(piece));
        for _ in 0..2 {
            assert_eq!(client.response().status, 103);
            let response = client.response();
            assert!(response.status == 200 && response.body == body, "seed {seed}");
            assert_eq!(response.trailers.get("x-sum"), Some("1"));
        }
    }
}

/// A client that asks and asks and reads nothing is not read from without end: memory stays small.
#[test]
fn a_greedy_client_is_held_back() {
    let body = vec![b'x'; 64 * 1024];
    let backend = Backend::answering(move |_| answer(200, &[], &body));
    let aya = front(&[&backend]);
    let before = aya.memory_at_rest().resident;
    let client = aya.client();
    let mut writer = client.split();
    let requests = "GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(1000);
    std::thread::scope(|scope| {
        scope.spawn(|| (0..500).all(|_| writer.offer(&requests)));
        let mut last = usize::MAX;
        wait_until("the client to be held back", || {
            std::thread::sleep(std::time::Duration::from_millis(150));
            let now = backend.request_count();
            now > 0 && now == std::mem::replace(&mut last, now)
        });
        client.give_up();
    });
    let grown = aya.memory().peak.saturating_sub(before);
    assert!(grown < 24 * MEBIBYTE as u64, "Aya grew by {grown} bytes");
}

/// `Connection: close` is honoured: it is answered, said back, and nothing after it is looked at.
#[test]
fn connection_close_ends_the_connection() {
    let backend = Backend::echo("a");
    let aya = front(&[&backend]);
    let mut client = aya.client();
    client.send(
        "GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /more HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    let response = client.response();
    assert_eq!((response.status, response.keeps_alive()), (200, false));
    client.expect_close();
    assert_eq!(backend.only_request().target, "/last");
}

/// A head that comes byte by byte, after an empty line, is a request like any other.
#[test]
fn a_dripping_head_is_understood() {
    let backend = Backend::echo("a");
    let aya = front(&[&backend]);
    let mut client = aya.client();
    for byte in b"\r\nGET /drip HTTP/1.1\r\nHost: a\r\n\r\n" {
        client.send([*byte]);
    }
    assert_eq!(client.response().json()["target"], "/drip");
}

/// Request bodies of both framings reach the backend whole, whatever the pieces they come in.
#[test]
fn request_bodies_arrive_whole() {
    let backend = Backend::echo("a");
    let aya = front(&[&backend]);
    let mut client = aya.client();
    // Around the sizes of buffers, and far from them.
    let mut sizes = vec![(0, 1), (1, 1), (1000, 7), (MEBIBYTE, 65_536), (3 * MEBIBYTE + 1, 100_000)];
    sizes.extend(
        [4096, 16_384, 65_536]
            .into_iter()
            .flat_map(|size| [(size - 1, size), (size, size), (size + 1, size)]),
    );
    for (size, piece) in sizes {
        let body = noise(size, 7);
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n"));
        body.chunks(piece).for_each(|part| client.send(part));
        let seen = client.response().json();
        assert_eq!(
            (seen["length"].as_u64(), &seen["checksum"]),
            (Some(size as u64), &checksum(&body).into())
        );
        client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        client.send(chunked(&body, piece, ""));
        let seen = client.response().json();
        assert_eq!(
            (seen["length"].as_u64(), &seen["checksum"]),
            (Some(size as u64), &checksum(&body).into())
        );
    }
}

/// Chunk extensions and a coding written in another case do no harm.
#[test]
fn chunk_extensions_are_ignored() {
    let backend = Backend::echo("a");
    let aya = front(&[&backend]);
    let mut client = aya.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n");
    client.send("5;name=value;quoted=\"a;b\"\r\nhello\r\n0005\r\nworld\r\n0;last\r\n\r\n");
    assert_eq!(client.response().json()["checksum"], checksum(b"helloworld"));
}

/// Response bodies of every framing reach the client whole, and the connection stays usable.
#[test]
fn response_bodies_arrive_whole() {
    let body = noise(2 * MEBIBYTE + 3, 9);
    let sent = body.clone();
    let backend = Backend::script(move |session| {
        while let Some(request) = session.request()? {
            match request.target.as_str() {
                "/length" => session.send(answer(200, &[], &sent))?,
                "/empty" => session.send(answer(200, &[], ""))?,
                "/chunked" => {
                    session.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
                    session.send(chunked(&sent, 10_007, ""))?;
                }
                _ => {
                    session.send("HTTP/1.1 200 OK\r\n\r\n")?;
                    session.send(&sent)?;
                    return Ok(());
                }
            }
        }
        Ok(())
    });
    let aya = front(&[&backend]);
    let mut client = aya.client();
    for path in ["/length", "/close", "/empty", "/chunked", "/close", "/length"] {
        let response = client.get(path);
        assert_eq!((response.status, response.keeps_alive()), (200, true), "{path}");
        assert_eq!(response.header("content-length").is_some(), path == "/length" || path == "/empty");
        assert!(response.body == if path == "/empty" { Vec::new() } else { body.clone() }, "{path}");
    }
}

/// Trailer sections pass in both directions.
#[test]
fn trailers_pass_both_ways() {
    let backend = Backend::script(|session| {
        while session.request()?.is_some() {
            session.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n")?;
            session.send("2\r\nok\r\n0\r\nX-Sum: 42\r\nX-More: yes\r\n\r\n")?;
        }
        Ok(())
    });
    let aya = front(&[&backend]);
    let mut client = aya.client();
    for _ in 0..2 {
        client.send("POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTrailer: X-Check\r\n");
        client.send("Transfer-Encoding: chunked\r\n\r\n");
        client.send(chunked(b"data", 4, "X-Check: abc\r\nX-Other: def\r\n"));
        let response = client.response();
        assert_eq!(response.text(), "ok");
        assert_eq!(response.trailers.get("x-sum"), Some("42"));
        assert_eq!(response.trailers.get("x-more"), Some("yes"));
    }
    for request in backend.requests() {
        assert_eq!(request.body, b"data");
        assert_eq!(request.trailers.get("x-check"), Some("abc"));
        assert_eq!(request.trailers.get("x-other"), Some("def"));
    }
}

/// What filters set or drop cannot come back behind the body, in either direction.
#[test]
fn trailers_cannot_undo_filters() {
    let backend = Backend::script(|session| {
        while session.request()?.is_some() {
            session.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            session.send("2\r\nok\r\n0\r\nX-Debug: 1\r\nX-Sum: 42\r\n\r\n")?;
        }
        Ok(())
    });
    let filters = "filters: [{set-header: {request: {x-auth-user: nobody}}}, \
                   {remove-header: {request: [x-internal], response: [x-debug]}}]";
    let aya = front_with("", filters, "", &[&backend]);
    let mut client = aya.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send(chunked(
        b"data",
        4,
        "X-Auth-User: root\r\nX_Auth_User: root\r\nX-Internal: 1\r\nX-Sum: 7\r\n",
    ));
    let response = client.response();
    assert_eq!((response.trailers.get("x-debug"), response.trailers.get("x-sum")), (None, Some("42")));
    let [request] = &backend.requests()[..] else { panic!("one request") };
    assert_eq!(request.fields.get("x-auth-user"), Some("nobody"));
    for gone in ["x-auth-user", "x_auth_user", "x-internal"] {
        assert_eq!(request.trailers.get(gone), None, "{gone}");
    }
    assert_eq!(request.trailers.get("x-sum"), Some("7"));
}

/// A trailer section cannot bring in what frames or routes a message.
#[test]
fn trailers_cannot_change_the_message() {
    let backend = Backend::echo("a");
    let aya = front(&[&backend]);
    let mut client = aya.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send(chunked(
        b"data",
        4,
        "Content-Length: 999\r\nHost: evil\r\nTransfer-Encoding: x\r\nX-Fine: 1\r\n",
    ));
    // Refusing is as good as dropping them.
    let response = client.response();
    if response.status == 200 {
        let trailers = backend.only_request().trailers;
        assert!(trailers.get("content-length").is_none() && trailers.get("transfer-encoding").is_none());
        assert!(trailers.get("host").is_none());
    } else {
        assert_eq!(response.status, 400);
    }
}

/// The answer to HEAD keeps its length field and has no body; the next answer is found where it begins.
#[test]
fn head_has_no_body() {
    let backend = Backend::script(|session| {
        while let Some(request) = session.request()? {
            match request.target.as_str() {
                "/length" => session.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")?,
                "/chunked" => session.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?,
                _ => session.send(answer(200, &[], "plain"))?,
            }
        }
        Ok(())
    });
    let aya = front(&[&backend]);
    let mut client = aya.client();
    client.send("HEAD /length HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response_to("HEAD").header("content-length"), Some("1000"));
    client.send("HEAD /chunked HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response_to("HEAD").status, 200);
    assert_eq!(client.get("/get").text(), "plain");
    // Aya's own answers obey the same rule.
    client.send("HEAD * HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response_to("HEAD").status, 400);
    client.expect_close();
}

/// 204 and 304 have no body, whatever their fields say.
#[test]
fn statuses_without_body_have_none() {
    let backend = Backend::answering(|request| match request.target.as_str() {
        "/204" => b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(),
        "/304" => b"HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\nETag: \"x\"\r\n\r\n".to_vec(),
        "/chunked" => b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(),
        _ => answer(200, &[], "plain"),
    });
    let aya = front(&[&backend]);
    let mut client = aya.client();
    assert_eq!(client.get("/204").status, 204);
    assert_eq!(client.get("/304").header("etag"), Some("\"x\""));
    assert_eq!(client.get("/200").text(), "plain");
    assert_eq!(client.get("/chunked").status, 304);
    assert_eq!(client.get("/200").text(), "plain");
    assert_eq!(backend.connection_count(), 1);
}

/// A client that does not read holds the backend back, and Aya's memory stays small; then everything arrives.
#[test]
fn a_slow_reader_holds_the_backend_back() {
    let total = 96 * MEBIBYTE;
    let progress = Arc::new(AtomicUsize::new(0));
    let sent = Arc::clone(&progress);
    let backend = Backend::script(move |session| {
        if session.request()?.is_some() {
            session.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {total}\r\n\r\n"))?;
            let piece = vec![b'x'; 64 * 1024];
            for _ in 0..total / piece.len() {
                session.send(&piece)?;
                sent.fetch_add(piece.len(), Ordering::SeqCst);
            }
        }
        session.closed_by_peer()
    });
    let aya = front(&[&backend]);
    let before = aya.memory_at_rest().resident;
    let mut client = aya.client();
    client.shrink_receive_buffer();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut last = usize::MAX;
    wait_until("the backend to be held back", || {
        std::thread::sleep(std::time::Duration::from_millis(150));
        let now = progress.load(Ordering::SeqCst);
        now > 0 && now == std::mem::replace(&mut last, now)
    });
    assert!(last < total / 2, "the backend could send {last} bytes that nobody read");
    let response = client.response();
    assert_eq!(response.body.len(), total);
    let grown = aya.memory().peak.saturating_sub(before);
    assert!(grown < 24 * MEBIBYTE as u64, "Aya grew by {grown} bytes");
}

/// A backend that does not read holds the client back, and Aya's memory stays small; then everything arrives.
#[test]
fn a_slow_backend_holds_the_client_back() {
    let total = 96 * MEBIBYTE;
    let gate = Arc::new(Gate::new());
    let cue = Arc::clone(&gate);
    let backend = Backend::script(move |session| {
        session.shrink_receive_buffer();
        if session.request_head()?.is_some() {
            cue.pass();
            let mut left = total;
            while left > 0 {
                left -= session.exactly(left.min(MEBIBYTE))?.len();
            }
            session.send(answer(200, &[], "all"))?;
        }
        Ok(())
    });
    let aya = front(&[&backend]);
    let before = aya.memory_at_rest().resident;
    let mut client = aya.client();
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {total}\r\n\r\n"));
    let progress = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let piece = vec![b'x'; 64 * 1024];
            for _ in 0..total / piece.len() {
                client.send(&piece);
                progress.fetch_add(piece.len(), Ordering::SeqCst);
            }
        });
        let mut last = usize::MAX;
        wait_until("the client to be held back", || {
            std::thread::sleep(std::time::Duration::from_millis(150));
            let now = progress.load(Ordering::SeqCst);
            now > 0 && now == std::mem::replace(&mut last, now)
        });
        assert!(last < total / 2, "the client could send {last} bytes that nobody read");
        gate.open();
    });
    assert_eq!(client.response().text(), "all");
    let grown = aya.memory().peak.saturating_sub(before);
    assert!(grown < 24 * MEBIBYTE as u64, "Aya grew by {grown} bytes");
}

/// Bytes pass on as they come: neither a request nor a response body waits for its end.
#[test]
fn bodies_stream_without_waiting_for_their_end() {
    let backend = Backend::script(|session| {
        if session.request_head()?.is_some() {
            assert_eq!(session.chunk()?, b"one");
            session.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nuno\r\n")?;
            assert_eq!(session.chunk()?, b"two");
            session.send("3\r\ndos\r\n")?;
            assert_eq!(session.chunk()?, b"");
            session.send("0\r\n\r\n")?;
        }
        session.closed_by_peer().or(Ok(()))
    });
    let aya = front(&[&backend]);
    let mut client = aya.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
    assert_eq!(client.head().status, 200);
    assert_eq!(client.chunk().expect("the first answer"), b"uno");
    client.send("3\r\ntwo\r\n");
    assert_eq!(client.chunk().expect("the second answer"), b"dos");
    client.send("0\r\n\r\n");
    assert_eq!(client.chunk().expect("the end"), b"");
}

/// An HTTP/1.0 client gets its answer without chunks, and the connection ends it.
#[test]
fn an_old_client_gets_no_chunks() {
    let backend = Backend::answering(|_| {
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
            .to_vec()
    });
    let aya = front(&[&backend]);
    for lines in ["", "Connection: keep-alive\r\n"] {
        let mut client = aya.client();
        client.send(format!("GET / HTTP/1.0\r\nHost: a\r\n{lines}\r\n"));
        let response = client.response();
        assert_eq!((response.status, response.text().as_str()), (200, "hello world"));
        assert!(
            response.header("transfer-encoding").is_none()
                && !response.fields.lists("connection", "keep-alive")
        );
        client.expect_close();
    }
    assert!(backend.requests().iter().all(|request| request.version == "HTTP/1.1"));
}

/// What breaks off on its way to a client that only the connection's end tells where an answer ends is broken off there as well: a mere
/// end would make half of it look whole.
#[test]
fn half_an_answer_never_looks_whole_to_an_old_client() {
    for framing in ["Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "Content-Length: 50\r\n\r\nhello"] {
        let backend = Backend::script(move |session| {
            session.request()?;
            session.send(format!("HTTP/1.1 200 OK\r\n{framing}"))
        });
        let aya = front_with("", "", "ejection: off", &[&backend]);
        let mut client = aya.client();
        client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
        let head = client.head();
        assert_eq!(head.status, 200);
        if head.header("content-length").is_none() {
            let rest = client.rest();
            assert!(rest.is_err(), "{framing:?}: the connection ended as if all were there: {rest:?}");
        } else {
            client.expect_broken_body(&head);
        }
    }
}

/// An HTTP/1.0 client that asks for it keeps its connection; one that does not, does not; `Host` is not needed.
#[test]
fn an_old_client_keeps_its_connection_when_it_asks() {
    let backend = Backend::echo("a");
    let aya = front(&[&backend]);
    let mut client = aya.client();
    for _ in 0..3 {
        client.send("GET /kept HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
        let response = client.response();
        assert_eq!(response.status, 200);
        assert!(response.fields.lists("connection", "keep-alive"), "{:?}", response.fields);
    }
    client.send("GET /last HTTP/1.0\r\n\r\n");
    assert_eq!(client.response().json()["target"], "/last");
    client.expect_close();
}

/// Answers of HTTP/1.0 backends pass, kept alive or not, and the client's connection lives on.
#[test]
fn an_old_backend_is_understood() {
    let backend = Backend::script(|session| {
        while let Some(request) = session.request()? {
            if request.target == "/kept" {
                session.send("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 4\r\n\r\nkept")?;
            } else {
                session.send("HTTP/1.0 200 OK\r\n\r\nclosed")?;
                break;
            }
        }
        Ok(())
    });
    let aya = front(&[&backend]);
    let mut client = aya.client();
    for path in ["/kept", "/closed", "/kept", "/closed", "/kept"] {
        let response = client.get(path);
        assert_eq!((response.version.as_str(), response.keeps_alive()), ("HTTP/1.1", true));
        assert_eq!(format!("/{}", response.text()), path);
    }
}

/// A body that the backend breaks off is broken off for the client too: it must not look whole.
#[test]
fn a_broken_response_is_not_made_whole() {
    let backend = Backend::script(|session| {
        if let Some(request) = session.request()? {
            match request.target.as_str() {
                "/length" => session.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")?,
                _ => session.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")?,
            }
        }
        Ok(())
    });
    let aya = front(&[&backend]);
    for path in ["/length", "/chunked"] {
        let mut client = aya.client();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let head = client.head();
        assert_eq!(head.status, 200);
        client.expect_broken_body(&head);
    }
    wait_until("both failures to be counted", || {
        let failures = aya.metrics().sum("aya_failures_total", &[("reason", "response-broken")]);
        (failures - 2.0).abs() < 0.1
    });
}

/// What a client has not read yet of whole answers is not taken from it when the answer behind them breaks off, whatever it still sends.
#[test]
fn whole_answers_survive_the_broken_one_behind_them() {
    let whole = noise(200_000, 9);
    let body = whole.clone();
    let backend = Backend::script(move |session| {
        while let Some(request) = session.request()? {
            if request.target == "/half" {
                return session.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
            }
            session.send(answer(200, &[], &body))?;
        }
        Ok(())
    });
    let aya = front(&[&backend]);
    // Whether a reset overtakes what it would discard is a matter of luck.
    for round in 1..=8 {
        let mut client = aya.client();
        client.send("GET /whole HTTP/1.1\r\nHost: a\r\n\r\nGET /half HTTP/1.1\r\nHost: a\r\n\r\n");
        client.send("POST /never HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n");
        client.send(noise(300_000, 1));
        // It reads when all is over.
        wait_until("the second answer to have broken", || {
            let broken = aya.metrics().sum("aya_failures_total", &[("reason", "response-broken")]);
            broken > f64::from(round) - 0.5
        });
        assert!(client.response().body == whole, "the first answer is whole");
        let head = client.head();
        client.expect_broken_body(&head);
    }
}

/// A request that the client breaks off is broken off for the backend too.
#[test]
fn a_broken_request_is_not_made_whole() {
    let seen = Arc::new(AtomicUsize::new(0));
    let broken = Arc::clone(&seen);
    let backend = Backend::script(move |session| {
        if let Some(mut request) = session.request_head()?
            && session.request_body(&mut request).is_err()
        {
            broken.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    });
    let aya = front(&[&backend]);
    let mut client = aya.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    wait_until("the head to arrive", || backend.request_count() == 1);
    client.half_close();
    drop(client);
    wait_until("the backend to see the end", || seen.load(Ordering::SeqCst) == 1);
    let mut client = aya.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello");
    wait_until("the head to arrive", || backend.request_count() == 2);
    client.reset();
    wait_until("the backend to see the end", || seen.load(Ordering::SeqCst) == 2);
}

/// A client that goes while it waits for its answer frees the endpoint.
#[test]
fn a_client_that_leaves_frees_the_endpoint() {
    let backend = Backend::script(|session| {
        session.request()?;
        session.closed_by_peer()
    });
    let aya = front(&[&backend]);
    let mut client = aya.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_until("the request to arrive", || backend.request_count() == 1);
    client.reset();
    wait_until("the endpoint to be freed", || backend.open_connections() == 0);
    wait_until("nothing to be in flight", || aya.metrics().sum("aya_endpoint_requests_in_flight", &[]) < 0.5);
}

/// A client that half-closes after its request still gets its answer.
#[test]
fn a_half_closed_client_gets_its_answer() {
    let gate = Arc::new(Gate::new());
    let cue = Arc::clone(&gate);
    let backend = Backend::answering(move |_| {
        cue.pass();
        answer(200, &[], "late")
    });
    let aya = front(&[&backend]);
    let mut client = aya.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.half_close();
    wait_until("the request to arrive", || backend.request_count() == 1);
    gate.open();
    assert_eq!(client.response().text(), "late");
    client.expect_close();
}

/// What a backend sends that is not HTTP is answered with 502 and its reason, and never passed on.
#[test]
fn bad_responses_are_not_passed_on() {
    let bad: &[&str] = &[
        "garbage\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 999999 OK\r\n\r\n",
        "HTTP/3.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nBad Name: x\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX : blank\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\r\n folded\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n X: a\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    ];
    let backend = Backend::script(move |session| {
        if let Some(request) = session.request()? {
            let number: usize = request.target[1..].parse().expect("the path is a number");
            session.send(bad[number])?;
        }
        Ok(())
    });
    let aya = front_with("", "", "ejection: off", &[&backend]);
    for (number, bytes) in bad.iter().enumerate() {
        let response = aya.get(&format!("/{number}"));
        assert_eq!((response.status, response.reason()), (502, "bad-response"), "{bytes:?}");
    }
}

/// Whatever an endpoint sends after its answer is not taken for the answer to the next request.
#[test]
fn bytes_after_an_answer_are_not_the_next_answer() {
    let backend = Backend::script(|session| {
        while let Some(request) = session.request()? {
            let mut bytes = answer(200, &[], &request.target);
            bytes.extend_from_slice(&answer(200, &[], "injected"));
            session.send(bytes)?;
        }
        Ok(())
    });
    let aya = front(&[&backend]);
    let mut client = aya.client();
    for number in 0..10 {
        assert_eq!(client.get(&format!("/{number}")).text(), format!("/{number}"));
    }
}
