// What is shown of posts and notifications. Texts are set as text, never as markup.

/** A new element. */
export function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

/** A number as people write it. */
export function count(number) {
  return Math.round(number).toLocaleString("en");
}

/** One or many of something. */
export function many(number, one, more = `${one}s`) {
  return `${count(number)} ${number === 1 ? one : more}`;
}

/** The first letter of a name on a colour of its own. */
export function face(person, className = "") {
  const hue = [...person.handle].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 9973, 7) % 12;
  const element = make("span", `face hue${hue} ${className}`, [...person.display_name][0]);
  element.setAttribute("aria-hidden", "true");
  return element;
}

const DID = {
  like: "liked your post",
  reply: "replied to you",
  follow: "followed you",
  repost: "reposted your post",
  mention: "mentioned you",
  live: "is live",
};

/** A notification in words. */
export function sentence({ kind, actor, count: people, post }) {
  const others = people > 1 ? ` and ${many(people - 1, "other")}` : "";
  const what = DID[kind] ?? "did something that concerns you";
  const text = post?.text ? ` “${[...post.text].slice(0, 40).join("")}${[...post.text].length > 40 ? "…" : ""}”` : "";
  return `${actor.display_name}${others} ${what}${text}`;
}

function byLine(post, small) {
  const by = make("div", "by");
  by.append(face(post.author, small ? "small" : ""), make("b", "", post.author.display_name), make("span", "soft handle", `@${post.author.handle}`));
  const at = make("time", "soft", new Date(post.created_at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
  at.dateTime = post.created_at;
  by.append(at);
  return by;
}

function body(post) {
  const parts = [];
  if (post.text) parts.push(make("p", "text", post.text));
  for (const media of post.media) {
    if (media.kind !== "image") continue;
    const picture = make("img");
    picture.src = media.thumbnail_url || media.url;
    picture.alt = media.alt || "";
    picture.loading = "lazy";
    parts.push(picture);
  }
  return parts;
}

/** A card in somebody's feed. `acts` says what its buttons do: like(post, on), reply(post, text); `chip` names the author's way. */
export class Card {
  constructor(post, chip, acts) {
    this.post = post;
    this.acts = acts;
    this.element = make("li", "card");
    this.element.dataset.id = post.id;
    this.arrival = make("p", "arrival");
    this.arrival.hidden = true;
    this.element.append(byLine(post, false));
    if (post.reply_to) this.element.append(make("p", "soft kind", "in reply"));
    this.element.append(...body(post));
    if (post.repost_of) {
      const passedOn = make("blockquote");
      passedOn.append(byLine(post.repost_of, true), ...body(post.repost_of));
      this.element.append(make("p", "soft kind", post.text ? "quotes" : "reposts"), passedOn);
    }
    this.element.append(this.arrival, this.#foot(chip));
  }

  /** How it came, in words; `kind` chooses the colour. */
  came(words, kind = "") {
    this.arrival.textContent = words;
    this.arrival.className = `arrival ${kind}`;
    this.arrival.hidden = false;
  }

  /** Counts that changed elsewhere. */
  counted({ like_count: likes, reply_count: replies }) {
    if (likes !== undefined) this.post.like_count = likes;
    if (replies !== undefined) this.post.reply_count = replies;
    this.#label();
  }

  #foot(chip) {
    const foot = make("div", "foot");
    this.likes = make("button", "quiet");
    this.replies = make("button", "quiet");
    this.likes.type = this.replies.type = "button";
    this.likes.addEventListener("click", () => this.acts.like(this, !this.post.liked));
    this.replies.addEventListener("click", () => this.#reply());
    foot.append(this.likes, this.replies, chip);
    this.#label();
    return foot;
  }

  #label() {
    const { like_count: likes, reply_count: replies, liked } = this.post;
    this.likes.textContent = `${liked ? "♥" : "♡"} ${liked ? "Liked" : "Like"}${likes ? ` · ${count(likes)}` : ""}`;
    this.likes.setAttribute("aria-pressed", String(Boolean(liked)));
    this.replies.textContent = `↩ Reply${replies ? ` · ${count(replies)}` : ""}`;
  }

  #reply() {
    const open = this.element.querySelector("form");
    if (open) return open.remove();
    const form = make("form", "reply");
    const input = make("input");
    input.setAttribute("aria-label", `Reply to ${this.post.author.display_name}`);
    input.maxLength = 300;
    input.value = "Yes, and this is my reply!";
    form.append(input, make("button", "", "Send"));
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (input.value.trim() && (await this.acts.reply(this, input.value))) form.remove();
    });
    this.element.append(form);
    input.select();
  }
}
