// `basePath` is where the site is served; mixlet itself needs nothing here.
export default { basePath: '/some/where' };
