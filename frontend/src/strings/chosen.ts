const NAME = "melalog-language";
const listeners = new Set<() => void>();
let language: string | null = remembered();

/** The language a person chose: for as long as the app is open, on web as long as the tab is, whatever page it left for. */
export const chosen = {
  get: (): string | null => language,
  set: (code: string): void => {
    language = code;
    try {
      globalThis.sessionStorage?.setItem(NAME, code);
    } catch { /* a browser without storage: until the page is left */ }
    for (const listener of listeners) listener();
  },
  subscribe: (listener: () => void): (() => void) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  },
};

function remembered(): string | null {
  try {
    return globalThis.sessionStorage?.getItem(NAME) ?? null;
  } catch {
    return null;
  }
}
