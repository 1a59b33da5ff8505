// One entry of the history per action of the visitor, and a scroll position for each view.
const positions = new Map() // view → how far it was scrolled when the visitor last left it
let shown = null // the view that is shown
let gestures = 0, pushed = -1 // actions of the visitor so far; the one that last made an entry
let cameBack = false // whether this view was reached by Back or Forward
let moved = 0 // how often the visitor has scrolled or acted; ends the restoring of a position

const page = () => document.querySelector("[data-testid=stMain]")

const leaving = () => {
  if (shown !== null && page()) positions.set(shown, page().scrollTop)
}

const onGesture = () => {
  gestures++
  moved++
  cameBack = false
  leaving()
}

// A link to a place on the same page goes there and makes no entry, so that one press of Back still leaves the page.
const onClick = (event) => {
  const link = event.target.closest?.("a[href^='#']")
  const place = link && document.getElementById(decodeURIComponent(link.getAttribute("href").slice(1)))
  if (!place || event.ctrlKey || event.metaKey || event.shiftKey) return
  event.preventDefault()
  event.stopPropagation()
  place.scrollIntoView({ block: "start" })
}

const start = () => {
  document.addEventListener("click", onClick, true)
  for (const kind of ["pointerdown", "keydown"]) document.addEventListener(kind, onGesture, true)
  for (const kind of ["wheel", "touchmove"]) document.addEventListener(kind, () => { moved++ }, { capture: true, passive: true })
  window.addEventListener("popstate", () => { leaving(); cameBack = true; pushed = gestures }, true)
  // Streamlit makes an entry for each change of the address, up to three for one click; Back would need as many presses.
  const push = history.pushState.bind(history)
  history.pushState = (state, title, url) => {
    if (pushed === gestures) return history.replaceState(state, title, url)
    pushed = gestures
    return push(state, title, url)
  }
}

// A page arrives in pieces, so the position is set until the page is tall enough or the visitor scrolls or acts.
const RESTORING_MS = 15_000
const scrollTo = (top) => {
  const own = shown, before = moved, until = performance.now() + RESTORING_MS
  const step = () => {
    if (shown !== own || moved !== before || !page()) return
    page().scrollTop = top
    if (Math.abs(page().scrollTop - top) > 2 && performance.now() < until) requestAnimationFrame(step)
  }
  step()
}

if (!globalThis.mmrecNavigation) {
  globalThis.mmrecNavigation = true
  start()
}

export default function ({ data }) {
  if (data.view === shown) return
  const first = shown === null
  shown = data.view
  if (first) return
  scrollTo(cameBack || data.keeps ? positions.get(data.view) ?? 0 : 0)
}
