// Line icons, 20 by 20, drawn with the colour of the text around them.

const PATHS = {
  close: "M5.500 5.500l9 9M14.500 5.500l-9 9",
  plus: "M10 4.500v11M4.500 10h11",
  menu: "M3.500 6.500h13M3.500 10h13M3.500 13.500h8",
  sliders: "M3.500 7h6m4 0h3M3.500 13h2m4 0h7M11.500 5v4M7.500 11v4",
  down: "M10 4.500v11m-4.500-4.500l4.500 4.500 4.500-4.500",
  up: "M10 15.500v-11m-4.500 4.500l4.500-4.500 4.500 4.500",
  stop: "M6.500 6.500h7v7h-7z",
  tool: "M12.700 4.200a3.600 3.600 0 0 0-4.300 4.800l-4.200 4.200 2.600 2.600 4.200-4.200a3.600 3.600 0 0 0 4.800-4.300l-2.200 2.200-2.300-.8-.8-2.300z",
  copy: "M7.500 7.500h8v8h-8zM12.500 7.500v-3h-8v8h3",
  check: "M4.500 10.500l3.500 3.500 7.500-8",
  again: "M15.500 10a5.500 5.500 0 1 1-1.600-3.900M15.500 3.500v3.200h-3.200",
  edit: "M4.500 15.500l.7-3 7.600-7.600 2.300 2.300-7.600 7.600zM11.300 6.400l2.300 2.300",
  trash: "M4.500 6.500h11M8 6.500v-2h4v2M6 6.500l.7 9h6.600l.7-9",
  chevron: "M7.500 5.500l4.500 4.500-4.500 4.500",
  light: "M10 6.800a3.200 3.200 0 1 0 0 6.400 3.200 3.200 0 0 0 0-6.400zM10 2.500v1.500M10 16v1.500M2.500 10h1.500M16 10h1.500M4.700 4.700l1 1M14.300 14.300l1 1M15.300 4.700l-1 1M5.700 14.300l-1 1",
  dark: "M15.500 11.800a6 6 0 0 1-7.300-7.300 6 6 0 1 0 7.300 7.300z",
  auto: "M10 3.500a6.500 6.500 0 1 0 0 13 6.500 6.500 0 0 0 0-13zM10 3.500v13M10 6.500h4.800M10 10h6.500M10 13.500h4.800",
  tokens: "M3.500 6h5M11 6h5.500M3.500 10h8M14 10h2.500M3.500 14h3M9 14h5",
  fetch: "M10 3.500v8.500m-3.500-3.500l3.500 3.500 3.500-3.500M4.500 15.500h11",
};

const SVG = "http://www.w3.org/2000/svg";

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", "icon");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

/** Puts icons into everything written with `data-icon`. */
export function drawIcons(root = document) {
  for (const element of root.querySelectorAll("[data-icon]")) element.prepend(icon(element.dataset.icon));
}
