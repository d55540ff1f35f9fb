// The page on a run. Texts of models and people only ever become text nodes.
'use strict';

const PAGE = 50;
const $ = id => document.getElementById(id);
let run = null;
let seen = '';
let verdicts = '';
let filter = {round: 0, reason: '', q: '', from: 0};
let pair = null;
let editing = null;
let loads = 0;

function el(tag, kind, ...children) {
  const e = document.createElement(tag);
  if (kind)
    e.className = kind;
  e.append(...children.filter(c => c !== null && c !== undefined));
  return e;
}

function button(text, label, act) {
  const b = el('button', '', text);
  b.type = 'button';
  b.setAttribute('aria-label', label);
  b.addEventListener('click', act);
  return b;
}

function trouble(message) {
  $('trouble').textContent = message;
  $('trouble').hidden = !message;
}

async function call(path, body) {
  const how = body === undefined ? {} : {method: 'POST', headers: {'Content-Type': 'application/json'}, body: JSON.stringify(body)};
  const answer = await fetch(path, how);
  const value = await answer.json();
  if (!answer.ok)
    throw new Error(value.error ? value.error.message : 'status ' + answer.status);
  return value;
}

async function tried(work) {
  try {
    await work();
    trouble('');
  } catch (e) {
    trouble(e.message === 'Failed to fetch' ? 'isara view has ended: start it again and reload this page.' : e.message);
  }
}

// --- progress ---

const STATES = {none: 'not begun', ask: 'asking', retrieve: 'finding examples', answer: 'answering', sift: 'sifting',
  review: 'waits for review', tune: 'tuning', done: 'done'};

function bar(done, all, what) {
  const p = el('progress');
  p.max = Math.max(all, 1);
  p.value = Math.min(done, p.max);
  p.setAttribute('aria-label', what);
  return el('span', '', p, ' ' + done + ' of ' + all);
}

function cell(tag, kind, content) {
  const c = el(tag, kind, content);
  if (tag === 'th')
    c.scope = 'col';
  return c;
}

function table(caption, heads, rows) {
  const t = el('table', '', el('caption', '', caption));
  t.append(el('thead', '', el('tr', '', ...heads.map(h => cell('th', h[1], h[0])))));
  t.append(el('tbody', '', ...rows.map(r => el('tr', '', ...r.map((c, i) => cell('td', heads[i][1], c))))));
  const scroll = el('div', 'scroll', t);
  scroll.tabIndex = 0;
  scroll.setAttribute('role', 'region');
  scroll.setAttribute('aria-label', caption);
  return scroll;
}

function reasonText(name) {
  const r = run.reasons.find(x => x.name === name);
  return r ? r.text : name;
}

function reasonsOf(round) {
  const list = el('ul', 'contexts');
  for (const [name, n] of Object.entries(round.reasons))
    list.append(el('li', '', n + ' ' + reasonText(name)));
  const d = el('details', '', el('summary', '', 'Verdicts of round ' + round.round), list);
  d.dataset.round = round.round;
  return d;
}

// Anew only when they have changed: one may be open.
function showVerdicts() {
  const all = run.rounds.filter(r => Object.keys(r.reasons).length), text = JSON.stringify(all.map(r => r.reasons));
  if (text === verdicts)
    return;
  verdicts = text;
  const open = new Set([...document.querySelectorAll('#verdicts details[open]')].map(d => d.dataset.round));
  $('verdicts').replaceChildren(...all.map(reasonsOf));
  for (const d of document.querySelectorAll('#verdicts details'))
    d.open = open.has(d.dataset.round);
}

function showProgress() {
  const last = run.rounds[run.rounds.length - 1];
  let state = run.live ? 'Process ' + run.pid + ' is at work' : 'No process works on it';
  if (last)
    state += ': round ' + last.round + ' of ' + run.n_round + ' ' + (STATES[last.state] || last.state);
  if ($('state').textContent !== state + '.') // it is read aloud
    $('state').textContent = state + '.';
  $('loss').hidden = !(last && last.loss !== undefined && last.state === 'tune');
  if (!$('loss').hidden)
    $('loss').textContent = 'Loss ' + last.loss.toFixed(4) + ' at step ' + last.step + '.';
  const rows = run.rounds.map(r => [String(r.round), STATES[r.state] || r.state,
    bar(r.asked, r.attempts, 'questions of round ' + r.round), bar(r.answered, r.to_answer, 'answers of round ' + r.round),
    String(r.kept), r.steps ? String(r.steps) : '']);
  $('rounds').replaceChildren(table('Rounds', [['round', ''], ['state', ''], ['questions', ''], ['answers', ''],
    ['kept', 'n'], ['steps', 'n']], rows));
  showVerdicts();
  const arms = Object.entries(run.arms).map(([name, n]) => [name, bar(n, run.n_item, 'questions measured of ' + name)]);
  $('arms').replaceChildren(...(arms.length ? [table('Measured on ' + run.n_item + ' questions', [['arm', ''], ['questions', '']], arms)] : []));
}

function option(select, value, text) {
  const o = el('option', '', text);
  o.value = value;
  select.append(o);
}

function fillFilter() {
  if ($('f-round').options.length === run.rounds.length + 1) // somebody may be choosing
    return;
  const round = $('f-round').value, reason = $('f-reason').value;
  $('f-round').replaceChildren();
  $('f-reason').replaceChildren();
  option($('f-round'), '0', 'all');
  run.rounds.forEach(r => option($('f-round'), String(r.round), String(r.round)));
  option($('f-reason'), '', 'any');
  option($('f-reason'), 'rejected', 'not kept, for any reason');
  option($('f-reason'), 'waiting', 'none yet');
  run.reasons.forEach(r => option($('f-reason'), r.name, r.text));
  $('f-round').value = round || '0';
  $('f-reason').value = reason || '';
}

function showRun() {
  document.title = run.name + ', a run of isara';
  $('title').textContent = run.name;
  const who = run.elsewhere.map(e => (e.role === 'asker' ? 'asked' : 'answered') + ' by ' + e.model).join(', ');
  $('about').textContent = run.model + ', ' + run.seeds + ' seeds' + (who ? '; ' + who + ': not self-alignment' : '');
  showProgress();
  fillFilter();
  $('review-note').hidden = !run.review;
  $('add').hidden = !run.review;
  if (run.review) {
    const d = run.decided;
    $('review-note').textContent = 'Round ' + run.review + ' waits for review. Decided so far: ' + d.struck + ' struck, ' +
      d.accepted + ' accepted, ' + d.edited + ' edited, ' + d.added + ' added. The same isara align command with --resume does it and goes on.';
  }
}

async function poll() {
  let wait = 10000;
  try {
    const now = await call('api/run');
    const text = JSON.stringify(now);
    if (text !== seen) {
      const first = !seen;
      run = now;
      seen = text;
      showRun();
      if (!first && !$('attempts').hidden && !$('edit').open)
        await load(false);
    }
    if (now.live)
      wait = 2000;
    if ($('trouble').textContent.startsWith('isara view has ended'))
      trouble('');
  } catch (e) {
    trouble(e.message === 'Failed to fetch' ? 'isara view has ended: start it again and reload this page.' : e.message);
  }
  setTimeout(poll, wait);
}

// --- attempts ---

function said(d) {
  const words = {strike: 'struck', accept: 'accepted', edit: 'edited', add: 'your own pair'};
  return el('span', 'decided', words[d.action] + (d.action === 'add' ? '' : ' by hand') + (run.review ? ', done on --resume' : ''));
}

function contextList(title, contexts) {
  const list = el('ol', 'contexts');
  for (const c of contexts)
    list.append(el('li', '', el('p', '', el('strong', '', c.name), c.question === null ? '' : ': ' + c.question),
      c.answer === null ? null : el('p', '', c.answer)));
  return el('div', '', el('p', 'facts', title), contexts.length ? list : el('p', '', 'none'));
}

function details(a) {
  const d = el('details', '', el('summary', '', 'What stood before it'));
  d.firstChild.setAttribute('aria-label', 'What stood before ' + a.id);
  d.addEventListener('toggle', () => {
    if (!d.open || d.dataset.filled)
      return;
    d.dataset.filled = '1';
    tried(async () => {
      const all = await call('api/attempt?id=' + encodeURIComponent(a.id));
      d.append(contextList('Before the question', all.ask));
      if (all.answer)
        d.append(contextList('Before the answer, the nearest last', all.answer));
      d.append(el('p', 'facts', all.facts));
    });
  });
  return d;
}

async function decide(body) {
  await call('api/review', body);
  run = await call('api/run');
  seen = JSON.stringify(run);
  showRun();
  await load(false);
}

function act(a, action) {
  const id = a.id;
  tried(async () => {
    await decide({id, action});
    const again = document.getElementById('a-' + id);
    if (again)
      again.focus();
    tell(id + ': ' + {accept: 'accepted', strike: 'struck', undo: 'as it was'}[action], true);
  });
}

function tools(a) {
  const t = el('p', 'tools');
  if (!run.review || (a.round !== run.review))
    return null;
  if (a.decision)
    t.append(button(a.decision.action === 'add' ? 'Take it back' : 'Undo', 'Undo what was decided of ' + a.id, () => act(a, 'undo')));
  else if (a.kept)
    t.append(button('Strike', 'Strike ' + a.id, () => act(a, 'strike')));
  else if (a.answer !== null && a.reason !== 'test_overlap')
    t.append(button('Accept', 'Accept ' + a.id, () => act(a, 'accept')));
  if (a.answer !== null && a.reason !== 'test_overlap' && !(a.decision && a.decision.action === 'add'))
    t.append(button('Edit', 'Edit ' + a.id, () => openEdit(a)));
  return t.childNodes.length ? t : null;
}

function verdict(a) {
  if (a.kept)
    return el('span', 'kept', 'kept');
  return a.reason ? el('span', 'rejected', reasonText(a.reason)) : el('span', '', 'no verdict yet');
}

function attempt(a) {
  const edited = a.decision && a.decision.action === 'edit' ? a.decision : null;
  const head = el('h3', '', edited ? edited.question : a.question !== null ? a.question : '(no question: ' + a.question_error + ')');
  const facts = el('p', 'facts', a.id + ' · ', verdict(a));
  const item = el('li', 'attempt', head);
  item.id = 'a-' + a.id;
  item.tabIndex = -1;
  if (a.nearest !== null)
    facts.append(' · nearest question before it: ROUGE-L F1 ' + a.nearest.toFixed(2) + (a.matches ? ', ' + a.matches : ''));
  if (a.score !== null)
    facts.append(' · score ' + a.score.toPrecision(4));
  if (a.decision)
    facts.append(' ', said(a.decision));
  const answer = edited ? edited.answer : a.answer;
  item.append(el('p', 'answer', answer !== null ? answer : a.answer_error ? '(no answer: ' + a.answer_error + ')' : '(not answered)'), facts);
  const t = tools(a);
  if (t)
    item.append(t);
  if (!(a.decision && a.decision.action === 'add'))
    item.append(details(a));
  return item;
}

// What is as it was stays: it may be open or have the focus, which what has changed takes over.
function showList(all) {
  const list = $('list'), was = new Map([...list.children].map(e => [e.id, e]));
  let focus = null;
  const items = all.map(a => {
    const said = JSON.stringify([a, run.review]), old = was.get('a-' + a.id);
    if (old && old.said === said)
      return old;
    const item = attempt(a);
    item.said = said;
    if (old && old.querySelector('details[open]') && item.querySelector('details'))
      item.querySelector('details').open = true;
    if (old && old.contains(document.activeElement))
      focus = item;
    return item;
  });
  for (const e of [...list.children])
    if (!items.includes(e))
      e.remove();
  items.forEach((e, i) => {
    if (list.children[i] !== e)
      list.insertBefore(e, list.children[i] || null);
  });
  if (focus)
    focus.focus({preventScroll: true});
}

function tell(text, aloud) {
  $('found').setAttribute('aria-live', aloud ? 'polite' : 'off');
  $('found').textContent = text;
}

async function load(says) {
  const q = new URLSearchParams({round: filter.round, reason: filter.reason, q: filter.q, from: filter.from, n: PAGE});
  const mine = ++loads, found = await call('api/attempts?' + q);
  if (mine !== loads) // a later one was asked for meanwhile
    return;
  showList(found.items);
  if (says || /^[0-9]+ attempts?$/.test($('found').textContent))
    tell(found.total + (found.total === 1 ? ' attempt' : ' attempts'), says);
  $('where').textContent = found.total ? (filter.from + 1) + ' to ' + Math.min(filter.from + PAGE, found.total) + ' of ' + found.total : '';
  $('before').disabled = !filter.from;
  $('after').disabled = filter.from + PAGE >= found.total;
}

$('filter').addEventListener('submit', e => {
  e.preventDefault();
  filter = {round: Number($('f-round').value), reason: $('f-reason').value, q: $('f-words').value, from: 0};
  tried(() => load(true));
});
for (const id of ['f-round', 'f-reason'])
  $(id).addEventListener('change', () => $('filter').requestSubmit());

function turn(by) {
  filter.from = Math.max(0, filter.from + by);
  tried(async () => {
    await load(true);
    $('head-attempts').scrollIntoView();
  });
}
$('before').addEventListener('click', () => turn(-PAGE));
$('after').addEventListener('click', () => turn(PAGE));

function openEdit(a) {
  editing = a;
  const now = a && a.decision && a.decision.question ? a.decision : a;
  $('edit-title').textContent = a ? 'Edit ' + a.id : 'A pair of your own';
  $('edit-question').value = now ? now.question : '';
  $('edit-answer').value = now ? now.answer : '';
  $('edit-error').textContent = '';
  $('edit').showModal();
}
$('add').addEventListener('click', () => openEdit(null));
$('edit-cancel').addEventListener('click', () => $('edit').close());
$('edit-form').addEventListener('submit', async e => {
  e.preventDefault();
  const body = {action: editing ? 'edit' : 'add', question: $('edit-question').value.trim(), answer: $('edit-answer').value.trim()};
  if (editing)
    body.id = editing.id;
  else
    body.round = run.review;
  try {
    await decide(body);
    $('edit').close();
    tell((editing ? editing.id + ' edited' : 'your pair is noted') + '; it is done on --resume', true);
  } catch (x) {
    $('edit-error').textContent = x.message;
  }
});

// --- judging ---

async function next() {
  const rater = $('rater').value;
  const got = await call('api/judge?rater=' + encodeURIComponent(rater));
  pair = got.pair;
  $('pair').hidden = !pair;
  $('judge-end').hidden = !!pair;
  $('judged').textContent = got.done + ' of ' + got.n + ' judged';
  if (!pair) {
    $('judge-end').textContent = got.n ? 'All ' + got.n + ' pairs are judged. The report has what came of it.'
      : 'There is no question that the two models answered differently.';
    return;
  }
  $('asked').textContent = pair.question;
  $('left').textContent = pair.answers[0].text || '(not a word)';
  $('right').textContent = pair.answers[1].text || '(not a word)';
  $('bad-left').checked = $('bad-right').checked = false;
  $('asked').focus();
}

function judge(side) {
  if (!pair)
    return;
  const [left, right] = pair.answers.map(a => a.id);
  const bad = {[left]: $('bad-left').checked, [right]: $('bad-right').checked};
  const better = side === 'same' ? 'same' : side === 'left' ? left : right;
  const body = {rater: $('rater').value, index: pair.index, better, bad};
  pair = null;
  tried(async () => {
    await call('api/judge', body);
    await next();
  });
}
for (const side of ['left', 'same', 'right'])
  $('better-' + side).addEventListener('click', () => judge(side));
$('take-back').addEventListener('click', () => tried(async () => {
  await call('api/judge/undo', {rater: $('rater').value});
  await next();
}));
$('who').addEventListener('submit', e => {
  e.preventDefault();
  tried(next);
});

const KEYS = {ArrowLeft: 'better-left', ArrowRight: 'better-right', ArrowDown: 'better-same', u: 'take-back', 1: 'bad-left', 2: 'bad-right'};
document.addEventListener('keydown', e => {
  const typing = e.target instanceof HTMLInputElement && e.target.type !== 'checkbox' || e.target instanceof HTMLTextAreaElement ||
    e.target instanceof HTMLSelectElement;
  if (!pair || $('judge').hidden || typing || e.ctrlKey || e.altKey || e.metaKey || !KEYS[e.key])
    return;
  e.preventDefault();
  $(KEYS[e.key]).click();
});

// --- parts ---

function show() {
  const name = ['progress', 'attempts', 'judge'].includes(location.hash.slice(1)) ? location.hash.slice(1) : 'progress';
  for (const part of ['progress', 'attempts', 'judge']) {
    $(part).hidden = part !== name;
    if (part === name)
      $('to-' + part).setAttribute('aria-current', 'page');
    else
      $('to-' + part).removeAttribute('aria-current');
  }
  if (name === 'attempts' && run)
    tried(() => load(true));
}
window.addEventListener('hashchange', () => {
  show();
  window.scrollTo(0, 0);
  $('main').focus({preventScroll: true});
});

poll().then(show);
