import type { Spot, Store } from "./types";

const NAME = "melalog-diary";

/** One record in IndexedDB: local storage is too small for images. */
async function record<T>(mode: IDBTransactionMode, ask: (all: IDBObjectStore) => IDBRequest<T>): Promise<T> {
  const db = await done(Object.assign(indexedDB.open(NAME, 1), { onupgradeneeded(this: IDBOpenDBRequest) { this.result.createObjectStore("diary"); } }));
  try {
    return await done(ask(db.transaction("diary", mode).objectStore("diary")));
  } finally {
    db.close();
  }
}

const done = <T>(request: IDBRequest<T>): Promise<T> => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error ?? new Error("IndexedDB"));
});

export const store: Store = {
  load: async () => ((await record("readonly", (all) => all.get("spots"))) as Spot[] | undefined) ?? [],
  save: async (spots) => {
    await record("readwrite", (all) => all.put(spots, "spots"));
    void navigator.storage?.persist?.(); // or a browser short of room may throw the diary away
  },
  clear: async () => void (await record("readwrite", (all) => all.clear())),
};
