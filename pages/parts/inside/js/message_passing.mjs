// The graph around one user and one recommended film; messages that flow over it; shares of the score; and other depths.
import { button, COLOURS, el, fixed, numbers, poster, remember, room, shape, slider, still } from "./draw.mjs"

const HOPS = [
  "Layer 1: each liked film sends its vector to the user.",
  "Layer 2: people send their vectors to the films they like, and these to the user.",
  "Layer 3: the recommended film’s own vector reaches the user, over people and shared films.",
]

export default function ({ data, parentElement, setStateValue }) {
  const root = parentElement.querySelector(".inside")
  const own = remember(parentElement, () => ({ looks: null, timer: 0, frame: 0 }))
  const leave = () => { clearInterval(own.timer); cancelAnimationFrame(own.frame) } // the last call's answer counts when the component goes
  own.tell = setStateValue
  if (own.looks === data.looks && root.childElementCount) return leave
  const first = own.looks == null
  own.looks = data.looks
  clearInterval(own.timer)
  cancelAnimationFrame(own.frame)
  let chosen = first ? data.chosen : 0, depth = first ? data.depth : data.layers, layer = 0
  const tell = () => own.tell("see", `${data.films[chosen].id}~${depth}`)
  const choices = el("div", { class: "choices", role: "group", "aria-label": "Recommended film" })
  const picture = el("div"), shares = el("div"), deep = el("div"), say = el("p", { class: "hint", "aria-live": "polite" })

  const drawGraph = () => {
    const film = data.films[chosen], width = room(root, 7 / 11), height = Math.max(330, 40 * Math.max(film.liked.length, film.people.length) + 34)
    const columns = [44, width * 0.36, width * 0.68, width - 34]
    const spread = (n, at) => 24 + (height - 48) * (n === 1 ? 0.5 : at / (n - 1))
    const svg = shape("svg", { class: "picture", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Graph: ${data.you}, liked films, people who like them and ${film.title}; the numbers are in the table below` })
    const heaviest = Math.max(...film.liked.map((f) => f.weight), ...film.edges.flat(), ...film.to_item, 1e-9)
    const you = [columns[0], height / 2], goal = [columns[3], height / 2]
    const films = film.liked.map((_, at) => [columns[1], spread(film.liked.length, at)]), people = film.people.map((_, at) => [columns[2], spread(film.people.length, at)])
    const edges = [] // [from, to, weight, hop]: messages flow from the right to the left
    film.liked.forEach((f, a) => edges.push([films[a], you, f.weight, 1]))
    film.edges.forEach((line, a) => line.forEach((w, b) => { if (w) edges.push([people[b], films[a], w, 2]) }))
    film.to_item.forEach((w, b) => edges.push([goal, people[b], w, 3]))
    const lines = edges.map(([from, to, weight]) => shape("line", { x1: from[0], y1: from[1], x2: to[0], y2: to[1], stroke: COLOURS[0], "stroke-opacity": 0.35, "stroke-width": 0.6 + 5 * weight / heaviest }))
    const dots = edges.map(() => shape("circle", { r: 3.2, fill: COLOURS[1], display: "none" }))
    svg.append(...lines)
    const label = (x, y, text, anchor = "middle", extra = {}) => shape("text", { x, y, "text-anchor": anchor, "paint-order": "stroke", stroke: "var(--st-secondary-background-color)", "stroke-width": 4, ...extra }, text)
    const image = (x, y, f, size = 30) => f.poster ? shape("image", { href: f.poster, x: x - size / 2, y: y - size * 0.75, width: size, height: size * 1.5, preserveAspectRatio: "xMidYMid slice" }) : shape("rect", { x: x - size / 2, y: y - size * 0.75, width: size, height: size * 1.5, fill: COLOURS[6] })
    const top = Math.max(...film.liked.map((f) => Math.abs(f.share)), 1e-12)
    film.liked.forEach((f, a) => {
      const node = shape("g", {}, image(...films[a], f, 24), label(films[a][0] - 17, films[a][1] + 4, fixed(f.share, 3), "end", { class: "soft" }))
      node.append(shape("title", {}, `${f.title}: share ${fixed(f.share, 4)}, ${f.likes} likes, weight of the edge ${fixed(f.weight, 4)}`))
      lines[a].setAttribute("stroke", f.share < 0 ? COLOURS[5] : COLOURS[2])
      lines[a].setAttribute("stroke-opacity", 0.25 + 0.6 * Math.abs(f.share) / top)
      svg.append(node)
    })
    film.people.forEach((name, b) => { const node = shape("g", {}, shape("circle", { cx: people[b][0], cy: people[b][1], r: 7, fill: COLOURS[4], stroke: "var(--st-background-color)", "stroke-width": 1.5 })); node.append(shape("title", {}, `user ${name}`)); svg.append(node) })
    svg.append(shape("circle", { cx: you[0], cy: you[1], r: 11, fill: COLOURS[0], stroke: "var(--st-background-color)", "stroke-width": 2 }), label(you[0] + 4, you[1] + 28, data.you.replace("user ", ""), "middle", { "font-weight": 650 }), image(...goal, film, 40), ...dots)
    own.edges = edges
    own.dots = dots
    own.lines = lines
    picture.replaceChildren(svg, el("div", { class: "heads" }, ...[data.you, "liked films, with shares", `people who like both${film.fans > film.people.length ? ` (${film.people.length} of ${film.fans})` : ""}`, film.title].map((text) => el("span", {}, text))))
  }
  const flow = (to) => { // dots run over the edges that the first `to` layers use
    cancelAnimationFrame(own.frame)
    layer = to
    say.textContent = layer ? HOPS[layer - 1] ?? `Layer ${layer}: messages from ${layer} steps away.` : "Each dot is a message: a node’s vector, times the weight of the edge."
    const hops = Math.min(3, to)
    own.edges.forEach(([, , , hop], at) => { own.dots[at].setAttribute("display", "none"); own.lines[at].classList.toggle("live-edge", hop <= hops) })
    if (!hops) return
    const started = performance.now(), ms = still() ? 0 : 800
    const step = (now) => {
      const share = ms ? (now - started) / ms : hops
      own.edges.forEach(([from, end, , hop], at) => {
        const turn = share - (hops - hop), on = hop <= hops && turn >= 0 && turn <= 1
        own.dots[at].setAttribute("display", on ? "" : "none")
        if (on) { own.dots[at].setAttribute("cx", from[0] + (end[0] - from[0]) * turn); own.dots[at].setAttribute("cy", from[1] + (end[1] - from[1]) * turn) }
      })
      if (share < hops) own.frame = requestAnimationFrame(step)
      else own.dots.forEach((dot) => dot.setAttribute("display", "none"))
    }
    own.frame = requestAnimationFrame(step)
    drawShares()
  }
  const bars = (rows) => {
    const reach = Math.max(...rows.map(([, value]) => Math.abs(value)), 1e-12)
    const negative = rows.some(([, value]) => value < 0)
    return el("div", { class: "contributions" }, ...rows.map(([name, value, on = true]) => el("div", { class: on ? "" : "off" }, el("span", {}, name), el("div", { class: "bar-track" },
      el("i", { style: `${negative ? (value < 0 ? `right:50%;width:${50 * Math.abs(value) / reach}%` : `left:50%;width:${50 * value / reach}%`) : `left:0;width:${100 * value / reach}%`};background:${value < 0 ? COLOURS[5] : COLOURS[2]}` })), el("b", {}, fixed(value, 3)))))
  }
  const drawShares = () => {
    const film = data.films[chosen]
    const open = shares.querySelector("details")?.open
    const sum = film.by_layer.slice(0, layer + 1).reduce((a, b) => a + b, 0)
    shares.replaceChildren(el("h4", {}, `Score of ${film.title}: ${fixed(film.score, 3)}`),
      el("p", { class: "hint" }, layer ? `By layer of the user; the layers 0 to ${layer} sum to ${fixed(sum, 3)}:` : "By layer of the user:"), bars(film.by_layer.map((value, at) => [`layer ${at}`, value, !layer || at <= layer])),
      el("p", { class: "hint" }, "By liked film:"), bars([["own part", film.own], ...film.liked.map((f) => [f.title, f.share]), ...(film.n_others ? [[`${film.n_others} other films`, film.others]] : [])]),
      numbers("Numbers", ["Part", "Share of the score", "Likes", "Weight of the edge"], [["own part", fixed(film.own, 6), "", ""], ...film.liked.map((f) => [f.title, fixed(f.share, 6), f.likes, fixed(f.weight, 4)]), [`${film.n_others} other films`, fixed(film.others, 6), "", ""], ["sum", fixed(film.own + film.others + film.liked.reduce((a, f) => a + f.share, 0), 6), "", ""], ["score of the model", fixed(film.score, 6), "", ""]]))
    shares.querySelector("details").open = Boolean(open)
  }
  const drawDepths = () => {
    const width = room(root, 1, 0), height = 170, x = (at) => 34 + (width - 60) * at / (data.depths.length - 1), y = (value) => height - 24 - (height - 40) * Math.max(0, value)
    const svg = shape("svg", { class: "picture", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "Mean cosine similarity of films by number of layers" })
    for (const value of [0, 0.5, 1]) svg.append(shape("line", { x1: 30, x2: width - 10, y1: y(value), y2: y(value), stroke: "currentColor", "stroke-opacity": 0.15 }), shape("text", { class: "soft", x: 26, y: y(value) + 4, "text-anchor": "end" }, value))
    svg.append(shape("polyline", { points: data.depths.map((d, at) => `${x(at)},${y(d.similarity)}`).join(" "), fill: "none", stroke: COLOURS[5], "stroke-width": 2.5 }))
    svg.append(shape("polyline", { points: data.depths.map((d, at) => `${x(at)},${y(d.mixed)}`).join(" "), fill: "none", stroke: COLOURS[0], "stroke-width": 2.5, "stroke-dasharray": "6 3" }))
    data.depths.forEach((d, at) => svg.append(shape("circle", { cx: x(at), cy: y(d.mixed), r: at === depth ? 6 : 3, fill: COLOURS[0] }), shape("circle", { cx: x(at), cy: y(d.similarity), r: at === depth ? 6 : 3, fill: COLOURS[5] }), shape("text", { class: "soft", x: x(at), y: height - 6, "text-anchor": "middle", "font-weight": at === data.layers ? 700 : 400 }, at)))
    const here = data.depths[depth], trained = new Set(data.depths[data.layers].films.map((f) => f.title))
    deep.replaceChildren(el("h4", {}, `With ${here.layers} layer${here.layers === 1 ? "" : "s"}${depth === data.layers ? ", as trained" : ""}: mean cosine similarity of two films: last layer ${fixed(here.similarity, 3)}, mean of all layers ${fixed(here.mixed, 3)}`),
      svg, el("div", { class: "legend" }, el("span", {}, el("i", { style: `background:${COLOURS[5]}` }), "last layer alone"), el("span", {}, el("i", { style: `background:${COLOURS[0]}` }), "mean of all layers, which the scores use")),
      el("p", { class: "hint" }, "Mean cosine similarity of two films by number of layers, with the same weights: 1 means that all films point the same way (oversmoothing). Odd layers are made of users’ vectors and even ones of films’, so the curve may dip. LightGCN takes the mean of all layers to keep films apart."),
      el("div", { class: "strip", tabindex: 0, role: "region", "aria-label": "Films ranked first with so many layers" }, ...here.films.map((f, at) => el("figure", { class: trained.has(f.title) ? "" : "new" }, poster(f), el("figcaption", {}, `${at + 1}. ${f.title}`)))))
  }
  const choose = (at) => { chosen = at; drawChoices(); drawGraph(); flow(0); drawShares(); tell() }
  const drawChoices = () => {
    const focused = choices.contains(choices.getRootNode().activeElement)
    choices.replaceChildren(...data.films.map((film, at) => { const b = button("", () => choose(at), { class: "choice film", "aria-pressed": at === chosen }); b.append(poster(film), el("span", {}, `${at + 1}. ${film.title}`)); return b }))
    if (focused) choices.children[chosen].focus()
  }
  const play = button("▶ Play", () => {
    clearInterval(own.timer)
    let at = 0
    const next = () => { at += 1; flow(at); if (at >= data.layers) clearInterval(own.timer) }
    next()
    own.timer = setInterval(next, still() ? 900 : 2700)
  }, { class: "main" })
  const step = button("Next layer", () => { clearInterval(own.timer); flow(layer >= data.layers ? 1 : layer + 1) })
  const range = slider({ label: "Layers:", min: 0, max: data.depths.length - 1, value: depth, format: (at) => `${at}${at === data.layers ? " (as trained)" : ""}`, input: (at) => { depth = at; drawDepths() }, change: tell })
  root.replaceChildren(choices, el("div", { class: "bar" }, play, step, say), el("div", { class: "two wide-left" }, picture, shares), el("h4", { class: "next" }, "Oversmoothing"), el("div", { class: "bar" }, range), deep)
  drawChoices()
  drawGraph()
  flow(0)
  drawShares()
  drawDepths()
  return leave
}
