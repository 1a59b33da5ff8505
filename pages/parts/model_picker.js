const kept = new WeakMap() // by component: the family in view, what is searched for, and what was last drawn

// Names and lines enter through textContent; only the drawings are markup, and these are our own.
export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".picker")
  const familyOf = (name) => data.families.find((family) => family.models.some((model) => model.name === name))
  if (!kept.has(parentElement)) kept.set(parentElement, { family: null, search: "", chosen: null, drawn: "" })
  const state = kept.get(parentElement)
  state.say = setTriggerValue
  const looks = JSON.stringify(data)
  if (state.drawn === looks && root.childElementCount) return
  if (state.chosen !== data.chosen) {
    state.chosen = data.chosen
    if (!state.search) state.family = familyOf(data.chosen)?.name ?? data.families[0]?.name
  }
  if (!data.families.some((family) => family.name === state.family)) state.family = data.families[0]?.name
  const first = !root.childElementCount
  state.drawn = looks

  const make = (tag, className, text) => {
    const node = document.createElement(tag)
    if (className) node.className = className
    if (text != null) node.textContent = text
    return node
  }
  const drawing = (family) => {
    const frame = make("template")
    frame.innerHTML = family.picture
    return frame.content.firstElementChild
  }
  // Arrow keys move within a group of which one button is a tab stop.
  const arrows = (group, move) => {
    group.onkeydown = (event) => {
      const buttons = [...group.querySelectorAll("button")]
      const at = buttons.indexOf(event.target)
      if (at < 0) return
      const to = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: buttons.length - 1 }[event.key]
      if (to === undefined) return
      event.preventDefault()
      const next = buttons[(to + buttons.length) % buttons.length]
      for (const button of buttons) button.tabIndex = button === next ? 0 : -1
      next.focus()
      if (move) move(next)
    }
  }

  const tiles = make("div", "families")
  tiles.setAttribute("role", "tablist")
  tiles.setAttribute("aria-label", "Families of models")
  const find = make("label", "find", "")
  const box = make("input")
  box.type = "search"
  box.placeholder = "Search models by name or description"
  box.setAttribute("aria-label", "Find a model")
  box.value = state.search
  find.append(box)
  const cards = make("div", "models")
  cards.setAttribute("role", "radiogroup")
  const live = make("div", "live")
  live.setAttribute("aria-live", "polite")

  const drawCards = () => {
    const words = state.search.toLowerCase().split(/\s+/).filter(Boolean)
    const shown = data.families.flatMap((family) => family.models.map((model) => ({ family, model })))
      .filter(({ family, model }) => words.length
        ? words.every((word) => `${model.name} ${family.name} ${model.line}`.toLowerCase().includes(word))
        : family.name === state.family)
    cards.setAttribute("aria-label", words.length ? "Models found" : `Models: ${state.family}`)
    const stop = shown.find(({ model }) => model.name === state.chosen) ?? shown[0]
    cards.replaceChildren(...shown.map(({ family, model }) => {
      const card = make("button", "model")
      card.type = "button"
      card.setAttribute("role", "radio")
      card.setAttribute("aria-checked", String(model.name === state.chosen))
      card.dataset.model = model.name
      card.title = model.line
      card.tabIndex = stop.model === model ? 0 : -1
      const name = make("b", "", model.name)
      card.append(drawing(family), name, make("span", "", model.line))
      if (model.lacks) {
        card.setAttribute("aria-disabled", "true")
        card.append(make("i", "", model.lacks))
      } else card.onclick = () => {
        if (model.name === state.chosen) return
        state.chosen = model.name
        for (const other of cards.children) other.setAttribute("aria-checked", String(other === card))
        live.textContent = `${model.name} chosen`
        state.say("model", model.name)
      }
      return card
    }))
    if (!shown.length) cards.append(make("div", "none", "No model matches."))
    if (words.length) live.textContent = `${shown.length} models`
    for (const tile of tiles.children) {
      const on = !words.length && tile.dataset.family === state.family
      tile.setAttribute("aria-selected", String(on))
      tile.tabIndex = tile.dataset.family === state.family ? 0 : -1
    }
  }
  const openFamily = (tile) => {
    state.family = tile.dataset.family
    state.search = box.value = ""
    drawCards()
  }
  for (const family of data.families) {
    const tile = make("button", "family")
    tile.type = "button"
    tile.setAttribute("role", "tab")
    tile.dataset.family = family.name
    const usable = family.models.filter((model) => !model.lacks).length
    tile.append(drawing(family), make("div", "", family.name[0].toUpperCase() + family.name.slice(1)),
      make("small", "", usable === family.models.length ? `${usable}` : `${usable} of ${family.models.length}`))
    tile.onclick = () => openFamily(tile)
    tiles.append(tile)
  }
  arrows(tiles, openFamily)
  arrows(cards)
  box.oninput = () => { state.search = box.value; drawCards() }
  const focused = root.getRootNode().activeElement?.dataset?.model
  root.replaceChildren(tiles, find, cards, live)
  drawCards()
  const again = focused && [...cards.children].find((card) => card.dataset.model === focused)
  if (again) again.focus({ preventScroll: true })
  const checked = cards.querySelector("[aria-checked=true]")
  if (first && checked) cards.scrollTop = Math.max(0, checked.offsetTop - cards.offsetTop - 40)
}
