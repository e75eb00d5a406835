/* What a page looks like: short sides of maps, captions that are cut, cards that overlap, controls that cover something. */
() => {
  const seen = (e) => { const b = e.getBoundingClientRect(); return b.width > 1 && b.height > 1 && e.checkVisibility({visibilityProperty: true}) }
  const all = (root, found = []) => {
    for (const e of root.querySelectorAll("*")) { found.push(e); if (e.shadowRoot) all(e.shadowRoot, found) }
    return found
  }
  const elements = all(document).filter(seen)
  const box = (e) => { const b = e.getBoundingClientRect(); return [b.left, b.top, b.right, b.bottom].map(Math.round) }
  const plots = elements.filter((e) => e.dataset.map)
  const sides = Object.fromEntries(plots.map((e) => {
    const frame = Bokeh.index.find_one_by_id(e.dataset.map).frame.bbox
    return [e.getAttribute("data-name"), [Math.round(frame.width), Math.round(frame.height)]]
  }))
  const cut = elements.filter((e) => e.matches(".caption, .prompt, .note, .error, h3, th, td") &&
    (e.scrollWidth > e.clientWidth + 1 || box(e)[2] > innerWidth) && !e.closest(".scroll")).map((e) => e.innerText.slice(0, 60))
  const overlap = (a, b) => a[0] < b[2] - 1 && b[0] < a[2] - 1 && a[1] < b[3] - 1 && b[1] < a[3] - 1
  const boxes = plots.map(box), covered = []
  boxes.forEach((a, i) => boxes.slice(i + 1).forEach((b) => { if (overlap(a, b)) covered.push([a, b]) }))
  const drawer = elements.find((e) => e.matches(".MuiDrawer-paper")), main = elements.find((e) => e.matches("main"))
  const over = drawer && overlap(box(drawer), box(main)) ? [box(drawer), box(main)] : null
  return {sides, cut, covered, over, sideways: document.documentElement.scrollWidth > innerWidth,
    beyond: plots.filter((e) => box(e)[2] > innerWidth + 1 || box(e)[0] < 0).length}
}
