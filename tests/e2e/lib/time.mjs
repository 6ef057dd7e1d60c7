// Waiting, always with an end.

/** Resolves after so many milliseconds. */
export const after = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Fails if a promise takes longer than this. */
export async function within(ms, what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Asks again and again until the answer is true, and gives it back. */
export async function until(ask, what, ms = 60_000) {
  const end = performance.now() + ms;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (performance.now() > end) throw new Error(`${what}: not within ${ms} ms`);
    await after(50);
  }
}
