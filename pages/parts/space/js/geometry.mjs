// Plane geometry and colours.

// Whether a point lies in a polygon [[x, y], …] (even–odd rule).
export const inside = (x, y, polygon) => {
  let hit = false
  for (let i = 0, j = polygon.length - 1; i < polygon.length; j = i++) {
    const [x1, y1] = polygon[i], [x2, y2] = polygon[j]
    if (y1 > y !== y2 > y && x < ((x2 - x1) * (y - y1)) / (y2 - y1) + x1) hit = !hit
  }
  return hit
}

// "#RRGGBB" as four numbers from 0 to 1.
export const rgba = (css, alpha = 1) => {
  const n = parseInt(css.slice(1), 16)
  return [(n >> 16) / 255, ((n >> 8) & 255) / 255, (n & 255) / 255, alpha]
}

export const easeInOut = (t) => t * t * (3 - 2 * t)
