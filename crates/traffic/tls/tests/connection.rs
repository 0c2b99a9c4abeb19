//! Connections over TLS, with the library's own client at the other end and a network between that takes and gives bytes as it likes.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on says why")]

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use base_model::model::{
    Certificate, ClientCertificateTold, ListenerTls, Offered, Secret, TlsClients, TlsPolicy,
};
use base_testkit::{Authority, Wanted};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::crypto::aws_lc_rs::{self, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, ProtocolVersion, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf};
use traffic_net::{Buffer, BufferPool, BufferSize, Peek, Stream};
use traffic_tls::{Accepted, HandshakeError, HandshakeFault, ServerTls, Sessions, accept};

/// A connection that takes and gives as many bytes as its pipe has room for.
struct Pipe(DuplexStream);

impl Stream for Pipe {
    fn poll_receive(&mut self, cx: &mut Context<'_>, buffer: &mut Buffer) -> Poll<io::Result<usize>> {
        let mut room = ReadBuf::new(buffer.spare());
        let polled = Pin::new(&mut self.0).poll_read(cx, &mut room);
        let count = room.filled().len();
        buffer.filled_by(count);
        polled.map_ok(|()| count)
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, &slices[0])
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_peek(&mut self, _: &mut Context<'_>) -> Poll<io::Result<Peek>> {
        Poll::Pending
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }

    fn abort(&mut self) {}
}

/// A listener for `site.test`, and its clients.
struct Scene {
    authority: Authority,
    server: Arc<ServerTls>,
    buffers: BufferPool,
}

impl Scene {
    fn new(change: impl FnOnce(&Authority, &mut ListenerTls)) -> Self {
        let authority = Authority::new("play");
        let issued = authority.issue(&["site.test"]);
        let certificate = Certificate {
            name: "site".into(),
            chain: issued.cert.as_str().into(),
            key: Secret::new(&issued.key),
            ocsp: None,
        };
        let mut settings = ListenerTls {
            certificates: vec![certificate],
            policy: TlsPolicy::Intermediate,
            offered: Offered::Http1,
            fetches_ocsp: false,
            refuses_unknown_names: false,
            clients: None,
            ticket_keys: Some(Vec::new()),
            key_log: None,
        };
        change(&authority, &mut settings);
        let server = Sessions::new().unwrap().listener("web", &Arc::new(settings)).unwrap();
        Self { authority, server, buffers: BufferPool::new() }
    }

    fn client(
        &self,
        groups: &[&'static dyn SupportedKxGroup],
        version: ProtocolVersion,
    ) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.authority.pem().as_bytes()).unwrap()).unwrap();
        let provider = CryptoProvider { kx_groups: groups.to_vec(), ..aws_lc_rs::default_provider() };
        let versions = [if version == ProtocolVersion::TLSv1_2 {
            &rustls::version::TLS12
        } else {
            &rustls::version::TLS13
        }];
        let config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&versions)
            .unwrap();
        Arc::new(config.with_root_certificates(roots).with_no_client_auth())
    }

    /// Both ends of a connection over TLS 1.3.
    async fn stream(&self) -> (Box<dyn Stream>, Peer) {
        let (accepted, peer) = self.connect(self.client(ANY_GROUP, ProtocolVersion::TLSv1_3), 4096).await;
        (accepted.unwrap().stream, peer)
    }

    /// Both ends of a connection after the handshake, over a pipe that holds so many bytes.
    async fn connect(
        &self,
        config: Arc<ClientConfig>,
        room: usize,
    ) -> (Result<Accepted, HandshakeError>, Peer) {
        let (near, far) = tokio::io::duplex(room);
        let mut peer = Peer::new(config, far);
        let (accepted, _) =
            tokio::join!(accept(Box::new(Pipe(near)), &self.server, &self.buffers), peer.shake_hands());
        (accepted, peer)
    }
}

/// The library's own client.
struct Peer {
    tls: ClientConnection,
    stream: DuplexStream,
    /// Decrypted, and not yet asked for.
    got: Vec<u8>,
    has_ended: bool,
}

impl Peer {
    fn new(config: Arc<ClientConfig>, stream: DuplexStream) -> Self {
        let name = ServerName::try_from("site.test").unwrap();
        Self { tls: ClientConnection::new(config, name).unwrap(), stream, got: Vec::new(), has_ended: false }
    }

    /// Sends what there is to send, and takes what comes meanwhile: the network may have room for one byte.
    async fn flush(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            let mut out = Vec::new();
            self.tls.write_tls(&mut out)?;
            let mut rest = &out[..];
            while !rest.is_empty() {
                let (mut from, mut to) = tokio::io::split(&mut self.stream);
                let mut bytes = [0; 4096];
                tokio::select! {
                    sent = to.write(rest) => rest = &rest[sent?..],
                    came = from.read(&mut bytes) => {
                        let came = came?;
                        self.work(&bytes[..came])?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Takes what comes next; false when nothing more does.
    async fn take(&mut self) -> io::Result<bool> {
        let mut bytes = [0; 4096];
        let count = self.stream.read(&mut bytes).await?;
        self.work(&bytes[..count])?;
        Ok(count > 0 && !self.has_ended)
    }

    fn work(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.tls.read_tls(&mut bytes)?;
            let state = self.tls.process_new_packets().map_err(io::Error::other)?;
            self.has_ended |= state.peer_has_closed();
            let mut plain = vec![0; state.plaintext_bytes_to_read()];
            io::Read::read_exact(&mut self.tls.reader(), &mut plain)?;
            self.got.append(&mut plain);
        }
        Ok(())
    }

    async fn shake_hands(&mut self) -> io::Result<()> {
        self.flush().await?;
        while self.tls.is_handshaking() {
            let taken = self.take().await;
            // What it thinks of that, too.
            self.flush().await?;
            if !taken? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }

    async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        for part in bytes.chunks(10_000) {
            io::Write::write_all(&mut self.tls.writer(), part)?;
            self.flush().await?;
        }
        Ok(())
    }

    /// Reads so many bytes; less if no more come.
    async fn receive(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.got.len() < count && self.take().await? {}
        let rest = self.got.split_off(count.min(self.got.len()));
        Ok(std::mem::replace(&mut self.got, rest))
    }
}

/// Sends back what comes, until no more does.
async fn echo(stream: &mut dyn Stream, buffers: &BufferPool) -> io::Result<()> {
    let mut buffer = Buffer::new(buffers.clone(), BufferSize::Medium);
    while poll_fn(|cx| stream.poll_receive(cx, &mut buffer)).await? > 0 {
        while !buffer.is_empty() {
            // As a head and its body come: in two slices.
            let (first, second) = buffer.filled().split_at(buffer.len() / 3);
            let slices = [IoSlice::new(first), IoSlice::new(second)];
            let sent = poll_fn(|cx| stream.poll_send(cx, &slices)).await?;
            assert!(sent > 0);
            buffer.consume(sent);
        }
        buffer.release();
    }
    poll_fn(|cx| {
        ready!(stream.poll_flush(cx))?;
        stream.poll_finish(cx)
    })
    .await
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(test);
}

const ANY_GROUP: &[&dyn SupportedKxGroup] = &[kx_group::X25519MLKEM768, kx_group::X25519];

/// Bytes come back as they were sent, through a network of any width, over both versions; and at rest the connection holds no storage.
#[test]
fn bytes_come_back_through_any_network() {
    run(async {
        let scene = Scene::new(|_, _| {});
        for version in [ProtocolVersion::TLSv1_2, ProtocolVersion::TLSv1_3] {
            for room in [1, 7, 1_000, 16_384, 1 << 20] {
                let (near, far) = tokio::io::duplex(room);
                let mut peer = Peer::new(scene.client(ANY_GROUP, version), far);
                let length = if room < 100 { 3_000_u32 } else { 200_000 };
                let bytes: Vec<u8> = (0..length).map(|byte| (byte % 251) as u8).collect();
                let serve = async {
                    let accepted = accept(Box::new(Pipe(near)), &scene.server, &scene.buffers).await;
                    let Accepted { mut stream, session } = accepted.unwrap();
                    assert_eq!((session.name.as_deref(), session.is_resumed), (Some("site.test"), false));
                    let word = if version == ProtocolVersion::TLSv1_2 { "TLSv1.2" } else { "TLSv1.3" };
                    assert_eq!(session.version, word);
                    assert!(session.serves("site.test") && !session.serves("other.test"));
                    echo(&mut *stream, &scene.buffers).await.unwrap();
                };
                let play = async {
                    peer.shake_hands().await.unwrap();
                    peer.send(&bytes[..1]).await.unwrap();
                    assert_eq!(peer.receive(1).await.unwrap(), bytes[..1]);
                    assert_eq!(scene.buffers.lent_bytes(), 0, "at rest it holds nothing");
                    for part in bytes.chunks(room.clamp(1_000, 50_000)) {
                        peer.send(part).await.unwrap();
                        assert!(peer.receive(part.len()).await.unwrap() == part, "{room}");
                    }
                    peer.tls.send_close_notify();
                    peer.flush().await.unwrap();
                    assert_eq!(peer.receive(1).await.unwrap(), b"", "the end is told");
                };
                tokio::join!(serve, play);
                assert_eq!(scene.buffers.lent_bytes(), 0);
            }
        }
    });
}

/// What a slow network has not taken goes out while its sender waits for something else.
#[test]
fn what_is_kept_back_goes_out_meanwhile() {
    run(async {
        let scene = Scene::new(|_, _| {});
        let (mut stream, mut peer) = scene.stream().await;
        let bytes = vec![b'x'; 40_000];
        let taken = poll_fn(|cx| stream.poll_send(cx, &[IoSlice::new(&bytes)])).await.unwrap();
        assert_eq!(taken, bytes.len(), "far more than the network holds");
        let waits = poll_fn(|cx| match stream.push(cx) {
            Ok(()) => Poll::<()>::Pending,
            Err(error) => panic!("{error}"),
        });
        tokio::select! {
            () = waits => {}
            got = peer.receive(taken) => assert!(got.unwrap() == bytes),
        }
        assert_eq!(scene.buffers.lent_bytes(), 0);
    });
}

/// A client that insists on the key exchange which withstands quantum computers gets it.
#[test]
fn the_key_exchange_withstands_quantum_computers() {
    run(async {
        let scene = Scene::new(|_, _| {});
        for groups in [&[kx_group::X25519MLKEM768 as &'static dyn SupportedKxGroup] as &[_], ANY_GROUP] {
            let (accepted, peer) = scene.connect(scene.client(groups, ProtocolVersion::TLSv1_3), 4096).await;
            assert!(accepted.is_ok());
            let group = peer.tls.negotiated_key_exchange_group().unwrap();
            assert_eq!(group.name(), rustls::NamedGroup::X25519MLKEM768);
        }
    });
}

/// A connection that ends without the peer's word for it was perhaps cut off: that is an error, not an end.
#[test]
fn a_cut_is_no_end() {
    run(async {
        let scene = Scene::new(|_, _| {});
        let (mut stream, mut peer) = scene.stream().await;
        peer.send(b"half of it").await.unwrap();
        drop(peer);
        let mut buffer = Buffer::new(scene.buffers.clone(), BufferSize::Medium);
        assert_eq!(poll_fn(|cx| stream.poll_receive(cx, &mut buffer)).await.unwrap(), 10);
        let error = poll_fn(|cx| stream.poll_receive(cx, &mut buffer)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    });
}

/// Looking whether something comes takes nothing, and sees the end.
#[test]
fn a_look_takes_nothing() {
    run(async {
        let scene = Scene::new(|_, _| {});
        let (mut stream, mut peer) = scene.stream().await;
        assert!(stream.is_quiet());
        peer.send(b"something").await.unwrap();
        assert_eq!(poll_fn(|cx| stream.poll_peek(cx)).await.unwrap(), Peek::Bytes);
        assert_eq!(poll_fn(|cx| stream.poll_peek(cx)).await.unwrap(), Peek::Bytes);
        let mut buffer = Buffer::new(scene.buffers.clone(), BufferSize::Medium);
        assert_eq!(poll_fn(|cx| stream.poll_receive(cx, &mut buffer)).await.unwrap(), 9);
        assert_eq!(buffer.filled(), b"something");
        peer.tls.send_close_notify();
        peer.flush().await.unwrap();
        assert_eq!(poll_fn(|cx| stream.poll_peek(cx)).await.unwrap(), Peek::End);
    });
}

/// Each way in which a handshake fails has its word.
#[test]
fn failures_are_told_apart() {
    run(async {
        let ask = |scene: &Scene| scene.client(ANY_GROUP, ProtocolVersion::TLSv1_2);
        let modern = Scene::new(|_, settings| settings.policy = TlsPolicy::Modern);
        let (accepted, _) = modern.connect(ask(&modern), 4096).await;
        assert_eq!(accepted.err().unwrap().fault, HandshakeFault::NothingInCommon);

        let strict = Scene::new(|authority, settings| {
            settings.clients = Some(TlsClients {
                is_required: true,
                authorities: authority.pem().into(),
                told: ClientCertificateTold::Nothing,
                revoked: "".into(),
            });
        });
        let (accepted, _) = strict.connect(ask(&strict), 4096).await;
        assert_eq!(accepted.err().unwrap().fault, HandshakeFault::ClientUnknown);

        let scene = Scene::new(|_, _| {});
        let stranger = Scene::new(|_, _| {});
        let (accepted, _) = scene.connect(ask(&stranger), 4096).await;
        assert_eq!(accepted.err().unwrap().fault, HandshakeFault::RefusedByClient);

        for (bytes, fault) in [
            (&b"GET / HTTP/1.1\r\n\r\n"[..], HandshakeFault::NotTls),
            (b"\x16\x03\x01\xff\xff", HandshakeFault::Protocol),
            (b"", HandshakeFault::Closed),
            (b"\x16\x03\x01\x00", HandshakeFault::Closed),
        ] {
            let (near, mut far) = tokio::io::duplex(4096);
            far.write_all(bytes).await.unwrap();
            far.shutdown().await.unwrap();
            let failed = accept(Box::new(Pipe(near)), &scene.server, &scene.buffers).await.err().unwrap();
            assert_eq!(failed.fault, fault, "{failed:?}");
            assert_eq!(scene.buffers.lent_bytes(), 0);
        }
    });
}

/// The client's certificate is at hand, with its issuers.
#[test]
fn a_clients_certificate_is_told() {
    run(async {
        let scene = Scene::new(|authority, settings| {
            settings.clients = Some(TlsClients {
                is_required: false,
                authorities: authority.pem().into(),
                told: ClientCertificateTold::Certificate,
                revoked: "".into(),
            });
        });
        let alice = scene.authority.issue_as(Wanted { subject: "alice", ..Wanted::default() });
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(scene.authority.pem().as_bytes()).unwrap()).unwrap();
        let der = CertificateDer::from_pem_slice(alice.cert.as_bytes()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(
                vec![der.clone()],
                PrivateKeyDer::from_pem_slice(alice.key.as_bytes()).unwrap(),
            );
        let (accepted, _) = scene.connect(Arc::new(config.unwrap()), 4096).await;
        let shown = accepted.unwrap().session.client.expect("a certificate");
        assert_eq!(*shown.client_cert, *format!(":{}:", STANDARD.encode(&der)).into_bytes());
        let (accepted, _) = scene.connect(scene.client(ANY_GROUP, ProtocolVersion::TLSv1_3), 4096).await;
        assert!(accepted.unwrap().session.client.is_none());
    });
}
