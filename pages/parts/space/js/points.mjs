// The points of a map: read from its file, merged with those of a second map, and their states.
import { inside } from "./geometry.mjs"

// A points file (mmrec_core/spaces/publish.py): uint16 x [n], uint16 y [n], int32 item [n], uint8 kind [n].
export const unpack = (buffer, n) => ({
  n,
  x: new Uint16Array(buffer, 0, n),
  y: new Uint16Array(buffer, 2 * n, n),
  item: new Int32Array(buffer.slice(4 * n, 8 * n)),
  kind: new Uint8Array(buffer, 8 * n, n),
})

// One list of points for two maps of the same films. `a` has each point's place on the first map and `b` its place on the
// second, as x, y in the unit square; -1 where a map does not have it. Without a second map, b equals a.
export const merge = (own, other, colourCodes) => {
  const identity = (map, i) => map.item[i] * 4 + map.kind[i]
  const onOther = new Map(), onOwn = new Set(), extra = []
  for (let i = 0; i < own.n; i++) onOwn.add(identity(own, i))
  for (let i = 0; i < (other?.n ?? 0); i++) {
    onOther.set(identity(other, i), i)
    if (!onOwn.has(identity(other, i))) extra.push(i)
  }
  const total = own.n + extra.length
  const points = {
    total,
    own: own.n,
    a: new Float32Array(2 * total).fill(-1),
    b: new Float32Array(2 * total).fill(-1),
    item: new Int32Array(total),
    kind: new Uint8Array(total),
    codes: new Uint8Array(total).fill(255),
    rowOf: new Map(), // item → its first point
  }
  const put = (target, i, map, j) => { target[2 * i] = map.x[j] / 65535; target[2 * i + 1] = map.y[j] / 65535 }
  for (let i = 0; i < own.n; i++) {
    put(points.a, i, own, i)
    points.item[i] = own.item[i]
    points.kind[i] = own.kind[i]
    points.codes[i] = colourCodes[i]
    const j = other ? onOther.get(identity(own, i)) : i
    if (j != null) put(points.b, i, other ?? own, j)
  }
  extra.forEach((j, at) => {
    const i = own.n + at
    put(points.b, i, other, j)
    points.item[i] = other.item[j]
    points.kind[i] = other.kind[j]
  })
  for (let i = total - 1; i >= 0; i--) points.rowOf.set(points.item[i], i)
  return points
}

// Where a point is at time t of the morph (0: first map, 1: second map); null where it is not shown.
export const positionAt = ({ a, b }, i, t) => {
  const x = a[2 * i], y = a[2 * i + 1], u = b[2 * i], v = b[2 * i + 1]
  if (x < 0) return t > 0.5 ? [u, v] : null
  if (u < 0) return t < 0.5 ? [x, y] : null
  return [x + (u - x) * t, y + (v - y) * t]
}

export const STATE = { background: 0, plain: 0.75, selected: 1, found: 2 }

// The state of each point [total], the items of the selected points, and whether anything is marked at all. Selected are
// the points in `polygon`, else the items `lit`, else the items `linked` (a set), which a map beside this one selected.
export const pointStates = (points, { polygon, hits, lit, linked }, onSecond) => {
  const found = new Set(hits ?? []), lasso = polygon && polygon.length > 2 ? polygon : null
  const items = lit ? new Set(lit) : linked ?? null
  const any = Boolean(lasso || found.size || items)
  const states = new Float32Array(points.total), places = onSecond ? points.b : points.a
  const isSelected = lasso
    ? (i) => inside(places[2 * i], places[2 * i + 1], lasso)
    : (i) => items?.has(points.item[i])
  const selected = []
  for (let i = 0; i < points.total; i++) {
    if (isSelected(i)) { states[i] = STATE.selected; selected.push(points.item[i]) }
    else if (!any) states[i] = STATE.plain
    if (found.has(points.item[i])) states[i] = STATE.found
  }
  return { states, selected, any }
}
