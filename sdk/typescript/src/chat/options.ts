// Options of chat, and what applications hand to it.

import type { Id } from "../types.js";
import type { OpenStorage } from "./storage.js";
import type { NewMessage } from "./types.js";

/** Choices of chat. */
export interface ChatOptions {
  /** The person whose conversations these are: the user of the log-in. */
  me: Id;
  /** Keeps conversations and what is to be sent beyond the page, such as `indexedDb`; nothing is kept without it. */
  storage?: OpenStorage | undefined;
  /** Keeps the messages of conversations that the person left or was removed from; they are dropped without it. */
  keepLeft?: boolean | undefined;
  /** Hears what goes wrong in the background, such as a storage that is full. */
  onError?: ((error: unknown) => void) | undefined;
}

/** A message to be written: text alone, or with an upload. */
export type Draft = Omit<NewMessage, "client_id" | "kind"> & { kind?: NewMessage["kind"] | undefined };
