/* What the explorer's page does by itself: light or dark, and the keyboard on the maps. */
(() => {
  const root = document.documentElement, wish = matchMedia("(prefers-color-scheme: dark)"), KEY = "physlab-theme"
  const kept = () => document.cookie.match(/physlab-theme=(dark|light)/)?.[1]
  const chosen = () => { try { return localStorage.getItem(KEY) } catch { return null } }
  const keep = (theme) => { document.cookie = `${KEY}=${theme}; path=/; max-age=31536000; samesite=lax` }
  /* the server makes the next page in the theme of this one, so that nothing has to change while it is being drawn */
  const show = () => {
    const theme = chosen() || (wish.matches ? "dark" : "light")
    if (theme != kept()) keep(theme)
    if (theme != root.dataset.theme) { root.dataset.theme = theme; repaint() }
  }
  root.dataset.theme = SERVED
  root.lang = SPOKEN
  const words = WORDS

  /* figures: what stands on the ground of the page takes the colours of its theme */
  const INKS = COLOURS
  const dress = (model) => {
    const c = INKS[root.dataset.theme], type = model.type, is = (name) => type.endsWith(name)
    const look = is("Axis") ? {major_label_text_color: c.quiet, axis_label_text_color: c.quiet, major_tick_line_color: c.line}
      : type == "Grid" ? {grid_line_color: c.rule}
      : type == "ColorBar" ? {major_label_text_color: c.quiet}
      : type == "Legend" ? {label_text_color: c.ink, background_fill_color: c.paper}
      : type == "Figure" || type == "Plot" ? {outline_line_color: c.line}
      : model.tags && model.tags.includes("ink") ? {line_color: c.ink} : null
    const known = Object.entries(look || {}).filter(([name]) => name in model.properties)
    try { if (known.length) model.setv(Object.fromEntries(known), {sync: false}) }
    catch { again(300) } // a figure that is not laid out yet
  }
  const documents = () => (window.Bokeh && Bokeh.documents) || []
  const repaint = () => documents().forEach((doc) => doc.all_models.forEach(dress))
  let soon = 0
  const again = (wait) => { clearTimeout(soon); soon = setTimeout(repaint, wait) }
  const later = (event) => {
    if (event.attr == "visible" && event.value) setTimeout(label, 100)
    const value = event.kind == "ModelChanged" ? [event.value].flat()[0] : null
    if (value && typeof value == "object" && value.document && root.dataset.theme == "dark") again(100)
  }
  const begin = () => {
    if (!documents().length || !documents().every((doc) => doc.is_idle)) return setTimeout(begin, 100)
    documents().forEach((doc) => doc.on_change(later))
    if (root.dataset.theme == "dark") repaint()
    show()
    label()
  }

  /* bars that say how far it is have no name of their own */
  const all = (node, found = []) => {
    for (const e of node.querySelectorAll("*")) { found.push(e); if (e.shadowRoot) all(e.shadowRoot, found) }
    return found
  }
  const label = () => all(document).filter((e) => e.matches(".MuiLinearProgress-root:not([aria-label])"))
    .forEach((e) => e.setAttribute("aria-label", words.far))
  begin()
  wish.addEventListener("change", show)
  document.addEventListener("click", (event) => {
    if (event.composedPath().some((e) => e.getAttribute && e.getAttribute("aria-label") == "Toggle theme")) {
      const next = root.dataset.theme == "dark" ? "light" : "dark"
      try { localStorage.setItem(KEY, next) } catch { /* a browser that keeps nothing */ }
      show()
    }
  }, true)

  /* tables: a click on the name of a column sorts, words in the field leave rows out */
  const numbers = (cell) => {
    const number = parseFloat(cell.dataset.number ?? cell.innerText.replace("−", "-").replace("+", ""))
    return Number.isNaN(number) ? null : number
  }
  const sort = (head) => {
    const body = head.closest("table").tBodies[0], at = [...head.parentNode.children].indexOf(head)
    const way = head.getAttribute("aria-sort") == "ascending" ? -1 : 1
    for (const other of head.parentNode.children) other.removeAttribute("aria-sort")
    head.setAttribute("aria-sort", way > 0 ? "ascending" : "descending")
    const order = (a, b) => {
      const [one, other] = [a.cells[at], b.cells[at]], [x, y] = [numbers(one), numbers(other)]
      if (x === null || y === null) return x === y ? way * one.innerText.localeCompare(other.innerText) : x === null ? 1 : -1
      return way * (x - y)
    }
    body.append(...[...body.rows].sort(order))
  }
  document.addEventListener("click", (event) => {
    const button = event.composedPath()[0]
    if (button.matches?.("button.sort")) sort(button.closest("th"))
  })
  document.addEventListener("input", (event) => {
    const field = event.composedPath()[0]
    if (!field.matches?.("[data-filter]")) return
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean)
    for (const row of field.closest("label").parentNode.querySelectorAll("table[data-sort] tbody tr")) {
      const text = row.innerText.toLowerCase()
      row.hidden = !words.every((word) => text.includes(word))
    }
  })

  /* keep what is shown: the figures as one picture, as they lie on the page, or the tables as text */
  const here = (e) => e.getBoundingClientRect().width > 40
  const save = (blob, kind, view) => {
    const link = document.createElement("a")
    link.download = `physlab-${view}.${kind}`
    link.href = URL.createObjectURL(blob)
    link.click()
    setTimeout(() => URL.revokeObjectURL(link.href), 1000)
  }
  const figures = () => all(document).filter((e) => e.dataset && e.dataset.map && e.dataset.caption && here(e))
    .map((e) => ({caption: e.dataset.caption, box: e.getBoundingClientRect(), view: Bokeh.index.find_one_by_id(e.dataset.map)}))
    .filter(({view}) => view && view.export)
  const HEAD = 24 // pixels above a figure for its caption
  const picture = async (kind, view) => {
    const parts = figures(), c = INKS[root.dataset.theme], scale = kind == "png" ? 2 : 1
    if (!parts.length) return
    const left = Math.min(...parts.map((p) => p.box.left)), top = Math.min(...parts.map((p) => p.box.top)) - HEAD
    const wide = Math.max(...parts.map((p) => p.box.right)) - left, high = Math.max(...parts.map((p) => p.box.bottom)) - top
    const font = "12px Roboto, Helvetica, Arial, sans-serif"
    if (kind == "png") {
      const whole = document.createElement("canvas")
      whole.width = scale * wide
      whole.height = scale * high
      const ink = whole.getContext("2d")
      ink.scale(scale, scale)
      ink.fillStyle = c.paper
      ink.fillRect(0, 0, wide, high)
      ink.fillStyle = c.ink
      ink.font = font
      for (const {caption, box, view} of parts) {
        ink.fillText(caption, box.left - left + 8, box.top - top - 8, box.width - 12)
        ink.drawImage(view.export("png").canvas, box.left - left, box.top - top, box.width, box.height)
      }
      return save(await new Promise((done) => whole.toBlob(done, "image/png")), kind, view)
    }
    const words = (text) => text.replace(/[&<>]/g, (x) => ({"&": "&amp;", "<": "&lt;", ">": "&gt;"})[x])
    const drawn = parts.map(({caption, box, view}) => {
      const x = box.left - left, y = box.top - top, figure = view.export("svg").ctx.get_svg()
      figure.setAttribute("x", x)
      figure.setAttribute("y", y)
      return `<text x="${x + 8}" y="${y - 8}" fill="${c.ink}" style="font: ${font}">${words(caption)}</text>` +
        new XMLSerializer().serializeToString(figure)
    })
    const text = `<svg xmlns="http://www.w3.org/2000/svg" width="${wide}" height="${high}" viewBox="0 0 ${wide} ${high}">` +
      `<rect width="100%" height="100%" fill="${c.paper}"/>${drawn.join("")}</svg>`
    save(new Blob([text], {type: "image/svg+xml"}), kind, view)
  }
  const table = (view) => {
    const cell = (e) => `"${(e.dataset.number ?? e.innerText).trim().replaceAll('"', '""')}"`
    const tables = all(document).filter((e) => e.matches("table[data-sort]") && here(e))
    const text = tables.map((t) => [...t.rows].filter((r) => !r.hidden).map((r) => [...r.cells].map(cell).join(",")).join("\n"))
    save(new Blob([text.join("\n\n") + "\n"], {type: "text/csv"}), "csv", view)
  }
  document.addEventListener("click", (event) => {
    const button = event.composedPath()[0]
    if (!button.matches?.("button[data-save]")) return
    const {save: kind, view} = button.dataset
    kind == "csv" ? table(view) : picture(kind, view)
  })

  /* the keyboard on a map: arrows move by a cell, with Shift by ten; Enter clicks; what is there is said */
  const said = document.createElement("div")
  said.setAttribute("role", "status")
  said.id = "lab-said"
  said.style.cssText = "position: fixed; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%)"
  addEventListener("DOMContentLoaded", () => document.body.append(said))
  const STEPS = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1]}
  const degrees = (value, [plus, minus]) => `${Math.abs(value).toFixed(1)} ${words.degrees} ${words[value < 0 ? minus : plus]}`
  document.addEventListener("keydown", (event) => {
    const el = event.composedPath().find((e) => e.dataset && e.dataset.map)
    if (!el || !(event.key in STEPS || event.key == "Enter")) return
    const view = Bokeh.index.find_one_by_id(el.dataset.map), image = view.model.renderers.find((r) => r.glyph?.type == "Image")
    if (!image) return
    event.preventDefault()
    const data = image.data_source.data, first = (name) => data[name][0], field = first("image")
    const [rows, columns] = field.shape, {x_range, y_range} = view.model
    const wide = first("dw") / columns, high = first("dh") / rows
    const limit = (i, n) => Math.max(0, Math.min(n - 1, Math.floor(i)))
    const middle = [(x_range.start + x_range.end) / 2, (y_range.start + y_range.end) / 2]
    const at = el.cell || [limit((middle[0] - first("x")) / wide, columns), limit((middle[1] - first("y")) / high, rows)]
    const [right, up] = STEPS[event.key] || [0, 0], far = event.shiftKey ? 10 : 1
    el.cell = [limit(at[0] + far * right, columns), limit(at[1] + far * up, rows)]
    const x = first("x") + (el.cell[0] + 0.5) * wide, y = first("y") + (el.cell[1] + 0.5) * high
    const box = el.getBoundingClientRect(), {x_scale, y_scale} = view.frame
    const where = {clientX: box.left + x_scale.compute(x), clientY: box.top + y_scale.compute(y), bubbles: true,
      composed: true, pointerId: 1, pointerType: "mouse", isPrimary: true, button: 0}
    const hit = view.canvas_view.events_el
    hit.dispatchEvent(new PointerEvent("pointermove", where))
    if (event.key == "Enter") view.model.trigger_event(new (Bokeh.require("core/bokeh_events").Tap)(
      where.clientX - box.left, where.clientY - box.top, x, y, {shift: false, ctrl: false, alt: false}))
    const value = field[el.cell[1] * columns + el.cell[0]]
    said.textContent = `${Number(value).toPrecision(3)} ${el.dataset.units || ""} ${words.at} ${degrees(y, ["north", "south"])}, ` +
      `${degrees(((x + 540) % 360) - 180, ["east", "west"])}`
  })
})()
