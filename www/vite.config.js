import { defineConfig } from 'vite';

/** Tells the page where its network is. A file and not a constant, so that a built page can be served for any network. */
const config = {
  name: 'config-json',
  configureServer: (server) => serve(server.middlewares),
  configurePreviewServer: (server) => serve(server.middlewares),
};

function serve(middlewares) {
  middlewares.use('/config.json', (_request, response) => {
    response.setHeader('content-type', 'application/json');
    response.setHeader('cache-control', 'no-store');
    response.end(JSON.stringify({ directory: process.env.VITE_MIXLET_DIRECTORY ?? null }));
  });
}

export default defineConfig({
  base: './',
  build: { target: 'esnext' },
  // Bundled beforehand, the package would lose the files that lie beside it.
  optimizeDeps: { exclude: ['mixlet'] },
  plugins: [config],
  // The package lies beside this folder and not in node_modules.
  server: { fs: { allow: ['..'] } },
});
