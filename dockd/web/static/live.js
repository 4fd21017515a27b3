// Makes the dock's page live: puts HTML that the server rendered into its place. It decides nothing,
// and without it the page works by reloading.

const SILENCE_MILLISECONDS = 15000; // the server speaks at least every 5 seconds
const main = document.getElementById("main");
const stale = document.getElementById("stale");
const say = document.getElementById("say");
const notice = document.getElementById("notice");

let heardAt = new Date();

function two(number) {
  return String(number).padStart(2, "0");
}

function showStale() {
  const isStale = Date.now() - heardAt.getTime() > SILENCE_MILLISECONDS;
  document.body.classList.toggle("is-stale", isStale);
  if (isStale === !stale.hidden) return;
  stale.hidden = !isStale;
  stale.textContent = isStale
    ? `Not live since ${two(heardAt.getHours())}:${two(heardAt.getMinutes())}: this picture is old. Do not rely on it. Tell IT if this stays.`
    : "";
}

function heard() {
  heardAt = new Date();
  showStale();
}

function place(part) {
  const element = document.getElementById(part.id);
  if (!element) return;
  const focused = element.contains(document.activeElement) ? document.activeElement.id : "";
  element.innerHTML = part.html;
  if (focused) document.getElementById(focused)?.focus();
  if (!part.headline) return;
  if (element.dataset.headline !== part.headline) {
    element.dataset.headline = part.headline;
    element.className = `tile tone-${part.tone}`;
    say.textContent = part.spoken;
  }
}

function greet(hello) {
  const isSame = hello.version === main.dataset.version && hello.ids.every((id) => document.getElementById(id));
  if (!isSame) location.reload();
}

function listen() {
  const source = new EventSource(main.dataset.live);
  source.addEventListener("hello", (event) => { heard(); greet(JSON.parse(event.data)); });
  source.addEventListener("fragment", (event) => { heard(); place(JSON.parse(event.data)); });
  source.addEventListener("beat", heard);
  // The browser tries again by itself, except after an HTTP error: then it gives up for good.
  source.addEventListener("error", () => {
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, 5000);
  });
}

function answer(isGood, headline, words) {
  const line = document.createElement("p");
  line.className = `notice ${isGood ? "notice-good" : "notice-bad"}`;
  const strong = document.createElement("strong");
  strong.textContent = headline;
  const rest = document.createElement("span");
  rest.textContent = words;
  line.append(strong, " ", rest);
  notice.replaceChildren(line);
  clearTimeout(answer.timer);
  answer.timer = setTimeout(() => notice.replaceChildren(), 60000);
}

async function issue(event) {
  event.preventDefault();
  const form = event.currentTarget;
  const button = form.querySelector("button");
  if (button.disabled) return; // a badge reader may send twice
  button.disabled = true;
  try {
    const response = await fetch("/api/v1/issue", {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "application/json" },
      body: JSON.stringify({ officer: form.officer.value }),
    });
    const result = await response.json();
    if (response.ok) answer(true, result.headline, result.words);
    else answer(false, "Not done", result.detail);
    form.reset();
  } catch {
    answer(false, "Not done", "The dock did not answer. Try again; if this stays, tell IT.");
  } finally {
    button.disabled = false;
    form.officer.focus();
  }
}

document.getElementById("issue").addEventListener("submit", issue);
// A message that came with the page leaves the address, so that a reload does not show it again.
if (location.search) history.replaceState(null, "", location.pathname);
setInterval(showStale, 1000);
listen();
