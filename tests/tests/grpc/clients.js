// Clients of gRPC-Web (grpc-web) and of gRPC (@grpc/grpc-js) call a service through Aya.
//
// usage: PORT web binary|text, PORT native|fail|pages

const assert = require('node:assert');
const http = require('node:http');

const bytes = (...parts) => Buffer.concat(parts.map((part) => Buffer.from(part)));
const same = (value) => Buffer.from(value);
const [port, part, ...rest] = process.argv.slice(1).filter((argument) => argument !== '--');

/** A client of gRPC-Web for methods that take and give bytes. */
function webClient(format) {
    global.XMLHttpRequest = require('xhr2');
    const web = require('grpc-web');
    const base = new web.GrpcWebClientBase({format});
    const url = (method) => `http://127.0.0.1:${port}/play.Play/${method}`;
    const described = (method, kind) =>
        new web.MethodDescriptor(`/play.Play/${method}`, kind, Buffer, Buffer, (asked) => new Uint8Array(asked), same);
    return {
        unary: (method, message, metadata = {}) =>
            base.unaryCall(url(method), Buffer.from(message), metadata, described(method, web.MethodType.UNARY)),
        stream: (method, message) =>
            base.serverStreaming(url(method), Buffer.from(message), {}, described(method, web.MethodType.SERVER_STREAMING)),
    };
}

/** All that a stream brings, and how it ends. */
function drained(stream) {
    return new Promise((resolve, reject) => {
        const come = [];
        stream.on('data', (message) => come.push(Buffer.from(message)));
        stream.on('error', reject);
        stream.on('end', () => resolve(come));
    });
}

async function web(format) {
    const client = webClient(format);
    assert.deepStrictEqual(Buffer.from(await client.unary('Double', 'ab')), Buffer.from('abab'));
    for (const length of [0, 1, 2, 3, 100_000]) {
        const message = Buffer.alloc(length, 7);
        assert.deepStrictEqual(Buffer.from(await client.unary('Double', message)), bytes(message, message));
    }
    assert.deepStrictEqual(Buffer.from(await client.unary('Tell', '', {'x-asked': 'word'})), Buffer.from('word'));
    await assert.rejects(client.unary('Refuse', ''), (error) => error.code === 9 && decodeURIComponent(error.message) === 'not now: ä');
    await assert.rejects(client.unary('Unknown', ''), (error) => error.code === 12);
    if (format === 'text') {
        // With this transport only text comes piece by piece.
        const come = await drained(client.stream('Repeat', 'r'.repeat(1000)));
        assert.strictEqual(come.length, 50);
        assert(come.every((message) => message.toString() === 'r'.repeat(1000)));
    }
}

async function native() {
    const grpc = require('@grpc/grpc-js');
    const method = (name, requestStream, responseStream) => ({
        path: `/play.Play/${name}`, requestStream, responseStream,
        requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same,
    });
    const Client = grpc.makeGenericClientConstructor({
        double: method('Double', false, false), repeat: method('Repeat', false, true), join: method('Join', true, false),
        echo: method('Echo', true, true), refuse: method('Refuse', false, false), sleep: method('Sleep', false, false),
    });
    const client = new Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
    const unary = (name, message, options = {}) =>
        new Promise((resolve, reject) => client[name](Buffer.from(message), options, (error, got) => (error ? reject(error) : resolve(got))));
    assert.deepStrictEqual(await unary('double', 'ab'), Buffer.from('abab'));
    assert.strictEqual((await drained(client.repeat(Buffer.from('r')))).length, 50);
    const joined = new Promise((resolve, reject) => {
        const call = client.join((error, got) => (error ? reject(error) : resolve(got)));
        for (let number = 0; number < 100; number++) call.write(Buffer.alloc(1000, number));
        call.end();
    });
    assert.strictEqual((await joined).length, 100_000);
    const echo = client.echo();
    const echoed = drained(echo);
    for (let number = 0; number < 100; number++) echo.write(Buffer.from([number]));
    echo.end();
    assert.strictEqual((await echoed).length, 100);
    await assert.rejects(unary('refuse', ''), (error) => error.code === 9 && error.details === 'not now: ä');
    await assert.rejects(unary('sleep', '', {deadline: Date.now() + 300}), (error) => error.code === 4);
    client.close();
}

/** What comes of calls that reach nobody. */
async function fail() {
    for (const format of ['binary', 'text']) {
        const client = webClient(format);
        await assert.rejects(client.unary('Dead', ''), (error) => error.code === 14 && error.message.includes('502'));
    }
}

/** A request as a browser makes it for a page of another site. */
function asked(method, fields, body = '') {
    return new Promise((resolve, reject) => {
        const request = http.request({port, host: '127.0.0.1', path: '/play.Play/Double', method, headers: fields}, (answer) => {
            const pieces = [];
            answer.on('data', (piece) => pieces.push(piece));
            answer.on('end', () => resolve({status: answer.statusCode, fields: answer.headers, body: Buffer.concat(pieces)}));
        });
        request.on('error', reject);
        request.end(body);
    });
}

/** What browsers ask and are told, where the page is of another site. */
async function pages() {
    const origin = 'https://shop.example.com';
    const question = {origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type,x-grpc-web'};
    const told = await asked('OPTIONS', question);
    assert.strictEqual(told.status, 204);
    assert.strictEqual(told.fields['access-control-allow-origin'], origin);
    assert.strictEqual(told.fields['access-control-allow-headers'], 'content-type,x-grpc-web');
    const refused = await asked('OPTIONS', {...question, origin: 'https://evil.example'});
    assert.deepStrictEqual([refused.status, refused.fields['x-aya-reason']], [403, 'cross-origin']);
    assert(refused.body.toString().includes('https://evil.example'), refused.body.toString());

    const message = bytes([0, 0, 0, 0, 2], 'ab');
    const call = {origin, 'content-type': 'application/grpc-web+proto', 'x-grpc-web': '1'};
    const answer = await asked('POST', call, message);
    assert.strictEqual(answer.status, 200);
    assert.strictEqual(answer.fields['content-type'], 'application/grpc-web');
    assert.strictEqual(answer.fields['access-control-allow-origin'], origin);
    assert(answer.fields['access-control-expose-headers'].includes('grpc-status'));
    assert.deepStrictEqual(answer.body.subarray(0, 9), bytes([0, 0, 0, 0, 4], 'abab'));
    assert.strictEqual(answer.body[9], 0x80);
    assert(answer.body.subarray(14).toString().includes('grpc-status: 0\r\n'));
    const broken = await asked('POST', {...call, 'content-type': 'application/grpc-web-text'}, 'no base64!');
    assert.deepStrictEqual([broken.fields['grpc-status'], broken.fields['x-aya-reason']], ['13', 'bad-request']);
    assert.strictEqual(broken.fields['access-control-allow-origin'], origin, 'a page can read why it failed');
    assert(broken.fields['access-control-expose-headers'].includes('grpc-status'));
}

({web, native, fail, pages})[part](...rest).then(() => console.log('done'), (error) => {
    console.error(error);
    process.exit(1);
});
