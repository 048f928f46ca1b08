/** Line icons on a grid of 16. */
import { svg } from "./dom.ts";

const PATHS = {
  topics: "M2 4h12M2 8h12M2 12h8",
  groups:
    "M5.5 8a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5ZM1 14c0-3 2-4.5 4.5-4.5S10 11 10 14M11 3.2a2.5 2.5 0 0 1 0 4.6M12 9.8c2 .5 3 2 3 4.2",
  queues: "M2 3h8v3H2ZM2 6.500h8v3H2ZM2 10h8v3H2ZM11.500 8h3M13 6.500 14.500 8 13 9.500",
  streams:
    "M1.500 5c2-2 4.500-2 6.500 0s4.500 2 6.500 0M1.500 11c2-2 4.500-2 6.500 0s4.500 2 6.500 0",
  exports: "M2 2.500h8v4H2ZM2 9.500h8v4H2ZM12.500 5v8M10.500 11l2 2 2-2",
  keys: "M10 9a3.5 3.5 0 1 0-3.3-2.3L2 11.4V14h2.6v-1.8h1.8v-1.8l1.4-1.5A3.5 3.5 0 0 0 10 9ZM11 5h.01",
  query: "M5 4 1.5 8 5 12M11 4l3.5 4-3.5 4M9.2 2.5 6.8 13.5",
  cluster:
    "M8 5.5a2 2 0 1 0 0-4 2 2 0 0 0 0 4ZM3.5 14.5a2 2 0 1 0 0-4 2 2 0 0 0 0 4ZM12.500 14.5a2 2 0 1 0 0-4 2 2 0 0 0 0 4ZM7 5.300 4.600 10.700M9 5.300l2.400 5.400M5.500 12.500h5",
  metrics: "M1.500 14.500h13M2 11l3.500-4 3 2.500L14 3",
  manual:
    "M8 3.500C6.500 2.500 4.500 2 2 2v11c2.500 0 4.500.500 6 1.500 1.500-1 3.500-1.500 6-1.500V2c-2.500 0-4.500.500-6 1.500ZM8 3.500v11",
} as const;

export type IconName = keyof typeof PATHS;

export const icon = (name: IconName): SVGSVGElement =>
  svg(
    "svg",
    { viewBox: "0 0 16 16", class: "icon", "aria-hidden": "true" },
    svg("path", { d: PATHS[name] }),
  );

export const logo = (): SVGSVGElement =>
  svg(
    "svg",
    { viewBox: "0 0 16 16", class: "logo", "aria-hidden": "true" },
    svg("rect", { width: 16, height: 16, rx: 4 }),
    svg("path", { d: "M4 5h8M4 8h8M4 11h5" }),
  );
