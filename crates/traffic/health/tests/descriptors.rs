//! What happens when this process runs out of descriptors. Alone in its process: the limit is one of the whole process.
#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests are tests, too")]
#![expect(dead_code, clippy::indexing_slicing, reason = "the stage holds what other tests need")]

mod stage;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base_model::model::CheckKind;
use rustix::process::{Resource, getrlimit, setrlimit};
use stage::{Stage, check, endpoint, options, pool, until};
use traffic_balance::Health;
use traffic_health::MonitorOptions;

#[tokio::test]
async fn without_descriptors_there_is_no_verdict() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let results = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&results);
    let options = MonitorOptions {
        on_check: stage::every_pool(move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
        }),
        ..options()
    };
    let stage = Stage::with(&pool(vec![endpoint(address)], vec![check(CheckKind::Tcp)]), options, || 0);
    stage.until_told(1).await;
    assert_eq!(stage.endpoint(0).health(), Health::Up);

    let before = getrlimit(Resource::Nofile);
    let mut none = before;
    none.current = Some(0);
    setrlimit(Resource::Nofile, none).unwrap();
    // One that is under way ends; nobody listens any more, so what comes after it would fail.
    drop(listener);
    let so_far = results.load(Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let after = results.load(Ordering::SeqCst);
    setrlimit(Resource::Nofile, before).unwrap();
    assert!(after <= so_far + 1, "checks that cannot be made have no result");
    assert_eq!(stage.told().len(), 1);

    until("it is found down", || stage.endpoint(0).health() == Health::Down).await;
    assert!(stage.told()[1].ends_with("tcp check: connect refused"), "{:?}", stage.told());
}
