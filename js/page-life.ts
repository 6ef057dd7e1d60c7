/** What the browser tells a page of itself; a client listens as long as it is connected. */
export interface PageListener {
  /** The network is back. */
  onOnline(): void;
  /** The page is being left. */
  onPageHide(): void;
  /** The browser stops the page, and its workers with it, until `onResume`. */
  onFreeze(): void;
  onResume(): void;
}

export class PageLife {
  readonly #listener: PageListener;
  #watching: AbortController | null = null;

  constructor(listener: PageListener) {
    this.#listener = listener;
  }

  /** Listens from now on, where there is a page. */
  begin(): void {
    this.end();
    this.#watching = new AbortController();
    const { signal } = this.#watching;
    const listener = this.#listener;
    globalThis.addEventListener?.('online', () => listener.onOnline(), { signal });
    globalThis.addEventListener?.('pagehide', () => listener.onPageHide(), { signal });
    globalThis.document?.addEventListener('freeze', () => listener.onFreeze(), { signal });
    globalThis.document?.addEventListener('resume', () => listener.onResume(), { signal });
  }

  end(): void {
    this.#watching?.abort();
    this.#watching = null;
  }
}
