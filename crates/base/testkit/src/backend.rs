//! Backends that follow a script, and remember what they got.

use std::collections::HashMap;
use std::fmt;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use serde_json::json;

use crate::fault::WireError;
use crate::message::{Request, answer, checksum};
use crate::port;
use crate::time::wait_for;
use crate::wire::Wire;

type Script = dyn Fn(&mut Session) -> Result<(), WireError> + Send + Sync;

/// A server on a picked port of 127.0.0.1, one thread per connection. It ends with its value, and fails the play when it was
/// sent what is not HTTP, or its script panicked.
pub struct Backend {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: Option<Server>,
}

#[derive(Debug)]
struct Server {
    listener: TcpListener,
    stopped: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

struct Shared {
    script: Box<Script>,
    accepted: AtomicUsize,
    open: Mutex<HashMap<usize, TcpStream>>,
    requests: Mutex<Vec<Request>>,
    records: Mutex<Vec<Arc<Mutex<Vec<u8>>>>>,
    faults: Mutex<Vec<String>>,
}

/// One connection, in the hands of the script.
#[derive(Debug)]
pub struct Session {
    wire: Option<Wire>,
    number: usize,
    shared: Arc<Shared>,
}

impl Backend {
    /// A backend that runs `script` once for each connection, and closes when it returns.
    pub fn script(script: impl Fn(&mut Session) -> Result<(), WireError> + Send + Sync + 'static) -> Self {
        Self::script_on(port::listen(), script)
    }

    /// As [`Backend::script`], on a listener of the play's own.
    ///
    /// # Panics
    /// When the listener has no address.
    pub fn script_on(
        listener: TcpListener,
        script: impl Fn(&mut Session) -> Result<(), WireError> + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared {
            script: Box::new(script),
            accepted: AtomicUsize::new(0),
            open: Mutex::default(),
            requests: Mutex::default(),
            records: Mutex::default(),
            faults: Mutex::default(),
        });
        let server = Some(Server::start(listener, &shared));
        Self { address, shared, server }
    }

    /// A backend that answers each request with the bytes that `respond` makes of it, and keeps connections open.
    pub fn answering(respond: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::script(move |session| {
            while let Some(request) = session.request()? {
                session.send(respond(&request))?;
            }
            Ok(())
        })
    }

    /// A backend that answers each request with JSON of what it saw, and with its own name.
    pub fn echo(name: &str) -> Self {
        let name = name.to_owned();
        Self::answering(move |request| {
            let seen = seen(&name, request);
            let body = if request.method == "HEAD" { String::new() } else { seen.to_string() };
            answer(200, &["content-type: application/json", &format!("x-backend: {name}")], body)
        })
    }

    /// Where it listens, or listened.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The requests it got so far, over all connections.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests().clone()
    }

    /// How many requests it got so far.
    pub fn request_count(&self) -> usize {
        self.shared.requests().len()
    }

    /// The only request it got.
    ///
    /// # Panics
    /// When it got none or several.
    #[track_caller]
    pub fn only_request(&self) -> Request {
        let requests = self.requests();
        assert_eq!(requests.len(), 1, "the backend got {requests:?}");
        requests.into_iter().next().expect("there is one")
    }

    /// How many connections it accepted so far.
    pub fn connection_count(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// How many of its connections are open.
    pub fn open_connections(&self) -> usize {
        self.shared.open().len()
    }

    /// The exact bytes that came on each connection, in the order of accepting.
    pub fn received(&self) -> Vec<Vec<u8>> {
        let records = self.shared.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.iter().map(|record| record.lock().unwrap_or_else(PoisonError::into_inner).clone()).collect()
    }

    /// Forgets the requests it got.
    pub fn forget(&self) {
        self.shared.requests().clear();
    }

    /// Kills it: the port refuses, open connections end.
    pub fn kill(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop();
        }
        self.shared.close_all();
    }

    /// Starts it again on the same port.
    ///
    /// # Panics
    /// When the port does not become free.
    pub fn restart(&mut self) {
        if self.server.is_none() {
            let listener = wait_for("the port to be free again", || TcpListener::bind(self.address).ok());
            self.server = Some(Server::start(listener, &self.shared));
        }
    }

    /// Ends its connections, but goes on listening.
    pub fn close_connections(&self) {
        self.shared.close_all();
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Backend({})", self.address)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shared({} accepted)", self.accepted.load(Ordering::SeqCst))
    }
}

impl fmt::Display for Backend {
    /// As an endpoint is written in a configuration.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.kill();
        let faults = self.shared.faults.lock().unwrap_or_else(PoisonError::into_inner);
        if !faults.is_empty() && !std::thread::panicking() {
            panic!("faults at backend {}: {faults:?}", self.address);
        }
    }
}

impl Server {
    fn start(listener: TcpListener, shared: &Arc<Shared>) -> Self {
        let stopped = Arc::new(AtomicBool::new(false));
        let door = listener.try_clone().expect("a socket can be cloned");
        let (flag, shared) = (Arc::clone(&stopped), Arc::clone(shared));
        let thread = std::thread::spawn(move || {
            while let Ok((stream, _)) = door.accept() {
                if flag.load(Ordering::SeqCst) {
                    break;
                }
                Session::start(stream, &shared);
            }
        });
        Self { listener, stopped, thread }
    }

    fn stop(self) {
        self.stopped.store(true, Ordering::SeqCst);
        // On Linux this wakes the thread that accepts; connections not yet accepted are reset, as when a process dies.
        drop(socket2::SockRef::from(&self.listener).shutdown(Shutdown::Both));
        drop(self.thread.join());
    }
}

impl Shared {
    fn requests(&self) -> MutexGuard<'_, Vec<Request>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> MutexGuard<'_, HashMap<usize, TcpStream>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close_all(&self) {
        for (_, stream) in self.open().drain() {
            drop(stream.shutdown(Shutdown::Both));
        }
    }

    fn fault(&self, fault: String) {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).push(fault);
    }
}

impl Session {
    fn start(stream: TcpStream, shared: &Arc<Shared>) {
        let number = shared.accepted.fetch_add(1, Ordering::SeqCst);
        let record = Arc::new(Mutex::new(Vec::new()));
        shared.records.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&record));
        if let Ok(copy) = stream.try_clone() {
            shared.open().insert(number, copy);
        }
        let Ok(wire) = Wire::new(stream, Some(record)) else { return };
        let mut session = Self { wire: Some(wire), number, shared: Arc::clone(shared) };
        std::thread::spawn(move || session.play());
    }

    fn play(&mut self) {
        let shared = Arc::clone(&self.shared);
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| (shared.script)(self)));
        match result {
            // A peer that goes away is ordinary; what is not HTTP is a fault of the play's subject.
            Ok(Err(WireError::Malformed(what))) => {
                shared.fault(format!("connection {}: {what}", self.number));
            }
            Ok(_) => {}
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                shared.fault(format!("connection {}: {}", self.number, text.unwrap_or_default()));
            }
        }
        if let Some(copy) = shared.open().remove(&self.number) {
            if let Some(wire) = self.wire.take() {
                drop(wire.stream().shutdown(Shutdown::Both));
            }
            drop(copy);
        }
    }

    /// Which connection of the backend this is, from 0.
    pub fn number(&self) -> usize {
        self.number
    }

    /// Reads one request with its body and remembers it; `None` when the peer closed before it began.
    ///
    /// # Errors
    /// When it does not come whole and valid.
    pub fn request(&mut self) -> Result<Option<Request>, WireError> {
        self.request_with(|_, _| Ok(()))
    }

    /// As [`Session::request`], with something done between head and body: a 100, for instance.
    ///
    /// # Errors
    /// When it does not come whole and valid.
    pub fn request_with(
        &mut self,
        between: impl FnOnce(&mut Self, &Request) -> Result<(), WireError>,
    ) -> Result<Option<Request>, WireError> {
        let Some(mut request) = self.wire_mut().request_head()? else { return Ok(None) };
        between(self, &request)?;
        self.wire_mut().request_body(&mut request)?;
        request.connection = self.number;
        self.shared.requests().push(request.clone());
        Ok(Some(request))
    }

    /// Reads the head of a request and remembers it, without body; `None` when the peer closed before it began.
    ///
    /// # Errors
    /// When it does not come whole and valid.
    pub fn request_head(&mut self) -> Result<Option<Request>, WireError> {
        let Some(mut request) = self.wire_mut().request_head()? else { return Ok(None) };
        request.connection = self.number;
        self.shared.requests().push(request.clone());
        Ok(Some(request))
    }

    /// Breaks the connection with a TCP reset.
    pub fn reset(&mut self) {
        self.shared.open().remove(&self.number);
        if let Some(wire) = self.wire.take() {
            wire.reset();
        }
    }

    fn wire_mut(&mut self) -> &mut Wire {
        self.wire.as_mut().expect("a script does nothing after its reset")
    }
}

impl Deref for Session {
    type Target = Wire;

    fn deref(&self) -> &Wire {
        self.wire.as_ref().expect("a script does nothing after its reset")
    }
}

impl DerefMut for Session {
    fn deref_mut(&mut self) -> &mut Wire {
        self.wire_mut()
    }
}

fn seen(name: &str, request: &Request) -> serde_json::Value {
    json!({
        "backend": name,
        "connection": request.connection,
        "method": request.method,
        "target": request.target,
        "version": request.version,
        "fields": request.fields.0,
        "trailers": request.trailers.0,
        "length": request.body.len(),
        "checksum": checksum(&request.body),
    })
}
