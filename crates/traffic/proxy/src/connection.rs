//! A client's connection, from the first request to the last.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use traffic_net::BufferSize;

use crate::client::{Client, Ending};
use crate::life;
use crate::worker::{DRAIN_GRACE, Worker};

/// Serves a connection until it ends.
pub(crate) async fn serve_connection(worker: &Rc<Worker>, mut client: Client) {
    let mut ending = Ending::KeepAlive;
    while ending == Ending::KeepAlive && next_request(&mut client, worker).await {
        let mut exchange = worker.borrow_exchange();
        ending = life::serve(&mut client, worker, &mut exchange).await;
        worker.return_exchange(exchange);
        client.input.release();
    }
    client.close(worker.now()).await;
    if ending == Ending::Linger {
        client.linger(worker.now()).await;
    }
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
