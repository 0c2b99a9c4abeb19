//! Aya between the programs that people use: nginx, Python, curl.

use base_testkit::{Aya, Nginx, Python, TempFolder, curl, load, wait_until};

use crate::config_of;

const MEBIBYTE: u64 = 1024 * 1024;
/// What Aya may grow by, whatever flows through it.
const MAX_GROWTH: u64 = 24 * MEBIBYTE;

/// nginx and Python's server behind one Aya, for curl: GET, HEAD, ranges, and both endpoints take part.
#[test]
fn curl_meets_nginx_and_python() {
    let nginx = Nginx::start("");
    std::fs::write(nginx.folder().join("www/page.txt"), "a page").expect("a file can be written");
    let python = Python::http_server(&[("page.txt", "a page")]);
    let aya = Aya::start(&config_of("", "", "", &format!("{}, {}", nginx.address(), python.address())));
    let url = aya.url("/page.txt");
    let mut servers = Vec::new();
    for _ in 0..4 {
        let got = curl(&["--include", &url]);
        assert_eq!(got.code, Some(0), "{}", got.stderr);
        assert!(got.stdout.starts_with("HTTP/1.1 200") && got.stdout.ends_with("a page"), "{}", got.stdout);
        servers.extend(
            got.stdout
                .lines()
                .find(|line| line.to_ascii_lowercase().starts_with("server:"))
                .map(str::to_owned),
        );
    }
    servers.sort_unstable();
    servers.dedup();
    assert_eq!(servers.len(), 2, "{servers:?}");
    for _ in 0..2 {
        let got = curl(&["--head", &url]);
        assert!(got.stdout.to_ascii_lowercase().contains("content-length: 6"), "{}", got.stdout);
        let got = curl(&["--output", "/dev/null", "--write-out", "%{http_code}", &aya.url("/missing")]);
        assert_eq!(got.stdout, "404");
    }
    let aya = Aya::start(&config_of("", "", "", &nginx.address().to_string()));
    let got = curl(&["--range", "2-5", &aya.url("/page.txt")]);
    assert_eq!(got.stdout, "page");
}

/// curl sends 100 MB in chunks through Aya to nginx; all of it arrives, and Aya's memory stays as it was.
#[test]
fn a_large_chunked_upload_takes_no_memory() {
    let nginx = Nginx::start(
        "location /upload { client_body_in_file_only clean; proxy_pass http://$server_addr:$server_port/done; }\n\
         location /done { client_body_buffer_size 16k; return 200 'received $content_length'; }",
    );
    let aya = Aya::start(&config_of("", "", "", &nginx.address().to_string()));
    let folder = TempFolder::new();
    let file = folder.path().join("large");
    let large = std::fs::File::create(&file).expect("a file can be made");
    large.set_len(100 * MEBIBYTE).expect("a file can be grown");
    let before = aya.memory_at_rest().resident;
    let from = format!("@{}", file.display());
    for lines in [["-H", "Transfer-Encoding: chunked"], ["-H", "X-Framing: length"]] {
        let url = aya.url("/upload");
        let got = curl(&[lines[0], lines[1], "-H", "Expect: 100-continue", "--data-binary", &from, &url]);
        assert_eq!((got.code, got.stdout.as_str()), (Some(0), "received 104857600"), "{}", got.stderr);
    }
    let grown = aya.memory().peak.saturating_sub(before);
    assert!(grown < MAX_GROWTH, "Aya grew by {grown} bytes");
}

/// A gigabyte flows from nginx through Aya to curl, and Aya's memory stays as it was.
#[test]
fn a_large_download_takes_no_memory() {
    let nginx = Nginx::start("sendfile on;");
    let large = std::fs::File::create(nginx.folder().join("www/large")).expect("a file can be made");
    large.set_len(1024 * MEBIBYTE).expect("a file can be grown");
    let aya = Aya::start(&config_of("", "", "", &nginx.address().to_string()));
    let before = aya.memory_at_rest().resident;
    let got =
        curl(&["--output", "/dev/null", "--write-out", "%{http_code} %{size_download}", &aya.url("/large")]);
    assert_eq!(got.stdout, "200 1073741824", "{}", got.stderr);
    let grown = aya.memory().peak.saturating_sub(before);
    assert!(grown < MAX_GROWTH, "Aya grew by {grown} bytes");
}

/// curl waits for 100 before it sends a body, and gets it through Aya.
#[test]
fn curl_gets_its_continue() {
    let nginx = Nginx::start(
        "location / { proxy_pass http://$server_addr:$server_port/done; }\nlocation /done { return 200 ok; }",
    );
    let aya = Aya::start(&config_of("", "", "", &nginx.address().to_string()));
    let body = "x".repeat(5000);
    let got = curl(&[
        "--verbose",
        "--expect100-timeout",
        "30",
        "-H",
        "Expect: 100-continue",
        "--data-binary",
        &body,
        &aya.url("/"),
    ]);
    assert_eq!((got.code, got.stdout.as_str()), (Some(0), "ok"), "{}", got.stderr);
    assert!(got.stderr.contains("HTTP/1.1 100"), "{}", got.stderr);
}

/// Messages of a WebSocket client of Python come back through Aya from a WebSocket server of Python, small and large.
#[test]
fn websockets_flow() {
    let server = Python::websocket_echo();
    let aya = Aya::start(&config_of("", "", "", &server.address().to_string()));
    let script = "import asyncio, sys\n\
        from websockets.asyncio.client import connect\n\
        async def main():\n\
        \x20   async with connect(sys.argv[1], max_size=None) as socket:\n\
        \x20       for message in ['hello', '', 'x' * 70000, b'\\x00\\xff' * 500000]:\n\
        \x20           await socket.send(message)\n\
        \x20           assert await socket.recv() == message\n\
        \x20       await (await socket.ping())\n\
        \x20   print('closed', socket.close_code)\n\
        asyncio.run(main())\n";
    let url = format!("ws://{}/chat", aya.listener("web"));
    let ended = Python::run(script, &[&url]);
    assert_eq!((ended.code, ended.stdout.trim()), (Some(0), "closed 1000"), "{}", ended.stderr);
}

/// Under load over many connections every answer is right.
#[test]
fn load_is_carried_without_a_failure() {
    let nginx = Nginx::start("location / { return 200 'fine'; }");
    let aya = Aya::start(&config_of("", "", "", &nginx.address().to_string()));
    let run = load(&aya.url("/"), 100);
    wait_until("some load", || aya.metrics().sum("aya_requests_total", &[]) > 5000.0);
    let report = run.finish();
    assert_eq!((report.bad_answers, report.socket_errors), (0, 0), "{}", report.text);
    assert!(report.requests > 100, "{}", report.text);
    // What is under way when wrk stops, only Aya counts; and it counts when an answer is sent, a moment after wrk may have it.
    wait_until("all of them to be counted", || {
        aya.metrics().sum("aya_requests_total", &[("code", "2xx")]) >= report.requests as f64
    });
}
