// The published Nym browser client in a page of Chromium, driven from Node.

import { within } from '../lib/time.mjs';

/** How long a client may take to fetch the topology, register and start. */
const OPEN_MS = 60_000;

/** How long a message may take; several packets have to wait for their turn. */
const RECEIVE_MS = 60_000;

/**
 * Opens a client in a profile of a browser, registered at the gateway with this id. `site` serves the page. `debug` is
 * what it calls its overrides; `lines` collects what pages write to the console, for the case that something fails.
 */
export async function openNym(profile, site, { directory, gatewayId, name, debug, lines = [] }) {
  const url = new URL('nym-page/page.html', site.url).href;
  let page;
  const start = async () => {
    page = await profile.openPage();
    page.on('console', (message) => lines.push(`${name}: ${message.text()}`));
    page.on('pageerror', (error) => lines.push(`${name}: ${error.message}`));
    await page.goto(url);
    await page.waitForFunction(() => window.ready, null, { timeout: OPEN_MS });
    const options = { clientId: name, nymApiUrl: directory, preferredGateway: gatewayId, debug };
    const opening = page.evaluate((options) => window.nym.open(options), options);
    return within(OPEN_MS, `${name} starts`, opening);
  };
  const { address, ms } = await start();
  return {
    address,
    /** From the constructor to the finished client. */
    ms,
    sendPlain: (body, to) => page.evaluate(([body, to]) => window.nym.sendPlain(body, to), [body, to]),
    sendAnonymous: (body, to, surbs) =>
      page.evaluate(([body, to, surbs]) => window.nym.sendAnonymous(body, to, surbs), [body, to, surbs]),
    sendReply: (body, tag) => page.evaluate(([body, tag]) => window.nym.sendReply(body, tag), [body, tag]),
    /** Sends so many bytes and gives back when, in milliseconds since 1970. */
    sendBytes: (length, to) => page.evaluate(([length, to]) => window.nym.sendBytes(length, to), [length, to]),
    /** Waits for a message with this body and returns it: `{ body, length, tag, at }`. */
    receive: async (body, timeout = RECEIVE_MS) => {
      const found = (body) => window.nym.received().find((message) => message.body === body);
      const handle = await page.waitForFunction(found, body, { timeout });
      return handle.jsonValue();
    },
    /** Waits for a message of this length and returns it. */
    receiveBytes: async (length, timeout = RECEIVE_MS) => {
      const found = (length) => window.nym.received().find((message) => message.length === length);
      const handle = await page.waitForFunction(found, length, { timeout });
      return handle.jsonValue();
    },
    received: () => page.evaluate(() => window.nym.received()),
    /** Closes the page; the profile with its keys stays. */
    leave: () => page.close(),
    /** Opens a new page in the same profile and returns `{ address, ms }` as it is there. */
    comeBack: start,
  };
}
