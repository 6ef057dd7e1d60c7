import { readFile } from 'node:fs/promises';
import { MixClient } from 'mixlet';
import { TestNetwork } from 'mixlet/testing';
import { expect, test } from 'vitest';

test('a greeting is answered', async () => {
  const net = await TestNetwork.create();
  const alice = new MixClient(net.options());
  const bob = new MixClient(net.options());
  await alice.connect();
  bob.addEventListener('message', ({ detail }) => detail.reply(`hello, ${detail.text()}`));

  alice.send(await bob.connect(), 'Alice');
  for await (const message of alice.messages()) {
    expect(message.text()).toBe('hello, Alice');
    break;
  }

  await Promise.all([alice.close(), bob.close()]);
  await net.close();
});

test('the guide shows the test above', async () => {
  const guide = await readFile(new URL('../../../docs/guides/testing.md', import.meta.url), 'utf8');
  const own = await readFile(new URL(import.meta.url), 'utf8');
  const example = /```ts\n([^]*?)```/.exec(guide)![1]!;
  const [imports, body] = example.split(/\n\n(?=test\()/) as [string, string];
  for (const line of imports.split('\n')) expect(own).toContain(line);
  expect(own).toContain(body);
});
