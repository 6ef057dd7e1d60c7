// The package as users get it: packed, and installed elsewhere.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cache, folder as ensureFolder, root } from '../../scripts/lib/paths.mjs';
import { toolEnv } from '../../scripts/lib/tools.mjs';

const execute = promisify(execFile);

const QUIET = ['--ignore-scripts', '--no-audit', '--no-fund'];

/** Packs `dist` as it is. `files` are the paths in the tarball, `folder` is a place for projects. */
export async function pack() {
  assert.ok(existsSync(join(root, 'dist', 'mixlet.wasm')), 'dist/ is empty; run npm run build first');
  const folder = await mkdtemp(join(tmpdir(), 'mixlet-package-'));
  const { stdout } = await npm(root, 'pack', '--json', '--ignore-scripts', '--pack-destination', folder);
  const [packed] = JSON.parse(stdout);
  return {
    folder,
    tarball: join(folder, packed.filename),
    files: packed.files.map(({ path }) => path),
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}

/** A project with nothing but the package. */
export async function emptyProject({ folder, tarball }, name) {
  const project = join(folder, name);
  await mkdir(project);
  await writeFile(join(project, 'package.json'), JSON.stringify({ name, private: true, type: 'module' }));
  await npm(project, 'install', ...QUIET, '--offline', tarball);
  return project;
}

/**
 * The starters with all they need, in a folder that is kept: the bundlers are installed once, the package each time.
 * Returns the folder of a starter by its name.
 */
export async function installStarters({ tarball }) {
  const source = join(root, 'tests', 'package', 'starters');
  const target = ensureFolder(cache, 'starters');
  const names = (await readdir(source, { withFileTypes: true })).filter((entry) => entry.isDirectory());
  const manifests = ['package.json', 'package-lock.json', ...names.map(({ name }) => join(name, 'package.json'))];
  const wanted = createHash('sha256');
  for (const file of manifests) wanted.update(await readFile(join(source, file)));
  const stamp = wanted.digest('hex');
  const stampFile = join(target, 'installed');
  if (!existsSync(stampFile) || (await readFile(stampFile, 'utf8')) !== stamp) {
    await rm(target, { recursive: true, force: true });
    ensureFolder(target);
    for (const file of manifests) await cp(join(source, file), join(target, file), { recursive: true });
    await npm(target, 'ci', ...QUIET, '--prefer-offline');
    await writeFile(stampFile, stamp);
  }
  await npm(target, 'install', ...QUIET, '--offline', '--no-save', tarball);
  for (const { name } of names) {
    const project = join(target, name);
    for (const entry of await readdir(project)) {
      if (entry !== 'node_modules') await rm(join(project, entry), { recursive: true });
    }
    // What the browsers' starters share comes first, so that a starter can have its own.
    for (const file of ['app.js', 'index.html']) await cp(join(source, file), join(project, file));
    await cp(join(source, name), project, { recursive: true });
    // As in a project of its own.
    await mkdir(join(project, 'node_modules'), { recursive: true });
    await rm(join(project, 'node_modules', 'mixlet'), { recursive: true, force: true });
    await symlink(join('..', '..', 'node_modules', 'mixlet'), join(project, 'node_modules', 'mixlet'));
  }
  return (name) => join(target, name);
}

export function npm(cwd, ...args) {
  const env = toolEnv({ NEXT_TELEMETRY_DISABLED: '1' });
  return execute('npm', args, { cwd, env, maxBuffer: 16 * 1024 * 1024 });
}
