//! Request for a JWKS: no redirect, no proxy, bounded in time and bytes, over TLS unless the host is this machine.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, Request, header};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::base::limits::auth::{JWKS_BYTES_MAX, JWKS_CONNECT_TIME, JWKS_HEAD_BYTES_MAX, KEY_FILE_BYTES_MAX};
use crate::config::JwksUrl;

/// Most characters of the provider's words that go into a message.
const QUOTED_CHARS_MAX: usize = 200;

/// Answer of the provider.
#[derive(Debug)]
pub struct Fetched {
    /// The document, not looked at yet.
    pub text: String,
    /// Time for which the provider says that this lasts (`Cache-Control`).
    pub max_age: Option<Duration>,
}

/// Why a JWKS could not be fetched. For the operator.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The name has no address.
    #[error("the host cannot be looked up: {0}")]
    Lookup(io::Error),
    /// `http` is for this machine only, and the name leads elsewhere.
    #[error("the host is not this machine: use https")]
    NotLoopback,
    /// Nobody answers.
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    /// The host cannot prove who it is, or speaks no TLS.
    #[error("TLS failed: {0}")]
    Tls(io::Error),
    /// The answer is broken.
    #[error("the answer is not whole: {0}")]
    Http(hyper::Error),
    /// An answer that leads elsewhere.
    #[error("it answers {status}, and redirects are not followed; name the address itself{to}")]
    Redirect {
        /// The status.
        status: u16,
        /// The address, with a colon before it, if it can be read.
        to: String,
    },
    /// Any other status than 200.
    #[error("it answers {0}")]
    Status(u16),
    /// Too many bytes.
    #[error("the answer has more than {JWKS_BYTES_MAX} bytes")]
    TooLarge,
    /// Timeout.
    #[error("no whole answer within {} ms", .0.as_millis())]
    Slow(Duration),
    /// Not UTF-8.
    #[error("the answer is not text")]
    NotText,
}

/// Fetches from one address.
#[derive(Clone)]
pub struct Fetcher {
    url: JwksUrl,
    tls: Option<TlsConnector>,
    time: Duration,
}

impl std::fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetcher").field("url", &self.url).field("time", &self.time).finish_non_exhaustive()
    }
}

impl Fetcher {
    /// Fetches `url` within `time` each time. The host is believed by the certificates in `ca_file`, or else by those
    /// that Mozilla trusts, which are part of the program: it needs no files of the system's.
    ///
    /// # Errors
    /// When `ca_file` cannot be used.
    pub fn new(url: JwksUrl, ca_file: Option<&Path>, time: Duration) -> Result<Self, String> {
        let tls = if url.is_https() { Some(connector(ca_file)?) } else { None };
        Ok(Self { url, tls, time })
    }

    /// Address that it fetches from.
    #[must_use]
    pub fn url(&self) -> &JwksUrl {
        &self.url
    }

    /// Makes one request. Dropping the future ends it.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn fetch(&self) -> Result<Fetched, FetchError> {
        tokio::time::timeout(self.time, self.get()).await.unwrap_or(Err(FetchError::Slow(self.time)))
    }

    async fn get(&self) -> Result<Fetched, FetchError> {
        let stream = self.connect().await?;
        let Some(tls) = &self.tls else { return self.ask(stream).await };
        let name = ServerName::try_from(self.url.host().to_owned())
            .map_err(|cause| FetchError::Tls(io::Error::new(io::ErrorKind::InvalidInput, cause)))?;
        self.ask(tls.connect(name, stream).await.map_err(FetchError::Tls)?).await
    }

    async fn connect(&self) -> Result<TcpStream, FetchError> {
        let port = self.url.0.port_u16().unwrap_or(if self.url.is_https() { 443 } else { 80 });
        let found = lookup_host((self.url.host(), port)).await.map_err(FetchError::Lookup)?;
        let addresses: Vec<SocketAddr> = found.collect();
        if !self.url.is_https() && addresses.iter().any(|address| !address.ip().is_loopback()) {
            return Err(FetchError::NotLoopback);
        }
        let mut failed = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
        for address in addresses {
            match tokio::time::timeout(JWKS_CONNECT_TIME, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(cause)) => failed = cause,
                Err(_) => failed = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(FetchError::Connect(failed))
    }

    async fn ask(&self, stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<Fetched, FetchError> {
        let mut http = http1::Builder::new();
        http.max_buf_size(JWKS_HEAD_BYTES_MAX);
        let (mut sender, connection) = http.handshake(TokioIo::new(stream)).await.map_err(FetchError::Http)?;
        let path = self.url.0.path_and_query().map_or("/", |path| path.as_str());
        let authority = self.url.0.authority().map_or("", |authority| authority.as_str());
        let request = Request::get(path)
            .header(header::HOST, authority)
            .header(header::ACCEPT, "application/json, application/jwk-set+json")
            .header(header::USER_AGENT, concat!("fanfare/", env!("CARGO_PKG_VERSION")))
            .body(Empty::<Bytes>::new())
            .map_err(|cause| FetchError::Lookup(io::Error::new(io::ErrorKind::InvalidInput, cause)))?;
        beside(connection, async move { read(sender.send_request(request).await.map_err(FetchError::Http)?).await })
            .await
    }
}

/// Drives `connection` until `exchange` is done. What a connection that ends says is in the exchange's own error.
async fn beside<T>(connection: impl Future<Output = hyper::Result<()>>, exchange: impl Future<Output = T>) -> T {
    let (mut connection, mut exchange) = (std::pin::pin!(connection), std::pin::pin!(exchange));
    let mut open = true;
    loop {
        tokio::select! {
            biased;
            done = &mut exchange => return done,
            _ = &mut connection, if open => open = false,
        }
    }
}

async fn read(response: axum::http::Response<Incoming>) -> Result<Fetched, FetchError> {
    let status = response.status();
    if status.is_redirection() {
        let to = response.headers().get(header::LOCATION).and_then(|to| to.to_str().ok()).unwrap_or_default();
        let to: String = to.chars().take(QUOTED_CHARS_MAX).collect();
        let to = if to.is_empty() { to } else { format!(": {to}") };
        return Err(FetchError::Redirect { status: status.as_u16(), to });
    }
    if status != 200 {
        return Err(FetchError::Status(status.as_u16()));
    }
    let max_age = max_age(response.headers());
    let body = Limited::new(response.into_body(), JWKS_BYTES_MAX).collect().await.map_err(|cause| match cause
        .downcast::<hyper::Error>(
    ) {
        Ok(cause) => FetchError::Http(*cause),
        Err(cause) => {
            debug_assert!(cause.is::<LengthLimitError>(), "{cause}");
            FetchError::TooLarge
        }
    })?;
    let text = String::from_utf8(body.to_bytes().into()).map_err(|_| FetchError::NotText)?;
    Ok(Fetched { text, max_age })
}

/// `max-age` in seconds; zero where the answer must not be kept at all.
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let directives: Vec<String> =
        values.flat_map(|value| value.split(',')).map(|one| one.trim().to_lowercase()).collect();
    if directives.iter().any(|directive| directive == "no-store" || directive == "no-cache") {
        return Some(Duration::ZERO);
    }
    let seconds = directives.iter().find_map(|directive| directive.strip_prefix("max-age=")?.parse().ok());
    seconds.map(Duration::from_secs)
}

fn connector(ca_file: Option<&Path>) -> Result<TlsConnector, String> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(file) => trust(&mut roots, file).map_err(|cause| format!("{}: {cause}", file.display()))?,
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|cause| cause.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn trust(roots: &mut RootCertStore, file: &Path) -> Result<(), String> {
    let bytes = std::fs::metadata(file).map_err(|cause| cause.to_string())?.len();
    if bytes > KEY_FILE_BYTES_MAX {
        return Err(format!("larger than {KEY_FILE_BYTES_MAX} bytes"));
    }
    let text = std::fs::read(file).map_err(|cause| cause.to_string())?;
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|cause| cause.to_string())?;
        roots.add(certificate).map_err(|cause| cause.to_string())?;
    }
    if roots.is_empty() { Err("holds no certificate in PEM".to_owned()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cache_control_says_how_long_a_set_lasts() {
        for (value, seconds) in [
            ("max-age=600", Some(600)),
            ("public, max-age=21599, must-revalidate, no-transform", Some(21_599)),
            ("Public,Max-Age=15", Some(15)),
            ("max-age=15, no-store", Some(0)),
            ("no-cache", Some(0)),
            ("s-maxage=15", None),
            ("max-age=soon", None),
            ("max-age=-1", None),
            ("max-age=99999999999999999999999", None),
            ("", None),
        ] {
            let headers = [(header::CACHE_CONTROL, value.parse().unwrap())].into_iter().collect();
            assert_eq!(max_age(&headers), seconds.map(Duration::from_secs), "{value}");
        }
        assert_eq!(max_age(&HeaderMap::new()), None);
    }

    #[test]
    fn a_file_without_certificates_vouches_for_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        let url: JwksUrl = "https://id.example/jwks".parse().unwrap();
        let refused = |file: &Path| Fetcher::new(url.clone(), Some(file), Duration::from_secs(1)).unwrap_err();
        assert!(refused(&file).contains("ca.pem"), "a missing file");
        for text in ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            std::fs::write(&file, text).unwrap();
            assert!(refused(&file).contains("ca.pem"), "{text}");
        }
    }
}
