// Keys that nobody else has made.

/** The part of Web Crypto that is used. Not `randomUUID`: pages over plain http, other than localhost, do not have it. */
export interface RandomSource {
  getRandomValues(bytes: Uint8Array): unknown;
}

/** 128 bits as 32 hexadecimal digits. They need not be secret: where there is no Web Crypto, chance will do. */
export function randomKey(source = (globalThis as { crypto?: RandomSource }).crypto): string {
  const bytes = new Uint8Array(16);
  if (source) source.getRandomValues(bytes);
  else for (let at = 0; at < bytes.length; at += 1) bytes[at] = Math.floor(Math.random() * 256);
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
