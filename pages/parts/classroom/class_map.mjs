// The films of a map in grey, and each person of a class as a star that moves with their ratings.
const files = new Map()
const STAR = "M0,-13L3.9,-5.2L13,-3.9L6.5,2.6L7.8,11.7L0,7.2L-7.8,11.7L-6.5,2.6L-13,-3.9L-3.9,-5.2Z"
const EDGE = 26
const HIGH = 17 // of a name

const fetched = (name) => {
  if (!files.has(name)) {
    const asked = fetch(new URL(name, new URL("app/static/", document.baseURI))).then((r) => { if (!r.ok) throw new Error(`${name}: ${r.status}`); return r.json() })
    asked.catch(() => files.delete(name))
    files.set(name, asked)
  }
  return files.get(name)
}

/**
 * The height of a name below those that are placed already and would lie over it.
 * @param {{x: number, y: number, n: number}[]} placed names with their places and numbers of letters
 * @param {{x: number, y: number, n: number}} own the new one, at its star
 */
export const rowFor = (placed, own) => {
  const over = placed.filter((other) => Math.abs(other.x - own.x) < 9 * Math.max(other.n, own.n) + 20).sort((a, b) => a.y - b.y)
  let at = own.y
  for (const other of over) if (Math.abs(other.y - at) < HIGH) at = other.y + HIGH // each is looked at once, from the top
  return at
}

export default function ({ data, parentElement }) {
  const box = parentElement.querySelector(".class-map"), canvas = box.querySelector("canvas"), svg = box.querySelector("svg")
  const make = (tag, attributes = {}, text) => {
    const node = document.createElementNS(svg.namespaceURI, tag)
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value)
    if (text != null) node.textContent = text
    return node
  }
  svg.setAttribute("aria-label", data.label)
  box.style.height = `${data.height}px`
  let map = { points: [], labels: [] }
  const stars = new Map([...svg.querySelectorAll("g.star")].map((node) => [node.dataset.id, node]))

  const draw = () => {
    const wide = box.clientWidth, high = box.clientHeight, ratio = globalThis.devicePixelRatio || 1
    if (!wide || !map.points.length) return
    const xs = map.points.map((p) => p[0]), ys = map.points.map((p) => p[1])
    const [left, right, bottom, top] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)]
    const x = (v) => EDGE + ((v - left) / (right - left || 1)) * (wide - 2 * EDGE)
    const y = (v) => high - EDGE - ((v - bottom) / (top - bottom || 1)) * (high - 2 * EDGE)
    canvas.width = wide * ratio
    canvas.height = high * ratio
    const pen = canvas.getContext("2d")
    pen.scale(ratio, ratio)
    pen.fillStyle = "rgb(140 140 140 / .4)"
    for (const [px, py] of map.points) { pen.beginPath(); pen.arc(x(px), y(py), 2, 0, 7); pen.fill() }
    svg.setAttribute("viewBox", `0 0 ${wide} ${high}`)
    for (const old of svg.querySelectorAll("text.region")) old.remove()
    svg.prepend(...map.labels.map((r) => make("text", { class: "region", x: Math.min(wide - 3.6 * r.text.length, Math.max(3.6 * r.text.length, x(r.x))), y: y(r.y), "text-anchor": "middle" }, r.text)))
    const labels = [] // names of stars that lie together stand below each other
    const there = new Set(data.stars.map((s) => s.id))
    for (const [id, node] of stars) if (!there.has(id)) { node.remove(); stars.delete(id) }
    for (const star of [...data.stars].sort((a, b) => b.y - a.y)) {
      let node = stars.get(star.id)
      if (!node) {
        node = make("g", { class: "star", "data-id": star.id })
        node.append(make("path", { d: STAR }), make("text", { x: 16, y: 5 }), make("title"))
        stars.set(star.id, node)
        svg.append(node)
      }
      node.querySelector("path").setAttribute("fill", star.colour)
      const name = node.querySelector("text"), left = x(star.x) > wide - 8 * star.name.length - 30
      name.textContent = data.named ? star.name : ""
      name.setAttribute("text-anchor", left ? "end" : "start")
      name.setAttribute("x", left ? -16 : 16)
      const at = rowFor(labels, { x: x(star.x), y: y(star.y), n: star.name.length })
      labels.push({ x: x(star.x), y: at, n: star.name.length })
      name.setAttribute("y", at - y(star.y) + 5)
      node.querySelector("title").textContent = `${star.name}: ${star.n} rating${star.n === 1 ? "" : "s"}`
      node.style.transform = `translate(${x(star.x)}px, ${y(star.y)}px)`
    }
  }
  const watch = new ResizeObserver(draw)
  watch.observe(box)
  fetched(data.backdrop).then((found) => { map = found; draw() }).catch(() => {})
  return () => watch.disconnect()
}
