//! The four backends: two fast, one slow, one that fails now and then.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use base_kit::{Clock as _, Moment, MonotonicClock};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::wire::{Head, Wire};

/// The field in which a backend says who answered.
pub(super) const NAME_FIELD: &str = "x-backend";
/// The path of the health check.
const HEALTH_PATH: &str = "/healthz";

/// How a backend behaves.
#[derive(Clone, Copy, Debug)]
struct Character {
    name: &'static str,
    /// How long it takes to answer.
    delay: Duration,
    /// When it is unwell; never, if there is nothing here.
    fits: Option<Fits>,
}

/// Spells in which a backend fails its health check and hangs up on requests without an answer.
#[derive(Clone, Copy, Debug)]
struct Fits {
    /// From the start of one to the start of the next.
    period: Duration,
    /// From the start of a period to the start of the fit.
    first: Duration,
    /// How long one lasts.
    length: Duration,
}

/// Fast as a lookup in memory; slow as a bad query; the fit long enough to be seen to last, and early enough
/// to be seen in a demo of ten seconds.
const CHARACTERS: [Character; 4] = [
    Character { name: "swift", delay: Duration::from_millis(2), fits: None },
    Character { name: "brisk", delay: Duration::from_millis(2), fits: None },
    Character { name: "slow", delay: Duration::from_millis(40), fits: None },
    Character {
        name: "fragile",
        delay: Duration::from_millis(5),
        fits: Some(Fits {
            period: Duration::from_secs(10),
            first: Duration::from_secs(3),
            length: Duration::from_secs(5),
        }),
    },
];

/// The running backends; they end when dropped.
pub(super) struct Backends {
    running: Vec<(&'static str, SocketAddr)>,
    _tasks: JoinSet<()>,
}

impl Backends {
    /// Starts them on free ports.
    pub(super) async fn start(clock: MonotonicClock) -> io::Result<Self> {
        let born = clock.now();
        let mut running = Vec::new();
        let mut tasks = JoinSet::new();
        for character in CHARACTERS {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            running.push((character.name, listener.local_addr()?));
            tasks.spawn(Backend { character, born, clock }.serve(listener));
        }
        Ok(Self { running, _tasks: tasks })
    }

    pub(super) fn len(&self) -> usize {
        self.running.len()
    }

    /// Names with addresses, in a fixed order.
    pub(super) fn names(&self) -> Vec<(&'static str, SocketAddr)> {
        self.running.clone()
    }

    pub(super) fn addresses(&self) -> Vec<String> {
        self.running.iter().map(|(_, address)| address.to_string()).collect()
    }
}

/// The place of a backend in [`Backends::names`].
pub(super) fn place_of(name: &str) -> Option<usize> {
    CHARACTERS.iter().position(|character| character.name == name)
}

impl Fits {
    /// Whether a backend of this age is unwell.
    fn is_unwell(&self, age: Duration) -> bool {
        let into_period = Duration::from_nanos((age.as_nanos() % self.period.as_nanos().max(1)) as u64);
        (self.first..self.first + self.length).contains(&into_period)
    }
}

#[derive(Clone, Copy)]
struct Backend {
    character: Character,
    born: Moment,
    clock: MonotonicClock,
}

impl Backend {
    async fn serve(self, listener: TcpListener) {
        let mut connections = JoinSet::new();
        loop {
            // What goes wrong with one connection must not end the backend.
            if let Ok((stream, _)) = listener.accept().await {
                connections.spawn(async move { self.converse(stream).await.unwrap_or_default() });
            }
            while connections.try_join_next().is_some() {}
        }
    }

    fn is_unwell(&self) -> bool {
        self.character.fits.is_some_and(|fits| fits.is_unwell(self.clock.now() - self.born))
    }

    async fn converse(self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut wire = Wire::new(stream);
        while let Some(request) = wire.head().await? {
            wire.skip_body(&request).await?;
            let is_check = request.word(1) == HEALTH_PATH;
            if !is_check {
                tokio::time::sleep(self.character.delay).await;
            }
            let answer = match (self.is_unwell(), is_check) {
                (false, _) => self.answer(&request),
                (true, true) => self.unwell(),
                (true, false) => return Ok(()),
            };
            wire.stream.write_all(answer.as_bytes()).await?;
            if request.closes() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn answer(&self, request: &Head) -> String {
        let name = self.character.name;
        let body = format!("Hello from {name}.\n");
        let length = body.len();
        let shown = if request.word(0) == "HEAD" { "" } else { body.as_str() };
        format!(
            "HTTP/1.1 200 OK\r\n{NAME_FIELD}: {name}\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n\r\n{shown}"
        )
    }

    fn unwell(&self) -> String {
        format!(
            "HTTP/1.1 503 Service Unavailable\r\n{NAME_FIELD}: {}\r\ncontent-length: 0\r\n\r\n",
            self.character.name
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fits_come_and_go() {
        let seconds = Duration::from_secs;
        let fits = Fits { period: seconds(10), first: seconds(3), length: seconds(5) };
        let unwell: Vec<u64> = (0..20).filter(|age| fits.is_unwell(seconds(*age))).collect();
        assert_eq!(unwell, [3, 4, 5, 6, 7, 13, 14, 15, 16, 17]);
    }

    #[test]
    fn one_of_four_is_fragile() {
        let fragile = CHARACTERS.iter().filter(|character| character.fits.is_some()).count();
        assert_eq!((CHARACTERS.len(), fragile), (4, 1));
        assert_eq!(place_of("fragile"), Some(3));
        assert_eq!(place_of("nobody"), None);
    }
}
