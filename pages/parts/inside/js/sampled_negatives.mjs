// NDCG@10 of models by the number of sampled negatives, with a slider: the order of the models may change on the way.
import { el, fixed, numbers, remember, room, shape, slider } from "./draw.mjs"

export default function ({ data, parentElement, setStateValue }) {
  const root = parentElement.querySelector(".inside")
  const own = remember(parentElement, () => ({ looks: null, at: null }))
  own.tell = setStateValue
  const looks = JSON.stringify([data.models, data.sizes])
  if (own.looks === looks && root.childElementCount) return
  own.looks = looks
  const { sizes, models } = data, last = sizes.length - 1
  const asked = Number(data.state)
  let at = own.at ?? (data.state && asked > 0 ? sizes.reduce((best, n, i) => Math.abs(n - asked) < Math.abs(sizes[best] - asked) ? i : best, 0) : last)
  const width = room(root, 7 / 11), height = 320, left = 46, bottom = 34, top = 14, right = 14
  const x = (i) => left + (Math.log(sizes[i]) / Math.log(sizes[last])) * (width - left - right)
  const y = (value) => height - bottom - value * (height - bottom - top)
  const svg = shape("svg", { class: "picture", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "NDCG@10 of each model by the number of sampled negatives; the numbers are in the table below" })
  for (const value of [0, 0.25, 0.5, 0.75, 1]) svg.append(shape("line", { x1: left, x2: width - right, y1: y(value), y2: y(value), stroke: "currentColor", "stroke-opacity": 0.15 }), shape("text", { class: "soft", x: left - 6, y: y(value) + 4, "text-anchor": "end" }, value.toFixed(2)))
  const marked = sizes.flatMap((n, i) => !i || i === last || i % 6 === 0 && last - i > 3 ? [i] : [])
  for (const i of marked) svg.append(shape("text", { class: "soft", x: x(i), y: height - 12, "text-anchor": i === last ? "end" : "middle" }, i === last ? `all ${sizes[i]}` : sizes[i]))
  models.forEach((model, m) => svg.append(shape("polyline", { points: model.values.map((v, i) => `${x(i)},${y(v)}`).join(" "), fill: "none", stroke: model.colour, "stroke-width": 2.5, "stroke-dasharray": ["", "7 3", "2 3", "8 3 2 3", "12 4"][m % 5] })))
  const line = shape("line", { y1: top, y2: height - bottom, stroke: "currentColor", "stroke-width": 1.5 })
  const dots = models.map((model) => shape("circle", { r: 5, fill: model.colour, stroke: "var(--st-background-color)", "stroke-width": 1.5 }))
  svg.append(line, ...dots)
  const order = el("ol", { class: "order", "aria-live": "polite" }), note = el("p", { class: "hint" })
  const rank = (i) => models.map((model, m) => [model.values[i], m]).sort((a, b) => b[0] - a[0])
  const show = () => {
    line.setAttribute("x1", x(at)), line.setAttribute("x2", x(at))
    dots.forEach((dot, m) => { dot.setAttribute("cx", x(at)); dot.setAttribute("cy", y(models[m].values[at])) })
    const full = rank(last).map(([, m]) => m), now = rank(at)
    order.replaceChildren(...now.map(([value, m], place) => el("li", {}, el("i", { style: `background:${models[m].colour}` }), el("span", {}, models[m].name), el("b", {}, fixed(value)),
      el("small", { class: full.indexOf(m) === place ? "" : "down" }, full.indexOf(m) === place ? "" : `is number ${full.indexOf(m) + 1} among all`))))
    const first = sizes.findIndex((_, i) => rank(i).every(([, m], place) => m === full[place]) && sizes.slice(i).every((_, j) => rank(i + j).every(([, m], place) => m === full[place])))
    note.textContent = first <= 0 ? "The order is the same for every number of negatives." : `Below ${sizes[first]} negatives the order differs from that of the full ranking.`
  }
  const range = slider({ label: "Sampled negatives:", min: 0, max: last, value: at, format: (i) => i >= last ? `all ${sizes[last]}` : String(sizes[i]), input: (i) => { own.at = at = i; show() }, change: (i) => own.tell("n", i >= last ? "" : String(sizes[i])), width: "30rem" })
  root.replaceChildren(el("div", { class: "bar" }, range), el("div", { class: "two wide-left" }, svg, el("div", {}, order, note)),
    numbers("Numbers", ["Negatives", ...models.map((m) => m.name)], sizes.map((n, i) => [i === last ? `all ${n}` : n, ...models.map((m) => fixed(m.values[i]))])))
  show()
}
