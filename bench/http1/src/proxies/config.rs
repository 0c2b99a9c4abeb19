//! The configuration of each proxy: one core, connections kept alive on both sides, no access log, two
//! endpoints in turn, the client's address told to them. Else what each ships with.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use crate::load::host_name;

/// The routes Aya is given.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Routes {
    /// A few, the last of which takes everything.
    Few,
    /// One for each of so many hosts.
    Hosts(u64),
}

impl Routes {
    /// A word for file names.
    pub(crate) fn label(self) -> String {
        match self {
            Self::Few => "few".to_owned(),
            Self::Hosts(count) => format!("{count}-hosts"),
        }
    }

    /// A host that has a route.
    pub(crate) fn some_host(self) -> String {
        host_name(0)
    }
}

/// Open connections that a proxy must bear: 10,000 clients and some.
const MAX_CONNECTIONS: usize = 12_000;

pub(crate) fn aya(
    address: SocketAddr,
    admin: SocketAddr,
    backends: &[SocketAddr],
    balancing: &str,
    routes: Routes,
    home: &Path,
) -> String {
    let endpoints: Vec<String> = backends.iter().map(ToString::to_string).collect();
    let mut text = format!(
        "workers: 1
listeners:
  web: {{bind: {address}, forwarded: append}}
pools:
  backend:
    endpoints: [{endpoints}]
    {balancing}
    health: {{http: /healthz, interval: 2s}}
    connections: {{max: 4096, max-idle: 1024}}
admin: {{bind: {admin}}}
history: {{folder: {home}/history}}
routes:
",
        endpoints = endpoints.join(", "),
        home = home.display(),
    );
    match routes {
        Routes::Few => text.push_str(
            "  - {match: {host: shop.example.com, path: /api/**}, pool: backend}
  - {match: {host: '*.example.com'}, pool: backend}
  - {match: {path: '/**'}, pool: backend}
",
        ),
        Routes::Hosts(count) => {
            for number in 0..count {
                // Writing to a string cannot fail.
                let _ = writeln!(text, "  - {{match: {{host: {}}}, pool: backend}}", host_name(number));
            }
        }
    }
    text
}

/// `keepalive_requests` is raised because nginx by default closes a connection after 1,000 requests, and the
/// idle timeout because ten thousand clients take a while; bodies of requests have room in memory, because by
/// default nginx writes a body of 16 KiB to a file. Buffering of answers is left as it is: on.
pub(crate) fn nginx(address: SocketAddr, backends: &[SocketAddr], home: &Path) -> String {
    let servers: String = backends.iter().map(|backend| format!("    server {backend};\n")).collect();
    let user = if rustix::process::geteuid().is_root() { "user root;\n" } else { "" };
    format!(
        "{user}daemon off;
worker_processes 1;
pid {home}/nginx.pid;
error_log stderr error;
events {{ worker_connections {MAX_CONNECTIONS}; }}
worker_rlimit_nofile 65536;
http {{
  access_log off;
  client_body_buffer_size 64k;
  client_body_temp_path {home}/body;
  proxy_temp_path {home}/proxy;
  fastcgi_temp_path {home}/fastcgi;
  uwsgi_temp_path {home}/uwsgi;
  scgi_temp_path {home}/scgi;
  keepalive_timeout 300s;
  keepalive_requests 1000000000;
  upstream backend {{
{servers}    keepalive 512;
    keepalive_requests 1000000000;
  }}
  server {{
    listen {address} backlog=32767;
    location / {{
      proxy_pass http://backend;
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
    }}
  }}
}}
",
        home = home.display(),
    )
}

/// Limits are not strict because HAProxy reckons with two descriptors per client, more than some users may
/// open; idle clients need only one.
pub(crate) fn haproxy(address: SocketAddr, backends: &[SocketAddr]) -> String {
    let servers: String = backends
        .iter()
        .enumerate()
        .map(|(number, backend)| format!("  server backend-{number} {backend} check inter 2s\n"))
        .collect();
    format!(
        "global
  nbthread 1
  maxconn {MAX_CONNECTIONS}
  no strict-limits
defaults
  mode http
  timeout connect 5s
  timeout client 300s
  timeout server 60s
  timeout http-keep-alive 300s
  option http-keep-alive
  http-reuse always
frontend web
  bind {address} backlog 32767
  option forwardfor
  http-request set-header X-Forwarded-Proto http
  default_backend backend
backend backend
  balance roundrobin
  option httpchk GET /healthz
{servers}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_host_gets_its_route() {
        let address: SocketAddr = "127.0.0.1:1".parse().unwrap();
        let text =
            aya(address, address, &[address], "balance: random", Routes::Hosts(3), Path::new("/nowhere"));
        assert_eq!(text.matches("example.test").count(), 3);
        assert!(text.contains(&host_name(2)));
    }

    #[test]
    fn nginx_gets_all_backends() {
        let backends: Vec<SocketAddr> = ["127.0.0.1:1", "127.0.0.1:2"].map(|a| a.parse().unwrap()).into();
        let text = nginx(backends[0], &backends, Path::new("/nowhere"));
        assert!(text.contains("server 127.0.0.1:1;") && text.contains("server 127.0.0.1:2;"));
    }
}
