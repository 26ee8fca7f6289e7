//! Chat: conversations, messages, and what people do in them.

mod conversation;
mod frames;
mod message;
mod preferences;

pub use conversation::{
    Conversation, ConversationKind, ConversationPage, History, Invite, InviteLook, Member, MemberRole, NewConversation,
    NewInvite, Notify, PatchConversation, PatchPersonal, Personal, Receipt, RoleChange, UnreadConversations,
};
pub use frames::{
    ConversationUpdated, KeyedMessage, MessageChanged, MessageRecalled, ReceiptChanged, SendMessage, Typing, Watermark,
};
pub use message::{
    Attachment, Change, ChangeKind, ChangePage, EarlierText, EditMessage, Forward, MentionedIn, Message, MessageKind,
    MessagePage, NewMessage, Quote, Reaction, SystemEvent, SystemKind,
};
pub use preferences::{ChatPreferences, PatchChatPreferences, WhoMay};
