import { expectTypeOf, test } from 'vitest';
import * as mixlet from '../../js/index.js';
import type {
  ClientState,
  ConnectProgress,
  Delivery,
  GatewayInfo,
  MixAddress,
  MixClientEventMap,
  MixData,
  MixErrorCode,
  MixStats,
  NetworkView,
  PrivacyParams,
  PrivacyReport,
  MixStream,
  ReceivedMessage,
  ReplyTag,
  SendProgress,
  SentMessage,
  TopologyInfo,
  TrafficControl,
  Undelivered,
} from '../../js/index.js';

type Client = mixlet.MixClient;

test('addresses and reply tags are text that cannot be mistaken for other text', () => {
  expectTypeOf(mixlet.parseAddress).returns.toEqualTypeOf<MixAddress>();
  expectTypeOf<MixAddress>().toExtend<string>();
  expectTypeOf<string>().not.toExtend<MixAddress>();
  expectTypeOf<string>().not.toExtend<ReplyTag>();
  expectTypeOf<ReplyTag>().not.toExtend<MixAddress>();
  expectTypeOf<Parameters<Client['send']>[0]>().toEqualTypeOf<MixAddress | ReplyTag>();
});

test('calls give what the documentation says', () => {
  expectTypeOf<Client['connect']>().returns.toEqualTypeOf<Promise<MixAddress>>();
  expectTypeOf<Client['close']>().returns.toEqualTypeOf<Promise<void>>();
  expectTypeOf<Client['send']>().returns.toEqualTypeOf<SentMessage>();
  expectTypeOf<Client['messages']>().returns.toEqualTypeOf<AsyncIterableIterator<ReceivedMessage>>();
  expectTypeOf<Client['stats']>().returns.toEqualTypeOf<Promise<MixStats>>();
  expectTypeOf<Client['statsStream']>().returns.toEqualTypeOf<AsyncIterableIterator<MixStats>>();
  expectTypeOf<SentMessage['progress']>().returns.toEqualTypeOf<AsyncIterableIterator<SendProgress>>();
  expectTypeOf<NetworkView['topology']>().returns.toEqualTypeOf<Promise<TopologyInfo>>();
  expectTypeOf<NetworkView['gateways']>().returns.toEqualTypeOf<Promise<GatewayInfo[]>>();
  expectTypeOf<NetworkView['switchGateway']>().returns.toEqualTypeOf<Promise<MixAddress>>();
  expectTypeOf<Client['address']>().toEqualTypeOf<MixAddress | null>();
  expectTypeOf<Client['state']>().toEqualTypeOf<ClientState>();
  expectTypeOf<typeof mixlet.MixClient.isSupported>().returns.toEqualTypeOf<{ ok: boolean; missing: string[] }>();
});

test('traffic is read and set, and the privacy report is there at once', () => {
  expectTypeOf<Client['traffic']>().toEqualTypeOf<TrafficControl>();
  expectTypeOf<TrafficControl['params']>().toEqualTypeOf<Readonly<PrivacyParams>>();
  expectTypeOf<TrafficControl['set']>().returns.toEqualTypeOf<Promise<void>>();
  expectTypeOf<'strong' | 'balanced' | 'fast' | Partial<PrivacyParams>>().toEqualTypeOf<
    Parameters<TrafficControl['set']>[0]
  >();
  expectTypeOf<Client['privacyReport']>().returns.toEqualTypeOf<PrivacyReport>();
  expectTypeOf<PrivacyReport['sees'][number]['who']>().toEqualTypeOf<
    'gateway' | 'line' | 'mix nodes' | 'recipient' | 'directory'
  >();
  expectTypeOf<PrivacyReport['weakened'][number]>().toEqualTypeOf<{ setting: string; cost: string }>();
  expectTypeOf<PrivacyReport['bytesPerHour']>().toEqualTypeOf<number>();
  const wrong = (client: Client) => [
    // @ts-expect-error there is no such profile
    client.traffic.set('none'),
    // @ts-expect-error there is no such value
    client.traffic.set({ slot: 20 }),
    // @ts-expect-error it is set by a call
    (client.traffic.params.slotMs = 20),
  ];
  expectTypeOf(wrong).toBeFunction();
});

test('a sent message cannot be awaited by mistake', () => {
  expectTypeOf<SentMessage>().not.toHaveProperty('then');
  expectTypeOf<SentMessage['queued']>().toEqualTypeOf<Promise<void>>();
  expectTypeOf<SentMessage['delivered']>().toEqualTypeOf<Promise<Delivery>>();
});

test('what does not work yet has no member', () => {
  expectTypeOf<Client>().not.toHaveProperty('sendFile');
});

test('requests and streams say what they give', () => {
  expectTypeOf<Client['request']>().returns.resolves.toEqualTypeOf<ReceivedMessage>();
  expectTypeOf<Client['requestAll']>().returns.resolves.toEqualTypeOf<PromiseSettledResult<ReceivedMessage>[]>();
  expectTypeOf<Client['openStream']>().returns.resolves.toEqualTypeOf<MixStream>();
  expectTypeOf<SentMessage['received']>().toEqualTypeOf<Promise<Delivery>>();
});

test('a received message has its bytes and can be answered', () => {
  expectTypeOf<ReceivedMessage['data']>().toEqualTypeOf<Uint8Array>();
  expectTypeOf<ReceivedMessage['from']>().toEqualTypeOf<ReplyTag | null>();
  expectTypeOf<ReceivedMessage['reply']>().returns.toEqualTypeOf<SentMessage>();
  expectTypeOf<ReceivedMessage['json']>().returns.toEqualTypeOf<unknown>();
});

test('data is text, bytes or a Blob', () => {
  expectTypeOf<string>().toExtend<MixData>();
  expectTypeOf<Uint8Array<ArrayBuffer>>().toExtend<MixData>();
  expectTypeOf<ArrayBuffer>().toExtend<MixData>();
  expectTypeOf<File>().toExtend<MixData>();
  expectTypeOf<number>().not.toExtend<MixData>();
  expectTypeOf<{ text: string }>().not.toExtend<MixData>();
});

test('events carry their own details', () => {
  const listen = (client: Client) => {
    client.addEventListener('message', (event) => {
      expectTypeOf(event.detail).toEqualTypeOf<ReceivedMessage>();
    });
    client.addEventListener('undelivered', (event) => {
      expectTypeOf(event.detail).toEqualTypeOf<Undelivered>();
    });
    client.addEventListener('progress', { handleEvent: (event) => event.detail.fraction });
    client.addEventListener('something else', (event) => {
      expectTypeOf(event).toEqualTypeOf<Event>();
    });
  };
  expectTypeOf(listen).toBeFunction();
  expectTypeOf<MixClientEventMap['progress']>().toEqualTypeOf<CustomEvent<ConnectProgress>>();
});

test('options are checked by the compiler too', () => {
  const wrong = () => [
    // @ts-expect-error no network was named
    new mixlet.MixClient({}),
    // @ts-expect-error there is no such option
    new mixlet.MixClient({ network: {}, profil: 'x' }),
    // @ts-expect-error a worker is made by a function
    new mixlet.MixClient({ network: {}, worker: true }),
    // @ts-expect-error the engine is a module
    new mixlet.MixClient({ network: {}, worker: false, engine: 'mixlet/engine' }),
    // @ts-expect-error a class, not a socket
    new mixlet.MixClient({ network: {}, worker: false, webSocket: new WebSocket('ws://x') }),
    // @ts-expect-error there is no such profile
    new mixlet.MixClient({ network: {}, privacy: 'none' }),
  ];
  expectTypeOf(wrong).toBeFunction();
  expectTypeOf<mixlet.MixError['code']>().toEqualTypeOf<MixErrorCode>();
});
