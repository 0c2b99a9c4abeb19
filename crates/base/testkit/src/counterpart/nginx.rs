//! nginx, as Debian packs it.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

use crate::counterpart::authority::Issued;
use crate::folder::TempFolder;
use crate::port::free_port;
use crate::process::Process;
use crate::time::wait_until;

/// An nginx of one process on a picked port.
#[derive(Debug)]
pub struct Nginx {
    process: Option<Process>,
    folder: TempFolder,
    port: u16,
}

/// What it is spoken to over.
enum Over<'a> {
    Http1,
    Http2,
    Tls(&'a Issued),
    /// HTTP/1.1 behind an introduction by the PROXY protocol.
    Introduced,
}

impl Nginx {
    /// Starts it with these directives in its `server` block. Its document root is the folder `www` below [`Nginx::folder`].
    ///
    /// # Panics
    /// When nginx is not installed or does not start.
    pub fn start(directives: &str) -> Self {
        Self::start_on(Ipv4Addr::LOCALHOST, directives)
    }

    /// As [`Nginx::start`], over TLS with this certificate.
    ///
    /// # Panics
    /// When nginx is not installed or does not start.
    pub fn start_tls(issued: &Issued, directives: &str) -> Self {
        Self::start_as(Ipv4Addr::LOCALHOST, Over::Tls(issued), directives)
    }

    /// As [`Nginx::start`], over HTTP/2 without TLS.
    ///
    /// # Panics
    /// When nginx is not installed or does not start.
    pub fn start_http2(directives: &str) -> Self {
        Self::start_as(Ipv4Addr::LOCALHOST, Over::Http2, directives)
    }

    /// As [`Nginx::start`], for connections that begin with the PROXY protocol; others are closed.
    ///
    /// # Panics
    /// When nginx is not installed or does not start.
    pub fn start_introduced(directives: &str) -> Self {
        Self::start_as(Ipv4Addr::LOCALHOST, Over::Introduced, directives)
    }

    /// As [`Nginx::start`], listening on this address: `0.0.0.0` is all of 127.0.0.0/8, too.
    ///
    /// # Panics
    /// When nginx is not installed or does not start.
    pub fn start_on(host: Ipv4Addr, directives: &str) -> Self {
        Self::start_as(host, Over::Http1, directives)
    }

    fn start_as(host: Ipv4Addr, over: Over<'_>, directives: &str) -> Self {
        let mut nginx = Self { process: None, folder: TempFolder::new(), port: free_port() };
        let folder = nginx.folder.path().display().to_string();
        std::fs::create_dir_all(nginx.folder.path().join("www")).expect("a temporary folder can be made");
        let port = nginx.port;
        let (over, tls) = match over {
            Over::Http1 => ("", ""),
            Over::Http2 => ("http2", ""),
            Over::Introduced => ("proxy_protocol", ""),
            Over::Tls(issued) => {
                nginx.folder.write("site.pem", &issued.cert);
                nginx.folder.write("site.key", &issued.key);
                ("ssl", "ssl_certificate site.pem; ssl_certificate_key site.key;")
            }
        };
        // Connections stay open for long runs, so that the play and not nginx decides when one ends.
        nginx.folder.write(
            "nginx.conf",
            format!(
                "daemon off; master_process off; pid {folder}/pid; error_log stderr warn;\n\
                 events {{ worker_connections 65536; }}\n\
                 http {{\n\
                   access_log off; keepalive_requests 1000000; client_max_body_size 0;\n\
                   client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;\n\
                   fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;\n\
                   server {{ listen {host}:{port} {over} reuseport backlog=4096; root {folder}/www; {tls} {directives} }}\n\
                 }}\n"
            ),
        );
        nginx.restart();
        nginx
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Kills it as a crash would.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it on the same port, if it does not run.
    ///
    /// # Panics
    /// When it does not start.
    pub fn restart(&mut self) {
        if self.process.is_some() {
            return;
        }
        let mut command = Command::new("nginx");
        command.arg("-p").arg(self.folder.path()).arg("-c").arg(self.folder.path().join("nginx.conf"));
        let mut process = Process::start(command);
        let address = self.address();
        wait_until("nginx to listen", || {
            let ended = process.exit_status();
            assert!(ended.is_none(), "nginx ended ({ended:?}) and said:\n{}", process.stderr());
            TcpStream::connect(address).is_ok()
        });
        self.process = Some(process);
    }
}
