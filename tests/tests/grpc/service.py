"""gRPC (grpcio) through Aya: every kind of call, metadata both ways, failures and deadlines.

usage: service.py PORT serve [CERTIFICATE KEY] | PORT ask|fail|sicken|heal
"""

import socket
import sys
import time
from concurrent import futures

import grpc
import h2.config
import h2.connection
import h2.events
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Service(grpc.GenericRpcHandler):
    def __init__(self, health_of):
        self.health_of = health_of

    def service(self, call):
        kinds = {
            "Double": grpc.unary_unary_rpc_method_handler(lambda request, _: request * 2),
            "Repeat": grpc.unary_stream_rpc_method_handler(lambda request, _: (request for _ in range(50))),
            "Join": grpc.stream_unary_rpc_method_handler(lambda requests, _: b"".join(requests)),
            "Echo": grpc.stream_stream_rpc_method_handler(lambda requests, _: (each for each in requests)),
            "Refuse": grpc.unary_unary_rpc_method_handler(refuse),
            "Tell": grpc.unary_unary_rpc_method_handler(tell),
            "Sicken": grpc.unary_unary_rpc_method_handler(lambda request, _: self.become(NOT_SERVING, request)),
            "Heal": grpc.unary_unary_rpc_method_handler(lambda request, _: self.become(SERVING, request)),
            "Sleep": grpc.unary_unary_rpc_method_handler(sleep),
        }
        return kinds.get(call.method.removeprefix("/play.Play/"))

    def become(self, status, answer):
        self.health_of.set("play.Play", status)
        return answer


def refuse(_, context):
    context.set_trailing_metadata((("x-why", "because"), ("x-raw-bin", bytes([0, 255]))))
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not now: ä")


def tell(_, context):
    context.send_initial_metadata((("x-first", "1"),))
    return dict(context.invocation_metadata())["x-asked"].encode()


def sleep(request, context):
    while context.is_active():
        time.sleep(0.05)
    return request


def serve(port, *files):
    server = grpc.server(futures.ThreadPoolExecutor(16))
    health_of = health.HealthServicer()
    health_of.set("", SERVING)
    # The second one is asked about by an example.
    health_of.set("play.Play", SERVING)
    health_of.set("shop.Orders", SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(health_of, server)
    reflection.enable_server_reflection(["grpc.health.v1.Health", reflection.SERVICE_NAME], server)
    server.add_generic_rpc_handlers((Service(health_of),))
    address = f"127.0.0.1:{port}"
    if files:
        certificate, key = (open(file, "rb").read() for file in files)
        server.add_secure_port(address, grpc.ssl_server_credentials([(key, certificate)]))
    else:
        server.add_insecure_port(address)
    server.start()
    server.wait_for_termination()


def sicken(port):
    tell_service(port, "Sicken")


def heal(port):
    tell_service(port, "Heal")


def tell_service(port, method):
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    assert channel.unary_unary(f"/play.Play/{method}")(b"word", timeout=20) == b"word"


def ask(port):
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")

    def call(kind, method):
        return getattr(channel, kind)(f"/play.Play/{method}")

    double = call("unary_unary", "Double")
    assert double(b"ab") == b"abab"
    assert double(b"x" * 1_000_000) == b"x" * 2_000_000
    assert list(call("unary_stream", "Repeat")(b"r" * 1000)) == [b"r" * 1000] * 50
    pieces = [bytes([number]) * 1000 for number in range(200)]
    assert call("stream_unary", "Join")(iter(pieces)) == b"".join(pieces)
    assert list(call("stream_stream", "Echo")(iter(pieces))) == pieces

    # One after the other: each answer comes before the next question is asked.
    asked = []

    def questions():
        for number in range(20):
            while len(asked) < number:
                time.sleep(0.001)
            yield bytes([number])

    for answer in call("stream_stream", "Echo")(questions()):
        asked.append(answer)
    assert len(asked) == 20

    told, first = call("unary_unary", "Tell").with_call(b"", metadata=(("x-asked", "word"),))
    assert told == b"word" and ("x-first", "1") in [tuple(field) for field in first.initial_metadata()]
    fails(grpc.StatusCode.FAILED_PRECONDITION, lambda: call("unary_unary", "Refuse")(b""), "not now: ä")
    fails(grpc.StatusCode.UNIMPLEMENTED, lambda: call("unary_unary", "Unknown")(b""))
    fails(grpc.StatusCode.DEADLINE_EXCEEDED, lambda: call("unary_unary", "Sleep")(b"", timeout=0.3))

    # Services that tools ask for.
    asked = health_pb2.HealthCheckRequest(service="play.Play")
    assert health_pb2_grpc.HealthStub(channel).Check(asked).status == SERVING
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    (told,) = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([asked]))
    assert "grpc.health.v1.Health" in [service.name for service in told.list_services_response.service], told

    # Many at once over one connection.
    calls = [double.future(bytes([number]) * 100) for number in range(200)]
    assert all(future.result() == bytes([number]) * 200 for number, future in enumerate(calls))


def fails(code, attempt, details=None):
    try:
        attempt()
    except grpc.RpcError as error:
        assert error.code() is code, error
        if details is not None:
            assert error.details() == details, error
            metadata = dict(error.trailing_metadata())
            assert (metadata["x-why"], metadata["x-raw-bin"]) == ("because", bytes([0, 255])), metadata
    else:
        raise AssertionError(f"{code} did not come")


def fail(port):
    """What comes of calls that reach nobody."""
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    call = lambda path: (lambda: channel.unary_unary(path)(b"", timeout=20))
    for path, code, reason in (
        ("/nowhere.Nowhere/Call", grpc.StatusCode.UNIMPLEMENTED, "no-route"),
        ("/dead.Dead/Call", grpc.StatusCode.UNAVAILABLE, "connect-failed"),
    ):
        try:
            call(path)()
        except grpc.RpcError as error:
            assert error.code() is code and error.details().endswith("."), error
            assert dict(error.trailing_metadata())["x-aya-reason"] == reason, error.trailing_metadata()
        else:
            raise AssertionError(f"{path} came through")

    # Who keeps no time of its own: the deadline that is told is Aya's as well.
    for timeout, is_kept in (("200m", True), ("soon", False)):
        head = raw(port, "/slow.Slow/Call", timeout)
        if is_kept:
            assert head[":status"] == "200" and head["content-type"] == "application/grpc", head
            assert (head["grpc-status"], head["x-aya-reason"]) == ("4", "request-timeout"), head
            assert "content-length" not in head, head
        else:
            assert head is None, head


def raw(port, path, timeout):
    """The head that is the whole answer to a call with such a timeout, if it comes within two seconds."""
    connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    connection.initiate_connection()
    fields = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "a"), ("te", "trailers")]
    fields += [("content-type", "application/grpc"), ("grpc-timeout", timeout)]
    connection.send_headers(1, fields)
    connection.send_data(1, bytes(5), end_stream=True)
    with socket.create_connection(("127.0.0.1", port), timeout=2) as link:
        link.sendall(connection.data_to_send())
        head = None
        try:
            while received := link.recv(1 << 16):
                for event in connection.receive_data(received):
                    if isinstance(event, h2.events.ResponseReceived):
                        head = dict(event.headers)
                        assert event.stream_ended is not None, "a frame follows"
                    elif isinstance(event, h2.events.StreamEnded):
                        return head
                    assert not isinstance(event, h2.events.StreamReset), "it was reset"
        except TimeoutError:
            return head


port, part, *rest = sys.argv[1:]
parts = {"serve": serve, "ask": ask, "fail": fail, "sicken": sicken, "heal": heal}
parts[part](int(port), *rest)
print("done")
