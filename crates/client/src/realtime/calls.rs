//! The calls around realtime delivery: tickets, frames over HTTP, presence, what operators may do.

use bytes::Bytes;
use fanfare_protocol::{
    ClientFrame, Id, Page, Presence, PresenceList, PublishEvent, Published, RealtimeSession, Reply, Ticket,
};
use hyper::Method;
use tokio::net::TcpStream;

use super::ladder::Ended;
use crate::{Client, Paging, Result};

const NO_BODY: Option<&()> = None;

impl Client {
    /// `POST /v1/realtime/tickets`.
    ///
    /// # Errors
    /// The problem.
    pub async fn realtime_ticket(&self) -> Result<Ticket> {
        self.call(Method::POST, "/v1/realtime/tickets", NO_BODY).await
    }

    /// `POST /v1/realtime/send` with one frame, for a session that cannot carry it, if there is one.
    ///
    /// # Errors
    /// The problem, when the request is refused; what is wrong with the frame is in its reply.
    pub async fn realtime_send(&self, session: Option<Id>, frame: &ClientFrame) -> Result<Reply> {
        let query = session.map(|id| format!("?session_id={id}")).unwrap_or_default();
        self.call(Method::POST, &format!("/v1/realtime/send{query}"), Some(frame)).await
    }

    /// `GET /v1/presence` of up to 200 people.
    ///
    /// # Errors
    /// The problem.
    pub async fn presence(&self, users: &[Id]) -> Result<PresenceList> {
        let users: Vec<String> = users.iter().map(ToString::to_string).collect();
        self.get(&format!("/v1/presence?user_ids={}", users.join(","))).await
    }

    /// A page of `GET /v1/presence/following`.
    ///
    /// # Errors
    /// The problem.
    pub async fn presence_following(&self, paging: Paging<'_>) -> Result<Page<Presence>> {
        self.get(&paging.onto("/v1/presence/following")).await
    }

    /// `POST /v1/presence/heartbeat`.
    ///
    /// # Errors
    /// The problem.
    pub async fn presence_heartbeat(&self) -> Result<()> {
        self.send(Method::POST, "/v1/presence/heartbeat", &[], Bytes::new()).await?.accepted().map(drop)
    }

    /// `POST /v1/admin/realtime/publish`.
    ///
    /// # Errors
    /// The problem.
    pub async fn publish_event(&self, event: &PublishEvent) -> Result<Published> {
        self.call(Method::POST, "/v1/admin/realtime/publish", Some(event)).await
    }

    /// A page of `GET /v1/admin/realtime/sessions`, of one person if there is one.
    ///
    /// # Errors
    /// The problem.
    pub async fn realtime_sessions(&self, of: Option<Id>, paging: Paging<'_>) -> Result<Page<RealtimeSession>> {
        let of = of.map(|id| id.to_string());
        let parameters: Vec<(&str, &str)> = of.iter().map(|id| ("user_id", id.as_str())).collect();
        self.get(&paging.with("/v1/admin/realtime/sessions", &parameters)).await
    }

    /// `DELETE /v1/admin/realtime/sessions/{id}`.
    ///
    /// # Errors
    /// The problem.
    pub async fn close_realtime_session(&self, session: Id) -> Result<()> {
        self.order(Method::DELETE, &format!("/v1/admin/realtime/sessions/{session}"), NO_BODY).await
    }

    /// A connection of its own to the server, and the authority for `Host`.
    pub(super) async fn connect(&self) -> std::result::Result<(TcpStream, String), Ended> {
        let unreachable = |error: &dyn std::error::Error| Ended::Unreachable(error.to_string());
        let authority = self.base.split_once("://").map_or(self.base.as_str(), |(_, rest)| rest);
        let authority = authority.split('/').next().unwrap_or_default().to_owned();
        let address = if authority.contains(':') { authority.clone() } else { format!("{authority}:80") };
        let stream = TcpStream::connect(address).await.map_err(|error| unreachable(&error))?;
        stream.set_nodelay(true).map_err(|error| unreachable(&error))?;
        Ok((stream, authority))
    }
}
