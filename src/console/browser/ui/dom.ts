/** Creates elements. Text of the server enters the page as text nodes and attributes only. */

export type Child = Node | string | null;
type Handler = (event: never) => unknown;
export type Props = Readonly<Record<string, string | number | boolean | null | Handler>>;

/** `on…` adds a listener, true and false set and remove an attribute, null omits it. */
export function h<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  props: Props = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  assign(element, props);
  for (const child of children) if (child !== null) element.append(child);
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

export function svg<Tag extends keyof SVGElementTagNameMap>(
  tag: Tag,
  props: Props = {},
  ...children: readonly Child[]
): SVGElementTagNameMap[Tag] {
  const element = document.createElementNS(SVG, tag);
  assign(element, props);
  for (const child of children) if (child !== null) element.append(child);
  return element;
}

export function assign(element: Element, props: Props): void {
  for (const [name, value] of Object.entries(props)) {
    if (typeof value === "function") {
      element.addEventListener(name.slice(2), value as unknown as EventListener);
    } else if (typeof value === "boolean") {
      element.toggleAttribute(name, value);
    } else if (value !== null) {
      element.setAttribute(name, String(value));
    }
  }
}

/** Writes only if the text differs, so that screen readers do not repeat it. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

let ids = 0;
export const freshId = (): string => `e${ids++}`;

/** True if typed characters are text input. */
export function isTyping(target: EventTarget | null): boolean {
  if (target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement) return true;
  return (
    target instanceof HTMLInputElement && target.type !== "checkbox" && target.type !== "radio"
  );
}
