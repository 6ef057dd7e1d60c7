// What the API promises, in one row per member or settled meaning, with the tests that show it.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import ts from 'typescript';
import { allTitles, root } from './titles.js';

/** The exports or members it is about (`*`: all of them), what holds, and the titles of tests as they stand there. */
type Row = [members: string, meaning: string, ...tests: string[]];

const states = 'states.test.ts > in the state %s > %s: %s';
const code = 'real/codes.test.ts > the code > %s';
const closed = 'states.test.ts > in the state %s > after close it is closed, takes nothing, and connects again';

const rules: Row[] = [
  [
    '',
    'Importing does nothing, in Node and elsewhere.',
    'tests/package/package.test.mjs > in Node > importing does nothing, and a client can be made; connect says what is missing',
    'connect.test.ts > what the browser lacks > Node has no worker: connect rejects, and importing and making a client was no trouble',
    'tests/package/package.test.mjs > in Chromium, without a bundler > an unused import leaves nothing in a bundle',
  ],
  [
    'SendOptions.signal RequestOptions.signal',
    'An abort rejects with the reason itself and reaches the queue; nothing more of it leaves.',
    'send.test.ts > cancelling > by signal does the same, with signal.reason itself',
    'real/abort.test.ts > an abort of a message > before the worker has it',
    'real/abort.test.ts > an abort of a message > queued, with no link to send it on',
    'real/abort.test.ts > an abort of a message > half sent',
    'real/abort.test.ts > an abort of a message > all sent and half acknowledged',
    'real/abort.test.ts > an abort of a message > waiting for reply blocks',
    'tests/e2e/parts/abort.mjs > nothing more of it leaves',
    'tests/e2e/parts/abort.mjs > the frames a second stay the same',
    'tests/e2e/parts/abort.mjs > its tables are empty, and the next message arrives',
    'real/abort.test.ts > an abort of a request > before the worker has it',
    'real/abort.test.ts > an abort of a request > queued, with no link to send it on',
    'real/abort.test.ts > an abort of a request > half sent',
    'real/exchange.test.ts > requests > an abort while waiting for the answer rejects at once and leaves nothing',
  ],
  [
    'MixError MixErrorOptions.* ErrorTableEntry.*',
    'Every failure is a MixError with its code, what to do, whether to try again, and where it is known the phase and the cause.',
    code,
    'errors.test.ts > errors > each code makes an error of its class, which is a MixError and an Error',
    'errors.test.ts > errors > what the worker reports keeps its code, text, phase and whether to try again',
    'errors.test.ts > errors > the cause is kept',
  ],
  [
    'MixErrorCode errorCodes errorTable',
    'Page, Rust and README have the same codes, and each is provoked.',
    'real/codes.test.ts > no code is left out',
    'errors.test.ts > errors > Rust has the same codes',
    'errors.test.ts > the README has a row for each code with its class, whether to try again, and the advice',
  ],
  [
    [
      ...['AuthError.*', 'DeliveryError.*', 'EnginePanicError.*', 'GatewayError.*', 'MixError.*', 'MixTimeoutError.*'],
      ...['PeerError.*', 'ProtocolVersionError.*', 'SessionInUseError.*', 'StorageError.*', 'TopologyError.*'],
      ...['UnsupportedRuntimeError.*'],
    ].join(' '),
    'Each class knows its name, also when it is minified.',
    'errors.test.ts > errors > each class is used, exported, and knows its name without the help of a minifier',
    'tests/package/package.test.mjs > in Chromium, without a bundler > minified once more, errors still have their names',
  ],
  [
    '',
    'A call of send throws nothing but TypeError for arguments of the wrong type.',
    'send.test.ts > send > throws only TypeError, for arguments of the wrong type',
    'send.test.ts > send > everything else that is wrong is on the handle',
  ],
  [
    'Undelivered.* MixClientEventMap.undelivered',
    'Every accepted message that fails raises one event; promises may be ignored.',
    'send.test.ts > send > a failure rejects what is still open with the same error and raises one event',
    'send.test.ts > send > a refusal by the worker rejects all three and raises one event',
    'send.test.ts > send > ignored handles raise no unhandled rejection',
  ],
  [
    '',
    'Nothing is written to the console.',
    'real/codes.test.ts > none of them is written to the console or left unhandled',
    'tests/package/surroundings.test.mjs > a page without a worker > a crash is worker-crashed, takes no other client with it, and says nothing in the console',
  ],
  [
    'MixClientEventMap.overflow Overflow.*',
    'What is dropped for lack of room is told, with how much.',
    'receive.test.ts > messages() > at most 1,024 are kept; what there is no room for is an overflow event',
    'close.test.ts > while connected > what the engine drops for lack of room is an overflow event',
  ],
  [
    '',
    'No handler on the page copies more than 256 kB, handles more than 64 events or parses a body that nobody asked for.',
    'tasks.test.ts > in one task of the page > at most 64 of the kept messages are raised, in their order, and what comes meanwhile after them',
    'tasks.test.ts > in one task of the page > a large message that arrives is neither copied nor parsed',
    'tasks.test.ts > in one task of the page > at most 64 of the messages that waited are handed over, in their order',
    'tasks.test.ts > in one task of the page > at most 256 kB of what is kept is copied, also for a worker that takes over',
    'tasks.test.ts > in one task of the page > at most 64 requests and 256 kB of them are handed over, in their order',
    'tasks.test.ts > in one task of the page > at most 64 messages and requests fail, and each of them does',
    'tasks.test.ts > in one task of the page > at most 64 messages that are refused at once are told of',
    'tasks.test.ts > in one task of the page > at most 256 kB of an answer is copied, also when it has to wait for room',
    'tasks.test.ts > in one task of the page > at most 64 kB of what is written to a stream is copied',
    'tasks.test.ts > in one task of the page > at most 256 kB of the wasm is copied',
  ],
  [
    'MixClient.[Symbol.asyncDispose]',
    'Leaving a scope closes the client, where the engine knows the symbol.',
    'close.test.ts > close > is what Symbol.asyncDispose does, where there is one',
  ],
  [
    '',
    'There are no run-time dependencies.',
    'tests/package/package.test.mjs > the tarball > has no run-time dependencies and no install scripts',
  ],
];

const client: Row[] = [
  [
    'MixClient MixClientOptions',
    'A wrong or unknown option is refused by its name when the client is made.',
    'options.test.ts > client options > each level names an unknown key',
    'options.test.ts > client options > each wrong value is refused with the name of its option',
    'options.test.ts > client options > the defaults are those of the other clients of the network',
  ],
  [
    'MixClientOptions.network NetworkOptions.* TopologyDocument',
    'Without a network there is no client; it is asked of directories or known beforehand.',
    'options.test.ts > client options > without a network the constructor throws network-required',
    'options.test.ts > client options > a topology document crosses as text',
    'real/network.test.ts > its directory > is asked by a client that has a directory and no topology',
    'rust > the_next_directory_is_asked_after_one_that_failed',
    'rust > refreshes_have_no_rhythm_and_the_stored_topology_is_renewed_now_and_then',
  ],
  [
    'MixClientOptions.profile',
    'A profile has one identity and one client at a time.',
    'connect.test.ts > connect > a profile in use is a SessionInUseError',
    'tests/e2e/parts/talk.mjs > a second client of the same profile is refused',
    'host.test.ts > the worker’s host > another profile is another lock, and memory needs none',
    'rust > profiles_do_not_share_records',
  ],
  [
    'MixClientOptions.storage',
    'The identity is in IndexedDB, in Node and with memory nowhere.',
    'options.test.ts > client options > Node keeps nothing by default',
    'rust > in_memory_nothing_is_kept_and_no_database_is_needed',
    'tests/e2e/parts/talk.mjs > a reload keeps the address and logs in without registering',
  ],
  [
    'MixClientOptions.tabs',
    'Tabs that share use one connection; each body goes to one tab, messages to all that listen, and a closed leader hands over.',
    'tabs.test.ts > tabs that share > the second uses the connection of the first and starts no engine',
    'tabs.test.ts > tabs that share > what comes is kept until somebody listens, and goes to all who do',
    'tabs.test.ts > pages that share, at the end > when the tab with the connection is closed the others are told',
    'tabs.test.ts > pages that do not share > a shared profile is in-use for one that wants it alone',
    'tab-line.test.ts > the line between two tabs > shows nothing to who only listens',
    'shared.test.ts > a page that uses the connection of another > starts another worker whenever that page has gone, however often',
    'tests/e2e/parts/tabs.mjs > both send, and both get what comes',
  ],
  [
    'MixClientOptions.gateway GatewayChooser',
    'The gateway is the named one, a random one, the nearest, or what a function chooses.',
    'network.test.ts > gateway.select > is told to the worker',
    'network.test.ts > gateway.select > a function gets what is on offer, and its choice is taken',
    'network.test.ts > gateway.select > a function that throws or returns something else ends connect',
    'real/moving.test.ts > the gateway of a new client is the nearest, or the one that a function chooses',
    'rust > the_better_a_gateway_is_rated_the_likelier_it_is_drawn',
    'rust > the_named_gateway_is_taken',
  ],
  [
    'MixClientOptions.privacy PrivacyProfile PrivacyParams.*',
    'A profile or single values decide how much leaves; the default is what other clients of the network do.',
    'options.test.ts > client options > privacy profiles and single values are filled in',
    'rust > frames_leave_at_the_pace_of_the_options',
    'rust > mean_gaps_are_as_configured',
  ],
  [
    'MixClientOptions.reconnect ReconnectOptions.*',
    'It reconnects with growing waits, for ever unless told otherwise.',
    'options.test.ts > client options > a longer first wait raises the default of the longest',
    'rust > waits_between_attempts_double_with_jitter_and_end_when_the_network_is_back',
    'crash.test.ts > a worker that crashes > an answer that no trying mends ends the client',
  ],
  [
    'MixClientOptions.inbox ReceivedMessage.done',
    'A durable inbox has one consumer; a message is done at the next next() or at done(), and else comes again under its id.',
    'durable.test.ts > a durable inbox > a message is done at the next next()',
    'durable.test.ts > a durable inbox > a message is done at done(), and no second time',
    'durable.test.ts > a durable inbox > the next message is given when the store has let go of the last one, in the order of the calls',
    'durable.test.ts > a durable inbox > one loop at a time takes messages',
    'durable.test.ts > a durable inbox > what a loop leaves is given to the next one, also what it had in hand',
    'tabs.test.ts > tabs that share > messages of a durable inbox go to the page that took them first, and are given again to the next',
    'rust > messages_stay_until_they_are_done_and_are_told_in_order_by_each_run',
    'rust > a_receipt_says_that_the_message_is_in_the_store',
    'rust > every_message_is_told_and_none_again_that_was_done_whenever_the_client_ends',
    'rust > what_there_is_no_room_for_is_told_and_comes_again_where_it_can',
  ],
  [
    'MixClientOptions.pseudonym',
    'The tag a recipient sees is new at each start, or with kept always the same and another for each recipient.',
    'rust > the_next_run_writes_under_a_new_tag',
    'rust > a_pseudonym_that_is_kept_is_the_same_in_every_run_and_another_for_each_recipient',
  ],
  [
    'MixClientOptions.stats KeptStats.*',
    'With kept there are sums over all visits; else nothing of them is stored.',
    'lifecycle.test.ts > stats > over all visits are the worker’s sums by their names',
    'rust > each_visit_adds_to_the_sums_until_they_are_not_wanted_any_more',
    'rust > they_belong_to_the_identity_and_damage_is_no_harm',
  ],
  [
    'MixClientOptions.askForMore',
    'Without leave to ask, no peer is asked for more reply blocks.',
    'rust > without_leave_to_ask_only_what_was_given_is_used',
  ],
  [
    'MixClientOptions.trace MixClientEventMap.packet TracedPacket.*',
    'With trace each packet is told of, with kind, direction, size and time.',
    'network.test.ts > trace > is told to the worker, and packets are told with their times',
    'real/moving.test.ts > with trace packets are told of, with time and size',
    'rust > every_packet_is_told_of_where_that_is_wanted_and_none_elsewhere',
  ],
  [
    'MixClientOptions.wasm',
    'The wasm is beside the package, or where it is named; bytes, a Response and a module do too.',
    'connect.test.ts > the wasm > by default lies beside the package’s own file',
    'connect.test.ts > the wasm > as a relative URL is made absolute on the page',
    'connect.test.ts > the wasm > as bytes is copied, so that it can be used again',
    'connect.test.ts > the wasm > as a Response is read, each time anew',
    'connect.test.ts > the wasm > as a module is handed over',
  ],
  [
    'MixClientOptions.worker MixClientOptions.engine MixClientOptions.webSocket MixEngine.* EngineSurroundings.* EngineThread.* WebSocketClass startInThread',
    'Without a worker the given engine runs in this thread, over sockets of the given class.',
    'options.test.ts > client options > without a worker the engine has to be given, and only then a WebSocket class',
    'thread.test.ts > without a worker > the client connects, sends and closes, and the engine is let go of',
    'thread.test.ts > without a worker > sockets are of the given class; those still open are closed with the client',
  ],
  [
    'MixClient.isSupported',
    'It names what is missing here for such a client.',
    'connect.test.ts > what the browser lacks > is named by isSupported, and nothing is missing in a whole one',
    'connect.test.ts > what the browser lacks > isSupported says what a client with such options lacks',
  ],
  [
    'MixClient.connect ConnectOptions.*',
    'It resolves with the address; while connecting it is the same promise, when connected it resolves at once.',
    states,
    'connect.test.ts > connect > resolves with the address, which then is the client’s, with its gateway',
    'connect.test.ts > connect > while connecting it returns the same promise, also from within its own event',
    'connect.test.ts > connect > when connected it resolves at once and starts nothing',
  ],
  [
    'ConnectOptions.signal',
    'An abort of connect rejects with the reason in each phase, and the next call works.',
    'real/abort.test.ts > an abort of connect > in each phase rejects with the reason, and the next one succeeds',
    'real/abort.test.ts > an abort of connect > that hangs in the phase %s',
  ],
  [
    'ConnectOptions.timeoutMs Phase',
    'Its deadline says in which phase the time went.',
    'connect.test.ts > connect > the deadline rejects with a MixTimeoutError that says where the time went and what was wrong',
  ],
  [
    'ConnectOptions.onProgress ConnectProgress.* MixClientEventMap.progress',
    'Progress rises from 0 to 1 and names the phases.',
    'connect.test.ts > connect > reports progress that never goes back and ends at 1',
    'real/moving.test.ts > progress rises to the end',
  ],
  [
    'MixClient.close CloseOptions.*',
    'It refuses new work and drains, for 10 s unless told otherwise; drain: false and an abort stop at once.',
    states,
    'close.test.ts > close > drains by default, then ends the worker',
    'close.test.ts > close > drain: false stops at once',
    'close.test.ts > close > an abort rejects with the reason and ends the draining',
    'real/close.test.ts > close with drain waits for the acks of what was accepted',
    'real/close.test.ts > close with a deadline ends with it, and what is left fails',
  ],
  [
    '',
    'What close leaves behind fails with closed-before-delivery; iterators end, requests and streams fail with closed.',
    'close.test.ts > close > messages delivered while draining are delivered, the others closed-before-delivery',
    'real/close.test.ts > iterators end, and later calls are refused',
    'exchange.test.ts > requests > end with the client and with the worker',
  ],
  [
    '',
    'After close it connects again, any number of times.',
    closed,
    'close.test.ts > close > then connect works again, any number of times, with a new worker each',
    'real/messages.test.ts > a client connects again after it was closed',
  ],
  [
    '',
    'The socket is closed when the page is left.',
    'close.test.ts > a client that loses its worker and its identity with it > because the page is left, so that its socket is closed',
  ],
  [
    'MixClient.state ClientState MixClientEventMap.statechange StateChange.*',
    'The state follows the link; each change is one event, with why it got worse.',
    'states.test.ts > every state, every call and every cell is in the table',
    'close.test.ts > while connected > the state follows the worker’s, each change is one event, with why it got worse',
    'lifecycle.test.ts > a page that the browser freezes > is paused, and then what the worker says the link is',
  ],
  [
    'MixClient.address MixAddress parseAddress',
    'An address is a text of its own kind, and stays over reloads and reconnects.',
    'address.test.ts > parseAddress > takes every address of the vectors as it is',
    'address.test.ts > parseAddress > refuses any other text',
    'types.test.ts > addresses and reply tags are text that cannot be mistaken for other text',
    'states.test.ts > in the state %s > the address and the gateway are known from the first connect on',
    'rust > a_reload_keeps_the_address_and_logs_in_without_registering',
  ],
  [
    'MixClient.gateway MixClientEventMap.gatewaychange GatewayChange.*',
    'The gateway is known from the first connect on, and a change is told.',
    'network.test.ts > network > the first connect is a gatewaychange, the second to the same is none',
    'network.test.ts > switchGateway > resolves with the address there, and the client has it from the event on',
  ],
  [
    'MixClient.addEventListener MixClient.removeEventListener MixClientEventMap',
    'Listeners get the detail of their event; what is costly is worked out only for listeners.',
    'types.test.ts > events carry their own details',
    'progress.test.ts > retransmit > is told as long as somebody listens',
    'progress.test.ts > retransmit > listeners that want one event only, or until an abort, are listeners for so long',
  ],
  [
    'MixClientEventMap.error',
    'Failures that belong to no call are events.',
    'close.test.ts > while connected > failures that belong to no call are error events',
  ],
];

const messages: Row[] = [
  [
    'MixClient.send SendOptions',
    'In idle and closed it is refused, else it is accepted and waits.',
    states,
    'send.test.ts > send > while connecting it waits for the worker; a failed connect fails it with the same error',
  ],
  [
    'MixData',
    'Text, bytes, views and Blobs can be sent, and what the caller does with its bytes afterwards changes nothing.',
    'send.test.ts > send > every kind of data becomes its bytes, and the caller keeps the buffer',
    'send.test.ts > send > bytes changed after the call are not those that are sent',
    'types.test.ts > data is text, bytes or a Blob',
  ],
  [
    'SendOptions.timeoutMs',
    'A deadline counts the time with the link up; 0 is none.',
    'send.test.ts > a full queue > does not stop a deadline, which counts the time with the link up and goes on in the worker',
    'rust > a_deadline_is_time_with_the_link_up_and_a_slower_pace_does_not_move_it',
    'rust > a_slower_pace_gives_waiting_messages_the_time_they_need',
    'rust > a_send_without_a_time_limit_is_told_from_one_with_the_default',
  ],
  [
    'SendOptions.priority',
    'High goes before normal before bulk, and nobody starves.',
    'send.test.ts > send > options cross as the worker wants them',
    'rust > priorities_are_kept_and_nobody_starves',
    'rust > a_chat_beside_four_hundred_large_messages_stays_quick_and_the_engine_small',
  ],
  [
    'SendOptions.replies',
    'A message carries reply blocks as needed, so many, or none, and then has no sender.',
    'options.test.ts > send options > are filled in',
    'tests/e2e/parts/talk.mjs > a plain message has no sender and cannot be answered',
    'real/moving.test.ts > canReply ends with the last reply block',
    'rust > after_a_rotation_the_next_message_refills',
  ],
  [
    'SendOptions.reliable',
    'One that need not be reliable is tried once.',
    'rust > what_need_not_be_reliable_is_sent_once',
  ],
  [
    'SendOptions.receipt',
    'A receipt is asked of those who are known to speak mixlet, or as the call says.',
    'real/exchange.test.ts > receipts > are asked of those who are known to speak mixlet',
    'exchange.test.ts > received > rejects no-receipt-support where none was asked for',
  ],
  [
    'SendOptions.persist',
    'It is in the store before queued resolves, and arrives once whatever happens to its sender.',
    'outbox.test.ts > a message with persist > is queued when it is in the store, under an id for ever',
    'outbox.test.ts > a message with persist > is not sent twice when the worker crashes: the store has it, or the page has',
    'outbox.test.ts > a message with persist > stays in the store when the client is closed, and no undelivered event says otherwise',
    'outbox.test.ts > without a connection > a message is stored, and sent after the next connect: %s',
    'outbox.test.ts > without a connection > what is refused fails alone, and what cannot be stored fails together',
    'rust > bare_messages_arrive_once_whenever_their_sender_ends',
    'rust > the_wall_clock_ends_it_also_while_nobody_is_there',
  ],
  [
    'MixClient.outbox Outbox.* OutboxEntry.*',
    'What is in the store is listed, found again after a reload, and cancelled.',
    'outbox.test.ts > the outbox > lists what is stored',
    'outbox.test.ts > the outbox > finds a message of an earlier run, with its progress',
    'outbox.test.ts > the outbox > cancels a message that nobody has a handle of',
    'outbox.test.ts > without a connection > the outbox is listed, searched and thinned out',
    'rust > what_is_cancelled_is_forgotten_for_good',
  ],
  [
    'SentMessage.id SentMessage.queued SentMessage.sent SentMessage.delivered Delivery.*',
    'The promises settle in their order, and a failure rejects all that are open.',
    'send.test.ts > send > queued, sent and delivered resolve at their events',
    'send.test.ts > send > they settle in this order, whatever the order of the events',
    'real/messages.test.ts > two clients in one thread > a large message arrives as it was, and its promises settle in their order',
    'types.test.ts > a sent message cannot be awaited by mistake',
  ],
  [
    'SentMessage.delivered',
    'Delivered means at the recipient’s gateway, also if the recipient is away.',
    'real/gateways.test.ts > what comes for a client that is away waits at its gateway',
    'tests/e2e/parts/talk.mjs > what comes for a client that is away is delivered at its next login',
  ],
  [
    'SentMessage.received',
    'Received is the receipt of the recipient’s client; without one the message goes again under its id and is seen once.',
    'exchange.test.ts > received > settles with the receipt, after delivered',
    'exchange.test.ts > received > a receipt that does not come is no failure of the message',
    'real/exchange.test.ts > receipts > what a gateway lost after its acks arrives all the same, once',
  ],
  [
    'SentMessage.progress SendProgress.*',
    'Fragments are told as they go and are acknowledged; who reads slowly gets the latest.',
    'progress.test.ts > progress() > tells how far a message has come, and ends with it',
    'progress.test.ts > progress() > who reads slowly gets the latest',
    'rust > a_watched_message_is_told_of_at_most_ten_times_a_second_and_at_its_end',
  ],
  [
    'SentMessage.cancel',
    'It drops what was not sealed; what is open rejects with the reason.',
    'send.test.ts > cancelling > rejects what is open with the reason and tells the worker',
    'send.test.ts > cancelling > without a reason rejects with an AbortError',
    'send.test.ts > cancelling > after delivery does nothing, nor does a late abort',
    'rust > a_cancelled_message_leaves_no_trace',
  ],
  [
    'MixClientEventMap.retransmit Retransmit.*',
    'What goes again is told, at most ten times a second for each message.',
    'progress.test.ts > retransmit > is told as long as somebody listens',
    'rust > what_goes_again_is_told_of_every_message_when_somebody_listens',
  ],
  [
    '',
    'A message is at most 32 MiB, and more is too-large; 64 MiB wait, then queued waits.',
    'send.test.ts > send > the largest message is not too large',
    'send.test.ts > a full queue > makes queued wait until what is before it is finished',
    'send.test.ts > a full queue > is also full of many small messages',
    'rust > the_greatest_message_arrives_within_the_bounds',
  ],
  [
    '',
    'What is half received is bounded, and strangers push out only each other.',
    'rust > endless_unfinished_sets_push_out_only_each_other',
    'rust > strangers_push_out_each_other_longest_idle_first',
    'rust > memory_is_taken_for_what_came_and_not_for_what_is_announced',
  ],
  [
    'limits',
    'The bounds of page and engine are the same.',
    'limits.test.ts > the page and the engine have the same bounds',
    'limits.test.ts > the worker can take more requests than the page lets wait for an answer',
  ],
  [
    'MixClient.messages MixClientEventMap.message',
    'Every iterator and every listener sees every message from the moment it began; the first also gets what was kept.',
    'receive.test.ts > messages() > each iterator and each listener sees each message from the moment it began',
    'receive.test.ts > messages() > the first listener gets what was kept, the second does not',
    'receive.test.ts > messages() > at most 16 MiB are kept',
    'receive.test.ts > messages() > ends when the client closes, after what had arrived',
    'receive.test.ts > messages() > ends when the signal aborts, and takes nothing more',
  ],
  [
    '',
    'The application sees a message at most once.',
    'real/messages.test.ts > with a tenth of the packets lost everything arrives, once',
    'crash.test.ts > a worker that crashes > a message of a peer that comes again is seen once',
    'rust > ten_thousand_messages_each_way_arrive_once_under_loss',
    'rust > under_loss_each_receipted_message_is_seen_once',
  ],
  [
    'ReceivedMessage.id ReceivedMessage.data ReceivedMessage.receivedAt ReceivedMessage.text ReceivedMessage.json',
    'A message has its bytes, as text and JSON too.',
    'receive.test.ts > a received message > has its bytes, as text and JSON too, and who it is from',
    'receive.test.ts > a received message > that is not JSON or not UTF-8 says so in the usual way',
  ],
  [
    'ReceivedMessage.via',
    'It is told whether the sender’s client is mixlet.',
    'real/exchange.test.ts > receipts > are asked of those who are known to speak mixlet',
  ],
  [
    'ReceivedMessage.from ReplyTag',
    'A sender that can be answered has a tag, the same for all its messages until it starts anew.',
    'receive.test.ts > a received message > has its bytes, as text and JSON too, and who it is from',
    'tests/e2e/parts/interop.mjs > later messages of one sender carry the same tag',
    'address.test.ts > reply tags are 16 bytes in base58, with leading zeros counted',
  ],
  [
    'ReceivedMessage.canReply',
    'Whether it can be answered is live.',
    'receive.test.ts > a received message > canReply is live: it follows what later messages bring and failures take',
    'receive.test.ts > a received message > canReply ends with the client',
    'real/moving.test.ts > canReply ends with the last reply block',
  ],
  [
    'ReceivedMessage.reply',
    'An answer goes over reply blocks; without any it is no-surbs.',
    states,
    'receive.test.ts > a received message > is answered through its tag',
    'receive.test.ts > a received message > without a tag cannot be answered',
    'real/messages.test.ts > two clients in one thread > send and receive both ways, and answer over a tag',
  ],
  [
    'MixClientEventMap.surbs SurbStock.*',
    'What is held of a sender’s reply blocks is told when it changes.',
    'receive.test.ts > a received message > canReply follows what the worker tells of the reply blocks',
    'rust > every_change_is_told_when_somebody_listens',
  ],
  [
    '',
    'Reply blocks live until the keys rotate, at most a day.',
    'rust > surbs_of_a_day_ago_are_neither_used_nor_kept',
    'rust > w17_surbs_of_an_ended_rotation_never_come_back',
  ],
];

const exchange: Row[] = [
  [
    'MixClient.request RequestOptions',
    'A request resolves with its own answer, over addresses and tags.',
    states,
    'exchange.test.ts > requests > resolve with their own answers, in any order',
    'real/exchange.test.ts > requests > are answered by handlers, over addresses and over tags',
    'real/exchange.test.ts > requests > a thousand at once, answered in random order, each get their own',
    'tests/e2e/parts/requests.mjs > ${TOGETHER} requests at once, answered in random order, each get their own answer',
    'rust > answers_of_somebody_else_touch_nothing',
  ],
  [
    'RequestOptions.timeoutMs RequestOptions.responseTimeoutMs',
    'The error says which time ran out.',
    'real/exchange.test.ts > requests > fail with what went wrong',
    'rust > the_error_tells_which_time_ran_out_and_a_late_answer_comes_with_its_label',
    'exchange.test.ts > requests > wait for connect, and their time runs',
  ],
  [
    'RequestOptions.service RequestOptions.priority RequestOptions.reliable RequestOptions.expectedReplyBytes',
    'The options are the worker’s, and what makes no sense is refused.',
    'exchange.test.ts > requests > those of one turn that differ in more than their bodies go apart',
    'exchange.test.ts > requests > are refused when wrong',
  ],
  [
    'RequestOptions.label MixClientEventMap.late Late.*',
    'A late answer is one event with the label of the request.',
    'exchange.test.ts > requests > a late answer is an event with the label',
    'real/exchange.test.ts > requests > a late answer is told once, with its label',
  ],
  [
    'RequestOptions.onDisconnect',
    'When the link goes, a request fails or is asked again under its id, as it says.',
    'rust > when_the_link_goes_requests_fail_or_are_asked_again_and_handled_once',
    'crash.test.ts > a worker that crashes > requests are asked again under their ids, or fail as they were told to',
  ],
  [
    'MixClient.requestAll',
    'Each of several requests succeeds or fails alone, and small ones share packets.',
    'exchange.test.ts > requests > requestAll tells of each alone',
    'rust > small_requests_share_packets_and_fail_alone',
  ],
  [
    'MixClient.serve ServeOptions.* RequestHandler',
    'One handler answers a service, over all connects, until it is closed.',
    states,
    'exchange.test.ts > serving > answers with what the handler returns',
    'exchange.test.ts > serving > one handler for each service, over all connects, until it is closed',
    'exchange.test.ts > serving > handlers are told when the client closes',
  ],
  [
    '',
    'A service that nobody serves answers no-handler, a handler that throws handler-failed, without its text.',
    'exchange.test.ts > serving > a handler that throws answers without its text',
    'real/exchange.test.ts > requests > fail with what went wrong',
    'rust > a_service_nobody_serves_and_a_handler_that_fails_are_told_at_once',
  ],
  [
    '',
    'An answer that is lost is told by its request.',
    'exchange.test.ts > serving > an answer that is lost after it was given is told by its request',
    'exchange.test.ts > serving > a full queue is waited for, and another failure is told',
  ],
  [
    '',
    'A request that is never answered leaves nothing behind.',
    'rust > a_hundred_thousand_requests_to_a_silent_peer_leave_nothing_behind',
    'tests/e2e/parts/requests.mjs > ${UNANSWERED} requests to a silent peer end, and nothing is left of them',
  ],
  [
    'MixClient.peer PeerInfo.*',
    'A peer is unknown until something authenticated of it was seen.',
    'exchange.test.ts > peers > what is known of them follows the worker',
    'real/exchange.test.ts > receipts > are asked of those who are known to speak mixlet',
    'rust > forged_answers_change_nothing',
  ],
  [
    'MixClient.probe ProbeOptions.*',
    'A probe asks whether a peer speaks mixlet.',
    states,
    'exchange.test.ts > peers > probe resolves with the answer',
    'real/exchange.test.ts > receipts > are asked of those who are known to speak mixlet',
  ],
  [
    '',
    'A peer that does not know a request refuses it, and it fails at once.',
    'tests/e2e/parts/interop.mjs > a request that a peer does not know is refused at once',
  ],
  [
    '',
    'Bare bytes that look like an envelope arrive as they are; envelopes of a later version are answered and counted.',
    'rust > bare_bytes_that_look_like_an_envelope_arrive_as_they_are',
    'rust > envelopes_of_a_later_version_are_answered_and_counted',
  ],
  [
    'MixClient.openStream StreamOptions.* MixStream.*',
    'A stream carries bytes in order both ways, with flow control, and ends with a code.',
    states,
    'exchange.test.ts > streams > carry bytes both ways and tell what was read',
    'exchange.test.ts > streams > what nobody reads is not asked for',
    'exchange.test.ts > streams > close with a code, an aborted writer and a cancelled reader end it at once',
    'exchange.test.ts > streams > opening fails with what the peer says, and with the abort',
    'real/exchange.test.ts > streams > a megabyte each way through loss arrives intact',
    'real/exchange.test.ts > streams > ends at once with a code, at both ends',
    'rust > ten_megabytes_each_way_through_loss_arrive_intact',
    'rust > one_side_can_end_while_the_other_goes_on',
  ],
  [
    'StreamOptions.windowBytes StreamOptions.idleTimeoutMs ListenOptions.windowBytes ListenOptions.idleTimeoutMs',
    'A peer may send so much ahead, and a silent stream ends.',
    'rust > a_peer_that_sends_more_than_it_may_is_cut_off',
    'rust > a_reader_that_does_not_read_stops_the_writer',
    'rust > a_silent_stream_ends_after_its_time',
  ],
  [
    'MixClient.listen ListenOptions.*',
    'Streams that peers open come from an iterator, which ends with the client.',
    states,
    'exchange.test.ts > streams > listen hands out what comes, until it is left',
    'crash.test.ts > a worker that crashes > services and listeners are announced to the next one',
  ],
  [
    'SdkPayload.* readSdkPayload writeSdkPayload',
    'Payloads of the Nym SDK are read and written byte for byte.',
    'sdk-payload.test.ts > payloads of the SDK > have these bytes',
    'sdk-payload.test.ts > payloads of the SDK > are read as they were written',
    'sdk-payload.test.ts > payloads of the SDK > are told from anything else',
  ],
];

const views: Row[] = [
  [
    'MixClient.network NetworkView.topology CallOptions.* TopologyInfo.* MixClientEventMap.topology',
    'The picture of the network in use can be asked for, and a new one is told.',
    states,
    'network.test.ts > network > topology() tells the picture in use and when it was fetched',
    'network.test.ts > network > the topology event tells of another picture, also before the client is connected',
  ],
  [
    'NetworkView.gateways GatewaysOptions.* GatewayInfo.*',
    'Gateways are listed, and measured if that is wanted: a median of three, eight at once.',
    states,
    'network.test.ts > network > gateways() lists them; with measure the worker measures for so long',
    'measure.test.ts > measuring gateways > takes the median of three times from opening to the first answer',
    'measure.test.ts > measuring gateways > asks at most eight at once, also over several calls',
    'real/moving.test.ts > gateways are measured, and those that are down are not usable',
  ],
  [
    'MixClient.identity IdentityManager.export IdentityManager.import ImportOptions.*',
    'An exported identity brings its address elsewhere; another one is replaced only where that is wanted.',
    'real/identity.test.ts > an exported identity > brings its address into another client, which gets what is sent there',
    'real/identity.test.ts > an exported identity > replaces that of a connected client only where that is wanted, and the client goes on',
    'real/identity.test.ts > an exported identity > made by another program is opened, and what is none is refused',
    'real/identity.test.ts > an exported identity > needs an address and a passphrase',
    'rust > an_exported_identity_brings_its_address_into_another_profile',
  ],
  [
    'IdentityManager.rotate IdentityManager.destroy',
    'Keys are changed and destroyed, and the gateway forgets them.',
    'real/identity.test.ts > a rotated identity > is another one of a client that goes on',
    'real/identity.test.ts > a rotated identity > comes with the next connect where there is no connection',
    'real/identity.test.ts > a destroyed identity is forgotten by the gateway, and the client is closed',
    'real/identity.test.ts > a gateway that does not answer does not keep it from being destroyed',
    'rust > a_rotation_or_an_import_cut_short_leaves_the_one_identity_or_the_other_whole',
  ],
  [
    'MixClientOptions.passphrase IdentityManager.setPassphrase',
    'A passphrase is asked for when it is needed; a wrong one changes nothing.',
    'identity.test.ts > a passphrase > is asked for when the worker needs it',
    'identity.test.ts > a passphrase > that cannot be had ends the connect with the cause',
    'rust > a_passphrase_is_asked_for_when_it_is_needed_and_only_then',
    'rust > only_the_passphrase_opens_it',
  ],
  [
    "IdentityManager.durability Durability AtRisk.* MixClientEventMap.'identity-at-risk'",
    'What may be lost is said before it is.',
    'identity.test.ts > durability > what is stored and not exported is at risk, once for each connect',
    'identity.test.ts > durability > what the browser keeps for good, or was exported, is not at risk',
    'identity.test.ts > durability > memory in place of a store is told once',
    'identity.test.ts > durability > a store that is taken away is an error, and the client goes on',
    'real/identity.test.ts > in memory nothing lasts, which is no surprise, and nothing is there to be protected',
  ],
  [
    'NetworkView.switchGateway',
    'A move keeps the old link until it is quiet, and one that fails leaves everything as it was.',
    states,
    'real/moving.test.ts > a client moves to another gateway, and what is sent to either address arrives',
    'network.test.ts > switchGateway > a refusal changes nothing',
    'network.test.ts > switchGateway > an abort and a deadline give it up',
    'rust > the_old_link_is_kept_while_something_comes_and_five_minutes_at_most',
  ],
  [
    'MixClient.traffic TrafficControl.*',
    'The traffic is changed at any time, and holds for later connects.',
    states,
    'traffic.test.ts > traffic > while connected it resolves when the worker has taken it',
    'traffic.test.ts > traffic > a change lasts over the next connect',
    'traffic.test.ts > traffic > single values leave the others as they are, a profile none',
  ],
  [
    'MixClient.privacyReport PrivacyReport.*',
    'The report says who sees what, which settings weaken that, and what it costs.',
    'traffic.test.ts > the privacy report > says of each who could look what it sees',
    'traffic.test.ts > the privacy report > names each setting that has a safer choice, with its cost, and no other',
    'traffic.test.ts > the privacy report > costs what the README says, and the frames around the packets on top',
    'rust > a_slot_of_an_idle_client_costs_what_the_report_says',
  ],
  [
    'MixClient.stats StatsOptions MixStats.* MixClientEventMap.stats',
    'The counters are there while connected, and each second for who listens.',
    states,
    'lifecycle.test.ts > stats > are the worker’s, with the time and the state',
    'lifecycle.test.ts > stats > reject at their deadline',
    'progress.test.ts > statsStream > the event is raised each second while somebody listens',
  ],
  [
    'MixClient.statsStream StatsStreamOptions.*',
    'The counters again and again, asked for only when somebody waits.',
    states,
    'progress.test.ts > statsStream > tells the counters again and again, until it is left',
    'progress.test.ts > statsStream > asks only when somebody waits',
    'progress.test.ts > statsStream > ends with the abort and with the client, and says so at once',
  ],
  [
    '',
    'What leaves does not depend on what is said.',
    'rust > what_leaves_does_not_depend_on_what_the_user_does',
    'rust > gaps_are_exponential_for_idle_and_busy_clients',
    'tests/e2e/parts/shape.mjs > the ${client.name} client sends ${RATE} frames a second at random times',
  ],
  [
    '',
    'A worker that dies is replaced, and what has an envelope goes again, once for its recipient.',
    'crash.test.ts > a worker that crashes > is replaced under the same identity',
    'crash.test.ts > a worker that crashes > messages with an envelope go again under their ids, with the same bytes',
    'tests/e2e/parts/crash.mjs > the worker of ${whose} dies ${ROUNDS} times in the middle of 1 MB: each arrives, once',
  ],
  [
    '',
    'Every example of the README and the guides compiles.',
    'docs.test.ts > every example of the README and the guides compiles',
  ],
  [
    '',
    'The package exports what its API report says, loads under a strict content policy and says what is wrong with its files.',
    'tests/package/package.test.mjs > the tarball > exports what docs/API-REPORT.txt says',
    'tests/package/package.test.mjs > in Chromium, without a bundler > everything needed is there, and a dead directory is a typed error',
    'tests/package/package.test.mjs > in Chromium, without a bundler > HTML in place of the wasm is wasm-load, with what to do',
    'tests/package/package.test.mjs > in Chromium, without a bundler > a wrong MIME type of the wasm works, in silence',
  ],
];

const testing: Row[] = [
  [
    'TestNetwork TestNetwork.create TestNetworkOptions.* TestNetwork.topology',
    'A mixnet in memory; the same seed gives the same nodes, and a wrong option is a TypeError.',
    'real/network.test.ts > options > the same seed gives the same nodes, another one others',
    'real/guide.test.ts > a greeting is answered',
    'tests/package/package.test.mjs > in Node > a test of an app finds a network in memory',
  ],
  [
    'TestNetwork.options TestClient TestClientOptions.*',
    'Clients get their options from the network, at the gateway that is asked for.',
    'real/messages.test.ts > two clients in one thread > connect, each to the gateway that was asked for',
  ],
  [
    'TestNetwork.WebSocket',
    'Its sockets behave as those of browsers.',
    'real/network.test.ts > its WebSocket > opens at a gateway, counts what is not taken, and closes',
    'real/network.test.ts > its WebSocket > other URLs and codes are refused as browsers refuse them',
  ],
  [
    'TestNetwork.directory TestNetwork.fetch',
    'Its directory is reached through its own fetch.',
    'real/network.test.ts > its directory > is asked by a client that has a directory and no topology',
    'real/network.test.ts > its directory > other URLs go to the fetch there was',
  ],
  [
    'TestNetwork.setFaults LinkFaults.*',
    'Links lose, double, reorder and delay packets, as they are told.',
    'real/messages.test.ts > with a tenth of the packets lost everything arrives, once',
    'real/network.test.ts > options > a gateway that is not there is a TypeError, and faults out of range change nothing',
    'real/gateways.test.ts > latency is on every link, so that a message takes five of them and its ack five more',
  ],
  [
    'TestNetwork.packets LinkPackets.* TestNetwork.dropped',
    'Packets are counted by link, size and client, and those that went no further by reason.',
    'real/network.test.ts > what is counted > on each link, packets by size and by client',
    'real/network.test.ts > what is counted > of packets that went no further, why',
  ],
  [
    'TestNetwork.gateway TestNetwork.gateways TestGateway.*',
    'Gateways go down, stand still, restart and forget.',
    'real/gateways.test.ts > a gateway that restarts with its memory costs nothing but time',
    'real/gateways.test.ts > a gateway that has forgotten its clients is told who they are, and the address stays',
    'real/gateways.test.ts > a gateway that is down refuses, and connect says which phase it was',
    'real/gateways.test.ts > a paused gateway answers nobody until it goes on',
  ],
  [
    'TestNetwork.close TestNetwork.[Symbol.asyncDispose]',
    'Its end ends every link.',
    'real/network.test.ts > close > ends every link, and nobody is reached any more',
  ],
];

const rows = [...rules, ...client, ...messages, ...exchange, ...views, ...testing];

/** Every export of the report, and every member of those that have any, as `Name` and `Name.member`. */
function exported(): string[] {
  const sections = readFileSync(join(root, 'docs/API-REPORT.txt'), 'utf8').split(/^## .*$/m);
  return sections.flatMap((section) => {
    const { statements } = ts.createSourceFile('report.d.ts', section, ts.ScriptTarget.Latest, true);
    return statements.flatMap((statement) => {
      if (ts.isVariableStatement(statement)) {
        return statement.declarationList.declarations.map(({ name }) => name.getText());
      }
      if (ts.isTypeAliasDeclaration(statement)) return [statement.name.text];
      if (ts.isFunctionDeclaration(statement)) return [statement.name!.text];
      if (!ts.isInterfaceDeclaration(statement) && !ts.isClassDeclaration(statement)) return [];
      const name = statement.name!.text;
      const members = [...statement.members]
        .map((member) => member.name)
        .filter((member) => member !== undefined && !ts.isPrivateIdentifier(member));
      return [name, ...new Set(members.map((member) => `${name}.${member.getText()}`))];
    });
  });
}

describe('each row', () => {
  test('is about members that there are', () => {
    const known = new Set(exported());
    expect(known.size).toBeGreaterThan(200);
    const named = rows.flatMap(([members]) => members.split(' ').filter(Boolean));
    expect(named.map((member) => member.replace(/\.\*$/, '')).filter((member) => !known.has(member))).toEqual([]);
  });

  test('says one thing and names a test for it', () => {
    const meanings = rows.map(([, meaning]) => meaning);
    expect(new Set(meanings).size).toBe(rows.length);
    for (const [, meaning, ...tests] of rows) {
      expect(meaning).toMatch(/^[A-Z].*\.$/);
      expect(tests.length, meaning).toBeGreaterThan(0);
    }
  });

  test('names tests that there are', () => {
    const titles = allTitles();
    const missing = rows.flatMap(([, , ...tests]) => tests).filter((title) => !titles.has(title));
    expect(missing).toEqual([]);
  });
});

test('every member of the API report is in a row', () => {
  const named = new Set(rows.flatMap(([members]) => members.split(' ')));
  const isNamed = (member: string) => {
    const [name, part] = member.split(/\.(.*)/) as [string, string | undefined];
    // One whose members are told of need not be told of itself.
    if (part === undefined) return named.has(name) || [...named].some((other) => other.startsWith(`${name}.`));
    return named.has(member) || named.has(`${name}.*`);
  };
  expect(exported().filter((member) => !isNamed(member))).toEqual([]);
});
