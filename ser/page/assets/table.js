// The table of a visit: a row for each recording, with its note, and buttons to show and to delete it.
// data: {texts, rows: [{id, sign, colours: [a, b], title, share, name, about, note, shown}]};
// trigger: shown (an id); state: notes ({id: note}), deleted (ids). Notes and deletions are state since of two triggers
// that are sent while the page is busy Streamlit keeps one.

const MOST_NOTE = 200; // characters, as in visit.py

export default function ({ data, parentElement, setStateValue, setTriggerValue }) {
  const table = parentElement.querySelector('table');
  table.setAttribute('aria-label', data.texts.table);
  const heads = data.texts.columns.map((text) => element('th', { role: 'columnheader', scope: 'col', textContent: text }));
  table.tHead.rows[0].replaceChildren(...heads);
  table.notes ??= {}; // as typed, which the server may not have seen yet
  table.deleted ??= [];
  draw(table.tBodies[0], data, table.notes);

  const idOf = (event) => event.target.closest('tr').dataset.id;
  table.onchange = (event) => {
    table.notes = { ...table.notes, [idOf(event)]: event.target.value };
    setStateValue('notes', table.notes);
  };
  table.onkeydown = (event) => event.key === 'Enter' && event.target.matches('input') && event.target.blur();
  table.onclick = (event) => {
    const button = event.target.closest('button');
    if (button?.matches('.show')) setTriggerValue('shown', idOf(event));
    else if (button?.matches('.armed')) setStateValue('deleted', (table.deleted = [...table.deleted, idOf(event)]));
    else if (button) arm(button, true, data.texts);
  };
  table.onfocusout = (event) => event.target.matches('.armed') && arm(event.target, false, data.texts);
}

// Draw the rows, keeping those that are there, and with them the focus and what is being typed.
function draw(body, { rows, texts }, notes) {
  const old = new Map([...body.rows].map((row) => [row.dataset.id, row]));
  const current = rows.map((row) => fill(old.get(row.id) ?? create(row.id), { ...row, note: notes[row.id] ?? row.note }, texts));
  const focused = body.getRootNode().activeElement?.closest('tr');
  const at = focused ? [...body.rows].indexOf(focused) : -1;
  for (const row of [...body.rows]) if (!current.includes(row)) row.remove();
  current.forEach((row, i) => body.rows[i] !== row && body.insertBefore(row, body.rows[i] ?? null));
  if (focused && !focused.isConnected) body.rows[Math.min(at, rows.length - 1)]?.querySelector('.delete').focus();
}

function create(id) {
  const cell = (name, ...children) => element('td', { role: 'cell', className: name }, ...children);
  const button = (name) => element('button', { type: 'button', className: name });
  const sign = element('span', { className: 'visit-sign', ariaHidden: 'true' });
  const row = element('tr', { role: 'row' },
    cell('answer', element('div', {}, sign, element('span', {}, element('b'), element('small')))),
    cell('file', element('span'), element('small')),
    cell('note', element('input', { type: 'text', maxLength: MOST_NOTE })),
    cell('do', button('show'), button('delete')));
  row.dataset.id = id;
  return row;
}

function fill(row, { sign, colours, title, share, name, about, note, shown }, texts) {
  const [face] = row.getElementsByClassName('visit-sign');
  face.textContent = sign;
  face.style.setProperty('--a', colours[0]);
  face.style.setProperty('--b', colours[1]);
  row.querySelector('.answer b').textContent = title;
  row.querySelector('.answer small').textContent = share;
  row.querySelector('.file span').textContent = name;
  row.querySelector('.file small').textContent = about;
  row.setAttribute('aria-current', String(shown));
  const input = row.querySelector('input');
  input.placeholder = texts.note;
  input.setAttribute('aria-label', `${texts.note}: ${name}`);
  if (input.getRootNode().activeElement !== input) input.value = note;
  const [show, remove] = row.querySelectorAll('button');
  show.textContent = texts.show;
  show.setAttribute('aria-label', `${texts.show}: ${name}`);
  remove.dataset.name = name;
  if (!remove.matches('.armed')) arm(remove, false, texts);
  return row;
}

// The first click on Delete arms it, the second deletes; leaving it disarms it.
function arm(button, armed, texts) {
  button.classList.toggle('armed', armed);
  button.textContent = armed ? texts.sure : texts.delete;
  button.setAttribute('aria-label', `${button.textContent}: ${button.dataset.name}`);
}

function element(tag, properties = {}, ...children) {
  const { role, scope, ...rest } = properties;
  const made = Object.assign(document.createElement(tag), rest);
  if (role) made.setAttribute('role', role);
  if (scope) made.setAttribute('scope', scope);
  made.append(...children);
  return made;
}
