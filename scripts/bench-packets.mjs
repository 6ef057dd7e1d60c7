// Builds packets of 2 KiB and four hops in headless Chromium, in turns with mixlet and with the published crate of the
// network: one wasm file, the same flags, one page, one run. Fails when mixlet is not twice as fast.
//
//   node scripts/bench-packets.mjs [--json]       (--json: one line of JSON instead of the table)

import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join } from 'node:path';
import { chromium } from 'playwright-core';
import { Complaint, duration, entry, say, stopwatch, tail } from './lib/output.mjs';
import { cache, folder, logs } from './lib/paths.mjs';
import { run, stopOnSignals } from './lib/processes.mjs';
import { targetFolder } from './lib/target.mjs';
import { find, toolEnv } from './lib/tools.mjs';
import { WASM_OPT } from './lib/wasm-opt.mjs';

/** How much faster than the published crate we promise to be, with keys used before and with new ones. */
const RATIO_LEAST = 2;

async function step(name, command, args) {
  const elapsed = stopwatch();
  const result = await run(command, args, { env: toolEnv(), log: join(folder(logs), `bench-${name}.log`) });
  if (result.code !== 0) throw new Complaint(`${name} failed:\n${tail(result.output)}`);
  if (!json) say(`  ${name}: ${duration(elapsed())}`);
}

async function build() {
  await step('cargo', 'cargo', ['build', '-p', 'mixlet-bench', '--release', '--target', 'wasm32-unknown-unknown']);
  const out = folder(cache, 'bench');
  const wasm = join(await targetFolder(), 'wasm32-unknown-unknown', 'release', 'mixlet_bench.wasm');
  await step('wasm-bindgen', 'wasm-bindgen', ['--target', 'web', '--no-typescript', '--out-dir', out, wasm]);
  const bound = join(out, 'mixlet_bench_bg.wasm');
  await step('wasm-opt', 'wasm-opt', [...WASM_OPT, bound, '-o', bound]);
  return out;
}

/** Serves a folder and an empty page on a free port of loopback, isolated so that the page's clock is a fine one. */
async function serve(folder) {
  const types = { '.js': 'text/javascript', '.wasm': 'application/wasm' };
  const server = createServer((request, response) => {
    response.setHeader('Cross-Origin-Opener-Policy', 'same-origin');
    response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp');
    const name = request.url.slice(1);
    if (name === '') {
      response.setHeader('Content-Type', 'text/html');
      response.end('<!doctype html><title>bench</title>');
    } else if (/^[a-z_]+\.(js|wasm)$/.test(name)) {
      response.setHeader('Content-Type', types[extname(name)]);
      response.end(readFileSync(join(folder, name)));
    } else {
      response.statusCode = 404;
      response.end();
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${server.address().port}/`, close: () => server.close() };
}

/** Runs in the page: minima of many short slices, the four kinds in turns so that a slow moment hits all of them. */
async function measure() {
  const { default: init, Bench } = await import('/mixlet_bench.js');
  await init();
  const bench = new Bench(1);
  if (!bench.agrees()) throw new Error('the published crate does not peel what mixlet builds');
  const kinds = ['mixlet_warm', 'peer_warm', 'mixlet_cold', 'peer_cold'];
  const packets = 4;
  const slices = 400;
  const least = Object.fromEntries(kinds.map((kind) => [kind, Infinity]));
  // The first tenth only warms up the page's compiler and our tables.
  for (let slice = -slices / 10; slice < slices; slice += 1) {
    bench.make_unseen(packets);
    for (const kind of kinds) {
      const start = performance.now();
      const bytes = bench[kind](packets);
      const micros = ((performance.now() - start) * 1000) / packets;
      if (bytes !== packets * 2413) throw new Error(`${kind} made ${bytes} bytes`);
      if (slice >= 0) least[kind] = Math.min(least[kind], micros);
    }
  }
  return { ...least, isolated: crossOriginIsolated, agent: navigator.userAgent };
}

const json = process.argv.includes('--json');

await entry(async () => {
  stopOnSignals();
  const { url, close } = await serve(await build());
  const browser = await chromium.launch({
    executablePath: find('chromium') ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-component-update'],
  });
  try {
    const page = await browser.newPage();
    await page.goto(url);
    const found = await page.evaluate(measure);
    const warm = found.peer_warm / found.mixlet_warm;
    const cold = found.peer_cold / found.mixlet_cold;
    if (json) {
      say(JSON.stringify({ ...found, ratio_warm: warm, ratio_cold: cold, packet: '2413 bytes, 4 hops, version 259' }));
    } else {
      const micros = (value) => `${value.toFixed(0)} µs`.padStart(9);
      say(`  one packet of 2 KiB, 4 hops, header version 259, ${/Chrome\/[\d.]+/.exec(found.agent)?.[0] ?? ''}`);
      say(`                        mixlet   sphinx-packet 0.8.0   times as fast`);
      say(
        `    node keys known  ${micros(found.mixlet_warm)}   ${micros(found.peer_warm)}             ${warm.toFixed(2)}`,
      );
      say(
        `    new node keys    ${micros(found.mixlet_cold)}   ${micros(found.peer_cold)}             ${cold.toFixed(2)}`,
      );
    }
    return warm >= RATIO_LEAST && cold >= RATIO_LEAST ? 0 : 1;
  } finally {
    await browser.close();
    close();
  }
});
