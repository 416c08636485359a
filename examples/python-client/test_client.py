"""Tests the client by the golden vectors, and against a real server: CHAT_SERVER_BIN=… python -m unittest

What is played: all conversations, all server frames that say what a client makes of them, all waits. Not played: the
client frames, which are for servers; what this client writes is judged by the real one.
"""

import asyncio
import contextlib
import json
import os
import re
import tempfile
import time
import unittest
import urllib.request
import uuid
from pathlib import Path

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

import client

VECTORS = Path(__file__).parents[2] / "docs/protocol/vectors"
PATIENCE = 15  # seconds that something due may take
QUIET = 0.4  # seconds of silence that count as quiet
LATE = 1000  # milliseconds that a busy machine may add


def vectors(name):
    return json.loads((VECTORS / f"{name}.json").read_text())


def soon(awaitable):
    return asyncio.wait_for(awaitable, PATIENCE)


def waiting(queue):
    """What a queue holds, taken out."""
    return [queue.get_nowait() for _ in range(queue.qsize())]


# ---- golden vectors --------------------------------------------------------------------------------------------------


class Player:
    """A new client, and a server that says to it what the vectors want."""

    welcome_frame = vectors("conversations")["welcome"]

    def __init__(self, tokens=()):
        self.token = iter(tokens).__next__ if tokens else None
        self.connections, self.told = asyncio.Queue(), asyncio.Queue()
        self.requests = {}  # by name
        self.answers = {}  # to what the application wants, by name
        self.last_cut = self.last_step = time.monotonic()

    async def __aenter__(self):
        self.server = await serve(self.accept, "127.0.0.1", 0, subprotocols=[client.PROTOCOL], close_timeout=1)
        port = self.server.sockets[0].getsockname()[1]
        self.chat = client.Chat(f"ws://127.0.0.1:{port}", self.token, self.told.put_nowait)
        self.running = asyncio.create_task(self.chat.run())
        return self

    async def __aexit__(self, *_):
        self.running.cancel()
        await asyncio.gather(self.running, return_exceptions=True)
        self.server.close()

    async def accept(self, socket):
        asked = asyncio.Queue()
        self.connections.put_nowait((time.monotonic(), socket, asked))
        with contextlib.suppress(ConnectionClosed):
            async for text in socket:
                asked.put_nowait(json.loads(text))

    async def play(self, steps):
        for step in steps:
            (verb, wanted), *options = step.items()
            await getattr(self, verb)(wanted, **dict(options))
            self.last_step = time.monotonic()
        asked, told = await self.news()
        assert not asked and not told, f"at the end: asked {asked}, told {told}"

    async def news(self):
        """What is asked and told within a while; `followed` need not be told, and is left out."""
        await asyncio.sleep(QUIET)
        return waiting(self.asked), [event for event in waiting(self.told) if event["type"] != "followed"]

    # One method for each verb.

    async def connects(self, bounds):
        when, self.socket, self.asked = await soon(self.connections.get())
        waited = (when - self.last_cut) * 1000
        assert bounds.get("after_ms", 0) <= waited <= bounds.get("within_ms", waited) + LATE, f"after {waited} ms"

    async def greet(self, step):
        step = dict(step)
        hello, token = step.pop("hello", {}), step.pop("token", None)
        await self.connects({name: step.pop(name) for name in ("after_ms", "within_ms") if name in step})
        await self.expect({"type": "hello", "token": token, **hello}, **{"as": "hello"})
        await self.welcome({"ref": "$hello.ref", **step})

    async def welcome(self, fields):
        await self.say(self.welcome_frame | fields)

    async def say(self, frame):
        await self.socket.send(frame if isinstance(frame, str) else json.dumps(self.filled(frame)))

    async def expect(self, fields, after_ms=0, key_ms=None, **name):
        request = await soon(self.asked.get())
        self.requests[name.get("as")] = request
        assert matches(request, self.filled(fields)), f"{request} is not {fields}"
        waited = (time.monotonic() - self.last_step) * 1000
        assert waited >= after_ms, f"after {waited} ms"
        if key_ms:
            assert abs((uuid.UUID(request["key"]).int >> 80) - key_ms) <= 60_000, request["key"]

    async def quiet(self, _):
        await asyncio.sleep(QUIET)
        assert not (asked := waiting(self.asked)), asked

    async def cut(self, how):
        self.last_cut = time.monotonic()
        await self.socket.close(how["code"]) if "code" in how else self.socket.transport.abort()

    async def do(self, wanted, **options):
        match wanted, options:
            case "post", {"to": to, "text": text, "as": name}:
                self.answers[name] = self.chat.send({"kind": "text", "text": text}, to=to)
            case "rooms", {"as": name}:
                self.answers[name] = asyncio.create_task(self.chat.ask("rooms", which="mine"))
            case "typing", {"room": room}:
                self.chat.signal(room, "typing", on=True)
            case "read", {"room": room, "seq": seq}:
                self.chat.signal(room, "read", seq=seq)
            case _:
                raise AssertionError(f"do {wanted} {options}")

    async def settles(self, name, **outcome):
        answer = await soon(self.answers[name])
        match outcome:
            case {"stored": seq}:
                assert answer["type"] == "ack" and answer["seq"] == seq, answer
            case {"accepted": True}:
                assert answer["type"] == "accepted", answer
            case {"refused": code}:
                assert answer["type"] == "error" and code in (None, answer["name"]), answer
            case {"count": count}:
                assert len(answer["rooms"]) == count, answer
            case _:
                raise AssertionError(f"settles {outcome}")

    async def hears(self, event):
        told = await soon(self.told.get())
        while told["type"] == "followed" != event["event"]:
            told = await soon(self.told.get())
        assert matches({"event": told["type"], **told}, self.filled(event)), f"{told} is not {event}"

    async def may_hear(self, event):
        await asyncio.sleep(QUIET)
        told = waiting(self.told)
        for other in told:
            if not matches({"event": other["type"], **other}, event):
                self.told.put_nowait(other)

    async def ends(self, _):
        with contextlib.suppress(client.Ended):
            await soon(asyncio.shield(self.running))

    def filled(self, value):
        """`$name.field` stands for a field of the request of that name."""
        match value:
            case dict():
                return {name: self.filled(item) for name, item in value.items()}
            case str() if value.startswith("$"):
                name, field = value[1:].split(".")
                return self.requests[name][field]
        return value


def matches(frame, fields):
    return all(in_any_order(frame.get(name)) == in_any_order(value) for name, value in fields.items())


def in_any_order(value):
    return sorted(value, key=json.dumps) if isinstance(value, list) else value


class Vectors(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        asyncio.get_running_loop().set_debug(False)  # which takes long, for hundreds of tasks

    async def play_all(self, play, all_vectors):
        """Plays all at once: most of the time each of them waits."""
        self.assertTrue(all_vectors)
        results = await asyncio.gather(*map(play, all_vectors), return_exceptions=True)
        for vector, result in zip(all_vectors, results):
            with self.subTest(vector["name"]):
                if result:
                    raise result

    async def test_conversations(self):
        async def play(conversation):
            async with Player(conversation.get("tokens", ())) as player:
                await player.play(conversation["steps"])

        await self.play_all(play, vectors("conversations")["conversations"])

    async def test_server_frames(self):
        async def play(vector):
            frame = json.loads(vector["frame"])
            async with Player() as player:
                await player.greet({})
                if "room" in frame:
                    followed = {name: frame[name] for name in ("room", "id") if name in frame}
                    await player.say({"type": "followed", "seq": 41, **followed})
                await player.say(vector["frame"])
                if "reconnects" in vector:
                    await player.cut({"code": frame["code"]})
                    if not vector["reconnects"]:
                        return await player.ends(True)
                    return await player.connects({"after_ms": frame.get("retry_after_ms", 0)})
                asked, told = await player.news()
                if vector.get("hears", ...) is None:
                    assert not asked and not told, f"asked {asked}, told {told}"
                elif "hears" in vector:
                    assert [event["type"] for event in told] == [vector["hears"]] and told[0] == frame, told
                assert player.connections.empty() and not player.running.done(), "the connection does not stay"

        await self.play_all(play, vectors("server-frames")["vectors"])

    async def test_a_refused_command_leaves_nothing_behind(self):
        async with Player() as player:
            await player.greet({})
            error = {"type": "error", "ref": "$a.ref", "key": "$a.key", "retryable": True, "message": ""}
            for answer in {"type": "accepted"}, {"type": "error", "name": "not_member", "retryable": False}:
                await player.do("post", to="eve", text="/stock=aapl.us", **{"as": "a"})
                for _ in range(2):
                    await player.expect({"type": "send"}, **{"as": "a"})
                    await player.say(error | {"name": "unavailable", "retry_after_ms": 1})
                await player.expect({"type": "send"}, **{"as": "a"})
                await player.say(error | answer)
                await soon(player.answers["a"])
            self.assertEqual(list(player.chat.lanes), ["eve"])

    def test_waits(self):
        for wait in vectors("backoff")["waits"]:
            with self.subTest(**wait):
                self.assertEqual(client.longest_wait(wait["attempt"]) * 1000, wait["most_ms"])
                waits = [client.backoff(wait["attempt"]) * 1000 for _ in range(200)]
                self.assertTrue(0 <= min(waits) < wait["most_ms"] / 4 < wait["most_ms"] * 3 / 4 < max(waits))
                self.assertLessEqual(max(waits), wait["most_ms"])


# ---- a real server ---------------------------------------------------------------------------------------------------


class Server:
    """A chat-server in a folder of its own, behind a proxy that keeps its port and can cut connections."""

    async def start(self, folder, *options):
        self.process = await asyncio.create_subprocess_exec(
            os.environ["CHAT_SERVER_BIN"], "--listen", "127.0.0.1:0", "--admin", "off", "--demo", *options,
            cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL)
        async for line in self.process.stdout:
            if found := re.search(rb"^listening on http://127.0.0.1:(\d+)", line):
                self.port = int(found[1])
                return
        raise AssertionError("the server does not start")

    async def kill(self):
        self.process.kill()
        await self.process.wait()

    async def start_proxy(self):
        self.writers, self.deaf = set(), False
        self.proxy = await asyncio.start_server(self.relay, "127.0.0.1", 0)
        self.address = "127.0.0.1:%d" % self.proxy.sockets[0].getsockname()[1]

    async def relay(self, reader, writer):
        try:
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return writer.transport.abort()
        ends = {writer, server_writer}
        self.writers |= ends
        await asyncio.gather(self.pass_on(reader, server_writer), self.pass_on(server_reader, writer, answers=True))
        self.writers -= ends

    async def pass_on(self, reader, writer, answers=False):
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if not (answers and self.deaf):
                    writer.write(data)
        writer.transport.abort()

    def cut(self):
        for writer in self.writers:
            writer.transport.abort()

    async def cut_before_answers(self):
        """What clients send still arrives, but they do not learn of it."""
        self.deaf = True
        await asyncio.sleep(0.15)
        self.cut()
        self.deaf = False


class Person(client.Chat):
    """A client that remembers its entries."""

    def __init__(self, server, user):
        login = client.Login(f"http://{server.address}", user, "correct horse")
        super().__init__(f"ws://{server.address}/chat/ws", login, self.remember)
        self.told = []

    def remember(self, event):
        self.told.append(event)

    def texts(self, room):
        return [event["body"]["text"] for event in self.told
                if event["type"] == "entry" and event["room"] == room and event["body"]["kind"] == "text"]

    def seqs(self, room):
        return [event["seq"] for event in self.told if event["type"] == "entry" and event["room"] == room]

    def say(self, room, text):
        return self.send({"kind": "text", "text": text}, room=room)


async def until(condition):
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.02)


@unittest.skipUnless("CHAT_SERVER_BIN" in os.environ, "CHAT_SERVER_BIN is not set")
class RealServer(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        asyncio.get_running_loop().set_debug(False)
        self.folder = self.enterContext(tempfile.TemporaryDirectory())
        self.server, self.running = Server(), {}
        await self.server.start(self.folder)
        await self.server.start_proxy()
        self.ann, self.bob = await asyncio.gather(self.person("ann"), self.person("bob"))

    async def asyncTearDown(self):
        await asyncio.gather(*map(self.leave, list(self.running)))
        self.server.proxy.close()
        await self.server.kill()

    async def person(self, user):
        account = json.dumps({"user": user, "password": "correct horse"}).encode()
        request = urllib.request.Request(
            f"http://{self.server.address}/api/register", account, {"Content-Type": "application/json"})
        (await asyncio.to_thread(urllib.request.urlopen, request)).close()
        return await self.connected(Person(self.server, user))

    async def connected(self, person):
        self.running[person] = asyncio.create_task(person.run())
        await until(lambda: person.user)
        return person

    async def leave(self, person):
        """Ends the connection of this person, as if the program was ended."""
        task = self.running.pop(person)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def new_room(self, **spec):
        room = (await soon(self.ann.create(**spec)))["room"]
        await until(lambda: room in self.ann.cursors)
        return room

    async def talk_while(self, trouble):
        """Both say forty things while there is trouble: nothing is lost, doubled or out of order."""
        room = await self.new_room(title="Lunch", members=["bob"])
        await until(lambda: room in self.bob.cursors)
        people = {"ann": self.ann, "bob": self.bob}
        said = {user: [f"{user} {number}" for number in range(40)] for user in people}

        async def talk(user):
            answers = []
            for text in said[user]:
                answers.append(people[user].say(room, text))
                await asyncio.sleep(0.05)
            return await soon(asyncio.gather(*answers))

        answers, _ = await asyncio.gather(asyncio.gather(*map(talk, people)), trouble())
        for user, answered in zip(people, answers):
            seqs = [answer["seq"] for answer in answered]
            self.assertEqual(seqs, sorted(seqs))
        for person in people.values():
            await until(lambda: len(person.texts(room)) >= 80)
            self.assertEqual(person.texts(room), self.ann.texts(room))
            self.assertEqual(person.seqs(room), list(range(person.seqs(room)[0], person.seqs(room)[-1] + 1)))
            for user in people:
                self.assertEqual([text for text in person.texts(room) if text.startswith(user)], said[user])

    async def test_cuts(self):
        async def trouble():
            for _ in range(3):
                await asyncio.sleep(0.4)
                self.server.cut()
                await asyncio.sleep(0.4)
                await self.server.cut_before_answers()

        await self.talk_while(trouble)

    async def test_kill(self):
        async def trouble():
            for _ in range(2):
                await asyncio.sleep(0.7)
                await self.server.kill()
                await self.server.start(self.folder)

        await self.talk_while(trouble)

    async def test_an_ack_that_is_lost(self):
        room = await self.new_room()
        self.server.deaf = True
        answer = self.ann.say(room, "hello")
        await self.server.cut_before_answers()
        self.assertFalse(answer.done())
        self.assertEqual((await soon(answer))["seq"], 2)
        await until(lambda: self.ann.seqs(room))
        await asyncio.sleep(QUIET)
        self.assertEqual(self.ann.texts(room), ["hello"])

    async def test_resume(self):
        room = await self.new_room(members=["bob"])
        await until(lambda: room in self.bob.cursors)
        await soon(self.ann.say(room, "one"))
        await until(lambda: self.bob.texts(room) == ["one"])
        await self.leave(self.bob)
        await soon(self.ann.say(room, "two"))
        again = Person(self.server, "bob")
        again.cursors = self.bob.cursors
        await self.connected(again)
        await until(lambda: again.texts(room))
        await soon(self.ann.say(room, "three"))
        await until(lambda: len(again.texts(room)) == 2)
        self.assertEqual(again.texts(room), ["two", "three"])

    async def test_gap(self):
        room = await self.new_room(visibility="public", history="since_join")
        await soon(self.ann.say(room, "before Bob"))
        await soon(self.bob.send({"kind": "member", "change": "join", "user": "bob"}, room=room))
        await soon(self.ann.say(room, "after Bob"))
        await self.leave(self.bob)
        again = Person(self.server, "bob")
        again.cursors = {room: {"room": room, "seq": 0}}
        await self.connected(again)
        await until(lambda: again.texts(room))
        gap, *entries = [event for event in again.told if event["type"] != "followed" and event["room"] == room]
        self.assertEqual(gap, {"type": "gap", "room": room, "from": 1, "to": 2, "why": "not_visible"})
        self.assertEqual([entry["seq"] for entry in entries], [3, 4])

    async def test_a_login_that_ends(self):
        room = await self.new_room()
        await self.server.kill()
        await self.server.start(self.folder, "--session", "2s")
        self.ann.token.login = {"expires": 0}
        await soon(self.ann.say(room, "before"))
        await asyncio.sleep(2.5)
        await soon(self.ann.say(room, "after"))

    async def test_who_may_not_come_in_gives_up(self):
        for token in client.Login(f"http://{self.server.address}", "ann", "wrong password"), lambda: "nobody":
            with self.assertRaises(client.Ended):
                await soon(client.Chat(f"ws://{self.server.address}/chat/ws", token).run())


if __name__ == "__main__":
    unittest.main()
