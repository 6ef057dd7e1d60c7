import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Host } from '../../js/host.js';
import { limits } from '../../js/limits.js';
import { OUTBOX_MESSAGES } from '../../js/protocol.js';
import type { OpenOptions, PageMessage, Post, SendSettings, WorkerEvent, WorkerMessage } from '../../js/protocol.js';
import type * as TabKey from '../../js/tab-key.js';
import { address, gateway, tag } from './fake.js';
import { FakeLocks } from './fake-locks.js';

/** On a busy machine things take their time. */
const until = (fits: () => unknown) => vi.waitUntil(fits, { timeout: 8_000 });

// Node has no IndexedDB; that the key is kept there is tested in browsers.
vi.mock('../../js/tab-key.js', async (original) => {
  const real = await original<typeof TabKey>();
  const keys = real.drawn().then((base) => real.derived(base));
  return { ...real, tabKeys: () => keys, forgetTabKey };
});
const forgetTabKey = vi.hoisted(() => vi.fn(() => Promise.resolve()));

const options: OpenOptions = {
  directories: ['http://127.0.0.1:8080/api'],
  profile: 'alice',
  storage: 'indexeddb',
  tabs: 'share',
  slotMs: 20,
  loopMs: 200,
  hopDelayMs: 15,
  ackDelayMs: 15,
  dangerNoPacing: false,
  reconnect: { minMs: 500, maxMs: 60_000, maxAttempts: null },
  securePage: false,
  inbox: 'memory',
  pseudonym: 'fresh',
  stats: 'visit',
  askForMore: true,
  gatewaySelect: 'random',
  trace: false,
};
const traffic = { slotMs: 20, loopMs: 200, hopDelayMs: 15, ackDelayMs: 15, dangerNoPacing: false };
const wasm = { module: new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0])) };
const settings: SendSettings = {
  timeoutMs: null,
  replies: 'auto',
  reliable: true,
  priority: 1,
  receipt: null,
  watched: false,
};

let locks: FakeLocks;
let workers: { host: Host }[];
beforeEach(() => {
  locks = new FakeLocks('nobody');
  workers = [];
});
afterEach(() => workers.forEach(({ host }) => host.end()));

/** A worker with the real host in it; the engine and the page are the test. */
function worker() {
  const name = `worker ${workers.length}`;
  const view = locks.view(name);
  const posted: WorkerMessage[] = [];
  const handled: PageMessage[] = [];
  const closed = vi.fn();
  const freed = vi.fn();
  const scope = Object.assign(new EventTarget(), {
    navigator: { locks: view },
    postMessage: (message: WorkerMessage) => void posted.push(message),
    close: closed,
  });
  const engine = { post: (() => {}) as Post, started: false };
  const host = new Host(scope, (_module, post) => {
    Object.assign(engine, { post, started: true });
    return Promise.resolve({ handle: (message) => void handled.push(message), free: freed });
  });
  const made = {
    name,
    host,
    posted,
    handled,
    closed,
    freed,
    engine,
    say: (message: PageMessage) => host.handle(message),
    /** What the browser does with a worker whose tab is closed. */
    die: () => {
      host.end();
      view.end();
    },
    /** The first message to the page that fits, once it is there. */
    got: async (fits: (message: WorkerMessage) => boolean): Promise<WorkerMessage> => {
      await until(() => posted.some(fits));
      return posted.find(fits) as WorkerMessage;
    },
    event: (event: WorkerEvent['event']): Promise<WorkerEvent> =>
      made.got((message) => 'event' in message && message.event === event) as Promise<WorkerEvent>,
    answer: (id: number): Promise<WorkerMessage> => made.got((message) => 'id' in message && message.id === id),
    /** The first message that reached the engine with this name, once it is there. */
    asked: async <O extends PageMessage['op']>(op: O, nth = 0) => {
      const all = () => handled.filter((message) => message.op === op);
      await until(() => all().length > nth);
      return all()[nth] as Extract<PageMessage, { op: O }>;
    },
  };
  workers.push(made);
  return made;
}

const opened = { address, gateway };

const destroy = (id: number): PageMessage => ({
  id,
  op: 'vault',
  task: 'destroy',
  profile: 'alice',
  passphrase: false,
  alone: true,
  wasm,
});

/** A worker that has a connection, and one that uses it. */
async function pair() {
  const leader = worker();
  leader.say({ id: 1, op: 'open', options, wasm });
  const { id } = await leader.asked('open');
  leader.engine.post({ event: 'state', state: 'ready' }, []);
  leader.engine.post({ id, ok: opened }, []);
  await leader.answer(1);
  return { leader, follower: await join() };
}

async function join() {
  const follower = worker();
  follower.say({ id: 1, op: 'open', options, wasm });
  expect(await follower.answer(1)).toEqual({ id: 1, ok: { ...opened, traffic } });
  return follower;
}

const send = (message: number, body = new Uint8Array([1, 2, 3])) =>
  ({ id: 10 + message, op: 'send', message, to: address, wire: new Uint8Array(16), body, options: settings }) as const;

const received = (bytes: number[]): WorkerEvent => ({
  event: 'received',
  body: new Uint8Array(bytes),
  via: 'plain',
  wire: null,
  canReply: true,
  tag,
  address: null,
});

const listen = (messages: boolean) => ({ op: 'listen', retransmissions: false, surbs: false, messages }) as const;

describe('the key of a profile that is destroyed', () => {
  test('is forgotten, and who would share it meanwhile waits and draws another', async () => {
    const last = worker();
    last.say(destroy(1));
    await last.asked('vault');
    expect(forgetTabKey).toHaveBeenCalledExactlyOnceWith('alice');
    const next = worker();
    next.say({ id: 1, op: 'open', options, wasm });
    await until(() => locks.waiting('mixlet:shares:1:alice') === 1);
    last.engine.post({ id: 1, ok: {} }, []);
    expect(next.handled).toEqual([]);
    last.die();
    await next.asked('open');
  });

  test('stays where others share the profile', async () => {
    forgetTabKey.mockClear();
    const waits = worker();
    const shares = locks.view('a tab that is about to take the profile');
    void shares.request('mixlet:shares:1:alice', { mode: 'shared' }, () => new Promise(() => {}));
    waits.say(destroy(1));
    await waits.asked('vault');
    expect(forgetTabKey).not.toHaveBeenCalled();
  });
});

describe('tabs that share', () => {
  test('the second uses the connection of the first and starts no engine', async () => {
    const { leader, follower } = await pair();
    expect(follower.engine.started).toBe(false);
    expect(await follower.event('state')).toEqual({ event: 'state', state: 'ready' });
    expect(leader.handled.filter(({ op }) => op === 'open')).toHaveLength(1);
  });

  test('one that opens while the first is opening waits for it, and sees how far it is', async () => {
    const leader = worker();
    leader.say({ id: 1, op: 'open', options, wasm });
    const { id } = await leader.asked('open');
    const follower = worker();
    follower.say({ id: 1, op: 'open', options, wasm });
    follower.say({ id: 2, op: 'serve', service: 'echo' });
    await until(() => {
      leader.engine.post({ event: 'progress', phase: 'auth', fraction: 0.5 }, []);
      return follower.posted.some((message) => 'event' in message && message.event === 'progress' && message.fraction);
    });
    leader.engine.post({ id, ok: opened }, []);
    await follower.answer(1);
    await leader.asked('serve');
  });

  test('a message is told to the page that sent it, under its own number', async () => {
    const { leader, follower } = await pair();
    leader.say(send(1));
    follower.say(send(1, new Uint8Array([4, 5])));
    const [own, other] = [await leader.asked('send'), await leader.asked('send', 1)];
    expect(own.message).toBe(1);
    expect(other.message).not.toBe(1);
    expect(other.body).toEqual(new Uint8Array([4, 5]));
    leader.engine.post({ id: other.id, ok: { receipt: false } }, []);
    leader.engine.post({ event: 'delivered', message: other.message, roundTripMs: 5, retransmissions: 0 }, []);
    expect(await follower.answer(11)).toEqual({ id: 11, ok: { receipt: false } });
    expect(await follower.event('delivered')).toMatchObject({ message: 1, roundTripMs: 5 });
    leader.engine.post({ event: 'sent', message: 1 }, []);
    expect(leader.posted.at(-1)).toEqual({ event: 'sent', message: 1 });
    expect(leader.posted.some((message) => 'event' in message && message.event === 'delivered')).toBe(false);
  });

  test('what comes is kept until somebody listens, and goes to all who do', async () => {
    const { leader, follower } = await pair();
    leader.engine.post(received([1]), []);
    follower.say(listen(true));
    expect(await follower.event('received')).toMatchObject({ body: new Uint8Array([1]) });
    leader.say(listen(true));
    leader.engine.post(received([2]), []);
    const second = (message: WorkerMessage) =>
      'event' in message && message.event === 'received' && message.body[0] === 2;
    await Promise.all([leader.got(second), follower.got(second)]);
    expect(leader.posted.filter((message) => 'event' in message && message.event === 'received')).toHaveLength(1);
    follower.say(listen(false));
    follower.say({ id: 90, op: 'stats' });
    await leader.asked('stats');
    leader.engine.post(received([3]), []);
    expect(leader.posted.at(-1)).toMatchObject({ body: new Uint8Array([3]) });
  });

  test('messages of a durable inbox go to the page that took them first, and are given again to the next', async () => {
    const { leader, follower } = await pair();
    const kept = (number: number): WorkerEvent => ({ ...received([number]), kept: number }) as WorkerEvent;
    const has = (number: number) => (message: WorkerMessage) =>
      'event' in message && message.event === 'received' && message.kept === number;
    const takes = () => leader.handled.flatMap((message) => (message.op === 'take' ? [message.taking] : []));
    // Nobody takes it, so it stays.
    leader.engine.post(kept(1), []);
    follower.say({ op: 'take', taking: true });
    await until(() => takes().length === 1);
    leader.say({ op: 'take', taking: true });
    leader.engine.post(kept(2), []);
    await follower.got(has(2));
    follower.say({ id: 91, op: 'done', kept: 2 });
    expect(await leader.asked('done')).toMatchObject({ op: 'done', kept: 2 });
    expect(takes()).toEqual([true]);
    follower.say({ op: 'take', taking: false });
    await until(() => takes().length === 3);
    expect(takes()).toEqual([true, false, true]);
    leader.engine.post(kept(3), []);
    expect(leader.posted.some(has(3))).toBe(true);
    expect([...leader.posted, ...follower.posted].some(has(1))).toBe(false);
    leader.say({ op: 'take', taking: false });
    expect(takes()).toEqual([true, false, true, false]);
    follower.say({ op: 'take', taking: true });
    await until(() => takes().length === 5);
    follower.die();
    await until(() => takes().length === 6);
    expect(takes().at(-1)).toBe(false);
  });

  test('what is kept is bounded, and what is dropped is told', async () => {
    const { leader, follower } = await pair();
    for (let n = 0; n < limits.keptMessages + 1; n += 1) leader.engine.post(received([n % 256]), []);
    expect(await follower.event('overflow')).toMatchObject({ reason: 'kept', messages: 1, bytes: 1, from: tag });
    follower.say(listen(true));
    await until(
      () =>
        follower.posted.filter((message) => 'event' in message && message.event === 'received').length ===
        limits.keptMessages,
    );
  });

  test('a service belongs to the page that served it first, then to the next', async () => {
    const { leader, follower } = await pair();
    const request = (number: number): WorkerEvent =>
      ({ event: 'request', request: number, service: 'echo', body: new Uint8Array(), tag, address: null }) as const;
    follower.say({ id: 2, op: 'serve', service: 'echo' });
    await leader.asked('serve');
    leader.say({ id: 2, op: 'serve', service: 'echo' });
    expect(await leader.answer(2)).toEqual({ id: 2, ok: {} });
    leader.engine.post(request(1), []);
    expect(await follower.event('request')).toMatchObject({ request: 1 });
    follower.die();
    // Nobody will answer it any more.
    expect(await leader.asked('respond')).toMatchObject({ request: 1, body: undefined });
    leader.engine.post(request(2), []);
    expect(await leader.event('request')).toMatchObject({ request: 2 });
    expect(leader.handled.filter(({ op }) => op === 'serve' || op === 'unserve')).toHaveLength(1);
    leader.say({ id: 3, op: 'unserve', service: 'echo' });
    await leader.asked('unserve');
  });

  test('streams of others go to the page that listens, and stay there', async () => {
    const { leader, follower } = await pair();
    const stream = 2 ** 52 + 7;
    follower.say({ id: 2, op: 'acceptStreams', service: '', options: {} });
    await leader.asked('acceptStreams');
    leader.engine.post({ event: 'streamOpened', stream, service: '', tag, address: null }, []);
    leader.engine.post({ event: 'streamData', stream, bytes: new Uint8Array([1]), last: false }, []);
    expect(await follower.event('streamOpened')).toMatchObject({ stream });
    expect(await follower.event('streamData')).toMatchObject({ stream, bytes: new Uint8Array([1]) });
    follower.say({ id: 3, op: 'streamWrite', stream, bytes: new Uint8Array([2]) });
    expect(await leader.asked('streamWrite')).toMatchObject({ stream });
    follower.say({ id: 4, op: 'openStream', stream: 1, to: address, service: '', options: {} });
    const own = await leader.asked('openStream');
    leader.engine.post({ event: 'streamReady', stream: own.stream }, []);
    expect(await follower.event('streamReady')).toMatchObject({ stream: 1 });
    follower.die();
    const ended = [await leader.asked('streamReset'), await leader.asked('streamReset', 1)];
    expect(ended.map((reset) => reset.stream).sort()).toEqual([own.stream, stream].sort());
    await leader.asked('refuseStreams');
  });

  test('of a page that has gone nothing more leaves', async () => {
    const { leader, follower } = await pair();
    follower.say(send(1));
    follower.say({
      id: 2,
      op: 'request',
      to: address,
      options: { ...settings, service: '', label: '', retry: true, replies: 'auto' },
      items: [{ message: 1, wire: new Uint8Array(16), body: new Uint8Array() }],
    });
    const { message } = await leader.asked('send');
    const { items } = await leader.asked('request');
    follower.die();
    expect((await leader.asked('cancel')).message).toBe(message);
    expect((await leader.asked('cancelRequest')).message).toBe(items[0]?.message);
    // What is told of it now is told to nobody.
    const before = leader.posted.length;
    leader.engine.post({ event: 'sent', message }, []);
    expect(leader.posted).toHaveLength(before);
  });

  test('the plan of a message goes to the page that sent it, and that it has it to the engine', async () => {
    const { leader, follower } = await pair();
    follower.say(send(1));
    const { message } = await leader.asked('send');
    leader.engine.post({ event: 'planned', message, plan: new Uint8Array([7, 8]) }, []);
    expect(await follower.event('planned')).toEqual({ event: 'planned', message: 1, plan: new Uint8Array([7, 8]) });
    expect(leader.posted.some((said) => 'event' in said && said.event === 'planned')).toBe(false);
    follower.say({ op: 'kept', message: 1 });
    expect((await leader.asked('kept')).message).toBe(message);
  });

  test('what is told of a message of the outbox is told to all, and it outlives its page', async () => {
    const { leader, follower } = await pair();
    const { id: _, op: __, ...fields } = send(1);
    follower.say({ ...fields, id: 11, op: 'persist', message: 0, key: new Uint8Array(16), expiresAt: 0 });
    const { id } = await leader.asked('persist');
    const message = OUTBOX_MESSAGES + 3;
    leader.engine.post({ id, ok: { message } }, []);
    expect(await follower.answer(11)).toEqual({ id: 11, ok: { message } });
    leader.engine.post({ event: 'sent', message }, []);
    expect(await follower.event('sent')).toEqual({ event: 'sent', message });
    expect(await leader.event('sent')).toEqual({ event: 'sent', message });
    leader.say({ id: 12, op: 'cancel', message });
    expect((await leader.asked('cancel')).message).toBe(message);
    follower.die();
    await until(() => leader.handled.some(({ op }) => op === 'listen'));
    expect(leader.handled.filter(({ op }) => op === 'cancel')).toHaveLength(1);
  });

  test('requests that were refused are not cancelled when their page goes', async () => {
    const { leader, follower } = await pair();
    const ask = (id: number, message: number) =>
      follower.say({
        id,
        op: 'request',
        to: address,
        options: { ...settings, service: '', label: '', retry: true, replies: 'auto' },
        items: [{ message, wire: new Uint8Array(16), body: new Uint8Array() }],
      });
    ask(2, 1);
    ask(3, 2);
    const [refused, taken] = [await leader.asked('request'), await leader.asked('request', 1)];
    const error = { code: 'queue-full', message: '', retriable: true };
    leader.engine.post({ id: refused.id, error }, []);
    leader.engine.post({ id: taken.id, ok: {} }, []);
    expect(await follower.answer(2)).toEqual({ id: 2, error });
    follower.die();
    expect((await leader.asked('cancelRequest')).message).toBe(taken.items[0]?.message);
    await until(() => leader.handled.some(({ op }) => op === 'listen'));
    expect(leader.handled.filter(({ op }) => op === 'cancelRequest')).toHaveLength(1);
  });

  test('traffic is that of all, and the others are told', async () => {
    const { leader, follower } = await pair();
    const fast = { ...traffic, slotMs: 4 };
    follower.say({ id: 2, op: 'traffic', traffic: fast });
    expect(await leader.event('traffic')).toEqual({ event: 'traffic', traffic: fast });
    const third = worker();
    third.say({ id: 1, op: 'open', options, wasm });
    expect(await third.answer(1)).toMatchObject({ ok: { traffic: fast } });
  });

  test('what is known of peers is told to who comes later', async () => {
    const { leader } = await pair();
    const peer = { event: 'peer', speaks: 'mixlet', features: 7, tag, address: null } as const;
    leader.engine.post({ ...peer, features: 1 }, []);
    leader.engine.post(peer, []);
    const third = await join();
    expect(third.posted.filter((message) => 'event' in message && message.event === 'peer')).toEqual([peer]);
  });

  test('the engine tells what anybody listens for', async () => {
    const { leader, follower } = await pair();
    follower.say({ op: 'listen', retransmissions: true, surbs: false, messages: false });
    await leader.asked('listen');
    leader.say({ op: 'listen', retransmissions: false, surbs: true, messages: false });
    expect(await leader.asked('listen', 1)).toEqual({ op: 'listen', retransmissions: true, surbs: true });
    follower.die();
    expect(await leader.asked('listen', 2)).toEqual({ op: 'listen', retransmissions: false, surbs: true });
  });
});

describe('pages that share, at the end', () => {
  test('the first closes, the connection stays for the other, and ends with it', async () => {
    const { leader, follower } = await pair();
    leader.say({ id: 2, op: 'close', drain: true, timeoutMs: 1000 });
    expect(await leader.answer(2)).toEqual({ id: 2, ok: { shared: true } });
    expect(leader.handled.some(({ op }) => op === 'close')).toBe(false);
    follower.say(send(1));
    await leader.asked('send');
    follower.say({ id: 3, op: 'close', drain: false, timeoutMs: 1000 });
    expect(await follower.answer(3)).toEqual({ id: 3, ok: { shared: false } });
    await leader.asked('cancel');
    const { id } = await leader.asked('close');
    leader.engine.post({ id, ok: {} }, []);
    await until(() => leader.closed.mock.calls.length > 0);
    expect(leader.freed).toHaveBeenCalledOnce();
    expect(locks.held).not.toContain('mixlet:alice');
  });

  test('the last one closes the connection itself', async () => {
    const { leader, follower } = await pair();
    follower.die();
    await leader.asked('listen');
    leader.say({ id: 2, op: 'close', drain: true, timeoutMs: 1000 });
    expect(await leader.asked('close')).toMatchObject({ id: 2, drain: true });
    leader.engine.post({ id: 2, ok: {} }, []);
    expect(await leader.answer(2)).toEqual({ id: 2, ok: {} });
    await until(() => !locks.held.includes('mixlet:alice'));
  });

  test('closing waits for what the page has sent, and for nobody else’s', async () => {
    const { leader, follower } = await pair();
    leader.say(send(1));
    follower.say(send(1));
    follower.say(send(2));
    const sends = [await leader.asked('send', 1), await leader.asked('send', 2)];
    follower.say({ id: 3, op: 'close', drain: true, timeoutMs: 0 });
    leader.engine.post({ id: sends[0]?.id ?? 0, ok: { receipt: true } }, []);
    leader.engine.post({ id: sends[1]?.id ?? 0, ok: { receipt: false } }, []);
    const about = (place: number) => ({ message: sends[place]?.message ?? 0, roundTripMs: 1 });
    leader.engine.post({ event: 'delivered', ...about(0), retransmissions: 0 }, []);
    leader.engine.post({ event: 'delivered', ...about(1), retransmissions: 0 }, []);
    await follower.got((message) => 'event' in message && message.event === 'delivered' && message.message === 2);
    expect(follower.posted.some((message) => 'id' in message && message.id === 3)).toBe(false);
    leader.engine.post({ event: 'receipted', ...about(0) }, []);
    await follower.answer(3);
  });

  test('closing waits as long as it was told', async () => {
    const { leader, follower } = await pair();
    follower.say(send(1));
    await leader.asked('send');
    follower.say({ id: 3, op: 'close', drain: true, timeoutMs: 50 });
    await follower.answer(3);
    await leader.asked('cancel');
  });

  test('when the tab with the connection is closed the others are told', async () => {
    const { leader, follower } = await pair();
    leader.die();
    await follower.event('left');
  });

  test('when it was closed before it was connected, the next one connects itself', async () => {
    const leader = worker();
    leader.say({ id: 1, op: 'open', options, wasm });
    await leader.asked('open');
    const follower = worker();
    follower.say({ id: 1, op: 'open', options, wasm });
    follower.say({ id: 2, op: 'serve', service: 'echo' });
    await until(() => locks.held.some((name) => name.startsWith('mixlet:tab:')));
    leader.die();
    const { tabs: _tabs, ...passed } = options;
    expect(await follower.asked('open')).toEqual({ id: 1, op: 'open', options: passed });
    expect(await follower.asked('serve')).toEqual({ id: 2, op: 'serve', service: 'echo' });
    follower.engine.post({ id: 1, ok: opened }, []);
    await follower.answer(1);
    await join();
  });

  test('an engine that crashes is told to its page; the others find another', async () => {
    const { leader, follower } = await pair();
    leader.host.handle(send(1));
    leader.engine.post({ event: 'state', state: 'ready' }, []);
    leader.handled.push = () => {
      throw new WebAssembly.RuntimeError('unreachable');
    };
    leader.say({ id: 5, op: 'stats' });
    await leader.event('crashed');
    await follower.event('left');
    expect(follower.posted.some((message) => 'event' in message && message.event === 'crashed')).toBe(false);
    expect(locks.held).not.toContain('mixlet:alice');
  });

  test('a tab that the browser has stopped loses the connection to one that runs', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
    try {
      const { leader, follower } = await pair();
      // As long as it answers nothing happens.
      for (let n = 0; n < 8; n += 1) {
        await vi.advanceTimersByTimeAsync(limits.tabPingMs);
        const id = 100 + n;
        follower.say({ id, op: 'stats' });
        await until(() => leader.handled.some((message) => 'id' in message && message.id % 2 ** 32 === id));
      }
      expect(follower.posted.some((message) => 'event' in message && message.event === 'left')).toBe(false);
      // Its channel is deaf from now on.
      const handle = vi.spyOn(BroadcastChannel.prototype, 'postMessage').mockImplementation(() => {});
      for (let n = 0; n < 6; n += 1) await vi.advanceTimersByTimeAsync(limits.tabPingMs);
      handle.mockRestore();
      await follower.event('left');
      await leader.event('left');
      expect(leader.freed).toHaveBeenCalledOnce();
    } finally {
      vi.useRealTimers();
    }
  });

  test('a tab that was stopped itself does not take over', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
    try {
      const { follower } = await pair();
      const start = performance.now();
      vi.spyOn(performance, 'now').mockImplementation(() => start + 3_600_000);
      await vi.advanceTimersByTimeAsync(limits.tabPingMs);
      expect(follower.posted.some((message) => 'event' in message && message.event === 'left')).toBe(false);
    } finally {
      vi.restoreAllMocks();
      vi.useRealTimers();
    }
  });
});

describe('pages that do not share', () => {
  test('a profile that is used alone is in-use', async () => {
    locks.view('other').take('mixlet:alice');
    const second = worker();
    second.say({ id: 1, op: 'open', options, wasm });
    expect(await second.answer(1)).toMatchObject({ error: { code: 'in-use', retriable: true } });
  });

  test('a shared profile is in-use for one that wants it alone', async () => {
    await pair();
    const third = worker();
    third.say({ id: 1, op: 'open', options: { ...options, tabs: 'exclusive' }, wasm });
    expect(await third.answer(1)).toMatchObject({ error: { code: 'in-use' } });
  });

  test('who cannot open the channels is not heard', async () => {
    const { leader, follower } = await pair();
    const hall = new BroadcastChannel('mixlet:hall:1:alice');
    for (const greeting of ['hello', null, new Uint8Array(5), new Uint8Array(100), { tab: 'x' }]) {
      hall.postMessage(greeting);
    }
    follower.say(send(1));
    await leader.asked('send');
    hall.close();
    expect(locks.held.filter((name) => name.startsWith('mixlet:tab:'))).toHaveLength(1);
  });
});
