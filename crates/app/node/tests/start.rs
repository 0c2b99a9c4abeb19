//! When a node takes traffic.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the helpers of tests are tests, too"
)]

use std::time::Duration;

use app_node::{Health, Node, Overrides, catalog};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// Long enough that only a fault makes a test wait so long.
const PATIENCE: Duration = Duration::from_secs(20);

async fn start(addresses: [&TcpListener; 2]) -> Node {
    let [first, second] = addresses.map(|listener| listener.local_addr().unwrap());
    let source = format!(
        "listeners: {{web: {{bind: 127.0.0.1:0}}}}\n\
         routes: [{{pool: p}}]\n\
         workers: 1\n\
         drain: 1ms\n\
         pools: {{p: {{endpoints: ['{first}', '{second}'], health: {{http: /, interval: 60s, timeout: 60s}}}}}}\n"
    );
    let catalog = catalog();
    let loaded =
        base_model::load(&source, "test.yaml", &|_| None, &catalog).unwrap_or_else(|found| panic!("{found}"));
    Node::start(loaded, catalog, Overrides::default()).await.unwrap_or_else(|error| panic!("{error}"))
}

fn health(node: &Node) -> Vec<Health> {
    node.pool_views().into_iter().flat_map(|pool| pool.endpoints).map(|endpoint| endpoint.health).collect()
}

/// The next check, up to its answer.
async fn asked(listener: &TcpListener) -> TcpStream {
    let (mut stream, _) = timeout(PATIENCE, listener.accept()).await.expect("a check comes").unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        assert!(stream.read_buf(&mut request).await.unwrap() > 0);
    }
    stream
}

async fn answer(stream: &mut TcpStream, status: u16) {
    let bytes = format!("HTTP/1.1 {status} Whatever\r\ncontent-length: 0\r\n\r\n");
    stream.write_all(bytes.as_bytes()).await.unwrap();
}

#[tokio::test]
async fn every_endpoint_has_its_first_result_before_traffic_is_taken() {
    let quick = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let slow = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut starting = std::pin::pin!(start([&quick, &slow]));
    let script = async {
        let mut asked_quick = asked(&quick).await;
        answer(&mut asked_quick, 200).await;
        asked(&slow).await
    };
    let mut held = tokio::select! {
        held = script => held,
        _ = &mut starting => panic!("it did not wait for the slow endpoint"),
    };
    let early = timeout(Duration::from_millis(100), &mut starting).await;
    assert!(early.is_err(), "one result is open still");
    answer(&mut held, 503).await;
    let node = timeout(PATIENCE, starting).await.expect("it starts");
    assert_eq!(health(&node), [Health::Up, Health::Down]);
    assert_eq!(node.generation(), 1);
    node.shutdown().await;
}

#[tokio::test]
async fn an_endpoint_that_hangs_does_not_hold_up_the_start_for_ever() {
    let quick = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hanging = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut starting = std::pin::pin!(start([&quick, &hanging]));
    let script = async {
        let mut asked_quick = asked(&quick).await;
        answer(&mut asked_quick, 200).await;
        asked(&hanging).await
    };
    let _held = tokio::select! {
        held = script => held,
        _ = &mut starting => panic!("it did not wait"),
    };
    // Real time: the checks run on a thread of their own, whose clock a test cannot stop.
    let node = timeout(PATIENCE, starting).await.expect("it starts after five seconds");
    assert_eq!(health(&node), [Health::Up, Health::Unchecked]);
    node.shutdown().await;
}
