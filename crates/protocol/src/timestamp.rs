//! A moment on the wire: RFC 3339, UTC, milliseconds.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// Milliseconds since the Unix epoch, written as `2026-11-21T09:30:00.000Z`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The last moment that RFC 3339 can write: the end of the year 9999.
    pub const MAX: Self = Self(253_402_300_799_999);
}

/// Later moments than [`Timestamp::MAX`] are written as that one.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
        let nanoseconds = i128::from(self.0.min(Self::MAX.0)) * 1_000_000;
        let moment = OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).map_err(|_| fmt::Error)?;
        f.write_str(&moment.format(format).map_err(|_| fmt::Error)?)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        let wrong = || serde::de::Error::custom("must be a moment such as 2030-01-31T00:00:00Z, between 1970 and 9999");
        let moment = OffsetDateTime::parse(&text, &Rfc3339).map_err(|_| wrong())?;
        let milliseconds = u64::try_from(moment.unix_timestamp_nanos() / 1_000_000).map_err(|_| wrong())?;
        if milliseconds > Self::MAX.0 { Err(wrong()) } else { Ok(Self(milliseconds)) }
    }
}

impl PartialSchema for Timestamp {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .description(Some("RFC 3339, UTC, milliseconds"))
            .examples(["2026-11-21T09:30:00.000Z"])
            .into()
    }
}

impl ToSchema for Timestamp {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Timestamp")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_keeps_its_milliseconds_both_ways() {
        let text = serde_json::to_string(&Timestamp(1_341_100_972_007)).unwrap();
        assert_eq!(text, "\"2012-07-01T00:02:52.007Z\"");
        assert_eq!(serde_json::from_str::<Timestamp>(&text).unwrap(), Timestamp(1_341_100_972_007));
    }

    #[test]
    fn what_cannot_be_written_cannot_be_read_and_is_never_a_panic() {
        for wrong in ["9999-12-31T23:59:59-23:59", "1969-12-31T23:59:59Z", "2030-01-31", "tomorrow", ""] {
            let error = serde_json::from_str::<Timestamp>(&format!("\"{wrong}\"")).unwrap_err().to_string();
            assert!(error.contains("2030-01-31T00:00:00Z"), "{wrong}: {error}");
        }
        assert_eq!(Timestamp::MAX.to_string(), "9999-12-31T23:59:59.999Z");
        assert_eq!(Timestamp(u64::MAX).to_string(), "9999-12-31T23:59:59.999Z");
    }
}
