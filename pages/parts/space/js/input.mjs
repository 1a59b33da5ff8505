// Pointer, wheel, touch, keyboard and toolbar of a map.
import { extended } from "./lasso.mjs"

const TOUCH = 14 // pixels: how far from a point a pointer may be
const STEP = 0.12 // of the view, for one press of an arrow key
const SCROLLING_MS = 400 // for so long after a page was scrolled, the wheel goes on scrolling it
const WHOLE_MAP = { x: 0.5, y: 0.5, zoom: 1 }

export const listen = (view) => {
  const { canvas, camera } = view, fingers = new Map()
  let from = null, moved = false
  const place = (event) => {
    const edge = view.box.getBoundingClientRect()
    return [event.clientX - edge.left, event.clientY - edge.top]
  }
  const open = (i) => view.send("open", { item: view.points.item[i], at: Date.now() })

  canvas.onpointerdown = (event) => {
    canvas.setPointerCapture(event.pointerId)
    fingers.set(event.pointerId, place(event))
    from = place(event)
    moved = false
    if ((view.tool !== "pan" || event.shiftKey) && fingers.size === 1) view.lasso = [camera.toMap(...from)]
  }
  canvas.onpointermove = (event) => {
    const now = place(event)
    if (!fingers.size) { view.hoverOn(view.nearest(...now, TOUCH)); return }
    const before = fingers.get(event.pointerId)
    if (!before) return
    if (fingers.size === 2) { // two fingers zoom
      const [p, q] = [...fingers.values()], gap = Math.hypot(p[0] - q[0], p[1] - q[1])
      fingers.set(event.pointerId, now)
      const [r, s] = [...fingers.values()], wide = Math.hypot(r[0] - s[0], r[1] - s[1])
      view.lasso = null
      if (gap > 0) view.zoomAt((r[0] + s[0]) / 2, (r[1] + s[1]) / 2, wide / gap)
      return
    }
    if (Math.hypot(now[0] - from[0], now[1] - from[1]) > 4) moved = true
    if (view.lasso) {
      view.lasso = extended(view.lasso, camera.toMap(...now), view.tool)
      view.draw()
    } else {
      view.move({ x: camera.x - (now[0] - before[0]) / camera.scale, y: camera.y + (now[1] - before[1]) / camera.scale })
    }
    fingers.set(event.pointerId, now)
  }
  canvas.onpointerup = canvas.onpointercancel = (event) => {
    fingers.delete(event.pointerId)
    if (view.lasso && moved) {
      const shape = view.lasso
      view.lasso = null
      view.select(shape)
    } else if (!moved && event.type === "pointerup") {
      const i = view.nearest(...place(event), TOUCH)
      view.lasso = null
      view.hoverOn(i)
      if (i >= 0) open(i)
    }
    view.lasso = null
  }
  canvas.onpointerleave = () => !fingers.size && view.hoverOn(-1)
  const onWheel = (event) => {
    if (performance.now() - (view.scrolled ?? -Infinity) < SCROLLING_MS) return // the map came under a scrolling page
    event.preventDefault()
    view.zoomAt(...place(event), Math.exp(-event.deltaY * 0.0016))
  }
  canvas.addEventListener("wheel", onWheel, { passive: false })
  canvas.ondblclick = (event) => view.zoomAt(...place(event), 2.2)

  const middle = () => [camera.width / 2, camera.height / 2]
  canvas.onkeydown = (event) => {
    const step = STEP / camera.zoom
    const moves = {
      ArrowLeft: { x: camera.x - step },
      ArrowRight: { x: camera.x + step },
      ArrowUp: { y: camera.y + step },
      ArrowDown: { y: camera.y - step },
    }
    if (moves[event.key]) { view.move(moves[event.key]); view.hoverOn(view.nearest(...middle(), 60)) }
    else if (event.key === "+" || event.key === "=") view.zoomAt(...middle(), 1.4)
    else if (event.key === "-") view.zoomAt(...middle(), 1 / 1.4)
    else if (event.key === "0") view.glide(WHOLE_MAP)
    else if (event.key === "Enter" && view.hover >= 0) open(view.hover)
    else if (event.key === "Escape") view.select([])
    else return
    event.preventDefault()
    event.stopPropagation() // Streamlit binds single keys on the document
  }

  const setTool = (button) => {
    view.tool = button.dataset.act
    canvas.classList.toggle("tool", view.tool !== "pan")
    const tools = view.root.querySelectorAll(".tools [aria-pressed]")
    tools.forEach((other) => other.setAttribute("aria-pressed", String(other === button)))
  }
  const actions = {
    pan: setTool,
    lasso: setTool,
    box: setTool,
    in: () => view.zoomAt(...middle(), 1.6),
    out: () => view.zoomAt(...middle(), 1 / 1.6),
    all: () => view.glide(WHOLE_MAP),
    clear: () => view.select([]),
  }
  for (const button of view.root.querySelectorAll(".tools button")) button.onclick = () => actions[button.dataset.act](button)
}
