// A training as a film: points of item vectors that move, the curve's cursor, and lists that reorder.
import { button, COLOURS, el, fixed, numbers, poster, remember, room, shape, slider, still } from "./draw.mjs"

export default function ({ data, parentElement, setStateValue }) {
  const root = parentElement.querySelector(".inside")
  const own = remember(parentElement, () => ({ looks: null, frame: 0 }))
  const leave = () => cancelAnimationFrame(own.frame) // the last call's answer counts when the component goes
  own.tell = setStateValue
  if (own.looks === data.looks && root.childElementCount) return leave
  const first = own.looks == null
  own.looks = data.looks
  cancelAnimationFrame(own.frame)
  const { frames } = data, last = frames.length - 1
  const [asked, someone] = (first ? data.at : "").split("~")
  let at = /^\d+$/.test(asked) ? Math.min(last, Number(asked)) : last
  let who = Math.max(0, Math.min(data.people.length - 1, Number(someone) || 0)), places = null, watched = -1
  const tell = () => own.tell("at", `${Math.round(at)}~${who}`)
  const width = room(root, 7 / 11), height = Math.min(width, 400), ratio = globalThis.devicePixelRatio || 1
  const canvas = el("canvas", { class: "picture plane", width: width * ratio, height: height * ratio, style: `height:${height}px`, role: "img", "aria-label": "Films as points; their places come from the vectors of the model" })
  const n = data.rows.length, palette = [...data.genres.map((g) => g.colour), "#8C8C8C"], groups = palette.map((_, code) => data.codes.flatMap((c, i) => c === code ? [i] : []))
  const spot = (i, exact) => {
    const f = Math.min(last, Math.floor(exact)), g = Math.min(last, f + 1), t = exact - f, a = 2 * (f * n + i), b = 2 * (g * n + i)
    return [places[a] + t * (places[b] - places[a]), places[a + 1] + t * (places[b + 1] - places[a + 1])]
  }
  const side = Math.min(width, height) - 12, left = (width - side) / 2, top = (height - side) / 2
  const paint = () => {
    const pen = canvas.getContext("2d")
    pen.setTransform(ratio, 0, 0, ratio, 0, 0)
    pen.clearRect(0, 0, width, height)
    if (!places) return
    const size = n > 4000 ? 2 : n > 1500 ? 3 : 4
    const f = Math.min(last, Math.floor(at)), g = Math.min(last, f + 1), t = at - f, a = 2 * f * n, b = 2 * g * n, scale = side / 65535
    groups.forEach((group, code) => {
      pen.fillStyle = palette[code]
      pen.globalAlpha = code === palette.length - 1 ? 0.45 : 0.8
      for (const i of group) {
        const x0 = places[a + 2 * i], y0 = places[a + 2 * i + 1]
        pen.fillRect(left + scale * (x0 + t * (places[b + 2 * i] - x0)) - size / 2, top + side - scale * (y0 + t * (places[b + 2 * i + 1] - y0)) - size / 2, size, size)
      }
    })
    pen.globalAlpha = 1
    const listed = frames[Math.round(at)].lists[data.people[who]] ?? []
    pen.lineWidth = 2
    pen.strokeStyle = getComputedStyle(canvas).color
    for (const row of listed) {
      const i = index.get(row)
      if (i === undefined) continue
      const [x, y] = spot(i, at)
      pen.strokeRect(left + scale * x - size, top + side - scale * y - size, 2 * size, 2 * size)
    }
    if (watched >= 0) { const [x, y] = spot(watched, at); pen.strokeRect(left + scale * x - 7, top + side - scale * y - 7, 14, 14) }
  }
  const index = new Map(data.rows.map((row, i) => [row, i]))
  // the curve
  const chart = el("div"), curve = data.curve, cw = room(root, 4 / 11), ch = 150
  const cx = (epoch) => 34 + (cw - 78) * Math.log1p(epoch) / Math.log1p(Math.max(1, ...curve.map((e) => e.epoch)))
  const reach = (values) => { const low = Math.min(...values), high = Math.max(...values); return (v) => ch - 24 - (ch - 40) * ((v - low) / (high - low || 1)) }
  const line = shape("line", { y1: 6, y2: ch - 20, stroke: "currentColor", "stroke-width": 1.5 })
  const past = shape("rect", { x: 0, y: 0, width: cw, height: ch })
  const scored = curve.filter((e) => e.score != null)
  const svg = shape("svg", { class: "picture", viewBox: `0 0 ${cw} ${ch}`, role: "img", "aria-label": "Training loss and validation score by epoch" })
  if (curve.length) {
    const yl = reach(curve.map((e) => e.loss)), ends = (values, x, anchor, digits) => { const low = Math.min(...values), high = Math.max(...values), y = reach(values); return [low, high].map((v) => shape("text", { class: "soft", x, y: y(v) + (v === high ? -4 : 12), "text-anchor": anchor, style: "font-size:10px" }, v.toFixed(digits))) }
    svg.append(...ends(curve.map((e) => e.loss), 4, "start", 2))
    if (scored.length) svg.append(...ends(scored.map((e) => e.score), cw - 4, "end", 3))
    const lines = [{ points: curve.map((e) => `${cx(e.epoch)},${yl(e.loss)}`).join(" "), stroke: COLOURS[5], "stroke-width": 2, "stroke-dasharray": "6 3" }]
    if (scored.length) { const ys = reach(scored.map((e) => e.score)); lines.push({ points: scored.map((e) => `${cx(e.epoch)},${ys(e.score)}`).join(" "), stroke: COLOURS[0], "stroke-width": 2.5 }) }
    // pale as a whole, and full up to the moment that is shown
    svg.append(shape("defs", {}, shape("clipPath", { id: "past" }, past)), shape("g", { "stroke-opacity": 0.28 }, ...lines.map((own_) => shape("polyline", { fill: "none", ...own_ }))), shape("g", { "clip-path": "url(#past)" }, ...lines.map((own_) => shape("polyline", { fill: "none", ...own_ }))))
    for (const frame of frames) svg.append(shape("text", { class: "soft", x: cx(frame.epochs), y: ch - 6, "text-anchor": "middle", "font-size": 10, style: "font-size:10px" }, frames.length > 9 && frame.epochs > 0 && frame.epochs < 3 ? "" : frame.epochs))
  }
  svg.append(line)
  const words = el("p", { class: "hint", "aria-live": "polite" })
  chart.append(svg, el("div", { class: "legend" }, el("span", {}, el("i", { style: `background:${COLOURS[5]}` }), "training loss (left)"), scored.length ? el("span", {}, el("i", { style: `background:${COLOURS[0]}` }), `validation ${data.metric} (right)`) : null, el("span", {}, "epochs by their logarithm")), words)
  // lists
  const list = el("ol", { class: "replayed", "aria-label": "Recommendations at this moment" })
  const cards = new Map()
  const drawList = () => {
    const here = Math.round(at), name = data.people[who], now = frames[here].lists[name] ?? [], before = here ? frames[here - 1].lists[name] ?? [] : null
    const old = new Map([...cards].map(([row, node]) => [row, node.offsetTop]))
    for (const [row, node] of cards) if (!now.includes(row)) { node.remove(); cards.delete(row) }
    now.forEach((row, place) => {
      let node = cards.get(row)
      if (!node) { node = el("li", { tabindex: -1 }, el("b"), poster(data.films[row]), el("span", { class: "title" }, data.films[row].title), el("small")); node.onpointerenter = () => { watched = index.get(row) ?? -1; paint() }; node.onpointerleave = () => { watched = -1; paint() }; cards.set(row, node) }
      list.append(node)
      node.querySelector("b").textContent = place + 1
      const gone = before ? before.indexOf(row) - place : 0, mark = node.querySelector("small")
      mark.textContent = !before ? "" : before.indexOf(row) < 0 ? "new" : gone > 0 ? `▲${gone}` : gone < 0 ? `▼${-gone}` : ""
      mark.className = !before || before.indexOf(row) < 0 || gone > 0 ? "up" : "down"
    })
    if (!still()) for (const [row, node] of cards) { const from = old.get(row); if (from !== undefined && from !== node.offsetTop) node.animate([{ transform: `translateY(${from - node.offsetTop}px)` }, { transform: "none" }], { duration: 260, easing: "ease-out" }) }
    const same = before ? now.filter((row) => before.includes(row)).length : null, frame = frames[here]
    const e = curve.find((entry) => entry.epoch === frames[here].epochs)
    words.textContent = `${frames[here].label}: ${e ? `loss ${fixed(e.loss, 4)}${e.score != null ? `, validation ${data.metric} ${fixed(e.score, 4)}` : ""}` : "random weights"}.${same == null ? "" : ` ${same} of ${now.length} films of this list were in it at the moment before.`} Over 60 users: ${fixed(frame.popular, 1)} of 10 listed films are among the 5 % most rated, and two users share ${fixed(frame.shared, 1)}.${here && frames[here - 1].overlap != null ? ` ${fixed(100 * frames[here - 1].overlap, 0)} % of a film’s 15 nearest films were so at the moment before.` : ""}`
  }
  let shown = -1
  const show = () => {
    paint()
    const f = Math.floor(at), e = frames[f].epochs + (at - f) * ((frames[f + 1]?.epochs ?? frames[f].epochs) - frames[f].epochs)
    line.setAttribute("x1", cx(e)), line.setAttribute("x2", cx(e)), past.setAttribute("width", cx(e))
    if (Math.round(at) !== shown) { shown = Math.round(at); drawList() }
  }
  const stop = () => { cancelAnimationFrame(own.frame); own.frame = 0; play.textContent = "▶ Play" }
  const play = button("▶ Play", () => {
    if (own.frame) { stop(); return }
    if (at >= last) at = 0
    play.textContent = "❚❚ Pause"
    let then = null
    const next = (now) => {
      if (then != null) at = Math.min(last, at + (now - then) / (still() ? 900 : 1100))
      then = now
      own.frames = (own.frames ?? 0) + 1
      range.set(still() ? Math.round(at) : at)
      show()
      if (at >= last) { stop(); tell() } else own.frame = requestAnimationFrame(next)
    }
    own.frame = requestAnimationFrame(next)
  }, { class: "main", style: "min-width: 6.2rem" })
  const range = slider({ label: "Moment:", min: 0, max: last, step: 0.01, value: at, format: (v) => frames[Math.round(v)].label, width: "30rem", input: (v) => { stop(); at = v; show() }, change: (v) => { at = Math.round(v); range.set(at); show(); tell() } })
  range.querySelector("input").addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key]
    if (!by) return
    event.preventDefault()
    stop()
    at = Math.max(0, Math.min(last, Math.round(at) + by))
    range.set(at); show(); tell()
  })
  const choices = el("div", { class: "bar", role: "group", "aria-label": "Whose list" })
  const drawChoices = () => choices.replaceChildren(...data.people.map((name, i) => button(name, () => { who = i; drawChoices(); choices.children[i].focus(); cards.clear(); list.replaceChildren(); drawList(); paint(); tell() }, { class: "choice", "aria-pressed": i === who })))
  drawChoices()
  root.replaceChildren(el("div", { class: "bar" }, play, range), el("div", { class: "two wide-left" },
    el("div", {}, n ? canvas : el("p", { class: "hint" }, "This model has no vector per film."), n ? el("div", { class: "legend" }, ...data.genres.map((g) => el("span", {}, el("i", { style: `background:${g.colour}` }), g.name)), el("span", {}, el("i", { style: "background:#8C8C8C" }), "other"), el("span", {}, "□ in the list")) : null),
    el("div", {}, chart, choices, list)),
    numbers("Numbers", ["Moment", "Loss", data.metric || "Score", "Neighbours kept since the moment before", `Films kept in the list of ${data.people[0] ?? "nobody"}`, "Popular films in a list", "Films that two users share"], frames.map((frame, i) => {
      const e = curve.find((entry) => entry.epoch === frame.epochs), now = frame.lists[data.people[0]] ?? [], before = frames[i - 1]?.lists[data.people[0]]
      return [frame.label, e ? fixed(e.loss, 4) : "–", e?.score != null ? fixed(e.score, 4) : "–", frames[i - 1]?.overlap == null ? "–" : fixed(frames[i - 1].overlap, 3), before ? `${now.filter((row) => before.includes(row)).length} of ${now.length}` : "–", fixed(frame.popular, 1), fixed(frame.shared, 1)]
    })))
  show()
  if (data.file) fetch(new URL(data.file, new URL("app/static/", document.baseURI))).then((r) => { if (!r.ok) throw new Error(r.status); return r.arrayBuffer() }).then((buffer) => { places = new Uint16Array(buffer); show() })
    .catch(() => { canvas.replaceWith(el("p", { class: "hint" }, "The places of the films could not be loaded. Reload the page.")) })
  return leave
}
