// What all views share: building elements, sliders, buttons, tables, colours and motion.
export const COLOURS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8C8C8C", "#7A6A00"]
let namespace = "" // of SVG, as the page itself gives it
const kept = new WeakMap() // by component: what it holds between two runs of its script

/** An HTML element with attributes (`on…` are listeners, `class`, `data-…`, `aria-…` as they are) and children. */
export const el = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children)

/** An SVG element, likewise. */
export const shape = (tag, attributes = {}, ...children) => {
  if (!namespace) {
    const frame = document.createElement("template")
    frame.innerHTML = "<svg></svg>"
    namespace = frame.content.firstElementChild.namespaceURI
  }
  return fill(document.createElementNS(namespace, tag), attributes, children)
}

const fill = (node, attributes, children) => {
  for (const [key, value] of Object.entries(attributes)) {
    if (value == null || (value === false && !key.startsWith("aria-"))) continue
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value)
    else node.setAttribute(key, value === true && !key.startsWith("aria-") ? "" : value)
  }
  node.append(...children.filter((child) => child != null))
  return node
}

/** What a component keeps between two runs; `start` makes it at first. */
export const remember = (parentElement, start) => {
  if (!kept.has(parentElement)) kept.set(parentElement, start())
  return kept.get(parentElement)
}

export const still = () => globalThis.matchMedia?.("(prefers-reduced-motion: reduce)").matches ?? false

/** Calls `step(0 … 1)` for `ms` milliseconds, then `done`; at once to the end where motion is unwanted. Returns a stop. */
export const tween = (ms, step, done = () => {}) => {
  if (still() || ms <= 0) { step(1); done(); return () => {} }
  let frame = 0, from = null
  const next = (now) => {
    from ??= now
    const share = Math.min(1, (now - from) / ms)
    step(share < 1 ? share * share * (3 - 2 * share) : 1)
    if (share < 1) frame = requestAnimationFrame(next)
    else done()
  }
  frame = requestAnimationFrame(next)
  return () => cancelAnimationFrame(frame)
}

/** A labelled slider; `input(value)` while it moves, `change(value)` when it is let go. */
export const slider = ({ label, min, max, step = 1, value, format = String, input = () => {}, change = () => {}, width }) => {
  const shown = el("output", {}, format(value))
  const range = el("input", { type: "range", min, max, step, value, "aria-label": label, "aria-valuetext": format(value) })
  range.value = value // after min and max, which cut it
  const set = (own) => { shown.textContent = format(own); range.setAttribute("aria-valuetext", format(own)) }
  range.addEventListener("input", () => { set(Number(range.value)); input(Number(range.value)) })
  range.addEventListener("change", () => change(Number(range.value)))
  const whole = el("label", { class: "slider", style: width ? `max-width:${width}` : null }, el("span", {}, label, " ", shown), range)
  whole.set = (own) => { range.value = own; set(own) }
  return whole
}

export const button = (text, press, attributes = {}) => el("button", { type: "button", onclick: press, ...attributes }, text)

/** A table that a click on its title opens: the same numbers as the picture. */
export const numbers = (title, head, rows) => el("details", { class: "numbers" }, el("summary", {}, title),
  el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": title }, el("table", {},
    el("thead", {}, el("tr", {}, ...head.map((text) => el("th", { scope: "col" }, text)))),
    el("tbody", {}, ...rows.map((row) => el("tr", {}, ...row.map((cell, at) => el(at ? "td" : "th", at ? {} : { scope: "row" }, String(cell)))))))))

/** A number with so many decimals, without a leading zero's sign problems. */
export const fixed = (value, digits = 3) => Number.isFinite(value) ? (Math.abs(value) < 0.5 * 10 ** -digits ? 0 : value).toFixed(digits).replace("-", "−") : "–"

export const poster = (film, attributes = {}) => film.poster
  ? el("img", { src: film.poster, alt: "", loading: "lazy", class: "poster", ...attributes })
  : el("span", { class: "poster none", ...attributes })

/** Width in pixels of a picture that takes `share` of a component: one unit of its `viewBox` is one pixel, so text stays legible on a phone. */
export const room = (root, share = 1, gap = 20) => {
  const wide = root.clientWidth || root.parentElement?.clientWidth || 640
  return Math.round(Math.max(280, globalThis.innerWidth <= 640 ? wide : wide * share - gap))
}
