/**
 * The exports of a wasm instance, made safe for a thread that is not ours alone: what a call into them throws is told
 * to `crash` and goes no further, and after it nothing is called any more.
 *
 * In a worker of our own the global `error` event tells the same. On a page it would be that of everybody.
 */
export function guarded(exports: WebAssembly.Exports, crash: (detail: string) => void): WebAssembly.Exports {
  let dead = false;
  const guard =
    (call: (...values: unknown[]) => unknown) =>
    (...values: unknown[]): unknown => {
      if (dead) return nothing();
      try {
        return call(...values);
      } catch (error) {
        dead = true;
        crash(error instanceof Error ? error.message : String(error));
        return nothing();
      }
    };
  // What the glue itself needs between two calls, allocating above all, runs inside of calls that are guarded.
  const guardedEntry = ([name, value]: [string, WebAssembly.ExportValue]) =>
    [
      name,
      typeof value === 'function' && !internal.test(name) ? guard(value as Parameters<typeof guard>[0]) : value,
    ] as const;
  return Object.fromEntries(Object.entries(exports).map(guardedEntry));
}

/** What the glue takes for "no result, no error", whether it expects one value, several or none. */
const nothing = (): unknown => [];

const internal = /^(__wbindgen_(malloc|realloc|free|exn_store|start)|__externref_)/;
