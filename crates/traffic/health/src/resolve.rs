//! From a name to an address.
//!
//! Endpoints given by name are looked up at the start and again and again. A look-up that fails leaves the last address in
//! force: a name server that is away must not take servers away that are there.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

/// A look-up that takes longer is taken as failed; resolvers commonly give up after 5 s per server.
pub const LOOK_UP_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a name is looked up: soon enough for a server that moves, rare enough for name servers.
pub const LOOK_UP_EVERY: Duration = Duration::from_secs(10);

/// How soon a name is looked up again that has no address yet.
pub const LOOK_UP_AGAIN: Duration = Duration::from_secs(1);

/// A look-up under way.
pub type LookUpFuture<'name> = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'name>>;

/// Whom names are asked of.
pub trait NameService: Send + Sync {
    /// The addresses of a name, best first.
    fn look_up<'name>(&'name self, name: &'name str, port: u16) -> LookUpFuture<'name>;
}

/// The machine's own resolver: hosts file, then name servers, as the system is set up.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemNames;

impl NameService for SystemNames {
    fn look_up<'name>(&'name self, name: &'name str, port: u16) -> LookUpFuture<'name> {
        Box::pin(async move { Ok(tokio::net::lookup_host((name, port)).await?.collect()) })
    }
}

/// Looks a name up, within [`LOOK_UP_TIMEOUT`].
///
/// # Errors
/// When there is no address, in words for people.
pub async fn look_up(names: &dyn NameService, name: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    match tokio::time::timeout(LOOK_UP_TIMEOUT, names.look_up(name, port)).await {
        Ok(Ok(addresses)) if addresses.is_empty() => Err("it has no address".to_owned()),
        Ok(Ok(addresses)) => Ok(addresses),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer after {LOOK_UP_TIMEOUT:?}")),
    }
}

/// The address to use: the one in use if it is still there, so that an order that changes moves nothing; else the best.
pub fn choose(addresses: &[SocketAddr], in_use: Option<SocketAddr>) -> Option<SocketAddr> {
    in_use.filter(|address| addresses.contains(address)).or_else(|| addresses.first().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_in_use_stays_while_it_is_there() {
        let (a, b, c) = (address("192.0.2.1:80"), address("192.0.2.2:80"), address("192.0.2.3:80"));
        assert_eq!(choose(&[a, b], None), Some(a));
        assert_eq!(choose(&[a, b], Some(b)), Some(b));
        assert_eq!(choose(&[a, b], Some(c)), Some(a));
        assert_eq!(choose(&[], Some(c)), None);
    }

    #[tokio::test]
    async fn the_machine_knows_itself() {
        let addresses = look_up(&SystemNames, "localhost", 80).await.unwrap();
        assert!(addresses.iter().all(|address| address.ip().is_loopback() && address.port() == 80));
    }
}
