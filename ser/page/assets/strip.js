// The strip of a visit: a toolbar of chips, one for each recording, of which one is in the tab order.
// data: {label, ask, chips: [{id, sign, colours: [a, b], caption, about, shown}]}; triggers: chosen (an id).

const STEP = 0.8; // of the strip's width, for each click on an edge

// One function for all runs, so that adding it twice adds it once.
function ask(event) {
  event.preventDefault();
  event.returnValue = ''; // for browsers before 2024
}

export default function ({ data, parentElement, setTriggerValue }) {
  const list = parentElement.querySelector('[role=toolbar]');
  list.setAttribute('aria-label', data.label);
  const isNew = draw(list, data.chips);

  list.onclick = (event) => choose(event.target.closest('button'));
  list.onkeydown = (event) => {
    const buttons = [...list.children];
    const at = buttons.indexOf(event.target.closest('button'));
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
    if (to === undefined || !buttons[to]) return;
    event.preventDefault();
    for (const button of buttons) button.tabIndex = button === buttons[to] ? 0 : -1;
    buttons[to].focus({ preventScroll: true });
    reveal(list, buttons[to]);
  };

  function choose(button) {
    if (!button) return;
    mark(list, button.dataset.id); // at once, not only when the server has answered
    setTriggerValue('chosen', button.dataset.id);
  }

  [back(list), on(list)].forEach((edge, i) => {
    edge.onclick = () => list.scrollBy({ left: (i ? 1 : -1) * STEP * list.clientWidth, behavior: pace() });
  });
  list.onscroll = () => showEdges(list);
  if (!list.dataset.watched) new ResizeObserver(() => showEdges(list)).observe(list);
  list.dataset.watched = true;
  showEdges(list);
  if (isNew) reveal(list, list.querySelector('[aria-current=true]'));

  window.removeEventListener('beforeunload', ask);
  if (data.ask) window.addEventListener('beforeunload', ask);
  return () => window.removeEventListener('beforeunload', ask);
}

// Draw the chips, keeping the buttons that are there, and with them the focus; return whether another one is shown.
function draw(list, chips) {
  const before = list.querySelector('[aria-current=true]')?.dataset.id;
  const old = new Map([...list.children].map((button) => [button.dataset.id, button]));
  const buttons = chips.map((chip) => {
    const button = old.get(chip.id) ?? create(chip.id);
    const [sign, caption] = button.children;
    sign.textContent = chip.sign;
    sign.style.setProperty('--a', chip.colours[0]);
    sign.style.setProperty('--b', chip.colours[1]);
    caption.textContent = chip.caption;
    button.title = chip.about;
    button.setAttribute('aria-label', chip.about);
    return button;
  });
  for (const button of list.children) if (!buttons.includes(button)) button.remove();
  buttons.forEach((button, i) => list.children[i] !== button && list.insertBefore(button, list.children[i] ?? null));
  const shown = chips.find((chip) => chip.shown)?.id;
  mark(list, shown);
  return shown !== before;
}

function create(id) {
  const button = document.createElement('button');
  button.type = 'button';
  button.className = 'chip';
  button.dataset.id = id;
  button.append(document.createElement('span'), document.createElement('span'));
  button.firstChild.className = 'visit-sign';
  return button;
}

function mark(list, id) {
  const buttons = [...list.children];
  const chosen = buttons.find((button) => button.dataset.id === id) ?? buttons.at(-1);
  for (const button of buttons) {
    button.setAttribute('aria-current', String(button.dataset.id === id));
    button.tabIndex = button === chosen ? 0 : -1;
  }
}

// The buttons at both ends, for a mouse.
const back = (list) => list.previousElementSibling;
const on = (list) => list.nextElementSibling;

function showEdges(list) {
  const room = list.scrollWidth - list.parentElement.clientWidth;
  list.parentElement.classList.toggle('overflows', room > 1);
  back(list).disabled = list.scrollLeft < 1;
  on(list).disabled = list.scrollLeft + list.clientWidth > list.scrollWidth - 1;
}

// Scroll the strip alone; scrollIntoView would move the page as well.
function reveal(list, button) {
  if (!button) return;
  const left = button.offsetLeft - (list.clientWidth - button.offsetWidth) / 2;
  list.scrollTo({ left, behavior: pace() });
}

function pace() {
  return matchMedia('(prefers-reduced-motion: reduce)').matches ? 'instant' : 'smooth';
}
