// The parts of the map that need no browser: points, camera, labels, posters, polygons.
import assert from "node:assert/strict"
import { test } from "node:test"
import { Camera } from "../../pages/parts/space/js/camera.mjs"
import { inside, rgba } from "../../pages/parts/space/js/geometry.mjs"
import { extended, selection, simplified } from "../../pages/parts/space/js/lasso.mjs"
import { placeLabels } from "../../pages/parts/space/js/overlay.mjs"
import { merge, pointStates, positionAt, STATE, unpack } from "../../pages/parts/space/js/points.mjs"
import { postersInView } from "../../pages/parts/space/js/posters.mjs"

// A points file as Python writes it: [x, y, item, kind] per point, x and y from 0 to 65,535.
const file = (rows) => {
  const n = rows.length, view = new DataView(new ArrayBuffer(9 * n))
  rows.forEach(([x, y, item, kind], i) => {
    view.setUint16(2 * i, x, true)
    view.setUint16(2 * (n + i), y, true)
    view.setInt32(4 * n + 4 * i, item, true)
    view.setUint8(8 * n + i, kind)
  })
  return unpack(view.buffer, n)
}
const near = (a, b, tolerance = 1e-6) => assert.ok(Math.abs(a - b) < tolerance, `${a} is not ${b}`)
const camera = (width = 800, height = 400) => Object.assign(new Camera(), { width, height })

test("a points file is read as it was written, also with an odd number of points", () => {
  const points = file([[0, 65535, 7, 1], [100, 200, -1, 2], [3, 4, 70000, 0]])
  assert.deepEqual([...points.x], [0, 100, 3])
  assert.deepEqual([...points.y], [65535, 200, 4])
  assert.deepEqual([...points.item], [7, -1, 70000])
  assert.deepEqual([...points.kind], [1, 2, 0])
})

test("a point on both maps moves between them; one on a single map appears or disappears halfway", () => {
  const first = file([[0, 0, 1, 0], [65535, 65535, 2, 0]]), second = file([[65535, 0, 1, 0], [0, 65535, 3, 0]])
  const points = merge(first, second, new Uint8Array([4, 5]))
  assert.equal(points.total, 3)
  assert.deepEqual([...points.item], [1, 2, 3])
  assert.deepEqual([...points.codes], [4, 5, 255], "a film of the second map alone has no colour here")
  assert.deepEqual(positionAt(points, 0, 0), [0, 0])
  assert.deepEqual(positionAt(points, 0, 0.25), [0.25, 0])
  assert.deepEqual(positionAt(points, 0, 1), [1, 0])
  assert.deepEqual(positionAt(points, 1, 0.4), [1, 1])
  assert.equal(positionAt(points, 1, 0.6), null)
  assert.equal(positionAt(points, 2, 0.4), null)
  assert.deepEqual(positionAt(points, 2, 0.6), [0, 1])
})

test("the plot and the poster of a film are two points; the film is found at its first", () => {
  const own = file([[0, 0, 1, 1], [65535, 0, 1, 2]])
  const points = merge(own, null, new Uint8Array(2))
  assert.equal(points.total, 2)
  assert.equal(points.rowOf.get(1), 0)
  assert.deepEqual(positionAt(points, 1, 1), [1, 0], "without a second map nothing moves")
})

test("a lasso selects what lies inside; a search result in it is selected and stays marked; all else fades", () => {
  const points = merge(file([[10000, 10000, 1, 0], [60000, 60000, 2, 0], [12000, 12000, 3, 0]]), null, new Uint8Array(3))
  const polygon = [[0, 0], [0.5, 0], [0.5, 0.5], [0, 0.5]]
  const found = pointStates(points, { polygon, hits: [3] }, false)
  assert.deepEqual([...found.states], [STATE.selected, STATE.background, STATE.found])
  assert.deepEqual(found.selected, [1, 3])
  const plain = pointStates(points, {}, false)
  assert.deepEqual([...plain.states], [STATE.plain, STATE.plain, STATE.plain])
  assert.equal(plain.any, false)
  const line = pointStates(points, { polygon: [[0, 0], [1, 1]] }, false)
  assert.equal(line.any, false, "two corners select nothing")
})

test("a lasso on the second map goes by the places there", () => {
  const points = merge(file([[0, 0, 1, 0]]), file([[65535, 65535, 1, 0]]), new Uint8Array(1))
  const polygon = [[0.9, 0.9], [1.1, 0.9], [1.1, 1.1], [0.9, 1.1]]
  assert.equal(pointStates(points, { polygon }, true).selected.length, 1)
  assert.equal(pointStates(points, { polygon }, false).selected.length, 0)
})

test("what a slice or a map beside this one selects is found by item; a lasso of its own comes first", () => {
  const points = merge(file([[0, 0, 7, 0], [30000, 30000, 8, 0], [65535, 65535, 9, 0]]), null, new Uint8Array(3))
  assert.deepEqual(pointStates(points, { lit: [8] }, false).selected, [8])
  assert.deepEqual(pointStates(points, { linked: new Set([7, 9, 12]) }, false).selected, [7, 9])
  assert.deepEqual(pointStates(points, { lit: [8], linked: new Set([7]) }, false).selected, [8])
  const polygon = [[0.9, 0.9], [1.1, 0.9], [1.1, 1.1], [0.9, 1.1]]
  assert.deepEqual(pointStates(points, { polygon, linked: new Set([7]) }, false).selected, [9])
  assert.equal(pointStates(points, { linked: null }, false).any, false)
})

test("a concave polygon leaves its notch out", () => {
  const polygon = [[0, 0], [4, 0], [4, 4], [2, 1], [0, 4]]
  assert.equal(inside(2, 0.5, polygon), true)
  assert.equal(inside(2, 3, polygon), false)
  assert.equal(inside(0.5, 2, polygon), true)
  assert.equal(inside(5, 2, polygon), false)
})

test("a long lasso becomes short enough for an address and keeps its shape", () => {
  const circle = Array.from({ length: 500 }, (_, i) => [Math.cos(i / 79.6), Math.sin(i / 79.6)])
  const short = simplified(circle)
  assert.ok(short.length <= 37 && short.length > 30)
  assert.ok(inside(0.9, 0, short) && !inside(1.1, 0, short))
  assert.deepEqual(simplified([[0, 0], [1, 0], [1, 1]]), [[0, 0], [1, 0], [1, 1]])
  assert.equal(selection([[0, 0], [1, 0]]), null, "a line selects nothing")
})

test("a lasso grows by each place of the pointer, a box is the rectangle to it", () => {
  assert.deepEqual(extended([[0, 0], [1, 0]], [1, 1], "lasso"), [[0, 0], [1, 0], [1, 1]])
  assert.deepEqual(extended([[0, 0]], [2, 1], "box"), [[0, 0], [2, 0], [2, 1], [0, 1]])
  assert.deepEqual(extended([[0, 0], [2, 0], [2, 1], [0, 1]], [3, 3], "box"), [[0, 0], [3, 0], [3, 3], [0, 3]])
})

test("screen and map coordinates are inverse; y goes up", () => {
  const view = camera()
  assert.deepEqual(view.toScreen([0.5, 0.5]), [400, 200])
  assert.ok(view.toScreen([0.5, 0.9])[1] < 200)
  view.move({ x: 0.3, y: 0.7, zoom: 3 })
  const [x, y] = view.toMap(...view.toScreen([0.42, 0.61]))
  near(x, 0.42)
  near(y, 0.61)
})

test("zooming keeps the point under the pointer, until the limit", () => {
  const view = camera(), before = view.toMap(123, 77)
  view.zoomAt(123, 77, 2.5)
  const after = view.toMap(123, 77)
  near(before[0], after[0])
  near(before[1], after[1])
  view.zoomAt(123, 77, 1e9)
  assert.equal(view.zoom, 400)
  view.zoomAt(123, 77, 1e-9)
  assert.equal(view.zoom, 0.6)
})

test("the camera frames most of some places and leaves one far away out", () => {
  const places = [...Array.from({ length: 15 }, (_, i) => [0.4 + i / 150, 0.6]), [0.01, 0.01]]
  const goal = Camera.framing(places)
  assert.ok(goal.x > 0.4 && goal.x < 0.5 && Math.abs(goal.y - 0.6) < 1e-9)
  assert.ok(goal.zoom > 3 && goal.zoom <= 9)
})

test("labels stand above their regions and do not overlap; the larger region keeps its own", () => {
  const labels = [
    { text: "small", x: 0.5, y: 0.5, top: 0.55, n: 3 },
    { text: "large", x: 0.51, y: 0.5, top: 0.55, n: 30 },
    { text: "far", x: 0.5, y: 0.1, top: 0.2, n: 1 },
  ]
  const view = camera(), placed = placeLabels(labels, view, (text) => 8 * text.length)
  assert.deepEqual(placed.map((l) => l.text), ["large", "far"])
  assert.ok(placed[0].y < view.toScreen([0.5, 0.55])[1], "above the top of the region")
  const [edge] = placeLabels([{ text: "at the edge", x: 0, y: 0.5, n: 1 }], camera(400, 400), () => 100)
  assert.equal(edge.x, 54, "a label at the edge is moved inside")
  assert.equal(placeLabels([{ text: "outside", x: -0.5, y: 0.5, n: 1 }], camera(400, 400), () => 100).length, 0)
})

test("a label makes way for a poster, or is left out", () => {
  const label = [{ text: "region", x: 0.5, y: 0.5, n: 9 }], view = camera(), [x, y] = view.toScreen([0.5, 0.5])
  const [free] = placeLabels(label, view, () => 60, [[x + 300, y]])
  const [moved] = placeLabels(label, view, () => 60, [[x, y]])
  assert.ok(moved.y < free.y - 30, "above the poster")
  assert.equal(placeLabels(label, view, () => 60, [[x, y], [x, y - 60]]).length, 0)
})

test("posters appear only up close, one in each cell, and not for hidden points", () => {
  const rows = Array.from({ length: 100 }, (_, i) => [(i % 10) * 6000 + 3000, Math.floor(i / 10) * 6000 + 3000, i, 0])
  const points = merge(file(rows), null, new Uint8Array(100)), view = camera(800, 800)
  assert.equal(postersInView(points, camera(100, 100), 0, () => false).length, 0)
  assert.equal(postersInView(points, view, 0, () => false).length, 0, "the whole map shows its points")
  view.move({ zoom: 1.4 })
  const seen = postersInView(points, view, 0, () => false)
  assert.ok(seen.length > 20 && seen.length <= 80)
  const cells = new Set(seen.map(([, x, y]) => `${Math.round(x / 56)},${Math.round(y / 82)}`))
  assert.equal(cells.size, seen.length)
  assert.equal(postersInView(points, view, 0, (i) => i !== 55).length, 1)
  const few = merge(file(rows.slice(0, 20)), null, new Uint8Array(20))
  assert.ok(postersInView(few, camera(800, 800), 0, () => false).length > 5, "few films are posters at once")
})

test("colours are read as numbers from 0 to 1", () => {
  assert.deepEqual(rgba("#FF8000"), [1, 128 / 255, 0, 1])
})
