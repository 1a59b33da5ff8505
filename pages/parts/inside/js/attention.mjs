// Attention weights of heads over the films of a history, and what the score loses without each film.
import { button, COLOURS, el, fixed, numbers, poster, remember } from "./draw.mjs"

export default function ({ data, parentElement, setStateValue }) {
  const root = parentElement.querySelector(".inside")
  const own = remember(parentElement, () => ({ looks: null }))
  own.tell = setStateValue
  if (own.looks === data.looks && root.childElementCount) return
  let chosen = own.looks == null ? data.chosen : 0
  own.looks = data.looks
  const choices = el("div", { class: "choices", role: "group", "aria-label": "Recommended film" }), body = el("div")
  const draw = () => {
    const found = data.recommended[chosen], n = found.films.length
    const mean = found.films.map((_, at) => found.weights.reduce((total, line) => total + line[at], 0) / found.weights.length)
    const reach = Math.max(...found.effects.map(Math.abs), 1e-12), most = Math.max(...found.weights.flat(), 1e-12)
    const top = mean.indexOf(Math.max(...mean)), strongest = found.effects.map(Math.abs).indexOf(reach)
    const place = 1 + found.effects.filter((e) => Math.abs(e) > Math.abs(found.effects[top])).length
    const sign = (at) => `${found.effects[at] < 0 ? "lowers" : "raises"} the score by ${fixed(Math.abs(found.effects[at]))}`
    const verdict = top === strongest
      ? `The film with the largest attention weight, ${found.films[top].title}, also has the largest effect: it ${sign(top)}.`
      : `Attention is largest on ${found.films[top].title}, whose removal has the ${place === 2 ? "second" : place === 3 ? "third" : `${place}th`} largest effect of ${n}; ${found.films[strongest].title} has the largest: it ${sign(strongest)}.`
    const cell = (weight, name, title) => el("td", { title: `${name}: ${fixed(weight)}`, style: `--w:${Math.sqrt(weight / most)}`, class: "heat" }, el("span", {}, fixed(weight, 2).replace("0.", ".")))
    const heads = el("tr", {}, el("td", {}, ""), el("th", { scope: "col" }, found.rest_name), found.earlier ? el("th", { scope: "col" }, `${found.earlier} earlier films`) : null, ...found.films.map((f, at) => el("th", { scope: "col", class: at === top ? "top" : at === strongest ? "strong" : "", title: f.title }, poster(f), el("span", {}, f.title))))
    const lines = found.weights.map((line, row) => el("tr", {}, el("th", { scope: "row" }, found.names[row]), cell(found.rest[row], found.rest_name), found.earlier ? cell(found.before[row], "all earlier films together") : null, ...line.map((w, at) => cell(w, found.films[at].title))))
    const average = (values) => values.reduce((a, b) => a + b, 0) / values.length
    const blanks = () => found.earlier ? [el("td", {}, ""), el("td", {}, "")] : [el("td", {}, "")]
    const meanLine = el("tr", { class: "mean" }, el("th", { scope: "row" }, "mean attention"), el("td", {}, fixed(average(found.rest))), found.earlier ? el("td", {}, fixed(average(found.before))) : null, ...mean.map((w, at) => el("td", { class: at === top ? "top" : "" }, el("div", { class: "column" }, el("i", { style: `height:${100 * w / Math.max(...mean)}%;background:${COLOURS[0]}` })), fixed(w, 3))))
    const effectLine = el("tr", { class: "mean" }, el("th", { scope: "row" }, "effect on the score"), ...blanks(), ...found.effects.map((e, at) => el("td", { class: at === strongest ? "strong" : "" },
      el("div", { class: "column both" }, el("i", { style: `${e < 0 ? "top:50%" : "top:auto;bottom:50%"};height:${50 * Math.abs(e) / reach}%;background:${e < 0 ? COLOURS[5] : COLOURS[2]}` })), fixed(e, 3))))
    body.replaceChildren(el("p", { class: `verdict ${top === strongest ? "" : "differs"}` }, el("b", {}, verdict), found.agreement == null ? "" : ` Rank correlation of weight and size of the effect over the ${n} films: ${fixed(found.agreement, 2)} (1: the same order, 0: no relation).`, top === strongest ? "" : " Attention is not an explanation."),
      el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Attention weights and effects" }, el("table", { class: "attention" }, el("thead", {}, heads), el("tbody", {}, ...lines, meanLine, effectLine))),
      el("div", { class: "legend" }, el("span", {}, "each row sums to 1; films in time order, the latest on the right"), el("span", {}, el("i", { style: `background:${COLOURS[2]}` }), "raises the score"), el("span", {}, el("i", { style: `background:${COLOURS[5]}` }), "lowers it")),
      numbers("Numbers", ["Film", ...found.names, "Mean", "Effect on the score"], [[found.rest_name, ...found.rest.map((w) => fixed(w, 4)), fixed(average(found.rest), 4), "–"], ...(found.earlier ? [[`${found.earlier} earlier films`, ...found.before.map((w) => fixed(w, 4)), fixed(average(found.before), 4), "–"]] : []), ...found.films.map((f, at) => [f.title, ...found.weights.map((line) => fixed(line[at], 4)), fixed(mean[at], 4), fixed(found.effects[at], 4)])]))
  }
  const drawChoices = () => choices.replaceChildren(...data.recommended.map((f, at) => {
    const b = button("", () => { chosen = at; drawChoices(); choices.children[at].focus(); draw(); own.tell("see", data.recommended[at].id) }, { class: "choice film", "aria-pressed": at === chosen })
    b.append(poster(f), el("span", {}, `${at + 1}. ${f.title}`))
    return b
  }))
  root.replaceChildren(choices, body)
  drawChoices()
  draw()
}
