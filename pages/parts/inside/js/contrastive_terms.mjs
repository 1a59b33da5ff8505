// CLIP's and SigLIP's losses of a matrix of cosine similarities, cell by cell. PyTorch's values are the reference (tests/inside).
const softmax = (row) => { const top = Math.max(...row), parts = row.map((v) => Math.exp(v - top)), total = parts.reduce((a, b) => a + b, 0); return parts.map((v) => v / total) }
const transposed = (m) => m[0].map((_, j) => m.map((row) => row[j]))
const sigmoid = (v) => 1 / (1 + Math.exp(-v))
const softplus = (v) => Math.max(v, 0) + Math.log1p(Math.exp(-Math.abs(v)))

/**
 * CLIP's loss (InfoNCE): the mean of a softmax over rows and one over columns.
 * @returns {{loss: number, rows: number[][], columns: number[][], gradient: number[][]}} probabilities by row and by
 *   column, and the gradient of the mean loss with respect to each similarity
 */
export const clipLoss = (similarity, scale) => {
  const n = similarity.length, logits = similarity.map((row) => row.map((v) => v * scale))
  const rows = logits.map(softmax), columns = transposed(transposed(logits).map(softmax))
  const loss = -similarity.reduce((total, _, i) => total + 0.5 * (Math.log(rows[i][i]) + Math.log(columns[i][i])), 0) / n
  const gradient = rows.map((row, i) => row.map((p, j) => 0.5 * scale * (p + columns[i][j] - (i === j ? 2 : 0)) / n))
  return { loss, rows, columns, gradient }
}

/**
 * SigLIP's loss: each cell is a yes-or-no question of its own; the loss of a row is the sum over its cells.
 * @returns {{loss: number, cells: number[][], probabilities: number[][], gradient: number[][]}}
 */
export const siglipLoss = (similarity, scale, bias) => {
  const n = similarity.length
  const probabilities = similarity.map((row) => row.map((v) => sigmoid(scale * v + bias)))
  const cells = similarity.map((row, i) => row.map((v, j) => softplus(i === j ? -(scale * v + bias) : scale * v + bias)))
  const gradient = probabilities.map((row, i) => row.map((p, j) => scale * (p - (i === j ? 1 : 0)) / n))
  return { loss: cells.flat().reduce((a, b) => a + b, 0) / n, cells, probabilities, gradient }
}
