// `base: './'` lets the build be served under any path. mixlet itself needs nothing here.
export default { base: './' };
