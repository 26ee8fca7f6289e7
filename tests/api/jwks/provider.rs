//! An identity provider of one's own: HTTPS on this machine under a CA that nobody else trusts, keys to sign with, and
//! answers as good or bad as a test wants them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fanfare::config::JwksUrl;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use parking_lot::Mutex;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, PKCS_ECDSA_P384_SHA384};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// A key that signs tokens, and the same as it is published.
pub struct Signer {
    algorithm: Algorithm,
    key: EncodingKey,
    /// The public half.
    pub jwk: Value,
}

impl Signer {
    /// A P-256 key for ES256.
    pub fn es256(kid: &str) -> Self {
        Self::new(Algorithm::ES256, EncodingKey::from_ec_der(&KeyPair::generate().unwrap().serialize_der()), kid)
    }

    /// A P-384 key for ES384, which is not taken.
    pub fn es384(kid: &str) -> Self {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
        Self::new(Algorithm::ES384, EncodingKey::from_ec_der(&pair.serialize_der()), kid)
    }

    /// The RSA key of the test data.
    pub fn rs256(kid: &str) -> Self {
        Self::new(Algorithm::RS256, EncodingKey::from_rsa_pem(&test_key("jwt_rsa_private.pem")).unwrap(), kid)
    }

    /// The Ed25519 key of the test data, which is in a file and published nowhere.
    pub fn eddsa() -> Self {
        Self::new(Algorithm::EdDSA, EncodingKey::from_ed_pem(&test_key("jwt_ed_private.pem")).unwrap(), "")
    }

    /// An HMAC secret.
    pub fn hs256(kid: &str, secret: &[u8]) -> Self {
        Self::new(Algorithm::HS256, EncodingKey::from_secret(secret), kid)
    }

    fn new(algorithm: Algorithm, key: EncodingKey, kid: &str) -> Self {
        let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&key, algorithm).unwrap()).unwrap();
        jwk["kid"] = json!(kid);
        jwk["use"] = json!("sig");
        Self { algorithm, key, jwk }
    }

    /// A token under the key's own name.
    pub fn sign(&self, claims: &Value) -> String {
        self.sign_as(self.jwk["kid"].as_str(), claims)
    }

    /// A token under another name, or none.
    pub fn sign_as(&self, kid: Option<&str>, claims: &Value) -> String {
        let header = Header { kid: kid.map(str::to_owned), ..Header::new(self.algorithm) };
        encode(&header, claims, &self.key).unwrap()
    }
}

/// Path of a key of the test data.
pub fn test_key_file(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "src/users/testdata", name].iter().collect()
}

/// A key of the test data.
pub fn test_key(name: &str) -> Vec<u8> {
    std::fs::read(test_key_file(name)).unwrap()
}

/// A document with these keys.
pub fn jwks(signers: &[&Signer]) -> String {
    json!({ "keys": signers.iter().map(|signer| &signer.jwk).collect::<Vec<_>>() }).to_string()
}

/// Reply of the provider.
#[derive(Debug, Clone)]
pub enum Reply {
    /// 200 with this document.
    Document(String),
    /// Bytes instead of an HTTP answer, and the end of the connection.
    Bytes(Vec<u8>),
    /// A head that promises a document, then a byte now and then, for ever.
    Drip,
    /// Nothing at all.
    Silence,
}

/// A CA, and its certificate in a file.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, folder }
    }

    /// Certificate of the authority, as a file.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// TLS of a server on this machine whose certificate names `host`.
    fn acceptor(&self, host: &str) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![host.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

/// A running provider; dropping it takes it off the net.
pub struct Provider {
    /// Authority that vouches for the provider.
    pub authority: Authority,
    address: SocketAddr,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

struct Shared {
    reply: Mutex<Reply>,
    requests: Mutex<Vec<String>>,
    /// Answers wait while this is set.
    held: watch::Sender<bool>,
}

impl Provider {
    /// With a certificate for its address.
    pub async fn new(reply: Reply) -> Self {
        Self::of_host("127.0.0.1", reply).await
    }

    /// With a certificate for `host`, which need not be its own.
    pub async fn of_host(host: &str, reply: Reply) -> Self {
        let authority = Authority::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared =
            Arc::new(Shared { reply: Mutex::new(reply), requests: Mutex::default(), held: watch::Sender::new(false) });
        let serving = tokio::spawn(serve(listener, authority.acceptor(host), Arc::clone(&shared)));
        Self { authority, address, shared, serving }
    }

    /// Address of the keys.
    pub fn url(&self) -> JwksUrl {
        self.url_of("/.well-known/jwks.json")
    }

    /// The address of a path.
    pub fn url_of(&self, path: &str) -> JwksUrl {
        format!("https://{}{path}", self.address).parse().unwrap()
    }

    /// Answers with these keys from now on.
    pub fn publish(&self, signers: &[&Signer]) {
        self.answer(Reply::Document(jwks(signers)));
    }

    /// Answers so from now on.
    pub fn answer(&self, reply: Reply) {
        *self.shared.reply.lock() = reply;
    }

    /// Heads of the requests so far.
    pub fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().clone()
    }

    /// Number of requests that came.
    pub fn asked(&self) -> usize {
        self.shared.requests.lock().len()
    }

    /// Lets answers wait, or go.
    pub fn hold(&self, held: bool) {
        self.shared.held.send_replace(held);
    }

    /// Takes it off the net: connections are refused.
    pub async fn go_away(self) -> Authority {
        self.serving.abort();
        let _ = self.serving.await;
        self.authority
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, shared: Arc<Shared>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, shared) = (acceptor.clone(), Arc::clone(&shared));
        connections.spawn(async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                let _ = answer(stream, &shared).await;
            }
        });
    }
}

async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, shared: &Shared) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    shared.requests.lock().push(String::from_utf8_lossy(&head).into_owned());
    let _ = shared.held.subscribe().wait_for(|held| !held).await;
    let reply = shared.reply.lock().clone();
    match reply {
        Reply::Document(body) => {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(body.as_bytes()).await?;
        }
        Reply::Bytes(bytes) => stream.write_all(&bytes).await?,
        Reply::Drip => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10000\r\n\r\n").await?;
            let mut tick = tokio::time::interval(Duration::from_millis(5));
            loop {
                tick.tick().await;
                stream.write_all(b" ").await?;
                stream.flush().await?;
            }
        }
        Reply::Silence => std::future::pending().await,
    }
    stream.shutdown().await
}

/// An answer with a status, headers and a body.
pub fn http(status: &str, headers: &[&str], body: &str) -> Reply {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    Reply::Bytes(format!("HTTP/1.1 {status}\r\n{headers}\r\n{body}").into_bytes())
}
