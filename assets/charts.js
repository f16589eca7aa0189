// Vega asks for the width of a chart's box when the window changes, while the page's layout still moves.
// Where a box has another width a moment later, or comes out of a closed cell, the charts are told again.
addEventListener("load", () => {
  let pending;
  const boxes = new ResizeObserver(() => {
    clearTimeout(pending);
    pending = setTimeout(() => dispatchEvent(new Event("resize")), 150);
  });
  document.querySelectorAll('[id^="altair-viz-"]').forEach((box) => boxes.observe(box));
});
