// What lies over the points, on a 2D canvas: labels of regions, pairs, the pin, the lasso, the film under the pointer.
import { positionAt } from "./points.mjs"

const LABEL_ZOOM = 7 // labels of regions disappear when the camera is closer
const TOOLBAR = 60 // pixels at the top where no label goes
const POSTER = [52, 78] // width and height of a poster on the map
const VERMILION = "#D55E00"

// Which labels have room, the largest regions first: [{text, x, y, half}] in pixels. A label stands above its region
// rather than on the points that it names; it overlaps neither another label nor a poster (posters: their middles).
export const placeLabels = (labels, camera, widthOf, posters = []) => {
  const placed = []
  const near = (x, y, half) => (box) => Math.abs(box.x - x) < box.half + half && Math.abs(box.y - y) < box.high
  const covered = posters.map(([x, y]) => ({ x, y, half: POSTER[0] / 2, high: POSTER[1] / 2 + 8 }))
  for (const label of [...labels].sort((p, q) => q.n - p.n)) {
    const [x, middle] = camera.toScreen([label.x, label.y]), [, top] = camera.toScreen([label.x, label.top ?? label.y])
    if (middle < 0 || top > camera.height || x < 0 || x > camera.width) continue // the region is out of view
    const half = widthOf(label.text) / 2 + 4, left = Math.min(Math.max(x, half), camera.width - half)
    const heights = posters.length ? [top - 8, top - POSTER[1] / 2 - 8] : [top - 8]
    const y = heights.map((height) => Math.max(height, TOOLBAR)).find((height) =>
      !placed.some(near(left, height, half)) && !covered.some(near(left, height, half)))
    if (y !== undefined) placed.push({ text: label.text, x: left, y, half, high: 20 })
  }
  return placed
}

const drawLabels = (c, labels, camera, posters, ink, paper) => {
  c.font = "600 13px Inter, sans-serif"
  c.textAlign = "center"
  c.lineJoin = "round"
  c.lineWidth = 5
  c.strokeStyle = paper
  c.fillStyle = ink
  for (const { text, x, y } of placeLabels(labels, camera, (text) => c.measureText(text).width, posters)) {
    c.strokeText(text, x, y)
    c.fillText(text, x, y)
  }
}

// A line from each film's plot to its poster.
const drawPairs = (c, points, camera, t, dark) => {
  c.strokeStyle = dark ? "rgba(255,255,255,.10)" : "rgba(0,0,0,.09)"
  c.lineWidth = 0.6
  c.beginPath()
  const first = new Map()
  for (let i = 0; i < points.own; i++) {
    const j = first.get(points.item[i])
    if (j == null) first.set(points.item[i], i)
    else {
      c.moveTo(...camera.toScreen(positionAt(points, i, t)))
      c.lineTo(...camera.toScreen(positionAt(points, j, t)))
    }
  }
  c.stroke()
}

const drawPin = (c, pin, camera, ink, paper) => {
  const [x, y] = camera.toScreen(pin.at)
  c.fillStyle = VERMILION
  c.strokeStyle = "#fff"
  c.lineWidth = 2
  c.beginPath()
  for (let i = 0; i < 10; i++) {
    const angle = (Math.PI * i) / 5 - Math.PI / 2, radius = i % 2 ? 5 : 12
    c.lineTo(x + radius * Math.cos(angle), y + radius * Math.sin(angle))
  }
  c.closePath()
  c.fill()
  c.stroke()
  c.font = "600 12px Inter, sans-serif"
  c.textAlign = "center"
  c.lineWidth = 4
  c.strokeStyle = paper
  c.strokeText(pin.text, x, y - 16)
  c.fillStyle = ink
  c.fillText(pin.text, x, y - 16)
}

const drawPolygon = (c, polygon, camera) => {
  c.strokeStyle = VERMILION
  c.fillStyle = "rgba(213,94,0,.09)"
  c.lineWidth = 2
  c.setLineDash([6, 4])
  c.beginPath()
  polygon.forEach((p) => c.lineTo(...camera.toScreen(p)))
  c.closePath()
  c.fill()
  c.stroke()
  c.setLineDash([])
}

// The film under the pointer, with lines to its nearest neighbours.
const drawHover = (c, points, camera, t, hover, neighbours, ink) => {
  const point = positionAt(points, hover, t)
  if (!point) return
  c.strokeStyle = ink
  c.lineWidth = 2.5
  c.beginPath()
  c.arc(...camera.toScreen(point), 9, 0, 7)
  c.stroke()
  c.strokeStyle = "rgba(213,94,0,.8)"
  c.lineWidth = 1.4
  c.beginPath()
  for (const j of neighbours) {
    const p = positionAt(points, j, t)
    if (p) { c.moveTo(...camera.toScreen(point)); c.lineTo(...camera.toScreen(p)) }
  }
  c.stroke()
}

export const drawOverlay = (c, ratio, camera, points, { data, t, polygon, hover, neighbours, posters }) => {
  const ink = data.dark ? "#fff" : "#1f1a14", paper = data.dark ? "rgba(20,18,15,.85)" : "rgba(255,253,249,.88)"
  c.setTransform(ratio, 0, 0, ratio, 0, 0)
  c.clearRect(0, 0, camera.width, camera.height)
  if (data.pairs && t < 0.5) drawPairs(c, points, camera, t, data.dark)
  if (t < 0.5 && camera.zoom < LABEL_ZOOM) drawLabels(c, data.files.labels ?? [], camera, posters, ink, paper)
  if (data.pin) drawPin(c, data.pin, camera, ink, paper)
  if (polygon?.length > 1) drawPolygon(c, polygon, camera)
  if (hover >= 0) drawHover(c, points, camera, t, hover, neighbours, ink)
}
