// Ranking metrics of one list, as sums of terms. The package's own metrics are the reference (tests/inside).
const discount = (rank) => 1 / Math.log2(rank + 1)
const sum = (values) => values.reduce((total, value) => total + value, 0)

/**
 * @param {boolean[]} liked whether the film at each rank is liked, best first
 * @param {number} k the cut-off
 * @returns {{name: string, formula: string, terms: {rank: number, value: number, text: string}[], value: number}[]}
 *   each value is the sum of its terms; NaN where the metric is not defined
 */
export const metricTerms = (liked, k) => {
  const ranks = liked.flatMap((own, at) => own ? [at + 1] : []), n = ranks.length, negatives = liked.length - n
  const top = ranks.filter((rank) => rank <= k)
  const ideal = sum(Array.from({ length: Math.min(n, k) }, (_, at) => discount(at + 1)))
  const metric = (name, formula, terms, defined = n > 0) => ({ name, formula, terms, value: defined ? sum(terms.map((t) => t.value)) : NaN })
  const term = (rank, value, text) => ({ rank, value, text })
  return [
    metric(`NDCG@${k}`, `sum of 1/log₂(rank + 1) over liked films in the top ${k}, divided by the best possible sum, ${ideal.toFixed(3)}`,
      top.map((rank) => term(rank, discount(rank) / ideal, `1/log₂(${rank + 1}) ÷ ${ideal.toFixed(3)}`))),
    metric(`Recall@${k}`, `liked films in the top ${k}, divided by all ${n} liked films`, top.map((rank) => term(rank, 1 / n, `1/${n}`))),
    metric(`Precision@${k}`, `liked films in the top ${k}, divided by ${k}`, top.map((rank) => term(rank, 1 / k, `1/${k}`))),
    metric(`Hit rate@${k}`, `1 if any liked film is in the top ${k}`, top.slice(0, 1).map((rank) => term(rank, 1, "1"))),
    metric("MRR", "1 divided by the rank of the first liked film", ranks.slice(0, 1).map((rank) => term(rank, 1 / rank, `1/${rank}`))),
    metric("AUC", "share of pairs (liked film, other film) in which the liked film is higher",
      ranks.map((rank, at) => {
        const below = negatives - (rank - 1 - at)
        return term(rank, below / (n * negatives), `${below} below ÷ ${n * negatives}`)
      }), n > 0 && negatives > 0),
    metric("AP", "precision at the rank of each liked film, averaged",
      ranks.map((rank, at) => term(rank, (at + 1) / rank / n, `${at + 1}/${rank} ÷ ${n}`))),
  ]
}

/** NDCG@k of scores; films with equal scores share the mean of their ranks' discounts, as in the package. */
export const ndcgOfScores = (scores, liked, k) => {
  const n = liked.filter(Boolean).length
  const upTo = (rank) => sum(Array.from({ length: Math.min(rank, k) }, (_, at) => discount(at + 1)))
  const gain = scores.map((own, at) => {
    if (!liked[at]) return 0
    const above = scores.filter((other) => other > own).length, tied = scores.filter((other) => other === own).length
    return (upTo(above + tied) - upTo(above)) / tied
  })
  return n ? sum(gain) / upTo(n) : NaN
}

/** Root mean squared error. */
export const rmse = (truth, predicted) => Math.sqrt(sum(truth.map((own, at) => (own - predicted[at]) ** 2)) / truth.length)
