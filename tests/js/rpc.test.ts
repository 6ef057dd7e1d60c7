import { describe, expect, test } from 'vitest';
import { Rpc } from '../../js/rpc.js';
import type { WireError, WorkerEvent } from '../../js/protocol.js';
import { failure, stateOf, stats, wire } from './fake.js';

describe('rpc', () => {
  test('numbers requests and settles each by its own answer, in any order', async () => {
    const { rpc, posted } = line();
    const first = rpc.request('stats', {});
    const second = rpc.request('cancel', { message: 7 });
    expect(posted).toEqual([
      { id: 1, op: 'stats' },
      { id: 2, op: 'cancel', message: 7 },
    ]);
    rpc.handle({ id: 2, ok: {} });
    await expect(second).resolves.toEqual({});
    expect(await stateOf(first)).toBe('pending');
    rpc.handle({ id: 1, ok: stats });
    await expect(first).resolves.toEqual(stats);
  });

  test('an error answer rejects with the error made of it', async () => {
    const { rpc } = line();
    const request = rpc.request('stats', {});
    rpc.handle({ id: 1, error: wire({ code: 'closed', message: 'no more' }) });
    const error = (await failure(request)) as Error;
    expect(error.message).toBe('closed: no more');
  });

  test('answers to unknown or settled requests are ignored', async () => {
    const { rpc } = line();
    const request = rpc.request('stats', {});
    rpc.handle({ id: 99, ok: 'for nobody' });
    rpc.handle({ id: 1, ok: 'first' });
    rpc.handle({ id: 1, error: wire({ code: 'closed' }) });
    await expect(request).resolves.toBe('first');
  });

  test('events go to the listener', () => {
    const { rpc, events } = line();
    rpc.handle({ event: 'room' });
    rpc.handle({ event: 'sent', message: 1 });
    expect(events).toEqual([{ event: 'room' }, { event: 'sent', message: 1 }]);
  });

  test('the end rejects what is open and what comes later, with the same reason', async () => {
    const { rpc, posted, events } = line();
    const reason = new Error('over');
    const open = [rpc.request('stats', {}), rpc.request('topology', {})];
    rpc.end(reason);
    rpc.end(new Error('a second end changes nothing'));
    for (const request of open) expect(await failure(request)).toBe(reason);
    expect(await failure(rpc.request('gateways', {}))).toBe(reason);
    rpc.notify({ op: 'online' });
    rpc.handle({ event: 'room' });
    expect(posted).toHaveLength(2);
    expect(events).toEqual([]);
  });

  test('what cannot be posted rejects and leaves nothing behind', async () => {
    const rpc = new Rpc(
      {
        postMessage: () => {
          throw new DOMException('no clone of that', 'DataCloneError');
        },
      },
      () => {},
      () => new Error(),
    );
    expect(((await failure(rpc.request('stats', {}))) as Error).name).toBe('DataCloneError');
  });

  test('over a real port, buffers move and are not copied', async () => {
    const { port1, port2 } = new MessageChannel();
    const rpc = new Rpc(
      port1,
      () => {},
      () => new Error(),
    );
    port1.onmessage = ({ data }: MessageEvent) => rpc.handle(data as never);
    port2.onmessage = ({ data }: MessageEvent<{ id: number; body: Uint8Array }>) =>
      port2.postMessage({ id: data.id, ok: data.body.byteLength });
    const body = new Uint8Array(5);
    const options = {
      timeoutMs: null,
      replies: 'auto',
      reliable: true,
      priority: 1,
      receipt: null,
      watched: false,
    } as const;
    const request = rpc.request('send', { message: 1, to: 'x', body, options }, [body.buffer]);
    expect(body.byteLength).toBe(0);
    await expect(request).resolves.toBe(5);
    port1.close();
  });
});

function line() {
  const posted: unknown[] = [];
  const events: WorkerEvent[] = [];
  const rpc = new Rpc(
    { postMessage: (message) => posted.push(message) },
    (event) => events.push(event),
    (error: WireError) => new Error(`${error.code}: ${error.message}`),
  );
  return { rpc, posted, events };
}
