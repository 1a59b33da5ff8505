// Posters in place of points where few enough points are in view; one in each cell of the screen.
import { positionAt } from "./points.mjs"

const MOST = 80, CLOSE = 420 // square pixels per point
const POSTER_ZOOM = 1.3 // the whole map shows its points: posters would hide its shape
const FEW = 60 // so few films are posters at once
const CELL = [56, 82]

// Which points get a poster: [[i, x, y], …] in pixels.
export const postersInView = (points, camera, t, isHidden) => {
  const found = [], cells = new Set()
  const spacing = camera.scale / Math.sqrt(Math.max(points.total, 1))
  if (points.total >= FEW && (spacing * spacing <= CLOSE || camera.zoom < POSTER_ZOOM)) return found
  for (let i = 0; i < points.total && found.length < MOST; i++) {
    const p = positionAt(points, i, t)
    if (!p || isHidden(i)) continue
    const [x, y] = camera.toScreen(p)
    if (x < -30 || y < -40 || x > camera.width + 30 || y > camera.height + 40) continue
    const cell = `${Math.round(x / CELL[0])},${Math.round(y / CELL[1])}`
    if (cells.has(cell)) continue
    cells.add(cell)
    found.push([i, x, y])
  }
  return found
}

export class PosterLayer {
  // filmOf: a point's title and poster, as a promise.
  constructor(box, filmOf) {
    this.box = box
    this.filmOf = filmOf
    this.nodes = new Map() // point → its element
  }

  show(inView, isSelected) {
    const wanted = new Set(inView.map(([i]) => i))
    for (const [i, node] of this.nodes) if (!wanted.has(i)) { node.remove(); this.nodes.delete(i) }
    for (const [i, x, y] of inView) {
      const node = this.nodes.get(i) ?? this.add(i)
      node.style.left = `${x}px`
      node.style.top = `${y}px`
      node.className = isSelected(i) ? "chosen" : ""
    }
  }

  // A placeholder, which the poster replaces when it is known; a film without a poster shows its title.
  add(i) {
    const node = document.createElement("span")
    this.nodes.set(i, node)
    this.box.append(node)
    this.filmOf(i).then((film) => {
      if (!film || this.nodes.get(i) !== node) return
      if (!film.poster) { node.textContent = film.title; return }
      const image = document.createElement("img")
      image.alt = ""
      image.decoding = "async"
      image.src = film.poster
      image.style.cssText = node.style.cssText
      image.className = node.className
      image.onerror = () => image.remove()
      node.replaceWith(image)
      this.nodes.set(i, image)
    }).catch(() => {})
    return node
  }

  clear() { this.show([], () => false) }
}
