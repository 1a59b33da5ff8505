// A map of films. Python hears of a selection as a polygon, a few numbers however many films are in it. Coordinates
// come as static files, once.
import { Camera } from "./camera.mjs"
import { easeInOut } from "./geometry.mjs"
import { listen } from "./input.mjs"
import { selection } from "./lasso.mjs"
import { drawOverlay } from "./overlay.mjs"
import { merge, pointStates, positionAt, unpack } from "./points.mjs"
import { PosterLayer, postersInView } from "./posters.mjs"
import { Renderer } from "./renderer.mjs"

const views = new WeakMap() // component → its view, which outlives a rerun
const files = new Map() // name → its content, as a promise; shared by all maps of the page
// Maps side by side share the film under the pointer and, as `bus.selected`, the films selected on either of them.
const bus = (globalThis.mmrecMapBus ??= new EventTarget())
const MORPH_MS = 1100, GLIDE_MS = 650
const HEADER = 80 // pixels: a map whose top is above this may lie under the page's header

const fetched = (name, kind) => {
  if (!files.has(name)) {
    const url = new URL(name, new URL("app/static/", document.baseURI))
    files.set(name, fetch(url).then((response) => {
      if (!response.ok) throw new Error(`${name}: ${response.status}`)
      return kind === "json" ? response.json() : response.arrayBuffer()
    }))
    files.get(name).catch(() => files.delete(name))
  }
  return files.get(name)
}

const reducedMotion = () => matchMedia("(prefers-reduced-motion: reduce)").matches

const animate = (ms, frame, done = () => {}) => {
  const began = performance.now()
  const step = (now) => {
    const t = Math.min(1, (now - began) / ms)
    frame(easeInOut(t))
    if (t < 1) requestAnimationFrame(step)
    else done()
  }
  requestAnimationFrame(step)
}

const element = (name, properties = {}) => Object.assign(document.createElement(name), properties)

class MapView {
  constructor(root) {
    this.root = root
    this.box = root.querySelector(".map")
    this.canvas = root.querySelector("canvas.draw")
    this.over = root.querySelector("canvas.over").getContext("2d")
    this.card = root.querySelector(".card")
    this.live = root.querySelector(".live")
    this.state = root.querySelector(".state")
    this.posters = new PosterLayer(root.querySelector(".posters"), (i) => this.filmOf(this.points.item[i]))
    this.camera = new Camera()
    this.tool = "pan"
    this.t = 1
    this.hover = -1
    this.neighbours = []
    try {
      this.renderer = new Renderer(this.canvas, () => this.upload())
    } catch {
      this.renderer = null // Python draws a plainer map
    }
    listen(this)
    this.resized = new ResizeObserver(() => this.resize())
    this.resized.observe(this.box)
    this.onHover = ({ detail }) => {
      if (detail.from !== this) this.hoverOn(detail.item == null ? -1 : this.rowOf(detail.item), false)
    }
    bus.addEventListener("hover", this.onHover)
    this.onSelect = ({ detail }) => {
      if (detail.from === this || !this.data?.linked) return
      this.data = { ...this.data, polygon: null, lit: null }
      this.mark()
      this.draw()
    }
    bus.addEventListener("select", this.onSelect)
    // Chromium without a graphics card clips a WebGL canvas at its foot by as much as is scrolled off at its head; under a
    // filter, here one that changes nothing to the eye, it draws the whole.
    this.onScroll = () => {
      this.scrolled = performance.now()
      this.canvas.style.filter = this.box.getBoundingClientRect().top < HEADER ? "brightness(1.001)" : ""
    }
    document.addEventListener("scroll", this.onScroll, { capture: true, passive: true })
    // What Python writes into the address drops the camera, and a rerun with unchanged data does not call us.
    this.watching = setInterval(() => {
      if (this.kept && !new URL(document.location.href).searchParams.has(this.data.cameraKey)) this.keepCamera()
    }, 500)
  }

  async update(data, send) {
    this.send = send
    const first = this.data?.files.points !== data.files.points || this.data?.other?.points !== data.other?.points
    this.data = this.latest = data
    if (data.linked && !data.selected) bus.selected = null // Python knows of no selection any more
    this.box.style.height = data.height
    this.canvas.setAttribute("aria-label", data.label)
    this.legend()
    try {
      const [own, colour, other] = await Promise.all([
        fetched(data.files.points), fetched(data.colour.file), data.other ? fetched(data.other.points) : null,
      ])
      if (this.latest !== data) return
      const second = other ? unpack(other, data.other.n) : null
      this.points = merge(unpack(own, data.files.n), second, new Uint8Array(colour))
      if (first) this.posters.clear()
    } catch (error) {
      this.state.textContent = `The map's files could not be read (${error.message}). Reload the page.`
      return
    }
    if (first && data.camera) {
      this.camera.move({ x: data.camera[0], y: data.camera[1], zoom: data.camera[2] })
      this.kept = true
    }
    this.mark()
    if (this.data.polygon) this.share()
    const goal = data.other && data.morph ? 1 : 0
    if (this.t !== goal) this.morph(goal, first)
    if (data.fly && data.fly.key !== this.flown) {
      this.flown = data.fly.key
      this.flyTo(data.fly.items)
    }
    this.box.dataset.ready = `${data.files.points} ${data.colour.file}`
    this.draw()
  }

  rowOf(item) { return this.points?.rowOf.get(item) ?? -1 }

  at(i) { return positionAt(this.points, i, this.t) }

  mark() {
    if (!this.points) return
    const { data } = this, linked = data.linked ? bus.selected : null
    const found = pointStates(this.points, { ...data, linked }, this.t > 0.5 && Boolean(data.other))
    this.states = found.states
    this.dimmed = found.any
    this.selected = found.selected
    this.state.textContent = found.selected.length ? `${found.selected.length.toLocaleString()} selected` : ""
    this.upload()
  }

  upload() {
    if (this.points) this.renderer?.upload(this.points, this.states, this.data.colour.palette)
  }

  resize() {
    const { clientWidth: width, clientHeight: height } = this.box
    if (!width || !height) return
    this.ratio = Math.min(devicePixelRatio || 1, 2)
    for (const canvas of [this.canvas, this.over.canvas]) {
      canvas.width = width * this.ratio
      canvas.height = height * this.ratio
    }
    Object.assign(this.camera, { width, height })
    this.draw()
  }

  draw() {
    this.frame ||= requestAnimationFrame(() => { this.frame = 0; this.paint() })
  }

  paint() {
    if (!this.points || !this.camera.width) return
    const { points, camera, t, data, dimmed } = this
    this.renderer?.draw(points.total, camera, this.ratio, { t, dimmed, dark: data.dark })
    const isSelected = (i) => this.states[i] >= 1
    const inView = postersInView(points, camera, t, (i) => dimmed && !isSelected(i))
    const { hover, neighbours } = this, polygon = this.lasso ?? data.polygon
    const posters = inView.map(([, x, y]) => [x, y])
    drawOverlay(this.over, this.ratio, camera, points, { data, t, polygon, hover, neighbours, posters })
    this.posters.show(inView, (i) => dimmed && isSelected(i))
  }

  async filmOf(item) {
    const { films, chunk } = this.data.files
    const row = (await fetched(films[Math.floor(item / chunk)], "json"))[item % chunk]
    const poster = row?.[2] && new URL(`app/static/${row[2]}`, document.baseURI).href
    return row && { title: row[0], year: row[1], poster, id: row[3] }
  }

  // The point nearest to a pixel, at most `reach` pixels away; -1 where there is none.
  nearest(px, py, reach) {
    let best = -1, least = reach * reach
    for (let i = 0; i < (this.points?.total ?? 0); i++) {
      const p = this.at(i)
      if (!p) continue
      const [x, y] = this.camera.toScreen(p), distance = (x - px) ** 2 + (y - py) ** 2
      if (distance < least) { least = distance; best = i }
    }
    return best
  }

  // The card of the film under the pointer, its neighbours, and the same film on the maps beside this one.
  async hoverOn(i, share = true) {
    if (i === this.hover) return
    this.hover = i
    this.neighbours = []
    const isCurrent = () => this.hover === i
    if (share) {
      const item = i < 0 ? null : this.points.item[i]
      bus.dispatchEvent(new CustomEvent("hover", { detail: { item, from: this } }))
    }
    this.draw()
    if (i < 0) { this.card.classList.remove("shown"); return }
    const film = await this.filmOf(this.points.item[i]).catch(() => null)
    if (!film || !isCurrent()) return
    const name = film.year ? `${film.title} (${film.year})` : film.title
    const text = element("div")
    text.append(element("b", { textContent: name }))
    this.card.replaceChildren(...(film.poster ? [element("img", { src: film.poster, alt: "" })] : []), text)
    this.placeCard(i)
    if (share) this.live.textContent = name
    if (i >= this.points.own) return
    const { near, chunk, k } = this.data.files
    const rows = new Int32Array(await fetched(near[Math.floor(i / chunk)])).subarray((i % chunk) * k, (i % chunk + 1) * k)
    if (!isCurrent()) return
    this.neighbours = [...rows]
    const films = await Promise.all(this.neighbours.slice(0, 4).map((j) => this.filmOf(this.points.item[j])))
    if (!isCurrent()) return
    const titles = films.map((f) => f.title).join(", ")
    text.append(element("small", { textContent: `Nearest neighbours (original space): ${titles}` }))
    const kind = { 1: "its plot", 2: "its poster" }[this.points.kind[i]]
    if (kind) text.append(element("small", { textContent: kind }))
    this.draw()
  }

  placeCard(i) {
    const { width, height } = this.camera, [x, y] = this.camera.toScreen(this.at(i) ?? [0, 0])
    const left = x > width / 2 ? x - 284 : x + 20
    this.card.style.left = `${Math.max(4, Math.min(left, width - 270))}px`
    this.card.style.top = `${Math.max(46, Math.min(y - 40, height - 150))}px`
    this.card.classList.add("shown")
  }

  move(change) {
    this.camera.move(change)
    this.moved()
  }

  zoomAt(px, py, factor) {
    this.camera.zoomAt(px, py, factor)
    this.moved()
  }

  moved() {
    this.draw()
    clearTimeout(this.keeping)
    this.keeping = setTimeout(() => this.keepCamera(), 300)
  }

  // The camera belongs to the link, but Python has no use for it: it is written into the address without a rerun.
  keepCamera() {
    if (!this.data.cameraKey) return
    const url = new URL(document.location.href), { x, y, zoom } = this.camera
    url.searchParams.set(this.data.cameraKey, [x.toFixed(4), y.toFixed(4), zoom.toFixed(2)].join("_"))
    this.kept = true
    history.replaceState(history.state, "", url)
  }

  flyTo(items) {
    const rows = items.map((item) => this.rowOf(item)).filter((i) => i >= 0)
    const places = rows.map((i) => this.at(i)).filter(Boolean)
    if (places.length) this.glide(Camera.framing(places))
  }

  glide(goal) {
    if (reducedMotion()) return this.move(goal)
    const { x, y, zoom } = this.camera
    animate(GLIDE_MS, (e) => {
      this.move({ x: x + (goal.x - x) * e, y: y + (goal.y - y) * e, zoom: zoom * (goal.zoom / zoom) ** e })
    })
  }

  morph(goal, atOnce) {
    const from = this.t
    const finish = () => { this.t = goal; this.mark(); this.draw() }
    if (atOnce || reducedMotion()) return finish()
    animate(MORPH_MS, (e) => { this.t = from + (goal - from) * e; this.paint() }, finish)
  }

  select(outline) {
    const corners = selection(outline)
    this.data = { ...this.data, polygon: corners }
    this.mark()
    this.share()
    this.draw()
    this.live.textContent = this.state.textContent || "Nothing selected"
    const rounded = (corners ?? []).map(([x, y]) => [Number(x.toFixed(4)), Number(y.toFixed(4))])
    this.send("select", { polygon: rounded, at: Date.now() })
  }

  // Tell the map beside this one what is selected here, so that it marks the same films before Python answers.
  share() {
    if (!this.data.linked || !this.points) return
    bus.selected = this.data.polygon ? new Set(this.selected) : null
    bus.dispatchEvent(new CustomEvent("select", { detail: { from: this } }))
  }

  legend() {
    const box = this.root.querySelector(".legend"), { names, palette } = this.data.colour
    box.replaceChildren(...names.slice(0, 12).map((name, at) => {
      const row = element("div"), dot = element("i")
      dot.style.background = palette[at]
      row.append(dot, name)
      return row
    }))
    box.style.display = names.length ? "" : "none"
  }

  end() {
    this.resized.disconnect()
    clearInterval(this.watching)
    clearTimeout(this.keeping)
    bus.removeEventListener("hover", this.onHover)
    bus.removeEventListener("select", this.onSelect)
    document.removeEventListener("scroll", this.onScroll, { capture: true })
    cancelAnimationFrame(this.frame)
  }
}

export default function ({ data, parentElement, setTriggerValue }) {
  if (!views.has(parentElement)) views.set(parentElement, new MapView(parentElement))
  const view = views.get(parentElement)
  const background = getComputedStyle(parentElement.querySelector(".map")).backgroundColor.match(/\d+/g)?.map(Number)
  const [red, green, blue] = background ?? [255, 255, 255]
  view.update({ ...data, dark: red + green + blue < 384 }, setTriggerValue)
  if (!view.renderer) setTriggerValue("fallback", true)
  return () => { view.end(); views.delete(parentElement) }
}
