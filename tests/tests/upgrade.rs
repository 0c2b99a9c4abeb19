//! A successor takes over the addresses that are listened on, and nobody who connects meanwhile notices.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use base_testkit::{Aya, Backend, PATIENCE, Signal, TempFolder, answer, wait_until};

/// One request on a connection of its own. An error says at which step it failed.
fn ask(address: SocketAddr) -> Result<(), String> {
    let at = |step: &'static str| move |error: std::io::Error| format!("{step}: {error}");
    let mut stream = TcpStream::connect(address).map_err(at("connect"))?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(at("set"))?;
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: play.test\r\nConnection: close\r\n\r\n")
        .map_err(at("write"))?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(at("read"))?;
    if answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello") {
        return Ok(());
    }
    Err(format!("answer: {answer:?}"))
}

/// Sends back what comes.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it listens");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut back = stream.try_clone().expect("it can be cloned");
            thread::spawn(move || std::io::copy(&mut &stream, &mut back));
        }
    });
    address
}

fn say(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).expect("it is open");
    let mut back = vec![0; text.len()];
    stream.read_exact(&mut back).expect("it comes back");
    assert_eq!(back, text.as_bytes());
}

/// Five processes, one after the other, with other numbers of workers, under clients that connect all the time: every request is answered. Connections that are open go on
/// with the process that has accepted them, and addresses and admin port stay.
#[test]
fn nobody_is_turned_away() {
    let backend = Backend::answering(|_| answer(200, &[], "hello"));
    let config = |workers: usize| {
        format!(
            "drain: 20s\nworkers: {workers}\n\
             listeners: {{web: {{bind: '127.0.0.1:0'}}, wire: {{bind: '127.0.0.1:0', protocol: tcp, pool: echo}}}}\n\
             routes: [{{pool: main}}]\n\
             pools: {{main: {{endpoints: ['{backend}']}}, echo: {{endpoints: ['{}']}}}}\n",
            echo()
        )
    };
    let mut aya = Aya::start(&config(2));
    let (web, wire) = (aya.listener("web"), aya.listener("wire"));
    let (stop, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut wires = Vec::new();
    thread::scope(|scope| {
        let client = || {
            while !stop.load(Ordering::Relaxed) {
                ask(web)?;
                answered.fetch_add(1, Ordering::Relaxed);
            }
            Ok::<(), String>(())
        };
        let clients: Vec<_> = (0..4).map(|_| scope.spawn(client)).collect();
        for workers in [2, 3, 1, 2, 2] {
            aya.rewrite(&config(workers));
            let mut open = TcpStream::connect(wire).expect("it listens");
            open.set_read_timeout(Some(PATIENCE)).expect("it can be set");
            say(&mut open, "before");
            wires.push(open);
            let before = answered.load(Ordering::Relaxed);
            aya.upgrade();
            wait_until("requests to go on", || answered.load(Ordering::Relaxed) > before + 50);
            wires.iter_mut().for_each(|open| say(open, "behind"));
        }
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            client.join().expect("it does not panic").expect("every request is answered");
        }
    });
    assert_eq!(aya.status()["workers"], 2);
    assert!(aya.total("aya_connections_accepted_total", &[("listener", "web")]) > 0.5);
    drop(wires);
    // The first one ends when its connections have.
    assert!(aya.ends_within(PATIENCE));
    ask(web).expect("the last one serves");
}

/// A successor that does not come up leaves everything as it was.
#[test]
fn a_successor_that_fails_changes_nothing() {
    let backend = Backend::answering(|_| answer(200, &[], "hello"));
    let mut aya = Aya::start(&crate::config("", "", "", &[&backend]));
    let web = aya.listener("web");
    let good = std::fs::read_to_string(aya.config()).expect("it is there");
    let failed = |count: f64| {
        let result = [("result", "failed")];
        move |aya: &Aya| aya.total("aya_upgrades_total", &result) > count - 0.5
    };
    for (count, broken) in [
        (1.0, "listeners: {}\n"),
        (2.0, "workers: 1\nlisteners: {web: {bind: 192.0.2.1:80}}\nroutes: [{respond: {status: 200}}]\n"),
    ] {
        std::fs::write(aya.config(), broken).expect("it can be written");
        aya.signal(Signal::USR2);
        wait_until("it to fail", || failed(count)(&aya));
        ask(web).expect("it serves");
    }
    assert!(aya.stderr().contains("not handed over"), "{}", aya.stderr());
    let admin = format!("http://{}", aya.admin_address());
    let told = Aya::run(&["upgrade", "--admin", &admin]);
    assert_eq!(told.code, Some(1));
    assert!(told.stderr.contains("ended before it served"), "{}", told.stderr);
    std::fs::write(aya.config(), good).expect("it can be written");
    aya.upgrade();
    ask(web).expect("the successor serves");
    assert!(aya.ends_within(PATIENCE));
}

/// The service manager hears when traffic is served, and by whom; a process that was succeeded says nothing of its end.
#[test]
fn the_service_manager_is_told() {
    let folder = TempFolder::new();
    let path = folder.path().join("notify");
    let manager = UnixDatagram::bind(&path).expect("a socket");
    manager.set_read_timeout(Some(PATIENCE)).expect("it can be set");
    let heard = || {
        let mut text = [0; 200];
        let length = manager.recv(&mut text).expect("it is told");
        String::from_utf8_lossy(&text[..length]).into_owned()
    };
    let text = "listeners: {web: {bind: '127.0.0.1:0'}}\nroutes: [{respond: {status: 200}}]\n";
    let mut aya = Aya::start_with(text, &[], &[("NOTIFY_SOCKET", &path.to_string_lossy())]);
    assert_eq!(heard(), format!("READY=1\nMAINPID={}\n", aya.id()));
    aya.upgrade();
    let told = heard();
    assert!(told.starts_with("READY=1\nMAINPID=") && !told.contains(&format!("={}\n", aya.id())), "{told}");
    assert!(aya.ends_within(PATIENCE));
    manager.set_read_timeout(Some(Duration::from_millis(50))).expect("it can be set");
    let mut text = [0; 200];
    assert!(manager.recv(&mut text).is_err(), "nothing more");
    drop(aya);
    assert_eq!(heard(), "STOPPING=1\n");
}
