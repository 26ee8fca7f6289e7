//! The opening handshake (RFC 6455, 4.2): whether a request asks for a WebSocket as it must, and what the 101 says. A
//! decision over the head of the request; who may connect, and from which origin, is decided elsewhere.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version, header};
use sha1::{Digest as _, Sha1};

/// Constant that the key is hashed with (1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Bytes of the key, decoded.
const KEY_BYTES: usize = 16;
/// The one version of the protocol.
const VERSION: &str = "13";
/// Offers of extensions that are looked at; those after them count as not made.
const OFFERS_MAX: usize = 16;
/// Answer where compression is agreed on: see [`super::Inflater`].
const DEFLATE_AGREED: HeaderValue =
    HeaderValue::from_static("permessage-deflate; server_no_context_takeover; client_no_context_takeover");

/// A handshake that succeeds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The value of `Sec-WebSocket-Accept`.
    pub key: String,
    /// Messages may be compressed both ways.
    pub deflate: bool,
    /// The subprotocol that was chosen among those the client offers.
    pub subprotocol: Option<&'static str>,
}

impl Accepted {
    /// The headers that make a response with status 101 the answer.
    pub fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        if let Ok(key) = HeaderValue::from_str(&self.key) {
            headers.insert(header::SEC_WEBSOCKET_ACCEPT, key);
        }
        if let Some(subprotocol) = self.subprotocol {
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(subprotocol));
        }
        if self.deflate {
            headers.insert(header::SEC_WEBSOCKET_EXTENSIONS, DEFLATE_AGREED);
        }
        headers
    }
}

/// Why a handshake fails. All are answered with 400; [`Refusal::headers`] go with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Method other than GET.
    #[error("a WebSocket is opened with GET")]
    Method,
    /// An older version of HTTP than 1.1, or a newer one, where it works otherwise.
    #[error("a WebSocket is opened over HTTP/1.1")]
    HttpVersion,
    /// No `Host`.
    #[error("the header Host is missing")]
    Host,
    /// No `Upgrade: websocket`.
    #[error("the header Upgrade must say: websocket")]
    Upgrade,
    /// No `Connection: Upgrade`.
    #[error("the header Connection must say: Upgrade")]
    Connection,
    /// No `Sec-WebSocket-Version: 13`.
    #[error("the header Sec-WebSocket-Version must say: 13")]
    Version,
    /// No key, more than one, or one that is not 16 bytes in base64.
    #[error("the header Sec-WebSocket-Key must hold 16 bytes in base64")]
    Key,
}

impl Refusal {
    /// Headers of the refusal: the version that would do (4.4).
    pub fn headers(self) -> HeaderMap {
        let version = (header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION));
        if self == Refusal::Version { HeaderMap::from_iter([version]) } else { HeaderMap::new() }
    }
}

/// Decides on a request to open a WebSocket. `deflate` says whether the server may compress, `subprotocols` which ones
/// it speaks; of those that the client offers the first one is chosen.
pub fn accept(
    method: &Method,
    version: Version,
    headers: &HeaderMap,
    deflate: bool,
    subprotocols: &[&'static str],
) -> Result<Accepted, Refusal> {
    let ok = |holds: bool, refusal: Refusal| if holds { Ok(()) } else { Err(refusal) };
    ok(method == Method::GET, Refusal::Method)?;
    ok(version == Version::HTTP_11, Refusal::HttpVersion)?;
    ok(headers.contains_key(header::HOST), Refusal::Host)?;
    ok(items(headers, &header::UPGRADE).any(|item| item.eq_ignore_ascii_case("websocket")), Refusal::Upgrade)?;
    ok(items(headers, &header::CONNECTION).any(|item| item.eq_ignore_ascii_case("upgrade")), Refusal::Connection)?;
    ok(only(headers, &header::SEC_WEBSOCKET_VERSION) == Some(VERSION), Refusal::Version)?;
    let key = only(headers, &header::SEC_WEBSOCKET_KEY).ok_or(Refusal::Key)?;
    ok(STANDARD.decode(key).is_ok_and(|bytes| bytes.len() == KEY_BYTES), Refusal::Key)?;
    let spoken = |offer: &str| subprotocols.iter().copied().find(|name| *name == offer);
    Ok(Accepted {
        key: STANDARD.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize()),
        deflate: deflate
            && items(headers, &header::SEC_WEBSOCKET_EXTENSIONS).take(OFFERS_MAX).any(is_deflate_without_window),
        subprotocol: items(headers, &header::SEC_WEBSOCKET_PROTOCOL).find_map(spoken),
    })
}

/// The elements of a header that is a list, over all its lines.
fn items<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    let lines = headers.get_all(name).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|item| !item.is_empty())
}

/// The value of a header that must stand there once.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut lines = headers.get_all(name).iter();
    let line = lines.next()?;
    if lines.next().is_some() {
        return None;
    }
    line.to_str().ok().map(str::trim)
}

/// Whether an offer is permessage-deflate with parameters that can be met (RFC 7692, 7.1). A smaller window for what
/// the server sends cannot: what compresses here has but the one size. An unknown, doubled or wrong parameter declines
/// the offer.
fn is_deflate_without_window(offer: &str) -> bool {
    let mut parts = offer.split(';').map(str::trim);
    if parts.next() != Some("permessage-deflate") {
        return false;
    }
    let mut seen = [false; 3];
    parts.all(|parameter| {
        let (name, value) = match parameter.split_once('=') {
            Some((name, value)) => (name.trim_end(), Some(unquoted(value.trim_start()))),
            None => (parameter, None),
        };
        let (at, good) = match (name, value) {
            ("server_no_context_takeover", None) => (0, true),
            ("client_no_context_takeover", None) => (1, true),
            ("client_max_window_bits", None) => (2, true),
            ("client_max_window_bits", Some(bits)) => (2, window_bits(bits).is_some()),
            _ => return false,
        };
        good && !std::mem::replace(&mut seen[at], true)
    })
}

fn unquoted(value: &str) -> &str {
    value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value)
}

/// A size of the window: 8 to 15, without leading zeros.
fn window_bits(text: &str) -> Option<u8> {
    let bits = text.parse::<u8>().ok().filter(|bits| (8..=15).contains(bits))?;
    (text == bits.to_string()).then_some(bits)
}
