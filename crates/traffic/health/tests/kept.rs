//! HTTP checks that keep their connection.
#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests are tests, too")]
#![expect(dead_code, clippy::indexing_slicing, reason = "the stage holds what other tests need")]

mod stage;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base_model::model::Endpoint;
use stage::{Stage, check, endpoint, http, named, options, pool};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use traffic_health::{CheckResult, MAX_QUESTIONS_PER_CONNECTION, MonitorOptions};

/// What a server saw.
#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    requests: AtomicUsize,
    /// Requests that said they were the last of their connection.
    last: AtomicUsize,
}

/// A server that answers so many requests on each connection, and closes it without a word.
async fn server(requests_per_connection: usize) -> (SocketAddr, Arc<Seen>, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, seen) = (listener.local_addr().unwrap(), Arc::<Seen>::default());
    let shared = Arc::clone(&seen);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let seen = Arc::clone(&shared);
            seen.connections.fetch_add(1, Ordering::SeqCst);
            connections.spawn(async move {
                for _ in 0..requests_per_connection {
                    let mut request = Vec::new();
                    while !request.ends_with(b"\r\n\r\n") {
                        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
                            return;
                        }
                    }
                    seen.requests.fetch_add(1, Ordering::SeqCst);
                    if request.windows(17).any(|part| part == b"connection: close") {
                        seen.last.fetch_add(1, Ordering::SeqCst);
                    }
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
                }
            });
        }
    });
    (address, seen, tasks)
}

/// Lets checks run until so many requests were made; gives what the server saw of them, and how many checks failed.
async fn watched(
    requests_per_connection: usize,
    kept_connections: usize,
    requests: usize,
) -> (Arc<Seen>, usize) {
    watched_as(endpoint, requests_per_connection, kept_connections, requests).await
}

/// The same of an endpoint that is called so.
async fn watched_as(
    endpoint: impl Fn(SocketAddr) -> Endpoint,
    requests_per_connection: usize,
    kept_connections: usize,
    requests: usize,
) -> (Arc<Seen>, usize) {
    let (address, seen, _tasks) = server(requests_per_connection).await;
    let failed = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&failed);
    let on_check = stage::every_pool(move |result| {
        count.fetch_add(usize::from(result != CheckResult::Pass), Ordering::SeqCst);
    });
    let options = MonitorOptions { kept_connections, on_check, ..options() };
    let stage = Stage::with(&pool(vec![endpoint(address)], vec![check(http())]), options, || 0);
    stage::until("enough requests", || seen.requests.load(Ordering::SeqCst) >= requests).await;
    stage.monitor.stop().await;
    (seen, failed.load(Ordering::SeqCst))
}

#[tokio::test]
async fn a_check_keeps_its_connection_and_now_and_then_makes_a_new_one() {
    let each = MAX_QUESTIONS_PER_CONNECTION as usize;
    let (seen, failed) = watched(usize::MAX, 10, 2 * each + 1).await;
    let (connections, requests) =
        (seen.connections.load(Ordering::SeqCst), seen.requests.load(Ordering::SeqCst));
    assert_eq!(failed, 0);
    // The first connection has fewer, at random.
    let most = requests.div_ceil(each);
    assert!((most..=most + 1).contains(&connections), "{connections} for {requests} requests");
    let last = seen.last.load(Ordering::SeqCst);
    assert!(
        (connections - 1..=connections).contains(&last),
        "the last of a connection says so: {last} of {connections}"
    );
}

#[tokio::test]
async fn a_connection_that_the_endpoint_has_closed_meanwhile_says_nothing_against_it() {
    for requests_per_connection in [1, 2, 3] {
        let (seen, failed) = watched(requests_per_connection, 10, 40).await;
        assert_eq!(failed, 0, "after {requests_per_connection}");
        assert!(seen.connections.load(Ordering::SeqCst) >= 40 / requests_per_connection);
    }
}

/// It may lead elsewhere after each look-up; as long as it does not, its connection serves as well as any.
#[tokio::test]
async fn an_endpoint_that_is_found_by_its_name_is_asked_on_one_connection_too() {
    let localhost = |address: SocketAddr| named("localhost", address.port());
    let (seen, failed) = watched_as(localhost, usize::MAX, 10, 50).await;
    assert_eq!((seen.connections.load(Ordering::SeqCst), failed), (1, 0));
}

#[tokio::test]
async fn without_a_place_nothing_is_kept() {
    let (seen, failed) = watched(usize::MAX, 0, 20).await;
    let (connections, requests) =
        (seen.connections.load(Ordering::SeqCst), seen.requests.load(Ordering::SeqCst));
    assert_eq!((failed, connections), (0, requests));
    assert_eq!(seen.last.load(Ordering::SeqCst), requests);
}
