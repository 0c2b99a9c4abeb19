//! Words that other programs use for what is called something else here.

/// One or more words from elsewhere.
struct Synonym {
    /// A word that is known where this one stands: tells pools from routes.
    beside: &'static str,
    /// In lower case, without signs.
    words: &'static [&'static str],
    meant: Meant,
}

enum Meant {
    /// A word that is known there.
    Word(&'static str),
    /// Something else: what to do.
    Help(&'static str),
}

use Meant::{Help, Word};

const fn of(beside: &'static str, words: &'static [&'static str], meant: Meant) -> Synonym {
    Synonym { beside, words, meant }
}

const TLS_OF_LISTENER: Meant =
    Help("it belongs to a listener: `tls: {certificates: {cert: site.pem, key: site.key}}`");
const ONE_STICKINESS: Meant = Help("a pool is sticky in one way: keep one of `cookie`, `source` and `learn`");
const NO_OTHER_PROTOCOL: Meant =
    Help("it is not there yet: the protocols so far are `http`, `tcp` and `udp`");

/// Names for which versions and ciphers are spoken.
const VERSIONS_AND_CIPHERS: &[&str] = &[
    "protocols",
    "versions",
    "minversion",
    "maxversion",
    "tlsminimumprotocolversion",
    "ciphers",
    "ciphersuites",
    "sslprotocols",
    "sslciphers",
    "curves",
    "options",
];

/// Key of the document, a listener, a route, a match, a pool, an endpoint, a check, the admin port, a list of filters.
const KEYS: &[Synonym] = &[
    of(
        "listeners",
        &["upstream", "upstreams", "backend", "backends", "cluster", "clusters", "service", "services"],
        Word("pools"),
    ),
    of(
        "listeners",
        &[
            "server",
            "servers",
            "frontend",
            "frontends",
            "entrypoint",
            "entrypoints",
            "bind",
            "listen",
            "http",
        ],
        Word("listeners"),
    ),
    of("listeners", &["location", "locations", "rule", "rules", "router", "routers"], Word("routes")),
    of(
        "listeners",
        &["logging", "accesslog", "accesslogs"],
        Help("write it under `logs`: `logs: {access: json}`"),
    ),
    of(
        "listeners",
        &["api", "dashboard", "metrics", "stats"],
        Help("it is on the admin port: `admin: {bind: 127.0.0.1:9900}`"),
    ),
    of("listeners", &["tls", "ssl", "certificate", "certificates", "certs"], TLS_OF_LISTENER),
    of("trusted-proxies", &["acceptproxy", "proxyheader", "proxyprotocolv2"], Word("proxy-protocol")),
    of("trusted-proxies", &["listen", "address", "addresses", "port", "ports"], Word("bind")),
    of(
        "trusted-proxies",
        &[
            "ssl",
            "https",
            "certificate",
            "certificates",
            "cert",
            "key",
            "sslcertificate",
            "sslcertificatekey",
        ],
        Help("write it under `tls`: `tls: {certificates: {cert: site.pem, key: site.key}}`"),
    ),
    of(
        "unknown-name",
        &["cert", "certificate", "key", "keytype", "cafile"],
        Help("write `certificates: {cert: site.pem, key: site.key}`"),
    ),
    of(
        "unknown-name",
        &[
            "ca",
            "clientca",
            "clientauth",
            "verify",
            "verifyclient",
            "clientcertificate",
            "mtls",
            "crl",
            "revoked",
        ],
        Help("write it under `clients`: `clients: {authorities: ca.pem, revoked: list.crl}`"),
    ),
    of(
        "pass-through",
        &["passthrough", "sslpassthrough", "tlspassthrough", "sslpreread", "sniroutes", "hostsni"],
        Word("pass-through"),
    ),
    of("server-name", &["sni", "host", "name", "servernames", "hostsni", "reqsslsni"], Word("server-name")),
    of("proxy-protocol", &["sendproxy", "sendproxyv2", "acceptproxy"], Word("proxy-protocol")),
    of("unknown-name", &["snistrict", "strictsni", "rejectunknownsni"], Help("write `unknown-name: refuse`")),
    of("unknown-name", &["sessiontickets", "ticketkeys", "sessionticketkey"], Word("tickets")),
    of(
        "policy",
        VERSIONS_AND_CIPHERS,
        Help("`policy` says which: `modern` (TLS 1.3) or `intermediate` (1.2 and 1.3)"),
    ),
    of("verify", &["sni", "servername", "hostname", "host", "verifyhost", "sslname"], Word("name")),
    of(
        "verify",
        &["ca", "cafile", "cacert", "rootcas", "trustedca", "trustedcertificate"],
        Word("authorities"),
    ),
    of("verify", &["crl", "crlfile"], Word("revoked")),
    of("verify", &["cert", "clientcertificate", "key", "crt", "certificates"], Word("certificate")),
    of("verify", &["insecure", "insecureskipverify", "skipverify", "trustall"], Help("write `verify: off`")),
    of(
        "trusted-proxies",
        &["host", "hosts", "servername", "hostname", "hostnames", "domains"],
        Help("hosts are conditions of routes: `match: {host: shop.example.com}`"),
    ),
    of(
        "trusted-proxies",
        &["location", "locations", "route", "routes", "rules"],
        Help("routes stand beside `listeners`; `listeners: [NAME]` in a route ties it to this one"),
    ),
    of(
        "match",
        &["path", "uri", "prefix", "location"],
        Help("write it under `match`: `match: {path: /a/**}`"),
    ),
    of(
        "match",
        &["host", "hosts", "hostname", "hostnames", "domain", "domains"],
        Help("write it under `match`: `match: {host: shop.example.com}`"),
    ),
    of("match", &["method", "methods"], Help("write it under `match`: `match: {method: [GET]}`")),
    of("match", &["header", "headers"], Help("write it under `match`: `match: {header: {x-tier: gold}}`")),
    of("match", &["query", "cookie", "client"], Help("write it under `match`, with the other conditions")),
    of("match", &["matches", "condition", "conditions", "when", "rule", "if"], Word("match")),
    of(
        "match",
        &[
            "backend",
            "service",
            "proxypass",
            "proxyto",
            "reverseproxy",
            "upstream",
            "cluster",
            "target",
            "to",
            "forward",
            "forwardto",
            "usebackend",
            "defaultbackend",
        ],
        Word("pool"),
    ),
    of(
        "match",
        &["backends", "services", "weightedclusters", "backendrefs", "canary", "pools"],
        Word("split"),
    ),
    of("match", &["middleware", "middlewares", "plugins"], Word("filters")),
    of("match", &["return"], Help("write `respond: {status: 200}` or `redirect: {to: /new}`")),
    of("cookie", &["uri", "prefix", "paths", "pathprefix", "location"], Word("path")),
    of("cookie", &["hosts", "hostname", "hostnames", "domain", "domains", "servername"], Word("host")),
    of("cookie", &["ip", "ips", "clientip", "source", "sourceip", "remoteaddr", "cidr"], Word("client")),
    of("cookie", &["params", "queryparams", "queryparam", "args", "querystring"], Word("query")),
    of(
        "endpoints",
        &[
            "server",
            "servers",
            "target",
            "targets",
            "member",
            "members",
            "backend",
            "backends",
            "upstream",
            "upstreams",
            "hosts",
            "nodes",
            "address",
            "addresses",
            "loadassignment",
        ],
        Word("endpoints"),
    ),
    of(
        "endpoints",
        &["healthcheck", "healthchecks", "check", "checks", "probe", "probes", "option"],
        Word("health"),
    ),
    of(
        "endpoints",
        &[
            "algorithm",
            "lbpolicy",
            "loadbalancing",
            "loadbalancer",
            "policy",
            "strategy",
            "balancer",
            "scheduler",
        ],
        Word("balance"),
    ),
    of("endpoints", &["outlierdetection", "circuitbreaker", "passive", "maxfails"], Word("ejection")),
    of(
        "endpoints",
        &["keepalive", "maxconn", "maxconns", "maxconnections", "circuitbreakers"],
        Word("connections"),
    ),
    of(
        "endpoints",
        &["queue", "maxqueue", "queuetimeout", "timeoutqueue", "maxpending", "maxpendingrequests"],
        Help("write it under `connections`: `connections: {max: 100, queue: 200, queue-timeout: 1s}`"),
    ),
    of(
        "endpoints",
        &["backup", "backups", "fallback"],
        Help("write `tier: 1` at the endpoints that are to wait"),
    ),
    of("endpoints", &["warmup", "slowstartconfig"], Word("slow-start")),
    of("endpoints", &["panicthreshold", "healthypanicthreshold"], Word("panic")),
    of("endpoints", &["subsetting", "subsetsize"], Word("subset")),
    of("endpoints", &["zoneaware", "localityweighted", "overprovisioningfactor"], Word("spill-over")),
    of("max-for", &["consecutive", "consecutive5xx", "maxfails"], Word("consecutive-failures")),
    of("max-for", &["baseejectiontime", "failtimeout"], Word("for")),
    of("max-for", &["maxejectiontime"], Word("max-for")),
    of(
        "max-for",
        &["maxejectionpercent", "maxshare"],
        Help("write it under `peers`: `peers: {max-share: 50%}`"),
    ),
    of("endpoints", &["ssl", "https", "scheme", "transportsocket", "proxyssl"], Help("write `tls: on`")),
    of(
        "endpoints",
        &["sni", "servername", "verify", "authorities", "ca", "certificate", "insecureskipverify"],
        Help("write it under `tls`: `tls: {name: app.internal, authorities: ca.pem}`"),
    ),
    of(
        "endpoints",
        &[
            "stickiness",
            "stickysession",
            "stickysessions",
            "sessionaffinity",
            "affinity",
            "persistence",
            "sticktable",
            "stick",
            "cookie",
        ],
        Word("sticky"),
    ),
    of("http-only", &["source", "learn"], ONE_STICKINESS),
    of("http-only", &["ttl", "max"], Help("clients keep this session: `max-age` says how long")),
    of(
        "http-only",
        &["prefix", "prefix6"],
        Help("write it under `source`: `sticky: {source: {prefix: 24}}`"),
    ),
    of("http-only", &["name"], Word("cookie")),
    of("http-only", &["key", "secret", "secrets"], Word("keys")),
    of("http-only", &["httponly"], Word("http-only")),
    of("http-only", &["maxage", "expires", "maxlife"], Word("max-age")),
    of("http-only", &["samesite"], Word("same-site")),
    of("source", &["cookie", "learn"], ONE_STICKINESS),
    of("source", &["prefix", "prefix6"], Help("write it under `source`: `source: {prefix: 24}`")),
    of("learn", &["cookie", "source"], ONE_STICKINESS),
    of("learn", &["header"], Help("write it under `learn`: `learn: {header: mcp-session-id}`")),
    of("ttl", &["maxage", "expire", "expires", "timeout"], Word("ttl")),
    of("ttl", &["size", "entries", "limit"], Word("max")),
    of("weight", &["host", "url", "ip", "server", "target", "addr"], Word("address")),
    of(
        "weight",
        &["backup"],
        Help("write `tier: 1`: it gets traffic when the endpoints of tier 0 do not suffice"),
    ),
    of("weight", &["priority"], Word("tier")),
    of("weight", &["locality", "availabilityzone", "az", "region"], Word("zone")),
    of(
        "weight",
        &["maxconn", "maxconns", "maxconnections", "maxqueue"],
        Help("it is the same for all endpoints of a pool: `connections: {max: 100, queue: 200}`"),
    ),
    of(
        "weight",
        &["maxfails", "failtimeout"],
        Help("it is the same for all endpoints of a pool: `ejection: {consecutive-failures: 5, for: 10s}`"),
    ),
    of("weight", &["port"], Help("write it in `address`: `10.0.0.1:8080`")),
    of("rise", &["agentsend"], Word("send")),
    of("rise", &["agentport"], Word("port")),
    of("rise", &["agentcheck"], Word("agent")),
    of("rise", &["ping"], Word("icmp")),
    of("rise", &["script", "command", "externalcheck", "run"], Word("exec")),
    of("rise", &["path", "uri", "url"], Word("http")),
    of("rise", &["healthythreshold", "successes"], Word("rise")),
    of("rise", &["unhealthythreshold", "failures", "fails"], Word("fall")),
    of("rise", &["expect", "expectedstatus", "statuses", "codes"], Word("status")),
    of("token", &["auth", "password", "secret", "bearer"], Word("token")),
    of("token", &["listen", "address", "port"], Word("bind")),
    of("set-header", &["redirect", "respond"], Help("it is no filter: write it as a key of the route")),
];

/// Balancers, protocols, checks.
const WORDS: &[Synonym] = &[
    of(
        "least-connections",
        &["leastconn", "leastconns", "leastrequest", "leastrequests", "lc"],
        Word("least-connections"),
    ),
    of("power-of-two", &["p2c", "twochoices", "poweroftwochoices", "randomtwo"], Word("power-of-two")),
    of("peak-ewma", &["ewma", "latency"], Word("peak-ewma")),
    of("least-response-time", &["leasttime", "fastest"], Word("least-response-time")),
    of("consistent-hash", &["ringhash", "ring", "maglev", "ketama", "hash"], Word("consistent-hash")),
    of(
        "consistent-hash",
        &["uri", "urlparam", "hdr"],
        Help("name what decides: `{kind: consistent-hash, key: path}`"),
    ),
    of("source-hash", &["iphash", "source", "sourceip", "clientip", "src", "sh"], Word("source-hash")),
    of("weighted-round-robin", &["wrr", "swrr"], Word("weighted-round-robin")),
    of("round-robin", &["rr", "roundrobin", "wrr"], Word("round-robin")),
    of(
        "http",
        &["https", "tls", "ssl", "h2", "h2c", "http2", "h3", "http3", "quic", "grpc", "ws"],
        NO_OTHER_PROTOCOL,
    ),
    of("http", &["http1", "http11"], Word("http")),
    of("tcp", &["http"], Help("name the path that is asked: `{http: /healthz}`")),
    of("tcp", &["https"], Help("in a pool with `tls` it is over TLS: `{http: /healthz}`")),
    of("tcp", &["ssl", "handshake", "sslhello"], Word("tls")),
    of("agent", &["agentcheck"], Word("agent")),
    of("icmp", &["ping", "echo", "icmp4", "icmp6"], Word("icmp")),
    of(
        "agent",
        &["exec", "script", "command", "externalcheck"],
        Help("name the program that is run: `{exec: [/usr/local/bin/check]}`"),
    ),
    of("tcp", &["connect", "true", "on", "yes"], Word("tcp")),
];

fn find(table: &'static [Synonym], word: &str, known: &[&str]) -> Option<&'static Meant> {
    let word: String =
        word.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    let fits = |synonym: &&Synonym| {
        synonym.words.contains(&word.as_str())
            && known.contains(&synonym.beside)
            && !matches!(synonym.meant, Word(meant) if !known.contains(&meant))
    };
    table.iter().find(fits).map(|synonym| &synonym.meant)
}

fn help(meant: &Meant) -> String {
    match meant {
        Word(word) => format!("did you mean `{word}`?"),
        Help(help) => (*help).to_owned(),
    }
}

/// What to do about a key that has another name here.
pub(super) fn of_key(key: &str, known: &[&str]) -> Option<String> {
    find(KEYS, key, known).map(help)
}

/// Whether another name of a key was written.
pub(super) fn is_key(written: &str, meant: &str, known: &[&str]) -> bool {
    matches!(find(KEYS, written, known), Some(Word(word)) if *word == meant)
}

/// What to do about a word that is called something else here.
pub(super) fn of_word(word: &str, known: &[&str]) -> Option<String> {
    if known.contains(&"tcp") && word.starts_with('/') {
        return Some(format!("write `{{http: {word}}}`"));
    }
    find(WORDS, word, known).map(help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_written_as_they_are_compared() {
        for synonym in KEYS.iter().chain(WORDS) {
            let plain = |word: &&&str| word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
            assert_eq!(synonym.words.iter().find(|word| !plain(word)), None);
        }
    }

    #[test]
    fn spelling_does_not_matter_but_the_place_does() {
        let pool = ["endpoints", "health"];
        assert_eq!(of_key("Health_Check", &pool).unwrap(), "did you mean `health`?");
        assert_eq!(of_key("servers", &pool).unwrap(), "did you mean `endpoints`?");
        assert_eq!(of_key("servers", &["listeners", "pools"]).unwrap(), "did you mean `listeners`?");
        assert_eq!(of_key("servers", &["status"]), None);
        assert!(is_key("server", "endpoints", &pool) && !is_key("server", "health", &pool));
        assert_eq!(of_word("wrr", &["round-robin"]).unwrap(), "did you mean `round-robin`?");
    }
}
