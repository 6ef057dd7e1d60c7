// `npm run test:nym`: the published Nym browser client on our network, first by itself and then with mixlet.

import { entry, say } from '../../../scripts/lib/output.mjs';
import { stopAll, stopOnSignals } from '../../../scripts/lib/processes.mjs';
import { Chromium } from '../lib/browsers.mjs';
import { Report } from '../lib/report.mjs';
import { serveSite } from '../lib/site.mjs';
import { interop } from './interop.mjs';
import { self } from './self.mjs';

await entry(async () => {
  stopOnSignals();
  const report = new Report();
  const site = await serveSite();
  const browser = await Chromium.launch();
  const lines = [];
  const run = async (name, part) => {
    try {
      await part(report.part(name), { browser, site, lines });
    } catch (error) {
      report.broke(name, error);
    }
  };
  await Promise.all([run('Nym alone', self), run('Nym and mixlet', interop)]);
  if (report.failed > 0) say(lines.slice(-60).join('\n'));
  await browser.close();
  site.close();
  await stopAll();
  return report.end();
});
