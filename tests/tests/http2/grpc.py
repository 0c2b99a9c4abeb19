"""gRPC (grpcio) through Aya: every kind of call, metadata both ways, failures and deadlines.

usage: grpc.py PORT serve|ask
"""

import sys
import time
from concurrent import futures

import grpc



class Service(grpc.GenericRpcHandler):
    def service(self, call):
        kinds = {
            "Double": grpc.unary_unary_rpc_method_handler(lambda request, _: request * 2),
            "Repeat": grpc.unary_stream_rpc_method_handler(lambda request, _: (request for _ in range(50))),
            "Join": grpc.stream_unary_rpc_method_handler(lambda requests, _: b"".join(requests)),
            "Echo": grpc.stream_stream_rpc_method_handler(lambda requests, _: (each for each in requests)),
            "Refuse": grpc.unary_unary_rpc_method_handler(refuse),
            "Tell": grpc.unary_unary_rpc_method_handler(tell),
            "Sleep": grpc.unary_unary_rpc_method_handler(sleep),
        }
        return kinds.get(call.method.removeprefix("/play.Play/"))


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


def serve(port):
    server = grpc.server(futures.ThreadPoolExecutor(16))
    server.add_generic_rpc_handlers((Service(),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    server.wait_for_termination()


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


port, play = sys.argv[1:]
{"serve": serve, "ask": ask}[play](int(port))
print("done")
