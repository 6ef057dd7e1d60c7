// Requests at the default pace: many at once that are answered in any order, and many to a peer that never answers.

import { Client } from '../lib/client.mjs';
import { Devnet } from '../lib/devnet.mjs';
import { expect, expectEqual } from '../lib/report.mjs';
import { until } from '../lib/time.mjs';

const TOGETHER = 100;
const UNANSWERED = 300;
const ANSWER_MS = 3_000;
/** What may be kept of a request that has ended; its reply blocks alone were more. */
const KEPT_BYTES = 4_000;
/** Few reply blocks go along, so that the requests are what takes the time. */
const REPLY_BYTES = 100;

export async function requests({ test, need }, name, { site, browser }) {
  const net = await Devnet.start(name);
  const profile = await browser.profile();
  let alice;
  let bob;
  try {
    await need('two clients connect, at the default pace', async () => {
      const open = (name, place) =>
        Client.connect(profile, site.url, name, {
          network: { directories: [net.directory] },
          gateway: { id: net.gatewayIds[place] },
        });
      [alice, bob] = await Promise.all([open('alice', 0), open('bob', 1)]);
    });

    await test(`${TOGETHER} requests at once, answered in random order, each get their own answer`, async () => {
      await bob.page.call('serve', 'bob', 'shuffled', TOGETHER);
      const options = { service: 'shuffled', expectedReplyBytes: REPLY_BYTES };
      const { answers, ms } = await alice.page.call('requestMany', 'alice', bob.address, TOGETHER, options);
      expectEqual(
        answers,
        Array.from({ length: TOGETHER }, (_, number) => `answer to ${number}`),
        'answers',
      );
      return `${(ms / 1_000).toFixed(1)} s`;
    });

    await test(`${UNANSWERED} requests to a silent peer end, and nothing is left of them`, async () => {
      await bob.page.call('serve', 'bob', 'silent');
      const options = { service: 'silent', expectedReplyBytes: REPLY_BYTES, responseTimeoutMs: ANSWER_MS };
      const round = async () => {
        const { answers } = await alice.page.call('requestMany', 'alice', bob.address, UNANSWERED, options);
        expectEqual([...new Set(answers)], ['response-timeout'], 'what the requests ended with');
        const idle = async () => {
          const { queuedBytes, inFlight } = await alice.stats();
          return queuedBytes === 0 && inFlight === 0;
        };
        await until(idle, 'its tables are empty');
        const { wasmBytes } = await alice.stats();
        return wasmBytes;
      };
      const first = await round();
      const second = await round();
      // Late answers are still known for ten minutes, and the keys of reply blocks for a day, within their bounds.
      const grown = second - first;
      expect(grown <= UNANSWERED * KEPT_BYTES, `the memory has grown by ${grown} bytes`);
      const { errors, undelivered } = await alice.state();
      expectEqual([errors, undelivered], [[], []], 'errors and undelivered messages');
      return `${second} bytes of wasm memory, ${grown} more than after the first ${UNANSWERED}`;
    });

    await test('the next request is answered', async () => {
      await bob.page.call('serve', 'bob', 'one', 1);
      const { answers } = await alice.page.call('requestMany', 'alice', bob.address, 1, { service: 'one' });
      expectEqual(answers, ['answer to 0'], 'answers');
    });
  } finally {
    await profile.close();
    await net.stop();
  }
}
