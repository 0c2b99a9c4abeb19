"""An endpoint whose behaviour is asked for by path, over HTTP/1.1 (h11) or HTTP/2 (h2).

usage: endpoint.py PORT 1|2 [CERTIFICATE KEY]
"""

import asyncio
import hashlib
import json
import ssl
import sys

import h11
import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
import wsproto.connection
import wsproto.events

PIECE = 16 << 10


class Broken(Exception):
    """The other side has gone."""


class Exchange:
    """A request and its answer, whatever is spoken."""

    def __init__(self, method, path, headers):
        self.method, self.headers = method, headers
        self.path, _, query = path.partition("?")
        self.query = dict(pair.split("=") for pair in query.split("&") if pair)
        self.trailers = []
        self.pieces = asyncio.Queue()

    async def body(self):
        """The pieces of the request's body; its trailers are there at the end."""
        while (piece := await self.pieces.get()) is not None:
            if isinstance(piece, Exception):
                raise piece
            self.taken(len(piece))
            yield piece

    def taken(self, length):
        pass

    async def whole_body(self):
        return b"".join([piece async for piece in self.body()])


async def serve(exchange):
    """What is done for a path."""
    behaviour = BEHAVIOURS[exchange.path.strip("/").replace("-", "_")]
    await behaviour(exchange)


async def answer(exchange, body, headers=()):
    await exchange.head(200, [("content-length", str(len(body))), *headers])
    if exchange.method != "HEAD":
        await exchange.data(body)
    await exchange.end()


async def echo(exchange):
    body = await exchange.whole_body()
    seen = {
        "method": exchange.method,
        "length": len(body),
        "sha": hashlib.sha256(body).hexdigest(),
        "headers": [[name, value] for name, value in exchange.headers if not name.startswith(":")],
        "trailers": [list(field) for field in exchange.trailers],
        "version": exchange.version,
    }
    await answer(exchange, json.dumps(seen).encode())


async def length(exchange):
    await exchange.whole_body()
    await answer(exchange, bytes(int(exchange.query["n"])))


async def stream(exchange):
    """A body whose length nobody tells."""
    await exchange.whole_body()
    await exchange.head(200, [])
    left = int(exchange.query["n"])
    while left and exchange.method != "HEAD":
        piece = min(left, 7919)
        await exchange.data(b"s" * piece)
        left -= piece
    await exchange.end()


async def slow(exchange):
    """A body in pieces, with a rest before each."""
    await exchange.whole_body()
    await exchange.head(200, [])
    for _ in range(5):
        await asyncio.sleep(0.05)
        await exchange.data(b"piece")
    await exchange.end()


async def trailers(exchange):
    await exchange.whole_body()
    await exchange.head(200, [("trailer", "x-checksum")])
    await exchange.data(b"data")
    await exchange.end([("x-checksum", "abc")])


async def only_trailers(exchange):
    """Trailers behind no body at all."""
    await exchange.whole_body()
    await exchange.head(200, [("trailer", "x-checksum")])
    await exchange.end([("x-checksum", "none")])


async def hints(exchange):
    await exchange.whole_body()
    await exchange.interim(103, [("link", "</style.css>; rel=preload")])
    await answer(exchange, b"hinted")


async def asks_for_body(exchange):
    """The body comes when it is asked for."""
    await exchange.interim(100, [])
    await answer(exchange, str(len(await exchange.whole_body())).encode())


async def early(exchange):
    """An answer before the body is there, which is read all the same."""
    await exchange.head(413, [("content-length", "5")])
    await exchange.data(b"early")
    await exchange.end()
    await exchange.whole_body()


async def empty(exchange):
    await exchange.whole_body()
    await exchange.head(204, [])
    await exchange.end()


async def nothing(exchange):
    """200 without a body."""
    await exchange.whole_body()
    await exchange.head(200, [("content-length", "0")])
    await exchange.end()


async def slow_reader(exchange):
    count = 0
    async for piece in exchange.body():
        count += len(piece)
        await asyncio.sleep(0.001)
    await answer(exchange, str(count).encode())


async def breaks(exchange):
    """Breaks off in the middle of its answer."""
    await exchange.whole_body()
    await exchange.head(200, [("content-length", "100000")])
    await exchange.data(b"x" * 1000)
    await asyncio.sleep(0.05)
    exchange.abort()


async def hold(exchange):
    """Answers only once the client gives it up."""
    try:
        await exchange.whole_body()
        await exchange.pieces.get()
    finally:
        seen["given up"] = seen.get("given up", 0) + 1


async def given_up(exchange):
    await answer(exchange, b"g" * seen.get("given up", 0))


async def refuses(exchange):
    """Breaks off before its answer, the first times."""
    key = exchange.query["key"]
    seen[key] = seen.get(key, 0) + 1
    if seen[key] <= int(exchange.query["times"]):
        exchange.abort(int(exchange.query.get("code", 2)))
    else:
        await answer(exchange, str(seen[key]).encode())


async def chat(exchange):
    """A WebSocket that says what it is told (HTTP/2 only)."""
    if exchange.method != "CONNECT":
        await exchange.head(400, [])
        await exchange.end()
        return
    await exchange.head(200, [])
    talk = wsproto.connection.Connection(wsproto.connection.ConnectionType.SERVER)
    async for piece in exchange.body():
        if piece:
            talk.receive_data(piece)
        for event in talk.events():
            if isinstance(event, wsproto.events.Message):
                answer = type(event)(data=event.data, message_finished=event.message_finished)
            elif isinstance(event, wsproto.events.Ping | wsproto.events.CloseConnection):
                answer = event.response()
            await exchange.data(talk.send(answer))
    await exchange.end()


seen = {}
BEHAVIOURS = {
    function.__name__: function
    for function in (
        echo, length, stream, slow, trailers, only_trailers, hints, asks_for_body, early, empty, nothing,
        slow_reader, breaks, refuses, chat, hold, given_up,
    )
}


class Http1(Exchange):
    version = "1.1"

    def __init__(self, connection, writer, request):
        headers = [(name.decode(), value.decode()) for name, value in request.headers]
        super().__init__(request.method.decode(), request.target.decode(), headers)
        self.connection, self.writer = connection, writer

    async def send(self, event):
        self.writer.write(self.connection.send(event) or b"")
        await self.writer.drain()

    async def interim(self, status, headers):
        await self.send(h11.InformationalResponse(status_code=status, headers=headers))

    async def head(self, status, headers):
        await self.send(h11.Response(status_code=status, headers=headers))

    async def data(self, data):
        await self.send(h11.Data(data=data))

    async def end(self, trailers=()):
        await self.send(h11.EndOfMessage(headers=list(trailers)))

    def abort(self, code=None):
        self.writer.transport.abort()
        raise Broken


async def http1(reader, writer):
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 17)
    exchange, serving = None, None
    # One read is under way at most; what it brings may be for the next request.
    coming = None
    try:
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                coming = coming or asyncio.ensure_future(reader.read(PIECE))
                received, coming = await coming, None
                connection.receive_data(received)
            elif event is h11.PAUSED or connection.our_state is h11.MUST_CLOSE:
                await serving
                if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                    break
                connection.start_next_cycle()
            elif isinstance(event, h11.Request):
                exchange = Http1(connection, writer, event)
                serving = asyncio.ensure_future(serve(exchange))
            elif isinstance(event, h11.Data):
                exchange.pieces.put_nowait(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                exchange.trailers = [(name.decode(), value.decode()) for name, value in event.headers]
                exchange.pieces.put_nowait(None)
                coming = coming or asyncio.ensure_future(reader.read(PIECE))
                await asyncio.wait({serving, coming}, return_when=asyncio.FIRST_COMPLETED)
                if coming.done() and not coming.result():
                    exchange.pieces.put_nowait(Broken())
                await serving
                if connection.our_state is h11.DONE:
                    connection.start_next_cycle()
                else:
                    break
            elif isinstance(event, h11.ConnectionClosed):
                break
    except (Broken, h11.RemoteProtocolError, ConnectionError):
        if exchange is not None:
            exchange.pieces.put_nowait(Broken())
    finally:
        writer.close()


class Http2(Exchange):
    version = "2"

    def __init__(self, link, stream_id, headers):
        fields = dict(headers)
        super().__init__(fields[":method"], fields[":path"], headers)
        self.link, self.stream_id = link, stream_id

    def taken(self, length):
        if not self.link.closed:
            self.link.connection.acknowledge_received_data(length, self.stream_id)
            self.link.flush()

    async def interim(self, status, headers):
        self.link.connection.send_headers(self.stream_id, [(":status", str(status)), *headers])
        self.link.flush()

    head = interim

    async def data(self, data):
        while data:
            room = await self.link.room(self.stream_id)
            piece, data = data[:room], data[room:]
            self.link.connection.send_data(self.stream_id, piece)
            self.link.flush()
            await self.link.writer.drain()

    async def end(self, trailers=()):
        if trailers:
            self.link.connection.send_headers(self.stream_id, list(trailers), end_stream=True)
        else:
            self.link.connection.end_stream(self.stream_id)
        self.link.flush()

    def abort(self, code=2):
        self.link.connection.reset_stream(self.stream_id, code)
        self.link.flush()
        raise Broken


class Link:
    """A connection over HTTP/2."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        config = h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        self.connection = h2.connection.H2Connection(config)
        self.exchanges = {}
        self.changed = asyncio.Event()
        self.closed = False

    def flush(self):
        self.writer.write(self.connection.data_to_send())

    async def room(self, stream_id):
        while not (room := min(
            self.connection.local_flow_control_window(stream_id), self.connection.max_outbound_frame_size
        )):
            self.changed.clear()
            await self.changed.wait()
            if self.closed:
                raise Broken
        return room

    async def run(self):
        self.connection.initiate_connection()
        self.connection.update_settings({h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL: 1})
        self.flush()
        while received := await self.reader.read(1 << 16):
            for event in self.connection.receive_data(received):
                self.take(event)
            self.flush()
        self.closed = True
        self.changed.set()
        for exchange in self.exchanges.values():
            exchange.pieces.put_nowait(Broken())

    def take(self, event):
        exchange = self.exchanges.get(getattr(event, "stream_id", None))
        if isinstance(event, h2.events.RequestReceived):
            exchange = Http2(self, event.stream_id, event.headers)
            self.exchanges[event.stream_id] = exchange
            asyncio.ensure_future(self.serve(exchange))
        elif isinstance(event, h2.events.DataReceived):
            # Padding, and data of exchanges that are over, count as well.
            exchange.pieces.put_nowait(event.data)
        elif isinstance(event, h2.events.TrailersReceived):
            exchange.trailers = event.headers
        elif isinstance(event, h2.events.StreamEnded):
            exchange.pieces.put_nowait(None)
        elif isinstance(event, h2.events.StreamReset):
            if exchange is not None:
                exchange.pieces.put_nowait(Broken())
        elif isinstance(event, h2.events.WindowUpdated | h2.events.RemoteSettingsChanged):
            self.changed.set()

    async def serve(self, exchange):
        try:
            await serve(exchange)
        except (Broken, ConnectionError, h2.exceptions.ProtocolError):
            pass


async def http2(reader, writer):
    try:
        await Link(reader, writer).run()
    except ConnectionError:
        pass
    finally:
        writer.close()


async def main():
    port, version, *files = sys.argv[1:]
    context = None
    if files:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*files)
        context.set_alpn_protocols(["h2"] if version == "2" else ["http/1.1"])
    handler = http2 if version == "2" else http1
    server = await asyncio.start_server(handler, "0.0.0.0", int(port), ssl=context)
    async with server:
        await server.serve_forever()


asyncio.run(main())
