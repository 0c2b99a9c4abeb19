//! The floor: a relay that relays and does nothing else.
//!
//! One thread, one task per client, kept-alive connections to one backend, heads forwarded as they came. In
//! steady state a request costs four system calls: two reads and two writes. What a proxy costs more than
//! this is the price of what it does.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

use crate::wire::{BadHead, Head, request_head, response_head};

/// Long enough that a body of 64 KiB takes one read, and that one of 1 MiB takes few; measured best of 16 to 256 KiB.
const BUFFER_BYTES: usize = 256 * 1024;

/// What all connections share. Buffers belong to the worker: an idle connection holds none.
struct Worker {
    backend: SocketAddr,
    idle: RefCell<Vec<TcpStream>>,
    buffers: RefCell<Vec<Box<[u8]>>>,
}

/// Relays every connection to `backend`, until the process ends.
pub(crate) fn run(backend: SocketAddr) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let worker = Worker { backend, idle: RefCell::default(), buffers: RefCell::default() };
    LocalSet::new().block_on(&runtime, serve(Rc::new(worker)))
}

async fn serve(worker: Rc<Worker>) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening {}", listener.local_addr()?);
    loop {
        let (client, _) = listener.accept().await?;
        let worker = Rc::clone(&worker);
        tokio::task::spawn_local(async move {
            // The client sees a closed connection and counts it: there is nobody else to tell.
            let _ = relay(client, &worker).await;
        });
    }
}

async fn relay(mut client: TcpStream, worker: &Worker) -> io::Result<()> {
    client.set_nodelay(true)?;
    while let Some(request) = Message::read(&mut client, worker, request_head).await? {
        let mut backend = worker.connect().await?;
        request.forward(&mut client, &mut backend, worker).await?;
        let response = Message::read(&mut backend, worker, response_head).await?;
        let response = response.ok_or(ErrorKind::UnexpectedEof)?;
        let closes = response.head.closes;
        response.forward(&mut backend, &mut client, worker).await?;
        if closes {
            return Ok(());
        }
        worker.idle.borrow_mut().push(backend);
    }
    Ok(())
}

impl Worker {
    async fn connect(&self) -> io::Result<TcpStream> {
        if let Some(stream) = self.idle.borrow_mut().pop() {
            return Ok(stream);
        }
        let stream = TcpStream::connect(self.backend).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    fn lease(&self) -> Lease<'_> {
        let bytes = self.buffers.borrow_mut().pop();
        Lease { worker: self, bytes: bytes.unwrap_or_else(|| vec![0; BUFFER_BYTES].into()), length: 0 }
    }
}

/// A buffer of the worker's with bytes that were read; goes back when dropped.
struct Lease<'a> {
    worker: &'a Worker,
    bytes: Box<[u8]>,
    length: usize,
}

impl Lease<'_> {
    fn filled(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        self.worker.buffers.borrow_mut().push(std::mem::take(&mut self.bytes));
    }
}

/// Waits for bytes, and takes a buffer only when there are some. `poll_read` rather than `readable` and
/// `try_read`: a read that does not fill the buffer tells tokio that the socket is empty, which saves the
/// fifth system call, the one that fails with `EAGAIN`.
async fn read<'a>(stream: &mut TcpStream, worker: &'a Worker) -> io::Result<Lease<'a>> {
    poll_fn(|context| poll_lease(stream, worker, context)).await
}

fn poll_lease<'a>(
    stream: &mut TcpStream,
    worker: &'a Worker,
    context: &mut Context<'_>,
) -> Poll<io::Result<Lease<'a>>> {
    let mut lease = worker.lease();
    let mut buffer = ReadBuf::new(&mut lease.bytes);
    ready!(Pin::new(stream).poll_read(context, &mut buffer))?;
    lease.length = buffer.filled().len();
    Poll::Ready(Ok(lease))
}

/// A message whose head is there, with as much of its body as came along.
struct Message<'a> {
    head: Head,
    start: Lease<'a>,
}

impl<'a> Message<'a> {
    /// The next message; `None` if the peer closed before it.
    async fn read(
        stream: &mut TcpStream,
        worker: &'a Worker,
        parse: fn(&[u8]) -> Result<Option<Head>, BadHead>,
    ) -> io::Result<Option<Message<'a>>> {
        let mut start = read(stream, worker).await?;
        if start.length == 0 {
            return Ok(None);
        }
        loop {
            if let Some(head) = parse(start.filled()).map_err(|BadHead| ErrorKind::InvalidData)? {
                return Ok(Some(Self { head, start }));
            }
            let length = start.length;
            let room = start.bytes.get_mut(length..).unwrap_or_default();
            match stream.read(room).await? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                more => start.length += more,
            }
        }
    }

    /// Sends the message on: head and first body bytes in one write, the rest as it comes.
    async fn forward(self, from: &mut TcpStream, to: &mut TcpStream, worker: &Worker) -> io::Result<()> {
        to.write_all(self.start.filled()).await?;
        let body_bytes = (self.start.length - self.head.bytes) as u64;
        // A request without a length has no body; a response without one lasts until the backend closes.
        let is_request = self.head.status == 0;
        let length = self.head.length.unwrap_or(if is_request { 0 } else { u64::MAX });
        drop(self.start);
        let mut left = length.saturating_sub(body_bytes);
        while left > 0 {
            let chunk = read(from, worker).await?;
            if chunk.length == 0 {
                return if length == u64::MAX { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) };
            }
            to.write_all(chunk.filled()).await?;
            left = left.saturating_sub(chunk.length as u64);
        }
        Ok(())
    }
}
