// `npm run setup`: installs what the other commands need. They call the same code, so nobody has to run this.
//
//   node scripts/setup.mjs [build|demo|rust|browsers|test ...] [--dry-run]

import { ensure } from './lib/install.mjs';
import { Complaint, entry } from './lib/output.mjs';
import { stopOnSignals } from './lib/processes.mjs';
import { toolSets } from './lib/tools.mjs';

await entry(async () => {
  stopOnSignals();
  const args = process.argv.slice(2);
  const names = args.filter((arg) => !arg.startsWith('--'));
  for (const name of names) {
    if (!Object.hasOwn(toolSets, name)) {
      throw new Complaint(`There is no set ‘${name}’; there are: ${Object.keys(toolSets).join(', ')}.`);
    }
  }
  const wanted = new Set((names.length > 0 ? names : ['test']).flatMap((name) => toolSets[name]));
  await ensure([...wanted], { dryRun: args.includes('--dry-run') });
});
