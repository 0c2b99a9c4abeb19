//! HAProxy, as Debian packs it.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::Command;

use crate::folder::TempFolder;
use crate::port::free_port;
use crate::process::Process;
use crate::time::wait_until;

/// An HAProxy of one process on a picked port.
#[derive(Debug)]
pub struct HaProxy {
    port: u16,
    _process: Process,
    _folder: TempFolder,
}

impl HaProxy {
    /// Starts it before one server, in HTTP mode, with long timeouts and else what it ships with.
    ///
    /// # Panics
    /// When it is not installed or does not start.
    pub fn start(server: SocketAddr) -> Self {
        Self::run("http", "", &to(&server.to_string()))
    }

    /// The same in TCP mode, with these further words for the server.
    ///
    /// # Panics
    /// When it is not installed or does not start.
    pub fn relay(server: SocketAddr, words: &str) -> Self {
        Self::run("tcp", "", &to(&format!("{server} {words}")))
    }

    /// Starts it for connections that begin with the PROXY protocol. It answers requests with this text, in which `%[…]` stands for what it knows.
    ///
    /// # Panics
    /// When it is not installed or does not start.
    pub fn introduced(text: &str) -> Self {
        let answer = format!("http-request return status 200 content-type text/plain lf-string \"{text}\"");
        Self::run("http", "accept-proxy", &answer)
    }

    /// Listens with these words, and does this.
    fn run(mode: &str, words: &str, action: &str) -> Self {
        let (folder, port) = (TempFolder::new(), free_port());
        let file = folder.write(
            "haproxy.cfg",
            format!(
                "global\n  maxconn 1000\n\
                 defaults\n  mode {mode}\n  timeout connect 10s\n  timeout client 30s\n  timeout server 30s\n\
                 frontend web\n  bind 127.0.0.1:{port} {words}\n  {action}\n"
            ),
        );
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-f").arg(file);
        let mut process = Process::start(command);
        wait_until("HAProxy to listen", || {
            let ended = process.exit_status();
            assert!(ended.is_none(), "HAProxy ended ({ended:?}) and said:\n{}", process.stderr());
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
        });
        Self { port, _process: process, _folder: folder }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }
}

/// Leads everything to one server.
fn to(server: &str) -> String {
    format!("default_backend main\n backend main\n  server main {server}")
}
