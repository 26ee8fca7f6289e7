//! Every bound of the server that is not a setting: name, unit, and what happens there.

/// HTTP: bounds of the parts that every request passes.
pub mod http {
    /// Bytes of a refused request body that are read and thrown away so that the client gets to read the answer; beyond
    /// it the connection is closed.
    pub const DRAIN_BYTES_MAX: u64 = 8 << 20;
    /// Seconds that draining a refused body may take; then the connection is closed.
    pub const DRAIN_S: u64 = 10;
    /// Seconds between two parts of a request body; a body that stops arriving is answered 400.
    pub const BODY_IDLE_S: u64 = 10;
    /// Seconds an upload may take in all, in place of `http.request_timeout_s`.
    pub const UPLOAD_TIMEOUT_S: u64 = 900;
    /// Routes whose body may be large and slow: [`UPLOAD_TIMEOUT_S`] holds for them.
    pub const UPLOAD_ROUTES: &[&str] = &["/v1/media"];
    /// Characters of an `X-Request-Id` that is taken from the client; a longer one is replaced.
    pub const REQUEST_ID_CHARS_MAX: usize = 64;
    /// Bytes of an `Idempotency-Key`; a longer one is refused with 422.
    pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;
    /// Bytes of a cursor; a longer one is refused with 400.
    pub const CURSOR_BYTES_MAX: usize = 512;
    /// Items of a page; more is refused with 422.
    pub const PAGE_ITEMS_MAX: u16 = 100;
    /// Items of a page when the client names no limit.
    pub const PAGE_ITEMS_DEFAULT: u16 = 20;
    /// Bytes of a bearer token; a longer one is refused with 401 before anything looks at it.
    pub const BEARER_BYTES_MAX: usize = 8 << 10;
    /// Characters of a message that says what is wrong with a field; the rest is cut off, since it may quote the input.
    pub const FIELD_MESSAGE_CHARS_MAX: usize = 200;
    /// Hops of `X-Forwarded-For` that are looked at; the client is the outermost of them when all are trusted.
    pub const FORWARDED_HOPS_MAX: usize = 32;
    /// Bytes of a request head, and of the read buffer of a connection; a larger head is answered 431.
    pub const HEAD_BYTES_MAX: usize = 64 << 10;
    /// Seconds after which a client should come back when the server sheds load or is not ready.
    pub const RETRY_AFTER_S: u32 = 1;
    /// Milliseconds to wait before accepting again after the system had no file descriptor left.
    pub const ACCEPT_PAUSE_MS: u64 = 100;
    /// Seconds between two folds of the metrics' samples into their buckets, which bounds the memory they take.
    pub const METRICS_UPKEEP_S: u64 = 5;
}
