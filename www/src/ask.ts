import type { MixAddress, MixClient, MixError, ReceivedMessage } from 'mixlet';
import { h } from './dom.js';
import { codeOf, seconds } from './format.js';
import type { Recipient } from './recipient.js';
import { SLOW_MS } from './services.js';

const questions = [
  { service: 'time', label: 'What time is it?', hasText: false },
  { service: 'echo', label: 'Echo: say this back', hasText: true },
  { service: 'slow-echo', label: `Echo, but only after ${SLOW_MS / 1000} s`, hasText: true },
] as const;

/** What a deadline that ran out says, by the code of its error. */
const ranOut: Record<string, string> = {
  timeout: "The time ran out before the whole question was at the recipient's gateway.",
  'response-timeout': "The question is at the recipient's gateway, but the time for the answer ran out.",
};

/** Asks the recipient something, with a deadline. `asked` gets an item for the list. */
export function asking(client: MixClient, to: Recipient, asked: (item: HTMLElement) => void, ...more: HTMLElement[]) {
  const lateAnswers = lateListener(client);
  const choice = h('select', { id: 'question' });
  for (const { service, label } of questions) choice.append(h('option', { value: service }, label));
  const text = h('input', { id: 'ask-text', type: 'text', value: 'Is anybody there?' });
  const deadline = h('input', {
    id: 'deadline',
    type: 'number',
    min: '0.01',
    max: '600',
    step: 'any',
    value: '10',
    required: true,
    'aria-describedby': 'deadline-means',
  });
  const textRow = h('div', { class: 'field' }, h('label', { for: 'ask-text' }, 'Text'), text);
  const question = () => questions.find(({ service }) => service === choice.value) ?? questions[0];
  const show = () => (textRow.hidden = !question().hasText);
  choice.addEventListener('change', show);
  show();
  const submit = () => {
    const address = to.read();
    if (address === null) return;
    const { service, label, hasText } = question();
    const timeoutMs = Math.max(1, Math.round(deadline.valueAsNumber * 1000));
    const body = hasText ? text.value : '';
    asked(askedItem(client, lateAnswers, { address, service, body, label, timeoutMs }));
  };
  return h(
    'section',
    {},
    h('h2', {}, 'Ask'),
    h('p', { class: 'hint' }, 'A request, answered by the other page itself. The other client has to speak mixlet.'),
    h(
      'form',
      {
        id: 'ask',
        onsubmit: (event) => {
          event.preventDefault();
          submit();
        },
      },
      h('div', { class: 'field' }, h('label', { for: 'question' }, 'Question'), choice),
      textRow,
      h(
        'div',
        { class: 'field' },
        h('label', { for: 'deadline' }, 'Deadline, in seconds'),
        deadline,
        h('p', { class: 'hint', id: 'deadline-means' }, 'For the way there, the answering and the way back together.'),
      ),
      h('button', { id: 'ask-button' }, 'Ask'),
    ),
    ...more,
  );
}

interface Asked {
  address: MixAddress;
  service: string;
  body: string;
  /** How the question reads. */
  label: string;
  timeoutMs: number;
}

function askedItem(client: MixClient, late: LateAnswers, { address, service, body, label, timeoutMs }: Asked) {
  const outcome = h('p', { class: 'outcome hint', role: 'status' }, 'Waiting …');
  const giveUp = new AbortController();
  const cancel = h('button', { type: 'button', class: 'quiet', onclick: () => giveUp.abort() }, 'Give up');
  const waiting = h('div', { class: 'line' }, outcome, cancel);
  const item = h(
    'li',
    { class: 'mine question' },
    h('p', { class: 'who' }, `You asked, with ${timeoutMs / 1000} s of time`),
    h('p', { class: 'text' }, body === '' ? label : `${label}: ${body}`),
    waiting,
  );
  const start = performance.now();
  const elapsed = () => performance.now() - start;
  // Beside the line that a screen reader is told of, which would read out every tick of it.
  const clock = h('span', { 'aria-hidden': 'true' });
  outcome.append(clock);
  const timer = setInterval(() => (clock.textContent = ` ${(elapsed() / 1000).toFixed(1)} s`), 100);
  const ended = (...lines: HTMLElement[]) => {
    clearInterval(timer);
    waiting.remove();
    item.append(...lines);
  };
  const answered = (message: ReceivedMessage) => {
    const time = seconds(elapsed());
    ended(line('answer', message.text()), line('outcome done', `Answered after ${time}`));
  };
  const failed = (error: unknown) => {
    const code = codeOf(error);
    const time = seconds(elapsed());
    if (code === 'AbortError') ended(line('outcome', `Given up after ${time}`));
    else
      ended(
        line('outcome failed', `No answer after ${time} (${code}). ${ranOut[code] ?? (error as MixError).message}`),
      );
  };
  const number = late.expect((message, elapsedMs) => {
    const time = `${seconds(elapsedMs)} after the question`;
    if (message) item.append(line('answer late', message.text()), line('outcome', `It came after all, ${time}`));
    else item.append(line('outcome late', `Their client said ${time} that it does not answer this.`));
  });
  client.request(address, body, { service, timeoutMs, label: number, signal: giveUp.signal }).then(answered, failed);
  return item;
}

const line = (kind: string, text: string) => h('p', { class: kind }, text);

type LateAnswer = (message: ReceivedMessage | null, elapsedMs: number) => void;
interface LateAnswers {
  /** Answers the label to ask with. */
  expect(late: LateAnswer): string;
}

/** Requests whose late answer still has a place in the list. */
const LATE_KEPT = 200;

/** An answer that comes after the deadline is an event, which names the request by its label. */
function lateListener(client: MixClient): LateAnswers {
  const expected = new Map<string, LateAnswer>();
  let next = 1;
  client.addEventListener('late', ({ detail: { label, message, elapsedMs } }) => {
    expected.get(label)?.(message, elapsedMs);
    expected.delete(label);
  });
  return {
    expect: (late) => {
      const label = String(next++);
      expected.set(label, late);
      if (expected.size > LATE_KEPT) expected.delete(expected.keys().next().value ?? '');
      return label;
    },
  };
}
