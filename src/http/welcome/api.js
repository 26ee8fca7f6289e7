// Calls of the API as one person, by that person's network. An application would use the SDK.

export class Api {
  constructor(network) {
    this.network = network;
    this.token = "";
    this.user = null;
  }

  async call(method, path, body) {
    const headers = body === undefined ? {} : { "content-type": "application/json" };
    if (this.token) headers.authorization = `Bearer ${this.token}`;
    const answer = await this.network.fetch("call", path, { method, headers, body: body && JSON.stringify(body) });
    if (!answer.ok) {
      const { detail } = await answer.json().catch(() => ({}));
      throw Object.assign(new Error(detail || `status ${answer.status}`), { status: answer.status });
    }
    return answer.status === 204 ? null : answer.json();
  }

  /** Logs in as the person whom the demo names. */
  async logIn(as) {
    const login = await this.call("GET", `/demo.json?as=${as}`);
    const session = await this.call("POST", "/v1/sessions", login);
    this.token = session.token;
    this.user = session.user;
  }

  post(text, replyTo) {
    return this.call("POST", "/v1/posts", replyTo ? { text, reply_to: replyTo } : { text });
  }

  like(id, on) {
    return this.call(on ? "PUT" : "DELETE", `/v1/posts/${id}/like`);
  }

  follow(id, on) {
    return this.call(on ? "PUT" : "DELETE", `/v1/users/${id}/follow`);
  }

  profile(id) {
    return this.call("GET", `/v1/users/${id}`);
  }
}

/** Whether id `a` is newer than `b`; decimal ids are longer than numbers can hold. */
export function newer(a, b) {
  return a.length === b.length ? a > b : a.length > b.length;
}
