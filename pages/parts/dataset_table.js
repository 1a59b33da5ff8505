const drawn = new WeakMap() // by component: what it shows
const COLUMNS = [["ratings", "Ratings"], ["users", "Users"], ["films", "Films"], ["posters", "With poster"], ["plots", "With plot"], ["trained", "Models trained"]]

// A plain table; names enter through textContent.
export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".datasets")
  const looks = JSON.stringify(data)
  if (drawn.get(parentElement) === looks && root.childElementCount) return
  drawn.set(parentElement, looks)
  const make = (tag, className, text) => {
    const node = document.createElement(tag)
    if (className) node.className = className
    if (text != null) node.textContent = text
    return node
  }
  const table = make("table")
  table.setAttribute("aria-label", "Datasets")
  const head = make("tr")
  for (const text of ["Dataset", ...COLUMNS.map(([, label]) => label), "Actions"]) {
    const cell = make("th", "", text)
    cell.scope = "col"
    head.append(cell)
  }
  const body = make("tbody")
  for (const row of data.rows) {
    const line = make("tr")
    line.dataset.dataset = row.name
    const name = make("th", "", row.name)
    name.scope = "row"
    if (row.generated) {
      const badge = make("span", "badge", "generated")
      badge.title = row.generated
      name.append(badge)
    }
    line.append(name)
    for (const [key, label] of COLUMNS) {
      const cell = make("td", "", row[key])
      cell.dataset.label = key === "films" && row.what !== "films" ? row.what : key === "ratings" && row.of ? row.of : label
      if (key === "films" && row.what !== "films" && row[key] !== "—") cell.append(make("small", "", ` ${row.what}`))
      if (key === "ratings" && row.of) cell.append(make("small", "", ` ${row.of}`))
      if (key === "trained" && row.models) cell.title = row.models
      line.append(cell)
    }
    const acts = make("td", "acts")
    for (const [act, label] of row.acts) {
      const button = make("button", act, label)
      button.type = "button"
      button.setAttribute("aria-label", `${label}: ${row.name}`)
      button.onclick = () => setTriggerValue("act", { do: act, dataset: row.name })
      acts.append(button)
    }
    line.append(acts)
    body.append(line)
  }
  const top = make("thead")
  top.append(head)
  table.append(top, body)
  root.replaceChildren(table)
}
