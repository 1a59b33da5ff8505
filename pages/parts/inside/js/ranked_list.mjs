// A ranked list of ten films to drag; every metric beside it, with the terms that make it up.
import { button, el, fixed, poster, remember, slider, still } from "./draw.mjs"
import { metricTerms } from "./metric_terms.mjs"

export default function ({ data, parentElement, setStateValue }) {
  const root = parentElement.querySelector(".inside")
  const own = remember(parentElement, () => ({ from: null }))
  own.tell = setStateValue
  if (own.given === data.state && root.childElementCount) return
  own.given = own.from = data.state
  let [order, liked, k] = [data.order.slice(), new Set(data.liked), data.k]
  const start = { order: data.first.order.slice(), liked: [...data.first.liked], k: data.first.k }
  const list = el("ol", { class: "ranked", "aria-label": "Ranked list, best first" })
  const cards = el("div", { class: "metrics" }), live = el("div", { class: "live", "aria-live": "polite" })
  const films = data.films, lines = new Map()

  const tell = () => {
    own.from = `${order.join("-")}.${[...liked].sort((a, b) => a - b).join("-")}.${k}`
    own.tell("list", own.from)
  }
  const show = () => {
    order.forEach((id, at) => {
      const line = lines.get(id)
      line.querySelector(".rank").textContent = at + 1
      line.classList.toggle("liked", liked.has(id))
      line.classList.toggle("beyond", at >= k)
      const heart = line.querySelector(".heart")
      heart.setAttribute("aria-pressed", String(liked.has(id)))
      heart.textContent = liked.has(id) ? "♥" : "♡"
    })
    cards.replaceChildren(...metricTerms(order.map((id) => liked.has(id)), k).map((metric) => el("section", { class: "metric" },
      el("h4", {}, metric.name, el("b", {}, fixed(metric.value))),
      el("div", { class: "stack", "aria-hidden": "true" }, ...metric.terms.map((term) =>
        el("i", { class: "term", "data-rank": term.rank, style: `flex: 0 0 ${100 * term.value}%`, title: `rank ${term.rank}: ${fixed(term.value)}` }))),
      el("p", { class: "terms" }, metric.terms.length
        ? metric.terms.flatMap((term, at) => [at ? " + " : "", el("span", { class: "term", "data-rank": term.rank }, `${term.text}`)]) .reduce((all, part) => (all.append(part), all), el("span", {}))
        : Number.isNaN(metric.value) ? "not defined: mark a film as liked, and leave one that is not" : "no liked film counts", metric.terms.length ? ` = ${fixed(metric.value)}` : ""),
      el("p", { class: "formula" }, metric.formula))))
  }
  const light = (rank, on) => { for (const part of cards.querySelectorAll(`[data-rank="${rank}"]`)) part.classList.toggle("lit", on) }
  const place = (id, to) => {
    const from = order.indexOf(id), at = Math.max(0, Math.min(order.length - 1, to))
    if (from === at) return false
    const before = new Map([...lines].map(([film, line]) => [film, line.offsetTop]))
    order.splice(from, 1)
    order.splice(at, 0, id)
    const focused = list.getRootNode().activeElement
    list.append(...order.map((film) => lines.get(film)))
    if (focused && focused !== list.getRootNode().activeElement) focused.focus?.({ preventScroll: true })
    if (!still()) for (const [film, line] of lines) {
      const gap = before.get(film) - line.offsetTop
      if (gap && film !== own.dragged) line.animate([{ transform: `translateY(${gap}px)` }, { transform: "none" }], { duration: 160, easing: "ease-out" })
    }
    show()
    live.textContent = `${films[id].title}: rank ${at + 1}`
    return true
  }
  const line = (id) => {
    const film = films[id]
    const move = (by) => { if (place(id, order.indexOf(id) + by)) tell() }
    const grip = button("", null, { class: "grip", "aria-label": `${film.title}: move with the arrow keys` })
    grip.append(el("span", { class: "rank" }), poster(film))
    grip.addEventListener("keydown", (event) => {
      const by = { ArrowUp: -1, ArrowDown: 1, Home: -order.length, End: order.length }[event.key]
      if (by === undefined) return
      event.preventDefault()
      move(by)
    })
    const node = el("li", { "data-film": id }, grip, el("span", { class: "title" }, film.title),
      button("♡", () => { liked.has(id) ? liked.delete(id) : liked.add(id); show(); tell() }, { class: "heart", "aria-label": `${film.title} is liked` }),
      button("▲", () => move(-1), { class: "nudge", "aria-label": `${film.title}: up` }), button("▼", () => move(1), { class: "nudge", "aria-label": `${film.title}: down` }))
    node.addEventListener("pointerenter", () => light(order.indexOf(id) + 1, true))
    node.addEventListener("pointerleave", () => light(order.indexOf(id) + 1, false))
    // a finger drags by the poster, so that the rest of the row still scrolls the page; a mouse drags by the whole row
    node.addEventListener("pointerdown", (event) => {
      if (event.button || event.target.closest(".heart, .nudge") || (event.pointerType === "touch" && !grip.contains(event.target))) return
      event.preventDefault()
      grip.focus({ preventScroll: true })
      node.setPointerCapture(event.pointerId)
      own.dragged = id
      node.classList.add("dragged")
      const dragged = (moved) => {
        const height = node.offsetHeight, top = list.getBoundingClientRect().top
        place(id, Math.floor((moved.clientY - top) / height))
      }
      const end = () => {
        node.removeEventListener("pointermove", dragged)
        node.classList.remove("dragged")
        own.dragged = null
        tell()
      }
      node.addEventListener("pointermove", dragged)
      node.addEventListener("pointerup", end, { once: true })
      node.addEventListener("pointercancel", end, { once: true })
    })
    lines.set(id, node)
    return node
  }
  for (const id of order) list.append(line(id))
  const cut = slider({ label: "Cut-off k", min: 1, max: order.length, value: k, input: (value) => { k = value; show() }, change: tell, width: "16rem" })
  const set = (next) => { // a ready-made order
    order = next.slice()
    list.append(...order.map((film) => lines.get(film)))
    show()
    tell()
  }
  const parted = (first) => { const yes = order.filter((id) => liked.has(id)), no = order.filter((id) => !liked.has(id)); return first ? [...yes, ...no] : [...no, ...yes] }
  const bar = el("div", { class: "bar" }, cut, button("Best order", () => set(parted(true))), button("Worst order", () => set(parted(false))),
    button("Reset", () => { liked = new Set(start.liked); k = start.k; cut.set(k); set(start.order) }))
  root.replaceChildren(bar, el("div", { class: "two" }, list, cards), live)
  show()
}
