// A user, two films and the steps of the optimiser, as arrows in a plane; scores and loss beside them.
import { button, COLOURS, el, fixed, numbers, poster, remember, room, shape, slider, tween } from "./draw.mjs"

const NAMES = ["user", "first film", "second film"]
const INK = [COLOURS[0], COLOURS[2], COLOURS[5]]

export default function ({ data, parentElement, setStateValue }) {
  const root = parentElement.querySelector(".inside")
  const own = remember(parentElement, () => ({ looks: null, at: 0, stop: () => {}, playing: 0 }))
  own.tell = setStateValue
  if (own.looks === data.looks && root.childElementCount) return
  const again = own.looks != null
  own.looks = data.looks
  own.stop(); clearInterval(own.playing); own.playing = 0
  const { states, films } = data, last = states.length - 1
  let [lr, l2, which, start] = data.how
  own.at = again ? 0 : start
  const labels = data.ratings ? [`★ ${data.ratings[0]}`, `★ ${data.ratings[1]}`] : ["liked", "sampled negative"]
  const width = room(root, 7 / 11), height = Math.min(400, Math.round(0.85 * width))
  const all = states.flatMap((state) => state.vectors)
  const reach = Math.max(1e-9, ...all.map(([x, y = 0]) => Math.hypot(x, y))) * 1.16
  const low = [0, 1].map((axis) => Math.min(-0.12 * reach, ...all.map((v) => (v[axis] ?? 0)) .map((v) => v * 1.12)))
  const high = [0, 1].map((axis) => Math.max(0.12 * reach, ...all.map((v) => (v[axis] ?? 0)).map((v) => v * 1.12)))
  const scale = Math.min((width - 60) / (high[0] - low[0]), (height - 60) / (high[1] - low[1]))
  const place = ([x, y = 0]) => [width / 2 + (x - (low[0] + high[0]) / 2) * scale, height / 2 - (y - (low[1] + high[1]) / 2) * scale]
  const svg = shape("svg", { class: "picture", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Arrows of the user and of two films in a plane; the numbers are in the table below` })
  const heads = shape("defs")
  INK.forEach((ink, at) => heads.append(shape("marker", { id: `head${at}`, viewBox: "0 0 10 10", refX: 8, refY: 5, markerWidth: 6, markerHeight: 6, orient: "auto-start-reverse" }, shape("path", { d: "M0,0L10,5L0,10Z", fill: ink }))))
  const [ox, oy] = place([0, 0])
  svg.append(heads, shape("line", { x1: 0, x2: width, y1: oy, y2: oy, stroke: "currentColor", "stroke-opacity": 0.18 }), shape("line", { x1: ox, x2: ox, y1: 0, y2: height, stroke: "currentColor", "stroke-opacity": 0.18 }))
  const trails = INK.map((ink) => shape("polyline", { fill: "none", stroke: ink, "stroke-width": 1.5, "stroke-dasharray": "2 3", "stroke-opacity": 0.8 }))
  const ghosts = INK.map((ink) => shape("line", { x1: ox, y1: oy, stroke: ink, "stroke-width": 2, "stroke-opacity": 0.3 }))
  const arrows = INK.map((ink, at) => shape("line", { x1: ox, y1: oy, stroke: ink, "stroke-width": 3.5, "marker-end": `url(#head${at})` }))
  const pulls = INK.map((ink) => shape("line", { stroke: "currentColor", "stroke-width": 1.6, "stroke-dasharray": "5 3" }))
  const names = [data.user, ...films.map((film, at) => `${film.title.length > 24 ? `${film.title.slice(0, 23)}…` : film.title} (${labels[at]})`)].map((text) => shape("text", { "font-weight": 600, "paint-order": "stroke", stroke: "var(--st-secondary-background-color)", "stroke-width": 4 }, text))
  const along = shape("line", { stroke: COLOURS[2], "stroke-width": 2, "stroke-dasharray": "1 4", "stroke-linecap": "round" })
  svg.append(...ghosts, ...trails, along, ...pulls, ...arrows, ...names)
  ghosts.forEach((line, at) => { const [x, y] = place(states[0].vectors[at]); line.setAttribute("x2", x); line.setAttribute("y2", y) })

  const softplus = (v) => Math.max(v, 0) + Math.log1p(Math.exp(-Math.abs(v)))
  const comparison = ({ scores: [a, b] }) => data.kind === "bpr" ? softplus(b - a) : data.kind === "mf_bce" ? (softplus(-a) + softplus(b)) / 2 : ((a - data.ratings[0]) ** 2 + (b - data.ratings[1]) ** 2) / 2
  const parts = el("p", { class: "formula" })
  const steps = el("output", {}), loss = el("b"), bars = el("div", { class: "pairs" }), table = el("div")
  const span = [Math.min(0, ...states.flatMap((s) => s.scores)), Math.max(0, ...states.flatMap((s) => s.scores))]
  const share = (value) => 100 * (value - span[0]) / (span[1] - span[0] || 1)
  const scoreBar = (at, value, before) => el("div", { class: "pair" }, poster(films[at]), el("div", {}, el("div", { class: "line" }, el("span", { class: "title" }, films[at].title), el("small", {}, labels[at])),
    el("div", { class: "bar-track" }, el("i", { style: `left:${Math.min(share(0), share(value))}%;width:${Math.abs(share(value) - share(0))}%;background:${INK[at + 1]}` }), el("u", { style: `left:${share(before)}%` })),
    el("small", { class: "soft" }, `score ${fixed(value)}, was ${fixed(before)}`)))
  const draw = (vectors, state) => {
    const now = vectors.map(place)
    now.forEach(([x, y], at) => {
      arrows[at].setAttribute("x2", x); arrows[at].setAttribute("y2", y)
      const right = x > width - 190
      const under = now.findIndex(([ux, uy], other) => other < at && Math.hypot(ux - x, uy - y) < 16) >= 0
      names[at].setAttribute("x", Math.max(6, Math.min(width - 6, x + (right ? -8 : 8)))); names[at].setAttribute("y", Math.max(14, Math.min(height - 6, y + (y > oy ? 16 : -7) + (under ? 15 : 0)))); names[at].setAttribute("text-anchor", right ? "end" : "start")
    })
    trails.forEach((line, at) => line.setAttribute("points", [...states.slice(0, own.at + 1).map((s) => s.vectors[at]), vectors[at]].map((v) => place(v).join(",")).join(" ")))
    const [ux, uy] = now[0], [lx, ly] = now[1], [nx, ny] = now[2], far = Math.hypot(lx - nx, ly - ny) || 1
    along.setAttribute("x1", ux), along.setAttribute("y1", uy), along.setAttribute("x2", ux + (lx - nx) / far * 80), along.setAttribute("y2", uy + (ly - ny) / far * 80)
    const pull = state.gradients
    const longest = pull ? Math.max(1e-12, ...pull.map(([x, y = 0]) => Math.hypot(x, y))) : 1
    pulls.forEach((line, at) => {
      line.style.display = pull ? "" : "none"
      if (!pull) return
      const [x, y = 0] = pull[at], [ax, ay] = now[at], long = 62 / longest
      line.setAttribute("x1", ax); line.setAttribute("y1", ay); line.setAttribute("x2", ax - x * long); line.setAttribute("y2", ay + y * long)
    })
    steps.textContent = `${own.at} of ${last} steps`
    loss.textContent = fixed(state.loss, 4)
    const own_ = comparison(state)
    parts.textContent = `of the comparison ${fixed(own_, 4)}, of the penalty ${fixed(state.loss - own_, 4)}; length of the user’s gradient ${fixed(state.pull, 4)}`
    bars.replaceChildren(scoreBar(0, state.scores[0], states[0].scores[0]), scoreBar(1, state.scores[1], states[0].scores[1]),
      el("p", { class: "hint" }, `Difference of the scores: ${fixed(state.scores[0] - state.scores[1])}, was ${fixed(states[0].scores[0] - states[0].scores[1])}`))
  }
  const finish = () => {
    for (const [knob, off] of [[one, own.at >= last], [ten, own.at >= last], [hundred, own.at >= last], [reset, own.at === 0]]) knob.disabled = off
    const shown = [...new Set([0, 1, 2, 3, 5, 10, 20, 50, 100, own.at])].filter((n) => n <= own.at).sort((a, b) => a - b)
    const open = table.querySelector("details")?.open
    table.replaceChildren(numbers("Numbers of each step", ["Step", "Loss", `Score, ${labels[0]}`, `Score, ${labels[1]}`, ...NAMES.map((n) => `${n} (x, y)`)],
      shown.map((n) => [n, fixed(states[n].loss, 4), fixed(states[n].scores[0]), fixed(states[n].scores[1]), ...states[n].vectors.map((v) => v.map((c) => fixed(c)).join(", "))])))
    table.querySelector("details").open = Boolean(open)
    own.tell("how", [lr, l2, which, own.at].join("-"))
  }
  const go = (to) => {
    const from = own.at, goal = Math.max(0, Math.min(last, to))
    own.stop()
    if (goal === from) return
    const ms = goal === 0 ? 250 : Math.min(1600, 350 + 14 * Math.abs(goal - from))
    own.stop = tween(ms, (part) => {
      const exact = from + (goal - from) * part, at = Math.floor(exact), rest = exact - at, next = Math.min(last, at + 1)
      own.at = at
      draw(states[at].vectors.map((v, i) => v.map((c, axis) => c + rest * (states[next].vectors[i][axis] - c))), states[rest > 0.5 ? next : at])
    }, () => { own.at = goal; draw(states[goal].vectors, states[goal]); finish() })
  }
  const one = button("Step", () => go(own.at + 1), { class: "main" }), ten = button("10 steps", () => go(own.at + 10)), hundred = button("100 steps", () => go(own.at + 100)), reset = button("Reset", () => go(0))
  const ask = () => { own.at = 0; own.tell("how", [lr, l2, which, 0].join("-")) }
  const rate = slider({ label: "Learning rate:", min: 0, max: data.rates.length - 1, value: lr, format: (at) => `${data.rates[at]}${at === data.usual[0] ? " (as trained)" : ""}`, change: (at) => { lr = at; ask() } })
  const penalty = slider({ label: "Penalty (l2):", min: 0, max: data.penalties.length - 1, value: l2, format: (at) => `${data.penalties[at]}${at === data.usual[1] ? " (as trained)" : ""}`, change: (at) => { l2 = at; ask() } })
  root.replaceChildren(el("div", { class: "bar" }, one, ten, hundred, reset, button("Other films", () => { which = (which + 1) % 100; ask() }), button("A pair in the wrong order", () => { which = data.wrong; ask() }, { disabled: data.wrong == null }), rate, penalty),
    el("div", { class: "two wide-left" }, el("div", {}, svg, el("div", { class: "legend" }, ...[data.user, ...films.map((f) => f.title)].map((text, at) => el("span", {}, el("i", { style: `background:${INK[at]}` }), text)), el("span", {}, "dashed: against the gradient, penalty included"), el("span", {}, "dotted: from the other film towards the liked one"))),
      el("div", {}, el("div", { class: "metric" }, el("h4", {}, "Loss", loss), parts, steps), bars, table)))
  draw(states[own.at].vectors, states[own.at])
  finish()
}
