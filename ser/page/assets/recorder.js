// The page's recorder: microphone -> 16 kHz mono 16-bit PCM -> the page, at once (record) or while it runs (live).
// Mounted by ser/page/recorder.py, which hands over all texts; ser/page/live.py sends the live answers.

export const RATE = 16000; // Hz
const BLOCK = 1024; // samples of the microphone between two messages of the worklet
const PAUSE_S = 1.5; // without speech, after which a recording ends
const SPEECH_S = 0.3; // of speech, before which it does not
const NO_SOUND_S = 1; // of digital zeros, after which the microphone counts as muted
const GIVE_UP_S = 10; // of digital zeros, after which the recording ends
const STEP = RATE / 4; // samples between live answers
const MOST_SENT = 30 * RATE; // samples in one live message
const RIBBON_S = 30; // of live answers shown
const RESEND_MS = 6000; // without an acknowledgement; longer for large messages
const SLOW_UPLOAD = 20; // bytes per ms

// --- Sound: pure functions ---

/** Return a function that converts consecutive blocks from one rate to another (windowed sinc, a filter per phase). */
export function resampler(from, to) {
  const gcd = (a, b) => (b ? gcd(b, a % b) : a);
  const up = to / gcd(from, to);
  const down = from / gcd(from, to);
  const cutoff = 0.92 * Math.min(1, to / from); // of the half input rate
  const half = Math.ceil(24 / cutoff); // input samples on each side
  const filters = Array.from({ length: up }, (_, phase) => sincFilter(half, phase / up, cutoff));
  let held = new Float32Array(half); // zeros before the first sample
  let next = 0; // output samples so far are next; its place in the input is next * down / up
  let dropped = -half; // input samples before held[0]
  return (block) => {
    const input = new Float32Array(held.length + block.length);
    input.set(held);
    input.set(block, held.length);
    const output = [];
    for (;;) {
      const first = Math.floor((next * down) / up) - half + 1 - dropped;
      if (first + 2 * half > input.length) {
        const keep = Math.max(0, Math.min(first, input.length));
        held = input.slice(keep);
        dropped += keep;
        return Float32Array.from(output);
      }
      const filter = filters[(next * down) % up];
      let sum = 0;
      for (let i = 0; i < filter.length; i++) sum += filter[i] * input[first + i];
      output.push(sum);
      next += 1;
    }
  };
}

function sincFilter(half, offset, cutoff) {
  const taps = new Float32Array(2 * half);
  let sum = 0;
  for (let i = 0; i < taps.length; i++) {
    const x = i - half + 1 - offset;
    const sinc = x ? Math.sin(Math.PI * cutoff * x) / (Math.PI * x) : cutoff;
    taps[i] = sinc * (0.42 + 0.5 * Math.cos((Math.PI * x) / half) + 0.08 * Math.cos((2 * Math.PI * x) / half));
    sum += taps[i];
  }
  return taps.map((tap) => tap / sum);
}

/** Return samples from -1 to 1 as 16-bit integers. */
export function toPcm(samples) {
  return Int16Array.from(samples, (x) => Math.max(-32768, Math.min(32767, Math.round(32767 * x))));
}

/** Return the level of 16-bit samples in dB below full scale; -Infinity for digital zeros. */
export function level(pcm) {
  let sum = 0;
  for (const x of pcm) sum += x * x;
  return 10 * Math.log10(sum / pcm.length / 32768 ** 2);
}

/** Return where the first sample that is not zero lies; many devices begin with zeros. */
export function leadingZeros(pcm) {
  const first = pcm.findIndex((x) => x !== 0);
  return first < 0 ? pcm.length : first;
}

/** Return 16-bit mono PCM of 16 kHz as a WAV. */
export function wav(pcm) {
  const bytes = new Uint8Array(44 + 2 * pcm.length);
  const view = new DataView(bytes.buffer);
  const text = (at, letters) => [...letters].forEach((letter, i) => (bytes[at + i] = letter.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, 36 + 2 * pcm.length, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true); // PCM
  view.setUint16(22, 1, true); // channel
  view.setUint32(24, RATE, true);
  view.setUint32(28, 2 * RATE, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  text(36, "data");
  view.setUint32(40, 2 * pcm.length, true);
  pcm.forEach((x, i) => view.setInt16(44 + 2 * i, x, true));
  return bytes;
}

export function base64(bytes) {
  let text = "";
  for (let i = 0; i < bytes.length; i += 0x8000) text += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
  return btoa(text);
}

/**
 * Return a function that takes (level in dB, seconds) of consecutive blocks and says whether the speaker pauses.
 *
 * Speech is what is louder than the quietest of the last four seconds by 8 dB, and not 30 dB below the loudest.
 */
export function pauseDetector() {
  const recent = []; // [end in s, smoothed dB]
  let [time, smooth, loudest, speech, pause] = [0, null, -Infinity, 0, 0];
  return (db, seconds) => {
    time += seconds;
    if (db > -Infinity) {
      smooth = smooth === null ? db : smooth + (db - smooth) * Math.min(1, seconds / 0.06);
      loudest = Math.max(loudest - 2 * seconds, smooth);
      recent.push([time, smooth]);
      while (recent[0][0] < time - 4) recent.shift();
    }
    const quietest = Math.min(-45, ...recent.map(([, value]) => value)); // speech at once shows no quiet yet
    const isSpeech = db > -Infinity && smooth > Math.max(quietest + 8, loudest - 30, -65);
    speech += isSpeech ? seconds : 0;
    pause = isSpeech ? 0 : pause + seconds;
    return speech >= SPEECH_S && pause >= PAUSE_S;
  };
}

// --- Microphone ---

const WORKLET = `
registerProcessor("ser-blocks", class extends AudioWorkletProcessor {
  constructor() { super(); this.block = new Float32Array(${BLOCK}); this.filled = 0; }
  process([[samples]]) {
    if (!samples) return true;
    this.block.set(samples, this.filled);
    this.filled += samples.length;
    if (this.filled === this.block.length) { this.port.postMessage(this.block); this.filled = 0; }
    return true;
  }
});`;

/** Why a microphone does not start, as a key of the texts. */
function reasonOf(error) {
  if (["NotAllowedError", "SecurityError", "PermissionDeniedError"].includes(error.name)) return "denied";
  if (["NotFoundError", "OverconstrainedError", "DevicesNotFoundError"].includes(error.name)) return "missing";
  return "busy";
}

const canRecord = () => Boolean(window.isSecureContext && navigator.mediaDevices?.getUserMedia);

/** One use of the microphone: open it once, `close` it at the end. Calls `onBlock(Float32Array)` and `onLost()`. */
class Microphone {
  constructor(onBlock, onLost) {
    this.onBlock = onBlock;
    this.onLost = onLost;
    this.context = new (window.AudioContext || window.webkitAudioContext)(); // here, in the click: Safari demands it
  }

  async open() {
    const unchanged = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    const stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1, ...unchanged } });
    this.stream = stream;
    if (this.isClosed) return this.close();
    for (const track of stream.getAudioTracks()) track.onended = () => this.isClosed || this.onLost();
    this.context.resume(); // without waiting: it may never run, which then counts as no sound
    const convert = resampler(this.context.sampleRate, RATE);
    const pass = (block) => this.isClosed || this.onBlock(convert(block));
    this.source = this.context.createMediaStreamSource(stream);
    this.node = this.context.audioWorklet ? await this.worklet(pass) : this.processor(pass);
    this.source.connect(this.node);
    this.node.connect(this.context.destination); // it writes nothing there
  }

  async worklet(pass) {
    const url = URL.createObjectURL(new Blob([WORKLET], { type: "text/javascript" }));
    await this.context.audioWorklet.addModule(url);
    URL.revokeObjectURL(url);
    const node = new AudioWorkletNode(this.context, "ser-blocks", { channelCount: 1, channelCountMode: "explicit" });
    node.port.onmessage = ({ data }) => pass(data);
    return node;
  }

  processor(pass) {
    const node = this.context.createScriptProcessor(BLOCK, 1, 1);
    node.onaudioprocess = ({ inputBuffer }) => pass(inputBuffer.getChannelData(0).slice());
    return node;
  }

  close() {
    this.isClosed = true;
    this.stream?.getTracks().forEach((track) => track.stop());
    this.node?.disconnect();
    if (this.context.state !== "closed") this.context.close();
  }
}

// --- Recorder ---

const remembered = {
  get pause() {
    try {
      return localStorage.getItem("ser-pause") !== "off";
    } catch {
      return true; // storage is blocked
    }
  },
  set pause(on) {
    try {
      localStorage.setItem("ser-pause", on ? "on" : "off");
    } catch {} // storage is blocked
  },
};

const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

/** States: idle, asking (for the microphone), recording, sending (until the page has it). */
class Recorder {
  constructor(parent) {
    const find = (name) => parent.querySelector(`.${name}`);
    this.parent = parent;
    this.root = find("recorder");
    const names = ["button", "seconds", "title", "hint", "switch", "pause", "discard", "problem", "status"];
    this.parts = Object.fromEntries(names.map((name) => [name, find(name)]));
    this.parts.button.onclick = () => this.toggle();
    this.parts.discard.onclick = () => this.discard();
    this.parts.pause.checked = remembered.pause;
    this.parts.pause.onchange = () => (remembered.pause = this.parts.pause.checked);
    this.state = "idle";
    this.problem = null;
    this.length = 0;
  }

  /** Take what Streamlit hands over at every run of the script. */
  update(data, send) {
    const isFirst = !this.data;
    Object.assign(this, { data, send, texts: data.texts, isLive: data.mode === "live" });
    document.documentElement.lang = data.lang;
    this.root.classList.toggle("compact", Boolean(data.compact));
    this.live ??= this.isLive ? new LiveView(this.parent.querySelector(".live"), data) : null;
    this.live?.translate(data);
    if (isFirst && !canRecord()) this.problem = "insecure";
    if (this.state === "sending" && data.received === this.id) this.finish("sent");
    this.draw();
  }

  toggle() {
    if (this.state === "idle") this.start();
    else if (this.state === "recording") this.stop();
    else if (this.state === "asking") this.discard();
  }

  async start() {
    if (!canRecord()) return this.fail("insecure");
    this.id = Math.random().toString(36).slice(2);
    Object.assign(this, { length: 0, got: 0, sent: 0, isEnded: false, problem: null, level: 0 });
    this.pcm ??= new Int16Array(this.data.limit_s * RATE);
    this.arrivals = []; // [samples, ms]: when sound came in
    this.isPause = pauseDetector();
    this.live?.clear();
    for (const other of recorders.values()) if (other !== this && other.state === "recording") other.stop();
    this.setState("asking");
    const { id } = this;
    try {
      this.microphone = new Microphone((block) => this.hear(block), () => this.lose());
      await this.microphone.open();
    } catch (error) {
      if (this.id === id && this.state === "asking") this.fail(reasonOf(error)); // else it was cancelled
    }
    if (this.id !== id || this.state !== "asking" || !this.microphone) return;
    this.startedAt = performance.now();
    this.setState("recording");
    this.timer = setInterval(() => this.tick(), 100);
  }

  hear(samples) {
    if (this.state !== "recording") return;
    let pcm = toPcm(samples);
    if (!this.length) pcm = pcm.subarray(leadingZeros(pcm));
    pcm = pcm.subarray(0, this.pcm.length - this.length);
    if (!pcm.length) return;
    this.pcm.set(pcm, this.length);
    this.length += pcm.length;
    this.arrivals.push([this.length, performance.now()]);
    if (this.problem === "silent") this.setProblem(null);
    const db = level(pcm);
    this.level = Math.max(0, Math.min(1, (db + 60) / 55), this.level - pcm.length / RATE / 0.4);
    this.root.style.setProperty("--level", this.level.toFixed(3));
    this.parts.seconds.textContent = clock(this.length / RATE);
    const isPause = this.isPause(db, pcm.length / RATE);
    if (this.length === this.pcm.length) this.stop("limit");
    else if (isPause && !this.isLive && this.parts.pause.checked) this.stop();
    else this.pump();
  }

  /** Notice a microphone without sound, also one that sends no blocks at all. */
  tick() {
    const silentFor = this.length ? 0 : (performance.now() - this.startedAt) / 1000;
    if (silentFor > GIVE_UP_S) this.fail("silent");
    else if (silentFor > NO_SOUND_S && this.problem !== "silent") this.setProblem("silent");
  }

  stop(problem = null) {
    if (!this.length) return this.fail("silent");
    this.closeMicrophone();
    this.problem = problem;
    this.isEnded = true;
    this.setState("sending");
    if (this.isLive) this.pump();
    else this.sendRecording();
  }

  /** Keep what was recorded before the device was lost. */
  lose() {
    if (this.state === "recording" && this.length) this.stop("lost");
    else if (this.state !== "idle") this.fail("missing");
  }

  discard() {
    if (this.state !== "recording" && this.state !== "asking") return;
    this.closeMicrophone();
    if (this.isLive && this.sent) this.send("chunk", { id: this.id, discard: true });
    this.live?.clear();
    this.finish("discarded");
  }

  fail(problem) {
    this.closeMicrophone();
    this.problem = problem;
    this.finish(null);
  }

  finish(news) {
    clearTimeout(this.resend);
    if (this.problem === "late") this.problem = null;
    this.length = 0;
    this.setState("idle", news);
  }

  /** The recorder is taken off the page: nothing may go on. */
  leave() {
    this.closeMicrophone();
    clearTimeout(this.resend);
  }

  closeMicrophone() {
    clearInterval(this.timer);
    this.microphone?.close();
    this.microphone = null;
  }

  // --- Sending ---

  /** Send the recording, again until the page has acknowledged it. */
  sendRecording() {
    const file = base64(wav(this.pcm.subarray(0, this.length)));
    const attempt = () => {
      this.send("recording", { id: this.id, wav: file });
      this.waitFor(file.length, attempt);
    };
    attempt();
  }

  /** Send the live sound that the page does not have yet, one message at a time, in whole steps until the end. */
  pump() {
    if (!this.isLive || this.isWaiting) return;
    const ready = Math.min(this.length - this.got, MOST_SENT);
    const isLast = this.isEnded && this.got + ready === this.length;
    const size = isLast ? ready : Math.floor(ready / STEP) * STEP;
    if (!size && !isLast) return;
    const pcm = this.pcm.slice(this.got, this.got + size);
    this.sent += 1;
    this.isWaiting = true;
    this.root.dataset.liveSent = ((this.got + size) / RATE).toFixed(2);
    this.send("chunk", {
      id: this.id,
      n: this.sent,
      from: this.got,
      pcm: base64(new Uint8Array(pcm.buffer)),
      end: isLast,
    });
    this.waitFor(2 * size, () => {
      this.isWaiting = false;
      this.pump();
    });
  }

  waitFor(bytes, again) {
    clearTimeout(this.resend);
    this.resend = setTimeout(() => {
      this.setProblem("late");
      again();
    }, RESEND_MS + bytes / SLOW_UPLOAD);
  }

  /** Take a live answer: how many samples the page has, and what it says to them. */
  answer({ id, n, got, done, ...answer }) {
    if (id !== this.id || this.state === "idle" || n < this.sent) return;
    clearTimeout(this.resend);
    this.isWaiting = false;
    this.got = Math.min(got, this.length);
    if (this.problem === "late") this.setProblem(null);
    if (answer.label) this.live.show(answer);
    this.root.dataset.liveT = (got / RATE).toFixed(2);
    const arrival = this.arrivals.find(([samples]) => samples >= got);
    if (arrival) this.root.dataset.liveLag = Math.round(performance.now() - arrival[1]);
    if (done) this.finish("sent");
    else this.pump();
  }

  // --- Drawing ---

  setProblem(problem) {
    this.problem = problem;
    this.draw();
  }

  setState(state, news = state) {
    this.state = state;
    if (state === "asking" || state === "idle") this.isWaiting = false;
    if (news && this.texts[news]) this.parts.status.textContent = this.texts[news];
    this.draw();
  }

  draw() {
    const { texts, parts, state } = this;
    const isRecording = state === "recording";
    this.root.dataset.state = state;
    this.root.dataset.problem = this.problem ?? "";
    const start = texts[this.isLive ? "start_live" : "start"];
    const labels = { idle: start, asking: texts.cancel, recording: texts.stop, sending: texts.sending };
    parts.button.setAttribute("aria-label", labels[state]);
    parts.button.setAttribute("aria-disabled", String(state === "sending" || this.problem === "insecure"));
    if (isRecording) parts.seconds.textContent = clock(this.length / RATE);
    else this.root.style.setProperty("--level", 0);
    parts.title.textContent = state === "idle" ? start : texts[state];
    const hand = matchMedia("(hover: hover)").matches ? "keys" : "touch";
    parts.hint.textContent = (this.problem !== "insecure" && texts[`${state}_${hand}`]) || "";
    parts.discard.hidden = !isRecording;
    parts.discard.textContent = texts.discard;
    parts.switch.hidden = this.isLive || isRecording || this.problem === "insecure";
    parts.switch.querySelector("span").textContent = texts.pause;
    const [title, help] = parts.problem.children;
    title.textContent = this.problem ? texts[this.problem] : "";
    help.textContent = this.problem ? texts[`${this.problem}_help`] : "";
  }
}

// --- Live ---

/** Bars of all emotions, and a ribbon of the last half minute. */
class LiveView {
  constructor(root, data) {
    root.hidden = false;
    this.root = root;
    this.headline = root.querySelector(".now");
    this.ribbon = root.querySelector(".ribbon");
    this.bars = root.querySelector(".bars");
    for (const { label, colour } of data.emotions) {
      const row = document.createElement("li");
      row.dataset.label = label;
      row.style.setProperty("--c", colour);
      row.innerHTML = '<span class="name"></span><span class="track"><i></i></span><span class="share"></span>';
      this.bars.append(row);
    }
    for (let i = 0; i < (RIBBON_S * RATE) / STEP; i++) this.ribbon.append(document.createElement("i"));
    this.clear();
  }

  translate({ emotions, texts }) {
    this.texts = texts;
    this.emotions = Object.fromEntries(emotions.map((emotion) => [emotion.label, emotion]));
    this.bars.setAttribute("aria-label", texts.bars);
    this.ribbon.setAttribute("aria-label", texts.ribbon);
    const [ago, now] = this.root.querySelector(".ends").children;
    [ago.textContent, now.textContent] = [texts.ago, texts.now];
    for (const row of this.bars.children) {
      row.querySelector(".name").textContent = this.emotions[row.dataset.label].name;
    }
    if (!this.shownT) this.headline.textContent = texts.waiting;
  }

  clear() {
    this.shownT = 0;
    if (this.texts) this.headline.textContent = this.texts.waiting;
    for (const cell of this.ribbon.children) cell.className = cell.style = "";
    for (const row of this.bars.children) this.fill(row, null, false);
  }

  show({ t_s, label, kind, probabilities }) {
    if (t_s <= this.shownT) return;
    const steps = Math.max(1, Math.round(((t_s - this.shownT) * RATE) / STEP));
    for (let i = 0; i < Math.min(steps, this.ribbon.children.length); i++) this.addCell(label, kind);
    this.shownT = t_s;
    const { emoji, name } = this.emotions[label];
    const words = { sure: name, unsure: this.texts.unsure.replace("{emotion}", name) };
    this.headline.textContent = kind === "none" ? this.texts.none : `${emoji} ${words[kind]}`;
    for (const row of this.bars.children) {
      const share = kind === "none" ? null : probabilities[row.dataset.label];
      this.fill(row, share, kind !== "none" && row.dataset.label === label);
    }
  }

  addCell(label, kind) {
    const cell = this.ribbon.firstElementChild;
    cell.className = kind;
    cell.style.setProperty("--c", this.emotions[label].colour);
    this.ribbon.append(cell);
  }

  fill(row, share, isFirst) {
    row.style.setProperty("--p", share ?? 0);
    row.classList.toggle("first", isFirst);
    row.querySelector(".share").textContent = share === null ? "" : `${Math.round(100 * share)}\u00a0%`;
  }
}

// --- Keyboard, answers and mounting ---

const recorders = new Map(); // by the component's shadow root
const CONTROLS =
  "a, button, input, textarea, select, summary, audio, video, iframe, [contenteditable], [tabindex], [role]";
const SCROLLED = ".stMain"; // Streamlit's, which has the focus after a click on the page

const topOf = ({ root }) => root.getBoundingClientRect().top;

function isVisible({ root }) {
  const { top, bottom, height } = root.getBoundingClientRect();
  return height > 0 && bottom > 0 && top < innerHeight;
}

/** Space starts and stops the recorder in sight, if nothing else has the focus; Esc discards. */
function onKey(event) {
  if (event.ctrlKey || event.altKey || event.metaKey || event.shiftKey || event.repeat) return;
  const all = [...recorders.values()];
  const running = all.find(({ state }) => state === "recording" || state === "asking");
  if (event.key === "Escape" && running) {
    event.preventDefault();
    running.discard();
  }
  if (event.key !== " " || isControl(event.composedPath()[0])) return;
  const recorder = running ?? all.filter(isVisible).sort((a, b) => topOf(a) - topOf(b))[0];
  if (!recorder) return;
  event.preventDefault();
  recorder.toggle();
}

function isControl(node) {
  const control = node instanceof Element && node !== document.body && node.closest(CONTROLS);
  return Boolean(control) && !control.matches(SCROLLED);
}

function onAnswer({ detail }) {
  for (const recorder of recorders.values()) if (recorder.data.name === detail.name) recorder.answer(detail);
}

/** Called by Streamlit at every change of `data`; what it returns, once when the recorder leaves the page. */
export default function ({ parentElement, data, setTriggerValue }) {
  if (!recorders.get(parentElement)?.root.isConnected) {
    remove(parentElement);
    recorders.set(parentElement, new Recorder(parentElement));
  }
  document.addEventListener("keydown", onKey); // once, however often it is added
  document.addEventListener("ser-live", onAnswer);
  recorders.get(parentElement).update(data, setTriggerValue);
  return () => remove(parentElement);
}

function remove(parentElement) {
  recorders.get(parentElement)?.leave();
  recorders.delete(parentElement);
}
