//! Servers that stand behind Aya in production, each noting the requests that it saw.
//!
//! Servers that are programs of their own (nginx, Caddy …) pass requests on to a backend of the play, which notes bodies, and answer
//! those below `/static/` themselves, without a use for a body. Python's and Node's servers run an application that does the same.

mod servers;

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::Command;

use crate::backend::{Backend, Session};
use crate::counterpart::python;
use crate::counterpart::tools::is_program;
use crate::fault::WireError;
use crate::folder::TempFolder;
use crate::message::{answer, checksum};
use crate::port::free_port;
use crate::process::{Ended, Process, Signal};
use crate::time::{PATIENCE, wait_until};

/// Where an origin notes what it saw, in its folder.
const NOTES: &str = "seen.log";
const APP: &str = include_str!("origin/app.py");
const NODE_APP: &str = include_str!("origin/app.js");

/// A server that an operator would put behind Aya.
#[derive(Clone, Copy, Debug)]
pub struct OriginKind {
    /// As people call it.
    pub name: &'static str,
    server: Server,
}

#[derive(Clone, Copy, Debug)]
enum Server {
    /// A program: how it is found and what installs it, how it is configured and started, what is made of a line of its log.
    Program(&'static servers::Program),
    /// A Python package.
    Python(&'static str),
    Node,
}

/// All there are.
pub const ORIGINS: [OriginKind; 13] = [
    OriginKind { name: "nginx", server: Server::Program(&servers::NGINX) },
    OriginKind { name: "Apache httpd", server: Server::Program(&servers::APACHE) },
    OriginKind { name: "lighttpd", server: Server::Program(&servers::LIGHTTPD) },
    OriginKind { name: "HAProxy", server: Server::Program(&servers::HAPROXY) },
    OriginKind { name: "Caddy", server: Server::Program(&servers::CADDY) },
    OriginKind { name: "Node http", server: Server::Node },
    OriginKind { name: "gunicorn", server: Server::Python("gunicorn") },
    OriginKind { name: "uvicorn h11", server: Server::Python("uvicorn-h11") },
    OriginKind { name: "uvicorn httptools", server: Server::Python("uvicorn-httptools") },
    OriginKind { name: "waitress", server: Server::Python("waitress") },
    OriginKind { name: "tornado", server: Server::Python("tornado") },
    OriginKind { name: "aiohttp", server: Server::Python("aiohttp") },
    OriginKind { name: "hypercorn", server: Server::Python("hypercorn") },
];

/// A request as an origin noted it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its `X-Request-Id`; empty when it had none.
    pub id: String,
    /// What it was answered with.
    pub status: u16,
    /// Its `Host`.
    pub host: String,
    /// The request line's first word.
    pub method: String,
    /// The rest of the request line, without the version.
    pub target: String,
    /// What became of its body.
    pub body: SeenBody,
}

/// What an origin made of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SeenBody {
    /// It was not looked at.
    Unread,
    /// It broke off.
    Broken,
    /// It came whole.
    Whole {
        /// In bytes.
        length: usize,
        /// As [`checksum`] gives it.
        checksum: String,
    },
}

/// One of them, running on a picked port.
#[derive(Debug)]
pub struct Origin {
    kind: OriginKind,
    process: Process,
    /// Gets what a program passes on.
    backend: Backend,
    folder: TempFolder,
    port: u16,
}

impl OriginKind {
    /// What has to be installed before it can be started; `None` when all is there.
    pub fn missing(self) -> Option<String> {
        match self.server {
            Server::Program(program) => (!is_program(program.command))
                .then(|| format!("`{}` is missing: apt-get install {}", program.command, program.package)),
            Server::Node => {
                (!is_program("node")).then(|| "`node` is missing: apt-get install nodejs".to_owned())
            }
            Server::Python(server) => python::missing(server.split('-').collect::<Vec<_>>().as_slice()),
        }
    }

    /// Its version, as it says itself.
    pub fn version(self) -> String {
        let (command, arguments) = match self.server {
            Server::Program(program) => (program.command, vec![program.version]),
            Server::Node => ("node", vec!["--version"]),
            Server::Python(server) => {
                return python::version(server.split('-').next().unwrap_or(server));
            }
        };
        let mut command = Command::new(command);
        command.args(arguments);
        let Ended { stdout, stderr, .. } = Process::run(command, PATIENCE);
        let text = format!("{stdout}{stderr}");
        let number = text.split(|c: char| c.is_whitespace() || c == '/').find(|word| {
            let word = word.trim_start_matches('v');
            word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.')
        });
        number.unwrap_or_default().trim_start_matches('v').to_owned()
    }

    /// Starts it.
    ///
    /// # Panics
    /// When it does not listen in time.
    pub fn start(self) -> Origin {
        let folder = TempFolder::new();
        let port = free_port();
        let backend = Backend::script(serve);
        let pages = folder.path().join("www/static");
        std::fs::create_dir_all(&pages).expect("a temporary folder can be made");
        std::fs::write(pages.join("page"), "a page\n").expect("a temporary file can be written");
        let notes = folder.path().join(NOTES);
        let mut command = match self.server {
            Server::Program(program) => {
                let place = servers::Place { folder: folder.path(), port, backend: backend.port() };
                let file = folder.write("origin.conf", (program.configuration)(&place));
                (program.start)(&place, &file)
            }
            Server::Python(server) => {
                let mut command = python::command_with_packages();
                command.arg(folder.write("app.py", APP)).args([server, &port.to_string()]).arg(notes);
                command
            }
            Server::Node => {
                let mut command = Command::new("node");
                command.arg(folder.write("app.js", NODE_APP)).arg(port.to_string()).arg(notes);
                command
            }
        };
        command.current_dir(folder.path()).env("HOME", folder.path());
        let mut process = Process::start(command);
        wait_until(&format!("{} to listen", self.name), || {
            let ended = process.exit_status();
            let said = || format!("{}{}", process.stderr(), process.stdout());
            assert!(ended.is_none(), "{} ended ({ended:?}) and said:\n{}", self.name, said());
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
        });
        Origin { kind: self, process, backend, folder, port }
    }
}

impl Origin {
    /// Its kind.
    pub fn kind(&self) -> OriginKind {
        self.kind
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// What it saw so far, as far as it has written it down.
    pub fn seen(&self) -> Vec<Seen> {
        let read = match self.kind.server {
            Server::Program(program) => program.read,
            Server::Python(_) | Server::Node => servers::read_line,
        };
        let bytes = std::fs::read(self.folder.path().join(NOTES)).unwrap_or_default();
        let text = format!("{}{}", String::from_utf8_lossy(&bytes), self.process.stdout());
        let mut seen: Vec<_> = text.lines().filter_map(read).collect();
        let mut bodies: HashMap<String, SeenBody> = HashMap::new();
        for request in self.backend.requests() {
            let checksum = checksum(&request.body);
            let body = SeenBody::Whole { length: request.body.len(), checksum };
            bodies.insert(request.header("x-request-id").unwrap_or_default().to_owned(), body);
        }
        for request in &mut seen {
            if let Some(body) = bodies.remove(&request.id) {
                request.body = body;
            }
        }
        seen
    }

    /// Has it write down what it has seen: some gather lines for seconds.
    pub fn flush(&mut self) {
        if let Server::Program(program) = self.kind.server
            && let Some(signal) = program.flush
        {
            self.process.signal(signal);
        }
    }

    /// Sends it a signal.
    pub fn signal(&mut self, signal: Signal) {
        self.process.signal(signal);
    }
}

/// Answers whatever comes, and says whose the answer is.
fn serve(session: &mut Session) -> Result<(), WireError> {
    while let Some(request) = session.request_with(|session, head| {
        let waits = head.fields.lists("expect", "100-continue");
        if waits { session.send("HTTP/1.1 100 Continue\r\n\r\n") } else { Ok(()) }
    })? {
        let name = request.header("x-request-id").unwrap_or_default();
        let body = if request.method == "HEAD" { "" } else { "an answer" };
        session.send(answer(200, &[&format!("x-saw: {name}")], body))?;
    }
    Ok(())
}
