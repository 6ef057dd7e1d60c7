/** The last so many different texts; the oldest is forgotten for a new one. */
export class Recent {
  readonly #texts = new Set<string>();
  readonly #count: number;

  constructor(count: number) {
    this.#count = count;
  }

  has(text: string): boolean {
    return this.#texts.has(text);
  }

  /** It is the newest now. */
  add(text: string): void {
    this.#texts.delete(text);
    this.#texts.add(text);
    const [oldest] = this.#texts;
    if (this.#texts.size > this.#count && oldest !== undefined) this.#texts.delete(oldest);
  }

  delete(text: string): void {
    this.#texts.delete(text);
  }

  clear(): void {
    this.#texts.clear();
  }
}
