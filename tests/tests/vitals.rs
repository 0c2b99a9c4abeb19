//! What Aya holds of the machine, and how those who have nothing to do with a disturbance fare meanwhile.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use base_testkit::{Aya, Stopwatch, Wire, wait_at_most};

/// Descriptors that come and go by themselves: the admin port's, while it is asked.
const DESCRIPTOR_NOISE: usize = 6;
/// How often the bystander makes a new connection.
const REQUESTS_PER_CONNECTION: usize = 20;
/// What it asks at least, however short the disturbance is: its word must count.
const LEAST_REQUESTS: usize = 20;
/// Between two of its requests: it looks on, it is no load.
const PAUSE: Duration = Duration::from_millis(3);

pub(crate) const MIB: u64 = 1024 * 1024;

/// Waits until the condition holds, for what ten thousand of something take on a machine that has other things to do.
pub(crate) fn wait_long(what: &str, mut condition: impl FnMut() -> bool) {
    wait_at_most(Duration::from_secs(120), what, || condition().then_some(()));
}

/// What Aya holds at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vitals {
    /// Bytes in memory.
    pub(crate) resident: u64,
    /// Descriptors, those of connections to endpoints apart.
    pub(crate) descriptors: usize,
    /// Threads.
    pub(crate) threads: usize,
    /// Client connections.
    clients: f64,
    in_flight: f64,
    waiting: f64,
}

impl Vitals {
    /// As it is now.
    pub(crate) fn of(aya: &Aya) -> Self {
        let metrics = aya.metrics();
        let upstream = metrics.sum("aya_upstream_connections_open", &[]).max(0.0) as usize;
        Self {
            resident: aya.memory().resident,
            descriptors: aya.descriptors().saturating_sub(upstream),
            threads: aya.threads(),
            clients: metrics.sum("aya_connections_open", &[]),
            in_flight: metrics.sum("aya_endpoint_requests_in_flight", &[]),
            waiting: metrics.sum("aya_upstream_queue_requests", &[]),
        }
    }

    /// Whether nothing is left of what came after `before`: no connection, no request, no descriptor, no thread.
    fn is_back_at(&self, before: &Self) -> bool {
        self.clients < before.clients + 0.5
            && self.in_flight < before.in_flight + 0.5
            && self.waiting < before.waiting + 0.5
            && self.descriptors <= before.descriptors + DESCRIPTOR_NOISE
            && self.threads <= before.threads
    }
}

/// Waits until nothing is left of what came after `before`, and tells what Aya holds then.
pub(crate) fn wait_for_rest(aya: &Aya, before: &Vitals) -> Vitals {
    let mut now = Vitals::of(aya);
    wait_long(&format!("everything to be given back, to {before:?}"), || {
        now = Vitals::of(aya);
        now.is_back_at(before)
    });
    now
}

/// A client that asks for `/bystander` all the time, on old and on new connections, and wants `fine` for an answer.
#[derive(Debug)]
pub(crate) struct Bystander {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Calm>,
}

/// What a bystander saw.
#[derive(Debug, Default)]
pub(crate) struct Calm {
    /// Requests that went well.
    pub(crate) served: usize,
    /// The longest that one took.
    pub(crate) worst: Duration,
    /// How long each took.
    times: Vec<Duration>,
    /// What went wrong.
    pub(crate) faults: Vec<String>,
}

impl Bystander {
    /// Begins to ask.
    pub(crate) fn start(aya: &Aya) -> Self {
        let (over, address) = (Arc::new(AtomicBool::new(false)), aya.listener("web"));
        let flag = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            let mut calm = Calm::default();
            let mut wire = None;
            while !flag.load(Ordering::Relaxed) || calm.served + calm.faults.len() < LEAST_REQUESTS {
                let watch = Stopwatch::start();
                let mut open = match wire.take().map_or_else(|| Wire::connect(address), Ok) {
                    Ok(open) => open,
                    Err(error) => {
                        calm.faults.push(format!("connect: {error}"));
                        continue;
                    }
                };
                let asked = open.send("GET /bystander HTTP/1.1\r\nHost: play.test\r\n\r\n");
                match asked.and_then(|()| open.response("GET")) {
                    Ok(answer) if answer.status == 200 && answer.body == b"fine" => calm.served += 1,
                    Ok(answer) => calm.faults.push(format!("{} {}", answer.status, answer.reason())),
                    Err(error) => calm.faults.push(error.to_string()),
                }
                calm.times.push(watch.elapsed());
                calm.worst = calm.worst.max(watch.elapsed());
                wire = (!calm.served.is_multiple_of(REQUESTS_PER_CONNECTION)).then_some(open);
                std::thread::sleep(PAUSE);
            }
            calm
        });
        Self { over, thread }
    }

    /// Ends it and tells what it saw.
    pub(crate) fn finish(self) -> Calm {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().expect("it does not panic")
    }
}

impl Calm {
    /// What at most one of a hundred of its requests took longer than.
    pub(crate) fn p99(&self) -> Duration {
        let mut times = self.times.clone();
        times.sort_unstable();
        times.get(times.len().saturating_sub(1) * 99 / 100).copied().unwrap_or_default()
    }
}

impl fmt::Display for Calm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (served, worst) = (self.served, self.worst.as_millis());
        write!(f, "bystander {served} of {} requests served, worst {worst} ms", served + self.faults.len())
    }
}
