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

/// Uploads, beside the settings of `[media]`.
pub mod media {
    /// Uploads processed at once; each may take about 12 bytes for every pixel that is allowed (480 MB at 40 megapixels,
    /// for progressive JPEGs; a third of that for most pictures).
    pub const PROCESSED_AT_ONCE_MAX: usize = 2;
    /// Received uploads that wait to be processed; beyond that they are answered 503.
    pub const PROCESSING_QUEUE_MAX: usize = 64;
    /// Bytes of uploads in memory at once, received and being received (at least one whole upload); who cannot get room
    /// for more within [`ROOM_WAIT_S`] is answered 503.
    pub const RECEIVED_BYTES_MAX: u64 = 256 << 20;
    /// Seconds that an upload waits for room.
    pub const ROOM_WAIT_S: u64 = 10;
    /// Characters of an alt text.
    pub const ALT_CHARS_MAX: usize = 1_500;
    /// Rows of an owner that are deleted in one step.
    pub const DELETION_STEP: usize = 64;
    /// Bytes of a multipart body beside the file: boundaries, part headers, the alt text.
    pub const OVERHEAD_BYTES_MAX: u64 = 64 << 10;
    /// Bytes read from the object store at a time while serving.
    pub const SERVED_AT_ONCE_BYTES: u64 = 256 << 10;
    /// Memory taken for a file before it arrives, as far as the request announces it.
    pub const CAPACITY_BYTES_MAX: u64 = 1 << 20;
    /// Longest side of a thumbnail, pixels.
    pub const THUMBNAIL_SIDE_MAX: u32 = 400;
    /// Longest side of an image, pixels: what JPEG and GIF can say.
    pub const SIDE_MAX: u32 = 65_535;
    /// A colour profile larger than this is not carried into thumbnails and turned images.
    pub const ICC_BYTES_MAX: usize = 65_536;
    /// Most characters of a file name that are kept.
    pub const FILENAME_CHARS_MAX: usize = 100;
}

/// Passwords and JWTs, beside the settings of `[auth]`.
pub mod auth {
    /// Hashes that may run at once; each takes `memory_kib`.
    pub const HASHES_RUNNING_MAX: usize = 4;
    /// Callers that may wait for a hash; beyond that log-ins answer 503.
    pub const HASHES_WAITING_MAX: usize = 64;
    /// Most bytes of a token; longer ones are refused unread.
    pub const JWT_BYTES_MAX: usize = 8_192;
    /// Most keys at once, those of a JWKS and of the settings together; each may be tried against a token without `kid`.
    pub const KEYS_MAX: usize = 32;
    /// Most characters of `sub`.
    pub const SUBJECT_CHARS_MAX: usize = 200;
    /// How far clocks may differ, seconds.
    pub const LEEWAY_S: f64 = 60.0;
    /// Shortest HMAC secret, bytes. RFC 7518 asks for 32; shorter ones than this can be guessed.
    pub const SECRET_BYTES_MIN: usize = 16;
    /// How often the JWKS file is looked at, at most.
    pub const JWKS_RELOAD_INTERVAL: std::time::Duration = std::time::Duration::from_secs(2);
    /// Largest key file that is read, bytes.
    pub const KEY_FILE_BYTES_MAX: u64 = 1 << 20;
}

/// What is found in the text of a post.
pub mod text {
    /// Most mentions of one text that notify; what follows stays text.
    pub const MENTIONS_MAX: usize = 50;
    /// Most links of one text; what follows stays text.
    pub const LINKS_MAX: usize = 20;
    /// Most bytes of one link; a longer one stays text.
    pub const LINK_BYTES_MAX: usize = 2_048;
}
