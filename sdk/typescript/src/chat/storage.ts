// Storage of conversations and of what is to be sent, as a port; and the one that keeps nothing beyond the page.

import type { Id } from "../types.js";
import type { KeptConversation } from "./conversation.js";
import type { Outgoing } from "./outbox.js";

/** Everything that was kept. */
export interface KeptChat {
  /** Value of `changed_after`: the conversations are at least as new. */
  cursor: string | null;
  conversations: KeptConversation[];
  outbox: Outgoing[];
}

/** Changes to what is kept; what is absent stays. */
export interface KeptChanges {
  cursor?: string | null;
  conversations?: KeptConversation[];
  /** Conversations to be let go. */
  dropped?: Id[];
  outbox?: Outgoing[];
  /** `client_id`s that leave the outbox. */
  settled?: string[];
}

/** Storage of a person on a server; all tabs of a browser share it. */
export interface ChatStorage {
  load(): Promise<KeptChat>;
  /** All of the changes or none; durable when it resolves. Entries of the same id are replaced. */
  save(changes: KeptChanges): Promise<void>;
  /** Forgets everything: somebody logged out. */
  clear(): Promise<void>;
}

/** Storage by its name, which differs by server and person. */
export type OpenStorage = (name: string) => ChatStorage;

/** Keeps until the page is left. */
export class MemoryStorage implements ChatStorage {
  #cursor: string | null = null;
  readonly #conversations = new Map<Id, KeptConversation>();
  readonly #outbox = new Map<string, Outgoing>();

  async load(): Promise<KeptChat> {
    const [conversations, outbox] = [[...this.#conversations.values()], [...this.#outbox.values()]];
    return structuredClone({ cursor: this.#cursor, conversations, outbox });
  }

  async save(changes: KeptChanges): Promise<void> {
    const { cursor, conversations = [], dropped = [], outbox = [], settled = [] } = structuredClone(changes);
    if (cursor !== undefined) this.#cursor = cursor;
    for (const kept of conversations) this.#conversations.set(kept.conversation.id, kept);
    for (const id of dropped) this.#conversations.delete(id);
    for (const entry of outbox) this.#outbox.set(entry.message.client_id, entry);
    for (const id of settled) this.#outbox.delete(id);
  }

  async clear(): Promise<void> {
    this.#cursor = null;
    this.#conversations.clear();
    this.#outbox.clear();
  }
}
