//! The media service: takes uploads in, hands them out, forgets them with their owner.
//!
//! An upload is processed on a blocking thread, its objects are stored, and then its row: so a row never points at
//! nothing. The owner's index row is written first of all, so that account deletion finds what a crash left behind; and
//! deletion waits for the uploads whose index row is written.

use std::sync::Arc;

use bytes::Bytes;
use fanfare_engines::{Batch, Objects, RowKey, Table};
use fanfare_protocol::{Code, FieldError, Id, Media, MediaKind, Problem};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub use super::room::UploadRoom;

use super::addresses::{Addresses, Signature};
use super::process::{MediaError, MediaLimits, Processed, process};
use super::room::Rooms;
use super::serving::clean_filename;
use crate::base::clock::Clock;
use crate::base::error::{Error, Result};
use crate::base::gate::{Gate, Named};
use crate::base::id::unix_ms_of;
use crate::base::limits::media::{
    OVERHEAD_BYTES_MAX, PROCESSED_AT_ONCE_MAX, PROCESSING_QUEUE_MAX, RECEIVED_BYTES_MAX, ROOM_SHARE,
};
use crate::base::mint_id::MintId;
use crate::config::Settings;
use crate::data::store::Store;
use crate::log::core::Owners;
use crate::log::events::IdempotencyKey;
use crate::log::idempotency::{self, Idempotency, KeyUse};

/// Versions of a media row: there, there and nobody's, and gone. Earlier versions deleted with that of nobody's.
const STORED: u64 = 1;
pub(super) const NOBODYS: u64 = 2;
pub(super) const GONE: u64 = 3;

/// Name of the gate of processing.
const PROCESSING: Named = Named { reason: "too many uploads at once", metric: "pictures" };

/// Note for the uploader of a file whose format is not understood here.
const METADATA_KEPT: &str =
    "stored as it came: metadata in it, such as where a photo was taken, could not be removed from this type of file";

/// Tables of media.
#[derive(Debug, Clone, Copy)]
pub struct MediaTables {
    /// media → [`MediaRow`]; versioned.
    pub media: Table,
    /// owner, media → nothing; versioned.
    pub owners: Table,
}

/// Settings of media.
#[derive(Clone)]
pub struct MediaSettings {
    /// Limits of an upload.
    pub limits: MediaLimits,
    /// Addresses under which media are served.
    pub addresses: Addresses,
}

impl MediaSettings {
    /// Settings of media, out of a server's; private addresses are signed with what follows from `secret`.
    ///
    /// # Errors
    /// As [`Addresses::new`].
    pub fn of(settings: &Settings, secret: &[u8]) -> Result<Self> {
        let Settings { media, http, .. } = settings;
        let limits = MediaLimits {
            image_pixels_max: media.image_pixels_max,
            image_bytes_max: media.image_bytes_max,
            file_bytes_max: media.file_bytes_max,
        };
        let public_url = http.public_url.as_ref().map_or("", |url| &url.0).trim_end_matches('/').to_owned();
        Ok(Self { limits, addresses: Addresses::new(secret, public_url, media.url_hours)? })
    }
}

/// File of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, utoipa::ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum Variant {
    /// The picture or file itself.
    Original,
    /// The small picture.
    Thumbnail,
}

impl Variant {
    /// File that a name in an address stands for.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "original" => Some(Self::Original),
            "thumbnail" => Some(Self::Thumbnail),
            _ => None,
        }
    }

    /// Name in addresses and object keys.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Original => "original",
            Self::Thumbnail => "thumbnail",
        }
    }
}

/// An upload as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaRow {
    /// Person who uploaded it.
    pub owner: Id,
    /// Picture or file.
    pub kind: MediaKind,
    /// Found from the bytes.
    pub content_type: String,
    /// Size of the original.
    pub bytes: u64,
    /// Width and height in pixels, for images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<(u32, u32)>,
    /// Type and size of the thumbnail, for images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thumbnail: Option<(String, u64)>,
    /// Filename that the uploader gave, cleaned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// Alternative text: what the picture shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alt: Option<String>,
    /// Whether metadata was removed; rows from before this was told were not, unless they are pictures.
    #[serde(default)]
    pub cleaned: bool,
    /// For messages: served to whoever has an address that is signed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub private: bool,
}

/// File of an upload, to be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Servable {
    /// The upload.
    pub row: MediaRow,
    /// Content type as stored.
    pub content_type: String,
    /// Size of the file.
    pub bytes_total: u64,
    /// Object key.
    pub key: String,
    /// Strong entity tag, with its quotes: an id never gets other bytes.
    pub etag: String,
    /// Milliseconds for which its address is still good, of a private one.
    pub private_for_ms: Option<u64>,
}

/// An upload as it came in.
#[derive(Debug)]
pub struct Upload {
    /// Filename that the client gives.
    pub filename: Option<String>,
    /// Alternative text: what the picture shows, checked.
    pub alt: Option<String>,
    /// For messages.
    pub private: bool,
    /// All bytes.
    pub bytes: Bytes,
    /// The memory that the bytes take; given back when the upload is done.
    pub room: UploadRoom,
}

impl Upload {
    /// SHA-256 of everything that was sent, hexadecimal.
    fn hash(&self) -> String {
        let mut hash = Sha256::new();
        for part in [self.filename.as_deref(), self.alt.as_deref()] {
            let text = part.unwrap_or_default();
            hash.update(u64::try_from(text.len()).unwrap_or_default().to_be_bytes());
            hash.update(text);
        }
        if self.private {
            hash.update(b"private");
        }
        hash.update(&self.bytes);
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Uploads. Cheap to clone.
#[derive(Clone)]
pub struct Uploads(Arc<Inner>);

struct Inner {
    store: Arc<Store>,
    objects: Arc<dyn Objects>,
    mint: Arc<dyn MintId>,
    owners: Arc<dyn Owners>,
    names: MediaTables,
    settings: MediaSettings,
    clock: Clock,
    gate: Gate<Id>,
    idempotency: Idempotency,
    rooms: Rooms,
}

impl Uploads {
    /// The service over rows and files.
    #[must_use]
    pub fn new(
        store: Arc<Store>,
        objects: &Arc<dyn Objects>,
        mint: Arc<dyn MintId>,
        owners: Arc<dyn Owners>,
        names: MediaTables,
        settings: MediaSettings,
        clock: Clock,
    ) -> Self {
        // One upload of the largest size must fit into a person's share.
        let largest = settings.limits.file_bytes_max.saturating_add(OVERHEAD_BYTES_MAX);
        let rooms = Rooms::new(RECEIVED_BYTES_MAX.max(largest.saturating_mul(ROOM_SHARE + 1)));
        Self(Arc::new(Inner {
            objects: Arc::clone(objects),
            mint,
            owners,
            names,
            settings,
            clock,
            idempotency: Idempotency::new(Arc::clone(&store)),
            store,
            gate: Gate::new(PROCESSED_AT_ONCE_MAX, PROCESSING_QUEUE_MAX, PROCESSING),
            rooms,
        }))
    }

    /// Limits of an upload.
    #[must_use]
    pub fn limits(&self) -> &MediaLimits {
        &self.0.settings.limits
    }

    /// Room for an upload of `owner` that begins to arrive, and will bring `announced` bytes or at most so many.
    ///
    /// # Errors
    /// [`Error::Overloaded`] when as many of theirs are under way as may be.
    pub fn room(&self, owner: Id, announced: u64) -> Result<UploadRoom> {
        self.0.rooms.room(owner, announced)
    }

    /// Processes and stores an upload of `owner`; durable when it answers.
    ///
    /// # Errors
    /// 413, 415 or 422 on field `file` for what [`process`] refuses; [`Error::Overloaded`] when too many wait.
    pub async fn upload(&self, owner: Id, upload: Upload) -> Result<Media> {
        self.upload_once(owner, upload, None).await
    }

    /// Stores an upload once per idempotency key (`route` and `name`, of the client); true when it is a repeat.
    ///
    /// # Errors
    /// As [`upload`](Self::upload); 409 while the key is at work, 410 when what it made is gone, 422 when it was used
    /// with another file.
    pub async fn upload_keyed(
        &self,
        owner: Id,
        upload: Upload,
        key: Option<(String, String)>,
    ) -> Result<(Media, bool)> {
        let Some((route, key)) = key else { return Ok((self.upload(owner, upload).await?, false)) };
        let key = IdempotencyKey { caller: owner, route, key, body_hash: upload.hash() };
        let _claimed = match self.0.idempotency.claim(&key, unix_ms_of(self.0.mint.mint().await?)).await? {
            KeyUse::Fresh(claimed) => claimed,
            KeyUse::Repeat { made, .. } => {
                return self.get(made).await?.map(|media| (media, true)).ok_or_else(|| Error::gone("upload"));
            }
        };
        Ok((self.upload_once(owner, upload, Some(key)).await?, false))
    }

    async fn upload_once(&self, owner: Id, upload: Upload, key: Option<IdempotencyKey>) -> Result<Media> {
        let Upload { filename, alt, private, bytes, room } = upload;
        let limits = *self.limits();
        let processed =
            self.0.gate.run(owner, move || process(bytes, &limits)).await?.map_err(|error| refusal(&error))?;
        let id = self.0.mint.mint().await?;
        let filename = filename.as_deref().and_then(clean_filename);
        let thumbnail = processed.thumbnail.as_ref();
        let row = MediaRow {
            owner,
            kind: processed.kind,
            content_type: processed.content_type.to_owned(),
            bytes: processed.bytes.len() as u64,
            size: processed.size,
            thumbnail: thumbnail.map(|small| (small.content_type.to_owned(), small.bytes.len() as u64)),
            filename,
            alt,
            cleaned: processed.cleaned,
            private,
        };
        self.store(id, &row, processed, key.as_ref()).await?;
        drop(room);
        Ok(self.view(id, &row))
    }

    async fn store(&self, id: Id, row: &MediaRow, processed: Processed, key: Option<&IdempotencyKey>) -> Result<()> {
        let Inner { store, objects, owners, .. } = &*self.0;
        let _writing = owners.writing(row.owner).await?;
        if row.private {
            self.will_be_looked_at(id).await?;
        }
        let mut index = Batch::default();
        index.put_versioned(self.owner_key(row.owner, id), Bytes::new(), STORED);
        store.write(index).await?;
        objects.put(&object_key(id, Variant::Original), processed.bytes).await?;
        if let Some(small) = processed.thumbnail {
            objects.put(&object_key(id, Variant::Thumbnail), small.bytes).await?;
        }
        let mut batch = Batch::default();
        batch.put_versioned(self.media_key(id), encode(row)?, STORED);
        if let Some(key) = key {
            idempotency::remember(key, id, self.0.mint.mint().await?, &mut batch)?;
        }
        Ok(store.write(batch).await?)
    }

    /// The upload with this id.
    ///
    /// # Errors
    /// Only when the engine fails or the row cannot be read.
    pub async fn get(&self, id: Id) -> Result<Option<Media>> {
        Ok(self.row(id).await?.map(|row| self.view(id, &row)))
    }

    /// Public uploads among `ids` that are `owner`'s, in the same order: what a post or a profile may show. The caller
    /// finds out from the ids which are missing.
    ///
    /// # Errors
    /// Only when the engine fails or a row cannot be read.
    pub async fn owned(&self, ids: &[Id], owner: Id) -> Result<Vec<Media>> {
        let keys: Vec<RowKey> = ids.iter().map(|id| self.media_key(*id)).collect();
        let values = self.0.store.get_many(&keys).await?;
        let mut owned = Vec::with_capacity(ids.len());
        for (id, value) in ids.iter().zip(values) {
            let Some(value) = value else { continue };
            let row = parse(&value)?;
            if row.owner == owner && !row.private {
                // The notice is for the uploader, not for who sees the post.
                owned.push(Media { notice: None, ..self.view(*id, &row) });
            }
        }
        Ok(owned)
    }

    /// File of an upload, ready to be read with [`read`](Self::read); `None` when there is none, or it is private and
    /// what was `given` proves nothing.
    ///
    /// # Errors
    /// Only when the engine fails or the row cannot be read.
    pub async fn serve(&self, id: Id, variant: Variant, given: &Signature) -> Result<Option<Servable>> {
        let Some(row) = self.row(id).await? else { return Ok(None) };
        let good_for_ms = || self.addresses().good_for_ms(id, given, self.0.clock.now_ms());
        let private_for_ms = row.private.then(good_for_ms);
        if private_for_ms == Some(None) {
            return Ok(None);
        }
        let private_for_ms = private_for_ms.flatten();
        let (content_type, bytes_total) = match (variant, &row.thumbnail) {
            (Variant::Original, _) => (row.content_type.clone(), row.bytes),
            (Variant::Thumbnail, Some((content_type, bytes))) => (content_type.clone(), *bytes),
            (Variant::Thumbnail, None) => return Ok(None),
        };
        let etag = format!("\"{id}-{}\"", variant.name());
        Ok(Some(Servable { row, content_type, bytes_total, key: object_key(id, variant), etag, private_for_ms }))
    }

    /// Bytes `from` up to, and without, `to` of a file; `None` when it was deleted meanwhile.
    ///
    /// # Errors
    /// When the engine fails, or the object is shorter than its row says.
    pub async fn read(&self, key: &str, from: u64, to: u64) -> Result<Option<Bytes>> {
        let Some(object) = self.0.objects.get(key, Some((from, to))).await? else { return Ok(None) };
        if object.data.len() as u64 != to - from {
            return Err(Error::Internal(format!("object {key} has {} bytes, {to} were expected", object.bytes_total)));
        }
        Ok(Some(object.data))
    }

    pub(super) async fn row(&self, id: Id) -> Result<Option<MediaRow>> {
        self.0.store.get(&self.media_key(id)).await?.map(|value| parse(&value)).transpose()
    }

    pub(super) fn owners_table(&self) -> Table {
        self.0.names.owners
    }

    pub(super) fn rows(&self) -> &Store {
        &self.0.store
    }

    pub(super) fn objects(&self) -> &dyn Objects {
        &*self.0.objects
    }

    pub(super) fn addresses(&self) -> &Addresses {
        &self.0.settings.addresses
    }

    fn view(&self, id: Id, row: &MediaRow) -> Media {
        let (addresses, now_ms) = (self.addresses(), self.0.clock.now_ms());
        let url = |variant: Variant| match row.private {
            true => addresses.signed(id, variant, now_ms),
            false => addresses.public(id, variant),
        };
        Media {
            id,
            url: url(Variant::Original),
            kind: row.kind,
            content_type: row.content_type.clone(),
            bytes: row.bytes,
            width: row.size.map(|(width, _)| width),
            height: row.size.map(|(_, height)| height),
            thumbnail_url: row.thumbnail.as_ref().map(|_| url(Variant::Thumbnail)),
            alt: row.alt.clone(),
            notice: (row.kind == MediaKind::File && !row.cleaned).then(|| METADATA_KEPT.to_owned()),
            expires_at: row.private.then(|| addresses.end(now_ms)),
        }
    }

    pub(super) fn media_key(&self, id: Id) -> RowKey {
        RowKey::single(self.0.names.media, id.to_bytes().to_vec())
    }

    pub(super) fn owner_key(&self, owner: Id, id: Id) -> RowKey {
        RowKey::new(self.0.names.owners, owner.to_bytes().to_vec(), id.to_bytes().to_vec())
    }
}

pub(super) fn object_key(id: Id, variant: Variant) -> String {
    format!("media/{id}/{}", variant.name())
}

pub(super) fn encode(row: &MediaRow) -> Result<Vec<u8>> {
    serde_json::to_vec(row).map_err(|cause| Error::Internal(format!("media row: {cause}")))
}

fn parse(value: &[u8]) -> Result<MediaRow> {
    serde_json::from_slice(value).map_err(|cause| Error::Internal(format!("media row: {cause}")))
}

/// 413, 415 or 422, each naming field `file`.
fn refusal(error: &MediaError) -> Error {
    let code = match error {
        MediaError::TooLarge { .. } => Code::PayloadTooLarge,
        MediaError::Unsupported(_) => Code::UnsupportedMediaType,
        MediaError::Empty
        | MediaError::TooManyPixels { .. }
        | MediaError::TooMuchWork { .. }
        | MediaError::Corrupt(_) => Code::ValidationFailed,
    };
    file_refused(code, &error.to_string())
}

/// A refusal with `code` that names field `file`.
pub(super) fn file_refused(code: Code, message: &str) -> Error {
    let mut problem = Problem::new(code, format!("file: {message}"));
    problem.errors = vec![FieldError { field: "file".to_owned(), message: message.to_owned() }];
    Error::from(problem)
}
