// The network between one person and the server, with a switch. Off, it really ends what is open and refuses what is new:
// the server loses the session and learns nothing of it. Single transports can be blocked too, as some proxies do.

/** Closes a WebSocket; one that is not open yet when it is, or the browser complains. */
export function close(socket) {
  if (socket.readyState === WebSocket.CONNECTING) socket.onopen = () => socket.close();
  else socket.close();
}

/** Milliseconds until a blocked way says so: long enough to be seen. */
const REFUSED_MS = 350;

export class Network {
  /** Off: nothing passes. */
  cut = false;
  /** Transports that something in between refuses. */
  blocked = new Set();
  /** What is open, by what carries it: a call each to end it. */
  #open = new Map();

  passes(carrier) {
    return !this.cut && !this.blocked.has(carrier);
  }

  setCut(cut) {
    this.cut = cut;
    this.#sweep();
  }

  setBlocked(carrier, blocked) {
    if (blocked) this.blocked.add(carrier);
    else this.blocked.delete(carrier);
    this.#sweep();
  }

  /** `fetch`, by this network. `carrier` is a transport, or `call` for what is none. */
  async fetch(carrier, path, options = {}) {
    await this.#gate(carrier);
    const ending = new AbortController();
    const end = () => ending.abort(new TypeError("the network is cut"));
    const outer = options.signal;
    outer?.addEventListener("abort", end, { once: true });
    this.#open.set(end, carrier);
    const answer = await fetch(path, { ...options, signal: ending.signal }).catch((error) => {
      this.#open.delete(end);
      throw error;
    });
    // A stream stays open until somebody ends it; everything else is small and all there.
    if (!(answer.headers.get("content-type") ?? "").startsWith("text/event-stream")) this.#open.delete(end);
    return answer;
  }

  /** A WebSocket by this network. */
  async socket(path) {
    await this.#gate("websocket");
    const socket = new WebSocket(location.origin.replace(/^http/, "ws") + path);
    const end = () => {
      this.#open.delete(end);
      // The closing handshake would take its time; what hears of it is told at once.
      socket.onmessage = null;
      socket.onclose?.({ code: 1006 });
      socket.onclose = null;
      close(socket);
    };
    this.#open.set(end, "websocket");
    socket.addEventListener("close", () => this.#open.delete(end));
    return socket;
  }

  async #gate(carrier) {
    if (this.passes(carrier)) return;
    await new Promise((wake) => setTimeout(wake, REFUSED_MS));
    if (!this.passes(carrier)) throw new TypeError(this.cut ? "the network is cut" : "something in between refuses this");
  }

  #sweep() {
    for (const [end, carrier] of [...this.#open]) {
      if (this.passes(carrier)) continue;
      this.#open.delete(end);
      end();
    }
  }
}
