import eslint from '@eslint/js';
import { defineConfig, globalIgnores } from 'eslint/config';
import tseslint from 'typescript-eslint';

/** What scripts use of Node, and of the page in functions that a browser runs for them. */
const names = [
  ...[
    'AbortController',
    'AbortSignal',
    'Buffer',
    'TextDecoder',
    'TextEncoder',
    'URL',
    'WebAssembly',
    'WebSocket',
    'clearInterval',
  ],
  ...['clearTimeout', 'console', 'fetch', 'performance', 'process', 'queueMicrotask', 'setImmediate', 'setInterval'],
  ...['setTimeout', 'Blob', 'crossOriginIsolated', 'document', 'indexedDB', 'location', 'navigator', 'window'],
  ...['DOMException', 'PerformanceObserver', 'URLSearchParams', 'Worker', 'crypto', 'self'],
];
/** What the starters use besides, of pages and of service workers. */
const starterNames = ['Headers', 'Response', 'addEventListener', 'btoa', 'clients', 'skipWaiting'];
const readonly = (names) => Object.fromEntries(names.map((name) => [name, 'readonly']));
const globals = readonly(names);

export default defineConfig(
  globalIgnores(['dist', 'pkg', 'target', 'node_modules', '.cache', 'www/dist', 'tests/vectors']),
  // Compiled by their test, with several compilers.
  globalIgnores(['tests/package/starters/types']),
  eslint.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      '@typescript-eslint/no-unused-vars': ['error', { varsIgnorePattern: '^_', argsIgnorePattern: '^_' }],
      '@typescript-eslint/no-empty-function': 'off',
      // An abort rejects with whatever reason the caller gave.
      '@typescript-eslint/prefer-promise-reject-errors': 'off',
      // What JavaScript passes in, and which browser it is, the types do not know.
      '@typescript-eslint/no-unnecessary-condition': 'off',
      '@typescript-eslint/no-unnecessary-boolean-literal-compare': 'off',
      '@typescript-eslint/no-unnecessary-type-parameters': 'off',
      '@typescript-eslint/non-nullable-type-assertion-style': 'off',
      // An empty text counts as missing.
      '@typescript-eslint/prefer-nullish-coalescing': ['error', { ignorePrimitives: { string: true } }],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
    },
  },
  {
    files: ['js/**/*.ts'],
    rules: {
      // Nothing of ours is written to the console.
      'no-console': 'error',
      'no-restricted-imports': [
        'error',
        { patterns: [{ group: ['**/pkg/**'], message: 'Only the worker and the network for tests may.' }] },
      ],
    },
  },
  { files: ['js/worker.ts', 'js/testing.ts'], rules: { 'no-restricted-imports': 'off' } },
  {
    files: ['tests/**/*.ts'],
    rules: {
      '@typescript-eslint/no-extraneous-class': 'off',
      '@typescript-eslint/no-misused-promises': 'off',
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/unbound-method': 'off',
    },
  },
  {
    files: ['**/*.mjs', '*.js', 'www/*.js', 'tests/e2e/page/*.js'],
    languageOptions: { globals },
    rules: { 'no-redeclare': ['error', { builtinGlobals: false }] },
  },
  {
    files: ['tests/package/starters/**/*.js'],
    languageOptions: {
      globals: { ...globals, ...readonly(starterNames) },
      parserOptions: { ecmaFeatures: { jsx: true } },
    },
  },
);
