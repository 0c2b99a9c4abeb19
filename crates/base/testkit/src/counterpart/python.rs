//! Python's HTTP server, and packages that speak HTTP and WebSocket.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;

use super::packages;
use crate::folder::TempFolder;
use crate::port::free_port;
use crate::process::{Ended, Process, Signal};
use crate::time::{PATIENCE, wait_until};

/// A Python program that listens on a picked port.
#[derive(Debug)]
pub struct Python {
    port: u16,
    folder: TempFolder,
    process: Process,
}

impl Python {
    /// `python3 -m http.server` over a folder that holds these files.
    ///
    /// # Panics
    /// When it does not start.
    pub fn http_server(files: &[(&str, &str)]) -> Self {
        let folder = TempFolder::new();
        for (name, content) in files {
            folder.write(name, content);
        }
        Self::serve(folder, |port, command| {
            command.args(["-m", "http.server", "--bind", "127.0.0.1", &port.to_string()]);
        })
    }

    /// A WebSocket server of the package `websockets` that sends back what it gets.
    ///
    /// # Panics
    /// When it does not start.
    pub fn websocket_echo() -> Self {
        let script = "import asyncio, sys\n\
            from websockets.asyncio.server import serve\n\
            async def echo(socket):\n\
            \x20   async for message in socket:\n\
            \x20       await socket.send(message)\n\
            async def main():\n\
            \x20   async with serve(echo, '127.0.0.1', int(sys.argv[1]), max_size=None) as server:\n\
            \x20       await server.serve_forever()\n\
            asyncio.run(main())\n";
        let folder = TempFolder::new();
        let file = folder.write("echo.py", script);
        Self::serve(folder, |port, command| {
            command.arg(file).arg(port.to_string()).env("PYTHONPATH", packages());
        })
    }

    /// A script that is given the port to listen on, in a folder of its own.
    ///
    /// # Panics
    /// When it does not listen.
    pub fn script(script: &str, files: &[(&str, &str)]) -> Self {
        Self::script_with(script, files, &[])
    }

    /// The same with further arguments behind the port, and with the packages of [`Python::run`] at hand.
    ///
    /// # Panics
    /// When it does not listen.
    pub fn script_with(script: &str, files: &[(&str, &str)], arguments: &[&str]) -> Self {
        let folder = TempFolder::new();
        for (name, content) in files {
            folder.write(name, content);
        }
        let file = folder.write("script.py", script);
        Self::serve(folder, |port, command| {
            command.arg(file).arg(port.to_string()).args(arguments);
            if !arguments.is_empty() {
                command.env("PYTHONPATH", packages());
            }
        })
    }

    /// Runs a script with the packages `websockets`, `wsproto`, `h11`, `h2`, `grpcio` and its services at hand, to its end.
    ///
    /// # Panics
    /// When it does not end.
    pub fn run(script: &str, arguments: &[&str]) -> Ended {
        Process::run(Self::command(script, arguments), PATIENCE * 2)
    }

    /// The same, and goes on.
    ///
    /// # Panics
    /// When it does not start.
    pub fn begin(script: &str, arguments: &[&str]) -> Process {
        Process::start(Self::command(script, arguments))
    }

    fn command(script: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("python3");
        command.args(["-c", script]).args(arguments).env("PYTHONPATH", packages());
        command
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// Its working directory.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Sends a signal to it.
    pub fn signal(&mut self, signal: Signal) {
        self.process.signal(signal);
    }

    fn serve(folder: TempFolder, arguments: impl FnOnce(u16, &mut Command)) -> Self {
        let port = free_port();
        let mut command = Command::new("python3");
        command.current_dir(folder.path()).env("PYTHONUNBUFFERED", "1");
        arguments(port, &mut command);
        let mut process = Process::start(command);
        wait_until("a Python server to listen", || {
            let ended = process.exit_status();
            assert!(ended.is_none(), "Python ended ({ended:?}) and said:\n{}", process.stderr());
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
        });
        Self { port, folder, process }
    }
}

/// The folder with the Python packages that plays need: `AYA_PYTHON_PACKAGES`, else below the target folder.
fn packages_folder() -> PathBuf {
    packages::folder_of("AYA_PYTHON_PACKAGES", "python-packages")
}

/// What plays speak WebSocket and HTTP with.
const PACKAGES: [&str; 7] =
    ["websockets", "wsproto", "h11", "h2", "grpcio", "grpcio-health-checking", "grpcio-reflection"];

/// The same, with [`PACKAGES`] installed when one was missing.
fn packages() -> PathBuf {
    let folder = packages_folder();
    // A package may bring modules of another name.
    let modules = ["websockets", "wsproto", "h11", "h2", "grpc", "grpc_health", "grpc_reflection"];
    let modules = modules.map(|module| folder.join(module));
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"]);
    packages::install(&folder, &modules, pip, &PACKAGES);
    folder
}

/// Python with the installed packages at hand, none of which is installed by this.
pub(super) fn command_with_packages() -> Command {
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", packages_folder()).env("PYTHONUNBUFFERED", "1");
    command
}

/// What to type when one of these packages is not installed.
pub(super) fn missing(packages: &[&str]) -> Option<String> {
    let folder = packages_folder();
    let package = packages.iter().find(|package| !folder.join(package).is_dir())?;
    Some(format!(
        "the Python package `{package}` is missing: python3 -m pip install --target TARGET/python-packages {}",
        packages.join(" ")
    ))
}

/// The version of an installed package.
pub(super) fn version(package: &str) -> String {
    let mut command = command_with_packages();
    let script = "import importlib.metadata, sys; print(importlib.metadata.version(sys.argv[1]))";
    command.args(["-c", script, package]);
    Process::run(command, PATIENCE).stdout.trim().to_owned()
}
