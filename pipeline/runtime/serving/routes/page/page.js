// The page: it asks the server that it came from, and shows what it answers.

const $ = (id) => document.getElementById(id);
const LONGEST_LIST = 10;  // bars that are shown at first
let model = null;  // of those that the server has, the one that is asked
let asking = null;  // what ends the stream of text that is being written

// --- The server ---

async function call(path, options = {}) {
  const key = sessionStorage.getItem("key");
  const headers = { ...options.headers, ...(key ? { Authorization: `Bearer ${key}` } : {}) };
  const response = await fetch(path, { ...options, headers });
  if (response.status === 401) $("key-form").hidden = false;
  if (!response.ok) {
    const said = await response.json().catch(() => ({}));
    throw new Error(said.error ?? `the server answered with status ${response.status}`);
  }
  return response;
}

const of_model = (path) => `${path}?model=${encodeURIComponent(model.name)}`;

async function ask(blob, type) {
  const response = await call(of_model("predict"), { method: "POST", body: blob, headers: { "Content-Type": type } });
  return response.json();
}

// --- Showing ---

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function say(text, isError = false) {
  $("status").textContent = text;
  $("status").classList.toggle("error", isError);
}

// Runs `work` and shows the error it ends in, if any.
async function show(work) {
  say("…");
  try {
    await work();
  } catch (error) {
    say(error.message, true);
  }
}

function bars(probabilities, chosen) {
  const sorted = Object.entries(probabilities).sort((a, b) => b[1] - a[1]);
  const list = element("ul", "bars");
  const add = ([label, p]) => {
    const item = element("li", chosen.includes(label) ? "chosen" : "");
    const track = element("div", "track");
    const bar = element("div", "bar");
    bar.style.width = `${100 * p}%`;
    track.append(bar);
    const name = element("span", "label", label);
    name.title = label;
    item.append(name, track, element("span", "number", percent(p)));
    list.append(item);
  };
  sorted.slice(0, LONGEST_LIST).forEach(add);
  const wrapped = element("div");
  wrapped.append(list);
  if (sorted.length > LONGEST_LIST) {
    const more = element("button", "", `Show all ${sorted.length}`);
    more.type = "button";
    more.onclick = () => { sorted.slice(LONGEST_LIST).forEach(add); more.remove(); };
    wrapped.append(more);
  }
  return wrapped;
}

const percent = (p) => `${(100 * p).toFixed(p > 0.0995 && p < 0.9995 ? 0 : 1)} %`;

const number = (x) => Number(x.toPrecision(6));

// What an answer says of itself: the intervals of numbers, or that it is not sure.
function doubt(answer) {
  if (answer.low) {
    const ranges = Object.keys(answer.values).map((name) => `${name} from ${number(answer.low[name])} to ${number(answer.high[name])}`);
    return `${percent(answer.coverage)} of true values lie in such intervals: ${ranges.join(", ")}`;
  }
  if (answer.sure === false) return "not sure";
  if (Array.isArray(answer.sure) && answer.sure.includes(false)) return "Not sure of the words with a dotted line";
  return null;
}

function verdict(answer) {
  if (answer.values) {
    const units = answer.units ?? {};
    return Object.entries(answer.values).map(([name, x]) => `${name}: ${number(x)} ${units[name] ?? ""}`.trim()).join(", ");
  }
  if (Array.isArray(answer.probabilities)) return null;
  if (answer.labels) return answer.labels.join(", ") || "none of its labels";
  return `${answer.label}, ${percent(answer.probability)}`;
}

// Each word is a button that shows which words made its tag.
function tagged(words, answer, body, type) {
  const line = element("p", "words");
  const reasons = element("div", "why");
  reasons.setAttribute("aria-live", "polite");
  const kinds = [...new Set(answer.labels.map((label) => label.replace(/^[A-Z]-/, "")))].sort();
  words.forEach((word, i) => {
    const label = answer.labels[i];
    const outside = label === "O";
    const shown = element("button", outside ? "word" : "word tagged", word);
    shown.type = "button";
    shown.onclick = () => show(async () => {
      reasons.replaceChildren(...explained(await reason(body, type, `&word=${i}`)));
      say("");
    });
    if (!outside) {
      const hue = (kinds.indexOf(label.replace(/^[A-Z]-/, "")) * 137.5) % 360;
      shown.style.setProperty("--tag", `hsl(${hue} 65% 50%)`);
      shown.append(element("small", "", label));
    }
    const unsure = answer.sure?.[i] === false;
    if (unsure) shown.classList.add("unsure");
    shown.title = `${label}, ${percent(answer.probabilities[i])}${unsure ? ", not sure" : ""}: why?`;
    line.append(shown, " ");
  });
  const box = element("div");
  box.append(line, reasons);
  return box;
}

async function reason(body, type, more = "") {
  const response = await call(of_model("explain") + more, { method: "POST", body, headers: { "Content-Type": type } });
  return response.json();
}

// A button that shows what spoke for an answer.
function why(body, type, title = "Why?") {
  const box = element("div", "why");
  const button = element("button", "", title);
  button.type = "button";
  button.onclick = () => show(async () => {
    button.disabled = true;
    try {
      box.replaceChildren(...explained(await reason(body, type)));
      say("");
    } finally {
      button.disabled = false;
    }
  });
  box.append(button);
  return box;
}

function explained(said) {
  if (said.picture) {
    const picture = element("img");
    picture.src = `data:image/png;base64,${said.picture}`;
    picture.alt = `Red pixels speak for ${said.explanations.map((one) => one.of).join(", ")}, blue ones against it`;
    return [picture];
  }
  return said.explanations.map((one) => {
    const line = element("p", "words");
    const most = Math.max(...one.parts.map((part) => Math.abs(part.weight)), 1e-9);
    one.parts.forEach((part, i) => {
      const own = i === one.word ? " own" : "";
      const shown = element("span", `part ${part.weight < 0 ? "against" : "for"}${own}`, part.text);
      shown.style.setProperty("--share", `${Math.round(70 * Math.abs(part.weight) / most)}%`);
      shown.title = part.weight.toFixed(3);
      line.append(shown);
    });
    const box = element("div");
    box.append(element("div", "name", `${one.title}: red words speak for it, blue ones against it`), line);
    return box;
  });
}

function showAnswer(name, answer, { image, words, body, type } = {}) {
  const box = element("article", "answer");
  const head = element("div", "head");
  if (image) {
    const picture = element("img");
    picture.src = URL.createObjectURL(image);
    picture.alt = `The input ${name}`;
    head.append(picture);
  }
  const side = element("div");
  if (name) side.append(element("div", "name", name));
  if (answer.error) {
    side.append(element("div", "error", answer.error));
  } else {
    const text = verdict(answer);
    if (text !== null) side.append(element("div", "verdict", text));
    const said = doubt(answer);
    if (said !== null) side.append(element("div", "doubt", said));
  }
  head.append(side);
  box.append(head);
  if (answer.labels && Array.isArray(answer.probabilities)) box.append(tagged(words, answer, body, type));
  else if (answer.probabilities) box.append(bars(answer.probabilities, answer.labels ?? [answer.label]));
  if (body && !answer.error && !Array.isArray(answer.probabilities)) box.append(why(body, type));
  $("answers").append(box);
}

function clear() {
  $("answers").replaceChildren();
  $("download").hidden = true;
}

// --- Images ---

async function askImages(files) {
  clear();
  for (const file of files) {
    let answer;
    try {
      answer = await ask(file, file.type || "application/octet-stream");
    } catch (error) {
      answer = { error: error.message };
    }
    showAnswer(file.name ?? "", answer, { image: file, body: file, type: file.type || "application/octet-stream" });
  }
  say(files.length === 1 ? "" : `${files.length} images answered`);
}

const fromCanvas = (canvas) => new Promise((done) => canvas.toBlob(done, "image/png"));

function setUpImages() {
  $("files").onchange = () => show(() => askImages([...$("files").files]));
  const drop = $("drop");
  drop.ondragover = (event) => { event.preventDefault(); drop.classList.add("over"); };
  drop.ondragleave = () => drop.classList.remove("over");
  drop.ondrop = (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    show(() => askImages([...event.dataTransfer.files]));
  };
  document.addEventListener("paste", (event) => {
    const files = [...event.clipboardData.files];
    if (!$("images").hidden && files.length) show(() => askImages(files));
  });
  setUpDrawing();
  setUpCamera();
}

function setUpDrawing() {
  const canvas = $("canvas");
  const pen = canvas.getContext("2d");
  const wipe = () => { pen.fillStyle = "#000"; pen.fillRect(0, 0, canvas.width, canvas.height); };
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) * canvas.width / box.width, (event.clientY - box.top) * canvas.height / box.height];
  };
  wipe();
  Object.assign(pen, { lineWidth: 18, lineCap: "round", lineJoin: "round", strokeStyle: "#fff" });
  canvas.onpointerdown = (event) => {
    canvas.setPointerCapture(event.pointerId);
    pen.beginPath();
    pen.moveTo(...place(event));
    pen.lineTo(...place(event));
    pen.stroke();
  };
  canvas.onpointermove = (event) => {
    if (!event.buttons) return;
    pen.lineTo(...place(event));
    pen.stroke();
  };
  $("draw").onclick = () => { $("drawing").hidden = !$("drawing").hidden; };
  $("clear").onclick = wipe;
  $("ask-drawing").onclick = () => show(async () => {
    const file = new File([await fromCanvas(canvas)], "drawing", { type: "image/png" });
    await askImages([file]);
  });
}

function setUpCamera() {
  const video = $("video");
  const end = () => {
    video.srcObject?.getTracks().forEach((track) => track.stop());
    video.srcObject = null;
    $("filming").hidden = true;
  };
  $("camera").onclick = () => show(async () => {
    if (!navigator.mediaDevices) throw new Error("the browser gives a camera only to https pages and to localhost");
    video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    $("filming").hidden = false;
    await video.play();
    say("");
  });
  $("stop-camera").onclick = end;
  $("take").onclick = () => show(async () => {
    const canvas = element("canvas");
    [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
    canvas.getContext("2d").drawImage(video, 0, 0);
    const file = new File([await fromCanvas(canvas)], "picture", { type: "image/png" });
    end();
    await askImages([file]);
  });
}

// --- Texts ---

async function askText(text) {
  clear();
  const type = "text/plain;charset=utf-8";
  const answer = await ask(text, type);
  showAnswer("", answer, { body: text, type, words: text.split(/[ \t\n\v\f\r]+/).filter(Boolean) });
  say("");
}

async function writeOn(prompt) {
  clear();
  const written = element("p", "written", prompt);
  const box = element("article", "answer");
  box.append(written);
  $("answers").append(box);
  asking = new AbortController();
  $("stop").hidden = false;
  try {
    const response = await call("generate", {
      method: "POST",
      signal: asking.signal,
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({
        model: model.name, prompt, stream: true,
        max_tokens: Number($("tokens").value), temperature: Number($("temperature").value),
        seed: Number($("seed").value), stop: $("stop-text").value || null,
      }),
    });
    for await (const event of events(response.body)) {
      if (event.error) throw new Error(event.error);
      written.append(event.text ?? "");
    }
    say("");
  } catch (error) {
    if (error.name !== "AbortError") throw error;
    say("stopped");
  } finally {
    $("stop").hidden = true;
  }
  box.append(why(written.textContent, "text/plain;charset=utf-8", "What would come next, and why?"));
}

// The objects in a stream of server-sent events.
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      const data = part.replace(/^data: /, "");
      if (data !== "[DONE]") yield JSON.parse(data);
    }
  }
}

async function askTable(file) {
  clear();
  const path = `${of_model("predict")}&column=${encodeURIComponent($("column").value)}`;
  const response = await call(path, { method: "POST", body: file, headers: { "Content-Type": "text/csv" } });
  const blob = await response.blob();
  $("download").href = URL.createObjectURL(blob);
  $("download").hidden = false;
  const rows = (await blob.text()).split("\n");
  $("answers").append(element("pre", "written", rows.slice(0, 6).join("\n")));
  say("The answers are ready");
}

// --- Start ---

function choose(chosen) {
  model = chosen;
  clear();
  say("");
  document.title = $("title").textContent = model.name;
  $("about").textContent = model.about;
  const { generates } = model;
  $("images").hidden = model.input_kind !== "images";
  $("texts").hidden = model.input_kind === "images";
  $("table").hidden = model.input_kind === "images" || generates;
  $("sampling").hidden = !generates;
  $("ask").textContent = generates ? "Write on" : "Answer";
  $("text-label").textContent = generates ? "The start of a text" : model.input_kind === "sentences" ? "A sentence, with spaces between the words" : "A text";
  $("samples").replaceChildren(...model.samples.map((sample, i) => sampleButton(sample, i)));
  $("examples").hidden = !model.samples.length;
}

function sampleButton(sample, i) {
  const button = element("button");
  button.type = "button";
  if (sample.text !== undefined) {
    button.textContent = sample.text.length > 60 ? `${sample.text.slice(0, 60)}…` : sample.text;
    button.onclick = () => { $("text").value = sample.text; $("texts").requestSubmit($("ask")); };
    return button;
  }
  const picture = element("img");
  picture.alt = `Example ${i + 1}`;
  button.append(picture);
  const fetched = call(sample.url).then((response) => response.blob());
  fetched.then((blob) => { picture.src = URL.createObjectURL(blob); }, () => {});
  button.onclick = () => show(async () => askImages([new File([await fetched], `example ${i + 1}`, { type: (await fetched).type })]));
  return button;
}

async function start() {
  const models = await (await call("models")).json();
  $("model").replaceChildren(...models.map(({ name }) => new Option(name)));
  $("choice").hidden = models.length < 2;
  $("model").onchange = () => choose(models[$("model").selectedIndex]);
  choose(models[0]);
}

setUpImages();
$("texts").onsubmit = (event) => {
  event.preventDefault();
  const text = $("text").value;
  show(() => (model.generates ? writeOn(text) : askText(text)));
};
$("text").onkeydown = (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("texts").requestSubmit($("ask"));
};
$("stop").onclick = () => asking?.abort();
$("table").onsubmit = (event) => { event.preventDefault(); show(() => askTable($("csv").files[0])); };
$("key-form").onsubmit = (event) => {
  event.preventDefault();
  sessionStorage.setItem("key", $("key").value);
  $("key-form").hidden = true;
  show(start);
};
show(start);
