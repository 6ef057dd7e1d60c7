// The published Nym browser client talks to itself through the devnet: two clients, each on its own gateway. Nothing of
// ours but the network takes part, so what works here shows that the network is what that client expects.

/* global fetch, performance */

import { buildDevnet, startDevnet } from '../../../scripts/lib/devnet.mjs';
import { launch, openNym, servePage } from './nym.mjs';

const lines = [];
let passed = 0;
let failed = 0;

/** One test: prints how it went, and never lets a failure pass. */
async function test(name, run) {
  const start = performance.now();
  try {
    const note = await run();
    passed += 1;
    console.log(`ok    ${name} (${Math.round(performance.now() - start)} ms)${note ? `: ${note}` : ''}`);
    return true;
  } catch (error) {
    failed += 1;
    console.log(`FAIL  ${name}: ${error.message}`);
    return false;
  }
}

function expect(right, what) {
  if (!right) throw new Error(what);
}

/** Asks again and again until something is so. */
async function until(so, what) {
  const end = performance.now() + 60_000;
  while (!(await so())) {
    if (performance.now() > end) throw new Error(`${what}: not within a minute`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const binary = await buildDevnet();
const devnet = await startDevnet(binary, []);
const { directory, control, gateways } = devnet.info;
const summary = async () => (await fetch(`${control}/record/summary`)).json();
const page = await servePage();
const browser = await launch();
try {
  let alice;
  let bob;
  const open = (name, gateway) => openNym(browser, page.url, { directory, gatewayId: gateway.id, name, lines });
  const opened =
    (await test('a client registers at the first gateway', async () => {
      alice = await open('alice', gateways[0]);
      expect(alice.address.endsWith(`@${gateways[0].id}`), `the address is ${alice.address}`);
    })) &&
    (await test('another one registers at the second gateway', async () => {
      bob = await open('bob', gateways[1]);
      expect(bob.address.endsWith(`@${gateways[1].id}`), `the address is ${bob.address}`);
    }));
  if (opened) {
    await test('a client sends a plain message to itself', async () => {
      await alice.sendPlain('to myself', alice.address);
      const message = await alice.receive('to myself');
      expect(message.tag === null, 'a plain message has no tag');
    });
    await test('a plain message arrives at the other gateway', async () => {
      await alice.sendPlain('plain', bob.address);
      await bob.receive('plain');
    });
    await test('a message of many packets arrives', async () => {
      const long = 'many packets '.repeat(1500);
      await bob.sendPlain(long, alice.address);
      await alice.receive(long);
      return `${long.length} bytes`;
    });
    await test('an anonymous message arrives with a tag, and its reply returns', async () => {
      await alice.sendAnonymous('who am I?', bob.address, 10);
      const { tag } = await bob.receive('who am I?');
      expect(tag, 'an anonymous message has a tag');
      await bob.sendReply('I do not know', tag);
      const reply = await alice.receive('I do not know');
      expect(reply.tag === null, 'a reply has no tag');
    });
    await test('an anonymous message and its reply in the other direction', async () => {
      await bob.sendAnonymous('and I?', alice.address, 10);
      const { tag } = await alice.receive('and I?');
      await alice.sendReply('neither', tag);
      await bob.receive('neither');
    });
    await test('nothing arrives twice', async () => {
      const all = [...(await alice.received()), ...(await bob.received())].map((message) => message.body);
      expect(new Set(all).size === all.length, `${all.length} messages, ${new Set(all).size} different ones`);
      return `${all.length} messages`;
    });
    await test('a client that was away logs in again and gets what came meanwhile', async () => {
      await bob.leave();
      await alice.sendPlain('while you were away', bob.address);
      await until(async () => (await summary()).nodes['gateway-1'].stored > 0, 'the gateway stores it');
      const address = await bob.comeBack();
      expect(address === bob.address, `the address is now ${address}`);
      await bob.receive('while you were away');
    });
    await test('the network dropped nothing and both are known to it', async () => {
      const { nodes, clients } = await summary();
      const dropped = Object.entries(nodes).flatMap(([name, node]) =>
        Object.entries(node.dropped).map(([why, count]) => `${name} ${why} ${count}`),
      );
      expect(dropped.length === 0, dropped.join(', '));
      const counts = Object.values(clients);
      expect(counts.length === 2 && counts.every((client) => client.registrations === 1), JSON.stringify(clients));
      return counts.map((client) => `${client.frames_in} frames in, ${client.frames_out} out`).join('; ');
    });
  }
} finally {
  await browser.close();
  page.close();
  await devnet.stop();
}
if (failed > 0) console.log(lines.slice(-60).join('\n'));
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
