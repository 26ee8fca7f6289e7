// Types of the API: media. Generated from the server's description of itself by scripts/types.mjs: do not edit.

import type { Id, Timestamp } from "./common.js";

/** Uploaded file. */
export interface Media {
  /** Alternative text: what the picture shows, in words. */
  alt?: string | null | undefined;
  /** Size as served. */
  bytes: number;
  /** Found from the bytes, not from what the client said. */
  content_type: string;
  /**
   * Moment from which the addresses of an upload for messages are good no more: whoever sees the message reads it
   * again for fresh ones.
   */
  expires_at?: Timestamp | null | undefined;
  /** Pixels, for images. */
  height?: number | null | undefined;
  /** The upload. */
  id: Id;
  /** Picture or file. */
  kind: MediaKind;
  /**
   * A sentence for the uploader, where there is something to say: a file of a type whose metadata cannot be removed
   * is stored as it came.
   */
  notice?: string | null | undefined;
  /** A small picture, for images. */
  thumbnail_url?: string | null | undefined;
  /** Address that it is served under. That of an upload for messages is signed, and good until `expires_at`. */
  url: string;
  /** Pixels, for images. */
  width?: number | null | undefined;
}

/** Whether the media can be shown as a picture. */
export type MediaKind = "image" | "file";

/** The parts of an upload. */
export interface NewMedia {
  /** Alternative text: what the picture shows, up to 1,500 characters. */
  alt?: string | undefined;
  /** The picture or file. */
  file: Blob;
  /** Purpose of an upload that is not for everybody: `message` for one that stands in messages alone. */
  purpose?: "message" | null | undefined;
}

/** An upload as it is served. */
export type Served = Blob;
