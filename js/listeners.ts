type Callback = EventListenerOrEventListenerObject;
type Options = boolean | AddEventListenerOptions | undefined;

interface Entry {
  readonly callback: Callback;
  readonly capture: boolean;
  readonly once: boolean;
}

/** Who listens to an event target, since a target does not tell: what nobody listens to need not be worked out. */
export class Listeners {
  readonly #entries = new Map<string, Entry[]>();
  readonly #onChange: (type: string) => void;

  /** `onChange`: the first listener of a type has come, or the last has gone. */
  constructor(onChange: (type: string) => void) {
    this.#onChange = onChange;
  }

  has(type: string): boolean {
    return this.#entries.has(type);
  }

  /** The target got a listener; one that it has already, or none, counts for nothing. */
  add(type: string, callback: Callback | null, options: Options): void {
    const { once = false, signal } = typeof options === 'object' ? options : {};
    const capture = isCapture(options);
    const entries = this.#entries.get(type) ?? [];
    if (
      !callback ||
      signal?.aborted ||
      entries.some((entry) => entry.callback === callback && entry.capture === capture)
    )
      return;
    this.#entries.set(type, [...entries, { callback, capture, once }]);
    signal?.addEventListener('abort', () => this.remove(type, callback, capture), { once: true });
    if (entries.length === 0) this.#onChange(type);
  }

  remove(type: string, callback: Callback | null, options: boolean | EventListenerOptions | undefined): void {
    const capture = isCapture(options);
    this.#keep(type, (entry) => entry.callback !== callback || entry.capture !== capture);
  }

  /** An event is about to be raised: whoever wants one only has had it. */
  raised(type: string): void {
    this.#keep(type, (entry) => !entry.once);
  }

  #keep(type: string, keep: (entry: Entry) => boolean): void {
    const entries = this.#entries.get(type);
    if (!entries) return;
    const kept = entries.filter(keep);
    if (kept.length > 0) this.#entries.set(type, kept);
    else {
      this.#entries.delete(type);
      this.#onChange(type);
    }
  }
}

const isCapture = (options: Options | EventListenerOptions): boolean =>
  typeof options === 'object' ? (options.capture ?? false) : (options ?? false);
