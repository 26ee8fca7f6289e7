//! Messages of clients: control frames are answered here, frames of the protocol are handed on.

use std::ops::ControlFlow;
use std::sync::Arc;

use fanfare_protocol::{ClientFrame, Code, Id, Pong, Problem};

use super::Shard;
use super::lifecycle::MESSAGE;
use crate::base::limits::realtime::{OFFENCES_MAX, SESSION_FRAMES_MAX, TICK_MS};
use crate::realtime::clients;
use crate::realtime::codes;
use crate::realtime::frame::Frame;
use crate::realtime::session::{Phase, SessionId};
use crate::realtime::signals::FromClient;
use crate::realtime::wheel::Tick;
use fanfare_websocket::Message;

/// Bytes that may wait in answer to pings; further pings are not answered until the client has read.
const PONG_BYTES_MAX: usize = 4 << 10;
/// Ticks of a minute.
const MINUTE: Tick = (60_000 / TICK_MS) as Tick;

/// A message that outlives the buffer it was read from.
enum Inbound {
    Text(String),
    Binary,
    Ping(Vec<u8>),
    Pong,
    Close(Option<(u16, String)>),
}

impl From<Message<'_>> for Inbound {
    fn from(message: Message<'_>) -> Self {
        match message {
            Message::Text(text) => Self::Text(text.to_owned()),
            Message::Binary(_) => Self::Binary,
            Message::Ping(payload) => Self::Ping(payload.to_vec()),
            Message::Pong(_) => Self::Pong,
            Message::Close(said) => Self::Close(said.map(|(code, reason)| (code, reason.to_owned()))),
        }
    }
}

impl Shard {
    /// Bytes of a WebSocket.
    pub(super) fn read_bytes(&mut self, id: SessionId, bytes: &mut [u8]) {
        let Some(session) = self.sessions.get_mut(id.key()).filter(|session| session.id == id) else { return };
        let mut messages = Vec::new();
        let mut keep = |message: Message<'_>| {
            messages.push(Inbound::from(message));
            ControlFlow::Continue(())
        };
        let inflater = self.inflater.as_mut().filter(|_| session.deflate);
        let read = session.reader.feed(bytes, self.shared.settings.message_bytes_max, inflater, &mut keep);
        for message in messages {
            self.inbound(id, message);
        }
        if let Err(violation) = read {
            self.close(id, violation.close_code(), &violation.to_string());
        }
    }

    fn inbound(&mut self, id: SessionId, message: Inbound) {
        let Some(session) = self.session(id) else { return };
        let closing = session.phase == Phase::Closing;
        match message {
            Inbound::Close(_) if closing => self.remove(id),
            Inbound::Close(said) => self.closed_by_client(id, said.as_ref()),
            _ if closing => {}
            Inbound::Pong => {}
            Inbound::Binary => self.close(id, codes::PROTOCOL, "messages are text"),
            Inbound::Ping(payload) => {
                if session.out.len() < PONG_BYTES_MAX {
                    fanfare_websocket::pong(&mut session.out, &payload);
                    self.queue(id);
                }
            }
            Inbound::Text(text) => self.text(id, &text),
        }
    }

    fn closed_by_client(&mut self, id: SessionId, said: Option<&(u16, String)>) {
        let Some(session) = self.session(id) else { return };
        fanfare_websocket::close_reply(&mut session.out, said.map(|(code, reason)| (*code, reason.as_str())));
        session.lanes = None;
        self.close_silently(id);
    }

    fn text(&mut self, id: SessionId, text: &str) {
        let (now_ms, rate) = (self.now_ms, self.shared.settings.messages_per_s);
        let tick = self.tick;
        let Some(session) = self.session(id) else { return };
        let user = session.user;
        let elapsed = u64::from(tick.saturating_sub(session.allowance_at));
        session.allowance_at = tick;
        let gained = elapsed.saturating_mul(u64::from(rate) * u64::from(MESSAGE) * TICK_MS) / 1_000;
        let most = u64::from(rate) * 2 * u64::from(MESSAGE);
        session.allowance = (u64::from(session.allowance).saturating_add(gained)).min(most) as u32;
        let parsed = ClientFrame::parse(text);
        if session.allowance < MESSAGE {
            let reference = parsed.as_ref().ok().map(|frame| frame.reference);
            let problem = Problem::new(Code::RateLimited, format!("at most {rate} messages a second"));
            let problem = Problem { retry_after_s: Some(1), ..problem };
            return self.answer(id, reference, Err(&problem));
        }
        session.allowance -= MESSAGE;
        match parsed {
            Err(error) => self.offence(id, &error.to_string()),
            Ok(frame) if frame.kind == "ping" => {
                let pong = Pong { reference: frame.reference };
                self.deliver_one(id, Frame::of_session("pong", now_ms, &pong));
                self.answer(id, Some(frame.reference), Ok(&serde_json::Map::new()));
            }
            Ok(frame) => {
                let reference = frame.reference;
                if !self.hand_on((id, user), frame, text.len()) {
                    self.answer(id, Some(reference), Err(&clients::too_many()));
                }
            }
        }
    }

    /// Hands a frame of so many bytes on to whoever answers it; false where too many are under way.
    fn hand_on(&mut self, (id, user): (SessionId, Id), frame: ClientFrame, bytes: usize) -> bool {
        let shared = Arc::clone(&self.shared);
        let Some(session) = self.session(id).filter(|session| session.under_way < SESSION_FRAMES_MAX) else {
            return false;
        };
        let Some(permit) = shared.under_way.take(bytes) else { return false };
        let is_taken = shared.from_clients.try_send(FromClient { session: id, user, frame, permit }).is_ok();
        session.under_way += u8::from(is_taken);
        is_taken
    }

    fn answer(
        &mut self,
        id: SessionId,
        reference: Option<u64>,
        result: Result<&serde_json::Map<String, serde_json::Value>, &Problem>,
    ) {
        let frame = Frame::reply(reference, result, self.now_ms);
        self.deliver_one(id, frame);
    }

    /// A message that was no frame: told so, and closed when it goes on.
    fn offence(&mut self, id: SessionId, what: &str) {
        let tick = self.tick;
        let Some(session) = self.session(id) else { return };
        if tick.saturating_sub(session.offences_from) >= MINUTE {
            (session.offences, session.offences_from) = (0, tick);
        }
        session.offences += 1;
        let too_many = session.offences >= OFFENCES_MAX;
        let problem = Problem::new(Code::BadRequest, format!("this is no frame: {what}"));
        self.answer(id, None, Err(&problem));
        if too_many {
            self.flush(id);
            self.close(id, codes::PROTOCOL, "too many messages that are no frames");
        }
    }
}
