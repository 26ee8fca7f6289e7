// The text/event-stream format, taken apart as it comes: any split of the text gives the same events. Pure.

/** Event of a stream. */
export interface SseEvent {
  /** The last `id:` up to here; `null` when there was none. */
  id: string | null;
  data: string;
}

/** Characters of one event; a longer one is dropped, so that a broken proxy cannot fill the memory. */
export const EVENT_CHARS_MAX = 16 << 20;

/** Feeds on text, gives events. */
export class SseParser {
  #rest = "";
  #data: string[] = [];
  #chars = 0;
  #id: string | null = null;
  #first = true;

  /** The events that end in `text`. */
  push(text: string): SseEvent[] {
    if (text === "") return [];
    const found: SseEvent[] = [];
    let buffer = this.#rest + text;
    // A byte order mark may open the stream.
    if (this.#first && buffer.startsWith("\uFEFF")) buffer = buffer.slice(1);
    this.#first = false;
    let start = 0;
    for (;;) {
      const end = lineEnd(buffer, start);
      if (end === null) break;
      this.#line(buffer.slice(start, end.at), found);
      start = end.next;
    }
    this.#rest = buffer.slice(start);
    if (this.#rest.length > EVENT_CHARS_MAX) this.#rest = "";
    return found;
  }

  #line(line: string, found: SseEvent[]): void {
    if (line === "") {
      if (this.#data.length > 0 && this.#chars <= EVENT_CHARS_MAX) {
        found.push({ id: this.#id, data: this.#data.join("\n") });
      }
      this.#data = [];
      this.#chars = 0;
      return;
    }
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    let value = colon < 0 ? "" : line.slice(colon + 1);
    if (value.startsWith(" ")) value = value.slice(1);
    if (name === "data") {
      this.#chars += value.length;
      if (this.#chars <= EVENT_CHARS_MAX) this.#data.push(value);
    }
    if (name === "id" && !value.includes("\0")) this.#id = value;
  }
}

/** End of the line that begins at `start`, and beginning of the next; `null` while that cannot be told. */
function lineEnd(text: string, start: number): { at: number; next: number } | null {
  for (let at = start; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === 10) return { at, next: at + 1 };
    if (code !== 13) continue;
    // The line feed that belongs to this carriage return may be in the next chunk.
    if (at + 1 === text.length) return null;
    return { at, next: text.charCodeAt(at + 1) === 10 ? at + 2 : at + 1 };
  }
  return null;
}
