/* The player: a waveform that plays and seeks, with ribbons of emotions, marked stretches and rows of one minute.

The sound comes from the `audio` element that Streamlit draws in the same container (class `st-key-player-…`). It may
appear later or be replaced, so it is looked up at every use, and its events are caught on the container. */

const BAR = 4; // pixels from bar to bar
const WAVE = 56; // pixels, the height of the waveform
const CLICK = 4; // pixels that a pointer may move between down and up to be a click
const STEP_S = 1, SHIFT_STEP_S = 5, PAGE_S = 15;
const MINUTE_S = 60;
const SVG = "http://www.w3.org/2000/svg";
const EVENTS = ["play", "pause", "timeupdate", "seeked", "loadedmetadata", "ended"];
const PLAY_ICON = "M8 5.5v13l11-6.5z", PAUSE_ICON = "M7 5h3.5v14H7zM13.5 5H17v14h-3.5z";

const players = new WeakMap(); // by the element that Streamlit mounts the component in
const calm = matchMedia("(prefers-reduced-motion: reduce)");

export default function ({ parentElement, data }) {
  let player = players.get(parentElement);
  if (!player) players.set(parentElement, (player = new Player(parentElement)));
  player.update(data);
  return () => {
    player.close();
    players.delete(parentElement);
  };
}

class Player {
  constructor(parent) {
    this.root = parent.querySelector(".ser-player");
    this.parts = Object.fromEntries(
      [...this.root.querySelectorAll("[data-part]")].map((part) => [part.dataset.part, part]),
    );
    this.container = parent.closest('[class*="st-key-player-"]') ?? parent;
    this.position_s = 0;
    this.until_s = null; // where the stretch that plays ends
    this.played = undefined; // the last `data.play.id`
    this.minute = 0;
    this.onMedia = (event) => this.followMedia(event);
    for (const name of EVENTS) this.container.addEventListener(name, this.onMedia, true); // media events do not bubble
    this.resized = new ResizeObserver(() => this.drawWave());
    this.resized.observe(this.parts.track);
    this.listen();
  }

  close() {
    for (const name of EVENTS) this.container.removeEventListener(name, this.onMedia, true);
    this.resized.disconnect();
    cancelAnimationFrame(this.frame);
  }

  get audio() {
    return this.container.querySelector("audio");
  }

  get playing() {
    return Boolean(this.audio && !this.audio.paused);
  }

  /* --- What Python says --- */

  update(data) {
    const before = this.data;
    this.data = data;
    const { words, has_sound: hasSound } = data;
    if (before && before.recording !== data.recording) this.reset();
    const text = JSON.stringify(data);
    if (this.text !== text) {
      this.text = text;
      if (data.colour) this.parts.wave.style.setProperty("--colour", data.colour);
      else this.parts.wave.style.removeProperty("--colour");
      this.root.classList.toggle("silent", !hasSound);
      this.setSlider(hasSound, words);
      this.drawWave();
      this.drawMarks();
      this.drawRibbons();
      this.drawRows();
      this.show();
    }
    if (data.play && data.play.id !== this.played) {
      this.played = data.play.id;
      this.playStretch(data.play.start_s, data.play.end_s);
    }
  }

  reset() {
    this.position_s = 0;
    this.until_s = null;
    this.minute = 0;
  }

  setSlider(hasSound, words) {
    const { track, toggle } = this.parts;
    toggle.hidden = !hasSound;
    track.setAttribute("role", hasSound ? "slider" : "img");
    track.tabIndex = hasSound ? 0 : -1;
    track.setAttribute("aria-label", hasSound ? words.position : words.waveform);
    for (const [name, value] of [["min", 0], ["max", this.data.duration_s.toFixed(1)]]) {
      if (hasSound) track.setAttribute(`aria-value${name}`, value);
      else track.removeAttribute(`aria-value${name}`);
    }
  }

  /* --- Playing --- */

  toggle() {
    this.until_s = null;
    if (this.playing) this.audio.pause();
    else this.start(this.position_s >= this.data.duration_s - 0.05 ? 0 : this.position_s);
  }

  playStretch(start_s, end_s) {
    this.start(start_s);
    this.until_s = end_s;
  }

  start(from_s) {
    const { audio } = this;
    if (!audio) {
      this.waiting = from_s; // until the element is there
      return;
    }
    for (const other of document.querySelectorAll("audio")) if (other !== audio) other.pause();
    this.seek(from_s);
    audio.play().catch(() => this.show()); // a browser may want a click on the page first
  }

  seek(to_s) {
    this.position_s = Math.min(Math.max(to_s, 0), this.data.duration_s);
    const { audio } = this;
    if (audio?.readyState) audio.currentTime = this.position_s;
    else this.pending = this.position_s; // until its header has been read
    this.show();
  }

  followMedia({ type, target }) {
    if (target !== this.audio) return;
    if (type === "loadedmetadata") {
      // Streamlit sets the start time at this event, so the position is set behind it.
      setTimeout(() => {
        if (this.pending !== undefined) target.currentTime = this.pending;
        else if (target.paused) this.position_s = target.currentTime;
        this.pending = undefined;
        this.show();
      });
      return;
    }
    if (this.pending !== undefined) return this.show();
    this.position_s = target.currentTime;
    this.stopAtEnd(target);
    this.show();
    if (type === "play") this.animate();
  }

  animate() {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => {
      const { audio } = this;
      if (!this.playing || this.pending !== undefined) return;
      this.position_s = audio.currentTime;
      this.stopAtEnd(audio);
      if (!calm.matches) this.show();
      this.animate();
    });
  }

  stopAtEnd(audio) {
    if (this.until_s === null || audio.currentTime < this.until_s) return;
    audio.pause();
    this.until_s = null;
  }

  /* --- Pointer and keys --- */

  listen() {
    const { track, toggle, rows, earlier, later } = this.parts;
    toggle.onclick = () => this.toggle();
    earlier.onclick = () => this.showMinute(this.minute - 1);
    later.onclick = () => this.showMinute(this.minute + 1);
    rows.onclick = (event) => {
      const button = event.target.closest("button");
      if (button) this.playSegment(this.data.segments[button.dataset.segment]);
    };
    track.onkeydown = (event) => this.onKey(event);
    track.onpointerdown = (event) => this.onDown(event);
  }

  onKey(event) {
    if (!this.data.has_sound || event.ctrlKey || event.altKey || event.metaKey) return;
    const step = event.shiftKey ? SHIFT_STEP_S : STEP_S;
    const moves = {
      ArrowRight: step, ArrowUp: step, ArrowLeft: -step, ArrowDown: -step,
      PageUp: PAGE_S, PageDown: -PAGE_S, Home: -Infinity, End: Infinity,
    };
    if (event.key === " ") this.toggle();
    else if (event.key in moves) this.move(this.position_s + moves[event.key]);
    else return;
    event.preventDefault();
  }

  move(to_s) {
    this.until_s = null;
    this.seek(to_s);
  }

  onDown(event) {
    if (!this.data.has_sound || event.button) return;
    const { track } = this.parts;
    const segment = event.target.closest("[data-segment]");
    const begun = event.clientX;
    const moveTo = ({ clientX }) => {
      const box = track.getBoundingClientRect();
      this.move(((clientX - box.left) / box.width) * this.data.duration_s);
    };
    if (!segment) moveTo(event);
    track.setPointerCapture(event.pointerId);
    let dragged = false;
    track.onpointermove = (moved) => {
      dragged ||= Math.abs(moved.clientX - begun) >= CLICK;
      if (dragged) moveTo(moved);
    };
    track.onpointerup = track.onpointercancel = ({ type }) => {
      track.onpointermove = track.onpointerup = track.onpointercancel = null;
      if (segment && !dragged && type === "pointerup") this.playSegment(this.data.segments[segment.dataset.segment]);
    };
  }

  playSegment(segment) {
    if (this.playing && this.until_s === segment.end_s) this.audio.pause();
    else this.playStretch(segment.start_s, segment.end_s);
  }

  /* --- Drawing --- */

  show() {
    const { data, parts, position_s } = this;
    if (this.waiting !== undefined && this.audio) {
      const from_s = this.waiting;
      this.waiting = undefined;
      this.start(from_s);
    }
    const { playing } = this;
    parts.track.style.setProperty("--at", `${(100 * position_s) / Math.max(data.duration_s, 1e-9)}%`);
    this.root.classList.toggle("begun", playing || position_s > 0);
    parts.icon.setAttribute("d", playing ? PAUSE_ICON : PLAY_ICON);
    parts.toggle.setAttribute("aria-label", playing ? data.words.pause : data.words.play);
    const time = `${clock(position_s)} / ${clock(data.duration_s)}`;
    parts.time.textContent = data.has_sound ? time : clock(data.duration_s);
    if (data.has_sound) {
      parts.track.setAttribute("aria-valuenow", position_s.toFixed(1));
      parts.track.setAttribute("aria-valuetext", time);
    }
    this.followRows(playing);
  }

  drawWave() {
    const { track, all, played } = this.parts;
    const width = track.clientWidth;
    if (!width || !this.data) return;
    const { peaks, duration_s: duration, used_s: used } = this.data;
    const n = Math.max(1, Math.min(peaks.length, Math.floor(width / BAR)));
    const step = width / n;
    const lines = { in: "", out: "" };
    for (let bar = 0; bar < n; bar++) {
      const part = peaks.slice(Math.floor((bar * peaks.length) / n), Math.ceil(((bar + 1) * peaks.length) / n));
      const level = part.reduce((sum, peak) => sum + peak, 0) / part.length / 100;
      const half = Math.max(1, (WAVE / 2 - 2) * level);
      const middle_s = ((bar + 0.5) / n) * duration;
      const where = !used || (middle_s >= used[0] && middle_s <= used[1]) ? "in" : "out";
      const x = ((bar + 0.5) * step).toFixed(1);
      lines[where] += `M${x} ${(WAVE / 2 - half).toFixed(1)}v${(2 * half).toFixed(1)}`;
    }
    for (const svg of [all, played]) {
      svg.setAttribute("viewBox", `0 0 ${width} ${WAVE}`);
      svg.replaceChildren(...Object.entries(lines).map(([name, d]) => {
        const path = document.createElementNS(SVG, "path");
        path.setAttribute("d", d);
        path.setAttribute("class", `player-${name}`);
        path.setAttribute("stroke-width", Math.min(2.5, step * 0.62));
        return path;
      }));
    }
  }

  drawMarks() {
    this.parts.marks.replaceChildren(...this.data.stretches.map(([start_s, end_s]) => {
      const mark = document.createElement("i");
      this.place(mark, start_s, end_s);
      return mark;
    }));
  }

  drawRibbons() {
    const { ribbons, labels } = this.parts;
    const { channels, segments } = this.data;
    const names = channels.length ? channels : segments.length ? [null] : [];
    ribbons.replaceChildren(...names.map((channel) => {
      const ribbon = document.createElement("div");
      segments.forEach((segment, index) => {
        if (channel && segment.channel !== channel.name) return;
        const piece = document.createElement("i");
        piece.dataset.segment = index;
        piece.title = `${clock(segment.start_s)}–${clock(segment.end_s)} ${segment.label}`;
        piece.style.setProperty("--colour", segment.colour);
        piece.classList.toggle("unsure", segment.unsure);
        this.place(piece, segment.start_s, segment.end_s);
        ribbon.append(piece);
      });
      return ribbon;
    }));
    const { hatched, grey, legend } = this.parts;
    legend.hidden = !segments.length;
    hatched.textContent = this.data.words.hatched;
    grey.textContent = this.data.words.grey;
    labels.replaceChildren(...channels.map(({ label }) => element("span", "", label)));
  }

  place(piece, start_s, end_s) {
    piece.style.left = `${(100 * start_s) / this.data.duration_s}%`;
    piece.style.width = `${(100 * (end_s - start_s)) / this.data.duration_s}%`;
  }

  /* --- Rows of the minute in view --- */

  drawRows() {
    const { data, parts } = this;
    parts.list.hidden = !data.listed;
    if (!data.listed) return;
    const counts = new Map();
    for (const { start_s } of data.segments) {
      const minute = Math.floor(start_s / MINUTE_S);
      counts.set(minute, (counts.get(minute) ?? 0) + 1);
    }
    parts.rows.style.setProperty("--rows", Math.max(1, ...counts.values()));
    parts.earlier.setAttribute("aria-label", data.words.earlier);
    parts.later.setAttribute("aria-label", data.words.later);
    this.showMinute(this.minute);
  }

  showMinute(minute) {
    const { data, parts } = this;
    const last = Math.max(0, Math.ceil(data.duration_s / MINUTE_S) - 1);
    this.minute = Math.min(Math.max(minute, 0), last);
    const [start_s, end_s] = [this.minute * MINUTE_S, Math.min((this.minute + 1) * MINUTE_S, data.duration_s)];
    parts.minute.textContent = `${clock(start_s)} – ${clock(end_s)}`;
    parts.earlier.disabled = this.minute === 0;
    parts.later.disabled = this.minute === last;
    const inView = data.segments
      .map((segment, index) => ({ segment, index }))
      .filter(({ segment }) => Math.floor(segment.start_s / MINUTE_S) === this.minute);
    parts.rows.replaceChildren(...inView.map(({ segment, index }) => this.row(segment, index)));
    if (!inView.length) parts.rows.append(element("li", "player-none", data.words.none));
    parts.rows.scrollTop = 0;
    this.followRows(this.playing);
  }

  row(segment, index) {
    const row = element("li", "player-row");
    row.dataset.start = segment.start_s;
    row.dataset.end = segment.end_s;
    if (this.data.has_sound) {
      const button = element("button", "player-listen");
      button.type = "button";
      button.dataset.segment = index;
      button.setAttribute("aria-label", `${this.data.words.play} ${clock(segment.start_s)}, ${segment.label}`);
      button.append(icon(PLAY_ICON));
      row.append(button);
    }
    const dot = element("i", "player-dot");
    dot.style.setProperty("--colour", segment.colour);
    dot.classList.toggle("unsure", segment.unsure);
    row.append(element("time", "", clock(segment.start_s)), dot);
    const channel = this.data.channels.find(({ name }) => name === segment.channel);
    const label = element("p", "", channel ? `${channel.label}: ${segment.label}` : segment.label);
    if (segment.text) label.append(element("q", "", segment.text));
    row.append(label);
    return row;
  }

  followRows(playing) {
    if (!this.data.listed) return;
    const minute = Math.floor(this.position_s / MINUTE_S);
    if (playing && minute !== this.shownWhilePlaying) {
      this.shownWhilePlaying = minute;
      if (minute !== this.minute) return this.showMinute(minute);
    }
    for (const row of this.parts.rows.children) {
      const current = this.position_s >= row.dataset.start && this.position_s < row.dataset.end;
      if (!current || !(playing || this.position_s > 0)) row.removeAttribute("aria-current");
      else if (!row.ariaCurrent) {
        row.ariaCurrent = "true";
        if (playing) this.keepInView(row);
      }
    }
  }

  keepInView(row) {
    const { rows } = this.parts;
    const below = row.offsetTop + row.offsetHeight - rows.clientHeight;
    if (rows.scrollTop < below) rows.scrollTop = below;
    if (rows.scrollTop > row.offsetTop) rows.scrollTop = row.offsetTop;
  }
}

/* --- Small things --- */

/** A time as minutes and seconds, from an hour on with hours: 1:02:03. */
function clock(time_s) {
  const seconds = Math.floor(time_s + 1e-6);
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  const rest = String(seconds % 60).padStart(2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

function element(tag, name = "", text = "") {
  const made = document.createElement(tag);
  made.className = name;
  made.textContent = text;
  return made;
}

function icon(d) {
  const svg = document.createElementNS(SVG, "svg");
  const path = document.createElementNS(SVG, "path");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", d);
  svg.append(path);
  return svg;
}
