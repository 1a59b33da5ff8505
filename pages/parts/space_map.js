// A map of films in WebGL2: every point in one draw call, posters in place of dots up close. Python hears of a selection as a polygon,
// which is a few numbers however many films are in it; coordinates come as static files and are never sent again.
const views = new WeakMap() // by component: what outlives a redraw
const files = new Map() // by name: bytes on their way or here, shared by all maps of the page
const bus = (globalThis.mmrecMapBus ??= new EventTarget()) // twin maps share the film under the pointer
const POSTERS = 80, CLOSE = 420, MORPH_MS = 1100, TOUCH = 14

const fetched = (name, kind) => {
  if (!files.has(name)) {
    const base = new URL("app/static/", document.baseURI)
    files.set(name, fetch(new URL(name, base)).then((r) => { if (!r.ok) throw new Error(`${name}: ${r.status}`); return kind === "json" ? r.json() : r.arrayBuffer() }))
    files.get(name).catch(() => files.delete(name))
  }
  return files.get(name)
}

const unpack = (buffer, n) => {
  const x = new Uint16Array(buffer, 0, n), y = new Uint16Array(buffer, 2 * n, n)
  return { n, x, y, item: new Int32Array(buffer.slice(4 * n, 8 * n)), kind: new Uint8Array(buffer, 8 * n, n) }
}

const VERTEX = `#version 300 es
in vec2 a; in vec2 b; in float code; in float state;
uniform vec2 centre, scale; uniform float size, t;
out float vCode, vState; 
void main() {
  bool gone = a.x < 0., born = b.x < 0.;
  vec2 p = gone ? b : born ? a : mix(a, b, t);
  float shown = (gone ? t : 1.) * (born ? 1. - t : 1.);
  gl_Position = vec4((p - centre) * scale, shown <= 0. ? 2. : 0., 1.); // beyond the far plane: not drawn, where size 0 would leave a speck
  vCode = code; vState = state;
  gl_PointSize = size * shown * (state >= 2. ? 1.7 : 1.);
}`
const FRAGMENT = `#version 300 es
precision mediump float;
in float vCode, vState; uniform sampler2D palette; uniform float alpha, dim; uniform vec4 ring; out vec4 colour;
void main() {
  vec2 d = gl_PointCoord - .5; float r = length(d);
  if (r > .5) discard;
  vec4 c = texture(palette, vec2((vCode + .5) / 256., .5));
  float a = alpha * smoothstep(.5, .38, r);
  if (vState < .5) a *= dim;
  if (vState >= 2. && r > .33) c = ring;
  if (vState >= 1.) a = smoothstep(.5, .42, r);
  colour = vec4(c.rgb * a, a);
}`

function compile(gl) {
  const program = gl.createProgram()
  for (const [kind, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(kind)
    gl.shaderSource(shader, text)
    gl.compileShader(shader)
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader))
    gl.attachShader(program, shader)
  }
  gl.linkProgram(program)
  return program
}

const rgba = (css, alpha = 1) => {
  const n = parseInt(css.slice(1), 16)
  return [(n >> 16) / 255, ((n >> 8) & 255) / 255, (n & 255) / 255, alpha]
}

const inside = (x, y, polygon) => {
  let hit = false
  for (let i = 0, j = polygon.length - 1; i < polygon.length; j = i++) {
    const [x1, y1] = polygon[i], [x2, y2] = polygon[j]
    if (y1 > y !== y2 > y && x < ((x2 - x1) * (y - y1)) / (y2 - y1) + x1) hit = !hit
  }
  return hit
}

class MapView {
  constructor(root) {
    this.root = root
    this.box = root.querySelector(".map")
    this.canvas = root.querySelector("canvas.draw")
    this.over = root.querySelector("canvas.over").getContext("2d")
    this.card = root.querySelector(".card")
    this.live = root.querySelector(".live")
    this.state = root.querySelector(".state")
    this.wall = root.querySelector(".posters")
    this.camera = { x: 0.5, y: 0.5, zoom: 1 }
    this.tool = "pan"
    this.t = 1
    this.hover = -1
    this.gl = this.canvas.getContext("webgl2", { antialias: false, premultipliedAlpha: true })
    if (this.gl) this.prepare()
    this.listen()
    this.watch = new ResizeObserver(() => this.resize())
    this.watch.observe(this.box)
    this.onTwin = (event) => event.detail.from !== this && this.show(event.detail.item == null ? -1 : this.placeOf(event.detail.item), false)
    bus.addEventListener("hover", this.onTwin)
    // What Python writes into the address leaves the view out, and a redraw with unchanged data is not told to us.
    this.minding = setInterval(() => this.kept && !new URL(document.location.href).searchParams.has(this.data.cameraKey) && this.keep(), 500)
  }

  prepare() {
    const gl = this.gl
    this.program = compile(gl)
    this.where = Object.fromEntries(["centre", "scale", "size", "t", "palette", "alpha", "dim", "ring"].map((n) => [n, gl.getUniformLocation(this.program, n)]))
    this.buffers = Object.fromEntries(["a", "b", "code", "state"].map((n) => [n, gl.createBuffer()]))
    this.texture = gl.createTexture()
    gl.enable(gl.BLEND)
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA)
    this.canvas.addEventListener("webglcontextlost", (event) => event.preventDefault())
    this.canvas.addEventListener("webglcontextrestored", () => { this.prepare(); this.upload() })
  }

  async take(data, send) {
    this.send = send
    const first = this.data?.files.points !== data.files.points || this.data?.other?.points !== data.other?.points
    this.data = data
    this.box.style.height = `${data.height}px`
    this.canvas.setAttribute("aria-label", data.label)
    this.legend()
    try {
      const [points, colour, other] = await Promise.all([
        fetched(data.files.points), fetched(data.colour.file), data.other ? fetched(data.other.points) : null,
      ])
      if (this.data !== data) return
      this.own = unpack(points, data.files.n)
      this.code = new Uint8Array(colour)
      this.merge(other ? unpack(other, data.other.n) : null)
    } catch (error) {
      this.state.textContent = `The map's files could not be read (${error.message}). Reload the page.`
      return
    }
    if (first && data.camera) {
      this.camera = { x: data.camera[0], y: data.camera[1], zoom: data.camera[2] }
      this.kept = true
    }
    this.mark()
    this.upload()
    const goal = data.other && data.morph ? 1 : 0
    if (this.t !== goal) this.morph(goal, first)
    if (data.fly && data.fly.key !== this.flown) { this.flown = data.fly.key; this.flyTo(data.fly.items) }
    this.box.dataset.ready = `${data.files.points} ${data.colour.file}`
    this.draw()
  }

  // One list of points for both layouts of a morph: a film's place here and there, -1 where it has none.
  merge(other) {
    const own = this.own, there = new Map()
    if (other) for (let i = 0; i < other.n; i++) there.set(other.item[i] * 4 + other.kind[i], i)
    const n = own.n, extra = []
    const here = new Set()
    for (let i = 0; i < n; i++) here.add(own.item[i] * 4 + own.kind[i])
    if (other) for (let i = 0; i < other.n; i++) if (!here.has(other.item[i] * 4 + other.kind[i])) extra.push(i)
    const total = n + extra.length
    this.a = new Float32Array(2 * total).fill(-1)
    this.b = new Float32Array(2 * total).fill(-1)
    this.item = new Int32Array(total)
    this.kind = new Uint8Array(total)
    this.codes = new Uint8Array(total).fill(255)
    for (let i = 0; i < n; i++) {
      this.a[2 * i] = own.x[i] / 65535
      this.a[2 * i + 1] = own.y[i] / 65535
      this.item[i] = own.item[i]
      this.kind[i] = own.kind[i]
      this.codes[i] = this.code[i]
      const j = other ? there.get(own.item[i] * 4 + own.kind[i]) : i
      if (j != null) {
        this.b[2 * i] = (other ?? own).x[j] / 65535
        this.b[2 * i + 1] = (other ?? own).y[j] / 65535
      }
    }
    extra.forEach((j, at) => {
      const i = n + at
      this.b[2 * i] = other.x[j] / 65535
      this.b[2 * i + 1] = other.y[j] / 65535
      this.item[i] = other.item[j]
      this.kind[i] = other.kind[j]
    })
    this.total = total
    this.places = new Map()
    for (let i = total - 1; i >= 0; i--) this.places.set(this.item[i], i)
  }

  placeOf(item) { return this.places?.get(item) ?? -1 }

  at(i) {
    const gone = this.a[2 * i] < 0, born = this.b[2 * i] < 0, t = this.t
    if (gone) return t > 0.5 ? [this.b[2 * i], this.b[2 * i + 1]] : null
    if (born) return t < 0.5 ? [this.a[2 * i], this.a[2 * i + 1]] : null
    return [this.a[2 * i] + (this.b[2 * i] - this.a[2 * i]) * t, this.a[2 * i + 1] + (this.b[2 * i + 1] - this.a[2 * i + 1]) * t]
  }

  // 0: in the background, 1: chosen or all alike, 2: found by a search or pinned
  mark() {
    const { polygon, hits, lit } = this.data
    this.states = new Float32Array(this.total)
    const found = new Set(hits ?? []), lamps = lit ? new Set(lit) : null
    const any = (polygon && polygon.length > 2) || found.size || lamps
    let chosen = 0
    for (let i = 0; i < this.total; i++) {
      if (found.has(this.item[i])) this.states[i] = 2
      else if (lamps?.has(this.item[i])) this.states[i] = 1
      else if (polygon && polygon.length > 2) {
        const p = this.t > 0.5 && this.data.other ? [this.b[2 * i], this.b[2 * i + 1]] : [this.a[2 * i], this.a[2 * i + 1]]
        if (inside(p[0], p[1], polygon)) { this.states[i] = 1; chosen++ }
      } else if (!any) this.states[i] = 0.75
    }
    this.dimmed = Boolean(any)
    this.state.textContent = chosen ? `${chosen.toLocaleString()} chosen` : ""
  }

  upload() {
    const gl = this.gl
    if (!gl || !this.a) return
    const put = (name, array) => { gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[name]); gl.bufferData(gl.ARRAY_BUFFER, array, gl.STATIC_DRAW) }
    put("a", this.a)
    put("b", this.b)
    put("code", this.codes)
    put("state", this.states)
    const table = new Uint8Array(1024).fill(128)
    this.data.colour.palette.forEach((css, at) => table.set(rgba(css).map((v) => Math.round(v * 255)), 4 * at))
    table.set([128, 128, 128, 255], 1020)
    gl.bindTexture(gl.TEXTURE_2D, this.texture)
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, 256, 1, 0, gl.RGBA, gl.UNSIGNED_BYTE, table)
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST)
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST)
  }

  resize() {
    const ratio = Math.min(devicePixelRatio || 1, 2), { clientWidth: w, clientHeight: h } = this.box
    if (!w || !h) return
    for (const canvas of [this.canvas, this.over.canvas]) { canvas.width = w * ratio; canvas.height = h * ratio }
    this.ratio = ratio
    this.width = w
    this.height = h
    this.draw()
  }

  pixels() { return Math.min(this.width, this.height) * this.camera.zoom }
  toScreen([x, y]) { const s = this.pixels(); return [this.width / 2 + (x - this.camera.x) * s, this.height / 2 - (y - this.camera.y) * s] }
  toMap(px, py) { const s = this.pixels(); return [this.camera.x + (px - this.width / 2) / s, this.camera.y - (py - this.height / 2) / s] }

  draw() {
    if (this.waiting) return
    this.waiting = requestAnimationFrame(() => { this.waiting = 0; this.paint() })
  }

  paint() {
    if (!this.a || !this.width) return
    const gl = this.gl, s = this.pixels()
    const size = Math.max(2.2, Math.min(15, 1.1 * Math.sqrt(this.camera.zoom) * Math.max(2.4, 300 / Math.sqrt(this.total)))) * this.ratio
    if (gl) {
      gl.viewport(0, 0, this.canvas.width, this.canvas.height)
      gl.clearColor(0, 0, 0, 0)
      gl.clear(gl.COLOR_BUFFER_BIT)
      gl.useProgram(this.program)
      const attach = (name, width, kind) => {
        const at = gl.getAttribLocation(this.program, name)
        gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[name])
        gl.enableVertexAttribArray(at)
        gl.vertexAttribPointer(at, width, kind, false, 0, 0)
      }
      attach("a", 2, gl.FLOAT)
      attach("b", 2, gl.FLOAT)
      attach("code", 1, gl.UNSIGNED_BYTE)
      attach("state", 1, gl.FLOAT)
      gl.uniform2f(this.where.centre, this.camera.x, this.camera.y)
      gl.uniform2f(this.where.scale, (2 * s) / this.width, (2 * s) / this.height)
      gl.uniform1f(this.where.size, size)
      gl.uniform1f(this.where.t, this.t)
      gl.uniform1f(this.where.alpha, Math.min(0.9, 0.35 + 0.12 * this.camera.zoom + 120 / Math.sqrt(this.total) / 10))
      gl.uniform1f(this.where.dim, this.dimmed ? 0.28 : 1)
      gl.uniform4fv(this.where.ring, this.data.dark ? [1, 1, 1, 1] : [0, 0, 0, 1])
      gl.uniform1i(this.where.palette, 0)
      gl.drawArrays(gl.POINTS, 0, this.total)
    }
    this.paintOver()
    this.hang()
  }

  // What lies over the points: names of regions, pairs, the pin, the lasso, the film under the pointer.
  paintOver() {
    const c = this.over, r = this.ratio
    c.setTransform(r, 0, 0, r, 0, 0)
    c.clearRect(0, 0, this.width, this.height)
    const ink = this.data.dark ? "#fff" : "#1f1a14", paper = this.data.dark ? "rgba(20,18,15,.85)" : "rgba(255,253,249,.88)"
    if (this.data.pairs && this.t < 0.5) {
      c.strokeStyle = this.data.dark ? "rgba(255,255,255,.10)" : "rgba(0,0,0,.09)"
      c.lineWidth = 0.6
      c.beginPath()
      const first = new Map()
      for (let i = 0; i < this.own.n; i++) {
        const j = first.get(this.item[i])
        if (j == null) first.set(this.item[i], i)
        else { c.moveTo(...this.toScreen(this.at(i))); c.lineTo(...this.toScreen(this.at(j))) }
      }
      c.stroke()
    }
    if (this.t < 0.5 && this.camera.zoom < 7) {
      c.font = "600 13px Inter, sans-serif"
      c.textAlign = "center"
      const taken = []
      for (const label of [...(this.data.files.labels ?? [])].sort((p, q) => q.n - p.n)) {
        const [x, y] = this.toScreen([label.x, label.y]), w = c.measureText(label.text).width / 2 + 8
        const left = Math.min(Math.max(x, w), this.width - w)
        if (y < 12 || y > this.height - 8 || taken.some(([tx, ty, tw]) => Math.abs(tx - left) < tw + w && Math.abs(ty - y) < 22)) continue
        taken.push([left, y, w])
        c.fillStyle = paper
        c.beginPath()
        c.roundRect(left - w, y - 11, 2 * w, 21, 7)
        c.fill()
        c.fillStyle = ink
        c.fillText(label.text, left, y + 4)
      }
    }
    if (this.data.pin) {
      const [x, y] = this.toScreen(this.data.pin.at)
      c.fillStyle = "#D55E00"
      c.strokeStyle = "#fff"
      c.lineWidth = 2
      c.beginPath()
      for (let i = 0; i < 10; i++) { const a = (Math.PI * i) / 5 - Math.PI / 2, q = i % 2 ? 5 : 12; c.lineTo(x + q * Math.cos(a), y + q * Math.sin(a)) }
      c.closePath()
      c.fill()
      c.stroke()
      c.font = "600 12px Inter, sans-serif"
      c.textAlign = "center"
      c.lineWidth = 4
      c.strokeStyle = paper
      c.strokeText(this.data.pin.text, x, y - 16)
      c.fillStyle = ink
      c.fillText(this.data.pin.text, x, y - 16)
    }
    const shape = this.lasso ?? this.data.polygon
    if (shape?.length > 1) {
      c.strokeStyle = "#D55E00"
      c.fillStyle = "rgba(213,94,0,.09)"
      c.lineWidth = 2
      c.setLineDash([6, 4])
      c.beginPath()
      shape.forEach((p) => c.lineTo(...this.toScreen(p)))
      c.closePath()
      c.fill()
      c.stroke()
      c.setLineDash([])
    }
    const point = this.hover >= 0 ? this.at(this.hover) : null
    if (point) {
      c.strokeStyle = ink
      c.lineWidth = 2.5
      c.beginPath()
      c.arc(...this.toScreen(point), 9, 0, 7)
      c.stroke()
      c.strokeStyle = "rgba(213,94,0,.8)"
      c.lineWidth = 1.4
      c.beginPath()
      for (const j of this.nearby ?? []) { const p = this.at(j); if (p) { c.moveTo(...this.toScreen(point)); c.lineTo(...this.toScreen(p)) } }
      c.stroke()
    }
  }

  // Posters in place of dots where the points in sight are few enough; one in each cell of the screen.
  hang() {
    const seen = [], cells = new Set()
    const dense = this.pixels() / Math.sqrt(Math.max(this.total, 1))
    if (dense * dense > CLOSE || this.total < 60) {
      for (let i = 0; i < this.total && seen.length < POSTERS; i++) {
        const p = this.at(i)
        if (!p || (this.dimmed && this.states[i] < 1)) continue
        const [x, y] = this.toScreen(p)
        if (x < -30 || y < -40 || x > this.width + 30 || y > this.height + 40) continue
        const cell = `${Math.round(x / 56)},${Math.round(y / 82)}`
        if (cells.has(cell)) continue
        cells.add(cell)
        seen.push([i, x, y])
      }
    }
    const hung = (this.hung ??= new Map()), wanted = new Set(seen.map(([i]) => i))
    for (const [i, node] of hung) if (!wanted.has(i)) { node.remove(); hung.delete(i) }
    for (const [i, x, y] of seen) {
      let node = hung.get(i)
      if (!node) {
        node = document.createElement("span")
        hung.set(i, node)
        this.wall.append(node)
        this.about(this.item[i]).then((film) => {
          if (!film || hung.get(i) !== node) return
          if (!film.poster) { node.textContent = film.title; return }
          const image = document.createElement("img")
          image.alt = ""
          image.decoding = "async"
          image.src = film.poster
          image.style.cssText = node.style.cssText
          image.className = node.className
          image.onerror = () => image.remove()
          node.replaceWith(image)
          hung.set(i, image)
        }).catch(() => {})
      }
      node.style.left = `${x}px`
      node.style.top = `${y}px`
      node.className = this.states[i] >= 1 && this.dimmed ? "chosen" : ""
    }
  }

  async about(item) {
    const { films, chunk } = this.data.files
    const rows = await fetched(films[Math.floor(item / chunk)], "json")
    const row = rows[item % chunk]
    return row && { title: row[0], year: row[1], poster: row[2] && new URL(`app/static/${row[2]}`, document.baseURI).href, id: row[3] }
  }

  nearest(px, py, reach) {
    let best = -1, far = reach * reach
    for (let i = 0; i < this.total; i++) {
      const p = this.at(i)
      if (!p) continue
      const [x, y] = this.toScreen(p), d = (x - px) ** 2 + (y - py) ** 2
      if (d < far) { far = d; best = i }
    }
    return best
  }

  async show(i, tell = true) {
    if (i === this.hover) return
    this.hover = i
    this.nearby = []
    if (tell) bus.dispatchEvent(new CustomEvent("hover", { detail: { item: i < 0 ? null : this.item[i], from: this } }))
    if (i < 0) { this.card.classList.remove("shown"); this.draw(); return }
    this.draw()
    const film = await this.about(this.item[i]).catch(() => null)
    if (!film || this.hover !== i) return
    const named = film.year ? `${film.title} (${film.year})` : film.title
    this.card.replaceChildren()
    if (film.poster) { const image = document.createElement("img"); image.src = film.poster; image.alt = ""; this.card.append(image) }
    const text = document.createElement("div"), bold = document.createElement("b")
    bold.textContent = named
    text.append(bold)
    this.card.append(text)
    const place = this.toScreen(this.at(i) ?? [0, 0])
    const left = place[0] > this.width / 2 ? place[0] - 284 : place[0] + 20
    this.card.style.left = `${Math.max(4, Math.min(left, this.width - 270))}px`
    this.card.style.top = `${Math.max(46, Math.min(place[1] - 40, this.height - 150))}px`
    this.card.classList.add("shown")
    if (tell) this.live.textContent = named
    if (i >= this.own.n) return
    const { near, chunk, k } = this.data.files
    const ids = new Int32Array(await fetched(near[Math.floor(i / chunk)])).subarray((i % chunk) * k, (i % chunk + 1) * k)
    if (this.hover !== i) return
    this.nearby = [...ids]
    const few = await Promise.all([...ids].slice(0, 4).map((j) => this.about(this.item[j])))
    if (this.hover !== i) return
    const line = document.createElement("small")
    line.textContent = `Nearest neighbours (original space): ${few.map((f) => f.title).join(", ")}`
    text.append(line)
    if (this.kind[i]) { const kind = document.createElement("small"); kind.textContent = this.kind[i] === 1 ? "its plot" : "its poster"; text.append(kind) }
    this.draw()
  }

  move(change) {
    Object.assign(this.camera, change)
    this.camera.zoom = Math.min(400, Math.max(0.6, this.camera.zoom))
    this.camera.x = Math.min(1.3, Math.max(-0.3, this.camera.x))
    this.camera.y = Math.min(1.3, Math.max(-0.3, this.camera.y))
    this.draw()
    clearTimeout(this.keeping)
    this.keeping = setTimeout(() => this.keep(), 300)
  }

  // The view belongs to the link, but Python has no use for it: it is written into the address without a rerun.
  keep() {
    if (!this.data.cameraKey) return
    const url = new URL(document.location.href), { x, y, zoom } = this.camera
    url.searchParams.set(this.data.cameraKey, [x.toFixed(4), y.toFixed(4), zoom.toFixed(2)].join("_"))
    this.kept = true
    history.replaceState(history.state, "", url)
  }

  zoomAt(px, py, factor) {
    const before = this.toMap(px, py)
    this.camera.zoom = Math.min(400, Math.max(0.6, this.camera.zoom * factor))
    const after = this.toMap(px, py)
    this.move({ x: this.camera.x + before[0] - after[0], y: this.camera.y + before[1] - after[1] })
  }

  flyTo(items) {
    const places = items.map((item) => this.placeOf(item)).filter((i) => i >= 0).map((i) => this.at(i)).filter(Boolean)
    if (!places.length) return
    const xs = places.map((p) => p[0]).sort((p, q) => p - q), ys = places.map((p) => p[1]).sort((p, q) => p - q)
    const cut = Math.floor(places.length / 8), mid = (v) => (v[cut] + v[v.length - 1 - cut]) / 2
    const span = Math.max(xs[xs.length - 1 - cut] - xs[cut], ys[ys.length - 1 - cut] - ys[cut], 0.08)
    this.glide({ x: mid(xs), y: mid(ys), zoom: Math.min(9, 0.7 / span) })
  }

  glide(goal) {
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return this.move(goal)
    const from = { ...this.camera }, began = performance.now()
    const step = (now) => {
      const t = Math.min(1, (now - began) / 650), e = t * t * (3 - 2 * t)
      this.move({ x: from.x + (goal.x - from.x) * e, y: from.y + (goal.y - from.y) * e, zoom: from.zoom * (goal.zoom / from.zoom) ** e })
      if (t < 1) requestAnimationFrame(step)
    }
    requestAnimationFrame(step)
  }

  morph(goal, at_once) {
    if (at_once || matchMedia("(prefers-reduced-motion: reduce)").matches) { this.t = goal; return this.draw() }
    const from = this.t, began = performance.now()
    const step = (now) => {
      const t = Math.min(1, (now - began) / MORPH_MS)
      this.t = from + (goal - from) * t * t * (3 - 2 * t)
      this.paint()
      if (t < 1) requestAnimationFrame(step)
      else { this.mark(); this.upload(); this.draw() }
    }
    requestAnimationFrame(step)
  }

  choose(polygon) {
    const thin = polygon.length > 36 ? polygon.filter((_, i) => i % Math.ceil(polygon.length / 36) === 0) : polygon
    this.data = { ...this.data, polygon: thin.length > 2 ? thin : null }
    this.mark()
    this.upload()
    this.draw()
    this.live.textContent = this.state.textContent || "Nothing chosen"
    this.send("select", { polygon: thin.length > 2 ? thin.map(([x, y]) => [Number(x.toFixed(4)), Number(y.toFixed(4))]) : [], at: Date.now() })
  }

  listen() {
    const c = this.canvas, fingers = new Map()
    let from = null, moved = false
    const spot = (event) => { const edge = this.box.getBoundingClientRect(); return [event.clientX - edge.left, event.clientY - edge.top] }
    c.onpointerdown = (event) => {
      c.setPointerCapture(event.pointerId)
      fingers.set(event.pointerId, spot(event))
      from = spot(event)
      moved = false
      if ((this.tool !== "pan" || event.shiftKey) && fingers.size === 1) this.lasso = [this.toMap(...from)]
    }
    c.onpointermove = (event) => {
      const now = spot(event)
      if (!fingers.size) { this.show(this.nearest(...now, TOUCH)); return }
      const before = fingers.get(event.pointerId)
      if (!before) return
      if (fingers.size === 2) {
        const [p, q] = [...fingers.values()], gap = Math.hypot(p[0] - q[0], p[1] - q[1])
        fingers.set(event.pointerId, now)
        const [r, s] = [...fingers.values()], wide = Math.hypot(r[0] - s[0], r[1] - s[1])
        this.lasso = null
        if (gap > 0) this.zoomAt((r[0] + s[0]) / 2, (r[1] + s[1]) / 2, wide / gap)
        return
      }
      if (Math.hypot(now[0] - from[0], now[1] - from[1]) > 4) moved = true
      if (this.lasso) {
        const p = this.toMap(...now)
        if (this.tool === "box") { const [a] = this.lasso; this.lasso = [a, [p[0], a[1]], p, [a[0], p[1]]] } else this.lasso.push(p)
        this.draw()
      } else {
        const s = this.pixels()
        this.move({ x: this.camera.x - (now[0] - before[0]) / s, y: this.camera.y + (now[1] - before[1]) / s })
      }
      fingers.set(event.pointerId, now)
    }
    c.onpointerup = c.onpointercancel = (event) => {
      fingers.delete(event.pointerId)
      if (this.lasso && moved) { const shape = this.lasso; this.lasso = null; this.choose(shape) }
      else if (!moved && event.type === "pointerup") {
        const i = this.nearest(...spot(event), TOUCH)
        this.lasso = null
        this.show(i)
        if (i >= 0) this.send("open", { item: this.item[i], at: Date.now() })
      }
      this.lasso = null
    }
    c.onpointerleave = () => !fingers.size && this.show(-1)
    c.addEventListener("wheel", (event) => { event.preventDefault(); this.zoomAt(...spot(event), Math.exp(-event.deltaY * 0.0016)) }, { passive: false })
    c.ondblclick = (event) => this.zoomAt(...spot(event), 2.2)
    c.onkeydown = (event) => {
      const step = 0.12 / this.camera.zoom
      const moves = { ArrowLeft: { x: this.camera.x - step }, ArrowRight: { x: this.camera.x + step }, ArrowUp: { y: this.camera.y + step }, ArrowDown: { y: this.camera.y - step } }
      if (moves[event.key]) { this.move(moves[event.key]); this.show(this.nearest(this.width / 2, this.height / 2, 60)) }
      else if (event.key === "+" || event.key === "=") this.zoomAt(this.width / 2, this.height / 2, 1.4)
      else if (event.key === "-") this.zoomAt(this.width / 2, this.height / 2, 1 / 1.4)
      else if (event.key === "0") this.glide({ x: 0.5, y: 0.5, zoom: 1 })
      else if (event.key === "Enter" && this.hover >= 0) this.send("open", { item: this.item[this.hover], at: Date.now() })
      else if (event.key === "Escape") this.choose([])
      else return
      event.preventDefault()
      event.stopPropagation() // Streamlit binds single keys on the document
    }
    for (const button of this.root.querySelectorAll(".tools button")) {
      button.onclick = () => {
        const act = button.dataset.act
        if (["pan", "lasso", "box"].includes(act)) {
          this.tool = act
          this.canvas.classList.toggle("tool", act !== "pan")
          this.root.querySelectorAll(".tools [aria-pressed]").forEach((b) => b.setAttribute("aria-pressed", String(b === button)))
        } else if (act === "in") this.zoomAt(this.width / 2, this.height / 2, 1.6)
        else if (act === "out") this.zoomAt(this.width / 2, this.height / 2, 1 / 1.6)
        else if (act === "all") this.glide({ x: 0.5, y: 0.5, zoom: 1 })
        else if (act === "clear") this.choose([])
      }
    }
  }

  legend() {
    const box = this.root.querySelector(".legend"), { names, palette } = this.data.colour
    box.replaceChildren(...names.slice(0, 12).map((name, at) => {
      const row = document.createElement("div"), dot = document.createElement("i")
      dot.style.background = palette[at]
      row.append(dot, name)
      return row
    }))
    box.style.display = names.length ? "" : "none"
  }

  end() {
    this.watch.disconnect()
    clearInterval(this.minding)
    clearTimeout(this.keeping)
    bus.removeEventListener("hover", this.onTwin)
    cancelAnimationFrame(this.waiting)
  }
}

export default function ({ data, parentElement, setTriggerValue }) {
  if (!views.has(parentElement)) views.set(parentElement, new MapView(parentElement))
  const view = views.get(parentElement)
  const background = getComputedStyle(parentElement.querySelector(".map")).backgroundColor.match(/\d+/g)?.map(Number) ?? [255, 255, 255]
  view.take({ ...data, dark: background[0] + background[1] + background[2] < 384 }, setTriggerValue)
  if (!view.gl) setTriggerValue("fallback", true)
  return () => { view.end(); views.delete(parentElement) }
}
