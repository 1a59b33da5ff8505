// Draws all points in one WebGL2 draw call.
import { rgba } from "./geometry.mjs"

const VERTEX = `#version 300 es
in vec2 a; in vec2 b; in float code; in float state;
uniform vec2 centre, scale; uniform float size, t;
out float vCode, vState;
void main() {
  bool gone = a.x < 0., born = b.x < 0.;
  vec2 p = gone ? b : born ? a : mix(a, b, t);
  float shown = (gone ? t : 1.) * (born ? 1. - t : 1.);
  gl_Position = vec4((p - centre) * scale, shown <= 0. ? 2. : 0., 1.); // beyond the far plane: size 0 would leave a speck
  vCode = code; vState = state;
  gl_PointSize = size * shown * (state >= 2. ? 1.7 : 1.);
}`
const FRAGMENT = `#version 300 es
precision mediump float;
in float vCode, vState; uniform sampler2D palette; uniform float alpha, dim; uniform vec4 ring; out vec4 colour;
void main() {
  vec2 d = gl_PointCoord - .5; float r = length(d);
  if (r > .5) discard;
  vec4 c = texture(palette, vec2((vCode + .5) / 256., .5));
  float a = alpha * smoothstep(.5, .38, r);
  if (vState < .5) a *= dim;
  if (vState >= 2. && r > .33) c = ring;
  if (vState >= 1.) a = smoothstep(.5, .42, r);
  colour = vec4(c.rgb * a, a);
}`
const ATTRIBUTES = { a: 2, b: 2, code: 1, state: 1 }

const compile = (gl) => {
  const program = gl.createProgram()
  for (const [kind, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(kind)
    gl.shaderSource(shader, text)
    gl.compileShader(shader)
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader))
    gl.attachShader(program, shader)
  }
  gl.linkProgram(program)
  return program
}

// A palette as a texture of 256 colours; codes beyond it, and 255 (unknown), are grey.
const paletteTexels = (palette) => {
  const table = new Uint8Array(1024).fill(128)
  palette.forEach((css, at) => table.set(rgba(css).map((v) => Math.round(v * 255)), 4 * at))
  table.set([128, 128, 128, 255], 1020)
  return table
}

export class Renderer {
  // Throws where the browser has no WebGL2.
  constructor(canvas, onRestored) {
    this.canvas = canvas
    this.gl = canvas.getContext("webgl2", { antialias: false, premultipliedAlpha: true })
    if (!this.gl) throw new Error("no WebGL2")
    this.prepare()
    canvas.addEventListener("webglcontextlost", (event) => event.preventDefault())
    canvas.addEventListener("webglcontextrestored", () => { this.prepare(); onRestored() })
  }

  prepare() {
    const gl = this.gl
    this.program = compile(gl)
    const uniforms = ["centre", "scale", "size", "t", "palette", "alpha", "dim", "ring"]
    this.at = Object.fromEntries(uniforms.map((name) => [name, gl.getUniformLocation(this.program, name)]))
    this.buffers = Object.fromEntries(Object.keys(ATTRIBUTES).map((name) => [name, gl.createBuffer()]))
    this.texture = gl.createTexture()
    gl.enable(gl.BLEND)
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA)
  }

  upload(points, states, palette) {
    const gl = this.gl
    const arrays = { a: points.a, b: points.b, code: points.codes, state: states }
    for (const [name, array] of Object.entries(arrays)) {
      gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[name])
      gl.bufferData(gl.ARRAY_BUFFER, array, gl.STATIC_DRAW)
    }
    gl.bindTexture(gl.TEXTURE_2D, this.texture)
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, 256, 1, 0, gl.RGBA, gl.UNSIGNED_BYTE, paletteTexels(palette))
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST)
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST)
  }

  // t: time of the morph; dimmed: points of the background fade; dark: the theme.
  draw(total, camera, ratio, { t, dimmed, dark }) {
    const gl = this.gl, scale = camera.scale, density = Math.sqrt(total)
    const size = Math.min(15, 1.1 * Math.sqrt(camera.zoom) * Math.max(2.4, 300 / density))
    gl.viewport(0, 0, this.canvas.width, this.canvas.height)
    gl.clearColor(0, 0, 0, 0)
    gl.clear(gl.COLOR_BUFFER_BIT)
    gl.useProgram(this.program)
    for (const [name, width] of Object.entries(ATTRIBUTES)) {
      const at = gl.getAttribLocation(this.program, name)
      gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[name])
      gl.enableVertexAttribArray(at)
      gl.vertexAttribPointer(at, width, name === "code" ? gl.UNSIGNED_BYTE : gl.FLOAT, false, 0, 0)
    }
    gl.uniform2f(this.at.centre, camera.x, camera.y)
    gl.uniform2f(this.at.scale, (2 * scale) / camera.width, (2 * scale) / camera.height)
    gl.uniform1f(this.at.size, Math.max(2.2, size) * ratio)
    gl.uniform1f(this.at.t, t)
    gl.uniform1f(this.at.alpha, Math.min(0.9, 0.35 + 0.12 * camera.zoom + 12 / density))
    gl.uniform1f(this.at.dim, dimmed ? 0.28 : 1)
    gl.uniform4fv(this.at.ring, dark ? [1, 1, 1, 1] : [0, 0, 0, 1])
    gl.uniform1i(this.at.palette, 0)
    gl.drawArrays(gl.POINTS, 0, total)
  }
}
