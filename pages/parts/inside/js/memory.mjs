// A user's events in time: how far each one moves the memory, and how long its absence is felt.
import { button, COLOURS, el, fixed, numbers, poster, remember, room, shape } from "./draw.mjs"

const gapText = (seconds) => seconds < 90 ? `${Math.round(seconds)} s` : seconds < 5400 ? `${Math.round(seconds / 60)} min` : seconds < 129600 ? `${Math.round(seconds / 3600)} h` : seconds < 5184000 ? `${Math.round(seconds / 86400)} days` : `${Math.round(seconds / 2592000)} months`

export default function ({ data, parentElement, setStateValue }) {
  const root = parentElement.querySelector(".inside")
  const own = remember(parentElement, () => ({ looks: null }))
  own.tell = setStateValue
  if (own.looks === data.looks && root.childElementCount) return
  const first = own.looks == null
  own.looks = data.looks
  const n = data.events.length
  let out = first && /^\d+$/.test(data.out) && Number(data.out) < n ? Number(data.out) : -1
  const line = el("div", { class: "timeline", role: "group", "aria-label": "Events, oldest first; press one to take it out" }), picture = el("div"), words = el("p", { class: "verdict", "aria-live": "polite" })
  const share = (j, k) => 100 * data.without[j][k] / (data.length[k] || 1)
  const most = Math.max(...data.moved, 1e-12)
  const draw = () => {
    const focused = [...line.querySelectorAll("button")].indexOf(line.getRootNode().activeElement)
    line.replaceChildren(...data.events.flatMap((event, at) => {
      const press = button("", () => { out = out === at ? -1 : at; draw(); own.tell("out", out < 0 ? "" : String(out)) }, { class: "event", "aria-pressed": out === at, "aria-label": `${event.title}, ${event.date}: take it out` })
      press.append(poster(event), el("div", { class: "column" }, el("i", { style: `height:${100 * data.moved[at] / most}%;background:${COLOURS[out >= 0 && at > out ? 6 : 0]}` })), el("b", {}, fixed(data.moved[at], 2)), el("span", {}, event.title))
      press.title = event.date
      const gap = at ? el("span", { class: "gap" }, gapText(data.times[at] - data.times[at - 1])) : null
      return gap ? [gap, press] : [press]
    }))
    if (focused >= 0) line.querySelectorAll("button")[focused]?.focus()
    const width = room(root, 1, 0), height = 200, x = (k) => 46 + (width - 66) * (n === 1 ? 0.5 : k / (n - 1)), shown = out < 0 ? data.events.map((_, j) => j) : [out]
    const top = Math.max(10, ...data.without.flatMap((row, j) => row.slice(j).map((_, k) => share(j, j + k)))), y = (v) => height - 28 - (height - 46) * v / top
    const svg = shape("svg", { class: "picture", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "Distance between the memory with and without an event, after each later event" })
    for (const v of [0, top / 2, top]) svg.append(shape("line", { x1: 40, x2: width - 10, y1: y(v), y2: y(v), stroke: "currentColor", "stroke-opacity": 0.15 }), shape("text", { class: "soft", x: 36, y: y(v) + 4, "text-anchor": "end" }, `${Math.round(v)} %`))
    for (const j of shown) {
      const points = data.without[j].map((_, k) => k).filter((k) => k >= j)
      svg.append(shape("polyline", { points: points.map((k) => `${x(k)},${y(share(j, k))}`).join(" "), fill: "none", stroke: out < 0 ? COLOURS[6] : COLOURS[5], "stroke-width": out < 0 ? 1.2 : 3, "stroke-opacity": out < 0 ? 0.7 : 1 }))
      if (out >= 0) for (const k of points) svg.append(shape("circle", { cx: x(k), cy: y(share(j, k)), r: 4, fill: COLOURS[5] }))
    }
    data.events.forEach((_, k) => svg.append(shape("text", { class: "soft", x: x(k), y: height - 8, "text-anchor": "middle" }, data.before + k + 1)))
    picture.replaceChildren(svg, el("p", { class: "hint" }, "How far the memory is from what it would be without the event, after each event (numbered from the user’s first)."))
    const largest = data.moved.indexOf(most)
    words.textContent = out < 0
      ? `${data.events[largest].title} moved the memory most (${fixed(most, 2)}). Press a film to take it out.`
      : `Without ${data.events[out].title} the memory differs by ${fixed(share(out, out), 0)} % right after it and by ${fixed(share(out, n - 1), 0)} % after the last event. The score of ${data.film.title} ${data.effects[out] >= 0 ? "falls" : "rises"} by ${fixed(Math.abs(data.effects[out]), 3)} (it is ${fixed(data.score, 3)}).`
  }
  root.replaceChildren(words, el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Events" }, line), el("p", { class: "hint" }, `Bars: how far each event moved the memory.${data.before ? ` ${data.before} earlier events are read, too.` : ""} Between the films: the time without events.`), picture,
    numbers("Numbers", ["Event", "Time", "Memory moved", "Memory length", "Change without it, at the end", `Effect on the score of ${data.film.title}`], data.events.map((event, at) => [event.title, event.date, fixed(data.moved[at]), fixed(data.length[at]), `${fixed(share(at, n - 1), 1)} %`, fixed(data.effects[at], 4)])))
  draw()
}
