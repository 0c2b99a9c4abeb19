"""Plays on single connections over HTTP/2. What was seen is printed as JSON.

usage: plays.py PORT PLAY [ARGUMENT…]
"""

import json
import socket
import sys
import time

import h2.config
import h2.connection
import h2.events

PATIENCE = 20


class Link:
    """A connection, with all that has come of each stream."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        config = h2.config.H2Configuration(
            client_side=True, header_encoding="utf-8", validate_outbound_headers=False
        )
        self.connection = h2.connection.H2Connection(config)
        self.connection.initiate_connection()
        self.streams, self.goaway, self.closed, self.received = {}, None, False, b""
        self.flush()

    def flush(self):
        data = self.connection.data_to_send()
        try:
            self.socket.sendall(data)
        except ConnectionError:
            self.closed = True

    def ask(self, path, headers=(), method="GET", ends=True, authority="play.test"):
        stream = self.connection.get_next_available_stream_id()
        head = [(":method", method), (":scheme", "http"), (":authority", authority), (":path", path)]
        self.connection.send_headers(stream, [*head, *headers], end_stream=ends)
        self.streams[stream] = {"status": None, "reason": None, "bytes": 0, "ended": False, "reset": None}
        self.flush()
        return stream

    def turn(self, takes=True):
        try:
            received = self.socket.recv(1 << 16)
        except ConnectionError:
            received = b""
        if not received:
            self.closed = True
            return
        self.received += received
        for event in self.events():
            seen = self.streams.get(getattr(event, "stream_id", None))
            if isinstance(event, h2.events.ConnectionTerminated):
                self.goaway = event.error_code
            elif seen is None:
                continue
            elif isinstance(event, h2.events.ResponseReceived):
                fields = dict(event.headers)
                seen["status"], seen["reason"] = int(fields[":status"]), fields.get("x-aya-reason")
            elif isinstance(event, h2.events.DataReceived):
                seen["bytes"] += len(event.data)
                if takes:
                    self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                seen["ended"] = True
            elif isinstance(event, h2.events.StreamReset):
                seen["reset"] = int(event.error_code)
        self.flush()

    def events(self):
        """Of each frame by itself: the library takes no frame behind a GOAWAY, though streams go on."""
        while len(self.received) >= 9 and len(self.received) >= 9 + int.from_bytes(self.received[:3]):
            length = 9 + int.from_bytes(self.received[:3])
            frame, self.received = self.received[:length], self.received[length:]
            yield from self.connection.receive_data(frame)
            self.connection.state_machine.state = h2.connection.ConnectionState.CLIENT_OPEN

    def finish(self, *streams):
        """Until these have ended, one way or the other."""
        while not self.closed and any(
            not self.streams[stream]["ended"] and self.streams[stream]["reset"] is None for stream in streams
        ):
            self.turn()
        return [self.streams[stream] for stream in streams]


def drain(port):
    """Has a request under way, says so, and sees what becomes of the connection."""
    link = Link(port)
    slow = link.ask("/slow")
    while link.streams[slow]["status"] is None:
        link.turn()
    print("under way", file=sys.stderr, flush=True)
    while link.goaway is None and not link.closed:
        link.turn()
    link.finish(slow)
    while not link.closed:
        link.turn()
    return {"stream": link.streams[slow], "goaway": link.goaway, "closed": link.closed}


def idle(port, *paths):
    """Asks for these, and waits until Aya has had enough."""
    link = Link(port)
    for path in paths:
        link.finish(link.ask(path))
    while not link.closed:
        link.turn()
    return {"goaway": link.goaway}


def heads(port):
    """Heads that are too large: in bytes, in fields, in both."""
    link = Link(port)
    seen = []
    for headers in (
        [("x-large", "v" * 9_000)] * 8,
        [(f"x-{number}", "v") for number in range(150)],
        [("cookie", "a=b")] * 150,
        [],
    ):
        seen.extend(link.finish(link.ask("/length?n=1", headers)))
    return seen


def cancel(port):
    """Gives a request up, and makes another one."""
    link = Link(port)
    held = link.ask("/hold")
    time.sleep(0.3)
    link.connection.reset_stream(held, 8)
    link.flush()
    return link.finish(link.ask("/length?n=3"))


def stalls(port, count, size):
    """Asks for bodies and takes nothing of them, while another connection is served."""
    link = Link(port)
    asked = [link.ask(f"/length?n={size}") for _ in range(int(count))]
    while not all(link.streams[stream]["bytes"] or link.streams[stream]["status"] for stream in asked):
        link.turn(takes=False)
    other = Link(port)
    return other.finish(other.ask("/length?n=10"))


def many(port, count):
    """So many requests at once."""
    link = Link(port)
    return link.finish(*[link.ask("/length?n=100") for _ in range(int(count))])


def one(port, method, path, body=""):
    link = Link(port)
    stream = link.ask(path, method=method, ends=not body)
    if body:
        link.connection.send_data(stream, body.encode(), end_stream=True)
        link.flush()
    return link.finish(stream)


def tunnel(port, protocol, path):
    """Asks for another protocol."""
    link = Link(port)
    stream = link.connection.get_next_available_stream_id()
    head = [
        (":method", "CONNECT"), (":protocol", protocol), (":scheme", "http"), (":path", path),
        (":authority", "play.test"), ("sec-websocket-version", "13"),
    ]
    link.connection.send_headers(stream, head)
    link.streams[stream] = {"status": None, "reason": None, "bytes": 0, "ended": False, "reset": None}
    link.flush()
    return link.finish(stream)


def hosts(port, *authorities):
    link = Link(port)
    return [link.finish(link.ask("/length?n=1", authority=authority))[0] for authority in authorities]


play, arguments = globals()[sys.argv[2]], sys.argv[3:]
print(json.dumps(play(int(sys.argv[1]), *arguments)))
