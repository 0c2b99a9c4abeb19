//! The demo's clients, and what they notice.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base_kit::{Clock as _, MonotonicClock, Rng as _, SeededRng};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::backends::{NAME_FIELD, place_of};
use crate::wire::Wire;

/// Clients at once: enough to keep all backends busy, few enough to leave the machine alone.
const CLIENTS: usize = 20;
/// Pause of a client between two requests, shortest and longest: a few hundred requests a second in all.
const THINKING: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(70));
/// No answer in this time is a failure.
const PATIENCE: Duration = Duration::from_secs(5);
/// Latencies kept per backend: the last few seconds.
const RECENT: usize = 512;

/// Clients at work; they end when dropped.
pub(super) struct Traffic {
    ledger: Arc<Mutex<Ledger>>,
    stop: watch::Sender<bool>,
    clients: JoinSet<()>,
}

/// What the clients have noticed so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    /// By backend, in the order of their names.
    pub(super) answers: Vec<Answers>,
    /// Requests without a 2xx answer.
    pub(super) failures: u64,
    /// What was wrong with the last of these.
    pub(super) last_failure: String,
}

/// The answers of a backend.
#[derive(Clone, Debug, Default)]
pub(super) struct Answers {
    pub(super) count: u64,
    /// The last ones' latencies, in microseconds.
    latencies_us: VecDeque<u32>,
}

impl Traffic {
    /// Sends clients to `proxy`, until [`Traffic::stop`].
    pub(super) fn start(proxy: SocketAddr, backends: usize) -> Self {
        let ledger = Ledger { answers: vec![Answers::default(); backends], ..Ledger::default() };
        let ledger = Arc::new(Mutex::new(ledger));
        let (stop, stopping) = watch::channel(false);
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            let client = Client { proxy, ledger: Arc::clone(&ledger), rng: SeededRng::from_system() };
            clients.spawn(client.work(stopping.clone()));
        }
        Self { ledger, stop, clients }
    }

    /// What the clients have noticed up to now.
    pub(super) fn ledger(&self) -> Ledger {
        lock(&self.ledger).clone()
    }

    /// Lets every client finish its request, and tells what they noticed in all.
    pub(super) async fn stop(mut self) -> Ledger {
        let _ = self.stop.send(true);
        let finish = async { while self.clients.join_next().await.is_some() {} };
        // Each request has a deadline of its own; this one is for a machine that stands still.
        let _ = timeout(PATIENCE * 2, finish).await;
        self.ledger()
    }
}

impl Answers {
    /// The latency that this share of the last answers did not exceed.
    pub(super) fn percentile(&self, share: f64) -> Option<Duration> {
        let mut sorted: Vec<u32> = self.latencies_us.iter().copied().collect();
        sorted.sort_unstable();
        let rank = (sorted.len() as f64 * share).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).map(|us| Duration::from_micros(u64::from(*us)))
    }

    fn add(&mut self, latency: Duration) {
        self.count += 1;
        self.latencies_us.push_back(u32::try_from(latency.as_micros()).unwrap_or(u32::MAX));
        if self.latencies_us.len() > RECENT {
            self.latencies_us.pop_front();
        }
    }
}

impl Ledger {
    /// All answers.
    pub(super) fn answered(&self) -> u64 {
        self.answers.iter().map(|answers| answers.count).sum()
    }
}

struct Client {
    proxy: SocketAddr,
    ledger: Arc<Mutex<Ledger>>,
    rng: SeededRng,
}

/// Why a request failed, in words.
struct Failed(String);

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self(error.to_string())
    }
}

impl Client {
    async fn work(mut self, mut stopping: watch::Receiver<bool>) {
        let mut wire = None;
        while !*stopping.borrow() {
            let start = MonotonicClock.now();
            let asked = timeout(PATIENCE, self.ask(&mut wire)).await;
            let asked = asked.unwrap_or_else(|_| Err(Failed(format!("no answer in {PATIENCE:?}"))));
            self.note(asked, MonotonicClock.now() - start, &mut wire);
            let pause = self.thinking();
            let _ = timeout(pause, stopping.changed()).await;
        }
    }

    fn thinking(&mut self) -> Duration {
        let (shortest, longest) = THINKING;
        shortest + (longest - shortest).mul_f64(self.rng.unit())
    }

    /// Makes one request and names the backend that answered.
    async fn ask(&self, wire: &mut Option<Wire>) -> Result<usize, Failed> {
        if wire.is_none() {
            let stream = TcpStream::connect(self.proxy).await?;
            stream.set_nodelay(true)?;
            *wire = Some(Wire::new(stream));
        }
        let Some(open) = wire else { return Err(Failed("no connection".to_owned())) };
        let request = format!("GET / HTTP/1.1\r\nhost: {}\r\n\r\n", self.proxy);
        open.stream.write_all(request.as_bytes()).await?;
        let head = open.head().await?.ok_or_else(|| io::Error::from(ErrorKind::UnexpectedEof))?;
        open.skip_body(&head).await?;
        if head.closes() {
            *wire = None;
        }
        if !head.word(1).starts_with('2') {
            let reason = head.field("x-aya-reason").unwrap_or("no reason given");
            return Err(Failed(format!("status {} ({reason})", head.word(1))));
        }
        let place = head.field(NAME_FIELD).and_then(place_of);
        place.ok_or_else(|| Failed("an answer of none of the backends".to_owned()))
    }

    fn note(&self, asked: Result<usize, Failed>, latency: Duration, wire: &mut Option<Wire>) {
        let mut ledger = lock(&self.ledger);
        match asked {
            Ok(place) => {
                if let Some(answers) = ledger.answers.get_mut(place) {
                    answers.add(latency);
                }
            }
            Err(Failed(why)) => {
                *wire = None;
                ledger.failures += 1;
                ledger.last_failure = why;
            }
        }
    }
}

/// A client that panicked leaves figures that are still true.
fn lock(ledger: &Mutex<Ledger>) -> std::sync::MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_latencies_are_forgotten() {
        let mut answers = Answers::default();
        for _ in 0..RECENT {
            answers.add(Duration::from_secs(1));
        }
        for _ in 0..RECENT {
            answers.add(Duration::from_millis(2));
        }
        assert_eq!(answers.count, 2 * RECENT as u64);
        assert_eq!(answers.percentile(0.99), Some(Duration::from_millis(2)));
    }

    #[test]
    fn without_answers_there_is_no_latency() {
        assert_eq!(Answers::default().percentile(0.5), None);
    }
}
