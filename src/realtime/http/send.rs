//! `POST /v1/realtime/send`: client frames of who has no socket to send them by.
//!
//! Frames are found and counted in the text, and each is parsed as on a socket: nothing is built of what is no frame.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use fanfare_protocol::{ClientFrame, Code, Id, Problem, Reply};
use serde::de::{Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::base::error::{Error, Result};
use crate::base::limits::realtime::SEND_FRAMES_MAX;
use crate::http::{Caller, Params, Problems, Unparsed};
use crate::realtime::client_frames::FrameTurn;
use crate::realtime::clients::{self, FrameOrder};
use crate::realtime::elsewhere::{self, FrameElsewhere, Hop};
use crate::realtime::service::Realtime;
use crate::realtime::session::SessionId;
use crate::realtime::under_way::FramePermit;

/// Frames of a client that has no socket to send them by.
#[derive(serde::Deserialize, utoipa::ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "describes the body, which is looked at before it is parsed")]
enum Sent {
    /// Several.
    Many(Vec<ClientFrame>),
    /// Several, named.
    Named(NamedFrames),
    /// Single frame.
    One(ClientFrame),
}

/// Several frames.
#[derive(serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "describes the body, which is looked at before it is parsed")]
struct NamedFrames {
    /// Up to 50.
    frames: Vec<ClientFrame>,
}

/// Replies to client frames, in the form in which the frames came.
#[derive(serde::Serialize, utoipa::ToSchema)]
#[allow(dead_code, reason = "describes the answer, which is written as it is")]
#[serde(untagged)]
#[schema(as = Replies)]
enum SentReplies {
    /// To several.
    Many(Vec<Reply>),
    /// To several, named.
    Named(NamedReplies),
    /// To one.
    One(Reply),
}

/// Replies to several frames.
#[derive(serde::Serialize, utoipa::ToSchema)]
#[allow(dead_code, reason = "describes the answer, which is written as it is")]
struct NamedReplies {
    /// In the order of the frames.
    replies: Vec<Reply>,
}

/// Session that the frames are of.
#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SendParams {
    /// From `hello`; whom it watches is told to this session.
    #[serde(default)]
    session_id: Option<Id>,
}

/// The texts of frames, up to one more than there may be; the rest is passed over.
struct Texts<'a>(Vec<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Texts<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Vec<&'de RawValue>;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("an array of frames")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut frames: A) -> Result<Self::Value, A::Error> {
                let mut texts = Vec::new();
                while texts.len() <= SEND_FRAMES_MAX
                    && let Some(frame) = frames.next_element()?
                {
                    texts.push(frame);
                }
                while frames.next_element::<IgnoredAny>()?.is_some() {}
                Ok(texts)
            }
        }
        deserializer.deserialize_seq(List).map(Texts)
    }
}

/// `{"frames": […]}`.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Named<'a> {
    #[serde(borrow)]
    frames: Texts<'a>,
}

/// The form in which frames came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    One,
    Many,
    Named,
}

/// Texts of the frames that were sent, and their form.
///
/// # Errors
/// 400 for what is not JSON, 422 for too many frames.
fn frames_of(json: &[u8]) -> Result<(Form, Vec<&str>)> {
    let whole: &RawValue = Unparsed::parse(json)?;
    let (form, texts) = match whole.get().as_bytes().first() {
        Some(b'[') => (Form::Many, Unparsed::parse::<Texts>(json)?.0),
        // Anything else is one frame, or is refused as one.
        _ => match serde_json::from_str::<Named>(whole.get()) {
            Ok(Named { frames }) => (Form::Named, frames.0),
            Err(_) => (Form::One, vec![whole]),
        },
    };
    if texts.len() > SEND_FRAMES_MAX {
        return Err(Error::field("frames", format!("at most {SEND_FRAMES_MAX}")));
    }
    Ok((form, texts.into_iter().map(RawValue::get).collect()))
}

/// Client frames over HTTP.
///
/// One, an array, or `{"frames": […]}`; the answer has the same form. A frame that is refused is a reply with an
/// `error`.
#[utoipa::path(post, path = "/v1/realtime/send", tag = "realtime", params(SendParams), request_body = Sent,
    responses((status = 200, body = SentReplies), (status = 404, description = "the caller has no such session"),
        (status = 429, description = "more than `realtime.messages_per_s` frames of the person, after a burst"),
        Problems))]
pub async fn send(
    State(realtime): State<Realtime>,
    caller: Caller,
    Params(params): Params<SendParams>,
    sent: Unparsed,
) -> Result<Response> {
    let from = match params.session_id {
        Some(id) => From::session(&realtime, caller.id, id).await?,
        None => From::Here(None),
    };
    let (form, frames) = frames_of(sent.bytes())?;
    realtime.pace(caller.id, frames.len())?;
    let mut order = FrameOrder::default();
    let mut replies = futures_util::future::join_all(frames.into_iter().map(|frame| {
        let permit = realtime.under_way(frame.len());
        let act = |turn| reply(&realtime, (caller.id, &from), (frame, permit), turn);
        order.next().run(act, async |reply| reply)
    }))
    .await;
    Ok(match form {
        Form::One => Json(replies.pop()).into_response(),
        Form::Many => Json(replies).into_response(),
        Form::Named => Json(serde_json::json!({ "replies": replies })).into_response(),
    })
}

/// Session that frames are of.
enum From {
    /// Session of this node, or none.
    Here(Option<SessionId>),
    /// Session of another node.
    There(Arc<str>, Id),
}

impl From {
    /// The session `id` of `user`.
    ///
    /// # Errors
    /// 404 where it is known that there is no such session.
    async fn session(realtime: &Realtime, user: Id, id: Id) -> Result<Self> {
        let page = realtime.sessions(Some(user), realtime.settings().sessions_per_user_max, None).await?;
        if page.items.iter().any(|session| session.session_id == id) {
            return Ok(Self::Here(Some(SessionId(id.0))));
        }
        let node = match realtime.others() {
            Some(others) => others.node_of(id).await,
            None => None,
        };
        node.map(|node| Self::There(node, id)).ok_or_else(|| Error::not_found("session"))
    }
}

/// Reply to one frame, for which there is room by `permit`.
async fn reply(
    realtime: &Realtime,
    (person, from): (Id, &From),
    (text, permit): (&str, Option<FramePermit>),
    turn: FrameTurn,
) -> Reply {
    let refused = |reference, error| Reply { reference, ok: false, data: None, error: Some(error) };
    let frame = match ClientFrame::parse(text) {
        Ok(frame) => frame,
        Err(error) => return refused(None, Problem::new(Code::BadRequest, format!("this is no frame: {error}"))),
    };
    let reference = Some(frame.reference);
    let Some(_permit) = permit else { return refused(reference, clients::too_many()) };
    let answer = match (from, realtime.others()) {
        (From::There(node, session), Some(others)) => {
            let asked = FrameElsewhere { person, session: Some(*session), hop: Hop::HasSession, frame };
            others.answer(node, asked, turn).await
        }
        (From::There(..), None) => Err(Problem::new(Code::NotFound, "session not found")),
        (From::Here(session), _) => {
            elsewhere::answer(realtime.types(), realtime.clone(), (person, *session), frame, turn).await
        }
    };
    match answer {
        Ok(data) => Reply { reference, ok: true, data: Some(data), error: None },
        Err(problem) => refused(reference, problem),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: &str) -> (Form, Vec<&str>) {
        frames_of(json.as_bytes()).unwrap()
    }

    #[test]
    fn frames_are_found_in_each_form() {
        let one = r#"{"ref": 1, "type": "ping"}"#;
        assert_eq!(of(one), (Form::One, vec![one]));
        assert_eq!(of(&format!(" [{one} , 7, {{}}]")).1, [one, "7", "{}"]);
        assert_eq!(of(&format!("{{\"frames\": [{one}]}} ")), (Form::Named, vec![one]));
        assert_eq!(of("[]"), (Form::Many, vec![]));
        for no_frame in ["7", "null", "{}", r#"{"frames": 1}"#, r#"{"frames": [], "more": 1}"#] {
            assert_eq!(of(no_frame), (Form::One, vec![no_frame]));
        }
    }

    #[test]
    fn too_many_frames_are_counted_and_not_built() {
        let list = |count: usize| format!("[{}1]", "{},".repeat(count - 1));
        assert_eq!(of(&list(SEND_FRAMES_MAX)).1.len(), SEND_FRAMES_MAX);
        for count in [SEND_FRAMES_MAX + 1, 20_000] {
            for json in [list(count), format!("{{\"frames\": {}}}", list(count))] {
                let Err(Error::Refused(problem)) = frames_of(json.as_bytes()) else { panic!("{count} were taken") };
                assert_eq!((problem.code, problem.errors[0].field.as_str()), (Code::ValidationFailed, "frames"));
            }
        }
        let many = list(20_000);
        let texts: Texts = serde_json::from_str(&many).unwrap();
        assert!(texts.0.capacity() <= 2 * SEND_FRAMES_MAX, "{} are kept", texts.0.capacity());
    }

    #[test]
    fn what_is_not_json_is_400() {
        for json in ["", "[", "{", "[1,]", "nonsense", "[1] 2", "{\"frames\": [}"] {
            let Err(Error::Refused(problem)) = frames_of(json.as_bytes()) else { panic!("{json} was taken") };
            assert_eq!(problem.code, Code::BadRequest, "{json}");
        }
    }
}
