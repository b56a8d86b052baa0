/** Builds elements. Strings become text nodes, so nothing a customer typed is ever read as markup. */

const PROPERTIES = new Set(["checked", "disabled", "value", "open", "hidden"]);

/**
 * @param {string} tag
 * @param {Object} attributes  `onclick` and the like take functions; false, null and undefined are left out
 * @param {...(Node|string|null|false|Array)} children
 */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (PROPERTIES.has(name)) node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...present(children));
  return node;
}

/** The children that are there, one level flattened. */
export function present(children) {
  return children.flat().filter((child) => child !== null && child !== undefined && child !== false);
}

/** The address if a link may go there (http and https only), else null. */
export function webAddress(text) {
  if (!/^https?:\/\//i.test(text ?? "")) return null;
  return URL.canParse(text) ? text : null;
}

/** A link that opens apart from the page; an address of any other kind stays text. */
export function link(address, ...label) {
  const href = webAddress(address);
  if (href === null) return el("span", { class: "not-a-link" }, ...label);
  return el("a", { href, target: "_blank", rel: "noopener noreferrer", class: "link" }, ...label);
}

let drawn = 0;

/** An id for a label and its field. */
export function freshId() {
  drawn += 1;
  return `field-${drawn}`;
}
