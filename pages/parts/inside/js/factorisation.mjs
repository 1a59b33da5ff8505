// A small world of users and films, and three models that learn it in the browser. EASE's closed form is checked against the package's (tests/inside).

/** Random numbers in [0, 1) from a seed (mulberry32). */
export const random = (seed) => () => {
  seed = (seed + 0x6d2b79f5) | 0
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296
}
export const normal = (draw) => Math.sqrt(-2 * Math.log(1 - draw())) * Math.cos(2 * Math.PI * draw())
const dot = (a, b) => a.reduce((total, v, at) => total + v * b[at], 0)
const sigmoid = (v) => 1 / (1 + Math.exp(-v))

/**
 * Users and films in groups with a common taste; a rating is 3 stars, plus or minus taste, plus noise.
 * @returns {{users: number, items: number, userTaste: number[], itemTaste: number[], train: Row[], held: Row[]}}
 *   a row is {u, i, stars, liked}; a fifth of the ratings is held out
 */
export const makeWorld = ({ tastes, noise, density, seed, users = 60, items = 40 }) => {
  const draw = random(1000 * seed + 17)
  const userTaste = Array.from({ length: users }, (_, u) => u % tastes), itemTaste = Array.from({ length: items }, (_, i) => i % tastes)
  const rows = []
  for (let u = 0; u < users; u++) for (let i = 0; i < items; i++) {
    const chance = draw(), error = normal(draw)
    if (chance >= density) continue
    const stars = 3 + (userTaste[u] === itemTaste[i] ? 1.3 : -0.9) + noise * error
    rows.push({ u, i, stars: Math.max(0.5, Math.min(5, stars)), liked: stars >= 3.5, held: draw() < 0.2 })
  }
  return { users, items, userTaste, itemTaste, train: rows.filter((r) => !r.held), held: rows.filter((r) => r.held) }
}

/** Weights of a factorisation: factors of users and films, and biases. */
export const startWeights = (world, dim, seed) => {
  const draw = random(7 * seed + 3), table = (n) => Array.from({ length: n }, () => Array.from({ length: dim }, () => 0.1 * normal(draw)))
  return { p: table(world.users), q: table(world.items), bu: Array(world.users).fill(0), bi: Array(world.items).fill(0), mean: world.train.reduce((a, r) => a + r.stars, 0) / Math.max(1, world.train.length), draw: random(13 * seed + 5) }
}
export const predict = (w, u, i) => w.mean + w.bu[u] + w.bi[i] + dot(w.p[u], w.q[i])
export const scoreOf = (w, u, i) => w.bi[i] + dot(w.p[u], w.q[i])

/** One epoch of stochastic gradient descent on squared error (Koren et al. 2009), in a new order. */
export const epochMf = (w, world, rate, l2) => {
  for (const { u, i, stars } of shuffled(world.train, w.draw)) {
    const error = stars - predict(w, u, i), p = w.p[u], q = w.q[i]
    w.bu[u] += rate * (error - l2 * w.bu[u])
    w.bi[i] += rate * (error - l2 * w.bi[i])
    for (let d = 0; d < p.length; d++) { const own = p[d]; p[d] += rate * (error * q[d] - l2 * own); q[d] += rate * (error * own - l2 * q[d]) }
  }
}

/** One epoch of BPR (Rendle et al. 2009): every liked film against a random one that the user has not liked. */
export const epochBpr = (w, world, rate, l2) => {
  const likes = Array.from({ length: world.users }, () => new Set())
  for (const { u, i, liked } of world.train) if (liked) likes[u].add(i)
  for (const { u, i, liked } of shuffled(world.train, w.draw)) {
    if (!liked || likes[u].size >= world.items) continue
    let j
    do j = Math.floor(w.draw() * world.items); while (likes[u].has(j))
    const slope = sigmoid(scoreOf(w, u, j) - scoreOf(w, u, i)), p = w.p[u], a = w.q[i], b = w.q[j]
    w.bi[i] += rate * (slope - l2 * w.bi[i])
    w.bi[j] += rate * (-slope - l2 * w.bi[j])
    for (let d = 0; d < p.length; d++) {
      const own = p[d], x = a[d], y = b[d]
      p[d] += rate * (slope * (x - y) - l2 * own)
      a[d] += rate * (slope * own - l2 * x)
      b[d] += rate * (-slope * own - l2 * y)
    }
  }
}
const shuffled = (rows, draw) => {
  const order = rows.slice()
  for (let at = order.length - 1; at > 0; at--) { const other = Math.floor(draw() * (at + 1)); [order[at], order[other]] = [order[other], order[at]] }
  return order
}

/** EASE (Steck 2019): B = I − P / diag(P), P = (XᵀX + l2 · I)⁻¹, with a zero diagonal. `x` is users × items of 0 and 1. */
export const ease = (x, l2) => {
  const n = x[0].length
  const gram = Array.from({ length: n }, (_, i) => Array.from({ length: n }, (_, j) => x.reduce((total, row) => total + row[i] * row[j], 0) + (i === j ? l2 : 0)))
  const inverse = inverted(gram)
  return inverse.map((row, i) => row.map((value, j) => (i === j ? 0 : -value / inverse[j][j])))
}
/** The inverse of a matrix (Gauss and Jordan, with pivoting). */
export const inverted = (matrix) => {
  const n = matrix.length, rows = matrix.map((row, i) => [...row, ...row.map((_, j) => (i === j ? 1 : 0))])
  for (let at = 0; at < n; at++) {
    let best = at
    for (let other = at + 1; other < n; other++) if (Math.abs(rows[other][at]) > Math.abs(rows[best][at])) best = other
    ;[rows[at], rows[best]] = [rows[best], rows[at]]
    const pivot = rows[at][at]
    for (let j = 0; j < 2 * n; j++) rows[at][j] /= pivot
    for (let i = 0; i < n; i++) if (i !== at && rows[i][at]) { const factor = rows[i][at]; for (let j = at; j < 2 * n; j++) rows[i][j] -= factor * rows[at][j] }
  }
  return rows.map((row) => row.slice(n))
}

/** Root mean squared error of ratings; predictions are cut to the scale. */
export const rmseOf = (w, rows) => Math.sqrt(rows.reduce((a, { u, i, stars }) => a + (Math.max(0.5, Math.min(5, predict(w, u, i))) - stars) ** 2, 0) / Math.max(1, rows.length))
/** Mean over users of the share of pairs (liked, not liked) among their rows in which the liked one scores higher. */
export const aucOf = (score, rows) => {
  const byUser = new Map()
  for (const row of rows) { if (!byUser.has(row.u)) byUser.set(row.u, []); byUser.get(row.u).push(row) }
  const values = []
  for (const own of byUser.values()) {
    const yes = own.filter((r) => r.liked), no = own.filter((r) => !r.liked)
    if (yes.length && no.length) values.push(yes.reduce((a, r) => a + no.reduce((b, s) => { const gap = score(r.u, r.i) - score(s.u, s.i); return b + (gap > 0 ? 1 : gap === 0 ? 0.5 : 0) }, 0), 0) / (yes.length * no.length))
  }
  return values.length ? values.reduce((a, b) => a + b, 0) / values.length : NaN
}
