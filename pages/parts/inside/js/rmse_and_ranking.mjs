// Predictions of eight ratings as sliders; RMSE and NDCG of the same numbers beside them.
import { button, el, fixed, numbers, poster, remember } from "./draw.mjs"
import { ndcgOfScores, rmse } from "./metric_terms.mjs"

export default function ({ data, parentElement, setStateValue }) {
  const root = parentElement.querySelector(".inside")
  const own = remember(parentElement, () => ({ from: null }))
  own.tell = setStateValue
  if (own.given === data.state && root.childElementCount) return
  own.given = own.from = data.state
  const [low, high] = data.scale, liked = data.truth.map((stars) => stars >= data.threshold)
  const asked = data.state.split("_").map(Number)
  let values = asked.length === data.predicted.length && asked.every((v) => Number.isFinite(v)) ? asked : data.predicted.slice()
  const clip = (value) => Math.round(100 * Math.max(low, Math.min(high, value))) / 100
  const head = el("div", { class: "scores", "aria-live": "polite" }), rows = el("div", { class: "errors" }), table = el("div")
  const inputs = []
  const show = () => {
    const ranks = values.map((value) => 1 + values.filter((other) => other > value).length)
    const now = [rmse(data.truth, values), ndcgOfScores(values, liked, 10)], before = [rmse(data.truth, data.predicted), ndcgOfScores(data.predicted, liked, 10)]
    const change = (at, better) => {
      const gap = now[at] - before[at]
      return el("small", { class: Math.abs(gap) < 5e-4 ? "" : (gap > 0) === better ? "up" : "down" }, Math.abs(gap) < 5e-4 ? "as the model" : `${gap > 0 ? "▲" : "▼"} ${fixed(Math.abs(gap))} ${(gap > 0) === better ? "better" : "worse"}`)
    }
    head.replaceChildren(el("section", { class: "metric" }, el("h4", {}, "RMSE", el("b", {}, fixed(now[0]))), change(0, false), el("p", { class: "formula" }, "root of the mean squared difference of predicted and given stars; lower is better")),
      el("section", { class: "metric" }, el("h4", {}, "NDCG@10", el("b", {}, fixed(now[1]))), change(1, true), el("p", { class: "formula" }, "depends on the order of the predictions only; higher is better")))
    values.forEach((value, at) => {
      const { range, shown, square, bar } = inputs[at], error = value - data.truth[at]
      range.value = value
      range.setAttribute("aria-valuetext", `${fixed(value, 2)} stars`)
      shown.textContent = `predicted ${fixed(value, 2)} · rank ${ranks[at]}`
      square.textContent = `error² ${fixed(error * error, 2)}`
      bar.style.width = `${Math.min(100, 100 * error * error / 4)}%`
    })
    table.replaceChildren(numbers("Numbers", ["Film", "Stars given", "Predicted", "Squared error", "Rank"], data.films.map((film, at) =>
      [film.title, data.truth[at], fixed(values[at], 2), fixed((values[at] - data.truth[at]) ** 2, 3), ranks[at]])))
  }
  const tell = () => { own.from = values.join("_"); own.tell("stars", values.every((v, at) => v === data.predicted[at]) ? (own.from = "") : own.from) }
  const set = (next) => { values = next.map(clip); show(); tell() }
  data.films.forEach((film, at) => {
    const range = el("input", { type: "range", min: low, max: high, step: 0.01, "aria-label": `Prediction for ${film.title}` })
    const shown = el("span", { class: "shown" }), square = el("span", { class: "square" }), bar = el("i")
    range.addEventListener("input", () => { values[at] = clip(Number(range.value)); show() })
    range.addEventListener("change", tell)
    inputs.push({ range, shown, square, bar })
    const mark = 100 * (data.truth[at] - low) / (high - low)
    rows.append(el("div", { class: liked[at] ? "row liked" : "row" }, poster(film), el("div", { class: "own" },
      el("div", { class: "line" }, el("span", { class: "title" }, film.title), el("b", {}, `★ ${data.truth[at]}${liked[at] ? " ♥" : ""}`)),
      el("div", { class: "track" }, range, el("u", { style: `left: calc(8px + (100% - 16px) * ${mark / 100})`, "aria-hidden": "true" })),
      el("div", { class: "line soft" }, shown, el("span", { class: "squares" }, square, el("span", { class: "stack" }, bar))))))
  })
  const order = data.truth.map((_, at) => at).sort((a, b) => data.predicted[b] - data.predicted[a])
  const mean = data.predicted.reduce((a, b) => a + b, 0) / data.predicted.length
  const near = () => { // the two neighbours in the ranking whose exchange changes the order most cheaply
    const pairs = order.slice(1).map((b, at) => [order[at], b]).filter(([a, b]) => liked[a] && !liked[b])
    const [a, b] = (pairs.length ? pairs : [[order[0], order[1]]]).sort((p, q) => (data.predicted[p[0]] - data.predicted[p[1]]) - (data.predicted[q[0]] - data.predicted[q[1]]))[0]
    return data.predicted.map((value, at) => at === a ? data.predicted[b] : at === b ? data.predicted[a] : value)
  }
  root.replaceChildren(el("div", { class: "bar" }, button("Everything ½ star lower", () => set(data.predicted.map((v) => v - 0.5))),
    button("Exchange two neighbours in the ranking", () => set(near())), button("Halfway to their mean", () => set(data.predicted.map((v) => (v + mean) / 2))), button("As the model", () => set(data.predicted))),
    el("div", { class: "two errors-two" }, rows, el("div", {}, head, table)))
  show()
}
