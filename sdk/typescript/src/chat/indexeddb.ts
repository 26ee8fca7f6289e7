// Storage in the browser's database: conversations and the outbox outlive a reload, and all tabs share them.

import type { KeptConversation } from "./conversation.js";
import type { Outgoing } from "./outbox.js";
import type { ChatStorage, KeptChanges, KeptChat } from "./storage.js";

/** Raised when what is kept changes its shape: an older shape is let go, but for what waits to be sent. */
const SHAPE = 1;
const STORES = ["facts", "conversations", "outbox"] as const;

/** Keeps in IndexedDB, in a database of this name. */
export function indexedDb(name: string): ChatStorage {
  return new IndexedDbStorage(name);
}

class IndexedDbStorage implements ChatStorage {
  #opened: Promise<IDBDatabase> | null = null;

  constructor(private readonly name: string) {}

  async load(): Promise<KeptChat> {
    const transaction = (await this.#database()).transaction(STORES, "readonly");
    const [facts, conversations, outbox] = STORES.map((store) => transaction.objectStore(store));
    const cursor = wait(facts!.get("cursor"));
    const kept = wait(conversations!.getAll());
    const waiting = wait(outbox!.getAll());
    return {
      cursor: ((await cursor) as string | undefined) ?? null,
      conversations: (await kept) as KeptConversation[],
      outbox: (await waiting) as Outgoing[],
    };
  }

  async save(changes: KeptChanges): Promise<void> {
    // Strict: what waits to be sent must be there after the machine lost its power.
    const transaction = (await this.#database()).transaction(STORES, "readwrite", { durability: "strict" });
    const done = finished(transaction);
    const [facts, conversations, outbox] = STORES.map((store) => transaction.objectStore(store));
    if (changes.cursor !== undefined) facts!.put(changes.cursor, "cursor");
    for (const kept of changes.conversations ?? []) conversations!.put(kept, kept.conversation.id);
    for (const id of changes.dropped ?? []) conversations!.delete(id);
    for (const entry of changes.outbox ?? []) outbox!.put(entry, entry.message.client_id);
    for (const id of changes.settled ?? []) outbox!.delete(id);
    await done;
  }

  async clear(): Promise<void> {
    const transaction = (await this.#database()).transaction(STORES, "readwrite");
    const done = finished(transaction);
    for (const store of STORES) transaction.objectStore(store).clear();
    await done;
  }

  #database(): Promise<IDBDatabase> {
    this.#opened ??= this.#open().catch((error: unknown) => {
      this.#opened = null;
      throw error;
    });
    return this.#opened;
  }

  async #open(): Promise<IDBDatabase> {
    const request = indexedDB.open(this.name, SHAPE);
    request.onupgradeneeded = () => {
      const have = [...request.result.objectStoreNames];
      for (const store of ["facts", "conversations"]) if (have.includes(store)) request.result.deleteObjectStore(store);
      for (const store of STORES) if (!request.result.objectStoreNames.contains(store)) request.result.createObjectStore(store);
    };
    const database = await wait(request);
    // Another tab has a newer shape, or the browser closes it: it is opened again when it is needed.
    const gone = () => {
      database.close();
      this.#opened = null;
    };
    database.onversionchange = gone;
    database.onclose = gone;
    return database;
  }
}

function wait<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function finished(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error);
  });
}
