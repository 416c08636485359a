/** Types of chat.js. The wire protocol behind them is described in docs/protocol.md. */

/** The WebSocket subprotocol. */
export const PROTOCOL: 'chat.v1.json';

/** How a client is made. */
export interface Options {
  /** Where the chat is: absolute, or relative to the page (`/chat/ws`). */
  url: string;
  /**
   * The host's token. Leave it out where a cookie authenticates the connection.
   *
   * A function is asked at each connect, and again before the token ends, so that the connection lives on. If it
   * throws, the client tries again later; `null` says that nobody is logged in any more, and ends the client.
   */
  token?: string | (() => string | null | Promise<string | null>);
  /** Who this is, if known: then drafts of an earlier page are there at once. Another user's welcome ends the client. */
  user?: string;
  /** Where each room stands, from an earlier `cursors()`; without it, rooms begin at their head. */
  cursors?: Cursor[];
  /** Where drafts are kept until they are answered. Default: `sessionStorage`; `undefined` keeps them in memory only. */
  storage?: Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>;
  /** Another WebSocket, for tests and for runtimes without one. */
  WebSocket?: new (url: string, protocols: string[]) => WebSocket;
  /** Another source of chance for the waits between tries, 0 to 1. */
  random?: () => number;
  /** How long a request may take. Default: 15,000. */
  timeoutMs?: number;
}

/** The last position a client has of a room. */
export interface Cursor {
  room: string;
  seq: number;
  id?: string;
}

/** What an entry says. Kinds with a dot are the application's own. Show nothing for kinds you do not know. */
export type Body =
  | { kind: 'text'; text: string; reply_to?: number; data?: unknown }
  | { kind: 'edit'; target: number; text: string }
  | { kind: 'delete'; target: number }
  | { kind: 'react'; target: number; emoji: string; on: boolean }
  | { kind: 'erase'; targets: number[]; user: string }
  | { kind: 'member'; change: 'join' | 'leave' | 'role'; user: string; role?: Role }
  | { kind: 'room'; change: 'created' | 'set'; spec?: RoomSpec; title?: string; topic?: string; data?: unknown }
  | { kind: string; text?: string; data?: unknown };

/** One position of a room's log. */
export interface Entry {
  room: string;
  /** The position: 1, 2, 3… without holes. */
  seq: number;
  id: string;
  /** The key under which the author sent it. */
  key: string;
  author: string;
  /** The author's display name. */
  name: string;
  body: Body;
  /** When it was stored, in ms since 1970. */
  at: number;
  /** When the author sent it. */
  sent_at: number;
  /** What later entries did to it; only in history. */
  folded?: { edited?: number; deleted?: boolean; reactions?: { emoji: string; users: string[] }[] };
}

export type Role = 'member' | 'moderator' | 'owner';
export type Visibility = 'public' | 'private' | 'direct' | 'inbox';

/** Describes a room to be created. */
export interface RoomSpec {
  /** The host's own name; creating a named room twice gives the same room. */
  name?: string;
  title?: string;
  visibility?: 'public' | 'private';
  history?: 'all' | 'since_join';
  members?: string[];
  data?: unknown;
}

/** A room as a list shows it. */
export interface RoomSummary {
  room: string;
  name?: string;
  title: string;
  topic?: string;
  visibility: Visibility;
  history: 'all' | 'since_join';
  data?: unknown;
  created: number;
  /** The user's role and since when; absent for rooms the user is no member of. */
  role?: Role;
  since?: number;
  /** The other member of a direct room: its title. */
  with?: { user: string; name: string };
  head: number;
  read: number;
  unread: number;
  active: number;
  /** The last message. */
  last?: Entry;
}

export interface Member {
  user: string;
  name: string;
  role: Role;
  since: number;
  online: boolean;
}

/** What is never stored and may be lost. */
export type Signal =
  | { kind: 'typing'; room: string; user: string; name: string; on: boolean }
  | { kind: 'read'; room: string; seq: number }
  | { kind: 'presence'; user: string; online: boolean }
  | { kind: 'whisper'; room: string; user: string; text: string }
  | { kind: string; room: string; user: string; data: unknown };

export interface Welcome {
  user: string;
  name: string;
  /** The server's clock; keys follow it. */
  now: number;
  features: string[];
  commands: { name: string; help: string }[];
  limits: { frame_bytes: number; text_chars: number; rooms: number };
}

/** Where the connection stands. `closed` is final: the server said that connecting again is no use, or you closed. */
export type StateEvent =
  | { state: 'connecting' | 'online' }
  | { state: 'offline'; code: number; reason: string; retryInMs: number; tries: number }
  /** `code` is a close code, or the code of the error that `hello` was answered with. */
  | { state: 'closed'; code: number; reason: string; error?: ChatError };

/** What was posted, from the moment it was until the server answered. */
export interface Draft {
  readonly key: string;
  /** The room; for a first private message or a new room, known when stored. */
  readonly room?: string;
  readonly to?: string;
  readonly body?: Body;
  /** `accepted`: it was a command, and its answer comes by itself. `refused`: it is certainly not stored. */
  readonly status: 'waiting' | 'stored' | 'accepted' | 'refused';
  readonly seq?: number;
  readonly id?: string;
  readonly error?: ChatError;
  /** Resolves to the draft when it is stored or accepted; rejects with a {@link ChatError} when it is refused. */
  readonly done: Promise<Draft>;
}

/** Is why something was not done. */
export class ChatError extends Error {
  /** Stable: a name of the protocol, or `offline`, `timeout`. */
  name: string;
  /** The number of the protocol's code; 0 for what the client itself says. */
  code: number;
  /** Whether the same request may succeed later. */
  retryable: boolean;
  retryAfterMs: number;
  /** Fit to be shown to the person. */
  message: string;
}

export interface Events {
  state: StateEvent;
  /** Online: before anything that was missed. */
  welcome: Welcome;
  /** Each entry of each followed room, in order, once. */
  entry: Entry;
  signal: Signal;
  /** A draft is new, or was answered. */
  draft: Draft;
  /** Entries come from now on, after this position. Also said for rooms the user has just become a member of. */
  followed: Cursor;
  /** Entries come no more. */
  unfollowed: { room: string; why: 'left' | 'removed' | 'unfollowed' | string };
  /** These positions will not come. */
  gap: { room: string; from: number; to: number; why: 'retention' | 'not_visible' | 'unexplained' };
  /** What you have of this room is of another log: forget it and read its history again. */
  reset: { room: string };
  /** The authentication ends soon: call `refresh`, unless `token` is a function. */
  expiring: { at: number };
}

/** One user's connection to a chat. */
export class ChatClient {
  constructor(options: Options);

  readonly state: 'closed' | 'connecting' | 'online' | 'offline';
  readonly user: string | null;
  readonly server: Welcome | null;
  /** What was not answered yet; in order within each room. */
  readonly unsent: Draft[];

  /** Listens; returns a function that stops it. */
  on<Name extends keyof Events>(name: Name, listener: (event: Events[Name]) => void): () => void;

  connect(): void;
  close(): void;
  /** Call it when the network or the page came back; browsers' own events for that are listened to already. */
  wake(): void;
  refresh(token: string): Promise<void>;
  cursors(): Cursor[];

  /** All requests reject with a {@link ChatError}; at once while offline. */
  request(frame: { type: string; [field: string]: unknown }): Promise<Record<string, unknown>>;
  rooms(page?: { which?: 'mine' | 'public'; before?: number; limit?: number }): Promise<RoomSummary[]>;
  members(room: string, page?: { afterUser?: string; limit?: number }): Promise<Member[]>;
  history(room: string, page?: { before?: number; after?: number; limit?: number }): Promise<Entry[]>;
  follow(room: string, cursor?: Pick<Cursor, 'seq' | 'id'>): Promise<unknown>;
  unfollow(room: string): Promise<unknown>;

  /** Durable, also while offline: kept and sent again until answered. Throws if it is too long or too much waits. */
  post(target: string | { to: string }, body: Body): Draft;
  say(target: string | { to: string }, text: string, more?: { replyTo?: number }): Draft;
  create(spec: RoomSpec): Draft;
  join(room: string, user?: string): Draft;
  leave(room: string, user?: string): Draft;

  /** Never stored, lost while offline (a read mark is told later). Typing is told after 300 ms, then every 2 s. */
  typing(room: string, on?: boolean): void;
  read(room: string, seq: number): void;
  signal(room: string, kind: string, fields?: Record<string, unknown>): void;
}

/** Returns the wait before try number `attempt` (from 0), in ms: full jitter, at most 15 s. */
export function backoff(attempt: number, random?: () => number): number;
/** Makes a key (UUID version 7) of the time `ms`. */
export function keyAt(ms: number, bytes?: Uint8Array): string;
