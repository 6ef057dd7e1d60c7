// Servers that do not do what they should: a directory and a gateway that pass on what the real ones say, until they
// are told to lie.

import { createServer as createHttpServer } from 'node:http';
import { connect, createServer } from 'node:net';

/** Kinds of websocket frames. */
export const TEXT = 1;
export const BINARY = 2;

/**
 * A directory. `answer` gets the real answer's text and the path, and gives back what is sent instead: a text,
 * `{ status, type, body }`, or nothing at all for no answer ever. Gives back `{ url, close }`.
 */
export async function startDirectory(real, answer) {
  const server = createHttpServer(async (request, response) => {
    const path = request.url.replace(/^\/api/, '');
    const truth = await (await fetch(real + path)).text();
    const lie = answer(truth, path);
    if (lie === undefined) return;
    const { status = 200, type = 'application/json', body, headers } = typeof lie === 'string' ? { body: lie } : lie;
    response.writeHead(status, { 'Content-Type': type, ...(headers ?? { 'Access-Control-Allow-Origin': '*' }) });
    response.end(body);
  });
  const port = await listen(server);
  return {
    url: `http://127.0.0.1:${port}/api`,
    port,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

/**
 * A gateway's socket for clients. `lie(n, { kind, body })` is asked about each message to the client, counted from 0 on
 * each connection, and gives back nothing, to pass it on, or a list of what is done instead: frames to send, 'close'
 * (with a close frame), 'end' (without), 'reset' (what was not read yet is lost) or 'silence'. `upgrade` answers the
 * opening with this text instead of the real gateway; an empty one never answers. Gives back `{ port, close }`.
 */
export async function startGateway(real, { lie = () => undefined, upgrade } = {}) {
  const sockets = new Set();
  const gateway = {};
  const server = createServer((client) => {
    sockets.add(client);
    client.on('error', () => {});
    if (upgrade !== undefined) {
      client.once('data', () => upgrade && client.end(upgrade));
      return;
    }
    const upstream = connect(Number(new URL(real).port), '127.0.0.1');
    sockets.add(upstream);
    upstream.on('error', () => {});
    upstream.on('close', () => client.end());
    client.on('close', () => upstream.destroy());
    client.pipe(upstream);
    let silent = false;
    let n = 0;
    splitMessages(upstream, (bytes, message) => {
      const lies = message && !silent ? lie(n++, message) : undefined;
      for (const lie of lies ?? [bytes]) {
        if (lie === 'close') client.end(CLOSE_FRAME);
        else if (lie === 'end') client.end();
        else if (lie === 'reset') client.resetAndDestroy();
        else if (lie === 'silence') silent = true;
        else if (!silent && !client.writableEnded) client.write(lie);
      }
    });
  });
  gateway.port = await listen(server);
  gateway.close = () => {
    for (const socket of sockets) socket.destroy();
    server.close();
  };
  return gateway;
}

/** The same answers of a directory, but with a gateway's socket at another port. */
export const movedGateway = (real, port) => (truth) =>
  truth.replaceAll(`"ws_port":${new URL(real).port}`, `"ws_port":${port}`);

export const textFrame = (text) => frame(TEXT, Buffer.from(text));
export const binaryFrame = (body) => frame(BINARY, Buffer.from(body));

/** A frame that announces more than follows. */
export const cutFrame = (kind, body) => frame(kind, body).subarray(0, -Math.ceil(body.length / 2));

const CLOSE_FRAME = Buffer.from([0x88, 2, 1000 >> 8, 1000 & 255]);

function frame(kind, body) {
  const { length } = body;
  const header = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10);
  header[0] = 0x80 | kind;
  if (length < 126) {
    header[1] = length;
  } else if (length < 65_536) {
    header[1] = 126;
    header.writeUInt16BE(length, 2);
  } else {
    header[1] = 127;
    header.writeBigUInt64BE(BigInt(length), 2);
  }
  return Buffer.concat([header, body]);
}

/** Calls `take` with the head of the answer to the upgrade, then with each frame as it is and, if it is one, as a message. */
function splitMessages(stream, take) {
  let buffer = Buffer.alloc(0);
  let open = false;
  stream.on('data', (bytes) => {
    buffer = Buffer.concat([buffer, bytes]);
    for (;;) {
      const length = open ? frameLength(buffer) : headLength(buffer);
      if (length === null || buffer.length < length) return;
      const piece = buffer.subarray(0, length);
      buffer = buffer.subarray(length);
      const kind = piece[0] & 15;
      const isMessage = open && (kind === TEXT || kind === BINARY);
      const headerLength = piece[1] === 127 ? 10 : piece[1] === 126 ? 4 : 2;
      take(piece, isMessage ? { kind, body: piece.subarray(headerLength) } : null);
      open = true;
    }
  });
}

function headLength(buffer) {
  const end = buffer.indexOf('\r\n\r\n');
  return end < 0 ? null : end + 4;
}

/** Servers do not mask what they send. */
function frameLength(buffer) {
  if (buffer.length < 2) return null;
  if (buffer[1] < 126) return 2 + buffer[1];
  if (buffer[1] === 126) return buffer.length < 4 ? null : 4 + buffer.readUInt16BE(2);
  return buffer.length < 10 ? null : 10 + Number(buffer.readBigUInt64BE(2));
}

async function listen(server) {
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server.address().port;
}
