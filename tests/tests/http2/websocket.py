"""A WebSocket through Aya, over HTTP/1.1 (websockets) or HTTP/2 (h2 and wsproto, RFC 8441).

usage: websocket.py PORT 1.1|2
"""

import asyncio
import socket
import sys

import h2.config
import h2.connection
import h2.events
import h2.settings
import wsproto.connection
import wsproto.events
from websockets.asyncio.client import connect

MESSAGES = ["hello", "", "x" * 70_000, bytes([0, 255]) * 300_000]


async def over_http1(port):
    async with connect(f"ws://127.0.0.1:{port}/chat", max_size=None) as talk:
        for message in MESSAGES:
            await talk.send(message)
            assert await talk.recv() == message
        await (await talk.ping())
    assert talk.close_code == 1000, talk.close_code


class OverHttp2:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        config = h2.config.H2Configuration(client_side=True, header_encoding="utf-8")
        self.link = h2.connection.H2Connection(config)
        self.link.initiate_connection()
        self.talk = wsproto.connection.Connection(wsproto.connection.ConnectionType.CLIENT)
        self.status, self.is_greeted, self.ended, self.received = None, False, False, []
        self.stream = None

    def flush(self):
        self.socket.sendall(self.link.data_to_send())

    def turn(self):
        """Takes in whatever comes next."""
        received = self.socket.recv(1 << 16)
        assert received, "the connection was closed"
        for event in self.link.receive_data(received):
            if isinstance(event, h2.events.RemoteSettingsChanged):
                self.is_greeted = True
            elif isinstance(event, h2.events.ResponseReceived):
                self.status = dict(event.headers)
            elif isinstance(event, h2.events.DataReceived):
                self.link.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                if event.data:
                    self.talk.receive_data(event.data)
            elif isinstance(event, h2.events.StreamEnded | h2.events.StreamReset):
                self.ended = True
        self.received.extend(self.talk.events())
        self.flush()

    def send(self, data):
        while data:
            room = min(self.link.local_flow_control_window(self.stream), self.link.max_outbound_frame_size)
            if room:
                self.link.send_data(self.stream, data[:room])
                self.flush()
                data = data[room:]
            else:
                self.turn()

    def message(self):
        whole = None
        while True:
            while self.received:
                event = self.received.pop(0)
                if isinstance(event, wsproto.events.Message):
                    whole = event.data if whole is None else whole + event.data
                    if event.message_finished:
                        return whole
                if isinstance(event, wsproto.events.CloseConnection):
                    return event.code
            self.turn()

    def run(self):
        self.flush()
        while not self.is_greeted:
            self.turn()
        allowed = self.link.remote_settings.get(h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL)
        assert allowed == 1, "other protocols are not offered"
        self.stream = self.link.get_next_available_stream_id()
        head = [
            (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":path", "/chat"),
            (":authority", "play.test"), ("sec-websocket-version", "13"),
        ]
        self.link.send_headers(self.stream, head)
        self.flush()
        while self.status is None:
            self.turn()
        assert self.status[":status"] == "200", self.status
        assert "sec-websocket-accept" not in self.status and "upgrade" not in self.status, self.status
        for message in MESSAGES:
            kind = wsproto.events.TextMessage if isinstance(message, str) else wsproto.events.BytesMessage
            self.send(self.talk.send(kind(data=message)))
            answer = self.message()
            assert answer == message, f"{len(answer)} for {len(message)}"
        self.send(self.talk.send(wsproto.events.CloseConnection(code=1000)))
        assert self.message() == 1000
        self.link.end_stream(self.stream)
        self.flush()
        while not self.ended:
            self.turn()


port, version = int(sys.argv[1]), sys.argv[2]
if version == "2":
    OverHttp2(port).run()
else:
    asyncio.run(over_http1(port))
print("done")
