//! An HTTP server in a process of its own, so that a play can kill it, stop it and cut it off.
//!
//! `origin ADDRESS` listens there and says `ready`. `/length/ID/COUNT` and `/chunked/ID/COUNT` are answered with so many bytes, made of
//! the id and of the request's body; what is in a request's body is thereby checked as well. `/` is fine.

use std::env;
use std::net::TcpListener;
use std::thread;

use base_testkit::{Backend, Request, Session, Wire, WireError, answer};

/// Bytes of a chunk: more than one chunk for most bodies, and seldom a round number of them.
const CHUNK_BYTES: usize = 4_111;

fn main() -> Result<(), String> {
    let address = env::args().nth(1).ok_or("an address is to be given")?;
    let listener =
        TcpListener::bind(&address).map_err(|error| format!("cannot listen on {address}: {error}"))?;
    let _server = Backend::script_on(listener, serve);
    eprintln!("ready");
    loop {
        thread::park();
    }
}

fn serve(session: &mut Session) -> Result<(), WireError> {
    // Not the session's own: that one remembers all requests.
    let wire: &mut Wire = session;
    while let Some(request) = wire.request()? {
        wire.send(respond(&request))?;
    }
    Ok(())
}

/// The whole answer in one piece: where it is small, it is sent or it is not.
fn respond(request: &Request) -> Vec<u8> {
    let mut parts = request.target.trim_start_matches('/').split('/');
    let (Some(kind), Some(id), Some(count)) = (parts.next(), parts.next(), parts.next()) else {
        return answer(200, &[], "fine");
    };
    let body = scenarios::answer_body(id, &request.body, count.parse().unwrap_or_default());
    match kind {
        "chunked" => {
            let mut bytes = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
            for chunk in body.chunks(CHUNK_BYTES) {
                bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                bytes.extend_from_slice(chunk);
                bytes.extend_from_slice(b"\r\n");
            }
            bytes.extend_from_slice(b"0\r\n\r\n");
            bytes
        }
        _ => answer(200, &[], body),
    }
}
