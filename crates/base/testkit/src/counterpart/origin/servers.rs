//! The programs among the origins: how each is configured, started, and what its log says.

use std::path::Path;
use std::process::Command;

use super::{NOTES, Seen, SeenBody};
use crate::process::Signal;

/// What a configuration speaks of.
pub(super) struct Place<'a> {
    pub(super) folder: &'a Path,
    /// Where to listen.
    pub(super) port: u16,
    /// The port of the backend that requests are passed on to.
    pub(super) backend: u16,
}

/// A server that is a program of its own.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) command: &'static str,
    /// The Debian package.
    pub(super) package: &'static str,
    /// The argument that makes it tell its version.
    pub(super) version: &'static str,
    pub(super) configuration: fn(&Place<'_>) -> String,
    pub(super) start: fn(&Place<'_>, &Path) -> Command,
    /// Reads a line of its log.
    pub(super) read: fn(&str) -> Option<Seen>,
    /// What makes it write its log out.
    pub(super) flush: Option<Signal>,
}

pub(super) static NGINX: Program = Program {
    command: "nginx",
    package: "nginx-light",
    version: "-v",
    configuration: nginx,
    start: |place, file| {
        let mut command = Command::new("nginx");
        command.arg("-p").arg(place.folder).arg("-c").arg(file);
        command
    },
    read: read_line,
    flush: None,
};

pub(super) static APACHE: Program = Program {
    command: "apache2",
    package: "apache2",
    version: "-v",
    configuration: apache,
    start: |_, file| {
        let mut command = Command::new("apache2");
        // One process in the foreground, which ends with the play.
        command.args(["-X", "-f"]).arg(file);
        command
    },
    read: read_line,
    flush: None,
};

pub(super) static LIGHTTPD: Program = Program {
    command: "lighttpd",
    package: "lighttpd",
    version: "-v",
    configuration: lighttpd,
    start: |_, file| {
        let mut command = Command::new("lighttpd");
        command.arg("-D").arg("-f").arg(file);
        command
    },
    read: read_line,
    flush: Some(Signal::HUP),
};

pub(super) static HAPROXY: Program = Program {
    command: "haproxy",
    package: "haproxy",
    version: "-v",
    configuration: haproxy,
    start: |_, file| {
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-f").arg(file);
        command
    },
    read: read_line,
    flush: None,
};

pub(super) static CADDY: Program = Program {
    command: "caddy",
    package: "caddy",
    version: "version",
    configuration: caddy,
    start: |place, file| {
        let mut command = Command::new("caddy");
        command.args(["run", "--adapter", "caddyfile", "--config"]).arg(file);
        command.env("XDG_DATA_HOME", place.folder).env("XDG_CONFIG_HOME", place.folder);
        command
    },
    read: read_caddy,
    flush: None,
};

fn nginx(place: &Place<'_>) -> String {
    let Place { port, backend, .. } = place;
    let folder = place.folder.display();
    format!(
        "daemon off; master_process off; pid {folder}/pid; error_log stderr crit;\n\
         events {{ worker_connections 1024; }}\n\
         http {{\n\
           log_format seen escape=none '$http_x_request_id $status $http_host - $request';\n\
           access_log {folder}/{NOTES} seen;\n\
           keepalive_timeout 75; keepalive_requests 1000000; client_max_body_size 0;\n\
           client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;\n\
           fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;\n\
           server {{\n\
             listen 127.0.0.1:{port}; underscores_in_headers on;\n\
             location /static/ {{ add_header x-saw $http_x_request_id always; return 200 static; }}\n\
             location / {{ proxy_pass http://127.0.0.1:{backend}; proxy_set_header Host $http_host; }}\n\
           }}\n\
         }}\n"
    )
}

fn apache(place: &Place<'_>) -> String {
    let Place { port, backend, .. } = place;
    let folder = place.folder.display();
    let modules: String = ["mpm_event", "authz_core", "alias", "headers", "proxy", "proxy_http"]
        .iter()
        .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"))
        .collect();
    let owner = if rustix::process::geteuid().is_root() { "User www-data\nGroup www-data\n" } else { "" };
    format!(
        "{modules}{owner}ServerRoot {folder}\nServerName play.test\nListen 127.0.0.1:{port}\nPidFile {folder}/pid\n\
         ErrorLog /dev/stderr\nLogLevel crit\nDocumentRoot {folder}/www\n\
         LogFormat \"%{{X-Request-Id}}i %>s %{{Host}}i - %r\" seen\nCustomLog {folder}/{NOTES} seen\n\
         KeepAlive On\nKeepAliveTimeout 75\nMaxKeepAliveRequests 0\n\
         Header always set x-saw expr=%{{HTTP:X-Request-Id}}\n\
         AliasMatch ^/static/ {folder}/www/static/page\n<Directory {folder}/www>\nRequire all granted\n</Directory>\n\
         ProxyPreserveHost On\nProxyPass /static/ !\nProxyPass / http://127.0.0.1:{backend}/ disablereuse=on\n"
    )
}

fn lighttpd(place: &Place<'_>) -> String {
    let Place { port, backend, .. } = place;
    let folder = place.folder.display();
    format!(
        "server.modules = (\"mod_access\", \"mod_accesslog\", \"mod_alias\", \"mod_proxy\")\n\
         server.bind = \"127.0.0.1\"\nserver.port = {port}\nserver.document-root = \"{folder}/www\"\n\
         server.upload-dirs = (\"{folder}\")\nserver.max-keep-alive-requests = 1000000\n\
         server.max-keep-alive-idle = 75\n\
         accesslog.filename = \"{folder}/{NOTES}\"\naccesslog.format = \"%{{X-Request-Id}}i %s %{{Host}}i - %r\"\n\
         $HTTP[\"url\"] !~ \"^/static/\" {{\n\
           proxy.server = (\"\" => ((\"host\" => \"127.0.0.1\", \"port\" => {backend})))\n\
         }} else {{ alias.url = (\"/static/\" => \"{folder}/www/static/\") }}\n"
    )
}

fn haproxy(place: &Place<'_>) -> String {
    let Place { port, backend, .. } = place;
    format!(
        "global\n  maxconn 1000\n  log stdout format raw local0\n\
         defaults\n  mode http\n  log global\n  option http-keep-alive\n  timeout connect 10s\n  timeout client 75s\n  \
           timeout server 75s\n  timeout http-keep-alive 75s\n\
         frontend origin\n  bind 127.0.0.1:{port}\n\
         \x20 http-request set-var(txn.id) req.hdr(x-request-id)\n  http-request set-var(txn.host) req.hdr(host)\n\
         \x20 log-format \"%[var(txn.id)] %ST %[var(txn.host)] - %r\"\n\
         \x20 http-after-response set-header x-saw %[var(txn.id)]\n\
         \x20 http-request return status 200 content-type text/plain string static if {{ path_beg /static/ }}\n\
         \x20 default_backend play\n\
         backend play\n  server play 127.0.0.1:{backend}\n"
    )
}

fn caddy(place: &Place<'_>) -> String {
    let Place { port, backend, .. } = place;
    let folder = place.folder.display();
    format!(
        "{{\n  admin off\n  auto_https off\n}}\n\
         http://:{port} {{\n  bind 127.0.0.1\n  log {{\n    output file {folder}/{NOTES}\n    format json\n  }}\n\
         \x20 header x-saw {{http.request.header.X-Request-Id}}\n\
         \x20 handle /static/* {{\n    respond static 200\n  }}\n\
         \x20 handle {{\n    reverse_proxy 127.0.0.1:{backend}\n  }}\n}}\n"
    )
}

/// `ID STATUS HOST BODY METHOD TARGET HTTP/1.1`, with `-` or nothing for what is not known. Other lines say something else.
pub(super) fn read_line(line: &str) -> Option<Seen> {
    let mut words = line.splitn(5, ' ');
    let (id, status, host, body) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let request = words.next()?;
    let known = |word: &str| if word == "-" { String::new() } else { word.to_owned() };
    let (method, rest) = request.split_once(' ').unwrap_or((request, ""));
    let target = rest.strip_suffix(" HTTP/1.1").or(rest.strip_suffix(" HTTP/1.0")).unwrap_or(rest);
    let body = match body.split_once(':') {
        Some((length, checksum)) => {
            SeenBody::Whole { length: length.parse().ok()?, checksum: checksum.to_owned() }
        }
        None if body == "broken" => SeenBody::Broken,
        None => SeenBody::Unread,
    };
    Some(Seen {
        id: known(id),
        status: status.parse().ok()?,
        host: known(host),
        method: method.to_owned(),
        target: target.to_owned(),
        body,
    })
}

/// Caddy logs JSON.
fn read_caddy(line: &str) -> Option<Seen> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let request = line.get("request")?;
    let text = |key: &str| request[key].as_str().unwrap_or_default().to_owned();
    let ids = request["headers"]["X-Request-Id"].as_array();
    let ids = ids.map(|ids| ids.iter().filter_map(serde_json::Value::as_str).collect::<Vec<_>>().join(","));
    Some(Seen {
        id: ids.unwrap_or_default(),
        status: line["status"].as_u64().and_then(|status| u16::try_from(status).ok())?,
        host: text("host"),
        method: text("method"),
        target: text("uri"),
        body: SeenBody::Unread,
    })
}
