import type { MixError } from 'mixlet';

/** Sizes as people read them. Units stay with their numbers at the end of a line. */
export function bytes(count: number): string {
  if (count < 1000) return `${count}\u00a0B`;
  if (count < 1_000_000) return `${(count / 1000).toFixed(count < 10_000 ? 1 : 0)}\u00a0kB`;
  return `${(count / 1_000_000).toFixed(1)}\u00a0MB`;
}

export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)}\u00a0s`;
}

/** Roughly, for times ahead. */
export function about(ms: number): string {
  if (ms < 1500) return 'about a second';
  return ms < 90_000 ? `about ${Math.round(ms / 1000)} s` : `about ${Math.round(ms / 60_000)} min`;
}

/** The code of a `MixError`; the name of anything else that a promise was rejected with. */
export function codeOf(error: unknown): string {
  const { code, name } = error as Partial<MixError>;
  return typeof code === 'string' ? code : (name ?? 'unknown');
}

export const number = (count: number) => count.toLocaleString('en');
