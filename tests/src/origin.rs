//! An HTTP server in a process of its own, so that a play can kill it, stop it and cut it off.
//!
//! `origin ADDRESS DIARY` listens there and says `ready`. `/length/ID/COUNT` and `/chunked/ID/COUNT` are answered with so many bytes, made of
//! the id and of the request's body; what is in a request's body is thereby checked as well. `/` is fine.
//! The id of each POST is noted at the end of the diary, a line for each, when its body has come whole.

use std::env;
use std::fs::File;
use std::io::Write as _;
use std::net::TcpListener;
use std::thread;

use base_testkit::{Backend, Request, Session, Wire, WireError, answer};

/// Bytes of a chunk: more than one chunk for most bodies, and seldom a round number of them.
const CHUNK_BYTES: usize = 4_111;

fn main() -> Result<(), String> {
    let mut arguments = env::args().skip(1);
    let (Some(address), Some(diary)) = (arguments.next(), arguments.next()) else {
        return Err("an address and a diary are to be given".to_owned());
    };
    let listener =
        TcpListener::bind(&address).map_err(|error| format!("cannot listen on {address}: {error}"))?;
    let diary = File::options().append(true).create(true).open(&diary);
    let diary = diary.map_err(|error| format!("cannot keep a diary: {error}"))?;
    let _server = Backend::script_on(listener, move |session| serve(session, &diary));
    eprintln!("ready");
    loop {
        thread::park();
    }
}

fn serve(session: &mut Session, mut diary: &File) -> Result<(), WireError> {
    // Not the session's own: that one remembers all requests.
    let wire: &mut Wire = session;
    while let Some(request) = wire.request()? {
        if let Some(id) = request.target.split('/').nth(2).filter(|_| request.method == "POST") {
            // In one piece: other servers write there as well.
            diary.write_all(format!("{id}\n").as_bytes())?;
        }
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
