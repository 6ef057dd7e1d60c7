// Installs what is missing, from the package registries only: apt, rustup, cargo and npm, side by side where they do
// not need each other.

import { join } from 'node:path';
import { bold, Complaint, dim, duration, red, say, stopwatch, tail } from './output.mjs';
import { cache, folder, logs } from './paths.mjs';
import { run } from './processes.mjs';
import { checkBasics, find, stampNpm, toolEnv } from './tools.mjs';

/** Downloads fail now and then; each is tried this often. */
const ATTEMPTS = 2;

/** Installs those of `wanted` that are missing. With `dryRun` it only says what it would do. */
export async function ensure(wanted, { dryRun = false } = {}) {
  const elapsed = stopwatch();
  await checkBasics();
  const missing = [];
  for (const tool of wanted) if (!(await tool.present())) missing.push(tool);
  if (missing.length === 0) {
    say(dim(`everything needed is installed (looked for ${duration(elapsed())})`));
    return;
  }
  say(bold(`missing: ${missing.map((tool) => tool.name).join(', ')}`));
  if (dryRun) {
    for (const tool of missing) say(`  ${await describe(tool)}`);
    return;
  }
  const by = (how) => missing.filter((tool) => tool.how === how);
  const [compiler, otherPackages] = split(by('apt'), (tool) => tool.packages.includes('build-essential'));

  // The compiler comes first, as cargo cannot link without it; the browsers then load while cargo builds.
  const compilerReady = compiler.length > 0 ? apt(compiler) : Promise.resolve();
  await settle([
    compilerReady.then(() => (otherPackages.length > 0 ? apt(otherPackages) : undefined)),
    compilerReady.then(() => eachInTurn(by('cargo'), cargo)),
    eachInTurn(by('rustup'), rustup),
    eachInTurn(by('npm'), npm),
  ]);

  for (const tool of missing) {
    if (!(await tool.present())) throw new Complaint(`${tool.name} was installed but is still not found.`);
  }
  say(bold(`set-up done in ${duration(elapsed())}`));
}

async function describe(tool) {
  if (tool.how === 'apt') return `apt-get install ${tool.packages.join(' ')}`;
  if (tool.how === 'rustup') return `rustup ${tool.args.join(' ')}`;
  if (tool.how === 'npm') return 'npm ci';
  const place = await tool.place();
  return ['cargo install', ...tool.args(), ...(place ? ['--root', place] : [])].join(' ');
}

async function apt(wanted) {
  const names = wanted.map((tool) => tool.name).join(', ');
  const packages = wanted.flatMap((tool) => tool.packages);
  if (!find('apt-get')) {
    throw new Complaint(`Please install by hand (there is no apt-get here): ${packages.join(' ')}`);
  }
  const prefix = process.getuid?.() === 0 ? [] : ['sudo', '-n'];
  const log = join(folder(logs), `install-${packages[0]}.log`);
  const env = toolEnv({ DEBIAN_FRONTEND: 'noninteractive' });
  // Another apt may hold the lock for a while, for example one that the machine runs by itself.
  const command = [...prefix, 'apt-get', '-q', '-o', 'DPkg::Lock::Timeout=300'];
  await installing(`${names} (apt)`, log, async () => {
    const update = await run(command[0], [...command.slice(1), 'update'], { env, log });
    if (update.code !== 0) return update;
    const install = ['install', '-y', '--no-install-recommends', ...packages];
    return run(command[0], [...command.slice(1), ...install], { env, log, append: true });
  });
}

async function rustup(tool) {
  if (!find('rustup')) throw new Complaint(`${tool.name} is missing and there is no rustup to add it.`);
  const log = join(folder(logs), `install-${tool.args.join('-')}.log`);
  await installing(`${tool.name} (rustup)`, log, () => run('rustup', tool.args, { env: toolEnv(), log }));
}

async function cargo(tool) {
  const args = tool.args();
  const place = await tool.place();
  const log = join(folder(logs), `install-${args[0]}.log`);
  const env = toolEnv({
    // One build folder for all of them: they share dependencies. Compiling takes far longer than these tools ever
    // run, so they are optimised less than they ask for.
    CARGO_TARGET_DIR: join(cache, 'tools-build'),
    CARGO_PROFILE_RELEASE_OPT_LEVEL: String(tool.optLevel),
    CARGO_PROFILE_RELEASE_LTO: 'off',
    CARGO_PROFILE_RELEASE_CODEGEN_UNITS: '16',
  });
  const all = ['install', ...args, ...(place ? ['--root', place, '--force'] : [])];
  await installing(`${tool.name} (cargo, about ${tool.minutes} min)`, log, () => run('cargo', all, { env, log }));
}

async function npm() {
  const log = join(folder(logs), 'install-npm.log');
  // No package here needs its install script, and some packages of the world download programs in theirs.
  const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline'];
  await installing('npm packages (npm ci)', log, () => run('npm', args, { env: toolEnv(), log }));
  stampNpm();
}

/** Does one installation, says that it begins and how long it took, and shows its output when it failed. */
async function installing(what, log, action) {
  const elapsed = stopwatch();
  say(`  installing ${what} …`);
  let result;
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    result = await action();
    if (result.code === 0) {
      say(`  installed ${what.replace(/, about .*\)/, ')')} in ${duration(elapsed())}`);
      return;
    }
  }
  say(red(`  ${what} failed after ${duration(elapsed())}:`));
  say(tail(result.output, 40));
  throw new Complaint(`Could not install ${what}. The whole output is in ${log}`);
}

async function eachInTurn(items, action) {
  for (const item of items) await action(item);
}

/** Waits for all lanes, so that none is cut off half-way, then fails with the first failure. */
async function settle(lanes) {
  const results = await Promise.allSettled(lanes);
  const failed = results.find((result) => result.status === 'rejected');
  if (failed) throw failed.reason;
}

function split(items, test) {
  return [items.filter(test), items.filter((item) => !test(item))];
}
