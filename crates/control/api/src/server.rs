//! The server: connections, their limits, and the end of it.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use base_model::model::Secret;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::hosts::{HostPlace, Hosts};
use crate::node::Node;
use crate::routes::{self, Pages};
use crate::{document, limits};

/// Why the admin port is not served.
#[derive(Debug, Error)]
pub enum ServeError {
    /// Everybody could change everything.
    #[error(
        "the admin port {0} is not on loopback and has no token; set `admin.token`, or bind it to 127.0.0.1"
    )]
    NoToken(SocketAddr),
    /// Everybody could guess it.
    #[error("the admin token is empty")]
    EmptyToken,
    /// The listener cannot be used.
    #[error("the admin port cannot be served: {0}")]
    Listener(#[from] io::Error),
}

/// Serves the admin API until `shutdown` is ready, then finishes requests under way within [`limits::STOP_PATIENCE`].
///
/// # Errors
/// If the listener is not on loopback and there is no token, or the listener cannot be used. Later failures are logged.
pub async fn serve(
    listener: std::net::TcpListener,
    node: Arc<dyn Node>,
    token: Option<Secret>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let address = listener.local_addr()?;
    match &token {
        None if !address.ip().is_loopback() => return Err(ServeError::NoToken(address)),
        Some(token) if token.expose().is_empty() => return Err(ServeError::EmptyToken),
        _ => {}
    }
    listener.set_nonblocking(true)?;
    let pages = Pages { index: document::index_page(), openapi: document::openapi_json() };
    let server = Server {
        listener: TcpListener::from_std(listener)?,
        router: routes::router(node, pages, token),
        places: Arc::new(Semaphore::new(limits::CONNECTIONS)),
        hosts: Hosts::default(),
    };
    server.run(shutdown).await;
    Ok(())
}

struct Server {
    listener: TcpListener,
    router: Router,
    /// One for each connection there may be.
    places: Arc<Semaphore>,
    hosts: Hosts,
}

/// A connection's right to be there, for as long as it lives.
struct Place {
    _of_all: Option<OwnedSemaphorePermit>,
    _of_host: HostPlace,
}

impl Server {
    async fn run(self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        let (stop, stopping) = watch::channel(false);
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                Some(ended) = connections.join_next() => log_panic(ended),
                (stream, place) = self.accept() => {
                    connections.spawn(connection(stream, self.router.clone(), stopping.clone(), place));
                }
            }
        }
        // No new connections from here on; those that wait in the kernel's queue are refused with the listener.
        drop(self);
        stop.send_replace(true);
        let all = async {
            while let Some(ended) = connections.join_next().await {
                log_panic(ended);
            }
        };
        if timeout(limits::STOP_PATIENCE, all).await.is_err() {
            tracing::warn!(
                count = connections.len(),
                "admin requests were cut off by the end of the process"
            );
        }
    }

    /// The next connection, as soon as there is a place for it. Those of a host that has too many are closed at once.
    async fn accept(&self) -> (TcpStream, Place) {
        // The semaphore is never closed.
        let of_all = self.places.clone().acquire_owned().await.ok();
        let mut complained = false;
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => match self.hosts.enter(peer.ip(), limits::CONNECTIONS_PER_HOST) {
                    Some(of_host) => return (stream, Place { _of_all: of_all, _of_host: of_host }),
                    None => tracing::debug!(%peer, "an admin connection was closed: its host has too many"),
                },
                Err(error) => {
                    if !std::mem::replace(&mut complained, true) {
                        tracing::warn!(%error, "the admin port cannot accept connections");
                    }
                    sleep(limits::ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// The life of a connection. Its age is limited, so that a client that stops reading cannot keep its place for ever.
async fn connection(stream: TcpStream, router: Router, mut stopping: watch::Receiver<bool>, _place: Place) {
    // Small answers should not wait for an acknowledgement; without it they are only slower.
    let _ = stream.set_nodelay(true);
    let mut protocol = http1::Builder::new();
    protocol
        .timer(TokioTimer::new())
        .header_read_timeout(limits::HEAD_TIMEOUT)
        .max_buf_size(limits::HEAD_BYTES);
    let asked = Arc::new(AtomicBool::new(false));
    let service = Noting { inner: TowerToHyperService::new(router), asked: Arc::clone(&asked) };
    let mut exchange = pin!(protocol.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        () = silence(&asked) => return,
        ended = exchange.as_mut() => Some(ended),
        _ = stopping.wait_for(|&is_stopping| is_stopping) => None,
        () = sleep(limits::CONNECTION_AGE) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            exchange.as_mut().graceful_shutdown();
            timeout(limits::LAST_REQUEST, exchange).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an admin connection ended early");
    }
}

/// Notes that there was a request.
struct Noting<S> {
    inner: S,
    asked: Arc<AtomicBool>,
}

impl<S: Service<Request<Incoming>>> Service<Request<Incoming>> for Noting<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.asked.store(true, Ordering::Relaxed);
        self.inner.call(request)
    }
}

/// Ends when a connection has had its time for the first request and did not use it.
async fn silence(asked: &AtomicBool) {
    sleep(limits::FIRST_HEAD_TIMEOUT).await;
    if asked.load(Ordering::Relaxed) {
        pending::<()>().await;
    }
}

fn log_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a fault in Aya ended an admin connection");
    }
}
