// A browser with several tabs: its locks and channels, held by the test.

/** Locks and channels of one browser. */
export class FakeBrowser {
  channels = new Set();
  queues = new Map();
  platform() {
    const owner = {};
    return {
      owner,
      locks: { request: (name, options, callback) => this.request(name, options, callback, owner) },
      channel: (name) => {
        const channel = {
          name,
          owner,
          onmessage: null,
          postMessage: (message) => {
            const data = structuredClone(message);
            for (const other of this.channels) {
              if (other !== channel && other.name === name) queueMicrotask(() => this.channels.has(other) && other.onmessage?.({ data }));
            }
          },
          close: () => this.channels.delete(channel),
        };
        this.channels.add(channel);
        return channel;
      },
    };
  }
  /** A tab is gone without a word: its locks are free, and nothing reaches it. */
  crash({ owner }) {
    for (const channel of [...this.channels]) if (channel.owner === owner) this.channels.delete(channel);
    for (const [name, queue] of this.queues) {
      const left = queue.filter((entry) => entry.owner !== owner);
      this.queues.set(name, left);
      this.grant(left);
    }
  }
  request(name, options, callback, owner = null) {
    this.queues.set(name, this.queues.get(name) ?? []);
    const queue = this.queues.get(name);
    return new Promise((resolve, reject) => {
      const entry = { callback, resolve, reject, owner, held: false };
      options.signal?.addEventListener("abort", () => {
        if (entry.held) return;
        const at = queue.indexOf(entry);
        if (at >= 0) queue.splice(at, 1);
        reject(new Error("aborted"));
      });
      if (options.steal && queue[0]?.held) queue.shift().reject(new Error("stolen"));
      if (options.steal) queue.unshift(entry);
      else queue.push(entry);
      this.grant(queue);
    });
  }
  grant(queue) {
    const first = queue[0];
    if (!first || first.held) return;
    first.held = true;
    queueMicrotask(async () => {
      await first.callback();
      if (queue[0] !== first) return;
      queue.shift();
      first.resolve();
      this.grant(queue);
    });
  }
}
