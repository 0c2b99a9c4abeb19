//! The endpoint: it answers as the exchange says, and remembers what it got.

use std::sync::Arc;
use std::time::Duration;

use base_testkit::{Backend, Request, Session as Connection, Wire, WireError};

use super::exchange::{Ends, Exchange, Message};

/// Between two drops of a slow peer, and how many of them are waited for.
const DROP: Duration = Duration::from_millis(1);
const SLOW_DROPS: usize = 20;

/// An endpoint that plays these exchanges, by the number in the target.
pub(super) fn start(exchanges: &Arc<Vec<Exchange>>, takes_interim: fn(&Exchange) -> bool) -> Backend {
    let exchanges = Arc::clone(exchanges);
    Backend::script(move |connection| {
        loop {
            let mut stays = true;
            let got = connection.request_with(|connection, head| {
                let Some(exchange) = find(&exchanges, head) else { return Ok(()) };
                if exchange.is_early {
                    stays = answer(connection, exchange, takes_interim(exchange))?;
                } else if head.fields.lists("expect", "100-continue") {
                    connection.send("HTTP/1.1 100 Continue\r\n\r\n")?;
                }
                Ok(())
            })?;
            let Some(request) = got else { return Ok(()) };
            match find(&exchanges, &request) {
                Some(exchange) if exchange.upgrades => return echo(connection, exchange),
                Some(exchange) if !exchange.is_early => {
                    stays = answer(connection, exchange, takes_interim(exchange))?;
                }
                _ => {}
            }
            if !stays {
                return Ok(());
            }
        }
    })
}

/// The exchange that a request belongs to.
pub(super) fn find<'a>(exchanges: &'a [Exchange], request: &Request) -> Option<&'a Exchange> {
    exchanges.get(number(&request.target)?)
}

/// The number in a target: `/x/12/…`.
pub(super) fn number(target: &str) -> Option<usize> {
    let digits = target.split(['/', '?', ';']).nth(2)?;
    digits.parse().ok()
}

/// Sends the answer; whether the connection stays.
fn answer(connection: &mut Connection, exchange: &Exchange, with_interim: bool) -> Result<bool, WireError> {
    for status in exchange.interim.iter().filter(|_| with_interim) {
        connection.send(format!("HTTP/1.1 {status} Play\r\nLink: </a>; rel=preload\r\n\r\n"))?;
    }
    let mut body = if exchange.method == "HEAD" { Vec::new() } else { exchange.answer.framed_body() };
    if exchange.ends == Ends::Within {
        body.truncate(body.len() / 2);
    }
    send(connection, exchange.answer_head(), &body, &exchange.answer)?;
    Ok(exchange.ends == Ends::Never)
}

/// Sends back what comes behind a switch.
fn echo(connection: &mut Connection, exchange: &Exchange) -> Result<(), WireError> {
    connection.send(exchange.answer_head())?;
    let bytes = connection.exactly(exchange.request.body.len())?;
    connection.send(bytes)
}

/// Sends a head and the body behind it, slowly if the message says so.
pub(super) fn send(wire: &mut Wire, head: Vec<u8>, body: &[u8], message: &Message) -> Result<(), WireError> {
    let bytes = [head.as_slice(), body].concat();
    let Some(size) = message.drip else { return wire.send(bytes) };
    for (number, drop) in bytes.chunks(size).enumerate() {
        wire.send(drop)?;
        if number < SLOW_DROPS {
            std::thread::sleep(DROP);
        }
    }
    Ok(())
}
