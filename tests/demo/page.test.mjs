// The demo page as a person uses it: two of them in one browser, on a devnet.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';
import { buildDevnet, startDevnet } from '../../scripts/lib/devnet.mjs';
import { startPage } from '../../scripts/lib/page.mjs';
import { freePorts } from '../../scripts/lib/ports.mjs';
import { stopAll } from '../../scripts/lib/processes.mjs';
import { find } from '../../scripts/lib/tools.mjs';

/** On a busy machine everything takes its time. */
const PATIENT_MS = 60_000;

let browser;
/** Opens a page as this person and waits until it is connected. */
let open;
let alice;
let bob;
/** What the pages have said in their consoles. */
const lines = [];

before(async () => {
  const devnet = await startDevnet(await buildDevnet(), ['--forget'], {});
  const [port] = await freePorts(1);
  await startPage(port, devnet.info.directory);
  browser = await chromium.launch({
    executablePath: find('chromium') ?? undefined,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'],
  });
  const context = await browser.newContext();
  context.setDefaultTimeout(PATIENT_MS);
  open = async (name) => {
    const page = await context.newPage();
    page.on('console', (message) => message.type() === 'debug' || lines.push(`${message.type()}: ${message.text()}`));
    page.on('pageerror', (error) => lines.push(`uncaught: ${error.message}`));
    await page.goto(`http://127.0.0.1:${port}/?me=${name}`);
    await page.locator('#state[data-state=ready]').waitFor();
    return page;
  };
  alice = await open('alice');
  bob = await open('bob');
  // Two windows of one browser find each other without copying.
  await alice.waitForFunction(() => document.querySelector('#to').value !== '');
});

after(async () => {
  await browser?.close();
  await stopAll();
});

/** The item of the list that holds this text. */
const item = (page, text) => page.locator('#messages > li', { hasText: text });
const step = (page, text, name) => item(page, text).locator(`.tick.done[data-step=${name}]`);

async function say(page, text) {
  await page.fill('#text', text);
  await page.click('#send');
}

async function chooseFile(page, name, bytes) {
  await page.setInputFiles('#file', { name, mimeType: 'application/octet-stream', buffer: bytes });
}

async function ask(page, { question, text, deadline }) {
  await page.selectOption('#question', question);
  if (text !== undefined) await page.fill('#ask-text', text);
  await page.fill('#deadline', String(deadline));
  await page.click('#ask-button');
}

test('a message makes its steps; a receipt comes once their client is known', async () => {
  await say(alice, 'to a stranger');
  await step(alice, 'to a stranger', 'delivered').waitFor();
  await item(alice, 'to a stranger').getByText('no receipt').waitFor();
  assert.equal(await step(alice, 'to a stranger', 'received').count(), 0);

  await item(bob, 'to a stranger').locator('input').fill('an answer');
  await item(bob, 'to a stranger').getByRole('button').click();
  await step(bob, 'an answer', 'delivered').waitFor();
  await item(alice, 'an answer').waitFor();

  await alice.click('#probe');
  await alice.locator('#peer', { hasText: 'speaks mixlet' }).waitFor();
  await say(alice, 'to a known client');
  await step(alice, 'to a known client', 'received').waitFor();
  assert.equal(await item(bob, 'to a known client').count(), 1);
});

test('a file arrives with its name and its bytes', async () => {
  const bytes = Buffer.from(Array.from({ length: 60_000 }, (_, i) => (i * 7919) % 251));
  await chooseFile(alice, 'picture.bin', bytes);
  await alice.locator('#file-size', { hasText: '60 kB: about 38 fragments' }).waitFor();
  await alice.click('#send-file');
  await step(alice, 'picture.bin', 'received').waitFor();
  await item(alice, 'picture.bin')
    .getByText(/^All \d+ fragments are there/)
    .waitFor();
  assert.equal(
    await item(alice, 'picture.bin')
      .locator('progress')
      .evaluate(({ value }) => value),
    1,
  );
  assert.equal(await item(alice, 'picture.bin').getByRole('button').count(), 0);

  const saving = bob.waitForEvent('download');
  await item(bob, 'picture.bin').getByRole('button', { name: 'Save' }).click();
  const download = await saving;
  assert.equal(download.suggestedFilename(), 'picture.bin');
  assert.deepEqual(readFileSync(await download.path()), bytes);
});

test('a file that is cancelled half-way does not arrive, and the next message does', async () => {
  await chooseFile(alice, 'long.bin', Buffer.alloc(4_000_000, 0xc1));
  await alice.click('#send-file');
  const bar = item(alice, 'long.bin').locator('progress');
  await bar.and(alice.locator(':not([value="0"])')).waitFor();
  await item(alice, 'long.bin').getByRole('button', { name: 'Cancel' }).click();
  await item(alice, 'long.bin').getByText('Cancelled.').waitFor();
  assert.ok((await bar.evaluate(({ value }) => value)) < 0.9);
  assert.equal(await step(alice, 'long.bin', 'sent').count(), 0);
  await say(alice, 'never mind');
  await item(bob, 'never mind').waitFor();
  assert.equal(await item(bob, 'long.bin').count(), 0);
});

test('a file that is too long for a message is refused before anything is sent', async () => {
  const size = 32 * 1024 * 1024;
  // Made in the page, as it is more than a test can hand over.
  await alice.evaluate((size) => {
    const { DataTransfer, File, Event } = window;
    const files = new DataTransfer();
    files.items.add(new File([new Uint8Array(size)], 'huge.bin'));
    const input = document.querySelector('#file');
    input.files = files.files;
    input.dispatchEvent(new Event('change'));
  }, size);
  await alice.locator('#file-size.failed', { hasText: '32 MiB' }).waitFor();
  assert.ok(await alice.locator('#send-file').isDisabled());
});

test('a question is answered, and both pages show it', async () => {
  await ask(alice, { question: 'echo', text: 'who is there?', deadline: 50 });
  await item(alice, 'who is there?').locator('.answer', { hasText: 'who is there?' }).waitFor();
  await item(alice, 'who is there?')
    .locator('.outcome', { hasText: /^Answered after \d/ })
    .waitFor();
  await item(bob, 'who is there?').locator('.who', { hasText: 'asks for echo' }).waitFor();

  await ask(alice, { question: 'time', deadline: 51 });
  const answer = await item(alice, 'with 51 s of time').locator('.answer').textContent();
  assert.match(answer, /^\d\d:\d\d:\d\d UTC$/);
});

test('the code says which time ran out, and an answer that comes later is shown', async () => {
  await ask(alice, { question: 'slow-echo', text: 'take your time', deadline: 6 });
  await ask(alice, { question: 'echo', text: 'in no time', deadline: 0.01 });
  await item(alice, 'in no time').locator('.failed', { hasText: '(timeout)' }).waitFor();
  const slow = item(alice, 'take your time');
  await slow.locator('.failed', { hasText: '(response-timeout)' }).waitFor();
  assert.equal(await slow.locator('.answer').count(), 0);
  await slow.locator('.answer.late', { hasText: 'take your time' }).waitFor();
});

test('a question can be given up', async () => {
  await ask(alice, { question: 'slow-echo', text: 'forget it', deadline: 50 });
  await item(alice, 'forget it').getByRole('button', { name: 'Give up' }).click();
  await item(alice, 'forget it').locator('.outcome', { hasText: 'Given up' }).waitFor();
});

test('a page that does not serve says so', async () => {
  await bob.uncheck('#serve');
  await ask(alice, { question: 'echo', text: 'still there?', deadline: 52 });
  await item(alice, 'still there?').locator('.failed', { hasText: '(no-handler)' }).waitFor();
  await bob.check('#serve');
  await ask(alice, { question: 'echo', text: 'there again?', deadline: 53 });
  await item(alice, 'there again?').locator('.answer').waitFor();
});

test('the numbers follow what is sent', async () => {
  const real = () =>
    alice.locator('[data-count=real]').evaluate(({ textContent }) => Number(textContent.replaceAll(',', '')));
  const before = await real();
  assert.ok(before > 40, `${before} real packets`);
  await say(alice, 'one more');
  await alice.waitForFunction(
    (before) => Number(document.querySelector('[data-count=real]').textContent.replaceAll(',', '')) > before,
    before,
  );
  await alice.waitForFunction(() => Number(document.querySelector('[data-rate=cover]').textContent) > 0);
  const numbers = await alice.locator('#numbers').textContent();
  assert.match(numbers, /Up\s*[\d.]+\s(k|M)?B\/s · [\d.]+\s(k|M)?B in all/);
  assert.match(numbers, /median [\d.]+\ss, 95\s% within [\d.]+\ss/);
  assert.match(numbers, /\d+ fragments/);
});

test('nothing is wider than a narrow window', async () => {
  await alice.setViewportSize({ width: 320, height: 640 });
  await alice.locator('summary').click();
  const [wide, room] = await alice.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
  assert.equal(wide, room);
});

test('another tab shares the connection, and takes it over when the first one is closed', async () => {
  const second = await open('alice');
  const address = (page) => page.locator('#address').textContent();
  assert.equal(await address(second), await address(alice));
  await second.waitForFunction(() => document.querySelector('#to').value !== '');
  await say(second, 'from the second tab');
  await item(bob, 'from the second tab').locator('input').fill('to both tabs');
  await item(bob, 'from the second tab').getByRole('button').click();
  await Promise.all([alice, second].map((page) => item(page, 'to both tabs').waitFor()));
  await step(second, 'from the second tab', 'received').waitFor();

  await alice.close();
  await say(second, 'the first tab is gone');
  await item(bob, 'the first tab is gone').waitFor();
  await step(second, 'the first tab is gone', 'received').waitFor();
  await second.locator('#state[data-state=ready]').waitFor();
  assert.equal(await second.locator('#trouble').textContent(), '');
});

test('the consoles are silent', () => assert.deepEqual(lines, []));
