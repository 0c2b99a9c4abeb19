//! Checks over TLS, against a server of the same library.
#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests are tests, too")]
#![expect(dead_code, clippy::indexing_slicing, reason = "the stage holds what other tests need")]

mod stage;

use std::net::SocketAddr;
use std::sync::Arc;

use base_model::model::{ActiveCheck, CheckKind, Host, PoolTls, TlsPolicy, Trust};
use base_testkit::Authority;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use stage::{check, http, soon};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use traffic_health::kinds;

/// A server over TLS with a certificate for `app.test`, which answers each of its connections once.
async fn server(authority: &Authority) -> (SocketAddr, JoinSet<()>) {
    let issued = authority.issue(&["app.test"]);
    let certificate = CertificateDer::from_pem_slice(issued.cert.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key);
    let acceptor = TlsAcceptor::from(Arc::new(config.unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            // Whoever does not like the certificate goes away.
            let Ok(mut stream) = acceptor.accept(socket).await else { continue };
            let mut head = [0; 1024];
            if matches!(stream.read(&mut head).await, Ok(1..)) {
                stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await.unwrap();
                stream.shutdown().await.unwrap();
            }
        }
    });
    (address, tasks)
}

/// What a check of this kind makes of the server, if the pool trusts this authority and wants this name.
async fn verdict(kind: CheckKind, address: SocketAddr, authority: &Authority, name: &str) -> String {
    let trust = Trust { system: false, authorities: authority.pem().into(), revoked: "".into() };
    let tls = PoolTls {
        name: Some(Host::Name(name.into())),
        trust: Some(trust),
        certificate: None,
        policy: TlsPolicy::Intermediate,
    };
    let check = ActiveCheck { tls: Some(Arc::new(tls)), ..check(kind) };
    let probe = kinds::ALL.iter().find_map(|kind| kind.build(&check)).unwrap().unwrap();
    match soon("a verdict", probe.run(&stage::target(address))).await {
        Ok(passed) => format!("passed: {passed}"),
        Err(failure) => format!("failed: {failure}"),
    }
}

#[tokio::test]
async fn a_tls_handshake_is_a_check_by_itself_and_carries_another() {
    let (authority, other) = (Authority::new("play"), Authority::new("other"));
    let (address, _tasks) = server(&authority).await;
    assert_eq!(verdict(CheckKind::Tls, address, &authority, "app.test").await, "passed: connected");
    assert_eq!(verdict(http(), address, &authority, "app.test").await, "passed: status 204");
    for kind in [CheckKind::Tls, http()] {
        let stranger = verdict(kind.clone(), address, &other, "app.test").await;
        assert!(
            stranger.starts_with("failed: TLS handshake failed: the endpoint's certificate is not signed"),
            "{stranger}"
        );
        let misnamed = verdict(kind, address, &authority, "other.test").await;
        assert!(misnamed.contains("other.test"), "{misnamed}");
    }
}

#[tokio::test]
async fn a_tls_check_of_a_server_without_it_fails() {
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = plain.local_addr().unwrap();
    let authority = Authority::new("play");
    let answering = async {
        let (mut socket, _) = plain.accept().await.unwrap();
        let mut hello = [0; 5];
        socket.read_exact(&mut hello).await.unwrap();
        socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        socket
    };
    let (_socket, said) = tokio::join!(answering, verdict(CheckKind::Tls, address, &authority, "app.test"));
    assert!(said.starts_with("failed: TLS handshake failed: "), "{said}");
    let unfit = kinds::ALL.iter().find_map(|kind| kind.build(&check(CheckKind::Tls))).unwrap();
    assert!(unfit.is_err(), "a pool without `tls` says of nobody that they are good");
}
