import { answering } from './answering.js';
import { limits } from './limits.js';
import type {
  Answer,
  CloseRequest,
  ListenNotice,
  OpenRequest,
  PageMessage,
  Request,
  TrafficSettings,
  WorkerEvent,
  WorkerMessage,
} from './protocol.js';
import { Recent } from './recent.js';

/** One of the pages that share a connection. */
export interface Seat {
  readonly number: number;
  /** Sends to the page. `transfer`: buffers that may move. */
  readonly post: (message: WorkerMessage, transfer: ArrayBuffer[]) => void;
  /** Its `open` that is not answered. */
  opening: number | null;
  /** Its calls of `close`, which wait for what it has sent. */
  closing: { ids: number[]; timer: ReturnType<typeof setTimeout> | undefined } | null;
  listening: Required<Omit<ListenNotice, 'op'>>;
  /** Its messages that are not finished, and whether a receipt is waited for after the delivery. */
  readonly messages: Map<number, boolean>;
  /** The message that each `send` without an answer is about, by the number of the request. */
  readonly sending: Map<number, number>;
  readonly requests: Set<number>;
  /** Which of them each `request` or `probe` without an answer is about, by the number of that. */
  readonly asking: Map<number, number[]>;
  readonly streams: Set<number>;
}

/** What the desk asks of who has it. */
export interface DeskOwner {
  /** Gives a message to the engine's side. */
  engine(message: PageMessage): void;
  /** The last page has gone. */
  empty(): void;
}

type Event<E extends WorkerEvent['event']> = Extract<WorkerEvent, { event: E }>;

/**
 * Where the pages that share one connection meet: gives the engine what they ask, and each of them what concerns it.
 *
 * Pages choose their numbers without knowing of each other. Here each gets a range of its own: the number of its seat
 * goes into the digits that no page uses. Numbers that the engine chose are passed as they are.
 */
export class Desk {
  readonly #owner: DeskOwner;
  readonly #seats = new Map<number, Seat>();
  /** Who serves, and who listens for streams: the first in the list has the service, the others wait for their turn. */
  readonly #serving = new Map<string, Seat[]>();
  readonly #accepting = new Map<string, Seat[]>();
  /** Who was given a request of somebody, and who has a stream that somebody opened. */
  readonly #asked = new Recent<number, { seat: Seat; answered: boolean }>(limits.askedTabs);
  readonly #incoming = new Map<number, Seat>();
  /** What is known of peers, oldest first, for pages that come later. */
  readonly #peers = new Recent<string, Event<'peer'>>(limits.watchedTags);
  /** Messages that nobody listens for yet. */
  #kept: Event<'received'>[] = [];
  #keptBytes = 0;
  /** Who takes the messages of a durable inbox, in the order in which they began: the first gets them. */
  #takers: Seat[] = [];
  #next = 0;
  #opened: object | null = null;
  #state: Event<'state'> | null = null;
  #traffic: TrafficSettings | null = null;
  /** The last page closes, and with it the connection. */
  #ending = false;

  constructor(owner: DeskOwner) {
    this.#owner = owner;
  }

  /** A page comes. `null`: there are too many, or the connection ends. */
  join(post: Seat['post']): Seat | null {
    if (this.#ending || this.#seats.size >= limits.sharingTabs) return null;
    const seat: Seat = {
      number: this.#next++,
      post,
      opening: null,
      closing: null,
      listening: { retransmissions: false, surbs: false, messages: false },
      messages: new Map(),
      sending: new Map(),
      requests: new Set(),
      asking: new Map(),
      streams: new Set(),
    };
    this.#seats.set(seat.number, seat);
    return seat;
  }

  /** A page has gone: nothing more of it leaves, and others get its services. */
  leave(seat: Seat): void {
    if (!this.#seats.delete(seat.number)) return;
    clearTimeout(seat.closing?.timer);
    this.#cancel(seat);
    for (const message of seat.requests) this.#ask(seat, { id: 0, op: 'cancelRequest', message });
    for (const stream of seat.streams) this.#ask(seat, { id: 0, op: 'streamReset', stream, code: CLOSED, reason: '' });
    for (const [request, { seat: asked, answered }] of this.#asked) {
      if (asked === seat && !answered)
        this.#ask(seat, { id: 0, op: 'respond', request, body: undefined, options: answering });
      if (asked === seat) this.#asked.delete(request);
    }
    for (const stream of seat.streams) this.#incoming.delete(stream);
    for (const service of [...this.#serving.keys()]) this.#unserve(seat, { id: 0, op: 'unserve', service });
    for (const service of [...this.#accepting.keys()]) this.#refuse(seat, { id: 0, op: 'refuseStreams', service });
    this.#take(seat, false);
    if (this.#seats.size > 0) this.#tellListening();
    else if (!this.#ending) this.#owner.empty();
  }

  /** Takes what a page posted. */
  handle(seat: Seat, message: PageMessage): void {
    switch (message.op) {
      case 'open':
        this.#open(seat, message);
        break;
      case 'close':
        this.#close(seat, message);
        break;
      case 'listen':
        seat.listening = { ...message, messages: message.messages ?? false };
        this.#tellListening();
        this.#giveKept();
        break;
      case 'take':
        this.#take(seat, message.taking);
        break;
      case 'send':
        seat.messages.set(message.message, false);
        seat.sending.set(message.id, message.message);
        this.#ask(seat, message);
        break;
      case 'cancel':
        this.#ask(seat, message);
        this.#finished(seat, message.message);
        break;
      case 'request':
        this.#asking(
          seat,
          message.id,
          message.items.map((item) => item.message),
        );
        this.#ask(seat, {
          ...message,
          items: message.items.map((item) => ({ ...item, message: out(seat, item.message) })),
        });
        break;
      case 'probe':
        this.#asking(seat, message.id, [message.message]);
        this.#ask(seat, message);
        break;
      case 'cancelRequest':
        seat.requests.delete(message.message);
        this.#ask(seat, message);
        break;
      case 'serve':
        this.#register(this.#serving, seat, message);
        break;
      case 'unserve':
        this.#unserve(seat, message);
        break;
      case 'acceptStreams':
        this.#register(this.#accepting, seat, message);
        break;
      case 'refuseStreams':
        this.#refuse(seat, message);
        break;
      case 'openStream':
        seat.streams.add(message.stream);
        this.#ask(seat, message);
        break;
      case 'streamReset':
        this.#ask(seat, message);
        this.#streamEnded(seat, message.stream);
        break;
      case 'respond': {
        const asked = this.#asked.get(message.request);
        if (asked) asked.answered = true;
        this.#ask(seat, message);
        break;
      }
      case 'traffic':
        this.#traffic = message.traffic;
        this.#ask(seat, message);
        for (const other of this.#seats.values()) {
          if (other !== seat) other.post({ event: 'traffic', traffic: message.traffic }, []);
        }
        break;
      default:
        this.#ask(seat, message);
    }
  }

  /** Takes what the engine's side posted. */
  say(message: WorkerMessage, transfer: ArrayBuffer[]): void {
    if ('id' in message) this.#answer(message, transfer);
    else if ('message' in message) this.#about(message, transfer);
    else if ('stream' in message) this.#stream(message, transfer);
    else this.#tell(message, transfer);
  }

  #tell(event: Exclude<WorkerEvent, { message: number } | { stream: number }>, transfer: ArrayBuffer[]): void {
    switch (event.event) {
      case 'received':
        this.#received(event);
        break;
      case 'request':
        this.#asks(event, transfer);
        break;
      case 'responseLost':
        this.#asked.get(event.request)?.seat.post(event, transfer);
        this.#asked.delete(event.request);
        break;
      case 'passphrase-wanted':
      case 'choose-gateway':
        // Before there is a gateway nobody but the first has a connection.
        this.#seats.get(0)?.post(event, transfer);
        break;
      case 'moved':
        if (this.#opened)
          this.#opened = { ...this.#opened, address: event.address, gateway: event.gateway ?? undefined };
        this.#tellAll(event);
        break;
      case 'state':
        this.#state = event;
        this.#tellAll(event);
        break;
      case 'peer':
        this.#peers.set(event.tag ?? event.address ?? '', event);
        this.#tellAll(event);
        break;
      case 'crashed':
        for (const seat of [...this.#seats.values()]) seat.post(seat.number === 0 ? event : { event: 'left' }, []);
        break;
      default:
        this.#tellAll(event);
    }
  }

  #tellAll(event: WorkerEvent): void {
    for (const seat of [...this.#seats.values()]) seat.post(event, []);
  }

  /** Answered with the connection, as soon as it is there. What the first page asks for holds for all. */
  #open(seat: Seat, { id, options }: OpenRequest): void {
    seat.opening = id;
    if (seat.number === 0) {
      const { slotMs, loopMs, hopDelayMs, ackDelayMs, dangerNoPacing } = options;
      this.#traffic = { slotMs, loopMs, hopDelayMs, ackDelayMs, dangerNoPacing };
    }
    if (this.#opened) this.#answerOpen(seat);
  }

  #answerOpen(seat: Seat): void {
    const { opening: id } = seat;
    if (id === null) return;
    seat.opening = null;
    if (this.#state) seat.post(this.#state, []);
    if (seat.number !== 0) for (const [, peer] of this.#peers) seat.post(peer, []);
    seat.post({ id, ok: { ...this.#opened, traffic: this.#traffic ?? undefined } }, []);
  }

  /** The connection stays as long as others use it, and the worker that has it is told not to end with its page. */
  #close(seat: Seat, request: CloseRequest): void {
    if (this.#seats.size === 1 && seat.number === 0) {
      this.#ending = true;
      this.#ask(seat, request);
      return;
    }
    clearTimeout(seat.closing?.timer);
    seat.closing = { ids: [...(seat.closing?.ids ?? []), request.id], timer: undefined };
    if (!request.drain || seat.messages.size === 0) this.#closed(seat);
    else if (request.timeoutMs > 0) seat.closing.timer = setTimeout(() => this.#closed(seat), request.timeoutMs);
  }

  #closed(seat: Seat): void {
    const { closing } = seat;
    if (!closing) return;
    this.leave(seat);
    for (const id of closing.ids) seat.post({ id, ok: { shared: seat.number === 0 } }, []);
  }

  #cancel(seat: Seat): void {
    for (const message of seat.messages.keys()) this.#ask(seat, { id: 0, op: 'cancel', message });
    seat.messages.clear();
  }

  /** Passes a request or notice on, in the seat's range of numbers. */
  #ask(seat: Seat, message: PageMessage): void {
    const mapped = { ...message };
    if ('id' in mapped) mapped.id = out(seat, mapped.id);
    if ('message' in mapped) mapped.message = out(seat, mapped.message);
    if ('stream' in mapped) mapped.stream = out(seat, mapped.stream);
    if ('call' in mapped) mapped.call = out(seat, mapped.call);
    if (mapped.op === 'gateways' && mapped.measure) {
      mapped.measure = { ...mapped.measure, call: out(seat, mapped.measure.call) };
    }
    this.#owner.engine(mapped);
  }

  #answer(answer: Answer, transfer: ArrayBuffer[]): void {
    const seat = this.#seatOf(answer.id);
    if (!seat) return;
    const id = inner(answer.id);
    if (id === seat.opening && seat.number === 0 && !this.#opened) {
      if ('ok' in answer) this.#begun(answer.ok as object);
      else seat.post({ ...answer, id }, transfer);
      return;
    }
    const message = seat.sending.get(id);
    if (message !== undefined) {
      seat.sending.delete(id);
      if ('error' in answer) this.#finished(seat, message);
      else if (seat.messages.has(message)) seat.messages.set(message, (answer.ok as { receipt: boolean }).receipt);
    }
    const asked = seat.asking.get(id);
    seat.asking.delete(id);
    // None of them was taken, and no event ends them.
    if (asked && 'error' in answer) for (const request of asked) seat.requests.delete(request);
    seat.post({ ...answer, id }, transfer);
  }

  #asking(seat: Seat, id: number, requests: number[]): void {
    for (const request of requests) seat.requests.add(request);
    seat.asking.set(id, requests);
  }

  #begun(opened: object): void {
    this.#opened = opened;
    for (const seat of this.#seats.values()) this.#answerOpen(seat);
  }

  /** What is told of a message or request goes to who sent it. */
  #about(event: Extract<WorkerEvent, { message: number }>, transfer: ArrayBuffer[]): void {
    // Messages of the outbox belong to no page: whoever has a handle knows them.
    if (event.message >= ENGINES) this.#tellAll(event);
    const seat = this.#seatOf(event.message);
    if (!seat) return;
    const message = inner(event.message);
    seat.post({ ...event, message }, transfer);
    switch (event.event) {
      case 'delivered':
        if (!seat.messages.get(message)) this.#finished(seat, message);
        break;
      case 'undelivered':
      case 'receipted':
      case 'notReceipted':
        this.#finished(seat, message);
        break;
      case 'response':
      case 'requestFailed':
        seat.requests.delete(message);
        break;
    }
  }

  #finished(seat: Seat, message: number): void {
    seat.messages.delete(message);
    if (seat.messages.size === 0 && seat.closing) this.#closed(seat);
  }

  #stream(event: Extract<WorkerEvent, { stream: number }>, transfer: ArrayBuffer[]): void {
    if (event.event === 'streamOpened') {
      const [seat] = this.#accepting.get(event.service) ?? [];
      if (!seat) return;
      this.#incoming.set(event.stream, seat);
      seat.streams.add(event.stream);
      seat.post(event, transfer);
      return;
    }
    const seat = this.#incoming.get(event.stream) ?? this.#seatOf(event.stream);
    if (!seat) return;
    const stream = inner(event.stream);
    seat.post({ ...event, stream }, transfer);
    if (event.event === 'streamClosed' || event.event === 'streamFailed') this.#streamEnded(seat, stream);
  }

  #streamEnded(seat: Seat, stream: number): void {
    seat.streams.delete(stream);
    this.#incoming.delete(stream);
  }

  #asks(event: Event<'request'>, transfer: ArrayBuffer[]): void {
    const [seat] = this.#serving.get(event.service) ?? [];
    if (!seat) return;
    this.#asked.set(event.request, { seat, answered: false });
    seat.post(event, transfer);
  }

  /** When another page gets the messages, it gets all that are not done. */
  #take(seat: Seat, taking: boolean): void {
    const [before] = this.#takers;
    this.#takers = this.#takers.filter((taker) => taker !== seat);
    if (taking) this.#takers.push(seat);
    const [now] = this.#takers;
    if (now === before && seat !== now) return;
    if (before) this.#owner.engine({ op: 'take', taking: false });
    if (now) this.#owner.engine({ op: 'take', taking: true });
  }

  /** Every page that listens gets every message, and none of them the others' bodies. */
  #received(event: Event<'received'>): void {
    // Those of a durable inbox stay where they are until a page takes them.
    if (event.kept !== undefined) this.#takers[0]?.post(event, [event.body.buffer as ArrayBuffer]);
    else if (this.#anyListens) this.#give(event);
    else if (this.#kept.length >= limits.keptMessages || this.#keptBytes + event.body.byteLength > limits.keptBytes) {
      const { tag: from, body } = event;
      this.#tellAll({ event: 'overflow', reason: 'kept', from, messages: 1, bytes: body.byteLength });
    } else {
      this.#kept.push(event);
      this.#keptBytes += event.body.byteLength;
    }
  }

  #giveKept(): void {
    if (!this.#anyListens) return;
    for (const event of this.#kept) this.#give(event);
    this.#kept = [];
    this.#keptBytes = 0;
  }

  get #anyListens(): boolean {
    return [...this.#seats.values()].some((seat) => seat.listening.messages);
  }

  /** The first page, to which the bytes can move, is the last to get them. */
  #give(event: Event<'received'>): void {
    const seats = [...this.#seats.values()].filter((seat) => seat.listening.messages).reverse();
    for (const seat of seats) seat.post(event, [event.body.buffer as ArrayBuffer]);
  }

  /** The engine tells what any of them wants to hear. */
  #tellListening(): void {
    const seats = [...this.#seats.values()].map((seat) => seat.listening);
    const any = (what: keyof Seat['listening']) => seats.some((listening) => listening[what]);
    this.#owner.engine({ op: 'listen', retransmissions: any('retransmissions'), surbs: any('surbs') });
  }

  /** The engine knows one who serves; the next one takes over when that one has gone. */
  #register(
    services: Map<string, Seat[]>,
    seat: Seat,
    request: Extract<Request, { service: string; op: 'serve' | 'acceptStreams' }>,
  ): void {
    const seats = services.get(request.service) ?? [];
    services.set(request.service, [...seats.filter((other) => other !== seat), seat]);
    if (seats.length === 0) this.#ask(seat, request);
    else seat.post({ id: request.id, ok: {} }, []);
  }

  #unserve(seat: Seat, request: Extract<Request, { op: 'unserve' }>): void {
    if (!this.#unregister(this.#serving, seat, request.service)) this.#ask(seat, request);
    else seat.post({ id: request.id, ok: {} }, []);
  }

  #refuse(seat: Seat, request: Extract<Request, { op: 'refuseStreams' }>): void {
    if (!this.#unregister(this.#accepting, seat, request.service)) this.#ask(seat, request);
    else seat.post({ id: request.id, ok: {} }, []);
  }

  /** Whether others have it, or it was not this one's. */
  #unregister(services: Map<string, Seat[]>, seat: Seat, service: string): boolean {
    const seats = services.get(service) ?? [];
    const rest = seats.filter((other) => other !== seat);
    if (rest.length > 0) services.set(service, rest);
    else services.delete(service);
    return rest.length > 0 || seats.length === 0;
  }

  #seatOf(number: number): Seat | undefined {
    return this.#seats.get(Math.floor(number / SPAN));
  }
}

/** Pages number from 1 on and never come this far; the engine takes numbers up to 2^52 and begins its own there. */
const SPAN = 2 ** 32;
const ENGINES = 2 ** 52;

const out = (seat: Seat, number: number) => (number < 0 || number >= ENGINES ? number : number + seat.number * SPAN);
const inner = (number: number) => (number < ENGINES ? number % SPAN : number);

/** How a stream ends whose page has gone; see `docs/PROTOCOL.md`. */
const CLOSED = 4;
