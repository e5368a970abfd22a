import { File, Paths } from "expo-file-system";

import type { Spot, Store } from "./types";

const file = () => new File(Paths.document, "diary.json");
const beside = () => new File(Paths.document, "diary.new.json");
const remove = (one: File) => { if (one.exists) one.delete(); };

/** One file among the app's documents, written beside and then renamed, so that it is never half there. */
export const store: Store = {
  load: async () => (file().exists ? (JSON.parse(await file().text()) as Spot[]) : []),
  save: async (spots) => {
    remove(beside());
    const next = beside();
    next.create();
    next.write(JSON.stringify(spots));
    await next.move(file(), { overwrite: true });
  },
  clear: async () => { [file(), beside()].forEach(remove); }, // what a save that was cut off left behind holds pictures too
};
