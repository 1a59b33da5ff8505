// What part of the unit square is in view: the centre, the zoom, and the size of the canvas in CSS pixels.
const clamp = (value, low, high) => Math.min(high, Math.max(low, value))
const ZOOM = [0.6, 400], CENTRE = [-0.3, 1.3]

export class Camera {
  constructor() {
    this.x = 0.5
    this.y = 0.5
    this.zoom = 1
    this.width = 0
    this.height = 0
  }

  // Pixels per unit of the map.
  get scale() { return Math.min(this.width, this.height) * this.zoom }

  toScreen([x, y]) {
    const s = this.scale
    return [this.width / 2 + (x - this.x) * s, this.height / 2 - (y - this.y) * s]
  }

  toMap(px, py) {
    const s = this.scale
    return [this.x + (px - this.width / 2) / s, this.y - (py - this.height / 2) / s]
  }

  move(change) {
    Object.assign(this, change)
    this.zoom = clamp(this.zoom, ...ZOOM)
    this.x = clamp(this.x, ...CENTRE)
    this.y = clamp(this.y, ...CENTRE)
  }

  // Zoom by a factor; the point of the map under the pixel stays there.
  zoomAt(px, py, factor) {
    const before = this.toMap(px, py)
    this.zoom = clamp(this.zoom * factor, ...ZOOM)
    const after = this.toMap(px, py)
    this.move({ x: this.x + before[0] - after[0], y: this.y + before[1] - after[1] })
  }

  // Where to look to see most of some places [[x, y], …]: an eighth at each end of each axis may lie outside.
  static framing(places) {
    const xs = places.map((p) => p[0]).sort((p, q) => p - q), ys = places.map((p) => p[1]).sort((p, q) => p - q)
    const cut = Math.floor(places.length / 8), last = places.length - 1 - cut
    const span = Math.max(xs[last] - xs[cut], ys[last] - ys[cut], 0.08)
    return { x: (xs[cut] + xs[last]) / 2, y: (ys[cut] + ys[last]) / 2, zoom: Math.min(9, 0.7 / span) }
  }
}
