const drawn = new WeakMap() // by component: what it shows
const sample = document.createElement("template")
sample.innerHTML = "<svg></svg>"
const SVG = sample.content.firstElementChild.namespaceURI
const WIDTH = 400
const HEIGHT = 170

// Three buttons with a picture each. Names of models enter through textContent.
export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".start")
  const looks = JSON.stringify(data)
  if (drawn.get(parentElement) === looks && root.childElementCount) return
  drawn.set(parentElement, looks)
  const base = new URL("app/static/", document.baseURI)
  const make = (tag, className, text) => {
    const node = document.createElement(tag)
    if (className) node.className = className
    if (text != null) node.textContent = text
    return node
  }
  const draw = (tag, attributes, text) => {
    const node = document.createElementNS(SVG, tag)
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value)
    if (text != null) node.textContent = text
    return node
  }
  const canvas = (fit) => draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: fit, "aria-hidden": "true" })

  const posters = (files) => {
    const row = make("div", "posters")
    for (let at = 0; at < 8; at++) {
      const file = files[at]
      const item = make(file ? "img" : "i")
      if (file) { item.src = new URL(file, base); item.alt = ""; item.decoding = "async" }
      row.append(item)
    }
    return row
  }
  const map = (dots) => {
    const picture = canvas("xMidYMid slice")
    for (const [x, y, colour] of dots) picture.append(draw("circle", { cx: 14 + x * (WIDTH - 28), cy: 12 + y * (HEIGHT - 24), r: 2.3, class: `c${colour}`, opacity: 0.8 }))
    // an outline of groups of points stands for a map that is not drawn yet
    if (!dots.length) for (const [x, y, r] of [[90, 60, 34], [210, 100, 46], [310, 55, 30], [140, 125, 22], [330, 125, 26]]) picture.append(draw("circle", { cx: x, cy: y, r, class: "ghost" }))
    return picture
  }
  const bars = (rows) => {
    const picture = canvas("xMidYMid meet")
    if (!rows.length) for (const [at, wide] of [250, 210, 150, 90, 60].entries()) picture.append(draw("rect", { x: 100, y: 18 + at * 27, width: wide, height: 16, rx: 3, class: "ghost" }))
    const most = Math.max(...rows.map((row) => row.interval?.[1] ?? row.value), 1e-9)
    const step = (HEIGHT - 20) / Math.max(rows.length, 4)
    rows.forEach((row, at) => {
      const y = 10 + at * step
      const scale = (value) => 130 + (Math.max(value, 0) / most) * 215
      const name = row.name.length > 19 ? `${row.name.slice(0, 18)}…` : row.name
      picture.append(
        draw("text", { x: 124, y: y + step / 2 + 4, "text-anchor": "end" }, name),
        draw("rect", { x: 130, y: y + step * 0.18, width: Math.max(scale(row.value) - 130, 1), height: step * 0.64, rx: 2, class: row.baseline ? "baseline" : "bar" }),
      )
      if (row.interval) picture.append(draw("line", { x1: scale(row.interval[0]), x2: scale(row.interval[1]), y1: y + step / 2, y2: y + step / 2, class: "span" }))
      picture.append(draw("text", { x: 352, y: y + step / 2 + 4, class: "value" }, row.value.toFixed(3)))
    })
    return picture
  }

  root.replaceChildren(...data.cards.map((card) => {
    const button = make("button", "card")
    button.type = "button"
    button.disabled = !card.go
    button.dataset.go = card.go
    const picture = make("div", "picture")
    picture.append(card.posters ? posters(card.posters) : card.dots ? map(card.dots) : bars(card.bars))
    if (card.waits) picture.append(make("div", "waits", card.waits))
    const says = make("div", "says")
    says.append(make("b", "", card.title), make("span", "", card.line))
    button.append(picture, says)
    button.onclick = () => setTriggerValue("go", card.go)
    return button
  }))
}
