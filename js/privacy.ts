import { usual } from './options.js';
import type { CheckedOptions } from './options.js';
import type { PrivacyReport } from './types.js';

/** Bytes of the frames of one packet of cover; docs/PROTOCOL.md, 3 and 7. devnet/tests/profiles.rs measures the same. */
const bytesOut = 30 /* sealing */ + 2 /* kind, rotation */ + 7 /* first hop, IPv4 */ + 2413; /* packet */
const bytesIn = 70 /* the gateway took it */ + (30 + 21) /* its ack */ + (30 + 1643); /* it has come home */

/** What these settings show to whom. */
export function privacyReport(options: CheckedOptions): PrivacyReport {
  const { slotMs, loopMs, hopDelayMs, ackDelayMs, dangerNoPacing, askForMore, gatewaySelect } = options;
  const { pseudonym, stats, storage, topology, worker, minPerformance = 50, refreshMs = 300_000 } = options;
  const rate = 1000 / loopMs + (dangerNoPacing ? 0 : 1000 / slotMs);

  const leaving = dangerNoPacing
    ? 'Packets leave when you send, so it sees when and how much.'
    : `About ${Math.round(rate)} packets a second leave at random times, the same whatever you do.`;
  const traffic = `and when you are connected. ${leaving} What arrives depends on what you do: a packet with your data brings back an ack but no loop cover, and what others send you comes on top. By counting it can estimate how much you send and receive, and when; not with whom, nor what.`;
  const until = pseudonym === 'kept' ? 'for each recipient always the same' : 'the same until you start anew';
  const tag = `a random tag that is ${until} (none with replies: 0)`;
  const asking = askForMore ? ', unless you answer it and run out of its reply blocks' : '';
  const sees: PrivacyReport['sees'] = [
    { who: 'gateway', what: `Your IP address, the identity in your address, ${traffic}` },
    {
      who: 'line',
      what: `Your IP address, your gateway, ${traffic} Over ws: instead of wss: also the identity in your address, when you register.`,
    },
    {
      who: 'mix nodes',
      what: `From which node a packet comes, to which it goes, ${hopDelayMs} ms later on average, and by its size whether it is an ack. The first sees your gateway, not you. One of each layer and both gateways together can tell who writes to whom.`,
    },
    {
      who: 'recipient',
      what: `Your messages, when they come, and ${tag}. Not your address${asking}. Its gateway sees how much comes for it, not from whom. Who writes to you learns when you are connected: your client sends receipts and answers probes.`,
    },
    {
      who: 'directory',
      what: topology
        ? 'Nothing: with network.topology it is not asked.'
        : `Your IP address, and about every ${refreshMs / 1000} s that you use this network. It names the nodes, so it could show you a network of its own making.`,
    },
  ];

  const rateShows = (usualMs: number) => `Others have ${usualMs}: the gateway and the line can tell you from them.`;
  const mixesLess = 'Nodes mix fewer packets than usual: who watches them can follow yours more easily.';
  const otherNodes = 'Your routes use other nodes than those of other clients.';
  const settings: [setting: string, weakens: boolean, cost: string][] = [
    ['dangerNoPacing', dangerNoPacing, 'The gateway and the line see when you send, and how much.'],
    ['slotMs', !dangerNoPacing && slotMs !== usual.slotMs, rateShows(usual.slotMs)],
    ['loopMs', loopMs !== usual.loopMs, rateShows(usual.loopMs)],
    ['hopDelayMs', hopDelayMs < usual.hopDelayMs, mixesLess],
    ['ackDelayMs', ackDelayMs < usual.ackDelayMs, mixesLess],
    [
      'gateway.select',
      gatewaySelect === 'fastest',
      'All gateways are contacted from your IP address before the first one is chosen, and a near one tells where you are.',
    ],
    [
      'worker',
      worker === false,
      'Packets are made in this thread. Where it is busy, or its page hidden, fewer leave, and the gateway and the line see that.',
    ],
    ['pseudonym', pseudonym === 'kept', 'A peer knows at each start that it is you again, although not where you are.'],
    ['askForMore', askForMore, 'A peer you answer learns your address when its reply blocks run out.'],
    [
      'storage',
      storage === 'indexeddb',
      'The keys stay in this browser: the gateway knows you again at each visit, and scripts of this origin can use them.',
    ],
    [
      'stats',
      stats === 'kept' && storage !== 'memory',
      'Who copies your disk and can open what is stored sees how much you have sent and received, and since when.',
    ],
    ['network.minPerformance', minPerformance !== 50, otherNodes],
    ['network.topology', topology !== undefined, otherNodes],
  ];
  const weakened = settings.filter(([, weakens]) => weakens).map(([setting, , cost]) => ({ setting, cost }));
  return { sees, weakened, bytesPerHour: Math.round(rate * 3600 * (bytesOut + bytesIn)) };
}
