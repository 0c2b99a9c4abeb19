"""An application under one of Python's HTTP servers. It notes every request that reaches it, one line each:
ID STATUS HOST LENGTH:CHECKSUM METHOD TARGET HTTP/1.1
and says in its answer whose it is. Below /static/ it answers without having read the body.

Arguments: SERVER PORT FILE."""

import asyncio
import sys

SERVER, PORT, FILE = sys.argv[1], int(sys.argv[2]), sys.argv[3]
NOTES = open(FILE, 'a', buffering=1, encoding='latin-1')


def checksum(body):
    value = 0xCBF29CE484222325
    for byte in body:
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return f'{value:016x}'


def note(name, host, body, method, target):
    """`body` is None where it was not read, and False where it broke off."""
    if body is False:
        digest = 'broken'
    elif body is None:
        digest = '-'
    else:
        digest = f'{len(body)}:{checksum(body)}'
    NOTES.write(f"{name or '-'} 200 {host or '-'} {digest} {method} {target} HTTP/1.1\n")


def is_static(target):
    return target.startswith('/static/')


def wsgi(environ, start_response):
    target = environ.get('RAW_URI') or environ.get('REQUEST_URI')
    name = environ.get('HTTP_X_REQUEST_ID', '')
    body = None
    if not is_static(target):
        try:
            body = environ['wsgi.input'].read()
            # WSGI servers hand over what came when a client breaks off; the application has to count.
            if len(body) < int(environ.get('CONTENT_LENGTH') or 0):
                body = False
        except Exception:
            body = False
    note(name, environ.get('HTTP_HOST'), body, environ['REQUEST_METHOD'], target)
    answer = b'' if environ['REQUEST_METHOD'] == 'HEAD' else b'an answer'
    start_response('200 OK', [('x-saw', name), ('content-length', '9')])
    return [answer] if answer else []


async def asgi(scope, receive, send):
    if scope['type'] != 'http':
        return
    target = scope['raw_path'].decode('latin-1')
    if scope['query_string'] and '?' not in target:
        target += '?' + scope['query_string'].decode('latin-1')
    fields = {}
    for key, value in scope['headers']:
        fields.setdefault(key.decode('latin-1'), []).append(value.decode('latin-1'))
    name = ','.join(fields.get('x-request-id', []))
    body = None
    if not is_static(target):
        body = b''
        while True:
            message = await receive()
            if message['type'] == 'http.disconnect':
                body = False
                break
            body += message.get('body', b'')
            if not message.get('more_body'):
                break
    note(name, ','.join(fields.get('host', [])), body, scope['method'], target)
    start = [(b'x-saw', name.encode('latin-1')), (b'content-length', b'9')]
    await send({'type': 'http.response.start', 'status': 200, 'headers': start})
    await send({'type': 'http.response.body', 'body': b'' if scope['method'] == 'HEAD' else b'an answer'})


def gunicorn():
    from gunicorn.app.base import BaseApplication

    class App(BaseApplication):
        def load_config(self):
            # The other workers close after each request.
            self.cfg.set('bind', f'127.0.0.1:{PORT}')
            self.cfg.set('worker_class', 'gthread')
            self.cfg.set('threads', 4)
            self.cfg.set('keepalive', 75)

        def load(self):
            return wsgi

    App().run()


def waitress():
    from waitress import serve

    serve(wsgi, host='127.0.0.1', port=PORT)


def uvicorn(parser):
    import uvicorn as server

    server.run(asgi, host='127.0.0.1', port=PORT, http=parser, timeout_keep_alive=75, lifespan='off', log_level='error')


def hypercorn():
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    config = Config()
    config.bind = [f'127.0.0.1:{PORT}']
    config.keep_alive_timeout = 75
    asyncio.run(serve(asgi, config))


def tornado():
    from tornado.httpserver import HTTPServer
    from tornado.httputil import HTTPHeaders, ResponseStartLine

    async def main():
        def answer(request):
            name = request.headers.get('X-Request-Id', '')
            body = None if is_static(request.uri) else request.body
            note(name, request.headers.get('Host'), body, request.method, request.uri)
            fields = HTTPHeaders({'x-saw': name, 'content-length': '9'})
            answer = b'' if request.method == 'HEAD' else b'an answer'
            request.connection.write_headers(ResponseStartLine('HTTP/1.1', 200, 'OK'), fields, answer)
            request.connection.finish()

        HTTPServer(answer, idle_connection_timeout=75).listen(PORT, '127.0.0.1')
        await asyncio.Event().wait()

    asyncio.run(main())


def aiohttp():
    from aiohttp import web

    async def answer(request):
        name = ','.join(request.headers.getall('X-Request-Id', []))
        body = None
        if not is_static(request.raw_path):
            try:
                body = await request.read()
            except Exception:
                body = False
        note(name, ','.join(request.headers.getall('Host', [])), body, request.method, request.raw_path)
        return web.Response(body=b'an answer', headers={'x-saw': name})

    async def main():
        runner = web.ServerRunner(web.Server(answer, keepalive_timeout=75))
        await runner.setup()
        await web.TCPSite(runner, '127.0.0.1', PORT).start()
        await asyncio.Event().wait()

    asyncio.run(main())


{
    'gunicorn': gunicorn,
    'waitress': waitress,
    'uvicorn-h11': lambda: uvicorn('h11'),
    'uvicorn-httptools': lambda: uvicorn('httptools'),
    'hypercorn': hypercorn,
    'tornado': tornado,
    'aiohttp': aiohttp,
}[SERVER]()
