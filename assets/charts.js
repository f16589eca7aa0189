// What the pages add: a chart's data as a file, its width where that changes, and ways into folded sections.

// Every chart is drawn by vegaEmbed, one that is folded when it is opened; what it is given holds the rows.
if (window.vegaEmbed) {
  const embed = window.vegaEmbed;
  window.vegaEmbed = async (box, spec, options) => {
    for (let fold; (fold = box.closest("details:not([open])")); ) {
      await new Promise((opened) => fold.addEventListener("toggle", opened, { once: true }));
    }
    const drawn = await embed(box, spec, options);
    box.querySelectorAll("details > summary").forEach((menu) => menu.setAttribute("aria-label", "Save this chart"));
    const rows = Object.values(spec.datasets || {}).flat();
    if (rows.length) dataButton(box, rows);
    return drawn;
  };
}

// A button below a figure's caption that saves the rows as CSV, made when it is pressed.
function dataButton(box, rows) {
  const button = document.createElement("button");
  const figure = box.closest("figure");
  button.className = "chart-data";
  button.type = "button";
  button.textContent = "Data (CSV)";
  button.addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([asCsv(rows)], { type: "text/csv" }));
    link.download = `${(figure && figure.id) || "chart"}.csv`;
    link.click();
    URL.revokeObjectURL(link.href);
  });
  (figure || box.parentElement).append(button);
}

function asCsv(rows) {
  const names = [...new Set(rows.flatMap(Object.keys))];
  const cell = (value) => {
    const text = String(value ?? "");
    return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [names, ...rows.map((row) => names.map((name) => row[name]))]
    .map((line) => `${line.map(cell).join()}\n`)
    .join("");
}

addEventListener("load", () => {
  // Vega asks for the width of a chart's box when the window changes, while the page's layout still moves.
  // Where a box has another width a moment later, or comes out of a closed cell, the charts are told again.
  let pending;
  const boxes = new ResizeObserver(() => {
    clearTimeout(pending);
    pending = setTimeout(() => dispatchEvent(new Event("resize")), 150);
  });
  document.querySelectorAll('[id^="altair-viz-"]').forEach((box) => boxes.observe(box));
});

// A link to something that is folded opens it, and a link to a section opens that.
function openTarget() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  for (let box = target; box; box = box.parentElement) if (box.tagName === "DETAILS") box.open = true;
  target.querySelectorAll(":scope > details.section").forEach((box) => (box.open = true));
  target.scrollIntoView();
}
addEventListener("hashchange", openTarget);

addEventListener("load", () => {
  openTarget();
  const sections = [...document.querySelectorAll("details.section")];
  if (!sections.length) return;
  const button = document.createElement("button");
  const label = () => (button.textContent = sections.every((box) => box.open) ? "Close all sections" : "Open all sections");
  button.type = "button";
  button.className = "open-all";
  button.addEventListener("click", () => {
    const open = !sections.every((box) => box.open);
    sections.forEach((box) => (box.open = open));
  });
  sections.forEach((box) => box.addEventListener("toggle", label));
  label();
  sections[0].before(button);
});
