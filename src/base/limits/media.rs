//! Uploads, beside the settings of `[media]`.

/// Uploads processed at once; each may take about 12 bytes for every pixel that is allowed (480 MB at 40
/// megapixels, for progressive JPEGs; a third of that for most pictures).
pub const PROCESSED_AT_ONCE_MAX: usize = 2;
/// Received uploads that wait to be processed; beyond that they are answered 503.
pub const PROCESSING_QUEUE_MAX: usize = 64;
/// Bytes of uploads in memory at once, received and being received (at least twice the largest upload); who cannot
/// get room for more within [`ROOM_WAIT_S`] is answered 503.
pub const RECEIVED_BYTES_MAX: u64 = 256 << 20;
/// Uploads of one person at once, those that wait for older ones of theirs included; a further one is answered 503.
pub const UPLOADS_OF_ONE_MAX: usize = 64;
/// All uploads of one person together hold at most this part of the room that is still free.
pub const ROOM_SHARE: u64 = 1;
/// Parts of the room of which one stays free when an upload gets more than the share of its person.
pub const ROOM_KEPT_PARTS: u64 = 16;
/// Seconds that an upload is given before its rate counts.
pub const UPLOAD_GRACE_S: u64 = 10;
/// Bytes a second that an upload must bring from then on, since its beginning; a slower one is answered 400.
pub const UPLOAD_RATE_BYTES_MIN: u64 = 1 << 10;
/// Seconds that the oldest upload of a person waits for room; younger ones wait for it, and then as long.
pub const ROOM_WAIT_S: u64 = 10;
/// Characters of an alt text.
pub const ALT_CHARS_MAX: usize = 1_500;
/// Milliseconds after which an upload for messages that was never attached goes.
pub const UNATTACHED_MS: u64 = 24 * 3_600_000;
/// Milliseconds for which one stays whose last use has ended: who passes it on just now is done by then.
pub const UNUSED_MS: u64 = 3_600_000;
/// Milliseconds within which a message that attaches one is written, once that was allowed; later it is refused
/// with 422. Half of [`UNUSED_MS`], so that no file goes under a message that comes.
pub const ATTACHING_MS: u64 = UNUSED_MS / 2;
/// Uploads for messages that are looked at in one step.
pub const CHECKED_AT_ONCE: usize = 256;
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
/// Bytes of a colour profile, inflated; a larger one is taken out of the picture.
pub const ICC_BYTES_MAX: usize = 65_536;
/// Bytes of a profile of printing colours in a JPEG, which lies there as it is and is large.
pub const CMYK_PROFILE_BYTES_MAX: usize = 1 << 20;
/// Bytes that decoding may take for each pixel that is allowed: four channels of 16 bits. Progressive JPEGs take as
/// much again for coefficients.
pub const DECODED_BYTES_PER_PIXEL: u64 = 8;
/// Samples that may be decoded and encoded for one image, over all scans, for each pixel that is allowed; a picture
/// that takes more is refused with 422. At 40 million pixels that is a baseline JPEG or a PNG of any kind, upright
/// or to be turned; of a progressive JPEG that is to be turned, about 29 million pixels with halved colours
/// (4:2:0), and 19 million with whole ones (4:4:4).
pub const SAMPLES_PER_PIXEL_MAX: u64 = 8;
/// Samples a pixel that turning a picture and encoding it again counts.
pub const TURNING_SAMPLES: u64 = 3;
/// Scans of a JPEG; more is refused with 422. Encoders write 10 to 20.
pub const JPEG_SCANS_MAX: u32 = 100;
/// Pixels of all frames of an animation, times the pixels allowed of one; more is refused with 422.
pub const ANIMATION_PIXELS_FACTOR: u64 = 25;
/// Bytes of the tables that decoding a lossless WebP unfolds; one that needs more is refused with 422. The
/// reference encoder makes 2,600 groups of codes at most, 52 MB.
pub const PREFIX_TABLES_BYTES_MAX: usize = 64 << 20;
/// Most characters of a file name that are kept.
pub const FILENAME_CHARS_MAX: usize = 100;
