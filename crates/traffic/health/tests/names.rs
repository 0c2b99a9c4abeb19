//! Endpoints given by name: found, lost, moved.
#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests are tests, too")]
#![expect(dead_code, clippy::indexing_slicing, reason = "the stage holds what other tests need")]

mod stage;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use base_kit::Moment;
use stage::{DEADLINE, Server, Stage, check, http, named, options, pool, status, until};
use traffic_balance::Health;
use traffic_health::MonitorOptions;
use traffic_health::resolve::{LookUpFuture, NameService};

/// Says what it is told to say.
#[derive(Default)]
struct Book {
    addresses: Mutex<Option<Vec<SocketAddr>>>,
    asked: Mutex<usize>,
}

impl Book {
    fn set(&self, addresses: Option<&[SocketAddr]>) {
        *self.addresses.lock().unwrap() = addresses.map(<[SocketAddr]>::to_vec);
    }

    /// Waits until it was asked again, and the answer to that was taken.
    async fn asked_again(&self) {
        let before = *self.asked.lock().unwrap();
        until("asked twice more", || *self.asked.lock().unwrap() >= before + 2).await;
    }
}

impl NameService for Book {
    fn look_up<'name>(&'name self, name: &'name str, _port: u16) -> LookUpFuture<'name> {
        assert_eq!(name, "app.internal");
        *self.asked.lock().unwrap() += 1;
        let found = self.addresses.lock().unwrap().clone();
        Box::pin(async { found.ok_or_else(|| io::Error::other("no such name")) })
    }
}

fn stage(pool: &base_model::model::Pool) -> (Arc<Book>, Stage) {
    let book = Arc::new(Book::default());
    let options = MonitorOptions { names: Arc::clone(&book) as _, ..options() };
    (Arc::clone(&book), Stage::with(pool, options, || 0))
}

#[tokio::test]
async fn a_name_that_is_not_found_is_down_until_it_is() {
    let (book, stage) = stage(&pool(vec![named("app.internal", 8080)], vec![]));
    assert_eq!(stage.until_told(1).await, ["unchecked>down: name not found: no such name"]);
    assert!(stage.monitor.first_round(DEADLINE).await);
    book.set(Some(&[]));
    book.asked_again().await;
    assert_eq!(stage.endpoint(0).health(), Health::Down);

    book.set(Some(&["192.0.2.1:8080".parse().unwrap()]));
    assert_eq!(stage.until_told(2).await[1], "down>up: name found: 192.0.2.1");
    assert_eq!(stage.pool().eligible(Moment::ZERO).len(), 1);
}

#[tokio::test]
async fn the_last_address_stays_when_the_name_is_lost() {
    let (book, stage) = stage(&pool(vec![named("app.internal", 8080)], vec![]));
    let (a, b) = ("192.0.2.1:8080".parse().unwrap(), "192.0.2.2:8080".parse().unwrap());
    book.set(Some(&[a, b]));
    until("found", || stage.endpoint(0).address() == Some(a)).await;
    for lost in [None, Some([].as_slice()), Some([b, a].as_slice())] {
        book.set(lost);
        book.asked_again().await;
        assert_eq!(stage.endpoint(0).address(), Some(a));
        assert_eq!(stage.endpoint(0).health(), Health::Up);
    }
    let epoch = stage.pool().epoch();
    book.set(Some(&[b]));
    until("moved", || stage.endpoint(0).address() == Some(b)).await;
    assert!(stage.pool().epoch() > epoch);
}

#[tokio::test]
async fn checks_wait_for_the_address() {
    let server = Server::start(status(200)).await;
    let mut on_port = check(http());
    on_port.port = Some(server.address.port());
    let (book, stage) = stage(&pool(vec![named("app.internal", 8080)], vec![on_port]));
    stage.until_told(1).await;
    assert!(stage.monitor.first_round(DEADLINE).await, "there is nobody to wait for");
    assert_eq!(server.count(), 0);
    book.set(Some(&["127.0.0.1:8080".parse().unwrap()]));
    assert_eq!(stage.until_told(2).await[1], "down>up: http check: status 200");
    assert!(server.last().contains(&format!("host: app.internal:{}\r\n", server.address.port())));
}
