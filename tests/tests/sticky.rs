//! Sessions that stay with their endpoint: over reloads, drains, deaths, restarts and other nodes.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use base_testkit::{Aya, Backend, Client, Gate, Response, Signal, TempFolder, answer, wait_until};

use crate::{config, is_long};

const KEY: (&str, &str) = ("AYA_STICKY_KEY", "a-key-of-the-plays-0123456789");
/// Random, so that nothing but stickiness keeps anybody anywhere.
const COOKIE: &str = "balance: random, sticky: {cookie: node, keys: {env: AYA_STICKY_KEY}}";

fn echoes(names: &str) -> Vec<Backend> {
    names.split(' ').map(Backend::echo).collect()
}

fn start(pool: &str, backends: &[Backend]) -> Aya {
    Aya::start_with(&text(pool, backends), &[], &[KEY])
}

/// One pool, behind a proxy that is believed who the client is.
fn text(pool: &str, backends: &[Backend]) -> String {
    config("trusted-proxies: [127.0.0.0/8]", "", pool, &backends.iter().collect::<Vec<_>>())
}

fn place(response: &Response) -> String {
    assert_eq!(response.status, 200, "{}", response.reason());
    response.header("x-backend").unwrap_or("?").to_owned()
}

/// The value that an answer gives a cookie.
fn cookie_in(response: &Response, name: &str) -> Option<String> {
    let pairs = response.headers("set-cookie").into_iter().filter_map(|line| line.split(';').next());
    pairs.filter_map(|pair| pair.strip_prefix(&format!("{name}="))).next_back().map(str::to_owned)
}

/// Sets what an operator wants of an endpoint.
fn set_state(aya: &Aya, backend: &Backend, state: &str) {
    let path = format!("/api/v1/pools/main/endpoints/{backend}");
    let response = aya.admin("PATCH", &path, &format!("{{\"state\": \"{state}\"}}"));
    assert_eq!(response.status, 200, "{}", response.text());
}

fn outcomes(aya: &Aya, outcome: &str) -> usize {
    let labels = [("pool", "main"), ("outcome", outcome)];
    aya.metrics().sum("aya_sticky_requests_total", &labels) as usize
}

/// Has a changed configuration taken up.
fn reload(aya: &mut Aya, text: &str) {
    let generation = aya.generation();
    aya.rewrite(text);
    aya.signal(Signal::HUP);
    aya.wait_for_generation_after(generation);
}

/// A client: it has an address, keeps a cookie, and its connection or not.
struct Visitor {
    address: String,
    cookie_name: &'static str,
    cookie: Option<String>,
    connection: Option<Client>,
    keeps_connection: bool,
}

impl Default for Visitor {
    fn default() -> Self {
        Self::new(0, "node")
    }
}

impl Visitor {
    fn new(number: usize, cookie_name: &'static str) -> Self {
        let address = format!("10.0.{}.{}", number / 200, number % 200);
        let keeps_connection = number % 2 == 1;
        Self { address, cookie_name, cookie: None, connection: None, keeps_connection }
    }

    fn visit(&mut self, aya: &Aya) -> String {
        let mut lines = format!("X-Forwarded-For: {}\r\n", self.address);
        if let Some(cookie) = &self.cookie {
            lines.push_str(&format!("Cookie: a=1; {}={cookie}\r\n", self.cookie_name));
        }
        let mut connection = self.connection.take().unwrap_or_else(|| aya.client());
        let response = connection.get_with("/", &lines);
        self.connection = Some(connection).filter(|_| self.keeps_connection);
        self.cookie = cookie_in(&response, self.cookie_name).or(self.cookie.take());
        place(&response)
    }
}

/// Of many clients, over many reloads that change the list of endpoints as well, only those of a killed endpoint move, once; those of a
/// drained one stay. Sessions are known by a cookie of this name, or by the client's address.
fn only_the_clients_of_a_killed_endpoint_move(pool: &str, cookie_name: &'static str) {
    const TRUST: &str = "trusted-proxies: [127.0.0.0/8]";
    let (count, reloads) = if is_long() { (1_000, 100) } else { (200, 20) };
    let mut backends: Vec<_> =
        ["a", "drained", "killed", "d", "e", "late"].into_iter().map(session_server).collect();
    let mut aya = start(pool, &backends[..5]);
    let mut visitors: Vec<_> = (0..count).map(|number| Visitor::new(number, cookie_name)).collect();
    let first: Vec<_> = visitors.iter_mut().map(|visitor| visitor.visit(&aya)).collect();
    let homes: HashSet<_> = first.iter().map(String::as_str).collect();
    assert_eq!(homes.len(), 5, "they are spread");
    let mut before = first.clone();
    let mut moves = vec![0; count];
    for number in 1..=reloads {
        if number == reloads / 3 {
            set_state(&aya, &backends[1], "drain");
        }
        if number == reloads * 2 / 3 {
            backends[2].kill();
        }
        // Always in another order; later with one endpoint more.
        let mut list: Vec<_> = backends.iter().take(if number < reloads / 2 { 5 } else { 6 }).collect();
        list.rotate_left(number % 5);
        reload(&mut aya, &config(TRUST, &format!("name: r{number}"), pool, &list));
        for (number, visitor) in visitors.iter_mut().enumerate() {
            let now = visitor.visit(&aya);
            moves[number] += usize::from(now != before[number]);
            before[number] = now;
        }
    }
    for (number, home) in first.iter().enumerate() {
        assert_eq!(moves[number], usize::from(home == "killed"), "{home}, now at {}", before[number]);
        assert!(home != "killed" || !["killed", "drained"].contains(&before[number].as_str()));
    }
    let moved = moves.iter().sum::<usize>();
    let drained = first.iter().filter(|home| *home == "drained").count();
    assert!(moved > 0 && drained > 0);
    let newcomer = |number: usize| Visitor::new(10_000 + number, cookie_name).visit(&aya);
    let fresh: HashSet<_> = (0..50).map(newcomer).collect();
    assert!(!fresh.contains("drained") && !fresh.contains("killed"), "{fresh:?}");
    assert_eq!(outcomes(&aya, "new"), count + 50);
    assert_eq!((outcomes(&aya, "moved"), outcomes(&aya, "unknown")), (moved, 0));
    assert_eq!(outcomes(&aya, "kept"), count * reloads - moved);
    println!(
        "{count} clients, {reloads} reloads, {} requests: {moved} of the killed moved, {drained} of the drained stayed, {} others stayed",
        count * (reloads + 1),
        count - moved - drained
    );
}

#[test]
fn only_the_clients_of_a_killed_endpoint_move_by_cookie() {
    only_the_clients_of_a_killed_endpoint_move(COOKIE, "node");
}

#[test]
fn only_the_clients_of_a_killed_endpoint_move_by_address() {
    only_the_clients_of_a_killed_endpoint_move("balance: random, sticky: source", "none");
}

#[test]
fn only_the_clients_of_a_killed_endpoint_move_by_a_learned_cookie() {
    let pool = "balance: random, sticky: {learn: {cookie: JSESSIONID}}";
    only_the_clients_of_a_killed_endpoint_move(pool, "JSESSIONID");
}

/// A session whose endpoint is full: it takes one request at a time, and its client's other one ends when the gate opens.
struct FullHome {
    gate: Arc<Gate>,
    aya: Aya,
    home: String,
    /// The line with the session's cookie.
    cookie: String,
    holder: Client,
    _backends: [Backend; 2],
}

impl FullHome {
    fn new(queue_timeout: &str) -> Self {
        let gate = Arc::new(Gate::new());
        let server = |name: &'static str| {
            let cue = Arc::clone(&gate);
            Backend::answering(move |request| {
                if request.target == "/hold" {
                    cue.pass();
                }
                answer(200, &[&format!("x-backend: {name}")], "")
            })
        };
        let backends = [server("a"), server("b")];
        let limits = format!("connections: {{max: 1, queue: 1, queue-timeout: {queue_timeout}}}");
        let aya = start(&format!("{COOKIE}, {limits}"), &backends);
        let mut visitor = Visitor::default();
        let home = visitor.visit(&aya);
        let cookie = format!("Cookie: node={}\r\n", visitor.cookie.expect("a cookie is set"));
        let mut holder = aya.client();
        holder.send(format!("GET /hold HTTP/1.1\r\nHost: a\r\n{cookie}\r\n"));
        let is_held = |backend: &Backend| backend.requests().iter().any(|request| request.target == "/hold");
        wait_until("the endpoint to be full", || backends.iter().any(is_held));
        Self { gate, aya, home, cookie, holder, _backends: backends }
    }
}

/// A session waits for its endpoint while that is full, and holds up nobody else; where as many wait as may, it moves.
#[test]
fn sessions_wait_for_their_endpoint() {
    let FullHome { gate, aya, home, cookie, mut holder, _backends } = FullHome::new("20s");
    let mut late = aya.client();
    late.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{cookie}\r\n"));
    let waiting = || aya.admin("GET", "/api/v1/pools/main", "").json()["waiting"].as_u64();
    wait_until("the session to wait", || waiting() == Some(1));
    let newcomer = aya.get("/");
    assert_eq!(
        (newcomer.status, newcomer.header("x-backend") == Some(&home)),
        (200, false),
        "it need not wait"
    );
    let in_flight = || aya.metrics().sum("aya_endpoint_requests_in_flight", &[("pool", "main")]);
    wait_until("the newcomer's turn to be over", || in_flight() <= 1.0);
    let pushed = aya.client().get_with("/", &cookie);
    assert_ne!(place(&pushed), home);
    assert!(cookie_in(&pushed, "node").is_some(), "it is bound anew");
    gate.open();
    assert_eq!(place(&late.response()), home);
    assert_eq!(holder.response().status, 200);
    assert_eq!(outcomes(&aya, "moved"), 1);
}

/// A session that has waited in vain for its endpoint is served by another: better there than not at all.
#[test]
fn sessions_do_not_wait_for_ever() {
    let FullHome { gate, aya, home, cookie, mut holder, _backends } = FullHome::new("50ms");
    assert_ne!(place(&aya.client().get_with("/", &cookie)), home);
    assert!(aya.metrics().sum("aya_upstream_queue_seconds_sum", &[("pool", "main")]) >= 0.05);
    gate.open();
    assert_eq!(holder.response().status, 200);
    assert_eq!(outcomes(&aya, "moved"), 1);
}

/// Maintenance moves the sessions of an endpoint; they stay where they went when it is back.
#[test]
fn maintenance_moves_sessions_for_good() {
    let backends = echoes("a b c");
    let aya = start(COOKIE, &backends);
    let mut visitor = Visitor::default();
    let home = visitor.visit(&aya);
    let of = |name: &str| &backends[["a", "b", "c"].iter().position(|known| *known == name).unwrap_or(0)];
    set_state(&aya, of(&home), "maintenance");
    let other = visitor.visit(&aya);
    assert_ne!(other, home);
    set_state(&aya, of(&home), "ready");
    assert!((0..10).all(|_| visitor.visit(&aya) == other));
    assert_eq!(outcomes(&aya, "moved"), 1);
}

/// The cookie says nothing of addresses, has the attributes asked for, is set once, and goes no further than Aya.
#[test]
fn the_cookie_is_aya_s_own() {
    let backends = echoes("a b");
    let pool = "sticky: {cookie: node, keys: {env: AYA_STICKY_KEY}, max-age: 1h, path: /app, secure: true, same-site: none}";
    let aya = start(pool, &backends);
    let response = aya.get("/");
    let line = response.header("set-cookie").expect("a cookie is set").to_owned();
    let (pair, attributes) = line.split_once("; ").expect("there are attributes");
    assert_eq!(attributes, "Path=/app; Max-Age=3600; Secure; HttpOnly; SameSite=None");
    assert_eq!(response.header("cache-control"), Some("private"));
    let value = pair.strip_prefix("node=").expect("it has its name");
    assert!(value.len() == 32 && value.bytes().all(|byte| byte.is_ascii_hexdigit()), "{value}");
    let again = aya.client().get_with("/", &format!("Cookie: a=1; {pair}; b=2\r\nCookie: {pair}\r\n"));
    assert_eq!((again.headers("set-cookie"), again.header("cache-control")), (vec![], None));
    let seen: Vec<_> = backends.iter().flat_map(Backend::requests).collect();
    let cookies: Vec<_> = seen.iter().flat_map(|request| request.headers("cookie")).collect();
    assert_eq!(cookies, ["a=1; b=2"], "endpoints see all others, and not this one");
}

/// What nobody has signed is ignored and replaced, and so is the cookie of another pool.
#[test]
fn forged_cookies_lead_nowhere() {
    let backends = echoes("a b c");
    let aya = start(COOKIE, &backends);
    let names: Vec<_> = backends.iter().map(ToString::to_string).collect();
    let other = Aya::start_with(&text(COOKIE, &backends).replace("main", "other"), &[], &[KEY]);
    let of_another_pool = cookie_in(&other.get("/"), "node").expect("a cookie is set");
    let mut forged = vec![String::new(), "0".repeat(32), "x".repeat(4_000), of_another_pool];
    forged.extend(names);
    let mut places = HashSet::new();
    for (index, value) in forged.iter().cycle().take(60 * forged.len()).enumerate() {
        let response = aya.client().get_with("/", &format!("Cookie: node={value}\r\n"));
        let replaced = cookie_in(&response, "node");
        assert!(replaced.is_some_and(|new| new != *value), "{value} was believed");
        if index % forged.len() == 1 {
            places.insert(place(&response));
        }
    }
    assert_eq!(places.len(), 3, "the same forged cookie goes anywhere");
    assert_eq!((outcomes(&aya, "kept"), outcomes(&aya, "unknown")), (0, 60 * (forged.len() - 1)));
    assert!(backends.iter().flat_map(Backend::requests).all(|request| request.header("cookie").is_none()));
}

/// A cookie holds on every node that has the key, and after a restart; without keys it holds over reloads only, and `aya check` says so.
#[test]
fn keys_make_sessions_hold_elsewhere() {
    let backends = echoes("a b c d");
    let mut visitors: Vec<_> = (0..12).map(|_| Visitor::default()).collect();
    let nodes = [start(COOKIE, &backends), start(COOKIE, &backends)];
    let here: Vec<_> = visitors.iter_mut().map(|visitor| visitor.visit(&nodes[0])).collect();
    let there: Vec<_> = visitors.iter_mut().map(|visitor| visitor.visit(&nodes[1])).collect();
    assert_eq!(here, there);

    let alone = "balance: random, sticky: {cookie: node}";
    let mut aya = start(alone, &backends);
    let mut visitors: Vec<_> = (0..12).map(|_| Visitor::default()).collect();
    let before: Vec<_> = visitors.iter_mut().map(|visitor| visitor.visit(&aya)).collect();
    reload(&mut aya, &config("", "name: other", alone, &backends.iter().collect::<Vec<_>>()));
    let after: Vec<_> = visitors.iter_mut().map(|visitor| visitor.visit(&aya)).collect();
    assert_eq!(before, after);
    let restarted = start(alone, &backends);
    visitors.iter_mut().for_each(|visitor| drop(visitor.visit(&restarted)));
    assert_eq!((outcomes(&restarted, "kept"), outcomes(&restarted, "unknown")), (0, 12));
    let said = Aya::run(&["check", &restarted.config().to_string_lossy()]);
    assert_eq!(said.code, Some(0));
    assert!(
        format!("{}{}", said.stdout, said.stderr).contains("sessions end with the process"),
        "{}",
        said.stdout
    );
}

/// Keys are changed without losing a session: cookies of the older key hold and are signed anew, then that key can go.
#[test]
fn keys_are_rotated_without_losing_sessions() {
    let backends = echoes("a b c d");
    let folder = TempFolder::new();
    folder.write("old", "the-older-key-of-the-play\n");
    folder.write("new", "the-newer-key-of-the-play\n");
    let with_keys =
        |keys: &str| text(&format!("balance: random, sticky: {{cookie: node, keys: [{keys}]}}"), &backends);
    let mut aya = Aya::start_in(folder, &with_keys("{file: old}"), &[], &[]);
    let mut visitor = Visitor::default();
    let home = visitor.visit(&aya);
    let first = visitor.cookie.clone();
    reload(&mut aya, &with_keys("{file: old}, {file: new}"));
    reload(&mut aya, &with_keys("{file: new}, {file: old}"));
    assert_eq!(visitor.visit(&aya), home);
    assert_ne!(visitor.cookie, first, "signed with the newer key");
    reload(&mut aya, &with_keys("{file: new}"));
    assert_eq!(visitor.visit(&aya), home);
    let mut late = Visitor { cookie: first, ..Visitor::default() };
    late.visit(&aya);
    assert_eq!((outcomes(&aya, "kept"), outcomes(&aya, "unknown")), (2, 1));
    let ended = Aya::run(&[
        "explain",
        &aya.config().to_string_lossy(),
        "GET",
        "/",
        "-H",
        &format!("cookie: node={}", visitor.cookie.unwrap_or_default()),
    ]);
    let index = ["a", "b", "c", "d"].iter().position(|name| *name == home).unwrap_or(0);
    let first = format!("the first one, while it is up\n          {}\n", backends[index]);
    assert!(ended.stdout.contains("session   the cookie `node` names the endpoint\n"), "{}", ended.stdout);
    assert!(ended.stdout.contains(&first), "{}", ended.stdout);
}

/// Answers that are for everybody, and those that fail, bind nobody; a client that is bound is sent to its endpoint all the same.
#[test]
fn some_answers_bind_nobody() {
    let backend = || {
        Backend::answering(|request| match request.target.as_str() {
            "/style.css" => answer(200, &["cache-control: public, max-age=60"], ""),
            "/broken" => answer(500, &[], ""),
            _ => answer(200, &["cache-control: max-age=5"], ""),
        })
    };
    let backends = [backend(), backend()];
    let aya = start(COOKIE, &backends);
    for path in ["/style.css", "/broken"] {
        assert_eq!(aya.get(path).headers("set-cookie"), [""; 0], "{path}");
    }
    let page = aya.get("/");
    assert_eq!(page.headers("cache-control"), ["max-age=5", "private"]);
    let cookie = cookie_in(&page, "node").expect("a page binds");
    backends.iter().for_each(Backend::forget);
    for _ in 0..10 {
        aya.client().get_with("/style.css", &format!("Cookie: node={cookie}\r\n"));
        aya.client().get_with("/broken", &format!("Cookie: node={cookie}\r\n"));
    }
    let counts: Vec<_> = backends.iter().map(Backend::request_count).collect();
    assert!(counts == [20, 0] || counts == [0, 20], "{counts:?}");
}

/// A connection that switches protocols is bound like any other request, and finds its endpoint again.
#[test]
fn tunnels_are_bound_as_well() {
    let server = |name: &'static str| {
        Backend::script(move |session| {
            session.request()?;
            session
                .send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: play\r\n\r\n")?;
            session.send(name)
        })
    };
    let servers = [server("a"), server("b"), server("c")];
    let aya = start(COOKIE, &servers);
    let open = |lines: &str| {
        let mut client = aya.client();
        client.send(format!(
            "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: play\r\n{lines}\r\n"
        ));
        let response = client.response();
        assert_eq!((response.status, response.header("cache-control")), (101, None));
        let name = client.exactly(1).expect("the backend speaks in the tunnel");
        (name, cookie_in(&response, "node"))
    };
    let (home, cookie) = open("");
    let line = format!("Cookie: node={}\r\n", cookie.expect("a 101 binds"));
    assert!((0..15).all(|_| open(&line) == (home.clone(), None)));
}

/// Networks stay with their endpoint: on all workers, over reloads, through a drain; not when it dies.
#[test]
fn networks_stay_with_their_endpoint() {
    let mut backends = echoes("a b c d");
    let pool = "balance: random, sticky: {source: {prefix: 24, prefix6: 56}, ttl: 5m}";
    let mut aya = start(pool, &backends);
    let ask = |aya: &Aya, network: usize, host: usize| {
        let line = format!("X-Forwarded-For: 10.0.{network}.{host}\r\n");
        place(&aya.client().get_with("/", &line))
    };
    let first: Vec<_> = (0..60).map(|network| ask(&aya, network, 1)).collect();
    assert_eq!(first.iter().collect::<HashSet<_>>().len(), 4);
    for host in 2..8 {
        assert!(first.iter().enumerate().all(|(network, home)| ask(&aya, network, host) == *home));
    }
    reload(&mut aya, &text(&pool.replace("5m", "6m"), &backends));
    set_state(&aya, &backends[0], "drain");
    backends[1].kill();
    for (network, home) in first.iter().enumerate() {
        let now = ask(&aya, network, 9);
        assert!(
            if home == "b" { !["a", "b"].contains(&now.as_str()) } else { now == *home },
            "{home}: {now}"
        );
    }
    let metrics = aya.metrics();
    assert!((metrics.sum("aya_sticky_sessions", &[("pool", "main")]) - 60.0).abs() < 0.1);
    let shown = aya.admin("GET", "/api/v1/pools/main", "").json();
    assert_eq!((&shown["sticky"]["by"], &shown["sticky"]["sessions"]), (&"source".into(), &60.into()));
}

/// A server that names sessions by a cookie, and knows its own.
fn session_server(name: &'static str) -> Backend {
    Backend::answering(move |request| {
        let known =
            request.header("cookie").is_some_and(|line| line.contains(&format!("JSESSIONID={name}-")));
        let named = format!("x-backend: {name}");
        if known {
            return answer(200, &[&named, "x-known: yes"], "");
        }
        let user = request.header("x-user").unwrap_or_default();
        answer(200, &[&named, &format!("set-cookie: JSESSIONID={name}-{user}; Path=/; HttpOnly")], "")
    })
}

/// The cookie that servers set is learned from their answers, and reaches them; when a server dies its sessions begin anew elsewhere.
#[test]
fn cookies_of_servers_are_learned() {
    let mut servers = [session_server("a"), session_server("b"), session_server("c")];
    let pool = "balance: random, sticky: {learn: {cookie: JSESSIONID}, ttl: 10m}";
    let mut aya = start(pool, &servers);
    let mut cookies = HashMap::new();
    let mut visit = |aya: &Aya, user: usize| {
        let mut lines = format!("X-User: {user}\r\n");
        if let Some(cookie) = cookies.get(&user) {
            lines.push_str(&format!("Cookie: JSESSIONID={cookie}\r\n"));
        }
        let response = aya.client().get_with("/", &lines);
        if let Some(cookie) = cookie_in(&response, "JSESSIONID") {
            cookies.insert(user, cookie);
        }
        (place(&response), response.header("x-known").is_some())
    };
    let homes: Vec<_> = (0..40).map(|user| visit(&aya, user).0).collect();
    reload(&mut aya, &config("", "name: other", pool, &servers.iter().collect::<Vec<_>>()));
    for _ in 0..3 {
        assert!(homes.iter().enumerate().all(|(user, home)| visit(&aya, user) == (home.clone(), true)));
    }
    servers[0].kill();
    let moved: Vec<_> = (0..40).map(|user| visit(&aya, user)).collect();
    for (home, (now, is_known)) in homes.iter().zip(&moved) {
        assert_eq!((now == home, *is_known), (home != "a", home != "a"), "{home}: {now}");
    }
    let again: Vec<_> = (0..40).map(|user| visit(&aya, user)).collect();
    assert!(again.iter().zip(&moved).all(|((now, is_known), (before, _))| *is_known && now == before));
}

/// The session of an MCP server is known by a field that it sends with its first answer.
#[test]
fn fields_of_servers_are_learned() {
    let server = |name: &'static str| {
        Backend::answering(move |request| match request.header("mcp-session-id") {
            Some(id) if id.starts_with(name) => answer(200, &[&format!("x-backend: {name}")], ""),
            Some(_) => answer(404, &[], ""),
            None => {
                let user = request.header("x-user").unwrap_or_default();
                answer(200, &[&format!("x-backend: {name}"), &format!("Mcp-Session-Id: {name}{user}")], "")
            }
        })
    };
    let servers = [server("a"), server("b"), server("c")];
    let aya = start("balance: random, sticky: {learn: {header: Mcp-Session-Id}}", &servers);
    for user in 0..30 {
        let first = aya.client().get_with("/mcp", &format!("X-User: {user}\r\n"));
        let id = first.header("mcp-session-id").expect("the session has a name").to_owned();
        for _ in 0..5 {
            let next = aya.client().get_with("/mcp", &format!("mcp-session-id: {id}\r\n"));
            assert_eq!(place(&next), place(&first));
        }
    }
}

/// More sessions than there is room for: the table does not grow, the oldest are forgotten, and that is counted.
#[test]
fn the_table_of_sessions_is_bounded() {
    let backends = echoes("a b");
    let aya = start("balance: random, sticky: {source: {prefix: 32}, max: 100}", &backends);
    let mut client = aya.client();
    for number in 0..2_000 {
        client.get_with("/", &format!("X-Forwarded-For: 10.1.{}.{}\r\n", number / 200, number % 200));
    }
    let shown = aya.admin("GET", "/api/v1/pools/main", "").json();
    let [sessions, capacity] = ["sessions", "capacity"].map(|key| shown["sticky"][key].as_u64().unwrap_or(0));
    assert_eq!(capacity, 256, "{shown}");
    assert!((200..=capacity).contains(&sessions), "{shown}");
    let evicted = aya.metrics().sum("aya_sticky_evictions_total", &[("pool", "main")]);
    assert_eq!(evicted as u64 + sessions, 2_000, "each is there, or was counted out");
    // As many as the limit says are never too many.
    let roomy = start("balance: random, sticky: {source: {prefix: 32}, max: 100}", &backends);
    for round in 0..2 {
        for number in 0..100 {
            roomy.client().get_with("/", &format!("X-Forwarded-For: 10.1.1.{number}\r\n"));
        }
        assert_eq!((outcomes(&roomy, "new"), outcomes(&roomy, "kept")), (100, 100 * round));
    }
    assert!(roomy.metrics().sum("aya_sticky_evictions_total", &[]) < 0.1);
}

/// A session is forgotten when its time is over, and its place is free again.
#[test]
fn sessions_end_when_their_time_is_over() {
    let backends = echoes("a b");
    let aya = start("balance: random, sticky: {source: {prefix: 32}, ttl: 1s}", &backends);
    aya.get("/");
    let sessions = || aya.metrics().sum("aya_sticky_sessions", &[("pool", "main")]);
    assert!((sessions() - 1.0).abs() < 0.1);
    wait_until("the session to be forgotten", || sessions() < 0.1);
    aya.get("/");
    assert_eq!(outcomes(&aya, "new"), 2);
}
