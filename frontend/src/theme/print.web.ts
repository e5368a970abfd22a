/**
 * The page on paper: all of it, though on the screen only its scroll view scrolls, without what can only be pressed, and
 * dark on white in the dark scheme too. Images and bars are backgrounds, which browsers leave out by default.
 */
const PAPER = `@media print {
  html, body, #root, #root div:has(main) {
    display: block !important; position: static !important; height: auto !important; min-height: 0 !important; overflow: visible !important; transform: none !important;
  }
  #root * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  #root, #root *:not([aria-hidden="true"], [aria-hidden="true"] *) { color: #111 !important; background-color: transparent !important; }
  button, input, [role="button"], [role="radiogroup"], [role="checkbox"], header [role="group"] { display: none !important; }
  [role="listitem"], [role="img"], img, canvas { break-inside: avoid; }
  h1, h2, h3 { break-after: avoid; }
}`;

const sheet = new CSSStyleSheet();
sheet.replaceSync(PAPER);
document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];

export {};
