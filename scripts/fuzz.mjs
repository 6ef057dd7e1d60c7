// Fuzzes parsers and engine: installs what is missing, builds the targets of fuzz/ and runs them one after the other.
//
//   npm run fuzz                            every target for 30 seconds
//   npm run fuzz -- --seconds 60            for another time
//   npm run fuzz -- --runs 1000000          so many inputs each; the engine, which is slower, a fifth of it
//   npm run fuzz -- --target json,session   some targets
//   npm run fuzz -- --list                  what there is
//
// What is found lies in fuzz/artifacts, and the inputs that lead somewhere new in fuzz/corpus, for the next time.

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { ensure } from './lib/install.mjs';
import { bold, Complaint, dim, duration, entry, green, red, say, stopwatch, tail } from './lib/output.mjs';
import { folder, logs, root } from './lib/paths.mjs';
import { run, stopAll, stopOnSignals } from './lib/processes.mjs';
import { toolEnv, toolSets } from './lib/tools.mjs';

const home = join(root, 'fuzz');
const targets = readdirSync(join(home, 'fuzz_targets')).map((file) => file.replace(/\.rs$/, ''));

/** One input of the engine is a whole life of a client, so it gets this part of the runs. */
const ENGINE_SHARE = 1 / 5;
/** An input that takes this long hangs, and a target that takes this much memory has lost a bound. */
const LIMITS = ['-timeout=20', '-rss_limit_mb=2048', '-malloc_limit_mb=256'];

/** The longest inputs, in bytes, where they are not of the usual length. */
const LONGEST = {
  client_text: 8_192,
  directory: 24_000,
  document: 16_000,
  packet: 8_600,
  plans: 6_000,
  server_text: 8_192,
  surb: 1_500,
};
const LONGEST_USUAL = 4_096;
const LONGEST_STEPS = 800;

const JSON_TARGETS = ['client_text', 'control', 'directory', 'document', 'json', 'schedule', 'server_text', 'session'];

await entry(async () => {
  stopOnSignals({ onSignal: (signal) => say(red(`\nstopped by ${signal}`)) });
  const { chosen, runs, seconds } = options(process.argv.slice(2));
  if (chosen === null) return 0;
  try {
    return await fuzzAll(chosen, runs, seconds);
  } finally {
    await stopAll();
  }
});

async function fuzzAll(chosen, runs, seconds) {
  await ensure(toolSets.fuzz);
  const elapsed = stopwatch();
  say(dim('building the targets …'));
  const built = await cargoFuzz('build', [], 'fuzz-build');
  if (built.code !== 0) throw new Complaint(`The targets cannot be built:\n${tail(built.output)}`);
  say(dim(`built in ${duration(elapsed())}`));
  say();
  say(bold(row(['target', 'inputs', 'a second', 'findings', 'time'])));
  const totals = { inputs: 0, findings: 0 };
  for (const target of chosen) {
    const result = await fuzz(target, runs, seconds);
    totals.inputs += result.inputs;
    totals.findings += result.findings;
    const colour = result.findings > 0 ? red : green;
    say(colour(row([target, result.inputs, result.rate, result.findings, duration(result.ms)])));
    if (result.findings > 0) say(tail(result.what, 30));
  }
  say();
  say(bold(`${count(totals.inputs)} inputs in ${duration(elapsed())}, ${totals.findings} findings`));
  if (totals.findings > 0) say(red(`the inputs lie in ${join('fuzz', 'artifacts')}`));
  return totals.findings === 0 ? 0 : 1;
}

/** Runs one target to its end or to its first finding. */
async function fuzz(target, runs, seconds) {
  const folders = ['corpus', 'artifacts'].map((name) => folder(home, name, target));
  const before = readdirSync(folders[1]).length;
  const isEngine = target.startsWith('engine');
  const takesSteps = isEngine || ['handshake', 'reassembly', 'session', 'table'].includes(target);
  const longest = LONGEST[target] ?? (takesSteps ? LONGEST_STEPS : LONGEST_USUAL);
  const amount = runs ? `-runs=${Math.ceil(isEngine ? runs * ENGINE_SHARE : runs)}` : `-max_total_time=${seconds}`;
  const args = [amount, `-max_len=${longest}`, '-print_final_stats=1', ...LIMITS];
  if (JSON_TARGETS.includes(target)) args.push(`-dict=${join(home, 'json.dict')}`);
  const inputs = [join('fuzz', 'corpus', target), join('fuzz', 'seeds', target)];
  const { code, output, ms } = await cargoFuzz('run', [target, ...inputs, '--', ...args], `fuzz-${target}`);
  const number = (pattern) => Number([...output.matchAll(pattern)].at(-1)?.[1] ?? 0);
  // After a crash there are no final numbers; the last progress line has to do.
  const executed = number(/stat::number_of_executed_units:\s*(\d+)/g) || number(/^#(\d+)/gm);
  const findings = readdirSync(folders[1]).length - before;
  if (code !== 0 && findings === 0) throw new Complaint(`${target} did not run:\n${tail(output)}`);
  const what = output.slice(Math.max(output.search(/panicked at|ERROR: libFuzzer/), 0));
  return { inputs: executed, rate: Math.round((executed * 1000) / Math.max(ms, 1)), findings, what, ms };
}

/** Without a sanitizer, which would look for what safe code cannot do; with the crates that only compute left out. */
function cargoFuzz(command, args, name) {
  const env = toolEnv({ RUSTC_WRAPPER: join(home, 'rustc.sh'), RUST_BACKTRACE: '0' });
  const all = ['+nightly', 'fuzz', command, '--fuzz-dir', 'fuzz', '--sanitizer', 'none', ...args];
  return run('cargo', all, { env, cwd: root, log: join(folder(logs), `${name}.log`) });
}

function options(args) {
  const found = { chosen: targets, runs: 0, seconds: 30 };
  for (let i = 0; i < args.length; i += 1) {
    const [flag, inline] = args[i].split(/=(.*)/s);
    if (flag === '--list') {
      for (const target of targets) say(target);
      return { ...found, chosen: null };
    }
    const value = inline ?? args[(i += 1)] ?? '';
    if (flag === '--target') {
      found.chosen = value.split(',').filter(Boolean);
      const unknown = found.chosen.filter((name) => !targets.includes(name));
      if (found.chosen.length === 0 || unknown.length > 0) {
        throw new Complaint(`--target wants some of: ${targets.join(', ')}`);
      }
    } else if (flag === '--runs' || flag === '--seconds') {
      const amount = Number(value);
      if (!Number.isSafeInteger(amount) || amount < 1) throw new Complaint(`${flag} wants a number from 1 on.`);
      found[flag.slice(2)] = amount;
    } else {
      throw new Complaint(`Unknown option ${args[i]}; there are --runs, --seconds, --target and --list.`);
    }
  }
  return found;
}

function row([name, ...cells]) {
  const width = Math.max(...targets.map((target) => target.length));
  return [name.padEnd(width), ...cells.map((cell) => count(cell).padStart(13))].join('');
}

function count(value) {
  return typeof value === 'number' ? value.toLocaleString('en-GB') : value;
}
