// Eight plots and eight posters: the losses of CLIP and of SigLIP as matrices, with the gradient in each cell.
import { clipLoss, siglipLoss } from "./contrastive_terms.mjs"
import { button, COLOURS, el, fixed, numbers, poster, remember, slider } from "./draw.mjs"

export default function ({ data, parentElement, setStateValue }) {
  const root = parentElement.querySelector(".inside")
  const own = remember(parentElement, () => ({ looks: null }))
  own.tell = setStateValue
  if (own.looks === data.looks && root.childElementCount) return
  const first = own.looks == null
  own.looks = data.looks
  const names = Object.keys(data.encoders), films = data.films, n = films.length
  const parts = (first ? data.state : "").split("~")
  let name = names.includes(parts[0]) ? parts[0] : names[0]
  let step = Math.min(Math.max(0, Math.round(Number(parts[1]) || 0)), data.encoders[name].length - 1)
  let temperature = Number(parts[2]) > 0 ? Number(parts[2]) : null, bias = parts[3] && Number.isFinite(Number(parts[3])) ? Number(parts[3]) : null
  let see = ["p", "gradient"].includes(parts[4]) ? parts[4] : "p"
  const moment = () => data.encoders[name][step]
  const tell = () => own.tell("state", [name, step, temperature ?? "", bias ?? "", see].join("~"))
  const grid = el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Matrix of plots and posters" }), head = el("div", { class: "metric" }), words = el("p", { class: "hint", "aria-live": "polite" }), table = el("div"), controls = el("div", { class: "bar" })
  const sigmoid = () => name === "mini_siglip"
  const draw = () => {
    const now = moment(), scale = temperature ? 1 / temperature : now.scale, off = bias ?? now.bias
    const found = sigmoid() ? siglipLoss(now.similarity, scale, off) : clipLoss(now.similarity, scale)
    const own_ = now.similarity.map((_, i) => i)
    const most = scale / n // the largest that a cell can have, so that colours mean the same before and after a step
    const cell = (i, j) => {
      const g = found.gradient[i][j], s = now.similarity[i][j]
      const value = see === "gradient" ? `${g < 0 ? "↑" : "↓"}${fixed(Math.abs(g), 2)}` : sigmoid() ? fixed(found.probabilities[i][j], 2) : `${fixed(found.rows[i][j], 2)}`
      const under = see === "gradient" || sigmoid() ? null : el("small", {}, fixed(found.columns[i][j], 2))
      const colour = see === "gradient" ? (g < 0 ? "#009E73" : "#D55E00") : "#0072B2"
      const share = see === "gradient" ? Math.min(1, Math.sqrt(Math.abs(g) / most)) : sigmoid() ? found.probabilities[i][j] : 0.5 * (found.rows[i][j] + found.columns[i][j])
      return el("td", { class: i === j ? "pair-cell" : "", style: `--w:${share};--ink:${colour}`, title: `plot of ${films[i].title}, poster of ${films[j].title}: cosine ${fixed(s)}, gradient ${fixed(g, 4)}` }, el("span", {}, value), under)
    }
    grid.replaceChildren(el("table", { class: "matrix" }, el("thead", {}, el("tr", {}, el("td"), ...films.map((f) => el("th", { scope: "col", title: f.title }, poster(f, { alt: f.title }))))),
      el("tbody", {}, ...own_.map((i) => el("tr", {}, el("th", { scope: "row", title: films[i].plot }, el("b", {}, films[i].title), el("span", {}, films[i].plot)), ...own_.map((j) => cell(i, j)))))))
    const right = own_.filter((i) => sigmoid() ? found.probabilities[i][i] > 0.5 : found.rows[i][i] === Math.max(...found.rows[i])).length
    const others = sigmoid() ? found.probabilities.flatMap((row, i) => row.filter((p, j) => i !== j && p <= 0.5)).length : own_.filter((j) => found.columns[j][j] === Math.max(...own_.map((i) => found.columns[i][j]))).length
    head.replaceChildren(el("h4", {}, sigmoid() ? "SigLIP’s loss" : "CLIP’s loss", el("b", {}, fixed(found.loss, 4))), el("p", {}, sigmoid()
      ? `Each cell asks: do these two belong together? Of the ${n} pairs that do, ${right} have a probability above one half; of the ${n * n - n} others, ${others} have one below.`
      : `Each row asks: which poster belongs to this plot? In ${right} of ${n} rows its own poster has the largest probability. Each column asks the reverse (the small numbers): right in ${others} of ${n}.`),
      el("p", { class: "formula" }, sigmoid() ? `sum over cells of log(1 + exp(∓(${fixed(scale, 2)} · cosine ${off < 0 ? "−" : "+"} ${fixed(Math.abs(off), 2)}))), divided by ${n}` : `−log softmax(${fixed(scale, 2)} · cosine), mean over rows and columns`),
      el("p", { class: "formula" }, temperature || bias != null ? "With your temperature or bias; the encoder was trained with its own." : `The encoder’s own loss on this batch: ${fixed(now.loss, 4)}.`))
    let pull = [0, 0], push = [0, 1]
    own_.forEach((i) => own_.forEach((j) => { if (found.gradient[i][j] < found.gradient[pull[0]][pull[1]]) pull = [i, j]; if (found.gradient[i][j] > found.gradient[push[0]][push[1]]) push = [i, j] }))
    words.textContent = `The gradient (of the loss, by each cosine) pulls together most: the plot and the poster of ${films[pull[0]].title}. It pushes apart most: the plot of ${films[push[0]].title} and the poster of ${films[push[1]].title}.`
    const open = table.querySelector("details")?.open
    table.replaceChildren(numbers("Numbers", ["Plot", "Poster", "Cosine", sigmoid() ? "Probability" : "Row, column", "Gradient"], own_.flatMap((i) => own_.map((j) => [films[i].title, films[j].title, fixed(now.similarity[i][j]), sigmoid() ? fixed(found.probabilities[i][j]) : `${fixed(found.rows[i][j])}, ${fixed(found.columns[i][j])}`, fixed(found.gradient[i][j], 4)]))))
    table.querySelector("details").open = Boolean(open)
  }
  const build = () => {
    const now = moment(), last = data.encoders[name].length - 1
    const choice = (text, on, press) => button(text, press, { class: "choice", "aria-pressed": on })
    const focus = [...controls.querySelectorAll("button, input")].indexOf(controls.getRootNode().activeElement)
    controls.replaceChildren(...[el("div", { class: "group", role: "group", "aria-label": "Loss" }, ...names.map((other) => choice(other === "mini_siglip" ? "SigLIP" : "CLIP", other === name, () => { name = other; step = 0; temperature = bias = null; build(); draw(); tell() }))),
      el("div", { class: "group", role: "group", "aria-label": "What the cells show" }, choice("Probabilities", see === "p", () => { see = "p"; build(); draw(); tell() }), choice("Gradient", see === "gradient", () => { see = "gradient"; build(); draw(); tell() })),
      slider({ label: "Temperature:", min: -5, max: 0, step: 0.05, value: Math.log(temperature ?? 1 / now.scale), format: (v) => fixed(Math.exp(v), 3), input: (v) => { temperature = Number(Math.exp(v).toPrecision(3)); draw() }, change: tell }),
      sigmoid() ? slider({ label: "Bias:", min: -20, max: 5, step: 0.1, value: bias ?? now.bias, format: (v) => fixed(v, 1), input: (v) => { bias = v; draw() }, change: tell }) : null,
      button(step ? `Step (${step} of ${last})` : "Step", () => { step = Math.min(last, step + 1); temperature = bias = null; build(); draw(); tell() }, { class: "main", disabled: step >= last }),
      button("Reset", () => { step = 0; temperature = bias = null; build(); draw(); tell() })].filter(Boolean))
    if (focus >= 0) controls.querySelectorAll("button, input")[focus]?.focus()
  }
  root.replaceChildren(controls, el("div", { class: "two wide-left" }, grid, el("div", {}, head, words, el("div", { class: "legend" }, el("span", {}, el("i", { style: `background:${COLOURS[2]}` }), "↑ pulled together"), el("span", {}, el("i", { style: `background:${COLOURS[5]}` }), "↓ pushed apart")), table)))
  build()
  draw()
}
