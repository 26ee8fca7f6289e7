// A server of conversations that tests hold: the whole truth in memory, its answers as JSON, its frames to sessions.

const PAGE_DEFAULT = 20;

/** Conversations of some people. Every event has a number; `changed_after` is such a number. */
export class ChatServer {
  people = new Map();
  conversations = new Map();
  /** Functions that take frames, by person. */
  sessions = new Map();
  #ids = 1_000;
  #events = 0;
  /** Changes older than this many are no longer told. */
  changesKept = Infinity;
  /** Lists older than this many events are no longer told. */
  eventsKept = Infinity;

  person(name) {
    const author = { id: this.#id(), handle: name, display_name: name, avatar_url: null };
    this.people.set(author.id, author);
    return author.id;
  }

  #id() {
    this.#ids += 1;
    return String(this.#ids);
  }

  /** Hears frames of a person; answers how to stop. */
  session(user, hear) {
    const all = this.sessions.get(user) ?? new Set();
    this.sessions.set(user, all.add(hear));
    return () => all.delete(hear);
  }

  /** Tells the members something that is not kept. */
  frame(conversation, frame) {
    this.#tell(conversation, frame);
  }

  #tell(conversation, frame, to = (member) => member.here) {
    for (const [user, member] of conversation.members) {
      if (to(member, user)) for (const hear of this.sessions.get(user) ?? []) hear(structuredClone(frame));
    }
  }

  #touch(conversation, users = [...conversation.members.keys()]) {
    this.#events += 1;
    for (const user of users) {
      const member = conversation.members.get(user);
      if (member) member.event = this.#events;
    }
  }

  make(kind, owner, others, title = null) {
    const id = this.#id();
    const conversation = { id, kind, title, members: new Map(), messages: [], changes: [], sends: new Map() };
    this.conversations.set(id, conversation);
    for (const user of [owner, ...others]) this.#join(conversation, user, user === owner ? "owner" : "member");
    if (kind === "group") this.#system(conversation, owner, { kind: "created", user_ids: others });
    this.#touch(conversation);
    this.#tell(conversation, { type: "conversation.updated", data: { conversation_id: id } });
    return conversation;
  }

  #join(conversation, user, role) {
    const from = conversation.messages.length + 1;
    const old = conversation.members.get(user);
    const visible_from = old?.visible_from ?? from;
    const marks = { read: Math.max(old?.read ?? 0, from - 1), delivered: Math.max(old?.delivered ?? 0, from - 1) };
    conversation.members.set(user, { role, here: true, visible_from, joined: this.#id(), personal: {}, event: 0, ...marks });
  }

  #add(conversation, sender, body) {
    const seq = conversation.messages.length + 1;
    const message = { id: this.#id(), seq, sender, reactions: new Map(), edits: 0, recalled: false, ...body };
    conversation.messages.push(message);
    this.#touch(conversation);
    this.#tell(conversation, { type: "message", data: { key: message.id, ...this.message(conversation, message, null) } });
    return message;
  }

  #system(conversation, sender, system) {
    return this.#add(conversation, sender, { kind: "system", text: "", client_id: "", system });
  }

  /** A message as a person sees it; `null` is a frame, which is the same for all. */
  message(conversation, message, user) {
    const { id, seq, kind, client_id, recalled } = message;
    const quoted = message.reply_to && conversation.messages[message.reply_to - 1];
    const named = [...message.text.matchAll(/@(\w+)/g)].map((match) => [...this.people.values()].find((one) => one.handle === match[1]));
    const reactions = [...message.reactions].map(([emoji, users]) => {
      const shown = { emoji, count: users.length, user_ids: users.slice(-2) };
      return { ...shown, mine: user !== null && users.includes(user) };
    });
    return {
      id,
      conversation_id: conversation.id,
      seq,
      sender: this.people.get(message.sender),
      kind,
      text: message.text,
      attachment: null,
      client_id,
      mentions: named.filter(Boolean).map((one) => ({ id: one.id, handle: one.handle })),
      links: [],
      reply_to: quoted && !recalled ? quote(quoted) : null,
      reactions,
      edited_at: message.edits > 0 && !recalled ? at(message.edits) : null,
      recalled,
      ...(message.recalled_by ? { recalled_by: message.recalled_by } : {}),
      ...(message.system ? { system: message.system } : {}),
      created_at: at(id),
    };
  }

  view(conversation, user) {
    const member = conversation.members.get(user);
    const last = conversation.messages.at(-1);
    const unread = conversation.messages.slice(member.read).filter(({ kind, sender }) => kind !== "system" && sender !== user);
    const names = (message) => this.message(conversation, message, user).mentions.some(({ id }) => id === user);
    const peer = conversation.kind === "direct" ? [...conversation.members.keys()].find((one) => one !== user) : null;
    return {
      id: conversation.id,
      kind: conversation.kind,
      title: conversation.title,
      picture_url: null,
      peer: peer ? this.people.get(peer) : null,
      member_count: [...conversation.members.values()].filter(({ here }) => here).length,
      role: member.role,
      history: "from_join",
      announcements_only: false,
      slow_mode_s: 0,
      last_message: last && last.seq >= member.visible_from ? this.message(conversation, last, user) : null,
      last_seq: conversation.messages.length,
      change_seq: conversation.changes.length,
      visible_from: member.visible_from,
      read_seq: member.read,
      unread_count: unread.length,
      mention_count: unread.filter(names).length,
      is_request: false,
      ...(member.here ? {} : { left: true }),
      ...(member.here && isHidden(conversation, member) ? { hidden: true } : {}),
      personal: { ...member.personal },
      created_at: at(conversation.id),
    };
  }

  /** Sends once a `client_id`; refusals are remembered. */
  send(conversation, sender, { client_id, text, kind = "text", reply_to = null }) {
    const key = `${sender} ${client_id}`;
    const before = conversation.sends.get(key);
    if (before) return before;
    const refused = text.includes("refuse") ? problem(403, "forbidden") : null;
    const sent = refused ?? this.#add(conversation, sender, { kind, text, client_id, reply_to });
    conversation.sends.set(key, sent);
    if (!refused) this.#mark(conversation, sender, "read", sent.seq, false);
    return sent;
  }

  #change(conversation, kind, message) {
    const after = conversation.changes.length;
    conversation.changes.push({ kind, seq: message.seq });
    this.#touch(conversation);
    const head = { key: this.#id(), after, change_seq: after + 1 };
    if (kind === "recalled") {
      const by = message.recalled_by ? { recalled_by: message.recalled_by } : {};
      const data = { ...head, conversation_id: conversation.id, seq: message.seq, ...by };
      return this.#tell(conversation, { type: "message.recalled", data }, (member) => member.here && message.seq >= member.visible_from);
    }
    const data = { ...head, message: this.message(conversation, message, null) };
    this.#tell(conversation, { type: "message.updated", data });
  }

  edit(conversation, message, text) {
    if (message.recalled || message.kind === "system") return;
    Object.assign(message, { text, edits: message.edits + 1 });
    this.#change(conversation, "edited", message);
  }

  recall(conversation, message, by) {
    if (message.recalled || message.kind === "system") return;
    message.reactions.clear();
    Object.assign(message, { text: "", recalled: true, ...(by === message.sender ? {} : { recalled_by: by }) });
    this.#change(conversation, "recalled", message);
  }

  react(conversation, message, user, emoji) {
    if (message.recalled || message.kind === "system") return;
    const users = message.reactions.get(emoji) ?? [];
    const now = users.includes(user) ? users.filter((one) => one !== user) : [...users, user];
    if (now.length > 0) message.reactions.set(emoji, now);
    else message.reactions.delete(emoji);
    this.#change(conversation, "reacted", message);
  }

  rename(conversation, by, title) {
    conversation.title = title;
    this.#system(conversation, by, { kind: "settings_changed", user_ids: [], title });
    this.#tell(conversation, { type: "conversation.updated", data: { conversation_id: conversation.id } });
  }

  add(conversation, by, user) {
    if (conversation.members.get(user)?.here) return;
    this.#join(conversation, user, "member");
    this.#system(conversation, by, { kind: "added", user_ids: [user] });
    this.#tell(conversation, { type: "conversation.updated", data: { conversation_id: conversation.id } });
  }

  remove(conversation, by, user) {
    const member = conversation.members.get(user);
    if (!member?.here) return;
    member.here = false;
    this.#touch(conversation);
    const data = { conversation_id: conversation.id };
    this.#tell(conversation, { type: "conversation.updated", data: { ...data, left: true } }, (_, one) => one === user);
    this.#system(conversation, by, { kind: by === user ? "left" : "removed", user_ids: [user] });
    this.#tell(conversation, { type: "conversation.updated", data });
  }

  /** Moves a mark; `tells` it, but for that of whoever speaks: their message says it. */
  #mark(conversation, user, which, seq, tells = true) {
    const member = conversation.members.get(user);
    if (seq <= member[which]) return;
    member[which] = seq;
    if (which === "read") member.delivered = Math.max(member.delivered, seq);
    this.#touch(conversation, [user]);
    if (!tells) return;
    const receipt = { user_id: user, delivered_seq: member.delivered, read_seq: member.read };
    this.#tell(conversation, { type: "receipt", data: { conversation_id: conversation.id, receipts: [receipt] } });
  }

  mark(conversation, user, which, seq) {
    if (seq > conversation.messages.length) return problem(422, "validation_failed");
    this.#mark(conversation, user, which, seq);
    return {};
  }

  personal(conversation, user, patch) {
    const member = conversation.members.get(user);
    Object.assign(member.personal, patch);
    this.#touch(conversation, [user]);
    const data = { conversation_id: conversation.id };
    this.#tell(conversation, { type: "conversation.updated", data }, (_, one) => one === user);
    return member.personal;
  }

  /** Hides it from the person until something new comes. */
  hide(conversation, user) {
    conversation.members.get(user).hidden = conversation.messages.length;
    return this.personal(conversation, user, {});
  }

  /** Answer to a request of a person: `{status, body}`. */
  ask(user, method, url, body) {
    const { pathname, searchParams: query } = new URL(url);
    const [, , top, id, part, item] = pathname.split("/");
    if (top !== "conversations") return problem(404, "not_found");
    if (!id) return method === "POST" ? this.#made(user, body) : this.#listed(user, query);
    if (id === "unread") return { status: 200, body: this.#unread(user) };
    const conversation = this.conversations.get(id);
    if (!conversation?.members.get(user)?.here) return problem(404, "not_found");
    const answer = this.#about(conversation, user, `${method} ${part ?? ""}`, { query, body, item });
    return answer?.problem ? answer : { status: 200, body: answer };
  }

  #about(conversation, user, call, { query, body, item }) {
    const number = (name) => (query.has(name) ? Number(query.get(name)) : null);
    const limit = number("limit") ?? PAGE_DEFAULT;
    switch (call) {
      case "GET ":
        return this.view(conversation, user);
      case "GET messages":
        return this.#page(conversation, user, { limit, before: number("before_seq"), after: number("after_seq"), around: number("around_seq") });
      case "POST messages": {
        const sent = this.send(conversation, user, body);
        return sent.problem ? sent : this.message(conversation, sent, user);
      }
      case "GET changes":
        return this.#changes(conversation, user, number("after"), limit);
      case "GET receipts":
        return this.#paged(query, limit, this.receipts(conversation));
      case "GET members":
        return this.#paged(query, limit, this.members(conversation));
      case "PUT read":
        return this.mark(conversation, user, "read", body.seq);
      case "PUT delivered":
        return this.mark(conversation, user, "delivered", body.seq);
      case "PUT personal":
        return this.personal(conversation, user, body);
      case "DELETE ":
        return this.hide(conversation, user);
      case "DELETE members":
        this.remove(conversation, user, item);
        return {};
      default:
        return problem(404, "not_found");
    }
  }

  receipts(conversation) {
    const here = [...conversation.members].filter(([, { here }]) => here);
    return here.map(([user_id, { read, delivered }]) => ({ user_id, delivered_seq: delivered, read_seq: read }));
  }

  members(conversation) {
    const here = [...conversation.members].filter(([, { here }]) => here);
    return here.map(([user, { role, joined }]) => ({ user: this.people.get(user), role, joined_at: at(joined) }));
  }

  #paged(query, limit, items) {
    const from = Number(query.get("cursor") ?? 0);
    const next_cursor = from + limit < items.length ? String(from + limit) : null;
    return { items: items.slice(from, from + limit), next_cursor };
  }

  #page(conversation, user, { limit, before, after, around }) {
    const { visible_from } = conversation.members.get(user);
    const { messages, changes } = conversation;
    const seen = messages.filter(({ seq }) => seq >= visible_from);
    let items;
    if (after !== null) items = seen.filter(({ seq }) => seq > after).slice(0, limit);
    else if (around !== null) items = seen.filter(({ seq }) => seq >= around - limit / 2 && seq <= around).slice(-limit).reverse();
    else items = seen.filter(({ seq }) => before === null || seq < before).slice(-limit).reverse();
    const shown = items.map((message) => this.message(conversation, message, user));
    return { items: shown, last_seq: messages.length, change_seq: changes.length, visible_from };
  }

  #changes(conversation, user, after, limit) {
    const { visible_from } = conversation.members.get(user);
    const { messages, changes } = conversation;
    if (changes.length - after > this.changesKept) return problem(410, "snapshot_expired");
    const items = changes.slice(after, after + limit).map(({ kind, seq }, at) => {
      const message = seq >= visible_from ? this.message(conversation, messages[seq - 1], user) : null;
      return { change_seq: after + at + 1, kind, seq, message };
    });
    return { items, change_seq: changes.length };
  }

  /** The list that a person sees, newest message first. */
  list(user) {
    const shown = (one) => one.members.get(user)?.here && !isHidden(one, one.members.get(user));
    const mine = [...this.conversations.values()].filter(shown);
    const views = mine.map((conversation) => this.view(conversation, user));
    return views.sort((a, b) => Number(b.last_message?.id ?? b.id) - Number(a.last_message?.id ?? a.id));
  }

  #listed(user, query) {
    const limit = Number(query.get("limit") ?? PAGE_DEFAULT);
    const changes_cursor = String(this.#events);
    if (!query.has("changed_after")) {
      const folder = query.get("folder") === "archived";
      const items = this.list(user).filter(({ personal }) => (personal.archived ?? false) === folder);
      const listed = query.get("folder") === "requests" ? [] : items;
      return { status: 200, body: { ...this.#paged(query, limit, listed), changes_cursor } };
    }
    // `next_cursor` of such a page: the event, and where it goes on.
    const [after, from = 0] = query.get("changed_after").split("_").map(Number);
    if (this.#events - after > this.eventsKept) return problem(410, "snapshot_expired");
    const mine = [...this.conversations.values()].filter(({ members }) => (members.get(user)?.event ?? 0) > after);
    const items = mine.map((conversation) => this.view(conversation, user));
    const next_cursor = from + limit < items.length ? `${after}_${from + limit}` : null;
    return { status: 200, body: { items: items.slice(from, from + limit), next_cursor, changes_cursor } };
  }

  #unread(user) {
    const sum = { conversations: 0, messages: 0, mentions: 0, requests: 0 };
    for (const one of this.list(user).filter(({ personal }) => !personal.archived)) {
      sum.conversations += one.unread_count > 0 || one.personal.marked_unread ? 1 : 0;
      sum.messages += one.unread_count;
      sum.mentions += one.mention_count;
    }
    return sum;
  }

  #made(user, { kind, member_ids, title }) {
    const same = (one) => one.kind === "direct" && one.members.has(user) && one.members.has(member_ids[0]);
    const old = kind === "direct" ? [...this.conversations.values()].find(same) : null;
    return { status: old ? 200 : 201, body: this.view(old ?? this.make(kind, user, member_ids, title), user) };
  }
}

function quote({ seq, sender, kind, text, recalled }) {
  return { seq, sender_id: sender, kind, text: text.slice(0, 200), recalled };
}

function isHidden({ messages }, { hidden }) {
  return hidden !== undefined && messages.length <= hidden;
}

/** A moment that a number stands for. */
function at(number) {
  return new Date(1_767_225_600_000 + Number(number) * 1_000).toISOString();
}

export function problem(status, code) {
  return { status, problem: true, body: { type: `/docs/problems#${code}`, title: code, status, detail: code, code } };
}
