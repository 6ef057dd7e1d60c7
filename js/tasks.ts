import { limits } from './limits.js';

/** In a task of its own, so that input, painting and what else the page does have their turn before it. */
export function nextTask(): Promise<void> {
  return new Promise((resolve) => {
    if (setNodeImmediate) {
      setNodeImmediate(resolve);
      return;
    }
    // Timers would wait for 4 ms each, and for a second in a hidden page.
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}

/**
 * In Node an open port keeps the process alive. Taken when this file is loaded: a fake one would make clients wait for
 * the test.
 */
const { setImmediate: setNodeImmediate } = globalThis as { setImmediate?: (task: () => void) => unknown };

/** Does jobs in their order, so many in one task of the page and the others in the next ones. */
export class Jobs {
  #waiting: (() => void)[] = [];
  /** How many more may be done in this task. */
  #left: number = limits.eventsAtOnce;
  #isScheduled = false;

  /** At once, or as soon as its turn comes. */
  do(job: () => void): void {
    if (this.#waiting.length > 0 || this.#left === 0) this.#waiting.push(job);
    else {
      this.#left--;
      job();
    }
    this.#schedule();
  }

  /** Something of before waits for its turn. */
  get isBusy(): boolean {
    return this.#waiting.length > 0;
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    void nextTask().then(() => this.#turn());
  }

  #turn(): void {
    this.#isScheduled = false;
    const jobs = this.#waiting.splice(0, limits.eventsAtOnce);
    this.#left = limits.eventsAtOnce - jobs.length;
    if (jobs.length > 0) this.#schedule();
    for (const job of jobs) job();
  }
}
