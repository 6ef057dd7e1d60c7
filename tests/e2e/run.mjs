// The end-to-end tests: pages in real browsers talk through devnets on this machine.
//
//   npm run test:e2e                        everything in Chromium
//   npm run test:e2e:firefox                the core in Firefox
//   … -- --only talk,record                 some parts, one after the other
//
// Parts have a devnet of their own each. Two lanes of parts run beside each other: most of the time is waiting for
// packets that leave at their own pace.

import { entry, say } from '../../scripts/lib/output.mjs';
import { stopAll, stopOnSignals } from '../../scripts/lib/processes.mjs';
import { Chromium, Firefox } from './lib/browsers.mjs';
import { Report } from './lib/report.mjs';
import { serveSite } from './lib/site.mjs';
import { abort } from './parts/abort.mjs';
import { badInput } from './parts/bad-input.mjs';
import { crash } from './parts/crash.mjs';
import { durable } from './parts/durable.mjs';
import { early } from './parts/early.mjs';
import { faults } from './parts/faults.mjs';
import { identity } from './parts/identity.mjs';
import { interop } from './parts/interop.mjs';
import { outbox } from './parts/outbox.mjs';
import { record } from './parts/record.mjs';
import { requests } from './parts/requests.mjs';
import { shape } from './parts/shape.mjs';
import { tabs } from './parts/tabs.mjs';
import { talk } from './parts/talk.mjs';

/** Every part by name; it gets the means to count its tests, its name, the site and the browser. */
const PARTS = {
  talk: async (tests, name, { browser, site }) => {
    const profile = await browser.profile();
    await talk(tests, name, { site, profiles: [profile, profile] });
    await profile.close();
  },
  'two browsers': async (tests, name, { browser, site }) => {
    const other = await browser.constructor.launch();
    const profiles = [await browser.profile(), await other.profile()];
    await talk(tests, name, { site, profiles });
    await profiles[0].close();
    await other.close();
  },
  record,
  abort,
  faults,
  crash,
  tabs,
  durable,
  outbox,
  early,
  identity,
  interop,
  requests,
  shape,
  'bad input': badInput,
};

const LANES = {
  Chromium: [
    ['talk', 'two browsers', 'faults', 'crash', 'durable', 'early'],
    ['shape', 'abort', 'record', 'interop', 'requests', 'tabs', 'identity', 'bad input', 'outbox'],
  ],
  Firefox: [
    ['talk', 'crash', 'early'],
    ['shape', 'tabs', 'identity'],
  ],
};

await entry(async () => {
  stopOnSignals();
  const args = process.argv.slice(2);
  const Browser = args.includes('--firefox') ? Firefox : Chromium;
  const only = args.includes('--only') ? args[args.indexOf('--only') + 1].split(',') : null;
  const report = new Report();
  const site = await serveSite();
  const runLane = async (names) => {
    // WebDriver serves one window at a time, so that each lane of Firefox gets one of its own.
    const browser = await Browser.launch();
    for (const name of names) {
      try {
        await PARTS[name](report.part(name), name.replace(' ', '-'), { browser, site });
      } catch (error) {
        report.broke(name, error);
      }
    }
    const version = await browser.version();
    await browser.close();
    return version;
  };
  const lanes = only ? [only] : LANES[Browser.name];
  const [version] = await Promise.all(lanes.map(runLane));
  say(`in ${Browser.name} ${version}`);
  site.close();
  await stopAll();
  return report.end();
});
