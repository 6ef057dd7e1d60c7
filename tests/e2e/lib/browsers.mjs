// Chromium through Playwright and Firefox through WebDriver, behind the little that the tests need of both: windows that
// share a profile, and calls of the test page in them.

import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { Builder } from 'selenium-webdriver';
import firefox from 'selenium-webdriver/firefox.js';
import { find } from '../../../scripts/lib/tools.mjs';
import { after, until } from './time.mjs';

/** How long a page may take to load. */
const LOAD_MS = 60_000;

/** A host name that leads to loopback but counts as a foreign one. */
export const FOREIGN_HOST = 'foreign.test';

/** A call of the page that failed; has the fields of the error there. */
export class PageError extends Error {
  constructor(fields) {
    super(`${fields.code ? `[${fields.code}] ` : ''}${fields.message ?? fields.text}`);
    this.fields = fields;
  }
}

/** Debian's Chromium, quiet and offline but for loopback. */
const chromiumOptions = () => ({
  executablePath: process.env.CHROMIUM ?? find('chromium'),
  args: [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    `--host-resolver-rules=MAP ${FOREIGN_HOST} 127.0.0.1`,
  ],
});

/** A running Chromium. */
export class Chromium {
  static name = 'Chromium';
  #browser;

  static async launch() {
    return new Chromium(await chromium.launch(chromiumOptions()));
  }

  constructor(browser) {
    this.#browser = browser;
  }

  version() {
    return this.#browser.version();
  }

  /** A profile of its own; `open(url)` opens windows in it. `script` runs in each page before its own. */
  async profile({ script, ...options } = {}) {
    const context = await this.#browser.newContext(options);
    if (script) await context.addInitScript(script);
    return {
      open: (url) => ChromiumPage.open(context, url),
      /** An empty page, as Playwright has it. */
      openPage: () => context.newPage(),
      close: () => context.close(),
    };
  }

  close() {
    return this.#browser.close();
  }
}

/** A Chromium with a profile on disk, which can be killed without a word and started again with the same profile. */
export class MortalChromium {
  #folder;
  #context;

  /** With a new profile. */
  static async launch() {
    const browser = new MortalChromium(await mkdtemp(join(tmpdir(), 'mixlet-profile-')));
    await browser.start();
    return browser;
  }

  constructor(folder) {
    this.#folder = folder;
  }

  async start() {
    this.#context = await chromium.launchPersistentContext(this.#folder, chromiumOptions());
  }

  open(url) {
    return ChromiumPage.open(this.#context, url);
  }

  /** Ends all its processes at once, as a machine does that runs out of memory. */
  async kill() {
    for (const pid of await this.#processes()) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It has ended meanwhile.
      }
    }
    await until(async () => (await this.#processes()).length === 0, 'the browser is gone', 10_000);
  }

  /** Which of these needles, as bytes, are in the files of the profile. */
  async findOnDisk(needles) {
    const names = await readdir(this.#folder, { recursive: true, withFileTypes: true });
    const files = names.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
    const found = new Set();
    for (const file of files) {
      const bytes = await readFile(file);
      for (const needle of needles) if (bytes.includes(needle)) found.add(needle.toString('hex'));
    }
    return found;
  }

  async close() {
    await this.#context.close();
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }

  /** Those whose command line names the profile. */
  async #processes() {
    const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
    const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')));
    return pids.filter((_, at) => lines[at].includes(this.#folder)).map(Number);
  }
}

/** One window of Chromium with the test page. */
class ChromiumPage {
  /** What the page and its workers wrote to the console: `{ type, text, url }`. */
  lines = [];
  #page;

  static async open(context, url) {
    const page = new ChromiumPage(await context.newPage());
    await page.#page.goto(url);
    await page.#ready();
    return page;
  }

  constructor(page) {
    this.#page = page;
    page.on('console', (message) =>
      this.lines.push({ type: message.type(), text: message.text(), url: message.location().url }),
    );
    page.on('pageerror', (error) => this.lines.push({ type: 'pageerror', text: String(error), url: '' }));
  }

  #ready() {
    return this.#page.waitForFunction(() => window.e2e !== undefined, null, { timeout: LOAD_MS });
  }

  call(name, ...args) {
    return call(
      () => this.#page.evaluate(([name, args]) => window.e2e.start(name, args), [name, args]),
      (number) => this.#page.evaluate((number) => window.e2e.look(number), number),
    );
  }

  async reload() {
    await this.#page.reload();
    await this.#ready();
  }

  close() {
    return this.#page.close();
  }
}

/** A running Firefox. All windows share one profile. */
export class Firefox {
  static name = 'Firefox';
  #driver;
  /** WebDriver talks to one window at a time. */
  #turn = Promise.resolve();
  #first;

  static async launch() {
    const options = new firefox.Options()
      .setBinary(process.env.FIREFOX ?? find('firefox-esr') ?? find('firefox'))
      .addArguments('-headless');
    // Nothing but what the tests ask for.
    for (const name of [
      'network.captive-portal-service.enabled',
      'network.connectivity-service.enabled',
      'app.normandy.enabled',
      'datareporting.policy.dataSubmissionEnabled',
      'browser.safebrowsing.downloads.remote.enabled',
      'extensions.getAddons.cache.enabled',
      'extensions.systemAddon.update.enabled',
    ]) {
      options.setPreference(name, false);
    }
    const service = new firefox.ServiceBuilder(find('geckodriver'));
    return new Firefox(
      await new Builder().forBrowser('firefox').setFirefoxOptions(options).setFirefoxService(service).build(),
    );
  }

  constructor(driver) {
    this.#driver = driver;
  }

  async version() {
    return (await this.#driver.getCapabilities()).get('browserVersion');
  }

  async profile() {
    return { open: (url) => this.#open(url), close: async () => {} };
  }

  async #open(url) {
    const handle = await this.#alone(async () => {
      // The first window stays, empty: with the last one the browser would end, and new ones are opened from it.
      this.#first ??= await this.#driver.getWindowHandle();
      await this.#driver.switchTo().window(this.#first);
      await this.#driver.switchTo().newWindow('window');
      await this.#driver.get(url);
      await this.#driver.wait(() => this.#driver.executeScript('return window.e2e !== undefined'), LOAD_MS);
      return this.#driver.getWindowHandle();
    });
    const script = (text, ...args) => this.#in(handle, () => this.#driver.executeScript(text, ...args));
    return {
      lines: [],
      call: (name, ...args) =>
        call(
          () => script('return window.e2e.start(arguments[0], arguments[1])', name, args),
          (number) => script('return window.e2e.look(arguments[0])', number),
        ),
      reload: () =>
        this.#in(handle, async () => {
          await this.#driver.navigate().refresh();
          await this.#driver.wait(() => this.#driver.executeScript('return window.e2e !== undefined'), LOAD_MS);
        }),
      close: () => this.#in(handle, () => this.#driver.close()),
    };
  }

  #in(handle, run) {
    return this.#alone(async () => {
      await this.#driver.switchTo().window(handle);
      return run();
    });
  }

  #alone(run) {
    const result = this.#turn.then(run);
    this.#turn = result.catch(() => {});
    return result;
  }

  close() {
    return this.#driver.quit();
  }
}

/** Starts a call and looks until it is done; throws `PageError` when it failed in the page. */
async function call(start, look) {
  const number = await start();
  for (let wait = 5; ; wait = Math.min(100, wait * 2)) {
    const outcome = await look(number);
    if (outcome?.error) throw new PageError(outcome.error);
    if (outcome) return outcome.ok;
    await after(wait);
  }
}
