//! The configurations of the others.

use anyhow::Result;

use super::setup::{MAX_CONNECTIONS, MAX_IDLE, Setup, Site};

/// `keepalive_requests` is raised because nginx by default closes a connection after 1,000 requests, and the idle timeout because
/// ten thousand clients take a while; bodies of requests have room in memory, because by default nginx writes a body of 16 KiB to a
/// file. Buffering of answers is left as it is: on.
pub(super) fn nginx(site: &Site<'_>) -> Result<Setup> {
    let servers = site.each_backend(|backend| format!("    server {backend};\n"));
    let user = if rustix::process::geteuid().is_root() { "user root;\n" } else { "" };
    let (address, home) = (site.address, site.home.display());
    let text = format!(
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
{servers}    keepalive {MAX_IDLE};
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
"
    );
    let home = site.home.to_string_lossy();
    Ok(Setup::of_file(site, "nginx.conf", text, &["-p", &home, "-c"]))
}

/// Limits are not strict because HAProxy reckons with two descriptors per client, more than some users may open; idle clients
/// need only one.
pub(super) fn haproxy(site: &Site<'_>) -> Result<Setup> {
    let servers = site
        .each_backend(|backend| format!("  server backend-{} {backend} check inter 2s\n", backend.port()));
    let address = site.address;
    let text = format!(
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
    );
    Ok(Setup::of_file(site, "haproxy.cfg", text, &["-db", "-f"]))
}

/// Timeouts that end idle clients or long rounds are longer than usual; health is checked as by the others.
pub(super) fn envoy(site: &Site<'_>) -> Result<Setup> {
    let endpoints = site.each_backend(|backend| {
        let (ip, port) = (backend.ip(), backend.port());
        format!(
            "        - {{endpoint: {{address: {{socket_address: {{address: {ip}, port_value: {port}}}}}}}}}\n"
        )
    });
    let (ip, port) = (site.address.ip(), site.address.port());
    let text = format!(
        "static_resources:
  listeners:
  - name: web
    address: {{socket_address: {{address: {ip}, port_value: {port}}}}}
    tcp_backlog_size: 32767
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: web
          codec_type: HTTP1
          use_remote_address: true
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{'@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
          route_config:
            virtual_hosts:
            - name: all
              domains: ['*']
              routes: [{{match: {{prefix: /}}, route: {{cluster: backend}}}}]
  clusters:
  - name: backend
    type: STATIC
    connect_timeout: 5s
    lb_policy: ROUND_ROBIN
    health_checks:
    - {{timeout: 2s, interval: 2s, unhealthy_threshold: 3, healthy_threshold: 1, http_health_check: {{path: /healthz}}}}
    load_assignment:
      cluster_name: backend
      endpoints:
      - lb_endpoints:
{endpoints}"
    );
    let arguments = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "error", "-c"];
    Ok(Setup::of_file(site, "envoy.yaml", text, &arguments))
}

/// Asks nobody for newer versions and tells nobody that it runs.
pub(super) fn traefik(site: &Site<'_>) -> Result<Setup> {
    let servers = site.each_backend(|backend| format!("          - url: http://{backend}\n"));
    let (address, routes) = (site.address, site.file("routes.yaml"));
    let text = format!(
        "global: {{checkNewVersion: false, sendAnonymousUsage: false}}
entryPoints:
  web:
    address: {address}
    transport: {{respondingTimeouts: {{idleTimeout: 300s}}}}
providers: {{file: {{filename: {routes}, watch: false}}}}
log: {{level: ERROR}}
",
        routes = routes.display(),
    );
    let dynamic = format!(
        "http:
  routers:
    all: {{rule: 'PathPrefix(`/`)', service: backend, entryPoints: [web]}}
  serversTransports:
    kept: {{maxIdleConnsPerHost: {MAX_IDLE}}}
  services:
    backend:
      loadBalancer:
        serversTransport: kept
        healthCheck: {{path: /healthz, interval: 2s}}
        servers:
{servers}"
    );
    let flag = format!("--configfile={}", site.file("traefik.yaml").display());
    let files = vec![("traefik.yaml", text), ("routes.yaml", dynamic)];
    Ok(Setup { files, arguments: vec![flag.into()] })
}

/// Has no admin port, without which it keeps nothing on disk, and gets no certificates.
pub(super) fn caddy(site: &Site<'_>) -> Result<Setup> {
    let backends = site.each_backend(|backend| format!(" {backend}"));
    let (ip, port) = (site.address.ip(), site.address.port());
    let text = format!(
        "{{
	admin off
	auto_https off
	log {{
		level ERROR
	}}
	servers {{
		timeouts {{
			idle 300s
		}}
	}}
}}
http://:{port} {{
	bind {ip}
	reverse_proxy{backends} {{
		lb_policy round_robin
		health_uri /healthz
		health_interval 2s
		transport http {{
			keepalive_idle_conns_per_host {MAX_IDLE}
		}}
	}}
}}
"
    );
    Ok(Setup::of_file(site, "Caddyfile", text, &["run", "--adapter", "caddyfile", "--config"]))
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::path::Path;

    use super::super::setup::Routes;
    use super::*;

    #[test]
    fn all_get_all_backends() {
        let address: SocketAddr = "127.0.0.1:1".parse().unwrap();
        let backends: Vec<SocketAddr> =
            ["127.0.0.1:4321", "127.0.0.1:4322"].map(|backend| backend.parse().unwrap()).into();
        let site = Site { address, backends: &backends, routes: Routes::Few, home: Path::new("/nowhere") };
        for setup in [nginx, haproxy, envoy, traefik, caddy] {
            let text: String = setup(&site).unwrap().files.into_iter().map(|(_, text)| text).collect();
            assert!(text.contains("4321") && text.contains("4322"), "{text}");
        }
    }
}
