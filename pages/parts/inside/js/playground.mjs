// A playground: a small world, and mf, bpr or ease that learn it while one watches, until they overfit.
import { button, COLOURS, el, fixed, numbers, remember, room, shape, slider, still } from "./draw.mjs"
import { aucOf, ease, epochBpr, epochMf, makeWorld, rmseOf, scoreOf, startWeights } from "./factorisation.mjs"

const MOST = 400
const KNOBS = { // label, smallest, largest, step, first value
  tastes: ["Tastes:", 1, 5, 1, 3], noise: ["Noise:", 0, 2, 0.1, 0.8], density: ["Share of ratings known:", 0.05, 0.9, 0.05, 0.4],
  rate: ["Learning rate:", 0.005, 0.2, 0.005, 0.02], l2: ["Penalty l2:", 0, 0.3, 0.01, 0], dim: ["Factors:", 1, 8, 1, 8],
}

export default function ({ data, parentElement, setStateValue }) {
  const root = parentElement.querySelector(".inside")
  const own = remember(parentElement, () => ({ built: false, frame: 0 }))
  const leave = () => cancelAnimationFrame(own.frame) // the last call's answer counts when the component goes
  own.tell = setStateValue
  if (own.built && root.childElementCount) return leave
  own.built = true
  cancelAnimationFrame(own.frame)
  const given = data.state.split("~"), settings = Object.fromEntries(Object.entries(KNOBS).map(([key, [, low, high, , usual]], at) => { const asked = Number(given[at + 1]); return [key, given[at + 1] && asked >= low && asked <= high ? asked : usual] }))
  let kind = ["mf", "bpr", "ease"].includes(given[0]) ? given[0] : "mf", seed = Number(given[7]) > 0 ? Number(given[7]) % 1000 : 1
  let world, weights, course, best, running = false, stopAt = null
  const tell = () => own.tell("state", [kind, ...Object.values(settings).map((v) => Number(v.toFixed(3))), seed].join("~"))
  const better = (a, b) => (kind === "mf" ? a < b : a > b)
  const metric = () => (kind === "mf" ? "RMSE" : "AUC")
  const width = room(root, 0.5), size = Math.min(width, 380)
  const plane = shape("svg", { class: "picture", viewBox: `0 0 ${width} ${size}`, role: "img", "aria-label": "Users (circles) and films (squares) at their first two factors; colours are tastes" })
  const chart = shape("svg", { class: "picture", viewBox: `0 0 ${width} 226`, role: "img", "aria-label": "Error on training and on held-out ratings by epoch; the numbers are below" })
  const words = el("p", { class: "verdict", "aria-live": "polite" }), table = el("div"), controls = el("div", { class: "bar" }), knobs = el("div", { class: "bar" })
  const measure = () => {
    if (kind === "mf") return [rmseOf(weights, world.train), rmseOf(weights, world.held)]
    return [aucOf((u, i) => scoreOf(weights, u, i), world.train), aucOf((u, i) => scoreOf(weights, u, i), world.held)]
  }
  const restart = () => {
    running = false
    cancelAnimationFrame(own.frame)
    world = makeWorld({ ...settings, seed })
    stopAt = null
    best = null
    if (kind === "ease") { easeCourse(); show(); return }
    weights = startWeights(world, settings.dim, seed)
    course = [{ epoch: 0, values: measure() }]
    best = course[0]
    show()
  }
  const easeCourse = () => { // a closed form has no epochs: the penalty is its only knob
    const x = Array.from({ length: world.users }, () => Array(world.items).fill(0))
    for (const { u, i, liked } of world.train) if (liked) x[u][i] = 1
    course = [0.3, 1, 3, 10, 30, 100, 300].map((l2) => {
      const b = ease(x, l2), score = (u, i) => x[u].reduce((total, v, j) => total + v * b[j][i], 0)
      return { epoch: l2, values: [aucOf(score, world.train), aucOf(score, world.held)] }
    })
    for (const point of course) if (!best || better(point.values[1], best.values[1])) best = point
  }
  const step = () => {
    for (let n = 0; n < 2 && course.length <= MOST; n++) {
      ;(kind === "mf" ? epochMf : epochBpr)(weights, world, settings.rate, settings.l2)
      course.push({ epoch: course.length, values: measure() })
      const now = course[course.length - 1]
      if (!best || better(now.values[1], best.values[1])) best = now
    }
    show()
    const diverged = !course[course.length - 1].values.every(Number.isFinite)
    if (running && course.length <= MOST && !diverged) own.frame = requestAnimationFrame(step)
    else { running = false; buildControls(); show() }
  }
  const shapes = (list, draw_) => list.forEach(draw_)
  const show = () => {
    // the plane
    if (kind === "ease") plane.replaceChildren(shape("text", { class: "soft", x: width / 2, y: size / 2, "text-anchor": "middle" }, "EASE has no factors: one weight per pair of films."))
    else {
      const all = [...weights.p, ...weights.q], reach = Math.max(0.5, ...all.flat().map(Math.abs).filter(Number.isFinite)) * 1.1, x = (v) => width / 2 + (v[0] / reach) * (Math.min(width, size) / 2 - 8), y = (v) => size / 2 - ((v[1] ?? 0) / reach) * (size / 2 - 8)
      const parts = [shape("line", { x1: 0, x2: width, y1: size / 2, y2: size / 2, stroke: "currentColor", "stroke-opacity": 0.15 }), shape("line", { x1: width / 2, x2: width / 2, y1: 0, y2: size, stroke: "currentColor", "stroke-opacity": 0.15 })]
      shapes(weights.p, (v, u) => parts.push(shape("circle", { cx: x(v), cy: y(v), r: 4, fill: COLOURS[world.userTaste[u]], "fill-opacity": 0.75 })))
      shapes(weights.q, (v, i) => parts.push(shape("rect", { x: x(v) - 4, y: y(v) - 4, width: 8, height: 8, fill: "none", stroke: COLOURS[world.itemTaste[i]], "stroke-width": 2 })))
      plane.replaceChildren(...parts)
    }
    // the curves
    const log = kind === "ease", values = course.flatMap((c) => c.values).filter(Number.isFinite), low = Math.min(...values), high = Math.max(...values), last = Math.max(30, course.length - 1)
    const px = (c) => 44 + (width - 60) * (log ? Math.log(c.epoch / 0.3) / Math.log(1000) : c.epoch / last), py = (v) => 186 - 162 * ((v - low) / (high - low || 1))
    const line = (at, dash) => shape("polyline", { points: course.filter((c) => Number.isFinite(c.values[at])).map((c) => `${px(c)},${py(c.values[at])}`).join(" "), fill: "none", stroke: COLOURS[at ? 5 : 0], "stroke-width": 2.5, "stroke-dasharray": dash })
    const ticks = log ? course.map((c) => shape("text", { class: "soft", x: px(c), y: 208, "text-anchor": "middle" }, c.epoch)) : [0, 0.5, 1].map((share) => shape("text", { class: "soft", x: 44 + (width - 60) * share, y: 208, "text-anchor": "middle" }, Math.round(last * share)))
    chart.replaceChildren(shape("text", { class: "soft", x: width / 2, y: 222, "text-anchor": "middle" }, log ? "penalty l2" : "epoch"), shape("text", { class: "soft", x: 44, y: 12 }, `${metric()}, ${kind === "mf" ? "lower" : "higher"} is better`), ...(values.length ? [low, high].map((v) => shape("text", { class: "soft", x: 38, y: py(v) + 4, "text-anchor": "end" }, v.toFixed(2))) : []), ...ticks, line(0, "6 3"), line(1, ""),
      ...(best && (log || course.length > 3) ? [shape("line", { x1: px(best), x2: px(best), y1: 10, y2: 190, stroke: COLOURS[2], "stroke-width": 2 }), shape("text", { x: px(best) + (px(best) > width - 150 ? -6 : 6), y: 186, "paint-order": "stroke", stroke: "var(--st-secondary-background-color)", "stroke-width": 4, "text-anchor": px(best) > width - 150 ? "end" : "start" }, log ? `best: l2 = ${best.epoch}` : `best: epoch ${best.epoch}`)] : []))
    const now = course[course.length - 1], gap = best && now.values.every(Number.isFinite) ? Math.abs(now.values[1] - best.values[1]) : 0
    words.className = "verdict"
    if (kind === "ease") words.textContent = `The penalty that is best on held-out ratings is l2 = ${best.epoch} (AUC ${fixed(best.values[1])}). With a small one EASE fits the training likes (AUC ${fixed(course[0].values[0])}) and does worse on others (${fixed(course[0].values[1])}).`
    else if (!now.values.every(Number.isFinite)) words.textContent = "The training diverged: the numbers are no longer finite. Use a smaller learning rate."
    else if (best.epoch === 0 && now.epoch > 20) { words.className = "verdict differs"; words.textContent = `No epoch was better on held-out ratings than before training (${metric()} ${fixed(best.values[1])}; now ${fixed(now.values[1])}): there is too much noise or too little data for these settings.` }
    else if (course.length < 3) words.textContent = `${world.train.length} ratings to learn from, ${world.held.length} held out. Press Play.`
    else if (gap > 0.015 && now.epoch > best.epoch + 5) { words.className = "verdict differs"; words.textContent = `Overfitting: since epoch ${best.epoch} the held-out ${metric()} went from ${fixed(best.values[1])} to ${fixed(now.values[1])}, which is worse, while the training ${metric()} still improves. Early stopping keeps the weights of epoch ${best.epoch}.` }
    else words.textContent = `Epoch ${now.epoch}: ${metric()} ${fixed(now.values[0])} on training ratings, ${fixed(now.values[1])} on held-out ones.`
    const marks = [...new Set([0, 1, 2, 5, 10, 20, 50, 100, 200, 400, best?.epoch, now.epoch])].filter((n) => n != null)
    const open = table.querySelector("details")?.open
    if (!running) {
      table.replaceChildren(numbers("Numbers", [log ? "l2" : "Epoch", `${metric()}, training`, `${metric()}, held out`], course.filter((c) => log || marks.includes(c.epoch)).map((c) => [c.epoch, fixed(c.values[0]), fixed(c.values[1])])))
      table.querySelector("details").open = Boolean(open)
    }
  }
  const buildControls = () => {
    const focus = [...controls.querySelectorAll("button")].findIndex((b) => b === controls.getRootNode().activeElement)
    controls.replaceChildren(el("div", { class: "group", role: "group", "aria-label": "Model" }, ...["mf", "bpr", "ease"].map((name) => button(name, () => { kind = name; restart(); buildControls(); buildKnobs(); tell() }, { class: "choice", "aria-pressed": name === kind }))),
      ...(kind === "ease" ? [] : [button(running ? "❚❚ Pause" : "▶ Play", () => {
        running = !running
        if (running && course.length > MOST) { restart(); running = true }
        buildControls()
        if (running) still() ? (() => { while (course.length <= MOST && running) { step(); cancelAnimationFrame(own.frame); if (!course[course.length - 1].values.every(Number.isFinite)) break } running = false; buildControls(); show() })() : step()
      }, { class: "main" }), button("One epoch", () => { running = false; cancelAnimationFrame(own.frame); step(); buildControls() }, { disabled: course.length > MOST }), button("Reset", () => { restart(); buildControls() })]),
      button("New world", () => { seed = seed % 999 + 1; restart(); buildControls(); tell() }))
    if (focus >= 0) controls.querySelectorAll("button")[focus]?.focus()
  }
  const buildKnobs = () => knobs.replaceChildren(...Object.entries(KNOBS).filter(([key]) => kind !== "ease" || ["tastes", "noise", "density"].includes(key)).map(([key, [label, low, high, stride]]) =>
    slider({ label, min: low, max: high, step: stride, value: settings[key], format: (v) => key === "density" ? `${Math.round(100 * v)} %` : String(Number(v.toFixed(3))), change: (v) => { settings[key] = v; restart(); buildControls(); tell() }, width: "11rem" })))
  root.replaceChildren(controls, knobs, words, el("div", { class: "two even" }, el("div", {}, plane, el("div", { class: "legend" }, el("span", {}, "● users"), el("span", {}, "□ films"), el("span", {}, "colour: taste"), el("span", {}, "the first two factors are drawn"))), el("div", {}, chart, el("div", { class: "legend" }, el("span", {}, el("i", { style: `background:${COLOURS[0]}` }), "training"), el("span", {}, el("i", { style: `background:${COLOURS[5]}` }), "held out"), el("span", {}, el("i", { style: `background:${COLOURS[2]}` }), "best held out")), table)))
  restart()
  buildControls()
  buildKnobs()
  return leave
}
