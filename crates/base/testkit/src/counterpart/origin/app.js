// An application under Node's HTTP server; it notes and answers as app.py does. Arguments: PORT FILE.
'use strict';

const fs = require('fs');
const http = require('http');

const [port, file] = process.argv.slice(2);

function checksum(body) {
    let value = 0xcbf29ce484222325n;
    for (const byte of body) value = ((value ^ BigInt(byte)) * 0x100000001b3n) & 0xffffffffffffffffn;
    return value.toString(16).padStart(16, '0');
}

function note(request, body) {
    const digest = body === null ? '-' : body === false ? 'broken' : `${body.length}:${checksum(body)}`;
    const name = request.headers['x-request-id'] || '-';
    const line = `${name} 200 ${request.headers.host || '-'} ${digest} ${request.method} ${request.url} HTTP/1.1\n`;
    fs.appendFileSync(file, line, 'latin1');
}

function answer(request, response) {
    response.writeHead(200, { 'x-saw': request.headers['x-request-id'] || '', 'content-length': 9 });
    response.end('an answer');
}

const server = http.createServer((request, response) => {
    if (request.url.startsWith('/static/')) {
        note(request, null);
        answer(request, response);
        return;
    }
    const pieces = [];
    let noted = false;
    const once = (body) => {
        if (!noted) note(request, body);
        noted = true;
    };
    request.on('data', (piece) => pieces.push(piece));
    request.on('end', () => {
        once(Buffer.concat(pieces));
        answer(request, response);
    });
    request.on('error', () => once(false));
    request.on('close', () => once(false));
});
server.keepAliveTimeout = 75000;
server.listen(Number(port), '127.0.0.1');
