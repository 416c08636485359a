"""A client of the protocol `chat.v1.json`, as a module and as a small chat in the terminal.

It was written after docs/protocol.md alone. "Rule 5" and the like are the rules for clients on that page.
"""

import asyncio
import contextlib
import getpass
import itertools
import json
import os
import random
import secrets
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections import defaultdict
from dataclasses import dataclass

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus, WebSocketException

PROTOCOL = "chat.v1.json"
SENDS_UNDER_WAY = 16
RETRYABLE = {"retry", "behind", "rate_limited", "draining"}
FINAL_CLOSE_CODES = {1000, 1002, 1003, 1007, 1008, 1009, 4001, 4002, 4003, 4020}
CUT = {"type": "error", "name": "retry", "message": "the connection was cut", "retryable": True}
TOO_LONG = {"type": "error", "name": "invalid_body", "message": "this is too long", "retryable": False}


class Ended(Exception):
    """It is no use to connect again."""


@dataclass(eq=False)
class Draft:
    """Something to be stored, on the list of what is unsent until its final answer."""

    request: dict
    answer: asyncio.Future
    ref: int | None = None  # of the try that is under way
    apart: bool = False  # a command that was refused for now: nobody waits for it

    @property
    def lane(self):
        """Drafts of one lane keep their order. Those to a user have one of their own."""
        return self.request["key"] if self.apart else self.request.get("room") or self.request.get("to")


@dataclass(eq=False)
class Lane:
    """How the drafts to one room get on (rules 5 and 6)."""

    pauses: int = 0
    refusals: int = 0
    refused: Draft | None = None  # the server waits for it, and so do all later ones


class Chat:
    """A chat that survives its connections; `run` it in a task.

    `tell` is called with each frame that an application wants to know of: `followed`, `unfollowed`, `entry`, `gap`,
    `reset` and `signal`, and with one of the type `missing` for positions that the server owes. `token` returns a
    token; it is called, in a thread, for each connection and whenever a token is about to end.
    """

    def __init__(self, url, token=None, tell=print):
        self.url, self.token, self.tell = url, token, tell
        self.user = None
        self.limits = {"rooms": 256, "frame_bytes": 65536}
        self.server_ahead = 0  # of our clock, in milliseconds
        self.cursors = {}  # by room, the liveliest last
        self.unsent = []
        self.lanes = defaultdict(Lane)
        self.questions = {}  # futures by ref
        self.refs = itertools.count(1)
        self.outbox = self.greeted_at = self.closing = None  # of the connection that is up
        self.online = asyncio.Event()
        self.tasks = set()

    def send(self, body, **where):
        """Posts a body to a `room` or `to` a user. The future returned gets `ack`, `accepted` or a final `error`."""
        return self._keep({"type": "send", **where, "body": body})

    def create(self, **spec):
        """Creates a room. The future returned gets an `ack` with its id, or a final `error`."""
        return self._keep({"type": "create", "spec": spec})

    def signal(self, room, signal, **fields):
        """Says something that is never stored, and is lost where there is no connection."""
        self._say({"type": "signal", "room": room, "signal": signal, **fields})

    async def ask(self, type, **fields):
        """Asks once, when there is a connection, and returns the answer, which may be an `error`."""
        await self.online.wait()
        ref, answer = next(self.refs), asyncio.get_running_loop().create_future()
        self.questions[ref] = answer
        self._say({"type": type, "ref": ref, **fields})
        return await answer

    async def run(self):
        """Connects again and again (rules 13 and 14), until that is no use: then it raises `Ended`."""
        attempt = 0
        while True:
            closing, held = await self._connection()
            if not closing["reconnect"] and not (closing["code"] == 4002 and self.token):
                raise Ended(closing["reason"])
            attempt = 0 if held > 5 else attempt
            await asyncio.sleep(closing.get("retry_after_ms", 0) / 1000 + backoff(attempt))
            attempt += 1

    # ---- connections -------------------------------------------------------------------------------------------------

    async def _connection(self):
        """One connection: why it ended, in the words of a `close` frame, and how many seconds it held."""
        try:
            token = await asyncio.to_thread(self.token) if self.token else None
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            async with connect(self.url, subprotocols=[PROTOCOL], additional_headers=headers, max_size=None,
                               ping_interval=10, ping_timeout=10, close_timeout=1) as socket:  # rule 15
                self.outbox, self.closing, self.greeted_at = asyncio.Queue(), None, None
                writing = self._spawn(self._write(socket))
                self._say_hello(token)
                try:
                    await self._read(socket)
                except ConnectionClosedError:
                    pass  # the code tells more
                finally:
                    writing.cancel()
            code = socket.close_code
            closing = self.closing or {"reconnect": code not in FINAL_CLOSE_CODES, "reason": socket.close_reason}
            closing.setdefault("code", code)
        except InvalidStatus as refused:
            answer, error = refused.response, parse(refused.response.body)
            closing = {"reconnect": error.get("retryable", answer.status_code >= 429), "code": None,
                       "reason": error.get("message", str(refused)),
                       "retry_after_ms": 1000 * int(answer.headers.get("Retry-After", 0))}
        except (OSError, WebSocketException) as trouble:
            closing = {"reconnect": True, "code": None, "reason": str(trouble)}
        held = time.monotonic() - self.greeted_at if self.greeted_at else 0
        self._forget_connection()
        return closing, held

    async def _write(self, socket):
        with contextlib.suppress(ConnectionClosed):
            while True:
                await socket.send(await self.outbox.get())

    async def _read(self, socket):
        async with asyncio.timeout(10) as patience:
            async for text in socket:
                self._hear(parse(text))
                if self.greeted_at:
                    patience.reschedule(None)
                if self.closing:
                    return

    def _forget_connection(self):
        self.outbox = self.greeted_at = None
        self.online.clear()
        for answer in self.questions.values():
            answer.cancelled() or answer.set_result(CUT)
        self.questions.clear()
        for draft in self.unsent:
            draft.ref = None
        self.lanes.clear()

    def _spawn(self, coroutine):
        task = asyncio.create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    def _say(self, frame):
        if self.outbox:
            self.outbox.put_nowait(as_text(frame))

    # ---- receiving ---------------------------------------------------------------------------------------------------

    def _hear(self, frame):
        if answer := self.questions.pop(frame.get("ref"), None):
            answer.cancelled() or answer.set_result(frame)
        match frame:
            case {"type": "welcome"}:
                self._welcomed(frame)
            case {"type": "expiring"} if self.token:
                self._spawn(self._refresh())
            case {"type": "close"}:
                self.closing = frame
            case {"type": "error"} if not self.greeted_at:
                if frame["name"] != "too_many":  # a close follows that says when to come again
                    self.closing = {"reconnect": frame["retryable"], "reason": frame["message"]}
            case {"type": "error", "key": key, "ref": ref} if (draft := self._draft(key)) and draft.ref == ref:
                self._refused(draft, frame) if frame["retryable"] else self._settle(draft, frame)
            case {"type": "ack" | "accepted", "key": key} if draft := self._draft(key):
                self._settle(draft, frame)
            case {"type": "followed", "room": room, "seq": seq}:
                if room not in self.cursors:
                    self._move_cursor(room, seq, frame.get("id"))
                self.tell(frame)
            case {"type": "entry", "room": room, "seq": seq, "id": id}:
                due = self.cursors[room]["seq"] + 1 if room in self.cursors else seq
                if seq > due:  # rule 10
                    self.tell({"type": "missing", "room": room, "from": due, "to": seq - 1})
                if seq >= due:  # rule 8
                    self._move_cursor(room, seq, id)
                    self.tell(frame)
            case {"type": "gap", "room": room, "to": to}:
                self._move_cursor(room, to, None)
                self.tell(frame)
            case {"type": "unfollowed", "room": room, "why": why} if why in RETRYABLE:
                self._spawn(self._follow_again(room))
            case {"type": "unfollowed" | "reset", "room": room}:
                if frame.get("why") != "too_many":
                    self.cursors.pop(room, None)
                self.tell(frame)
            case {"type": "signal"}:
                self.tell(frame)

    def _say_hello(self, token):
        cursors = list(self.cursors.values())[-self.limits["rooms"]:]
        hello = {"type": "hello", "ref": next(self.refs), "cursors": cursors}
        self._say(hello | {"token": token} if token else hello)

    def _welcomed(self, welcome):
        self.server_ahead = welcome["now"] - now_ms()
        self.limits = welcome["limits"]
        if self.user not in (None, welcome["user"]):  # rule 16
            self.closing = {"reconnect": False, "reason": f"{welcome['user']} is logged in, not {self.user}"}
        elif not self.greeted_at:  # not an answer to `refresh`
            self.user, self.greeted_at = welcome["user"], time.monotonic()
            self.online.set()
            self._send_drafts()

    def _move_cursor(self, room, seq, id):
        self.cursors.pop(room, None)
        self.cursors[room] = {"room": room, "seq": seq} | ({"id": id} if id else {})

    async def _follow_again(self, room):
        for attempt in itertools.count():
            await asyncio.sleep(backoff(attempt))
            if not (cursor := self.cursors.get(room)):
                return
            place = {name: cursor[name] for name in cursor if name != "room"}
            if not (await self.ask("follow", room=room, cursor=place)).get("retryable"):
                return

    async def _refresh(self):
        await self.ask("refresh", token=await asyncio.to_thread(self.token))

    # ---- sending -----------------------------------------------------------------------------------------------------

    def _keep(self, request):
        draft = Draft(request, asyncio.get_running_loop().create_future())
        self.unsent.append(draft)
        self._send_drafts()
        return draft.answer

    def _draft(self, key):
        return next((draft for draft in self.unsent if draft.request.get("key") == key), None)

    def _send_drafts(self):
        """Sends what may be sent now: of each lane from its beginning, up to the one that the server waits for."""
        under_way = sum(draft.ref is not None for draft in self.unsent)
        waiting = {name for name, lane in self.lanes.items() if lane.pauses}
        for draft in list(self.unsent):
            if not self.greeted_at or under_way == SENDS_UNDER_WAY:
                return
            if draft.lane in waiting:
                continue
            if draft.ref is None:
                draft.request.setdefault("key", uuid7(now_ms() + self.server_ahead))  # only now is that clock known
                draft.ref = next(self.refs)
                frame = draft.request | {"ref": draft.ref}
                if len(as_text(frame).encode()) > self.limits["frame_bytes"]:
                    return self._settle(draft, TOO_LONG)
                self._say(frame)
                under_way += 1
            if draft is self.lanes[draft.lane].refused:
                waiting.add(draft.lane)

    def _refused(self, draft, error):
        """This draft and all later ones to its room are sent again after a while, a command alone (rule 5)."""
        draft.apart = is_command(draft.request)
        lane = self.lanes[draft.lane]
        for other in self.unsent[self.unsent.index(draft):]:
            if other.lane == draft.lane:
                other.ref = None
        if error["name"] != "behind":
            lane.refused = draft
        wait = error["retry_after_ms"] / 1000 if "retry_after_ms" in error else backoff(lane.refusals)
        lane.pauses, lane.refusals = lane.pauses + 1, lane.refusals + 1
        asyncio.get_running_loop().call_later(wait, self._pause_over, lane)

    def _pause_over(self, lane):
        lane.pauses -= 1
        self._send_drafts()

    def _settle(self, draft, answer):
        self.unsent.remove(draft)
        lane = self.lanes[draft.lane]
        lane.refusals = 0
        if lane.refused is draft:
            lane.refused = None
        if draft.apart:  # nobody else is on its lane
            del self.lanes[draft.lane]
        draft.answer.cancelled() or draft.answer.set_result(answer)
        self._send_drafts()


# ---- small things ----------------------------------------------------------------------------------------------------


def is_command(request):
    """Whether the server takes it for a command, if a person says it."""
    body = request.get("body", {})
    text = body.get("text", "")
    return body.get("kind") == "text" and text.startswith("/") and not text.startswith("//")


def now_ms():
    return int(time.time() * 1000)


def uuid7(ms):
    """A UUID of version 7 with this time."""
    return str(uuid.UUID(int=ms << 80 | 7 << 76 | secrets.randbits(12) << 64 | 2 << 62 | secrets.randbits(62)))


def longest_wait(attempt):
    """In seconds, before this try to connect again."""
    return min(15, 0.25 * 2 ** min(attempt, 10))


def backoff(attempt):
    """A wait with full jitter."""
    return random.uniform(0, longest_wait(attempt))


def as_text(frame):
    return json.dumps(frame, ensure_ascii=False, separators=(",", ":"))


def parse(text):
    """The frame in a text, or an empty one."""
    try:
        frame = json.loads(text)
    except ValueError:
        return {}
    return frame if isinstance(frame, dict) else {}


class Login:
    """The tokens of one user at a chat-server; logs in again a while before a token ends."""

    def __init__(self, url, user, password):
        self.url, self.credentials = f"{url}/api/login", {"user": user, "password": password}
        self.login = {"expires": 0}

    def __call__(self):
        if self.login["expires"] < now_ms() + 120_000:
            body = json.dumps(self.credentials).encode()
            request = urllib.request.Request(self.url, body, {"Content-Type": "application/json"})
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:
                    self.login = json.load(answer)
            except urllib.error.HTTPError as refused:
                error = parse(refused.read())
                if error.get("retryable", refused.code >= 429):
                    raise
                raise Ended(error.get("message", str(refused))) from None
        return self.login["token"]


# ---- the chat in the terminal ----------------------------------------------------------------------------------------


class Terminal:
    """Says lines to whom a line before, `@USER` or `#ROOM`, has named."""

    def __init__(self, url, user, password):
        server = url.rstrip("/")
        self.chat = Chat(f"ws{server.removeprefix('http')}/chat/ws", Login(server, user, password), self.show)
        self.place = None

    def show(self, event):
        match event:
            case {"name": name, "body": {"kind": "text", "text": text}}:
                print(f"{name}: {text}")
            case {"kind": "whisper", "text": text}:
                print(f"({text})")
            case {"type": "gap" | "missing", "from": first, "to": last}:
                print(f"-- {event['type']}: {first} to {last} --")
            case {"type": "error", "message": message}:
                print(f"-- {message} --")

    async def obey(self, line):
        if line.startswith("@"):
            self.place = {"to": line[1:]}
        elif line.startswith("#"):
            self.place = {"room": await self.enter(line[1:])}
            history = await self.chat.ask("history", **self.place)
            for entry in history.get("entries", [history]):
                self.show(entry)
        elif self.place:
            answer = self.chat.send({"kind": "text", "text": line}, **self.place)
            answer.add_done_callback(lambda answer: self.show(answer.result()))
        else:
            print("-- first say to whom: @USER or #ROOM --")

    async def enter(self, title):
        """Goes to the room of this title: one's own, else one that is public, else a new one."""
        for which in ("mine", "public"):
            rooms = (await self.chat.ask("rooms", which=which, limit=200)).get("rooms", ())
            if room := next((room["room"] for room in rooms if room.get("title") == title), None):
                join = {"kind": "member", "change": "join", "user": self.chat.user}
                return room if which == "mine" else (await self.chat.send(join, room=room)).get("room")
        return (await self.chat.create(title=title, visibility="public")).get("room")

    async def run(self):
        tasks = {asyncio.create_task(self.chat.run()), asyncio.create_task(self.read())}
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        done.pop().result()

    async def read(self):
        lines, loop = asyncio.Queue(), asyncio.get_running_loop()

        def read_lines():
            for line in itertools.chain(sys.stdin, [None]):
                loop.call_soon_threadsafe(lines.put_nowait, line)

        threading.Thread(target=read_lines, daemon=True).start()
        while line := await lines.get():
            if line.strip():
                await self.obey(line.strip())
        await asyncio.gather(*(draft.answer for draft in self.chat.unsent))


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: client.py URL USER, for instance: client.py http://127.0.0.1:8080 ann")
    password = os.environ.get("CHAT_PASSWORD") or getpass.getpass()
    try:
        asyncio.run(Terminal(*sys.argv[1:], password).run())
    except Ended as reason:
        sys.exit(str(reason))


if __name__ == "__main__":
    main()
