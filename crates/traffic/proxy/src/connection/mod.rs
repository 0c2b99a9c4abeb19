//! A client's connection, from the first request to the last.

mod http2;

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use base_kit::prefetch;
use traffic_http2::PREFACE;
use traffic_net::BufferSize;

use crate::client::{Client, Ending};
use crate::life;
use crate::timers::within;
use crate::worker::{DRAIN_GRACE, Worker};

/// Serves a connection until it ends.
pub(crate) async fn serve_connection(worker: &Rc<Worker>, mut client: Client) {
    if client.is_passed_on() {
        // It needs much that a connection does not.
        return Box::pin(pass(worker, client)).await;
    }
    let mut ending = Ending::KeepAlive;
    while ending == Ending::KeepAlive && next_request(&mut client, worker).await {
        if client.requests == 0
            && let Some(http2) = client.listener.settings.http2
            && begins_http2(&mut client).await
        {
            // It needs much that a connection does not.
            return Box::pin(http2::serve(worker, client, http2)).await;
        }
        let mut exchange = worker.borrow_exchange();
        prefetch(&*exchange);
        client.timer.prefetch();
        ending = life::serve(&mut client, worker, &mut exchange).await;
        worker.return_exchange(exchange);
        client.input.release();
    }
    client.close(worker.now()).await;
    if ending == Ending::Linger {
        client.linger(worker.now()).await;
    }
}

/// Passes a connection on.
async fn pass(worker: &Rc<Worker>, mut client: Client) {
    let mut exchange = worker.borrow_exchange();
    life::pass_on(&mut client, worker, &mut exchange).await;
    worker.return_exchange(exchange);
    client.close(worker.now()).await;
}

/// Waits for the first byte of a request. False when none will come.
async fn next_request(client: &mut Client, worker: &Worker) -> bool {
    if !client.input.is_empty() {
        return true;
    }
    let stays = client.follow(&worker.view()) && !worker.is_draining();
    let timeouts = &client.listener.settings.timeouts;
    let patience = match (client.requests, stays) {
        (0, _) => timeouts.request_head,
        (_, true) => timeouts.idle,
        (_, false) => DRAIN_GRACE,
    };
    client.timer.set_idle(client.idle_since + patience);
    client.input.resize(BufferSize::Medium);
    poll_fn(|cx| match client.stream.poll_receive(cx, &mut client.input) {
        Poll::Ready(Ok(count)) => Poll::Ready(count > 0),
        Poll::Ready(Err(_)) => Poll::Ready(false),
        Poll::Pending => client.timer.poll_expired(cx).map(|()| false),
    })
    .await
}

/// Whether the client, whose first bytes are here, speaks HTTP/2: agreed upon with TLS, else by its preface (RFC 9113 §3.3).
async fn begins_http2(client: &mut Client) -> bool {
    if let Some(session) = &client.session {
        return session.is_http2;
    }
    loop {
        let begun = client.input.filled();
        let begun = begun.get(..PREFACE.len()).unwrap_or(begun);
        if !PREFACE.starts_with(begun) {
            return false;
        }
        if begun.len() == PREFACE.len() {
            return true;
        }
        // No method of HTTP/1.1 begins like this, so nobody waits for an answer to what is here.
        let (stream, input) = (&mut client.stream, &mut client.input);
        let receiving = poll_fn(|cx| stream.poll_receive(cx, input));
        if !matches!(within(&client.timer, receiving).await, Ok(Ok(count)) if count > 0) {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an idle connection costs is mostly its task, and that is as large as its largest state.
    const MAX_TASK_BYTES: usize = 2048;

    fn size_of_future<A, B, F: Future>(_: impl FnOnce(A, B) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_connections_task_is_small() {
        let size =
            size_of_future(|worker: &'static Rc<Worker>, client: Client| serve_connection(worker, client));
        println!("a connection's task: {size} bytes, of which the client {}", size_of::<Client>());
        assert!(size <= MAX_TASK_BYTES, "{size} bytes");
    }
}
