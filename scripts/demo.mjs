// `npm run demo`: installs what is missing, builds, starts a mixnet and the page on this machine, prints two links.
// Ctrl-C ends it all.
//
//   npm run demo -- --port 5000           the page's port (5173 or the next free one)
//   npm run demo -- --devnet='--loss 0.1' more flags for the mixnet
//   npm run demo -- --fresh               forget the keys, mailboxes and addresses of earlier runs
//   npm run demo -- --state folder        keep them somewhere else than in .cache/demo
//   npm run demo -- --check               start, look whether everything answers, stop

import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { buildDevnet, startDevnet } from './lib/devnet.mjs';
import { ensure } from './lib/install.mjs';
import { bold, Complaint, dim, duration, entry, say, stopwatch, tail } from './lib/output.mjs';
import { answers, startPage } from './lib/page.mjs';
import { cache, folder, logs } from './lib/paths.mjs';
import { portNear } from './lib/ports.mjs';
import { isStopping, run, stopAll, stopOnSignals } from './lib/processes.mjs';
import { toolEnv, toolSets } from './lib/tools.mjs';

const PAGE_PORT = 5173;

await entry(async () => {
  stopOnSignals({ onSignal: () => say('\nstopping …'), onStopped: () => say('stopped'), exitCode: 0 });
  try {
    return await demo(parse(process.argv.slice(2)));
  } finally {
    await stopAll();
  }
});

async function demo(options) {
  await ensure(toolSets.demo);

  say('building the client for browsers and the mixnet for this machine …');
  const elapsed = stopwatch();
  // Different profiles and targets: cargo does not make one wait for the other.
  const [binary] = await Promise.all([buildDevnet(), buildPackage()]);
  say(`built in ${duration(elapsed())}`);

  const { state } = options;
  if (options.fresh) rmSync(state, { recursive: true, force: true });
  // The folder keeps keys, mailboxes and ports, so that the pages' identities stay good.
  const devnet = await startDevnet(binary, ['--state', folder(state, 'network'), ...options.devnet], {
    log: join(folder(logs), 'demo-devnet.log'),
  });
  const port = options.port ?? (await keptPort(state));
  const page = await startPage(port, devnet.info.directory);

  const url = `http://127.0.0.1:${port}/`;
  say();
  say(`mixnet     ${devnet.info.mixnodes.length} mix nodes in three layers, ${devnet.info.gateways.length} gateways`);
  say(`directory  ${devnet.info.directory}`);
  say();
  say('Open these two links in two browser windows:');
  say();
  say(`    ${bold(`${url}?me=alice`)}`);
  say(`    ${bold(`${url}?me=bob`)}`);
  say();
  if (options.check) {
    for (const address of [url, `${devnet.info.directory}/v1/epoch/key-rotation-info`]) await answers(address, 10_000);
    say('everything answers; stopping');
    return 0;
  }
  say(dim('Ctrl-C stops the page and the mixnet.'));

  const ended = await Promise.race([devnet.ended.then(() => 'The mixnet'), page.ended.then(() => 'The page’s server')]);
  if (isStopping()) return 0;
  throw new Complaint(`${ended} ended by itself; its output is in ${logs}`);
}

async function buildPackage() {
  const log = join(folder(logs), 'build-package.log');
  const built = await run('npm', ['run', '--silent', 'build'], { env: toolEnv(), log });
  if (built.code !== 0) throw new Complaint(`The package does not build:\n${tail(built.output)}`);
}

/** Browsers keep identities per origin, and the port is part of it: the same one again if that is possible. */
async function keptPort(state) {
  const file = join(state, 'page-port');
  const wanted = existsSync(file) ? Number(readFileSync(file, 'utf8')) : PAGE_PORT;
  const port = await portNear(wanted);
  if (port !== wanted) say(`port ${wanted} is taken; the page is on ${port}`);
  writeFileSync(file, String(port));
  return port;
}

function parse(args) {
  const options = { check: false, devnet: [], fresh: false, port: null, state: join(cache, 'demo') };
  for (let i = 0; i < args.length; i += 1) {
    const [flag, inline] = args[i].split(/=(.*)/s);
    const value = () => inline ?? args[(i += 1)] ?? '';
    if (flag === '--check') options.check = true;
    else if (flag === '--fresh') options.fresh = true;
    else if (flag === '--devnet') options.devnet = value().split(/\s+/).filter(Boolean);
    else if (flag === '--port') options.port = Number(value());
    else if (flag === '--state') options.state = resolve(value());
    else throw new Complaint(`Unknown option ${args[i]}; there are --port, --devnet, --fresh, --state and --check.`);
  }
  if (options.port !== null && !(Number.isInteger(options.port) && options.port > 0 && options.port < 65536)) {
    throw new Complaint('--port wants a number from 1 to 65535.');
  }
  return options;
}
