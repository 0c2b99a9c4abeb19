//! What every driver of sockets does alike: the same plays over epoll and io_uring, against sockets of the standard library.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failure here is a failed test"
)]

use std::future::poll_fn;
use std::io::{IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use base_kit::{Clock as _, MonotonicClock};
use tokio::runtime::{Builder, LocalOptions};
use tokio::task::spawn_local;
use traffic_net::{
    BoundSocket, Buffer, BufferPool, BufferSize, Driver, Incoming, Network, Peek, RingNetwork, Stream,
    TcpNetwork, Transport, bind,
};

/// For what must happen: far more than it takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Plays a scene with each driver that this machine has; with io_uring both with and without looking out for more before the thread sleeps.
fn with_each<F: Future<Output = ()>>(play: impl Fn(Scene) -> F) {
    for (driver, busy_poll) in [(Driver::Epoll, false), (Driver::IoUring, true), (Driver::IoUring, false)] {
        if driver == Driver::IoUring
            && let Err(error) = RingNetwork::probe()
        {
            let missing = format!("not tried with io_uring, which this machine does not allow: {error}");
            assert!(std::env::var_os("CI").is_none(), "{missing}: the only unsafe code would go untested");
            eprintln!("{missing}");
            continue;
        }
        let mut builder = Builder::new_current_thread();
        if driver == Driver::IoUring {
            builder.on_thread_park(RingNetwork::before_wait);
        }
        let runtime = builder.enable_all().build_local(LocalOptions::default()).unwrap();
        runtime.block_on(async {
            let scene = Scene::new(driver);
            RingNetwork::set_busy_poll(busy_poll);
            let played = tokio::time::timeout(PATIENCE, play(scene)).await;
            played.unwrap_or_else(|_| panic!("with {}: it takes too long", driver.word()));
        });
        RingNetwork::finish();
    }
}

struct Scene {
    network: Rc<dyn Network>,
    pool: BufferPool,
    incoming: Box<dyn Incoming>,
    address: SocketAddr,
}

impl Scene {
    fn new(driver: Driver) -> Self {
        let pool = BufferPool::new();
        let network: Rc<dyn Network> = match driver {
            Driver::Epoll => Rc::new(TcpNetwork),
            Driver::IoUring => Rc::new(RingNetwork::start(&pool).unwrap()),
        };
        let mut listeners = bind("127.0.0.1:0".parse().unwrap(), Transport::Tcp, 1).unwrap();
        let address = listeners.address;
        let Some(BoundSocket::Tcp(socket)) = listeners.sockets.pop() else { panic!("not of TCP") };
        let incoming = network.listen(address, socket).unwrap();
        Self { network, pool, incoming, address }
    }

    /// A connection that a client of the standard library has opened, and that client.
    async fn accepted(&mut self) -> (Box<dyn Stream>, TcpStream) {
        let client = TcpStream::connect(self.address).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        let (stream, peer) = poll_fn(|cx| self.incoming.poll_accept(cx)).await.unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
        (stream, client)
    }

    fn buffer(&self, size: BufferSize) -> Buffer {
        Buffer::new(self.pool.clone(), size)
    }
}

async fn receive(stream: &mut dyn Stream, buffer: &mut Buffer) -> std::io::Result<usize> {
    poll_fn(|cx| stream.poll_receive(cx, buffer)).await
}

async fn send_all(stream: &mut dyn Stream, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let (one, two) = bytes.split_at(bytes.len() / 3);
        let sent = poll_fn(|cx| stream.poll_send(cx, &[IoSlice::new(one), IoSlice::new(two)])).await.unwrap();
        bytes = &bytes[sent..];
    }
}

/// Bytes of which no two positions near each other are alike.
fn noise(count: usize) -> Vec<u8> {
    (0..count).map(|index| (index.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

#[test]
fn small_messages_go_back_and_forth() {
    with_each(async |mut scene: Scene| {
        let (mut stream, mut client) = scene.accepted().await;
        let mut buffer = scene.buffer(BufferSize::Medium);
        for round in 0..50_usize {
            let message = noise(round * 37 + 1);
            client.write_all(&message).unwrap();
            while buffer.len() < message.len() {
                receive(&mut *stream, &mut buffer).await.unwrap();
            }
            assert_eq!(buffer.filled(), message);
            buffer.consume(message.len());
            buffer.release();
            send_all(&mut *stream, &message).await;
            // What was sent leaves when the thread rests.
            tokio::time::sleep(Duration::from_millis(1)).await;
            let mut back = vec![0; message.len()];
            client.read_exact(&mut back).unwrap();
            assert_eq!(back, message);
        }
    });
}

/// Megabytes each way, with a reader that is slow at first: every byte arrives, in order, and little is held meanwhile.
#[test]
fn bulk_is_whole_and_held_back() {
    with_each(async |mut scene: Scene| {
        const COUNT: usize = 6 << 20;
        let (mut stream, client) = scene.accepted().await;
        let sender = client.try_clone().unwrap();
        let sending = thread::spawn(move || (&sender).write_all(&noise(COUNT)).unwrap());
        // Nobody reads yet; the peer is held back by what the kernel and the driver take.
        let ready = poll_fn(|cx| stream.poll_peek(cx)).await.unwrap();
        assert_eq!(ready, Peek::Bytes);
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(scene.pool.lent_bytes() < 4 << 20, "{} bytes are held", scene.pool.lent_bytes());
        let mut received = Vec::new();
        let mut buffer = scene.buffer(BufferSize::Large);
        while received.len() < COUNT {
            assert!(receive(&mut *stream, &mut buffer).await.unwrap() > 0);
            received.extend_from_slice(buffer.filled());
            buffer.consume(buffer.len());
        }
        assert!(received == noise(COUNT), "bytes were changed");
        sending.join().unwrap();
        let reading = thread::spawn(move || {
            thread::sleep(Duration::from_millis(50));
            let mut back = vec![0; COUNT];
            (&client).read_exact(&mut back).unwrap();
            back
        });
        send_all(&mut *stream, &received).await;
        // Small messages are received as they come again.
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert!(reading.join().unwrap() == received, "bytes were changed on the way back");
    });
}

/// Hundreds of reads in a row, each of which fills what little room there is.
#[test]
fn reads_into_little_room_go_on() {
    with_each(async |mut scene: Scene| {
        const COUNT: usize = 2 << 20;
        const KEPT: usize = 96;
        let (mut stream, mut client) = scene.accepted().await;
        let sending = thread::spawn(move || client.write_all(&noise(COUNT)).unwrap());
        let mut buffer = scene.buffer(BufferSize::Tiny);
        let mut received = Vec::new();
        while received.len() + buffer.len() < COUNT {
            assert!(receive(&mut *stream, &mut buffer).await.unwrap() > 0);
            let taken = buffer.len().saturating_sub(KEPT);
            received.extend_from_slice(&buffer.filled()[..taken]);
            buffer.consume(taken);
        }
        received.extend_from_slice(buffer.filled());
        assert!(received == noise(COUNT));
        sending.join().unwrap();
    });
}

/// A peer that reads late gets everything that was taken from the sender, though the connection is dropped as soon as it may be.
#[test]
fn what_was_taken_is_sent_before_the_end() {
    with_each(async |mut scene: Scene| {
        for size in [100, 4_000, 16_000] {
            let (mut stream, mut client) = scene.accepted().await;
            let (piece, mut taken) = (noise(size), 0);
            // Until a piece has to wait: then the system has not even taken the one before.
            while let Ok(sent) = tokio::time::timeout(Duration::from_millis(50), async {
                poll_fn(|cx| stream.poll_send(cx, &[IoSlice::new(&piece)])).await.unwrap()
            })
            .await
            {
                taken += sent;
            }
            let reading = thread::spawn(move || {
                thread::sleep(Duration::from_millis(100));
                let mut received = Vec::new();
                client.read_to_end(&mut received).unwrap();
                received.len()
            });
            poll_fn(|cx| stream.poll_flush(cx)).await.unwrap();
            drop(stream);
            tokio::time::sleep(Duration::from_millis(1)).await;
            assert_eq!(reading.join().unwrap(), taken, "pieces of {size}");
        }
    });
}

/// A thread may end while connections wait for what will never come, and while what they send finds no room.
#[test]
fn a_thread_ends_whatever_is_under_way() {
    let much: &'static [u8] = noise(8 << 20).leak();
    for _ in 0..5 {
        with_each(async |mut scene: Scene| {
            for number in 0..20_usize {
                let (mut stream, client) = scene.accepted().await;
                let mut buffer = scene.buffer(BufferSize::Medium);
                let size = if number.is_multiple_of(2) { 100 } else { much.len() };
                thread::spawn(move || {
                    let mut client = client;
                    // Something comes while it ends; that it breaks off is no fault.
                    while client.write_all(&much[..1_000]).is_ok() {}
                });
                spawn_local(async move {
                    send_all(&mut *stream, &much[..size]).await;
                    while receive(&mut *stream, &mut buffer).await.is_ok() {
                        tokio::time::sleep(Duration::from_secs(3_600)).await;
                    }
                });
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        });
    }
}

#[test]
fn connections_are_made_and_refused() {
    with_each(async |scene: Scene| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut stream = scene.network.connect(address).await.unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        send_all(&mut *stream, b"hello").await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        let mut hello = [0; 5];
        peer.read_exact(&mut hello).unwrap();
        assert_eq!(&hello, b"hello");
        drop(listener);
        let Err(error) = scene.network.connect(address).await else { panic!("connected to nobody") };
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
        // Given up before it came about.
        drop(scene.network.connect("127.0.0.1:1".parse().unwrap()));
    });
}

#[test]
fn ends_are_seen_from_both_sides() {
    with_each(async |mut scene: Scene| {
        let (mut stream, mut client) = scene.accepted().await;
        let mut buffer = scene.buffer(BufferSize::Medium);
        assert!(stream.is_quiet());
        client.write_all(b"last words").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(receive(&mut *stream, &mut buffer).await.unwrap(), 10);
        assert_eq!(receive(&mut *stream, &mut buffer).await.unwrap(), 0);
        assert_eq!(poll_fn(|cx| stream.poll_peek(cx)).await.unwrap(), Peek::End);
        assert!(!stream.is_quiet());
        send_all(&mut *stream, b"an answer").await;
        poll_fn(|cx| stream.poll_finish(cx)).await.unwrap();
        let mut rest = String::new();
        client.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "an answer");
    });
}

/// That the peer of a connection at rest has closed it is seen, whatever went through it before.
#[test]
fn connections_at_rest_are_watched() {
    with_each(async |mut scene: Scene| {
        for (count, looks_before) in
            [(100, true), (100, false), (4096, false), (40_000, false), (1 << 20, true)]
        {
            let (mut stream, mut client) = scene.accepted().await;
            let sending = thread::spawn(move || {
                client.write_all(&noise(count)).unwrap();
                client
            });
            let mut buffer = scene.buffer(BufferSize::Large);
            let mut received = 0;
            while received < count {
                received += receive(&mut *stream, &mut buffer).await.unwrap();
                buffer.consume(buffer.len());
            }
            buffer.release();
            let client = sending.join().unwrap();
            assert!(!looks_before || stream.is_quiet(), "after {count} bytes");
            drop(client);
            tokio::time::sleep(Duration::from_millis(20)).await;
            assert!(!stream.is_quiet(), "after {count} bytes");
        }
    });
}

/// What was given to a connection that is then dropped is sent, if there is room for it.
#[test]
fn dropped_connections_have_said_what_they_were_given() {
    with_each(async |mut scene: Scene| {
        let (mut stream, mut client) = scene.accepted().await;
        send_all(&mut *stream, b"goodbye").await;
        drop(stream);
        tokio::time::sleep(Duration::from_millis(1)).await;
        let mut rest = String::new();
        client.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "goodbye");
    });
}

#[test]
fn what_is_aborted_breaks_off() {
    with_each(async |mut scene: Scene| {
        let (mut stream, mut client) = scene.accepted().await;
        stream.abort();
        drop(stream);
        tokio::time::sleep(Duration::from_millis(1)).await;
        let error = client.read_to_string(&mut String::new()).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_reset_is_an_error() {
    with_each(async |mut scene: Scene| {
        let (mut stream, client) = scene.accepted().await;
        let socket = socket2::Socket::from(client);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
        drop(socket);
        let mut buffer = scene.buffer(BufferSize::Medium);
        assert!(receive(&mut *stream, &mut buffer).await.is_err());
    });
}

/// Many at once, more than there are buffers, none of which gets another's bytes.
#[test]
fn connections_are_kept_apart() {
    with_each(async |mut scene: Scene| {
        const COUNT: usize = 300;
        let mut clients = Vec::new();
        let mut tasks = Vec::new();
        for _ in 0..COUNT {
            let (mut stream, client) = scene.accepted().await;
            let mut buffer = scene.buffer(BufferSize::Medium);
            clients.push(client);
            tasks.push(spawn_local(async move {
                while receive(&mut *stream, &mut buffer).await.unwrap() > 0 {
                    let bytes = buffer.filled().to_vec();
                    buffer.consume(bytes.len());
                    buffer.release();
                    send_all(&mut *stream, &bytes).await;
                }
            }));
        }
        let asking = thread::spawn(move || {
            for round in 0..5_u32 {
                for (number, client) in clients.iter_mut().enumerate() {
                    client.write_all(format!("{round}-{number:05};").repeat(20).as_bytes()).unwrap();
                }
                for (number, client) in clients.iter_mut().enumerate() {
                    let expected = format!("{round}-{number:05};").repeat(20);
                    let mut back = vec![0; expected.len()];
                    client.read_exact(&mut back).unwrap();
                    assert_eq!(String::from_utf8_lossy(&back), expected);
                }
            }
        });
        for task in tasks {
            task.await.unwrap();
        }
        asking.join().unwrap();
        assert!(scene.pool.lent_bytes() < 4 << 20, "{} bytes are lent", scene.pool.lent_bytes());
    });
}

/// What does not come by the network wakes the thread as well, whether it was just at work or has rested for long: another thread, a timer, a new
/// connection.
#[test]
fn a_thread_that_sleeps_is_woken_by_what_is_not_the_networks() {
    with_each(async |mut scene: Scene| {
        let (mut stream, mut client) = scene.accepted().await;
        let mut buffer = scene.buffer(BufferSize::Medium);
        let (word, mut words) = tokio::sync::mpsc::unbounded_channel();
        for pause in [0, 1, 3, 40].map(Duration::from_millis).into_iter().cycle().take(40) {
            client.write_all(b"at work").unwrap();
            receive(&mut *stream, &mut buffer).await.unwrap();
            buffer.consume(buffer.len());
            let (word, address) = (word.clone(), scene.address);
            let other = thread::spawn(move || {
                thread::sleep(pause);
                word.send(()).unwrap();
                thread::sleep(pause);
                TcpStream::connect(address).unwrap()
            });
            words.recv().await.unwrap();
            let (accepted, _) = poll_fn(|cx| scene.incoming.poll_accept(cx)).await.unwrap();
            RingNetwork::expect_timer(MonotonicClock.now() + pause);
            tokio::time::sleep(pause).await;
            drop((accepted, other.join().unwrap()));
        }
    });
}
