/** The page's few icons, drawn as SVG elements: no image is ever fetched. */

const SVG = "http://www.w3.org/2000/svg";

const PATHS = {
  back: "M15 5l-7 7 7 7",
  bolt: "M13 3L5 14h6l-1 7 8-11h-6z",
  chat: "M4 5h16v11H10l-4 4v-4H4z",
  check: "M5 12.5l4.5 4.5L19 7",
  close: "M6 6l12 12M18 6L6 18",
  down: "M6 9l6 6 6-6",
  eye: "M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12zM12 9.2a2.8 2.8 0 110 5.6 2.8 2.8 0 010-5.6z",
  hash: "M9.5 4L8 20M16 4l-1.500 16M4.500 9h15.500M4 15h15.500",
  home: "M4 11l8-7 8 7v9h-5.500v-6h-5v6H4z",
  more: "M5.500 12h.01M12 12h.01M18.500 12h.01",
  pause: "M9 5v14M15 5v14",
  person: "M12 4a4 4 0 110 8 4 4 0 010-8zM4.500 20.500c.5-4 3.500-6 7.500-6s7 2 7.500 6",
  play: "M8 5l11 7-11 7z",
  send: "M4 4l17 8-17 8 3-8zM7 12h7",
  stop: "M6.500 6.500h11v11h-11z",
  warning: "M12 4l9 16H3zM12 10v5M12 17.500v.01",
};

/** The icon of that name; it says nothing to a screen reader, its button has a label. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", `icon icon-${name}`);
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

/** Fills every `<i data-icon>` of the page's own HTML. */
export function drawIcons(root) {
  for (const place of root.querySelectorAll("i[data-icon]")) place.replaceWith(icon(place.dataset.icon));
}
