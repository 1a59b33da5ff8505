// From a drag of the pointer to a selection: the outline of a lasso or a box, in coordinates of the map.

// The rectangle between two corners, as a polygon.
export const rectangle = ([x1, y1], [x2, y2]) => [[x1, y1], [x2, y1], [x2, y2], [x1, y2]]

// At most about `most` corners of a polygon, evenly picked: it becomes part of the page's address.
export const simplified = (polygon, most = 36) =>
  polygon.length > most ? polygon.filter((_, i) => i % Math.ceil(polygon.length / most) === 0) : polygon

// The outline after the pointer moved to a place.
export const extended = (outline, place, tool) =>
  tool === "box" ? rectangle(outline[0], place) : [...outline, place]

// The polygon that Python hears of; null where fewer than three corners select nothing.
export const selection = (outline) => {
  const polygon = simplified(outline)
  return polygon.length > 2 ? polygon : null
}
