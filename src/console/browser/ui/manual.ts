/** Links to the manual of the server that serves the console. */
import { base } from "../api.ts";
import { h } from "./dom.ts";

/** Pages of the manual that explain a page of the console. */
export type ManualPage =
  | "cluster"
  | "consume"
  | "durable-streams"
  | "exports"
  | "groups"
  | "queues"
  | "kv"
  | "monitoring"
  | "produce"
  | "stream-processing"
  | "topics"
  | "webhooks";

/** Address of a page; without a page, of the table of contents. */
export const manualAddress = (page?: ManualPage): string =>
  `${base()}/docs${page === undefined ? "" : `/${page}`}`;

/** A link that opens a new tab, so that nothing typed into a form is lost. */
export const helpLink = (page: ManualPage): HTMLElement =>
  h(
    "a",
    {
      href: manualAddress(page),
      target: "_blank",
      rel: "noopener",
      class: "help",
      "aria-label": "Help: opens the manual in a new tab",
    },
    "Help",
  );
