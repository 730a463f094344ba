// What is wrong with how a page can be read: sideways scrolling, and text whose contrast with what
// is behind it is below 4.5, WCAG's AA. Source: "relative luminance" and "contrast ratio" of WCAG 2.2.
(() => {
  const pen = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const parsed = (color) => {
    pen.clearRect(0, 0, 1, 1);
    pen.fillStyle = color;
    pen.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = pen.getImageData(0, 0, 1, 1).data;
    return [red, green, blue, alpha / 255];
  };
  const over = (front, back) => front.slice(0, 3).map((value, n) => value * front[3] + back[n] * (1 - front[3]));
  const linear = (value) => (value / 255 <= 0.03928 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4);
  const luminance = ([red, green, blue]) => 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
  const problems = [];
  const page = document.documentElement;
  if (page.scrollWidth > page.clientWidth) problems.push(`it is ${page.scrollWidth} wide, of ${page.clientWidth}`);
  for (const element of document.querySelectorAll("body *")) {
    const hasText = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.textContent.trim());
    if (!hasText || !element.getBoundingClientRect().width || element.disabled) continue;
    const above = [];
    for (let at = element; at; at = at.parentElement) above.unshift(getComputedStyle(at));
    const behind = above.reduce((back, style) => over(parsed(style.backgroundColor), back), parsed("Canvas").slice(0, 3));
    const own = getComputedStyle(element);
    const ink = parsed(element instanceof SVGElement ? own.fill : own.color);
    ink[3] *= above.reduce((opacity, style) => opacity * style.opacity, 1);
    const [darker, lighter] = [luminance(over(ink, behind)), luminance(behind)].sort((a, b) => a - b);
    const contrast = (lighter + 0.05) / (darker + 0.05);
    if (contrast < 4.5) problems.push(`${element.textContent.trim().slice(0, 30)}: contrast ${contrast.toFixed(2)}`);
  }
  return problems.slice(0, 10);
})()
