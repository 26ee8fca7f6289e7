//! Parts of the address of a request: path segments, query parameters, paging.

use std::borrow::Cow;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use utoipa::IntoParams;

use super::body::field_error;
use crate::base::error::Error;
use crate::base::limits::http::{CURSOR_BYTES_MAX, PAGE_ITEMS_DEFAULT, PAGE_ITEMS_MAX};

/// The parameters in the route's path. What does not parse, such as an id with letters, is answered 404: nothing can be
/// there.
#[derive(Debug, Clone, Copy)]
pub struct Path<T>(pub T);

impl<T, S> FromRequestParts<S> for Path<T>
where
    T: DeserializeOwned + Send,
    S: Send + Sync,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let path = axum::extract::Path::<T>::from_request_parts(parts, state).await;
        path.map(|axum::extract::Path(value)| Self(value)).map_err(|_| Error::not_found("thing"))
    }
}

/// Query parameters. Unknown ones are ignored, since proxies and trackers add theirs; bad ones are answered 422.
#[derive(Debug, Clone, Copy)]
pub struct Params<T>(pub T);

impl<T, S> FromRequestParts<S> for Params<T>
where
    T: DeserializeOwned + Send,
    S: Send + Sync,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        parse(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

impl<T: DeserializeOwned> Params<T> {
    /// The parameters of a request whose other parts a handler looks at too.
    ///
    /// # Errors
    /// 422 for bad ones.
    pub fn parse(parts: &Parts) -> Result<Self, Error> {
        parse(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

fn parse<T: DeserializeOwned>(query: &str) -> Result<T, Error> {
    let pairs = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
    serde_path_to_error::deserialize(pairs).map_err(|error| {
        let path = error.path().to_string();
        Error::fields(vec![field_error(&path, "query", &error.inner().to_string())])
    })
}

/// `?limit=&cursor=`, the same for every list. Can be flattened into a larger set of parameters.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Paging {
    /// Items of the page, 1 to 100.
    #[serde(default = "default_limit", deserialize_with = "limit")]
    #[param(minimum = 1, maximum = 100, default = 20)]
    pub limit: u16,
    /// `next_cursor` of the page before.
    #[serde(default)]
    #[param(min_length = 1, max_length = 512, pattern = "^[A-Za-z0-9_-]+$")]
    pub cursor: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Paging {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let paging: Self = parse(parts.uri.query().unwrap_or_default())?;
        match &paging.cursor {
            Some(cursor) if cursor.is_empty() || cursor.len() > CURSOR_BYTES_MAX => Err(Error::bad_cursor()),
            _ => Ok(paging),
        }
    }
}

const fn default_limit() -> u16 {
    PAGE_ITEMS_DEFAULT
}

/// Limit read from text, so that it also works inside a flattened struct, where numbers arrive as text.
fn limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    let text = Cow::<'de, str>::deserialize(deserializer)?;
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let limit = if digits { text.parse().ok() } else { None };
    limit
        .filter(|limit| (1..=PAGE_ITEMS_MAX).contains(limit))
        .ok_or_else(|| serde::de::Error::custom(format!("must be a whole number from 1 to {PAGE_ITEMS_MAX}")))
}
