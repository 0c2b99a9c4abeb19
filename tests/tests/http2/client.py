"""Plays a table of exchanges through Aya, over HTTP/1.1 (h11) or HTTP/2 (h2), and says what was not as it should be.

usage: client.py PORT 1|2 ENDPOINT_VERSION [AUTHORITY]
"""

import hashlib
import itertools
import json
import socket
import ssl
import sys
import time

import h11
import h2.config
import h2.connection
import h2.events

PATIENCE = 20
AUTHORITY = "matrix.test"
# What an endpoint counts by.
KEYS = itertools.count()


class Answer:
    def __init__(self):
        self.status, self.headers, self.body, self.trailers = None, {}, b"", []
        self.interim, self.broke, self.asked_for_body = [], False, False

    def __repr__(self):
        body = self.body if len(self.body) < 200 else f"{len(self.body)} bytes"
        return f"{self.status} {self.headers} {body} {self.trailers} interim {self.interim} broke {self.broke}"


class Asker:
    """A connection; one request at a time."""

    def __init__(self, port, authority, protocol):
        plain = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.socket = plain
        if authority:
            context = ssl.create_default_context(cafile=authority)
            context.set_alpn_protocols([protocol])
            self.socket = context.wrap_socket(plain, server_hostname=AUTHORITY)
            agreed = self.socket.selected_alpn_protocol()
            assert agreed == protocol, f"{agreed} was agreed upon"

    def receive(self):
        try:
            return self.socket.recv(1 << 16)
        except (ConnectionError, ssl.SSLError):
            return b""

    def send(self, data):
        try:
            self.socket.sendall(data)
        except (ConnectionError, ssl.SSLError):
            # What came before may still be an answer.
            pass

    def close(self):
        self.socket.close()


class Http1(Asker):
    version = "1.1"

    def __init__(self, port, authority):
        super().__init__(port, authority, "http/1.1")
        self.connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 17)

    def ask(self, method, path, headers=(), pieces=(), trailers=(), waits=False, rest=0, slowly=False):
        answer = Answer()
        fields = [("host", AUTHORITY), *headers]
        if trailers or (pieces and not any(name == "content-length" for name, _ in headers)):
            fields.append(("transfer-encoding", "chunked"))
        self.send(self.connection.send(h11.Request(method=method, target=path, headers=fields)))
        if waits:
            self.read(answer, until=lambda: answer.asked_for_body or answer.status)
        for piece in pieces:
            time.sleep(rest)
            self.send(self.connection.send(h11.Data(data=piece)))
        self.send(self.connection.send(h11.EndOfMessage(headers=list(trailers))))
        self.read(answer, until=lambda: False, slowly=slowly)
        if self.connection.our_state is h11.DONE and self.connection.their_state is h11.DONE:
            self.connection.start_next_cycle()
        return answer

    def read(self, answer, until, slowly=False):
        while not until():
            try:
                event = self.connection.next_event()
            except h11.RemoteProtocolError:
                answer.broke = True
                return
            if event is h11.NEED_DATA:
                time.sleep(0.001 if slowly else 0)
                self.connection.receive_data(self.receive())
            elif isinstance(event, h11.InformationalResponse):
                if event.status_code == 100:
                    answer.asked_for_body = True
                else:
                    answer.interim.append((event.status_code, dict(decoded(event.headers))))
            elif isinstance(event, h11.Response):
                answer.status, answer.headers = event.status_code, dict(decoded(event.headers))
            elif isinstance(event, h11.Data):
                answer.body += event.data
            elif isinstance(event, h11.EndOfMessage):
                answer.trailers = decoded(event.headers)
                return
            else:
                answer.broke = True
                return


def decoded(headers):
    return [(name.decode(), value.decode()) for name, value in headers]


class Http2(Asker):
    version = "2"

    def __init__(self, port, authority):
        super().__init__(port, authority, "h2")
        config = h2.config.H2Configuration(
            client_side=True, header_encoding="utf-8", validate_outbound_headers=False
        )
        self.connection = h2.connection.H2Connection(config)
        self.connection.initiate_connection()
        self.flush()
        self.scheme = "https" if authority else "http"

    def flush(self):
        self.send(self.connection.data_to_send())

    def ask(self, method, path, headers=(), pieces=(), trailers=(), waits=False, rest=0, slowly=False):
        answer = Answer()
        stream = self.connection.get_next_available_stream_id()
        pseudo = [(":method", method), (":scheme", self.scheme), (":authority", AUTHORITY), (":path", path)]
        has_more = bool(pieces or trailers)
        self.connection.send_headers(stream, [*pseudo, *headers], end_stream=not has_more)
        self.flush()
        self.ended = False
        if waits:
            self.read(answer, stream, until=lambda: answer.asked_for_body or answer.status)
        for piece in pieces:
            time.sleep(rest)
            while piece and not self.ended:
                room = min(
                    self.connection.local_flow_control_window(stream), self.connection.max_outbound_frame_size
                )
                if room:
                    self.connection.send_data(stream, piece[:room])
                    self.flush()
                    piece = piece[room:]
                else:
                    self.read_once(answer, stream)
        if has_more and not self.ended:
            if trailers:
                self.connection.send_headers(stream, list(trailers), end_stream=True)
            else:
                self.connection.end_stream(stream)
            self.flush()
        self.read(answer, stream, until=lambda: False, slowly=slowly)
        return answer

    def read(self, answer, stream, until, slowly=False):
        while not until() and not self.ended:
            time.sleep(0.001 if slowly else 0)
            self.read_once(answer, stream)

    def read_once(self, answer, stream):
        received = self.receive()
        if not received:
            answer.broke = self.ended = True
            return
        for event in self.connection.receive_data(received):
            if isinstance(event, h2.events.ConnectionTerminated):
                answer.broke = self.ended = event.error_code != 0
            if getattr(event, "stream_id", None) != stream:
                continue
            if isinstance(event, h2.events.InformationalResponseReceived):
                fields = dict(event.headers)
                status = int(fields.pop(":status"))
                if status == 100:
                    answer.asked_for_body = True
                else:
                    answer.interim.append((status, fields))
            elif isinstance(event, h2.events.ResponseReceived):
                answer.headers = dict(event.headers)
                answer.status = int(answer.headers.pop(":status"))
            elif isinstance(event, h2.events.DataReceived):
                answer.body += event.data
                self.connection.acknowledge_received_data(event.flow_controlled_length, stream)
            elif isinstance(event, h2.events.TrailersReceived):
                answer.trailers = event.headers
            elif isinstance(event, h2.events.StreamEnded):
                self.ended = True
            elif isinstance(event, h2.events.StreamReset):
                # An answer that was whole stays whole (RFC 9113 §8.1).
                answer.broke = answer.broke or event.error_code != 0
                self.ended = True
        self.flush()


def seen(answer):
    assert answer.status == 200, answer
    return json.loads(answer.body)


def digest(data):
    return hashlib.sha256(data).hexdigest()


CASES = []


def case(function):
    CASES.append(function)
    return function


@case
def a_small_answer(asker):
    answer = asker.ask("GET", "/length?n=5")
    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, bytes(5), "5"), answer


@case
def a_request_without_a_body_has_none(asker):
    echo = seen(asker.ask("GET", "/echo"))
    assert (echo["method"], echo["length"], echo["version"]) == ("GET", 0, ENDPOINT), echo
    names = [name for name, _ in echo["headers"]]
    assert "transfer-encoding" not in names and "content-length" not in names, echo


@case
def fields_arrive(asker):
    echo = seen(asker.ask("GET", "/echo", headers=[("x-one", "1"), ("x-two", "2"), ("x-one", "3")]))
    values = [value for name, value in echo["headers"] if name == "x-one"]
    assert values in (["1", "3"], ["1, 3"]), echo
    via = [value for name, value in echo["headers"] if name == "via"]
    assert via == [asker.version + " aya"], echo


@case
def cookies_are_one_field(asker):
    echo = seen(asker.ask("GET", "/echo", headers=[("cookie", "a=1"), ("cookie", "b=2")][: 1 + (asker.version == "2")]))
    cookies = [value for name, value in echo["headers"] if name == "cookie"]
    assert cookies == ["a=1; b=2" if asker.version == "2" else "a=1"], echo


@case
def a_body_of_known_length(asker):
    body = bytes(range(256)) * 1000
    echo = seen(asker.ask("POST", "/echo", headers=[("content-length", str(len(body)))], pieces=[body]))
    assert (echo["length"], echo["sha"]) == (len(body), digest(body)), echo
    assert ["content-length", str(len(body))] in echo["headers"], echo


@case
def a_body_of_unknown_length(asker):
    pieces = [b"one", b"two" * 10_000, b"three"]
    echo = seen(asker.ask("POST", "/echo", pieces=pieces))
    assert (echo["length"], echo["sha"]) == (30_008, digest(b"".join(pieces))), echo


@case
def a_slow_body(asker):
    echo = seen(asker.ask("PUT", "/echo", pieces=[b"drop"] * 5, rest=0.03))
    assert echo["length"] == 20, echo


@case
def an_empty_post(asker):
    echo = seen(asker.ask("POST", "/echo", headers=[("content-length", "0")]))
    assert echo["length"] == 0, echo


@case
def trailers_of_requests(asker):
    echo = seen(asker.ask("POST", "/echo", pieces=[b"data"], trailers=[("x-checksum", "abc"), ("host", "evil")]))
    assert echo["trailers"] == [["x-checksum", "abc"]], echo


@case
def answers_of_unknown_length(asker):
    answer = asker.ask("GET", "/stream?n=200000")
    assert (answer.status, len(answer.body), answer.broke) == (200, 200_000, False), answer
    assert "content-length" not in answer.headers, answer


@case
def large_answers(asker):
    answer = asker.ask("GET", "/length?n=3000000")
    assert (answer.status, len(answer.body), answer.broke) == (200, 3_000_000, False), answer


@case
def slow_answers(asker):
    answer = asker.ask("GET", "/slow")
    assert (answer.status, answer.body) == (200, b"piece" * 5), answer


@case
def trailers_of_answers(asker):
    answer = asker.ask("GET", "/trailers")
    assert (answer.status, answer.body, list(answer.trailers)) == (200, b"data", [("x-checksum", "abc")]), answer


@case
def trailers_behind_nothing(asker):
    answer = asker.ask("GET", "/only-trailers")
    assert (answer.status, answer.body, list(answer.trailers)) == (200, b"", [("x-checksum", "none")]), answer


@case
def interim_answers(asker):
    answer = asker.ask("GET", "/hints")
    assert (answer.status, answer.body) == (200, b"hinted"), answer
    assert [(status, fields["link"]) for status, fields in answer.interim] == [(103, "</style.css>; rel=preload")], answer


@case
def bodies_on_request(asker):
    fields = [("expect", "100-continue"), ("content-length", "4")]
    answer = asker.ask("POST", "/asks-for-body", headers=fields, pieces=[b"data"], waits=True)
    assert (answer.status, answer.body, answer.asked_for_body) == (200, b"4", True), answer


@case
def heads_only(asker):
    answer = asker.ask("HEAD", "/length?n=70")
    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", "70"), answer


@case
def statuses_without_a_body(asker):
    answer = asker.ask("GET", "/empty")
    assert (answer.status, answer.body, answer.broke) == (204, b"", False), answer
    answer = asker.ask("GET", "/nothing")
    assert (answer.status, answer.body, answer.headers.get("content-length")) == (200, b"", "0"), answer


@case
def early_answers(asker):
    body = b"z" * 2_000_000
    answer = asker.ask("POST", "/early", headers=[("content-length", str(len(body)))], pieces=[body])
    assert (answer.status, answer.body) == (413, b"early"), answer


@case
def slow_readers_of_requests(asker):
    answer = asker.ask("POST", "/slow-reader", pieces=[b"r" * 65536] * 30)
    assert (answer.status, answer.body) == (200, str(30 * 65536).encode()), answer


@case
def slow_readers_of_answers(asker):
    answer = asker.ask("GET", "/length?n=2000000", slowly=True)
    assert (answer.status, len(answer.body)) == (200, 2_000_000), answer


@case
def answers_that_break_off_are_seen_to(asker):
    answer = asker.ask("GET", "/breaks")
    assert (answer.status, answer.broke) == (200, True), answer
    assert len(answer.body) <= 1000, answer


@case
def broken_attempts_are_repeated(asker):
    answer = asker.ask("GET", f"/refuses?key={next(KEYS)}&times=1")
    assert (answer.status, answer.body) == (200, b"2"), answer


@case
def what_must_not_be_repeated_is_not(asker):
    answer = asker.ask("POST", f"/refuses?key={next(KEYS)}&times=1", pieces=[b"once"])
    assert (answer.status, answer.headers.get("x-aya-reason")) == (502, "upstream-closed"), answer


@case
def hosts_that_differ_are_refused(asker):
    answer = asker.ask("GET", "/echo", headers=[("host", "other.test")])
    assert (answer.status, answer.headers.get("x-aya-reason")) == (400, "bad-request"), answer


def main():
    global ENDPOINT
    port, version, ENDPOINT, *authority = sys.argv[1:]
    kind = Http2 if version == "2" else Http1
    failed = 0
    for function in CASES:
        if version == "1.1" and function is hosts_that_differ_are_refused:
            # Two fields of this name: its library does not send them.
            continue
        # Once on a connection of its own, and once behind another request.
        for is_second in (False, True):
            asker = kind(int(port), *(authority or [None]))
            try:
                if is_second:
                    assert asker.ask("GET", "/length?n=1").status == 200
                function(asker)
            except Exception as error:
                failed += 1
                print(f"{function.__name__} (second: {is_second}): {error!r}")
            asker.close()
    print(f"{2 * len(CASES)} plays, {failed} failed")
    sys.exit(failed > 0)


main()
