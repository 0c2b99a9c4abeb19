//! The first message of a TLS handshake, of which connections are passed on.

use rustls::server::Acceptor;
use traffic_tls::{ClientHello, LONGEST_HELLO};

use super::split::lengths;

/// What a connection begins with.
pub fn run(data: &[u8]) {
    let whole = ClientHello::parse(data);
    // As it grows: nothing is said until enough has come, and then the same.
    for length in lengths(data) {
        let begun = ClientHello::parse(data.get(..length).unwrap_or_default());
        assert!(begun == Ok(None) || begun == whole, "{begun:?} of {length} bytes, {whole:?} of all");
    }
    if whole == Ok(None) {
        assert!(data.len() < LONGEST_HELLO, "nobody may be kept waiting for ever");
    }
    // The library that ends TLS hears the same, where neither refuses it: whoever is passed on by a name is served by that name.
    let Some(heard) = heard_by_library(data) else { return };
    assert!(whole != Ok(None), "{heard:?} is waited for");
    if let Ok(Some(hello)) = whole {
        assert!(heard.name.is_none() || hello.name == heard.name, "{hello:?} and {heard:?}");
        assert_eq!(hello.protocols, heard.protocols);
    }
}

fn heard_by_library(mut data: &[u8]) -> Option<ClientHello> {
    let mut acceptor = Acceptor::default();
    while !data.is_empty() {
        acceptor.read_tls(&mut data).ok()?;
        if let Some(accepted) = acceptor.accept().ok()? {
            let hello = accepted.client_hello();
            let name = hello.server_name().map(|name| name.strip_suffix('.').unwrap_or(name));
            let protocols = hello.alpn().map(|all| all.map(Box::from).collect());
            return Some(ClientHello {
                name: name.map(|name| name.to_ascii_lowercase().into()),
                protocols: protocols.unwrap_or_default(),
            });
        }
    }
    None
}
