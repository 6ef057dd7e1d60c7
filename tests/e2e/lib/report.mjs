// Counts and prints tests. Each part of the end-to-end tests runs its own steps in order; parts may run beside each
// other, so every line names its part.

import { duration, green, red, say, stopwatch } from '../../../scripts/lib/output.mjs';

/** Fails a test with this text unless `right`. */
export function expect(right, text) {
  if (!right) throw new Error(text);
}

/** Fails a test unless both are the same. */
export function expectEqual(actual, expected, what) {
  const [a, b] = [actual, expected].map((value) => JSON.stringify(value));
  if (a !== b) throw new Error(`${what}: ${a} instead of ${b}`);
}

export class Report {
  passed = 0;
  failed = 0;
  #skipRest = new Set();

  /** The tests of one part. */
  part(name) {
    return {
      /** A test; a failure is printed and counted. Resolves to whether it passed. */
      test: (title, run) => this.#test(name, title, run),
      /** As `test`; when it fails the later tests of this part have no sense, and count as failed too. */
      need: async (title, run) => {
        const passed = await this.#test(name, title, run);
        if (!passed) this.#skipRest.add(name);
        return passed;
      },
      note: (text) => say(`      ${name}: ${text}`),
    };
  }

  async #test(part, title, run) {
    if (this.#skipRest.has(part)) {
      this.failed += 1;
      say(`${red('FAIL')}  ${part}: ${title}: not run, since an earlier test failed`);
      return false;
    }
    const elapsed = stopwatch();
    try {
      const note = await run();
      this.passed += 1;
      say(`${green('ok')}    ${part}: ${title} (${duration(elapsed())})${note ? `: ${note}` : ''}`);
      return true;
    } catch (error) {
      this.failed += 1;
      say(`${red('FAIL')}  ${part}: ${title} (${duration(elapsed())}): ${error.message}`);
      return false;
    }
  }

  /** A part that broke outside its tests. */
  broke(part, error) {
    this.failed += 1;
    say(`${red('FAIL')}  ${part}: ${error.stack ?? error}`);
  }

  /** Prints the totals in the form that `npm test` reads, and gives back the exit code. */
  end() {
    say(`${this.passed} passed, ${this.failed} failed`);
    return this.failed === 0 && this.passed > 0 ? 0 : 1;
  }
}
