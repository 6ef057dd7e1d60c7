import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['tests/js/**/*.test.ts'],
    environment: 'node',
    // Any promise left rejected is a failure of ours.
    dangerouslyIgnoreUnhandledErrors: false,
    testTimeout: 10_000,
  },
});
