// Lines of a conversation as a screen shows them: messages that arrived, without a hole, and behind them own ones on their
// way. An own message that was answered stays at the end until everything before it is here.

import type { Id } from "../types.js";
import type { ConversationState } from "./conversation.js";
import { progress } from "./derive.js";
import type { ChatOutbox, Outgoing } from "./outbox.js";
import type { Message } from "./types.js";

/** Line of a conversation: a message that arrived, or an own one on its way. */
export interface Line {
  /** Key of the line for as long as it is there: an own message keeps it when it arrives. */
  key: string;
  /** Way of an own message; `null` for those of others. */
  state: Outgoing["state"] | "sent" | "delivered" | "read" | null;
  message: Message | null;
  /** The own message that is on its way, or failed with `problem`. */
  outgoing: Outgoing | null;
}

export class Lines {
  readonly #made = new Map<Id, readonly Line[]>();
  /** Own messages that were answered, by conversation and `client_id`. */
  readonly #ahead = new Map<Id, Map<string, Message>>();

  constructor(
    private readonly me: Id,
    private readonly state: (id: Id) => ConversationState | undefined,
    private readonly outbox: () => ChatOutbox,
  ) {}

  /** Lines, oldest first; the same array until something of them changes. */
  of(id: Id): readonly Line[] {
    const made = this.#made.get(id) ?? this.#make(id);
    this.#made.set(id, made);
    return made;
  }

  /** An own message was answered. */
  answered(message: Message): void {
    const ahead = this.#ahead.get(message.conversation_id) ?? new Map<string, Message>();
    this.#ahead.set(message.conversation_id, ahead.set(message.client_id, message));
  }

  /** Something of the conversation changed: what has arrived is on its way no more. */
  changed(id: Id): void {
    this.#made.delete(id);
    const window = this.state(id)?.window;
    if (!window) return;
    const ahead = this.#ahead.get(id);
    for (const [clientId, message] of ahead ?? []) if (message.seq <= window.to) ahead?.delete(clientId);
    if (ahead?.size === 0) this.#ahead.delete(id);
    const outbox = this.outbox();
    const waiting = new Set(outbox.of(id).map((entry) => entry.message.client_id));
    if (waiting.size === 0) return;
    for (const message of window.messages) {
      if (message.sender.id === this.me && waiting.has(message.client_id)) outbox.seen(message);
    }
  }

  clear(): void {
    this.#made.clear();
    this.#ahead.clear();
  }

  forget(id: Id): void {
    this.#made.delete(id);
    this.#ahead.delete(id);
  }

  #make(id: Id): Line[] {
    const state = this.state(id);
    const others = [...(state?.receipts.values() ?? [])].filter((receipt) => receipt.user_id !== this.me);
    const line = (message: Message): Line => {
      const own = message.sender.id === this.me && message.client_id !== "";
      return { key: own ? message.client_id : message.id, state: own ? progress(message, others) : null, message, outgoing: null };
    };
    const arrived = (state?.window.messages ?? []).map(line);
    const shown = new Set(arrived.map(({ key }) => key));
    const answered = [...(this.#ahead.get(id)?.values() ?? [])].sort((a, b) => a.seq - b.seq);
    const ahead = answered.map((message) => line(state?.window.requoted(message, answered) ?? message));
    const waiting = this.outbox()
      .of(id)
      .map((entry): Line => ({ key: entry.message.client_id, state: entry.state, message: null, outgoing: { ...entry } }));
    return [...arrived, ...[...ahead, ...waiting].filter(({ key }) => !shown.has(key))];
  }
}
