//! What is sent, and what has to come back.

/// A kind of traffic.
#[derive(Clone, Debug)]
pub(crate) struct Traffic {
    /// Connections, each with at most one request under way.
    pub(crate) connections: usize,
    /// Whether the client closes after each answer and connects anew.
    pub(crate) reconnects: bool,
    /// Length of the body that has to come back.
    pub(crate) answer_bytes: u64,
    request: Vec<u8>,
    hosts: Option<Hosts>,
}

/// A different host in each request.
#[derive(Clone, Debug)]
struct Hosts {
    count: u64,
    /// Where the number stands in the request.
    at: usize,
}

/// Digits in the number of a host.
const HOST_DIGITS: usize = 8;
/// Odd and far from small, so that hosts come in no order and each as often as the other.
const HOST_STRIDE: u64 = 7_919;
/// Before and after the number in a host's name.
const HOST_NAME: (&str, &str) = ("h", ".example.test");

/// The name of one of the hosts.
pub(crate) fn host_name(number: u64) -> String {
    format!("{}{number:0width$}{}", HOST_NAME.0, HOST_NAME.1, width = HOST_DIGITS)
}

impl Traffic {
    /// `GET path`, answered with so many bytes.
    pub(crate) fn get(path: &str, answer_bytes: u64, connections: usize) -> Self {
        let request = format!("GET {path} HTTP/1.1\r\nHost: bench.example.test\r\nAccept: */*\r\n\r\n");
        Self { connections, reconnects: false, answer_bytes, request: request.into_bytes(), hosts: None }
    }

    /// `POST /` with a body of so many bytes, answered with 128.
    pub(crate) fn post(body_bytes: usize, connections: usize) -> Self {
        let head = format!(
            "POST / HTTP/1.1\r\nHost: bench.example.test\r\nContent-Type: text/plain\r\nContent-Length: {body_bytes}\r\n\r\n"
        );
        let mut request = head.into_bytes();
        request.resize(request.len() + body_bytes, b'x');
        Self { connections, reconnects: false, answer_bytes: 128, request, hosts: None }
    }

    /// `GET /128` with one of `count` hosts after the other.
    pub(crate) fn hosts(count: u64, connections: usize) -> Self {
        let start = format!("GET /128 HTTP/1.1\r\nHost: {}", HOST_NAME.0);
        let request = format!("GET /128 HTTP/1.1\r\nHost: {}\r\nAccept: */*\r\n\r\n", host_name(0));
        let hosts = Hosts { count, at: start.len() };
        Self {
            connections,
            reconnects: false,
            answer_bytes: 128,
            request: request.into(),
            hosts: Some(hosts),
        }
    }

    /// The same with a new connection for each request.
    pub(crate) fn reconnecting(mut self) -> Self {
        self.reconnects = true;
        self
    }

    /// The bytes of the request of this number.
    pub(crate) fn request(&mut self, number: u64) -> &[u8] {
        if let Some(hosts) = &self.hosts {
            let mut rest = number.wrapping_mul(HOST_STRIDE) % hosts.count.max(1);
            let digits = self.request.get_mut(hosts.at..hosts.at + HOST_DIGITS).unwrap_or_default();
            for digit in digits.iter_mut().rev() {
                *digit = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
        }
        &self.request
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_host_is_asked_for() {
        let mut traffic = Traffic::hosts(10, 1);
        let all: std::collections::BTreeSet<Vec<u8>> = (0..10).map(|n| traffic.request(n).to_vec()).collect();
        assert_eq!(all.len(), 10);
        let expected = format!("Host: {}\r\n", host_name(9));
        assert!(all.iter().any(|request| String::from_utf8_lossy(request).contains(&expected)));
    }

    #[test]
    fn a_post_carries_its_body() {
        let mut traffic = Traffic::post(16, 1);
        assert!(traffic.request(0).ends_with(b"\r\n\r\nxxxxxxxxxxxxxxxx"));
    }
}
