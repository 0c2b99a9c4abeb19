//! Questions and answers with nothing around them: what checks cost at least on this machine, at this hour.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use base_testkit::{Stopwatch, cpu_time};
use rustix::event::epoll;

/// Questions begin together, once in such a time, as checks do.
const TURN: Duration = Duration::from_millis(10);
const QUESTION: &[u8] = b"GET /bystander HTTP/1.1\r\nhost: 127.0.0.1\r\nuser-agent: bare\r\n\r\n";
const ANSWER_BYTES: usize = 2_048;

/// Asks on connections that are kept, each once in `interval`; CPU microseconds per question, of the second time.
pub(super) fn ask(addresses: &[String], interval: Duration) -> f64 {
    let connect = |address: &String| {
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_nodelay(true).expect("it can be set");
        stream.set_nonblocking(true).expect("it can be set");
        stream
    };
    let mut streams: Vec<TcpStream> = addresses.iter().map(connect).collect();
    let set = epoll::create(epoll::CreateFlags::CLOEXEC).expect("there is epoll");
    for (number, stream) in (0..).zip(&streams) {
        let flags = epoll::EventFlags::IN | epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
        epoll::add(&set, stream, epoll::EventData::new_u64(number), flags).expect("it can be watched");
    }
    ask_all(&mut streams, &set, interval);
    let before = cpu_time(std::process::id());
    ask_all(&mut streams, &set, interval);
    (cpu_time(std::process::id()) - before).as_secs_f64() * 1e6 / streams.len() as f64
}

/// Asks each once, evenly over the time.
fn ask_all(streams: &mut [TcpStream], set: &impl std::os::fd::AsFd, time: Duration) {
    let each_turn = (streams.len() as f64 * TURN.as_secs_f64() / time.as_secs_f64()).ceil() as usize;
    let watch = Stopwatch::start();
    let (mut asked, mut answered, mut turns) = (0, 0, 0);
    let mut events = Vec::with_capacity(256);
    let mut answer = [0; ANSWER_BYTES];
    while answered < streams.len() {
        let next = TURN * turns;
        if asked < streams.len() && watch.elapsed() >= next {
            let turn = streams.iter_mut().skip(asked).take(each_turn);
            asked += turn.map(|stream| stream.write_all(QUESTION).expect("it is taken")).count();
            turns += 1;
        }
        let pause = (TURN * turns).saturating_sub(watch.elapsed()).min(TURN);
        let timeout = rustix::time::Timespec { tv_sec: 0, tv_nsec: pause.as_nanos() as i64 };
        events.clear();
        epoll::wait(set, rustix::buffer::spare_capacity(&mut events), Some(&timeout)).expect("it waits");
        for event in &events {
            let stream = &mut streams[usize::try_from(event.data.u64()).expect("a number")];
            match stream.read(&mut answer) {
                Ok(count) => {
                    assert!(answer[..count].starts_with(b"HTTP/1.1 200"), "{count} bytes");
                    answered += 1;
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        assert!(watch.elapsed() < 3 * time, "{answered} of {} are answered", streams.len());
    }
}
