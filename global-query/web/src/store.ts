// Recent and saved queries, kept by this browser only. A query is kept as its URL parameters.

export interface Saved {
  name: string;
  params: string;
}

const RECENT = "goprobe.recent";
const SAVED = "goprobe.saved";
const MOST_RECENT = 20;

// The browser may forbid storage, or it may be full: the page works without.
function readText(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

function writeText(key: string, text: string): void {
  try {
    localStorage.setItem(key, text);
  } catch {
    // Nothing to do about it.
  }
}

function read<T>(key: string): T[] {
  try {
    const list: unknown = JSON.parse(readText(key) ?? "[]");
    return Array.isArray(list) ? (list as T[]) : [];
  } catch {
    return [];
  }
}

const write = (key: string, list: unknown[]): void => writeText(key, JSON.stringify(list));

export const recent = (): string[] => read<string>(RECENT).filter((p) => typeof p === "string");
export const remember = (params: string): void =>
  write(RECENT, [params, ...recent().filter((p) => p !== params)].slice(0, MOST_RECENT));
export const forgetRecent = (): void => write(RECENT, []);

export const saved = (): Saved[] => read<Saved>(SAVED).filter((s) => typeof s?.name === "string" && typeof s.params === "string");
export const save = (name: string, params: string): void =>
  write(SAVED, [...saved().filter((s) => s.name !== name), { name, params }].sort((a, b) => a.name.localeCompare(b.name)));
export const forget = (name: string): void => write(SAVED, saved().filter((s) => s.name !== name));

const THEME = "goprobe.theme";
export type Theme = "auto" | "light" | "dark";
export const theme = {
  get: (): Theme => {
    const t = readText(THEME);
    return t === "light" || t === "dark" ? t : "auto";
  },
  set: (t: Theme): void => {
    writeText(THEME, t);
    theme.apply(t);
  },
  apply: (t: Theme): void => {
    const dark = t === "dark" || (t === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
    document.documentElement.dataset.theme = dark ? "dark" : "light";
  },
};
