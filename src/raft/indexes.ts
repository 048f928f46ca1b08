import type { LogIndex } from "./types.ts";

export const minIndex = (a: number, b: number): LogIndex => Math.min(a, b) as LogIndex;
export const maxIndex = (a: number, b: number): LogIndex => Math.max(a, b) as LogIndex;
export const after = (index: number): LogIndex => (index + 1) as LogIndex;
export const before = (index: number): LogIndex => (index - 1) as LogIndex;
