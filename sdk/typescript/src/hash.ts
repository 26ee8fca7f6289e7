// Names that do not show what they were made of.

/** FNV-1a, twice with different seeds: names are no secrets, tokens are. */
export function hash(text: string): string {
  let [a, b] = [0x811c9dc5, 0xc9dc5811];
  for (let at = 0; at < text.length; at += 1) {
    a = Math.imul(a ^ text.charCodeAt(at), 0x01000193);
    b = Math.imul(b ^ text.charCodeAt(at), 0x01000193);
  }
  return [a, b].map((part) => (part >>> 0).toString(16).padStart(8, "0")).join("");
}
