// A map of films in grey; on it the films that each model recommends, with a colour and a shape per model, and on demand the path of
// their middle. The map is a static file, fetched once; a rating only sends what lies on it.
const files = new Map() // by name: a map on its way or here
let SVG = "" // the namespace that the page itself gives its drawing
const STAR = "M0,-10L3,-4L10,-3L5,2L6,9L0,5.5L-6,9L-5,2L-10,-3L-3,-4Z"
const EDGE = 18
// a shape per model, for those who cannot tell the colours apart
const SHAPES = [
  "M-5,0A5,5 0 1,0 5,0A5,5 0 1,0 -5,0Z", "M-4.5,-4.5H4.5V4.5H-4.5Z", "M0,-6L5.5,4.5H-5.5Z", "M0,-6.5L5,0L0,6.5L-5,0Z",
  "M-2,-6H2V-2H6V2H2V6H-2V2H-6V-2H-2Z", "M0,6L5.5,-4.5H-5.5Z", "M-5,-6L0,-2L5,-6V6L0,2L-5,6Z", "M-3,-6H3L6,0L3,6H-3L-6,0Z",
]
const shape = (at) => SHAPES[at % SHAPES.length]

const fetched = (name) => {
  if (!files.has(name)) {
    const asked = fetch(new URL(name, new URL("app/static/", document.baseURI))).then((r) => { if (!r.ok) throw new Error(`${name}: ${r.status}`); return r.json() })
    asked.catch(() => files.delete(name))
    files.set(name, asked)
  }
  return files.get(name)
}

const make = (tag, attributes = {}, text) => {
  const node = document.createElementNS(SVG, tag)
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value)
  if (text != null) node.textContent = text
  return node
}

const named = (node, text) => { node.append(make("title", {}, text)); return node } // the browser shows a title to whoever points at it

export default function ({ data, parentElement }) {
  const box = parentElement.querySelector(".trails"), canvas = box.querySelector("canvas"), svg = box.querySelector("svg")
  const legend = parentElement.querySelector(".legend")
  SVG = svg.namespaceURI
  svg.setAttribute("aria-label", data.label)
  let map = { points: [], labels: [] }

  const draw = () => {
    const wide = box.clientWidth, high = box.clientHeight
    const some = map.points.length ? map.points : [[0, 0], [1, 1]]
    const xs = some.map((p) => p[0]), ys = some.map((p) => p[1])
    const low = [Math.min(...xs), Math.min(...ys)], high_ = [Math.max(...xs), Math.max(...ys)]
    const x = (value) => EDGE + ((value - low[0]) / (high_[0] - low[0] || 1)) * (wide - 2 * EDGE)
    const y = (value) => high - EDGE - ((value - low[1]) / (high_[1] - low[1] || 1)) * (high - 2 * EDGE)
    const ratio = globalThis.devicePixelRatio || 1
    canvas.width = wide * ratio
    canvas.height = high * ratio
    const pen = canvas.getContext("2d")
    pen.scale(ratio, ratio)
    pen.fillStyle = "rgb(140 140 140 / .45)"
    for (const [px, py] of map.points) { pen.beginPath(); pen.arc(x(px), y(py), 2.1, 0, 7); pen.fill() }
    svg.setAttribute("viewBox", `0 0 ${wide} ${high}`)
    const inside = (at, text) => Math.min(wide - 3.2 * text.length, Math.max(3.2 * text.length, at)) // about half as wide as it is written
    const parts = map.labels.map((r) => make("text", { class: "region", x: inside(x(r.x), r.text), y: y(r.y), "text-anchor": "middle" }, r.text))
    for (const film of data.rated) {
      const at = `translate(${x(film.x)} ${y(film.y)})`
      const mark = film.liked ? make("circle", { r: 5, transform: at }) : make("path", { d: "M-4.5,-4.5L4.5,4.5M-4.5,4.5L4.5,-4.5", transform: at })
      for (const [key, value] of [["fill", "transparent"], ["stroke", "#CC79A7"], ["stroke-width", 2.5]]) mark.setAttribute(key, value)
      parts.push(named(mark, film.film))
    }
    const near = new Map() // films of several lists: their marks stand around the film's place
    for (const [at, list] of data.lists.entries()) {
      for (const film of list.films) {
        const place = `${film.x} ${film.y}`
        if (!near.has(place)) near.set(place, [])
        near.get(place).push({ list, film, at })
      }
    }
    for (const marks of near.values()) {
      marks.forEach(({ list, film }, n) => {
        const turn = (2 * Math.PI * n) / marks.length, far = marks.length > 1 ? 5 : 0
        const at = `translate(${x(film.x) + far * Math.cos(turn)} ${y(film.y) + far * Math.sin(turn)})`
        const others = marks.map((m) => `${m.list.model} #${m.film.rank}`).join(", ")
        parts.push(named(make("path", { d: shape(list.shape), class: "edge", fill: list.colour, transform: at }), `${film.film}: ${others}`))
      })
    }
    const ends = [], names = []
    for (const trail of data.trails) {
      if (!trail.points.length) continue
      const line = trail.points.map(([, px, py]) => `${x(px)},${y(py)}`).join(" ")
      parts.push(make("polyline", { points: line, fill: "none", stroke: trail.colour, "stroke-width": 2.5, opacity: 0.9 }))
      for (const [step, px, py] of trail.points) parts.push(named(make("circle", { cx: x(px), cy: y(py), r: 3.3, fill: trail.colour }), `${trail.model}: after ${step} rating${step === 1 ? "" : "s"}`))
      const [, px, py] = trail.points[trail.points.length - 1]
      ends.push(named(make("path", { d: STAR, class: "edge", fill: trail.colour, transform: `translate(${x(px)} ${y(py)})` }), `${trail.model}: the middle of its ten films`))
      names.push({ x: x(px), y: y(py) + 4, text: trail.model, right: x(px) > wide - 90 }) // a name at the edge stands on the other side
    }
    names.sort((a, b) => a.y - b.y)
    names.forEach((name, at) => { // names of stars that lie together stand below each other
      for (const other of names.slice(0, at)) if (Math.abs(other.x - name.x) < 7.5 * Math.max(other.text.length, name.text.length) && name.y - other.y < 13) name.y = other.y + 13
    })
    const written = names.map((n) => make("text", { x: n.x + (n.right ? -13 : 13), y: n.y, "text-anchor": n.right ? "end" : "start" }, n.text))
    svg.replaceChildren(...parts, ...ends, ...written)
  }

  const key = (mark, text) => {
    const item = document.createElement("span"), sign = make("svg", { viewBox: "-10 -8 20 16", "aria-hidden": "true" })
    sign.append(mark)
    item.append(sign, text)
    return item
  }
  legend.replaceChildren(
    ...data.lists.map((t) => key(make("path", { d: shape(t.shape), fill: t.colour, class: "edge" }), t.model)),
    ...(data.rated.length ? [
      key(make("circle", { r: 4.5, fill: "none", stroke: "#CC79A7", "stroke-width": 2.5 }), "you liked it"),
      key(make("path", { d: "M-4,-4L4,4M-4,4L4,-4", stroke: "#CC79A7", "stroke-width": 2.5 }), "you disliked it"),
    ] : []),
  )
  const watch = new ResizeObserver(draw)
  watch.observe(box)
  fetched(data.backdrop).then((found) => { map = found; draw() }).catch(() => draw())
  return () => watch.disconnect()
}
