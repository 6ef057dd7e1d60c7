// WebKit, as Debian packages it: the engine of Safari, in a small browser driven over WebDriver.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { freePorts } from '../../../scripts/lib/ports.mjs';
import { end, start } from '../../../scripts/lib/processes.mjs';
import { find, toolEnv } from '../../../scripts/lib/tools.mjs';

/** Opens a page and hands its driver to `use`: `run(script)` gives what the script returns, `reload()` loads anew. */
export async function withWebKit(url, use) {
  const { stdout } = await promisify(execFile)('dpkg', ['-L', 'libwebkit2gtk-4.1-0']);
  const binary = stdout.split('\n').find((path) => path.endsWith('/MiniBrowser'));
  assert.ok(binary && find('WebKitWebDriver') && find('xvfb-run'), 'WebKit is missing; run npm run setup');
  const [port] = await freePorts(1);
  let output = '';
  const driver = start('xvfb-run', ['-a', 'WebKitWebDriver', `--port=${port}`], {
    env: toolEnv(),
    onOutput: (text) => (output += text),
  });
  const base = `http://127.0.0.1:${port}/session`;
  try {
    const browser = { 'webkitgtk:browserOptions': { binary, args: ['--automation'] } };
    const { sessionId } = await call(base, { capabilities: { alwaysMatch: browser } }, () => output);
    const session = `${base}/${sessionId}`;
    try {
      await call(`${session}/url`, { url });
      await use({
        run: (script) => call(`${session}/execute/sync`, { script, args: [] }),
        reload: () => call(`${session}/refresh`, {}),
      });
    } finally {
      await fetch(session, { method: 'DELETE' });
    }
  } finally {
    await end(driver.child);
  }
}

/** One command. With `output` the driver may still be starting. */
async function call(url, body, output) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const response = await fetch(url, { method: 'POST', body: JSON.stringify(body) });
      const { value } = await response.json();
      if (!response.ok) throw new Error(`${value.error}: ${value.message}`);
      return value;
    } catch (error) {
      if (!output || attempt === ATTEMPTS || !(error instanceof TypeError)) {
        throw new Error(output?.() || error.message, { cause: error });
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

/** How often the driver is asked while it starts. */
const ATTEMPTS = 150;
