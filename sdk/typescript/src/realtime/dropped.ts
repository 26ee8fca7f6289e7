// Posts that are gone with an account.

import type { AuthorDeleted, Post } from "../types.js";

/** Whether `post` is gone with the account that `event` tells of: it is theirs, or only passes on what was theirs. */
export function isDropped(post: Post, event: AuthorDeleted): boolean {
  const original = post.repost_of;
  const passesOn = post.text === "" && post.media.length === 0 && (post.reply_to ?? null) === null;
  return post.author.id === event.user_id || (passesOn && original?.author.id === event.user_id);
}
