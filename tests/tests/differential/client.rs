//! The client: it plays the sessions through one proxy.

use std::net::SocketAddr;

use base_testkit::{Client, Response, WireError};

use super::endpoint;
use super::exchange::{Exchange, Session};
use super::facts::{End, Got};

/// Plays a session; what came of each of its exchanges.
pub(super) fn play(address: SocketAddr, session: &Session) -> Vec<Got> {
    if session.is_pipelined {
        return pipeline(address, &session.exchanges);
    }
    let mut got = Vec::new();
    let mut connection = None;
    for exchange in &session.exchanges {
        let is_used = connection.is_some();
        let mut client = connection.take().unwrap_or_else(|| Client::connect(address));
        ask(&mut client, exchange);
        let mut answer = receive(&mut client, exchange, true);
        if is_used && answer.end == End::Missing {
            // A connection may have been closed since: every client asks again then.
            client = Client::connect(address);
            ask(&mut client, exchange);
            answer = receive(&mut client, exchange, true);
        }
        if answer.end == End::Whole && answer.response.keeps_alive() {
            connection = Some(client);
        }
        got.push(answer);
    }
    got
}

/// Sends all requests, then reads all answers; what was not answered before the connection ended is asked again on another.
fn pipeline(address: SocketAddr, exchanges: &[Exchange]) -> Vec<Got> {
    let mut got = Vec::new();
    while got.len() < exchanges.len() {
        let rest = &exchanges[got.len()..];
        let mut client = Client::connect(address);
        let bytes: Vec<_> = rest
            .iter()
            .flat_map(|exchange| [exchange.request_head(), exchange.request.framed_body()].concat())
            .collect();
        let mut writer = client.split();
        let answers = std::thread::scope(|scope| {
            // A proxy that does not read on before it has answered must not make the play stop.
            scope.spawn(move || writer.offer(bytes));
            let mut answers = Vec::new();
            for exchange in rest {
                let answer = receive(&mut client, exchange, false);
                if answer.end == End::Missing && !answers.is_empty() {
                    break;
                }
                let goes_on = answer.end == End::Whole && answer.response.keeps_alive();
                answers.push(answer);
                if !goes_on {
                    break;
                }
            }
            client.give_up();
            answers
        });
        got.extend(answers);
    }
    got
}

/// Sends a request; the body of one that expects a 100 is sent by [`receive`].
fn ask(client: &mut Client, exchange: &Exchange) {
    let waits = exchange.expects || exchange.upgrades;
    let body = if waits { Vec::new() } else { exchange.request.framed_body() };
    // It may be answered, and the connection closed, before all of it was taken.
    drop(endpoint::send(client, exchange.request_head(), &body, &exchange.request));
}

/// Reads an answer with the interim ones before it.
fn receive(client: &mut Client, exchange: &Exchange, may_send: bool) -> Got {
    let mut interim = Vec::new();
    loop {
        let head = match client.response_head() {
            Ok(head) => head,
            Err(error) => return missing(interim, &error),
        };
        if head.status == 100 && exchange.expects && may_send {
            interim.push(100);
            client.offer(exchange.request.framed_body());
        } else if head.status == 101 && exchange.upgrades {
            client.offer(&exchange.request.body);
            return match client.exactly(exchange.request.body.len()) {
                Ok(body) => Got { interim, response: Response { body, ..head }, end: End::Whole },
                Err(_) => Got { interim, response: head, end: End::Broken },
            };
        } else if (100..200).contains(&head.status) {
            interim.push(head.status);
        } else {
            return body(client, exchange, interim, head);
        }
    }
}

fn body(client: &mut Client, exchange: &Exchange, interim: Vec<u16>, mut response: Response) -> Got {
    let end = match client.response_body(&mut response, exchange.method) {
        Ok(()) => End::Whole,
        Err(_) => End::Broken,
    };
    Got { interim, response, end }
}

fn missing(interim: Vec<u16>, error: &WireError) -> Got {
    let body = error.to_string().into_bytes();
    Got { interim, response: Response { body, ..Response::default() }, end: End::Missing }
}
