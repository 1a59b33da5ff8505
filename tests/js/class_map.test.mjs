// Names of stars on the map of a class: none over another, also for a whole room in one place, and always to an end.
import assert from "node:assert/strict"
import { test } from "node:test"
import { rowFor } from "../../pages/parts/classroom/class_map.mjs"

test("names that lie together stand below each other", () => {
  let seed = 7
  const draw = () => { seed = (seed * 16807) % 2147483647; return seed / 2147483647 }
  for (let round = 0; round < 200; round++) {
    const placed = []
    const stars = Array.from({ length: 60 }, () => ({ x: 400 + 30 * draw(), y: 200 + 30 * draw(), n: 1 + Math.floor(20 * draw()) }))
    for (const own of stars.sort((a, b) => a.y - b.y)) {
      const at = rowFor(placed, own)
      assert.ok(at >= own.y)
      for (const other of placed) assert.ok(Math.abs(other.x - own.x) >= 9 * Math.max(other.n, own.n) + 20 || Math.abs(other.y - at) > 16.999)
      placed.push({ ...own, y: at })
    }
  }
})

test("a name alone stays at its star", () => {
  assert.equal(rowFor([], { x: 1, y: 2, n: 3 }), 2)
  assert.equal(rowFor([{ x: 900, y: 2, n: 3 }], { x: 1, y: 2, n: 3 }), 2)
})
