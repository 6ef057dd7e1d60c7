export default {
  mode: 'production',
  entry: './app.js',
  experiments: { outputModule: true },
  output: { module: true, clean: true, filename: 'app.js' },
};
