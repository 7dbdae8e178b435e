// What a reader can see on a page, measured from inside it. Every function returns plain data.

const CODE = "pre, code, .sig, script, style, textarea, mjx-container, .raw-tex";

function content() {
  return document.querySelector("[role=main], article, main") || document.body;
}

function frame() {
  return new Promise(function (done) { requestAnimationFrame(function () { requestAnimationFrame(done); }); });
}

// Formulas are set, fonts and images are there, players have run their scripts.
async function settled() {
  if (window.MathJax && MathJax.startup) await MathJax.startup.promise;
  await document.fonts.ready;
  await Promise.all(images().filter(image => !image.hidden).map(image => image.decode().catch(() => null)));
  await frame();
}

function images() {
  return Array.from(document.images);
}

// A short name of an element for messages.
function named(element) {
  const id = element.id ? "#" + element.id : "";
  const kind = typeof element.className === "string" ? element.className : element.className.baseVal;
  return element.tagName.toLowerCase() + id + (kind ? "." + kind.trim().split(/\s+/).join(".") : "");
}

function shown(element) {
  return element.checkVisibility({ opacityProperty: true, visibilityProperty: true });
}

// Text nodes below `root` that are seen.
function texts(root, without) {
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT), found = [];
  while (walker.nextNode()) {
    const node = walker.currentNode, parent = node.parentElement;
    if (node.data.trim() && !parent.closest(without) && shown(parent)) found.push(node);
  }
  return found;
}

async function view() {
  const light = await colors();
  return {
    title: document.title, heading: document.querySelectorAll("h1").length, math: math(), pictures: pictures(),
    players: players(), ids: ids(), links: links(), theme: light
  };
}

// ---- formulas

function math() {
  const places = Array.from(document.querySelectorAll("span.math, div.math"));
  const raw = /\\\(|\\\[|\$\$|\\(begin|frac|sum|mathbf|mathcal|partial|operatorname|left|sqrt|text)\b|\$[^$\s][^$\n]*[\\^_][^$\n]*\$/;
  return {
    places: places.length,
    missing: places.filter(place => !place.querySelector("mjx-container > svg")).map(place => place.textContent.slice(0, 80)),
    errors: Array.from(document.querySelectorAll("[data-mml-node=merror], mjx-merror, merror"))
      .map(error => error.getAttribute("data-mjx-error") || error.getAttribute("title") || error.textContent.slice(0, 80)),
    raw: texts(content(), CODE).filter(node => raw.test(node.data)).map(node => node.data.trim().slice(0, 100))
  };
}

// ---- pictures

function pictures() {
  const pixels = images().filter(image => !(image.getAttribute("alt") || "").trim() && image.getAttribute("aria-hidden") !== "true");
  const broken = images().filter(image => !image.hidden && shown(image) && !(image.complete && image.naturalWidth > 0));
  const drawn = Array.from(content().querySelectorAll("svg")).filter(svg => shown(svg) && !svg.parentElement.closest("svg")
    && !svg.closest("mjx-container, [aria-hidden=true], button, a, label") && !spoken(svg));
  return { count: images().length, mute: pixels.map(sourced), broken: broken.map(sourced), "mute drawings": drawn.map(named) };
}

function sourced(image) {
  return `${named(image)} ${(image.currentSrc || image.src).slice(0, 60)}`;
}

// Whether a drawing says what it shows: a title, a label, or a figure's caption around it.
function spoken(svg) {
  const around = svg.closest("[aria-label], [aria-labelledby], figure");
  return svg.querySelector(":scope > title, :scope > desc") !== null || around !== null;
}

// ---- players

function parts(player) {
  return {
    frames: Array.from(player.querySelectorAll("img[data-label], [data-frame], img")),
    slider: player.querySelector("input[type=range]"), caption: player.querySelector("p"),
    button: name => player.querySelector(`[data-do=${name}]`)
  };
}

function state(player) {
  const { frames, slider, caption } = parts(player);
  const visible = frames.map((item, i) => [item, i]).filter(([item]) => shown(item)).map(([, i]) => i);
  const playing = parts(player).button("play").querySelectorAll("svg")[1];
  return {
    frames: frames.length, visible, at: Number(slider.value), last: Number(slider.max), caption: caption.textContent,
    label: visible.length ? frames[visible[0]].dataset.label : null, playing: shown(playing)
  };
}

// Every player steps forward and back by its own buttons and leaves the others alone.
function players() {
  const all = Array.from(document.querySelectorAll(".minicv-player"));
  return all.map(function (player) {
    const others = () => JSON.stringify(all.filter(one => one !== player).map(state));
    const start = state(player), before = others();
    parts(player).button("next").click();
    const next = state(player);
    parts(player).button("back").click();
    return { id: player.id, name: player.getAttribute("aria-label"), start, next, end: state(player), alone: before === others() };
  });
}

function playerState(index) {
  return state(document.querySelectorAll(".minicv-player")[index]);
}

// ---- links

function ids() {
  return Array.from(document.querySelectorAll("[id], a[name]")).map(element => element.id || element.name);
}

function links() {
  return Array.from(new Set(Array.from(document.links).filter(link => link.getAttribute("href")).map(link => link.href)));
}

// ---- colours

const page = window.look ||= { known: new Map(), inks: new WeakMap(), dot: canvas(1, 1) };        // kept between calls

function canvas(width, height) {
  return Object.assign(document.createElement("canvas"), { width, height }).getContext("2d", { willReadFrequently: true });
}

// [r, g, b, a] of any CSS colour, a in [0, 1].
function rgba(color) {
  if (!page.known.has(color)) {
    page.dot.clearRect(0, 0, 1, 1);
    page.dot.fillStyle = color;
    page.dot.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = page.dot.getImageData(0, 0, 1, 1).data;
    page.known.set(color, [r, g, b, a / 255]);
  }
  return page.known.get(color);
}

function over(top, below) {
  return [0, 1, 2].map(i => top[3] * top[i] + (1 - top[3]) * below[i]).concat([1]);
}

function luminance(color) {
  const [r, g, b] = color.slice(0, 3).map(c => c / 255).map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

// WCAG 2.2: (L1 + 0.05) / (L2 + 0.05).
function contrast(a, b) {
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (high + 0.05) / (low + 0.05);
}

// What is seen behind an element; null over an image.
function behind(element) {
  if (element === null) {
    const dark = getComputedStyle(document.documentElement).colorScheme.startsWith("dark");
    return dark ? [0, 0, 0, 1] : [255, 255, 255, 1];
  }
  if (!page.behind.has(element)) {
    const style = getComputedStyle(element), top = rgba(style.backgroundColor);
    const below = top[3] === 1 ? top : behind(element.parentElement);
    page.behind.set(element, below === null || style.backgroundImage !== "none" ? null : over(top, below));
  }
  return page.behind.get(element);
}

function opacity(element) {
  if (element === null) return 1;
  if (!page.opacity.has(element)) {
    page.opacity.set(element, Number(getComputedStyle(element).opacity) * opacity(element.parentElement));
  }
  return page.opacity.get(element);
}

// The uppermost filled shape drawn before a text of a drawing, where the text stands.
function shapeBehind(text) {
  const svg = text.ownerSVGElement, box = text.getBoundingClientRect();
  const x = (box.left + box.right) / 2, y = (box.top + box.bottom) / 2;
  const shapes = Array.from(svg.querySelectorAll("rect, circle, ellipse, path, polygon")).filter(function (shape) {
    const place = shape.getBoundingClientRect();
    return shape.compareDocumentPosition(text) & Node.DOCUMENT_POSITION_FOLLOWING && !shape.closest("defs, clipPath, marker")
      && place.left <= x && x <= place.right && place.top <= y && y <= place.bottom && getComputedStyle(shape).fill !== "none";
  });
  const below = behind(svg);
  return below && shapes.reduce(function (at, shape) {
    const style = getComputedStyle(shape), fill = rgba(style.fill);
    return over([...fill.slice(0, 3), fill[3] * Number(style.fillOpacity)], at);
  }, below);
}

function textColor(element) {
  const style = getComputedStyle(element);
  const color = rgba(element.ownerSVGElement ? style.fill : style.color);
  return [...color.slice(0, 3), color[3] * opacity(element)];
}

// Contrast of all text that is seen: the least ratio, and what stays below 4.5 (3 for large text).
async function colors() {
  await frame();
  [page.behind, page.opacity] = [new Map(), new Map()];
  const places = texts(document.body, "script, style, noscript, mjx-container, option").map(node => node.parentElement)
    .concat(Array.from(document.querySelectorAll("mjx-container")).filter(shown));
  const found = new Map();
  for (const element of new Set(places)) {
    const below = element.ownerSVGElement ? shapeBehind(element) : behind(element);
    if (below === null || element.getBoundingClientRect().width < 2) continue;
    const style = getComputedStyle(element), size = parseFloat(style.fontSize);
    const large = size >= 24 || size >= 18.66 && Number(style.fontWeight) >= 700;
    const ratio = contrast(over(textColor(element), below), below);
    const key = [ratio.toFixed(2), large, element.closest("pre") !== null].join();
    if (!found.has(key)) found.set(key, { ratio, large, code: element.closest("pre") !== null, where: `${named(element)} "${element.textContent.trim().slice(0, 40)}"` });
  }
  const all = Array.from(found.values());
  return {
    background: behind(content()), least: Math.min(...all.map(one => one.ratio)), faint: all.filter(one => one.ratio < (one.large ? 3 : 4.5)),
    texts: places.length, figures: await figures()
  };
}

// Pictures with holes in them must stand out from what shines through: the ink's contrast with the background.
async function figures() {
  const faint = [];
  for (const image of images().filter(one => content().contains(one) && shown(one) && one.naturalWidth > 0)) {
    const below = behind(image), colors = below && inks(image);
    if (!colors) continue;
    const ratios = colors.map(color => contrast(over(color, below), below)).sort((a, b) => a - b);
    const ratio = ratios.length ? ratios[Math.floor(0.9 * ratios.length)] : 1;
    if (ratio < 3) faint.push(`${sourced(image)}: ${ratio.toFixed(2)}`);
  }
  return faint;
}

// The colours of a small copy of a picture that are not clear; null if hardly any place is clear.
function inks(image) {
  if (page.inks.has(image)) return page.inks.get(image);
  const width = Math.min(120, image.naturalWidth), height = Math.max(1, Math.round(width * image.naturalHeight / image.naturalWidth));
  const copy = canvas(width, height), pixels = [];
  copy.drawImage(image, 0, 0, width, height);
  const data = copy.getImageData(0, 0, width, height).data;
  for (let i = 0; i < data.length; i += 4) {
    if (data[i + 3] >= 128) pixels.push([data[i], data[i + 1], data[i + 2], data[i + 3] / 255]);
  }
  page.inks.set(image, pixels.length < 0.95 * width * height ? pixels : null);
  return page.inks.get(image);
}

// ---- narrow screens

// What a reader could only see by scrolling the whole page sideways.
async function overflow() {
  await frame();
  const limit = document.documentElement.clientWidth + 1;
  const wide = Array.from(content().querySelectorAll("*")).filter(element => !element.closest("mjx-container *, svg *") && shown(element)
    && element.getBoundingClientRect().right > limit && element.getBoundingClientRect().width > 0 && !scrolls(element));
  return { limit: innerWidth, width: document.documentElement.scrollWidth, cut: wide.map(named).slice(0, 10) };
}

function scrolls(element) {
  for (let at = element.parentElement; at && at !== document.body; at = at.parentElement) {
    if (["auto", "scroll"].includes(getComputedStyle(at).overflowX)) return true;
  }
  return false;
}
