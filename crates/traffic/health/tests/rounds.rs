//! Checks that have been well for some time, and what comes then.
#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests are tests, too")]
#![expect(dead_code, clippy::indexing_slicing, reason = "the stage holds what other tests need")]

mod stage;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base_model::model::BodyMatch;
use stage::{DEADLINE, Stage, check, endpoint, http, http_with, options, pool};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;
use traffic_health::{CheckResult, MonitorOptions};

/// Questions that are answered well before anything else happens.
const WELL: usize = 20;
/// Larger than what an answer has room in.
const LONG: usize = 20_000;

/// What the endpoint does once it has answered well for some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// Sends its answers in pieces.
    Pieces,
    /// Sends long ones.
    Long,
    /// Another status.
    Busy,
    /// Another body.
    OtherBody,
    /// What is no HTTP.
    Garbage,
    /// Takes the question and says nothing.
    Silence,
    /// Says something unasked behind each answer.
    Unasked,
    /// Says something unasked a moment after each answer.
    Afterwards,
    /// Answers, and does not stay.
    Close,
    /// Takes the question and breaks off, and nobody listens any more.
    Gone,
}

async fn answer(stream: &mut TcpStream, then: Option<Then>) -> bool {
    let whole = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let long = [format!("HTTP/1.1 200 OK\r\ncontent-length: {LONG}\r\n\r\nok").as_bytes(), &[b'.'; LONG - 2]]
        .concat();
    let bytes: &[u8] = match then {
        None => whole,
        Some(Then::Pieces) => {
            for byte in whole {
                let _ = stream.write_all(&[*byte]).await;
                tokio::task::yield_now().await;
            }
            return true;
        }
        Some(Then::Long) => &long,
        Some(Then::Busy) => b"HTTP/1.1 503 Busy\r\ncontent-length: 2\r\n\r\nok",
        Some(Then::OtherBody) => b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno",
        Some(Then::Garbage) => b"SSH-2.0-whatever\r\n",
        Some(Then::Silence) => b"",
        Some(Then::Unasked) => b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 408 Late\r\n\r\n",
        Some(Then::Afterwards) => {
            let _ = stream.write_all(whole).await;
            sleep(Duration::from_millis(1)).await;
            b"HTTP/1.1 408 Late\r\ncontent-length: 0\r\n\r\n"
        }
        Some(Then::Close) => b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok",
        Some(Then::Gone) => return false,
    };
    stream.write_all(bytes).await.is_ok()
}

/// A server that answers well at first; gives its address and the number of questions.
async fn server(then: Then) -> (SocketAddr, Arc<AtomicUsize>, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, asked) = (listener.local_addr().unwrap(), Arc::<AtomicUsize>::default());
    let counter = Arc::clone(&asked);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let is_gone = then == Then::Gone && counter.load(Ordering::SeqCst) > WELL;
            if is_gone {
                return;
            }
            let Ok(Ok((mut stream, _))) =
                tokio::time::timeout(Duration::from_millis(5), listener.accept()).await
            else {
                continue;
            };
            let counter = Arc::clone(&counter);
            connections.spawn(async move {
                let mut request = Vec::new();
                while stream.read_buf(&mut request).await.unwrap_or(0) > 0 {
                    if request.ends_with(b"\r\n\r\n") {
                        request.clear();
                        let number = counter.fetch_add(1, Ordering::SeqCst);
                        if !answer(&mut stream, (number >= WELL).then_some(then)).await {
                            return;
                        }
                    }
                }
            });
        }
    });
    (address, asked, tasks)
}

#[tokio::test]
async fn what_is_not_plainly_well_is_judged_with_care() {
    let wanted = BodyMatch::Contains("ok".into());
    for (then, cause) in [
        (Then::Pieces, None),
        (Then::Long, None),
        (Then::Unasked, None),
        (Then::Afterwards, None),
        (Then::Close, None),
        (Then::Busy, Some("http check: status 503, wanted 200-299")),
        (Then::OtherBody, Some("http check: body without `ok`")),
        (Then::Garbage, Some("http check: broken answer")),
        (Then::Silence, Some("http check: timed out after 50ms")),
        // Refused, or reset where it had been queued.
        (Then::Gone, Some("http check: connect")),
    ] {
        let (address, asked, _tasks) = server(then).await;
        let failed = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&failed);
        let on_check = stage::every_pool(move |result| {
            count.fetch_add(usize::from(result != CheckResult::Pass), Ordering::SeqCst);
        });
        let mut check = check(http_with("GET", Some(wanted.clone())));
        if then == Then::Afterwards {
            // What comes when the next question is asked already cannot be told from its answer.
            check.interval = Duration::from_millis(50);
        }
        check.timeout = if then == Then::Silence { Duration::from_millis(50) } else { DEADLINE };
        let options = MonitorOptions { kept_connections: 10, on_check, ..options() };
        let stage = Stage::with(&pool(vec![endpoint(address)], vec![check]), options, || 0);
        match cause {
            None => {
                stage::until("many questions", || asked.load(Ordering::SeqCst) > 2 * WELL).await;
                assert_eq!((failed.load(Ordering::SeqCst), stage.told().len()), (0, 1), "{then:?}");
            }
            Some(cause) => {
                let told = stage.until_told(2).await;
                assert!(told[1].starts_with("up>down: ") && told[1].contains(cause), "{then:?}: {told:?}");
                let asked = asked.load(Ordering::SeqCst);
                assert!((WELL..WELL + 10).contains(&asked), "{then:?}: {asked} questions");
            }
        }
        stage.monitor.stop().await;
    }
}

/// All of them wait for their turn in rounds when the configuration changes.
#[tokio::test]
async fn checks_that_go_take_their_connections_along() {
    let (address, asked, _tasks) = server(Then::Pieces).await;
    let mut slow = check(http());
    slow.interval = Duration::from_secs(3600);
    let options = MonitorOptions { kept_connections: 10, ..options() };
    let before = std::fs::read_dir("/proc/self/fd").unwrap().count();
    let stage = Stage::with(&pool(vec![endpoint(address); 1], vec![slow]), options, || 0);
    stage::until("a question", || asked.load(Ordering::SeqCst) == 1).await;
    sleep(Duration::from_millis(20)).await;
    stage.reload(&pool(vec![endpoint(address)], vec![]));
    stage.monitor.stop().await;
    drop(stage);
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    // The server's side of the connection goes when the other has.
    stage::until("all to be closed", || open() <= before).await;
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}
