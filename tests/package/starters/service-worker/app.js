const { serviceWorker } = navigator;
const show = ({ id, text }) => (document.getElementById(id).textContent = text);

serviceWorker.addEventListener('message', ({ data }) => show(data));
await serviceWorker.register('./sw.js', { type: 'module' });
const { active } = await serviceWorker.ready;
active.postMessage({ directory: new URLSearchParams(location.search).get('directory') });
