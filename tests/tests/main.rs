//! All plays, one file per area. Each says in one sentence what it proves.

#![expect(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a play fails by panicking")]

mod balancing;
mod chaos;
mod command_line;
mod conformance_http2;
mod differential;
mod drivers;
mod explain;
mod gray;
mod grid;
mod grpc;
mod health;
mod hostile;
mod http1;
mod http2;
mod introduction;
mod lifecycle;
mod observing;
mod pass_through;
mod preference;
mod queue;
mod real_servers;
mod reload;
mod routing;
mod scale;
mod soak;
mod sticky;
mod tcp;
mod timeouts;
mod tls;
mod top;
mod udp;
mod upgrade;
mod upstream;
mod upstream_tls;
mod vitals;

use std::time::Duration;

use base_testkit::{Aya, Backend, Client, wait_until};
use scenarios::noise;

/// Between two looks at a connection.
const POLL: Duration = Duration::from_millis(5);

/// Aya with one listener, one route and one pool of these backends.
fn front(backends: &[&Backend]) -> Aya {
    Aya::start(&config("", "", "", backends))
}

/// As [`front`], with further keys (in flow style, without braces) for the listener, the route and the pool.
fn front_with(listener: &str, route: &str, pool: &str, backends: &[&Backend]) -> Aya {
    Aya::start(&config(listener, route, pool, backends))
}

/// The configuration of [`front_with`].
fn config(listener: &str, route: &str, pool: &str, backends: &[&Backend]) -> String {
    let endpoints: Vec<_> = backends.iter().map(ToString::to_string).collect();
    config_of(listener, route, pool, &endpoints.join(", "))
}

/// As [`config`], with the endpoints as text.
fn config_of(listener: &str, route: &str, pool: &str, endpoints: &str) -> String {
    let more = |keys: &str| if keys.is_empty() { String::new() } else { format!(", {keys}") };
    format!(
        "listeners:\n  web: {{bind: '127.0.0.1:0'{}}}\n\
         routes:\n  - {{pool: main{}}}\n\
         pools:\n  main: {{endpoints: [{endpoints}]{}}}\n",
        more(listener),
        more(route),
        more(pool)
    )
}

/// A client whose request for `/hold` waits at this backend, which answers that path when its gate opens; the other backends
/// answer it at once.
fn hold_at(aya: &Aya, backend: &Backend) -> Client {
    loop {
        let mut client = aya.client();
        client.send("GET /hold HTTP/1.1\r\nHost: play.test\r\n\r\n");
        let is_held = || backend.requests().iter().any(|request| request.target == "/hold");
        wait_until("the request to be held or answered", || is_held() || !client.is_silent_for(POLL));
        if is_held() {
            return client;
        }
        assert_eq!(client.response().status, 200);
    }
}

/// Whether plays under load take their long form: `AYA_LONG=1`.
fn is_long() -> bool {
    std::env::var_os("AYA_LONG").is_some_and(|value| value == "1")
}

/// A body in chunks of this size, with its end and these trailer lines (each with its line end).
fn chunked(body: &[u8], size: usize, trailers: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for chunk in body.chunks(size) {
        out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(format!("0\r\n{trailers}\r\n").as_bytes());
    out
}
