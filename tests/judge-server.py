#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A judge for the tests: chat completions on 127.0.0.1, by a plain rule and with scripted faults.

The rule: the shorter response is better, of equally long ones the one that sorts first. The score of
a response is a tenth of its length. What else
happens is written in the question itself, "[[500 cut ok]]": the first time it is asked the server
fails with status 500, the second time it closes the connection in mid-answer, from the third time
on it answers. With --flaky, each question has a script by its hash, which is its NAME, too.

    judge-server.py LOG [--port N] [--flaky] [--key KEY]

writes its port to the standard output, and to LOG, in one write each, "ask NAME" for each question
that came whole and "done NAME" before the last byte of an answer leaves. NAME is the first word of
the prompt and that of the response that stands first. How often a question was asked is read from
LOG at the start: a server that died goes on where it was.
"""
import argparse
import asyncio
import collections
import hashlib
import json
import os
import re
import sys

QUESTION = re.compile(r"\[Prompt\]\n(.*)\n\n\[Response A\]\n(.*)\n\n\[Response B\]\n(.*)\n\nAnswer", re.S)
SCORED = re.compile(r"\[Prompt\]\n(.*)\n\n\[Response\]\n(.*)\n\nAnswer", re.S)
SCRIPT = re.compile(r"\[\[([a-z0-9: ]+)\]\]")
STATUS = {400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests",
          500: "Internal Server Error", 503: "Service Unavailable"}


def verdict(a, b):
    if b is None:
        return f"Score: {len(a) / 10}"
    return "A" if (len(a), a) <= (len(b), b) else "B"


def flaky_script(name):
    faults = {0: "500", 1: "cut", 2: "drop", 3: "garbage", 4: "429", 5: "slow", 6: "500 cut"}
    return f"{faults.get(int(name[0], 16), '')} ok"


def completion(content, refusal=None):
    message = {"role": "assistant", "content": content, "refusal": refusal}
    return json.dumps({"object": "chat.completion",
                       "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})


def said(act, a, b):
    """The answer of an act, None where it is not one of answering."""
    return {"ok": verdict(a, b), "slow": verdict(a, b), "chunked": verdict(a, b),
            "nonsense": "I would rather talk about boats.", "both": "A", "tie": "C",
            "chatty": f"The shorter one.\nAnswer: **{verdict(a, b)}**\n", "refuse": ""}.get(act)


class Server:
    def __init__(self, arguments):
        self.flaky, self.key = arguments.flaky, arguments.key
        self.asked = collections.Counter()
        if os.path.exists(arguments.log):
            with open(arguments.log, encoding="utf-8") as log:
                self.asked.update(line.split()[1] for line in log if line.startswith("ask "))
        self.log = os.open(arguments.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)

    def note(self, what, name):
        os.write(self.log, f"{what} {name}\n".encode())

    def next_act(self, name, text):
        script = SCRIPT.search(text)
        acts = (flaky_script(name) if self.flaky else script[1] if script else "ok").split()
        return acts[min(self.asked[name], len(acts) - 1)]

    async def serve(self, reader, writer):
        try:
            while await self.exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def exchange(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        fields = {name.lower(): value for name, value in fields.items()}
        body = await reader.readexactly(int(fields["content-length"]))
        text = json.loads(body)["messages"][0]["content"]
        scored = SCORED.search(text)
        prompt, a, b = (*scored.groups(), None) if scored else QUESTION.search(text).groups()
        name = (hashlib.sha256(text.encode()).hexdigest() if self.flaky
                else f"{prompt.split()[0]}/{a.split()[0]}")
        act = self.next_act(name, text)
        self.asked[name] += 1
        self.note("ask", name)
        given = fields.get("authorization", "")
        if self.key is not None and given != f"Bearer {self.key}":
            return self.send(writer, 401, json.dumps({"error": {"message": f"no such key: {given}"}}))
        return await self.play(act, name, a, b, given, reader, writer)

    async def play(self, act, name, a, b, given, reader, writer):
        if act == "hang":
            await reader.read(1)
            return False
        if act == "drop":
            return False
        if act in ("slow", "late"):
            await asyncio.sleep(0.02)
        if act == "late":
            return False
        if act == "garbage":
            return self.send(writer, 200, "<html>try again</html>")
        if act == "array":
            return self.send(writer, 200, "[1, 2]")
        if act == "echo":
            return self.send(writer, 401, json.dumps({"error": {"message": f"bad key {given}"}}))
        key = given.removeprefix("Bearer ")
        if act == "forms":
            forms = key.replace("/", "\\/"), key.replace("/", "%2F"), key[:12], key[-8:]
            return self.send(writer, 500, f"<html>{' '.join(forms)}</html>")
        if act == "parrot":
            return self.send(writer, 200, completion(f"A, by {key}"))
        status, _, pause = act.partition(":")
        if status.isdigit():
            message = json.dumps({"error": {"message": "so it is scripted"}})
            return self.send(writer, int(status), message, f"Retry-After: {pause}\r\n" if pause else "")
        answer = completion(said(act if act != "cut" else "ok", a, b),
                            "I cannot help with that." if act == "refuse" else None)
        if act == "cut":
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(answer)}\r\n\r\n{answer[:40]}".encode())
            await writer.drain()
            return False
        self.note("done", name)
        if act == "chunked":
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for part in (answer[:30], answer[30:]):
                writer.write(f"{len(part):x}\r\n{part}\r\n".encode())
            writer.write(b"0\r\n\r\n")
            return True
        return self.send(writer, 200, answer)

    @staticmethod
    def send(writer, status, body, fields=""):
        writer.write(f"HTTP/1.1 {status} {STATUS.get(status, 'OK')}\r\nContent-Type: application/json\r\n"
                     f"{fields}Content-Length: {len(body.encode())}\r\n\r\n{body}".encode())
        return True


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("log")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--flaky", action="store_true")
    parser.add_argument("--key")
    arguments = parser.parse_args()
    server = Server(arguments)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", arguments.port, backlog=256)
    print(listening.sockets[0].getsockname()[1], flush=True)
    sys.stdout.close()
    await listening.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
