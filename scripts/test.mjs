// `npm test`: installs what is missing, runs every stage, and ends with one line of totals. What only builds and checks
// runs beside the tests of the core, so stages are told of in the order in which they end.
//
//   npm test                              everything
//   npm test -- --only rust,wasm          some groups: scripts, rust, wasm, js, e2e, nym, differential, starters
//   npm test -- --list                    what there is

import { ensure } from './lib/install.mjs';
import { bold, Complaint, dim, duration, entry, green, red, say, stopwatch, tail } from './lib/output.mjs';
import { stopAll, stopOnSignals } from './lib/processes.mjs';
import { BESIDE, logOf, stages } from './lib/stages.mjs';
import { toolSets } from './lib/tools.mjs';

/** What a group needs installed; a whole run needs all of it. */
const NEEDS = {
  scripts: [],
  rust: ['rust'],
  wasm: ['rust', 'build', 'browsers'],
  js: ['rust', 'build', 'browsers'],
  e2e: ['rust', 'build', 'browsers'],
  nym: ['rust', 'build', 'browsers'],
  differential: ['rust'],
  starters: ['rust', 'build', 'browsers', 'webkit'],
};

await entry(async () => {
  stopOnSignals({ onSignal: (signal) => say(red(`\nstopped by ${signal}`)) });
  const chosen = select(process.argv.slice(2));
  if (chosen === null) return 0;
  try {
    return await runAll(chosen);
  } finally {
    await stopAll();
  }
});

async function runAll(chosen) {
  const elapsed = stopwatch();
  const sets = new Set(chosen.flatMap((stage) => NEEDS[stage.group]));
  await ensure([...new Set([...sets].flatMap((set) => toolSets[set]))]);

  say();
  const totals = { passed: 0, failed: 0 };
  const broken = [];
  const width = Math.max(...chosen.map((stage) => stage.name.length));
  const runOne = async (stage) => {
    const took = stopwatch();
    const result = await outcome(stage);
    totals.passed += result.passed;
    totals.failed += result.failed;
    const word = result.failed === 0 ? green('ok    ') : red('FAILED');
    const counts = `${result.passed} passed${result.failed > 0 ? `, ${result.failed} failed` : ''}`;
    say(`${word}  ${stage.name.padEnd(width)}  ${counts.padEnd(22)}  ${duration(took())}`);
    for (const note of result.notes ?? []) say(dim(`        ${note}`));
    if (result.failed > 0) {
      broken.push(stage.name);
      for (const problem of result.problems) say(red(`        ${problem}`));
      if (result.output) say(tail(result.output, 150));
      say(dim(`        the whole output: ${logOf(stage.name)}`));
    }
  };
  const inOrder = async (some) => {
    for (const stage of some) await runOne(stage);
  };
  const beside = chosen.filter((stage) => !stage.aside && BESIDE.includes(stage.group));
  const after = chosen.filter((stage) => !stage.aside && !BESIDE.includes(stage.group));
  await Promise.all([inOrder(beside), inOrder(chosen.filter((stage) => stage.aside))]);
  await inOrder(after);

  say();
  if (broken.length > 0) say(red(`failed: ${broken.join('; ')}`));
  say(bold(`${chosen.length} stages in ${duration(elapsed())}`));
  // Read by machines, so it stands alone on its line, without colour.
  say(`${totals.passed} passed, ${totals.failed} failed`);
  return totals.failed === 0 ? 0 : 1;
}

/** Runs one stage; whatever it throws is one failure. */
async function outcome(stage) {
  try {
    return await stage.run();
  } catch (error) {
    const text = error instanceof Complaint ? error.message : (error?.stack ?? String(error));
    return { passed: 0, failed: 1, problems: [], output: text };
  }
}

/** The stages that the arguments ask for, or null when they were only to be listed. */
function select(args) {
  const groups = [...new Set(stages.map((stage) => stage.group))];
  let chosen = stages;
  for (let i = 0; i < args.length; i += 1) {
    const [flag, inline] = args[i].split(/=(.*)/s);
    if (flag === '--list') {
      for (const stage of stages) say(`${stage.group.padEnd(14)}${stage.name}`);
      return null;
    } else if (flag === '--only') {
      const wanted = (inline ?? args[(i += 1)] ?? '').split(',').filter(Boolean);
      const unknown = wanted.filter((name) => !groups.includes(name));
      if (wanted.length === 0 || unknown.length > 0) {
        throw new Complaint(`--only wants some of: ${groups.join(', ')}`);
      }
      chosen = stages.filter((stage) => wanted.includes(stage.group));
    } else {
      throw new Complaint(`Unknown option ${args[i]}; there are --only and --list.`);
    }
  }
  return chosen;
}
