//! People of conversations: members and roles, settings of groups, invites, requests.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fanfare_engines::{KeyRange, Order};
use fanfare_protocol::{
    Code, Conversation, ConversationKind, Id, Invite, InviteLook, MediaKind, Member, MemberRole, NewInvite, Page,
    PatchConversation, RequestsDeclined, Timestamp,
};
use sha2::{Digest, Sha256};

use super::Chat;
use super::preferences::Welcome;
use crate::base::cursor::Scope;
use crate::base::error::{Error, Result};
use crate::base::id::unix_ms_of;
use crate::base::limits::chat::{
    DECLINED_AT_ONCE, INVITE_USES_MAX, INVITES_MAX, LIST_STEP, PEOPLE_EVER_MAX, SLOW_S_MAX,
};
use crate::chat::admission;
use crate::chat::fold::record::{ChatAct, ChatRecord, NewSettings};
use crate::data::rows::chat::{InviteRow, MemberRow, Membership, Picture};
use crate::data::rows::from_json;
use crate::data::tables;
use crate::data::tables::chat as keys;
use crate::log::core::Owners as _;

/// Bytes of an invite's secret.
const TOKEN_BYTES: usize = 18;

/// Hash of an invite's token, as rows hold it.
fn hash_of(token: &str) -> String {
    let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn shown(id: Id, row: &InviteRow, token: Option<String>) -> Invite {
    Invite {
        id,
        token,
        created_by: row.by,
        expires_at: row.expires_ms.map(Timestamp),
        max_uses: row.max_uses,
        uses: row.uses,
        created_at: Timestamp(row.at_ms),
    }
}

impl Chat {
    /// People in a conversation, by id: page after page.
    ///
    /// # Errors
    /// 404 for whoever is not in it.
    pub async fn members(&self, caller: Id, id: Id, limit: usize, cursor: Option<&str>) -> Result<Page<Member>> {
        self.seat(caller, id).await?;
        let scope = Scope { list: "conversation.members", caller, subject: id };
        let mut after = self.core().cursors.open_id(scope, cursor)?;
        let mut items: Vec<Member> = Vec::new();
        loop {
            let rows = self.core().store.oldest(keys::MEMBERS, id, after, limit + 1).await?;
            let is_last = rows.len() <= limit;
            for row in rows {
                let (Some(user), Some(member)) = (Id::from_bytes(&row.clustering), MemberRow::from_bytes(&row.value))
                else {
                    continue;
                };
                if !member.is_in() {
                    after = Some(user);
                    continue;
                }
                if items.len() == limit {
                    let next_cursor = after.map(|last| self.core().cursors.seal_id(scope, last));
                    return Ok(Page { items, next_cursor });
                }
                after = Some(user);
                let joined_at = Timestamp(unix_ms_of(member.joined));
                items.push(Member { user: self.views().author(user).await?, role: member.role, joined_at });
            }
            if is_last {
                return Ok(Page { items, next_cursor: None });
            }
        }
    }

    /// Members of a conversation now, by id.
    pub(super) async fn member_ids(&self, id: Id) -> Result<Vec<Id>> {
        let partition = tables::partition(id);
        let scan = self.core().store.scan(keys::MEMBERS, &partition, KeyRange::ALL, Order::Ascending, PEOPLE_EVER_MAX);
        let is_in = |value: &[u8]| MemberRow::from_bytes(value).is_some_and(|row| row.is_in());
        Ok(scan
            .await?
            .iter()
            .filter(|row| is_in(&row.value))
            .filter_map(|row| Id::from_bytes(&row.clustering))
            .collect())
    }

    /// Adds somebody to a group.
    ///
    /// # Errors
    /// 404 for whoever is not in it and for nobody, 403 for who is no admin, 422 when it is full.
    pub async fn add(&self, caller: Id, id: Id, user: Id) -> Result<Conversation> {
        let seat = self.seat_in_group(caller, id).await?;
        let missing = || Error::not_found("user");
        self.core().store.seen_account(user).await?.ok_or_else(missing)?;
        if self.core().store.hidden(caller).await?.blocks(user) {
            return Err(missing());
        }
        let _writing = self.core().writing(user).await?;
        let members_max = self.members_max();
        let known = self.core().store.get_as(&keys::member(id, user), MemberRow::from_bytes).await?;
        let (members, invited) =
            match (known.map(|row| row.presence), self.welcome(user, caller, ConversationKind::Group).await?) {
                // Whoever is in it, or was asked, is so, whatever they would say today.
                (Some(Membership::In), _) | (_, Welcome::In) => (vec![user], Vec::new()),
                (Some(Membership::Invited), _) => (Vec::new(), vec![user]),
                (_, Welcome::Asked) => {
                    // Not where it is refused anyway.
                    if seat.member.role >= MemberRole::Admin {
                        self.pace(|paces, now_ms| paces.requests(caller, 1, now_ms))?;
                    }
                    (Vec::new(), vec![user])
                }
                (_, Welcome::Out) => return Err(Error::refused(Code::Forbidden, "this person joins no groups")),
            };
        self.act(caller, id, ChatAct::Added { members, invited, members_max }).await?;
        self.conversation(caller, id).await
    }

    fn members_max(&self) -> u32 {
        u32::try_from(self.0.settings.group_max).unwrap_or(u32::MAX)
    }

    /// Removes somebody from a group, or leaves it.
    ///
    /// # Errors
    /// 404 for whoever is not in it, 403 where the caller's role does not allow it.
    pub async fn remove(&self, caller: Id, id: Id, user: Id) -> Result<()> {
        self.seat_in_group(caller, id).await?;
        let act = if caller == user { ChatAct::Left {} } else { ChatAct::Removed { member: user } };
        self.act(caller, id, act).await?;
        Ok(())
    }

    /// Gives a member another role; `owner` hands the group over.
    ///
    /// # Errors
    /// 404 and 403 as for all acts.
    pub async fn change_role(&self, caller: Id, id: Id, user: Id, role: MemberRole) -> Result<Member> {
        self.seat_in_group(caller, id).await?;
        self.act(caller, id, ChatAct::RoleChanged { member: user, role }).await?;
        let row = self.core().store.get_as(&keys::member(id, user), MemberRow::from_bytes).await?;
        let row = row.ok_or_else(|| Error::not_found("member"))?;
        let joined_at = Timestamp(unix_ms_of(row.joined));
        Ok(Member { user: self.views().author(user).await?, role: row.role, joined_at })
    }

    /// Changes title and settings of a group.
    ///
    /// # Errors
    /// 404 and 403 as for all acts, 422 for what cannot stand.
    pub async fn patch(&self, caller: Id, id: Id, patch: PatchConversation) -> Result<Conversation> {
        self.seat_in_group(caller, id).await?;
        let title = match patch.title {
            None => None,
            Some(None) => Some(String::new()),
            Some(Some(title)) => Some(admission::title(&title)?),
        };
        if patch.slow_mode_s.is_some_and(|slow_s| slow_s > SLOW_S_MAX) {
            return Err(Error::field("slow_mode_s", format!("is at most {SLOW_S_MAX}")));
        }
        let picture = match patch.picture_media_id.flatten() {
            Some(media) => Some(self.picture(caller, media).await?),
            None => None,
        };
        let new = NewSettings {
            title,
            picture,
            no_picture: patch.picture_media_id == Some(None),
            history: patch.history,
            announcements: patch.announcements_only,
            slow_s: patch.slow_mode_s,
        };
        self.act(caller, id, ChatAct::SettingsChanged(Box::new(new))).await?;
        self.conversation(caller, id).await
    }

    /// A picture for a group, which whoever has an invite sees too: it is public.
    async fn picture(&self, caller: Id, media: Id) -> Result<Picture> {
        let found = self.0.media.owned(&[media], caller).await?.pop();
        let found = found.filter(|media| media.kind == MediaKind::Image);
        let found = found.ok_or_else(|| Error::field("picture_media_id", "is no public picture of the caller"))?;
        Ok(Picture { media, url: found.url })
    }

    /// Makes an invite; its token is told this once.
    ///
    /// # Errors
    /// 404 and 403 as for all acts, 422 for what cannot stand, or too many.
    pub async fn invite(&self, caller: Id, id: Id, new: NewInvite) -> Result<Invite> {
        let seat = self.seat_in_group(caller, id).await?;
        if new.max_uses.is_some_and(|uses| uses == 0 || uses > INVITE_USES_MAX) {
            return Err(Error::field("max_uses", format!("is between 1 and {INVITE_USES_MAX}")));
        }
        if new.expires_at.is_some_and(|at| at.0 <= self.core().clock.now_ms()) {
            return Err(Error::field("expires_at", "is in the past"));
        }
        if seat.info.invites as usize >= INVITES_MAX {
            self.end_bad_invites(caller, id).await?;
        }
        let mut secret = [0; TOKEN_BYTES];
        getrandom::fill(&mut secret).map_err(|error| Error::Internal(format!("no randomness: {error}")))?;
        let token = URL_SAFE_NO_PAD.encode(secret);
        let (hash, expires_ms) = (hash_of(&token), new.expires_at.map(|at| at.0));
        let outcome = self.act(caller, id, ChatAct::InviteMade { hash, expires_ms, max_uses: new.max_uses }).await?;
        let (invite, row) = outcome.invite.ok_or_else(|| Error::Internal("an invite was not made".to_owned()))?;
        Ok(shown(invite, &row, Some(token)))
    }

    /// Revokes invites that are good no more, so that they take no room: nothing tells the fold that time went by.
    async fn end_bad_invites(&self, caller: Id, id: Id) -> Result<()> {
        let (now_ms, mut before) = (self.core().clock.now_ms(), None);
        loop {
            let rows = self.core().store.newest(keys::INVITES_OF, id, before, INVITES_MAX).await?;
            before = rows.last().and_then(|row| Id::from_bytes(&row.clustering));
            for row in &rows {
                let Some(invite) = Id::from_bytes(&row.clustering) else { continue };
                let value: InviteRow = from_json(&row.value)?;
                if value.revoked || value.is_good(now_ms) {
                    continue;
                }
                match self.act(caller, id, ChatAct::InviteRevoked { invite }).await {
                    // Another admin was faster.
                    Ok(_) | Err(Error::Refused(_)) => {}
                    Err(error) => return Err(error),
                }
            }
            if rows.len() < INVITES_MAX {
                return Ok(());
            }
        }
    }

    /// Invites of a group that are good, the latest first.
    ///
    /// # Errors
    /// 404 for whoever is not in it, 403 for who is no admin, 409 for a direct conversation.
    pub async fn invites(&self, caller: Id, id: Id, limit: usize, cursor: Option<&str>) -> Result<Page<Invite>> {
        if self.seat_in_group(caller, id).await?.member.role < MemberRole::Admin {
            return Err(super::refusals::role());
        }
        let scope = Scope { list: "conversation.invites", caller, subject: id };
        let mut before = self.core().cursors.open_id(scope, cursor)?;
        let now_ms = self.core().clock.now_ms();
        let mut items: Vec<Invite> = Vec::new();
        loop {
            let rows = self.core().store.newest(keys::INVITES_OF, id, before, limit + 1).await?;
            let is_last = rows.len() <= limit;
            for row in rows {
                let Some(invite) = Id::from_bytes(&row.clustering) else { continue };
                let value: InviteRow = from_json(&row.value)?;
                let is_good = value.is_good(now_ms);
                if is_good && items.len() == limit {
                    let next_cursor = before.map(|last| self.core().cursors.seal_id(scope, last));
                    return Ok(Page { items, next_cursor });
                }
                before = Some(invite);
                if is_good {
                    items.push(shown(invite, &value, None));
                }
            }
            if is_last {
                return Ok(Page { items, next_cursor: None });
            }
        }
    }

    /// Ends an invite.
    ///
    /// # Errors
    /// 404 and 403 as for all acts.
    pub async fn revoke(&self, caller: Id, id: Id, invite: Id) -> Result<()> {
        self.seat_in_group(caller, id).await?;
        self.act(caller, id, ChatAct::InviteRevoked { invite }).await?;
        Ok(())
    }

    /// Group and invite of a token that is good.
    async fn invited_by(&self, token: &str) -> Result<(Id, Id, InviteRow)> {
        let missing = || Error::not_found("invite");
        let hash = hash_of(token);
        let place = self.core().store.get(&keys::invite(hash.as_bytes())).await?.ok_or_else(missing)?;
        let (Some(id), Some(invite)) = (Id::from_bytes(&place), place.get(8..).and_then(Id::from_bytes)) else {
            return Err(Error::Internal("the row of an invite does not decode".to_owned()));
        };
        let row = self.core().store.get(&crate::chat::fold::invite_row(id, invite)).await?.ok_or_else(missing)?;
        let row: InviteRow = from_json(&row)?;
        if !row.is_good(self.core().clock.now_ms()) {
            return Err(missing());
        }
        Ok((id, invite, row))
    }

    /// A group as whoever has an invite sees it.
    ///
    /// # Errors
    /// 404 for an invite that is none, or good no more.
    pub async fn look(&self, caller: Id, token: &str) -> Result<InviteLook> {
        let (id, ..) = self.invited_by(token).await?;
        let (head, info, member) = self.rows_of(caller, id).await?;
        let (Some(head), Some(info)) = (head, info) else { return Err(Error::not_found("invite")) };
        if member.is_some_and(|row| row.presence == Membership::Removed) {
            return Err(Error::not_found("invite"));
        }
        Ok(InviteLook {
            conversation_id: id,
            title: info.title,
            picture_url: info.picture.map(|picture| picture.url),
            member_count: head.members.into(),
            joined: member.is_some_and(|row| row.is_in()),
        })
    }

    /// Joins a group by an invite; again it changes nothing.
    ///
    /// # Errors
    /// 404 for an invite that is none, or good no more, 422 when the group is full.
    pub async fn join(&self, caller: Id, token: &str) -> Result<Conversation> {
        let hash = hash_of(token);
        let (id, invite) = match self.invited_by(token).await {
            Ok((id, invite, _)) => (id, invite),
            // Whoever is in by it stays in, also where they were the last.
            Err(error @ Error::Refused(_)) => {
                let place = self.core().store.get(&keys::invite(hash.as_bytes())).await?;
                let id = place.as_deref().and_then(Id::from_bytes).ok_or(error)?;
                let joined = self.conversation(caller, id).await;
                return joined.map_err(|error| error.refused_as(Error::not_found("invite")));
            }
            Err(error) => return Err(error),
        };
        self.act(caller, id, ChatAct::Joined { invite, members_max: self.members_max() }).await?;
        self.conversation(caller, id).await
    }

    /// Accepts a request, or an invitation to a group.
    ///
    /// # Errors
    /// 404 where the caller was not asked, 422 when the group is full.
    pub async fn accept(&self, caller: Id, id: Id) -> Result<Conversation> {
        self.act(caller, id, ChatAct::Accepted { members_max: Some(self.members_max()) }).await?;
        self.conversation(caller, id).await
    }

    /// Declines the requests and invitations of the caller that wait, as many as one call does. Whoever asked is not
    /// told.
    ///
    /// # Errors
    /// When the engine fails: some may be declined.
    pub async fn decline_all(&self, caller: Id) -> Result<RequestsDeclined> {
        let (requests, more) = self.requests(caller, DECLINED_AT_ONCE).await?;
        let mut declined = 0;
        for asked in requests.chunks(LIST_STEP) {
            let mut pending = Vec::with_capacity(asked.len());
            // Together: they share commits.
            for id in asked {
                let record = ChatRecord::new(*id, caller, ChatAct::Declined {});
                let writing = self.core().writing(caller).await?;
                pending.push((*id, self.0.owners.propose(*id, record).await?, writing));
            }
            let mut outcome = Ok(());
            for (id, one, _writing) in pending {
                match one.durable().await {
                    Ok(committed) if committed.outcome.came_about() => {
                        declined += 1;
                        self.tell_devices(caller, id);
                    }
                    // Accepted or gone meanwhile: nothing is left to decline.
                    Ok(_) => {}
                    Err(error) => outcome = Err(error),
                }
            }
            outcome?;
        }
        Ok(RequestsDeclined { declined, more })
    }

    /// Declines a request, or an invitation to a group. Whoever asked is not told.
    ///
    /// # Errors
    /// 404 where the caller was not asked.
    pub async fn decline(&self, caller: Id, id: Id) -> Result<()> {
        if self.act(caller, id, ChatAct::Declined {}).await?.came_about() {
            self.tell_devices(caller, id);
        }
        Ok(())
    }
}
