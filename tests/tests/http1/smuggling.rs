//! Requests that two servers could read differently, and bytes that are no request at all.

use base_testkit::{Backend, answer, wait_until};

use crate::{front, front_with, noise};

const SECOND: &str = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

/// Heads that must be refused. Each is followed by bytes that would be a second request to whoever reads the first differently.
const BAD_HEADS: &[&str] = &[
    // Two framings, or one that says two things.
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 4\r\n\r\nabcd",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    // Lengths that are none.
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +4\r\n\r\nabcd",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x4\r\n\r\nabcd",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4 4\r\n\r\nabcd",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4,\r\n\r\nabcd",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4;\r\n\r\nabcd",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\u{a0}\r\n\r\nabcd",
    "POST / HTTP/1.1\r\nHost: a\r\nContent_Length: 4\r\n\r\nabcd",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer_Encoding: chunked\r\n\r\nabcd",
    // Codings that hide chunked from one of two.
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\u{b}chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nX: y\r\n\tTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    // Lines that end or begin where another sees no line.
    "GET / HTTP/1.1\nHost: a\n\n",
    "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n folded\r\n\r\n",
    "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX\0: b\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\n: no name\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX Y: z\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX(Y): z\r\n\r\n",
    "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
    // Request lines of another shape.
    "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /  HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n",
    " GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / a HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
    "GET / http/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.12\r\nHost: a\r\n\r\n",
    "GET / HTTP\r\nHost: a\r\n\r\n",
    "GET /\r\nHost: a\r\n\r\n",
    "GET a HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /\u{1} HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /#x HTTP/1.1\r\nHost: a\r\n\r\n",
    "G(T / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET http://user@b/ HTTP/1.1\r\nHost: b\r\n\r\n",
    "GET http:///x HTTP/1.1\r\nHost: b\r\n\r\n",
    "GET ftp:/x HTTP/1.1\r\nHost: b\r\n\r\n",
    "\r\n\r\nGET / HTTP/1.1\r\nHost : a\r\n\r\n",
];

/// Whatever could be read as two different requests is refused with 400, the connection is closed, and no byte reaches a backend.
#[test]
fn ambiguous_heads_are_refused() {
    let backend = Backend::echo("a");
    let aya = front(&[&backend]);
    let mut wrong = Vec::new();
    for bytes in BAD_HEADS {
        let mut client = aya.client();
        // Bytes above 127 are sent as the one byte they stand for.
        client.send(format!("{bytes}{SECOND}").chars().map(|c| c as u8).collect::<Vec<_>>());
        match client.try_response() {
            Ok(response) if response.status == 400 && response.reason() == "bad-request" => {
                if let Err(error) = client.closed_by_peer() {
                    wrong.push(format!("{bytes:?}: not closed: {error}"));
                }
            }
            Ok(response) => wrong.push(format!("{bytes:?}: {} {}", response.status, response.reason())),
            Err(error) => wrong.push(format!("{bytes:?}: {error}")),
        }
        for request in backend.requests() {
            wrong.push(format!("{bytes:?}: the backend got {} {}", request.method, request.target));
        }
        backend.forget();
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(backend.received().iter().all(Vec::is_empty));
}

/// What Aya does not speak is refused by name, and the connection is closed.
#[test]
fn unspoken_things_are_refused() {
    let backend = Backend::echo("a");
    let aya = front_with("http2: off", "", "", &[&backend]);
    for (bytes, status) in [
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 400),
        ("CONNECT b:443 HTTP/1.1\r\nHost: b:443\r\n\r\n", 501),
        ("CONNECT b HTTP/1.1\r\nHost: b\r\n\r\n", 400),
        ("TRACE / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", 400),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        ("GET / HTTP/11\r\nHost: a\r\n\r\n", 505),
    ] {
        let mut client = aya.client();
        client.send(format!("{bytes}{SECOND}"));
        let response = client.response();
        // RFC 9112 leaves 400 and 501 open for codings.
        let fits = response.status == status || response.status == 400;
        assert!(
            fits && !response.reason().is_empty(),
            "{bytes:?}: {} {}",
            response.status,
            response.reason()
        );
        client.expect_close();
    }
    assert_eq!(backend.request_count(), 0);
}

/// Chunked bodies that two servers could read differently never end as a request, and what follows them is never one.
#[test]
fn ambiguous_chunks_are_refused() {
    const BAD_BODIES: &[&str] = &[
        "+4\r\nabcd\r\n0\r\n\r\n",
        "-4\r\nabcd\r\n0\r\n\r\n",
        "0x4\r\nabcd\r\n0\r\n\r\n",
        "4g\r\nabcd\r\n0\r\n\r\n",
        " 4\r\nabcd\r\n0\r\n\r\n",
        "\r\nabcd\r\n0\r\n\r\n",
        ";x\r\nabcd\r\n0\r\n\r\n",
        "4\nabcd\r\n0\r\n\r\n",
        "4\rabcd\r\n0\r\n\r\n",
        "4\r\nabcd0\r\n\r\n",
        "4\r\nabcd\n0\r\n\r\n",
        "4\r\nabcdef\r\n0\r\n\r\n",
        "4;a\nb\r\nabcd\r\n0\r\n\r\n",
        "4;a\rb\r\nabcd\r\n0\r\n\r\n",
        "4;\0\r\nabcd\r\n0\r\n\r\n",
        "10000000000000004\r\nabcd\r\n0\r\n\r\n",
        "FFFFFFFFFFFFFFFF\r\nabcd\r\n0\r\n\r\n",
        "4\r\nabcd\r\n0\r\n folded: x\r\n\r\n",
        "4\r\nabcd\r\n0\r\nno colon\r\n\r\n",
        "4\r\nabcd\r\n0\r\nx : y\r\n\r\n",
        "4\r\nabcd\r\n0\r\nx: y\n\r\n\r\n",
        "4\r\nabcd\r\n0\n\r\n",
    ];
    let backend = Backend::echo("a");
    let aya = front_with("", "", "ejection: off", &[&backend]);
    let mut wrong = Vec::new();
    for bytes in BAD_BODIES {
        let mut client = aya.client();
        client
            .send(format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{bytes}{SECOND}"));
        match client.try_response() {
            Ok(response) if response.status == 400 => {
                if let Err(error) = client.closed_by_peer() {
                    wrong.push(format!("{bytes:?}: not closed: {error}"));
                }
            }
            Ok(response) => wrong.push(format!("{bytes:?}: {} {}", response.status, response.reason())),
            Err(error) => wrong.push(format!("{bytes:?}: {error}")),
        }
        for request in backend.requests() {
            wrong.push(format!("{bytes:?}: the backend got {} {}", request.method, request.target));
        }
        backend.forget();
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A length given twice with the same value reaches no backend as two: it is refused or made one.
#[test]
fn repeated_lengths_are_never_passed_on() {
    let backend = Backend::echo("a");
    let aya = front(&[&backend]);
    for lines in ["Content-Length: 4\r\nContent-Length: 4\r\n", "Content-Length: 4, 4\r\n"] {
        let mut client = aya.client();
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\nabcd"));
        let response = client.response();
        assert!(matches!(response.status, 200 | 400), "{lines:?}: {}", response.status);
    }
    for request in backend.requests() {
        assert_eq!((request.headers("content-length"), request.body.as_slice()), (vec!["4"], &b"abcd"[..]));
    }
}

/// An answer that a client could read differently from Aya is not passed on, and its connection is not used again.
#[test]
fn ambiguous_answers_are_not_passed_on() {
    let backend = Backend::script(|session| {
        while let Some(request) = session.request()? {
            match request.target.as_str() {
                "/plain" => session.send(answer(200, &[], "plain"))?,
                "/both" => session.send(
                    "HTTP/1.1 200 OK\r\nContent-Length: 50\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
                )?,
                _ => session.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello0\r\n\r\n")?,
            }
        }
        Ok(())
    });
    let aya = front_with("", "", "ejection: off", &[&backend]);
    assert_eq!(aya.get("/both").reason(), "bad-response");
    let mut client = aya.client();
    client.send("GET /chunks HTTP/1.1\r\nHost: a\r\n\r\n");
    let head = client.head();
    if head.status == 200 {
        client.expect_broken_body(&head);
    } else {
        assert_eq!(head.status, 502);
    }
    assert_eq!(aya.get("/plain").text(), "plain");
}

/// Random bytes, half of a TLS greeting, endless lines: none harms Aya, and other connections are served meanwhile.
#[test]
fn random_bytes_do_no_harm() {
    let backend = Backend::echo("a");
    let aya = front_with("timeouts: {request-head: 60s}", "", "", &[&backend]);
    let mut bystander = aya.client();
    let mut slow = aya.client();
    slow.send("GET /slow HT");
    for seed in 0..60_u64 {
        let mut client = aya.client();
        let bytes = match seed % 6 {
            0 => b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
            1 => vec![b'A'; 300_000],
            2 => vec![0; 5000],
            3 => b"\r\n".repeat(5000),
            _ => noise(5000, seed * 77 + 1),
        };
        client.offer(bytes);
        if seed % 2 == 0 {
            client.reset();
        } else {
            client.half_close();
            if let Ok(response) = client.try_response() {
                assert!((400..=505).contains(&response.status), "{}", response.status);
            }
        }
        assert_eq!(bystander.get("/").status, 200);
    }
    slow.send("TP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(slow.response().status, 200);
}

/// Many clients that drip their heads hold nobody else up, and are let go in time.
#[test]
fn slow_drips_stall_nobody() {
    let backend = Backend::echo("a");
    let aya = front_with("timeouts: {request-head: 1s}", "", "", &[&backend]);
    let mut drips: Vec<_> = (0..200).map(|_| aya.client()).collect();
    for (index, drip) in drips.iter_mut().enumerate() {
        drip.send(&b"GET / HTTP/1.1\r\nHost: a"[..index % 20 + 1]);
    }
    let mut client = aya.client();
    for _ in 0..50 {
        assert_eq!(client.get("/").status, 200);
    }
    for drip in &mut drips {
        let response = drip.try_response().expect("an answer before the close");
        assert_eq!((response.status, response.reason()), (408, "request-head-timeout"));
        drip.expect_close();
    }
    // Their sockets are still open at this end: Aya waits for them no longer than it must.
    wait_until("them to be let go", || {
        aya.metrics().sum("aya_connections_open", &[("listener", "web")]) < 10.0
    });
    drop(client);
}
