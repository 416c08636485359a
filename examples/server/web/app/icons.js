/** The page's own icons, as paths on a 20 × 20 grid, drawn with the colour of the text around them. */

const PATHS = {
  back: 'M12 4l-6 6 6 6',
  plus: 'M10 4v12M4 10h12',
  compass: 'M10 2a8 8 0 1 0 0 16 8 8 0 0 0 0-16zM13 7l-2 4-4 2 2-4z',
  people: 'M7.500 9a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM2 17a5.500 5.500 0 0 1 11 0M13 9.500a2.500 2.500 0 1 0 0-5M15 12.500a5 5 0 0 1 3 4.500',
  send: 'M3 10l14-6-5 13-3-5zM9 12l8-8',
  lock: 'M5 9h10v8H5zM7 9V6.500a3 3 0 0 1 6 0V9',
  hash: 'M8 3L6.500 17M13.500 3L12 17M3.500 7.500h13M3 12.500h13',
  close: 'M5 5l10 10M15 5L5 15',
  down: 'M10 4v11M5 10.500l5 5 5-5',
  exit: 'M8 4H4v12h4M9 10h8M14 6.500l3.500 3.500-3.500 3.500',
  clock: 'M10 3a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM10 6.500V10l2.500 2',
  eye: 'M2 10s3-5.500 8-5.500S18 10 18 10s-3 5.500-8 5.500S2 10 2 10zM10 8a2 2 0 1 0 0 4 2 2 0 0 0 0-4z',
  reply: 'M8 5L3 10l5 5M3 10h8a6 6 0 0 1 6 6',
  smile: 'M10 3a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM7 12c1.500 2 4.500 2 6 0M7.500 8v.5M12.500 8v.5',
  star: 'M10 3l2.100 4.500 4.900.6-3.600 3.400.9 4.900-4.300-2.400-4.300 2.400.9-4.900L3 8.100l4.900-.6z',
  key: 'M7 9.500a3.500 3.500 0 1 0 0 7 3.500 3.500 0 0 0 0-7zM9.500 10.500L16 4M13 7l2.500 2.500',
  pen: 'M4 16l1-4 8-8 3 3-8 8zM11.500 5.500l3 3',
  bin: 'M4 6h12M8 6V4h4v2M6 6l1 11h6l1-11',
  leave: 'M12 4h4v12h-4M12 10H3M6 6.500L2.500 10 6 13.500',
};

const SVG = 'http://www.w3.org/2000/svg';

/** Draws an icon. */
export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  const path = document.createElementNS(SVG, 'path');
  svg.setAttribute('viewBox', '0 0 20 20');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  path.setAttribute('d', PATHS[name]);
  svg.append(path);
  return svg;
}

/** Draws the mark of the page: a speech bubble whose lines are a log. */
export function mark() {
  const img = document.createElement('img');
  img.src = '/icon.svg';
  img.alt = '';
  img.className = 'mark';
  return img;
}
