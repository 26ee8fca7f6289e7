//! Chat: conversations, messages, and what people do in them.

mod conversation;
mod frames;
mod message;
mod preferences;

pub use conversation::{
    Conversation, ConversationKind, ConversationPage, History, Invite, InviteLook, Member, MemberRole, NewConversation,
    NewInvite, Notify, PatchConversation, PatchPersonal, Personal, Receipt, RequestsDeclined, RoleChange,
    UnreadConversations,
};
pub use frames::{
    ConversationUpdated, KeyedMessage, MessageChanged, MessageRecalled, ReceiptChanged, SendMessage, Typing, Watermark,
};
pub use message::{
    Attachment, Change, ChangeKind, ChangePage, EarlierText, EditMessage, Forward, MentionedIn, Message, MessageKind,
    MessagePage, NewMessage, Quote, Reaction, Reactor, SystemEvent, SystemKind,
};
pub use preferences::{ChatPreferences, LastSeen, PatchChatPreferences, WhoMay};
