//! The client's side: it sends a payload, then a request of its own behind it, and reads all that comes, strictly.

use std::net::SocketAddr;
use std::time::Duration;

use base_testkit::{Client, Response, Wire, WireError};

use super::table::{Case, HOST, Step};

/// How long a client waits for an answer before it goes on: much longer than one takes, and lost where none is due.
const MOMENT: Duration = Duration::from_millis(150);
/// Of the request behind a payload.
pub(super) const SENTINEL: &str = "/sentinel";

/// What came back.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// Without interim ones.
    pub(super) all: Vec<Response>,
    /// What was no answer.
    pub(super) fault: Option<String>,
}

/// Sends a payload and the sentinel, then says that nothing more comes.
pub(super) fn send(address: SocketAddr, case: &Case) -> Answers {
    let mut client = Client::connect(address);
    let mut taken = true;
    for step in &case.steps {
        match step {
            Step::Send(bytes) => taken &= client.offer(bytes),
            Step::Wait => drop(client.is_silent_for(MOMENT)),
            Step::Close => taken = false,
        }
    }
    if taken {
        client.offer(format!("GET {SENTINEL} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"));
    }
    client.half_close();
    read_all(&mut client, &case.methods())
}

/// Reads answers to requests with these methods (then GET) until the connection ends.
pub(super) fn read_all(client: &mut Client, methods: &[&str]) -> Answers {
    let mut answers = Answers::default();
    loop {
        let method = methods.get(answers.all.len()).copied().unwrap_or("GET");
        match Wire::response(client, method) {
            Ok(response) if (100..200).contains(&response.status) => {}
            Ok(response) => answers.all.push(response),
            // The end, between two answers.
            Err(WireError::Closed(rest)) if rest.is_empty() => return answers,
            Err(WireError::Io(error)) if error.kind() == std::io::ErrorKind::ConnectionReset => {
                return answers;
            }
            Err(error) => {
                answers.fault = Some(error.to_string());
                return answers;
            }
        }
    }
}

/// An ordinary request on a connection of its own, which takes the connection to the endpoint that the payload left behind.
pub(super) fn ordinary(
    address: SocketAddr,
    method: &str,
    target: &str,
    body: &str,
) -> Result<Response, WireError> {
    let mut client = Client::connect(address);
    client.offer(format!(
        "{method} {target} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    Wire::response(&mut client, method)
}
