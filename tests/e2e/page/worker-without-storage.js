// The worker as it is in a window whose browser gives no storage: the page has the names, opening fails.
import '/page/no-storage.js';
import '/dist/worker.js';
