const waiting = new WeakMap() // by component: ratings chosen here that Python has not acknowledged yet; all travel with the next one
const PATIENCE_MS = 350
// A rating is acknowledged when the films come back with it. One that is not is said again, for it may have been lost with a component that was
// replaced meanwhile; seldom, and ever more seldom, because each time is work for a server that may just be busy. Saying it twice changes nothing.
const AGAIN_MS = 4000
const MOST_MS = 60000
const MOST_TIMES = 10

// Draws films as posters. Text only ever enters through textContent, so titles cannot become markup.
export default function ({ data, parentElement, setTriggerValue }) {
  if (!waiting.has(parentElement)) waiting.set(parentElement, { chosen: new Map(), timer: null, times: 0, drawn: "" })
  const unanswered = waiting.get(parentElement)
  unanswered.say = setTriggerValue // a component that is mounted anew speaks with another voice
  for (const film of data.films) if (unanswered.chosen.has(film.id) && unanswered.chosen.get(film.id) === (film.stars ?? null)) unanswered.chosen.delete(film.id)
  const there = new Set(data.films.map((film) => film.id))
  for (const id of unanswered.chosen.keys()) if (!there.has(id)) unanswered.chosen.delete(id) // gone from here, so nobody will answer
  if (!unanswered.chosen.size) clearTimeout(unanswered.timer)
  const looks = JSON.stringify(data)
  if (unanswered.drawn === looks && parentElement.querySelector(".wall").childElementCount) return // as it stands
  unanswered.drawn = looks
  const say = () => {
    if (!unanswered.chosen.size || unanswered.times > MOST_TIMES) return
    clearTimeout(unanswered.timer)
    unanswered.say("rate", [...unanswered.chosen].map(([id, stars]) => ({ id, stars })))
    unanswered.timer = setTimeout(say, Math.min(MOST_MS, AGAIN_MS * 2 ** unanswered.times++))
  }
  const wall = parentElement.querySelector(".wall")
  const live = parentElement.querySelector(".live")
  const base = new URL("app/static/", document.baseURI)
  wall.className = `wall ${data.size}`
  wall.setAttribute("aria-label", data.label)
  wall.tabIndex = ["row", "eight", "five"].includes(data.size) ? 0 : -1 // a strip that scrolls sideways must be reachable by keyboard
  const make = (tag, className, text) => {
    const node = document.createElement(tag)
    if (className) node.className = className
    if (text != null) node.textContent = text
    return node
  }
  const hue = (text) => [...text].reduce((sum, c) => (sum * 31 + c.codePointAt(0)) % 360, 7)

  const titleCard = (film) => {
    const card = make("div", "card")
    card.style.setProperty("--hue", hue(film.title))
    card.append(make("b", "", film.title), make("span", "", film.year ?? ""))
    return card
  }

  const poster = (film, place) => {
    const frame = make(data.opens ? "button" : "div", "poster")
    const named = film.year ? `${film.title} (${film.year})` : film.title
    if (data.opens) {
      frame.type = "button"
      frame.setAttribute("aria-label", `Open ${named}`)
      frame.onclick = () => unanswered.say("open", film.id)
    }
    if (film.poster) {
      const image = make("img")
      image.loading = "lazy"
      image.decoding = "async"
      image.alt = data.opens ? "" : named
      image.src = new URL(film.poster, base)
      image.onerror = () => image.replaceWith(titleCard(film))
      frame.append(image)
    } else frame.append(titleCard(film))
    return frame
  }

  // Five stars whatever the scale: ten half stars stand for ten ratings, from the lowest to the highest. Arrow keys move by half a star, 0 clears.
  const stars = (film) => {
    const steps = data.steps
    const [low, high] = [steps[0], steps[steps.length - 1]]
    const whole = 5
    const near = (value) => steps.reduce((best, step, at) => (Math.abs(step - value) <= Math.abs(steps[best] - value) ? at : best), 0)
    const toShown = (value) => (value == null ? 0 : (near(value) + 1) / 2)
    const toValue = (shown) => steps[Math.round(shown * 2) - 1]
    const box = make("div", "stars")
    box.tabIndex = 0
    box.setAttribute("role", "slider")
    box.setAttribute("aria-label", `Rate ${film.title}`)
    box.setAttribute("aria-valuemin", low)
    box.setAttribute("aria-valuemax", high)
    let value = unanswered.chosen.has(film.id) ? unanswered.chosen.get(film.id) : film.stars ?? null
    const cells = Array.from({ length: whole }, () => {
      const cell = make("span", "star", "☆")
      const fill = make("i")
      fill.append(make("span", "", "★"))
      cell.append(fill)
      box.append(cell)
      return fill
    })
    const draw = (shown) => cells.forEach((fill, at) => (fill.style.width = `${Math.min(1, Math.max(0, shown - at)) * 100}%`))
    const tell = () => {
      box.setAttribute("aria-valuenow", value ?? low)
      box.setAttribute("aria-valuetext", value == null ? "not rated" : low > 0 ? `${value} of ${high} stars` : `${value}, from ${low} to ${high}`)
    }
    const at = (event) => {
      const edge = box.getBoundingClientRect()
      const place = ((event.clientX - edge.left) / edge.width) * whole
      return Math.min(whole, touched ? Math.max(1, Math.ceil(place)) : Math.max(0.5, Math.ceil(place * 2) / 2)) // a finger means the star
    }
    let touched = false
    box.onpointerdown = (event) => { touched = event.pointerType === "touch" }
    // Keys come in bursts: Python hears of a burst once, and a redraw in the middle does not lose it.
    const choose = (next, patience = 0) => {
      value = next
      unanswered.chosen.set(film.id, value)
      draw(toShown(value))
      tell()
      live.textContent = value == null ? `${film.title}: rating removed` : `${film.title}: ${value} stars`
      clearTimeout(unanswered.timer)
      unanswered.times = 0
      if (patience) unanswered.timer = setTimeout(say, patience)
      else say()
    }
    box.onpointermove = (event) => event.pointerType === "mouse" && draw(at(event))
    box.onpointerleave = () => draw(toShown(value))
    box.onclick = (event) => {
      const next = toValue(at(event))
      choose(next === value ? null : next)
    }
    box.onkeydown = (event) => {
      const step = { ArrowRight: 0.5, ArrowUp: 0.5, ArrowLeft: -0.5, ArrowDown: -0.5 }[event.key]
      if (step) {
        const shown = Math.min(whole, Math.max(0, (value == null ? 0 : toShown(value)) + step))
        choose(shown < 0.5 ? null : toValue(shown), PATIENCE_MS)
      } else if (["0", "Backspace", "Delete"].includes(event.key)) choose(null)
      else if (["1", "2", "3", "4", "5"].includes(event.key)) choose(toValue(Number(event.key)), PATIENCE_MS)
      else return
      event.preventDefault()
      event.stopPropagation() // Streamlit binds single keys on the document
    }
    draw(toShown(value))
    tell()
    return box
  }

  const focused = parentElement.activeElement?.closest?.(".film")?.dataset.id
  const onStars = parentElement.activeElement?.classList?.contains("stars")
  wall.replaceChildren(
    ...data.films.map((film) => {
      const cell = make("div", "film")
      cell.setAttribute("role", "listitem")
      cell.dataset.id = film.id
      cell.title = film.year ? `${film.title} (${film.year})` : film.title
      const title = make("div", "title")
      if (film.rank) title.append(make("span", "rank", film.rank))
      title.append(film.title)
      const frame = poster(film)
      if (film.mark) {
        // a frame and a sign beside the colour, so that nobody needs to see the colour
        const sign = make("span", `sign ${film.mark}`, { hit: "✓", miss: "✕", key: "★" }[film.mark])
        sign.setAttribute("role", "img")
        sign.setAttribute("aria-label", film.mark_label ?? film.mark)
        frame.classList.add(film.mark)
        frame.append(sign)
      }
      cell.append(frame, title)
      if (film.note) cell.append(make("div", "note", [film.year, film.note].filter((part) => part && String(part).trim()).join(" · ")))
      if (data.rate) cell.append(stars(film))
      if (data.skips && film.stars == null) {
        const skip = make("button", "skip", "haven’t seen")
        skip.type = "button"
        skip.setAttribute("aria-label", `Haven’t seen ${film.title}`)
        skip.onclick = () => unanswered.say("skip", film.id)
        cell.append(skip)
      }
      if (film.why) cell.append(make("div", "why", film.why))
      return cell
    }),
  )
  if (focused) {
    const cell = wall.querySelector(`[data-id="${focused}"]`)
    cell?.querySelector(onStars ? ".stars" : "button.poster, .stars")?.focus({ preventScroll: true })
  }
}
