"""What schemathesis cannot read from the descriptions: who asks, and texts of the forms that stand there in words."""

import os
import time
import uuid

import requests
import schemathesis
from hypothesis import strategies as st

URL = os.environ["CHAT_URL"]
PASSWORD = "not in any example"


def post(path, body):
    """Posts; the wrong passwords of the run count against this address, so that a right one may have to wait."""
    for _ in range(10):
        answer = requests.post(f"{URL}/api/{path}", json=body, timeout=20)
        if answer.status_code != 429:
            break
        time.sleep(int(answer.headers["Retry-After"]))
    answer.raise_for_status()
    return answer.json()


USER = post("register", {"user": f"tester-{uuid.uuid4().hex[:12]}", "password": PASSWORD})["user"]


def login():
    return post("login", {"user": USER, "password": PASSWORD})["token"]


@schemathesis.auth()
class Login:
    """One login for all, and one of its own for each request that ends it."""

    def get(self, case, context):
        return login()

    def set(self, case, token, context):
        if case.operation.path == "/logout":
            token = login()
        case.headers["Authorization"] = f"Bearer {token}"


# ---- texts --------------------------------------------------------------------------------------------------------

WORDS = "aåæßжλ中あ🙂é'\"<&%;/\\ "


def key(random):
    """A UUID of version 7, made now."""
    now = int(time.time() * 1000)
    return str(uuid.UUID(int=now << 80 | 7 << 76 | (random >> 62) % 2**12 << 64 | 2 << 62 | random % 2**62))


def texts(alphabet, longest, shortest=1):
    return st.text(alphabet, min_size=shortest, max_size=longest)


def visible(text):
    return "x" + text


schemathesis.openapi.format("chat-key", st.integers(0, 2**74 - 1).map(key))
schemathesis.openapi.format("chat-name", texts("aåßж中 :/%+", 30).map(visible))
schemathesis.openapi.format("chat-line", texts(WORDS, 60, 0))
schemathesis.openapi.format("chat-title", st.one_of(st.just(""), texts(WORDS, 60, 0).map(visible)))
# Which commands there are is the host's matter, so that a slash in front is no text that must be taken.
schemathesis.openapi.format("chat-text", texts(WORDS + "\n\t", 300, 0).map(visible))
schemathesis.openapi.format("chat-emoji", st.sampled_from(["👍", "🙂", "x", "👩\u200d🚀"]))
schemathesis.openapi.format("chat-kind", st.sampled_from(["shop.order", "a.b", "x-y_z.1"]))
schemathesis.openapi.format("chat-user", texts("abcdefgh0123456789", 20, 12))
schemathesis.openapi.format("chat-password", texts("abcdefgh ij", 30, 12).map(visible))
schemathesis.openapi.format("chat-shown", texts("abc ", 20, 12).map(visible))


# ---- rooms, and rules without a word in OpenAPI ---------------------------------------------------------------------

def create_room():
    spec = {"title": "For tests", "visibility": "public"}
    headers = {"Authorization": f"Bearer {login()}"}
    answer = requests.post(f"{URL}/chat/rooms", json={"key": key(uuid.uuid4().int), "spec": spec}, headers=headers, timeout=20)
    answer.raise_for_status()
    return answer.json()["room"]


ROOM = create_room()
LEFT = create_room()


@schemathesis.hook
def filter_case(context, case):
    """Two parameters that exclude each other."""
    return not {"before", "after"} <= set(case.query or {})


@schemathesis.hook
def map_case(context, case):
    """Most requests are about a room that is there. An integer is written as one: 1.0 is one to JSON Schema, and not to us."""
    given = case.path_parameters or {}
    if is_mostly(given.get("room")) or given.get("room") == ROOM:
        # Who has left a room would be refused all else in it.
        given["room"] = LEFT if case.operation.path.endswith("/leave") else ROOM
    case.body = with_integers(case.body)
    if isinstance(case.body, dict) and is_mostly(case.body.get("key")) and len(case.body["key"]) == 36:
        case.body["key"] = key(uuid.uuid4().int)
    for cursor in cursors(case.body):
        if is_mostly(cursor.get("room")):
            cursor["room"] = ROOM
    return case


def is_mostly(value):
    """Three of four good values, and always for the same ones."""
    return isinstance(value, str) and len(value) > 1 and ord(value[1]) % 4 > 0


def cursors(body):
    found = body.get("cursors") if isinstance(body, dict) else None
    return [cursor for cursor in found if isinstance(cursor, dict)] if isinstance(found, list) else []


def with_integers(value):
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [with_integers(item) for item in value]
    if isinstance(value, dict):
        return {name: with_integers(item) for name, item in value.items()}
    return value
